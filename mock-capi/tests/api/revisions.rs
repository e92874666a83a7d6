//! Revisions: a record of deployments, and rollbacks to them.

use crate::common::Session;
use serde_json::{Value, json};

/// Versions and descriptions of an app's revisions.
async fn revisions(cf: &Session, path: &str) -> Vec<(u64, String)> {
    let list = cf.get(path).await.json();
    let resources = list["resources"].as_array().unwrap().iter();
    resources
        .map(|revision| {
            let description = revision["description"].as_str().unwrap();
            (
                revision["version"].as_u64().unwrap(),
                description.to_owned(),
            )
        })
        .collect()
}

fn deployment(app: &str, revision: &Value) -> Value {
    json!({
        "revision": {"guid": revision},
        "relationships": {"app": {"data": {"guid": app}}},
    })
}

#[tokio::test]
async fn starting_a_changed_app_creates_a_revision() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let path = format!("/v3/apps/{app}/revisions");
    assert_eq!(revisions(&cf, &path).await, []);
    cf.act(&app, "start").await;
    cf.act(&app, "restart").await;
    let initial = (1, "Initial revision.".to_owned());
    assert_eq!(revisions(&cf, &path).await, std::slice::from_ref(&initial));

    // Only a start creates a revision.
    let web = format!("/v3/apps/{app}/processes/web");
    cf.patch(&web, json!({"command": "./mine"})).await;
    let environment = format!("/v3/apps/{app}/environment_variables");
    cf.patch(&environment, json!({"var": {"KEY": "value"}}))
        .await;
    assert_eq!(revisions(&cf, &path).await.len(), 1);
    let droplet = cf.stage(&app).await;
    cf.assign(&app, &droplet).await;
    cf.act(&app, "restart").await;
    let second = (
        2,
        "Custom start command added for 'web' process. New droplet deployed. \
         New environment variables deployed."
            .to_owned(),
    );
    assert_eq!(
        revisions(&cf, &path).await,
        [initial.clone(), second.clone()]
    );
    assert_eq!(revisions(&cf, &format!("{path}/deployed")).await, [second]);
    assert_eq!(
        revisions(&cf, &format!("{path}?versions=1")).await,
        [initial]
    );

    let latest = cf.get(&format!("{path}?versions=2")).await.json()["resources"][0].clone();
    let guid = latest["guid"].as_str().unwrap();
    assert_eq!(latest["droplet"]["guid"], json!(droplet));
    assert_eq!(latest["processes"]["web"]["command"], "./mine");
    assert_eq!(latest["deployable"], true);
    let shown = cf.get(&web).await.json();
    assert_eq!(
        shown["relationships"]["revision"]["data"]["guid"],
        json!(guid)
    );
    let variables = format!("/v3/revisions/{guid}/environment_variables");
    assert_eq!(
        cf.get(&variables).await.json()["var"],
        json!({"KEY": "value"})
    );
    let body = json!({"metadata": {"labels": {"good": "yes"}}});
    let labelled = cf.patch(&format!("/v3/revisions/{guid}"), body).await;
    assert_eq!(labelled.json()["metadata"]["labels"]["good"], "yes");

    cf.patch(
        &format!("/v3/apps/{app}/features/revisions"),
        json!({"enabled": false}),
    )
    .await;
    cf.patch(&web, json!({"command": "./other"})).await;
    cf.act(&app, "restart").await;
    assert_eq!(revisions(&cf, &path).await.len(), 2);
    assert_eq!(
        cf.post("/v3/deployments", deployment(&app, &latest["guid"]))
            .await
            .error()
            .1,
        "Cannot create deployment from a revision for an app without revisions enabled"
    );
    cf.delete(&format!("/v3/apps/{app}")).await;
    assert_eq!(cf.mock.state()["revisions"], json!([]));
}

#[tokio::test]
async fn a_deployment_can_roll_back_to_a_revision() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let web = format!("/v3/apps/{app}/processes/web");
    let environment = format!("/v3/apps/{app}/environment_variables");
    cf.patch(&web, json!({"command": "./first"})).await;
    cf.act(&app, "start").await;
    let path = format!("/v3/apps/{app}/revisions");
    let first = cf.get(&path).await.json()["resources"][0].clone();
    let nothing = cf
        .post("/v3/deployments", deployment(&app, &first["guid"]))
        .await;
    assert_eq!(
        nothing.error().1,
        "Unable to rollback. The code and configuration you are rolling back to is the same as \
         the deployed revision."
    );
    cf.patch(&web, json!({"command": null})).await;
    cf.patch(&environment, json!({"var": {"KEY": "value"}}))
        .await;
    cf.act(&app, "restart").await;

    let deployed = cf
        .post("/v3/deployments", deployment(&app, &first["guid"]))
        .await
        .json();
    assert_eq!(deployed["revision"]["version"], 3);
    assert_eq!(deployed["droplet"], first["droplet"]);
    assert_eq!(
        revisions(&cf, &path).await.pop().unwrap(),
        (
            3,
            "Custom start command added for 'web' process. New environment variables deployed. \
             Rolled back to revision 1."
                .to_owned()
        )
    );
    assert_eq!(cf.get(&web).await.json()["command"], "./first");
    assert_eq!(cf.get(&environment).await.json()["var"], json!({}));
    assert_eq!(
        cf.post("/v3/deployments", deployment(&app, &json!("x")))
            .await
            .error()
            .1,
        "The revision does not exist"
    );
}
