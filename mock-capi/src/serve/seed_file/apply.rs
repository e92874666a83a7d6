//! Creates the resources of a seed: first those that apps need, then the apps, and last
//! those that could prevent apps.

use serde_json::{Map, Value, json};

use super::entries::{
    OrgEntry, QuotaEntry, RoleEntry, SecurityGroupEntry, Seed, ServiceBindingEntry,
    ServiceInstanceEntry, SpaceEntry, UserEntry,
};
use super::problem::{Problem, each};
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

pub(super) fn apply(seed: &Seed, world: &mut World, settings: &Settings) -> Result<(), Problem> {
    let mut requests = Requests::new(world, settings);
    let fake = &mut requests;
    for (flag, enabled) in &seed.feature_flags {
        let path = format!("/v3/feature_flags/{flag}");
        set(
            fake,
            &path,
            "feature_flags",
            ("feature flag", flag),
            *enabled,
        )?;
    }
    each("domains", &seed.domains, |name| {
        add_domain(fake, name, None)
    })?;
    each("org_quotas", &seed.org_quotas, |quota| {
        org_quota(fake, quota).map_err(|problem| problem.named("quota", &quota.name))
    })?;
    each("security_groups", &seed.security_groups, |group| {
        security_group(fake, group).map_err(|problem| problem.named("security group", &group.name))
    })?;
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
    let mut orgs = Vec::new();
    each("orgs", &seed.orgs, |entry| {
        let created = create_org(fake, entry);
        orgs.push(created.map_err(|problem| problem.named("org", &entry.name))?);
        Ok(())
    })?;
    each_space(&orgs, |_, space, entry| {
        services(fake, space, entry)?;
        apps::apply(fake, space, &entry.apps, seed.apps_domain.as_deref())?;
        each("service_bindings", &entry.service_bindings, |binding| {
            Ok(bind(fake, space, binding)?)
        })
    })?;
    each("network_policies", &seed.network_policies, |policy| {
        Ok(policies::add(fake.world, policy, None)?)
    })?;
    each_space(&orgs, |org, space, entry| {
        each("network_policies", &entry.network_policies, |policy| {
            let place = Some((org.entry, entry));
            Ok(policies::add(fake.world, policy, place)?)
        })?;
        limit_space(fake.world, org.guid, space, entry)
    })?;
    each("orgs", &orgs, |org| {
        finish_org(fake, org).map_err(|problem| problem.named("org", &org.entry.name))
    })?;
    fake.forget_events();
    Ok(())
}

/// Carries out a step for each space of a seed.
fn each_space<'s>(
    orgs: &[SeededOrg<'s>],
    mut step: impl FnMut(&SeededOrg<'s>, Guid, &'s SpaceEntry) -> Result<(), Problem>,
) -> Result<(), Problem> {
    each("orgs", orgs, |org| {
        let done = each("spaces", &org.spaces, |&(space, entry)| {
            step(org, space, entry).map_err(|problem| problem.named("space", &entry.name))
        });
        done.map_err(|problem| problem.named("org", &org.entry.name))
    })
}

/// Enables or disables a feature. `key` is the map in the seed that contains its name.
fn set(
    fake: &mut Requests<'_>,
    path: &str,
    key: &str,
    (what, name): (&str, &str),
    enabled: bool,
) -> Result<(), Problem> {
    let sent = fake.send("PATCH", path, &json!({"enabled": enabled}));
    let problem = |reason: String| Problem::from(reason).named(what, name).in_key(name);
    sent.map_err(|reason| problem(reason).in_key(key))?;
    Ok(())
}

/// Creates an org with its spaces, without quotas.
fn create_org<'s>(fake: &mut Requests<'_>, entry: &'s OrgEntry) -> Result<SeededOrg<'s>, Problem> {
    let there = fake.world.named::<Org>(&entry.name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({"name": entry.name});
            made(fake.send("POST", "/v3/organizations", &body))?
        }
    };
    // Without a quota, nothing is limited.
    fake.world
        .update_row(guid, |org: &mut Org| org.quota = guid);
    if let Some(metadata) = &entry.metadata {
        label(fake, &format!("/v3/organizations/{guid}"), metadata)?;
    }
    each("domains", &entry.domains, |name| {
        add_domain(fake, name, Some(guid))
    })?;
    if let Some(name) = &entry.isolation_segment {
        let segment = segment_of(fake, name, guid)?;
        fake.world
            .update_row(guid, |org: &mut Org| org.default_segment = Some(segment));
    }
    each("roles", &entry.roles, |role| {
        Ok(assign_role(fake.world, role, guid, None)?)
    })?;
    each("space_quotas", &entry.space_quotas, |quota| {
        space_quota(fake, quota, guid).map_err(|problem| problem.named("space quota", &quota.name))
    })?;
    let mut spaces = Vec::new();
    each("spaces", &entry.spaces, |space| {
        let created = create_space(fake, guid, space);
        let created = created.map_err(|problem| problem.named("space", &space.name))?;
        spaces.push((created, space));
        Ok(())
    })?;
    Ok(SeededOrg {
        guid,
        entry,
        spaces,
    })
}

fn create_space(fake: &mut Requests<'_>, org: Guid, entry: &SpaceEntry) -> Result<Guid, Problem> {
    let name = &entry.name;
    let there = fake.world.find_space(org, name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({
                "name": name,
                "relationships": {"organization": {"data": {"guid": org}}},
            });
            made(fake.send("POST", "/v3/spaces", &body))?
        }
    };
    if let Some(metadata) = &entry.metadata {
        label(fake, &format!("/v3/spaces/{guid}"), metadata)?;
    }
    for (feature, enabled) in &entry.features {
        let path = format!("/v3/spaces/{guid}/features/{feature}");
        set(fake, &path, "features", ("feature", feature), *enabled)?;
    }
    if let Some(segment) = &entry.isolation_segment {
        let segment = segment_of(fake, segment, org)?;
        fake.world
            .update_row(guid, |space: &mut Space| space.segment = Some(segment));
    }
    each("security_groups", &entry.security_groups, |group| {
        let bound = fake.world.seed_running_group(guid, group);
        bound.ok_or_else(|| format!("there is no security group '{group}'"))?;
        Ok(())
    })?;
    each("roles", &entry.roles, |role| {
        Ok(assign_role(fake.world, role, org, Some(guid))?)
    })?;
    Ok(guid)
}

/// Sets the metadata of the resource at this path.
fn label(fake: &mut Requests<'_>, path: &str, metadata: &Value) -> Result<(), Problem> {
    let sent = fake.send("PATCH", path, &json!({"metadata": metadata}));
    sent.map_err(|reason| Problem::from(reason).in_key("metadata"))?;
    Ok(())
}

/// The GUID of the resource that a request created.
fn made(sent: Result<Option<Guid>, String>) -> Result<Guid, String> {
    sent?.ok_or_else(|| "it has no GUID".into())
}

/// Adds a shared domain, or a domain of an org. An existing domain is not changed.
fn add_domain(fake: &mut Requests<'_>, name: &str, org: Option<Guid>) -> Result<(), Problem> {
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
fn segment_of(fake: &mut Requests<'_>, name: &str, org: Guid) -> Result<Guid, Problem> {
    let there = fake.world.named::<IsolationSegment>(name).map(Row::guid);
    let guid = match there {
        Some(guid) => guid,
        None => {
            let body = json!({"name": name});
            let sent = made(fake.send("POST", "/v3/isolation_segments", &body));
            sent.map_err(|reason| {
                let problem = Problem::from(reason).named("isolation segment", name);
                problem.in_key("isolation_segment")
            })?
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

fn org_quota(fake: &mut Requests<'_>, quota: &QuotaEntry) -> Result<(), Problem> {
    let there = fake.world.named::<Quota>(&quota.name).map(Row::guid);
    let body = Value::Object(limits(quota));
    match there {
        Some(guid) => fake.send("PATCH", &format!("/v3/organization_quotas/{guid}"), &body)?,
        None => fake.send("POST", "/v3/organization_quotas", &body)?,
    };
    Ok(())
}

fn space_quota(fake: &mut Requests<'_>, quota: &QuotaEntry, org: Guid) -> Result<(), Problem> {
    let mut body = Value::Object(limits(quota));
    body["relationships"] = json!({"organization": {"data": {"guid": org}}});
    fake.send("POST", "/v3/space_quotas", &body)?;
    Ok(())
}

/// Creates a security group, or changes an existing one.
fn security_group(fake: &mut Requests<'_>, group: &SecurityGroupEntry) -> Result<(), Problem> {
    let enabled = group.globally_enabled;
    let body = json!({
        "name": group.name,
        "rules": group.rules,
        "globally_enabled": {"running": enabled.running, "staging": enabled.staging},
    });
    let there = fake.world.named::<SecurityGroup>(&group.name);
    match there.map(Row::guid) {
        Some(guid) => fake.send("PATCH", &format!("/v3/security_groups/{guid}"), &body)?,
        None => fake.send("POST", "/v3/security_groups", &body)?,
    };
    Ok(())
}

fn services(fake: &mut Requests<'_>, space: Guid, entry: &SpaceEntry) -> Result<(), Problem> {
    each("service_instances", &entry.service_instances, |instance| {
        create_service(fake, space, instance)
            .map_err(|problem| problem.named("service instance", &instance.name))
    })
}

fn create_service(
    fake: &mut Requests<'_>,
    space: Guid,
    instance: &ServiceInstanceEntry,
) -> Result<(), Problem> {
    if instance.kind != "user-provided" {
        let reason = "is managed by a broker, which a seed does not have: seeds have those of `type: user-provided`";
        return Err(Problem::from(reason.to_owned()).in_key("type"));
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
) -> Result<(), Problem> {
    let Some(name) = &entry.quota else {
        return Ok(());
    };
    let is_meant = |quota: &&SpaceQuota| quota.org == org && quota.name == *name;
    let quota = world.space_quotas.iter().find(is_meant).map(Row::guid);
    let quota = quota.ok_or_else(|| {
        Problem::from(format!("there is no space quota '{name}'")).in_key("quota")
    })?;
    world.update_row(space, |space: &mut Space| space.quota = Some(quota));
    Ok(())
}

/// Assigns the quota of an org, and suspends the org if it is suspended in the seed.
fn finish_org(fake: &mut Requests<'_>, org: &SeededOrg<'_>) -> Result<(), Problem> {
    let OrgEntry {
        quota, suspended, ..
    } = org.entry;
    let default = fake.world.default_quota().map(Row::guid);
    let quota = match quota {
        Some(quota) => {
            let named = fake.world.named::<Quota>(quota).map(Row::guid);
            Some(named.ok_or_else(|| {
                Problem::from(format!("there is no quota '{quota}'")).in_key("quota")
            })?)
        }
        None => default,
    };
    fake.world.update_row(org.guid, |org: &mut Org| {
        org.quota = quota.unwrap_or(org.quota);
        org.suspended = *suspended;
    });
    Ok(())
}
