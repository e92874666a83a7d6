//! The logs of apps: lines of the API, of staging, of cells and of the apps themselves,
//! each with a timestamp. Lines of operations that take time are stored at once with
//! timestamps in the future, and appear at that time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model::CowStr;
use super::{Guid, Package, PackageKind, Process, World};
use crate::world::clock::Timestamp;

/// The source of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    Api,
    Staging,
    Cell,
    /// A process of this type.
    App(Box<str>),
}

impl Source {
    /// The `source_type` tag of envelopes.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Api => "API".into(),
            Self::Staging => "STG".into(),
            Self::Cell => "CELL".into(),
            Self::App(kind) => format!("APP/PROC/{}", kind.to_uppercase()),
        }
    }
}

/// A line of a log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    /// The timestamp in nanoseconds since the Unix epoch, which is unique within an
    /// app.
    pub(crate) nanos: u64,
    pub(crate) source: Source,
    pub(crate) instance: u32,
    pub(crate) is_error: bool,
    pub(crate) text: CowStr,
}

/// The number of lines of an app that are kept.
const KEPT: usize = 1000;

/// The GUID of the only cell.
const CELL: &str = "22ab8a8b-1d0d-4f7c-a6b5-3a0d0f4c2f6e";

/// Lines of one source that are written over a period.
struct Script {
    source: Source,
    instance: u32,
    lines: Vec<(bool, CowStr)>,
}

impl Script {
    fn new(source: Source, instance: u32) -> Self {
        Self {
            source,
            instance,
            lines: Vec::new(),
        }
    }

    fn out(&mut self, text: impl Into<CowStr>) {
        self.lines.push((false, text.into()));
    }

    fn error(&mut self, text: impl Into<CowStr>) {
        self.lines.push((true, text.into()));
    }
}

impl World {
    /// The lines of an app up to now, oldest first.
    pub(crate) fn logs(&self, app: Guid) -> &[LogLine] {
        let lines = self.logs.get(&app).map_or(&[][..], Vec::as_slice);
        let now = self.now.plus(Duration::from_millis(1)).unix_nanos();
        &lines[..lines.partition_point(|line| line.nanos < now)]
    }

    /// The apps that have logs.
    pub(crate) fn logging_apps(&self) -> impl Iterator<Item = Guid> {
        self.logs.keys().copied()
    }

    /// Logs a line of the API now.
    pub(crate) fn log_api(&mut self, app: Guid, text: impl Into<CowStr>) {
        self.log_api_at(app, self.now, text);
    }

    /// Logs a line of the API at a time in the future.
    pub(crate) fn log_api_at(&mut self, app: Guid, at: Timestamp, text: impl Into<CowStr>) {
        self.write(app, at, Source::Api, 0, (false, text.into()));
    }

    /// Logs the staging of a package until it is done or has failed.
    pub(super) fn log_staging(
        &mut self,
        package: Guid,
        buildpacks: &[String],
        error: Option<&str>,
        ready_at: Timestamp,
    ) {
        let Some(package) = self.packages.get(package) else {
            return;
        };
        let container = package.base.guid;
        let mut script = Script::new(Source::Staging, 0);
        script.out(format!(
            "Cell {CELL} creating container for instance {container}"
        ));
        script.out(format!(
            "Cell {CELL} successfully created container for instance {container}"
        ));
        script_staging(&mut script, package, buildpacks, error);
        script.out(format!("Cell {CELL} stopping instance {container}"));
        script.out(format!(
            "Cell {CELL} destroying container for instance {container}"
        ));
        let app = package.app;
        self.play(app, self.now, ready_at.since(self.now), script);
    }

    /// Logs the start of a process's instances, beginning with the index `first`.
    pub(super) fn log_start(&mut self, process: Guid, first: u32) {
        let Some(process) = self.processes.get(process) else {
            return;
        };
        let (guid, app, count) = (process.base.guid, process.app, process.scale.instances);
        let (kind, crashing) = (Source::App(process.kind.as_str().into()), process.crashing);
        let now = self.now;
        let starts: Vec<(u32, String, Duration)> = (first..count)
            .take(KEPT / 10)
            .map(|index| {
                let time = self.start_time(process, index);
                (index, instance_guid(process, index), time)
            })
            .collect();
        for (index, id, time) in starts {
            let mut cell = Script::new(Source::Cell, index);
            cell.out(format!("Cell {CELL} creating container for instance {id}"));
            cell.out(format!(
                "Cell {CELL} successfully created container for instance {id}"
            ));
            cell.out("Downloading droplet...");
            cell.out("Downloaded droplet");
            self.play(app, now, time / 2, cell);
            let mut instance = Script::new(kind.clone(), index);
            instance.out("Invoking pre-start scripts.");
            instance.out("Invoking start command.");
            self.play(app, now.plus(time / 2), time / 4, instance);
            let done = now.plus(time);
            if crashing {
                self.log_crash(app, done, &kind, index, &id);
                self.record_crash(guid, done, crash_payload(&kind, index, &id));
            } else {
                let healthy = (false, "Container became healthy".into());
                self.write(app, done, Source::Cell, index, healthy);
            }
        }
    }

    fn log_crash(&mut self, app: Guid, at: Timestamp, kind: &Source, index: u32, id: &str) {
        let exit = (false, "Exit status 1".into());
        self.write(app, at, kind.clone(), index, exit);
        let stopping = (false, format!("Cell {CELL} stopping instance {id}").into());
        self.write(app, at, Source::Cell, index, stopping);
        let payload = format!(
            "App instance exited with guid {app} payload: {{\"instance\"=>\"{id}\", \
             \"index\"=>{index}, \"cell_id\"=>\"{CELL}\", \"reason\"=>\"CRASHED\", \
             \"exit_description\"=>\"{}: Exited with status 1\", \"crash_count\"=>1}}",
            kind.name(),
        );
        self.log_api_at(app, at, payload);
    }

    /// Removes the future lines of instances that are stopped.
    pub(super) fn drop_future_lines(&mut self, app: Guid) {
        let now = self.now.plus(Duration::from_millis(1)).unix_nanos();
        if let Some(lines) = self.logs.get_mut(&app) {
            let pending = |line: &LogLine| {
                line.nanos >= now && matches!(line.source, Source::Cell | Source::App(_))
            };
            lines.retain(|line| !pending(line));
        }
        self.forget_crashes(app);
    }

    /// Writes lines that are spread evenly over a period. The last one is written at its
    /// end.
    fn play(&mut self, app: Guid, from: Timestamp, time: Duration, script: Script) {
        let count = u32::try_from(script.lines.len()).unwrap_or(u32::MAX).max(2);
        for (position, line) in (0..count).zip(script.lines) {
            let at = from.plus(time.saturating_mul(position) / (count - 1));
            self.write(app, at, script.source.clone(), script.instance, line);
        }
    }

    fn write(
        &mut self,
        app: Guid,
        at: Timestamp,
        source: Source,
        instance: u32,
        (is_error, text): (bool, CowStr),
    ) {
        let lines = self.logs.entry(app).or_default();
        let mut nanos = at.unix_nanos();
        let mut position = lines.partition_point(|line| line.nanos < nanos);
        while lines.get(position).is_some_and(|line| line.nanos == nanos) {
            position += 1;
            nanos += 1;
        }
        let line = LogLine {
            nanos,
            source,
            instance,
            is_error,
            text,
        };
        if lines.len() < 4 {
            // Most apps have few lines.
            lines.reserve_exact(1);
        }
        lines.insert(position, line);
        if lines.len() > KEPT {
            lines.remove(0);
            self.forgotten.log_lines += 1;
        }
    }
}

/// The GUID of an instance.
pub(crate) fn instance_guid(process: &Process, index: u32) -> String {
    format!("{}-{index}", process.base.guid)
}

/// The data of the event when an instance exits.
fn crash_payload(kind: &Source, index: u32, id: &str) -> Value {
    json!({
        "instance": id,
        "index": index,
        "cell_id": CELL,
        "reason": "CRASHED",
        "exit_description": format!("{}: Exited with status 1", kind.name()),
    })
}

fn script_staging(
    script: &mut Script,
    package: &Package,
    buildpacks: &[String],
    error: Option<&str>,
) {
    if let PackageKind::Docker { image, .. } = &package.kind {
        script.out("Staging...");
        script.out(format!("Staging process started for {image} ..."));
        match error {
            Some(error) => script_failure(script, error),
            None => script.out("Staging process finished"),
        }
        return;
    }
    for buildpack in buildpacks {
        script.out(format!("Downloading {buildpack}..."));
        script.out(format!("Downloaded {buildpack}"));
    }
    script.out("Downloading app package...");
    script.out("Downloaded app package");
    if let Some(error) = error {
        script_failure(script, error);
        return;
    }
    for buildpack in buildpacks {
        let name = buildpack.trim_end_matches("_buildpack");
        script.out(format!("-----> {name} Buildpack version 1.0.0"));
    }
    script.out("Exit status 0");
    script.out("Uploading droplet, build artifacts cache...");
    script.out("Uploading droplet...");
    script.out("Uploaded droplet");
    script.out("Uploading complete");
}

/// The reason for a failure, as buildpacks print it before the build reports it.
fn script_failure(script: &mut Script, error: &str) {
    let (title, detail) = error.split_once(" - ").unwrap_or(("", error));
    let (reason, status) = match title {
        "NoAppDetectedError" => (
            "None of the buildpacks detected a compatible application",
            222,
        ),
        "BuildpackCompileFailed" => ("Failed to compile droplet", 223),
        "BuildpackReleaseFailed" => ("Failed to build droplet release", 224),
        _ => (detail, 1),
    };
    script.error(reason.to_owned());
    script.out(format!("Exit status {status}"));
}
