//! Lists: filters, order, pages, and invalid queries.

use crate::common::{Session, new_app, new_route};
use serde_json::{Value, json};

async fn three_apps() -> (Session, String, String) {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    for (name, tier) in [("b", "web"), ("a", "db"), ("c", "web")] {
        let mut body = new_app(&space, name);
        body["metadata"] = json!({"labels": {"tier": tier}});
        assert_eq!(cf.post("/v3/apps", body).await.status, 201);
    }
    (cf, org, space)
}

#[tokio::test]
async fn apps_are_filtered() {
    let (cf, org, space) = three_apps().await;
    let other = cf.create_space(&org, "other").await;
    let d = cf.create_app(&other, "d").await;
    for (query, expected) in [
        (String::new(), vec!["b", "a", "c", "d"]),
        ("names=a,c".into(), vec!["a", "c"]),
        ("names=A".into(), vec!["a"]),
        ("names=".into(), vec![]),
        (format!("guids={d}"), vec!["d"]),
        ("guids=no-guid".into(), vec![]),
        (format!("space_guids={space}"), vec!["b", "a", "c"]),
        (
            format!("space_guids={space},{other}&names=a,d"),
            vec!["a", "d"],
        ),
        (format!("organization_guids={org}&names=d"), vec!["d"]),
        ("organization_guids=x".into(), vec![]),
        ("label_selector=tier".into(), vec!["b", "a", "c"]),
        ("label_selector=tier%3Dweb".into(), vec!["b", "c"]),
        (
            "label_selector=tier%20in%20(web,db),tier!=db".into(),
            vec!["b", "c"],
        ),
        ("label_selector=!tier".into(), vec!["d"]),
        (
            "stacks=cflinuxfs4&lifecycle_type=buildpack&names=a".into(),
            vec!["a"],
        ),
        ("lifecycle_type=docker".into(), vec![]),
        ("order_by=name".into(), vec!["a", "b", "c", "d"]),
        ("order_by=-name".into(), vec!["d", "c", "b", "a"]),
        ("order_by=%2Bname&per_page=2&page=2".into(), vec!["c", "d"]),
        ("order_by=-created_at&per_page=1".into(), vec!["d"]),
        (
            "created_ats[gt]=2017-04-25T20:53:11Z&names=a".into(),
            vec!["a"],
        ),
        ("created_ats[lt]=2017-04-25T20:53:11Z".into(), vec![]),
    ] {
        assert_eq!(
            cf.names(&format!("/v3/apps?{query}")).await,
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn pages_link_to_each_other() {
    let (cf, _, space) = three_apps().await;
    let base = cf.mock.uri();
    let query = format!("/v3/apps?space_guids={space}&per_page=2&order_by=name");
    let first = cf.get(&query).await.json();
    let link = |page: u32| {
        format!("{base}/v3/apps?order_by=%2Bname&page={page}&per_page=2&space_guids={space}")
    };
    assert_eq!(
        first["pagination"],
        json!({
            "total_results": 3,
            "total_pages": 2,
            "first": {"href": link(1)},
            "last": {"href": link(2)},
            "next": {"href": link(2)},
            "previous": null,
        })
    );
    assert_eq!(cf.names(&link(2)).await, ["c"]);
    // The total of an empty page is 0.
    let beyond = cf.get(&format!("{query}&page=3")).await.json();
    assert_eq!(
        (
            &beyond["pagination"]["total_results"],
            &beyond["pagination"]["last"]["href"]
        ),
        (&json!(0), &json!(link(1)))
    );
    let empty = cf.get("/v3/apps?names=x&page=7").await.json();
    assert_eq!(empty["pagination"]["total_pages"], 1);
    assert_eq!(empty["resources"], json!([]));
}

#[tokio::test]
async fn invalid_queries_of_lists_are_refused() {
    let (cf, ..) = three_apps().await;
    let valid = "'page', 'per_page', 'order_by', 'created_ats', 'updated_ats', 'guids', 'names', 'organization_guids', 'space_guids', 'stacks', 'include', 'lifecycle_type', 'label_selector'";
    for (query, reason) in [
        ("x=1", format!("Unknown query parameter(s): 'x'. Valid parameters are: {valid}")),
        ("page=0", "Page must be a positive integer".into()),
        ("page=-1", "Page must be a positive integer".into()),
        ("per_page=0", "Per page must be a positive integer".into()),
        ("per_page=x", "Per page must be a positive integer".into()),
        ("per_page=5001", "Per page must be between 1 and 5000".into()),
        ("per_page=99999999999999999999999", "Per page must be between 1 and 5000, Maximum result (page * per_page) must be less than 9223372036854775807".into()),
        ("page=9223372036854775807&per_page=2", "Maximum result (page * per_page) must be less than 9223372036854775807".into()),
        ("x=1&x=2", format!("Unknown query parameter(s): 'x'. Valid parameters are: {valid}")),
        ("guids[a]=x", "Guids must be an array".into()),
        ("order_by=color", "Order by can only be: 'created_at', 'updated_at', 'name', 'state'".into()),
        ("x=1&page=0", format!("Page must be a positive integer, Unknown query parameter(s): 'x'. Valid parameters are: {valid}")),
        ("order_by=--name", "Order by can only be: 'created_at', 'updated_at', 'name', 'state'".into()),
        ("order_by=+name", "Order by can only be: 'created_at', 'updated_at', 'name', 'state'".into()),
        ("include=moon", "Invalid included resource: 'moon'. Valid included resources are: 'space', 'org', 'space.organization'".into()),
        ("include=space,space", "Duplicate included resource: 'space'".into()),
        ("label_selector=", "Missing label_selector value".into()),
        ("label_selector=a%20b", "Invalid label_selector value".into()),
        ("created_ats=yesterday", "Created ats has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'".into()),
        ("updated_ats[eq]=2017-04-25T20:53:11Z", "Updated ats Invalid relational operator: 'eq'".into()),
    ] {
        let refused = cf.get(&format!("/v3/apps?{query}")).await;
        assert_eq!(refused.status, 400, "{query}: {refused:?}");
        assert_eq!(refused.error(), (10005, format!("The query parameter is invalid: {reason}")), "{query}");
    }
    // In a list without `include`, the parameter is unknown.
    let valid = "'page', 'per_page', 'order_by', 'created_ats', 'updated_ats', 'guids', 'names', 'default', 'label_selector'";
    assert_eq!(
        cf.get("/v3/stacks?include=org").await.error().1,
        format!(
            "The query parameter is invalid: Unknown query parameter(s): 'include'. Valid parameters are: {valid}"
        )
    );
    // A page beyond the end is empty, not an error.
    let far = cf.get("/v3/apps?page=9223372036854775&per_page=1000").await;
    assert_eq!(
        (far.status.as_u16(), &far.json()["resources"]),
        (200, &json!([]))
    );
    // A list in Rails notation is treated as one string, which matches no name.
    assert!(cf.names("/v3/apps?names[]=a&names[]=b").await.is_empty());
    assert_eq!(
        cf.get("/v3/audit_events?target_guids[is]=x")
            .await
            .error()
            .1,
        "The query parameter is invalid: Target guids target_guids has an invalid operator"
    );
}

#[tokio::test]
async fn included_resources_are_shown_once() {
    let (cf, org, space) = three_apps().await;
    let included = cf.get("/v3/apps?include=space.organization").await.json()["included"].clone();
    let guids = |kind: &str| -> Vec<Value> {
        included[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["guid"].clone())
            .collect()
    };
    assert_eq!(
        (guids("spaces"), guids("organizations")),
        (vec![json!(space)], vec![json!(org)])
    );
    let later = cf.create_org("later").await;
    cf.create_space(&later, "later").await;
    let spaces = cf.get("/v3/spaces?include=organization&order_by=-created_at");
    let orgs = spaces.await.json()["included"]["organizations"].clone();
    // The resources are sorted by age, regardless of the order of the spaces.
    assert_eq!(
        (&orgs[0]["guid"], &orgs[1]["guid"]),
        (&json!(org), &json!(later))
    );
    let app = cf.get("/v3/apps?names=a").await.json()["resources"][0]["guid"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = cf
        .get(&format!("/v3/apps/{app}?include=space"))
        .await
        .json();
    assert_eq!(shown["included"]["spaces"][0]["guid"], json!(space));
}

#[tokio::test]
async fn every_list_has_its_filters() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    let route = cf
        .post("/v3/routes", new_route(&space, &domain, "Host"))
        .await
        .guid();
    let destination = json!({"destinations": [{"app": {"guid": app}}]});
    cf.post(&format!("/v3/routes/{route}/destinations"), destination)
        .await;
    let droplet = cf
        .get(&format!("/v3/apps/{app}/droplets/current"))
        .await
        .guid();
    for (path, expected) in [
        ("/v3/routes?hosts=host".to_owned(), 1),
        ("/v3/routes?hosts=other".into(), 0),
        (
            format!(
                "/v3/routes?domain_guids={domain}&space_guids={space}&organization_guids={org}"
            ),
            1,
        ),
        (format!("/v3/routes?app_guids={app}"), 1),
        ("/v3/routes?paths=/x".into(), 0),
        ("/v3/routes?ports=1024".into(), 0),
        (format!("/v3/apps/{app}/routes"), 1),
        (format!("/v3/droplets?app_guids={app}&states=STAGED"), 1),
        (
            format!("/v3/droplets?space_guids={space}&guids={droplet}"),
            1,
        ),
        ("/v3/droplets?states=FAILED,EXPIRED".into(), 0),
        (format!("/v3/apps/{app}/droplets?current=true"), 1),
        (
            format!("/v3/apps/{app}/packages?states=READY&types=bits"),
            1,
        ),
        ("/v3/packages?types=docker".into(), 0),
        (format!("/v3/builds?app_guids={app}&states=STAGED"), 1),
        (format!("/v3/apps/{app}/builds?states=STAGING"), 0),
        (
            format!("/v3/processes?app_guids={app}&types=web&space_guids={space}"),
            1,
        ),
        ("/v3/processes?types=worker".into(), 0),
        (format!("/v3/apps/{app}/processes"), 1),
        ("/v3/domains?names=apps.mock.test".into(), 1),
        (format!("/v3/organizations/{org}/domains"), 1),
        ("/v3/organization_quotas?names=default".into(), 1),
        (
            format!("/v3/organization_quotas?organization_guids={org}"),
            1,
        ),
        ("/v3/organization_quotas?organization_guids=x".into(), 0),
        (
            format!("/v3/spaces?organization_guids={org}&names=space"),
            1,
        ),
        ("/v3/spaces?names=x".into(), 0),
    ] {
        let list = cf.get(&path).await.json();
        assert_eq!(
            list["pagination"]["total_results"], expected,
            "{path}: {list}"
        );
    }
    let with_domain = cf.get("/v3/routes?include=domain,space").await.json();
    assert_eq!(with_domain["included"]["domains"][0]["guid"], json!(domain));
    let refused = cf.get("/v3/processes?embed=moon").await;
    assert_eq!(refused.error().0, 10005);
}

#[tokio::test]
async fn lists_contain_no_secrets() {
    const HIDDEN: &str = "[PRIVATE DATA HIDDEN IN LISTS]";
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let processes = cf.get("/v3/processes").await.json();
    assert_eq!(processes["resources"][0]["command"], HIDDEN);
    let droplets = cf.get(&format!("/v3/apps/{app}/droplets")).await.json();
    let droplet = &droplets["resources"][0];
    assert_eq!(droplet["execution_metadata"], HIDDEN);
    assert_eq!(
        droplet["process_types"],
        json!({"redacted_message": HIDDEN})
    );
    let process = cf.get(&format!("/v3/processes/{app}")).await.json();
    assert_eq!(process["command"], "./app");
}

#[tokio::test]
async fn some_parameters_are_valid_only_for_some_lists() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let unknown = |name: &str| format!("Unknown query parameter(s): '{name}'");
    for (path, problem) in [
        (
            format!("/v3/apps/{app}/processes?space_guids={space}"),
            unknown("space_guids"),
        ),
        (
            format!("/v3/apps/{app}/droplets?app_guids={app}"),
            unknown("app_guids"),
        ),
        ("/v3/droplets?current=true".into(), unknown("current")),
        (
            format!("/v3/apps/{app}/droplets?current=false"),
            "Current only accepts the value 'true'".into(),
        ),
        (
            "/v3/apps?lifecycle_type=x".into(),
            "Invalid lifecycle_type: 'x'".into(),
        ),
    ] {
        let answer = cf.get(&path).await;
        let detail = format!("The query parameter is invalid: {problem}");
        assert_eq!(answer.error(), (10005, detail), "{path}");
    }
}

#[tokio::test]
async fn names_are_ordered_without_regard_to_case() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    for name in ["b", "A", "c"] {
        cf.create_app(&space, name).await;
    }
    assert_eq!(cf.names("/v3/apps?order_by=name").await, ["A", "b", "c"]);
    assert_eq!(cf.names("/v3/apps?order_by=-name").await, ["c", "b", "A"]);
    // If a parameter is given twice, the last value counts.
    let twice = cf.get("/v3/apps?names=A&names=b").await.json();
    assert_eq!(crate::common::names(&twice), ["b"]);
    let first = twice["pagination"]["first"]["href"].as_str().unwrap();
    assert!(
        first.ends_with("/v3/apps?names=b&page=1&per_page=50"),
        "{first}"
    );
    // Blanks before a name are part of it.
    assert!(cf.names("/v3/apps?names=%20A").await.is_empty());
}

#[tokio::test]
async fn paths_are_normalized_like_in_rails() {
    let cf = Session::v3().await;
    for path in ["/v3/apps/", "//v3/apps", "/v3/apps.json"] {
        let list = cf.get(path).await;
        assert_eq!(list.status, 200, "{path}");
        let first = list.json()["pagination"]["first"]["href"].clone();
        let first = first.as_str().unwrap().to_owned();
        assert!(first.ends_with("/v3/apps?page=1&per_page=50"), "{first}");
    }
}
