//! Checks a document against the keys: types, ranges, unknown and missing keys.

use regex::Regex;

use super::keys::{BITS_KEYS, Kind, MAX_COUNT, Table};
use super::node::{Data, Node};
use super::problem::{Location, Problems, SpecProblemReason, nearest};
use crate::manifest::entry::known_keys;

/// The supported version of the format.
const VERSION: u32 = 1;

/// Reports all keys and values in a map that the format does not allow.
pub(super) fn map(table: Table, node: &Node, key: &str, problems: &mut Problems) {
    if node.is_unresolved() {
        return;
    }
    if !matches!(node.data, Data::Map(_)) {
        return problems.value(node.at, key, node.shown(), "a map");
    }
    for (name, value) in node.entries() {
        match table.iter().find(|known| known.name == name) {
            Some(known) => check(known.kind, value, name, problems),
            None => unknown(name, value.at, table.iter().map(|it| it.name), problems),
        }
    }
    for known in table.iter().filter(|known| known.is_required) {
        if !node.has(known.name) {
            let key = known.name.to_owned();
            let allowed = allowed(known.kind);
            problems.add(node.at, SpecProblemReason::Missing { key, allowed });
        }
    }
}

fn unknown<'k>(
    key: &str,
    at: Location,
    known: impl Iterator<Item = &'k str>,
    problems: &mut Problems,
) {
    const MOST_LISTED: usize = 6;
    let known: Vec<&str> = known.collect();
    let reason = SpecProblemReason::UnknownKey {
        key: key.to_owned(),
        nearest: nearest(key, known.iter().copied()),
        allowed: (known.len() <= MOST_LISTED).then(|| one_of(&known)),
    };
    problems.add(at, reason);
}

/// The allowed values of a kind, for messages.
fn allowed(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Name => "a non-empty string".to_owned(),
        Kind::Count => format!("a whole number from 0 to {MAX_COUNT}"),
        Kind::Version => VERSION.to_string(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Choice(choices) => one_of(choices),
        Kind::Limit(most) => format!("a whole number from 0 to {most}, or null for no limit"),
        Kind::Icmp => "a whole number from -1 to 255".to_owned(),
        Kind::Pattern => "a regular expression".to_owned(),
        Kind::Apps(_, 1) => "a name of an app, or a pattern with `*` and `?`".to_owned(),
        Kind::Apps(3, _) => "`org/space/app`, each part a name or a pattern with `*` and `?`".to_owned(),
        Kind::Apps(..) => {
            "a name of an app, or a pattern with `*` and `?`, alone or as `space/app` or `org/space/app`"
                .to_owned()
        }
        Kind::Ports => "a port from 1 to 65535, or a range such as 7000-7010".to_owned(),
        Kind::Any | Kind::Map(_) => "a map".to_owned(),
        Kind::Flags => "a map of true or false".to_owned(),
        Kind::Texts => "a map of strings".to_owned(),
        Kind::List(Kind::Pattern) => "a list of regular expressions".to_owned(),
        Kind::List(_) => "a list of non-empty strings".to_owned(),
        Kind::Entries { .. } | Kind::Typed(_) | Kind::AppEntries(_) => "a list of maps".to_owned(),
    }
}

fn one_of(choices: &[&str]) -> String {
    match choices {
        [rest @ .., before, last] => {
            let rest: String = rest.iter().map(|choice| format!("{choice}, ")).collect();
            format!("{rest}{before} or {last}")
        }
        _ => choices.concat(),
    }
}

fn check(kind: Kind, node: &Node, key: &str, problems: &mut Problems) {
    if node.is_unresolved() {
        return;
    }
    let is_list = matches!(node.data, Data::List(_));
    match kind {
        Kind::Map(table) => return map(table, node, key, problems),
        Kind::List(item) if is_list => {
            let items = node.items().iter();
            return items.for_each(|node| check(*item, node, key, problems));
        }
        Kind::Entries { table, .. } if is_list => {
            let items = node.items().iter();
            return items.for_each(|item| map(table, item, key, problems));
        }
        Kind::Typed(types) if is_list => {
            let items = node.items().iter();
            return items.for_each(|item| typed(types, item, key, problems));
        }
        Kind::AppEntries(table) if is_list => {
            let items = node.items().iter();
            return items.for_each(|item| app(table, item, key, problems));
        }
        Kind::Flags | Kind::Texts if matches!(node.data, Data::Map(_)) => {
            return scalars(kind, node, problems);
        }
        Kind::Name if has_control_character(node) => {
            let allowed = "a string without control characters";
            return problems.value(node.at, key, node.shown(), allowed);
        }
        _ if is_fitting(kind, node) => return,
        _ => {}
    }
    problems.value(node.at, key, node.shown(), allowed(kind));
}

/// Checks the values of a map of flags or texts.
fn scalars(kind: Kind, node: &Node, problems: &mut Problems) {
    for (name, value) in node.entries() {
        let (is_right, allowed) = match (kind, &value.data) {
            (Kind::Flags, _) => (value.truth().is_some(), "true or false"),
            (_, Data::Text(_) | Data::Int(_) | Data::Float(_) | Data::Bool(_)) => {
                (true, "a string")
            }
            _ => (false, "a string"),
        };
        if !is_right && !value.is_unresolved() {
            problems.value(value.at, name, value.shown(), allowed);
        }
    }
}

/// Whether a name would change what a terminal shows. The Cloud Controller refuses such
/// names of apps.
fn has_control_character(node: &Node) -> bool {
    node.text()
        .is_some_and(|text| text.contains(char::is_control))
}

/// Whether a scalar is valid for a kind.
fn is_fitting(kind: Kind, node: &Node) -> bool {
    let text = node.text();
    let text = text.as_deref().map(str::trim);
    match kind {
        Kind::Text | Kind::Name => text.is_some_and(|text| !text.is_empty()),
        Kind::Count => node.number::<u32>().is_some_and(|it| it <= MAX_COUNT),
        Kind::Version => node.number() == Some(VERSION),
        Kind::Flag => node.truth().is_some(),
        Kind::Choice(choices) => match &node.data {
            Data::Text(text) => choices.contains(&text.as_str()),
            _ => false,
        },
        Kind::Limit(most) => match node.data {
            Data::Null => true,
            _ => node.number::<u64>().is_some_and(|it| it <= most),
        },
        Kind::Icmp => node
            .number::<i64>()
            .is_some_and(|it| (-1..=255).contains(&it)),
        Kind::Pattern => matches!(&node.data, Data::Text(text) if Regex::new(text).is_ok()),
        Kind::Apps(least, most) => {
            matches!(&node.data, Data::Text(text) if is_apps(text, least, most))
        }
        Kind::Ports => text.and_then(ports).is_some(),
        Kind::Any => matches!(node.data, Data::Map(_)),
        _ => false,
    }
}

/// Whether a text can select apps: its parts are not empty, and do not contain special
/// characters of other pattern languages.
pub(super) fn is_apps(text: &str, least: usize, most: usize) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_part = |part: &&str| {
        let placeholders = ["{i}", "{space}", "{org}"];
        let plain = placeholders
            .iter()
            .fold((*part).to_owned(), |part, it| part.replace(it, "0"));
        !plain.trim().is_empty() && !plain.contains(['[', ']', '{', '}', '\\'])
    };
    (least..=most).contains(&parts.len()) && parts.iter().all(is_part)
}

/// The first and the last port.
pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        let digits = text.trim();
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|it| is_number && *it > 0)
    };
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

fn typed(types: &[(&str, Table)], node: &Node, key: &str, problems: &mut Problems) {
    const TYPE: &str = "type";
    let given = node.get(TYPE).and_then(Node::text);
    let table = given.and_then(|given| types.iter().find(|(name, _)| *name == given));
    match table {
        Some((_, table)) => map(table, node, key, problems),
        None if matches!(node.data, Data::Map(_)) => {
            let names: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
            let allowed = one_of(&names);
            match node.get(TYPE) {
                Some(given) if given.is_unresolved() => {}
                Some(given) => problems.value(given.at, TYPE, given.shown(), allowed),
                None => {
                    let key = TYPE.to_owned();
                    problems.add(node.at, SpecProblemReason::Missing { key, allowed });
                }
            }
        }
        None => problems.value(node.at, key, node.shown(), "a map"),
    }
}

/// Checks an entry of `apps`. The properties of a manifest are checked when the manifest
/// is read.
fn app(table: Table, node: &Node, key: &str, problems: &mut Problems) {
    if node.is_unresolved() {
        return;
    }
    if !matches!(node.data, Data::Map(_)) {
        return problems.value(node.at, key, node.shown(), "a map");
    }
    for (name, value) in node.entries() {
        if let Some(known) = table.iter().find(|known| known.name == name) {
            check(known.kind, value, name, problems);
        } else if name == "name" {
            check(Kind::Name, value, name, problems);
        } else if !known_keys().any(|known| known == name) {
            let known = known_keys().chain(table.iter().map(|it| it.name));
            unknown(name, value.at, known, problems);
        }
    }
    if !node.has("name") {
        problems.add(
            node.at,
            SpecProblemReason::Missing {
                key: "name".to_owned(),
                allowed: allowed(Kind::Name),
            },
        );
    }
    let given: Vec<&str> = BITS_KEYS.into_iter().filter(|it| node.has(it)).collect();
    if let [first, second, ..] = given.as_slice() {
        let name = node.get("name").and_then(Node::text).unwrap_or_default();
        let at = node.get(second).map_or(node.at, |it| it.at);
        let reason = format!("`{second}` cannot be used together with `{first}`");
        problems.refused(at, format!("app {name}"), reason);
    }
}
