//! Plans that repair one change of a converged foundation.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::capi::model::{
    Destination, Domain, Droplet, Instance, InstanceState, Org, OrgQuota, Ownership, Package,
    Process, ResourceState, Rule, SecurityGroup, Space as FoundSpace,
};
use crate::converge::compare::EntryDifference;
use crate::converge::observe::{ObservedOrg, OtherApp};
use crate::converge::verify::verify;
use crate::desired::Group;
use crate::spec::scaling::ScalingTest;
use crate::spec::sources::Sources;

const TEXT: &str = r#"{"test_applications": 3, "test_app_instances": 2, "asg_size": 2}"#;

const DOMAIN: &str = "apps.example.com";

fn desired() -> Desired {
    let test = ScalingTest::parse(TEXT, "test").unwrap();
    let sources = Sources::read(&test, None).unwrap();
    test.desired(&sources).unwrap()
}

/// Returns the desired state with other groups.
fn desired_with(change: impl FnOnce(&mut Vec<Group>)) -> Desired {
    let desired = desired();
    let mut org = desired.orgs()[0].clone();
    change(&mut org.spaces[0].groups);
    let group = desired.security_groups()[0].clone();
    let builder = Desired::builder("scale-").security_group(group).org(org);
    builder.build().unwrap()
}

fn with_entry(group: &mut Group, property: &str, value: Value) {
    group.entry = group.entry.clone().with(property, value);
}

fn bits() -> Vec<String> {
    vec!["bits of registry".to_owned(), "bits of tick".to_owned()]
}

fn nothing() -> Observed {
    Observed {
        domains: vec![Domain {
            guid: "domain".to_owned(),
            name: DOMAIN.to_owned(),
            is_for_apps: true,
            owner: None,
            ownership: Ownership::default(),
        }],
        knows_destinations: true,
        has_labels: true,
        orgs: vec![ObservedOrg {
            apps_domain: DOMAIN.to_owned(),
            ..ObservedOrg::default()
        }],
        spaces: vec![ObservedSpace::default()],
        ..Observed::default()
    }
}

fn ours() -> Ownership {
    Ownership {
        managed: true,
        owner: Some("scale-".to_owned()),
    }
}

fn quota() -> OrgQuota {
    OrgQuota {
        guid: "quota".to_owned(),
        name: "scale-quota".to_owned(),
        orgs: vec!["org".to_owned()],
        is_unlimited: true,
        ..OrgQuota::default()
    }
}

fn as_desired(desired: &Desired) -> Observed {
    let mut observed = nothing();
    observed.quotas.insert("scale-quota".to_owned(), quota());
    observed.managed = ["org", "space"].map(str::to_owned).into();
    let rules = desired.security_groups()[0].rules.iter();
    let rules = rules.map(|rule| Rule {
        protocol: rule.protocol.clone(),
        destination: rule.destination.clone(),
        ports: rule.ports.clone(),
        ..Rule::default()
    });
    let group = SecurityGroup {
        guid: "group".to_owned(),
        name: "scale-asg".to_owned(),
        rules: rules.collect(),
        running_spaces: vec!["space".to_owned()],
        staging_spaces: Vec::new(),
        ..SecurityGroup::default()
    };
    observed
        .security_groups
        .insert("scale-asg".to_owned(), group);
    observed.orgs[0].org = Some(Org {
        guid: "org".to_owned(),
        name: "scale-org".to_owned(),
        ownership: ours(),
        quota: Some("quota".to_owned()),
        ..Org::default()
    });
    let space = &mut observed.spaces[0];
    space.space = Some(FoundSpace {
        guid: "space".to_owned(),
        name: "scale-space".to_owned(),
        org: "org".to_owned(),
        ownership: ours(),
        ..FoundSpace::default()
    });
    for placed in desired.groups() {
        for (i, name) in placed.group.app_names().enumerate() {
            space
                .apps
                .push(app(placed.group, &bits()[placed.id], &name, i == 0));
            space.routes.push(Route {
                guid: format!("route of {name}"),
                url: format!("{name}.{DOMAIN}"),
                destinations: vec![to(&format!("guid of {name}"))],
                ..Route::default()
            });
        }
    }
    observed
}

fn to(app: &str) -> Destination {
    Destination {
        app: app.to_owned(),
        process_type: "web".to_owned(),
        port: Some(8080),
        protocol: None,
    }
}

fn app(group: &Group, bits: &str, name: &str, is_prototype: bool) -> App {
    let bits = is_prototype.then(|| bits.to_owned());
    let instances = group.entry.instances().unwrap();
    App {
        guid: format!("guid of {name}"),
        name: name.to_owned(),
        space: "space".to_owned(),
        started: true,
        ownership: ours(),
        lifecycle: group.entry.lifecycle().to_owned(),
        buildpacks: group.entry.buildpacks(),
        current_droplet: Some(format!("droplet of {name}")),
        droplets: vec![Droplet {
            guid: format!("droplet of {name}"),
            checksum: Some(format!("checksum of {}", group.name)),
            bits: bits.clone(),
            app: format!("guid of {name}"),
            state: ResourceState::Staged,
            error: None,
            image: None,
            created_at: String::new(),
            annotated: is_prototype,
            package: is_prototype.then(|| format!("package of {name}")),
        }],
        packages: bits
            .map(|bits| Package {
                guid: format!("package of {name}"),
                app: format!("guid of {name}"),
                bits: Some(bits),
                image: None,
                state: ResourceState::Ready,
                error: None,
            })
            .into_iter()
            .collect(),
        web: Some(Process {
            instances,
            memory_mb: 32,
            disk_mb: 32,
            actual: (0..instances)
                .map(|_| in_state(InstanceState::Running))
                .collect(),
            ..Process::default()
        }),
        manifest: None,
    }
}

fn in_state(state: InstanceState) -> Instance {
    Instance {
        index: 0,
        state,
        details: None,
        since: None,
    }
}

/// Plans with requests for each app.
fn plan(desired: &Desired, observed: &Observed) -> Plan {
    super::plan(desired, &bits(), observed, Workflow::PerApp)
}

/// Plans with manifests for many apps.
fn plan_manifests(desired: &Desired, observed: &Observed) -> Plan {
    super::plan(desired, &bits(), observed, Workflow::Manifest)
}

/// Adds a difference of an app: the actual value `was` and the desired `value`.
fn differs(observed: &mut Observed, app: &str, path: &str, was: Value, value: Value) {
    let difference = EntryDifference {
        path: path.split('/').map(str::to_owned).collect(),
        was,
        value,
    };
    let all = &mut observed.spaces[0].differences;
    all.entry(app.to_owned()).or_default().push(difference);
}

fn find<'a>(observed: &'a mut Observed, name: &str) -> &'a mut App {
    let mut apps = observed.spaces[0].apps.iter_mut();
    apps.find(|app| app.name == name).unwrap()
}

/// Adds an app that is not desired, with a route that is mapped to `apps`.
fn add_seventh(observed: &mut Observed, apps: &[&str]) {
    let app = App {
        name: "scale-tick-7".to_owned(),
        guid: "seven".to_owned(),
        ..find(observed, "scale-tick-1").clone()
    };
    observed.spaces[0].apps.push(app);
    observed.spaces[0].routes.push(Route {
        guid: "route of seven".to_owned(),
        url: format!("scale-tick-7.{DOMAIN}"),
        destinations: apps.iter().map(|app| to(app)).collect(),
        ..Route::default()
    });
}

fn web<'a>(observed: &'a mut Observed, name: &str) -> &'a mut Process {
    find(observed, name).web.as_mut().unwrap()
}

fn steps(plan: &Plan) -> Vec<String> {
    let steps = plan.resources.iter().flat_map(|resource| {
        let name = match resource.target.is_app() {
            true => resource.name(),
            false => resource.target.kind(),
        };
        let steps = resource.steps.iter();
        steps.map(move |step| format!("{name}: {step:?}"))
    });
    steps.collect()
}

#[test]
fn an_empty_foundation_gets_everything_in_the_documented_order() {
    let desired = desired();
    let plan = plan(&desired, &nothing());
    insta::assert_snapshot!(plan.to_string());
    insta::assert_snapshot!("from_nothing_steps", steps(&plan).join("\n"));
}

#[test]
fn an_up_to_date_foundation_needs_no_steps() {
    let desired = desired();
    let observed = as_desired(&desired);
    let plan = plan(&desired, &observed);
    assert!(plan.is_empty());
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert_eq!(verify(&desired, &observed, &plan), []);
    insta::assert_snapshot!(format!("{plan:#}"));
}

#[test]
fn similar_changes_share_a_line() {
    let desired = desired();
    let mut observed = as_desired(&desired);
    for name in ["scale-tick-0", "scale-tick-1"] {
        web(&mut observed, name).instances = 5;
    }
    web(&mut observed, "scale-tick-2").instances = 1;
    insta::assert_snapshot!(plan(&desired, &observed), @"
    ~ 2 apps scale-tick-{0..1} (instances: 5 -> 2)
    ~ app scale-tick-2 (instances: 1 -> 2)
    quotas: 0 to create, 0 to change, 0 to delete, 1 unchanged
    orgs: 0 to create, 0 to change, 0 to delete, 1 unchanged
    spaces: 0 to create, 0 to change, 0 to delete, 1 unchanged
    security groups: 0 to create, 0 to change, 0 to delete, 1 unchanged
    apps: 0 to create, 3 to change, 0 to delete, 1 unchanged
    ");
}

/// Each drift, with its text in the plan and the steps that repair it.
#[rstest]
#[case::instances(
    |it: &mut Observed| web(it, "scale-tick-1").instances = 5,
    "~ app scale-tick-1 (instances: 5 -> 2)",
    &["scale-tick-1: Scale { instances: Some(2), memory_mb: None, disk_mb: None }"],
)]
#[case::stopped(
    |it: &mut Observed| find(it, "scale-tick-1").started = false,
    "~ app scale-tick-1 (state: STOPPED -> STARTED)",
    &["scale-tick-1: Start"],
)]
#[case::variable_changed(
    |it: &mut Observed| differs(it, "scale-tick-1", "env/LISTEN_PORTS", json!("9"), json!("0")),
    "~ app scale-tick-1 (env LISTEN_PORTS: 9 -> 0)",
    &["scale-tick-1: Stop", "scale-tick-1: SetEnv { variables: {\"LISTEN_PORTS\": Some(\"0\")} }", "scale-tick-1: Start"],
)]
#[case::variable_added(
    |it: &mut Observed| differs(it, "scale-tick-1", "env/SECRET", json!("hunter2"), Value::Null),
    "~ app scale-tick-1 (env SECRET: a value -> none)",
    &["scale-tick-1: Stop", "scale-tick-1: SetEnv { variables: {\"SECRET\": None} }", "scale-tick-1: Start"],
)]
#[case::variable_removed_from_a_stopped_app(
    |it: &mut Observed| { find(it, "scale-tick-1").started = false; differs(it, "scale-tick-1", "env/START_PORT", Value::Null, json!("7000")); },
    "~ app scale-tick-1 (env START_PORT: none -> 7000, state: STOPPED -> STARTED)",
    &["scale-tick-1: SetEnv { variables: {\"START_PORT\": Some(\"7000\")} }", "scale-tick-1: Start"],
)]
#[case::route_unmapped(
    |it: &mut Observed| { it.spaces[0].routes[2].destinations.clear(); differs(it, "scale-tick-1", "routes/0", Value::Null, json!({"route": "scale-tick-1.apps.example.com"})); },
    "~ app scale-tick-1 (route: missing -> scale-tick-1.apps.example.com)",
    &["scale-tick-1: MapRoute { route: Existing(\"route of scale-tick-1\") }"],
)]
#[case::route_missing(
    |it: &mut Observed| { it.spaces[0].routes.remove(2); differs(it, "scale-tick-1", "routes/0", Value::Null, json!({"route": "scale-tick-1.apps.example.com"})); },
    "~ app scale-tick-1 (route: missing -> scale-tick-1.apps.example.com)",
    &["scale-tick-1: CreateRoute { route: \"scale-tick-1.apps.example.com\" }", "scale-tick-1: MapRoute { route: New }"],
)]
#[case::route_leads_elsewhere_too(
    |it: &mut Observed| it.spaces[0].routes[2].destinations.push(to("other")),
    "~ app scale-tick-1 (destinations of route scale-tick-1.apps.example.com: also another app -> the web process)",
    &["scale-tick-1: SetDestinations { route: \"route of scale-tick-1\", apps: [\"guid of scale-tick-1\"], protocol: None }"],
)]
#[case::route_leads_to_another_port(
    |it: &mut Observed| it.spaces[0].routes[2].destinations[0].port = Some(9999),
    "~ app scale-tick-1 (destinations of route scale-tick-1.apps.example.com: another port or process -> the web process)",
    &["scale-tick-1: SetDestinations { route: \"route of scale-tick-1\", apps: [\"guid of scale-tick-1\"], protocol: None }"],
)]
#[case::label_missing(
    |it: &mut Observed| find(it, "scale-tick-1").ownership = Ownership::default(),
    "~ unmanaged app scale-tick-1 (label: missing -> managed)",
    &["scale-tick-1: LabelAsManaged"],
)]
#[case::clone_runs_another_droplet(
    |it: &mut Observed| find(it, "scale-tick-1").droplets[0].checksum = Some("another".to_owned()),
    "~ app scale-tick-1 (droplet: another -> a copy of the prototype's)",
    &[
        "scale-tick-1: CopyDroplet { from: Existing(\"droplet of scale-tick-0\") }",
        "scale-tick-1: AwaitDroplet",
        "scale-tick-1: Stop",
        "scale-tick-1: SetDroplet { droplet: New }",
        "scale-tick-1: Start",
        "scale-tick-1: DeleteDroplet { droplet: \"droplet of scale-tick-1\" }",
    ],
)]
#[case::clone_holds_the_copy_unset(
    |it: &mut Observed| { let app = find(it, "scale-tick-1"); app.started = false; app.current_droplet = None; },
    "~ app scale-tick-1 (droplet: none -> the existing droplet, state: STOPPED -> STARTED)",
    &["scale-tick-1: SetDroplet { droplet: Existing(\"droplet of scale-tick-1\") }", "scale-tick-1: Start"],
)]
#[case::prototype_staged_but_not_set(
    |it: &mut Observed| { let app = find(it, "scale-registry"); app.started = false; app.current_droplet = None; },
    "~ app scale-registry (droplet: none -> the existing droplet, state: STOPPED -> STARTED)",
    &["scale-registry: SetDroplet { droplet: Existing(\"droplet of scale-registry\") }", "scale-registry: Start"],
)]
#[case::prototype_pushed_but_not_staged(
    |it: &mut Observed| { let app = find(it, "scale-registry"); app.started = false; app.current_droplet = None; app.droplets.clear(); },
    "~ app scale-registry (droplet: none -> from the staged bits, state: STOPPED -> STARTED)",
    &[
        "scale-registry: Stage { package: Existing(\"package of scale-registry\"), buildpacks: None }",
        "scale-registry: SetDroplet { droplet: New }",
        "scale-registry: AnnotateBitsHash { droplet: New, hash: \"bits of registry\" }",
        "scale-registry: Start",
    ],
)]
#[case::prototype_staged_with_other_buildpacks(
    |it: &mut Observed| find(it, "scale-registry").buildpacks.clear(),
    "~ app scale-registry (droplet: another -> from the staged bits)",
    &[
        "scale-registry: RemoveBitsHash { droplet: \"droplet of scale-registry\" }",
        "scale-registry: Stage { package: Existing(\"package of scale-registry\"), buildpacks: Some([\"go_buildpack\"]) }",
        "scale-registry: Stop",
        "scale-registry: SetDroplet { droplet: New }",
        "scale-registry: AnnotateBitsHash { droplet: New, hash: \"bits of registry\" }",
        "scale-registry: SetBuildpacks { buildpacks: [\"go_buildpack\"] }",
        "scale-registry: Start",
        "scale-registry: DeleteDroplet { droplet: \"droplet of scale-registry\" }",
    ],
)]
#[case::memory(
    |it: &mut Observed| web(it, "scale-tick-1").memory_mb = 64,
    "~ app scale-tick-1 (memory: 64M -> 32M)",
    &[
        "scale-tick-1: Stop",
        "scale-tick-1: Scale { instances: None, memory_mb: Some(32), disk_mb: None }",
        "scale-tick-1: Start",
    ],
)]
#[case::disk_of_the_prototype(
    |it: &mut Observed| web(it, "scale-tick-0").disk_mb = 64,
    "~ app scale-tick-0 (disk: 64M -> 32M)",
    &[
        "scale-tick-0: Stop",
        "scale-tick-0: Scale { instances: None, memory_mb: None, disk_mb: Some(32) }",
        "scale-tick-0: Start",
    ],
)]
#[case::command(
    |it: &mut Observed| differs(it, "scale-tick-1", "command", json!("sleep 1"), Value::Null),
    "~ app scale-tick-1 (command: sleep 1 -> the droplet's)",
    &["scale-tick-1: Stop", "scale-tick-1: SetCommand { command: None }", "scale-tick-1: Start"],
)]
#[case::droplet_left_over(
    |it: &mut Observed| { let app = find(it, "scale-tick-1"); let more = Droplet { guid: "more".to_owned(), ..app.droplets[0].clone() }; app.droplets.push(more); },
    "~ app scale-tick-1 (droplets: 1 unused -> none unused)",
    &["scale-tick-1: DeleteDroplet { droplet: \"more\" }"],
)]
#[case::package_left_over(
    |it: &mut Observed| { let app = find(it, "scale-tick-0"); let more = Package { guid: "more".to_owned(), ..app.packages[0].clone() }; app.packages.push(more); },
    "~ app scale-tick-0 (packages: 1 unused -> none unused)",
    &["scale-tick-0: DeletePackage { package: \"more\" }"],
)]
#[case::bits_hash_missing(
    |it: &mut Observed| find(it, "scale-tick-0").droplets[0].annotated = false,
    "~ app scale-tick-0 (hash of the bits: missing -> annotated)",
    &["scale-tick-0: AnnotateBitsHash { droplet: Existing(\"droplet of scale-tick-0\"), hash: \"bits of tick\" }"],
)]
#[case::droplet_expired(
    |it: &mut Observed| find(it, "scale-tick-1").droplets[0].state = ResourceState::Failed,
    "~ app scale-tick-1 (droplet: another -> a copy of the prototype's)",
    &[
        "scale-tick-1: CopyDroplet { from: Existing(\"droplet of scale-tick-0\") }",
        "scale-tick-1: AwaitDroplet",
        "scale-tick-1: Stop",
        "scale-tick-1: SetDroplet { droplet: New }",
        "scale-tick-1: Start",
        "scale-tick-1: DeleteDroplet { droplet: \"droplet of scale-tick-1\" }",
    ],
)]
#[case::begun_and_not_desired_any_more(
    |it: &mut Observed| it.spaces[0].apps.push(App { name: "scale-tick-7".to_owned(), guid: "seven".to_owned(), space: "space".to_owned(), ..App::default() }),
    "- app scale-tick-7",
    &["scale-tick-7: DeleteApp"],
)]
#[case::surplus(
    |it: &mut Observed| add_seventh(it, &["seven"]),
    "- app scale-tick-7",
    &["scale-tick-7: DeleteRoute { route: \"route of seven\" }", "scale-tick-7: DeleteApp"],
)]
#[case::surplus_whose_route_serves_another(
    |it: &mut Observed| add_seventh(it, &["seven", "other"]),
    "- app scale-tick-7",
    &["scale-tick-7: DeleteApp"],
)]
#[case::rules(
    |it: &mut Observed| { it.security_groups.get_mut("scale-asg").unwrap().rules.pop(); },
    "~ security group scale-asg (rules: 1 -> 2)",
    &["security group: UpdateSecurityGroup"],
)]
#[case::other_rules(
    |it: &mut Observed| it.security_groups.get_mut("scale-asg").unwrap().rules[0].protocol = "udp".to_owned(),
    "~ security group scale-asg (rules: other rules -> 2)",
    &["security group: UpdateSecurityGroup"],
)]
#[case::unbound(
    |it: &mut Observed| it.security_groups.get_mut("scale-asg").unwrap().running_spaces.clear(),
    "~ security group scale-asg (binding: none -> scale-space)",
    &["security group: BindSecurityGroup { spaces: [Space { org: \"scale-org\", name: \"scale-space\" }] }"],
)]
#[case::another_quota(
    |it: &mut Observed| it.orgs[0].org.as_mut().unwrap().quota = Some("default".to_owned()),
    "~ org scale-org (quota: another -> scale-quota)",
    &["org: AssignQuota { quota: \"scale-quota\" }"],
)]
fn each_drift_has_steps_that_repair_it(
    #[case] drift: fn(&mut Observed),
    #[case] line: &str,
    #[case] expected: &[&str],
) {
    let desired = desired();
    let mut observed = as_desired(&desired);
    drift(&mut observed);
    let plan = plan(&desired, &observed);
    let changes: Vec<String> = plan
        .resources
        .iter()
        .filter(|item| item.action != Action::Unchanged)
        .map(|item| item.to_string())
        .collect();
    assert_eq!(changes, [line]);
    assert_eq!(steps(&plan), expected);
    assert!(!verify(&desired, &observed, &plan).is_empty());
}

#[test]
fn changed_bits_go_to_every_app_of_the_group() {
    let desired = desired();
    let changed = [bits()[0].clone(), "changed".to_owned()];
    let plan = super::plan(&desired, &changed, &as_desired(&desired), Workflow::PerApp);
    insta::assert_snapshot!(steps(&plan).join("\n"));
}

#[test]
fn manifests_replace_requests_where_possible() {
    let desired = desired();
    let from_nothing = plan_manifests(&desired, &nothing());
    insta::assert_snapshot!("manifests_from_nothing", steps(&from_nothing).join("\n"));

    let mut observed = as_desired(&desired);
    assert!(plan_manifests(&desired, &observed).is_empty());
    differs(
        &mut observed,
        "scale-registry",
        "command",
        json!("sleep 1"),
        Value::Null,
    );
    differs(
        &mut observed,
        "scale-tick-1",
        "env/SECRET",
        json!("hunter2"),
        Value::Null,
    );
    differs(
        &mut observed,
        "scale-tick-1",
        "env/START_PORT",
        Value::Null,
        json!("7000"),
    );
    let route = json!({"route": "scale-tick-2.apps.example.com"});
    differs(
        &mut observed,
        "scale-tick-2",
        "routes/0",
        Value::Null,
        route,
    );
    find(&mut observed, "scale-tick-2").buildpacks.clear();
    let changed = [bits()[0].clone(), "changed".to_owned()];
    let changes = super::plan(&desired, &changed, &observed, Workflow::Manifest);
    insta::assert_snapshot!("manifests_of_changes", steps(&changes).join("\n"));
}

#[test]
fn credentials_of_buildpacks_are_not_compared() {
    let buildpack = "https://me:secret@example.com/bp.git";
    let desired =
        desired_with(|groups| with_entry(&mut groups[0], "buildpacks", json!([buildpack])));
    let mut observed = as_desired(&desired);
    find(&mut observed, "scale-registry").buildpacks =
        vec!["https://***:***@example.com/bp.git".to_owned()];
    assert!(plan(&desired, &observed).is_empty());
}

#[test]
fn a_change_of_the_stack_pushes_the_bits_again() {
    let desired = desired_with(|groups| with_entry(&mut groups[1], "stack", json!("new")));
    let mut observed = as_desired(&desired);
    for app in ["scale-tick-0", "scale-tick-1"] {
        differs(&mut observed, app, "stack", json!("old"), json!("new"));
    }
    let plan = plan_manifests(&desired, &observed);
    let steps = steps(&plan);
    let of_prototype: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.strip_prefix("scale-tick-0: "))
        .map(|step| step.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        of_prototype,
        [
            "RemoveBitsHash",
            "DeletePackage",
            "ApplyManifest",
            "PushBits",
            "Stage",
            "Stop",
            "Deploy",
            "AnnotateBitsHash",
            "DeleteDroplet"
        ]
    );
}

#[test]
fn sizes_and_commands_of_the_manifest_are_kept() {
    let desired = desired_with(|groups| {
        with_entry(&mut groups[0], "memory", json!("64M"));
        with_entry(&mut groups[0], "disk_quota", json!("128M"));
        with_entry(&mut groups[0], "command", json!("./registry"));
    });
    let mut observed = as_desired(&desired);
    differs(
        &mut observed,
        "scale-registry",
        "command",
        Value::Null,
        json!("./registry"),
    );
    let plan = plan(&desired, &observed);
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
    scale-registry: Stop
    scale-registry: SetCommand { command: Some("./registry") }
    scale-registry: Scale { instances: None, memory_mb: Some(64), disk_mb: Some(128) }
    scale-registry: Start
    "#);
    let items: Vec<String> = plan.resources.iter().map(ToString::to_string).collect();
    assert!(items.contains(
        &"~ app scale-registry (command: the droplet's -> ./registry, memory: 32M -> 64M, disk: 32M -> 128M)"
            .to_owned()
    ));
}

#[test]
fn a_command_is_set_after_the_droplet() {
    let desired = desired_with(|groups| with_entry(&mut groups[1], "command", json!("./tick")));
    let mut observed = as_desired(&desired);
    let app = find(&mut observed, "scale-tick-1");
    (app.started, app.web) = (false, None);
    (app.current_droplet, app.droplets) = (None, Vec::new());
    differs(
        &mut observed,
        "scale-tick-1",
        "command",
        Value::Null,
        json!("./tick"),
    );
    let plan = plan(&desired, &observed);
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
    scale-tick-1: CopyDroplet { from: Existing("droplet of scale-tick-0") }
    scale-tick-1: AwaitDroplet
    scale-tick-1: SetDroplet { droplet: New }
    scale-tick-1: SetCommand { command: Some("./tick") }
    scale-tick-1: Scale { instances: Some(2), memory_mb: Some(32), disk_mb: Some(32) }
    scale-tick-1: Start
    "#);
}

#[test]
fn unmanaged_apps_are_reported_and_not_changed() {
    let desired = desired();
    let mut observed = as_desired(&desired);
    let unmanaged = App {
        name: "somebody-elses".to_owned(),
        guid: "unmanaged".to_owned(),
        space: "space".to_owned(),
        ..App::default()
    };
    let of_another_owner = App {
        name: "other-tick-0".to_owned(),
        ownership: Ownership {
            managed: true,
            owner: Some("other-".to_owned()),
        },
        ..unmanaged.clone()
    };
    observed.spaces[0]
        .apps
        .extend([unmanaged, of_another_owner]);
    observed.orgs[0].other_apps = vec![OtherApp {
        name: "scale-tick-0".to_owned(),
        space: "other".to_owned(),
        ownership: Ownership::default(),
    }];
    let plan = plan(&desired, &observed);
    assert!(plan.is_empty());
    let drift: Vec<String> = verify(&desired, &observed, &plan)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        drift,
        ["org scale-org: 6 apps, desired 4; unmanaged: somebody-elses, other-tick-0"]
    );
}

#[test]
fn verification_lists_all_drift() {
    let desired = desired();
    let mut observed = as_desired(&desired);
    observed.spaces[0]
        .apps
        .retain(|app| app.name != "scale-registry");
    observed.spaces[0].routes.clear();
    for app in ["scale-tick-0", "scale-tick-1"] {
        let route = json!({"route": format!("{app}.apps.example.com")});
        differs(&mut observed, app, "routes/0", Value::Null, route);
    }
    web(&mut observed, "scale-tick-0").actual = vec![
        in_state(InstanceState::Running),
        in_state(InstanceState::Crashed),
    ];
    find(&mut observed, "scale-tick-1").started = false;
    web(&mut observed, "scale-tick-2").instances = 3;
    observed
        .security_groups
        .get_mut("scale-asg")
        .unwrap()
        .rules
        .clear();
    let plan = plan(&desired, &observed);
    let drift: Vec<String> = verify(&desired, &observed, &plan)
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(drift.join("\n"), @r"
    org scale-org: 3 apps, desired 4
    security group scale-asg: rules is 0, desired 2
    app scale-registry: missing
    app scale-tick-0: route is missing, desired scale-tick-0.apps.example.com
    app scale-tick-1: route is missing, desired scale-tick-1.apps.example.com
    app scale-tick-1: state is STOPPED, desired STARTED
    app scale-tick-2: instances is 3, desired 2
    app scale-tick-0: 1 of 2 instances running (1 CRASHED)
    ");
}

/// Several orgs and spaces, with a quota and a security group that they share.
#[test]
fn several_orgs_and_spaces_are_planned_together() {
    use crate::desired::{Bits, Org, SecurityGroup, Space};
    let group = |name: &str| {
        let entry = crate::manifest::entry::ManifestEntry::parse("default-route: true").unwrap();
        Group::new(name, entry, Bits::files([("a", "b")]))
    };
    let space = |name: &str| {
        Space::new(name)
            .security_group("sg")
            .group(group("web-{i}").count(2))
    };
    let desired = Desired::builder("me")
        .security_group(SecurityGroup::new("sg", Vec::new()))
        .org(
            Org::new("a")
                .quota("q")
                .space(space("one"))
                .space(space("two")),
        )
        .org(Org::new("b").quota("q").space(space("one")))
        .build()
        .unwrap();
    let observed = Observed {
        orgs: vec![ObservedOrg::default(), ObservedOrg::default()],
        spaces: vec![ObservedSpace::default(); 3],
        ..Observed::default()
    };
    let plan = super::plan(
        &desired,
        &vec![String::new(); 3],
        &observed,
        Workflow::Manifest,
    );
    let lines: Vec<String> = plan
        .resources
        .iter()
        .map(|it| format!("{:?}", it.target))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Quota { name: "q" }
    Org { name: "a" }
    Space { org: "a", name: "one" }
    Space { org: "a", name: "two" }
    Org { name: "b" }
    Space { org: "b", name: "one" }
    SecurityGroup { name: "sg" }
    App { org: "a", space: "one", name: "web-0" }
    App { org: "a", space: "one", name: "web-1" }
    App { org: "a", space: "two", name: "web-0" }
    App { org: "a", space: "two", name: "web-1" }
    App { org: "b", space: "one", name: "web-0" }
    App { org: "b", space: "one", name: "web-1" }
    "#);
    insta::assert_json_snapshot!("several_orgs_and_spaces_as_json", plan.resources[7]);
}

/// Groups whose stagings would have the same result.
#[test]
fn groups_of_a_space_with_equal_bits_are_staged_once() {
    use crate::desired::{Bits, Org, Space};
    let group = |name: &str, entry: &str| {
        let entry = crate::manifest::entry::ManifestEntry::parse(entry).unwrap();
        Group::new(name, entry, Bits::files([("a", "b")]))
    };
    let image = |name: &str, entry: &str| Group {
        bits: Bits::None,
        ..group(name, entry)
    };
    let first = Space::new("one")
        .group(group("none-{i}", "{}").count(0))
        .group(group("x-{i}", "{}").count(2))
        .group(group("y", "{memory: 1G}"))
        .group(group("env", "env: {A: b}"))
        .group(group("stack", "stack: other"));
    let second = Space::new("two")
        .group(group("z", "{}"))
        .group(Group::copy_of("like-z", Default::default(), "z"))
        .group(group("env-too", "env: {A: b}"))
        .group(group("other-bits", "{}"))
        .group(image("image", "{docker: {image: i}, env: {A: b}}"))
        .group(image("image-too", "docker: {image: i}"));
    let desired = Desired::builder("me")
        .org(Org::new("a").space(first))
        .org(Org::new("b").space(second))
        .build()
        .unwrap();
    let bits: Vec<String> = desired
        .groups()
        .map(|placed| match placed.group.name.as_str() {
            "other-bits" => "other".to_owned(),
            _ if placed.group.entry.docker().is_some() => "image".to_owned(),
            _ => "same".to_owned(),
        })
        .collect();
    let names: Vec<&str> = desired
        .groups()
        .map(|placed| placed.group.name.as_str())
        .collect();
    let observed = Observed {
        has_labels: true,
        orgs: vec![ObservedOrg::default(), ObservedOrg::default()],
        spaces: vec![ObservedSpace::default(); 2],
        ..Observed::default()
    };
    let plan = super::plan(&desired, &bits, &observed, Workflow::Manifest);
    let lines: Vec<String> = plan
        .apps()
        .map(|plan| {
            let app = plan.app.as_ref().unwrap();
            let source = names[app.droplet_of.unwrap()];
            format!("{}: {:?} of {source}", plan.name(), app.role)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    x-0: Prototype of x-{i}
    x-1: Clone of x-{i}
    y: Clone of x-{i}
    env: Prototype of env
    stack: Prototype of stack
    z: Prototype of z
    like-z: Clone of z
    env-too: Prototype of env-too
    other-bits: Prototype of other-bits
    image: Prototype of image
    image-too: Clone of image
    ");
}
