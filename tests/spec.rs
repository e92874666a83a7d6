//! Specs: each example is applied, generated specs declare the same as their
//! configurations, and errors are listed before anything is sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::command::{CommandOutput, Place, cf_pusher, stable};
use crate::support::{Fixture, SCALE_TEST, SMALL, Workflow, desired, read};
use cf_pusher::manifest::Variables;
use cf_pusher::{Approval, Configuration, Converger, Preset, SpecFile};
use mock_capi::{CloudController, MockCapi};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The specs in `fixtures/specs`: files, and folders with one spec each.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("fixtures/specs")).unwrap();
    let mut examples: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    assert!(examples.len() >= 2, "{examples:?}");
    examples
}

/// Runs a command on a foundation, as its admin.
fn run(place: &Place, mock: &CloudController, args: &[&str]) -> CommandOutput {
    run_with_input(place, mock, args, "")
}

fn run_with_input(
    place: &Place,
    mock: &CloudController,
    args: &[&str],
    input: &str,
) -> CommandOutput {
    let mut command = cf_pusher(place.dir.path());
    command.args(args).write_stdin(input);
    command
        .env("CF_API", mock.uri())
        .env("CF_USERNAME", "admin")
        .env("CF_PASSWORD", "admin");
    place.run(command, mock)
}

/// Runs a command without a foundation.
fn run_alone(place: &Place, args: &[&str]) -> CommandOutput {
    let mut command = cf_pusher(place.dir.path());
    command.args(args).current_dir(place.dir.path());
    place.run_alone(command)
}

fn json_of(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_is_applied_and_then_up_to_date() {
    for example in examples() {
        let builder = MockCapi::builder().broker("cache", &["small", "large"]);
        let (mock, place) = (builder.start().await.unwrap(), Place::new());
        let file = example.to_str().unwrap();
        let run = |place: &Place, mock: &CloudController, args: &[&str]| {
            let variable = ["--var", "docker_password=made-up"];
            run(place, mock, &[args, &variable].concat())
        };
        let apply = ["apply", "-f", file, "--format", "json"];
        let first = run(&place, &mock, &apply);
        assert_eq!(first.code, 0, "{file}: {}", first.stderr);
        let first = json_of(&first);
        assert!(
            first["run"]["changed"].as_u64().unwrap() > 0,
            "{file}: {first}"
        );
        let second = run(&place, &mock, &apply);
        assert_eq!(
            (second.code, json_of(&second)["run"]["changed"].clone()),
            (0, json!(0))
        );
        let plan = run(&place, &mock, &["plan", "-f", file, "--detailed-exitcode"]);
        assert_eq!(plan.code, 0, "{file}: {}", plan.stdout);
        let verify = run(&place, &mock, &["verify", "-f", file]);
        assert_eq!(verify.code, 0, "{file}: {}", verify.stdout);
        let destroy = run(&place, &mock, &["destroy", "-f", file, "--yes"]);
        assert_eq!(destroy.code, 0, "{file}: {}", destroy.stderr);
        assert_eq!(mock.apps(), [], "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_converges_several_orgs_and_spaces() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let shop = root().join("fixtures/specs/shop.yml");
    let shop = shop.to_str().unwrap();
    let plan = run(&place, &mock, &["plan", "-f", shop]);
    insta::assert_snapshot!("plan_of_a_spec", stable(&plan.stdout));
    let applied = run(&place, &mock, &["apply", "-f", shop]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let mut apps: Vec<String> = mock
        .apps()
        .into_iter()
        .map(|app| format!("{}/{}/{} {}", app.org, app.space, app.name, app.running))
        .collect();
    apps.sort();
    insta::assert_snapshot!(apps.join("\n"), @"
    shop-teams/team-0/team-0-web-0 1
    shop-teams/team-0/team-0-web-1 1
    shop-teams/team-1/team-1-web-0 1
    shop-teams/team-1/team-1-web-1 1
    shop-teams/team-2/team-2-web-0 1
    shop-teams/team-2/team-2-web-1 1
    shop/production/shop-web 3
    shop/production/shop-worker-0 1
    shop/production/shop-worker-1 1
    shop/production/shop-worker-2 1
    shop/production/shop-worker-3 1
    ");
    assert_eq!(
        mock.app("shop-worker-3").unwrap().environment["PARTITION"],
        "3"
    );
    let verify = run(&place, &mock, &["verify", "-f", shop]);
    assert_eq!(verify.stdout.trim(), "shop is up to date");
    let json = json_of(&run(
        &place,
        &mock,
        &["plan", "-f", shop, "--format", "json"],
    ));
    assert_eq!(
        (&json["name"], &json["orgs"]),
        (&json!("shop"), &json!(["shop", "shop-teams"]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_spec_is_followed_and_only_selects_a_group() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let shop = root().join("fixtures/specs/shop.yml");
    let shop = shop.to_str().unwrap();
    let only = run(&place, &mock, &["apply", "-f", shop, "--only", "shop-web"]);
    assert_eq!(only.code, 0, "{}", only.stderr);
    let names: Vec<String> = mock.apps().into_iter().map(|app| app.name).collect();
    assert_eq!(names, ["shop-web"]);
    let plan = place.dir.path().join("plan.json");
    let plan = plan.to_str().unwrap();
    let planned = run(&place, &mock, &["plan", "-f", shop, "--out", plan]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let followed = run(&place, &mock, &["apply", "-f", shop, "--plan", plan]);
    assert_eq!(followed.code, 0, "{}", followed.stderr);
    assert_eq!(mock.apps().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_with_fewer_apps_deletes_them_only_with_approval() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let spec = |count: u32| {
        format!(
            "version: 1\nname: me\norgs: [{{name: o, spaces: [{{name: s, apps: [{{name: 'a-{{i}}', count: {count}, bundled: proxy}}]}}]}}]\n"
        )
    };
    let apply = |count: u32, args: &[&str]| {
        let args = [&["apply", "-f", "-"], args].concat();
        run_with_input(&place, &mock, &args, &spec(count))
    };
    assert_eq!(apply(3, &[]).code, 0);
    let refused = apply(1, &[]);
    assert_eq!(
        (refused.code, mock.apps().len()),
        (1, 3),
        "{}",
        refused.stderr
    );
    let approved = apply(1, &["--max-deletes", "2"]);
    assert_eq!(
        (approved.code, mock.apps().len()),
        (0, 1),
        "{}",
        approved.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unmanaged_spaces_in_the_same_org_are_neither_changed_nor_drift() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let spec = |space: &str| {
        format!(
            "version: 1\nname: me\norgs: [{{name: o, spaces: [{{name: {space}, apps: [{{name: a, bundled: proxy}}]}}]}}]\n"
        )
    };
    let apply =
        |spec: &str, command: &str| run_with_input(&place, &mock, &[command, "-f", "-"], spec);
    assert_eq!(apply(&spec("one"), "apply").code, 0);
    mock.org("o").space("theirs").app("b").started();
    let other = apply(&spec("two"), "apply");
    assert_eq!(other.code, 0, "{}", other.stderr);
    let verify = apply(&spec("one"), "verify");
    assert_eq!(verify.code, 0, "{}", verify.stdout);
    assert_eq!(mock.apps().len(), 3);
}

/// A spec with these spaces in an org.
fn spaces(spaces: &str) -> String {
    format!("version: 1\nname: me\norgs: [{{name: o, spaces: [{spaces}]}}]\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_deletes_only_what_the_spec_no_longer_declares() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    mock.org("other").space("s").app("a").started();
    let apply = |spec: &str, args: &[&str]| {
        let args = [&["apply", "-f", "-"], args].concat();
        run_with_input(&place, &mock, &args, spec)
    };
    let app = "apps: [{name: a, bundled: proxy}]";
    let both = spaces(&format!("{{name: s, {app}}}, {{name: t, {app}}}"));
    let first = apply(&both, &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let one = spaces(&format!("{{name: s, {app}}}"));
    let second = apply(&one, &[]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(mock.apps().len(), 3);
    let plan = run_with_input(&place, &mock, &["plan", "-f", "-", "--prune"], &one);
    assert!(plan.stdout.contains("- space t"), "{}", plan.stdout);
    let refused = apply(&one, &["--prune"]);
    assert_eq!(
        (refused.code, mock.apps().len()),
        (1, 3),
        "{}",
        refused.stderr
    );
    let pruned = apply(&one, &["--prune", "--yes"]);
    assert_eq!(pruned.code, 0, "{}", pruned.stderr);
    let left: Vec<String> = mock
        .apps()
        .iter()
        .map(|it| format!("{}/{}", it.org, it.space))
        .collect();
    assert_eq!(left, ["other/s", "o/s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_staged_once_for_all_spaces_of_a_count() {
    let (mock, place) = (
        MockCapi::builder().record_requests().start().await.unwrap(),
        Place::new(),
    );
    let spec = spaces("{name: 's{i}', count: 3, apps: [{name: 'a-{space}', bundled: proxy}]}");
    let args = ["apply", "-f", "-", "--only", "a-2"];
    let only = run_with_input(&place, &mock, &args, &spec);
    assert_eq!(only.code, 0, "{}", only.stderr);
    // The first app is needed for its droplet.
    let mut names: Vec<String> = mock.apps().into_iter().map(|app| app.name).collect();
    names.sort();
    assert_eq!(names, ["a-0", "a-2"]);
    let all = run_with_input(&place, &mock, &["apply", "-f", "-"], &spec);
    assert_eq!(all.code, 0, "{}", all.stderr);
    assert!(mock.apps().iter().all(|app| app.running == 1));
    let requests = mock.requests();
    let builds = requests
        .iter()
        .filter(|it| it.method == "POST" && it.path == "/v3/builds");
    assert_eq!(builds.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cedar_preset_is_applied() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let text = Preset::Cedar.text().replace("count: 10\n", "count: 2\n");
    let stress_app = root().join("fixtures/apps/proxy");
    let variable = format!("stress_app={}", stress_app.display());
    let apply = ["apply", "-f", "-", "--var", &variable, "--format", "json"];
    let first = run_with_input(&place, &mock, &apply, &text);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let (started, stopped): (Vec<_>, Vec<_>) = mock.apps().into_iter().partition(|it| it.started);
    assert_eq!((started.len(), stopped.len()), (40, 1));
    let instances: u32 = started.iter().map(|app| app.running).sum();
    assert_eq!(instances, 50);
    let second = run_with_input(&place, &mock, &apply, &text);
    assert_eq!(json_of(&second)["run"]["changed"], 0, "{}", second.stderr);
}

#[test]
fn the_spec_of_a_configuration_declares_the_same() {
    let large = r#"{"prefix": "Big-", "test_applications": 1, "asg_size": 300,
        "extra_listen_ports": 3, "apps_domain": "apps.test"}"#;
    for config in [SMALL, SCALE_TEST, large, "{}"] {
        let (config, sources) = read(config, None);
        let declared = desired(&config, &sources);
        let text = SpecFile::render(&declared);
        let spec = SpecFile::parse(&text, "spec.yml", &Variables::default());
        let spec = spec.unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(spec.desired(), &declared, "{text}");
    }
}

#[test]
fn the_spec_of_a_configuration_with_many_spaces_declares_the_same() {
    let config = r#"{"total_spaces": 4, "spaces_with_one_asg": 2, "how_many_asgs_is_many": 2,
        "global_asgs": 1, "apps_per_space": 2, "apps_per_org": 4, "asg_size": 3}"#;
    let Configuration::Multispace(test) = Configuration::parse(config, "test").unwrap() else {
        panic!("`spaces` has its own key");
    };
    let declared = test.desired(&test.sources(None).unwrap()).unwrap();
    let text = SpecFile::render(&declared);
    let spec = SpecFile::parse(&text, "spec.yml", &Variables::default()).unwrap();
    assert_eq!(spec.desired(), &declared, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_many_spaces_is_converged() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let config = r#"{"prefix": "p-", "total_spaces": 3, "spaces_with_one_asg": 1,
        "how_many_asgs_is_many": 2, "global_asgs": 1, "apps_per_space": 2, "asg_size": 3,
        "app_instances_per_app": 2, "rule_count_for_space_specific_asgs": 500}"#;
    let plan = place.on(&mock, config, &["plan"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    let rules = "security group rules that reach cells: 96\n";
    assert!(plan.stdout.contains(rules), "{}", plan.stdout);
    let first = place.on(&mock, config, &["converge", "--format", "json"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let first = json_of(&first);
    assert_eq!(
        (&first["orgs"], &first["rules_on_cells"]),
        (&json!(["p-org"]), &json!(96))
    );
    let apps = mock.apps().into_iter();
    let mut apps: Vec<String> = apps
        .map(|app| format!("{}/{}/{} {}", app.org, app.space, app.name, app.running))
        .collect();
    apps.sort();
    insta::assert_snapshot!(apps.join("\n"), @"
    p-org/p-space-0/p-app-0-0 2
    p-org/p-space-0/p-app-0-1 2
    p-org/p-space-1/p-app-1-0 2
    p-org/p-space-1/p-app-1-1 2
    p-org/p-space-2/p-app-2-0 2
    p-org/p-space-2/p-app-2-1 2
    ");
    let again = json_of(&place.on(&mock, config, &["converge", "--format", "json"]));
    assert_eq!(again["run"]["changed"], 0);
    let destroy = place.on(&mock, config, &["destroy", "--yes"]);
    assert_eq!(destroy.code, 0, "{}", destroy.stderr);
    assert_eq!(mock.apps(), []);
}

/// The writes of a run, without GUIDs.
fn writes(fixture: &Fixture) -> Vec<String> {
    let guid = |part: &str| part.len() == 36 && part.matches('-').count() == 4;
    let writes = fixture.writes().into_iter().map(|it| {
        let body = String::from_utf8_lossy(&it.body).into_owned();
        let text = format!("{} {} {body}", it.method, it.path);
        let parts = text.split(['/', '"', '?', '=', ' ']);
        let parts = parts.map(|part| if guid(part) { ":guid" } else { part });
        parts.collect::<Vec<_>>().join("/")
    });
    // Multipart bodies have random boundaries.
    let mut writes: Vec<String> = writes
        .map(|text| match text.split_once("/upload") {
            Some((before, _)) => before.to_owned(),
            None => text,
        })
        .collect();
    writes.sort();
    writes
}

#[tokio::test]
async fn the_spec_of_a_configuration_sends_the_same_requests() {
    let by_config = Fixture::new(Workflow::Manifest).await;
    assert_eq!(by_config.converge_up_to_date(SMALL).await, 7);
    let by_spec = Fixture::new(Workflow::Manifest).await;
    let (config, sources) = read(SMALL, None);
    let text = SpecFile::render(&desired(&config, &sources));
    let spec = SpecFile::parse(&text, "spec.yml", &Variables::default()).unwrap();
    let converger = Converger::new(by_spec.client.clone(), spec.into_desired());
    let outcome = converger.converge(Approval::None).await.unwrap();
    assert!(outcome.is_converged(), "{outcome:#?}");
    assert_eq!(writes(&by_spec), writes(&by_config));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_spec_is_applied_from_standard_input() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let config = place.file("scale-test.json", SMALL);
    let printed = run_alone(&place, &["spec", "--config", config.to_str().unwrap()]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    let applied = run_with_input(&place, &mock, &["apply", "-f", "-"], &printed.stdout);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    // The configuration is up to date.
    let plan = place.on(&mock, SMALL, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}", plan.stdout);
}

#[test]
fn the_cedar_preset_has_the_mix_of_apps() {
    let mut variables = Variables::default();
    variables.set("stress_app", "fixtures/apps/proxy").unwrap();
    let spec = SpecFile::parse(Preset::Cedar.text(), "cedar.yml", &variables).unwrap();
    let org = &spec.desired().orgs()[0];
    assert_eq!(org.spaces.len(), 11);
    let groups = org.spaces[10].groups.iter();
    let groups: Vec<String> = groups
        .map(|it| {
            let (instances, memory) = (it.entry.instances(), it.entry.memory_mb());
            format!(
                "{}x {} of {}, {} MB",
                it.count,
                it.name,
                instances.unwrap(),
                memory.unwrap()
            )
        })
        .collect();
    insta::assert_snapshot!(groups.join("\n"), @"
    9x cedar-9-light-{i} of 1, 32 MB
    1x cedar-9-light-group-{i} of 4, 32 MB
    6x cedar-9-medium-{i} of 1, 128 MB
    1x cedar-9-medium-group-{i} of 3, 128 MB
    1x cedar-9-heavy-{i} of 1, 1024 MB
    2x cedar-9-crashing-{i} of 1, 128 MB
    ");
}

#[test]
fn errors_in_a_spec_are_listed_before_anything_is_sent() {
    let place = Place::new();
    place.file(
        "bad.yml",
        "version: 1\nname: shop\norgs:\n- name: shop\n  quata: small\n  spaces:\n  - name: s\n    apps:\n    - {name: web, bundled: proxy, memory: 64}\n    - {name: web, bundled: proxy}\n",
    );
    place.file("variable.yml", "version: 1\nname: ((name))\n");
    let mut shown = Vec::new();
    for line in [
        "apply -f bad.yml",
        "plan -f bad.yml --format json",
        "verify -f variable.yml",
        "destroy -f none.yml",
        "apply",
        "plan -f bad.yml --config config.json",
        "plan -f bad.yml --apps-dir apps",
        "plan --config config.json --var a=b",
    ] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = run_alone(&place, &args);
        assert_eq!(output.code, 2, "{line}: {}", output.stderr);
        shown.push(format!(
            "$ cf-pusher {line}\n{}{}",
            output.stdout, output.stderr
        ));
    }
    insta::assert_snapshot!("mistakes_in_a_spec", shown.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_feature_flag_is_refused_with_help() {
    let (mock, place) = (MockCapi::start().await.unwrap(), Place::new());
    let spec = "version: 1\nname: me\nfeature_flags: {diego_dokcer: true}\n";
    for command in ["plan", "apply"] {
        let output = run_with_input(&place, &mock, &[command, "-f", "-"], spec);
        assert_eq!(output.code, 2, "{command}: {}", output.stderr);
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert!(
            lines[0].starts_with("error: the foundation has no feature flag diego_dokcer: "),
            "{lines:?}"
        );
        assert_eq!(
            lines[1],
            "help: correct its name in `feature_flags`, or remove it"
        );
    }
}

#[test]
fn schemas_are_printed_of_all_formats() {
    let place = Place::new();
    let schema = |args: &[&str]| json_of(&run_alone(&place, &[&["schema"], args].concat()));
    assert_eq!(schema(&[]), schema(&["config"]));
    let spec = schema(&["spec"]);
    let validator = jsonschema::validator_for(&spec).unwrap();
    let files = examples().into_iter().flat_map(|example| {
        let in_folder = std::fs::read_dir(&example);
        let files = in_folder.map(|files| files.map(|file| file.unwrap().path()).collect());
        files.unwrap_or_else(|_| vec![example])
    });
    for example in files {
        let text = std::fs::read_to_string(&example).unwrap();
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, [""; 0], "{}", example.display());
    }
    assert_eq!(
        schema(&["multispace"])["properties"]["total_spaces"]["default"],
        0
    );
}

mod documentation {
    use super::*;

    const BEGIN: &str =
        "<!-- reference: written by UPDATE_DOCS=1 cargo test --test suite spec:: -->\n";
    const EXAMPLE: &str = "```yaml\n";

    /// A schema without the alternative for variables.
    fn plain(schema: &Value) -> &Value {
        match schema["anyOf"].as_array().map(Vec::as_slice) {
            Some([plain, variable]) if variable["$ref"] == "#/$defs/variable" => plain,
            _ => schema,
        }
    }

    /// The schemas of the maps in a value: the value itself, or the items of a list.
    fn maps(schema: &Value) -> Vec<&Value> {
        let schema = plain(schema);
        let items = match schema["type"] == "array" {
            true => plain(&schema["items"]),
            false => schema,
        };
        match items["oneOf"].as_array() {
            Some(types) => types.iter().collect(),
            None if items["properties"].is_object() => vec![items],
            None => Vec::new(),
        }
    }

    fn allowed(schema: &Value) -> String {
        let schema = plain(schema);
        if let Some(constant) = schema.get("const") {
            return format!("`{}`", constant.to_string().trim_matches('"'));
        }
        if let Some(choices) = schema["enum"].as_array() {
            let choices = choices.iter().filter_map(Value::as_str);
            return choices
                .map(|it| format!("`{it}`"))
                .collect::<Vec<_>>()
                .join(", ");
        }
        if let Some(alternatives) = schema["anyOf"].as_array() {
            let alternatives: Vec<String> = alternatives.iter().map(allowed).collect();
            return alternatives.join(", or ");
        }
        let is = |kind: &str| match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(|it| it == kind),
            one => one == kind,
        };
        let number = |key: &str| schema[key].as_i64();
        match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) if is("null") => {
                format!("{least} to {most}, or null for no limit")
            }
            (Some(least), Some(most)) => format!("{least} to {most}"),
            _ if is("array") => match maps(schema).is_empty() {
                true => "list of strings".to_owned(),
                false => "list of maps".to_owned(),
            },
            _ if is("object") && schema["additionalProperties"]["anyOf"].is_array() => {
                "map of `true` and `false`".to_owned()
            }
            _ if is("object") && schema["additionalProperties"].is_object() => {
                "map of strings".to_owned()
            }
            _ if is("object") => "map".to_owned(),
            _ if is("boolean") => "`true`, `false`".to_owned(),
            _ => "string".to_owned(),
        }
    }

    fn table(title: &str, schema: &Value, text: &mut String) {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut inherited = Vec::new();
        *text += &format!("### {title}\n\n| key | meaning | allowed |\n| --- | --- | --- |\n");
        let properties = schema["properties"].as_object().unwrap();
        for (key, schema) in properties {
            let Some(about) = schema["description"].as_str() else {
                // A schema with a type in its title, or of a manifest.
                if schema.get("const").is_none() {
                    inherited.push(format!("`{key}`"));
                }
                continue;
            };
            let needed = match required.iter().any(|it| it == key) {
                true => " (required)",
                false => "",
            };
            *text += &format!("| `{key}`{needed} | {about} | {} |\n", allowed(schema));
        }
        if !inherited.is_empty() {
            *text += &format!("\nThe keys of `manifest.yml`: {}.\n", inherited.join(", "));
        }
        *text += "\n";
        for (key, value) in properties {
            let inner = maps(value);
            if value["description"].is_null() {
                continue;
            }
            let title = match title {
                "The file" => format!("`{key}`"),
                title => format!("{}.{key}`", title.trim_end_matches('`')),
            };
            for schema in &inner {
                let title = match inner.len() {
                    1 => title.clone(),
                    _ => format!("{title} of type {}", allowed(&schema["properties"]["type"])),
                };
                table(&title, schema, text);
            }
        }
    }

    #[test]
    fn docs_spec_md_has_the_example_and_the_keys_of_the_schema() {
        let path = root().join("docs/spec.md");
        let mut text = std::fs::read_to_string(&path).unwrap();
        let example = std::fs::read_to_string(root().join("fixtures/specs/foundation.yml"));
        let example = example.unwrap();
        let mut reference = String::new();
        table("The file", &SpecFile::json_schema(), &mut reference);
        let reference = reference.trim_end().to_owned() + "\n";
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let from = text.find(BEGIN).unwrap() + BEGIN.len();
            text.replace_range(from.., &format!("\n{reference}"));
            let from = text.find(EXAMPLE).unwrap() + EXAMPLE.len();
            let to = from + text[from..].find("```").unwrap();
            text.replace_range(from..to, &example);
            std::fs::write(&path, &text).unwrap();
        }
        let from = text.find(BEGIN).unwrap() + BEGIN.len();
        assert_eq!(text[from..].trim_start(), reference);
        let from = text.find(EXAMPLE).unwrap() + EXAMPLE.len();
        let to = from + text[from..].find("```").unwrap();
        assert_eq!(text[from..to], example);
        assert!(text[..from].lines().count() < 25, "the example comes first");
    }

    #[test]
    fn every_row_of_the_reference_has_a_description() {
        let mut reference = String::new();
        table("The file", &SpecFile::json_schema(), &mut reference);
        let rows: BTreeMap<&str, &str> = reference
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` "))
            .collect();
        assert!(rows.len() > 50, "{}", rows.len());
    }
}
