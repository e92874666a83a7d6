//! Apps and their parts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::tour::{Tour, guid, metadata, related};

pub(crate) async fn visit(tour: &Tour) {
    let (_, space) = tour.cf.space().await;
    let app = lifecycle(tour, &space).await;
    environment(tour, &app).await;
    processes(tour, &app).await;
    revisions(tour, &app).await;
    sidecars(tour, &app).await;
    tasks(tour, &app).await;
    manifests(tour, &space, &app).await;
    tour.delete(&format!("/v3/apps/{app}")).await;
    let events = tour.get("/v3/audit_events").await;
    let event = guid(&events["resources"][0]);
    tour.get(&format!("/v3/audit_events/{event}")).await;
}

fn new(space: &str, name: &str) -> Value {
    json!({
        "name": name,
        "relationships": related(&[("space", space)]),
        "environment_variables": {"KEY": "value"},
        "metadata": metadata(),
    })
}

/// The GUID of a started app.
async fn lifecycle(tour: &Tour, space: &str) -> String {
    let app = guid(&tour.post("/v3/apps", new(space, "app")).await);
    let path = format!("/v3/apps/{app}");
    let on = json!({"enabled": true});
    tour.patch("/v3/feature_flags/diego_docker", on).await;
    let mut docker = new(space, "docker");
    docker["lifecycle"] = json!({"type": "docker", "data": {}});
    tour.post("/v3/apps", docker).await;
    tour.refuse(Method::POST, "/v3/apps", new(space, "app"))
        .await;
    tour.get_all(
        "/v3/apps",
        &["", "include=space,space.organization", "per_page=1"],
    )
    .await;
    tour.get_all(&path, &["", "include=space.organization"])
        .await;

    let start = format!("{path}/actions/start");
    tour.refuse(Method::POST, &start, json!({})).await;
    let droplet = tour.cf.stage(&app).await;
    let body = json!({"name": "renamed", "metadata": metadata()});
    tour.patch(&path, body).await;
    let current = format!("{path}/relationships/current_droplet");
    tour.patch(&current, json!({"data": {"guid": droplet}}))
        .await;
    tour.get(&current).await;
    tour.get(&format!("{path}/droplets/current")).await;
    for action in ["start", "stop", "restart"] {
        tour.act(&format!("{path}/actions/{action}")).await;
    }
    tour.follow_action(&format!("{path}/actions/clear_buildpack_cache"))
        .await;
    let below = [
        "packages",
        "droplets",
        "builds",
        "routes",
        "ssh_enabled",
        "permissions",
    ];
    for below in below {
        tour.get(&format!("{path}/{below}")).await;
    }
    let features = format!("{path}/features");
    tour.get(&features).await;
    tour.get(&format!("{features}/ssh")).await;
    tour.patch(&format!("{features}/ssh"), json!({"enabled": false}))
        .await;
    app
}

async fn environment(tour: &Tour, app: &str) {
    let path = format!("/v3/apps/{app}/environment_variables");
    tour.patch(&path, json!({"var": {"KEY": "other", "MORE": "x"}}))
        .await;
    tour.get(&path).await;
    tour.get(&format!("/v3/apps/{app}/env")).await;
}

async fn processes(tour: &Tour, app: &str) {
    let of_app = format!("/v3/apps/{app}/processes");
    tour.get_all("/v3/processes", &["", "types=web"]).await;
    tour.get_all(&of_app, &["", "embed=process_instances"])
        .await;
    let process = guid(&tour.get(&format!("{of_app}/web")).await);
    let process = format!("/v3/processes/{process}");
    for path in [&process, &format!("{of_app}/web")] {
        tour.get(path).await;
        tour.patch(
            path,
            json!({
                "command": "./run",
                "health_check": {"type": "http", "data": {"endpoint": "/health", "timeout": 60}},
                "metadata": metadata(),
            }),
        )
        .await;
        tour.post(
            &format!("{path}/actions/scale"),
            json!({"instances": 2, "memory_in_mb": 64}),
        )
        .await;
        tour.get(&format!("{path}/stats")).await;
        tour.delete(&format!("{path}/instances/1")).await;
    }
    tour.get(&format!("{process}/process_instances")).await;
    tour.get(&format!("{process}/sidecars")).await;
}

async fn revisions(tour: &Tour, app: &str) {
    let of_app = format!("/v3/apps/{app}/revisions");
    let revisions = tour.get(&of_app).await;
    tour.get(&format!("{of_app}/deployed")).await;
    let revision = format!("/v3/revisions/{}", guid(&revisions["resources"][0]));
    tour.get(&revision).await;
    tour.patch(&revision, json!({"metadata": metadata()})).await;
    tour.get(&format!("{revision}/environment_variables")).await;
}

async fn sidecars(tour: &Tour, app: &str) {
    let of_app = format!("/v3/apps/{app}/sidecars");
    let body = json!({
        "name": "helper",
        "command": "bundle exec helper",
        "process_types": ["web"],
        "memory_in_mb": 16,
    });
    let sidecar = guid(&tour.post(&of_app, body).await);
    let sidecar = format!("/v3/sidecars/{sidecar}");
    tour.get(&of_app).await;
    tour.get(&sidecar).await;
    tour.patch(&sidecar, json!({"command": "other"})).await;
    tour.delete(&sidecar).await;
}

async fn tasks(tour: &Tour, app: &str) {
    let of_app = format!("/v3/apps/{app}/tasks");
    let mut tasks = Vec::new();
    for command in ["one", "two", "three", "four"] {
        let task = tour.post(&of_app, json!({"command": command})).await;
        tasks.push(format!("/v3/tasks/{}", guid(&task)));
    }
    tour.get(&of_app).await;
    tour.get("/v3/tasks").await;
    let [one, two, three, four] = &tasks[..] else {
        panic!("four tasks")
    };
    tour.get(one).await;
    tour.patch(one, json!({"metadata": metadata()})).await;
    tour.act(&format!("{two}/actions/cancel")).await;
    tour.put(&format!("{three}/cancel")).await;
    tour.put(&format!("{four}/actions/cancel")).await;
}

async fn manifests(tour: &Tour, space: &str, app: &str) {
    let manifest = json!({"applications": [{"name": "of-manifest", "memory": "64M"}]});
    let space = format!("/v3/spaces/{space}");
    tour.post_yaml(&format!("{space}/manifest_diff"), manifest.clone())
        .await;
    tour.post_yaml(&format!("{space}/actions/apply_manifest"), manifest)
        .await;
    tour.get(&format!("/v3/apps/{app}/manifest")).await;
}
