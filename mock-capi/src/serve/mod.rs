//! How the fake is reached: it listens, applies faults and the rate limit,
//! logs requests, and answers `/_mock/`. What the APIs say is in
//! [`crate::api`].

pub(crate) mod builder;
mod control;
pub(crate) mod faults;
mod listener;
mod overview;
mod page;
pub(crate) mod rate_limit;
mod request_log;
pub(crate) mod server;
pub(crate) mod state;
