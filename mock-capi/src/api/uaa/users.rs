//! `/Users` and `/userinfo` of UAA.

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::uaa::token::Caller;
use crate::world::{Account, NewAccount, UAA_ORIGIN};

use super::filter::Filter;
use super::refusal::Refusal;

/// UAA refuses in its own words, so the handlers look at the token themselves.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/uaa/Users", |context| answer(index(context))).open(),
    Route::post("/uaa/Users", |context| answer(create(context))).open(),
    Route::get("/uaa/Users/:guid", |context| answer(show(context))).open(),
    Route::delete("/uaa/Users/:guid", |context| answer(delete(context))).open(),
    Route::put("/uaa/Users/:guid/password", |context| {
        answer(set_password(context))
    })
    .open(),
    Route::get("/uaa/userinfo", |context| answer(user_info(context))).open(),
];

const SCHEMAS: [&str; 1] = ["urn:scim:schemas:core:1.0"];
const READ: &str = "uaa.admin scim.read";
const WRITE: &str = "uaa.admin scim.write";
const PER_PAGE: usize = 100;

fn answer(result: Result<Response, Refusal>) -> Result<Response, CcError> {
    Ok(result.unwrap_or_else(Refusal::answer))
}

fn present(account: &Account) -> Value {
    json!({
        "id": account.base.guid,
        "meta": {
            "version": 0,
            "created": account.base.created,
            "lastModified": account.base.updated,
        },
        "userName": account.name,
        "name": {"familyName": account.name, "givenName": account.name},
        "emails": [{"value": account.name, "primary": true}],
        "groups": [],
        "approvals": [],
        "active": true,
        "verified": true,
        "origin": account.origin,
        "zoneId": "uaa",
        "schemas": SCHEMAS,
    })
}

fn caller<'c>(context: &'c RequestContext<'_>) -> Result<&'c Caller, Refusal> {
    context
        .caller
        .as_ref()
        .ok_or_else(|| match context.request.header("authorization") {
            None => Refusal::new(
                401,
                "unauthorized",
                "Full authentication is required to access this resource",
            ),
            Some(_) => Refusal::new(401, "invalid_token", "The token expired or is unknown"),
        })
}

/// Refuses whoever has none of the scopes, which administrators have.
pub(super) fn require_admin(context: &RequestContext<'_>, scopes: &str) -> Result<(), Refusal> {
    match caller(context)?.admin {
        true => Ok(()),
        false => Err(Refusal::insufficient_scope(scopes)),
    }
}

fn find<'c>(context: &'c RequestContext<'_>) -> Result<&'c Account, Refusal> {
    let id = context.capture("guid");
    let account = context.world.look_up::<Account>(id);
    account.ok_or_else(|| {
        let description = format!("User {id} does not exist");
        Refusal::new(404, "scim_resource_not_found", description)
    })
}

fn index(context: &RequestContext<'_>) -> Result<Response, Refusal> {
    require_admin(context, READ)?;
    let filter = match context.request.query("filter") {
        None => None,
        Some(text) => Some(Filter::parse(text).ok_or_else(|| {
            let description = format!("Invalid filter expression: [{text}]");
            Refusal::new(400, "scim", description)
        })?),
    };
    let number = |name: &str, default: usize| {
        let text = context.request.query(name);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (start, count) = (number("startIndex", 1).max(1), number("count", PER_PAGE));
    let accounts = context.world.accounts.iter();
    let found: Vec<&Account> = accounts
        .filter(|account| filter.as_ref().is_none_or(|filter| filter.admits(account)))
        .collect();
    let page = found.iter().skip(start - 1).take(count);
    let resources: Vec<Value> = page.map(|account| present(account)).collect();
    Ok(Response::ok(&json!({
        "resources": resources,
        "startIndex": start,
        "itemsPerPage": count,
        "totalResults": found.len(),
        "schemas": SCHEMAS,
    })))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_admin(context, WRITE)?;
    let invalid = |description: &str| Refusal::new(400, "invalid_scim_resource", description);
    let body = context.request.object();
    let body = body.map_err(|_| invalid("The request body is no JSON object."))?;
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let name = text("userName").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("A username must be provided."))?;
    if body
        .get("emails")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
    {
        return Err(invalid("Exactly one email must be provided."));
    }
    let origin = text("origin").filter(|origin| !origin.is_empty());
    let origin = origin.unwrap_or(UAA_ORIGIN);
    let password = text("password").filter(|_| origin == UAA_ORIGIN);
    if origin == UAA_ORIGIN && password.is_none() {
        return Err(invalid("A password is required"));
    }
    let new = NewAccount {
        name: name.into(),
        password: password.map(str::to_owned),
        origin: origin.into(),
    };
    let guid = context.world.register(new).map_err(|known| {
        let description = format!("Username already in use: {name}");
        Refusal::new(409, "scim_resource_already_exists", &description)
            .with("message", description)
            .with("user_id", known.to_string())
            .with("active", true)
    })?;
    let account = context.world.accounts.get(guid);
    Ok(Response::created(&json!(account.map(present))))
}

fn show(context: &RequestContext<'_>) -> Result<Response, Refusal> {
    if caller(context)?.id != context.capture("guid") {
        require_admin(context, READ)?;
    }
    find(context).map(|account| Response::ok(&present(account)))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_admin(context, WRITE)?;
    let account = find(context)?;
    let (guid, presented) = (account.base.guid, present(account));
    context.world.accounts.remove(guid);
    Ok(Response::ok(&presented))
}

/// Users change their own password, which they have to know.
fn set_password(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let own = caller(context)?.id == context.capture("guid");
    if !own {
        require_admin(context, "uaa.admin password.write")?;
    }
    let account = find(context)?;
    let guid = account.base.guid;
    let body = context.request.object().unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    if own && text("oldPassword") != account.password.as_deref() {
        return Err(Refusal::new(
            401,
            "unauthorized",
            "Old password is incorrect",
        ));
    }
    let invalid = |description: &str| Refusal::new(422, "invalid_password", description);
    let password = text("password").filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| invalid("Password must be specified."))?;
    if account.password.as_deref() == Some(password) {
        return Err(invalid(
            "Your new password cannot be the same as the old password.",
        ));
    }
    context.world.touch(guid, |account: &mut Account| {
        account.password = Some(password.into());
    });
    Ok(Response::ok(
        &json!({"status": "ok", "message": "password updated"}),
    ))
}

fn user_info(context: &RequestContext<'_>) -> Result<Response, Refusal> {
    let caller = caller(context)?;
    let account = context.world.look_up::<Account>(&caller.id);
    let account = account.ok_or_else(|| Refusal::insufficient_scope("openid"))?;
    Ok(Response::ok(&json!({
        "user_id": account.base.guid,
        "sub": account.base.guid,
        "user_name": account.name,
        "name": account.name,
        "given_name": account.name,
        "family_name": account.name,
        "email": account.name,
        "email_verified": true,
        "origin": account.origin,
        "previous_logon_time": null,
    })))
}
