//! What should exist on a foundation: orgs, their spaces, and groups of apps in
//! them. Pure data, to be built in Rust; [`ScalingTest`](crate::ScalingTest) is one
//! builder of it.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::manifest::entry::{ManifestEntry, filled_in, has_index};

/// The longest label of a host name that DNS, and so the Cloud Controller, allows.
const LONGEST_HOST: usize = 63;

/// Everything that should exist, as far as cf-pusher is concerned.
///
/// ```
/// use cf_pusher::desired::{Bits, Desired, Group, Org, Space};
/// use cf_pusher::ManifestEntry;
///
/// let entry = ManifestEntry::parse("{memory: 64M, routes: [{route: 'web-{i}.{apps_domain}'}]}")?;
/// let group = Group::new("web-{i}", entry, Bits::folder("apps/web")).count(3);
/// let desired = Desired::builder("team-a")
///     .org(Org::new("shop").space(Space::new("prod").group(group)))
///     .build()?;
/// assert_eq!(desired.app_count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Desired {
    owner: String,
    apps_domain: Option<String>,
    security_groups: Vec<SecurityGroup>,
    orgs: Vec<Org>,
}

/// Collects what should exist; [`DesiredBuilder::build`] checks it.
#[derive(Debug, Clone)]
pub struct DesiredBuilder(Desired);

/// An org and what should be in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Org {
    /// The org's name.
    pub name: String,
    /// The name of its quota. A missing quota is created, without limits.
    pub quota: Option<String>,
    /// Labels and annotations beside cf-pusher's own.
    pub metadata: Metadata,
    /// The spaces that should be in it; others are left alone.
    pub spaces: Vec<Space>,
}

/// A space and what should be in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Space {
    /// The space's name.
    pub name: String,
    /// The names of the security groups that apply to its running apps.
    pub security_groups: Vec<String>,
    /// Labels and annotations beside cf-pusher's own.
    pub metadata: Metadata,
    /// The apps that should be in it.
    pub groups: Vec<Group>,
}

/// Apps that are alike: the first is staged from bits, the others get a copy of
/// its droplet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Group {
    /// The name of each app; `{i}` in it stands for the app's number, from 0.
    pub name: String,
    /// What should be true of each app.
    pub entry: ManifestEntry,
    /// How many apps there are.
    pub count: u32,
    /// Where the bits come from.
    pub bits: Bits,
    /// The environment variables whose values a plan shows; those of others may be
    /// secret.
    pub shown_env: HashSet<String>,
}

/// Where the bits of an app come from. They are read when they are needed first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Bits {
    /// The files of a folder, but what its `.cfignore` excludes.
    Folder(PathBuf),
    /// The files of a zip archive.
    Archive(PathBuf),
    /// Files in memory, by their paths relative to the app's folder, with `/`.
    Files(Arc<BTreeMap<String, Vec<u8>>>),
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroup {
    /// The security group's name.
    pub name: String,
    /// What traffic it allows.
    pub rules: Vec<Rule>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// `tcp`, `udp`, `icmp` or `all`.
    pub protocol: String,
    /// An address, a range of addresses, or a CIDR block.
    pub destination: String,
    /// Ports, such as `443`, `80,443` or `8000-9000`; none for `icmp` and `all`.
    pub ports: Option<String>,
}

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Labels, by their keys.
    pub labels: BTreeMap<String, String>,
    /// Annotations, by their keys.
    pub annotations: BTreeMap<String, String>,
}

/// Why a desired state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DesiredError {
    /// Something has no name.
    #[error("{kind} has no name")]
    NoName {
        /// What it is, such as `an org`.
        kind: &'static str,
    },
    /// Two things of one kind have the same name.
    #[error("there are two {kind} named {name}{place}")]
    Duplicate {
        /// What they are, such as `apps`.
        kind: &'static str,
        /// Their name.
        name: String,
        /// Where, such as ` in the space prod`; empty where the name must be unique.
        place: String,
    },
    /// The apps of a group would all have one name.
    #[error("the group {group} has {count} apps, so its name needs a {{i}} for the number of each")]
    NoIndex {
        /// The group's name.
        group: String,
        /// How many apps it has.
        count: u32,
    },
    /// A host of a route is longer than DNS allows.
    #[error("the route {route} of the app {app} has a label of more than 63 characters")]
    HostTooLong {
        /// The app's name.
        app: String,
        /// The route.
        route: String,
    },
    /// A space is to have a security group that is not part of the desired state.
    #[error("the space {space} names the security group {security_group}, which is not defined")]
    UnknownSecurityGroup {
        /// The space's name.
        space: String,
        /// The security group's name.
        security_group: String,
    },
    /// A property of an entry does not fit a group of apps.
    #[error("the group {group} cannot have `{property}`: {reason}")]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: &'static str,
        /// Why.
        reason: &'static str,
    },
}

/// A group of apps, and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedGroup<'d> {
    /// Its place among all groups.
    pub(crate) id: usize,
    pub(crate) space: PlacedSpace<'d>,
    pub(crate) group: &'d Group,
}

/// A space, and the org that it is in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedSpace<'d> {
    /// Its place among all spaces.
    pub(crate) id: usize,
    /// The org's place among all orgs.
    pub(crate) org_id: usize,
    pub(crate) org: &'d Org,
    pub(crate) space: &'d Space,
}

impl Desired {
    /// Begins a desired state that `owner` is responsible for: a name that marks
    /// orgs, spaces and apps, so that one desired state does not delete the apps of
    /// another.
    pub fn builder(owner: impl Into<String>) -> DesiredBuilder {
        DesiredBuilder(Self {
            owner: owner.into(),
            apps_domain: None,
            security_groups: Vec::new(),
            orgs: Vec::new(),
        })
    }

    /// Who is responsible for it, as the annotation `cf-pusher-prefix` says.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The domain of the apps' routes; none for the foundation's default.
    pub fn apps_domain(&self) -> Option<&str> {
        self.apps_domain.as_deref()
    }

    /// The security groups.
    pub fn security_groups(&self) -> &[SecurityGroup] {
        &self.security_groups
    }

    /// The orgs.
    pub fn orgs(&self) -> &[Org] {
        &self.orgs
    }

    /// How many apps there are in all.
    pub fn app_count(&self) -> usize {
        self.groups().map(|it| it.group.app_count()).sum()
    }

    /// Every space, in order.
    pub(crate) fn spaces(&self) -> impl Iterator<Item = PlacedSpace<'_>> {
        let orgs = self.orgs.iter().enumerate();
        let spaces =
            orgs.flat_map(|(org_id, org)| org.spaces.iter().map(move |space| (org_id, org, space)));
        spaces
            .enumerate()
            .map(|(id, (org_id, org, space))| PlacedSpace {
                id,
                org_id,
                org,
                space,
            })
    }

    /// Every group, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = PlacedGroup<'_>> {
        let groups = self.spaces();
        let groups =
            groups.flat_map(|space| space.space.groups.iter().map(move |group| (space, group)));
        groups
            .enumerate()
            .map(|(id, (space, group))| PlacedGroup { id, space, group })
    }

    /// The names of all quotas, each once.
    pub(crate) fn quotas(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let quotas = self.orgs.iter().filter_map(|org| org.quota.as_deref());
        quotas.filter(|name| seen.insert(*name)).collect()
    }

    /// Whether the domain of the apps must be known.
    pub(crate) fn needs_apps_domain(&self) -> bool {
        self.groups().any(|it| it.group.entry.needs_apps_domain())
    }
}

impl DesiredBuilder {
    /// With this domain for the apps' routes, in place of the foundation's default.
    #[must_use]
    pub fn apps_domain(mut self, name: impl Into<String>) -> Self {
        self.0.apps_domain = Some(name.into());
        self
    }

    /// With a security group.
    #[must_use]
    pub fn security_group(mut self, group: SecurityGroup) -> Self {
        self.0.security_groups.push(group);
        self
    }

    /// With an org.
    #[must_use]
    pub fn org(mut self, org: Org) -> Self {
        self.0.orgs.push(org);
        self
    }

    /// Checks what was collected.
    ///
    /// # Errors
    /// [`DesiredError`]: a name is missing or not unique, a host is too long, a
    /// security group is not defined, or a property does not fit a group.
    pub fn build(self) -> Result<Desired, DesiredError> {
        let desired = self.0;
        let groups = desired.security_groups.iter();
        names(
            "security group",
            groups.map(|it| it.name.as_str()),
            String::new,
        )?;
        names(
            "org",
            desired.orgs.iter().map(|it| it.name.as_str()),
            String::new,
        )?;
        for org in &desired.orgs {
            let place = || format!(" in the org {}", org.name);
            names("space", org.spaces.iter().map(|it| it.name.as_str()), place)?;
        }
        for placed in desired.spaces() {
            desired.check_space(placed.space)?;
        }
        Ok(desired)
    }
}

impl Desired {
    fn check_space(&self, space: &Space) -> Result<(), DesiredError> {
        let mut defined = self.security_groups.iter();
        for name in &space.security_groups {
            if !defined.any(|group| group.name == *name) {
                return Err(DesiredError::UnknownSecurityGroup {
                    space: space.name.clone(),
                    security_group: name.clone(),
                });
            }
            defined = self.security_groups.iter();
        }
        for group in &space.groups {
            group.check()?;
        }
        let apps: Vec<String> = space.groups.iter().flat_map(Group::app_names).collect();
        let place = || format!(" in the space {}", space.name);
        names("app", apps.iter().map(String::as_str), place)
    }
}

/// Names must not be empty, and each is there once.
fn names<'n>(
    kind: &'static str,
    all: impl Iterator<Item = &'n str>,
    place: impl Fn() -> String,
) -> Result<(), DesiredError> {
    let mut seen = HashSet::new();
    for name in all {
        if name.trim().is_empty() {
            return Err(DesiredError::NoName {
                kind: article(kind),
            });
        }
        if !seen.insert(name) {
            return Err(DesiredError::Duplicate {
                kind: plural(kind),
                name: name.to_owned(),
                place: place(),
            });
        }
    }
    Ok(())
}

fn article(kind: &'static str) -> &'static str {
    match kind {
        "org" => "an org",
        "space" => "a space",
        "app" => "an app",
        _ => "a security group",
    }
}

fn plural(kind: &'static str) -> &'static str {
    match kind {
        "org" => "orgs",
        "space" => "spaces",
        "app" => "apps",
        _ => "security groups",
    }
}

impl Org {
    /// An org without a quota and spaces.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            quota: None,
            metadata: Metadata::default(),
            spaces: Vec::new(),
        }
    }

    /// With the quota of this name.
    #[must_use]
    pub fn quota(mut self, name: impl Into<String>) -> Self {
        self.quota = Some(name.into());
        self
    }

    /// With these labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// With a space.
    #[must_use]
    pub fn space(mut self, space: Space) -> Self {
        self.spaces.push(space);
        self
    }
}

impl Space {
    /// A space without security groups and apps.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            security_groups: Vec::new(),
            metadata: Metadata::default(),
            groups: Vec::new(),
        }
    }

    /// With the security group of this name for running apps.
    #[must_use]
    pub fn security_group(mut self, name: impl Into<String>) -> Self {
        self.security_groups.push(name.into());
        self
    }

    /// With these labels and annotations.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// With a group of apps.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }
}

impl Group {
    /// One app, or with [`Group::count`] many.
    pub fn new(name: impl Into<String>, entry: ManifestEntry, bits: Bits) -> Self {
        Self {
            name: name.into(),
            entry,
            count: 1,
            bits,
            shown_env: HashSet::new(),
        }
    }

    /// With so many apps; none is allowed.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// With environment variables whose values a plan may show.
    #[must_use]
    pub fn shown_env<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.shown_env.extend(names.into_iter().map(Into::into));
        self
    }

    pub(crate) fn app_count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// The name of the app of this number.
    pub(crate) fn app_name(&self, index: u32) -> String {
        filled_in(&self.name, index, "").into_owned()
    }

    /// The names of all apps; the first is the prototype.
    pub(crate) fn app_names(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|index| self.app_name(index))
    }

    fn check(&self) -> Result<(), DesiredError> {
        if self.count > 1 && !has_index(&self.name) {
            return Err(DesiredError::NoIndex {
                group: self.name.clone(),
                count: self.count,
            });
        }
        if self.entry.get("docker").is_some() {
            return Err(DesiredError::Property {
                group: self.name.clone(),
                property: "docker",
                reason: "a group is staged from bits",
            });
        }
        let Some(last) = self.count.checked_sub(1) else {
            return Ok(());
        };
        let app = self.app_name(last);
        let entry = self.entry.of_app(&app, last, "apps.domain");
        for route in entry.routes().into_iter().flatten() {
            let host = route.split(['/', ':']).next().unwrap_or_default();
            if host.split('.').any(|label| label.len() > LONGEST_HOST) {
                let route = route.to_owned();
                return Err(DesiredError::HostTooLong { app, route });
            }
        }
        Ok(())
    }
}

impl Bits {
    /// The files of a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder(path.into())
    }

    /// The files of a zip archive.
    pub fn archive(path: impl Into<PathBuf>) -> Self {
        Self::Archive(path.into())
    }

    /// Files in memory, each with its path and content.
    pub fn files<P: Into<String>, C: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, C)>,
    ) -> Self {
        let files = files.into_iter();
        let files = files.map(|(path, content)| (path.into(), content.into()));
        Self::Files(Arc::new(files.collect()))
    }
}

impl SecurityGroup {
    /// A security group with these rules.
    pub fn new(name: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self {
            name: name.into(),
            rules,
        }
    }
}

impl Rule {
    /// A rule for TCP.
    pub fn tcp(destination: impl Into<String>, ports: impl Into<String>) -> Self {
        Self::new("tcp", destination, Some(ports.into()))
    }

    /// A rule for a protocol.
    pub fn new(
        protocol: impl Into<String>,
        destination: impl Into<String>,
        ports: Option<String>,
    ) -> Self {
        Self {
            protocol: protocol.into(),
            destination: destination.into(),
            ports,
        }
    }
}

impl Metadata {
    /// Without labels and annotations.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    /// With an annotation.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, entry: &str) -> Group {
        let entry = ManifestEntry::parse(entry).unwrap();
        Group::new(name, entry, Bits::files([("a", "b")]))
    }

    fn build(space: Space) -> Result<Desired, String> {
        let org = Org::new("o").space(space);
        let desired = Desired::builder("me").org(org).build();
        desired.map_err(|error| error.to_string())
    }

    #[test]
    fn apps_are_numbered_in_their_group() {
        let space = Space::new("s").group(group("a-{i}-z", "{}").count(3));
        let desired = build(
            space
                .group(group("b", "{}"))
                .group(group("none", "{}").count(0)),
        )
        .unwrap();
        assert_eq!(desired.app_count(), 4);
        let names: Vec<String> = desired
            .groups()
            .flat_map(|it| it.group.app_names())
            .collect();
        assert_eq!(names, ["a-0-z", "a-1-z", "a-2-z", "b"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |space: Space| build(space).unwrap_err();
        let space = || Space::new("s");
        let long = format!("routes: [{{route: '{}-{{i}}.test'}}]", "x".repeat(62));
        insta::assert_snapshot!(
            [
                refused(Space::new("")),
                refused(space().group(group("a", "{}").count(2))),
                refused(space().group(group("a", "{}")).group(group("a", "{}"))),
                refused(space().group(group("a", &long))),
                refused(space().group(group("a", "docker: {image: i}"))),
                refused(space().security_group("none")),
            ]
            .join("\n"),
            @"
        a space has no name
        the group a has 2 apps, so its name needs a {i} for the number of each
        there are two apps named a in the space s
        the route xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-0.test of the app a has a label of more than 63 characters
        the group a cannot have `docker`: a group is staged from bits
        the space s names the security group none, which is not defined
        "
        );
    }

    #[test]
    fn orgs_and_spaces_are_found_in_order() {
        let desired = Desired::builder("me")
            .org(
                Org::new("a")
                    .quota("q")
                    .space(Space::new("1"))
                    .space(Space::new("2")),
            )
            .org(Org::new("b").quota("q").space(Space::new("1")))
            .build()
            .unwrap();
        let spaces: Vec<_> = desired
            .spaces()
            .map(|it| {
                (
                    it.id,
                    it.org_id,
                    it.org.name.as_str(),
                    it.space.name.as_str(),
                )
            })
            .collect();
        assert_eq!(
            spaces,
            [(0, 0, "a", "1"), (1, 0, "a", "2"), (2, 1, "b", "1")]
        );
        assert_eq!(desired.quotas(), ["q"]);
    }
}
