//! `label_selector`s of lists.

use super::{Metadata, check_key, check_label_value, label_value_key};
use crate::world::{Field, Key};

const MAX_REQUIREMENTS: usize = 50;

/// One requirement of a `label_selector`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    NotExists(String),
}

/// A `label_selector`: requirements, all of which must be met.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelSelector(Vec<Requirement>);

impl LabelSelector {
    pub(crate) fn parse(selector: &str) -> Result<Self, String> {
        let requirements = split_requirements(selector);
        if requirements.is_empty() {
            return Err("Missing label_selector value".into());
        }
        if requirements.len() > MAX_REQUIREMENTS {
            return Err(format!(
                "Too many label_selector requirements (maximum is {MAX_REQUIREMENTS})"
            ));
        }
        let (mut parsed, mut errors) = (Vec::new(), Vec::new());
        for requirement in requirements {
            match parse_requirement(requirement) {
                Ok(requirement) => parsed.push(requirement),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors.join(", "));
        }
        Ok(Self(parsed))
    }

    /// Parses a selector for lists that do not validate it: invalid requirements are
    /// ignored.
    pub(crate) fn parse_unchecked(selector: &str) -> Result<Self, String> {
        let requirements = split_requirements(selector).into_iter();
        let requirements = requirements.filter_map(match_requirement);
        Ok(Self(
            requirements.map(|(requirement, _)| requirement).collect(),
        ))
    }

    /// The keys for each requirement that an index can answer. A row meets the
    /// requirement if it has any of them.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = Vec<Key>> {
        self.0.iter().filter_map(|requirement| match requirement {
            Requirement::In(key, values) => Some(
                values
                    .iter()
                    .map(|value| label_value_key(key, value))
                    .collect(),
            ),
            Requirement::Exists(key) => Some(vec![Key::exact(Field::Label, key.as_str())]),
            Requirement::NotIn(..) | Requirement::NotExists(_) => None,
        })
    }

    /// Whether metadata meets the requirements that no index can answer.
    pub(crate) fn allows(&self, metadata: &Metadata) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(..) | Requirement::Exists(_) => true,
            Requirement::NotIn(key, values) => metadata
                .label(key)
                .is_none_or(|value| !values.iter().any(|other| other == value)),
            Requirement::NotExists(key) => metadata.label(key).is_none(),
        })
    }
}

/// Splits at commas outside of parentheses and drops empty parts.
fn split_requirements(selector: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    selector
        .split(move |c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .filter(|part| !part.is_empty())
        .collect()
}

fn parse_requirement(text: &str) -> Result<Requirement, String> {
    let (requirement, key) = match_requirement(text).ok_or("Invalid label_selector value")?;
    check_key(&key)?;
    if let Requirement::In(_, values) | Requirement::NotIn(_, values) = &requirement {
        values
            .iter()
            .try_for_each(|value| check_label_value(value))?;
    }
    Ok(requirement)
}

/// Values as Ruby splits them, without empty ones at the end. An empty list matches no
/// label.
fn label_values(text: &str) -> Vec<String> {
    let values = text.trim_end_matches(',').split(',');
    let values = values.filter(|_| !text.trim_end_matches(',').is_empty());
    values.map(str::to_owned).collect()
}

fn match_requirement(text: &str) -> Option<(Requirement, String)> {
    let set = |operator: &str| {
        let (key, rest) = text.split_once(operator)?;
        Some((key.to_owned(), label_values(rest.strip_suffix(')')?)))
    };
    if let Some((key, values)) = set(" notin (") {
        return Some((Requirement::NotIn(key.clone(), values), key));
    }
    if let Some((key, values)) = set(" in (") {
        return Some((Requirement::In(key.clone(), values), key));
    }
    let key_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')))
        .unwrap_or(text.len());
    let (key, rest) = text.split_at(key_end);
    let owned = key.to_owned();
    if key.is_empty() {
        let key = rest.strip_prefix('!')?.to_owned();
        return Some((Requirement::NotExists(key.clone()), key));
    }
    if rest.is_empty() {
        return Some((Requirement::Exists(owned.clone()), owned));
    }
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((
            Requirement::NotIn(owned.clone(), label_values(value)),
            owned,
        ));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((Requirement::In(owned.clone(), label_values(value)), owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::metadata;
    use super::*;

    #[test]
    fn every_operator_is_parsed() {
        use Requirement::{Exists, In, NotExists, NotIn};
        let selector = "a=1,b==2,c!=3,d in (x,y),e notin (z),f,!g";
        let strings = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        assert_eq!(
            LabelSelector::parse(selector).unwrap().0,
            [
                In("a".into(), strings(&["1"])),
                In("b".into(), strings(&["2"])),
                NotIn("c".into(), strings(&["3"])),
                In("d".into(), strings(&["x", "y"])),
                NotIn("e".into(), strings(&["z"])),
                Exists("f".into()),
                NotExists("g".into()),
            ]
        );
        for invalid in ["", ",", "a b", "=1", "a in (x", "a=%", "!"] {
            assert!(LabelSelector::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_requirement_without_a_value_matches_no_label() {
        let clauses = |selector: &str| -> Vec<Vec<Key>> {
            let selector = LabelSelector::parse(selector).unwrap();
            selector.clauses().collect()
        };
        for selector in ["a=", "a==", "a in ()", "a in (,)"] {
            assert_eq!(clauses(selector), [vec![]], "{selector}");
        }
        for selector in ["a!=", "a notin ()"] {
            let selector = LabelSelector::parse(selector).unwrap();
            assert!(selector.allows(&metadata(&json!({"a": ""}))));
        }
        let error = LabelSelector::parse("a b,c d").unwrap_err();
        assert_eq!(
            error,
            "Invalid label_selector value, Invalid label_selector value"
        );
    }

    #[test]
    fn negative_requirements_hold_without_the_label() {
        let selector = LabelSelector::parse("a!=1,!b").unwrap();
        assert!(selector.allows(&metadata(&json!({}))));
        assert!(selector.allows(&metadata(&json!({"a": "2"}))));
        assert!(!selector.allows(&metadata(&json!({"a": "1"}))));
        assert!(!selector.allows(&metadata(&json!({"b": "1"}))));
    }
}
