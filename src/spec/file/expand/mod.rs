//! Expands the validated document of a spec to a desired state: repeats each element with
//! a count, and replaces placeholders by numbers. Only apps stay in groups.

mod app;
mod metadata;
mod names;
mod network;
mod network_rules;
mod quota;
mod repeat;
mod security;
mod services;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use super::node::{Data, Node};
use super::problem::{Location, Problems, SpecProblemReason, nearest};
use super::scope::Scope;
use crate::desired::{
    Bits, Desired, DesiredBuilder, DesiredError, Group, Limit, Limits, Metadata, Org, OrgQuota,
    Role, Space, SpaceQuota,
};
use names::Names;

/// The maximum number of spaces, and of apps, in a spec.
const MAX_RESOURCES: u64 = 1_000_000;

/// An org of the desired state, with its place in the spec.
struct PlacedOrg<'n> {
    org: Org,
    at: Location,
    /// The quota's name, with its place.
    quota: Option<(String, Location)>,
    /// The quotas for its spaces, by name.
    space_quotas: HashMap<String, &'n Node>,
    spaces: Vec<PlacedSpace<'n>>,
}

struct PlacedSpace<'n> {
    space: Space,
    node: &'n Node,
    at: Location,
    scope: Scope,
    quota: Option<(String, Location)>,
    groups: Vec<PlacedGroup<'n>>,
}

struct PlacedGroup<'n> {
    group: Group,
    node: &'n Node,
    /// The place of `like`.
    like_at: Location,
}

/// Expands a validated document. Problems are added to the earlier ones.
pub(super) struct Expander<'a, 'n> {
    pub(super) root: &'n Node,
    /// The folders of the files. Paths of bits are relative to them.
    pub(super) folders: &'a [PathBuf],
    /// Whether the bits of apps must exist.
    pub(super) needs_bits: bool,
    pub(super) problems: &'a mut Problems,
}

impl<'n> Expander<'_, 'n> {
    /// Returns the desired state, which may be used only if there are no problems.
    pub(super) fn desired(mut self) -> DesiredBuilder {
        let root = self.root;
        let text = |key: &str| root.get(key).and_then(Node::text);
        let mut desired = Desired::builder(text("name").unwrap_or_default());
        if let Some(domain) = text("apps_domain") {
            desired = desired.apps_domain(domain);
        }
        let mut org_quotas = HashMap::new();
        let mut names = Names::new("org quota", String::new());
        for node in root.list("org_quotas") {
            let name = self.name(node, "name", Scope::default());
            names.add(&name, node.at, self.problems);
            desired = desired.org_quota(OrgQuota::new(&name, limits(node)));
            org_quotas.insert(name, node);
        }
        let mut group_names = Vec::new();
        for group in self.security_groups() {
            group_names.push(group.name.clone());
            desired = desired.security_group(group);
        }
        let mut domains = Names::new("domain", String::new());
        for domain in self.domains(root, Scope::default(), &mut domains) {
            desired = desired.domain(domain);
        }
        let mut users = Names::new("user", String::new());
        for (user, at) in texts(root, "users", Scope::default()) {
            users.add(&user, at, self.problems);
            desired = desired.user(user);
        }
        for (flag, is_enabled) in flags(root.get("feature_flags")) {
            desired = desired.feature_flag(flag, is_enabled);
        }
        for (pattern, _) in texts(root, "protected", Scope::default()) {
            desired = desired.protect(pattern);
        }
        let mut orgs = self.orgs(&group_names, &mut domains);
        self.network_policies(&mut orgs);
        self.resolve_like(&mut orgs);
        share_droplets(&mut orgs);
        self.check_references(&orgs, &org_quotas);
        self.check_quotas(&orgs, &org_quotas);
        let spaces = orgs.iter().flat_map(|org| &org.spaces);
        let groups = spaces.flat_map(|space| &space.groups);
        let likes: Vec<(Location, String)> = groups
            .map(|placed| (placed.like_at, placed.group.name.clone()))
            .collect();
        for placed in orgs {
            desired = desired.org(placed.finish());
        }
        self.check_sources(&desired, &likes);
        desired
    }

    /// Checks that apps with `like` can run the droplet that they refer to. `likes`
    /// contains the references of all groups.
    fn check_sources(&mut self, desired: &DesiredBuilder, likes: &[(Location, String)]) {
        let mut seen = HashSet::new();
        for (id, error) in desired.source_errors() {
            // Others were reported when the names were resolved.
            let DesiredError::Property { reason, .. } = error else {
                continue;
            };
            let Some((at, name)) = likes.get(id).filter(|(at, _)| seen.insert(*at)) else {
                continue;
            };
            let reason = format!("`like` is not possible: {reason}");
            self.problems.refused(*at, format!("app {name}"), reason);
        }
    }

    fn orgs(&mut self, group_names: &[String], domains: &mut Names) -> Vec<PlacedOrg<'n>> {
        let root = self.root;
        let mut orgs = Vec::new();
        if !self.is_in_bounds() {
            return orgs;
        }
        let mut names = Names::new("org", String::new());
        for node in root.list("orgs") {
            self.check_metadata(node);
            for space in node.list("spaces") {
                self.check_metadata(space);
                let apps = space.list("apps").iter();
                apps.for_each(|app| self.check_metadata(app));
            }
            for number in self.numbers(node, "org") {
                let scope = Scope {
                    org: number,
                    ..Scope::default()
                };
                let scope = scope.within(number);
                let placed = self.org(node, scope, group_names, domains);
                names.add(&placed.org.name, placed.at, self.problems);
                orgs.push(placed);
            }
        }
        orgs
    }

    /// Checks that the product of all counts is within the limits.
    fn is_in_bounds(&mut self) -> bool {
        let count = |node: &Node| node.get("count").and_then(Node::number::<u64>).unwrap_or(1);
        let (mut spaces, mut apps) = (0_u64, 0_u64);
        for org in self.root.list("orgs") {
            for space in org.list("spaces") {
                let copies = count(org).saturating_mul(count(space));
                spaces = spaces.saturating_add(copies);
                let of_space = space.list("apps").iter().map(count);
                let of_space = of_space.fold(0_u64, u64::saturating_add);
                apps = apps.saturating_add(copies.saturating_mul(of_space));
            }
        }
        let most = [(spaces, "spaces"), (apps, "apps")];
        let Some((count, things)) = most.into_iter().find(|(count, _)| *count > MAX_RESOURCES)
        else {
            return true;
        };
        let at = self.root.get("orgs").map_or(self.root.at, |orgs| orgs.at);
        let reason = format!("the counts make {count} {things}, must be at most {MAX_RESOURCES}");
        self.problems.refused(at, "`orgs`", reason);
        false
    }

    fn org(
        &mut self,
        node: &'n Node,
        scope: Scope,
        group_names: &[String],
        domains: &mut Names,
    ) -> PlacedOrg<'n> {
        let mut org = Org::new(self.name(node, "name", scope));
        org.suspended = node.get("suspended").and_then(Node::truth);
        org.isolation_segment = node.get("isolation_segment").and_then(Node::text);
        org.metadata = metadata(node, scope);
        org.domains = self.domains(node, scope, domains);
        let place = format!(" in the org {}", org.name);
        org.roles = self.roles(node, scope, &place);
        let mut space_quotas = HashMap::new();
        let mut names = Names::new("space quota", place.clone());
        for quota in node.list("space_quotas") {
            let name = self.name(quota, "name", scope);
            names.add(&name, quota.at, self.problems);
            org.space_quotas.push(SpaceQuota::new(&name, limits(quota)));
            space_quotas.insert(name, quota);
        }
        let mut names = Names::new("space", place);
        let mut spaces = Vec::new();
        for space in node.list("spaces") {
            for number in self.numbers(space, "space") {
                let scope = Scope {
                    space: number,
                    ..scope
                };
                let scope = scope.within(number);
                let placed = self.space(space, scope, group_names);
                names.add(&placed.space.name, placed.at, self.problems);
                spaces.push(placed);
            }
        }
        let quota = self.reference(node, "quota", scope);
        org.quota = quota.as_ref().map(|(name, _)| name.clone());
        PlacedOrg {
            org,
            at: node.at,
            quota,
            space_quotas,
            spaces,
        }
    }

    fn space(&mut self, node: &'n Node, scope: Scope, group_names: &[String]) -> PlacedSpace<'n> {
        let mut space = Space::new(self.name(node, "name", scope));
        space.isolation_segment = node.get("isolation_segment").and_then(Node::text);
        space.metadata = metadata(node, scope);
        space.features = flags(node.get("features")).collect();
        let place = format!(" in the space {}", space.name);
        space.roles = self.roles(node, scope, &place);
        space.security_groups = self.groups_of(node, scope, group_names);
        space.services = self.services(node, scope, &place);
        let groups = self.apps(node, scope, &place);
        space.service_bindings = self.bindings(node, scope, &groups, &place);
        let quota = self.reference(node, "quota", scope);
        space.quota = quota.as_ref().map(|(name, _)| name.clone());
        PlacedSpace {
            space,
            node,
            at: node.at,
            scope,
            quota,
            groups,
        }
    }

    /// The names of domains.
    fn domains(&mut self, node: &Node, scope: Scope, names: &mut Names) -> Vec<String> {
        let mut domains = Vec::new();
        for item in node.list("domains") {
            let Some(domain) = scope.text(item) else {
                continue;
            };
            if !domain.trim().is_empty() && !is_domain(&domain) {
                let allowed = "the name of a domain, such as apps.example.com";
                self.problems
                    .value(item.at, "domains", item.shown(), allowed);
            }
            names.add(&domain, item.at, self.problems);
            domains.push(domain);
        }
        domains
    }

    fn roles(&mut self, node: &Node, scope: Scope, place: &str) -> Vec<Role> {
        let mut roles = Vec::new();
        let mut names = Names::new("role", place.to_owned());
        for node in node.list("roles") {
            let kind = node.get("type").and_then(Node::text).unwrap_or_default();
            let user = self.name(node, "user", scope);
            let origin = node.get("origin").and_then(Node::text);
            let shown = match &origin {
                Some(origin) => format!("{kind} of {user} ({origin})"),
                None => format!("{kind} of {user}"),
            };
            names.add(&shown, node.at, self.problems);
            let role = Role::new(kind, user);
            roles.push(match origin {
                Some(origin) => role.origin(origin),
                None => role,
            });
        }
        roles
    }

    /// The name of another element, with its place.
    fn reference(&mut self, node: &Node, key: &str, scope: Scope) -> Option<(String, Location)> {
        let at = node.get(key)?.at;
        Some((self.name(node, key, scope), at))
    }

    fn unknown<'k>(
        &mut self,
        at: Location,
        key: &str,
        (owner, kind): (&'static str, &'static str),
        name: &str,
        known: impl IntoIterator<Item = &'k str>,
    ) {
        let reason = SpecProblemReason::UnknownReference {
            key: key.to_owned(),
            owner,
            kind,
            name: name.to_owned(),
            nearest: nearest(name, known),
        };
        self.problems.add(at, reason);
    }

    /// Checks that referenced quotas and apps exist.
    fn check_references(&mut self, orgs: &[PlacedOrg<'_>], org_quotas: &HashMap<String, &Node>) {
        for placed in orgs {
            if let Some((name, at)) = &placed.quota
                && !org_quotas.is_empty()
                && !org_quotas.contains_key(name)
            {
                let known = org_quotas.keys().map(String::as_str);
                self.unknown(*at, "quota", ("the spec", "org quota"), name, known);
            }
            for space in &placed.spaces {
                if let Some((name, at)) = &space.quota
                    && !placed.space_quotas.contains_key(name)
                {
                    let known = placed.space_quotas.keys().map(String::as_str);
                    self.unknown(*at, "quota", ("the org", "space quota"), name, known);
                }
            }
        }
    }
}

impl PlacedOrg<'_> {
    fn finish(self) -> Org {
        let mut org = self.org;
        for placed in self.spaces {
            let mut space = placed.space;
            space.groups = placed.groups.into_iter().map(|it| it.group).collect();
            org.spaces.push(space);
        }
        org
    }
}

/// If a count of a space or org repeats an entry, makes the repetitions copy the droplet
/// of the first repetition, so that each entry is staged once.
fn share_droplets(orgs: &mut [PlacedOrg<'_>]) {
    let mut firsts: HashMap<*const Node, (Bits, String)> = HashMap::new();
    for org in orgs {
        for space in &mut org.spaces {
            for placed in &mut space.groups {
                let group = &mut placed.group;
                let has_bits = group.bits != Bits::None && group.count > 0;
                if group.like.is_some() || !has_bits || !group.is_copied() {
                    continue;
                }
                let place = [&org.org.name, &space.space.name];
                if place.iter().any(|name| name.contains('/')) {
                    // The group cannot be referred to.
                    continue;
                }
                let entry = std::ptr::from_ref(placed.node);
                match firsts.get(&entry) {
                    Some((bits, first)) if *bits == group.bits => {
                        group.like = Some(first.clone());
                        group.bits = Bits::None;
                    }
                    Some(_) => {}
                    None => {
                        let name = format!("{}/{}/{}", place[0], place[1], group.name);
                        firsts.insert(entry, (group.bits.clone(), name));
                    }
                }
            }
        }
    }
}

/// The strings in a list, each with its place.
fn texts(node: &Node, key: &str, scope: Scope) -> Vec<(String, Location)> {
    let items = node.list(key).iter();
    let text = |item: &Node| Some((scope.text(item)?, item.at));
    items.filter_map(text).collect()
}

/// Whether a text is a domain name with at least two labels of letters, digits and inner
/// hyphens.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(is_part)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

fn flags(node: Option<&Node>) -> impl Iterator<Item = (String, bool)> {
    let entries = node.map(Node::entries).unwrap_or_default().iter();
    entries.filter_map(|(name, node)| Some((name.clone(), node.truth()?)))
}

fn metadata(node: &Node, scope: Scope) -> Metadata {
    let metadata = node.get("metadata");
    let part = |key: &str| {
        let part = metadata.and_then(|it| it.get(key));
        let entries = part.map(Node::entries).unwrap_or_default().iter();
        let texts = entries.map(|(name, value)| {
            let json = value.json(&|text, is_supplied| match is_supplied {
                true => text.to_owned(),
                false => scope.fill(text).into_owned(),
            });
            (name.clone(), crate::manifest::entry::text_of(&json))
        });
        texts.collect::<BTreeMap<_, _>>()
    };
    let mut read = Metadata::new();
    (read.labels, read.annotations) = (part("labels"), part("annotations"));
    read
}

fn limits(node: &Node) -> Limits {
    let mut limits = Limits::new();
    for (section, node) in node.entries().iter().filter(|(key, _)| key != "name") {
        for (key, node) in node.entries() {
            let limit = match node.data {
                Data::Null => Some(Limit::Unlimited),
                Data::Bool(is) => Some(Limit::Allowed(is)),
                _ => node.number::<u64>().map(Limit::Most),
            };
            if let Some(limit) = limit {
                limits = limits.limit(section, key, limit);
            }
        }
    }
    limits
}
