//! Checks labels and annotations as the Cloud Controller does. The Cloud Controller would
//! refuse them only after other resources have changed.

use super::{Expander, is_domain};
use crate::manifest::entry::text_of;
use crate::manifest::placeholder;
use crate::spec::file::node::{Data, Node};

/// The maximum length of the name of a key, and of the value of a label.
const MAX_NAME: usize = 63;

/// The maximum length of the prefix of a key.
const MAX_PREFIX: usize = 253;

/// The maximum length of the value of an annotation.
const MAX_ANNOTATION: usize = 5000;

/// The prefix that only the Cloud Controller may use.
const RESERVED_PREFIX: &str = "cloudfoundry.org";

/// The label and the annotation that cf-pusher sets.
const OWN: [(&str, &str); 2] = [
    ("labels", "managed-by"),
    ("annotations", "cf-pusher-prefix"),
];

const KEY: &str = "a key of at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit, alone or as in example.com/key";
const LABEL: &str = "empty, or at most 63 letters, digits, `-`, `_` and `.`, the first and the last a letter or digit";

impl Expander<'_, '_> {
    /// Checks the labels and annotations of an org, a space or an app.
    pub(super) fn check_metadata(&mut self, owner: &Node) {
        let metadata = owner.get("metadata");
        for part in ["labels", "annotations"] {
            let values = metadata.and_then(|metadata| metadata.get(part));
            for (key, value) in values.map(Node::entries).unwrap_or_default() {
                self.check_key(part, key, value);
                self.check_value(part, key, value);
            }
        }
    }

    fn check_key(&mut self, part: &str, key: &str, value: &Node) {
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key),
        };
        let is_prefix = |prefix: &str| prefix.len() <= MAX_PREFIX && is_domain(prefix);
        // The Cloud Controller does not check the key of an annotation without a value.
        let is_blank = match &value.data {
            Data::Null => true,
            Data::Text(text) => text.trim().is_empty(),
            _ => false,
        };
        let allowed = match prefix {
            _ if is_blank && part == "annotations" => return,
            _ if OWN.contains(&(part, key)) => "omitted, because cf-pusher sets it",
            Some(prefix) if prefix.eq_ignore_ascii_case(RESERVED_PREFIX) => {
                "a key with another prefix, because cloudfoundry.org is reserved"
            }
            _ if !is_name(name) || !prefix.is_none_or(is_prefix) => KEY,
            _ => return,
        };
        let shown = match value.is_supplied {
            true => "a key that a variable supplies".to_owned(),
            false => format!("{key:?}"),
        };
        self.problems.value(value.at, part, shown, allowed);
    }

    fn check_value(&mut self, part: &str, key: &str, value: &Node) {
        let text = match &value.data {
            Data::Text(text) if !value.is_supplied => {
                // Numbers and domains never make a text invalid.
                placeholder::filled(text, |_| Some("0".to_owned()), |_| true).into_owned()
            }
            Data::Text(text) => text.clone(),
            Data::Bool(_) | Data::Int(_) | Data::Float(_) => text_of(&value.plain_json()),
            // Values of other types are reported elsewhere.
            Data::Null | Data::List(_) | Data::Map(_) | Data::Unresolved(_) => return,
        };
        let allowed = match part {
            "labels" if !text.is_empty() && !is_name(&text) => LABEL,
            "annotations" if text.chars().count() > MAX_ANNOTATION => {
                "an annotation of at most 5000 characters"
            }
            _ => return,
        };
        // The key may also be supplied by a variable.
        let key = if value.is_supplied { part } else { key };
        self.problems.value(value.at, key, value.shown(), allowed);
    }
}

/// Whether a text can be a label, or the name of a key.
fn is_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_outer = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= MAX_NAME
        && bytes.iter().all(|byte| is_inner(*byte))
        && is_outer(bytes.first())
        && is_outer(bytes.last())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", true)]
    #[case("a.b_c-9", true)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("a.", false)]
    #[case("a b", false)]
    #[case("ä", false)]
    fn names_have_the_characters_of_labels(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_name(text), expected);
    }

    #[test]
    fn names_have_a_length() {
        assert!(is_name(&"a".repeat(63)) && !is_name(&"a".repeat(64)));
    }
}
