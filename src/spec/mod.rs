//! The files that users write. Each kind of file is converted to a
//! [`Desired`](crate::desired::Desired).

pub(crate) mod config;
pub(crate) mod file;
mod jsonc;
mod keys;
pub(crate) mod multispace;
pub(crate) mod preset;
pub(crate) mod reader;
pub(crate) mod scaling;
pub(crate) mod sources;
