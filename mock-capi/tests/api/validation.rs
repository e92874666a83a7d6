//! How requests are checked, as a Rails application checks them.

use serde_json::{Value, json};

use crate::common::{Session, new_app, new_route};

/// The details of a refusal.
async fn refused(cf: &Session, path: &str, body: Value) -> String {
    let answer = cf.post(path, body.clone()).await;
    assert_eq!(answer.status, 422, "{path} {body}: {answer:?}");
    answer.error().1
}

#[tokio::test]
async fn a_body_that_is_no_object_is_one_unknown_field() {
    let cf = Session::v3().await;
    assert_eq!(
        refused(&cf, "/v3/apps", json!([])).await,
        "Unknown field(s): '_json', Relationships 'relationships' is not an object, Name must be a string"
    );
    assert_eq!(
        refused(&cf, "/v3/isolation_segments", json!("x")).await,
        "Unknown field(s): '_json', Name can't be blank"
    );
}

#[tokio::test]
async fn lists_lose_their_nulls() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let mut app = new_app(&space, "app");
    app["lifecycle"] = json!({"type": "buildpack", "data": {"buildpacks": [null]}});
    let created = cf.post("/v3/apps", app).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["lifecycle"]["data"]["buildpacks"], json!([]));
}

#[tokio::test]
async fn every_validator_of_a_field_is_reported() {
    let cf = Session::v3().await;
    for (path, name, text) in [
        (
            "/v3/organizations",
            json!({}),
            "Name must be a string, Name is too short (minimum is 1 character), Name can't be blank",
        ),
        (
            "/v3/buildpacks",
            json!(["a"]),
            "Name must be a string, Name is invalid",
        ),
        (
            "/v3/buildpacks",
            Value::Null,
            "Name must be a string, Name can't be blank, Name is too long (maximum is 250 characters), Name is invalid",
        ),
        (
            "/v3/domains",
            json!(true),
            "Name must be a string, Name does not comply with RFC 1035 standards, Name must contain at least one \".\"",
        ),
    ] {
        assert_eq!(refused(&cf, path, json!({ "name": name })).await, text);
    }
}

#[tokio::test]
async fn an_empty_relationship_is_blank_and_has_no_structure() {
    let cf = Session::v3().await;
    for empty in [json!(""), json!([]), json!({})] {
        let body = json!({"name": "s", "relationships": {"organization": empty}});
        assert_eq!(
            refused(&cf, "/v3/spaces", body).await,
            "Relationships Organization can't be blank, Relationships Organization must be structured like this: \"organization: {\"data\": {\"guid\": \"valid-guid\"}}\""
        );
    }
}

#[tokio::test]
async fn what_has_no_type_of_its_own_is_kept_as_text() {
    let cf = Session::v3().await;
    let stack = json!({"name": ["a"], "description": 5, "state_reason": []});
    let created = cf.post("/v3/stacks", stack).await;
    assert_eq!(created.status, 201, "{created:?}");
    let stack = created.json();
    assert_eq!(
        (
            &stack["name"],
            &stack["description"],
            &stack["state_reason"]
        ),
        (&json!("a"), &json!("5"), &Value::Null)
    );
}

#[tokio::test]
async fn metadata_is_limited_and_read_as_ruby_reads_it() {
    let cf = Session::v3().await;
    let org = cf.create_org("org").await;
    let path = format!("/v3/organizations/{org}");
    let update = |metadata: Value| cf.patch(&path, json!({ "metadata": metadata }));
    let many = |count: usize| -> Value {
        let entries = (0..count).map(|index| (format!("k{index}"), json!("v")));
        Value::Object(entries.collect())
    };
    assert_eq!(
        update(json!({"labels": many(51)})).await.error(),
        (
            390_020,
            "Failed to add 51 labels because it would exceed maximum of 50".into()
        )
    );
    assert_eq!(
        update(json!({"annotations": many(201)})).await.error(),
        (
            390_023,
            "Failed to add 201 annotations because it would exceed maximum of 200".into()
        )
    );
    assert_eq!(
        update(json!({"labels": {"a": {"b": "c"}}})).await.error().1,
        r#"Metadata label value error: '{:b=>"c"}' contains invalid characters"#
    );
    let kept = update(json!({"annotations": {"one": [5], "none": []}})).await;
    assert_eq!(
        kept.json()["metadata"]["annotations"],
        json!({"none": null, "one": "5"})
    );
}

#[tokio::test]
async fn lifecycles_are_checked_before_what_they_name() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let with = |lifecycle: Value| {
        let mut app = new_app(&space, "app");
        app["lifecycle"] = lifecycle;
        app
    };
    for (lifecycle, text) in [
        (
            json!({"type": {"a": "b"}, "data": {}}),
            "Lifecycle type is not included in the list: buildpack, docker, cnb, Lifecycle type must be a string",
        ),
        (
            json!({"data": {"stack": ""}, "type": "buildpack"}),
            "Lifecycle Stack must be between 1 and 4096 characters",
        ),
        (
            json!({"type": "buildpack", "data": {"buildpacks": ["nope"]}}),
            "Buildpack \"nope\" for stack \"cflinuxfs4\" must be an existing admin buildpack or a valid git URI",
        ),
        (
            json!({"type": "buildpack", "data": {"buildpacks": ["go_buildpack"], "stack": "cflinuxfs3"}}),
            "Buildpack \"go_buildpack\" for stack \"cflinuxfs3\" must be an existing admin buildpack or a valid git URI",
        ),
        (
            json!({"type": "buildpack", "data": {"buildpacks": ["go_buildpack"], "stack": "none"}}),
            "Buildpack \"go_buildpack\" must be an existing admin buildpack or a valid git URI, Stack must be an existing stack",
        ),
    ] {
        assert_eq!(refused(&cf, "/v3/apps", with(lifecycle)).await, text);
    }
    // A type that is blank is none.
    let blank = with(json!({"type": "", "data": {}}));
    assert_eq!(cf.post("/v3/apps", blank).await.status, 201);
}

#[tokio::test]
async fn names_cannot_be_taken_away() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    for path in [
        format!("/v3/organizations/{org}"),
        format!("/v3/spaces/{space}"),
    ] {
        let answer = cf.patch(&path, json!({"name": null})).await;
        assert_eq!(
            answer.error(),
            (10008, "name presence, name format".into()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn route_options_for_hashing_are_behind_their_flag() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let domain = cf.default_domain(&org).await;
    let with = |options: Value| {
        let mut route = new_route(&space, &domain, "host");
        route["options"] = options;
        route
    };
    let hash = json!({"loadbalancing": "hash", "hash_header": "X-User", "hash_balance": "1.25"});
    assert_eq!(
        refused(&cf, "/v3/routes", with(hash.clone())).await,
        "Options Loadbalancing must be one of 'round-robin, least-connection' if present, Options Unknown field(s): 'hash_header', 'hash_balance'"
    );
    let flag = "/v3/feature_flags/hash_based_routing";
    cf.patch(flag, json!({"enabled": true})).await;
    for (options, text) in [
        (
            json!({"loadbalancing": "hash"}),
            "Hash header must be present when loadbalancing is set to hash.",
        ),
        (
            json!({"loadbalancing": "hash", "hash_header": "X", "hash_balance": 0.5}),
            "Options Hash balance must be either 0 or between 1.1 and 10.0",
        ),
        (
            json!({"loadbalancing": "round-robin", "hash_header": "X"}),
            "Options Hash header can only be set when loadbalancing is hash",
        ),
        (
            json!({"loadbalancing": "hash", "hash_header": "x".repeat(129)}),
            "Options Hash header must be at most 128 characters",
        ),
    ] {
        assert_eq!(refused(&cf, "/v3/routes", with(options)).await, text);
    }
    let route = cf.post("/v3/routes", with(hash)).await;
    assert_eq!(route.json()["options"]["hash_balance"], "1.3");
    // They go with another algorithm.
    let path = format!("/v3/routes/{}", route.guid());
    let other = json!({"options": {"loadbalancing": "round-robin"}});
    assert_eq!(
        cf.patch(&path, other).await.json()["options"],
        json!({"loadbalancing": "round-robin"})
    );
}

#[tokio::test]
async fn bindings_have_names_of_letters_digits_and_dashes() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let of_space = json!({"space": {"data": {"guid": space}}});
    let service = json!({"type": "user-provided", "name": "db", "relationships": of_space});
    let service = cf.post("/v3/service_instances", service).await.guid();
    let binding = |name: Value| {
        json!({
            "type": "app",
            "name": name,
            "relationships": {
                "app": {"data": {"guid": app}},
                "service_instance": {"data": {"guid": service}},
            },
        })
    };
    assert_eq!(
        refused(
            &cf,
            "/v3/service_credential_bindings",
            binding(json!("bad name!"))
        )
        .await,
        "The binding name is invalid. Valid characters are alphanumeric, underscore, and dash."
    );
    let bound = cf
        .post(
            "/v3/service_credential_bindings",
            binding(json!("good-name_1")),
        )
        .await;
    assert_eq!(bound.status, 201, "{bound:?}");
    // A service without credentials shows none.
    let path = format!("/v3/service_credential_bindings/{}/details", bound.guid());
    assert_eq!(cf.get(&path).await.json(), json!({}));
}

#[tokio::test]
async fn services_keep_to_the_limits_of_their_model() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let with = |name: &str, tags: Value| {
        json!({
            "type": "user-provided",
            "name": name,
            "tags": tags,
            "relationships": {"space": {"data": {"guid": space}}},
        })
    };
    let long = "n".repeat(256);
    assert_eq!(
        refused(&cf, "/v3/service_instances", with(&long, json!([]))).await,
        "name max_length"
    );
    let tags = json!(["t".repeat(2049)]);
    assert_eq!(
        refused(&cf, "/v3/service_instances", with("db", tags)).await,
        "tags too_long"
    );
    let service = cf
        .post("/v3/service_instances", with("db", json!([null])))
        .await;
    assert_eq!(service.json()["tags"], json!([]));
    let path = format!("/v3/service_instances/{}", service.guid());
    let unnamed = cf.patch(&path, json!({"name": null})).await;
    assert_eq!(unnamed.error().1, "name presence, name is not present");
}
