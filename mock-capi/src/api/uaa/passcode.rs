//! `/passcode`: one-time codes for `cf login --sso`.

use serde_json::json;

use super::authorization::name_and_password;
use super::login::find_user;
use super::refusal::Refusal;
use super::scim::caller;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Account, Guid};

pub(super) const ROUTES: &[Route] = &[Route::get("/uaa/passcode", show).open()];

/// Responds with a new code of the caller. The fake has no login page, so callers send a
/// token, or name and password as browsers do when they are asked.
fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let user = match find_caller(context) {
        Ok(user) => user,
        Err(refusal) => {
            let asks = "Basic realm=\"UAA\"";
            return Ok(refusal.answer().with_header("WWW-Authenticate", asks));
        }
    };
    let code = context.world.next_guid().to_string().replace('-', "");
    let now = context.world.now();
    context.tokens.add_passcode(code.clone(), user, now);
    let accept = context.request.header("accept").unwrap_or_default();
    Ok(match accept.contains("text/html") {
        true => Response::text("text/html; charset=utf-8", page(&code)),
        false => Response::ok(&json!(code)),
    })
}

fn find_caller(context: &RequestContext<'_>) -> Result<Guid, Refusal> {
    let header = context.request.header("authorization");
    if let Some((name, password)) = header.and_then(name_and_password) {
        let user = find_user(context, &name, &password);
        return user
            .map(|user| user.base.guid)
            .ok_or_else(Refusal::bad_credentials);
    }
    let user = context.world.look_up::<Account>(caller(context)?.id());
    user.map(|user| user.base.guid)
        .ok_or_else(Refusal::bad_credentials)
}

/// The code consists of hexadecimal digits, so it needs no escaping.
fn page(code: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><title>Temporary Authentication Code</title>\
         <h1>Temporary Authentication Code</h1><p><code>{code}</code></p></html>\n"
    )
}
