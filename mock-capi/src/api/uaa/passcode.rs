//! `/passcode`: one-time codes for `cf login --sso`, and the login of browsers.

use serde_json::json;

use super::authorization::name_and_password;
use super::login::find_by_password;
use super::refusal::Refusal;
use super::scim::{caller, require_scope};
use crate::api::context::RequestContext;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Account, Guid};

pub(super) const ROUTES: &[Route] = &[Route::get("/uaa/passcode", uaa_handler!(show)).open()];

/// Responds with a new code for the caller.
fn show(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let user = find_user(context)?;
    let code = context.world.next_guid().to_string().replace('-', "");
    let now = context.world.now();
    context.tokens.add_passcode(code.clone(), user, now);
    let accept = context.request.header("accept").unwrap_or_default();
    Ok(match accept.contains("text/html") {
        true => Response::text("text/html; charset=utf-8", page(&code)),
        false => Response::ok(&json!(code)),
    })
}

/// The user of a browser or of a token. The fake has no login page, so browsers ask for
/// the name and the password (HTTP basic authentication).
pub(super) fn find_user(context: &RequestContext<'_>) -> Result<Guid, Refusal> {
    let header = context.request.header("authorization");
    let user = match header.and_then(name_and_password) {
        Some((name, password)) => find_by_password(context, &name, &password),
        None => {
            let caller = caller(context).map_err(Refusal::asking_for_login)?;
            require_scope(context, "uaa.user")?;
            context.world.look_up::<Account>(caller.id())
        }
    };
    let user = user.ok_or_else(|| Refusal::bad_credentials().asking_for_login())?;
    Ok(user.base.guid)
}

/// The code consists of hexadecimal digits, so it needs no escaping.
fn page(code: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><title>Temporary Authentication Code</title>\
         <h1>Temporary Authentication Code</h1><p><code>{code}</code></p></html>\n"
    )
}
