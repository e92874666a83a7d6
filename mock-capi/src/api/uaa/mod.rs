//! The part of UAA that clients of the Cloud Controller log in with, and manage
//! users.

mod filter;
mod refusal;
pub(crate) mod token;
mod users;

use serde_json::{Value, json};
use url::form_urlencoded;

use self::token::{Holder, TokenKind};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::settings::Client;
use crate::world::{Account, UAA_ORIGIN};

use refusal::Refusal;

pub(crate) const ROUTES: &[&[Route]] = &[LOGIN, users::ROUTES];

const LOGIN: &[Route] = &[
    Route::post("/oauth/token", issue_token).open(),
    Route::post(TOKEN_PATH, issue_token).open(),
    Route::get("/login", info).open(),
    Route::get("/uaa/login", info).open(),
    Route::get("/info", info).open(),
    Route::get("/uaa/info", info).open(),
    Route::post("/uaa/check_token", check_token).open(),
    Route::get("/uaa/oauth/clients/:client", show_client).open(),
];

/// Where tokens are issued.
pub(crate) const TOKEN_PATH: &str = "/uaa/oauth/token";

/// The client that needs no secret.
pub(crate) const PUBLIC_CLIENT: &str = "cf";

/// Where UAA is, below the mock's own address.
pub(crate) const PATH: &str = "/uaa";

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
        },
        "timestamp": context.world.now().to_string(),
        "zone_name": "uaa",
    })))
}

fn issue_token(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(match grant(context) {
        Ok(tokens) => Response::ok(&tokens).with_header("Cache-Control", "no-store"),
        Err(refusal) => refusal.answer(),
    })
}

/// What a client asks for in a form: of its body, else of its query.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(context: &RequestContext<'_>) -> Self {
        let query = context.request.raw_query.unwrap_or_default();
        let pairs = form_urlencoded::parse(context.request.body)
            .chain(form_urlencoded::parse(query.as_bytes()));
        Self(
            pairs
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The client, and its secret.
    fn client(&self, context: &RequestContext<'_>) -> (String, String) {
        let basic = context
            .request
            .header("authorization")
            .and_then(token::basic);
        basic.unwrap_or_else(|| {
            let owned = |name| self.get(name).unwrap_or_default().to_owned();
            (owned("client_id"), owned("client_secret"))
        })
    }
}

fn grant(context: &RequestContext<'_>) -> Result<Value, Refusal> {
    let form = Form::read(context);
    let field = |name: &str| form.get(name);
    let (client, secret) = form.client(context);
    let matching_client = find_client(context, &client, &secret);
    let public_client = client == PUBLIC_CLIENT && secret.is_empty();
    let issue = |user| {
        tokens(
            context,
            Holder {
                client: &client,
                user,
            },
        )
    };
    match field("grant_type") {
        None => Err(Refusal::new(400, "invalid_request", "Missing grant type")),
        _ if matching_client.is_none() && !public_client => Err(Refusal::bad_credentials()),
        Some("client_credentials") => match matching_client {
            Some(_) => Ok(issue(None)),
            None => Err(Refusal::new(
                401,
                "unauthorized_client",
                "Unauthorized grant type: client_credentials",
            )),
        },
        Some("password") => {
            let text = |name| field(name).unwrap_or_default();
            let user = find_account(context, text("username"), text("password"));
            user.map(|user| issue(Some(user)))
                .ok_or_else(Refusal::bad_credentials)
        }
        Some("refresh_token") => {
            let user = refreshed(context, field("refresh_token").unwrap_or_default());
            user.map(|user| issue(Some(user))).ok_or_else(|| {
                Refusal::new(
                    401,
                    "invalid_token",
                    "The token expired, was revoked, or the token ID is incorrect.",
                )
            })
        }
        Some(other) => Err(Refusal::new(
            400,
            "unsupported_grant_type",
            format!("Unsupported grant type: {other}"),
        )),
    }
}

fn find_client<'s>(context: &RequestContext<'s>, id: &str, secret: &str) -> Option<&'s Client> {
    let client = context.settings.client.as_ref();
    client.filter(|known| known.id == id && known.secret == secret)
}

fn find_account<'w>(
    context: &'w RequestContext<'_>,
    name: &str,
    password: &str,
) -> Option<&'w Account> {
    let origins = [UAA_ORIGIN.to_owned()];
    let accounts = context.world.accounts_named(name, Some(&origins));
    let mut accounts = accounts.into_iter();
    accounts.find(|account| account.password.as_deref() == Some(password))
}

/// Whose refresh token it is.
fn refreshed<'w>(context: &'w RequestContext<'_>, token: &str) -> Option<&'w Account> {
    let now = context.world.now();
    let caller = context
        .tokens
        .caller(context.settings, token, TokenKind::Refresh, now)?;
    context.world.look_up(&caller.id)
}

fn tokens(context: &RequestContext<'_>, holder: Holder<'_>) -> Value {
    let issuer = context.url(TOKEN_PATH);
    let issue = |kind| {
        let now = context.world.now();
        context
            .tokens
            .issue(context.settings, holder, kind, now, &issuer)
    };
    let mut body = json!({
        "access_token": issue(TokenKind::Access),
        "token_type": "bearer",
        "expires_in": context.settings.token_lifetime.as_secs().saturating_sub(1),
        "scope": holder.scopes().join(" "),
    });
    if holder.user.is_some() {
        body["refresh_token"] = json!(issue(TokenKind::Refresh));
    }
    body
}

/// `POST /check_token`: what a token says, for whoever serves requests with it.
fn check_token(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let form = Form::read(context);
    let (client, secret) = form.client(context);
    if find_client(context, &client, &secret).is_none() {
        return Ok(Refusal::bad_credentials().answer());
    }
    let token = form.get("token").unwrap_or_default();
    let now = context.world.now();
    let claims = context
        .tokens
        .claims(context.settings, token, TokenKind::Access, now);
    Ok(match claims {
        Some(claims) => Response::ok(&claims),
        None => Refusal::new(400, "invalid_token", "Token is invalid").answer(),
    })
}

/// `GET /oauth/clients/:client`: how the cf CLI looks whether there is one.
fn show_client(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if let Err(refusal) = users::require_admin(context, "clients.read clients.admin uaa.admin") {
        return Ok(refusal.answer());
    }
    let id = context.capture("client");
    let configured = context.settings.client.as_ref();
    let known = id == PUBLIC_CLIENT || configured.is_some_and(|client| client.id == id);
    Ok(if known {
        Response::ok(&json!({"client_id": id, "name": id}))
    } else {
        let description = format!("No client with requested id: {id}");
        Refusal::new(404, "invalid_client", description).answer()
    })
}
