//! The flags that set variables of a manifest or a spec.

use std::path::PathBuf;

use clap::Args;

use cf_pusher::manifest::Variables;

use super::CommandError;

/// The flags for variables.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct VariableFlags {
    /// Variable for ((NAME)) in the file; VALUE is YAML
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    vars: Vec<(String, String)>,

    /// Path to a YAML file of variables; later files and --var take precedence
    #[arg(long = "vars-file", value_name = "FILE", value_parser = existing)]
    vars_files: Vec<PathBuf>,
}

impl VariableFlags {
    /// The files of variables.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.vars_files
    }

    pub(super) fn variables(&self) -> Result<Variables, CommandError> {
        let mut variables = Variables::default();
        for path in &self.vars_files {
            let added = variables.add_file(path);
            added.map_err(|error| CommandError::usage(error.to_string()))?;
        }
        for (name, value) in &self.vars {
            let set = variables.set(name, value);
            set.map_err(|error| {
                CommandError::usage(format!("invalid value for --var {name}: {error}"))
            })?;
        }
        Ok(variables)
    }

    /// The first flag that is set.
    pub(super) fn given(&self) -> Option<&'static str> {
        if !self.vars.is_empty() {
            return Some("--var");
        }
        (!self.vars_files.is_empty()).then_some("--vars-file")
    }
}

/// A variable with a value.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("must be NAME=VALUE, and neither may be empty".to_owned()),
    }
}

/// A path that exists.
pub(super) fn existing(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err("no such file or folder".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}
