//! `/v3/revisions`, and the revisions of an app

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{Field, Guid, READ_SECRETS, Revision, Row, WRITE_SPACE};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/revisions", index_of_app),
    Route::get("/v3/apps/:guid/revisions/deployed", index_of_deployed),
    Route::get("/v3/revisions/:guid", show),
    Route::patch("/v3/revisions/:guid", update).by(WRITE_SPACE),
    Route::get("/v3/revisions/:guid/environment_variables", environment).by(READ_SECRETS),
];

const LIST: ListSpec = ListSpec::of(&["versions", "deployable", "label_selector"]);
const LIST_DEPLOYED: ListSpec = ListSpec::of(&[]);

impl Present for Revision {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(revision: &Revision, view: &View<'_>) -> Value {
    let path = format!("/v3/revisions/{}", revision.base.guid);
    let deployed = &revision.deployed;
    let processes = deployed.commands.iter();
    let processes: Map<String, Value> = processes
        .map(|(kind, command)| (kind.clone(), json!({"command": command})))
        .collect();
    let sidecars = deployed.sidecars.iter().map(|(name, sidecar)| {
        json!({
            "name": name,
            "command": sidecar.command,
            "memory_in_mb": sidecar.memory_mb,
            "process_types": sidecar.process_types,
        })
    });
    let droplet = view.world.droplets.get(deployed.droplet);
    json!({
        "guid": revision.base.guid,
        "version": revision.version,
        "droplet": {"guid": deployed.droplet},
        "processes": processes,
        "sidecars": sidecars.collect::<Vec<_>>(),
        "description": revision.description,
        "relationships": {"app": to_one(Some(revision.app))},
        "created_at": revision.base.created,
        "updated_at": revision.base.updated,
        "links": {
            "self": view.link(&path),
            "app": view.link(&format!("/v3/apps/{}", revision.app)),
            "environment_variables": view.link(&format!("{path}/environment_variables")),
        },
        "metadata": revision.base.metadata.present(),
        "deployable": droplet.is_some_and(|droplet| droplet.is_staged(view.at)),
    })
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    // The value is always a string, and therefore never valid.
    if query.value("deployable").is_some() {
        return Err(CcError::bad_query("Deployable must be a boolean"));
    }
    let app = apps::find(context)?;
    let selection = query.selection().any_guid(Field::App, [app]);
    let keep = |revision: &Revision| query.admits("versions", &revision.version.to_string());
    query.respond(context, &selection, keep, present)
}

/// The revisions of the app's started processes.
fn index_of_deployed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST_DEPLOYED)?;
    let app = apps::find(context)?;
    let processes = context.world.processes_of(app).into_iter();
    let started = processes.filter(|process| process.started);
    let deployed: HashSet<Guid> = started.filter_map(|process| process.revision).collect();
    let selection = query.selection().any_guid(Field::App, [app]);
    let keep = |revision: &Revision| deployed.contains(&revision.guid());
    query.respond(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let patch = context.metadata_patch()?;
    let guid = context.guid_of::<Revision>("guid")?;
    context.update_metadata(guid, patch, present)
}

fn environment(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let revision: &Revision = context.named("guid")?;
    let (app, data) = (
        revision.app,
        json!({"revision_guid": revision.guid(), "revision_version": revision.version}),
    );
    context
        .world
        .record(app, "audit.app.revision.environment_variables.show", data);
    context.show("guid", |revision: &Revision, view| {
        let path = format!("/v3/revisions/{}", revision.base.guid);
        json!({
            "var": revision.deployed.environment.clone().unwrap_or_default(),
            "links": {
                "self": view.link(&format!("{path}/environment_variables")),
                "revision": view.link(&path),
                "app": view.link(&format!("/v3/apps/{}", revision.app)),
            },
        })
    })
}
