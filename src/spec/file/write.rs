//! Writes a desired state as a spec.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::desired::{
    AppState, Bits, Desired, Group, Limit, Limits, Metadata, NetworkPolicy, Org, Role, Rule,
    SecurityGroup, ServiceBinding, ServiceInstance, ServiceKind, Space,
};
use crate::manifest::entry::{Purpose, has_index};
use crate::manifest::placeholder::{self, escaped};
use crate::manifest::variables::{escape_variables, variables_in};
use crate::manifest::yaml::{Map, Value};
use crate::spec::sources::bundled_name;

/// A map in progress, in order.
#[derive(Default)]
struct Writer(Map);

impl Writer {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.set(key, value.into());
    }

    /// Sets a value if there is one.
    fn some(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a list if it has items.
    fn list<T>(&mut self, key: &str, items: &[T], write: impl Fn(&T) -> Value) {
        if !items.is_empty() {
            self.set(key, Value::List(items.iter().map(write).collect()));
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        self.list(key, texts, |text| Value::text(text.as_str()));
    }

    /// Sets a list of names, with placeholders escaped.
    fn names(&mut self, key: &str, names: &[String]) {
        self.list(key, names, |name| literal(name));
    }

    /// Sets a map if it has entries.
    fn map<'e, T: 'e>(
        &mut self,
        key: &str,
        entries: impl IntoIterator<Item = (&'e String, &'e T)>,
        write: impl Fn(&T) -> Value,
    ) {
        let entries = entries.into_iter();
        let map: Map = entries
            .map(|(key, value)| (Value::text(key.as_str()), write(value)))
            .collect();
        if !map.is_empty() {
            self.set(key, Value::Map(map));
        }
    }

    fn finish(self) -> Value {
        Value::Map(self.0)
    }
}

/// The variable for passwords of registries.
const DOCKER_PASSWORD: &str = "docker_password";

/// The spec of a desired state as YAML, without values that equal the defaults. A text
/// that is one of the variables, such as `((name))`, is not escaped.
pub(super) fn render(desired: &Desired, variables: &BTreeSet<&str>) -> String {
    let mut root = Writer::default();
    root.set("version", Value::Int(1));
    root.set("name", desired.owner());
    root.some("apps_domain", desired.apps_domain());
    root.list("org_quotas", desired.org_quotas(), |quota| {
        limits(&quota.name, &quota.limits)
    });
    root.list("security_groups", desired.security_groups(), security_group);
    root.names("domains", desired.domains());
    root.names("users", desired.users());
    root.map("feature_flags", desired.feature_flags(), |is| {
        Value::Bool(*is)
    });
    root.texts("protected", desired.protected());
    root.list("orgs", desired.orgs(), |it| org(it, variables));
    let mut variables = variables.clone();
    variables.insert(DOCKER_PASSWORD);
    without_variables(root.finish(), &variables).render()
}

/// Escapes the texts of a value that look like variables, except variables with these
/// names.
fn without_variables(value: Value, variables: &BTreeSet<&str>) -> Value {
    match value {
        Value::Text(text) if text.contains("((") => match is_variable(&text, variables) {
            true => Value::Text(text),
            false => Value::text(escape_variables(&text)),
        },
        Value::List(list) => {
            let list = list.into_iter();
            Value::List(list.map(|it| without_variables(it, variables)).collect())
        }
        Value::Map(map) => {
            let pairs = map.into_iter().map(|(key, value)| {
                let key = without_variables(key, variables);
                (key, without_variables(value, variables))
            });
            Value::Map(pairs.collect())
        }
        other => other,
    }
}

/// Whether a text is one of these variables, such as `((name))`.
fn is_variable(text: &str, variables: &BTreeSet<&str>) -> bool {
    let mut names = variables_in(text);
    names.any(|name| text == format!("(({name}))") && variables.contains(name))
}

/// Escapes all placeholders of a text.
fn literal(text: &str) -> Value {
    Value::text(escaped(text, &placeholder::ALL))
}

/// Escapes all placeholders of a text, except for placeholders of apps.
fn of_app(text: &str) -> Value {
    Value::text(escaped(text, &["org", "space"]))
}

/// Replaces each text of a value with the result of `write`.
fn rewritten(value: Value, write: fn(&str) -> Value) -> Value {
    match value {
        Value::Text(text) => write(&text),
        Value::List(list) => Value::List(list.into_iter().map(|it| rewritten(it, write)).collect()),
        Value::Map(map) => {
            let pairs = map.into_iter();
            Value::Map(
                pairs
                    .map(|(key, value)| (key, rewritten(value, write)))
                    .collect(),
            )
        }
        other => other,
    }
}

fn limits(name: &str, limits: &Limits) -> Value {
    let mut quota = Writer::default();
    quota.set("name", literal(name));
    for (section, keys) in limits.sections() {
        quota.map(section, keys, |limit| match limit {
            Limit::Unlimited => Value::Null,
            Limit::Allowed(is) => Value::Bool(*is),
            Limit::Most(most) => Value::Int(i128::from(*most)),
        });
    }
    quota.finish()
}

fn security_group(group: &SecurityGroup) -> Value {
    let mut map = Writer::default();
    map.set("name", literal(&group.name));
    let mut enabled = Writer::default();
    enabled.some("running", group.globally_enabled.running.map(Value::Bool));
    enabled.some("staging", group.globally_enabled.staging.map(Value::Bool));
    if !enabled.0.is_empty() {
        map.set("globally_enabled", enabled.finish());
    }
    map.list("rules", &group.rules, rule);
    map.finish()
}

fn rule(rule: &Rule) -> Value {
    let mut map = Writer::default();
    map.set("protocol", rule.protocol.as_str());
    map.set("destination", literal(&rule.destination));
    map.some("ports", rule.ports.as_deref().map(literal));
    map.some("type", rule.icmp_type.map(|it| Value::Int(it.into())));
    map.some("code", rule.icmp_code.map(|it| Value::Int(it.into())));
    map.some("description", rule.description.as_deref().map(literal));
    map.some("log", rule.log.map(Value::Bool));
    map.finish()
}

fn metadata(map: &mut Writer, metadata: &Metadata) {
    let mut parts = Writer::default();
    for (key, part) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        parts.map(key, part, |text| literal(text));
    }
    if !parts.0.is_empty() {
        map.set("metadata", parts.finish());
    }
}

fn role(role: &Role) -> Value {
    let mut map = Writer::default();
    map.set("type", role.kind.as_str());
    map.set("user", literal(&role.user));
    map.some("origin", role.origin.as_deref());
    map.finish()
}

fn org(org: &Org, variables: &BTreeSet<&str>) -> Value {
    let mut map = Writer::default();
    map.set("name", literal(&org.name));
    map.some("quota", org.quota.as_deref().map(literal));
    map.some("suspended", org.suspended.map(Value::Bool));
    metadata(&mut map, &org.metadata);
    map.names("domains", &org.domains);
    map.some("isolation_segment", org.isolation_segment.as_deref());
    map.list("roles", &org.roles, role);
    map.list("space_quotas", &org.space_quotas, |quota| {
        limits(&quota.name, &quota.limits)
    });
    map.list("spaces", &org.spaces, |it| space(it, variables));
    map.finish()
}

fn space(space: &Space, variables: &BTreeSet<&str>) -> Value {
    let mut map = Writer::default();
    map.set("name", literal(&space.name));
    map.some("quota", space.quota.as_deref().map(literal));
    map.map("features", &space.features, |is| Value::Bool(*is));
    map.names("security_groups", &space.security_groups);
    map.some("isolation_segment", space.isolation_segment.as_deref());
    metadata(&mut map, &space.metadata);
    map.list("roles", &space.roles, role);
    map.list("service_instances", &space.services, service);
    map.list("service_bindings", &space.service_bindings, binding);
    map.list("network_policies", &space.network_policies, policy);
    map.list("apps", &space.groups, |it| app(it, variables));
    map.finish()
}

fn service(service: &ServiceInstance) -> Value {
    let json = |map: &serde_json::Map<String, Json>| Value::from(&Json::Object(map.clone()));
    let mut map = Writer::default();
    map.set("name", literal(&service.name));
    match &service.kind {
        ServiceKind::UserProvided {
            credentials,
            syslog_drain_url,
            route_service_url,
        } => {
            map.set("type", "user-provided");
            map.some("credentials", credentials.as_ref().map(json));
            map.some("syslog_drain_url", syslog_drain_url.as_deref());
            map.some("route_service_url", route_service_url.as_deref());
        }
        ServiceKind::Managed {
            offering,
            plan,
            broker,
            parameters,
        } => {
            map.set("type", "managed");
            map.set("offering", offering.as_str());
            map.set("plan", plan.as_str());
            map.some("broker", broker.as_deref());
            map.some("parameters", parameters.as_ref().map(json));
        }
    }
    map.texts("tags", &service.tags);
    map.finish()
}

fn binding(binding: &ServiceBinding) -> Value {
    let mut map = Writer::default();
    map.set("app", of_app(&binding.app));
    map.set("service_instance", literal(&binding.service));
    map.some("name", binding.name.as_deref().map(literal));
    let parameters = binding.parameters.clone().map(Json::Object);
    map.some("parameters", parameters.as_ref().map(Value::from));
    map.finish()
}

fn policy(policy: &NetworkPolicy) -> Value {
    let mut map = Writer::default();
    map.set("from", literal(&policy.from));
    map.set("to", literal(&policy.to));
    map.set("protocol", policy.protocol.as_str());
    let (first, last) = policy.ports;
    match first == last {
        true => map.set("ports", Value::Int(first.into())),
        false => map.set("ports", Value::text(format!("{first}-{last}"))),
    }
    map.finish()
}

/// Writes the image of an app, unless it uses the droplet of another app's image. A
/// password that is not a variable is replaced with a variable.
fn docker(map: &mut Writer, group: &Group, variables: &BTreeSet<&str>) {
    if group.like.is_some() {
        map.0.remove("docker");
    }
    let docker = map.0.get_mut("docker").and_then(Value::as_map_mut);
    if let Some(docker) = docker
        && docker.contains("username")
    {
        let password = group.entry.docker().and_then(|docker| docker.password);
        let password = password.filter(|text| is_variable(text, variables));
        let password = password.map(str::to_owned);
        let password = password.unwrap_or_else(|| format!("(({DOCKER_PASSWORD}))"));
        docker.set("password", Value::text(password));
    }
}

fn app(group: &Group, variables: &BTreeSet<&str>) -> Value {
    let mut map = Writer::default();
    map.set("name", of_app(&group.name));
    let entry = Json::Object(group.entry.application(Purpose::Change));
    if group.count != 1 || has_index(&group.name) || group.entry.has_index() {
        map.set("count", Value::Int(group.count.into()));
    }
    if group.state == AppState::Stopped {
        map.set("state", "stopped");
    }
    let ignored = [
        ("state", group.ignores_state),
        ("droplets", group.ignores_droplets),
    ];
    let ignored = ignored.into_iter().filter(|(_, is_ignored)| *is_ignored);
    let ignored: Vec<Value> = ignored.map(|(key, _)| key.into()).collect();
    if !ignored.is_empty() {
        map.set("ignore_changes", Value::List(ignored));
    }
    match (&group.like, &group.bits) {
        (Some(like), _) => map.set("like", of_app(like)),
        (None, Bits::Folder(path) | Bits::Archive(path)) => {
            map.set("path", literal(&path.display().to_string()));
        }
        (None, Bits::Droplet(path)) => {
            map.set("droplet", literal(&path.display().to_string()));
        }
        (None, bits) => map.some("bundled", bundled_name(bits)),
    }
    if let Value::Map(properties) = Value::from(&entry) {
        for (key, value) in properties {
            let value = match key.as_text() {
                Some("env" | "routes" | "services" | "metadata") => rewritten(value, of_app),
                Some("docker") => rewritten(value, literal),
                _ => value,
            };
            map.0.set(key, value);
        }
    }
    docker(&mut map, group, variables);
    if group.entry.has_default_route() {
        map.set("default-route", Value::Bool(true));
    }
    map.finish()
}
