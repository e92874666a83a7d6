//! Expands references to apps of any space: network policies, and `like`.

use std::collections::{HashMap, HashSet};

use super::security::is_pattern;
use super::{Expander, PlacedOrg, PlacedSpace};
use crate::desired::{NetworkPolicy, matches};
use crate::spec::file::check::{is_apps, ports};
use crate::spec::file::node::Node;
use crate::spec::file::problem::Location;
use crate::spec::file::scope::Scope;

/// The default port of policies.
const DEFAULT_PORT: (u16, u16) = (8080, 8080);

/// The org and the space of a reference, if it contains them, and the name of the app.
fn placed(text: &str) -> (Option<&str>, Option<&str>, &str) {
    let parts: Vec<&str> = text.splitn(3, '/').collect();
    match parts.as_slice() {
        [org, space, name] => (Some(org), Some(space), name),
        [space, name] => (None, Some(space), name),
        _ => (None, None, text),
    }
}

/// The apps of all spaces.
struct AppNames {
    /// The names, by org and space.
    names: HashMap<(String, String), HashSet<String>>,
}

impl AppNames {
    fn of(orgs: &[PlacedOrg<'_>]) -> Self {
        let mut names: HashMap<_, HashSet<String>> = HashMap::new();
        for (org, space) in spaces(orgs) {
            let place = (org.org.name.clone(), space.space.name.clone());
            let groups = space.groups.iter();
            let apps = groups.flat_map(|it| it.group.app_names());
            names.entry(place).or_default().extend(apps);
        }
        Self { names }
    }

    fn has(&self, org: &str, space: &str, app: &str) -> bool {
        let names = self.names.get(&(org.to_owned(), space.to_owned()));
        names.is_some_and(|names| match is_pattern(app) {
            true => names.iter().any(|name| matches(app, name)),
            false => names.contains(app),
        })
    }
}

fn spaces<'o, 'n>(
    orgs: &'o [PlacedOrg<'n>],
) -> impl Iterator<Item = (&'o PlacedOrg<'n>, &'o PlacedSpace<'n>)> {
    orgs.iter()
        .flat_map(|org| org.spaces.iter().map(move |space| (org, space)))
}

impl Expander<'_, '_> {
    /// Adds the policies of spaces and the policies of the spec to the sending spaces.
    pub(super) fn network_policies(&mut self, orgs: &mut [PlacedOrg<'_>]) {
        let of_spaces = spaces(orgs).any(|(_, space)| space.node.has("network_policies"));
        if !of_spaces && !self.root.has("network_policies") {
            return;
        }
        let apps = AppNames::of(orgs);
        for org in orgs.iter_mut() {
            for space in &mut org.spaces {
                let mut policies = Vec::new();
                for node in space.node.list("network_policies") {
                    let own = (org.org.name.as_str(), space.space.name.as_str());
                    policies.extend(self.policy(node, space.scope, own, &apps));
                }
                space.space.network_policies = policies;
            }
        }
        for node in self.root.list("network_policies") {
            self.policies_between_spaces(node, orgs, &apps);
        }
        for org in orgs.iter_mut() {
            for space in &mut org.spaces {
                let mut seen = HashSet::new();
                let policies = &mut space.space.network_policies;
                policies.retain(|policy| seen.insert(policy.clone()));
            }
        }
    }

    /// A policy of a space.
    fn policy(
        &mut self,
        node: &Node,
        scope: Scope,
        (org, space): (&str, &str),
        apps: &AppNames,
    ) -> Option<NetworkPolicy> {
        let (from, from_at) = self.apps_of(node, "from", scope)?;
        let (to, to_at) = self.apps_of(node, "to", scope)?;
        if !apps.has(org, space, &from) {
            self.unknown_apps(from_at, "from", &from, org, space, apps);
        }
        let (to_org, to_space, name) = placed(&to);
        let (to_org, to_space) = (to_org.unwrap_or(org), to_space.unwrap_or(space));
        if !apps.has(to_org, to_space, name) {
            self.unknown_apps(to_at, "to", &to, to_org, to_space, apps);
        }
        let (protocol, ports) = traffic(node);
        Some(NetworkPolicy::new(from, to, protocol, ports))
    }

    /// A policy of the spec, between the matching apps of all spaces.
    fn policies_between_spaces(
        &mut self,
        node: &Node,
        orgs: &mut [PlacedOrg<'_>],
        apps: &AppNames,
    ) {
        let ends = ["from", "to"].map(|key| self.apps_of(node, key, Scope::default()));
        let [Some((from, from_at)), Some((to, to_at))] = ends else {
            return;
        };
        let places: Vec<(String, String)> = spaces(orgs)
            .map(|(org, space)| (org.org.name.clone(), space.space.name.clone()))
            .collect();
        let matching = |text: &str| {
            let (org, space, app) = placed(text);
            let (org, space) = (org.unwrap_or_default(), space.unwrap_or_default());
            let places = places.iter();
            let places = places.filter(|place| matches(org, &place.0) && matches(space, &place.1));
            let places: HashSet<&(String, String)> = places
                .filter(|place| apps.has(&place.0, &place.1, app))
                .collect();
            (places, app.to_owned())
        };
        let ((senders, from_app), (receivers, to_app)) = (matching(&from), matching(&to));
        for (key, text, at, found) in [
            ("from", &from, from_at, &senders),
            ("to", &to, to_at, &receivers),
        ] {
            if found.is_empty() {
                self.unknown(at, key, ("the spec", "app"), text, []);
            }
        }
        let mut receivers: Vec<String> = receivers
            .iter()
            .map(|(org, space)| format!("{org}/{space}/{to_app}"))
            .collect();
        receivers.sort();
        let (protocol, ports) = traffic(node);
        for org in orgs.iter_mut() {
            for space in &mut org.spaces {
                if !senders.contains(&(org.org.name.clone(), space.space.name.clone())) {
                    continue;
                }
                let policies = receivers
                    .iter()
                    .map(|to| NetworkPolicy::new(&from_app, to, &protocol, ports));
                space.space.network_policies.extend(policies);
            }
        }
    }

    /// The text of one end of a policy, and its location.
    fn apps_of(&mut self, node: &Node, key: &str, scope: Scope) -> Option<(String, Location)> {
        let value = node.get(key)?;
        // Invalid texts have already been reported.
        let text = value.text().filter(|text| is_apps(text, 1, 3))?;
        self.check_placeholders(value, key, &text, scope);
        Some((scope.text(value)?, value.at))
    }

    fn unknown_apps(
        &mut self,
        at: Location,
        key: &str,
        name: &str,
        org: &str,
        space: &str,
        apps: &AppNames,
    ) {
        let known = apps.names.get(&(org.to_owned(), space.to_owned()));
        let known = known.into_iter().flatten().map(String::as_str);
        let known: Vec<&str> = known.take(1000).collect();
        self.unknown(at, key, ("that space", "app"), name, known);
    }

    /// Replaces each `like` with the name of the other app's group.
    pub(super) fn resolve_like(&mut self, orgs: &mut [PlacedOrg<'_>]) {
        // The groups by org, space and name. Names are included with and without the
        // number.
        let mut groups: HashSet<(String, String, String)> = HashSet::new();
        for (org, space) in spaces(orgs) {
            for placed in &space.groups {
                let name = &placed.group.name;
                let plain = name.strip_suffix("{i}").unwrap_or(name);
                let plain = plain.trim_end_matches(['-', '_']).to_owned();
                for name in [name.clone(), plain] {
                    let (org, space) = (org.org.name.clone(), space.space.name.clone());
                    groups.insert((org, space, name));
                }
            }
        }
        for org in orgs.iter_mut() {
            for space in &mut org.spaces {
                let own = (org.org.name.as_str(), space.space.name.as_str());
                for placed_group in &mut space.groups {
                    let Some(like) = placed_group.group.like.clone() else {
                        continue;
                    };
                    let filled = space.scope.fill_of_app(&like).into_owned();
                    let is_known = |like: &String| {
                        let (org, space, name) = placed(like);
                        let (org, space) = (org.unwrap_or(own.0), space.unwrap_or(own.1));
                        let key = (org.to_owned(), space.to_owned(), name.to_owned());
                        groups.contains(&key)
                            && (org, space, name)
                                != (own.0, own.1, placed_group.group.name.as_str())
                    };
                    let found = [&like, &filled].into_iter().find(|like| is_known(like));
                    match found {
                        Some(found) => placed_group.group.like = Some(found.clone()),
                        None => {
                            let known = groups.iter();
                            let known = known.filter(|key| {
                                (key.0.as_str(), key.1.as_str()) == own
                                    && key.2 != placed_group.group.name
                            });
                            let known: Vec<&str> = known.map(|key| key.2.as_str()).collect();
                            let at = placed_group.like_at;
                            self.unknown(at, "like", ("the spec", "other app"), &filled, known);
                            // The error is reported once: there is no group to copy.
                            placed_group.group.like = None;
                        }
                    }
                }
            }
        }
    }
}

/// The protocol and the ports of a policy.
fn traffic(node: &Node) -> (String, (u16, u16)) {
    let text = |key: &str| node.get(key).and_then(Node::text);
    let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
    let ports = text("ports").and_then(|text| ports(&text));
    (protocol, ports.unwrap_or(DEFAULT_PORT))
}
