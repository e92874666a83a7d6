//! The known properties of a manifest, with the types that the `cf` CLI gives them
//! (`util/manifestparser`).

use std::fmt;

use super::lint;
use super::yaml::{Map, Value};

/// The type of a known property.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A string. Numbers and booleans are converted. Removed if empty.
    Text,
    /// A whole number.
    Count,
    /// A whole number. Removed if zero.
    Number,
    /// A boolean. Removed if false.
    Truth,
    /// A map of properties.
    Map(&'static [(&'static str, Kind)]),
    /// A list of processes. Removed if empty.
    Processes,
}

/// The level of a property. Some names depend on the level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    App,
    Process,
}

impl Level {
    /// The name of the disk quota. The other level's name is also accepted.
    pub(super) fn disk(self) -> &'static str {
        match self {
            Self::App => "disk-quota",
            Self::Process => "disk_quota",
        }
    }

    fn other_disk(self) -> &'static str {
        match self {
            Self::App => Self::Process.disk(),
            Self::Process => Self::App.disk(),
        }
    }

    fn properties(self) -> &'static [(&'static str, Kind)] {
        match self {
            Self::App => &APP,
            Self::Process => &PROCESS,
        }
    }
}

const ROOT: [(&str, Kind); 1] = [("version", Kind::Number)];

const APP: [(&str, Kind); 16] = [
    ("name", Kind::Text),
    ("disk-quota", Kind::Text),
    ("docker", Kind::Map(&DOCKER)),
    ("health-check-type", Kind::Text),
    ("health-check-http-endpoint", Kind::Text),
    ("timeout", Kind::Number),
    ("instances", Kind::Count),
    ("path", Kind::Text),
    ("processes", Kind::Processes),
    ("memory", Kind::Text),
    ("no-route", Kind::Truth),
    ("random-route", Kind::Truth),
    ("default-route", Kind::Truth),
    ("stack", Kind::Text),
    ("log-rate-limit-per-second", Kind::Text),
    ("lifecycle", Kind::Text),
];

const PROCESS: [(&str, Kind); 8] = [
    ("type", Kind::Text),
    ("disk_quota", Kind::Text),
    ("health-check-type", Kind::Text),
    ("health-check-http-endpoint", Kind::Text),
    ("timeout", Kind::Number),
    ("instances", Kind::Count),
    ("memory", Kind::Text),
    ("log-rate-limit-per-second", Kind::Text),
];

const DOCKER: [(&str, Kind); 2] = [("image", Kind::Text), ("username", Kind::Text)];

/// A property of the wrong type. The message omits the value, which may be secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PropertyError {
    /// The path from the app to the property.
    pub(super) path: Vec<String>,
    reason: String,
}

impl PropertyError {
    /// The same error in a list or map.
    fn within(mut self, part: impl fmt::Display) -> Self {
        self.path.insert(0, part.to_string());
        self
    }
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Converts the properties next to `applications`. Properties that `cf push` does not
/// read are removed.
pub(super) fn root(map: Map) -> Result<Map, PropertyError> {
    let map = map.into_iter().filter(|(key, _)| {
        let key = key.scalar_text();
        key.is_some_and(|key| lint::is_root_key(&key))
    });
    typed(map.collect(), &ROOT)
}

/// Converts the properties of an app. The password of a Docker image is removed: the
/// Cloud Controller would log it.
pub(super) fn application(map: Map) -> Result<Map, PropertyError> {
    let mut map = with_one_disk(map, Level::App)?;
    if let Some(docker) = map.get_mut("docker").and_then(Value::as_map_mut) {
        docker.remove("password");
    }
    Ok(map)
}

fn with_one_disk(map: Map, level: Level) -> Result<Map, PropertyError> {
    let mut map = typed(map, level.properties())?;
    let (disk, other) = (level.disk(), level.other_disk());
    match map.get(other) {
        None | Some(Value::Null) => return Ok(map),
        Some(_) if map.contains(disk) => {
            return Err(PropertyError {
                path: vec![other.to_owned()],
                reason: "`disk_quota` and `disk-quota` cannot both be set".to_owned(),
            });
        }
        Some(Value::Text(text)) if text.is_empty() => {
            map.remove(other);
            return Ok(map);
        }
        Some(Value::Text(_)) => {}
        Some(value) => return Err(mismatch(other, value, "a string such as 1G")),
    }
    map.rename(other, disk);
    Ok(map)
}

fn typed(map: Map, kinds: &[(&str, Kind)]) -> Result<Map, PropertyError> {
    let mut typed = Map::default();
    for (key, value) in map {
        let key = key.scalar_text().unwrap_or_default();
        let kind = kinds.iter().find(|(name, _)| *name == key);
        let value = match kind {
            None => Some(value),
            Some((_, kind)) => kind.of(&key, value)?,
        };
        if let Some(value) = value {
            typed.set(key.as_str(), value);
        }
    }
    Ok(typed)
}

impl Kind {
    /// The converted value. `None` if the property is removed.
    fn of(self, property: &str, value: Value) -> Result<Option<Value>, PropertyError> {
        if value == Value::Null {
            return Ok(None);
        }
        let refused = |value: &Value, must_be| Err(mismatch(property, value, must_be));
        match (self, value) {
            (Self::Text, value) => match value.scalar_text() {
                Some(text) => Ok(Some(Value::Text(text)).filter(|_| value != "".into())),
                None => refused(&value, "a string"),
            },
            (Self::Truth, Value::Bool(truth)) => Ok(truth.then_some(Value::Bool(true))),
            (Self::Truth, value) => refused(&value, "true or false"),
            (Self::Count, value) => match whole(&value) {
                Some(number) => Ok(Some(Value::Int(number))),
                None => refused(&value, "a whole number"),
            },
            (Self::Number, value) => match whole(&value) {
                Some(number) => Ok((number != 0).then_some(Value::Int(number))),
                None => refused(&value, "a whole number"),
            },
            (Self::Map(kinds), Value::Map(map)) => {
                let map = typed(map, kinds).map_err(|error| error.within(property))?;
                Ok(Some(Value::Map(map)))
            }
            (Self::Map(_), value) => refused(&value, "a map"),
            (Self::Processes, Value::List(list)) => processes(list),
            (Self::Processes, value) => refused(&value, "a list"),
        }
    }
}

/// A number as a 64-bit integer. Fractions are cut off.
fn whole(value: &Value) -> Option<i128> {
    let number = match value {
        Value::Int(number) => *number,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the whole part is meant, and its range is checked"
        )]
        Value::Float(number) if number.is_finite() => number.trunc() as i128,
        _ => return None,
    };
    i64::try_from(number).ok().map(i128::from)
}

fn processes(list: Vec<Value>) -> Result<Option<Value>, PropertyError> {
    if list.is_empty() {
        return Ok(None);
    }
    let process = |(at, value): (usize, Value)| {
        let map = match value {
            Value::Map(map) => map,
            Value::Null => Map::default(),
            other => return Err(mismatch("processes", &other, "a list of maps")),
        };
        let process = with_one_disk(map, Level::Process);
        let mut process = process.map_err(|error| error.within(at).within("processes"))?;
        if !process.contains("type") {
            // The Cloud Controller reports the missing type.
            process.set("type", "".into());
        }
        Ok(Value::Map(process))
    };
    let list: Result<_, _> = list.into_iter().enumerate().map(process).collect();
    Ok(Some(Value::List(list?)))
}

fn mismatch(property: &str, value: &Value, must_be: &str) -> PropertyError {
    PropertyError {
        path: vec![property.to_owned()],
        reason: format!("`{property}` is {}, must be {must_be}", value.kind()),
    }
}
