//! Checks managed services against the quotas of organizations and spaces.

use crate::api::error::CcError;
use crate::world::{Field, Guid, Limits, Org, Row, Selection, SpaceQuota, World};

/// Checks that the quotas of organization and space allow one more instance, or a paid
/// plan.
pub(crate) fn check_quota(
    world: &World,
    space: Guid,
    free: bool,
    more: bool,
) -> Result<(), CcError> {
    let org = world.org_of(space);
    let of_org = org.and_then(|org| world.quotas.get(org.quota));
    let of_space = world.spaces.get(space).and_then(|space| space.quota);
    let of_space = of_space.and_then(|quota| world.get::<SpaceQuota>(quota));
    let managed_in = |spaces: Vec<Guid>| {
        let selection = Selection::all().any_guid(Field::Space, spaces);
        let instances = world.service_instances.select(&selection).into_iter();
        instances.filter(|it| it.managed.is_some()).count() as u64
    };
    let exceeds = |limits: Option<&Limits>, spaces: Vec<Guid>| {
        let limit = limits.and_then(|limits| limits.services);
        more && limit.is_some_and(|limit| managed_in(spaces) >= limit)
    };
    let costs = |limits: Option<&Limits>| !free && limits.is_some_and(|it| !it.paid_services);
    let of_org = of_org.map(|quota| &quota.limits);
    let of_space = of_space.map(|quota| &quota.limits);
    let in_org = org.map(|org: &Org| world.spaces_of(vec![org.guid()]));
    let detail = if exceeds(of_space, vec![space]) {
        "You have exceeded your space's services limit."
    } else if exceeds(of_org, in_org.unwrap_or_default()) {
        "You have exceeded your organization's services limit."
    } else if costs(of_space) {
        "The service instance cannot be created because paid service plans are not allowed for your space."
    } else if costs(of_org) {
        "The service instance cannot be created because paid service plans are not allowed."
    } else {
        return Ok(());
    };
    Err(CcError::unprocessable(detail))
}

/// Checks that the quotas of space and organization allow one more key.
pub(crate) fn check_key_quota(world: &World, space: Guid) -> Result<(), CcError> {
    let keys_in = |spaces: &[Guid]| {
        let bindings = world.service_bindings.iter().filter(|it| it.app.is_none());
        let keys = bindings.filter(|it| {
            let instance = world.service_instances.get(it.instance);
            instance.is_some_and(|instance| spaces.contains(&instance.space))
        });
        keys.count() as u64
    };
    let of_space = world.spaces.get(space).and_then(|space| space.quota);
    let of_space = of_space.and_then(|quota| world.space_quotas.get(quota));
    let of_space = of_space.and_then(|quota| quota.limits.service_keys);
    let org = world.org_of(space);
    let of_org = org.and_then(|org| world.quotas.get(org.quota)?.limits.service_keys);
    let in_org = org.map_or_else(Vec::new, |org| world.spaces_of(vec![org.guid()]));
    for (limit, spaces, whose) in [
        (of_space, vec![space], "space"),
        (of_org, in_org, "organization"),
    ] {
        if limit.is_some_and(|limit| keys_in(&spaces) >= limit) {
            return Err(CcError::unprocessable(format!(
                "You have exceeded your {whose}'s limit for service binding of type key."
            )));
        }
    }
    Ok(())
}
