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

/// Whether a `*` is at another place than the last segment, where it has no meaning.
pub(super) fn has_misplaced_star(pattern: &str) -> bool {
    let before = pattern.strip_suffix("/*").unwrap_or(pattern);
    pattern != "*" && before.contains('*')
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
