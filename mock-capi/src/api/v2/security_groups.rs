//! `/v2/security_groups`, and the defaults for running and staged apps

use serde_json::{Value, json};

use super::collection::{self, Collection, Relation, by_guid, row};
use super::entity::Entity;
use super::filter::Filter;
use super::schema::{self, Attribute};
use super::source::{Source, rows};
use super::spaces::{SPACES, set_bound};
use super::{authorize, delete, found_by_guid, known, post, put, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::api::shared::security_rules::model_errors;
use crate::world::{
    ADMINS, AccessScope, Field, Guid, Kind, Row, SecurityGroup, Selection, Space, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/security_groups", collection::index),
    post("/v2/security_groups", create),
    Route::get("/v2/security_groups/:guid", collection::show),
    put("/v2/security_groups/:guid", update),
    remove("/v2/security_groups/:guid", destroy),
    Route::get("/v2/security_groups/:guid/spaces", collection::related),
    put("/v2/security_groups/:guid/spaces/:other", bind),
    remove("/v2/security_groups/:guid/spaces/:other", unbind),
    Route::get(
        "/v2/security_groups/:guid/staging_spaces",
        collection::related,
    ),
    put(
        "/v2/security_groups/:guid/staging_spaces/:other",
        bind_staging,
    ),
    remove(
        "/v2/security_groups/:guid/staging_spaces/:other",
        unbind_staging,
    ),
    Route::get("/v2/config/running_security_groups", collection::index),
    put("/v2/config/running_security_groups/:guid", set_running),
    remove("/v2/config/running_security_groups/:guid", unset_running),
    Route::get("/v2/config/staging_security_groups", collection::index),
    put("/v2/config/staging_security_groups/:guid", set_staging),
    remove("/v2/config/staging_security_groups/:guid", unset_staging),
];

static RELATIONS: [Relation; 2] = [
    Relation::many("spaces", &SPACES, |world, guid| {
        let group = world.security_groups.get(guid);
        spaces(world, group.map(|group| &group.running_spaces))
    }),
    Relation::many("staging_spaces", &SPACES, |world, guid| {
        let group = world.security_groups.get(guid);
        spaces(world, group.map(|group| &group.staging_spaces))
    }),
];

pub(super) static SECURITY_GROUPS: Collection = Collection {
    path: "/v2/security_groups",
    source: Source::of::<SecurityGroup>(),
    get: row::<SecurityGroup>,
    parse: by_guid,
    relations: &RELATIONS,
    filters: &[Filter::EXACT_NAME],
    order_by: &[],
    not_found: (
        300_002,
        "CF-SecurityGroupNotFound",
        "The security group could not be found",
    ),
};

pub(super) static RUNNING_SECURITY_GROUPS: Collection = Collection {
    path: "/v2/config/running_security_groups",
    source: Source::of::<SecurityGroup>()
        .of_kind(SecurityGroup::RUNNING_DEFAULT)
        .public(),
    get: row::<SecurityGroup>,
    parse: by_guid,
    relations: &[],
    filters: &[],
    order_by: &[],
    not_found: (
        300_004,
        "CF-SecurityGroupRunningDefaultInvalid",
        "The security group could not be found",
    ),
};

pub(super) static STAGING_SECURITY_GROUPS: Collection = Collection {
    path: "/v2/config/staging_security_groups",
    source: Source::of::<SecurityGroup>()
        .of_kind(SecurityGroup::STAGING_DEFAULT)
        .public(),
    get: row::<SecurityGroup>,
    parse: by_guid,
    relations: &[],
    filters: &[],
    order_by: &[],
    not_found: (
        300_003,
        "CF-SecurityGroupStagingDefaultInvalid",
        "The security group could not be found",
    ),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::objects("rules"),
    Attribute::texts("space_guids"),
    Attribute::texts("staging_space_guids"),
];

fn spaces<'w>(world: &'w World, guids: Option<&Vec<Guid>>) -> Vec<Entity<'w>> {
    let guids = guids.into_iter().flatten().copied();
    rows::<Space>(world, &Selection::all().any_guid(Field::Guid, guids))
}

pub(super) fn attributes(group: &SecurityGroup) -> Value {
    json!({
        "name": group.name,
        "rules": group.rules,
        "running_default": group.running_default,
        "staging_default": group.staging_default,
    })
}

/// Checks attributes as the Cloud Controller's model does.
fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let name = attributes.text("name");
    let taken = name.filter(|name| context.world.name_taken::<SecurityGroup>(name, own));
    if let Some(name) = taken {
        let detail = format!("The security group name is taken: {name}");
        return Err(CcError::new(
            400,
            300_005,
            "CF-SecurityGroupNameTaken",
            detail,
        ));
    }
    let mut errors = Vec::new();
    errors.extend(attributes.text("name").and_then(super::name_error));
    let rules = attributes.list("rules").into_iter().flatten();
    errors.extend(model_errors(rules, context.settings.ipv6));
    match errors.as_slice() {
        [] => Ok(()),
        errors => {
            let detail = format!("The security group is invalid: {}", errors.join(", "));
            Err(CcError::new(
                400,
                300_001,
                "CF-SecurityGroupInvalid",
                detail,
            ))
        }
    }
}

/// The spaces of a request.
fn read_spaces(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    name: &str,
) -> Result<Option<Vec<Guid>>, CcError> {
    let Some(texts) = attributes.texts(name) else {
        return Ok(None);
    };
    let mut spaces = Vec::new();
    for text in texts {
        let space = found_by_guid::<Space>(context.world, "Space", text)?.guid();
        if !spaces.contains(&space) {
            spaces.push(space);
        }
    }
    Ok(Some(spaces))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let running = read_spaces(context, attributes, "space_guids")?;
    let staging = read_spaces(context, attributes, "staging_space_guids")?;
    validate(context, attributes, None)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let base = context.world.base();
    let guid = context.world.add(SecurityGroup {
        base,
        name: attributes.text("name").unwrap_or_default().into(),
        rules: attributes.list("rules").cloned().unwrap_or_default(),
        running_default: false,
        staging_default: false,
        running_spaces: running.unwrap_or_default(),
        staging_spaces: staging.unwrap_or_default(),
    });
    SECURITY_GROUPS.created(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let guid = known(context, &SECURITY_GROUPS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let running = read_spaces(context, attributes, "space_guids")?;
    let staging = read_spaces(context, attributes, "staging_space_guids")?;
    validate(context, attributes, Some(guid))?;
    context.world.update_row(guid, |group: &mut SecurityGroup| {
        if let Some(name) = attributes.text("name") {
            group.name = name.into();
        }
        if let Some(rules) = attributes.list("rules") {
            group.rules.clone_from(rules);
        }
        if let Some(spaces) = running {
            group.running_spaces = spaces;
        }
        if let Some(spaces) = staging {
            group.staging_spaces = spaces;
        }
    });
    SECURITY_GROUPS.changed(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SECURITY_GROUPS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let operation = "security_group.delete";
    Ok(delete(context, operation, Kind::SecurityGroup, guid))
}

fn change(context: &mut RequestContext<'_>, running: bool, bound: bool) -> Result<Guid, CcError> {
    let guid = known(context, &SECURITY_GROUPS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let space = context.capture("other");
    let space = found_by_guid::<Space>(context.world, "Space", space)?.guid();
    set_bound(context.world, guid, space, running, bound);
    Ok(guid)
}

fn bind(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = change(context, true, true)?;
    SECURITY_GROUPS.changed(context, guid)
}

fn unbind(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    change(context, true, false)?;
    Ok(Response::empty(204))
}

fn bind_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = change(context, false, true)?;
    SECURITY_GROUPS.changed(context, guid)
}

fn unbind_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    change(context, false, false)?;
    Ok(Response::empty(204))
}

/// Sets whether a security group applies to all running or staged apps.
fn set_default(
    context: &mut RequestContext<'_>,
    collection: &'static Collection,
    set: impl FnOnce(&mut SecurityGroup),
) -> Result<Guid, CcError> {
    let text = context.capture("guid");
    let guid = context.world.look_up::<SecurityGroup>(text).map(Row::guid);
    let (code, title, detail) = collection.not_found;
    // The error reports an invalid setting instead of a missing group.
    let invalid = || CcError::new(400, code, title, format!("{detail}: {text}"));
    let guid = guid.ok_or_else(invalid)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    context.world.update_row(guid, set);
    Ok(guid)
}

fn set_running(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = set_default(context, &RUNNING_SECURITY_GROUPS, |group| {
        group.running_default = true;
    })?;
    let presented = RUNNING_SECURITY_GROUPS.present(context, guid)?;
    Ok(Response::ok(&presented))
}

fn unset_running(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    set_default(context, &RUNNING_SECURITY_GROUPS, |group| {
        group.running_default = false;
    })?;
    Ok(Response::empty(204))
}

fn set_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = set_default(context, &STAGING_SECURITY_GROUPS, |group| {
        group.staging_default = true;
    })?;
    let presented = STAGING_SECURITY_GROUPS.present(context, guid)?;
    Ok(Response::ok(&presented))
}

fn unset_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    set_default(context, &STAGING_SECURITY_GROUPS, |group| {
        group.staging_default = false;
    })?;
    Ok(Response::empty(204))
}
