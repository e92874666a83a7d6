//! Tasks: one-off commands that run for a while next to an app.

use super::processes::user_error;
use super::{Field, Guid, Selection, Task, World};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;

/// A task to run.
#[derive(Debug)]
pub(crate) struct NewTask {
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) droplet: Guid,
    pub(crate) name: Option<String>,
    pub(crate) command: String,
    pub(crate) user: Option<String>,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    pub(crate) log_rate: i64,
    /// The error that the task ends with, if it fails.
    pub(crate) failure: Option<String>,
    pub(crate) metadata: MetadataPatch,
}

impl World {
    /// Starts a task. Fails if there are `problems`, or if its user or its sizes are not
    /// allowed.
    pub(crate) fn run_task(&mut self, new: NewTask, problems: &[&str]) -> Result<Guid, Error> {
        let mut problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.extend(self.task_quota_problems(new.space, new.memory_mb, new.log_rate));
        problems.extend(new.user.as_deref().and_then(user_error));
        if !problems.is_empty() {
            return Err(Error::unprocessable(problems.join(", ")));
        }
        let base = self.base_with(new.metadata);
        let tasks = self.tasks.select(&Selection::by(Field::App, new.app));
        let sequence = tasks.last().map_or(1, |task| task.sequence + 1);
        let random = base.guid.to_string();
        let name = new.name.unwrap_or_else(|| random[..8].to_owned());
        let ready_at = self.ready_after(|timings| timings.task);
        let task = Task {
            base,
            app: new.app,
            space: new.space,
            droplet: new.droplet,
            sequence,
            name,
            command: new.command,
            user: new.user,
            memory_mb: new.memory_mb,
            disk_mb: new.disk_mb,
            log_rate: new.log_rate,
            ready_at,
            canceled: false,
            failure: new.failure,
        };
        self.record_task(&task, self.now, "TASK_STARTED");
        self.record_task(&task, ready_at, "TASK_STOPPED");
        Ok(self.add(task))
    }

    /// Cancels a task. This takes as long as a job.
    pub(crate) fn cancel_task(&mut self, guid: Guid) {
        let ready_at = self.ready_after(|timings| timings.job);
        self.update_row(guid, |task: &mut Task| {
            task.canceled = true;
            task.failure = Some("task was cancelled".into());
            task.ready_at = ready_at;
        });
        self.record_task_end(guid, ready_at);
    }
}
