//! The summary of the world: the numbers of resources, and the apps of one space.

use std::time::Duration;

use crate::common::{Session, new_route};
use mock_capi::MockCapi;
use serde_json::{Value, json};

/// The listed rows: the names of organizations, and the names of spaces with the number
/// of their apps.
async fn rows(cf: &Session, query: &str) -> Vec<String> {
    let overview = cf.get(&format!("/_mock/overview{query}")).await.json();
    let rows = overview["rows"].as_array().unwrap().iter();
    rows.map(|row| match row["kind"].as_str() {
        Some("space") => format!("{}: {}", row["name"].as_str().unwrap(), row["apps"]),
        _ => row["name"].as_str().unwrap().to_owned(),
    })
    .collect()
}

async fn apps(cf: &Session, space: &str, query: &str) -> Value {
    let path = format!("/_mock/overview/apps?space={space}{query}");
    cf.get(&path).await.json()
}

#[tokio::test]
async fn organizations_and_spaces_are_counted_and_found_by_name() {
    let cf = Session::v3().await;
    let (red, blue) = (cf.create_org("Red").await, cf.create_org("blue").await);
    let (dev, prod) = (
        cf.create_space(&red, "dev").await,
        cf.create_space(&red, "prod").await,
    );
    for (space, name) in [(&dev, "web"), (&dev, "worker"), (&prod, "WEB")] {
        cf.create_app(space, name).await;
    }
    cf.create_space(&blue, "dev").await;

    let all = ["Red", "dev: 2", "prod: 1", "blue", "dev: 0"];
    assert_eq!(rows(&cf, "").await, all);
    assert_eq!(rows(&cf, "?filter=red").await, all[..3]);
    assert_eq!(rows(&cf, "?filter=BLU").await, all[3..]);
    assert_eq!(rows(&cf, "?filter=work").await, ["Red", "dev: 1"]);
    assert_eq!(rows(&cf, "?filter=web").await, ["Red", "dev: 1", "prod: 1"]);
    assert_eq!(rows(&cf, "?filter=prod").await, ["Red", "prod: 1"]);
    assert!(rows(&cf, "?filter=green").await.is_empty());

    assert_eq!(rows(&cf, "?limit=2").await, all[..2]);
    let more = async |limit| {
        let path = format!("/_mock/overview?limit={limit}");
        cf.get(&path).await.json()["more"].clone()
    };
    assert_eq!((more(4).await, more(5).await), (json!(true), json!(false)));

    let counts = &cf.get("/_mock/overview").await.json()["counts"];
    let shown = ["organizations", "spaces", "apps", "instances", "routes"].map(|it| &counts[it]);
    assert_eq!(json!(shown), json!([2, 3, 3, 0, 0]));
}

#[tokio::test]
async fn every_list_of_the_state_is_counted() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    cf.staged_app(&space, "app").await;
    let counts = cf.get("/_mock/overview").await.json()["counts"].clone();
    let state = cf.mock.state();
    for (list, resources) in state.as_object().unwrap() {
        if list != "network_policies" {
            assert_eq!(counts[list], resources.as_array().unwrap().len(), "{list}");
        }
    }
    for list in ["apps", "audit_events", "app_usage_events", "uaa_users"] {
        assert!(counts[list].as_u64() > Some(0), "{list}: {counts}");
    }
}

#[tokio::test]
async fn apps_are_shown_with_the_states_of_their_resources() {
    let start = Duration::from_secs(10);
    let cf = Session::start(MockCapi::builder().start_time(start)).await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    let route = cf.post("/v3/routes", new_route(&space, &domain, "www"));
    let route = route.await.guid();
    let destination = json!({"destinations": [{"app": {"guid": app}}]});
    let path = format!("/v3/routes/{route}/destinations");
    assert_eq!(cf.post(&path, destination).await.status, 200);
    cf.scale(&app, json!({"instances": 2})).await;
    cf.act(&app, "start").await;
    cf.mock.advance(start);
    cf.scale(&app, json!({"instances": 3})).await;

    let shown = apps(&cf, &space, "").await;
    assert_eq!(
        shown["apps"],
        json!([{
            "guid": app,
            "name": "app",
            "state": "STARTED",
            "processes": [{"type": "web", "instances": {"RUNNING": 2, "STARTING": 1}}],
            "packages": {"READY": 1},
            "droplets": {"STAGED": 1},
            "routes": ["www.apps.mock.test"],
        }])
    );
    let overview = cf.get("/_mock/overview").await.json();
    assert_eq!(overview["counts"]["instances"], 3);
    assert_eq!(overview["rows"][1]["instances"], 3);
    assert_eq!(overview["rows"][1]["routes"], 1);
}

#[tokio::test]
async fn apps_of_a_space_are_found_by_name_up_to_a_limit() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    for name in ["a-1", "a-2", "b-1"] {
        cf.create_app(&space, name).await;
    }
    let found = async |query: &str| {
        let shown = apps(&cf, &space, query).await;
        let names = shown["apps"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|app| app["name"].clone()).collect();
        (json!(names), shown["more"] == true)
    };
    assert_eq!(found("").await, (json!(["a-1", "a-2", "b-1"]), false));
    assert_eq!(found("&filter=A-").await, (json!(["a-1", "a-2"]), false));
    assert_eq!(found("&filter=-1&limit=1").await, (json!(["a-1"]), true));
    let (all, _) = found("&filter=space").await;
    assert_eq!(all, json!(["a-1", "a-2", "b-1"]));

    let missing = cf.get("/_mock/overview/apps?space=x").await;
    assert_eq!(missing.error(), (10010, "Space not found".into()));
    let refused = cf.get("/_mock/overview?limit=many").await;
    let problem = "The query parameter is invalid: limit 'many' is not a number";
    assert_eq!(
        (refused.status.as_u16(), refused.error().1),
        (400, problem.into())
    );
}
