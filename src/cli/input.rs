//! Reads the desired state from a configuration of a scaling test or from a spec.

use std::path::Path;

use serde_json::{Value, json};

use cf_pusher::{Configuration, Connection, Desired, Multispace, ScalingTest, Sources, SpecFile};

use super::connect::path_variable;
use super::flags::InputFlags;
use super::{CommandError, output};

/// The maximum number of concurrent requests for a spec, unless a flag sets it.
const CONCURRENCY: u32 = 16;

/// Whether a command needs the apps' bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    Required,
    /// Missing bits are ignored.
    Optional,
}

/// The desired state in the form that the user gave.
pub(super) enum Input {
    Scaling(Box<ScalingTest>, Sources),
    Multispace(Box<Multispace>, Sources),
    Spec(Box<SpecFile>),
}

impl Input {
    /// Reads the files that the flags name.
    pub(super) fn read(flags: &InputFlags, bits: Bits) -> Result<Self, CommandError> {
        let Some(config) = &flags.files.config else {
            let variables = flags.variables.variables()?;
            let specs = &flags.files.specs;
            let spec = match bits {
                Bits::Required => SpecFile::read(specs, &variables)?,
                Bits::Optional => SpecFile::read_without_bits(specs, &variables)?,
            };
            return Ok(Self::Spec(Box::new(spec)));
        };
        if let Some(flag) = flags.variables.given() {
            let message = format!("{flag} has no effect: a configuration has no variables");
            return Err(CommandError::usage(message).help("select a spec with -f FILE"));
        }
        let apps_dir = flags.apps_dir.clone();
        let apps_dir = apps_dir.or_else(|| path_variable("APPS_DIR"));
        let apps_dir = apps_dir.filter(|_| bits == Bits::Required);
        Self::of_config(config, apps_dir.as_deref())
    }

    /// Reads a configuration and its bits.
    pub(super) fn of_config(path: &Path, apps_dir: Option<&Path>) -> Result<Self, CommandError> {
        let config = match path.as_os_str() == "-" {
            true => Configuration::read_from(std::io::stdin().lock(), "standard input"),
            false => Configuration::read(path),
        };
        match config? {
            Configuration::Scaling(config) => {
                let sources = Sources::read(&config, apps_dir)?;
                Ok(Self::Scaling(Box::new(config), sources))
            }
            Configuration::Multispace(config) => {
                let sources = config.sources(apps_dir)?;
                Ok(Self::Multispace(Box::new(config), sources))
            }
            _ => Err(CommandError::usage("the kind of configuration is unknown")),
        }
    }

    pub(super) fn desired(&self) -> Result<Desired, CommandError> {
        let desired = match self {
            Self::Scaling(config, sources) => config.desired(sources),
            Self::Multispace(config, sources) => config.desired(sources),
            Self::Spec(spec) => Ok(spec.desired().clone()),
        };
        desired.map_err(|error| CommandError::usage(error.to_string()))
    }

    /// The address of the foundation, which a spec does not have.
    pub(super) fn connection(&self) -> Connection {
        match self {
            Self::Scaling(config, _) => config.connection.clone(),
            Self::Multispace(config, _) => config.connection.clone(),
            Self::Spec(_) => Connection::default(),
        }
    }

    pub(super) fn concurrency(&self) -> u32 {
        match self {
            Self::Scaling(config, _) => config.concurrency,
            Self::Multispace(config, _) => config.concurrency,
            Self::Spec(_) => CONCURRENCY,
        }
    }

    /// Warnings for the user, and with `with_notes` also notes.
    pub(super) fn warnings(&self, with_notes: bool) -> Vec<String> {
        let (notes, sources) = match self {
            Self::Scaling(config, sources) => (config.notes.as_slice(), sources),
            Self::Multispace(config, sources) => (config.notes.as_slice(), sources),
            Self::Spec(_) => return Vec::new(),
        };
        let notes = notes.iter().filter(|_| with_notes).cloned();
        notes.chain(sources.warnings()).collect()
    }

    /// The first keys of the JSON output.
    pub(super) fn head(&self) -> Value {
        match self {
            Self::Scaling(config, _) => output::scale_group(config),
            Self::Multispace(config, _) => json!({
                "orgs": config.orgs(),
                "rules_on_cells": config.rules_on_cells(),
            }),
            Self::Spec(spec) => json!({
                "name": spec.desired().owner(),
                "orgs": names(spec.desired()),
            }),
        }
    }

    /// Facts that a plan shows in addition to the changes.
    pub(super) fn facts(&self) -> Option<String> {
        match self {
            Self::Multispace(config, _) => {
                let rules = config.rules_on_cells();
                Some(format!("security group rules that reach cells: {rules}"))
            }
            Self::Scaling(..) | Self::Spec(_) => None,
        }
    }

    /// A description of the desired state for messages.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Scaling(config, _) => config.names().org,
            Self::Multispace(config, _) => config.orgs().join(", "),
            Self::Spec(spec) => spec.desired().owner().to_owned(),
        }
    }
}

fn names(desired: &Desired) -> Vec<&str> {
    let orgs = desired.orgs().iter();
    orgs.map(|org| org.name.as_str()).collect()
}
