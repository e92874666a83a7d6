//! Errors, with the Cloud Controller's messages.

use crate::common::{Session, archive_of, new_app, new_package, new_route, send, sha256};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn requests_without_a_valid_token_are_refused() {
    let mut cf = Session::v3().await;
    let url = format!("{}/v3/apps", cf.mock.uri());
    let anonymous = send(cf.http.get(&url)).await;
    assert_eq!(
        (anonymous.status.as_u16(), anonymous.error()),
        (401, (10002, "Authentication error".into()))
    );
    assert_eq!(
        anonymous.json()["errors"][0]["title"],
        "CF-NotAuthenticated"
    );
    let good = std::mem::take(&mut cf.token);
    for token in ["", "x", "a.b.c", &format!("{good}x"), &good[1..]] {
        cf.token = token.into();
        let refused = cf.get("/v3/apps").await;
        assert_eq!(
            refused.error(),
            (1000, "Invalid Auth Token".into()),
            "{token}"
        );
    }
    // Credentials of another scheme are ignored.
    let basic = send(cf.http.get(&url).basic_auth("admin", Some("admin"))).await;
    assert_eq!(basic.error().0, 10002);
    // These endpoints need no token.
    for path in ["/", "/v3", "/v3/info", "/uaa/login"] {
        assert_eq!(
            send(cf.http.get(format!("{}{path}", cf.mock.uri())))
                .await
                .status,
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_resources_are_not_found() {
    let cf = Session::v3().await;
    let nowhere = cf.get("/v3/nothing").await;
    assert_eq!(nowhere.error(), (10000, "Unknown request".into()));
    // A path outside of all APIs is refused as in v2.
    assert_eq!(
        cf.get("/v4").await.json(),
        json!({
            "description": "Unknown request",
            "error_code": "CF-NotFound",
            "code": 10000,
        })
    );
    assert_eq!(cf.put("/v3/apps", json!({})).await.error().0, 10000);
    for (path, text) in [
        ("/v3/apps/x", "App not found"),
        ("/v3/spaces/x", "Space not found"),
        ("/v3/organizations/x", "Organization not found"),
        ("/v3/processes/x", "Process not found"),
        ("/v3/packages/x", "Package not found"),
        ("/v3/builds/x", "Build not found"),
        ("/v3/droplets/x", "Droplet not found"),
        ("/v3/routes/x", "Route not found"),
        ("/v3/domains/x", "Domain not found"),
        ("/v3/jobs/x", "Job not found"),
        ("/v3/security_groups/x", "Security group not found"),
        ("/v3/organization_quotas/x", "Organization quota not found"),
    ] {
        let answer = cf.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()),
            (404, (10010, text.into())),
            "{path}"
        );
        assert!(!answer.header("x-vcap-request-id").is_empty());
        assert_eq!(
            answer.header("content-type"),
            "application/json; charset=utf-8"
        );
    }
}

#[tokio::test]
async fn duplicate_names_are_refused() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    cf.create_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    cf.post("/v3/routes", new_route(&space, &domain, "host"))
        .await;
    cf.post("/v3/security_groups", json!({"name": "asg"})).await;
    for (path, body, error) in [
        (
            "/v3/organizations",
            json!({"name": "ORG"}),
            (10008, "Organization 'ORG' already exists."),
        ),
        (
            "/v3/spaces",
            json!({"name": "space", "relationships": {"organization": {"data": {"guid": org}}}}),
            (10008, "Name must be unique per organization"),
        ),
        (
            "/v3/apps",
            new_app(&space, "app"),
            (10016, "App with the name 'app' already exists."),
        ),
        (
            "/v3/routes",
            new_route(&space, &domain, "host"),
            (
                10008,
                "Route already exists with host 'host' for domain 'apps.mock.test'.",
            ),
        ),
        (
            "/v3/security_groups",
            json!({"name": "asg"}),
            (10008, "Security group with name 'asg' already exists."),
        ),
        (
            "/v3/organization_quotas",
            json!({"name": "default"}),
            (10008, "Organization Quota 'default' already exists."),
        ),
    ] {
        let refused = cf.post(path, body).await;
        assert_eq!(refused.status, 422, "{path}");
        assert_eq!(refused.error(), (error.0, error.1.into()), "{path}");
    }
    let orgs = "/v3/organizations";
    let unprintable = "Name must not contain escaped characters";
    let empty = "Name is too short (minimum is 1 character)";
    for (name, detail) in [
        ("a\nb", unprintable.to_owned()),
        ("", format!("{empty}, {unprintable}, Name can't be blank")),
    ] {
        let refused = cf.post(orgs, json!({"name": name})).await;
        assert_eq!(refused.error(), (10008, detail));
    }
    assert_eq!(
        cf.post(orgs, json!({"name": " o "})).await.json()["name"],
        "o"
    );
    for (organization, detail) in [
        (
            json!({"data": null}),
            "Invalid organization. Ensure the organization exists and you have access to it.",
        ),
        (
            json!({"data": {"guid": org}, "x": 1}),
            "Relationships Organization must be structured like this: \"organization: {\"data\": {\"guid\": \"valid-guid\"}}\"",
        ),
    ] {
        let body = json!({"name": "new", "relationships": {"organization": organization}});
        let refused = cf.post("/v3/spaces", body).await;
        assert_eq!(refused.error(), (10008, detail.into()));
    }
    let other = cf.create_space(&org, "other").await;
    let path = format!("/v3/spaces/{other}");
    assert_eq!(
        cf.patch(&path, json!({"name": "space"})).await.error().1,
        "Organization 'org' already contains a space with name 'space'."
    );
    let unmapped = format!("{path}/routes?unmapped=true&foo=1");
    assert_eq!(
        cf.delete(&unmapped).await.error().1,
        "Unknown field(s): 'foo'"
    );
    // The same path on another host, or another path, is another route.
    let mut other = new_route(&space, &domain, "host");
    other["path"] = json!("/path");
    assert_eq!(cf.post("/v3/routes", other.clone()).await.status, 201);
    assert_eq!(
        cf.post("/v3/routes", other).await.error().1,
        "Route already exists with host 'host' and path '/path' for domain 'apps.mock.test'."
    );
}

#[tokio::test]
async fn invalid_bodies_are_explained() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let domain = cf.default_domain(&org).await;
    let scale = format!("/v3/apps/{app}/processes/web/actions/scale");
    let environment = format!("/v3/apps/{app}/environment_variables");
    let route = |key: &str, value: Value| {
        let mut body = new_route(&space, &domain, "host");
        body[key] = value;
        body
    };
    let app_with = |key: &str, value: Value| {
        let mut body = new_app(&space, "other");
        body[key] = value;
        body
    };
    for (method, path, body, text) in [
        (
            Method::POST,
            "/v3/apps",
            app_with("color", json!(1)),
            "Unknown field(s): 'color'",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("name", json!(1)),
            "Name must be a string",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("name", json!("")),
            "name presence, name format",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("name", json!("x".repeat(256))),
            "Name is too long (maximum is 255 characters)",
        ),
        (
            Method::POST,
            "/v3/apps",
            json!({"name": "x"}),
            "Relationships 'relationships' is not an object",
        ),
        (
            Method::POST,
            "/v3/apps",
            new_app("no-space", "x"),
            "Invalid space. Ensure that the space exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("environment_variables", json!([])),
            "Environment variables must be an object",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("environment_variables", json!({"PORT": "1"})),
            "environment_variables {:message=>\"cannot set PORT\"}",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("lifecycle", json!({"type": "x", "data": {}})),
            "Lifecycle type is not included in the list: buildpack, docker, cnb",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with(
                "lifecycle",
                json!({"type": "buildpack", "data": {"buildpacks": ["x"]}}),
            ),
            "Buildpack \"x\" for stack \"cflinuxfs4\" must be an existing admin buildpack or a valid git URI",
        ),
        (
            Method::POST,
            "/v3/apps",
            app_with("metadata", json!({"labels": {"a b": "c"}})),
            "Metadata label key error: 'a b' contains invalid characters",
        ),
        (
            Method::POST,
            &scale,
            json!({"instances": -1}),
            "Instances must be greater than or equal to 0",
        ),
        (
            Method::POST,
            &scale,
            json!({"memory_in_mb": 0}),
            "Memory in mb must be greater than 0",
        ),
        (
            Method::POST,
            &scale,
            json!({"instances": 1.5}),
            "Instances must be an integer",
        ),
        (
            Method::POST,
            &scale,
            json!({"instances": "many"}),
            "Instances is not a number",
        ),
        (
            Method::POST,
            &scale,
            json!({"instances": 1e18}),
            "Instances must be an integer",
        ),
        (
            Method::POST,
            &scale,
            json!({"instances": 3_000_000_000_u32}),
            "Instances must be less than or equal to 2147483647",
        ),
        (
            Method::PATCH,
            &environment,
            json!({}),
            "Var must be an object",
        ),
        (
            Method::PATCH,
            &environment,
            json!({"var": {"VCAP_X": "1"}}),
            "Var cannot start with VCAP_",
        ),
        (
            Method::PATCH,
            &environment,
            json!({"var": {"A": 1}}),
            "Non-string value in environment variable for key 'A', value '1'",
        ),
        (
            Method::POST,
            "/v3/packages",
            json!({"type": "x"}),
            "Relationships 'relationships' is not an object, Type must be one of 'bits, docker'",
        ),
        (
            Method::POST,
            "/v3/packages",
            new_package("x"),
            "App is invalid. Ensure it exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/builds",
            json!({"package": {"guid": "x"}}),
            "Unable to use package. Ensure that the package exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/routes",
            route("host", json!("a.b")),
            "Host must be either \"*\" or contain only alphanumeric characters, \"_\", or \"-\"",
        ),
        (
            Method::POST,
            "/v3/routes",
            route("host", json!("")),
            "Missing host. Routes in shared domains must have a host defined.",
        ),
        (
            Method::POST,
            "/v3/routes",
            route("path", json!("x")),
            "Path must begin with /",
        ),
        (
            Method::POST,
            "/v3/routes",
            route("path", json!("/")),
            "Path cannot be exactly /",
        ),
        (
            Method::POST,
            "/v3/routes",
            route("port", json!(1024)),
            "Reserved route ports quota exceeded for organization 'org'.",
        ),
        (
            Method::POST,
            "/v3/routes",
            new_route("x", &domain, "h"),
            "Invalid space. Ensure that the space exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/routes",
            new_route(&space, "x", "h"),
            "Invalid domain. Ensure that the domain exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/organizations",
            json!({}),
            "Name can't be blank",
        ),
        (
            Method::POST,
            "/v3/organizations",
            json!({"name": "x", "suspended": "y"}),
            "Suspended must be a boolean",
        ),
        (
            Method::POST,
            "/v3/spaces",
            json!({"name": "x", "relationships": {"organization": {"data": {"guid": "x"}}}}),
            "Invalid organization. Ensure the organization exists and you have access to it.",
        ),
        (
            Method::POST,
            "/v3/organization_quotas",
            json!({"name": "q", "apps": {"total_instances": -1}}),
            "Apps Total instances must be greater than or equal to 0",
        ),
        (
            Method::POST,
            "/v3/security_groups",
            json!({"name": "g", "rules": [{"protocol": "tcp", "destination": "x", "ports": "1"}]}),
            "Rules[0]: destination must be a valid CIDR, IP address, or IP address range",
        ),
        (
            Method::POST,
            "/v3/security_groups",
            json!({"name": "g", "relationships": {"running_spaces": {"data": [{"guid": "x"}]}}}),
            "Spaces with guids [\"x\"] do not exist.",
        ),
    ] {
        let refused = send(cf.request(method, path).json(&body)).await;
        assert_eq!(refused.status, 422, "{path} {body}: {refused:?}");
        assert_eq!(refused.error(), (10008, text.into()), "{path} {body}");
    }
}

#[tokio::test]
async fn droplets_must_belong_to_their_app() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.staged_app(&space, "app").await;
    let droplet = cf
        .get(&format!("/v3/apps/{app}/droplets/current"))
        .await
        .guid();
    let other = cf.create_app(&space, "other").await;
    let foreign =
        "Unable to assign current droplet. Ensure the droplet exists and belongs to this app.";
    assert_eq!(
        cf.assign(&other, &droplet).await.error(),
        (10008, foreign.into())
    );
    let path = format!("/v3/apps/{other}/relationships/current_droplet");
    let removed = cf.patch(&path, json!({"data": null})).await;
    assert_eq!(
        removed.error().1,
        "Current droplet cannot be removed. Replace it with a preferred droplet."
    );
    assert_eq!(
        cf.get(&path).await.error(),
        (10010, "Droplet not found".into())
    );
    let in_use = cf.delete(&format!("/v3/droplets/{droplet}")).await;
    assert_eq!(
        in_use.error().1,
        format!("The droplet is currently used by app with guid \"{app}\".")
    );
    let copy = cf
        .post(
            &format!("/v3/droplets?source_guid={droplet}"),
            json!({"relationships": {"app": {"data": {"guid": "x"}}}}),
        )
        .await;
    assert_eq!(copy.error(), (10010, "App not found".into()));
    let copy = cf
        .post(
            "/v3/droplets?source_guid=x",
            json!({"relationships": {"app": {"data": {"guid": other}}}}),
        )
        .await;
    assert_eq!(copy.error(), (10010, "Droplet not found".into()));
    let copy = cf.post("/v3/droplets?source_guid=x", json!({})).await;
    assert_eq!(
        copy.error().1,
        "App must be an object, App guid must be a string, App guid must be between 1 and 200 characters"
    );
    assert_eq!(
        cf.post("/v3/droplets", json!({})).await.error().1,
        "Relationships 'relationships' is not an object"
    );
}

#[tokio::test]
async fn a_package_accepts_bits_once() {
    let cf = Session::v3().await;
    let (_, space) = cf.space().await;
    let app = cf.create_app(&space, "app").await;
    let first = cf.package(&app, b"same").await;
    let again = cf.upload(&first, b"same").await;
    assert_eq!((again.status.as_u16(), again.error().0), (400, 150_004));
    let second = cf.package(&app, b"same").await;
    let third = cf.package(&app, b"different").await;
    let checksum = async |package: String| {
        cf.get(&format!("/v3/packages/{package}")).await.json()["data"]["checksum"]["value"].clone()
    };
    let (first, second, third) = (
        checksum(first).await,
        checksum(second).await,
        checksum(third).await,
    );
    assert_eq!(first, second);
    assert_ne!(first, third);
    assert_eq!(first, sha256(&archive_of(b"same")));
}

#[tokio::test]
async fn unimplemented_operations_are_reported() {
    const PATH: &str = "/v2/services";
    let cf = Session::v3().await;
    let answer = cf.post(PATH, json!({})).await;
    assert_eq!(answer.status, 501);
    assert_eq!(
        answer.json()["description"],
        format!("mock-capi does not implement POST {PATH}")
    );
    let url = format!("{}{PATH}", cf.mock.uri());
    let anonymous = send(cf.http.post(url)).await;
    assert_eq!(anonymous.status, 401);

    let stats = cf.mock.stats();
    let route = format!("POST {PATH}");
    assert_eq!((stats.by_route[&route], stats.total), (2, 3));
    assert_eq!(stats.not_implemented, [(route, 2)].into());
}
