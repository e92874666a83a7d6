//! Placeholders in texts: `{i}`, `{org}`, `{space}` and `{apps_domain}`. Two braces
//! escape a placeholder: `{{i}}` is the text `{i}`.

use std::borrow::Cow;

/// The placeholder for the number of an app in its group, from 0.
pub(crate) const INDEX: &str = "i";

/// The placeholder for the domain of the apps' routes.
pub(crate) const APPS_DOMAIN: &str = "apps_domain";

/// All placeholders.
pub(crate) const ALL: [&str; 4] = [INDEX, "org", "space", APPS_DOMAIN];

/// A placeholder in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    name: &'static str,
    start: usize,
    end: usize,
    /// Whether it has two braces.
    is_escaped: bool,
}

/// The placeholders of a text, in order.
fn all(text: &str) -> impl Iterator<Item = Found> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text.get(from..)?.find('{')?;
            let rest = text.get(start..)?;
            let found = ALL.into_iter().find_map(|name| {
                let length = |opening: &str, closing: &str| {
                    let inner = rest.strip_prefix(opening)?.strip_prefix(name)?;
                    let is_closed = inner.starts_with(closing);
                    is_closed.then_some(opening.len() + name.len() + closing.len())
                };
                let escaped = length("{{", "}}");
                let length = escaped.or_else(|| length("{", "}"))?;
                Some(Found {
                    name,
                    start,
                    end: start + length,
                    is_escaped: escaped.is_some(),
                })
            });
            from = found.map_or(start + 1, |found| found.end);
            if found.is_some() {
                return found;
            }
        }
    })
}

/// Replaces each placeholder with the result of `replace`. For `None`, the placeholder is
/// kept.
fn replaced<'t>(text: &'t str, replace: impl Fn(Found) -> Option<String>) -> Cow<'t, str> {
    if !text.contains('{') {
        return Cow::Borrowed(text);
    }
    let mut new = String::new();
    let mut copied = 0;
    for found in all(text) {
        if let Some(replacement) = replace(found) {
            new.push_str(text.get(copied..found.start).unwrap_or_default());
            new.push_str(&replacement);
            copied = found.end;
        }
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(new + text.get(copied..).unwrap_or_default()),
    }
}

/// Replaces the placeholders that have a value, and unescapes the placeholders that
/// `is_final` names. Other placeholders are kept.
pub(crate) fn filled<'t>(
    text: &'t str,
    value: impl Fn(&str) -> Option<String>,
    is_final: impl Fn(&str) -> bool,
) -> Cow<'t, str> {
    replaced(text, |found| match found.is_escaped {
        true => is_final(found.name).then(|| format!("{{{}}}", found.name)),
        false => value(found.name),
    })
}

/// Escapes a text: some of its placeholders get two braces.
pub(crate) fn escaped<'t>(text: &'t str, names: &[&str]) -> Cow<'t, str> {
    replaced(text, |found| {
        let is_named = names.contains(&found.name);
        // A placeholder that already has two braces gets another pair.
        let braces = if found.is_escaped { 3 } else { 2 };
        let (opening, closing) = ("{".repeat(braces), "}".repeat(braces));
        is_named.then(|| format!("{opening}{}{closing}", found.name))
    })
}

/// Whether a text has a placeholder, with one pair of braces.
pub(crate) fn has(text: &str, name: &str) -> bool {
    all(text).any(|found| found.name == name && !found.is_escaped)
}

/// Whether a text has a placeholder, with one or two pairs of braces.
pub(crate) fn has_any(text: &str) -> bool {
    all(text).next().is_some()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a-{i}.{org}{space}", "a-1.{org}7")]
    #[case("{{i}} {{{i}}} {{{{i}}}}", "{i} {{i}} {{{i}}}")]
    #[case("{{org}} {{i} {i}}", "{{org}} {1 1}")]
    #[case("{ i } {j} {", "{ i } {j} {")]
    fn placeholders_are_replaced_and_escapes_are_texts(#[case] text: &str, #[case] expected: &str) {
        let value = |name: &str| match name {
            "i" => Some("1".to_owned()),
            "space" => Some("7".to_owned()),
            _ => None,
        };
        assert_eq!(filled(text, value, |name| name == "i"), expected);
    }

    #[rstest]
    #[case("{i}", "{{i}}")]
    #[case("{{i}}", "{{{i}}}")]
    #[case("{{i}", "{{{i}}")]
    #[case("${i}} {org}", "${{i}}} {org}")]
    fn an_escaped_text_reads_as_the_text(#[case] text: &str, #[case] expected: &str) {
        let escaped = escaped(text, &["i"]);
        assert_eq!(escaped, expected);
        let read = filled(&escaped, |_| Some("0".to_owned()), |name| name == "i");
        assert_eq!(read, text.replace("{org}", "0"));
    }

    #[test]
    fn an_escaped_placeholder_is_not_a_placeholder() {
        assert!(has("{{i}} {i}", "i"));
        assert!(!has("{{i}} {org}", "i"));
    }
}
