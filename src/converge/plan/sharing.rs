//! Groups of a space whose apps are staged from the same bits in the same way share a
//! droplet. It is staged once, and copied to the apps of the other groups. Groups of
//! different spaces share a droplet only if they declare it (`like`), so that a space
//! that fails does not block other spaces.

use std::collections::HashMap;

use serde_json::Value;

use super::app::DropletNeed;
use crate::desired::{Bits, Desired, PlacedGroup};

/// The properties, in addition to the environment, that affect the result of a staging.
const STAGED_WITH: [&str; 4] = ["buildpacks", "lifecycle", "services", "stack"];

/// Everything that a droplet depends on. Groups with equal values share a droplet.
#[derive(PartialEq, Eq, Hash)]
struct DropletKind<'d> {
    /// The index of the space.
    space: usize,
    /// The hash of the bits, the droplet or the image.
    bits: &'d str,
    /// The properties that the staging depends on. Empty for an uploaded droplet. An
    /// image depends on its login.
    properties: Vec<&'d Value>,
    /// The service instances that the space binds.
    services: Vec<&'d str>,
    env: Vec<(&'d str, &'d str)>,
}

impl<'d> DropletKind<'d> {
    /// The kind of a group's droplet. `None` if the group has no droplet, or if its
    /// droplet is not copied.
    fn of(placed: &PlacedGroup<'d>, bits: &'d str) -> Option<Self> {
        let group = placed.group;
        let image = group.entry.get("docker");
        let is_shared = group.like.is_none() && group.is_copied() && group.count > 0;
        if !is_shared || (group.bits == Bits::None && image.is_none()) {
            return None;
        }
        let is_staged = image.is_none() && !matches!(group.bits, Bits::Droplet(_));
        let properties = STAGED_WITH.iter().filter(|_| is_staged);
        let properties = properties.filter_map(|key| group.entry.get(key));
        let first = group.app_name(0);
        let bindings = placed.space.space.service_bindings.iter();
        let bindings = bindings.filter(|it| is_staged && it.is_of(group, &first));
        let env = group.entry.env().iter().filter(|_| is_staged);
        Some(Self {
            space: placed.space.id,
            bits,
            properties: properties.chain(image).collect(),
            services: bindings.map(|it| it.service.as_str()).collect(),
            env: env
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        })
    }
}

/// The groups that get the droplet of another group without naming it, and that group. A
/// group whose prototype has its own droplet keeps it, and the first such group of a kind
/// is the source of the others.
pub(super) fn sources(
    desired: &Desired,
    bits: &[String],
    needs: &[DropletNeed<'_>],
) -> HashMap<usize, usize> {
    let groups: Vec<PlacedGroup<'_>> = desired.groups().collect();
    let mut kinds: HashMap<DropletKind<'_>, Vec<usize>> = HashMap::new();
    for placed in &groups {
        let bits = bits.get(placed.id).map(String::as_str).unwrap_or_default();
        if matches!(needs.get(placed.id), Some(DropletNeed::Keep)) {
            continue;
        }
        if let Some(kind) = DropletKind::of(placed, bits) {
            kinds.entry(kind).or_default().push(placed.id);
        }
    }
    let has_droplet = |id: &usize| {
        matches!(
            needs.get(*id),
            Some(DropletNeed::Nothing(_) | DropletNeed::Set(_))
        )
    };
    let mut sources = HashMap::new();
    for alike in kinds.values() {
        let first = alike.iter().find(|id| has_droplet(id)).or(alike.first());
        let Some(source) = first else { continue };
        let others = alike.iter().filter(|id| *id != source && !has_droplet(id));
        sources.extend(others.map(|id| (*id, *source)));
    }
    sources
}
