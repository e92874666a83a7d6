//! Variables in a manifest: `((name))`, given by files and on the command line.
//!
//! A variable that is alone keeps its type; inside a text it must be a text or
//! an integer. `((map.key))` looks into maps and lists. Keys take variables too.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::yaml::{Map, Value, YamlError};

/// A name may have letters of any script, digits, `-`, `/`, `.` and `_`; `!` before it is ignored.
const VARIABLE: &str = r"\(\((!?[-/._0-9A-Za-z\p{L}]+)\)\)";

#[expect(clippy::expect_used, reason = "the pattern is constant")]
static PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(VARIABLE).expect("the pattern of variables is a regex"));

/// How long a text may become, in bytes: longer than any manifest may be.
const LONGEST: usize = 4 * 1024 * 1024;

/// The variables that are known.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(Map);

/// Why variables cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InterpolateError {
    #[error("no value is given for the variables {}; give them with --var or --vars-file", .0.join(", "))]
    Missing(Vec<String>),
    #[error(
        "the variable {name} is {kind}, and inside a text it must be a text or an integer: leave `(({name}))` alone"
    )]
    NotInText { name: String, kind: &'static str },
    #[error("it is not a map of variables but {0}")]
    NotAMap(&'static str),
    #[error("it is not YAML: {0}")]
    NotYaml(#[from] YamlError),
    #[error("it must be of the form NAME=VALUE, with both")]
    NotAPair,
    #[error("with the variables in place it is too large")]
    TooLarge,
    #[error("a key becomes {0}, must be a scalar")]
    Key(&'static str),
}

impl Variables {
    /// Takes the variables of a file's text; those that were there are replaced.
    pub(crate) fn add_file(&mut self, text: &str) -> Result<(), InterpolateError> {
        match Value::parse_with_text_keys(text)? {
            Value::Null => Ok(()),
            Value::Map(map) => {
                for (name, value) in map {
                    self.add(name.as_text().unwrap_or_default(), value);
                }
                Ok(())
            }
            other => Err(InterpolateError::NotAMap(other.kind())),
        }
    }

    /// Takes `NAME=VALUE`, where the value is YAML.
    pub(crate) fn add_pair(&mut self, pair: &str) -> Result<(), InterpolateError> {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                self.add(name, Value::parse(value)?);
                Ok(())
            }
            _ => Err(InterpolateError::NotAPair),
        }
    }

    /// A name with dots is a place in a map of variables.
    fn add(&mut self, name: &str, value: Value) {
        let parts: Vec<&str> = name.split('.').collect();
        set_at(&mut self.0, &parts, value);
    }

    /// Puts the variables' values where their names are.
    pub(crate) fn interpolate(&self, value: Value) -> Result<Value, InterpolateError> {
        let mut interpolation = Interpolation {
            variables: self,
            missing: BTreeSet::new(),
        };
        let value = interpolation.value(value)?;
        match interpolation.missing.is_empty() {
            true if value.is_within_bounds() => Ok(value),
            true => Err(InterpolateError::TooLarge),
            false => Err(InterpolateError::Missing(
                interpolation.missing.into_iter().collect(),
            )),
        }
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
    fn value(&mut self, value: Value) -> Result<Value, InterpolateError> {
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

    fn pair(&mut self, (key, value): (Value, Value)) -> Result<(Value, Value), InterpolateError> {
        let key = self.value(key)?;
        match key {
            Value::List(_) | Value::Map(_) => Err(InterpolateError::Key(key.kind())),
            key => Ok((key, self.value(value)?)),
        }
    }

    fn text(&mut self, mut text: String) -> Result<Value, InterpolateError> {
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
                    return Err(InterpolateError::NotInText { name, kind });
                }
            };
            text = text.replace(&plain, &inside).replace(&marked, &inside);
            if text.len() > LONGEST {
                return Err(InterpolateError::TooLarge);
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
        variables.add_file(file).unwrap();
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
    fn variables_are_put_in_place(#[case] text: &str, #[case] expected: &str) {
        let value = variables().interpolate(Value::parse(text).unwrap());
        let expected = expected.replace("a: ((host))", "a: '((host))'");
        assert_eq!(value, Ok(Value::parse(&expected).unwrap()));
    }

    #[test]
    fn what_is_missing_is_listed() {
        let text = "a: ((z)) ((host)) ((a))\n((m)): [((z)), ((db.none))]";
        let error = variables().interpolate(Value::parse(text).unwrap());
        insta::assert_snapshot!(error.unwrap_err(), @"no value is given for the variables a, db.none, m, z; give them with --var or --vars-file");
    }

    #[rstest]
    #[case("a: x((set))", "the variable set is true or false, and inside a text")]
    #[case("a: x((ratio))", "the variable ratio is a number")]
    #[case("a: x((db))", "the variable db is a map")]
    #[case("((list)): 1", "a key becomes a list")]
    fn what_does_not_fit_is_refused(#[case] text: &str, #[case] expected: &str) {
        let error = variables().interpolate(Value::parse(text).unwrap());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let interpolate = |file: &str, text: &str| {
            let mut variables = Variables::default();
            variables.add_file(file).unwrap();
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
            Err(InterpolateError::TooLarge)
        );
        let deep = |core: &str| format!("{}{core}{}", "[".repeat(100), "]".repeat(100));
        let outcome = interpolate(&format!("x: {}", deep("1")), &deep("((x))"));
        assert_eq!(outcome, Err(InterpolateError::TooLarge));
        let outcome = interpolate("x: '((x))((x))'", &format!("a: '{}'", "((x))".repeat(30)));
        assert!(outcome.is_ok());
    }

    #[test]
    fn pairs_are_yaml_and_win_over_files() {
        let mut variables = variables();
        for pair in [
            "port=1",
            "set=no",
            "host='5'",
            "equal=a=b",
            "db.user=me",
            "a.b.c=1",
        ] {
            variables.add_pair(pair).unwrap();
        }
        let text = "[((port)), ((set)), ((host)), ((equal)), ((db)), ((a.b))]";
        let value = variables.interpolate(Value::parse(text).unwrap()).unwrap();
        let expected = Value::parse("[1, false, '5', a=b, {user: me, hosts: [one, two]}, {c: 1}]");
        assert_eq!(value, expected.unwrap());
        for pair in ["", "x", "=x", "x=", "x=["] {
            assert!(variables.add_pair(pair).is_err(), "{pair}");
        }
    }

    #[test]
    fn a_file_of_no_variables_is_refused() {
        let mut variables = Variables::default();
        assert!(variables.add_file("").is_ok());
        assert!(variables.add_file("- a").is_err());
        assert!(variables.add_file("a: [").is_err());
    }
}
