//! From source to droplet, for one app: its bits, their upload, their staging.

pub(crate) mod bits;
pub(crate) mod source;
pub(crate) mod stage;
pub(crate) mod upload;
