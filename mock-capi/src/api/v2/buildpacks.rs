//! `/v2/buildpacks`

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Value, json};

use super::collection::{self, Collection, by_guid, row};
use super::entity::Entity;
use super::filter::Filter;
use super::schema::{self, Attribute};
use super::source::Source;
use super::{authorize, delete, jobs, known, post, put, remove};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::buildpack_bits;
use crate::world::{ADMINS, AccessScope, Buildpack, Guid, Kind, Row, Stack};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/buildpacks", collection::index),
    post("/v2/buildpacks", create),
    Route::get("/v2/buildpacks/:guid", collection::show),
    put("/v2/buildpacks/:guid", update),
    remove("/v2/buildpacks/:guid", destroy),
    put("/v2/buildpacks/:guid/bits", upload),
    Route::get("/v2/buildpacks/:guid/download", download).open(),
    remove("/v2/blobstores/buildpack_cache", clear_cache),
];

pub(super) static BUILDPACKS: Collection = Collection {
    path: "/v2/buildpacks",
    source: Source::of::<Buildpack>(),
    get: row::<Buildpack>,
    parse: by_guid,
    relations: &[],
    filters: &[
        Filter::EXACT_NAME,
        Filter::text("stack", |_, buildpack| match buildpack {
            Entity::Buildpack(buildpack) => buildpack.stack.iter().cloned().collect(),
            _ => Vec::new(),
        }),
        Filter::text("lifecycle", |_, buildpack| match buildpack {
            Entity::Buildpack(buildpack) => vec![buildpack.lifecycle.to_string()],
            _ => Vec::new(),
        }),
    ],
    order_by: &[],
    not_found: (10000, "CF-NotFound", "Unknown request"),
};

const NEW: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::text("stack"),
    Attribute::text("lifecycle"),
    Attribute::integer("position"),
    Attribute::boolean("enabled"),
    Attribute::boolean("locked"),
];
const CHANGE: &[Attribute] = &[
    Attribute::text("name"),
    Attribute::text("stack"),
    Attribute::integer("position"),
    Attribute::boolean("enabled"),
    Attribute::boolean("locked"),
];

pub(super) fn attributes(buildpack: &Buildpack, view: &View<'_>) -> Value {
    json!({
        "name": buildpack.name,
        "stack": buildpack.stack,
        "position": buildpack.position,
        "enabled": buildpack.enabled,
        "locked": buildpack.locked,
        "filename": buildpack.file_name(view.world.now()),
        "lifecycle": buildpack.lifecycle,
    })
}

fn invalid(errors: &[String]) -> CcError {
    let detail = format!("Buildpack is invalid: {}", errors.join(", "));
    CcError::new(400, 290_003, "CF-BuildpackInvalid", detail)
}

/// Checks name, stack and lifecycle of a buildpack as the Cloud Controller's model does.
fn validate(
    context: &RequestContext<'_>,
    name: &str,
    stack: Option<&str>,
    lifecycle: &str,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let mut errors = Vec::new();
    let allowed = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(allowed) {
        errors.push("name can only contain alphanumeric characters".to_owned());
    }
    if stack.is_some_and(|stack| context.world.named::<Stack>(stack).is_none()) {
        errors.push("stack buildpack_stack_does_not_exist".to_owned());
    }
    let mut others = context.world.buildpacks.iter();
    let taken = others.any(|other| {
        Some(other.guid()) != own
            && (
                other.name == name,
                other.stack.as_deref(),
                &*other.lifecycle,
            ) == (true, stack, lifecycle)
    });
    if taken && stack.is_none() {
        errors.push("stack unique".to_owned());
    }
    if !errors.is_empty() {
        return Err(invalid(&errors));
    }
    if taken {
        let stack = stack.unwrap_or_default();
        return Err(buildpack_bits::name_taken(name, stack, lifecycle));
    }
    Ok(())
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, NEW)?;
    let name = attributes.text("name").unwrap_or_default();
    let stack = attributes.text("stack");
    let lifecycle = match attributes.text("lifecycle") {
        None | Some("buildpack") => "buildpack",
        Some("cnb") => "cnb",
        Some(_) => return Err(invalid(&["lifecycle inclusion".to_owned()])),
    };
    validate(context, name, stack, lifecycle, None)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let base = context.world.base();
    let guid = context.world.add(Buildpack {
        base,
        name: name.into(),
        stack: stack.map(str::to_owned),
        lifecycle: lifecycle.into(),
        position: 0,
        enabled: attributes.boolean("enabled").unwrap_or(true),
        locked: attributes.boolean("locked").unwrap_or_default(),
        file: None,
        sha256: None,
    });
    let position = attributes.integer("position").unwrap_or_default();
    move_to(context, guid, position);
    BUILDPACKS.created(context, guid)
}

/// Moves a buildpack to a position, counted from 1.
fn move_to(context: &mut RequestContext<'_>, guid: Guid, position: i64) {
    let position = u32::try_from(position.max(1)).unwrap_or(u32::MAX);
    context.world.move_buildpack(guid, position);
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, CHANGE)?;
    let guid = find(context)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let buildpack: &Buildpack = context.row(guid)?;
    let name = attributes.text("name").unwrap_or(&buildpack.name);
    let stack = attributes.text("stack").or(buildpack.stack.as_deref());
    if buildpack.stack.is_some() && buildpack.stack.as_deref() != stack {
        return Err(invalid(&["stack buildpack_cant_change_stacks".to_owned()]));
    }
    validate(context, name, stack, &buildpack.lifecycle, Some(guid))?;
    let (name, stack) = (name.to_owned(), stack.map(str::to_owned));
    context.world.update_row(guid, |buildpack: &mut Buildpack| {
        buildpack.name = name;
        buildpack.stack = stack;
        buildpack.enabled = attributes.boolean("enabled").unwrap_or(buildpack.enabled);
        buildpack.locked = attributes.boolean("locked").unwrap_or(buildpack.locked);
    });
    if let Some(position) = attributes.integer("position") {
        move_to(context, guid, position);
    }
    BUILDPACKS.changed(context, guid)
}

/// The buildpack that the path names. The error does not contain the GUID.
fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    known(context, &BUILDPACKS).map_err(|_| CcError::unknown_request())
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    Ok(delete(context, "buildpack.delete", Kind::Buildpack, guid))
}

fn upload_invalid(reason: &str) -> CcError {
    let detail = format!("The buildpack upload is invalid: {reason}");
    CcError::new(400, 290_002, "CF-BuildpackBitsUploadInvalid", detail)
}

/// `PUT /v2/buildpacks/:guid/bits`: replaces the bits at once.
fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The Cloud Controller has no error for an unknown buildpack here.
    let guid = known(context, &BUILDPACKS).map_err(|_| CcError::unknown())?;
    if !context.access.is_everything() {
        return Err(CcError::insufficient_scope());
    }
    let buildpack: &Buildpack = context.row(guid)?;
    if buildpack.locked {
        let detail = "The buildpack is locked";
        return Err(CcError::new(409, 290_005, "CF-BuildpackLocked", detail));
    }
    let file = context.request.form.file("buildpack");
    let file = file.filter(|(name, _)| !name.is_empty());
    let (name, bits) = file.ok_or_else(|| upload_invalid("a filename must be specified"))?;
    if Path::new(name).extension() != Some(OsStr::new("zip")) {
        return Err(upload_invalid("only zip files allowed"));
    }
    let name = name.rsplit('/').next().unwrap_or(name);
    let now = context.world.now();
    let has_bits = buildpack.sha256.as_ref() == Some(&bits.sha256);
    if has_bits && buildpack.file_name(now) == Some(name) {
        return Ok(Response::empty(204));
    }
    let stack = buildpack_bits::stack_with(context.world, buildpack, bits)?;
    context.world.update_row(guid, |buildpack: &mut Buildpack| {
        buildpack.file = Some((name.to_owned(), now));
        buildpack.sha256 = Some(bits.sha256.clone());
        buildpack.stack = stack;
    });
    BUILDPACKS.changed(context, guid)
}

/// Stagers download buildpacks, with a login that no user has.
fn download(_context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Err(CcError::not_authenticated())
}

/// There is no cache, so the job does nothing.
fn clear_cache(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let job = context.start_job("admin.clear_buildpack_cache", None, None);
    Ok(Response::json(
        202,
        &jobs::present_queued(context.world, job),
    ))
}
