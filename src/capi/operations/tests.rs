//! Shows the request of every operation in both dialects, side by side.

use std::collections::BTreeMap;
use std::fmt::Write;

use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::capi::client::{Client, ConnectOptions};
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::model::{
    DeploymentOptions, Destination, DockerImage, Enabled, Env, HealthCheck, Limits, Metadata,
    NewApp, NewDeployment, NewRoute, NewSecurityGroup, NewServiceInstance, Resource, Rule, Scale,
    ServiceSettings,
};
use crate::capi::transport::{Credentials, Replay, Upload};
use crate::events::Events;

/// A foundation that refuses every request after the login, so that only the first
/// request of each operation is seen.
async fn refusing_foundation(dialect: Dialect) -> (MockServer, Client) {
    let server = MockServer::start().await;
    let uri = server.uri();
    let root = serde_json::json!({"links": {"uaa": {"href": uri}}});
    let token = serde_json::json!({"access_token": "token", "expires_in": 600});
    let respond = |body| ResponseTemplate::new(200).set_body_json(body);
    let mocks = [
        Mock::given(method("GET"))
            .and(path("/"))
            .respond_with(respond(root)),
        Mock::given(path("/oauth/token")).respond_with(respond(token)),
        Mock::given(any())
            .respond_with(ResponseTemplate::new(422))
            .with_priority(9),
    ];
    for mock in mocks {
        mock.mount(&server).await;
    }
    let credentials = Credentials::Client {
        id: "client".to_owned(),
        secret: "secret".into(),
    };
    let options = ConnectOptions::new(uri, credentials).dialect(Some(dialect));
    let client = Client::connect(&options, Events::default()).await.unwrap();
    (server, client)
}

/// Collects the first request of each operation.
struct Recorder {
    server: MockServer,
    seen: usize,
    shown: Vec<(&'static str, String)>,
}

impl Recorder {
    async fn record<T>(&mut self, operation: &'static str, result: Result<T, Error>) {
        let requests = self.server.received_requests().await.unwrap();
        let new: Vec<String> = requests.iter().skip(self.seen).map(line).collect();
        self.seen = requests.len();
        let shown = match (new.as_slice(), result) {
            ([], Err(error)) => error.to_string(),
            ([], Ok(_)) => "nothing is sent".to_owned(),
            (lines, _) => lines.join("; "),
        };
        self.shown.push((operation, shown));
    }
}

fn line(request: &wiremock::Request) -> String {
    let query = request.url.query().map(|query| format!("?{query}"));
    let body = String::from_utf8_lossy(&request.body);
    let is_form = body.contains("form-data");
    let body = match body.trim() {
        "" => String::new(),
        _ if is_form => " a form".to_owned(),
        body => format!(" {}", body.replace('\n', "\\n")),
    };
    let query = query.unwrap_or_default();
    format!("{} {}{query}{body}", request.method, request.url.path())
}

/// Calls every operation.
async fn requests(dialect: Dialect) -> Vec<(&'static str, String)> {
    let (server, client) = refusing_foundation(dialect).await;
    let seen = server.received_requests().await.unwrap().len();
    let mut recorder = Recorder {
        server,
        seen,
        shown: Vec::new(),
    };
    macro_rules! record {
        ($($operation:ident ( $($argument:expr),* ) ;)*) => {
            $(
                let call = stringify!($operation);
                let result = client.$operation($($argument),*).await;
                recorder.record(call, result).await;
            )*
        };
    }
    let metadata = Metadata::managed("scale-");
    let rules = [Rule {
        protocol: "tcp".to_owned(),
        destination: "169.254.0.1".to_owned(),
        ports: Some("1".to_owned()),
        ..Rule::default()
    }];
    let group = |running_spaces: &'static [&'static str]| NewSecurityGroup {
        name: "g",
        rules: &rules,
        running_spaces,
        enabled: Enabled::default(),
    };
    let enabled = Enabled {
        running: Some(true),
        staging: None,
    };
    let limit = BTreeMap::from([("total_instances".to_owned(), Some(7.into()))]);
    let limits = Limits::from([("apps".to_owned(), limit)]);
    let tags = ["sql".to_owned()];
    let credentials = serde_json::Map::from_iter([("password".to_owned(), "p".into())]);
    let settings = ServiceSettings {
        tags: Some(&tags),
        credentials: Some(&credentials),
        syslog_drain_url: Some(None),
        ..ServiceSettings::default()
    };
    let managed = ServiceSettings {
        plan: Some("PLAN"),
        parameters: Some(&credentials),
        ..ServiceSettings::default()
    };
    let ours = Metadata::managed("scale-");
    let service = |settings| NewServiceInstance {
        name: "db",
        space: "SPACE",
        settings,
        metadata: &ours,
    };
    let env = Env::from([("GOPACKAGENAME".to_owned(), "example-apps/proxy".to_owned())]);
    let changes = BTreeMap::from([
        ("A".to_owned(), Some("1".to_owned())),
        ("B".to_owned(), None),
    ]);
    let buildpacks = ["go_buildpack".to_owned()];
    let app = NewApp {
        name: "synthetic-proxy",
        space: "SPACE",
        env: &env,
        lifecycle: None,
        buildpacks: &buildpacks,
        metadata: &metadata,
    };
    let scale = Scale {
        instances: Some(3),
        memory_mb: Some(64),
        disk_mb: None,
    };
    let upload = || Upload {
        name: "dora".to_owned(),
        resources: Some("[]".to_owned()),
        bits: None,
    };
    let image = DockerImage {
        image: "cloudfoundry/diego-docker-app",
        login: Some(("user", "password")),
        bits: Some("a1b2"),
    };
    let resource = Resource {
        path: "main.go",
        mode: 0o644,
        sha1: "da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned(),
        size: 70_000,
    };
    let deployment = NewDeployment {
        app: "APP",
        droplet: "DROPLET",
        options: DeploymentOptions {
            strategy: Some("canary"),
            max_in_flight: Some(2),
            canary_steps: &[20, 40],
            web_instances: Some(3),
            memory_mb: Some(64),
            disk_mb: Some(512),
            log_rate_limit: Some(-1),
        },
    };
    let destination = Destination {
        app: "APP".to_owned(),
        process_type: "worker".to_owned(),
        port: Some(9000),
        protocol: Some("http2".to_owned()),
    };
    let guids = ["A".to_owned(), "B".to_owned()];
    let route = NewRoute {
        host: "synthetic-proxy",
        domain: "DOMAIN",
        space: "SPACE",
        path: Some("/v1"),
    };
    let check = HealthCheck {
        kind: Some("http"),
        endpoint: Some("/health"),
        invocation_timeout: Some(2),
    };
    let mut removed = Metadata::default();
    removed.labels.insert("team".to_owned(), None);
    let replay = Replay::Unsafe;
    record! {
        orgs_named(&["a,b%"]);
        orgs_by_guids(&["ORG"]);
        create_org("o", &metadata);
        set_org_metadata("ORG", &removed);
        delete_org("", "ORG");
        quotas_named(&["q"]);
        create_quota("q", &Limits::new());
        create_quota("q", &limits);
        set_quota_limits("QUOTA", &limits);
        assign_quota("QUOTA", "ORG");
        delete_quota("", "QUOTA");
        spaces_named(&["ORG"], &["s"]);
        spaces_of_orgs(&["ORG"]);
        spaces_by_guids(&["SPACE"]);
        set_space_metadata("SPACE", &removed);
        space_of_org_named("o", "s");
        create_space("s", "ORG", &metadata);
        security_groups_named(&["g"]);
        create_security_group(&group(&[]));
        create_security_group(&group(&["SPACE"]));
        enable_security_group("GROUP", enabled);
        update_security_group("GROUP", &rules);
        bind_security_group("GROUP", &["SPACE"]);
        unbind_security_group("GROUP", "SPACE");
        delete_security_group("", "GROUP");
        domains();
        managed_orgs();
        managed_spaces();
        set_suspended("ORG", true);
        delete_space("", "SPACE");
        space_feature("SPACE", "ssh");
        set_space_feature("SPACE", "ssh", false);
        space_quotas_named(&["ORG"], &["q"]);
        create_space_quota("q", "ORG", &limits);
        set_space_quota_limits("QUOTA", &limits);
        apply_space_quota("QUOTA", "SPACE");
        create_domain("d.test", None, &metadata);
        create_domain("d.test", Some("ORG"), &metadata);
        set_domain_metadata("DOMAIN", &removed);
        delete_domain("", "DOMAIN");
        feature_flags();
        set_feature_flag("diego_docker", true);
        users_named(&["alice"]);
        create_user("alice", "ldap", &metadata);
        managed_users();
        delete_user("", "USER");
        roles_of_orgs(&["ORG"]);
        roles_of_spaces(&["SPACE"]);
        roles_of_users(&["USER"]);
        delete_role("", "ROLE");
        delete_space_quota("", "QUOTA");
        create_role("organization_user", "alice", None, "ORG");
        create_role("space_developer", "alice", Some("ldap"), "SPACE");
        isolation_segments_named(&["i"]);
        entitled_orgs("SEGMENT");
        entitle_org("SEGMENT", "ORG");
        isolation_of_org("ORG");
        set_isolation_of_org("ORG", "SEGMENT");
        isolation_segments_of_orgs(&["ORG"]);
        isolated_spaces("SEGMENT");
        set_isolation_of_space("SPACE", "SEGMENT");
        services_of_spaces(&["SPACE"]);
        service("SERVICE");
        service_credentials("SERVICE");
        service_plans(&["mysql"]);
        create_service("", &service(settings));
        create_service("", &service(managed));
        update_service("", "SERVICE", &settings);
        set_service_metadata("", "SERVICE", &removed);
        delete_service("", "SERVICE");
        apps_of_orgs(&["ORG", "OTHER"], 0);
        app_count_of_org("ORG");
        apps_named("SPACE", &["a", "b"]);
        app("APP");
        create_app(&app);
        set_app_metadata("APP", &metadata);
        set_app_metadata("APP", &removed);
        set_buildpacks("APP", &buildpacks);
        env("APP");
        set_env("APP", &changes);
        current_droplet("APP");
        set_current_droplet("APP", "DROPLET");
        annotate_bits("APP", "DROPLET", Some("sha"));
        annotate_bits("APP", "DROPLET", None);
        start_app("APP");
        stop_app("APP");
        restart_app("APP");
        delete_app("", "APP");
        apply_manifest("", "SPACE", "applications: []", replay);
        manifest_diff("SPACE", "applications: []", replay);
        app_manifest("APP");
        web_processes_of_orgs(&["ORG"], 0);
        web_processes_of_spaces(&["SPACE"], 0);
        processes_of_apps(&guids);
        summaries("SPACE");
        instances("PROCESS");
        cell_addresses("APP");
        set_command("APP", Some("./proxy"));
        set_command("APP", None);
        set_health_check("APP", &check);
        scale("APP", scale);
        create_deployment(&deployment);
        deploy_stopped("APP", "DROPLET");
        deployment("DEPLOYMENT");
        cancel_deployment("DEPLOYMENT");
        packages_of_spaces(&["SPACE"]);
        packages_of_app("APP");
        ready_packages(&["A", "B"]);
        image_packages(&["A", "B"]);
        packages(&guids);
        package("PACKAGE");
        create_package("APP", "sha");
        create_docker_package("APP", &image);
        upload_package("", "PACKAGE", upload());
        delete_package("", "PACKAGE");
        known_resources(&[resource]);
        builds(&guids);
        staging_builds("APP");
        create_build("PACKAGE", None);
        create_build("PACKAGE", Some(&buildpacks));
        droplets_of_orgs(&["ORG"], 0);
        droplets_of_spaces(&["SPACE"]);
        droplets_of_apps(&["A", "B"]);
        droplets(&guids);
        create_droplet("APP");
        copy_droplet("DROPLET", "APP");
        upload_droplet("", "DROPLET", upload());
        delete_droplet("", "DROPLET");
        download_droplet("DROPLET", std::path::Path::new("droplet.tgz"));
        quotas_by_guids(&["QUOTA"]);
        space_quotas_of_orgs(&["ORG"]);
        security_groups_of_spaces(&["SPACE"]);
        staging_groups_of_spaces(&["SPACE"]);
        service_brokers_of_spaces(&["SPACE"]);
        service_keys_of(&["SERVICE"]);
        route_bindings_of(&["SERVICE"]);
        service_plans_by_guids(&["PLAN"]);
        routes_of_orgs(&["ORG"], 0);
        routes_of_spaces(&["SPACE"]);
        routes_of_app("APP");
        routes_of_apps(&["A", "B"]);
        routes_with_hosts(&["DOMAIN"], &["a", "b"]);
        create_route(&route);
        create_route_with_port("DOMAIN", "SPACE", "APP");
        services_of_orgs(&["ORG"]);
        unbind_services("", "APP", &["db"]);
        map_route("ROUTE", "APP");
        set_destinations("ROUTE", &[destination]);
        delete_route("", "ROUTE");
    }
    recorder.shown
}

#[tokio::test]
async fn each_operation_sends_its_request_in_both_dialects() {
    let (v3, documented) = tokio::join!(requests(Dialect::V3), requests(Dialect::Documented2017),);
    let mut shown = String::new();
    for ((operation, v3), (_, documented)) in v3.iter().zip(&documented) {
        writeln!(shown, "{operation}\n  v3:   {v3}\n  2017: {documented}").unwrap();
    }
    insta::assert_snapshot!(shown);
}
