//! `/oauth/token/revoke`: revokes tokens in UAA. The Cloud Controller accepts them until
//! they expire, because it does not check tokens with UAA.

use super::refusal::Refusal;
use super::scim::{caller, require_scope};
use crate::api::context::RequestContext;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::Account;

pub(super) const ROUTES: &[Route] = &[
    Route::get("/uaa/oauth/token/revoke/user/:user", uaa_handler!(of_user)).open(),
    Route::delete("/uaa/oauth/token/revoke/user/:user", uaa_handler!(of_user)).open(),
    Route::get(
        "/uaa/oauth/token/revoke/client/:client",
        uaa_handler!(of_client),
    )
    .open(),
    Route::delete(
        "/uaa/oauth/token/revoke/client/:client",
        uaa_handler!(of_client),
    )
    .open(),
    Route::get(
        "/uaa/oauth/token/revoke/user/:user/client/:client",
        uaa_handler!(of_both),
    )
    .open(),
    Route::delete(
        "/uaa/oauth/token/revoke/user/:user/client/:client",
        uaa_handler!(of_both),
    )
    .open(),
    Route::delete("/uaa/oauth/token/revoke/:token", uaa_handler!(of_id)).open(),
];

const REVOKE: &str = "uaa.admin tokens.revoke";

fn not_found() -> Refusal {
    Refusal::new(404, "invalid_token", "Resource not found")
}

/// Refuses callers who revoke the tokens of another user or client without the permission
/// to do so.
fn authorize(context: &RequestContext<'_>, is_own: bool) -> Result<(), Refusal> {
    match is_own {
        true => Ok(()),
        false => require_scope(context, REVOKE),
    }
}

/// The user that the path names.
fn user(context: &RequestContext<'_>) -> Result<String, Refusal> {
    let id = context.capture("user");
    let user = context.world.look_up::<Account>(id);
    user.map(|_| id.to_owned()).ok_or_else(not_found)
}

/// The client that the path names.
fn client(context: &RequestContext<'_>) -> Result<String, Refusal> {
    let id = context.capture("client");
    let client = context.world.client(id);
    client.map(|_| id.to_owned()).ok_or_else(not_found)
}

fn of_user(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    authorize(context, caller(context)?.id() == context.capture("user"))?;
    let user = user(context)?;
    context.tokens.revoke(Some(user), None);
    Ok(Response::empty(200))
}

fn of_client(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let own = &caller(context)?.claims().client_id;
    authorize(context, own == context.capture("client"))?;
    let client = client(context)?;
    context.tokens.revoke(None, Some(client));
    Ok(Response::empty(200))
}

fn of_both(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    authorize(context, caller(context)?.id() == context.capture("user"))?;
    let (user, client) = (user(context)?, client(context)?);
    context.tokens.revoke(Some(user), Some(client));
    Ok(Response::empty(200))
}

/// Revokes a single token by its ID, which is the claim `jti`.
fn of_id(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let id = context.capture("token").to_owned();
    authorize(context, caller(context)?.claims().jti == id)?;
    match context.tokens.revoke_one(&id) {
        true => Ok(Response::empty(200)),
        false => Err(not_found()),
    }
}
