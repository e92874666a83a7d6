//! Runs the command in a temporary folder, and checks its output.

use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use assert_cmd::Command;
use mock_capi::CloudController;

/// The command without the environment variables that it would read.
pub(crate) fn cf_pusher(home: &Path) -> Command {
    timed(process(home))
}

fn timed(process: process::Command) -> Command {
    let mut command = Command::from_std(process);
    command.timeout(Duration::from_secs(60));
    command
}

fn process(home: &Path) -> process::Command {
    let mut command = process::Command::new(env!("CARGO_BIN_EXE_cf-pusher"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CF_") || name == "APPS_DIR" || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    // The temporary files are deleted with the folder, even if the command is killed.
    command.env("CF_HOME", home).env("TMPDIR", home);
    command
}

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) struct CommandOutput {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the command on a foundation, as its admin.
    pub(crate) fn on(&self, mock: &CloudController, config: &str, args: &[&str]) -> CommandOutput {
        self.run(timed(self.process_on(mock, config, args)), mock)
    }

    /// The process of [`Place::on`].
    pub(crate) fn process_on(
        &self,
        mock: &CloudController,
        config: &str,
        args: &[&str],
    ) -> process::Command {
        let config = self.file("config.json", config);
        let mut command = process(self.dir.path());
        let (command_name, rest) = args.split_first().unwrap();
        command
            .args([command_name, "--config", config.to_str().unwrap()])
            .args(rest)
            .env("CF_API", mock.uri())
            .env("CF_USERNAME", "admin")
            .env("CF_PASSWORD", "admin");
        command
    }

    pub(crate) fn run(&self, command: Command, mock: &CloudController) -> CommandOutput {
        let CommandOutput {
            code,
            stdout,
            stderr,
        } = self.run_alone(command);
        let text = |text: String| text.replace(&mock.uri(), "http://api");
        CommandOutput {
            code,
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// The output of a command that needs no foundation.
    pub(crate) fn run_alone(&self, mut command: Command) -> CommandOutput {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(self.dir.path().to_str().unwrap(), "DIR")
        };
        CommandOutput {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The output without request GUIDs and times, which differ between runs.
pub(crate) fn stable(text: &str) -> String {
    let mut lines = Vec::new();
    // The progress lines depend on timing.
    for line in text.lines().filter(|line| !is_progress(line)) {
        let line: Vec<String> = line
            .split(' ')
            .map(|word| {
                let path = word.split('/').map(|part| {
                    let is_guid = part.len() == 36 && part.matches('-').count() == 4;
                    let is_time = part.len() == 20 && part.ends_with('Z');
                    match (is_guid, is_time) {
                        (true, _) => ":guid",
                        (_, true) => ":time",
                        _ => part,
                    }
                });
                path.collect::<Vec<_>>().join("/")
            })
            .collect();
        let line = line.join(" ");
        let line = match line.find(" [request ") {
            Some(end) => line[..end].to_owned(),
            None => line,
        };
        lines.push(if line.starts_with("time: ") {
            "time: ...".to_owned()
        } else {
            line
        });
    }
    lines.join("\n")
}

/// A line such as `clones: 3 of 4`.
fn is_progress(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let done = match words.as_slice() {
        [_, done, "of", _] | [_, done, "of", _, _, "failed"] => done,
        _ => return false,
    };
    done.parse::<u32>().is_ok()
}
