//! Operations of each resource that are not part of an app's lifecycle.

use crate::common::{Session, names, new_app, new_package, new_route, send};
use mock_capi::MockCapi;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

async fn yaml(cf: &Session, path: &str, body: &str) -> crate::common::HttpResponse {
    let request = cf
        .request(Method::POST, path)
        .header("content-type", "application/x-yaml");
    send(request.body(body.to_owned())).await
}

#[tokio::test]
async fn discovery_links_to_every_api() {
    let cf = Session::v3().await;
    let base = cf.mock.uri();
    let links = cf.get("/").await.json()["links"].clone();
    assert_eq!(links["cloud_controller_v2"]["href"], format!("{base}/v2"));
    assert_eq!(links["cloud_controller_v2"]["meta"]["version"], "2.293.0");
    let info = cf.get("/v2/info").await.json();
    assert_eq!(info["api_version"], "2.293.0");
    assert_eq!(links["cloud_controller_v3"]["href"], format!("{base}/v3"));
    assert_eq!(links["cloud_controller_v3"]["meta"]["version"], "3.228.0");
    assert_eq!(links["uaa"]["href"], format!("{base}/uaa"));
    let login = cf
        .get(&format!(
            "{}/login",
            links["login"]["href"].as_str().unwrap()
        ))
        .await
        .json();
    assert_eq!(login["prompts"]["username"][0], "text");
    assert_eq!(
        cf.get("/v3").await.json()["links"]["apps"]["href"],
        format!("{base}/v3/apps")
    );

    // Links have the address that the client used.
    let port = cf.mock.address().port();
    let by_name = cf.get(&format!("http://localhost:{port}/")).await.json();
    assert_eq!(
        by_name["links"]["self"]["href"],
        format!("http://localhost:{port}")
    );
}

#[tokio::test]
async fn orgs_and_spaces_are_changed_and_deleted() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let path = format!("/v3/organizations/{org}");
    let metadata = json!({"labels": {"team": "a"}, "annotations": {"note": "x y"}});
    let changed = cf
        .patch(&path, json!({"name": "renamed", "metadata": metadata}))
        .await
        .json();
    assert_eq!(
        (&changed["name"], &changed["metadata"]),
        (&json!("renamed"), &metadata)
    );
    let default =
        cf.get("/v3/organization_quotas?names=default").await.json()["resources"][0]["guid"]
            .clone();
    assert_eq!(changed["relationships"]["quota"]["data"]["guid"], default);
    assert_eq!(
        cf.names("/v3/organizations?label_selector=team=a").await,
        ["renamed"]
    );
    let unlabelled = cf
        .patch(&path, json!({"metadata": {"labels": {"team": null}}}))
        .await
        .json();
    assert_eq!(unlabelled["metadata"]["labels"], json!({}));

    let space_path = format!("/v3/spaces/{space}");
    assert_eq!(
        cf.patch(&space_path, json!({"name": "other"})).await.json()["name"],
        "other"
    );
    let with_org = cf.get(&format!("{space_path}?include=organization")).await;
    assert_eq!(
        with_org.json()["included"]["organizations"][0]["guid"],
        json!(org)
    );
    let deleted = cf.delete(&space_path).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (202, ""));
    assert_eq!(cf.get(&space_path).await.status, 404);
    assert_eq!(cf.get(&path).await.status, 200);
}

#[tokio::test]
async fn security_groups_are_bound_to_spaces() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let rules = json!([{"protocol": "tcp", "destination": "169.254.0.1", "ports": "1"}]);
    let body = json!({
        "name": "asg",
        "rules": rules,
        "globally_enabled": {"staging": true},
        "relationships": {"running_spaces": {"data": [{"guid": space}]}},
    });
    let created = cf.post("/v3/security_groups", body).await.json();
    assert_eq!(created["rules"], rules);
    assert_eq!(
        created["globally_enabled"],
        json!({"running": false, "staging": true})
    );
    assert_eq!(
        created["relationships"]["running_spaces"]["data"],
        json!([{"guid": space}])
    );
    let path = format!("/v3/security_groups/{}", created["guid"].as_str().unwrap());

    let found = format!("/v3/security_groups?running_space_guids={space}");
    assert_eq!(cf.names(&found).await, ["asg"]);
    assert_eq!(
        cf.get("/v3/security_groups?globally_enabled_staging=foo")
            .await
            .error(),
        (
            10008,
            "Globally enabled staging must be 'true' or 'false'".into()
        )
    );
    assert_eq!(
        cf.names("/v3/security_groups?globally_enabled_running=true")
            .await,
        [""; 0]
    );
    let running = format!("{path}/relationships/running_spaces");
    let unbind = format!("{running}/{space}");
    assert_eq!(cf.delete(&unbind).await.status, 204);
    assert_eq!(cf.delete(&unbind).await.status, 422);
    assert_eq!(cf.names(&found).await, [""; 0]);
    let bound = cf
        .post(&running, json!({"data": [{"guid": space}]}))
        .await
        .json();
    assert_eq!(bound["data"], json!([{"guid": space}]));
    let staging = format!("{path}/relationships/staging_spaces");
    assert_eq!(
        cf.post(&staging, json!({"data": [{"guid": space}]}))
            .await
            .status,
        200
    );
    assert_eq!(
        cf.post(&staging, json!({"data": []})).await.error().1,
        "Data can't be blank"
    );

    // A space lists the groups that are bound to it, and the global ones.
    let org = cf.create_org("elsewhere").await;
    let elsewhere = cf.create_space(&org, "elsewhere").await;
    let running = format!("/v3/spaces/{elsewhere}/running_security_groups");
    assert_eq!(cf.names(&running).await, [""; 0]);
    let staging = format!("/v3/spaces/{elsewhere}/staging_security_groups");
    let of_elsewhere = cf.get(&staging).await.json();
    assert_eq!(names(&of_elsewhere), ["asg"]);
    assert_eq!(
        of_elsewhere["resources"][0]["relationships"]["staging_spaces"]["data"],
        json!([])
    );
    let of_space = format!("/v3/spaces/{space}/running_security_groups");
    assert_eq!(cf.names(&of_space).await, ["asg"]);
    assert_eq!(cf.get(&format!("{of_space}?x=1")).await.status, 422);

    assert_eq!(
        cf.patch(&path, json!({"rules": []})).await.json()["rules"],
        json!([])
    );
    // A deleted space is no longer bound.
    cf.delete(&format!("/v3/spaces/{space}")).await;
    let unbound = cf.get(&path).await.json();
    assert_eq!(
        unbound["relationships"]["running_spaces"]["data"],
        json!([])
    );
    cf.delete(&path).await;
    assert_eq!(cf.get(&path).await.status, 404);
}

#[tokio::test]
async fn apps_can_be_changed() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    cf.create_app(&space, "taken").await;
    let path = format!("/v3/apps/{app}");
    assert_eq!(
        cf.patch(&path, json!({"name": "taken"})).await.error().0,
        10016
    );
    let lifecycle = json!({"type": "buildpack", "data": {"buildpacks": ["go_buildpack"], "stack": "cflinuxfs4"}});
    let changed = cf
        .patch(&path, json!({"name": "new", "lifecycle": lifecycle}))
        .await
        .json();
    assert_eq!(
        (&changed["name"], &changed["lifecycle"]),
        (&json!("new"), &lifecycle)
    );
    let docker = cf
        .patch(&path, json!({"lifecycle": {"type": "docker", "data": {}}}))
        .await;
    assert_eq!(
        docker.error().1,
        "Lifecycle type cannot be changed from buildpack to docker"
    );

    let environment = format!("{path}/environment_variables");
    let never_set = cf.get(&format!("{path}/env")).await.json();
    assert_eq!(never_set["environment_variables"], Value::Null);
    // A manifest without variables does not set the environment either.
    cf.applied(&space, "applications: [{name: new, memory: 64M}]")
        .await;
    let never_set = cf.get(&format!("{path}/env")).await.json();
    assert_eq!(never_set["environment_variables"], Value::Null);
    let set = cf
        .patch(&environment, json!({"var": {"A": "1", "B": "2"}}))
        .await
        .json();
    assert_eq!(set["var"], json!({"A": "1", "B": "2"}));
    cf.patch(&environment, json!({"var": {"A": null}})).await;
    assert_eq!(cf.get(&environment).await.json()["var"], json!({"B": "2"}));
    let env = cf.get(&format!("{path}/env")).await.json();
    assert_eq!(env["environment_variables"], json!({"B": "2"}));
    assert_eq!(
        env["application_env_json"]["VCAP_APPLICATION"]["application_name"],
        "new"
    );

    // Names are trimmed, and cannot be empty.
    let other = cf.post("/v3/apps", new_app(&space, " stripped ")).await;
    assert_eq!(other.json()["name"], "stripped");
    assert_eq!(
        cf.post("/v3/apps", new_app(&space, "stripped "))
            .await
            .error(),
        (10016, "App with the name 'stripped' already exists.".into())
    );
    let other = format!("/v3/apps/{}", other.guid());
    let lifecycle = |data: Value| json!({"lifecycle": {"type": "buildpack", "data": data}});
    for (body, error) in [
        (json!({"name": null}), (10008, "name presence, name format")),
        (
            json!({"lifecycle": null}),
            (10008, "Lifecycle data must be an object"),
        ),
        (
            json!({"lifecycle": {"type": "cnb", "data": {}}}),
            (330_002, "Feature Disabled: diego_cnb"),
        ),
    ] {
        let refused = cf.patch(&other, body).await.error();
        assert_eq!(refused, (error.0, error.1.into()));
    }
    // Users without permission cannot see the buildpack's URL.
    let addresses = ["https://u:p@example.com/bp.git", "git@example.com:bp.git"];
    let changed = cf.patch(&other, lifecycle(json!({"buildpacks": addresses})));
    assert_eq!(
        changed.await.json()["lifecycle"]["data"]["buildpacks"],
        json!([
            "https://***:***@example.com/bp.git",
            "git@example.com:bp.git"
        ])
    );
}

#[tokio::test]
async fn processes_can_be_changed() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let path = format!("/v3/processes/{app}");
    assert_eq!(cf.get(&path).await.json()["command"], "./app");
    let body = json!({
        "command": "./mine",
        "health_check": {"type": "http", "data": {"endpoint": "/health", "timeout": 10}},
        "metadata": {"labels": {"a": "b"}},
    });
    let changed = cf.patch(&path, body).await.json();
    assert_eq!(changed["command"], "./mine");
    assert_eq!(changed["health_check"]["type"], "http");
    assert_eq!(changed["health_check"]["data"]["endpoint"], "/health");
    assert_eq!(changed["health_check"]["data"]["timeout"], 10);
    let unset = cf.patch(&path, json!({"command": null})).await.json();
    assert_eq!(unset["command"], "./app");
    for (body, text) in [
        (
            json!({"command": ""}),
            "Command must be between 1 and 4096 characters",
        ),
        (
            json!({"health_check": {"type": "x"}}),
            "Health check type must be \"port\", \"process\", or \"http\"",
        ),
        (
            json!({"health_check": {"data": {"timeout": 0}}}),
            "Health check timeout must be greater than or equal to 1",
        ),
    ] {
        assert_eq!(cf.patch(&path, body).await.error().1, text);
    }
    let instances = cf.get(&format!("{path}/process_instances")).await.json();
    assert_eq!(
        instances["resources"],
        json!([{"index": 0, "state": "DOWN", "since": null}])
    );
    assert_eq!(
        cf.get(&format!("/v3/apps/{app}/processes/worker"))
            .await
            .error()
            .1,
        "Process not found"
    );
    // Scaling changes only the given values.
    let scaled = cf
        .scale(
            &app,
            json!({"disk_in_mb": 2048, "log_rate_limit_in_bytes_per_second": 1024}),
        )
        .await
        .json();
    assert_eq!(
        (
            &scaled["instances"],
            &scaled["memory_in_mb"],
            &scaled["disk_in_mb"],
            &scaled["log_rate_limit_in_bytes_per_second"]
        ),
        (&json!(1), &json!(1024), &json!(2048), &json!(1024))
    );
}

#[tokio::test]
async fn docker_apps_have_images() {
    let cf = Session::v3().await;
    cf.allow_docker().await;
    let (_, space) = cf.space().await;
    let mut body = new_app(&space, "app");
    body["lifecycle"] = json!({"type": "docker", "data": {}});
    let app = cf.post("/v3/apps", body).await.guid();
    assert_eq!(
        cf.post("/v3/packages", new_package(&app)).await.error().1,
        "Cannot create bits package for a Docker app."
    );
    let mut body = new_package(&app);
    body["type"] = json!("docker");
    assert_eq!(
        cf.post("/v3/packages", body.clone()).await.error().1,
        "Data Image must be a string, Data Image required"
    );
    body["data"] = json!({"image": "example/app"});
    let package = cf.post("/v3/packages", body).await;
    assert_eq!(
        (&package.json()["state"], &package.json()["data"]["image"]),
        (&json!("READY"), &json!("example/app"))
    );
    let build = cf
        .post("/v3/builds", json!({"package": {"guid": package.guid()}}))
        .await
        .guid();
    let build = cf.get(&format!("/v3/builds/{build}")).await.json();
    let droplet = build["droplet"]["guid"].as_str().unwrap();
    let shown = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(
        (&shown["image"], &shown["buildpacks"], &shown["checksum"]),
        (&json!("example/app"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn destinations_are_inserted_replaced_and_removed() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let (a, b) = (
        cf.create_app(&space, "a").await,
        cf.create_app(&space, "b").await,
    );
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "host"))
        .await
        .guid();
    let path = format!("/v3/routes/{route}/destinations");
    let to = |apps: &[&str]| -> Value {
        let apps = apps.iter().map(|app| json!({"app": {"guid": app}}));
        json!({"destinations": apps.collect::<Vec<_>>()})
    };
    let first = cf.post(&path, to(&[&a])).await.json()["destinations"][0].clone();
    assert_eq!(
        (
            &first["app"]["process"]["type"],
            &first["protocol"],
            &first["weight"]
        ),
        (&json!("web"), &json!("http1"), &Value::Null)
    );
    // Existing destinations are not added again.
    assert_eq!(
        cf.post(&path, to(&[&a])).await.json()["destinations"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        cf.post(&path, to(&[&b, &b])).await.error().1,
        "Destinations cannot contain duplicate entries"
    );
    let replaced = cf.patch(&path, to(&[&a, &b])).await.json();
    let kept = replaced["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .any(|d| d["guid"] == first["guid"]);
    assert!(kept, "{replaced}");
    assert_eq!(
        cf.delete(&format!("{path}/{}", first["guid"].as_str().unwrap()))
            .await
            .status,
        204
    );
    assert_eq!(cf.delete(&format!("{path}/x")).await.status, 422);
    assert_eq!(
        cf.get(&path).await.json()["destinations"][0]["app"]["guid"],
        json!(b)
    );

    let weighted = json!({"destinations": [
        {"app": {"guid": a}, "weight": 61}, {"app": {"guid": b}, "weight": 39, "port": 9000},
    ]});
    assert_eq!(
        cf.post(&path, weighted.clone()).await.error().1,
        "Destinations[0]: weighted destinations can only be used when replacing all destinations., Destinations[1]: weighted destinations can only be used when replacing all destinations."
    );
    assert_eq!(cf.patch(&path, weighted).await.status, 200);
    assert_eq!(
        cf.patch(
            &path,
            json!({"destinations": [{"app": {"guid": a}, "weight": 61}]})
        )
        .await
        .error()
        .1,
        "Destinations must have weights that sum to 100."
    );
    assert_eq!(
        cf.patch(&path, json!({"destinations": []})).await.json()["destinations"],
        json!([])
    );
    for (body, text) in [
        (
            json!({"destinations": []}),
            "Destinations must be an array containing between 1 and 100 destination objects.",
        ),
        (
            json!({"destinations": [1]}),
            "Destinations[0]: must be an object.",
        ),
        (
            json!({"destinations": [{}]}),
            "Destinations[0]: must have an \"app\".",
        ),
        (
            json!({"destinations": [{"app": {"guid": a}, "port": 1}]}),
            "Destinations[0]: port must be a positive integer between 1024 and 65535 inclusive.",
        ),
        (to(&["x"]), "App(s) with guid(s) \"x\" do not exist."),
    ] {
        assert_eq!(cf.post(&path, body).await.error().1, text);
    }
    let elsewhere = cf.create_space(&org, "elsewhere").await;
    let foreign = cf.create_app(&elsewhere, "foreign").await;
    assert_eq!(cf.post(&path, to(&[&foreign])).await.status, 422);
}

#[tokio::test]
async fn manifests_and_diffs_show_apps() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let mut body = new_app(&space, "app");
    body["environment_variables"] = json!({"A": "1"});
    body["metadata"] = json!({"labels": {"a": "b"}});
    let app = cf.post("/v3/apps", body).await.guid();
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "app"))
        .await
        .guid();
    let destination = json!({"destinations": [{"app": {"guid": app}}]});
    cf.post(&format!("/v3/routes/{route}/destinations"), destination)
        .await;

    let manifest = cf.get(&format!("/v3/apps/{app}/manifest")).await;
    assert_eq!(manifest.header("content-type"), "application/x-yaml");
    for line in [
        "---",
        "applications:",
        "name: app",
        "memory: 1024M",
        "route: app.apps.mock.test",
        "stack: cflinuxfs4",
    ] {
        assert!(manifest.text.contains(line), "{line}: {}", manifest.text);
    }

    let path = format!("/v3/spaces/{space}/manifest_diff");
    let unchanged = yaml(&cf, &path, &manifest.text).await;
    assert_eq!(
        (unchanged.status.as_u16(), unchanged.json()),
        (
            201,
            // Only the log rate has a different type than the app's.
            json!({"diff": [{
                "op": "replace",
                "path": "/applications/0/processes/0/log-rate-limit-per-second",
                "was": -1,
                "value": "-1",
            }]})
        )
    );
    let wanted = json!({"applications": [
        {
            "name": "app",
            "env": {"A": "2"},
            "metadata": {"labels": {"a": "c"}},
            "processes": [{"type": "web", "instances": 2, "memory": "1G"}],
        },
        {"name": "new", "instances": 1},
    ]});
    let diff = yaml(&cf, &path, &wanted.to_string()).await;
    let mut changes = diff.json()["diff"].as_array().cloned().unwrap();
    changes.sort_by_key(|change| change["path"].to_string());
    assert_eq!(
        json!(changes),
        json!([
            {"op": "replace", "path": "/applications/0/env/A", "was": "1", "value": "2"},
            {"op": "replace", "path": "/applications/0/metadata/labels/a", "was": "b", "value": "c"},
            {"op": "replace", "path": "/applications/0/processes/0/instances", "was": 1, "value": 2},
            {"op": "add", "path": "/applications/1/instances", "value": 1},
            {"op": "add", "path": "/applications/1/name", "value": "new"},
        ])
    );

    let json = cf.post(&path, json!({})).await;
    assert_eq!(
        (json.status.as_u16(), json.error()),
        (400, (1004, "Bad request: Content-Type must be yaml".into()))
    );
    for (body, code) in [
        ("[", 1001),
        ("1", 1001),
        ("{}", 10008),
        ("applications: []", 10008),
        ("version: 2", 10008),
        ("applications: [{}]", 10008),
    ] {
        assert_eq!(yaml(&cf, &path, body).await.error().0, code, "{body}");
    }
    let invalid = yaml(
        &cf,
        &path,
        "applications: [{name: a, memory: 1}, {name: b, env: 1}]",
    )
    .await
    .json();
    let details: Vec<_> = invalid["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["detail"].clone())
        .collect();
    assert_eq!(
        details,
        [
            "For application 'a': Process \"web\": Memory must use a supported unit: B, K, KB, M, MB, G, GB, T, or TB",
            "For application 'b': Env must be an object of keys and values",
        ]
    );
}

#[tokio::test]
async fn droplets_and_packages_have_metadata() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let droplet = cf
        .get(&format!("/v3/apps/{app}/droplets/current"))
        .await
        .guid();
    let metadata = json!({"labels": {"a": "b"}, "annotations": {}});
    let package = cf.get("/v3/packages").await.json()["resources"][0]["guid"]
        .as_str()
        .unwrap()
        .to_owned();
    for path in [
        format!("/v3/droplets/{droplet}"),
        format!("/v3/packages/{package}"),
    ] {
        let changed = cf.patch(&path, json!({"metadata": metadata})).await;
        assert_eq!(
            (changed.status.as_u16(), &changed.json()["metadata"]),
            (200, &metadata),
            "{path}"
        );
    }
    assert_eq!(
        cf.get("/v3/droplets?label_selector=a").await.json()["pagination"]["total_results"],
        1
    );
}

#[tokio::test]
async fn routes_are_reserved_by_host_and_path() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let mut route = new_route(&space, &domain, "host");
    route["path"] = json!("/path");
    cf.post("/v3/routes", route).await;
    let path = format!("/v3/domains/{domain}/route_reservations");
    for (query, reserved) in [
        ("host=HOST&path=/path", true),
        ("host=host", false),
        ("host=other&path=/path", false),
        ("host=host&path=/path&port=80", false),
    ] {
        let answer = cf.get(&format!("{path}?{query}")).await.json();
        assert_eq!(answer, json!({"matching_route": reserved}), "{query}");
    }
    let answer = cf.get("/v3/domains/x/route_reservations").await;
    assert_eq!(answer.error(), (10010, "Domain not found".into()));
}

#[tokio::test]
async fn routes_have_options() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let mut route = new_route(&space, &domain, "app");
    let algorithms =
        "Options Loadbalancing must be one of 'round-robin, least-connection' if present";
    for (options, expected) in [
        (Value::Null, "Options 'options' is not a valid object"),
        (json!([]), "Options 'options' is not a valid object"),
        (json!({"speed": 1}), "Options Unknown field(s): 'speed'"),
        (json!({"loadbalancing": "luck"}), algorithms),
    ] {
        route["options"] = options;
        assert_eq!(
            cf.post("/v3/routes", route.clone()).await.error().1,
            expected
        );
    }
    route["options"] = json!({"loadbalancing": null});
    let route = cf.post("/v3/routes", route).await;
    assert_eq!(route.json()["options"], json!({}));
    let route = format!("/v3/routes/{}", route.guid());
    let luck = json!({"options": {"loadbalancing": "luck"}});
    assert_eq!(cf.patch(&route, luck).await.error().1, algorithms);
    let least = json!({"options": {"loadbalancing": "least-connection"}});
    let changed = cf.patch(&route, least.clone()).await.json();
    assert_eq!(changed["options"], least["options"]);
}

#[tokio::test]
async fn cloud_native_buildpacks_need_a_feature_flag() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let mut body = crate::common::new_app(&space, "cnb");
    body["lifecycle"] = json!({"type": "cnb", "data": {"buildpacks": ["docker://x/y"]}});
    let refused = cf.post("/v3/apps", body.clone()).await;
    assert_eq!(
        refused.error(),
        (330_002, "Feature Disabled: diego_cnb".into())
    );
    let flag = "/v3/feature_flags/diego_cnb";
    cf.patch(flag, json!({"enabled": true})).await;
    let created = cf.post("/v3/apps", body).await;
    assert_eq!(
        created.json()["lifecycle"],
        json!({"type": "cnb", "data": {"buildpacks": ["docker://x/y"], "stack": "cflinuxfs4"}})
    );
    let app = created.guid();
    let droplet = cf.stage(&app).await;
    let droplet = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(droplet["lifecycle"]["type"], "cnb");
    let manifest =
        "applications: [{name: of-manifest, lifecycle: cnb, buildpacks: ['docker://a/b']}]";
    let applied = cf.applied(&space, manifest).await;
    assert_eq!(applied["state"], "COMPLETE", "{applied}");
    let app = cf.find_app("of-manifest").await;
    let app = cf.get(&format!("/v3/apps/{app}")).await.json();
    assert_eq!(app["lifecycle"]["type"], "cnb");
}

#[tokio::test]
async fn the_droplet_of_an_image_is_copied_at_once() {
    let cf = Session::start(MockCapi::builder().copy_time(Duration::from_secs(60))).await;
    cf.allow_docker().await;
    let (_, space) = cf.space().await;
    let docker = async |name: &str| {
        let mut app = new_app(&space, name);
        app["lifecycle"] = json!({"type": "docker", "data": {}});
        cf.post("/v3/apps", app).await.guid()
    };
    let (source, target) = (docker("source").await, docker("target").await);
    let related = |app: &str| json!({"app": {"data": {"guid": app}}});
    let package = json!({
        "type": "docker",
        "data": {"image": "alpine"},
        "relationships": related(&source),
    });
    let package = cf.post("/v3/packages", package).await.guid();
    let build = json!({"package": {"guid": package}});
    let build = cf.post("/v3/builds", build).await.guid();
    let build = cf.get(&format!("/v3/builds/{build}")).await.json();
    let droplet = build["droplet"]["guid"].as_str().unwrap();
    let path = format!("/v3/droplets?source_guid={droplet}");
    let copy = cf
        .post(&path, json!({"relationships": related(&target)}))
        .await;
    assert_eq!(copy.json()["state"], "STAGED", "{copy:?}");
    let web = cf.get(&format!("/v3/processes/{target}")).await.json();
    assert_eq!(web["user"], "root");

    let image = json!({"image": "other"});
    let path = format!("/v3/droplets/{droplet}");
    assert_eq!(
        cf.patch(&path, image.clone()).await.json()["image"],
        "other"
    );
    let app = cf.staged_app(&space, "app").await;
    let app = cf.get(&format!("/v3/apps/{app}/droplets/current")).await;
    let path = format!("/v3/droplets/{}", app.guid());
    assert_eq!(cf.patch(&path, image).await.status, 500);
}

#[tokio::test]
async fn copying_a_package_without_bits_fails() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let (source, target) = (
        cf.create_app(&space, "source").await,
        cf.create_app(&space, "target").await,
    );
    let empty = cf.post("/v3/packages", new_package(&source)).await.guid();
    let related = json!({"relationships": {"app": {"data": {"guid": target}}}});
    let path = format!("/v3/packages?source_guid={empty}");
    let copy = cf.post(&path, related).await;
    assert_eq!(copy.json()["state"], "COPYING");
    let copy = cf
        .get(&format!("/v3/packages/{}", copy.guid()))
        .await
        .json();
    assert_eq!(copy["state"], "FAILED");
    assert_eq!(
        copy["data"]["error"],
        format!("failed to copy - Could not find object '{empty}'")
    );
}

#[tokio::test]
async fn a_build_that_fails_later_keeps_its_droplet() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let droplet = cf.stage(&app).await;
    let builds = cf.get(&format!("/v3/apps/{app}/builds")).await.json();
    let path = format!(
        "/v3/builds/{}",
        builds["resources"][0]["guid"].as_str().unwrap()
    );
    let failed = cf.patch(&path, json!({"state": "FAILED"})).await.json();
    assert_eq!(failed["state"], "FAILED");
    assert_eq!(failed["droplet"]["guid"], droplet.as_str());
    let droplet = cf.get(&format!("/v3/droplets/{droplet}")).await.json();
    assert_eq!(droplet["state"], "STAGED");
}

#[tokio::test]
async fn some_errors_precede_the_permission_check() {
    let mut cf = Session::start(MockCapi::builder().add_user("ann", "secret")).await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    for (kind, place, guid) in [
        ("organization_user", "organization", &org),
        ("space_auditor", "space", &space),
    ] {
        let role = json!({"type": kind, "relationships": {
            "user": {"data": {"username": "ann"}},
            place: {"data": {"guid": guid}},
        }});
        assert_eq!(cf.post("/v3/roles", role).await.status, 201);
    }
    cf.log_in_as("ann", "secret").await;
    for action in ["start", "restart"] {
        assert_eq!(
            cf.act(&app, action).await.error().1,
            "Assign a droplet before starting this app."
        );
    }
    let path = "/v3/apps/none/relationships/current_droplet";
    let removed = cf.patch(path, json!({"data": null})).await;
    assert_eq!(
        removed.error().1,
        "Current droplet cannot be removed. Replace it with a preferred droplet."
    );
}
