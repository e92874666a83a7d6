//! The requests around uploads: the same in both dialects, but that in 2017
//! nothing could be asked of the pool of resources.

use serde_json::{Value, json};

use super::super::transport::Upload;
use super::super::transport::{Body, Request};
use super::Dialect;

/// The most resources that one request may ask for.
pub(crate) const MOST_RESOURCES: usize = 5000;

impl Dialect {
    /// Asks which of some resources Cloud Controller has; changes nothing.
    pub(crate) fn match_resources(self, resources: &[Value]) -> Option<Request> {
        match self {
            Self::V3 => Some(
                Request::post("/v3/resource_matches")
                    .json(json!({"resources": resources}))
                    .repeatable(),
            ),
            Self::Documented2017 => None,
        }
    }

    pub(crate) fn upload_package(self, package: &str, upload: Upload) -> Request {
        Request::post(format!("/v3/packages/{package}/upload")).body(Body::Upload(upload))
    }

    pub(crate) fn delete_package(self, package: &str) -> Request {
        Request::delete(format!("/v3/packages/{package}"))
    }

    /// A droplet to which a file can be uploaded.
    pub(crate) fn create_droplet(self, app: &str) -> Request {
        Request::post("/v3/droplets")
            .json(json!({"relationships": {"app": {"data": {"guid": app}}}}))
    }

    pub(crate) fn upload_droplet(self, droplet: &str, upload: Upload) -> Request {
        Request::post(format!("/v3/droplets/{droplet}/upload")).body(Body::Upload(upload))
    }

    pub(crate) fn delete_droplet(self, droplet: &str) -> Request {
        Request::delete(format!("/v3/droplets/{droplet}"))
    }
}
