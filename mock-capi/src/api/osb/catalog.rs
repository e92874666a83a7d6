//! Reads and validates catalogs of service brokers.

use serde_json::{Map, Value};

use crate::world::{CatalogEntry, CatalogOffering, CatalogPlan, ruby};

/// An offering of the broker's previous catalog, and whether it may be removed.
pub(super) struct PreviousOffering {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_removable: bool,
}

/// The errors of a part of the catalog, including nested parts.
#[derive(Default)]
struct Problems {
    own: Vec<String>,
    nested: Vec<(String, Self)>,
}

impl Problems {
    fn add(&mut self, text: impl Into<String>) {
        self.own.push(text.into());
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.nested.iter().all(|(_, nested)| nested.is_empty())
    }

    /// The errors, one per line, indented by their depth.
    fn text(&self, depth: usize) -> String {
        let indent = "  ".repeat(depth);
        let own = self.own.iter().map(|text| format!("{indent}{text}\n"));
        let nested = self.nested.iter().filter(|(_, nested)| !nested.is_empty());
        let nested =
            nested.map(|(title, nested)| format!("{indent}{title}\n{}", nested.text(depth + 1)));
        own.chain(nested).collect()
    }

    fn text_field(&mut self, label: &str, value: Option<&Value>, required: bool) {
        match value.filter(|value| !value.is_null()) {
            Some(Value::String(text)) if required && text.trim().is_empty() => {
                self.add(format!("{label} is required"));
            }
            Some(Value::String(_)) => {}
            Some(other) => self.add(format!(
                "{label} must be a string, but has value {}",
                ruby::inspect(other)
            )),
            None if required => self.add(format!("{label} is required")),
            None => {}
        }
    }

    fn description(&mut self, label: &str, value: Option<&Value>) {
        self.text_field(label, value, true);
        if value.is_some_and(|value| ruby::length(value) > 10_000) {
            self.add(format!("{label} may not have more than 10000 characters"));
        }
    }

    fn boolean(&mut self, label: &str, value: Option<&Value>, required: bool) {
        match value.filter(|value| !value.is_null()) {
            Some(Value::Bool(_)) => {}
            Some(other) => self.add(format!(
                "{label} must be a boolean, but has value {}",
                ruby::inspect(other)
            )),
            None if required => self.add(format!("{label} is required")),
            None => {}
        }
    }

    fn object(&mut self, label: &str, value: Option<&Value>) {
        let value = value.filter(|value| !value.is_null() && **value != Value::Bool(false));
        if let Some(value) = value.filter(|value| !value.is_object()) {
            let value = ruby::inspect(value);
            self.add(format!("{label} must be a hash, but has value {value}"));
        }
    }

    fn texts(&mut self, label: &str, value: Option<&Value>) {
        let Some(value) = value else { return };
        let list = value.as_array();
        if !list.is_some_and(|list| list.iter().all(Value::is_string)) {
            let value = ruby::inspect(value);
            self.add(format!(
                "{label} must be an array of strings, but has value {value}"
            ));
        }
    }
}

/// Reads a catalog. The error contains all problems, one per line.
pub(super) fn read(
    body: &Map<String, Value>,
    known: &[PreviousOffering],
) -> Result<Vec<CatalogEntry>, String> {
    let services = body.get("services").and_then(Value::as_array);
    let services = services.map_or(&[] as &[Value], Vec::as_slice);
    let mut problems = Problems::default();
    for service in services {
        let mut nested = Problems::default();
        check_service(service, &mut nested);
        let name = ruby::text(service.get("name").unwrap_or(&Value::Null));
        problems.nested.push((format!("Service {name}"), nested));
    }
    if services.is_empty() {
        problems.add("Service broker must provide at least one service");
    }
    let texts = |key: &str| -> Vec<&str> {
        let found = services.iter().filter_map(|it| it.get(key)?.as_str());
        found.collect()
    };
    let (ids, names) = (texts("id"), texts("name"));
    if has_duplicates(&ids) {
        problems.add("Service ids must be unique");
    }
    if has_duplicates(&names) {
        problems.add("Service names must be unique within a broker");
    }
    let taken = known.iter().filter(|known| {
        let mut named = services
            .iter()
            .filter(|it| it["name"] == known.name.as_str());
        let other = named.next().is_some_and(|it| it["id"] != known.id.as_str());
        other && !known.is_removable
    });
    let taken: Vec<&str> = taken.map(|known| known.name.as_str()).collect();
    if !taken.is_empty() {
        problems.add(format!(
            "Service names must be unique within a broker. Services with names {taken:?} already exist"
        ));
    }
    check_plan_ids(services, &mut problems);
    let clients = services.iter().filter_map(|it| it.get("dashboard_client"));
    let clients: Vec<&str> = clients.filter_map(|it| it.get("id")?.as_str()).collect();
    if has_duplicates(&clients) {
        problems.add("Service dashboard_client id must be unique");
    }
    if !problems.is_empty() {
        return Err(format!("\n{}", problems.text(0)));
    }
    Ok(services.iter().map(read_service).collect())
}

fn has_duplicates(texts: &[&str]) -> bool {
    let mut sorted = texts.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

fn plans_of(service: &Value) -> &[Value] {
    let plans = service.get("plans").and_then(Value::as_array);
    plans.map_or(&[], Vec::as_slice)
}

/// Reports plan IDs that are not unique within the broker.
fn check_plan_ids(services: &[Value], problems: &mut Problems) {
    let mut seen: Vec<(&str, String, String)> = Vec::new();
    for service in services {
        let service_name = ruby::text(&service["name"]);
        for plan in plans_of(service) {
            let Some(id) = plan.get("id").and_then(Value::as_str) else {
                continue;
            };
            let name = ruby::text(&plan["name"]);
            if let Some((_, other, of)) = seen.iter().find(|(other, _, _)| *other == id) {
                problems.add(format!(
                    "Plan ids must be unique. Unable to register plan with id '{id}' (plan name '{name}', service name '{service_name}') because it uses the same id as another plan in the catalog (plan name '{other}', service name '{of}')"
                ));
            }
            seen.push((id, name, service_name.clone()));
        }
    }
}

fn check_service(service: &Value, problems: &mut Problems) {
    const REQUIRES: [&str; 3] = ["syslog_drain", "route_forwarding", "volume_mount"];
    let get = |key: &str| service.get(key);
    problems.text_field("Service id", get("id"), true);
    problems.text_field("Service name", get("name"), true);
    problems.description("Service description", get("description"));
    problems.boolean("Service \"bindable\" field", get("bindable"), true);
    for field in [
        "plan_updateable",
        "bindings_retrievable",
        "instances_retrievable",
        "allow_context_updates",
    ] {
        problems.boolean(&format!("Service \"{field}\" field"), get(field), false);
    }
    problems.texts("Service tags", get("tags"));
    let tags = get("tags").and_then(Value::as_array);
    let length = |tags: &Vec<Value>| tags.iter().map(ruby::length).sum::<usize>();
    if tags.is_some_and(|tags| length(tags) > 2048) {
        let name = ruby::text(&service["name"]);
        problems.add(format!(
            "Tags for the service {name} must be 2048 characters or less."
        ));
    }
    problems.texts("Service \"requires\" field", get("requires"));
    problems.object("Service metadata", get("metadata"));
    let shareable = get("metadata").and_then(|metadata| metadata.get("shareable"));
    problems.boolean("Service metadata shareable", shareable, false);
    problems.object(
        "Service dashboard client attributes",
        get("dashboard_client"),
    );
    if let Some(Value::Object(client)) = get("dashboard_client") {
        for key in ["id", "secret", "redirect_uri"] {
            let label = format!("Service dashboard client {key}");
            problems.text_field(&label, client.get(key), true);
        }
    }
    let requires = get("requires").and_then(Value::as_array);
    for value in requires.into_iter().flatten() {
        if !value
            .as_str()
            .is_some_and(|value| REQUIRES.contains(&value))
        {
            problems.add(format!(
                "Service \"requires\" field contains unsupported value \"{}\"",
                ruby::text(value)
            ));
        }
    }
    check_plans(service, problems);
}

fn check_plans(service: &Value, problems: &mut Problems) {
    let given = service.get("plans").filter(|plans| !plans.is_null());
    let is_empty = match given {
        None => true,
        Some(Value::Array(plans)) => plans.is_empty(),
        Some(_) => false,
    };
    if is_empty {
        problems.add("At least one plan is required");
        return;
    }
    let list = given.and_then(Value::as_array);
    if !list.is_some_and(|list| list.iter().all(Value::is_object)) {
        let given = ruby::inspect(given.unwrap_or(&Value::Null));
        problems.add(format!(
            "Service plans list must be an array of hashes, but has value {given}"
        ));
        return;
    }
    let plans = plans_of(service);
    for plan in plans {
        let mut nested = Problems::default();
        check_plan(plan, &mut nested);
        let name = ruby::text(&plan["name"]);
        problems.nested.push((format!("Plan {name}"), nested));
    }
    let service_name = ruby::text(&service["name"]);
    for (key, text) in [
        (
            "id",
            "Plan ids must be unique. Service {} already has a plan with id '[]'",
        ),
        (
            "name",
            "Plan names must be unique within a service. Service {} already has a plan named []",
        ),
    ] {
        let mut values: Vec<String> = plans.iter().map(|plan| ruby::text(&plan[key])).collect();
        values.sort();
        let mut twice: Vec<&String> = values
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| &pair[0])
            .collect();
        twice.dedup();
        for value in twice {
            problems.add(text.replace("{}", &service_name).replace("[]", value));
        }
    }
}

fn check_plan(plan: &Value, problems: &mut Problems) {
    let get = |key: &str| plan.get(key);
    problems.text_field("Plan id", get("id"), true);
    problems.text_field("Plan name", get("name"), true);
    problems.description("Plan description", get("description"));
    problems.object("Plan metadata", get("metadata"));
    problems.boolean("Plan free", get("free"), false);
    problems.boolean("Plan bindable", get("bindable"), false);
    problems.boolean("Plan updateable", get("plan_updateable"), false);
    let duration = get("maximum_polling_duration").filter(|it| !it.is_null());
    if let Some(duration) = duration.filter(|it| !it.is_i64() && !it.is_u64()) {
        problems.add(format!(
            "Maximum polling duration must be an integer, but has value {}",
            ruby::inspect(duration)
        ));
    }
    problems.object("Plan schemas", get("schemas"));
    let info = get("maintenance_info").filter(|it| !it.is_null());
    problems.object("Maintenance info", info);
    if let Some(Value::Object(info)) = info {
        let version = info.get("version");
        problems.text_field("Maintenance info version", version, true);
        let text = info.get("description");
        problems.text_field("Maintenance info description", text, false);
        let others: Vec<&str> = info
            .keys()
            .map(String::as_str)
            .filter(|key| !["version", "description"].contains(key))
            .collect();
        if !others.is_empty() {
            problems.add(format!(
                "Maintenance info contains invalid key(s): {}",
                others.join(", ")
            ));
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn object(value: &Value, key: &str) -> Option<Map<String, Value>> {
    value.get(key).and_then(Value::as_object).cloned()
}

fn read_service(service: &Value) -> CatalogEntry {
    let offering = CatalogOffering {
        id: text(service, "id"),
        name: text(service, "name"),
        description: text(service, "description"),
        bindable: flag(service, "bindable"),
        plan_updateable: flag(service, "plan_updateable"),
        bindings_retrievable: flag(service, "bindings_retrievable"),
        instances_retrievable: flag(service, "instances_retrievable"),
        allow_context_updates: flag(service, "allow_context_updates"),
        tags: texts(service, "tags"),
        requires: texts(service, "requires"),
        metadata: object(service, "metadata"),
    };
    let plans = plans_of(service).iter().map(|plan| CatalogPlan {
        id: text(plan, "id"),
        name: text(plan, "name").trim().to_owned(),
        description: text(plan, "description"),
        free: plan.get("free").and_then(Value::as_bool).unwrap_or(true),
        bindable: plan.get("bindable").and_then(Value::as_bool),
        plan_updateable: plan.get("plan_updateable").and_then(Value::as_bool),
        metadata: object(plan, "metadata"),
        maximum_polling_duration: plan.get("maximum_polling_duration").and_then(Value::as_u64),
        maintenance_info: object(plan, "maintenance_info"),
        schemas: plan.get("schemas").cloned().unwrap_or_default(),
    });
    (offering, plans.collect())
}
