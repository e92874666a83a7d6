//! The permissions of roles.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::common::{Session, new_app, new_package, new_route, send};
use mock_capi::MockCapi;
use reqwest::Method;
use serde_json::{Value, json};

/// Users, each with one role, in the order of the columns below.
const USERS: [&str; 8] = [
    "space_developer",
    "space_supporter",
    "space_manager",
    "space_auditor",
    "organization_manager",
    "organization_auditor",
    "organization_user",
    "stranger",
];

/// An org with a space, another org in which nobody has a role, and the users.
struct Foundation {
    cf: Session,
    org: String,
    space: String,
    foreign_space: String,
    tokens: BTreeMap<&'static str, String>,
}

impl Foundation {
    async fn start() -> Self {
        let builder = MockCapi::builder();
        let builder = USERS
            .iter()
            .fold(builder, |builder, user| builder.add_user(user, "secret"));
        let mut cf = Session::start(builder).await;
        let (org, space) = cf.space().await;
        let foreign_org = cf.create_org("foreign").await;
        let foreign_space = cf.create_space(&foreign_org, "foreign").await;
        for user in USERS {
            assign(&cf, user, &org, &space).await;
        }
        let admin = cf.token.clone();
        let mut tokens = BTreeMap::new();
        for user in USERS {
            cf.log_in_as(user, "secret").await;
            tokens.insert(user, cf.token.clone());
        }
        cf.token = admin;
        Self {
            cf,
            org,
            space,
            foreign_space,
            tokens,
        }
    }

    /// The status of each user's response.
    async fn statuses(&self, method: &Method, path: &str, body: &Value) -> Vec<u16> {
        let mut statuses = Vec::new();
        for user in USERS {
            statuses.push(self.ask(user, method, path, body).await.status.as_u16());
        }
        statuses
    }

    async fn ask(
        &self,
        user: &str,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> crate::common::HttpResponse {
        let url = format!("{}{path}", self.cf.mock.uri());
        let request = self.cf.http.request(method.clone(), url);
        let request = request.bearer_auth(&self.tokens[user]);
        send(if body.is_null() {
            request
        } else {
            request.json(body)
        })
        .await
    }

    async fn names(&self, user: &str, path: &str) -> Vec<String> {
        crate::common::names(
            &self
                .ask(user, &Method::GET, path, &Value::Null)
                .await
                .json(),
        )
    }
}

/// Gives a user the role with the same name.
async fn assign(cf: &Session, user: &str, org: &str, space: &str) {
    let role = |kind: &str, place: &str, guid: &str| {
        let user = json!({"data": {"username": user}});
        json!({"type": kind, "relationships": {"user": user, place: {"data": {"guid": guid}}}})
    };
    if user == "stranger" {
        return;
    }
    let member = cf.post("/v3/roles", role("organization_user", "organization", org));
    assert_eq!(member.await.status, 201);
    let more = match user {
        "organization_user" => return,
        user if user.starts_with("space") => role(user, "space", space),
        user => role(user, "organization", org),
    };
    assert_eq!(cf.post("/v3/roles", more).await.status, 201);
}

#[tokio::test]
async fn each_role_has_its_permissions() {
    let f = Foundation::start().await;
    let cf = &f.cf;
    let app = cf.staged_app(&f.space, "app").await;
    let domain = cf.default_domain(&f.org).await;
    let route = cf
        .post("/v3/routes", new_route(&f.space, &domain, "host"))
        .await
        .guid();
    let provided = json!({
        "type": "user-provided",
        "name": "db",
        "credentials": {"password": "p"},
        "relationships": {"space": {"data": {"guid": f.space}}},
    });
    let service = cf.post("/v3/service_instances", provided).await.guid();
    let (org, space) = (&f.org, &f.space);
    let none = Value::Null;
    let metadata = json!({"metadata": {"labels": {"a": "b"}}});
    let (get, patch, post) = (Method::GET, Method::PATCH, Method::POST);
    let head = Method::HEAD;
    let events = cf
        .get("/v3/audit_events?types=audit.app.create")
        .await
        .json();
    let event = events["resources"][0]["guid"].as_str().unwrap();
    // Columns: developer, supporter, manager and auditor of the space; manager, auditor
    // and user of the org; user without a role.
    let cases = [
        (
            &get,
            format!("/v3/organizations/{org}"),
            &none,
            [200, 200, 200, 200, 200, 200, 200, 404],
        ),
        (
            &patch,
            format!("/v3/organizations/{org}"),
            &metadata,
            [403, 403, 403, 403, 200, 403, 403, 404],
        ),
        (
            &get,
            format!("/v3/spaces/{space}"),
            &none,
            [200, 200, 200, 200, 200, 404, 404, 404],
        ),
        (
            &patch,
            format!("/v3/spaces/{space}"),
            &metadata,
            [403, 403, 200, 403, 200, 404, 404, 404],
        ),
        (
            &get,
            format!("/v3/apps/{app}"),
            &none,
            [200, 200, 200, 200, 200, 404, 404, 404],
        ),
        (
            &patch,
            format!("/v3/apps/{app}"),
            &metadata,
            [200, 403, 403, 403, 403, 404, 404, 404],
        ),
        (
            &post,
            format!("/v3/apps/{app}/actions/start"),
            &none,
            [200, 200, 403, 403, 403, 404, 404, 404],
        ),
        (
            &get,
            format!("/v3/audit_events/{event}"),
            &none,
            [200, 200, 404, 200, 404, 200, 404, 404],
        ),
        (
            &get,
            format!("/v3/apps/{app}/env"),
            &none,
            [200, 200, 403, 403, 403, 404, 404, 404],
        ),
        (
            &head,
            format!("/v3/apps/{app}/env"),
            &none,
            [200, 200, 403, 403, 403, 404, 404, 404],
        ),
        (
            &get,
            format!("/v3/apps/{app}/manifest"),
            &none,
            [200, 403, 403, 403, 403, 404, 404, 404],
        ),
        (
            &post,
            "/v3/packages".into(),
            &new_package(&app),
            [201, 403, 403, 403, 403, 422, 422, 422],
        ),
        (
            &get,
            format!("/v3/apps/{app}/processes/web"),
            &none,
            [200, 200, 200, 200, 200, 404, 404, 404],
        ),
        (
            &post,
            format!("/v3/apps/{app}/processes/web/actions/scale"),
            &json!({"instances": 1}),
            [202, 202, 403, 403, 403, 404, 404, 404],
        ),
        (
            &post,
            format!("/v3/apps/{app}/tasks"),
            &json!({"command": "x"}),
            [202, 403, 403, 403, 403, 404, 404, 404],
        ),
        (
            &get,
            format!("/v3/routes/{route}"),
            &none,
            [200, 200, 200, 200, 200, 200, 404, 404],
        ),
        (
            &patch,
            format!("/v3/routes/{route}"),
            &metadata,
            [200, 200, 403, 403, 403, 403, 404, 404],
        ),
        (
            &get,
            format!("/v3/service_instances/{service}"),
            &none,
            [200, 200, 200, 200, 200, 404, 404, 404],
        ),
        (
            &get,
            format!("/v3/service_instances/{service}/credentials"),
            &none,
            [200, 403, 403, 403, 403, 404, 404, 404],
        ),
        (
            &post,
            "/v3/security_groups".into(),
            &json!({"name": "x"}),
            [403; 8],
        ),
        (
            &post,
            "/v3/organization_quotas".into(),
            &json!({"name": "x"}),
            [403; 8],
        ),
        (&post, "/v3/users".into(), &json!({"guid": "x"}), [403; 8]),
        (
            &Method::DELETE,
            format!("/v3/organizations/{org}"),
            &none,
            [403, 403, 403, 403, 403, 403, 403, 404],
        ),
    ];
    for (method, path, body, expected) in cases {
        let statuses = f.statuses(method, &path, body).await;
        assert_eq!(statuses, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn creation_needs_write_permission() {
    let f = Foundation::start().await;
    let role = |kind: &str, place: &str, guid: &str| {
        let user = json!({"data": {"username": "organization_user"}});
        json!({"type": kind, "relationships": {"user": user, place: {"data": {"guid": guid}}}})
    };
    let post = Method::POST;
    let statuses = async |path: &str, body: Value| {
        let mut statuses = f.statuses(&post, path, &body).await;
        // For later requests, the name is already in use.
        statuses.iter_mut().for_each(|status| {
            if *status == 422 {
                *status = 0
            }
        });
        statuses
    };
    assert_eq!(
        statuses("/v3/apps", new_app(&f.space, "app")).await,
        [201, 403, 403, 403, 403, 0, 0, 0]
    );
    assert_eq!(
        statuses("/v3/roles", role("space_auditor", "space", &f.space)).await,
        [403, 403, 201, 403, 0, 403, 403, 403]
    );
    assert_eq!(
        statuses(
            "/v3/roles",
            role("organization_auditor", "organization", &f.org)
        )
        .await,
        [403, 403, 403, 403, 201, 403, 403, 403]
    );
    let new_space =
        json!({"name": "new", "relationships": {"organization": {"data": {"guid": f.org}}}});
    assert_eq!(
        statuses("/v3/spaces", new_space).await,
        [403, 403, 403, 403, 201, 403, 403, 0]
    );
    let app = new_app(&f.foreign_space, "app");
    let foreign = f.ask("space_developer", &post, "/v3/apps", &app);
    assert_eq!(
        foreign.await.error(),
        (
            10008,
            "Invalid space. Ensure that the space exists and you have access to it.".into()
        )
    );
}

#[tokio::test]
async fn lists_contain_only_visible_resources() {
    let f = Foundation::start().await;
    let cf = &f.cf;
    cf.create_app(&f.space, "mine").await;
    cf.create_app(&f.foreign_space, "theirs").await;
    for (path, name) in [
        ("/v3/apps", "mine"),
        ("/v3/spaces", "space"),
        ("/v3/organizations", "org"),
    ] {
        assert_eq!(f.names("space_auditor", path).await, [name], "{path}");
        assert!(f.names("stranger", path).await.is_empty(), "{path}");
        assert_eq!(cf.names(path).await.len(), 2, "{path}");
    }
    assert_eq!(
        f.names("organization_user", "/v3/organizations").await,
        ["org"]
    );
    assert!(f.names("organization_user", "/v3/spaces").await.is_empty());
    // Shared resources are visible to everyone.
    assert_eq!(f.names("stranger", "/v3/domains").await, ["apps.mock.test"]);
    assert!(!f.names("stranger", "/v3/buildpacks").await.is_empty());

    let count = async |user: &str, path: &str| {
        let list = f.ask(user, &Method::GET, path, &Value::Null).await.json();
        list["pagination"]["total_results"].as_u64().unwrap()
    };
    assert_eq!(count("stranger", "/v3/users").await, 1);
    assert_eq!(count("organization_user", "/v3/users").await, 7);
    assert_eq!(count("stranger", "/v3/roles").await, 0);
    assert_eq!(count("organization_user", "/v3/roles").await, 9);
    assert_eq!(count("space_auditor", "/v3/roles").await, 13);
    assert_eq!(count("stranger", "/v3/processes").await, 0);
    assert_eq!(count("space_auditor", "/v3/processes").await, 1);
}

#[tokio::test]
async fn only_developers_can_see_secrets() {
    let f = Foundation::start().await;
    let app = f.cf.staged_app(&f.space, "app").await;
    let path = format!("/v3/apps/{app}/processes/web");
    let command = json!({"command": "run"});
    assert_eq!(f.cf.patch(&path, command).await.status, 200);
    let get = Method::GET;
    for (user, command) in [
        ("space_developer", "run"),
        ("space_supporter", "[PRIVATE DATA HIDDEN]"),
        ("organization_manager", "[PRIVATE DATA HIDDEN]"),
    ] {
        let process = f.ask(user, &get, &path, &Value::Null).await.json();
        assert_eq!(process["command"], command, "{user}");
    }
    let path = format!("/v3/apps/{app}/env");
    let env = f
        .ask("space_supporter", &get, &path, &Value::Null)
        .await
        .json();
    assert_eq!(
        env["system_env_json"]["redacted_message"],
        "[PRIVATE DATA HIDDEN]"
    );
}

#[tokio::test]
async fn only_administrators_can_change_suspended_organizations() {
    let f = Foundation::start().await;
    let app = f.cf.create_app(&f.space, "app").await;
    let (org, space) = (
        format!("/v3/organizations/{}", f.org),
        format!("/v3/spaces/{}", f.space),
    );
    let app = format!("/v3/apps/{app}");
    let change = json!({"metadata": {"labels": {"a": "b"}}});
    let patch = Method::PATCH;
    let error = async |user: &str, path: &str| f.ask(user, &patch, path, &change).await.error();

    let suspend = json!({"suspended": true});
    let refused = f.ask("organization_manager", &patch, &org, &suspend).await;
    assert_eq!(refused.error().0, 10003);
    let refused = f.ask("space_manager", &patch, &space, &suspend).await;
    assert_eq!(refused.error().0, 10003);
    let suspended = f
        .ask("organization_manager", &patch, &space, &suspend)
        .await;
    assert_eq!(suspended.status, 200);
    assert_eq!(
        error("space_developer", &app).await,
        (10019, "The space is suspended".into())
    );
    assert_eq!(error("organization_manager", &space).await.0, 0);

    assert_eq!(f.cf.patch(&org, suspend).await.status, 200);
    for (user, path) in [("space_developer", &app), ("organization_manager", &space)] {
        assert_eq!(
            error(user, path).await,
            (10017, "The organization is suspended".into())
        );
    }
    // Reading requests are allowed.
    let env = format!("{app}/env");
    for method in [Method::GET, Method::HEAD] {
        let shown = f.ask("space_developer", &method, &env, &Value::Null).await;
        assert_eq!(shown.status, 200, "{method}");
    }
    assert_eq!(f.cf.patch(&app, change.clone()).await.status, 200);
}

/// Pages of lists without filters are read from indexes. A filter that every resource
/// passes makes the mock check all rows. Both must contain the same resources.
#[tokio::test]
async fn unfiltered_lists_contain_the_same_resources_as_filtered_ones() {
    const PASSED: &str = "created_ats[gt]=2000-01-01T00:00:00Z";
    const ALL_MAPPINGS: &str = "/v2/route_mappings?results-per-page=100";
    let mut users = USERS.to_vec();
    users.push("member");
    let builder = MockCapi::builder()
        .broker("db", &["small"])
        .add_user("member", "secret");
    let builder = USERS[..7]
        .iter()
        .fold(builder, |builder, user| builder.add_user(user, "secret"));
    let mut cf = Session::start(builder.add_user("stranger", "secret")).await;
    cf.patch("/v3/feature_flags/route_sharing", json!({"enabled": true}))
        .await;
    let mut spaces = Vec::new();
    for org in ["one", "two"] {
        let org_guid = cf.create_org(org).await;
        for space in ["a", "b", "c"] {
            let space = cf.create_space(&org_guid, space).await;
            spaces.push((org_guid.clone(), space));
        }
    }
    for user in &USERS[..7] {
        assign(&cf, user, &spaces[0].0, &spaces[0].1).await;
    }
    // Roles in several organizations and spaces, including a space of the same
    // organization.
    for (role, (org, space)) in [
        ("organization_auditor", &spaces[0]),
        ("organization_manager", &spaces[3]),
        ("space_developer", &spaces[1]),
        ("space_developer", &spaces[3]),
        ("space_auditor", &spaces[4]),
    ] {
        assign_role(&cf, "member", role, org, space).await;
    }
    let domain = cf.default_domain(&spaces[0].0).await;
    for number in 0..4 {
        for (place, (_, space)) in spaces.iter().enumerate() {
            let name = format!("{}-{place}{number}", ["b", "A", "c", "a"][number]);
            cf.create_app(space, &name).await;
            let route = new_route(space, &domain, &name.to_lowercase());
            assert_eq!(cf.post("/v3/routes", route).await.status, 201);
            let instance = json!({"type": "user-provided", "name": name,
                "relationships": {"space": {"data": {"guid": space}}}});
            let instance = cf.post("/v3/service_instances", instance).await.guid();
            if number == 0 {
                let app = cf.staged_app(space, &format!("{name}-staged")).await;
                let deployment = json!({"relationships": {"app": {"data": {"guid": app}}}});
                let deployed = cf.post("/v3/deployments", deployment).await;
                assert_eq!(deployed.status, 201, "{deployed:?}");
                let binding = json!({"type": "app", "relationships": {
                    "app": {"data": {"guid": app}},
                    "service_instance": {"data": {"guid": instance}}}});
                let bound = cf.post("/v3/service_credential_bindings", binding).await;
                assert_eq!(bound.status, 201, "{bound:?}");
            }
        }
    }
    for (org, space) in &spaces {
        add_services(&cf, org, space, &domain).await;
    }
    add_shared_resources(&cf, &spaces).await;
    let compare = async |cf: &Session, users: &[&str]| {
        let mut seen = 0;
        for user in users {
            let token = cf.mock.token(user).unwrap();
            let list = async |path: String| {
                let request = cf.http.get(format!("{}{path}", cf.mock.uri()));
                let answer = send(request.bearer_auth(&token)).await.json();
                let resources = answer["resources"].as_array().unwrap().clone();
                let total = &answer["pagination"]["total_results"];
                (
                    resources,
                    total.as_u64().or(answer["total_results"].as_u64()),
                )
            };
            for (kind, passed) in [
                ("apps", "name%3E%3D0"),
                ("organizations", "name%3E%3D0"),
                ("spaces", "name%3E%3D0"),
                ("routes", "port%3E%3D0"),
                ("events", "timestamp%3E%3D2000-01-01T00:00:00Z"),
                ("user_provided_service_instances", "name%3E%3D0"),
                ("service_instances", "name%3E%3D0"),
                ("service_keys", "name%3E%3D0"),
                ("domains", "name%3E%3D0"),
                ("private_domains", "name%3E%3D0"),
                ("shared_domains", "name%3E%3D0"),
                ("security_groups", "name%3E%3D0"),
                ("service_brokers", "name%3E%3D0"),
                ("services", "label%3E%3D0"),
                ("service_plans", "unique_id%3E%3D0"),
            ] {
                for order in ["asc", "desc", "asc&order-by=name", "desc&order-by=name"] {
                    if order.ends_with("name") && !["organizations", "spaces"].contains(&kind) {
                        continue;
                    }
                    let path = format!("/v2/{kind}?order-direction={order}&results-per-page=");
                    let filtered = list(format!("{path}100&q={passed}")).await;
                    let whole = list(format!("{path}100")).await;
                    assert_eq!(whole, filtered, "{user} {path}");
                    let (all, _) = whole;
                    seen += all.len();
                    for page in [1, 2, all.len().max(3) - 1] {
                        let (page_of, _) = list(format!("{path}1&page={page}")).await;
                        let expected = all.get(page - 1..page).unwrap_or_default();
                        assert_eq!(page_of, expected, "{user} {path} {page}");
                    }
                }
            }
            for kind in [
                "apps",
                "processes",
                "routes",
                "spaces",
                "organizations",
                "roles",
                "service_instances",
                "audit_events",
                "builds",
                "deployments",
                "droplets",
                "service_credential_bindings",
                "service_route_bindings",
                "service_brokers",
                "service_offerings",
                "service_plans",
                "domains",
                "users",
                "security_groups",
                "space_quotas",
                "organization_quotas",
                "isolation_segments",
            ] {
                for order in ["", "-created_at", "-updated_at", "name", "-name"] {
                    let named = ["apps", "spaces", "organizations", "service_instances"];
                    if order.ends_with("name") && !named.contains(&kind) {
                        continue;
                    }
                    let order = match order {
                        "" => String::new(),
                        order => format!("order_by={order}&"),
                    };
                    let (all, total) =
                        list(format!("/v3/{kind}?{order}per_page=5000&{PASSED}")).await;
                    seen += all.len();
                    let (whole, own) = list(format!("/v3/{kind}?{order}per_page=5000")).await;
                    assert_eq!((&whole, &own), (&all, &total), "{user} {kind} {order}");
                    for page in [1, 2, all.len().max(3) - 1] {
                        let page_of = list(format!("/v3/{kind}?{order}per_page=1&page={page}"));
                        let (page_of, _) = page_of.await;
                        let expected = all.get(page - 1..page).unwrap_or_default();
                        assert_eq!(page_of, expected, "{user} {kind} {order} {page}");
                    }
                }
            }
            let (mappings, total) = list(ALL_MAPPINGS.into()).await;
            assert_eq!(total, Some(mappings.len() as u64), "{user}");
            let mut readable = Vec::new();
            let all = cf.get(ALL_MAPPINGS).await.json();
            for mapping in all["resources"].as_array().unwrap() {
                let path = mapping["metadata"]["url"].as_str().unwrap();
                let request = cf.http.get(format!("{}{path}", cf.mock.uri()));
                let shown = send(request.bearer_auth(&token)).await;
                if shown.status == 200 {
                    readable.push(shown.json());
                }
            }
            assert_eq!(mappings, readable, "{user}");
            seen += mappings.len();
        }
        seen
    };
    let before = compare(&cf, &users).await;
    // Routes are also listed in the spaces that they are shared with.
    let list = cf.get("/v3/routes?per_page=2").await.json();
    let route = list["resources"][1]["guid"].as_str().unwrap();
    let relation = format!("/v3/routes/{route}/relationships/shared_spaces");
    let shared = cf.post(&relation, json!({"data": [{"guid": spaces[5].1}]}));
    assert_eq!(shared.await.status, 200);
    assign_role(&cf, "member", "space_supporter", &spaces[5].0, &spaces[5].1).await;
    let after = compare(&cf, &users).await;
    assert!(before > 1000 && after > before, "{before} {after}");
    cf.log_in_as("member", "secret").await;
    let apps = cf.get("/v3/apps?per_page=1").await.json();
    // All spaces of the second organization are visible, and one of the first.
    assert_eq!(apps["pagination"]["total_results"], 4 * 6);
}

/// An app with two mappings, a route service, and a managed instance with a key.
async fn add_services(cf: &Session, org: &str, space: &str, domain: &str) {
    let created = async |path: &str, body: Value| {
        let created = cf.post(path, body).await;
        assert!(created.status.is_success(), "{path}: {created:?}");
        created
    };
    let space_of = json!({"data": {"guid": space}});
    let app = cf.create_app(space, "mapped").await;
    let host = format!("mapped-{}", &space[..8]);
    let route = created("/v3/routes", new_route(space, domain, &host)).await;
    let route = route.guid();
    let mapped = json!({"destinations": [
        {"app": {"guid": app}},
        {"app": {"guid": app}, "port": 9000},
        {"app": {"guid": app, "process": {"type": "worker"}}},
    ]});
    created(&format!("/v3/routes/{route}/destinations"), mapped).await;
    let proxy = json!({"type": "user-provided", "name": "proxy",
        "route_service_url": "https://proxy.example.com", "relationships": {"space": space_of}});
    let proxy = created("/v3/service_instances", proxy).await.guid();
    let through = json!({"relationships": {
        "route": {"data": {"guid": route}}, "service_instance": {"data": {"guid": proxy}}}});
    created("/v3/service_route_bindings", through).await;
    let plans = cf.get("/v3/service_plans?names=small").await.json();
    let managed = json!({"type": "managed", "name": "db", "relationships": {
        "space": space_of,
        "service_plan": {"data": {"guid": plans["resources"][0]["guid"]}}}});
    let job = created("/v3/service_instances", managed).await;
    finished(cf, job.header("location")).await;
    let list =
        format!("/v3/service_instances?names=db&organization_guids={org}&space_guids={space}");
    let managed = cf.get(&list).await.json()["resources"][0]["guid"].clone();
    let key = json!({"type": "key", "name": "key",
        "relationships": {"service_instance": {"data": {"guid": managed}}}});
    let job = created("/v3/service_credential_bindings", key).await;
    finished(cf, job.header("location")).await;
}

/// Waits for a job of the mock's embedded broker.
async fn finished(cf: &Session, job: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let job = cf.get(job).await.json();
        match job["state"].as_str() {
            Some("COMPLETE") => return,
            Some("POLLING" | "PROCESSING") if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            _ => panic!("{job}"),
        }
    }
}

/// Resources that several organizations or spaces can see.
async fn add_shared_resources(cf: &Session, spaces: &[(String, String)]) {
    let created = async |path: &str, body: Value| {
        let created = cf.post(path, body).await;
        assert!(created.status.is_success(), "{path}: {created:?}");
        created.guid()
    };
    let to = |guids: &[&String]| {
        let data = guids.iter().map(|guid| json!({"guid": guid}));
        json!({"data": data.collect::<Vec<_>>()})
    };
    let (one, two) = (&spaces[0].0, &spaces[3].0);
    for (name, owner, others) in [
        ("one.test", one, vec![]),
        ("both.test", one, vec![two]),
        ("two.test", two, vec![one]),
        ("own.test", two, vec![]),
    ] {
        let domain = json!({"name": name, "relationships": {
            "organization": {"data": {"guid": owner}}, "shared_organizations": to(&others)}});
        created("/v3/domains", domain).await;
    }
    let space = |at: usize| &spaces[at].1;
    for (name, enabled, running, staging) in [
        ("everywhere", true, vec![space(0)], vec![space(4)]),
        (
            "some",
            false,
            vec![space(0), space(3)],
            vec![space(0), space(1)],
        ),
        ("unused", false, vec![], vec![]),
    ] {
        let group = json!({"name": name,
            "globally_enabled": {"running": enabled},
            "relationships": {"running_spaces": to(&running), "staging_spaces": to(&staging)}});
        created("/v3/security_groups", group).await;
    }
    for (org, at) in [(one, 1), (two, 4)] {
        for (name, applied) in [("applied", vec![space(at)]), ("spare", vec![])] {
            let quota = json!({"name": name, "relationships": {
                "organization": {"data": {"guid": org}}, "spaces": to(&applied)}});
            created("/v3/space_quotas", quota).await;
        }
    }
    let plans = cf.get("/v3/service_plans").await.json();
    let plan = plans["resources"][0]["guid"].as_str().unwrap();
    let restricted = json!({"type": "organization", "organizations": [{"guid": one}]});
    let visibility = format!("/v3/service_plans/{plan}/visibility");
    let changed = cf.patch(&visibility, restricted).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    for (name, orgs) in [("gold", vec![one, two]), ("silver", vec![two])] {
        let segment = created("/v3/isolation_segments", json!({"name": name})).await;
        let path = format!("/v3/isolation_segments/{segment}/relationships/organizations");
        let entitled = cf.post(&path, to(&orgs)).await;
        assert_eq!(entitled.status, 200, "{entitled:?}");
    }
}

async fn assign_role(cf: &Session, user: &str, role: &str, org: &str, space: &str) {
    let mut relationships = json!({"user": {"data": {"username": user}}});
    let (place, guid) = match role.starts_with("space_") {
        true => ("space", space),
        false => ("organization", org),
    };
    relationships[place] = json!({"data": {"guid": guid}});
    let member = json!({"type": "organization_user", "relationships": {
        "user": {"data": {"username": user}}, "organization": {"data": {"guid": org}}}});
    // The user may already be a member.
    cf.post("/v3/roles", member).await;
    let role = json!({"type": role, "relationships": relationships});
    let given = cf.post("/v3/roles", role).await;
    assert_eq!(given.status, 201, "{given:?}");
}
