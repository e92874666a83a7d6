//! `/v2/security_groups`

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{Errors, delete, resource, spaces};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::v3::security_groups::add_missing;
use crate::api::v3::security_rules::rule_errors;
use crate::world::{Field, Guid, Kind, Row, SecurityGroup, Space};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/security_groups", index),
    Route::post("/v2/security_groups", create),
    Route::get("/v2/security_groups/:guid", show),
    Route::put("/v2/security_groups/:guid", update),
    Route::delete("/v2/security_groups/:guid", destroy),
    Route::get("/v2/security_groups/:guid/spaces", index_spaces),
    Route::put("/v2/security_groups/:guid/spaces/:space", bind),
    Route::delete("/v2/security_groups/:guid/spaces/:space", unbind),
];

const FILTERS: Filters = &[("name", Field::Name)];

const ERRORS: Errors = Errors {
    not_found: (
        300_002,
        "CF-SecurityGroupNotFound",
        "The security group could not be found",
    ),
    name_taken: (
        300_005,
        "CF-SecurityGroupNameTaken",
        "The security group name is taken",
    ),
};

fn present(group: &SecurityGroup, _view: &View<'_>) -> Value {
    let path = format!("/v2/security_groups/{}", group.base.guid);
    let entity = json!({
        "name": group.name,
        "rules": group.rules,
        "running_default": group.running_default,
        "staging_default": group.staging_default,
        "spaces_url": format!("{path}/spaces"),
        "staging_spaces_url": format!("{path}/staging_spaces"),
    });
    resource(&group.base, "security_groups", entity)
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    ERRORS.find::<SecurityGroup>(context)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// Security groups; those of one space, if that is given.
pub(super) fn list(context: &RequestContext<'_>, space: Option<Guid>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let mut selection = query.selection();
    if let Some(space) = space {
        selection = selection.any_guid(Field::RunningSpace, [space]);
    }
    Ok(query.answer(context, &selection, |_| true, present))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.text("name").unwrap_or_default();
    let rules = read_rules(&mut attributes)?.unwrap_or_default();
    let bound = attributes.optional_list("space_guids");
    attributes.finish()?;
    if context.world.name_taken::<SecurityGroup>(name, None) {
        return Err(ERRORS.taken(name));
    }
    let running_spaces = match bound {
        Some(guids) => known_spaces(context, guids)?,
        None => Vec::new(),
    };
    let base = context.world.base();
    let guid = context.world.add(SecurityGroup {
        base,
        name: name.into(),
        rules,
        running_default: false,
        staging_default: false,
        running_spaces,
        staging_spaces: Vec::new(),
    });
    context.created(guid, present)
}

fn known_spaces(context: &RequestContext<'_>, guids: &[Value]) -> Result<Vec<Guid>, CcError> {
    let mut spaces = Vec::new();
    for guid in guids {
        let text = guid.as_str().unwrap_or_default();
        let space: &Space = super::related(context.world, "Space", text)?;
        add_missing(&mut spaces, &[space.guid()]);
    }
    Ok(spaces)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.optional_text("name");
    let rules = read_rules(&mut attributes)?;
    attributes.finish()?;
    if let Some(name) =
        name.filter(|name| context.world.name_taken::<SecurityGroup>(name, Some(guid)))
    {
        return Err(ERRORS.taken(name));
    }
    context.world.touch(guid, |group: &mut SecurityGroup| {
        group.name = name.map_or_else(|| std::mem::take(&mut group.name), str::to_owned);
        group.rules = rules.unwrap_or_else(|| std::mem::take(&mut group.rules));
    });
    context.created(guid, present)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    Ok(delete(
        context,
        "security_group.delete",
        Kind::SecurityGroup,
        guid,
    ))
}

fn index_spaces(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let bound = context.world.security_groups.get(guid);
    let bound = bound
        .map(|group| group.running_spaces.clone())
        .unwrap_or_default();
    let query = Query::read(context, &[("name", Field::Name)])?;
    let selection = query.selection().any_guid(Field::Guid, bound);
    Ok(query.answer(context, &selection, |_| true, spaces::present))
}

fn find_space(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let text = context.capture("space");
    context
        .world
        .look_up::<Space>(text)
        .map(Row::guid)
        .ok_or_else(|| spaces::ERRORS.not_found(text))
}

fn bind(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, space) = (find(context)?, find_space(context)?);
    context.world.touch(guid, |group: &mut SecurityGroup| {
        add_missing(&mut group.running_spaces, &[space]);
    });
    context.created(guid, present)
}

fn unbind(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, space) = (find(context)?, find_space(context)?);
    context.world.touch(guid, |group: &mut SecurityGroup| {
        group.running_spaces.retain(|other| *other != space);
    });
    Ok(Response::empty(204))
}

fn read_rules(attributes: &mut Attributes<'_>) -> Result<Option<Vec<Value>>, CcError> {
    let Some(rules) = attributes.optional_list("rules") else {
        return Ok(None);
    };
    for (index, rule) in rules.iter().enumerate() {
        if let Some(error) = rule_errors(rule).first() {
            let number = index + 1;
            return Err(CcError::new(
                400,
                300_001,
                "CF-SecurityGroupInvalid",
                format!("The security group is invalid: rules rule number {number} {error}"),
            ));
        }
    }
    Ok(Some(rules.clone()))
}
