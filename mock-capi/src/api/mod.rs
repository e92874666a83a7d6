//! The APIs of the fake Cloud Controller. Each API has a folder with one file per
//! resource. Their state is in [`crate::world`].

pub(crate) mod context;
pub(crate) mod error;
pub(crate) mod fixtures;
pub(crate) mod form;
pub(crate) mod http;
pub(crate) mod list;
pub(crate) mod log_cache;
pub(crate) mod message;
pub(crate) mod networking;
pub(crate) mod operations;
pub(crate) mod osb;
pub(crate) mod router;
pub(crate) mod routing;
pub(crate) mod shared;
pub(crate) mod state;
pub(crate) mod uaa;
pub(crate) mod v2;
pub(crate) mod v2017;
pub(crate) mod v3;
pub(crate) mod yaml;
