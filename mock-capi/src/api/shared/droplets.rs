//! Lists, copies and uploads of droplets.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::ListQuery;
use crate::world::settings::Dialect;
use crate::world::{
    AccessScope, App, Bits, Droplet, Field, Guid, Job, Lifecycle, Origin, Registered,
};

/// The checksum, if the droplet has bits.
pub(crate) fn checksum(droplet: &Droplet, view: &View<'_>) -> Option<Value> {
    let has_bits = droplet.is_staged(view.at) && droplet.lifecycle != Lifecycle::Docker;
    has_bits.then(|| json!({"type": "sha256", "value": droplet.sha256}))
}

/// Responds with droplets, optionally of one app or package.
pub(crate) fn list(
    context: &RequestContext<'_>,
    query: &ListQuery,
    nested: Option<(Field, Guid)>,
    keep: impl Fn(&Droplet) -> bool,
    present: fn(&Droplet, &View<'_>) -> Value,
) -> Result<Response, CcError> {
    let now = context.world.now();
    let keep = |droplet: &Droplet| keep(droplet) && query.admits("states", droplet.state(now));
    let selection = query.by_owners(context.world, nested)?;
    match context.settings.dialect {
        Dialect::V3 => query.respond_by_query(context, &selection, keep, present),
        // Droplets that are being staged are also listed.
        Dialect::Documented2017 => query.respond(context, &selection, keep, present),
    }
}

/// Starts to copy a staged droplet to an app.
pub(crate) fn copy_droplet(
    context: &mut RequestContext<'_>,
    source: &str,
    app: &str,
) -> Result<Guid, CcError> {
    let source: &Droplet = context.row_of(source)?;
    let app: &App = context.row_of(app)?;
    context.authorize(AccessScope::Space(app.space))?;
    if !source.is_staged(context.world.now()) {
        return Err(CcError::unprocessable("source droplet is not staged"));
    }
    if source.lifecycle.kind() != app.lifecycle.kind() {
        return Err(CcError::unprocessable(
            "source and destination lifecycle types do not match",
        ));
    }
    let (source, app, name) = (source.base.guid, app.base.guid, app.name.clone());
    let error = context.faults.copy(&name);
    let copy = context.world.copy_droplet(source, app, error);
    let copy = copy.ok_or_else(|| CcError::not_found(Droplet::KIND))?;
    let text = format!("Creating droplet for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"droplet_guid": copy, "request": {"source_droplet_guid": source}});
    context.world.record(app, "audit.app.droplet.create", data);
    Ok(copy)
}

/// Adds the bits to a droplet that awaits an upload. A job stores them.
pub(crate) fn receive_droplet(
    context: &mut RequestContext<'_>,
    droplet: Guid,
    bits: &Bits,
    job: Guid,
) -> Result<(), CcError> {
    let Job {
        ready_at, failure, ..
    } = context.row(job)?;
    let ready_at = *ready_at;
    let error = failure
        .clone()
        .and_then(|failure| CcError::from(failure).staging_text());
    context.world.keep(bits);
    context.world.update_row(droplet, |droplet: &mut Droplet| {
        droplet.origin = Origin::Uploading;
        droplet.ready_at = ready_at;
        droplet.sha256 = bits.sha256.clone();
        droplet.error = error;
    });
    Ok(())
}
