//! Code that several versions of the API share: reading requests and carrying them out.
//! The handlers of the versions allow different requests and present results differently.

pub(crate) mod app_environment;
pub(crate) mod bound_services;
pub(crate) mod buildpack_bits;
pub(crate) mod byte_sizes;
pub(crate) mod current_droplet;
pub(crate) mod droplets;
pub(crate) mod lifecycle;
pub(crate) mod managed_services;
pub(crate) mod new_app;
pub(crate) mod packages;
pub(crate) mod processes;
pub(crate) mod quota_limits;
pub(crate) mod security_rules;
pub(crate) mod service_quotas;
pub(crate) mod staging;
