//! cf-pusher does not change unmanaged resources. It recognizes orgs, spaces and apps by
//! their label, in 2017 apps by an environment variable, and quotas and security groups
//! by the orgs and spaces that they apply to.

use crate::support::command::{Place, stable};
use crate::support::{Fixture, SMALL, Workflow, read};
use cf_pusher::{
    Approval, Client, ConnectOptions, ConvergeError, Converger, Destroyed, Events, Target,
};
use rstest::rstest;
use serde_json::{Value, json};

fn converger(fixture: &Fixture, workflow: Workflow) -> Converger {
    let (config, sources) = read(SMALL, None);
    workflow.converger(&fixture.client, &config, &sources)
}

fn names(targets: &[Target]) -> Vec<String> {
    targets.iter().map(ToString::to_string).collect()
}

/// Creates a resource as another user.
async fn create(fixture: &Fixture, list: &str, body: Value) -> String {
    let made = fixture.curl("POST", &format!("/v3/{list}"), body).await;
    made["guid"].as_str().unwrap().to_owned()
}

async fn guid(fixture: &Fixture, list: &str, name: &str) -> String {
    let path = format!("/v3/{list}?names={name}");
    let list = fixture.curl("GET", &path, Value::Null).await;
    list["resources"][0]["guid"].as_str().unwrap().to_owned()
}

fn in_org(name: &str, org: &str) -> Value {
    json!({"name": name, "relationships": {"organization": {"data": {"guid": org}}}})
}

fn in_space(name: &str, space: &str) -> Value {
    json!({"name": name, "relationships": {"space": {"data": {"guid": space}}}})
}

/// Makes a resource with a desired name unmanaged.
async fn make_unmanaged(fixture: &Fixture, what: &str) {
    let patch = |list: &'static str, name: &'static str, body: Value| async move {
        let path = format!("/v3/{list}/{}", guid(fixture, list, name).await);
        fixture.curl("PATCH", &path, body).await;
    };
    match what {
        "org" => {
            create(fixture, "organizations", json!({"name": "scale-org"})).await;
        }
        "quota with a limit" => {
            let quota = json!({"name": "scale-quota", "apps": {"total_memory_in_mb": 100_000}});
            create(fixture, "organization_quotas", quota).await;
        }
        "quota of another org" => {
            let org = create(fixture, "organizations", json!({"name": "other"})).await;
            let quota = json!({
                "name": "scale-quota",
                "relationships": {"organizations": {"data": [{"guid": org}]}},
            });
            create(fixture, "organization_quotas", quota).await;
        }
        "security group with other rules" => {
            create(fixture, "security_groups", json!({"name": "scale-asg"})).await;
        }
        _ => {
            fixture.converge_up_to_date(SMALL).await;
        }
    }
    let unlabelled = json!({"metadata": {"labels": {"managed-by": null}}});
    match what {
        "space" => patch("spaces", "scale-space", unlabelled).await,
        "app" => patch("apps", "scale-tick-1", unlabelled).await,
        "app of another prefix" => {
            let other = json!({"metadata": {"annotations": {"cf-pusher-prefix": "other-"}}});
            patch("apps", "scale-tick-2", other).await;
        }
        "global security group" => {
            let global = json!({"globally_enabled": {"running": true}});
            patch("security_groups", "scale-asg", global).await;
        }
        _ => {}
    }
}

#[rstest]
#[case("org", &["org scale-org"])]
#[case("space", &["space scale-space", "security group scale-asg"])]
#[case("app", &["app scale-tick-1"])]
#[case("app of another prefix", &["app scale-tick-2"])]
#[case("quota with a limit", &["quota scale-quota"])]
#[case("quota of another org", &["quota scale-quota"])]
#[case("security group with other rules", &["security group scale-asg"])]
#[case("global security group", &["security group scale-asg"])]
#[tokio::test]
async fn unmanaged_resources_are_refused_by_name_and_adopted_only_on_request(
    #[case] what: &str,
    #[case] expected: &[&str],
    #[values(Workflow::Manifest, Workflow::PerApp)] workflow: Workflow,
) {
    let fixture = Fixture::new(workflow).await;
    make_unmanaged(&fixture, what).await;
    fixture.writes();
    let converger = converger(&fixture, workflow);
    let plan = converger.plan().await.unwrap();
    let shown: Vec<String> = plan.unmanaged().map(ToString::to_string).collect();
    assert_eq!(shown, expected);
    let first = format!("unmanaged {}", expected[0]);
    assert!(plan.to_string().contains(&first), "{plan}");
    let error = converger.converge(Approval::All).await.unwrap_err();
    let ConvergeError::Unmanaged { targets } = error else {
        panic!("{error}");
    };
    assert_eq!(names(&targets), expected);
    assert_eq!(fixture.writes().len(), 0);

    let adopting = converger.clone().adopt(true);
    let outcome = adopting.converge(Approval::None).await.unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    // Resources that can have labels are managed after this.
    if ["org", "space", "app", "app of another prefix"].contains(&what) {
        assert_eq!(fixture.converge_up_to_date(SMALL).await, 0);
    }
}

#[tokio::test]
async fn leftovers_of_a_killed_run_are_managed() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let space = guid(&fixture, "spaces", "scale-space").await;
    // A manifest creates an app before it labels it.
    for name in ["scale-tick-1", "scale-registry"] {
        let path = format!("/v3/apps/{}", fixture.app(name).await);
        fixture.curl("DELETE", &path, Value::Null).await;
        create(&fixture, "apps", in_space(name, &space)).await;
    }
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 2);
    // The last step applies resources that cannot have labels.
    let converger = converger(&fixture, Workflow::Manifest);
    let org = format!(
        "/v3/organizations/{}",
        guid(&fixture, "organizations", "scale-org").await
    );
    fixture.curl("DELETE", &org, Value::Null).await;
    assert_eq!(converger.plan().await.unwrap().unmanaged().count(), 0);
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 7);
}

#[tokio::test]
async fn an_unlabelled_app_with_a_package_is_not_a_leftover() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let path = format!("/v3/apps/{}", fixture.app("scale-tick-1").await);
    fixture.curl("DELETE", &path, Value::Null).await;
    let space = guid(&fixture, "spaces", "scale-space").await;
    let app = create(&fixture, "apps", in_space("scale-tick-1", &space)).await;
    let package = json!({"type": "bits", "relationships": {"app": {"data": {"guid": app}}}});
    create(&fixture, "packages", package).await;
    let converger = converger(&fixture, Workflow::Manifest);
    let error = converger.converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(error, @"converging failed: app scale-tick-1 exists and is unmanaged");
}

#[tokio::test]
async fn in_2017_an_app_without_our_variable_is_unmanaged() {
    let fixture = Fixture::new(Workflow::Documented2017).await;
    fixture.converge_up_to_date(SMALL).await;
    let app = fixture.app("scale-tick-1").await;
    let path = format!("/v2/apps/{app}");
    let env = json!({"environment_json": {"LISTEN_PORTS": "0"}});
    fixture.curl("PUT", &path, env).await;
    let converger = converger(&fixture, Workflow::Documented2017);
    let error = converger.converge(Approval::All).await.unwrap_err();
    let ConvergeError::Unmanaged { targets } = error else {
        panic!("{error}");
    };
    assert_eq!(names(&targets), ["app scale-tick-1"]);
    let outcome = converger.clone().adopt(true).converge(Approval::None).await;
    assert!(outcome.unwrap().is_converged());
    assert_eq!(fixture.converge_up_to_date(SMALL).await, 0);
}

#[rstest]
#[case::v3(Workflow::Manifest)]
#[case::documented_2017(Workflow::Documented2017)]
#[tokio::test]
async fn an_org_with_others_apps_or_services_is_destroyed_only_if_forced(
    #[case] workflow: Workflow,
) {
    let fixture = Fixture::new(workflow).await;
    fixture.converge_up_to_date(SMALL).await;
    let org = fixture.mock.state()["organizations"][0]["guid"].clone();
    let space = fixture.mock.state()["spaces"][0]["guid"].clone();
    match workflow {
        Workflow::Documented2017 => {
            let other = json!({"name": "other", "organization_guid": org});
            let other = fixture.curl("POST", "/v2/spaces", other).await;
            let app = in_space("theirs", other["metadata"]["guid"].as_str().unwrap());
            fixture.curl("POST", "/v3/apps", app).await;
            let service = json!({"name": "db", "space_guid": space});
            let path = "/v2/user_provided_service_instances";
            fixture.curl("POST", path, service).await;
        }
        _ => {
            let other = create(&fixture, "spaces", in_org("other", org.as_str().unwrap())).await;
            create(&fixture, "apps", in_space("theirs", &other)).await;
            let mut service = in_space("db", space.as_str().unwrap());
            service["type"] = json!("user-provided");
            create(&fixture, "service_instances", service).await;
        }
    }
    fixture.writes();
    let converger = converger(&fixture, workflow);
    let recreation = converger.clone().recreate(true);
    for error in [
        converger.destroy(Approval::All).await.unwrap_err(),
        recreation.converge(Approval::All).await.unwrap_err(),
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"deleting the org scale-org failed: it has 1 app and 1 service instance that cf-pusher does not manage");
        }
        let ConvergeError::HasUnmanaged { unmanaged, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(names(&unmanaged), ["app theirs", "service instance db"]);
    }
    assert_eq!(fixture.writes().len(), 0);
    let forced = converger.clone().force(true);
    let destroyed = forced.destroy(Approval::All).await.unwrap();
    assert_eq!(destroyed.targets.len(), 3);
    assert_eq!(fixture.mock.state()["apps"], json!([]));
}

#[tokio::test]
async fn quotas_and_security_groups_of_others_are_kept() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    fixture.converge_up_to_date(SMALL).await;
    let other = create(&fixture, "organizations", json!({"name": "other"})).await;
    let space = create(&fixture, "spaces", in_org("theirs", &other)).await;
    let quota = guid(&fixture, "organization_quotas", "scale-quota").await;
    let group = guid(&fixture, "security_groups", "scale-asg").await;
    for (path, guid) in [
        (
            format!("organization_quotas/{quota}/relationships/organizations"),
            &other,
        ),
        (
            format!("security_groups/{group}/relationships/running_spaces"),
            &space,
        ),
    ] {
        let data = json!({"data": [{"guid": guid}]});
        fixture.curl("POST", &format!("/v3/{path}"), data).await;
    }
    let converger = converger(&fixture, Workflow::Manifest);
    let Destroyed { targets, kept, .. } = converger.destroy(Approval::All).await.unwrap();
    assert_eq!(names(&targets), ["org scale-org"]);
    assert_eq!(
        names(&kept),
        ["quota scale-quota", "security group scale-asg"]
    );
    let state = fixture.mock.state();
    assert_eq!(state["organizations"][0]["name"], "other");
    assert_eq!(guid_of(&state, "security_groups", "scale-asg"), Some(group));
}

fn guid_of(state: &Value, kind: &str, name: &str) -> Option<String> {
    let mut all = state[kind].as_array()?.iter();
    let found = all.find(|it| it["name"] == name)?;
    Some(found["guid"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_user_who_cannot_see_the_org_gets_an_explanation() {
    let fixture = Fixture::with(
        Workflow::Manifest,
        Workflow::Manifest.foundation().add_user("dora", "secret"),
    )
    .await;
    fixture.converge_up_to_date(SMALL).await;
    let credentials = cf_pusher::Credentials::Password {
        username: "dora".to_owned(),
        password: "secret".into(),
    };
    let options = ConnectOptions::new(fixture.mock.uri(), credentials);
    let client = Client::connect(&options, Events::default()).await.unwrap();
    assert_eq!(client.user(), "dora");
    let (config, sources) = read(SMALL, None);
    let converger = Workflow::Manifest.converger(&client, &config, &sources);
    let destroyed = converger.destroy(Approval::All).await.unwrap();
    assert_eq!(names(&destroyed.not_found), ["org scale-org"]);
    assert_eq!(destroyed.targets, []);
    assert_eq!(fixture.mock.state()["apps"].as_array().unwrap().len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_adopts_and_forces_only_with_flags() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let place = Place::new();
    let org = create(&fixture, "organizations", json!({"name": "scale-org"})).await;
    let space = create(&fixture, "spaces", in_org("scale-space", &org)).await;
    let output = place.on(&fixture.mock, SMALL, &["converge"]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(stable(&output.stderr), @r"
    error: converging failed: 2 resources exist and are unmanaged
    - org scale-org
    - space scale-space
    help: take it over with --adopt, or choose other names (in a configuration: another prefix)
    ");
    assert_eq!(
        place
            .on(&fixture.mock, SMALL, &["converge", "--adopt"])
            .code,
        0
    );
    assert_eq!(place.on(&fixture.mock, SMALL, &["converge"]).code, 0);
    create(&fixture, "apps", in_space("theirs", &space)).await;
    let output = place.on(&fixture.mock, SMALL, &["destroy", "--yes"]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(stable(&output.stderr), @r"
    error: deleting the org scale-org failed: it has 1 app that cf-pusher does not manage
    - app theirs
    help: delete the org and everything in it with --force
    ");
    let forced = ["destroy", "--yes", "--force"];
    let output = place.on(&fixture.mock, SMALL, &forced);
    assert_eq!(output.code, 0, "{}", output.stderr);
}
