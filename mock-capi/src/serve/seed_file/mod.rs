//! Seed files, which declare the initial world in YAML (`--seed-file`). The keys are
//! those of a spec for `cf-pusher apply -f`, so one file can be both, and `export
//! --as-seed` writes such a file. Keys that repeat elements, such as `count`, are not
//! supported.
//!
//! The resources are created by an administrator's requests to the fake itself, so that
//! names, rules and limits are validated. Quotas are assigned last, so that they do not
//! limit the seed.

mod apply;
mod apps;
mod entries;
mod escapes;
mod policies;
mod problem;
mod requests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::api::yaml;
use crate::serve::mock_capi::StartError;
use crate::world::World;
use crate::world::settings::Settings;
use entries::Seed;

/// A seed file that has been read.
#[derive(Clone, Debug)]
pub(crate) struct SeedFile {
    seed: Seed,
    /// The text of the seed, to find the lines of problems that occur when the seed is
    /// applied.
    text: Arc<str>,
}

impl SeedFile {
    /// Reads a file. Errors contain the line.
    pub(crate) fn read(path: &Path) -> Result<Self, StartError> {
        let refuse = |reason: String| StartError::SeedFile {
            path: PathBuf::from(path),
            reason,
        };
        let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&text).map_err(refuse)
    }

    /// Reads the text of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // This parser knows the lines. It reads YAML 1.2.
        let located: Result<Seed, _> = serde_saphyr::from_str(text);
        let located = located.map_err(|error| plain(&error.to_string()));
        // The values come from the parser that manifests use, which follows the Cloud
        // Controller's.
        let document = yaml::parse(text).map_err(|error| match &located {
            Err(located) => located.clone(),
            Ok(_) => plain(&error.details()),
        })?;
        let mut document = document.to_json();
        escapes::read(&mut document);
        if document.is_null() {
            return Err("it is empty".into());
        }
        let read: Result<Seed, _> = serde_json::from_value(document);
        let seed = match (located, read) {
            (Ok(_), Ok(seed)) => seed,
            (Ok(_), Err(error)) => return Err(explain_quotes(text, &error)),
            (Err(error), Ok(_)) => return Err(error),
            (Err(located), Err(read)) => return Err(explain(&located, &read.to_string())),
        };
        seed.check().map_err(|problem| problem.in_text(text))?;
        let text = text.into();
        Ok(Self { seed, text })
    }

    /// Creates the resources in a world.
    pub(crate) fn apply(&self, world: &mut World, settings: &Settings) -> Result<(), String> {
        let applied = apply::apply(&self.seed, world, settings);
        applied.map_err(|problem| problem.in_text(&self.text))
    }
}

/// A parser's message without its advice for programmers, and in the terms of YAML.
pub(super) fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("Bad request: Manifest does", "the file does"),
        (
            "multiple YAML documents detected",
            "a second document begins",
        ),
        ("expected mapping start", "expected keys with values"),
        ("expected sequence start", "expected a list"),
        ("invalid u64", "expected a whole number"),
        (
            "cannot deserialize null into string; use Option<String>",
            "the value is missing",
        ),
        (
            "recursive references require weak recursion types",
            "the file does not support Anchors and Aliases",
        ),
        (
            "data did not match any variant of untagged enum UserEntry",
            "a user is a name, or 'name' with 'password' and 'admin'",
        ),
    ];
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let end = [", set DuplicateKeyPolicy", "; use from_str_multiple"]
        .iter()
        .find_map(|advice| line.find(advice));
    let line = &line[..end.unwrap_or(line.len())];
    let words = WORDS.iter();
    words.fold(line.to_owned(), |line, (from, to)| line.replace(from, to))
}

/// The message for a value that needs quotes, because only the parser that knows the
/// lines reads it as a string.
fn explain_quotes(text: &str, error: &serde_json::Error) -> String {
    let strict = serde_saphyr::options! { no_schema: true };
    let read = serde_saphyr::from_str_with_options::<Seed>(text, strict);
    let place = read.err().and_then(|error| {
        let error = plain(&error.to_string());
        let (place, _) = error.split_once(": ")?;
        Some(format!("{place}: "))
    });
    let place = place.unwrap_or_default();
    format!("{place}{error}: a text that looks like a number or a boolean needs quotes")
}

/// The problem, combined from the errors of both parsers: one has the line, the other the
/// allowed keys.
fn explain(located: &str, read: &str) -> String {
    let mut quoted = read.split('`').skip(1).step_by(2);
    let (true, Some(key)) = (read.starts_with("unknown field"), quoted.next()) else {
        return located.to_owned();
    };
    let known: Vec<&str> = quoted.collect();
    let line = located.split("line ").nth(1).unwrap_or_default();
    let line: String = line.chars().take_while(char::is_ascii_digit).collect();
    let hint = match key {
        "count" => ": it repeats an element, and a seed has no such keys".to_owned(),
        key => match nearest(key, &known) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => format!(", must be one of {}", known.join(", ")),
        },
    };
    format!("line {line}: unknown key `{key}`{hint}")
}

/// The known key that the author of a file probably meant.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let is_part = |known: &&&str| known.ends_with(key) || key.ends_with(**known);
    if let Some(part) = known.iter().find(is_part) {
        return Some(part);
    }
    let near = known.iter().map(|known| (distance(key, known), *known));
    let (distance, near) = near.min()?;
    (distance <= 1 + key.len() / 4).then_some(near)
}

/// The number of letters to change, add or remove between two keys (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, b) in other.chars().enumerate() {
            let (left, above) = (row[j], row[j + 1]);
            let changed = diagonal + usize::from(a != b);
            diagonal = above;
            row[j + 1] = changed.min(left + 1).min(above + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        SeedFile::parse(text).unwrap_err()
    }

    #[test]
    fn unknown_keys_are_reported_with_line_and_suggestion() {
        assert_eq!(
            refused("orgs:\n- nam: o\n"),
            "line 2: unknown key `nam`, did you mean `name`?"
        );
        assert_eq!(
            refused(
                "orgs:\n- name: o\n  spaces:\n  - name: s\n    apps:\n    - name: a\n      memroy: 1G\n"
            ),
            "line 7: unknown key `memroy`, did you mean `memory`?"
        );
        assert_eq!(
            refused("quotas: []\n"),
            "line 1: unknown key `quotas`, did you mean `org_quotas`?"
        );
        assert_eq!(
            refused("orgs:\n- name: o\n  count: 2\n"),
            "line 3: unknown key `count`: it repeats an element, and a seed has no such keys"
        );
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        for (text, expected) in [
            ("orgs: [", "line 1 column 7: unclosed bracket"),
            ("- a", "line 1 column 1: expected keys with values"),
            ("orgs: 5", "line 1 column 7: expected a list"),
            (
                "orgs: []\norgs: []",
                "line 2 column 1: duplicate mapping key: orgs",
            ),
            (
                "orgs: []\n---\norgs: []",
                "line 3 column 1: a second document begins",
            ),
            ("orgs:\n- {}", "line 2 column 3: missing field `name`"),
            (
                "orgs: &a []\nusers: *a",
                "the file does not support Anchors and Aliases",
            ),
            ("orgs: [{name: }]", "line 1 column 13: the value is missing"),
            ("version: x", "line 1 column 10: expected a whole number"),
            (
                "users: [{name: u, roles: x}]",
                "line 1 column 9: a user is a name, or 'name' with",
            ),
            (
                "orgs: &a\n- name: o\n  spaces: *a\n",
                "line 3 column 11: the file does not support Anchors and Aliases",
            ),
            (
                "orgs: [{name: 5}]",
                "line 1 column 15: invalid type: integer `5`, expected a string: a text that \
                 looks like a number or a boolean needs quotes",
            ),
        ] {
            let refused = refused(text);
            assert!(refused.starts_with(expected), "{text}: {refused}");
            assert_eq!(refused.lines().count(), 1, "{refused}");
        }
    }

    #[test]
    fn a_file_without_a_document_is_refused() {
        for text in ["", "\n", "# orgs: []\n", "---\n", "null"] {
            assert_eq!(refused(text), "it is empty", "{text:?}");
        }
        assert!(SeedFile::parse("{}").is_ok());
    }

    #[test]
    fn duplicate_names_are_refused() {
        for (text, expected) in [
            (
                "orgs: [{name: o}, {name: O}]",
                "line 1: org 'O' is declared twice",
            ),
            (
                "users:\n- dev\n- {name: dev}",
                "line 3: user 'dev' is declared twice",
            ),
            (
                "orgs:\n- name: o\n  spaces:\n  - name: s\n  - name: s\n",
                "line 5: org 'o': space 's' is declared twice",
            ),
            (
                "orgs:\n- name: o\n  spaces:\n  - name: s\n    apps: [{name: a},\n  {name: a}]\n",
                "line 6: org 'o': space 's': app 'a' is declared twice",
            ),
        ] {
            assert_eq!(refused(text), expected);
        }
    }

    #[test]
    fn values_are_read_as_in_manifests() {
        let text = "version: 1\nname: me\norgs: [{name: o, spaces: [{name: s, apps: [{name: a, env: {A: yes, B: 0123}}]}]}]";
        let SeedFile { seed, .. } = SeedFile::parse(text).unwrap();
        let app = seed.orgs[0].spaces[0].apps[0].manifest();
        assert_eq!(app["env"], serde_json::json!({"A": true, "B": 83}));
        assert!(refused("version: 2").contains("version"));
    }

    #[test]
    fn distances_count_changed_letters() {
        for (one, other, expected) in [("", "ab", 2), ("memroy", "memory", 2), ("a", "a", 0)] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
