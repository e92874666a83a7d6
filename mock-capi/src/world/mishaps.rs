//! What may go wrong with what requests start. The world does not know why.

use std::fmt;

use super::error::Failure;

/// Decides, each time that something starts, whether it goes wrong.
pub(crate) trait Mishaps: fmt::Debug {
    /// The error that staging the app's package ends with.
    fn staging(&mut self, app: &str) -> Option<String>;

    /// The error that copying a droplet to the app ends with.
    fn copy(&mut self, app: &str) -> Option<String>;

    /// Whether what is started of the app crashes.
    fn crashes(&mut self, app: &str) -> bool;

    /// Why a task of the app fails.
    fn task(&mut self, app: &str) -> Option<String>;

    /// The error that a job ends with.
    fn job(&mut self, operation: &str) -> Option<Failure>;
}
