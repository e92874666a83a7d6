//! Observes a foundation with today's API.

use std::collections::HashMap;

use futures::try_join;

use super::app::{App, by_app, web_by_app};
use super::differences::differences;
use super::{Names, Observed, groups_by_name, quotas_by_name, supporting, unique};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Org, Route, Space};
use crate::desired::Desired;

pub(super) async fn observe(
    client: &Client,
    desired: &Desired,
    packages: bool,
) -> Result<Observed, Error> {
    let names = Names::of(desired);
    let (orgs, quotas, security_groups, domains) = try_join!(
        client.orgs_named(&names.orgs),
        client.quotas_named(&names.quotas),
        client.security_groups_named(&names.security_groups),
        client.domains(),
    )?;
    let guids: Vec<&str> = orgs.iter().map(|org| org.guid.as_str()).collect();
    // Each app has a process, a droplet and, mostly, a route.
    let expected = desired.app_count();
    let (found, processes, mut droplets, mut routes) = try_join!(
        client.apps_of_orgs(&guids, expected),
        client.web_processes_of_orgs(&guids, expected),
        client.droplets_of_orgs(&guids, expected),
        client.routes_of_orgs(&guids, expected),
    )?;
    unique(&mut droplets, |droplet| &droplet.guid);
    let mut processes = web_by_app(processes);
    let mut droplets = by_app(droplets, |droplet| &droplet.app);
    let mut spaces = found.spaces;
    let mut apps: Vec<App> = found.apps.into_iter().map(App::from).collect();
    unique(&mut apps, |app| &app.guid);
    for app in &mut apps {
        app.web = processes.remove(&app.guid);
        app.droplets = droplets.remove(&app.guid).unwrap_or_default();
    }
    if !has_all_spaces(desired, &orgs, &spaces) {
        spaces = client.spaces_of_orgs(&guids).await?;
    }
    let mut observed = Observed {
        quotas: quotas_by_name(quotas),
        security_groups: groups_by_name(security_groups),
        domains,
        knows_destinations: true,
        has_labels: true,
        ..Observed::default()
    };
    observed.arrange(desired, orgs, spaces, apps)?;
    observed.find_managed(client).await?;
    let there = observed.space_guids();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    let accounted = observed.account_for_packages(desired);
    let of_packages = if packages || !accounted {
        &there[..]
    } else {
        &[]
    };
    let (mut packages, differences, supporting) = try_join!(
        client.packages_of_spaces(of_packages),
        differences(client, desired, &observed),
        // Boxed, because it is large and most of it is rarely needed.
        Box::pin(supporting::observe(client, desired, &observed)),
    )?;
    observed.supporting = supporting;
    unique(&mut routes, |route| &route.guid);
    unique(&mut packages, |package| &package.guid);
    let mut routes = routes_by_space(routes);
    let mut all_packages = by_app(packages, |package| &package.app);
    for (space, differences) in observed.spaces.iter_mut().zip(differences) {
        space.differences = differences;
        if let Some(found) = &space.space {
            space.routes = routes.remove(&found.guid).unwrap_or_default();
        }
        for app in &mut space.apps {
            app.take_packages(&mut all_packages);
        }
    }
    Ok(observed)
}

/// Whether the list of apps includes every desired space that may exist.
fn has_all_spaces(desired: &Desired, orgs: &[Org], spaces: &[Space]) -> bool {
    desired.spaces().all(|placed| {
        let org = orgs.iter().find(|org| org.name == placed.org.name);
        org.is_none_or(|org| {
            let mut spaces = spaces.iter();
            spaces.any(|space| space.org == org.guid && space.name == placed.space.name)
        })
    })
}

fn routes_by_space(routes: Vec<Route>) -> HashMap<String, Vec<Route>> {
    let mut by_space: HashMap<String, Vec<Route>> = HashMap::new();
    for route in routes {
        by_space.entry(route.space.clone()).or_default().push(route);
    }
    by_space
}
