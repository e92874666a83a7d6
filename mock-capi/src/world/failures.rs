//! Failures of operations that requests start. Their causes are unknown to the world.

use std::fmt;

use super::error::Failure;

/// Decides whether an operation fails.
pub(crate) trait Failures: fmt::Debug {
    /// The error with which the staging of the app's package ends.
    fn staging(&mut self, app: &str) -> Option<String>;

    /// The error with which the copy of a droplet to the app ends.
    fn copy(&mut self, app: &str) -> Option<String>;

    /// Whether started instances of the app crash.
    fn crashes(&mut self, app: &str) -> bool;

    /// The error with which a task of the app ends.
    fn task(&mut self, app: &str) -> Option<String>;

    /// The error with which a job ends.
    fn job(&mut self, operation: &str) -> Option<Failure>;
}
