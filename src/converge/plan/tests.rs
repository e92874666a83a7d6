//! What follows from what: one change to a foundation that is as desired, and
//! the plan that mends it.

use rstest::rstest;

use super::*;
use std::sync::Arc;

use crate::capi::inventory::{
    Domain, Droplet, DropletState, Org, Package, Process, Quota, SecurityGroup, Space,
};
use crate::config::Config;
use crate::converge::verify::verify;
use crate::desired::{Group, kinds_of};
use crate::push::source::Sources;

const TEXT: &str = r#"{"test_applications": 3, "test_app_instances": 2, "asg_size": 2}"#;

fn desired() -> Desired {
    let (config, _) = Config::parse(TEXT, "test").unwrap();
    let sources = Sources::bundled(&kinds_of(&config)).unwrap();
    Desired::new(&config, &sources, "apps.example.com")
}

fn nothing() -> Inventory {
    Inventory {
        domain: Domain {
            guid: "domain".to_owned(),
            name: "apps.example.com".to_owned(),
        },
        quota: None,
        security_group: None,
        org: None,
        space: None,
        apps: Vec::new(),
        routes: Vec::new(),
    }
}

fn as_desired(desired: &Desired) -> Inventory {
    let mut inventory = Inventory {
        quota: Some(Quota {
            guid: "quota".to_owned(),
        }),
        security_group: Some(SecurityGroup {
            guid: "group".to_owned(),
            rules: desired.rules.clone(),
            spaces: vec!["space".to_owned()],
        }),
        org: Some(Org {
            guid: "org".to_owned(),
            managed: true,
            quota: Some("quota".to_owned()),
        }),
        space: Some(Space {
            guid: "space".to_owned(),
            managed: true,
        }),
        ..nothing()
    };
    for group in &desired.groups {
        for (i, name) in group.apps.iter().enumerate() {
            inventory.apps.push(app(group, name, i == 0));
            inventory.routes.push(Route {
                guid: format!("route of {name}"),
                host: name.clone(),
                domain: "domain".to_owned(),
                plain: true,
                apps: vec![format!("guid of {name}")],
            });
        }
    }
    inventory
}

fn app(group: &Group, name: &str, is_prototype: bool) -> App {
    let bits = is_prototype.then(|| group.bits.clone());
    App {
        guid: format!("guid of {name}"),
        name: name.to_owned(),
        space: "space".to_owned(),
        started: true,
        managed: true,
        env: group.env.clone(),
        buildpacks: group.buildpacks.clone(),
        command: None,
        command_is_own: true,
        current_droplet: Some(format!("droplet of {name}")),
        droplets: vec![Droplet {
            guid: format!("droplet of {name}"),
            checksum: Some(format!("checksum of {}", group.kind.name())),
            bits: bits.clone(),
            state: DropletState::Staged,
            noted: is_prototype,
            package: is_prototype.then(|| format!("package of {name}")),
        }],
        packages: bits
            .map(|bits| Package {
                guid: format!("package of {name}"),
                bits: Some(bits),
                ready: true,
            })
            .into_iter()
            .collect(),
        web: Some(Process {
            instances: group.instances,
            memory_mb: 1024,
            disk_mb: 1024,
            states: vec!["RUNNING".to_owned(); usize::try_from(group.instances).unwrap()],
        }),
        routed: None,
    }
}

/// As each app's own requests do it.
fn plan(desired: &Desired, observed: &Inventory) -> Plan {
    super::plan(desired, observed, Workflow::PerApp)
}

fn find<'a>(inventory: &'a mut Inventory, name: &str) -> &'a mut App {
    let mut apps = inventory.apps.iter_mut();
    apps.find(|app| app.name == name).unwrap()
}

/// One app more than desired, whose route is mapped to `apps`.
fn add_seventh(inventory: &mut Inventory, apps: &[&str]) {
    let app = App {
        name: "scale-tick-7".to_owned(),
        guid: "seven".to_owned(),
        ..find(inventory, "scale-tick-1").clone()
    };
    inventory.apps.push(app);
    inventory.routes.push(Route {
        guid: "route of seven".to_owned(),
        host: "scale-tick-7".to_owned(),
        domain: "domain".to_owned(),
        plain: true,
        apps: apps.iter().map(|app| (*app).to_owned()).collect(),
    });
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
fn from_nothing_everything_is_made_in_the_documented_order() {
    let desired = desired();
    let plan = plan(&desired, &nothing());
    insta::assert_snapshot!(plan.to_string());
    insta::assert_snapshot!("from_nothing_steps", steps(&plan).join("\n"));
}

#[test]
fn what_is_as_desired_needs_nothing() {
    let desired = desired();
    let observed = as_desired(&desired);
    let plan = plan(&desired, &observed);
    assert!(plan.is_empty());
    assert_eq!(steps(&plan), Vec::<String>::new());
    assert_eq!(verify(&desired, &observed, &plan), []);
    insta::assert_snapshot!(plan.to_string());
}

/// Each drift, what the plan says of it, and what it does about it.
#[rstest]
#[case::instances(
    |it: &mut Inventory| find(it, "scale-tick-1").web.as_mut().unwrap().instances = 5,
    "~ change app scale-tick-1 (instances: 5 -> 2)",
    &["scale-tick-1: Scale(Scale { instances: Some(2), memory_mb: None, disk_mb: None })"],
)]
#[case::stopped(
    |it: &mut Inventory| find(it, "scale-tick-1").started = false,
    "~ change app scale-tick-1 (state: STOPPED -> STARTED)",
    &["scale-tick-1: Start"],
)]
#[case::variable_changed(
    |it: &mut Inventory| { Arc::make_mut(&mut find(it, "scale-tick-1").env).insert("LISTEN_PORTS".to_owned(), "9".to_owned()); },
    "~ change app scale-tick-1 (env LISTEN_PORTS: 9 -> 0)",
    &["scale-tick-1: Stop", "scale-tick-1: SetEnv({\"LISTEN_PORTS\": Some(\"0\")})", "scale-tick-1: Start"],
)]
#[case::variable_added(
    |it: &mut Inventory| { Arc::make_mut(&mut find(it, "scale-tick-1").env).insert("SECRET".to_owned(), "hunter2".to_owned()); },
    "~ change app scale-tick-1 (env SECRET: a value -> none)",
    &["scale-tick-1: Stop", "scale-tick-1: SetEnv({\"SECRET\": None})", "scale-tick-1: Start"],
)]
#[case::variable_removed_from_a_stopped_app(
    |it: &mut Inventory| { let app = find(it, "scale-tick-1"); app.started = false; Arc::make_mut(&mut app.env).remove("START_PORT"); },
    "~ change app scale-tick-1 (env START_PORT: none -> 7000, state: STOPPED -> STARTED)",
    &["scale-tick-1: SetEnv({\"START_PORT\": Some(\"7000\")})", "scale-tick-1: Start"],
)]
#[case::route_unmapped(
    |it: &mut Inventory| it.routes[2].apps.clear(),
    "~ change app scale-tick-1 (route: unmapped -> scale-tick-1.apps.example.com)",
    &["scale-tick-1: MapRoute { route: Some(\"route of scale-tick-1\") }"],
)]
#[case::route_missing(
    |it: &mut Inventory| { it.routes.remove(2); },
    "~ change app scale-tick-1 (route: missing -> scale-tick-1.apps.example.com)",
    &["scale-tick-1: CreateRoute", "scale-tick-1: MapRoute { route: None }"],
)]
#[case::label_missing(
    |it: &mut Inventory| find(it, "scale-tick-1").managed = false,
    "~ change app scale-tick-1 (label: missing -> ours)",
    &["scale-tick-1: LabelAsManaged"],
)]
#[case::clone_runs_another_droplet(
    |it: &mut Inventory| find(it, "scale-tick-1").droplets[0].checksum = Some("another".to_owned()),
    "~ change app scale-tick-1 (droplet: another -> copy of the prototype's)",
    &[
        "scale-tick-1: CopyDroplet { from: Some(\"droplet of scale-tick-0\") }",
        "scale-tick-1: AwaitDroplet",
        "scale-tick-1: Stop",
        "scale-tick-1: SetDroplet { droplet: None }",
        "scale-tick-1: Start",
        "scale-tick-1: DeleteDroplet { droplet: \"droplet of scale-tick-1\" }",
    ],
)]
#[case::clone_holds_the_copy_unset(
    |it: &mut Inventory| { let app = find(it, "scale-tick-1"); app.started = false; app.current_droplet = None; },
    "~ change app scale-tick-1 (droplet: none -> the one it has, state: STOPPED -> STARTED)",
    &["scale-tick-1: SetDroplet { droplet: Some(\"droplet of scale-tick-1\") }", "scale-tick-1: Start"],
)]
#[case::prototype_staged_but_not_set(
    |it: &mut Inventory| { let app = find(it, "scale-registry"); app.started = false; app.current_droplet = None; },
    "~ change app scale-registry (droplet: none -> the one it has, state: STOPPED -> STARTED)",
    &["scale-registry: SetDroplet { droplet: Some(\"droplet of scale-registry\") }", "scale-registry: Start"],
)]
#[case::prototype_pushed_but_not_staged(
    |it: &mut Inventory| { let app = find(it, "scale-registry"); app.started = false; app.current_droplet = None; app.droplets.clear(); },
    "~ change app scale-registry (droplet: none -> of the bits staged, state: STOPPED -> STARTED)",
    &[
        "scale-registry: Stage { package: Some(\"package of scale-registry\") }",
        "scale-registry: SetDroplet { droplet: None }",
        "scale-registry: AnnotateBitsHash { droplet: None }",
        "scale-registry: Start",
    ],
)]
#[case::prototype_staged_with_other_buildpacks(
    |it: &mut Inventory| find(it, "scale-registry").buildpacks.clear(),
    "~ change app scale-registry (droplet: another -> of the bits staged)",
    &[
        "scale-registry: RemoveBitsHash { droplet: \"droplet of scale-registry\" }",
        "scale-registry: Stage { package: Some(\"package of scale-registry\") }",
        "scale-registry: Stop",
        "scale-registry: SetDroplet { droplet: None }",
        "scale-registry: AnnotateBitsHash { droplet: None }",
        "scale-registry: SetBuildpacks",
        "scale-registry: Start",
        "scale-registry: DeleteDroplet { droplet: \"droplet of scale-registry\" }",
    ],
)]
#[case::memory(
    |it: &mut Inventory| find(it, "scale-tick-1").web.as_mut().unwrap().memory_mb = 64,
    "~ change app scale-tick-1 (memory: 64M -> 1024M)",
    &[
        "scale-tick-1: Stop",
        "scale-tick-1: Scale(Scale { instances: None, memory_mb: Some(1024), disk_mb: None })",
        "scale-tick-1: Start",
    ],
)]
#[case::disk_of_the_prototype(
    |it: &mut Inventory| find(it, "scale-tick-0").web.as_mut().unwrap().disk_mb = 64,
    "~ change app scale-tick-0 (disk: 64M -> 1024M)",
    &[
        "scale-tick-0: Stop",
        "scale-tick-0: Scale(Scale { instances: None, memory_mb: None, disk_mb: Some(1024) })",
        "scale-tick-0: Start",
    ],
)]
#[case::command(
    |it: &mut Inventory| find(it, "scale-tick-1").command = Some("sleep 1".to_owned()),
    "~ change app scale-tick-1 (command: sleep 1 -> the droplet's)",
    &["scale-tick-1: Stop", "scale-tick-1: SetCommand(None)", "scale-tick-1: Start"],
)]
#[case::droplet_left_over(
    |it: &mut Inventory| { let app = find(it, "scale-tick-1"); let more = Droplet { guid: "more".to_owned(), ..app.droplets[0].clone() }; app.droplets.push(more); },
    "~ change app scale-tick-1 (droplets: 1 too many -> one)",
    &["scale-tick-1: DeleteDroplet { droplet: \"more\" }"],
)]
#[case::package_left_over(
    |it: &mut Inventory| { let app = find(it, "scale-tick-0"); let more = Package { guid: "more".to_owned(), ..app.packages[0].clone() }; app.packages.push(more); },
    "~ change app scale-tick-0 (packages: 1 too many -> one)",
    &["scale-tick-0: DeletePackage { package: \"more\" }"],
)]
#[case::bits_not_noted(
    |it: &mut Inventory| find(it, "scale-tick-0").droplets[0].noted = false,
    "~ change app scale-tick-0 (bits: not noted -> noted)",
    &["scale-tick-0: AnnotateBitsHash { droplet: Some(\"droplet of scale-tick-0\") }"],
)]
#[case::droplet_expired(
    |it: &mut Inventory| find(it, "scale-tick-1").droplets[0].state = DropletState::Other,
    "~ change app scale-tick-1 (droplet: another -> copy of the prototype's)",
    &[
        "scale-tick-1: CopyDroplet { from: Some(\"droplet of scale-tick-0\") }",
        "scale-tick-1: AwaitDroplet",
        "scale-tick-1: Stop",
        "scale-tick-1: SetDroplet { droplet: None }",
        "scale-tick-1: Start",
        "scale-tick-1: DeleteDroplet { droplet: \"droplet of scale-tick-1\" }",
    ],
)]
#[case::begun_and_not_desired_any_more(
    |it: &mut Inventory| it.apps.push(App { name: "scale-tick-7".to_owned(), guid: "seven".to_owned(), space: "space".to_owned(), ..App::default() }),
    "- delete app scale-tick-7",
    &["scale-tick-7: DeleteApp"],
)]
#[case::surplus(
    |it: &mut Inventory| add_seventh(it, &["seven"]),
    "- delete app scale-tick-7",
    &["scale-tick-7: DeleteRoute { route: \"route of seven\" }", "scale-tick-7: DeleteApp"],
)]
#[case::surplus_whose_route_serves_another(
    |it: &mut Inventory| add_seventh(it, &["seven", "other"]),
    "- delete app scale-tick-7",
    &["scale-tick-7: DeleteApp"],
)]
#[case::rules(
    |it: &mut Inventory| { it.security_group.as_mut().unwrap().rules.pop(); },
    "~ change security group scale-asg (rules: 1 -> 2)",
    &["security group: UpdateSecurityGroup"],
)]
#[case::other_rules(
    |it: &mut Inventory| it.security_group.as_mut().unwrap().rules[0].protocol = "udp".to_owned(),
    "~ change security group scale-asg (rules: other rules -> 2)",
    &["security group: UpdateSecurityGroup"],
)]
#[case::unbound(
    |it: &mut Inventory| it.security_group.as_mut().unwrap().spaces.clear(),
    "~ change security group scale-asg (binding: none -> scale-space)",
    &["security group: BindSecurityGroup"],
)]
#[case::another_quota(
    |it: &mut Inventory| it.org.as_mut().unwrap().quota = Some("default".to_owned()),
    "~ change org scale-org (quota: another -> scale-quota)",
    &["org: AssignQuota"],
)]
fn each_drift_is_mended(
    #[case] drift: fn(&mut Inventory),
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
    let mut desired = desired();
    desired.groups[1].bits = "changed".to_owned();
    let plan = plan(&desired, &as_desired(&super::tests::desired()));
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
    scale-tick-0: RemoveBitsHash { droplet: "droplet of scale-tick-0" }
    scale-tick-0: DeletePackage { package: "package of scale-tick-0" }
    scale-tick-0: PushBits
    scale-tick-0: Stage { package: None }
    scale-tick-0: Stop
    scale-tick-0: SetDroplet { droplet: None }
    scale-tick-0: AnnotateBitsHash { droplet: None }
    scale-tick-0: Start
    scale-tick-0: DeleteDroplet { droplet: "droplet of scale-tick-0" }
    scale-tick-1: CopyDroplet { from: None }
    scale-tick-1: AwaitDroplet
    scale-tick-1: Stop
    scale-tick-1: SetDroplet { droplet: None }
    scale-tick-1: Start
    scale-tick-1: DeleteDroplet { droplet: "droplet of scale-tick-1" }
    scale-tick-2: CopyDroplet { from: None }
    scale-tick-2: AwaitDroplet
    scale-tick-2: Stop
    scale-tick-2: SetDroplet { droplet: None }
    scale-tick-2: Start
    scale-tick-2: DeleteDroplet { droplet: "droplet of scale-tick-2" }
    "#);
}

/// The same steps, as far as a manifest can say them said in one.
#[test]
fn manifests_say_what_they_can() {
    let mut desired = desired();
    let from_nothing = super::plan(&desired, &nothing(), Workflow::Manifest);
    insta::assert_snapshot!("manifests_from_nothing", steps(&from_nothing).join("\n"));

    let mut observed = as_desired(&desired);
    assert!(super::plan(&desired, &observed, Workflow::Manifest).is_empty());
    desired.groups[0].command = Some("./registry".to_owned());
    desired.groups[1].bits = "changed".to_owned();
    let changed = find(&mut observed, "scale-tick-1");
    let env = Arc::make_mut(&mut changed.env);
    env.insert("SECRET".to_owned(), "hunter2".to_owned());
    env.remove("START_PORT");
    changed.routed = Some(false);
    find(&mut observed, "scale-tick-2").routed = Some(true);
    observed.routes.clear();
    let changes = super::plan(&desired, &observed, Workflow::Manifest);
    insta::assert_snapshot!("manifests_of_changes", steps(&changes).join("\n"));
}

#[test]
fn a_buildpack_with_credentials_is_the_one_that_is_shown_without() {
    let mut desired = desired();
    let mut observed = as_desired(&desired);
    desired.groups[0].buildpacks = vec!["https://me:secret@example.com/bp.git".to_owned()];
    find(&mut observed, "scale-registry").buildpacks =
        vec!["https://***:***@example.com/bp.git".to_owned()];
    assert!(plan(&desired, &observed).is_empty());
}

#[test]
fn sizes_and_commands_of_the_manifest_are_kept() {
    let mut desired = desired();
    desired.groups[0].memory_mb = Some(64);
    desired.groups[0].disk_mb = Some(128);
    desired.groups[0].command = Some("./registry".to_owned());
    let plan = plan(&desired, &as_desired(&super::tests::desired()));
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
    scale-registry: Stop
    scale-registry: SetCommand(Some("./registry"))
    scale-registry: Scale(Scale { instances: None, memory_mb: Some(64), disk_mb: Some(128) })
    scale-registry: Start
    "#);
    let items: Vec<String> = plan.resources.iter().map(ToString::to_string).collect();
    assert!(items.contains(
        &"~ change app scale-registry (command: the droplet's -> ./registry, memory: 1024M -> 64M, disk: 1024M -> 128M)"
            .to_owned()
    ));
}

#[test]
fn a_command_is_set_once_the_droplet_has_made_the_process() {
    let mut desired = desired();
    desired.groups[1].command = Some("./tick".to_owned());
    let mut observed = as_desired(&desired);
    for app in &mut observed.apps {
        app.command = Some("./tick".to_owned()).filter(|_| app.name.contains("tick"));
    }
    let app = find(&mut observed, "scale-tick-1");
    (app.started, app.web, app.command) = (false, None, None);
    (app.current_droplet, app.droplets) = (None, Vec::new());
    let plan = plan(&desired, &observed);
    insta::assert_snapshot!(steps(&plan).join("\n"), @r#"
    scale-tick-1: CopyDroplet { from: Some("droplet of scale-tick-0") }
    scale-tick-1: AwaitDroplet
    scale-tick-1: SetDroplet { droplet: None }
    scale-tick-1: SetCommand(Some("./tick"))
    scale-tick-1: Scale(Scale { instances: Some(2), memory_mb: None, disk_mb: None })
    scale-tick-1: Start
    "#);
}

#[test]
fn strangers_are_left_alone_and_reported() {
    let desired = desired();
    let mut observed = as_desired(&desired);
    let stranger = App {
        name: "somebody-elses".to_owned(),
        guid: "stranger".to_owned(),
        space: "space".to_owned(),
        ..App::default()
    };
    let elsewhere = App {
        name: "scale-tick-0".to_owned(),
        space: "another space".to_owned(),
        managed: true,
        ..stranger.clone()
    };
    observed.apps.extend([stranger, elsewhere]);
    let plan = plan(&desired, &observed);
    assert!(plan.is_empty());
    let mismatches: Vec<String> = verify(&desired, &observed, &plan)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        mismatches,
        ["org scale-org: 6 apps, desired 4; unmanaged: somebody-elses, scale-tick-0"]
    );
}

#[test]
fn verification_lists_every_mismatch() {
    let desired = desired();
    let mut observed = as_desired(&desired);
    observed.apps.retain(|app| app.name != "scale-registry");
    observed.routes.clear();
    find(&mut observed, "scale-tick-0")
        .web
        .as_mut()
        .unwrap()
        .states = vec!["RUNNING".to_owned(), "CRASHED".to_owned()];
    find(&mut observed, "scale-tick-1").started = false;
    find(&mut observed, "scale-tick-2")
        .web
        .as_mut()
        .unwrap()
        .instances = 3;
    observed.security_group.as_mut().unwrap().rules.clear();
    let plan = plan(&desired, &observed);
    let mismatches: Vec<String> = verify(&desired, &observed, &plan)
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(mismatches.join("\n"), @r"
    org scale-org: 3 apps, desired 4
    security group scale-asg: rules is 0, desired 2
    app scale-registry: missing
    app scale-tick-0: route is missing, desired scale-tick-0.apps.example.com
    app scale-tick-1: route is missing, desired scale-tick-1.apps.example.com
    app scale-tick-1: state is STOPPED, desired STARTED
    app scale-tick-2: route is missing, desired scale-tick-2.apps.example.com
    app scale-tick-2: instances is 3, desired 2
    app scale-tick-0: 1 of 2 instances running (1 CRASHED)
    ");
}
