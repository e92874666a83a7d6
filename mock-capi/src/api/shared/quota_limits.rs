//! The limits of quotas for organizations and for spaces.

use serde_json::{Map, Value, json};

use crate::api::error::{CcError, validate};
use crate::api::message::{MAX_INT, Message};
use crate::world::{Guid, Limits, World};

pub(crate) const MAX_NAME: usize = 250;

/// The `apps`, `services` and `routes` of a quota.
pub(crate) fn present(limits: &Limits) -> [(&'static str, Value); 3] {
    let apps = json!({
        "total_memory_in_mb": limits.total_memory,
        "per_process_memory_in_mb": limits.process_memory,
        "total_instances": limits.instances,
        "per_app_tasks": limits.tasks,
        "log_rate_limit_in_bytes_per_second": limits.log_rate,
    });
    let services = json!({
        "paid_services_allowed": limits.paid_services,
        "total_service_instances": limits.services,
        "total_service_keys": limits.service_keys,
    });
    let routes = json!({
        "total_routes": limits.routes,
        "total_reserved_ports": limits.reserved_ports,
    });
    [("apps", apps), ("services", services), ("routes", routes)]
}

/// Reads limits. Limits that the request does not contain are unchanged.
pub(crate) fn read(message: &mut Message<'_>, mut limits: Limits) -> Limits {
    let apps = [
        ("total_memory_in_mb", MAX_INT),
        ("per_process_memory_in_mb", MAX_INT),
        ("total_instances", MAX_INT),
        ("per_app_tasks", MAX_INT),
        ("log_rate_limit_in_bytes_per_second", i64::MAX),
    ];
    let into = [
        &mut limits.total_memory,
        &mut limits.process_memory,
        &mut limits.instances,
        &mut limits.tasks,
        &mut limits.log_rate,
    ];
    read_section(message, "apps", &apps, into);
    let services = [
        ("total_service_instances", MAX_INT),
        ("total_service_keys", MAX_INT),
    ];
    let paid = message
        .get("services")
        .and_then(|services| services.get("paid_services_allowed"));
    limits.paid_services = paid
        .and_then(Value::as_bool)
        .unwrap_or(limits.paid_services);
    let into = [&mut limits.services, &mut limits.service_keys];
    read_section(message, "services", &services, into);
    let routes = [("total_routes", MAX_INT), ("total_reserved_ports", MAX_INT)];
    let into = [&mut limits.routes, &mut limits.reserved_ports];
    read_section(message, "routes", &routes, into);
    let domains = [("total_domains", MAX_INT)];
    read_section(message, "domains", &domains, [&mut limits.domains]);
    limits
}

/// The name of a quota, if the request contains it. Null is an error.
pub(crate) fn read_name<'b>(message: &mut Message<'b>) -> Option<&'b str> {
    if !message.has("name") {
        return None;
    }
    let name = message.check("name").string();
    name.length(1..=MAX_NAME).text()
}

/// Checks a quota as the Cloud Controller's model does, after the request was read.
/// `name` is the new name, if any, and `ports` is the error for reserved ports, if any.
pub(crate) fn check_model(
    name: Option<&str>,
    body: &Map<String, Value>,
    ports: Option<&str>,
) -> Result<(), CcError> {
    let paid = body.get("services");
    let paid = paid.and_then(|services| services.get("paid_services_allowed"));
    let is_blank = name.is_some_and(|name| name.trim().is_empty());
    // The validation of the request accepts an empty array.
    let errors = [
        is_blank.then_some("name presence"),
        (paid == Some(&json!([]))).then_some("non_basic_services_allowed presence"),
        ports,
    ];
    let errors = errors.into_iter().flatten().map(str::to_owned);
    validate(&errors.collect::<Vec<_>>())
}

/// Whether a request sets a log rate limit.
pub(crate) fn limits_log_rate(body: &Map<String, Value>) -> bool {
    let apps = body.get("apps");
    let limit = apps.and_then(|apps| apps.get("log_rate_limit_in_bytes_per_second"));
    limit.is_some_and(|limit| !limit.is_null())
}

/// Whether more ports are reserved than routes are allowed.
pub(crate) fn reserves_too_much(limits: &Limits) -> bool {
    exceeds(limits.reserved_ports, limits.routes)
}

/// Whether a limit exceeds another limit. Absent limits are ignored.
pub(crate) fn exceeds(limit: Option<u64>, other: Option<u64>) -> bool {
    limit.zip(other).is_some_and(|(limit, other)| limit > other)
}

/// Refuses a log rate limit for owners whose apps have no limit. `kind` is the kind of
/// the owners.
pub(crate) fn refuse_unlimited(kind: &str, mut names: Vec<&str>) -> Result<(), CcError> {
    const NAMED: usize = 2;
    names.sort_unstable();
    let named = names.iter().take(NAMED).copied().collect::<Vec<_>>();
    let named = named.join("', '");
    let owners = match names.len() {
        0 => return Ok(()),
        1 => format!("{kind} '{named}' which contains"),
        NAMED => format!("{kind}s '{named}' which contain"),
        all => format!(
            "{kind}s '{named}' and {} other {kind}s which contain",
            all - NAMED
        ),
    };
    Err(CcError::unprocessable(format!(
        "Current usage exceeds new quota values. This quota is applied to {owners} apps running with an unlimited log rate limit."
    )))
}

/// Refuses to apply a quota with a log rate limit to such apps.
pub(crate) fn refuse_to_limit(
    world: &World,
    limits: &Limits,
    kind: &str,
    spaces: &[Guid],
) -> Result<(), CcError> {
    if limits.log_rate.is_some() && world.has_unlimited_log_rate(spaces) {
        return Err(CcError::unprocessable(format!(
            "Current usage exceeds new quota values. The {kind}(s) being assigned this quota contain apps running with an unlimited log rate limit."
        )));
    }
    Ok(())
}

/// Reads the limits of a section. Null means unlimited, and absent limits are unchanged.
fn read_section<const N: usize>(
    message: &mut Message<'_>,
    section: &str,
    fields: &[(&str, i64); N],
    limits: [&mut Option<u64>; N],
) {
    if message.has(section) && message.get(section).is_none() {
        let (first, rest) = section.split_at(1);
        let section = format!("{}{rest}", first.to_uppercase());
        message.error(format!("{section} must be an object"));
    }
    let mut allowed: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    if section == "services" {
        allowed.push("paid_services_allowed");
    }
    let values = message.nested(section, &allowed, |inner| {
        // The validation of the request accepts an empty array.
        if inner.get("paid_services_allowed") != Some(&json!([])) {
            inner.boolean("paid_services_allowed");
        }
        fields.map(|(name, max)| {
            let value = inner.integer(name, 0..=max);
            inner
                .has(name)
                .then_some(value.and_then(|value| u64::try_from(value).ok()))
        })
    });
    for (limit, value) in limits.into_iter().zip(values.into_iter().flatten()) {
        if let Some(value) = value {
            *limit = value;
        }
    }
}

impl Limits {
    /// The limits of a quota that is created without limits.
    pub(crate) fn of_new_quota() -> Self {
        Self {
            total_memory: None,
            process_memory: None,
            instances: None,
            tasks: None,
            log_rate: None,
            paid_services: true,
            services: None,
            service_keys: None,
            routes: None,
            reserved_ports: None,
            domains: None,
        }
    }
}
