//! Validation of the query parameters of lists.

use std::collections::BTreeMap;

use super::{
    COMMON, COMMON_IN_2017, DEFAULT_PER_PAGE, Fields, ListQuery, ListSpec, MAX_PER_PAGE,
    MAX_RESULT, Order,
};
use crate::api::http::last_value;
use crate::api::message::humanize;
use crate::world::settings::Dialect;

/// `created_ats[gt]` belongs to the parameter `created_ats`.
pub(super) fn param_name(key: &str) -> &str {
    key.split('[').next().unwrap_or(key)
}

/// The Cloud Controller treats the list `names[]=a&names[]=b` as the string `["a",
/// "b"]`.
pub(super) fn with_lists_as_texts(params: &[(String, String)]) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::new();
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in params {
        match key.strip_suffix("[]") {
            Some(name) => lists.entry(name).or_default().push(value),
            // The last value is used.
            None => match read.iter_mut().find(|(other, _)| other == key) {
                Some((_, other)) => other.clone_from(value),
                None => read.push((key.clone(), value.clone())),
            },
        }
    }
    let lists = lists.into_iter();
    read.extend(lists.map(|(name, values)| (name.to_owned(), format!("{values:?}"))));
    read
}

/// The error for a parameter such as `names[gt]`, if the parameter does not support the
/// operator.
pub(super) fn operator_error(key: &str) -> Option<String> {
    let (name, operator) = key.split_once('[')?;
    match name {
        "created_ats" | "updated_ats" | "fields" => None,
        "target_guids" if operator == "not]" => None,
        "target_guids" => Some("Target guids target_guids has an invalid operator".into()),
        _ => Some(format!("{} must be an array", humanize(name))),
    }
}

pub(super) fn unknown_param(
    params: &[(String, String)],
    spec: &ListSpec,
    dialect: Dialect,
) -> Option<String> {
    let common = match dialect {
        Dialect::V3 => COMMON,
        Dialect::Documented2017 => COMMON_IN_2017,
    };
    let common = if spec.is_list { common } else { &[] };
    let valid: Vec<&str> = common.iter().chain(spec.params).copied().collect();
    let mut unknown: Vec<&str> = Vec::new();
    for (key, _) in params {
        let name = param_name(key);
        if !valid.contains(&name) && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let unknown = format!("Unknown query parameter(s): '{}'", unknown.join("', '"));
    Some(match dialect {
        Dialect::V3 => format!("{unknown}. Valid parameters are: '{}'", valid.join("', '")),
        Dialect::Documented2017 => unknown,
    })
}

pub(super) fn page_errors(params: &[(String, String)]) -> Vec<String> {
    let mut errors = Vec::new();
    if last_value(params, "page").is_some_and(|page| page_number(Some(page)).is_none()) {
        errors.push("Page must be a positive integer".into());
    }
    if let Some(text) = last_value(params, "per_page") {
        match page_number(Some(text)) {
            None => errors.push("Per page must be a positive integer".into()),
            Some(per_page) if per_page > MAX_PER_PAGE => {
                errors.push(format!("Per page must be between 1 and {MAX_PER_PAGE}"));
            }
            Some(_) => {}
        }
    }
    let number = |name, default| page_number(last_value(params, name)).unwrap_or(default);
    let (page, per_page) = (number("page", 1), number("per_page", DEFAULT_PER_PAGE));
    if page
        .checked_mul(per_page)
        .is_none_or(|last| last > MAX_RESULT)
    {
        errors.push(format!(
            "Maximum result (page * per_page) must be less than {MAX_RESULT}"
        ));
    }
    errors
}

/// A positive integer as Ruby's `to_i` reads it, which ignores what follows the
/// digits.
pub(super) fn page_number(text: Option<&str>) -> Option<u64> {
    let text = text?.trim_start();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let digits = &text[..digits];
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(u64::MAX);
    (number > 0).then_some(number)
}

pub(super) fn read_order(
    params: &[(String, String)],
    spec: &ListSpec,
    errors: &mut Vec<String>,
) -> Option<Order> {
    let text = last_value(params, "order_by").filter(|text| !text.is_empty())?;
    let column = text.strip_prefix(['+', '-']).unwrap_or(text);
    let columns: Vec<&str> = ["created_at", "updated_at"]
        .iter()
        .chain(spec.order_by)
        .copied()
        .collect();
    if !columns.contains(&column) {
        let valid: Vec<String> = columns.iter().map(|c| format!("'{c}'")).collect();
        errors.push(format!("Order by can only be: {}", valid.join(", ")));
        return None;
    }
    Some(Order {
        column: column.into(),
        descending: text.starts_with('-'),
        in_links: true,
    })
}

pub(super) fn check_choices(
    kind: &str,
    values: Option<Vec<String>>,
    valid: &[&str],
    errors: &mut Vec<String>,
) {
    let values = values.unwrap_or_default();
    for (index, value) in values.iter().enumerate() {
        if !valid.contains(&value.as_str()) {
            errors.push(format!(
                "Invalid {kind} resource: '{value}'. Valid {kind} resources are: '{}'",
                valid.join("', '")
            ));
        } else if values[..index].contains(value) {
            errors.push(format!("Duplicate {kind} resource: '{value}'"));
        }
    }
}

/// `fields[space]=name,guid`
pub(super) fn check_fields(query: &ListQuery, valid: Fields, errors: &mut Vec<String>) {
    let quote = |names: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<String> = names.map(|name| format!("'{name}'")).collect();
        quoted.join(", ")
    };
    for (key, _) in query
        .params
        .iter()
        .filter(|(key, _)| param_name(key) == "fields")
    {
        let Some(resource) = key
            .strip_prefix("fields[")
            .and_then(|key| key.strip_suffix(']'))
        else {
            errors.push("Fields must be an object".into());
            continue;
        };
        let Some((_, allowed)) = valid.iter().find(|(name, _)| *name == resource) else {
            let resources = quote(&mut valid.iter().map(|(name, _)| *name));
            errors.push(format!(
                "Fields [{resource}] valid resources are: {resources}"
            ));
            continue;
        };
        let asked = query.fields(resource).unwrap_or_default();
        if !asked.iter().all(|field| allowed.contains(&field.as_str())) {
            let keys = quote(&mut allowed.iter().copied());
            errors.push(format!("Fields valid keys for '{resource}' are: {keys}"));
        }
    }
}
