//! Patterns of paths. A segment that starts with `:` stands for any segment, and a last
//! `*` for the rest.

/// Whether a path matches a pattern, such as `/v3/apps/:guid` or `/v3/*`.
pub(crate) fn matches_path(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected == "*" {
            return segments.next().is_some();
        }
        let matched = segments
            .next()
            .is_some_and(|actual| actual == expected || expected.starts_with(':'));
        if !matched {
            return false;
        }
    }
    segments.next().is_none()
}

/// The reason why a pattern could never match.
pub(crate) fn path_problem(pattern: &str) -> Option<&'static str> {
    if pattern == "*" {
        return None;
    }
    let before = pattern.strip_suffix("/*").unwrap_or(pattern);
    let complaints = [
        (!pattern.starts_with('/'), "'path' must start with a '/'"),
        (pattern.contains('?'), "'path' must not have a query"),
        (
            before.contains('*'),
            "in 'path', a '*' must be the whole last segment",
        ),
    ];
    let mut broken = complaints.into_iter().filter(|(is_broken, _)| *is_broken);
    broken.next().map(|(_, problem)| problem)
}

/// The reason why a fault or stub cannot have this method: it is neither an HTTP method
/// nor `*`, which stands for any.
pub(crate) fn method_problem(method: &str) -> Option<&'static str> {
    const METHODS: [&str; 8] = [
        "*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
    ];
    let mut known = METHODS.iter();
    let is_known = known.any(|known| known.eq_ignore_ascii_case(method));
    (!is_known).then_some("'method' must be an HTTP method, or '*'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_paths_by_segments() {
        assert!(matches_path("/v3/apps/:guid", "/v3/apps/1"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps"));
        assert!(!matches_path("/v3/apps/:guid", "/v3/apps/1/env"));
        assert!(matches_path("/v3/*", "/v3/apps/1/env"));
        assert!(!matches_path("/v3/*", "/v2/apps"));
    }
}
