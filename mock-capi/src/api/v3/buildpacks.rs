//! `/v3/buildpacks`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::buildpack_bits;
use crate::api::state::Present;
use crate::world::clock::Timestamp;
use crate::world::{Bits, Buildpack, Guid, Job, Kind, Row, Stack, Target, World};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/buildpacks", index),
    Route::post("/v3/buildpacks", create),
    Route::get("/v3/buildpacks/:guid", show),
    Route::patch("/v3/buildpacks/:guid", update),
    Route::delete("/v3/buildpacks/:guid", delete),
    Route::post("/v3/buildpacks/:guid/upload", upload),
    Route::post("/v3/admin/actions/clear_buildpack_cache", clear_cache),
];

const LIST: ListSpec = ListSpec {
    order_by: &["position", "lifecycle"],
    ..ListSpec::of(&[
        "stacks",
        "names",
        "lifecycle",
        "page",
        "per_page",
        "label_selector",
    ])
};

/// The lifecycles of buildpacks. The first is the default.
const LIFECYCLES: [&str; 2] = ["buildpack", "cnb"];
const NO_LIFECYCLE: &str = "must be either \"buildpack\" or \"cnb\"";
const MAX_NAME: usize = 250;

impl Present for Buildpack {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(buildpack: &Buildpack, view: &View<'_>) -> Value {
    let path = format!("/v3/buildpacks/{}", buildpack.base.guid);
    let file = buildpack.file_name(view.at);
    json!({
        "guid": buildpack.base.guid,
        "created_at": buildpack.base.created,
        "updated_at": buildpack.base.updated,
        "name": buildpack.name,
        "stack": buildpack.stack,
        "state": if file.is_some() { "READY" } else { "AWAITING_UPLOAD" },
        "lifecycle": buildpack.lifecycle,
        "filename": file,
        "position": buildpack.position,
        "enabled": buildpack.enabled,
        "locked": buildpack.locked,
        "metadata": buildpack.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "upload": view.action("POST", &format!("{path}/upload")),
        },
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    if !LIFECYCLES.contains(&query.value("lifecycle").unwrap_or(LIFECYCLES[0])) {
        return Err(CcError::bad_query(format!("Lifecycle {NO_LIFECYCLE}")));
    }
    let query = query.or_ordered_by("lifecycle", false);
    let selection = query.by_texts(query.selection(), "names", Buildpack::NAME);
    let keep = |buildpack: &Buildpack| {
        query.admits("stacks", buildpack.stack.as_deref().unwrap_or_default())
            && query.admits("lifecycle", &buildpack.lifecycle)
    };
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

/// The fields of a request about a buildpack. `None` leaves a field unchanged.
struct BuildpackRequest<'b> {
    name: Option<&'b str>,
    stack: Option<&'b str>,
    position: Option<u32>,
    enabled: Option<bool>,
    locked: Option<bool>,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let allowed = [
        "name",
        "stack",
        "position",
        "enabled",
        "locked",
        "lifecycle",
        "metadata",
    ];
    let mut message = Message::new(&body, &allowed);
    let name = message.check("name").string().present();
    let name = name.length_at_most(MAX_NAME);
    let name = name.matches(is_name, "is invalid").text();
    let asked = read(&mut message, name, Nullability::Nullable);
    let lifecycle = message.check("lifecycle").allow_null().string();
    let lifecycle = lifecycle.one_of(&LIFECYCLES, NO_LIFECYCLE);
    let lifecycle = lifecycle.text().unwrap_or(LIFECYCLES[0]);
    let patch = message.metadata();
    message.finish()?;
    let base = context.world.base_with(patch);
    let buildpack = Buildpack {
        base,
        name: asked.name.unwrap_or_default().into(),
        stack: asked.stack.map(str::to_owned),
        lifecycle: lifecycle.to_owned().into(),
        position: 0,
        enabled: asked.enabled.unwrap_or(true),
        locked: asked.locked.unwrap_or_default(),
        file: None,
        sha256: None,
    };
    check(context.world, &buildpack)?;
    let guid = context.world.add(buildpack);
    context
        .world
        .move_buildpack(guid, asked.position.unwrap_or(1));
    record(context, guid, "audit.buildpack.create");
    context.created(guid, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Buildpack>("guid")?;
    let body = context.request.object()?;
    let allowed = ["name", "stack", "position", "enabled", "locked", "metadata"];
    let mut message = Message::new(&body, &allowed);
    let name = message.check("name").allow_null().string();
    let name = name.length(0..=MAX_NAME).matches(is_name, "is invalid");
    let name = name.text();
    let unnamed = body.get("name").is_some_and(Value::is_null);
    let asked = read(&mut message, name, Nullability::Required);
    let patch = message.metadata();
    message.finish()?;
    let current: &Buildpack = context.row(guid)?;
    let stack = match body.contains_key("stack") {
        true => asked.stack.map(str::to_owned),
        false => current.stack.clone(),
    };
    if let Some(stack) = &stack {
        check_stack(context.world, stack)?;
    }
    if current.stack.is_some() && current.stack != stack {
        return Err(CcError::unprocessable("Buildpack stack cannot be changed"));
    }
    if unnamed {
        return Err(CcError::unprocessable(
            "name can only contain alphanumeric characters",
        ));
    }
    let name = asked.name.unwrap_or(&current.name).to_owned();
    check_unique(context.world, current, &name, stack.as_deref())?;
    context.world.update_row(guid, |buildpack: &mut Buildpack| {
        buildpack.name = name;
        buildpack.stack = stack;
        buildpack.enabled = asked.enabled.unwrap_or(buildpack.enabled);
        buildpack.locked = asked.locked.unwrap_or(buildpack.locked);
        buildpack.base.metadata.apply(patch);
    });
    if let Some(position) = asked.position {
        context.world.move_buildpack(guid, position);
    }
    record(context, guid, "audit.buildpack.update");
    context.ok(guid, present)
}

fn is_name(text: &str) -> bool {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.chars().all(in_name)
}

/// Whether a position or flag may be null.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nullability {
    Nullable,
    Required,
}

fn read<'b>(
    message: &mut Message<'b>,
    name: Option<&'b str>,
    null: Nullability,
) -> BuildpackRequest<'b> {
    let stack = message.optional_text("stack", 0..=MAX_NAME);
    let position = read_position(message, null);
    let mut flag = |key, label: &str| {
        if null == Nullability::Required && message.value(key).is_some_and(Value::is_null) {
            message.error(format!("{label} must be a boolean"));
        }
        message.boolean(key)
    };
    BuildpackRequest {
        name,
        stack,
        position,
        enabled: flag("enabled", "Enabled"),
        locked: flag("locked", "Locked"),
    }
}

fn read_position(message: &mut Message<'_>, null: Nullability) -> Option<u32> {
    let reason = match message.value("position")? {
        Value::Null if null == Nullability::Nullable => return None,
        Value::Number(number) => match number.as_i64() {
            Some(position) if position >= 1 => {
                return Some(u32::try_from(position).unwrap_or(u32::MAX));
            }
            Some(_) => "must be greater than or equal to 1",
            None => "must be an integer",
        },
        _ => "is not a number",
    };
    message.error(format!("Position {reason}"));
    None
}

/// Refuses a new buildpack whose stack does not exist, and duplicates.
fn check(world: &World, buildpack: &Buildpack) -> Result<(), CcError> {
    if let Some(stack) = &buildpack.stack {
        check_stack(world, stack)?;
    }
    check_unique(
        world,
        buildpack,
        &buildpack.name,
        buildpack.stack.as_deref(),
    )
}

fn check_stack(world: &World, stack: &str) -> Result<(), CcError> {
    match world.named::<Stack>(stack) {
        Some(_) => Ok(()),
        None => Err(CcError::unprocessable(format!(
            "Stack '{stack}' does not exist"
        ))),
    }
}

fn check_unique(
    world: &World,
    buildpack: &Buildpack,
    name: &str,
    stack: Option<&str>,
) -> Result<(), CcError> {
    let lifecycle = &buildpack.lifecycle;
    let taken = world.buildpacks.iter().any(|other| {
        let same = (other.name.as_str(), other.stack.as_deref()) == (name, stack);
        same && other.lifecycle == *lifecycle && other.guid() != buildpack.guid()
    });
    match (taken, stack) {
        (false, _) => Ok(()),
        (true, None) => Err(CcError::unprocessable(format!(
            "Buildpack with name '{name}' and an unassigned stack already exists"
        ))),
        (true, Some(stack)) => Err(CcError::unprocessable(format!(
            "Buildpack with name '{name}', stack '{stack}' and lifecycle '{lifecycle}' already exists"
        ))),
    }
}

/// Records an event of a buildpack.
fn record(context: &mut RequestContext<'_>, guid: Guid, kind: &'static str) {
    let name = context.world.buildpacks.get(guid);
    let name = name.map_or_else(String::new, |buildpack| buildpack.name.clone());
    let data = match kind {
        "audit.buildpack.delete" => json!({}),
        _ => json!({"request": context.request_body()}),
    };
    context
        .world
        .record_named(kind, "buildpack", guid, &name, data);
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Buildpack>("guid")?;
    record(context, guid, "audit.buildpack.delete");
    Ok(context.delete_in_job("buildpack.delete", Kind::Buildpack, guid))
}

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let buildpack: &Buildpack = context.named("guid")?;
    let guid = buildpack.guid();
    let (name, bits) = read_bits(context.request, &buildpack.lifecycle)?;
    if buildpack.locked {
        return Err(CcError::unprocessable("Buildpack is locked"));
    }
    let stack = buildpack_bits::stack_with(context.world, buildpack, bits);
    let (stack, refusal) = match stack {
        Ok(stack) => (stack, None),
        Err(refusal) => (None, Some(refusal.into())),
    };
    let has_bits = buildpack.sha256.as_ref() == Some(&bits.sha256)
        && buildpack.file_name(context.world.now()) == Some(name);
    let failure = context.faults.job(UPLOAD).or(refusal);
    let is_taken = failure.is_none() && !has_bits;
    let job = context
        .world
        .schedule(UPLOAD.into(), Some(guid), None, failure);
    // The previous bits stay until the job is done.
    let buildpack = context.present(guid, present)?;
    let ready_at = context.row::<Job>(job)?.ready_at;
    if is_taken {
        context.world.update_row(guid, |buildpack: &mut Buildpack| {
            buildpack.file = Some((name.to_owned(), ready_at));
            buildpack.sha256 = Some(bits.sha256.clone());
            buildpack.stack = stack;
        });
        record_upload(context, guid, ready_at, name);
    }
    let location = context.url(&format!("/v3/jobs/{job}"));
    Ok(Response::json(202, &buildpack).with_header("Location", location))
}

const UPLOAD: &str = "buildpack.upload";

/// Records, for the end of the job, that a buildpack got bits.
fn record_upload(context: &mut RequestContext<'_>, guid: Guid, at: Timestamp, file: &str) {
    let Some(buildpack) = context.world.buildpacks.get(guid) else {
        return;
    };
    let target = Target::of("buildpack", guid, &buildpack.name);
    let request = json!({"bits_path": format!("/tmp/{file}"), "bits_name": file});
    let data = json!({"request": request});
    context
        .world
        .record_target_at(at, "audit.buildpack.upload", target, data);
}

/// The buildpack in a multipart body, and its file name.
fn read_bits<'r>(request: &Request<'r>, lifecycle: &str) -> Result<(&'r str, &'r Bits), CcError> {
    const ZIP: &[u8] = b"PK\x03\x04";
    const GZIP: &[u8] = b"\x1F\x8B\x08";
    const TAR: &[u8] = b"ustar\x0000";
    const TAR_AT: usize = 257;
    let invalid = |reason: String| {
        CcError::unprocessable(format!("Uploaded buildpack file is invalid: {reason}"))
    };
    let unknown = request.form.unknown_fields(&["bits"]);
    let Some((name, bits)) = request.form.file("bits") else {
        let missing = "A buildpack zip file must be uploaded as 'bits'".to_owned();
        let errors: Vec<String> = unknown.into_iter().chain([missing]).collect();
        return Err(invalid(errors.join(", ")));
    };
    let mut errors = Vec::from_iter(unknown);
    let is_tar = || {
        bits.head
            .get(TAR_AT..)
            .is_some_and(|rest| rest.starts_with(TAR))
    };
    if lifecycle == "buildpack" && !bits.head.starts_with(ZIP) {
        errors.push(format!(
            "{name} is not a zip file. Buildpacks of lifecycle \"{lifecycle}\" must be valid zip files."
        ));
    } else if lifecycle == "cnb" && !bits.head.starts_with(GZIP) && !is_tar() {
        errors.push(format!(
            "{name} is not a gzip archive or cnb file. Buildpacks of lifecycle \"{lifecycle}\" must be valid gzip archives or cnb files."
        ));
    }
    if bits.is_empty() {
        errors.push(format!("{name} cannot be empty"));
    }
    if errors.is_empty() {
        Ok((name, bits))
    } else {
        Err(invalid(errors.join(", ")))
    }
}

/// There is no cache, so the job does nothing.
fn clear_cache(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(context.do_in_job("admin.clear_buildpack_cache", None))
}
