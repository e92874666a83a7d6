//! Finds the handler for a method and a path in the route tables of the resources.

use std::collections::HashMap;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::{Request, Response, percent_decode};
use crate::api::log_cache;
use crate::api::networking;
use crate::api::operations;
use crate::api::routing;
use crate::api::uaa;
use crate::api::v2;
use crate::api::v3;
use crate::api::v2017;
use crate::world::settings::Dialect;
use crate::world::{ADMINS, Roles};

/// Handles a request.
pub(crate) type Handler = fn(&mut RequestContext<'_>) -> Result<Response, CcError>;

/// An operation: its method, its path and its handler.
#[derive(Debug)]
pub(crate) struct Route {
    method: &'static str,
    /// Segments that start with `:` are parameters. All other segments are literal.
    pattern: &'static str,
    handler: Handler,
    open: bool,
    implemented: bool,
    allowed: Allowed,
    /// Whether callers other than administrators are refused before the resource is
    /// looked up.
    admins_first: bool,
    flag: Option<&'static str>,
}

/// The roles that an operation needs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allowed {
    /// Any caller who can see the resource, or the handler checks permissions.
    Anyone,
    /// Callers with one of these roles in the organization or the space of the resource.
    Holders(Roles),
}

impl Route {
    const fn new(method: &'static str, pattern: &'static str, handler: Handler) -> Self {
        Self {
            method,
            pattern,
            handler,
            open: false,
            implemented: true,
            allowed: Allowed::Holders(ADMINS),
            admins_first: false,
            flag: None,
        }
    }

    pub(crate) const fn get(pattern: &'static str, handler: Handler) -> Self {
        Self::new("GET", pattern, handler).by_anyone()
    }

    pub(crate) const fn post(pattern: &'static str, handler: Handler) -> Self {
        Self::new("POST", pattern, handler)
    }

    pub(crate) const fn put(pattern: &'static str, handler: Handler) -> Self {
        Self::new("PUT", pattern, handler)
    }

    pub(crate) const fn patch(pattern: &'static str, handler: Handler) -> Self {
        Self::new("PATCH", pattern, handler)
    }

    pub(crate) const fn delete(pattern: &'static str, handler: Handler) -> Self {
        Self::new("DELETE", pattern, handler)
    }

    /// An operation that is not implemented.
    pub(crate) const fn unimplemented(method: &'static str, pattern: &'static str) -> Self {
        Self {
            implemented: false,
            ..Self::new(method, pattern, refuse_unimplemented).by_anyone()
        }
    }

    /// Allows the operation for these roles in the organization or the space of the
    /// resource. The default for changes is administrators only.
    pub(crate) const fn by(mut self, roles: Roles) -> Self {
        self.allowed = Allowed::Holders(roles);
        self
    }

    /// Allows the operation only for administrators. Other callers are refused before the
    /// lookup.
    pub(crate) const fn by_admins(mut self) -> Self {
        self.admins_first = true;
        self
    }

    /// Allows the operation for any caller who can see the resource, or the handler
    /// checks permissions.
    pub(crate) const fn by_anyone(mut self) -> Self {
        self.allowed = Allowed::Anyone;
        self
    }

    /// Refuses the operation while a feature flag is disabled.
    pub(crate) const fn flagged(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    pub(crate) fn flag(&self) -> Option<&'static str> {
        self.flag
    }

    pub(crate) fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Whether only administrators may use the operation, regardless of the resource.
    pub(crate) fn is_for_admins(&self) -> bool {
        let named = self.segments().any(|segment| segment.starts_with(':'));
        matches!(self.allowed, Allowed::Holders(ADMINS)) && (self.admins_first || !named)
    }

    /// Allows the operation without a token.
    pub(crate) const fn open(mut self) -> Self {
        self.open = true;
        self.by_anyone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn is_implemented(&self) -> bool {
        self.implemented
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    pub(crate) fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// The name of the route in statistics, such as `GET /v3/apps/:guid`.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.method, self.pattern)
    }

    pub(crate) fn call(&self, context: &mut RequestContext<'_>) -> Result<Response, CcError> {
        (self.handler)(context)
    }

    fn segments(&self) -> impl Iterator<Item = &'static str> {
        split(self.pattern)
    }

    /// The method and the number of segments, by which routes are grouped.
    fn shape(&self) -> (&'static str, usize) {
        (self.method, self.segments().count())
    }

    /// Whether both are the same operation, regardless of the names of their parameters.
    fn is_same(&self, other: &Self) -> bool {
        let unnamed = |segment: &'static str| match segment.strip_prefix(':') {
            Some(_) => ":",
            None => segment,
        };
        let (own, others) = (self.segments().map(unnamed), other.segments().map(unnamed));
        self.method == other.method && own.eq(others)
    }

    /// Literal segments take precedence over parameters.
    fn rank(&self) -> Vec<bool> {
        self.segments()
            .map(|segment| segment.starts_with(':'))
            .collect()
    }
}

/// The operations of a version of the API.
#[derive(Debug)]
pub(crate) struct Router {
    by_shape: HashMap<(&'static str, usize), Vec<&'static Route>>,
}

/// The route of a request, with the parameters in its path.
#[derive(Debug)]
pub(crate) struct RouteMatch {
    pub(crate) route: &'static Route,
    pub(crate) captures: Vec<(&'static str, String)>,
}

impl Router {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let tables: &[&[&'static [Route]]] = match dialect {
            Dialect::V3 => &[
                uaa::ROUTES,
                &[log_cache::ROUTES, networking::ROUTES, routing::ROUTES],
                v3::ROUTES,
                v2::ROUTES,
            ],
            Dialect::Documented2017 => &[
                uaa::ROUTES,
                &[networking::ROUTES_2017],
                v2017::ROUTES,
                v2::ROUTES,
            ],
        };
        let described = match dialect {
            Dialect::V3 => operations::DESCRIBED,
            Dialect::Documented2017 => &[],
        };
        let mut router = Self {
            by_shape: HashMap::new(),
        };
        for route in tables.iter().copied().flatten().copied().flatten() {
            router.add(route);
        }
        for route in described {
            if !router.implements(route) {
                router.add(route);
            }
        }
        for routes in router.by_shape.values_mut() {
            routes.sort_by_key(|route| route.rank());
        }
        router
    }

    fn add(&mut self, route: &'static Route) {
        self.by_shape.entry(route.shape()).or_default().push(route);
    }

    /// The names of all operations, such as `GET /v3/apps/:guid`.
    pub(crate) fn keys(&self) -> impl Iterator<Item = String> {
        self.by_shape.values().flatten().map(|route| route.key())
    }

    /// Whether an operation has a handler.
    pub(crate) fn implements(&self, operation: &Route) -> bool {
        let routes = self.by_shape.get(&operation.shape());
        let mut routes = routes.into_iter().flatten();
        routes.any(|route| route.implemented && route.is_same(operation))
    }

    /// Whether any operation matches a method and a pattern. The method `*` matches any
    /// method. In the pattern, `:` matches any segment and a final `*` the rest.
    pub(crate) fn knows(&self, method: &str, pattern: &str) -> bool {
        let method = if method.eq_ignore_ascii_case("HEAD") {
            "GET"
        } else {
            method
        };
        let mut routes = self.by_shape.values().flatten();
        pattern == "*"
            || routes.any(|route| {
                (method == "*" || route.method.eq_ignore_ascii_case(method))
                    && overlaps(pattern, route.pattern)
            })
    }

    /// The methods of the operations with a path, in alphabetical order.
    pub(crate) fn methods(&self, path: &str) -> Vec<&'static str> {
        let segments: Vec<&str> = split(path).collect();
        let routes = self.by_shape.values().flatten();
        let matching = routes.filter(|route| {
            route.segments().count() == segments.len() && capture(route, &segments).is_some()
        });
        let mut methods: Vec<&str> = matching.map(|route| route.method).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    pub(crate) fn find(&self, method: &str, path: &str) -> Option<RouteMatch> {
        let method = if method == "HEAD" { "GET" } else { method };
        // Unlike v3, v2 does not accept paths that end with a slash.
        if path.starts_with("/v2/") && path.ends_with('/') {
            return None;
        }
        let segments: Vec<&str> = split(path).collect();
        let routes = self.by_shape.get(&(method, segments.len()))?;
        routes.iter().find_map(|route| {
            let captures = capture(route, &segments)?;
            Some(RouteMatch { route, captures })
        })
    }
}

/// Responds that an operation is not implemented.
fn refuse_unimplemented(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let Request { method, path, .. } = context.request;
    Err(CcError::unimplemented(method, path))
}

/// Whether a path exists that matches both patterns.
fn overlaps(pattern: &str, operation: &str) -> bool {
    let (mut wanted, mut there) = (pattern.split('/'), operation.split('/'));
    loop {
        match (wanted.next(), there.next()) {
            (None, None) | (Some("*"), Some(_)) => return true,
            (Some(wanted), Some(there)) => {
                let is_any = |segment: &str| segment.starts_with(':');
                if !is_any(wanted) && !is_any(there) && wanted != there {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn capture(route: &'static Route, segments: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let mut captures = Vec::new();
    for (expected, actual) in route.segments().zip(segments) {
        match expected.strip_prefix(':') {
            Some(name) => captures.push((name, percent_decode(actual))),
            None if expected == *actual => {}
            None => return None,
        }
    }
    Some(captures)
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.trim_end_matches('/').split('/').skip(1)
}
