//! `/v3/routes/:guid/relationships`: the space of a route, and the spaces with which
//! it is shared.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_many};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::{Message, to_many_body};
use crate::api::router;
use crate::world::{AccessScope, Guid, MANAGE_APPS, Route, Row, Space, WRITE_SPACE};

use super::security_groups::add_missing;

/// This feature flag also applies to administrators.
const FLAG: &str = "route_sharing";

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/routes/:guid/relationships/shared_spaces", show).flagged(FLAG),
    router::Route::post("/v3/routes/:guid/relationships/shared_spaces", share)
        .by(MANAGE_APPS)
        .flagged(FLAG),
    router::Route::delete(
        "/v3/routes/:guid/relationships/shared_spaces/:space",
        unshare,
    )
    .by(MANAGE_APPS)
    .flagged(FLAG),
    router::Route::patch("/v3/routes/:guid/relationships/space", transfer)
        .by(WRITE_SPACE)
        .flagged(FLAG),
];

fn present(route: &Route, view: &View<'_>) -> Value {
    let path = format!("/v3/routes/{}/relationships/shared_spaces", route.guid());
    let mut relationship = to_many(route.shared_with.iter().copied());
    relationship["links"] = json!({"self": view.link(&path)});
    relationship
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn share(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route: &Route = context.named("guid")?;
    let (guid, own) = (route.guid(), route.space);
    let url = context.world.route_url(route);
    let body = context.request.object()?;
    let texts = to_many_body(&body)?;
    let spaces = find_spaces(context, &url, &texts)?;
    if spaces.contains(&own) {
        return Err(CcError::unprocessable(format!(
            "Unable to share route '{url}' with space '{own}'. Routes cannot be shared into the space where they were created."
        )));
    }
    context.world.update_row(guid, |route: &mut Route| {
        add_missing(&mut route.shared_with, &spaces);
    });
    let data = json!({"target_space_guids": spaces});
    context.world.record_route(guid, "audit.route.share", data);
    context.ok(guid, present)
}

/// The spaces with these GUIDs, if the caller can see all of them and write to them.
fn find_spaces(
    context: &RequestContext<'_>,
    url: &str,
    texts: &[&str],
) -> Result<Vec<Guid>, CcError> {
    let (mut spaces, mut unknown, mut read_only) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        match context.visible::<Space>(text).map(Row::guid) {
            None => unknown.push(*text),
            Some(space)
                if context
                    .require(WRITE_SPACE, AccessScope::Space(space))
                    .is_err() =>
            {
                read_only.push(*text);
            }
            Some(space) => spaces.push(space),
        }
    }
    let problems = [
        (
            unknown,
            "Ensure the spaces exist and that you have access to them.",
        ),
        (
            read_only,
            "Write permission is required in order to share a route with a space and the containing organization must not be suspended.",
        ),
    ];
    let problems: Vec<String> = problems
        .into_iter()
        .filter(|(spaces, _)| !spaces.is_empty())
        .map(|(spaces, reason)| {
            let spaces = spaces.join("', '");
            format!("Unable to share route {url} with spaces ['{spaces}']. {reason}")
        })
        .collect();
    if problems.is_empty() {
        return Ok(spaces);
    }
    Err(CcError::unprocessable(problems.join("\n")))
}

/// The space with this GUID, if the caller may have a route there.
fn find_space<'c>(context: &'c RequestContext<'_>, text: &str) -> Result<&'c Space, &'static str> {
    let space: Option<&Space> = context.visible(text);
    let space = space.ok_or("Ensure the space exists and that you have access to it.")?;
    let access_scope = AccessScope::Space(space.guid());
    if !context
        .access
        .allows(context.world, access_scope, MANAGE_APPS)
    {
        return Err("You don't have write permission for the target space.");
    }
    let active = context.require(MANAGE_APPS, access_scope);
    active.map_err(|_| "The target organization or space is suspended.")?;
    Ok(space)
}

fn unshare(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route: &Route = context.named("guid")?;
    let (guid, own) = (route.guid(), route.space);
    let url = context.world.route_url(route);
    let text = context.capture("space");
    let refuse = |reason: &str| {
        CcError::unprocessable(format!(
            "Unable to unshare route '{url}' from space '{text}'. {reason}"
        ))
    };
    let space = find_space(context, text).map_err(refuse)?.guid();
    if space == own {
        return Err(refuse(
            "Routes cannot be removed from the space that owns them.",
        ));
    }
    context.world.update_row(guid, |route: &mut Route| {
        route.shared_with.retain(|other| *other != space);
    });
    let data = json!({"target_space_guid": space});
    context
        .world
        .record_route(guid, "audit.route.unshare", data);
    Ok(Response::empty(204))
}

/// Transfers a route to another space, and shares it with the previous one.
fn transfer(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route: &Route = context.named("guid")?;
    let (guid, own) = (route.guid(), route.space);
    let url = context.world.route_url(route);
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["data"]);
    // An empty object is reported by the reader of the relationship.
    if message.is_blank("data") && message.get("data") != Some(&json!({})) {
        message.error("Data can't be blank");
    }
    if message.get("data").is_none() {
        message.error("Data must be an object");
    }
    let text = message.data_guid().unwrap_or_default();
    if message.get("data") == Some(&json!({"guid": ""})) {
        message.error("Data guid can't be blank");
    }
    message.finish()?;
    let refuse = |reason: &str| {
        CcError::unprocessable(format!(
            "Unable to transfer owner of route '{url}' to space '{text}'. {reason}"
        ))
    };
    let space = find_space(context, text).map_err(refuse)?;
    let domain = context.world.domains.get(route.domain);
    if !domain.is_some_and(|domain| domain.is_usable_by(space.org)) {
        return Err(refuse(
            "Target space does not have access to route's domain",
        ));
    }
    let space = space.guid();
    if space != own {
        let data = json!({"target_space_guid": space});
        context
            .world
            .record_route(guid, "audit.route.transfer-owner", data);
        context.world.move_route(guid, space);
        context.world.update_row(guid, |route: &mut Route| {
            route.shared_with.retain(|other| *other != space);
            route.shared_with.push(own);
        });
    }
    Ok(Response::ok(&json!({"status": "ok"})))
}
