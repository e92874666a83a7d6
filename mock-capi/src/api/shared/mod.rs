//! What the APIs of different years have in common: how requests are read and carried
//! out. Their handlers differ in what they allow, and in how they present results.

pub(crate) mod app_environment;
pub(crate) mod bound_services;
pub(crate) mod byte_sizes;
pub(crate) mod current_droplet;
pub(crate) mod droplets;
pub(crate) mod lifecycle;
pub(crate) mod new_app;
pub(crate) mod packages;
pub(crate) mod processes;
pub(crate) mod quota_limits;
pub(crate) mod security_rules;
pub(crate) mod service_quotas;
pub(crate) mod staging;
