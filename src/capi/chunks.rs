//! Splits names and GUIDs into lists that fit into URLs.

/// The maximum length of a list in a URL, in bytes. Gorouter and nginx accept URLs of 8
/// KB.
const MAX_LIST: usize = 6_000;

/// Joins the items into comma-separated lists, each short enough for a URL.
pub(super) fn for_urls(items: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for item in items {
        let item = item.as_ref();
        match lists.last_mut() {
            Some(list) if list.len() + item.len() < MAX_LIST => {
                list.push(',');
                list.push_str(item);
            }
            _ => lists.push(item.to_owned()),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_short_enough_for_urls_and_lose_nothing() {
        let names: Vec<String> = (0..1000).map(|i| format!("scale-tick-{i}")).collect();
        let lists = for_urls(&names);
        assert!(lists.iter().all(|list| list.len() <= MAX_LIST));
        assert_eq!(lists.join(",").split(',').collect::<Vec<_>>(), names);
        assert_eq!(lists.len(), 3);
    }

    #[test]
    fn an_item_that_is_too_long_has_a_separate_list() {
        let long = "x".repeat(MAX_LIST + 1);
        assert_eq!(for_urls(["a", &long, "b"]), ["a", &long, "b"]);
    }

    #[test]
    fn no_items_need_no_request() {
        assert!(for_urls(Vec::<String>::new()).is_empty());
    }
}
