//! From method and path to the handler, by the tables that each resource's
//! file has.

use std::collections::HashMap;

use crate::call::Call;
use crate::error::CcError;
use crate::http::{Response, percent_decode};
use crate::settings::Dialect;
use crate::{log_cache, uaa, v2, v3, v3_2017};

/// Answers a request.
pub(crate) type Handler = fn(&mut Call<'_>) -> Result<Response, CcError>;

/// An operation: how it is addressed and what answers it.
#[derive(Debug)]
pub(crate) struct Route {
    method: &'static str,
    /// Segments that start with `:` capture; the rest is literal.
    pattern: &'static str,
    handler: Handler,
    open: bool,
}

impl Route {
    const fn new(method: &'static str, pattern: &'static str, handler: Handler) -> Self {
        Self {
            method,
            pattern,
            handler,
            open: false,
        }
    }

    pub(crate) const fn get(pattern: &'static str, handler: Handler) -> Self {
        Self::new("GET", pattern, handler)
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

    /// The same without a token.
    pub(crate) const fn open(mut self) -> Self {
        self.open = true;
        self
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// The name that the route is counted under, such as `GET /v3/apps/:guid`.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.method, self.pattern)
    }

    pub(crate) fn call(&self, call: &mut Call<'_>) -> Result<Response, CcError> {
        (self.handler)(call)
    }

    fn segments(&self) -> impl Iterator<Item = &'static str> {
        split(self.pattern)
    }

    /// Literal segments go before captures.
    fn rank(&self) -> Vec<bool> {
        self.segments()
            .map(|segment| segment.starts_with(':'))
            .collect()
    }
}

/// The operations of a dialect.
#[derive(Debug)]
pub(crate) struct Router {
    by_shape: HashMap<(&'static str, usize), Vec<&'static Route>>,
}

/// A route that was found, with what its path captured.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) route: &'static Route,
    pub(crate) captures: Vec<(&'static str, String)>,
}

impl Router {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let tables: &[&[&'static [Route]]] = match dialect {
            Dialect::V3 => &[&[uaa::ROUTES, log_cache::ROUTES], v3::ROUTES],
            Dialect::Documented2017 => &[&[uaa::ROUTES], v3_2017::ROUTES, v2::ROUTES],
        };
        let mut by_shape: HashMap<_, Vec<&'static Route>> = HashMap::new();
        for route in tables.iter().copied().flatten().copied().flatten() {
            let shape = (route.method, route.segments().count());
            by_shape.entry(shape).or_default().push(route);
        }
        for routes in by_shape.values_mut() {
            routes.sort_by_key(|route| route.rank());
        }
        Self { by_shape }
    }

    pub(crate) fn find(&self, method: &str, path: &str) -> Option<Found> {
        let method = if method == "HEAD" { "GET" } else { method };
        let segments: Vec<&str> = split(path).collect();
        let routes = self.by_shape.get(&(method, segments.len()))?;
        routes.iter().find_map(|route| {
            let captures = capture(route, &segments)?;
            Some(Found { route, captures })
        })
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
