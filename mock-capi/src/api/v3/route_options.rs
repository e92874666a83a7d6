//! The options of routes, which determine how requests are balanced.

use serde_json::{Map, Value, json};

use crate::api::error::CcError;
use crate::api::message::Message;
use crate::world::{FeatureFlag, Guid, Route, World, ruby};

/// The valid options of a route.
pub(crate) struct OptionRules {
    pub(crate) names: &'static [&'static str],
    pub(crate) algorithms: &'static [&'static str],
    pub(crate) hashes: bool,
}

/// The valid options. Those for hash-based routing need a feature flag.
pub(crate) fn option_rules(world: &World) -> OptionRules {
    let flag = world.named::<FeatureFlag>("hash_based_routing");
    match flag.is_some_and(|flag| flag.enabled) {
        false => OptionRules {
            names: &OPTIONS[..1],
            algorithms: &ALGORITHMS[..2],
            hashes: false,
        },
        true => OptionRules {
            names: &OPTIONS,
            algorithms: &ALGORITHMS,
            hashes: true,
        },
    }
}

const OPTIONS: [&str; 3] = ["loadbalancing", "hash_header", "hash_balance"];

const ALGORITHMS: [&str; 3] = ["round-robin", "least-connection", "hash"];

const MAX_OPTIONS: usize = 1024;

const MAX_HASH_HEADER: usize = 128;

const MAX_HASH_BALANCE: usize = 16;

/// Reads the options of a route.
pub(super) fn read_options<'b>(
    message: &mut Message<'b>,
    world: &World,
) -> Option<&'b Map<String, Value>> {
    if !message.has("options") {
        return None;
    }
    let Some(Value::Object(options)) = message.get("options") else {
        message.error("Options 'options' is not a valid object");
        return None;
    };
    let size = json!(options).to_string().len();
    if size > MAX_OPTIONS {
        message.error(format!(
            "Options must be smaller than {MAX_OPTIONS} bytes (actual size is {size} bytes)"
        ));
    }
    let rules = option_rules(world);
    let mut inner = Message::new(options, &OPTIONS);
    let given = |name: &str| options.get(name).filter(|value| !ruby::is_blank(value));
    let algorithm = given("loadbalancing");
    if algorithm.is_some() {
        let known = rules.algorithms.join(", ");
        let text = format!("must be one of '{known}' if present");
        inner
            .check("loadbalancing")
            .one_of_texts(rules.algorithms, &text);
    }
    let unknown = OPTIONS.into_iter();
    let unknown = unknown.filter(|name| given(name).is_some() && !rules.names.contains(name));
    let unknown: Vec<&str> = unknown.collect();
    if !unknown.is_empty() {
        inner.error(format!("Unknown field(s): '{}'", unknown.join("', '")));
    }
    if rules.hashes {
        check_hash_options(
            &mut inner,
            algorithm,
            given("hash_header"),
            given("hash_balance"),
        );
    }
    message.absorb_as("Options", inner);
    Some(options)
}

pub(crate) fn check_hash_options(
    message: &mut Message<'_>,
    algorithm: Option<&Value>,
    header: Option<&Value>,
    balance: Option<&Value>,
) {
    if header.is_some_and(|header| ruby::text(header).chars().count() > MAX_HASH_HEADER) {
        message.error(format!(
            "Hash header must be at most {MAX_HASH_HEADER} characters"
        ));
    }
    if let Some(balance) = balance.map(ruby::text)
        && let Some(reason) = hash_balance_error(&balance)
    {
        message.error(format!("Hash balance {reason}"));
    }
    let is_other = algorithm.is_some_and(|algorithm| algorithm != "hash");
    for (is_given, what) in [(header.is_some(), "header"), (balance.is_some(), "balance")] {
        if is_given && is_other {
            message.error(format!(
                "Hash {what} can only be set when loadbalancing is hash"
            ));
        }
    }
}

/// The error for a hash balance.
fn hash_balance_error(text: &str) -> Option<&'static str> {
    if text.chars().count() > MAX_HASH_BALANCE {
        return Some("must be at most 16 characters");
    }
    match text.trim().parse::<f64>() {
        Ok(balance) if balance == 0.0 || (1.1..=10.0).contains(&balance) => None,
        Ok(_) => Some("must be either 0 or between 1.1 and 10.0"),
        Err(_) => Some("must be a numeric value"),
    }
}

/// Merges options as the Cloud Controller's model does. Null removes an option. If the
/// algorithm is no longer `hash`, the options for hashing are removed. A balance is a
/// string with one decimal place.
pub(super) fn merge_options<'o>(
    options: &mut Map<String, Value>,
    changes: impl IntoIterator<Item = (&'o String, &'o Value)>,
) {
    for (name, value) in changes {
        if value.is_null() {
            options.shift_remove(name);
        } else {
            options.insert(name.clone(), value.clone());
        }
    }
    if options.get("loadbalancing").is_none_or(|it| it != "hash") {
        options.shift_remove("hash_header");
        options.shift_remove("hash_balance");
    }
    if let Some(balance) = options.get_mut("hash_balance") {
        let number = ruby::text(balance).trim().parse::<f64>();
        if let Ok(number) = number {
            *balance = json!(ruby::float_text((number * 10.0).round() / 10.0));
        }
    }
}

/// Checks merged options, with the errors of the model.
pub(super) fn check_options(options: &Map<String, Value>) -> Result<(), CcError> {
    let hashes = options.get("loadbalancing").is_some_and(|it| it == "hash");
    if hashes && options.get("hash_header").is_none_or(ruby::is_blank) {
        return Err(CcError::unprocessable(
            "Hash header must be present when loadbalancing is set to hash.",
        ));
    }
    if json!(options).to_string().len() > MAX_OPTIONS {
        return Err(CcError::unprocessable(format!(
            "Route options size exceeded: options must be smaller than {MAX_OPTIONS} bytes."
        )));
    }
    Ok(())
}

/// Sets options. Null removes an option.
pub(crate) fn set_options(
    world: &mut World,
    guid: Guid,
    changes: &Map<String, Value>,
) -> Result<(), CcError> {
    let Some(route) = world.routes.get(guid).filter(|_| !changes.is_empty()) else {
        return Ok(());
    };
    let mut options = route.options.clone();
    merge_options(&mut options, changes);
    check_options(&options)?;
    world.update_row(guid, |route: &mut Route| route.options = options);
    Ok(())
}
