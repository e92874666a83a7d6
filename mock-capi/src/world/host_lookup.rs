//! Finds the route of a request by its host and path.

use super::{Domain, Route, World};

/// The host in a `Host` header, without the port and the brackets.
pub(crate) fn without_port(host: &str) -> &str {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    bracketed.unwrap_or_else(|| host.split(':').next().unwrap_or_default())
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) enum HostLookup<'w> {
    Route(&'w Route),
    /// The domain exists, but no route matches.
    UnknownRoute,
    /// No domain of the world has the host.
    OtherDomain,
}

impl World {
    /// Finds the route of a request as gorouter does: exact hosts precede wildcards, and
    /// long paths precede short ones.
    pub(crate) fn find_by_host(&self, host: &str, path: &str) -> HostLookup<'_> {
        let domains: Vec<(&str, &Domain)> = splits(host)
            .filter_map(|(label, domain)| Some((label, self.public_domain(domain)?)))
            .collect();
        let longest = |domain: &Domain, host: &str| {
            let routes = self.routes_at(domain, host).into_iter();
            let routes = routes.filter(|route| is_below(path, &route.path));
            routes.max_by_key(|route| route.path.len())
        };
        let mut exact = domains.iter().filter(|(label, _)| !label.contains('.'));
        let exact = exact.find_map(|(label, domain)| longest(domain, label));
        let mut wildcards = domains.iter().filter(|(label, _)| !label.is_empty());
        let found = exact.or_else(|| wildcards.find_map(|(_, domain)| longest(domain, "*")));
        match found {
            Some(route) => HostLookup::Route(route),
            None if domains.is_empty() => HostLookup::OtherDomain,
            None => HostLookup::UnknownRoute,
        }
    }

    /// Finds the route with a name in an internal domain. The index is that of an
    /// instance, as in `1.app.apps.internal`, and `None` if the name stands for all
    /// instances.
    pub(crate) fn find_internal(&self, name: &str) -> Option<(&Route, Option<u32>)> {
        let whole = self.internal_route(name).map(|route| (route, None));
        whole.or_else(|| {
            let (index, rest) = name.split_once('.')?;
            let route = self.internal_route(rest)?;
            Some((route, Some(index.parse().ok()?)))
        })
    }

    fn internal_route(&self, name: &str) -> Option<&Route> {
        let (host, domain) = name.split_once('.')?;
        let domain = self.named::<Domain>(domain)?;
        let domain = Some(domain).filter(|domain| domain.internal)?;
        self.routes_at(domain, host).into_iter().next()
    }

    fn public_domain(&self, name: &str) -> Option<&Domain> {
        let domain = self.named::<Domain>(name);
        domain.filter(|domain| !domain.internal && domain.router_group.is_none())
    }
}

/// The possible hosts and domains of a name, the longest domain first.
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let dots = name.match_indices('.');
    let parts = dots.map(|(at, _)| (&name[..at], &name[at + 1..]));
    [("", name)].into_iter().chain(parts)
}

/// Whether a path equals the path of a route, or is below it.
fn is_below(path: &str, route: &str) -> bool {
    path.len() >= route.len()
        && path.is_char_boundary(route.len())
        && path[..route.len()].eq_ignore_ascii_case(route)
        && matches!(path.as_bytes().get(route.len()), None | Some(b'/'))
        || route.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_by_whole_segments() {
        for (path, route, expected) in [
            ("/", "", true),
            ("/a/b", "/a", true),
            ("/A", "/a", true),
            ("/ab", "/a", false),
            ("/", "/a", false),
            ("/é", "/a", false),
        ] {
            assert_eq!(is_below(path, route), expected, "{path} {route}");
        }
    }

    #[test]
    fn names_are_split_at_each_dot() {
        let found: Vec<_> = splits("a.b.c").collect();
        assert_eq!(found, [("", "a.b.c"), ("a", "b.c"), ("a.b", "c")]);
    }
}
