//! Compares existing apps with their desired entries.
//!
//! The Cloud Controller compares: it gets the desired entry of every app and returns the
//! differences. If it cannot compare, or does not report a difference that must exist,
//! cf-pusher reads the manifest of each app and compares it.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::App;
use super::{Observed, ObservedSpace};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::DiffEntry;
use crate::capi::transport::Replay;
use crate::capi::{halves, parallel};
use crate::converge::compare::{EntryDifference, compare};
use crate::desired::{Desired, Group, PlacedSpace};
use crate::manifest::entry::Purpose;
use crate::manifest::yaml;

/// The maximum size of a manifest, in bytes.
const MAX_MANIFEST: usize = 1024 * 1024;

/// The maximum number of parallel diffs. Each diff takes the Cloud Controller a long
/// time.
const MAX_PARALLEL_DIFFS: usize = 2;

/// No app has this name, so a diff must report that it would be created.
const PROBE: &str = "cf-pusher-diff-probe";

/// An existing desired app, with its entry.
struct AppEntry {
    name: String,
    yaml: String,
}

/// The differences of the desired apps from their entries, by space.
pub(super) async fn differences(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<Vec<HashMap<String, Vec<EntryDifference>>>, Error> {
    let mut all = Vec::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        all.push(differences_in(client, observed, &placed, space).await?);
    }
    Ok(all)
}

async fn differences_in(
    client: &Client,
    observed: &Observed,
    placed: &PlacedSpace<'_>,
    space: &ObservedSpace,
) -> Result<HashMap<String, Vec<EntryDifference>>, Error> {
    let Some(found) = &space.space else {
        return Ok(HashMap::new());
    };
    let domain = observed.apps_domain(placed);
    let app_entries = app_entries(placed, domain, &space.apps);
    let batches = batches(&app_entries);
    let batches = batches.into_iter();
    let asked = batches.map(|batch| diff(client, &found.guid, batch));
    let answers: Vec<Option<Vec<(usize, EntryDifference)>>> =
        parallel::run(MAX_PARALLEL_DIFFS, asked).await?;
    let answers: Option<Vec<_>> = answers.into_iter().collect();
    let Some(answers) = answers else {
        return read_one_by_one(client, placed, domain, &space.apps).await;
    };
    let mut by_name: HashMap<String, Vec<EntryDifference>> = HashMap::new();
    let mut begin = 0;
    for (batch, size) in answers.into_iter().zip(sizes(&app_entries)) {
        for (at, difference) in batch {
            if let Some(app_entry) = app_entries.get(begin + at) {
                by_name
                    .entry(app_entry.name.clone())
                    .or_default()
                    .push(difference);
            }
        }
        begin += size;
    }
    Ok(by_name)
}

/// The entries of the existing desired apps.
fn app_entries(placed: &PlacedSpace<'_>, domain: &str, apps: &[App]) -> Vec<AppEntry> {
    let there: HashMap<&str, &App> = apps.iter().map(|app| (app.name.as_str(), app)).collect();
    let mut app_entries = Vec::with_capacity(there.len());
    for group in &placed.space.groups {
        let entry = group.entry.with_apps_domain(domain);
        for (index, name) in (0..).zip(group.app_names()) {
            if there.contains_key(name.as_str()) {
                let mut app_entry = Map::from_iter([("name".to_owned(), json!(name))]);
                let entry = entry.of_app(&name, index, domain);
                let entry = placed.space.bound(entry, group, &name);
                app_entry.extend(entry.application(Purpose::Compare));
                app_entries.push(AppEntry {
                    yaml: format!("- {}\n", Value::Object(app_entry)),
                    name,
                });
            }
        }
    }
    app_entries
}

/// Splits the entries into parts that are each small enough for a manifest.
fn batches(app_entries: &[AppEntry]) -> Vec<&[AppEntry]> {
    let mut batches = Vec::new();
    let mut rest = app_entries;
    for size in sizes(app_entries) {
        let (batch, others) = rest.split_at(size);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// The number of entries in each part.
fn sizes(app_entries: &[AppEntry]) -> Vec<usize> {
    let head = manifest(&[]).len();
    let mut sizes = Vec::new();
    let (mut bytes, mut count) = (head, 0);
    for app_entry in app_entries {
        if bytes + app_entry.yaml.len() > MAX_MANIFEST && count > 0 {
            sizes.push(count);
            (bytes, count) = (head, 0);
        }
        bytes += app_entry.yaml.len();
        count += 1;
    }
    if count > 0 {
        sizes.push(count);
    }
    sizes
}

/// A manifest with the entries, and with an entry for an app that does not exist.
fn manifest(app_entries: &[AppEntry]) -> String {
    let mut manifest = String::from("applications:\n");
    manifest.extend(app_entries.iter().map(|app_entry| app_entry.yaml.as_str()));
    manifest.push_str(&format!("- {{\"name\":\"{PROBE}\"}}\n"));
    manifest
}

/// The differences of some entries, with their positions. If the Cloud Controller cannot
/// process all entries, they are sent again in halves. `None` if it cannot compare.
async fn diff(
    client: &Client,
    space: &str,
    app_entries: &[AppEntry],
) -> Result<Option<Vec<(usize, EntryDifference)>>, Error> {
    let can_halve = |error: &Error| {
        !error.is_unknown_request() && (error.is_too_large() || error.is_worth_replanning())
    };
    let parts = halves::run(app_entries.len(), can_halve, |part| async move {
        let some = app_entries.get(part).unwrap_or_default();
        // A request for many apps is not retried, but sent again in halves.
        let replay = match some {
            [_] => Replay::Safe,
            _ => Replay::Unsafe,
        };
        client.manifest_diff(space, &manifest(some), replay).await
    });
    let mut all = Vec::new();
    for (part, diff) in parts.await {
        let diff = match diff {
            Err(error) if error.is_unknown_request() => return Ok(None),
            diff => diff?,
        };
        let Some(differences) = placed_differences(part.len(), diff) else {
            return Ok(None);
        };
        let placed = differences.into_iter();
        all.extend(placed.map(|(at, difference)| (part.start + at, difference)));
    }
    Ok(Some(all))
}

/// The differences in a response. `None` if the response does not report that the probe
/// would be created, because such a response is incomplete.
fn placed_differences(
    count: usize,
    answer: Vec<DiffEntry>,
) -> Option<Vec<(usize, EntryDifference)>> {
    let mut is_known = false;
    let mut differences = Vec::new();
    for difference in answer {
        let Some((at, difference)) = EntryDifference::of(difference) else {
            continue;
        };
        is_known |= at == count;
        if at < count {
            differences.push((at, difference));
        }
    }
    is_known.then_some(differences)
}

/// Reads the manifest of each app and compares it. This is slower than a diff.
async fn read_one_by_one(
    client: &Client,
    placed: &PlacedSpace<'_>,
    domain: &str,
    apps: &[App],
) -> Result<HashMap<String, Vec<EntryDifference>>, Error> {
    let wanted: HashSet<String> = names_in(placed).collect();
    let wanted = apps.iter().filter(|app| wanted.contains(&app.name));
    let wanted = wanted.map(|app| async move {
        let manifest = Some(current_manifest(client, &app.guid).await?);
        let app = app.clone();
        Ok::<_, Error>(App { manifest, ..app })
    });
    let read: Vec<App> = parallel::run(parallel::PER_APP, wanted).await?;
    Ok(compared_here(placed, domain, &read))
}

/// The properties of an app in its own manifest, with the properties of its web process
/// at the top level.
async fn current_manifest(client: &Client, app: &str) -> Result<Map<String, Value>, Error> {
    let text = client.app_manifest(app).await?;
    let manifest = yaml::Value::parse_of_cloud_controller(&text).map_err(|error| {
        Error::local(
            format!("reading the current manifest of the app {app}"),
            error,
        )
    })?;
    let manifest = serde_json::to_value(&manifest).unwrap_or_default();
    let application = manifest
        .pointer("/applications/0")
        .and_then(Value::as_object);
    let mut application = application.cloned().unwrap_or_default();
    let processes = application.get("processes").and_then(Value::as_array);
    let mut processes = processes.into_iter().flatten();
    let web = processes.find(|process| process["type"] == "web");
    if let Some(Value::Object(web)) = web.cloned() {
        application.extend(web);
    }
    Ok(application)
}

/// The names of the desired apps of a space.
pub(super) fn names_in(placed: &PlacedSpace<'_>) -> impl Iterator<Item = String> {
    placed.space.groups.iter().flat_map(Group::app_names)
}

/// The differences of apps that have their manifests.
pub(super) fn compared_here(
    placed: &PlacedSpace<'_>,
    domain: &str,
    apps: &[App],
) -> HashMap<String, Vec<EntryDifference>> {
    let there: HashMap<&str, &App> = apps.iter().map(|app| (app.name.as_str(), app)).collect();
    let mut all = HashMap::new();
    for group in &placed.space.groups {
        for (index, name) in (0..).zip(group.app_names()) {
            let app = there.get(name.as_str());
            let Some(manifest) = app.and_then(|app| app.manifest.as_ref()) else {
                continue;
            };
            let entry = group.entry.of_app(&name, index, domain);
            let entry = placed.space.bound(entry, group, &name);
            let differences = compare(&entry.application(Purpose::Compare), manifest);
            if !differences.is_empty() {
                all.insert(name, differences);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::model::{DiffOp, ManifestValue};
    use crate::desired::{Bits, Org, Space};
    use crate::manifest::entry::ManifestEntry;

    fn desired(count: u32) -> Desired {
        let entry = ManifestEntry::parse(
            "{instances: 2, env: {GOPACKAGENAME: example-apps/tick, LISTEN_PORTS: 0, REGISTRY_BASE_URL: 'http://scale-registry.{apps_domain}', REGISTRY_TTL_SECONDS: 180, START_PORT: 7000}, routes: [{route: 'scale-tick-{i}.{apps_domain}'}]}",
        )
        .unwrap();
        let group = Group::new("scale-Tick-{i}", entry, Bits::files([("a", "b")])).count(count);
        let org = Org::new("o").space(Space::new("s").group(group));
        Desired::builder("scale-").org(org).build().unwrap()
    }

    fn app(name: String) -> App {
        App {
            name,
            ..App::default()
        }
    }

    #[test]
    fn entries_are_yaml_and_fit_into_manifests() {
        let desired = desired(10_000);
        let placed = desired.spaces().next().unwrap();
        let apps: Vec<App> = placed.space.groups[0].app_names().map(app).collect();
        let app_entries = app_entries(&placed, "apps.example.com", &apps);
        let batches = batches(&app_entries);
        assert!(
            batches.len() <= 4,
            "{} requests for ten thousand apps",
            batches.len()
        );
        assert!(
            batches
                .iter()
                .all(|batch| manifest(batch).len() <= MAX_MANIFEST + 64)
        );
        insta::assert_snapshot!(manifest(&batches[0][..1]), @r#"
        applications:
        - {"name":"scale-Tick-0","env":{"GOPACKAGENAME":"example-apps/tick","LISTEN_PORTS":"0","REGISTRY_BASE_URL":"http://scale-registry.apps.example.com","REGISTRY_TTL_SECONDS":"180","START_PORT":"7000"},"command":null,"routes":[{"route":"scale-tick-0.apps.example.com"}]}
        - {"name":"cf-pusher-diff-probe"}
        "#);
    }

    #[test]
    fn a_diff_without_the_probe_is_not_trusted() {
        let entry = |op, path: &str, was, value| DiffEntry {
            op,
            path: path.split('/').map(str::to_owned).collect(),
            was,
            value,
        };
        let text = |text: &str| ManifestValue::Text(text.to_owned());
        let none = ManifestValue::Null;
        let probe = entry(
            DiffOp::Add,
            "applications/1/name",
            none.clone(),
            text(PROBE),
        );
        let env = entry(DiffOp::Remove, "applications/0/env/A", text("1"), none);
        assert!(placed_differences(1, Vec::new()).is_none());
        assert!(placed_differences(1, vec![env.clone()]).is_none());
        let known = placed_differences(1, vec![env, probe]).unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].0, 0);
    }
}
