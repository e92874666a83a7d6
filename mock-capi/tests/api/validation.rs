//! Validation of requests, as by Rails.

use serde_json::{Value, json};

use crate::common::{Session, new_app, new_route, send};

/// The details of an error.
async fn refused(cf: &Session, path: &str, body: Value) -> String {
    let answer = cf.post(path, body.clone()).await;
    assert_eq!(answer.status, 422, "{path} {body}: {answer:?}");
    answer.error().1
}

#[tokio::test]
async fn a_body_that_is_not_an_object_is_one_unknown_field() {
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
async fn nulls_are_removed_from_lists() {
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
async fn untyped_values_are_stored_as_strings() {
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
async fn metadata_is_limited_and_read_like_in_ruby() {
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
async fn lifecycles_are_validated_before_their_references() {
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
    // A blank type counts as missing.
    let blank = with(json!({"type": "", "data": {}}));
    assert_eq!(cf.post("/v3/apps", blank).await.status, 201);
}

#[tokio::test]
async fn names_cannot_be_removed() {
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
async fn route_options_for_hashing_need_their_feature_flag() {
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
    // These options belong to another algorithm.
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
    // A service without credentials has empty details.
    let path = format!("/v3/service_credential_bindings/{}/details", bound.guid());
    assert_eq!(cf.get(&path).await.json(), json!({}));
}

#[tokio::test]
async fn services_have_the_limits_of_their_model() {
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

#[tokio::test]
async fn metadata_errors_precede_all_others() {
    let cf = Session::v3().await;
    let body = json!({"name": 5, "zz": 1, "metadata": 3});
    assert_eq!(
        refused(&cf, "/v3/organizations", body).await,
        "Metadata must be an object, Unknown field(s): 'zz', Name must be a string"
    );
}

#[tokio::test]
async fn a_list_of_known_types_is_refused_only_by_the_model() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let check = json!({"health_check": {"type": []}, "readiness_health_check": {"type": ["http"]}});
    let refused = cf.patch(&format!("/v3/processes/{app}"), check).await;
    assert_eq!(
        refused.error().1,
        "health_check_type must be one of http, none, port, process, \
         readiness_health_check_type must be one of http, port, process"
    );
    let related = json!({"space": {"data": {"guid": space}}});
    let service = json!({"type": [], "name": "db", "relationships": related});
    assert_eq!(cf.post("/v3/service_instances", service).await.status, 204);
    assert!(cf.names("/v3/service_instances").await.is_empty());
}

#[tokio::test]
async fn a_response_shows_the_requested_value() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let lifecycle = json!({"type": "buildpack", "data": {"stack": null}});
    let path = format!("/v3/apps/{app}");
    let changed = cf.patch(&path, json!({ "lifecycle": lifecycle })).await;
    assert_eq!(changed.json()["lifecycle"]["data"]["stack"], Value::Null);
    let stored = cf.get(&path).await.json();
    assert_eq!(stored["lifecycle"]["data"]["stack"], "cflinuxfs4");

    cf.scale(&app, json!({"disk_in_mb": 64})).await;
    let scaled = cf.scale(&app, json!({"disk_in_mb": null})).await;
    assert_eq!(scaled.json()["disk_in_mb"], Value::Null);
    let stored = cf.get(&format!("/v3/processes/{app}")).await.json();
    assert_eq!(stored["disk_in_mb"], 1024);
    let without = cf.scale(&app, json!({"instances": null})).await;
    assert_eq!(without.status, 500);

    let stack = cf.get("/v3/stacks?names=cflinuxfs3").await.json();
    let guid = stack["resources"][0]["guid"].as_str().unwrap();
    let path = format!("/v3/stacks/{guid}");
    let changed = cf.patch(&path, json!({"state_reason": ["a", "b c"]})).await;
    assert_eq!(changed.json()["state_reason"], json!(["a", "b c"]));
    let stored = cf.get(&path).await.json();
    assert_eq!(stored["state_reason"], "(a,\"b c\")");
}

#[tokio::test]
async fn only_some_names_are_case_sensitive() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let of_org = json!({"organization": {"data": {"guid": org}}});
    let of_space = json!({"space": {"data": {"guid": space}}});
    for (path, more, is_exact) in [
        ("/v3/organizations", json!({}), false),
        ("/v3/spaces", json!({"relationships": of_org}), false),
        ("/v3/apps", json!({"relationships": of_space}), false),
        ("/v3/organization_quotas", json!({}), false),
        ("/v3/isolation_segments", json!({}), false),
        ("/v3/security_groups", json!({}), true),
        ("/v3/stacks", json!({}), true),
        ("/v3/buildpacks", json!({}), true),
        ("/v3/space_quotas", json!({"relationships": of_org}), true),
        (
            "/v3/service_instances",
            json!({"type": "user-provided", "relationships": of_space}),
            true,
        ),
    ] {
        let create = async |name: &str| {
            let mut body = more.clone();
            body["name"] = json!(name);
            cf.post(path, body).await
        };
        assert_eq!(create("twin").await.status, 201, "{path}");
        let found = cf.names(&format!("{path}?names=TWIN")).await;
        assert_eq!(found.is_empty(), is_exact, "{path}");
        let second = create("TWIN").await;
        assert_eq!(second.status == 201, is_exact, "{path}: {second:?}");
    }
    let types = cf.get("/v3/processes?types=WEB").await.json();
    assert_eq!(types["pagination"]["total_results"], 0);
    let flag = cf.get("/v3/feature_flags/DIEGO_docker").await;
    assert_eq!(flag.status, 404);
}

#[tokio::test]
async fn only_json_and_form_bodies_are_read() {
    let cf = Session::v3().await;
    let create = async |content_type: &'static str, body: &'static str| {
        let request = cf.request(reqwest::Method::POST, "/v3/organizations");
        let request = request.header("content-type", content_type);
        send(request.body(body)).await
    };
    let json = r#"{"name": "a"}"#;
    assert_eq!(create("APPLICATION/JSON; x=y", json).await.status, 201);
    for content_type in [
        "text/plain",
        "application/vnd.api+json",
        "application/x-yaml",
    ] {
        let ignored = create(content_type, json).await;
        assert_eq!(ignored.error().1, "Name can't be blank", "{content_type}");
    }
    let form = "name=b&metadata[labels][k]=v";
    let created = create("application/x-www-form-urlencoded", form).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.json()["metadata"]["labels"], json!({"k": "v"}));
    let deep: &'static str = String::leak(format!("a{}=x", "[b]".repeat(40)));
    let refused = create("application/x-www-form-urlencoded", deep).await;
    assert_eq!(refused.error().0, 1001);
    let odd = create("nonsense", json).await;
    assert_eq!((odd.status.as_u16(), odd.text.as_str()), (406, ""));
    let null = create("application/json", "null").await;
    assert_eq!(
        null.error().1,
        "Unknown field(s): '_json', Name can't be blank"
    );
}

#[tokio::test]
async fn queries_are_validated_before_resources_are_looked_up() {
    let cf = Session::v3().await;
    for path in [
        "/v3/apps/none",
        "/v3/apps/none/processes",
        "/v3/apps/none/packages",
        "/v3/apps/none/droplets",
        "/v3/apps/none/builds",
        "/v3/apps/none/tasks",
        "/v3/apps/none/routes",
        "/v3/apps/none/revisions",
        "/v3/apps/none/revisions/deployed",
        "/v3/apps/none/sidecars",
        "/v3/isolation_segments/none/organizations",
    ] {
        let refused = cf.get(&format!("{path}?zz=1")).await;
        assert_eq!(refused.error().0, 10005, "{path}: {refused:?}");
    }
    for path in ["/v3/routes/none", "/v3/routes/none/destinations"] {
        let refused = cf.get(&format!("{path}?zz=1")).await;
        assert_eq!(refused.error().0, 10008, "{path}: {refused:?}");
    }
    let users = cf.get("/v3/spaces/none/users?origins=uaa").await;
    assert_eq!(users.error().0, 10005);
    let times = cf.get("/v3/apps?created_ats[not]=a").await;
    assert_eq!(
        times.error().1,
        "The query parameter is invalid: Created ats Invalid relational operator: 'not', \
         Created ats has an invalid timestamp format. Timestamps should be formatted as \
         'YYYY-MM-DDThh:mm:ssZ'"
    );
}

#[tokio::test]
async fn rules_of_security_groups_are_checked_twice() {
    let cf = Session::v3().await;
    let group = async |rule: Value| {
        let body = json!({"name": "group", "rules": [rule]});
        refused(&cf, "/v3/security_groups", body).await
    };
    for (rule, error) in [
        (
            json!({"protocol": "all", "destination": ""}),
            "rules rule number 1 contains invalid destination",
        ),
        (
            json!({"protocol": "all", "destination": "1.2.3.4", "log": null}),
            "rules rule number 1 contains invalid log value",
        ),
        (
            json!({"protocol": "tcp", "destination": "1.2.3.4", "ports": "1", "type": 1}),
            "rules rule number 1 contains the invalid field 'type'",
        ),
    ] {
        assert_eq!(group(rule).await, error);
    }
}

#[tokio::test]
async fn quotas_report_all_errors_of_the_model() {
    let cf = Session::v3().await;
    let body = json!({
        "name": "  ",
        "services": {"paid_services_allowed": []},
        "routes": {"total_routes": 1, "total_reserved_ports": 2},
    });
    let quota = cf
        .post("/v3/organization_quotas", json!({"name": "q"}))
        .await;
    let path = format!("/v3/organization_quotas/{}", quota.guid());
    assert_eq!(
        cf.patch(&path, body).await.error().1,
        "name presence, non_basic_services_allowed presence, Total reserved ports must be -1, 0, \
         or a positive integer, and must be less than or equal to total routes."
    );
}

#[tokio::test]
async fn names_and_positions_cannot_be_removed() {
    let cf = Session::v3().await;
    let segment = cf
        .post("/v3/isolation_segments", json!({"name": "s"}))
        .await;
    let buildpack = cf.post("/v3/buildpacks", json!({"name": "b"})).await;
    for (path, error) in [
        (
            format!("/v3/isolation_segments/{}", segment.guid()),
            "Isolation Segment names can only contain non-blank unicode characters",
        ),
        (
            format!("/v3/buildpacks/{}", buildpack.guid()),
            "name can only contain alphanumeric characters",
        ),
    ] {
        let refused = cf.patch(&path, json!({"name": null})).await;
        assert_eq!(refused.error().1, error);
    }
    let nulls = json!({"position": null, "enabled": null, "locked": null});
    let path = format!("/v3/buildpacks/{}", buildpack.guid());
    assert_eq!(
        cf.patch(&path, nulls).await.error().1,
        "Position is not a number, Enabled must be a boolean, Locked must be a boolean"
    );
}
