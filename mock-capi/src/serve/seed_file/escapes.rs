//! Unescapes text that a spec would otherwise read as a placeholder or a variable:
//! `{{i}}` means `{i}`, and `((((name))))` means `((name))`. A seed has no variables, and
//! `{apps_domain}` is its only placeholder, but it reads escaped text as a spec does.

use serde_json::{Map, Value};

/// The keys in whose values a spec replaces no placeholders. In an app, these are all
/// keys except [`OF_APP`].
const PLAIN: [&str; 9] = [
    "credentials",
    "isolation_segment",
    "origin",
    "password",
    "protected",
    "route_service_url",
    "syslog_drain_url",
    "tags",
    "type",
];

/// The keys of an app in whose values placeholders are replaced.
const OF_APP: [&str; 4] = ["name", "services", "metadata", "docker"];

/// The keys of an app in whose values the domain of the apps is filled in afterwards.
pub(super) const WITH_DOMAIN: [&str; 2] = ["env", "routes"];

/// The placeholders of a spec.
const PLACEHOLDERS: [&str; 4] = ["{i}", "{org}", "{space}", APPS_DOMAIN];

/// The placeholder for the domain of the apps' routes.
pub(super) const APPS_DOMAIN: &str = "{apps_domain}";

/// Unescapes all strings of a seed.
pub(super) fn read(value: &mut Value) {
    read_in(value, &PLACEHOLDERS);
}

fn read_in(value: &mut Value, placeholders: &[&str]) {
    match value {
        Value::String(text) => *text = literal(text, placeholders),
        Value::Array(list) => {
            for item in list {
                read_in(item, placeholders);
            }
        }
        Value::Object(map) => {
            let entries = std::mem::take(map).into_iter();
            *map = entries
                .map(|(key, mut value)| {
                    match (key.as_str(), &mut value) {
                        ("apps", Value::Array(apps)) if !placeholders.is_empty() => {
                            apps.iter_mut().for_each(read_app);
                        }
                        (key, value) if PLAIN.contains(&key) => read_in(value, &[]),
                        (_, value) => read_in(value, placeholders),
                    }
                    (literal(&key, &[]), value)
                })
                .collect::<Map<_, _>>();
        }
        _ => {}
    }
}

fn read_app(app: &mut Value) {
    for (key, value) in app.as_object_mut().into_iter().flatten() {
        let placeholders: &[&str] = match key.as_str() {
            key if OF_APP.contains(&key) => &PLACEHOLDERS,
            key if WITH_DOMAIN.contains(&key) => &PLACEHOLDERS[..3],
            _ => &[],
        };
        read_in(value, placeholders);
    }
}

fn literal(text: &str, placeholders: &[&str]) -> String {
    let mut text = match text.contains("((((") {
        true => without_parentheses(text),
        false => text.to_owned(),
    };
    for placeholder in placeholders {
        text = text.replace(&format!("{{{placeholder}}}"), placeholder);
    }
    text
}

/// Removes two of the four pairs of parentheses around each name.
fn without_parentheses(text: &str) -> String {
    let is_name = |it: char| it.is_alphanumeric() || "-/._!".contains(it);
    let mut new = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("((((") {
        let (before, from) = rest.split_at(start);
        new.push_str(before);
        let inner = from.trim_start_matches('(');
        let opening = from.len() - inner.len();
        let name = inner.split(|it| !is_name(it)).next().unwrap_or_default();
        let after = inner.strip_prefix(name).unwrap_or_default();
        let (opened, closed) = from.split_at(opening);
        match after.strip_prefix("))))") {
            Some(after) if !name.is_empty() => {
                new.push_str(opened.strip_prefix("((").unwrap_or_default());
                new.push_str(name);
                new.push_str("))");
                rest = after;
            }
            _ => {
                new.push_str(opened);
                rest = closed;
            }
        }
    }
    new + rest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_are_unescaped_as_in_a_spec() {
        let mut seed = json!({
            "name": "{{i}}",
            "orgs": [{"name": "{{{org}}}", "spaces": [{
                "name": "((((a))))",
                "service_instances": [{"name": "{{i}}", "credentials": {"a": "{{i}} (((((b)))))"}}],
                "apps": [{
                    "name": "{{i}}",
                    "command": "{{i}} $((((x)))) ((y)) ((((not a name))))",
                    "env": {"A": "{{i}} {i} {{apps_domain}}", "((((k))))": 1},
                }],
            }]}],
        });
        read(&mut seed);
        assert_eq!(
            seed,
            json!({
                "name": "{i}",
                "orgs": [{"name": "{{org}}", "spaces": [{
                    "name": "((a))",
                    "service_instances": [{"name": "{i}", "credentials": {"a": "{{i}} (((b)))"}}],
                    "apps": [{
                        "name": "{i}",
                        "command": "{{i}} $((x)) ((y)) ((((not a name))))",
                        "env": {"A": "{i} {i} {{apps_domain}}", "((k))": 1},
                    }],
                }]}],
            })
        );
    }
}
