//! The part of UAA that clients of the Cloud Controller use: login, verification of
//! tokens, and management of users, groups and clients.

/// Converts a function with errors of UAA into a handler.
macro_rules! uaa_handler {
    ($function:path) => {
        |context| Ok($function(context).unwrap_or_else($crate::api::uaa::refusal::Refusal::answer))
    };
}

pub(crate) mod authorization;
mod clients;
mod filter;
mod groups;
mod keys;
mod login;
mod passcode;
mod refusal;
mod revocation;
mod scim;
pub(crate) mod token;
mod users;

use serde_json::json;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;

pub(crate) use keys::KeyError;
use refusal::Refusal;

pub(crate) const ROUTES: &[&[Route]] = &[
    SERVER,
    login::ROUTES,
    passcode::ROUTES,
    revocation::ROUTES,
    users::ROUTES,
    groups::ROUTES,
    clients::ROUTES,
    UNIMPLEMENTED,
];

/// Operations that are not implemented.
const UNIMPLEMENTED: &[Route] = &[
    Route::unimplemented("POST", "/uaa/oauth/authorize"),
    Route::unimplemented("POST", "/uaa/autologin"),
    Route::unimplemented("GET", "/uaa/oauth/token/list"),
    Route::unimplemented("GET", "/uaa/oauth/clients/meta"),
    Route::unimplemented("GET", "/uaa/oauth/clients/:client/meta"),
    Route::unimplemented("PUT", "/uaa/oauth/clients/:client/meta"),
    Route::unimplemented("POST", "/uaa/oauth/clients/tx"),
    Route::unimplemented("PUT", "/uaa/oauth/clients/tx"),
    Route::unimplemented("PATCH", "/uaa/Users/:guid/status"),
    Route::unimplemented("GET", "/uaa/Users/:guid/verify-link"),
    Route::unimplemented("POST", "/uaa/invite_users"),
    Route::unimplemented("GET", "/uaa/Groups/External"),
    Route::unimplemented("POST", "/uaa/Groups/External"),
    Route::unimplemented("GET", "/uaa/identity-providers"),
    Route::unimplemented("POST", "/uaa/identity-providers"),
    Route::unimplemented("GET", "/uaa/identity-providers/:guid"),
    Route::unimplemented("PUT", "/uaa/identity-providers/:guid"),
    Route::unimplemented("DELETE", "/uaa/identity-providers/:guid"),
    Route::unimplemented("GET", "/uaa/identity-zones"),
    Route::unimplemented("POST", "/uaa/identity-zones"),
    Route::unimplemented("GET", "/uaa/identity-zones/:guid"),
    Route::unimplemented("PUT", "/uaa/identity-zones/:guid"),
    Route::unimplemented("DELETE", "/uaa/identity-zones/:guid"),
];

/// Operations that describe the server, with and without the prefix.
const SERVER: &[Route] = &[
    Route::get("/login", info).open(),
    Route::get("/uaa/login", info).open(),
    Route::get("/info", info).open(),
    Route::get("/uaa/info", info).open(),
    Route::get("/healthz", health_of_api).open(),
    Route::get("/uaa/healthz", health).open(),
    Route::get("/token_key", uaa_handler!(token_key)).open(),
    Route::get("/uaa/token_key", uaa_handler!(token_key)).open(),
    Route::get("/token_keys", uaa_handler!(token_keys)).open(),
    Route::get("/uaa/token_keys", uaa_handler!(token_keys)).open(),
    Route::get("/.well-known/openid-configuration", configuration).open(),
    Route::get("/uaa/.well-known/openid-configuration", configuration).open(),
    Route::get(
        "/uaa/oauth/token/.well-known/openid-configuration",
        configuration,
    )
    .open(),
];

/// The path of the token endpoint.
pub(crate) const TOKEN_PATH: &str = "/uaa/oauth/token";

/// The path of UAA below the mock's URL.
pub(crate) const PATH: &str = "/uaa";

/// The response to a request whose path exists only with other methods.
pub(crate) fn refuse_method(method: &str, allowed: &[&str]) -> Response {
    let description = format!("Request method '{method}' not supported");
    let refusal = Refusal::new(405, "method_not_allowed", description);
    refusal.answer().with_header("Allow", allowed.join(", "))
}

fn info(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let uaa = context.url(PATH);
    Ok(Response::ok(&json!({
        "app": {"version": "77.30.0"},
        "commit_id": "mock",
        "entityID": "uaa",
        "idpDefinitions": {},
        "links": {
            "login": uaa,
            "passwd": "/forgot_password",
            "register": "/create_account",
            "uaa": uaa,
        },
        "prompts": {
            "username": ["text", "Email"],
            "password": ["password", "Password"],
            "passcode": [
                "password",
                format!("Temporary Authentication Code ( Get one at {uaa}/passcode )"),
            ],
        },
        "timestamp": context.world.now().to_string(),
        "zone_name": "uaa",
    })))
}

/// The Cloud Controller's response, because UAA shares its address.
fn health_of_api(_context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(Response::text("application/json", "OK".into()))
}

fn health(_context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(Response::text("text/plain;charset=UTF-8", "ok\n".into()))
}

fn token_key(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    Ok(Response::ok(&context.tokens.key()?.public()))
}

fn token_keys(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let key = context.tokens.key()?.public();
    Ok(Response::ok(&json!({"keys": [key]})))
}

/// The discovery document of OpenID Connect, with the features of the fake.
fn configuration(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let url = |path: &str| context.url(&format!("{PATH}{path}"));
    Ok(Response::ok(&json!({
        "issuer": url("/oauth/token"),
        "authorization_endpoint": url("/oauth/authorize"),
        "token_endpoint": url("/oauth/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "userinfo_endpoint": url("/userinfo"),
        "jwks_uri": url("/token_keys"),
        "scopes_supported": ["openid"],
        "response_types_supported": ["code"],
        "grant_types_supported": clients::GRANT_TYPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claim_types_supported": ["normal"],
        "claims_supported": [
            "sub", "user_name", "origin", "iss", "auth_time", "client_id", "aud", "zid",
            "grant_type", "user_id", "azp", "scope", "exp", "iat", "jti", "rev_sig", "cid",
            "email",
        ],
        "claims_parameter_supported": false,
        "service_documentation": "http://docs.cloudfoundry.org/api/uaa/",
        "ui_locales_supported": ["en-US"],
        "code_challenge_methods_supported": ["S256", "plain"],
    })))
}
