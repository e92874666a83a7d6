//! The mock's own endpoints below `/_mock/`. They need no token and are not counted.
//! Pages of other origins cannot change anything through them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::data_plane::AppBehaviour;
use crate::json::read_object;
use crate::serve::core::{Core, Times};
use crate::serve::faults::Fault;
use crate::serve::hosts;
use crate::serve::overview;
use crate::serve::pace::Profile;
use crate::serve::page;
use crate::serve::request_log::{RequestFilter, Verification};
use crate::serve::stubs::Stub;
use crate::serve::worlds::Worlds;
use crate::world::clock::{Clock, Timestamp};
use crate::world::durations;
use crate::world::settings::TimingsPatch;

/// An endpoint below `/_mock/`.
struct Endpoint {
    method: &'static str,
    name: &'static str,
    /// The query parameters; all others are refused.
    query: &'static [&'static str],
    takes_body: bool,
    answer: fn(&Core, &Request<'_>, &str) -> Response,
}

impl Endpoint {
    const fn new(
        method: &'static str,
        name: &'static str,
        answer: fn(&Core, &Request<'_>, &str) -> Response,
    ) -> Self {
        Self {
            method,
            name,
            query: &[],
            takes_body: false,
            answer,
        }
    }

    const fn with_query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    const fn with_body(mut self) -> Self {
        self.takes_body = true;
        self
    }

    /// A part of a request that the endpoint does not accept.
    fn problem(&self, request: &Request<'_>) -> Option<CcError> {
        /// The body of clients that always send one.
        const EMPTY: [&[u8]; 4] = [b"", b"null", b"{}", b"[]"];
        let mut names = request.query.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = names.find(|name| !self.query.contains(name)) {
            let problem = match self.query {
                [] => format!("'{unknown}' is unknown, {} takes none", self.name),
                known => format!(
                    "'{unknown}' is unknown, must be one of {}",
                    known.join(", ")
                ),
            };
            return Some(CcError::bad_query(problem));
        }
        let is_empty = EMPTY.contains(&request.body.trim_ascii());
        (!self.takes_body && !is_empty).then(|| {
            let Self { method, name, .. } = self;
            CcError::bad_request(&format!("{name}: {method} /_mock/{name} takes no body"))
        })
    }
}

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::new("GET", "", |_, _, _| page::answer()),
    Endpoint::new("GET", "stats", |core, _, _| {
        let mut stats = json!(core.stats());
        stats["forgotten"] = core.forgotten();
        stats["app_requests"] = json!(core.app_requests());
        stats["queue"] = core.queue();
        Response::ok(&stats)
    }),
    Endpoint::new("GET", "state", |core, _, base| {
        Response::ok(&core.state(base))
    }),
    Endpoint::new("GET", "overview", |core, request, _| {
        respond_with(core.read(|world| overview::of_world(world, request)))
    })
    .with_query(&["filter", "state", "limit"]),
    Endpoint::new("GET", "overview/apps", |core, request, _| {
        respond_with(core.read(|world| overview::of_space(world, request)))
    })
    .with_query(&["space", "filter", "state", "limit"]),
    Endpoint::new("POST", "reset", |core, _, _| {
        core.reset();
        Response::empty(204)
    }),
    Endpoint::new("GET", "faults", |core, _, _| Response::ok(&core.faults())),
    Endpoint::new("PUT", "faults", |core, request, _| {
        change(set_faults(core, request), |()| {})
    })
    .with_body(),
    Endpoint::new("GET", "apps", |core, _, _| {
        Response::ok(&core.app_behaviours())
    }),
    Endpoint::new("PUT", "apps", |core, request, _| {
        change(set_apps(core, request), |()| {})
    })
    .with_body(),
    Endpoint::new("GET", "times", |core, _, _| Response::ok(&core.times())),
    Endpoint::new("PUT", "times", |core, request, _| {
        change(read_times(core, request), |times| core.set_times(times))
    })
    .with_body(),
    Endpoint::new("GET", "profile", |core, _, _| Response::ok(&core.profile())),
    Endpoint::new("POST", "advance", |core, request, _| {
        change(read_advance(core, request), |by| core.advance(by))
    })
    .with_body(),
    Endpoint::new("POST", "expire_tokens", |core, _, _| {
        core.expire_tokens();
        Response::empty(204)
    }),
    Endpoint::new("GET", "health", |_, _, base| {
        Response::ok(&json!({"status": "ok", "uri": base}))
    }),
    Endpoint::new("GET", "requests", |core, request, _| {
        respond_with(read_log(core, request))
    })
    .with_query(&[
        "after", "number", "method", "path", "user", "status", "short",
    ]),
    Endpoint::new("DELETE", "requests", |core, _, _| {
        core.forget_log();
        Response::empty(204)
    }),
    Endpoint::new("POST", "verify", |core, request, _| verify(core, request)).with_body(),
    Endpoint::new("GET", "stubs", |core, _, _| Response::ok(&core.stubs())),
    Endpoint::new("PUT", "stubs", |core, request, _| {
        let stubs = Stub::list_from_json(request.body);
        change(stubs.map_err(|error| format!("stubs: {error}")), |stubs| {
            core.set_stubs(stubs);
        })
    })
    .with_body(),
    Endpoint::new("GET", "snapshot", |core, _, _| match core.snapshot() {
        Ok(snapshot) => Response::json_text(200, snapshot),
        Err(error) => refuse(&error.to_string()),
    }),
    Endpoint::new("PUT", "snapshot", |core, request, _| {
        let restored = core.restore(request.body);
        change(restored.map_err(|error| error.to_string()), |()| {})
    })
    .with_body(),
    Endpoint::new("GET", "clock", |core, _, _| {
        Response::ok(&present_clock(core))
    }),
    Endpoint::new("PUT", "clock", |core, request, _| {
        change(set_clock(core, request), |()| {})
    })
    .with_body(),
    Endpoint::new("POST", "worlds", |core, _, base| add_world(core, base)),
    Endpoint::new("DELETE", "worlds", |core, _, _| {
        // The lock is not needed to end the worlds.
        let ended = core.worlds().as_mut().map(Worlds::take_all);
        drop(ended);
        Response::empty(204)
    }),
];

/// Answers a request to `/_mock/`. `None` for other paths.
pub(crate) fn answer(core: &Core, request: &Request<'_>, base: &str) -> Option<Response> {
    if request.path == "/_mock" {
        return Some(Response::empty(308).with_header("Location", "/_mock/"));
    }
    let name = request.path.strip_prefix("/_mock/")?;
    if !is_own_host(core, request) {
        let host = request.header("host").unwrap_or_default();
        return Some(Response::json(403, &CcError::foreign_host(host).body()));
    }
    if !request.is_read()
        && let Some(origin) = foreign_origin(request)
    {
        return Some(Response::json(403, &CcError::foreign(origin).body()));
    }
    let method = match request.is_read() {
        true => "GET",
        false => request.method,
    };
    let mut endpoints = ENDPOINTS.iter();
    let found = endpoints.find(|endpoint| endpoint.method == method && endpoint.name == name);
    let Some(endpoint) = found else {
        return Some(unknown(method, name));
    };
    Some(match endpoint.problem(request) {
        Some(error) => Response::json(error.status, &error.body()),
        None => (endpoint.answer)(core, request, base),
    })
}

/// Responds that the endpoint does not exist, or not with that method.
fn unknown(method: &str, name: &str) -> Response {
    let of_name = ENDPOINTS.iter().filter(|endpoint| endpoint.name == name);
    let methods: Vec<&str> = of_name.map(|endpoint| endpoint.method).collect();
    if !methods.is_empty() {
        let methods = methods.join(", ");
        let detail = format!("/_mock/{name} takes {methods}, not {method}");
        let error = CcError::new(405, 10000, "MockCapi-MethodNotAllowed", detail);
        return Response::json(405, &error.body()).with_header("Allow", methods);
    }
    let mut names: Vec<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    let names = names.join(", ");
    let detail = format!("there is no /_mock/{name}, only: {names}");
    let error = CcError::new(404, 10000, "CF-NotFound", detail);
    Response::json(404, &error.body())
}

/// Whether a request names this mock as its host. Otherwise, the page of another site
/// could read the response after DNS rebinding, which points the site's own name to this
/// machine's address.
fn is_own_host(core: &Core, request: &Request<'_>) -> bool {
    let Some(host) = request.headers.get("host") else {
        return true;
    };
    let host = host.to_str();
    host.is_ok_and(|host| hosts::is_own(host, &core.settings().allowed_hosts))
}

fn refuse(problem: &str) -> Response {
    Response::json(400, &CcError::bad_request(problem).body())
}

/// The logged requests. `?after=` selects those after a number, or all if there is no
/// request with that number; `number`, `method`, `path`, `user` and `status` filter them,
/// and `?short=true` leaves out headers and bodies.
fn read_log(core: &Core, request: &Request<'_>) -> Result<Value, CcError> {
    let text = |name: &str| request.query(name).map(str::to_owned);
    let filter = RequestFilter {
        number: request.number("number")?,
        method: text("method"),
        path: text("path"),
        user: text("user"),
        status: request.number("status")?,
        body: None,
    };
    if let Some(problem) = filter.problem() {
        return Err(CcError::bad_query(problem));
    }
    let in_short = match request.query("short") {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(CcError::bad_query(format!(
                "short '{other}' is neither true nor false"
            )));
        }
    };
    let after = request.number("after")?.unwrap_or(0);
    Ok(core.logged(after, &filter, in_short))
}

/// Responds with 200 if the requests were sent as expected, otherwise with 409. The body
/// contains the requests that were found.
fn verify(core: &Core, request: &Request<'_>) -> Response {
    let verification = read_object(request.body).and_then(|verification: Verification| {
        match verification.problem() {
            Some(problem) => Err(problem.to_owned()),
            None => Ok(verification),
        }
    });
    match verification {
        Ok(verification) => {
            let verified = core.verify(&verification);
            let status = if verified.met { 200 } else { 409 };
            Response::json(status, &json!(verified))
        }
        Err(error) => refuse(&format!("verify: {error}")),
    }
}

fn present_clock(core: &Core) -> Value {
    json!({"now": core.clock().now(), "frozen": core.clock().is_frozen()})
}

/// `{"at": "2030-01-01T00:00:00Z", "frozen": true}`, or one of the two keys.
fn set_clock(core: &Core, request: &Request<'_>) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Setting {
        at: Option<Timestamp>,
        frozen: Option<bool>,
    }
    let setting: Setting = read_object(request.body).map_err(|error| format!("clock: {error}"))?;
    if setting.at.is_none() && setting.frozen.is_none() {
        return Err("clock: 'at', 'frozen' or both are needed".into());
    }
    let clock = core.clock();
    if let Some(at) = setting.at {
        let now = clock.now();
        if at < now {
            return Err(format!("clock: the time cannot go back; it is {now}"));
        }
        if at > Clock::LAST {
            return Err(format!("clock: time ends at {}", Clock::LAST));
        }
        clock.advance(at.since(now));
    }
    match setting.frozen {
        Some(true) => clock.freeze(),
        Some(false) => clock.thaw(),
        None => {}
    }
    Ok(())
}

/// Starts another world. Its URL has the same host name as the request.
fn add_world(core: &Core, base: &str) -> Response {
    let mut worlds = core.worlds();
    let Some(worlds) = worlds.as_mut() else {
        return refuse(
            "worlds: only the first world of the mock-capi command can start others, in Rust that of MockCapiBuilder::worlds",
        );
    };
    match worlds.add() {
        Ok(address) => {
            let mut api = Url::parse(base).ok();
            let has_port = api
                .as_mut()
                .is_some_and(|url| url.set_port(Some(address.port())).is_ok());
            let api = api.filter(|_| has_port).map(String::from);
            let api = api.unwrap_or_else(|| format!("http://{address}"));
            Response::created(&json!({"api": api.trim_end_matches('/')}))
        }
        Err(error) => Response::json(
            409,
            &CcError::bad_request(&format!("worlds: {error}")).body(),
        ),
    }
}

/// The origin of the page that sent a request, if it is not a page of the mock: any page
/// can send requests to this machine.
fn foreign_origin<'a>(request: &Request<'a>) -> Option<&'a str> {
    let origin = request.headers.get("origin")?.to_str().unwrap_or("null");
    let host = origin.split_once("://").map(|(_, host)| host);
    let own = host
        .zip(request.header("host"))
        .is_some_and(|(host, own)| host.eq_ignore_ascii_case(own));
    (!own).then_some(origin)
}

fn respond_with(view: Result<Value, CcError>) -> Response {
    match view {
        Ok(view) => Response::ok(&view),
        Err(error) => Response::json(error.status, &error.body()),
    }
}

/// Applies a valid change, or responds with the error.
fn change<T>(read: Result<T, String>, make: impl FnOnce(T)) -> Response {
    match read {
        Ok(value) => {
            make(value);
            Response::empty(204)
        }
        Err(problem) => refuse(&problem),
    }
}

fn set_faults(core: &Core, request: &Request<'_>) -> Result<(), String> {
    let text = str::from_utf8(request.body).map_err(|error| format!("faults: {error}"))?;
    let set = Fault::list_from_json(text).and_then(|faults| core.set_faults(faults));
    set.map_err(|error| format!("faults: {error}"))
}

fn set_apps(core: &Core, request: &Request<'_>) -> Result<(), String> {
    let read = AppBehaviour::list_from_json(request.body);
    let set = read.and_then(|behaviours| core.set_app_behaviours(behaviours));
    set.map_err(|error| format!("apps: {error}"))
}

/// The current times with the changes of a request.
fn read_times(core: &Core, request: &Request<'_>) -> Result<Times, String> {
    let refuse = |problem: String| format!("times: {problem}");
    let mut settings: Map<String, Value> = read_object(request.body).map_err(refuse)?;
    let profile = match settings.remove("profile") {
        None => None,
        Some(Value::String(name)) if name == "none" => Some(None),
        Some(Value::String(name)) if name == "measured" => Some(Some(Profile::measured())),
        // The current profile is kept.
        Some(Value::String(name)) if name == core.times()["profile"] => None,
        Some(name) => {
            return Err(refuse(format!(
                "profile must be 'measured' or 'none', not {name}"
            )));
        }
    };
    let workers = settings.remove("workers").map(|workers| {
        let count = workers
            .as_u64()
            .and_then(|count| usize::try_from(count).ok());
        count.ok_or_else(|| {
            refuse(format!(
                "workers must be a whole number of 0 or more, not {workers}"
            ))
        })
    });
    let workers = workers.transpose()?;
    let mut timings = core.timings();
    if let Some(Some(profile)) = &profile {
        profile.set_times(&mut timings).map_err(refuse)?;
    }
    let rest = Value::Object(settings).to_string();
    let patch: TimingsPatch = read_object(rest.as_bytes()).map_err(refuse)?;
    timings.change(&patch).map_err(refuse)?;
    Ok(Times {
        timings,
        profile,
        workers,
    })
}

/// A body such as `{"by": "10s"}`.
fn read_advance(core: &Core, request: &Request<'_>) -> Result<Duration, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        #[serde(with = "durations")]
        by: Option<Duration>,
    }
    let advance: Advance =
        read_object(request.body).map_err(|error| format!("advance: {error}"))?;
    let by = advance.by.ok_or("advance: 'by' is missing")?;
    if core.clock().now().plus(by) > Clock::LAST {
        return Err(format!("advance: time ends at {}", Clock::LAST));
    }
    Ok(by)
}
