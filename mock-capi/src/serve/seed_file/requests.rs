//! Sends requests to the fake itself, as an administrator, without a socket.

use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::router::Router;
use crate::api::uaa::token::Tokens;
use crate::world::error::Failure;
use crate::world::failures::Failures;
use crate::world::settings::{Dialect, Settings};
use crate::world::{Access, Guid, World};

/// A world, and the operations that change it.
pub(super) struct Requests<'w> {
    pub(super) world: &'w mut World,
    pub(super) settings: &'w Settings,
    router: Router,
    tokens: Tokens,
}

/// Lets all operations succeed.
#[derive(Debug)]
struct NoFailures;

impl Failures for NoFailures {
    fn staging(&mut self, _: &str) -> Option<String> {
        None
    }

    fn copy(&mut self, _: &str) -> Option<String> {
        None
    }

    fn crashes(&mut self, _: &str) -> bool {
        false
    }

    fn task(&mut self, _: &str) -> Option<String> {
        None
    }

    fn job(&mut self, _: &str) -> Option<Failure> {
        None
    }
}

impl<'w> Requests<'w> {
    pub(super) fn new(world: &'w mut World, settings: &'w Settings) -> Self {
        Self {
            world,
            settings,
            // The result of a seed does not depend on the rights of a user.
            router: Router::new(Dialect::V3),
            tokens: Tokens::default(),
        }
    }

    /// Sends a request with a JSON body. Returns the GUID of the resource in the
    /// response, if any.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Option<Guid>, String> {
        let answer = self.exchange(method, path, "application/json", body)?;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(answer["guid"].as_str().and_then(Guid::parse))
    }

    /// Applies a manifest to a space.
    pub(super) fn apply_manifest(&mut self, space: Guid, manifest: &Value) -> Result<(), String> {
        let path = format!("/v3/spaces/{space}/actions/apply_manifest");
        let answer = self.exchange("POST", &path, "application/x-yaml", manifest)?;
        let mut headers = answer.headers.iter();
        let job = headers.find(|(name, _)| name == "Location");
        let job = job.and_then(|(_, url)| Guid::parse(url.rsplit('/').next()?));
        let failure = job.and_then(|job| self.world.jobs.remove(job)?.failure);
        failure.map_or(Ok(()), |failure| Err(CcError::from(failure).details()))
    }

    fn exchange(
        &mut self,
        method: &str,
        path: &str,
        media_type: &'static str,
        body: &Value,
    ) -> Result<Response, String> {
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_static(media_type);
        headers.insert(header::CONTENT_TYPE, media_type);
        let body = body.to_string();
        let request = Request::new(method, path, None, &headers, body.as_bytes());
        let found = self.router.find(method, path);
        let found = found.ok_or_else(|| CcError::unknown_request().details())?;
        let mut context = RequestContext {
            request: &request,
            settings: self.settings,
            world: self.world,
            faults: &mut NoFailures,
            tokens: &mut self.tokens,
            caller: None,
            access: Access::Everything,
            allowed: found.route.allowed(),
            base: "http://mock".into(),
            captures: found.captures,
        };
        let answer = found.route.call(&mut context);
        answer.map_err(|error| error.details())
    }

    /// Removes the recorded events, because no client has sent these requests.
    pub(super) fn forget_events(&mut self) {
        let world = &mut self.world;
        world.events.keep_newest(0, |_| true);
        world.app_usage_events.keep_newest(0, |_| true);
        world.service_usage_events.keep_newest(0, |_| true);
    }
}
