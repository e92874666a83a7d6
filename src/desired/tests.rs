use super::network::matches;
use super::*;
use crate::manifest::entry::ManifestEntry;

fn group(name: &str, entry: &str) -> Group {
    let entry = ManifestEntry::parse(entry).unwrap();
    Group::new(name, entry, Bits::files([("a", "b")]))
}

fn build(space: Space) -> Result<Desired, String> {
    let org = Org::new("o").space(space);
    let desired = Desired::builder("me").org(org).build();
    desired.map_err(|error| error.to_string())
}

#[test]
fn apps_are_numbered_in_their_group() {
    let space = Space::new("s").group(group("a-{i}-z", "{}").count(3));
    let desired = build(
        space
            .group(group("b", "{}"))
            .group(group("none", "{}").count(0)),
    )
    .unwrap();
    assert_eq!(desired.app_count(), 4);
    let names: Vec<String> = desired
        .groups()
        .flat_map(|it| it.group.app_names())
        .collect();
    assert_eq!(names, ["a-0-z", "a-1-z", "a-2-z", "b"]);
}

#[test]
fn invalid_desired_states_are_refused() {
    let refused = |space: Space| build(space).unwrap_err();
    let space = || Space::new("s");
    let long = format!("routes: [{{route: '{}-{{i}}.test'}}]", "x".repeat(62));
    insta::assert_snapshot!(
        [
            refused(Space::new("")),
            refused(space().group(group("a", "{}").count(2))),
            refused(space().group(group("a", "{}")).group(group("a", "{}"))),
            refused(space().group(group("a", &long))),
            refused(space().group(group("a", "docker: {image: i}"))),
            refused(space().security_group("none")),
        ]
        .join("\n"),
        @"
    a space has no name
    the group a has 2 apps, so its name must contain {i}
    there are two apps named a in the space s
    the route xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-0.test of the app a has a label of more than 63 characters
    the group a cannot have `docker`: the apps are staged from other bits
    the space s names the security group none, which is not defined
    "
    );
}

#[test]
fn orgs_and_spaces_are_found_in_order() {
    let desired = Desired::builder("me")
        .org(
            Org::new("a")
                .quota("q")
                .space(Space::new("1"))
                .space(Space::new("2")),
        )
        .org(Org::new("b").quota("q").space(Space::new("1")))
        .build()
        .unwrap();
    let spaces: Vec<_> = desired
        .spaces()
        .map(|it| {
            (
                it.id,
                it.org_id,
                it.org.name.as_str(),
                it.space.name.as_str(),
            )
        })
        .collect();
    assert_eq!(
        spaces,
        [(0, 0, "a", "1"), (1, 0, "a", "2"), (2, 1, "b", "1")]
    );
    assert_eq!(desired.quotas(), ["q"]);
}

#[test]
fn values_and_references_are_checked() {
    let refused = |org: Org| {
        let desired = Desired::builder("me").org(org).build();
        desired.unwrap_err().to_string()
    };
    let with = |space: Space| refused(Org::new("o").space(space));
    let space = || Space::new("s").group(group("web-{i}", "{}").count(2));
    let quota = |limits: Limits| refused(Org::new("o").space_quota(SpaceQuota::new("q", limits)));
    let policy = |from: &str, to: &str, protocol: &str, ports: (u16, u16)| {
        with(space().network_policy(NetworkPolicy::new(from, to, protocol, ports)))
    };
    let like = |group: Group| with(space().group(group));
    let copy = |name: &str, of: &str| Group::copy_of(name, ManifestEntry::parse("{}").unwrap(), of);
    let defined = Desired::builder("me").org_quota(OrgQuota::new("big", Limits::new()));
    let defined = defined.org(Org::new("o").quota("small")).build();
    let pattern = Desired::builder("me").protect("system(").build();
    insta::assert_snapshot!(
        [
            defined.unwrap_err().to_string(),
            pattern.unwrap_err().to_string(),
            quota(Limits::new().limit("apps", "memory", 1)),
            quota(Limits::new().limit("domains", "total_domains", 1)),
            quota(Limits::new().limit("apps", "total_instances", true)),
            quota(Limits::new().limit("services", "paid_services_allowed", 3)),
            quota(Limits::new().limit("routes", "total_routes", 3_000_000_000)),
            refused(Org::new("o").role(Role::new("space_developer", "alice"))),
            with(space().role(Role::new("developer", "alice"))),
            with(space().role(Role::new("space_developer", "a")).role(Role::new("space_developer", "a"))),
            with(space().quota("q")),
            with(space().feature("shh", true)),
            with(space().service(ServiceInstance::managed("", "o", "p"))),
            refused(Org::new("o").domain("a.test").domain("a.test")),
            policy("web-*", "db", "tcp", (1, 1)),
            policy("other", "web-0", "tcp", (1, 1)),
            policy("web-0", "o/t/web-0", "tcp", (1, 1)),
            policy("web-0", "web-1", "icmp", (1, 1)),
            policy("web-0", "web-1", "tcp", (9, 8)),
            like(copy("copy", "none")),
            like(copy("copy", "copy")),
            like(copy("copy", "o/s/none")),
        ]
        .join("\n"),
        @"
        the org o names the org quota small, which is not defined
        `protected` cannot have the pattern system(: unclosed group
        the space quota q in the org o cannot have the limit apps.memory: the limits of apps are total_memory_in_mb, per_process_memory_in_mb, total_instances, per_app_tasks, log_rate_limit_in_bytes_per_second
        the space quota q in the org o cannot have limits of `domains`: the sections are apps, services, routes
        the space quota q in the org o cannot have apps.total_instances: true: must be a number, or null for no limit
        the space quota q in the org o cannot have services.paid_services_allowed: 3: must be true or false
        the space quota q in the org o cannot have routes.total_routes: 3000000000: must be at most 2147483647
        the org o cannot have the role space_developer of alice: must be one of organization_user, organization_auditor, organization_manager, organization_billing_manager
        the space s cannot have the role developer of alice: must be one of space_auditor, space_developer, space_manager, space_supporter
        there are two roles named space_developer of a in the space s
        the space s names the space quota q, which is not defined
        the space s cannot have the feature shh: must be ssh
        a service instance has no name
        there are two domains named a.test
        a network policy of the space s names the app db, which is not defined
        a network policy of the space s names the app other, which is not defined
        a network policy of the space s names the app o/t/web-0, which is not defined
        the network policy from web-0 to web-1 in the space s cannot have the protocol icmp: must be tcp or udp
        the network policy from web-0 to web-1 in the space s cannot have the ports 9-8: must be from 1 to 65535, in ascending order
        the group copy names the group none, which is not defined
        the group copy cannot have `like`: no group in this cycle has bits
        the group copy names the group o/s/none, which is not defined
        "
    );
}

#[test]
fn like_leads_to_the_group_with_bits() {
    let copy = |name: &str, of: &str| Group::copy_of(name, ManifestEntry::parse("{}").unwrap(), of);
    let first = Space::new("s")
        .group(group("web-{i}", "{}").count(2))
        .group(copy("canary", "web"));
    let second = Space::new("t").group(copy("far", "s/canary"));
    let third = Space::new("s").group(copy("farther", "o/t/far"));
    let desired = Desired::builder("me")
        .org(Org::new("o").space(first).space(second))
        .org(Org::new("p").space(third))
        .build()
        .unwrap();
    let sources: Vec<Option<usize>> = desired.groups().map(|it| desired.source_of(&it)).collect();
    assert_eq!(sources, [None, Some(0), Some(0), Some(0)]);
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, name, is_match) in [
        ("web", "web", true),
        ("web", "web-1", false),
        ("web-*", "web-1", true),
        ("web-*", "web-", true),
        ("*-db-?", "a-b-db-1", true),
        ("*-db-?", "a-db-12", false),
        ("*", "", true),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXcY", false),
    ] {
        assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
    }
    let desired = Desired::builder("me")
        .protect("system")
        .protect("p-.*")
        .build();
    let desired = desired.unwrap();
    assert_eq!(desired.protecting(&["system"]), Some("system"));
    assert_eq!(desired.protecting(&["my-system", "system/apps"]), None);
    assert_eq!(desired.protecting(&["x", "p-mysql"]), Some("p-.*"));
}

#[test]
fn limits_are_read_and_written_in_the_cloud_controllers_form() {
    let text = r#"{"apps":{"total_instances":null,"total_memory_in_mb":1024},"services":{"paid_services_allowed":false}}"#;
    let limits: Limits = serde_json::from_str(text).unwrap();
    let built = Limits::new()
        .limit("apps", "total_memory_in_mb", 1024)
        .unlimited("apps", "total_instances")
        .limit("services", "paid_services_allowed", false);
    assert_eq!(limits, built);
    assert_eq!(serde_json::to_string(&limits).unwrap(), text);
}

#[test]
fn credentials_are_not_printed() {
    let credentials = serde_json::json!({"password": "s3cret"});
    let credentials = credentials.as_object().cloned().unwrap();
    let space = Space::new("s").service(ServiceInstance::user_provided("db", credentials));
    let shown = format!("{:?}", build(space).unwrap());
    assert!(!shown.contains("s3cret"), "{shown}");
}
