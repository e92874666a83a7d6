//! Random desired states with random drift: one run repairs everything, and the next one
//! changes nothing.

use crate::support::declared::{foundation, group, user_provided};
use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{
    AppState, Desired, Group, Limits, NetworkPolicy, Org, OrgQuota, Role, Rule, SecurityGroup,
    Space, SpaceQuota,
};
use cf_pusher::{Approval, Converger, ManifestEntry};
use fastrand::Rng;
use serde_json::{Value, json};

/// The number of cases, each of which takes about a second.
const CASES: u64 = 10;

/// The number of disturbances in each case.
const DISTURBANCES: usize = 6;

/// A state with at least one org and one space, and a random number of other resources.
fn desired(random: &mut Rng) -> Desired {
    let mut desired = Desired::builder("me-")
        .feature_flag("diego_docker", random.bool())
        .security_group(SecurityGroup::new("me-a", rules(random)))
        .security_group(SecurityGroup::new("me-b", rules(random)).globally_running(true));
    if random.bool() {
        desired = desired.domain("me.test");
    }
    let limits = Limits::new().limit("apps", "total_instances", random.u64(100..200));
    desired = desired.org_quota(OrgQuota::new("me-quota", limits));
    for number in 0..random.usize(1..=2) {
        let mut org = Org::new(format!("org-{number}")).quota("me-quota");
        if random.bool() {
            org = org.role(Role::new("organization_manager", "alice"));
        }
        let limits = Limits::new().limit("routes", "total_routes", random.u64(50..90));
        org = org.space_quota(SpaceQuota::new("me-half", limits));
        for number in 0..random.usize(1..=2) {
            org = org.space(space(random, number));
        }
        desired = desired.org(org);
    }
    desired.build().unwrap()
}

fn rules(random: &mut Rng) -> Vec<Rule> {
    let rule = |number| Rule::tcp(format!("10.0.0.{number}"), "443");
    (1..=random.u32(1..4)).map(rule).collect()
}

fn space(random: &mut Rng, number: usize) -> Space {
    // A security group that applies to no space and has other rules is unmanaged.
    let mut space = Space::new(format!("space-{number}")).security_group("me-a");
    if random.bool() {
        space = space.quota("me-half");
    }
    if random.bool() {
        space = space.feature("ssh", random.bool());
    }
    if random.bool() {
        space = space.role(Role::new("space_developer", "bob"));
    }
    if random.bool() {
        space = space.service(user_provided("db"));
    }
    let entry = "{memory: 32M, no-route: true}";
    let state = |random: &mut Rng| match random.bool() {
        true => AppState::Started,
        false => AppState::Stopped,
    };
    space = space.group(group("web-{i}", entry).count(2).state(state(random)));
    if random.bool() {
        let copies = Group::copy_of("copy-{i}", ManifestEntry::parse(entry).unwrap(), "web");
        space = space.group(copies.count(random.u32(1..3)).state(state(random)));
    }
    if random.bool() {
        space = space.network_policy(NetworkPolicy::new("web-*", "*", "tcp", (80, 90)));
    }
    space
}

/// Changes a resource that may be part of the desired state.
pub(crate) async fn disturb(fixture: &Fixture, random: &mut Rng) {
    let all = async |list: &str| -> Vec<Value> {
        let found = Box::pin(fixture.curl("GET", list, Value::Null)).await;
        found["resources"].as_array().unwrap().clone()
    };
    let (list, method, body) = match random.u32(0..11) {
        0 => (
            "/v3/roles?types=space_developer,organization_manager",
            "DELETE",
            Value::Null,
        ),
        1 => (
            "/v3/service_instances?type=user-provided",
            "DELETE",
            Value::Null,
        ),
        2 => (
            "/v3/service_instances?type=user-provided",
            "PATCH",
            json!({"tags": ["other"], "credentials": {}}),
        ),
        3 => (
            "/v3/space_quotas",
            "PATCH",
            json!({"routes": {"total_routes": 7}}),
        ),
        4 => (
            "/v3/organization_quotas?names=me-quota",
            "PATCH",
            json!({"apps": {"total_instances": 99}}),
        ),
        5 => (
            "/v3/security_groups?names=me-a,me-b",
            "PATCH",
            json!({"rules": []}),
        ),
        6 => ("/v3/apps", "DELETE", Value::Null),
        7 => ("/v3/spaces", "FEATURE", json!({"enabled": random.bool()})),
        8 => ("/v3/apps", "SWITCH", json!({})),
        9 => (
            "/v3/feature_flags",
            "FLAG",
            json!({"enabled": random.bool()}),
        ),
        _ => ("/v3/apps", "POLICIES", json!({})),
    };
    let found = all(list).await;
    let Some(chosen) = random.choice(found.iter()) else {
        return;
    };
    let path = list.split('?').next().unwrap();
    let guid = chosen["guid"].as_str().unwrap_or_default();
    let (method, path, body) = match method {
        "FEATURE" => ("PATCH", format!("{path}/{guid}/features/ssh"), body),
        "FLAG" => ("PATCH", format!("{path}/diego_docker"), body),
        "SWITCH" if chosen["state"] == "STARTED" => {
            ("POST", format!("{path}/{guid}/actions/stop"), body)
        }
        "SWITCH" => ("POST", format!("{path}/{guid}/actions/start"), body),
        "POLICIES" => {
            let path = "/networking/v1/external/policies";
            let policies = Box::pin(fixture.curl("GET", path, Value::Null)).await;
            (
                "POST",
                format!("{path}/delete"),
                json!({"policies": policies["policies"]}),
            )
        }
        method => (method, format!("{path}/{guid}"), body),
    };
    if body["policies"] == json!([]) {
        return;
    }
    Box::pin(fixture.curl(method, &path, body)).await;
}

#[tokio::test]
async fn one_run_repairs_any_drift_and_the_next_has_nothing_to_do() {
    for seed in 0..CASES {
        let mut random = Rng::with_seed(seed);
        let fixture = Fixture::with(Workflow::Manifest, foundation()).await;
        let desired = desired(&mut random);
        let converger = Converger::new(fixture.client.clone(), desired.clone());
        let outcome = Box::pin(converger.converge(Approval::None)).await.unwrap();
        assert!(
            outcome.is_converged(),
            "seed {seed}: {:#?} {:#?}",
            outcome.failures,
            outcome.drift
        );
        for _ in 0..DISTURBANCES {
            disturb(&fixture, &mut random).await;
        }
        let outcome = Box::pin(converger.converge(Approval::None)).await.unwrap();
        assert!(
            outcome.is_converged(),
            "seed {seed}: {:#?} {:#?}",
            outcome.failures,
            outcome.drift
        );
        fixture.writes();
        let plan = Box::pin(converger.plan()).await.unwrap();
        assert!(plan.is_empty(), "seed {seed}: {plan}");
        let outcome = Box::pin(converger.converge(Approval::None)).await.unwrap();
        assert!(
            outcome.is_converged() && outcome.changed() == 0,
            "seed {seed}"
        );
        assert_eq!(fixture.writes().len(), 0, "seed {seed}");
    }
}
