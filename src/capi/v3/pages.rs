//! The number of resources on a page of a list.
//!
//! A page has a fixed cost for a Cloud Controller, and every resource on it an additional
//! cost. See "How lists are read" in docs/architecture.md for measurements. The largest
//! page is therefore the cheapest, and lists of some names or GUIDs use it. However, a
//! list of all apps would keep one process busy for seconds while the others are idle.
//! Lists that grow with the number of apps are requested in a few pages in parallel. The
//! number of pages depends on the list, so that all lists take about the same time.

/// The maximum size of a page.
const MAX_SIZE: usize = 5000;

/// The maximum size of a page, in a query.
pub(super) const MAX_PAGE_SIZE: &str = "per_page=5000";

/// The minimum size of a page. A smaller page takes hardly less time.
const MIN_SIZE: usize = 500;

/// The maximum number of pages of a list that are requested in parallel.
const MAX_PARALLEL: [(&str, usize); 4] = [
    ("/v3/apps", 3),
    ("/v3/processes", 3),
    ("/v3/routes", 3),
    // A droplet takes two thirds of the time of an app.
    ("/v3/droplets", 2),
];

/// The pages of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pages {
    /// The number of resources on a page.
    pub(super) size: usize,
    /// The number of pages that are requested in parallel. All others follow one by one.
    pub(super) at_once: usize,
}

impl Pages {
    /// The pages of a list of about `expected` resources.
    pub(super) fn of(list: &str, expected: usize) -> Self {
        let mut limits = MAX_PARALLEL.iter();
        let limit = limits.find(|(name, _)| *name == list);
        let limit = limit.map_or(1, |(_, limit)| *limit);
        let at_once = (expected / MIN_SIZE).clamp(1, limit);
        let size = match at_once {
            1 => MAX_SIZE,
            // Leaves room for a few more resources than expected, so that they do not
            // need another page.
            _ => (expected + expected / 20).div_ceil(at_once).min(MAX_SIZE),
        };
        Self { size, at_once }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_query_has_the_largest_page() {
        assert_eq!(MAX_PAGE_SIZE, format!("per_page={MAX_SIZE}"));
    }

    #[rstest]
    #[case::short("/v3/apps", 201, (5000, 1))]
    #[case::unknown("/v3/apps", 0, (5000, 1))]
    #[case::two("/v3/apps", 1001, (526, 2))]
    #[case::three("/v3/routes", 5001, (1751, 3))]
    #[case::cheap("/v3/droplets", 5001, (2626, 2))]
    #[case::longest("/v3/processes", 100_000, (5000, 3))]
    #[case::by_name("/v3/organizations", 5000, (5000, 1))]
    fn long_lists_are_split(
        #[case] list: &str,
        #[case] expected: usize,
        #[case] (size, at_once): (usize, usize),
    ) {
        assert_eq!(Pages::of(list, expected), Pages { size, at_once });
    }
}
