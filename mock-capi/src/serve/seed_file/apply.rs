//! Creates the resources of a seed: first those that apps need, then the apps, and last
//! those that could prevent apps.

use serde_json::{Map, Value, json};

use super::entries::{
    OrgEntry, QuotaEntry, RoleEntry, SecurityGroupEntry, Seed, ServiceBindingEntry,
    ServiceInstanceEntry, SpaceEntry, UserEntry,
};
use super::requests::Requests;
use super::{apps, policies};
use crate::world::settings::Settings;
use crate::world::{
    App, Domain, Guid, IsolationSegment, Org, Quota, RoleType, Row, SecurityGroup, Space,
    SpaceQuota, UAA_ORIGIN, World,
};

/// An org of a seed and the GUIDs of its spaces, in order.
struct SeededOrg<'s> {
    guid: Guid,
    entry: &'s OrgEntry,
    spaces: Vec<(Guid, &'s SpaceEntry)>,
}

pub(super) fn apply(seed: &Seed, world: &mut World, settings: &Settings) -> Result<(), String> {
    let mut requests = Requests::new(world, settings);
    let fake = &mut requests;
    for (flag, enabled) in &seed.feature_flags {
        let path = format!("/v3/feature_flags/{flag}");
        let sent = fake.send("PATCH", &path, &json!({"enabled": enabled}));
        sent.map_err(|error| format!("feature flag '{flag}': {error}"))?;
    }
    for name in &seed.domains {
        add_domain(fake, name, None)?;
    }
    for quota in &seed.org_quotas {
        org_quota(fake, quota)?;
    }
    for group in &seed.security_groups {
        security_group(fake, group)?;
    }
    for user in &seed.users {
        match user {
            UserEntry::Name(name) => fake.world.seed_account(name, None, false),
            UserEntry::Account(account) => {
                let password = account.password.as_deref();
                fake.world
                    .seed_account(&account.name, password, account.admin)
            }
        };
    }
    let orgs = seed.orgs.iter().map(|org| create_org(fake, org));
    let orgs: Vec<SeededOrg<'_>> = orgs.collect::<Result<_, _>>()?;
    for org in &orgs {
        for (space, entry) in &org.spaces {
            services(fake, *space, entry)?;
            apps::apply(fake, *space, &entry.apps, seed.apps_domain.as_deref())?;
            for binding in &entry.service_bindings {
                bind(fake, *space, binding)?;
            }
        }
    }
    for policy in &seed.network_policies {
        policies::add(fake.world, policy, None)?;
    }
    for org in &orgs {
        for (space, entry) in &org.spaces {
            for policy in &entry.network_policies {
                policies::add(fake.world, policy, Some((org.entry, entry)))?;
            }
            limit_space(fake.world, org.guid, *space, entry)?;
        }
        finish_org(fake, org)?;
    }
    fake.forget_events();
    Ok(())
}

/// Creates an org with its spaces, without quotas.
fn create_org<'s>(fake: &mut Requests<'_>, entry: &'s OrgEntry) -> Result<SeededOrg<'s>, String> {
    let in_org = |error: String| format!("org '{}': {error}", entry.name);
    let there = fake.world.named::<Org>(&entry.name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({"name": entry.name});
            made(fake.send("POST", "/v3/organizations", &body)).map_err(in_org)?
        }
    };
    // Without a quota, nothing is limited.
    fake.world
        .update_row(guid, |org: &mut Org| org.quota = guid);
    if let Some(metadata) = &entry.metadata {
        let path = format!("/v3/organizations/{guid}");
        let sent = fake.send("PATCH", &path, &json!({"metadata": metadata}));
        sent.map_err(in_org)?;
    }
    for name in &entry.domains {
        add_domain(fake, name, Some(guid)).map_err(in_org)?;
    }
    if let Some(name) = &entry.isolation_segment {
        let segment = segment_of(fake, name, guid).map_err(in_org)?;
        fake.world
            .update_row(guid, |org: &mut Org| org.default_segment = Some(segment));
    }
    for role in &entry.roles {
        assign_role(fake.world, role, guid, None).map_err(in_org)?;
    }
    for quota in &entry.space_quotas {
        space_quota(fake, quota, guid).map_err(in_org)?;
    }
    let mut spaces = Vec::new();
    for space in &entry.spaces {
        spaces.push((create_space(fake, guid, space)?, space));
    }
    Ok(SeededOrg {
        guid,
        entry,
        spaces,
    })
}

fn create_space(fake: &mut Requests<'_>, org: Guid, entry: &SpaceEntry) -> Result<Guid, String> {
    let name = &entry.name;
    let in_space = |error: String| format!("space '{name}': {error}");
    let there = fake.world.find_space(org, name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({
                "name": name,
                "relationships": {"organization": {"data": {"guid": org}}},
            });
            made(fake.send("POST", "/v3/spaces", &body)).map_err(in_space)?
        }
    };
    if let Some(metadata) = &entry.metadata {
        let path = format!("/v3/spaces/{guid}");
        let sent = fake.send("PATCH", &path, &json!({"metadata": metadata}));
        sent.map_err(in_space)?;
    }
    for (feature, enabled) in &entry.features {
        let path = format!("/v3/spaces/{guid}/features/{feature}");
        let sent = fake.send("PATCH", &path, &json!({"enabled": enabled}));
        sent.map_err(|error| in_space(format!("feature '{feature}': {error}")))?;
    }
    if let Some(segment) = &entry.isolation_segment {
        let segment = segment_of(fake, segment, org).map_err(in_space)?;
        fake.world
            .update_row(guid, |space: &mut Space| space.segment = Some(segment));
    }
    for group in &entry.security_groups {
        let bound = fake.world.seed_running_group(guid, group);
        bound.ok_or_else(|| in_space(format!("there is no security group '{group}'")))?;
    }
    for role in &entry.roles {
        assign_role(fake.world, role, org, Some(guid)).map_err(in_space)?;
    }
    Ok(guid)
}

/// The GUID of the resource that a request created.
fn made(sent: Result<Option<Guid>, String>) -> Result<Guid, String> {
    sent?.ok_or_else(|| "it has no GUID".into())
}

/// Adds a shared domain, or a domain of an org. An existing domain is not changed.
fn add_domain(fake: &mut Requests<'_>, name: &str, org: Option<Guid>) -> Result<(), String> {
    if fake.world.named::<Domain>(name).is_some() {
        return Ok(());
    }
    let mut body = json!({"name": name});
    if let Some(org) = org {
        body["relationships"] = json!({"organization": {"data": {"guid": org}}});
    }
    let sent = fake.send("POST", "/v3/domains", &body);
    sent.map_err(|error| format!("domain '{name}': {error}"))?;
    Ok(())
}

/// The isolation segment with this name, to which the org is then entitled.
fn segment_of(fake: &mut Requests<'_>, name: &str, org: Guid) -> Result<Guid, String> {
    let there = fake.world.named::<IsolationSegment>(name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({"name": name});
            let sent = made(fake.send("POST", "/v3/isolation_segments", &body));
            sent.map_err(|error| format!("isolation segment '{name}': {error}"))?
        }
    };
    fake.world
        .update_row(guid, |segment: &mut IsolationSegment| {
            if !segment.orgs.contains(&org) {
                segment.orgs.push(org);
            }
        });
    Ok(guid)
}

fn assign_role(
    world: &mut World,
    role: &RoleEntry,
    org: Guid,
    space: Option<Guid>,
) -> Result<(), String> {
    let RoleEntry { kind, user, origin } = role;
    let known = RoleType::of_name(kind);
    let known = known.filter(|it| it.is_of_space() == space.is_some());
    let known = known.ok_or_else(|| format!("user '{user}': there is no role '{kind}' here"))?;
    let origin = origin.as_deref().unwrap_or(UAA_ORIGIN);
    let account = world.find_or_add_account(user, origin);
    world.seed_role_in(account, known, org, space);
    Ok(())
}

fn limits(quota: &QuotaEntry) -> Map<String, Value> {
    let sections = [
        ("apps", &quota.apps),
        ("services", &quota.services),
        ("routes", &quota.routes),
        ("domains", &quota.domains),
    ];
    let given = sections.into_iter();
    let given = given.filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
    let name = ("name".to_owned(), json!(quota.name));
    given.chain([name]).collect()
}

fn org_quota(fake: &mut Requests<'_>, quota: &QuotaEntry) -> Result<(), String> {
    let there = fake.world.named::<Quota>(&quota.name).map(Row::guid);
    let body = Value::Object(limits(quota));
    let sent = match there {
        Some(guid) => fake.send("PATCH", &format!("/v3/organization_quotas/{guid}"), &body),
        None => fake.send("POST", "/v3/organization_quotas", &body),
    };
    sent.map_err(|error| format!("quota '{}': {error}", quota.name))?;
    Ok(())
}

fn space_quota(fake: &mut Requests<'_>, quota: &QuotaEntry, org: Guid) -> Result<(), String> {
    let mut body = Value::Object(limits(quota));
    body["relationships"] = json!({"organization": {"data": {"guid": org}}});
    let sent = fake.send("POST", "/v3/space_quotas", &body);
    sent.map_err(|error| format!("space quota '{}': {error}", quota.name))?;
    Ok(())
}

/// Creates a security group, or changes an existing one.
fn security_group(fake: &mut Requests<'_>, group: &SecurityGroupEntry) -> Result<(), String> {
    let enabled = group.globally_enabled;
    let body = json!({
        "name": group.name,
        "rules": group.rules,
        "globally_enabled": {"running": enabled.running, "staging": enabled.staging},
    });
    let there = fake.world.named::<SecurityGroup>(&group.name);
    let sent = match there.map(Row::guid) {
        Some(guid) => fake.send("PATCH", &format!("/v3/security_groups/{guid}"), &body),
        None => fake.send("POST", "/v3/security_groups", &body),
    };
    sent.map_err(|error| format!("security group '{}': {error}", group.name))?;
    Ok(())
}

fn services(fake: &mut Requests<'_>, space: Guid, entry: &SpaceEntry) -> Result<(), String> {
    for instance in &entry.service_instances {
        create_service(fake, space, instance)
            .map_err(|error| format!("service instance '{}': {error}", instance.name))?;
    }
    Ok(())
}

fn create_service(
    fake: &mut Requests<'_>,
    space: Guid,
    instance: &ServiceInstanceEntry,
) -> Result<(), String> {
    if instance.kind != "user-provided" {
        let reason = "is managed by a broker, which a seed does not have: seeds have those of `type: user-provided`";
        return Err(reason.into());
    }
    let mut body = json!({
        "type": "user-provided",
        "name": instance.name,
        "tags": instance.tags,
        "relationships": {"space": {"data": {"guid": space}}},
    });
    if let Some(credentials) = &instance.credentials {
        body["credentials"] = credentials.clone();
    }
    for (key, url) in [
        ("syslog_drain_url", &instance.syslog_drain_url),
        ("route_service_url", &instance.route_service_url),
    ] {
        if let Some(url) = url {
            body[key] = json!(url);
        }
    }
    fake.send("POST", "/v3/service_instances", &body)?;
    Ok(())
}

fn bind(fake: &mut Requests<'_>, space: Guid, binding: &ServiceBindingEntry) -> Result<(), String> {
    let app = &binding.app;
    let apps = fake.world.apps.iter();
    let apps = apps.filter(|it| it.space == space && policies::is_match(app, &it.name));
    let apps: Vec<Guid> = apps.map(App::guid).collect();
    if apps.is_empty() {
        return Err(format!("binding: there is no app '{app}'"));
    }
    apps.into_iter()
        .try_for_each(|app| bind_one(fake, space, app, binding))
}

fn bind_one(
    fake: &mut Requests<'_>,
    space: Guid,
    found: Guid,
    binding: &ServiceBindingEntry,
) -> Result<(), String> {
    let ServiceBindingEntry {
        app,
        service_instance,
        name,
        parameters,
    } = binding;
    let instance = fake
        .world
        .find_usable_service_instance(space, service_instance);
    let instance = instance.map(Row::guid);
    let instance = instance
        .ok_or_else(|| format!("binding: there is no service instance '{service_instance}'"))?;
    let mut body = json!({
        "type": "app",
        "relationships": {
            "app": {"data": {"guid": found}},
            "service_instance": {"data": {"guid": instance}},
        },
    });
    if let Some(name) = name {
        body["name"] = json!(name);
    }
    if let Some(parameters) = parameters {
        body["parameters"] = parameters.clone();
    }
    let sent = fake.send("POST", "/v3/service_credential_bindings", &body);
    sent.map_err(|error| format!("binding of '{app}' to '{service_instance}': {error}"))?;
    Ok(())
}

/// Assigns the quota of a space.
fn limit_space(
    world: &mut World,
    org: Guid,
    space: Guid,
    entry: &SpaceEntry,
) -> Result<(), String> {
    let Some(name) = &entry.quota else {
        return Ok(());
    };
    let is_meant = |quota: &&SpaceQuota| quota.org == org && quota.name == *name;
    let quota = world.space_quotas.iter().find(is_meant).map(Row::guid);
    let quota = quota.ok_or_else(|| {
        let space = &entry.name;
        format!("space '{space}': there is no space quota '{name}'")
    })?;
    world.update_row(space, |space: &mut Space| space.quota = Some(quota));
    Ok(())
}

/// Assigns the quota of an org, and suspends the org if it is suspended in the seed.
fn finish_org(fake: &mut Requests<'_>, org: &SeededOrg<'_>) -> Result<(), String> {
    let OrgEntry {
        name,
        quota,
        suspended,
        ..
    } = org.entry;
    let default = fake.world.default_quota().map(Row::guid);
    let quota = match quota {
        Some(quota) => {
            let named = fake.world.named::<Quota>(quota).map(Row::guid);
            Some(named.ok_or_else(|| format!("org '{name}': there is no quota '{quota}'"))?)
        }
        None => default,
    };
    fake.world.update_row(org.guid, |org: &mut Org| {
        org.quota = quota.unwrap_or(org.quota);
        org.suspended = *suspended;
    });
    Ok(())
}
