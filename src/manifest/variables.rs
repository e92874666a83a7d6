//! Variables in a manifest: `((name))`.
//!
//! A variable that is a whole value keeps its type. Inside a string, it must be a string
//! or an integer. `((map.key))` selects from maps and lists. Keys can also contain
//! variables.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::text;
use super::yaml::{Map, Value, YamlError};

/// A name may contain letters of any script, digits, `-`, `/`, `.` and `_`. A leading `!`
/// is ignored.
const VARIABLE: &str = r"\(\((!?[-/._0-9A-Za-z\p{L}]+)\)\)";

#[expect(clippy::expect_used, reason = "the pattern is constant")]
static PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(VARIABLE).expect("the pattern of variables is a regex"));

#[expect(clippy::expect_used, reason = "the pattern is constant")]
static ESCAPED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = format!(r"\(\({VARIABLE}\)\)");
    Regex::new(&pattern).expect("the pattern of escaped variables is a regex")
});

/// The maximum length of a string after interpolation, in bytes.
const MAX_LENGTH: usize = 4 * 1024 * 1024;

/// Values for the variables of a manifest.
///
/// ```
/// use cf_pusher::manifest::{Manifest, Variables};
///
/// let mut variables = Variables::default();
/// variables.add_yaml("host: dora\ninstances: 2")?;
/// variables.set("instances", "3")?;
///
/// let text = "applications: [{name: ((host)), instances: ((instances))}]";
/// let manifest = Manifest::parse_with(text, "inline", &variables)?;
/// assert_eq!(manifest.applications()[0].name(), "dora");
/// assert!(manifest.render().contains("instances: 3"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Variables(Map);

impl fmt::Debug for Variables {
    /// Shows only the number of variables, because values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variables({})", self.0.iter().count())
    }
}

/// The reason why variables cannot be read or interpolated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VariablesError {
    /// The manifest uses variables without a value.
    #[error("no value for {}", named(.0))]
    Missing(Vec<String>),
    /// A variable inside a string is neither a string nor an integer.
    #[error("the variable {name} is {kind}, must be a string or an integer inside a string")]
    NotInText {
        /// The variable's name.
        name: String,
        /// The type of its value, such as `a map`.
        kind: &'static str,
    },
    /// A file of variables is not a map.
    #[error("variables are {0}, must be a map")]
    NotAMap(&'static str),
    /// A file of variables cannot be read.
    #[error("reading the variables in {path} failed: {reason}")]
    File {
        /// The file.
        path: String,
        /// The cause.
        reason: String,
    },
    /// A text is not YAML.
    #[error("invalid YAML: {0}")]
    NotYaml(#[from] YamlError),
    /// The manifest exceeds 1,000,000 values or a string exceeds 4 MiB.
    #[error("the manifest is too large after interpolation")]
    TooLarge,
    /// A key of a map would become a list or a map.
    #[error("a key is {0} after interpolation, must be a scalar")]
    Key(&'static str),
}

/// The names of variables, such as `the variables a, b`.
fn named(names: &[String]) -> String {
    let noun = if names.len() == 1 {
        "variable"
    } else {
        "variables"
    };
    format!("the {noun} {}", names.join(", "))
}

/// A string of a spec, after variables are replaced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Interpolated {
    Text {
        text: String,
        has_variables: bool,
    },
    /// The value of a variable that was the whole string.
    Variable(Value),
}

/// The names of the variables in a string.
pub(crate) fn variables_in(text: &str) -> impl Iterator<Item = &str> {
    let found = PATTERN.captures_iter(text);
    found.filter_map(|it| Some(it.get(1)?.as_str().trim_start_matches('!')))
}

/// Escapes a string without variables, so that a spec reads it unchanged.
pub(crate) fn escape_variables(text: &str) -> Cow<'_, str> {
    PATTERN.replace_all(text, "((((${1}))))")
}

impl Variables {
    /// Adds the variables of a YAML map. Existing values are replaced.
    ///
    /// # Errors
    /// [`VariablesError::NotYaml`] and [`VariablesError::NotAMap`].
    pub fn add_yaml(&mut self, text: &str) -> Result<(), VariablesError> {
        match Value::parse_with_text_keys(text)? {
            Value::Null => Ok(()),
            Value::Map(map) => {
                for (name, value) in map {
                    self.insert(name.as_text().unwrap_or_default(), value);
                }
                Ok(())
            }
            other => Err(VariablesError::NotAMap(other.kind())),
        }
    }

    /// Adds the variables of a YAML file of at most 10 MiB, in UTF-8 or UTF-16.
    ///
    /// # Errors
    /// [`VariablesError::File`].
    pub fn add_file(&mut self, path: &Path) -> Result<(), VariablesError> {
        let failed = |reason: String| VariablesError::File {
            path: path.display().to_string(),
            reason,
        };
        let text = text::read(path).map_err(|error| failed(error.to_string()))?;
        self.add_yaml(&text)
            .map_err(|error| failed(error.to_string()))
    }

    /// Sets a variable to a value in YAML. A name with dots, such as `db.user`,
    /// sets a key in a map.
    ///
    /// # Errors
    /// [`VariablesError::NotYaml`].
    pub fn set(&mut self, name: &str, yaml: &str) -> Result<(), VariablesError> {
        self.insert(name, Value::parse(yaml)?);
        Ok(())
    }

    fn insert(&mut self, name: &str, value: Value) {
        let parts: Vec<&str> = name.split('.').collect();
        set_at(&mut self.0, &parts, value);
    }

    /// Replaces each `((name))` with its value.
    pub(crate) fn interpolate(&self, value: Value) -> Result<Value, VariablesError> {
        let mut interpolation = Interpolation {
            variables: self,
            missing: BTreeSet::new(),
        };
        let value = interpolation.value(value)?;
        match interpolation.missing.is_empty() {
            true if value.is_within_bounds() => Ok(value),
            true => Err(VariablesError::TooLarge),
            false => Err(VariablesError::Missing(
                interpolation.missing.into_iter().collect(),
            )),
        }
    }

    /// Replaces each `((name))` in a string of a spec. `((((name))))` is the text
    /// `((name))`.
    pub(crate) fn interpolate_in_spec(&self, text: &str) -> Result<Interpolated, VariablesError> {
        let whole = PATTERN.find(text);
        if whole.is_some_and(|found| found.len() == text.len()) {
            let value = self.interpolate(Value::text(text))?;
            return Ok(Interpolated::Variable(value));
        }
        let (mut new, mut has_variables, mut from) = (String::new(), false, 0);
        for escaped in ESCAPED.find_iter(text) {
            self.add_part(&text[from..escaped.start()], &mut new, &mut has_variables)?;
            let literal = escaped.as_str();
            new.push_str(&literal[2..literal.len() - 2]);
            from = escaped.end();
        }
        self.add_part(&text[from..], &mut new, &mut has_variables)?;
        Ok(Interpolated::Text {
            text: new,
            has_variables,
        })
    }

    /// Adds a part of a string, with the values of its variables.
    fn add_part(
        &self,
        part: &str,
        to: &mut String,
        has_variables: &mut bool,
    ) -> Result<(), VariablesError> {
        let Some(found) = PATTERN.find(part) else {
            to.push_str(part);
            return Ok(());
        };
        *has_variables = true;
        match self.interpolate(Value::text(part))? {
            Value::Text(text) => to.push_str(&text),
            Value::Int(number) => to.push_str(&number.to_string()),
            other => {
                let name = found.as_str().trim_matches(['(', ')', '!']).to_owned();
                let kind = other.kind();
                return Err(VariablesError::NotInText { name, kind });
            }
        }
        Ok(())
    }

    /// The value of `name`, or of `name.key.key`.
    fn get(&self, name: &str) -> Option<&Value> {
        let mut parts = name.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| match value {
            Value::Map(map) => map.get(part),
            Value::List(list) => list.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }
}

fn set_at(map: &mut Map, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => map.set(*key, value),
        [key, path @ ..] => {
            let mut inner = match map.get_mut(key).map(std::mem::take) {
                Some(Value::Map(inner)) => inner,
                _ => Map::default(),
            };
            set_at(&mut inner, path, value);
            map.set(*key, Value::Map(inner));
        }
    }
}

struct Interpolation<'a> {
    variables: &'a Variables,
    missing: BTreeSet<String>,
}

impl Interpolation<'_> {
    fn value(&mut self, value: Value) -> Result<Value, VariablesError> {
        match value {
            Value::Text(text) => self.text(text),
            Value::List(list) => {
                let list: Result<_, _> = list.into_iter().map(|it| self.value(it)).collect();
                list.map(Value::List)
            }
            Value::Map(map) => {
                let map: Result<_, _> = map.into_iter().map(|pair| self.pair(pair)).collect();
                map.map(Value::Map)
            }
            other => Ok(other),
        }
    }

    fn pair(&mut self, (key, value): (Value, Value)) -> Result<(Value, Value), VariablesError> {
        let key = self.value(key)?;
        match key {
            Value::List(_) | Value::Map(_) => Err(VariablesError::Key(key.kind())),
            key => Ok((key, self.value(value)?)),
        }
    }

    fn text(&mut self, mut text: String) -> Result<Value, VariablesError> {
        let names: Vec<String> = PATTERN
            .captures_iter(&text)
            .filter_map(|found| found.get(1))
            .map(|name| name.as_str().trim_start_matches('!').to_owned())
            .collect();
        let mut done = BTreeSet::new();
        for name in names {
            if !done.insert(name.clone()) {
                continue;
            }
            let Some(value) = self.variables.get(&name) else {
                self.missing.insert(name);
                continue;
            };
            let (plain, marked) = (format!("(({name}))"), format!("((!{name}))"));
            if text == plain || text == marked {
                return Ok(value.clone());
            }
            let inside = match value {
                Value::Text(inside) => inside.clone(),
                Value::Int(number) => number.to_string(),
                other => {
                    let kind = other.kind();
                    return Err(VariablesError::NotInText { name, kind });
                }
            };
            text = text.replace(&plain, &inside).replace(&marked, &inside);
            if text.len() > MAX_LENGTH {
                return Err(VariablesError::TooLarge);
            }
        }
        Ok(Value::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        let file = "y: yes\nhost: dora\nport: 8080\nset: true\nratio: 1.5\nnone: ~\nlist: [a, b]\n\
                    db: {user: admin, hosts: [one, two]}\ncascade: ((host))\nünï: u\na/b-c_1: odd";
        variables.add_yaml(file).unwrap();
        variables
    }

    #[rstest]
    #[case("a: ((host))", "a: dora")]
    #[case("a: ((!host))", "a: dora")]
    #[case("a: ((y))", "a: true")]
    #[case("a: ((port))", "a: 8080")]
    #[case("a: '((port))'", "a: 8080")]
    #[case("a: ((set))", "a: true")]
    #[case("a: ((none))", "a: ~")]
    #[case("a: ((list))", "a: [a, b]")]
    #[case("a: [((db))]", "a: [{user: admin, hosts: [one, two]}]")]
    #[case("a: ((db.user))", "a: admin")]
    #[case("a: ((db.hosts.1))", "a: two")]
    #[case("a: ((host)).((port)).com", "a: dora.8080.com")]
    #[case("a: ((host))-((host))-((!host))", "a: dora-dora-dora")]
    #[case("((host)): 1", "dora: 1")]
    #[case("a: ((ünï))((a/b-c_1))", "a: uodd")]
    #[case("a: ((cascade))", "a: ((host))")]
    #[case("a: (( host )) ((ho st)) (())", "a: (( host )) ((ho st)) (())")]
    #[case("a: 1", "a: 1")]
    fn variables_are_replaced_by_their_values(#[case] text: &str, #[case] expected: &str) {
        let value = variables().interpolate(Value::parse(text).unwrap());
        let expected = expected.replace("a: ((host))", "a: '((host))'");
        assert_eq!(value, Ok(Value::parse(&expected).unwrap()));
    }

    #[rstest]
    #[case("$((((host))))", "$((host))")]
    #[case("((host)) ((((host)))) ((port))", "dora ((host)) 8080")]
    #[case("(((((host)))))", "(((host)))")]
    #[case("((((host)))", "((dora)")]
    #[case("((ho st)) ((((ho st))))", "((ho st)) ((((ho st))))")]
    fn variables_with_more_parentheses_are_text_in_a_spec(
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        let read = |text: &str| match variables().interpolate_in_spec(text).unwrap() {
            Interpolated::Text { text, .. } => text,
            Interpolated::Variable(value) => panic!("{value:?}"),
        };
        assert_eq!(read(text), expected);
        for literal in [
            text,
            "((host))",
            "((!host))",
            "((a((host))b))",
            "((((port))",
        ] {
            assert_eq!(read(&escape_variables(literal)), literal);
        }
    }

    #[test]
    fn the_whole_value_of_a_variable_keeps_its_type() {
        let read = variables().interpolate_in_spec("((db.user))");
        assert_eq!(read, Ok(Interpolated::Variable(Value::text("admin"))));
        let error = variables()
            .interpolate_in_spec("((((host))))((db))")
            .unwrap_err();
        let expected = "the variable db is a map, must be a string or an integer inside a string";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn missing_variables_are_listed() {
        let text = "a: ((z)) ((host)) ((a))\n((m)): [((z)), ((db.none))]";
        let error = variables().interpolate(Value::parse(text).unwrap());
        insta::assert_snapshot!(error.unwrap_err(), @"no value for the variables a, db.none, m, z");
    }

    #[rstest]
    #[case(
        "a: x((set))",
        "the variable set is a boolean, must be a string or an integer"
    )]
    #[case("a: x((ratio))", "the variable ratio is a number")]
    #[case("a: x((db))", "the variable db is a map")]
    #[case("((list)): 1", "a key is a list")]
    fn values_of_the_wrong_type_are_refused(#[case] text: &str, #[case] expected: &str) {
        let error = variables().interpolate(Value::parse(text).unwrap());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_size_after_interpolation_is_limited() {
        let interpolate = |file: &str, text: &str| {
            let mut variables = Variables::default();
            variables.add_yaml(file).unwrap();
            variables.interpolate(Value::parse(text).unwrap())
        };
        let names: Vec<String> = (0..40).map(|i| format!("v{i}")).collect();
        let chain = names
            .windows(2)
            .map(|it| format!("{0}: 'x(({1}))(({1}))'\n", it[0], it[1]));
        let chain = chain.collect::<String>() + "v39: x";
        let all: String = names.iter().map(|name| format!("(({name}))")).collect();
        assert_eq!(
            interpolate(&chain, &format!("a: '{all}'")),
            Err(VariablesError::TooLarge)
        );
        let deep = |core: &str| format!("{}{core}{}", "[".repeat(100), "]".repeat(100));
        let outcome = interpolate(&format!("x: {}", deep("1")), &deep("((x))"));
        assert_eq!(outcome, Err(VariablesError::TooLarge));
        let outcome = interpolate("x: '((x))((x))'", &format!("a: '{}'", "((x))".repeat(30)));
        assert!(outcome.is_ok());
    }

    #[test]
    fn a_later_value_replaces_an_earlier_value() {
        let mut variables = variables();
        for pair in [
            "port=1",
            "set=no",
            "host='5'",
            "equal=a=b",
            "db.user=me",
            "a.b.c=1",
        ] {
            let (name, value) = pair.split_once('=').unwrap();
            variables.set(name, value).unwrap();
        }
        let text = "[((port)), ((set)), ((host)), ((equal)), ((db)), ((a.b))]";
        let value = variables.interpolate(Value::parse(text).unwrap()).unwrap();
        let expected = Value::parse("[1, false, '5', a=b, {user: me, hosts: [one, two]}, {c: 1}]");
        assert_eq!(value, expected.unwrap());
        assert!(variables.set("x", "[").is_err());
    }

    #[test]
    fn variables_must_be_a_map() {
        let mut variables = Variables::default();
        assert!(variables.add_yaml("").is_ok());
        assert!(variables.add_yaml("- a").is_err());
        assert!(variables.add_yaml("a: [").is_err());
    }
}
