//! Builds a desired state from the resources of an export.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::download::Files;
use super::left_out::Routes;
use super::observed::{Observed, ObservedApp, ObservedService, ObservedSpace};
use super::secrets::{Redaction, Secrets};
use super::{Export, ExportError, Exporter, text};
use crate::capi::model::{self, CLONE_ANNOTATION, Labels, MANAGED_BY_LABEL, PREFIX_ANNOTATION};
use crate::desired::{
    AppState, Bits, Desired, Group, Limit, Limits, Metadata, NetworkPolicy, Org, OrgQuota, Role,
    Rule, SecurityGroup, ServiceInstance, ServiceKind, Space, SpaceQuota,
};
use crate::manifest::entry::{self, ManifestEntry, text_of};
use crate::spec::file::SpecFile;

/// Unique names, with characters that are valid for variables and files.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Names that must not be used.
    pub(super) fn reserve<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        self.0.extend(names.map(str::to_owned));
    }

    /// A unique name, without invalid characters, and with a number if the name is
    /// already used.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let letter = |it: char| match it.is_ascii_alphanumeric() || it == '-' {
            true => it,
            false => '_',
        };
        let name: String = name.chars().map(letter).collect();
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut candidates = std::iter::once(name.clone()).chain(numbered);
        let unique = candidates.find(|it| !self.0.contains(it)).unwrap_or(name);
        self.0.insert(unique.clone());
        unique
    }
}

/// The state of building a desired state.
struct Builder<'o> {
    exporter: &'o Exporter,
    observed: &'o Observed,
    files: &'o Files,
    routes: Routes<'o>,
    secrets: Secrets,
    warnings: Vec<String>,
    /// The number of running apps without bits in the spec.
    without_bits: usize,
}

impl Exporter {
    pub(super) fn write(&self, observed: &Observed, files: &Files) -> Result<Export, ExportError> {
        let mut builder = Builder {
            exporter: self,
            observed,
            files,
            routes: Routes::of(observed, self.seed),
            secrets: Secrets::new(self.seed, observed.texts()),
            warnings: Vec::new(),
            without_bits: 0,
        };
        let desired = builder.desired()?;
        observed.warn_of_left_out(&mut builder.warnings);
        let Builder {
            secrets,
            warnings,
            without_bits,
            ..
        } = builder;
        let variables = secrets.into_variables();
        let names: BTreeSet<&str> = variables.iter().map(|it| it.name.as_str()).collect();
        let spec = SpecFile::render_with(&desired, &names);
        let what = match &self.space {
            Some(space) => format!("space {space} in org {}", self.org),
            None => format!("org {}", self.org),
        };
        let user = self.client.user();
        let text = text::Comments {
            what: &format!("{what} as {user} sees it"),
            is_seed: self.seed,
            without_bits,
            variables: &variables,
            warnings: &warnings,
        };
        Ok(Export {
            text: text.add_to(&spec),
            variables,
            droplets: files.all.clone(),
            warnings,
        })
    }
}

impl Builder<'_> {
    fn desired(&mut self) -> Result<Desired, ExportError> {
        let observed = self.observed;
        let mut org = Org::new(&observed.org.name);
        org.suspended = Some(observed.org.is_suspended);
        let place = format!("the org {}", observed.org.name);
        let found = metadata(&observed.org.labels, &observed.org.annotations);
        org.metadata = self.without_secrets(found, &observed.org.name, &place);
        org.isolation_segment = observed.isolation_segment.clone();
        org.roles = observed.roles.iter().map(role).collect();
        // For a single space, only the quota of that space is exported.
        let is_used = |quota: &&model::SpaceQuota| {
            let mut spaces = observed.spaces.iter();
            let is_of = |it: &ObservedSpace| it.space.quota.as_ref() == Some(&quota.guid);
            self.exporter.space.is_none() || spaces.any(is_of)
        };
        let quotas = observed.space_quotas.iter().filter(is_used);
        org.space_quotas = quotas
            .map(|quota| SpaceQuota::new(&quota.name, limits(&quota.limits)))
            .collect();
        let own = observed.domains.iter();
        let own = own.filter(|it| it.owner.as_deref() == Some(observed.org.guid.as_str()));
        org.domains = own.map(|domain| domain.name.clone()).collect();
        org.domains.sort();
        let mut desired = Desired::builder(&observed.org.name);
        if let Some((quota, is_own)) = &observed.quota {
            org.quota = Some(quota.name.clone());
            if *is_own || self.exporter.seed {
                desired = desired.org_quota(OrgQuota::new(&quota.name, limits(&quota.limits)));
            }
        }
        for group in &observed.security_groups {
            desired = desired.security_group(security_group(group));
        }
        for space in &observed.spaces {
            let space = self.space(space)?;
            org = org.space(space);
        }
        if self.exporter.seed {
            for domain in self.shared_domains() {
                desired = desired.domain(domain);
            }
            if observed.apps().any(|(_, app)| app.is_docker) {
                desired = desired.feature_flag("diego_docker", true);
            }
        }
        Ok(desired.org(org).build_unchecked())
    }

    /// The shared domains that can have routes of apps.
    fn shared_domains(&self) -> Vec<&str> {
        let domains = self.observed.domains.iter();
        let domains = domains.filter(|domain| domain.owner.is_none() && domain.is_for_apps);
        let mut domains: Vec<&str> = domains.map(|domain| domain.name.as_str()).collect();
        domains.sort_unstable();
        domains
    }

    fn space(&mut self, observed: &ObservedSpace) -> Result<Space, ExportError> {
        let mut space = Space::new(&observed.name);
        let quotas = self.observed.space_quotas.iter();
        let mut quotas = quotas.filter(|it| Some(&it.guid) == observed.space.quota.as_ref());
        space.quota = quotas.next().map(|quota| quota.name.clone());
        space.features = BTreeMap::from([("ssh".to_owned(), observed.allows_ssh)]);
        space.isolation_segment = observed.isolation_segment.clone();
        let place = format!("the space {}", observed.name);
        let found = metadata(&observed.space.labels, &observed.space.annotations);
        space.metadata = self.without_secrets(found, &observed.name, &place);
        space.roles = observed.roles.iter().map(role).collect();
        let groups = self.observed.security_groups.iter();
        let groups = groups.filter(|group| group.running_spaces.contains(&observed.guid));
        space.security_groups = groups.map(|group| group.name.clone()).collect();
        for service in &observed.services {
            let service = self.service(observed, service);
            space.services.extend(service);
        }
        space.network_policies = self.policies(observed);
        for app in &observed.apps {
            let group = self.app(observed, app)?;
            space = space.group(group);
        }
        Ok(space)
    }

    fn service(
        &mut self,
        space: &ObservedSpace,
        service: &ObservedService,
    ) -> Option<ServiceInstance> {
        let instance = &service.instance;
        let name = &instance.name;
        let kind = match &instance.plan {
            None => {
                let credentials = Value::Object(service.credentials.clone());
                let place = format!("the service instance {name}");
                let owner = self.owner(space, name);
                let hidden =
                    self.secrets
                        .hide(&credentials, Redaction::All, "credentials", &owner, &place);
                let hidden = hidden.as_object().cloned();
                let secrets = &mut self.secrets;
                let mut hide = |url: &Option<String>, key: &str| {
                    let url = url.as_deref()?;
                    Some(secrets.hide_url(url, key, &owner, &place))
                };
                ServiceKind::UserProvided {
                    credentials: hidden.filter(|credentials| !credentials.is_empty()),
                    syslog_drain_url: hide(&instance.syslog_drain_url, "syslog_drain_url"),
                    route_service_url: hide(&instance.route_service_url, "route_service_url"),
                }
            }
            Some(_) if self.exporter.seed => {
                self.warnings.push(format!(
                    "the service instance {name} is managed by a broker, which a seed does not have"
                ));
                return None;
            }
            Some(plan) => {
                let Some(plan) = self.observed.plans.get(plan) else {
                    self.warnings.push(format!(
                        "the plan of the service instance {name} is not visible to the user"
                    ));
                    return None;
                };
                ServiceKind::Managed {
                    offering: plan.offering.clone(),
                    plan: plan.name.clone(),
                    broker: Some(plan.broker.clone()).filter(|broker| !broker.is_empty()),
                    parameters: None,
                }
            }
        };
        let mut tags = instance.tags.clone();
        tags.sort();
        Some(ServiceInstance::new(name, kind).tags(tags))
    }

    /// Annotations may have a URL with a user. A label cannot.
    fn without_secrets(&mut self, mut metadata: Metadata, owner: &str, place: &str) -> Metadata {
        for (key, value) in &mut metadata.annotations {
            let key = format!("annotations_{key}");
            *value = self.secrets.hide_url(value, &key, owner, place);
        }
        metadata
    }

    /// The prefix for names of variables.
    fn owner(&self, space: &ObservedSpace, name: &str) -> String {
        match self.observed.spaces.len() {
            1 => name.to_owned(),
            _ => format!("{}-{name}", space.name),
        }
    }

    /// The policies for traffic that a space's apps send.
    fn policies(&mut self, space: &ObservedSpace) -> Vec<NetworkPolicy> {
        let apps = self.observed.apps();
        let places: HashMap<&str, (&ObservedSpace, &ObservedApp)> =
            apps.map(|it| (it.1.guid.as_str(), it)).collect();
        let mut policies = Vec::new();
        let has_pattern = |name: &str| name.contains(['*', '?', '/', '[', ']', '{', '}', '\\']);
        for policy in &self.observed.policies {
            let source = places.get(policy.source.as_str());
            let Some((_, from)) = source.filter(|(of, _)| of.guid == space.guid) else {
                continue;
            };
            let Some((to_space, to)) = places.get(policy.destination.as_str()) else {
                self.warnings.push(format!(
                    "a network policy of the app {} leads to an app elsewhere",
                    from.name
                ));
                continue;
            };
            let names = [&from.name, &to.name, &to_space.name];
            if let Some(name) = names.into_iter().find(|name| has_pattern(name)) {
                self.warnings.push(format!(
                    "a network policy from {} to {}: in a spec, the name {name} would be a pattern or a path",
                    from.name, to.name
                ));
                continue;
            }
            let to = match to_space.guid == space.guid {
                true => to.name.clone(),
                false => format!("{}/{}", to_space.name, to.name),
            };
            policies.push(NetworkPolicy::new(
                &from.name,
                to,
                &policy.protocol,
                policy.ports,
            ));
        }
        policies.sort_by(|a, b| {
            (&a.from, &a.to, &a.protocol, a.ports).cmp(&(&b.from, &b.to, &b.protocol, b.ports))
        });
        policies
    }

    fn app(&mut self, space: &ObservedSpace, app: &ObservedApp) -> Result<Group, ExportError> {
        let mut manifest = app.manifest.clone();
        manifest.remove("name");
        let routes = &self.routes;
        routes.take_special(space, app, &mut manifest, &mut self.warnings);
        tidy(&mut manifest);
        let owner = self.owner(space, &app.name);
        let place = format!("the app {}", app.name);
        for (key, value) in manifest.iter_mut().filter(|(key, _)| *key != "env") {
            self.hide_urls(value, key, &owner, &place);
        }
        if let Some(Value::Object(env)) = manifest.get_mut("env") {
            let hiding = match self.exporter.values || self.exporter.seed {
                true => Redaction::Secrets,
                false => Redaction::All,
            };
            for (name, value) in env {
                let literal = text_of(value);
                *value = self.secrets.hide(value, hiding, name, &owner, &place);
                if *value == literal {
                    *value = Value::from(entry::literal(&literal));
                }
            }
        }
        self.hide_password(&owner, &place, &mut manifest);
        for key in ["services", "metadata"] {
            if let Some(value) = manifest.get_mut(key) {
                make_literal(value);
            }
        }
        let entry = ManifestEntry::try_from(Value::Object(manifest));
        let entry = entry.map_err(|source| ExportError::Entry {
            app: app.name.clone(),
            source,
        })?;
        let file = self.files.by_app.get(&app.guid);
        let folder = self.exporter.bits_in_spec.as_deref();
        let bits = match (folder, file) {
            (Some(folder), Some(file)) => Bits::droplet(folder.join(file)),
            _ => Bits::None,
        };
        let has_source = !matches!(bits, Bits::None) || app.is_docker;
        let mut group = Group::new(entry::literal(&app.name), entry, bits);
        if has_source && app.has_unused && !self.exporter.seed {
            group = group.ignore_droplets();
        }
        if !app.is_started {
            return Ok(group.state(AppState::Stopped));
        }
        if self.exporter.seed || has_source {
            return Ok(group);
        }
        self.without_bits += 1;
        Ok(group.ignore_state())
    }

    /// Replaces texts that contain a URL with a user with variables. They can occur
    /// anywhere, such as in buildpacks and commands.
    fn hide_urls(&mut self, value: &mut Value, key: &str, owner: &str, place: &str) {
        match value {
            Value::String(text) => *text = self.secrets.hide_url(text, key, owner, place),
            Value::Array(list) => {
                for (at, item) in list.iter_mut().enumerate() {
                    self.hide_urls(item, &format!("{key}_{at}"), owner, place);
                }
            }
            Value::Object(map) => {
                for (inner, value) in map {
                    self.hide_urls(value, &format!("{key}_{inner}"), owner, place);
                }
            }
            _ => {}
        }
    }

    /// Writes a variable for the password of an image's registry, which the Cloud
    /// Controller does not show.
    fn hide_password(&mut self, owner: &str, place: &str, manifest: &mut Map<String, Value>) {
        let docker = manifest.get_mut("docker").and_then(Value::as_object_mut);
        let Some(docker) = docker.filter(|docker| docker.contains_key("username")) else {
            return;
        };
        let (key, all) = ("docker_password", Redaction::All);
        let password = self.secrets.hide(&json!(""), all, key, owner, place);
        docker.insert("password".to_owned(), password);
    }
}

/// Escapes the texts of a value, so that an app gets them unchanged.
fn make_literal(value: &mut Value) {
    match value {
        Value::String(text) => *text = entry::literal(text).into_owned(),
        Value::Array(list) => list.iter_mut().for_each(make_literal),
        Value::Object(map) => map.values_mut().for_each(make_literal),
        _ => {}
    }
}

/// Removes properties with default values or without an effect, and cf-pusher's own
/// labels and environment variables.
fn tidy(manifest: &mut Map<String, Value>) {
    if let Some(Value::Array(routes)) = manifest.get_mut("routes") {
        for route in routes.iter_mut().filter_map(Value::as_object_mut) {
            route.retain(|key, value| match key.as_str() {
                "protocol" => value != "http1",
                "options" => value.as_object().is_some_and(|options| !options.is_empty()),
                _ => true,
            });
        }
    }
    // The Cloud Controller shows the endpoint of a health check that is not HTTP, but
    // refuses it in a manifest.
    if let Some(Value::Array(processes)) = manifest.get_mut("processes") {
        for process in processes.iter_mut().filter_map(Value::as_object_mut) {
            for (kind, endpoint) in entry::HEALTH_CHECKS {
                if process.get(kind).is_none_or(|kind| kind != "http") {
                    process.remove(endpoint);
                }
            }
        }
    }
    let Some(Value::Object(metadata)) = manifest.get_mut("metadata") else {
        return;
    };
    for values in metadata.values_mut().filter_map(Value::as_object_mut) {
        values.retain(|key, _| !is_cf_pusher_metadata(key));
    }
    metadata.retain(|_, values| values.as_object().is_some_and(|values| !values.is_empty()));
    if metadata.is_empty() {
        manifest.remove("metadata");
    }
}

/// Whether a label or annotation is cf-pusher's own.
fn is_cf_pusher_metadata(key: &str) -> bool {
    [MANAGED_BY_LABEL, PREFIX_ANNOTATION, CLONE_ANNOTATION].contains(&key)
}

fn metadata(labels: &Labels, annotations: &Labels) -> Metadata {
    let mut metadata = Metadata::default();
    let foreign = |values: &Labels| -> BTreeMap<String, String> {
        let values = values.iter().filter(|(key, _)| !is_cf_pusher_metadata(key));
        values
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect()
    };
    metadata.labels = foreign(labels);
    metadata.annotations = foreign(annotations);
    metadata
}

fn role(role: &model::Role) -> Role {
    let desired = Role::new(&role.kind, &role.user);
    match &role.origin {
        Some(origin) => desired.origin(origin),
        None => desired,
    }
}

/// The limits that have a value.
fn limits(limits: &model::Limits) -> Limits {
    let mut desired = Limits::new();
    for (section, values) in limits {
        for (key, value) in values {
            let limit = match value {
                Some(Value::Bool(is)) => Limit::Allowed(*is),
                Some(value) => match value.as_u64() {
                    Some(most) => Limit::Most(most),
                    None => continue,
                },
                None => Limit::Unlimited,
            };
            desired = desired.limit(section, key, limit);
        }
    }
    desired
}

fn security_group(group: &model::SecurityGroup) -> SecurityGroup {
    let rules = group.rules.iter().map(|rule| {
        let mut desired = Rule::new(&rule.protocol, &rule.destination, rule.ports.clone());
        desired.icmp_type = rule.icmp_type;
        desired.icmp_code = rule.icmp_code;
        desired.description = rule.description.clone();
        desired.log = rule.log;
        desired
    });
    let mut desired = SecurityGroup::new(&group.name, rules.collect());
    if group.globally_running {
        desired = desired.globally_running(true);
    }
    if group.globally_staging {
        desired = desired.globally_staging(true);
    }
    desired
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names = Names::default();
        assert_eq!(names.unique("a/b c.tgz"), "a_b_c_tgz");
        assert_eq!(names.unique("a b/c.tgz"), "a_b_c_tgz-2");
    }

    #[test]
    fn defaults_and_labels_of_cf_pusher_are_left_out() {
        let mut manifest = json!({
            "routes": [{"route": "a.test", "protocol": "http1", "options": {}}, {"route": "b.test", "protocol": "http2"}],
            "metadata": {"labels": {"managed-by": "cf-pusher"}, "annotations": {"cf-pusher-prefix": "x", "note": "y"}},
            "processes": [
                {"type": "web", "health-check-type": "port", "health-check-http-endpoint": "/up"},
                {"type": "worker", "health-check-type": "http", "health-check-http-endpoint": "/up"},
            ],
        });
        let map = manifest.as_object_mut().unwrap();
        tidy(map);
        assert_eq!(
            manifest,
            json!({
                "routes": [{"route": "a.test"}, {"route": "b.test", "protocol": "http2"}],
                "metadata": {"annotations": {"note": "y"}},
                "processes": [
                    {"type": "web", "health-check-type": "port"},
                    {"type": "worker", "health-check-type": "http", "health-check-http-endpoint": "/up"},
                ],
            })
        );
    }
}
