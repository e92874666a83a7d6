//! A desired state with all kinds of supporting resources.

use cf_pusher::ManifestEntry;
use cf_pusher::desired::{
    Bits, Desired, Group, Limits, NetworkPolicy, Org, OrgQuota, Role, Rule, SecurityGroup,
    ServiceBinding, ServiceInstance, ServiceKind, Space, SpaceQuota,
};
use mock_capi::{MockCapi, MockCapiBuilder};
use serde_json::json;

pub(crate) fn group(name: &str, entry: &str) -> Group {
    let entry = ManifestEntry::parse(entry).unwrap();
    Group::new(name, entry, Bits::files([("main.go", "package main")]))
}

/// Apps of a Docker image in a registry with a login.
pub(crate) fn image(name: &str) -> Group {
    let image = "{image: registry.test/image, username: robot, password: s3cret}";
    let entry = format!("{{memory: 32M, no-route: true, docker: {image}}}");
    Group::new(name, ManifestEntry::parse(&entry).unwrap(), Bits::None)
}

pub(crate) fn user_provided(name: &str) -> ServiceInstance {
    let credentials = json!({"password": "s3cret"});
    let kind = ServiceKind::UserProvided {
        credentials: credentials.as_object().cloned(),
        syslog_drain_url: Some("syslog://logs.test".to_owned()),
        route_service_url: None,
    };
    ServiceInstance::new(name, kind).tags(["sql"])
}

/// Two orgs with three spaces, and all kinds of supporting resources.
pub(crate) fn declared() -> Desired {
    declared_on(true)
}

/// Like [`declared`], with or without an isolation segment, which must exist.
pub(crate) fn declared_on(cells: bool) -> Desired {
    let web = group(
        "web-{i}",
        "{memory: 32M, routes: [{route: 'web-{i}.apps.me.test'}], services: [db]}",
    );
    let limits = Limits::new()
        .limit("apps", "total_memory_in_mb", 4096)
        .limit("services", "paid_services_allowed", false);
    let prod = Space::new("prod")
        .quota("half")
        .feature("ssh", false)
        .security_group("me-dns")
        .security_group("me-web")
        .role(Role::new("space_developer", "alice"))
        .role(Role::new("space_auditor", "bob"))
        .service(user_provided("db"))
        .service(ServiceInstance::managed("cache", "cache-broker", "small"))
        .service_binding(
            ServiceBinding::new("web-1", "cache")
                .name("store")
                .parameters(
                    json!({"role": "reader"})
                        .as_object()
                        .cloned()
                        .unwrap_or_default(),
                ),
        )
        .network_policy(NetworkPolicy::new("web-*", "api", "tcp", (8080, 8090)))
        .network_policy(NetworkPolicy::new(
            "api",
            "back/jobs/worker",
            "udp",
            (53, 53),
        ))
        .group(web.count(2))
        .group(group("api", "{memory: 64M, no-route: true}"));
    let test = Space::new("test")
        .security_group("me-dns")
        .group(group("probe", "{memory: 32M, no-route: true}"))
        .group(image("image-{i}").count(2));
    let test = match cells {
        true => test.isolation_segment("cells"),
        false => test,
    };
    let jobs = Space::new("jobs").group(group("worker", "{memory: 32M, no-route: true}"));
    let front = Org::new("front")
        .quota("me-big")
        .suspended(false)
        .domain("apps.me.test")
        .role(Role::new("organization_manager", "alice"))
        .space_quota(SpaceQuota::new(
            "half",
            Limits::new().limit("routes", "total_routes", 20),
        ))
        .space(prod)
        .space(test);
    let back = Org::new("back").suspended(true).space(jobs);
    let back = match cells {
        true => back.isolation_segment("cells"),
        false => back,
    };
    let rule = Rule::new("icmp", "10.0.0.0/8", None)
        .icmp(0, -1)
        .description("pings")
        .log(true);
    Desired::builder("me-")
        .org_quota(OrgQuota::new("me-big", limits))
        .domain("shared.me.test")
        .user("ldap/carol")
        .feature_flag("diego_docker", true)
        .security_group(SecurityGroup::new(
            "me-dns",
            vec![Rule::tcp("10.0.0.1", "53"), rule],
        ))
        .security_group(SecurityGroup::new(
            "me-web",
            vec![Rule::tcp("10.0.0.2", "443")],
        ))
        .security_group(
            SecurityGroup::new("me-all", vec![Rule::tcp("10.0.0.3", "80")]).globally_running(true),
        )
        .org(front)
        .org(back)
        .build()
        .unwrap()
}

/// A foundation with resources that cannot be declared: users, cells and a broker.
pub(crate) fn foundation() -> MockCapiBuilder {
    MockCapi::builder()
        .add_user("alice", "secret")
        .add_user("bob", "secret")
        .broker("cache-broker", &["small", "large"])
}
