//! Answers a request: applies faults and the rate limit, checks the token, and calls the
//! API.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::record::{AnsweredRequest, Observer, Stats, record};
use super::{Core, State};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::form::NO_FORM;
use crate::api::http::{Request, Response};
use crate::api::osb::{self, BrokerRequest};
use crate::api::router::RouteMatch;
use crate::api::uaa;
use crate::api::uaa::authorization::bearer;
use crate::api::uaa::token::{Caller, TokenKind, Tokens};
use crate::serve::control;
use crate::serve::faults::Effect;
use crate::serve::rate_limit::{self, Allowance, RateLimitedCaller};
use crate::serve::request_log::Outcome;
use crate::world::clock::Timestamp;
use crate::world::settings::RateLimit;
use crate::world::{
    ADMIN_GROUP, ADMIN_READ_ONLY_GROUP, Access, Account, BrokerTask, GLOBAL_AUDITOR_GROUP, Guid,
    READ_SCOPE, WRITE_SCOPE, World,
};

/// The response to a request, and how it is sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The time by which the response is delayed.
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
    /// The work of a service broker before the response is complete.
    pub(crate) awaited: Option<Awaited>,
}

/// The event that a response waits for.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// The parameters in the response of a broker.
    Parameters(BrokerRequest),
    /// A job, and the path of the resource that the response contains after it.
    Job { job: Guid, shows: String },
}

/// The part of a response that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    /// The connection is closed in the middle of the body.
    Truncated,
    /// The body is sent in pieces, spread evenly over this time.
    Dripped(Duration),
    /// The connection breaks before the first byte.
    Dropped,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            response,
            delay: Duration::ZERO,
            ending: Ending::Whole,
            awaited: None,
        }
    }
}

/// The prefix of UAA's paths.
const UAA_PREFIX: &str = "/uaa/";

/// Whether the subject of a token (a user or a client) is an administrator.
fn is_admin(subject: &str, world: &World) -> bool {
    let is_admin_group = |scope: &String| scope == ADMIN_GROUP;
    let account: Option<&Account> = world.look_up(subject);
    let client = world.client(subject);
    account.is_some_and(|account| world.scopes_of(account).iter().any(is_admin_group))
        || client.is_some_and(|client| client.details.authorities.iter().any(is_admin_group))
}

impl Core {
    /// Answers a request.
    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let base = self.base_of(request);
        let base = base.unwrap_or_else(|| self.base().to_owned());
        match control::answer(self, request, &base) {
            Some(response) => response.into(),
            None => self.answer_api(request, base),
        }
    }

    /// Whether a request is refused regardless of its body, because its operation needs a
    /// token and the request has no valid one. A stub may need the body nevertheless.
    pub(crate) fn refuses_unread(&self, request: &Request<'_>) -> bool {
        let path = canonical_path(request.path);
        let found = self.router.find(request.method, &path);
        if found.is_none_or(|found| found.route.is_open()) {
            return false;
        }
        let mut state = self.lock();
        let is_stubbed = state.stubs.admits(request.method, request.path);
        let now = self.clock.now();
        !is_stubbed && authenticate(request, &mut state.tokens, now).is_err()
    }

    fn answer_api(&self, request: &Request<'_>, base: String) -> Answer {
        let path = canonical_path(request.path);
        let rewritten = matches!(path, Cow::Owned(_)).then(|| Request {
            path: &path,
            ..request.clone()
        });
        let request = rewritten.as_ref().unwrap_or(request);
        let began = Instant::now();
        let found = self.router.find(request.method, request.path);
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = self.clock.now();
        if self.settings.record_requests {
            state.recorded.push(record(request));
        }
        state.user = None;
        let stubbed = state.stubs.answer(request.method, request.path);
        state.stats.count(found.as_ref());
        state.world.settle(now);
        let request_id = state.world.next_guid();
        let fault = state.faults.begin(request.method, request.path, now);
        let effect = fault.as_ref().map(|fault| fault.effect);
        let held_back = fault.as_ref().map(|fault| fault.delay).unwrap_or_default();
        let timings = state.world.timings;
        let paced = state.pace.cost(request.path, found.as_ref());
        if effect == Some(Effect::ExpiredToken) {
            state.tokens.expire();
        }
        let response = match fault.and_then(|fault| fault.answer) {
            Some(response) => response,
            None if effect == Some(Effect::DropBefore) => Response::empty(503),
            None => match stubbed {
                Some(stubbed) => stubbed,
                None if self.is_disabled(request.path) => v2_disabled(),
                None => self.process(found, request, state, base),
            },
        };
        let (pace, random) = (&mut state.pace, &mut state.random);
        let service = pace.serve(paced, response.listed, &timings, random);
        let (ending, held_back) = ending_of(effect, held_back);
        let awaited = self.take_awaited(state);
        let outcome = Outcome {
            at: now,
            status: (ending != Ending::Dropped).then_some(response.status),
            took: began.elapsed(),
            fault: effect,
            user: state.user.take(),
        };
        self.record_outcome(request, outcome, &response, ending, state);
        let response = with_runtime(response, service.runtime);
        let request_id = request_id_header(request, request_id);
        Answer {
            response: response.with_header("X-Vcap-Request-Id", request_id),
            delay: service.total.saturating_add(held_back),
            ending,
            awaited,
        }
    }

    /// The work of a service broker before the response is complete.
    fn take_awaited(&self, state: &mut State) -> Option<Awaited> {
        match state.world.take_awaited()? {
            BrokerTask::AwaitJob { job, shows } => Some(Awaited::Job { job, shows }),
            task => {
                let request = osb::request(&state.world, &task)?;
                Some(Awaited::Parameters(self.signed(request)))
            }
        }
    }

    /// Reports an answered request to the observer and to the log.
    fn record_outcome(
        &self,
        request: &Request<'_>,
        outcome: Outcome,
        response: &Response,
        ending: Ending,
        state: &mut State,
    ) {
        if let Some(Observer(observe)) = &self.observer {
            observe(AnsweredRequest {
                method: request.method,
                target: &request.target(),
                status: outcome.status,
                took: outcome.took,
            });
        }
        let sent = match ending {
            Ending::Dropped => &[][..],
            Ending::Whole | Ending::Truncated | Ending::Dripped(_) => response.body.as_slice(),
        };
        state.log.add(request, outcome, sent);
    }

    /// Whether a path belongs to the v2 API while that API is disabled.
    fn is_disabled(&self, path: &str) -> bool {
        let is_v2 = path == "/v2" || path.starts_with("/v2/");
        !self.settings.v2 && is_v2 && path != "/v2/info"
    }

    /// The response to a request whose job has ended, or continues without the client.
    pub(crate) fn conclude(
        &self,
        request: &Request<'_>,
        mut pending: Response,
        job: Guid,
        shows: &str,
    ) -> Response {
        const LOCATION: &str = "Location";
        let base = self.base_of(request);
        let base = base.unwrap_or_else(|| self.base().to_owned());
        let mut guard = self.lock();
        let state = &mut *guard;
        state.world.settle(self.clock.now());
        let found = state.world.jobs.get(job);
        if let Some(failure) = found.and_then(|job| job.failure.clone()) {
            let response = Response::error(request.path, &failure.into());
            pending.headers.retain(|(name, _)| name != LOCATION);
            return pending.replaced_by(response.in_dialect_of(request.path));
        }
        let continues = found.is_some_and(|job| job.work.is_some());
        if pending.status == 204 && !continues {
            return pending;
        }
        let shown = Request {
            method: "GET",
            path: shows,
            body: b"",
            form: &NO_FORM,
            ..request.clone()
        };
        let found = self.router.find(shown.method, shown.path);
        state.world.is_read_again = true;
        let response = self.dispatch(found, &shown, state, base);
        state.world.is_read_again = false;
        let response = response.unwrap_or_else(|error| Response::error(shows, &error));
        let status = if continues { 202 } else { pending.status };
        let is_located = pending.headers.iter().any(|(name, _)| name == LOCATION);
        let mut response = pending.replaced_by(response.in_dialect_of(shows));
        response.status = status;
        match continues && !is_located {
            true => response.with_header(LOCATION, shows),
            false => response,
        }
    }

    /// Processes a request, if its caller's rate limit allows it.
    pub(super) fn process(
        &self,
        found: Option<RouteMatch>,
        request: &Request<'_>,
        state: &mut State,
        base: String,
    ) -> Response {
        let allowance = self.count(request, state);
        let refusal = allowance
            .as_ref()
            .and_then(|allowance| allowance.refusal(request.path, self.settings.dialect));
        let response = refusal.unwrap_or_else(|| {
            let answer = self.dispatch(found, request, state, base);
            answer.unwrap_or_else(|error| Response::error(request.path, &error))
        });
        let response = response.in_dialect_of(request.path);
        match allowance {
            Some(allowance) => allowance.sign(response),
            None => response,
        }
    }

    /// Counts a request against its caller's limit, if there is one.
    pub(super) fn count(&self, request: &Request<'_>, state: &mut State) -> Option<Allowance> {
        let limit = self.settings.rate_limit?;
        if !rate_limit::counts(request.path) {
            return None;
        }
        let token = request.header("authorization").and_then(bearer);
        let now = state.world.now();
        let user = token.and_then(|token| state.tokens.subject(token, now));
        let caller = user.map_or_else(
            || {
                RateLimitedCaller::Address(
                    request.client.map(|ip| ip.to_string()).unwrap_or_default(),
                )
            },
            RateLimitedCaller::User,
        );
        let requests = match (self.settings.admin_rate_limit, &caller) {
            (Some(requests), RateLimitedCaller::User(user)) if is_admin(user, &state.world) => {
                requests
            }
            _ => limit.requests,
        };
        let limit = RateLimit { requests, ..limit };
        Some(state.rate_limiter.count(limit, caller, now))
    }

    fn dispatch(
        &self,
        found: Option<RouteMatch>,
        request: &Request<'_>,
        state: &mut State,
        base: String,
    ) -> Result<Response, CcError> {
        let Some(RouteMatch { route, captures }) = found else {
            return self.refuse_unknown(request);
        };
        if request.is_v3() && !request.has_sound_media_type() {
            return Ok(Response::empty(406));
        }
        let caller = authenticate(request, &mut state.tokens, state.world.now());
        let caller = match caller {
            Err(refusal) if !route.is_open() => return Err(refusal),
            caller => caller.ok(),
        };
        let access = match &caller {
            Some(caller) => {
                if !route.is_open() {
                    check_scopes(request, caller)?;
                }
                let (id, name) = (caller.id(), caller.name());
                state.user = Some(name.unwrap_or(id).to_owned());
                state.world.act_as(id, name);
                let user = state.world.find_or_add_caller(id);
                access_of(caller, user, &state.world)
            }
            // Operations that need no token do not show resources.
            None => Access::Everything,
        };
        if route.is_for_admins() && !access.is_everything() {
            return Err(CcError::not_authorized());
        }
        let mut context = RequestContext {
            request,
            settings: &self.settings,
            world: &mut state.world,
            faults: &mut state.faults,
            tokens: &mut state.tokens,
            caller,
            access,
            allowed: route.allowed(),
            base,
            captures,
        };
        route
            .flag()
            .map_or(Ok(()), |flag| context.require_flag(flag))?;
        route.call(&mut context)
    }

    /// The response to a request without an operation. UAA has a separate error for a
    /// wrong method.
    fn refuse_unknown(&self, request: &Request<'_>) -> Result<Response, CcError> {
        let methods = match request.path.starts_with(UAA_PREFIX) {
            true => self.router.methods(request.path),
            false => Vec::new(),
        };
        match methods.as_slice() {
            [] => Err(CcError::unknown_request()),
            methods => Ok(uaa::refuse_method(request.method, methods)),
        }
    }

    /// The mock's address as the client used it, so that links lead to the same address.
    fn base_of(&self, request: &Request<'_>) -> Option<String> {
        let forwarded = |name: &str| {
            let value = request.header(name)?.split(',').next()?.trim();
            (!value.is_empty()).then_some(value)
        };
        let host = forwarded("x-forwarded-host").or_else(|| request.header("host"))?;
        let own_scheme = self.base().split(':').next();
        let scheme = match forwarded("x-forwarded-proto").or(own_scheme) {
            Some("https") => "https",
            _ => "http",
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        (!host.is_empty() && host.bytes().all(plain)).then(|| format!("{scheme}://{host}"))
    }
}

/// How much of a response is sent, and the time by which a fault delays it.
fn ending_of(effect: Option<Effect>, held_back: Duration) -> (Ending, Duration) {
    match effect {
        Some(Effect::DropBefore | Effect::DropAfter) => (Ending::Dropped, held_back),
        Some(Effect::Truncate) => (Ending::Truncated, held_back),
        Some(Effect::Drip) => (Ending::Dripped(held_back), Duration::ZERO),
        _ => (Ending::Whole, held_back),
    }
}

/// Adds the time that the Cloud Controller needed.
fn with_runtime(response: Response, runtime: Option<Duration>) -> Response {
    match runtime {
        Some(runtime) => response.with_header("X-Runtime", format!("{:.6}", runtime.as_secs_f64())),
        None => response,
    }
}

fn authenticate(
    request: &Request<'_>,
    tokens: &mut Tokens,
    now: Timestamp,
) -> Result<Caller, CcError> {
    const BEARER: &str = "bearer";
    let is_bearer = |header: &&str| {
        let scheme = header.get(..BEARER.len());
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(BEARER))
    };
    // The Cloud Controller ignores credentials of other schemes.
    let header = request.header("authorization").filter(is_bearer);
    let header = header.ok_or_else(CcError::not_authenticated)?;
    bearer(header)
        .and_then(|token| tokens.caller(token, TokenKind::Access, now))
        .filter(|caller| !request.is_for_cloud_controller() || caller.is_for_cloud_controller())
        .ok_or_else(CcError::invalid_auth_token)
}

/// Refuses callers whose tokens do not have the scopes of the Cloud Controller's
/// operations.
fn check_scopes(request: &Request<'_>, caller: &Caller) -> Result<(), CcError> {
    const READERS: [&str; 4] = [
        READ_SCOPE,
        ADMIN_GROUP,
        ADMIN_READ_ONLY_GROUP,
        GLOBAL_AUDITOR_GROUP,
    ];
    const WRITERS: [&str; 2] = [WRITE_SCOPE, ADMIN_GROUP];
    let scopes = match request.is_read() {
        true => &READERS[..],
        false => &WRITERS[..],
    };
    match caller.has_any_scope(scopes) || !request.is_for_cloud_controller() {
        true => Ok(()),
        false if request.is_v3() => Err(CcError::not_authorized()),
        false => Err(CcError::insufficient_scope()),
    }
}

/// The permissions of a caller, by the scopes of the token and the user's roles.
fn access_of(caller: &Caller, user: Guid, world: &World) -> Access {
    if caller.is_admin() {
        return Access::Everything;
    }
    let secrets = caller.has_scope(ADMIN_READ_ONLY_GROUP);
    let of_roles = world.access_of(user);
    match secrets || caller.has_scope(GLOBAL_AUDITOR_GROUP) {
        true => of_roles.and_reading(secrets),
        false => of_roles,
    }
}

impl Stats {
    pub(super) fn count(&mut self, found: Option<&RouteMatch>) {
        self.total += 1;
        let key = found.map_or_else(|| "unknown".into(), |found| found.route.key());
        if found.is_some_and(|found| !found.route.is_implemented()) {
            *self.not_implemented.entry(key.clone()).or_default() += 1;
        }
        *self.by_route.entry(key).or_default() += 1;
    }
}

/// The response of the proxy in front of a Cloud Controller with a disabled v2 API.
fn v2_disabled() -> Response {
    let mut response = Response::text("text/plain", "V2 endpoints disabled".into());
    response.status = 404;
    response
}

/// The request ID in the Cloud Controller's format: the client's ID, if it sent one,
/// followed by a new one.
fn request_id_header(request: &Request<'_>, own: Guid) -> String {
    match request.header("x-vcap-request-id") {
        Some(theirs) if theirs.len() <= 255 => format!("{theirs}::{own}"),
        _ => own.to_string(),
    }
}

/// A v3 path as Rails normalizes it: without repeated slashes, a trailing slash, or the
/// suffix `.json`.
fn canonical_path(path: &str) -> Cow<'_, str> {
    if !path.trim_start_matches('/').starts_with("v3/") {
        return Cow::Borrowed(path);
    }
    let bare = path.strip_suffix(".json").unwrap_or(path);
    let is_canonical = bare.len() == path.len() && !path.contains("//") && !path.ends_with('/');
    if is_canonical {
        return Cow::Borrowed(path);
    }
    let parts = bare.split('/').filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect();
    Cow::Owned(format!("/{}", parts.join("/")))
}
