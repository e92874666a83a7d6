//! Observes a foundation with the API of 2017. Environment variables of the apps replace
//! labels and annotations.

use std::collections::HashMap;

use futures::try_join;
use serde_json::{Map, Value, json};

use super::app::{App, by_app};
use super::differences::compared_here;
use super::{Names, Observed, groups_by_name, quotas_by_name, unique};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{
    BITS_VARIABLE, Destination, Domain, Droplet, Env, MANAGED_BY_VALUE, MANAGED_BY_VARIABLE,
    ResourceState, Route, Summary,
};
use crate::capi::parallel;
use crate::desired::Desired;

pub(super) async fn observe(
    client: &Client,
    desired: &Desired,
    packages: bool,
) -> Result<Observed, Error> {
    let names = Names::of(desired);
    let (domains, orgs, quotas, security_groups) = try_join!(
        client.domains(),
        client.orgs_named(&names.orgs),
        client.quotas_named(&names.quotas),
        client.security_groups_named(&names.security_groups),
    )?;
    let (mut spaces, mut apps) = (Vec::new(), Vec::new());
    for org in &orgs {
        let wanted = desired.orgs().iter().filter(|it| it.name == org.name);
        let wanted = wanted.flat_map(|org| org.spaces.iter().map(|it| it.name.as_str()));
        let wanted: Vec<&str> = wanted.collect();
        let guids = [org.guid.as_str()];
        let (found, all) = try_join!(
            client.spaces_named(&guids, &wanted),
            client.apps_of_orgs(&guids, 0),
        )?;
        spaces.extend(found);
        apps.extend(all.apps.into_iter().map(App::from));
    }
    unique(&mut apps, |app| &app.guid);
    let mut observed = Observed {
        quotas: quotas_by_name(quotas),
        security_groups: groups_by_name(security_groups),
        domains,
        ..Observed::default()
    };
    observed.arrange(desired, orgs, spaces, apps)?;
    for (space, placed) in observed.spaces.iter_mut().zip(desired.spaces()) {
        let Some(found) = &space.space else { continue };
        let domains = &observed.domains;
        space.routes = add_details(client, &found.guid, domains, &mut space.apps).await?;
        if packages {
            let mut all = client.packages_of_spaces(&[&found.guid]).await?;
            unique(&mut all, |package| &package.guid);
            let mut all = by_app(all, |package| &package.app);
            for app in &mut space.apps {
                app.take_packages(&mut all);
            }
        }
        let domain = observed
            .orgs
            .get(placed.org_id)
            .map(|org| org.apps_domain.as_str());
        space.differences = compared_here(&placed, domain.unwrap_or_default(), &space.apps);
    }
    observed.infer_ownership(desired);
    observed.find_managed(client).await?;
    Ok(observed)
}

/// Adds processes, droplets and environments to the apps of a space, and returns the
/// space's routes.
async fn add_details(
    client: &Client,
    space: &str,
    domains: &[Domain],
    apps: &mut [App],
) -> Result<Vec<Route>, Error> {
    let spaces = [space];
    let (summaries, mut droplets, mut routes) = try_join!(
        client.summaries(space),
        client.droplets_of_spaces(&spaces),
        client.routes_of_spaces(&spaces),
    )?;
    unique(&mut droplets, |droplet| &droplet.guid);
    unique(&mut routes, |route| &route.guid);
    complete(&mut routes, domains, &summaries);
    let mut droplets = by_app(droplets, |droplet| &droplet.app);
    let mut summaries: HashMap<String, Summary> = summaries
        .into_iter()
        .map(|summary| (summary.web.app.clone(), summary))
        .collect();
    let details = apps.iter_mut().map(|app| {
        let summary = summaries.remove(&app.guid);
        let droplets = droplets.remove(&app.guid).unwrap_or_default();
        add_app_details(client, app, summary, droplets)
    });
    parallel::run(parallel::PER_APP, details).await?;
    add_routes(apps, &routes);
    if !apps.iter().all(App::accounts_for_packages) {
        let mut packages = client.packages_of_spaces(&spaces).await?;
        unique(&mut packages, |package| &package.guid);
        let mut packages = by_app(packages, |package| &package.app);
        for app in apps {
            app.take_packages(&mut packages);
        }
    }
    Ok(routes)
}

/// Adds URLs and destinations, which the list of routes does not contain.
fn complete(routes: &mut [Route], domains: &[Domain], summaries: &[Summary]) {
    let mut destinations: HashMap<&str, Vec<Destination>> = HashMap::new();
    for summary in summaries {
        for route in &summary.routes {
            destinations.entry(route).or_default().push(Destination {
                app: summary.web.app.clone(),
                process_type: "web".to_owned(),
                port: None,
                protocol: None,
            });
        }
    }
    for route in routes {
        let domain = domains.iter().find(|it| it.guid == route.domain);
        let domain = domain.map(|it| it.name.as_str()).unwrap_or_default();
        let host = match route.host.as_str() {
            "" => domain.to_owned(),
            host => format!("{host}.{domain}"),
        };
        let port = route.port.map(|port| format!(":{port}"));
        route.url = format!("{host}{}{}", port.unwrap_or_default(), route.path);
        let to = destinations.remove(route.guid.as_str());
        route.destinations = to.unwrap_or_default();
    }
}

async fn add_app_details(
    client: &Client,
    app: &mut App,
    summary: Option<Summary>,
    droplets: Vec<Droplet>,
) -> Result<(), Error> {
    let is_staged = |droplet: &&Droplet| droplet.state == ResourceState::Staged;
    let staged: Vec<&Droplet> = droplets.iter().filter(is_staged).collect();
    app.current_droplet = match (&summary, staged.as_slice()) {
        // Setting a droplet creates the process. Without a process, there is no droplet.
        (None, _) | (_, []) => None,
        (Some(_), [only]) => Some(only.guid.clone()),
        (Some(_), _) => client.current_droplet(&app.guid).await?,
    };
    app.droplets = droplets;
    let mut manifest = Map::new();
    let mut env = match summary {
        // The summary lists only apps that have a process.
        None => client.env(&app.guid).await?,
        Some(summary) => {
            app.web = Some(summary.web);
            let texts = [
                ("command", summary.command),
                ("health-check-type", summary.health_check_type),
                (
                    "health-check-http-endpoint",
                    summary.health_check_http_endpoint,
                ),
            ];
            for (key, text) in texts {
                manifest.insert(key.to_owned(), json!(text));
            }
            summary.env
        }
    };
    take_markers(app, &mut env);
    manifest.insert("env".to_owned(), json!(env));
    app.manifest = Some(manifest);
    Ok(())
}

/// Reads the variables that replace labels and annotations, and removes them from the
/// environment.
fn take_markers(app: &mut App, env: &mut Env) {
    app.ownership.managed = env.remove(MANAGED_BY_VARIABLE).as_deref() == Some(MANAGED_BY_VALUE);
    let bits = env.remove(BITS_VARIABLE);
    let current = app.current_droplet.as_deref();
    for droplet in &mut app.droplets {
        if Some(droplet.guid.as_str()) == current {
            droplet.annotated = bits.is_some();
            droplet.bits.clone_from(&bits);
        }
    }
}

/// Adds routes to the manifests of their apps.
fn add_routes(apps: &mut [App], routes: &[Route]) {
    let mut urls: HashMap<&str, Vec<Value>> = HashMap::new();
    for route in routes {
        for destination in &route.destinations {
            let url = json!({"route": route.url});
            urls.entry(&destination.app).or_default().push(url);
        }
    }
    for app in apps {
        let urls = urls.remove(app.guid.as_str()).unwrap_or_default();
        if let Some(manifest) = &mut app.manifest {
            manifest.insert("routes".to_owned(), Value::Array(urls));
        }
    }
}
