//! Apps with Docker images and with Cloud Native Buildpacks. Droplets are copied only if
//! the Cloud Controller supports it, and otherwise each app is staged.

use crate::support::declared::group;
use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{Bits, Desired, DesiredBuilder, Group, Org, Space};
use cf_pusher::{Approval, Converger, ManifestEntry, Outcome};
use mock_capi::RecordedRequest;
use rstest::rstest;
use serde_json::{Value, json};

const PASSWORD: &str = "s3cret-of-the-registry";

fn image_group(name: &str, image: &str, username: &str) -> Group {
    let entry = json!({
        "memory": "32M",
        "no-route": true,
        "docker": {"image": image, "username": username, "password": PASSWORD},
    });
    let entry = ManifestEntry::from_value(entry).unwrap();
    Group::new(name, entry, Bits::None)
}

fn plain(text: &str) -> ManifestEntry {
    ManifestEntry::parse(text).unwrap()
}

fn builder() -> DesiredBuilder {
    Desired::builder("me-").feature_flag("diego_docker", true)
}

/// Two orgs with apps of one image, some of which copy the droplet of another.
fn images(image: &str, username: &str) -> Desired {
    let copy_of =
        |name: &str, of: &str| Group::copy_of(name, plain("{memory: 32M, no-route: true}"), of);
    let near = Space::new("near")
        .group(image_group("web-{i}", image, username).count(3))
        .group(copy_of("copy", "web"));
    let far = Space::new("far").group(copy_of("far-{i}", "a/near/web").count(2));
    builder()
        .org(Org::new("a").space(near))
        .org(Org::new("b").space(far))
        .build()
        .unwrap()
}

fn converger(fixture: &Fixture, workflow: Workflow, desired: &Desired) -> Converger {
    workflow.of(&fixture.client, desired.clone())
}

async fn converge(converger: &Converger) -> Outcome {
    let outcome = converger.converge(Approval::All).await.unwrap();
    let failed = (&outcome.failures, &outcome.drift);
    assert!(outcome.is_converged(), "{failed:#?}");
    outcome
}

fn count(requests: &[RecordedRequest], method: &str, path: &str) -> usize {
    let requests = requests.iter();
    let is_it =
        |it: &&RecordedRequest| it.method == method && it.path.split('?').next() == Some(path);
    requests.filter(is_it).count()
}

/// The image that each app runs, by name.
fn running(fixture: &Fixture) -> Vec<String> {
    let state = fixture.mock.state();
    let all = |kind: &str| state[kind].as_array().unwrap().clone();
    let droplets = all("droplets");
    let apps = all("apps").into_iter().map(|app| {
        let current = &app["relationships"]["current_droplet"]["data"]["guid"];
        let droplet = droplets.iter().find(|it| it["guid"] == *current);
        let image = droplet.map_or(Value::Null, |it| it["image"].clone());
        format!("{} {} {image}", app["name"], app["state"]).replace('"', "")
    });
    let mut apps: Vec<String> = apps.collect();
    apps.sort();
    apps
}

#[rstest]
#[case::manifest(Workflow::Manifest)]
#[case::per_app(Workflow::PerApp)]
#[tokio::test]
async fn an_image_is_staged_once_and_copied_to_all_other_apps(#[case] workflow: Workflow) {
    let fixture = Fixture::new(workflow).await;
    let desired = images("registry.test/web:1", "robot");
    let converger_of = |desired: &Desired| converger(&fixture, workflow, desired);
    let plan = converger_of(&desired).plan().await.unwrap();
    let shown = format!("{plan:?} {plan:#} {}", json!(plan));
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert_eq!(converge(&converger_of(&desired)).await.changed(), 6);
    let requests = fixture.writes();
    assert_eq!(count(&requests, "POST", "/v3/builds"), 1);
    assert_eq!(count(&requests, "POST", "/v3/packages"), 1);
    assert_eq!(count(&requests, "POST", "/v3/droplets"), 5);
    // Only the package has the password.
    let secret: Vec<&str> = requests
        .iter()
        .filter(|it| String::from_utf8_lossy(&it.body).contains(PASSWORD))
        .map(|it| it.path.as_str())
        .collect();
    assert_eq!(secret, ["/v3/packages"]);
    let names = ["copy", "far-0", "far-1", "web-0", "web-1", "web-2"];
    let expected = names.map(|name| format!("{name} STARTED registry.test/web:1"));
    assert_eq!(running(&fixture), expected);
    assert_eq!(converge(&converger_of(&desired)).await.changed(), 0);
    assert_eq!(fixture.writes().len(), 0);

    // A change of the image or the user is staged once, and applied to all apps.
    for (image, username) in [
        ("registry.test/web:2", "robot"),
        ("registry.test/web:2", "you"),
    ] {
        let desired = images(image, username);
        assert_eq!(converge(&converger_of(&desired)).await.changed(), 6);
        let requests = fixture.writes();
        assert_eq!(count(&requests, "POST", "/v3/builds"), 1);
        assert_eq!(count(&requests, "POST", "/v3/droplets"), 5);
        assert!(running(&fixture).iter().all(|app| app.contains(image)));
        assert_eq!(converge(&converger_of(&desired)).await.changed(), 0);
        fixture.writes();
    }
}

#[tokio::test]
async fn images_are_refused_where_the_foundation_does_not_allow_them() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let app = || Space::new("s").group(image_group("web", "image", "robot"));
    let desired = Desired::builder("me-").org(Org::new("o").space(app()));
    let refused = Converger::new(fixture.client.clone(), desired.build().unwrap());
    insta::assert_snapshot!(refused.plan().await.unwrap_err(), @"the group web cannot have `docker`: the feature flag diego_docker of the foundation is disabled");
    let refused = refused.converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(refused, @"the group web cannot have `docker`: the feature flag diego_docker of the foundation is disabled");
    let cnb = plain("{lifecycle: cnb, buildpacks: ['docker://a/buildpack']}");
    let cnb = Space::new("s").group(Group::new("web", cnb, Bits::files([("a", "b")])));
    let desired = Desired::builder("me-").org(Org::new("o").space(cnb));
    let refused = Converger::new(fixture.client.clone(), desired.build().unwrap());
    insta::assert_snapshot!(refused.plan().await.unwrap_err(), @"the group web cannot have `lifecycle`: the feature flag diego_cnb of the foundation is disabled");
    assert!(fixture.writes().is_empty());

    // A run that declares the flag enables it first.
    let desired = builder().org(Org::new("o").space(app())).build().unwrap();
    let desired = Converger::new(fixture.client.clone(), desired);
    assert_eq!(converge(&desired).await.changed(), 1);
    let disabled = Desired::builder("me-").feature_flag("diego_docker", false);
    let refused = disabled
        .org(Org::new("o").space(app()))
        .build()
        .unwrap_err();
    insta::assert_snapshot!(refused, @"the group web cannot have `docker`: the desired state disables the feature flag that it needs");
}

#[tokio::test]
async fn an_unknown_feature_flag_is_refused_before_anything_is_sent() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let desired = Desired::builder("me-").feature_flag("diego_dokcer", true);
    let converger = Converger::new(fixture.client.clone(), desired.build().unwrap());
    let plan = converger.plan().await.unwrap_err().to_string();
    assert!(
        plan.starts_with("the foundation has no feature flag diego_dokcer: its flags are "),
        "{plan}"
    );
    assert!(plan.contains("diego_cnb, diego_docker"), "{plan}");
    let refused = converger.converge(Approval::All).await.unwrap_err();
    assert_eq!(refused.to_string(), plan);
    assert!(fixture.writes().is_empty());
}

#[tokio::test]
async fn an_app_does_not_become_an_image() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let of = |group: Group| {
        let desired = builder().org(Org::new("o").space(Space::new("s").group(group)));
        Converger::new(fixture.client.clone(), desired.build().unwrap())
    };
    converge(&of(group("web", "no-route: true"))).await;
    fixture.writes();
    let image = of(image_group("web", "image", "robot"));
    let refused = image.converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(refused, @"the app web cannot have `docker`: it exists with another lifecycle, which the Cloud Controller does not change: delete the app first");
    assert!(fixture.writes().is_empty());
}

#[tokio::test]
async fn each_app_with_cloud_native_buildpacks_is_staged() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let entry = plain("{no-route: true, lifecycle: cnb, buildpacks: ['docker://a/buildpack']}");
    let group = || Group::new("web-{i}", entry.clone(), Bits::files([("a", "b")])).count(3);
    let desired = |space: Space| {
        let builder = Desired::builder("me-").feature_flag("diego_cnb", true);
        builder.org(Org::new("o").space(space)).build()
    };
    let whole = desired(Space::new("s").group(group())).unwrap();
    let converger = Converger::new(fixture.client.clone(), whole);
    assert_eq!(converge(&converger).await.changed(), 3);
    let requests = fixture.writes();
    assert_eq!(count(&requests, "POST", "/v3/builds"), 3);
    assert_eq!(count(&requests, "POST", "/v3/droplets"), 0);
    assert_eq!(converge(&converger).await.changed(), 0);
    assert_eq!(fixture.writes().len(), 0);
    let copy = Group::copy_of("copy", entry.clone(), "web");
    let refused = desired(Space::new("s").group(group()).group(copy)).unwrap_err();
    insta::assert_snapshot!(refused, @"the group copy cannot have `like`: the Cloud Controller does not copy droplets of `lifecycle: cnb`");
}

#[test]
fn properties_that_an_image_cannot_have_are_refused_by_name() {
    let refused = |entry: &str| ManifestEntry::parse(entry).unwrap_err().to_string();
    let entries = [
        "docker: image",
        "docker: {username: robot}",
        "docker: {image: ' '}",
        "docker: {image: i, tag: 1}",
        "{docker: {image: i}, buildpacks: [go_buildpack]}",
        "{docker: {image: i}, stack: cflinuxfs4}",
        "{docker: {image: i}, lifecycle: cnb}",
        "lifecycle: docker",
        "lifecycle: kpack",
        "lifecycle: cnb",
        "cnb-credentials: {registry: {user: u}}",
    ];
    insta::assert_snapshot!(entries.map(refused).join("\n"), @"
    `docker` is a string, must be a map with an `image`
    `docker` must have an `image`
    `docker` must have a non-empty string as `image`
    `docker` cannot have `tag`, only image, username, password
    `docker` cannot be used together with `buildpacks`
    `docker` cannot be used together with `stack`
    `lifecycle` is cnb, which cannot be used together with `docker`
    `lifecycle` is docker, which needs `docker`
    `lifecycle` is kpack, must be buildpack, cnb or docker
    `lifecycle` is cnb, which needs `buildpacks`
    `cnb-credentials` is for `lifecycle: cnb` only
    ");
    let check = |entry: &str, name: &str| {
        let group = Group::new(name, plain(entry), Bits::None).count(2);
        let org = Org::new("o").space(Space::new("s").group(group));
        Desired::builder("me")
            .org(org)
            .build()
            .unwrap_err()
            .to_string()
    };
    let groups = [
        check("docker: {image: i, username: robot}", "web-{i}"),
        check("docker: {image: 'i:{i}'}", "web-{i}"),
    ];
    insta::assert_snapshot!(groups.join("\n"), @"
    the group web-{i} cannot have `docker`: `username` and `password` must be set together
    the group web-{i} cannot have `docker`: the image cannot contain {i}, because the apps share a droplet
    ");
}
