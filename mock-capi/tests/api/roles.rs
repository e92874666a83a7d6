//! Users and their roles in organizations and spaces.

use crate::common::Session;
use serde_json::{Value, json};

/// A role by user GUID.
fn role(kind: &str, user: &str, place: &str, guid: &str) -> Value {
    json!({
        "type": kind,
        "relationships": {"user": {"data": {"guid": user}}, place: {"data": {"guid": guid}}},
    })
}

/// A role by user name.
fn named_role(kind: &str, user: Value, place: &str, guid: &str) -> Value {
    json!({
        "type": kind,
        "relationships": {"user": {"data": user}, place: {"data": {"guid": guid}}},
    })
}

fn types(list: &Value) -> Vec<&str> {
    let roles = list["resources"].as_array().unwrap().iter();
    roles.map(|role| role["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn roles_are_assigned_with_the_requests_of_the_cf_cli() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let admin = json!({"username": "admin", "origin": "uaa"});
    let in_org = || named_role("organization_user", admin.clone(), "organization", &org);
    let in_space = |kind| named_role(kind, admin.clone(), "space", &space);

    let early = cf.post("/v3/roles", in_space("space_manager")).await;
    assert_eq!(
        early.error(),
        (
            10008,
            "Users cannot be assigned roles in a space if they do not have a role in that space's organization.".into()
        )
    );
    let created = cf.post("/v3/roles", in_org()).await;
    assert_eq!(created.status, 201);
    let role = created.json();
    assert_eq!(role["type"], "organization_user");
    assert_eq!(role["relationships"]["organization"]["data"]["guid"], org);
    assert_eq!(role["relationships"]["space"]["data"], Value::Null);
    let again = cf.post("/v3/roles", in_org()).await;
    assert_eq!(
        again.error().1,
        "User 'admin' already has 'organization_user' role in organization 'org'."
    );
    for kind in ["space_manager", "space_developer"] {
        assert_eq!(cf.post("/v3/roles", in_space(kind)).await.status, 201);
    }
    let again = cf.post("/v3/roles", in_space("space_developer")).await;
    assert_eq!(
        again.error().1,
        "User 'admin' already has 'space_developer' role in space 'space'."
    );

    let of_space = cf
        .get(&format!(
            "/v3/roles?space_guids={space}&include=user,space,organization"
        ))
        .await
        .json();
    assert_eq!(types(&of_space), ["space_manager", "space_developer"]);
    assert_eq!(of_space["included"]["users"][0]["username"], "admin");
    assert_eq!(of_space["included"]["spaces"][0]["guid"], space);
    assert_eq!(of_space["included"]["organizations"], json!([]));
    let of_org = format!("/v3/roles?organization_guids={org}");
    assert_eq!(types(&cf.get(&of_org).await.json()), ["organization_user"]);
    let managers = cf.get("/v3/roles?types=space_manager,space_auditor").await;
    assert_eq!(types(&managers.json()), ["space_manager"]);
}

#[tokio::test]
async fn roles_need_a_user_and_a_place_that_matches_their_type() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let user =
        |user: Value| json!({"user": {"data": user}, "organization": {"data": {"guid": org}}});
    let cases = [
        (json!({}), "Relationships 'relationships' is not an object"),
        (
            json!({"organization": {"data": {"guid": org}}}),
            "Relationships User can't be blank, Relationships User must have a username or guid specified",
        ),
        (
            user(json!({"guid": "a", "username": "b"})),
            "Relationships Username cannot be specified when identifying user by guid",
        ),
        (
            user(json!({"guid": "a", "origin": "b"})),
            "Relationships User origin cannot be specified when identifying user by guid, Relationships User origin cannot be specified without specifying the username",
        ),
        (
            user(json!({"username": 3})),
            "Relationships Username must be a string",
        ),
        (
            user(json!({"guid": null})),
            "Relationships User guid must be a string, Relationships User guid must be between 1 and 200 characters",
        ),
        (
            user(json!(null)),
            "Relationships User must have a username or guid specified",
        ),
        (
            json!({"user": {"data": {"guid": "a"}}, "organization": {"data": {"guid": null}}}),
            "Relationships Organization guid must be a string, Relationships Organization guid must be between 1 and 200 characters",
        ),
        (
            json!({"user": {"data": {"guid": "a"}}}),
            "Relationships must specify either a space or an organization.",
        ),
        (
            json!({"user": {"data": {"guid": "a"}}, "space": {"data": {"guid": space}}}),
            "Relationships Space cannot be provided with the organization role type: 'organization_user'.",
        ),
        (
            user(json!({"username": "nobody", "origin": "uaa"})),
            "No user exists with the username 'nobody' and origin 'uaa'.",
        ),
        (
            user(json!({"username": "nobody"})),
            "No user exists with the username 'nobody'.",
        ),
        (
            json!({"user": {"data": {"guid": "a"}}, "organization": {"data": {"guid": "x"}}}),
            "Invalid organization. Ensure that the organization exists and you have access to it.",
        ),
    ];
    for (relationships, expected) in cases {
        let mut body = json!({"type": "organization_user"});
        if relationships != json!({}) {
            body["relationships"] = relationships;
        }
        let refused = cf.post("/v3/roles", body).await;
        assert_eq!(refused.error(), (10008, expected.to_owned()), "{refused:?}");
    }
    let odd = cf
        .post("/v3/roles", role("king", "a", "organization", &org))
        .await;
    assert!(
        odd.error().1.starts_with(
            "Type must be one of the allowed types [\"organization_auditor\", \"organization_manager\", "
        ),
        "{odd:?}"
    );
    let unknown = cf.get("/v3/roles?include=owner").await;
    assert_eq!((unknown.status.as_u16(), unknown.error().0), (422, 10008));
}

#[tokio::test]
async fn roles_are_deleted_individually_and_with_their_place() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    // A client is also a user. Its GUID is its name.
    let member = cf.post(
        "/v3/roles",
        role("organization_user", "robot", "organization", &org),
    );
    let member = member.await.guid();
    let developer = cf.post(
        "/v3/roles",
        role("space_developer", "robot", "space", &space),
    );
    let developer = developer.await;
    assert_eq!(
        developer.json()["relationships"]["user"]["data"]["guid"],
        "robot"
    );
    let path = format!("/v3/roles/{member}");
    let refused = cf.delete(&path).await;
    assert_eq!(
        refused.error().1,
        "Cannot delete organization_user role while user has roles in spaces in that organization."
    );
    let job = cf.delete(&format!("/v3/roles/{}", developer.guid())).await;
    assert_eq!(job.status, 202);
    let job = cf.get(job.header("location")).await.json();
    assert_eq!(job["operation"], "role.delete");
    assert_eq!(cf.delete(&path).await.status, 202);
    assert_eq!(
        cf.get(&path).await.error(),
        (10010, "Role not found".into())
    );

    for (kind, place, guid) in [
        ("organization_user", "organization", &org),
        ("space_auditor", "space", &space),
    ] {
        let created = cf.post("/v3/roles", role(kind, "robot", place, guid)).await;
        assert_eq!(created.status, 201);
    }
    cf.delete(&format!("/v3/spaces/{space}")).await;
    let left = cf.get("/v3/roles?user_guids=robot").await.json();
    assert_eq!(types(&left), ["organization_user"]);
    assert_eq!(cf.delete("/v3/users/robot").await.status, 202);
    assert_eq!(types(&cf.get("/v3/roles").await.json()), [""; 0]);
    assert_eq!(
        cf.get("/v3/users/robot").await.error(),
        (10010, "User not found".into())
    );
}

#[tokio::test]
async fn users_have_guids_and_their_names_come_from_uaa() {
    let cf = Session::v3().await;
    let (org, space) = cf.space().await;
    let names = |list: Value| -> Vec<String> {
        let users = list["resources"].as_array().unwrap().iter();
        users
            .map(|user| user["presentation_name"].as_str().unwrap().to_owned())
            .collect()
    };
    let ldap = json!({"username": "Ada", "origin": "ldap", "metadata": {"labels": {"team": "a"}}});
    let ada = cf.post("/v3/users", ldap.clone()).await;
    assert_eq!(ada.status, 201);
    assert_eq!(ada.json()["username"], "Ada");
    assert_eq!(
        cf.post("/v3/users", ldap).await.error().1,
        "User with username 'Ada' and origin 'ldap' already exists."
    );
    assert_eq!(
        cf.post("/v3/users", json!({"guid": "robot"})).await.status,
        201
    );
    let odd = cf
        .post("/v3/users", json!({"guid": "a b+c/d"}))
        .await
        .json();
    let link = odd["links"]["self"]["href"].as_str().unwrap();
    assert_eq!(cf.get(link).await.json()["guid"], "a b+c/d");
    assert_eq!(cf.delete(link).await.status, 202);
    assert_eq!(
        cf.post("/v3/users", json!({"guid": "robot"}))
            .await
            .error()
            .1,
        "User with guid 'robot' already exists."
    );
    for (body, expected) in [
        (
            json!({}),
            "Guid or 'username' and 'origin' must be provided",
        ),
        (
            json!({"username": "a", "origin": "uaa"}),
            "Origin cannot be 'uaa' when creating a user by username",
        ),
        (
            json!({"username": "a"}),
            "Username can only be provided together with 'origin'",
        ),
        (
            json!({"guid": "a", "origin": "b"}),
            "Origin cannot be provided with 'guid'",
        ),
    ] {
        assert_eq!(cf.post("/v3/users", body).await.error().1, expected);
    }

    assert_eq!(
        names(cf.get("/v3/users").await.json()),
        ["admin", "Ada", "robot"]
    );
    for (query, expected) in [
        ("usernames=ada", "Ada"),
        ("usernames=ada,admin&origins=uaa", "admin"),
        ("partial_usernames=DM", "admin"),
        ("guids=robot", "robot"),
        ("label_selector=team=a", "Ada"),
    ] {
        let found = cf.get(&format!("/v3/users?{query}")).await.json();
        assert_eq!(names(found), [expected], "{query}");
    }
    let bad = cf.get("/v3/users?origins=uaa").await;
    assert_eq!(
        bad.error(),
        (
            10008,
            "Origins filter cannot be provided without usernames or partial_usernames filter."
                .into()
        )
    );

    let patch = json!({"metadata": {"annotations": {"note": "x"}}});
    let patched = cf.patch("/v3/users/robot", patch).await.json();
    assert_eq!(patched["metadata"]["annotations"]["note"], "x");
    let ada = ada.guid();
    for (kind, place, guid) in [
        ("organization_user", "organization", &org),
        ("organization_auditor", "organization", &org),
        ("space_auditor", "space", &space),
    ] {
        cf.post("/v3/roles", role(kind, &ada, place, guid)).await;
    }
    for path in [
        format!("/v3/organizations/{org}/users"),
        format!("/v3/spaces/{space}/users"),
    ] {
        assert_eq!(names(cf.get(&path).await.json()), ["Ada"], "{path}");
        assert_eq!(cf.get(&format!("{path}?x=y")).await.error().0, 10005);
    }
}
