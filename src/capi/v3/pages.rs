//! How many resources a page of a list has.
//!
//! A page costs a Cloud Controller some time, and every resource on it some more: see "How
//! lists are read" in docs/architecture.md, with the measurements. So the largest page
//! costs it the least, and lists of some names or GUIDs have it. But a list of all apps
//! would keep one process busy for seconds, while others idle. The lists that grow with
//! the number of apps are requested in a few pages at once, as many as make their times
//! alike.

/// The largest page that a Cloud Controller allows.
const LARGEST: usize = 5000;

/// The same, in a query.
pub(super) const LARGEST_PAGE: &str = "per_page=5000";

/// A page with fewer resources takes little less time.
const SMALLEST: usize = 500;

/// The most pages of a list that are requested at once.
const MOST_AT_ONCE: [(&str, usize); 4] = [
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
    /// The number of pages that are requested at once. All others follow one by one.
    pub(super) at_once: usize,
}

impl Pages {
    /// The pages of a list of about `expected` resources.
    pub(super) fn of(list: &str, expected: usize) -> Self {
        let mut lists = MOST_AT_ONCE.iter();
        let most = lists.find(|(name, _)| *name == list);
        let most = most.map_or(1, |(_, most)| *most);
        let at_once = (expected / SMALLEST).clamp(1, most);
        let size = match at_once {
            1 => LARGEST,
            // Leaves room for a few more than expected, so that these need no page of
            // their own.
            _ => (expected + expected / 20).div_ceil(at_once).min(LARGEST),
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
        assert_eq!(LARGEST_PAGE, format!("per_page={LARGEST}"));
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
