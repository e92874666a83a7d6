//! Plans a push: compares the manifest with the current apps.

use std::collections::{HashMap, HashSet};

use super::lowercase;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, Process};
use crate::capi::parallel;
use crate::capi::transport::Replay;
use crate::manifest::entry::ManifestEntry;
use crate::manifest::yaml::Value;
use crate::manifest::{Application, CurrentApp, Manifest, ManifestDiff};

/// Properties that the Cloud Controller's diff does not contain.
const SIZES: [&str; 3] = ["memory", "disk_quota", "disk-quota"];

/// Apps by name in lower case. The Cloud Controller ignores the case of names.
pub(super) async fn existing_apps(
    client: &Client,
    space: &str,
    manifest: &Manifest,
) -> Result<HashMap<String, App>, Error> {
    let names: Vec<&str> = manifest
        .applications()
        .iter()
        .map(Application::name)
        .collect();
    let found = client.apps_named(space, &names).await?;
    let found = found.into_iter().map(|app| (lowercase(&app.name), app));
    Ok(found.collect())
}

/// The changes to the properties of the apps. `existing` has an item for each app of the
/// manifest.
///
/// The Cloud Controller's diff contains the properties that may differ. It also contains
/// equivalent values, so these properties are compared again with the app's current
/// manifest.
pub(super) async fn diff(
    client: &Client,
    space: &str,
    manifest: &Manifest,
    existing: &[Option<&App>],
) -> Result<ManifestDiff, Error> {
    let reported = reported_properties(client, space, manifest).await?;
    let guids: Vec<String> = existing
        .iter()
        .flatten()
        .map(|it| it.guid.clone())
        .collect();
    let processes = match guids.is_empty() {
        true => Vec::new(),
        false => client.processes_of_apps(&guids).await?,
    };
    let web = processes.iter().filter(|process| process.kind == "web");
    let web: HashMap<&str, &Process> = web.map(|it| (it.app.as_str(), it)).collect();
    let apps = existing.iter().zip(manifest.applications()).zip(reported);
    let current = apps.map(|((app, desired), reported)| {
        let web = app.and_then(|app| web.get(app.guid.as_str()).copied());
        current_app(client, *app, desired, reported, web)
    });
    // The apps are collected first, so that the future is `Send`.
    let current: Vec<_> = current.collect();
    let current = parallel::run(client.concurrency(), current).await?;
    Ok(ManifestDiff::between(&manifest.to_value(), &current))
}

/// The properties of each app that differ according to the Cloud Controller's diff.
/// `None` for each app if the Cloud Controller cannot compute the diff.
async fn reported_properties(
    client: &Client,
    space: &str,
    manifest: &Manifest,
) -> Result<Vec<Option<HashSet<String>>>, Error> {
    let mut reported = vec![Some(HashSet::new()); manifest.applications().len()];
    for part in manifest.parts() {
        // The request is not retried, because the apps' own manifests can be compared
        // instead.
        let diff = client.manifest_diff(space, &part.yaml, Replay::Unsafe);
        let entries = match diff.await {
            Ok(entries) => entries,
            Err(error) if error.is_missing_operation() => {
                return Ok(vec![None; manifest.applications().len()]);
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let [_, position, property, ..] = entry.path.as_slice() else {
                continue;
            };
            let position = position.parse::<usize>().ok();
            let position = position.and_then(|it| it.checked_add(part.first));
            let app = position.and_then(|it| reported.get_mut(it));
            if let Some(Some(properties)) = app {
                properties.insert(property.clone());
            }
        }
    }
    Ok(reported)
}

/// The current state of an app, with the compared properties.
async fn current_app(
    client: &Client,
    app: Option<&App>,
    desired: &Application,
    reported: Option<HashSet<String>>,
    web: Option<&Process>,
) -> Result<Option<CurrentApp>, Error> {
    let Some(app) = app else {
        return Ok(None);
    };
    let mut compared = reported.unwrap_or_else(|| {
        let keys = desired.properties().iter();
        let keys = keys.filter_map(|(key, _)| key.scalar_text());
        keys.filter(|key| ManifestEntry::is_known(key)).collect()
    });
    compared.retain(|key| !CurrentApp::is_never_compared(key));
    let mut current = CurrentApp::default();
    if !compared.is_empty() {
        current = current_manifest(client, app).await?;
    }
    if let Some(web) = web {
        let size = |megabytes| Value::text(format!("{megabytes}M"));
        current.properties.set("memory", size(web.memory_mb));
        current.properties.set("disk_quota", size(web.disk_mb));
        compared.extend(SIZES.map(str::to_owned));
    }
    current.compared = Some(compared);
    Ok(Some(current))
}

async fn current_manifest(client: &Client, app: &App) -> Result<CurrentApp, Error> {
    let text = client.app_manifest(&app.guid).await?;
    let manifest = Value::parse_of_cloud_controller(&text).map_err(|error| {
        Error::local(
            format!("reading the current manifest of {}", app.name),
            error,
        )
    })?;
    Ok(CurrentApp::of_manifest(&manifest))
}
