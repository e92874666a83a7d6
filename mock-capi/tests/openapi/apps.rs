//! Apps and their parts.

use reqwest::Method;
use serde_json::{Value, json};

use crate::recording_client::{RecordingClient, guid, metadata, related};

pub(crate) async fn call_all(client: &RecordingClient) {
    let (_, space) = client.cf.space().await;
    let app = lifecycle(client, &space).await;
    environment(client, &app).await;
    processes(client, &app).await;
    revisions(client, &app).await;
    sidecars(client, &app).await;
    tasks(client, &app).await;
    manifests(client, &space, &app).await;
    client.delete(&format!("/v3/apps/{app}")).await;
    let events = client.get("/v3/audit_events").await;
    let event = guid(&events["resources"][0]);
    client.get(&format!("/v3/audit_events/{event}")).await;
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
async fn lifecycle(client: &RecordingClient, space: &str) -> String {
    let app = guid(&client.post("/v3/apps", new(space, "app")).await);
    let path = format!("/v3/apps/{app}");
    let on = json!({"enabled": true});
    client.patch("/v3/feature_flags/diego_docker", on).await;
    let mut docker = new(space, "docker");
    docker["lifecycle"] = json!({"type": "docker", "data": {}});
    client.post("/v3/apps", docker).await;
    client
        .refuse(Method::POST, "/v3/apps", new(space, "app"))
        .await;
    client
        .get_all(
            "/v3/apps",
            &["", "include=space,space.organization", "per_page=1"],
        )
        .await;
    client
        .get_all(&path, &["", "include=space.organization"])
        .await;

    let start = format!("{path}/actions/start");
    client.refuse(Method::POST, &start, json!({})).await;
    let droplet = client.cf.stage(&app).await;
    let body = json!({"name": "renamed", "metadata": metadata()});
    client.patch(&path, body).await;
    let current = format!("{path}/relationships/current_droplet");
    client
        .patch(&current, json!({"data": {"guid": droplet}}))
        .await;
    client.get(&current).await;
    client.get(&format!("{path}/droplets/current")).await;
    for action in ["start", "stop", "restart"] {
        client.act(&format!("{path}/actions/{action}")).await;
    }
    client
        .follow_action(&format!("{path}/actions/clear_buildpack_cache"))
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
        client.get(&format!("{path}/{below}")).await;
    }
    let features = format!("{path}/features");
    client.get(&features).await;
    client.get(&format!("{features}/ssh")).await;
    client
        .patch(&format!("{features}/ssh"), json!({"enabled": false}))
        .await;
    app
}

async fn environment(client: &RecordingClient, app: &str) {
    let path = format!("/v3/apps/{app}/environment_variables");
    client
        .patch(&path, json!({"var": {"KEY": "other", "MORE": "x"}}))
        .await;
    client.get(&path).await;
    client.get(&format!("/v3/apps/{app}/env")).await;
}

async fn processes(client: &RecordingClient, app: &str) {
    let of_app = format!("/v3/apps/{app}/processes");
    client.get_all("/v3/processes", &["", "types=web"]).await;
    client
        .get_all(&of_app, &["", "embed=process_instances"])
        .await;
    let process = guid(&client.get(&format!("{of_app}/web")).await);
    let process = format!("/v3/processes/{process}");
    for path in [&process, &format!("{of_app}/web")] {
        client.get(path).await;
        client.patch(
            path,
            json!({
                "command": "./run",
                "health_check": {"type": "http", "data": {"endpoint": "/health", "timeout": 60}},
                "metadata": metadata(),
            }),
        )
        .await;
        client
            .post(
                &format!("{path}/actions/scale"),
                json!({"instances": 2, "memory_in_mb": 64}),
            )
            .await;
        client.get(&format!("{path}/stats")).await;
        client.delete(&format!("{path}/instances/1")).await;
    }
    client.get(&format!("{process}/process_instances")).await;
    client.get(&format!("{process}/sidecars")).await;
}

async fn revisions(client: &RecordingClient, app: &str) {
    let of_app = format!("/v3/apps/{app}/revisions");
    let revisions = client.get(&of_app).await;
    client.get(&format!("{of_app}/deployed")).await;
    let revision = format!("/v3/revisions/{}", guid(&revisions["resources"][0]));
    client.get(&revision).await;
    client
        .patch(&revision, json!({"metadata": metadata()}))
        .await;
    client
        .get(&format!("{revision}/environment_variables"))
        .await;
}

async fn sidecars(client: &RecordingClient, app: &str) {
    let of_app = format!("/v3/apps/{app}/sidecars");
    let body = json!({
        "name": "helper",
        "command": "bundle exec helper",
        "process_types": ["web"],
        "memory_in_mb": 16,
    });
    let sidecar = guid(&client.post(&of_app, body).await);
    let sidecar = format!("/v3/sidecars/{sidecar}");
    client.get(&of_app).await;
    client.get(&sidecar).await;
    client.patch(&sidecar, json!({"command": "other"})).await;
    client.delete(&sidecar).await;
}

async fn tasks(client: &RecordingClient, app: &str) {
    let of_app = format!("/v3/apps/{app}/tasks");
    let mut tasks = Vec::new();
    for command in ["one", "two", "three", "four"] {
        let task = client.post(&of_app, json!({"command": command})).await;
        tasks.push(format!("/v3/tasks/{}", guid(&task)));
    }
    client.get(&of_app).await;
    client.get("/v3/tasks").await;
    let [one, two, three, four] = &tasks[..] else {
        panic!("four tasks")
    };
    client.get(one).await;
    client.patch(one, json!({"metadata": metadata()})).await;
    client.act(&format!("{two}/actions/cancel")).await;
    client.put(&format!("{three}/cancel")).await;
    client.put(&format!("{four}/actions/cancel")).await;
}

async fn manifests(client: &RecordingClient, space: &str, app: &str) {
    let manifest = json!({"applications": [{"name": "of-manifest", "memory": "64M"}]});
    let space = format!("/v3/spaces/{space}");
    client
        .post_yaml(&format!("{space}/manifest_diff"), manifest.clone())
        .await;
    client
        .post_yaml(&format!("{space}/actions/apply_manifest"), manifest)
        .await;
    client.get(&format!("/v3/apps/{app}/manifest")).await;
}
