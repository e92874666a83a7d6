//! The part of UAA that clients of the Cloud Controller log in with.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::token::{self, Holder, TokenKind};
use crate::world::{Account, Guid, UAA_ORIGIN};

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/oauth/token", issue_token).open(),
    Route::post("/uaa/oauth/token", issue_token).open(),
    Route::get("/login", info).open(),
    Route::get("/uaa/login", info).open(),
    Route::get("/info", info).open(),
    Route::get("/uaa/info", info).open(),
];

/// Where UAA is, below the mock's own address.
pub(crate) const PATH: &str = "/uaa";

fn info(call: &mut Call<'_>) -> Result<Response, CcError> {
    let uaa = call.url(PATH);
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
        "timestamp": call.world.now().to_string(),
        "zone_name": "uaa",
    })))
}

/// What OAuth calls an error answer.
struct Refusal {
    status: u16,
    error: &'static str,
    description: String,
}

impl Refusal {
    fn new(status: u16, error: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self {
            status,
            error,
            description,
        }
    }

    fn bad_credentials() -> Self {
        Self::new(401, "unauthorized", "Bad credentials")
    }
}

fn issue_token(call: &mut Call<'_>) -> Result<Response, CcError> {
    Ok(match grant(call) {
        Ok(tokens) => Response::ok(&tokens).with_header("Cache-Control", "no-store"),
        Err(refusal) => {
            let body = json!({
                "error": refusal.error,
                "error_description": refusal.description,
            });
            Response::json(refusal.status, &body)
        }
    })
}

fn grant(call: &Call<'_>) -> Result<Value, Refusal> {
    let form: Vec<(String, String)> = form_urlencoded::parse(call.request.body)
        .chain(form_urlencoded::parse(
            call.request.raw_query.unwrap_or_default().as_bytes(),
        ))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let field = |name: &str| {
        let found = form.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let (client, secret) = call
        .request
        .header("authorization")
        .and_then(token::basic)
        .unwrap_or_else(|| {
            let owned = |name| field(name).unwrap_or_default().to_owned();
            (owned("client_id"), owned("client_secret"))
        });
    let settings = call.settings;
    let matching_client = settings
        .client
        .as_ref()
        .filter(|known| known.id == client && known.secret == secret);
    let public_client = client == "cf" && secret.is_empty();
    let issue = |user| {
        tokens(
            call,
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
            let user = find_account(call, text("username"), text("password"));
            user.map(|user| issue(Some(user)))
                .ok_or_else(Refusal::bad_credentials)
        }
        Some("refresh_token") => {
            let user = refreshed(call, field("refresh_token").unwrap_or_default());
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

fn find_account<'w>(call: &'w Call<'_>, name: &str, password: &str) -> Option<&'w Account> {
    let origins = [UAA_ORIGIN.to_owned()];
    let accounts = call.world.accounts_named(name, Some(&origins));
    let mut accounts = accounts.into_iter();
    accounts.find(|account| account.password.as_deref() == Some(password))
}

/// Whose refresh token it is.
fn refreshed<'w>(call: &'w Call<'_>, token: &str) -> Option<&'w Account> {
    let now = call.world.now();
    let caller = call
        .tokens
        .caller(call.settings, token, TokenKind::Refresh, now)?;
    call.world.accounts.get(Guid::parse(&caller.id)?)
}

fn tokens(call: &Call<'_>, holder: Holder<'_>) -> Value {
    let issuer = call.url("/uaa/oauth/token");
    let issue = |kind| {
        let now = call.world.now();
        call.tokens.issue(call.settings, holder, kind, now, &issuer)
    };
    let mut body = json!({
        "access_token": issue(TokenKind::Access),
        "token_type": "bearer",
        "expires_in": call.settings.token_lifetime.as_secs().saturating_sub(1),
        "scope": holder.scopes().join(" "),
    });
    if holder.user.is_some() {
        body["refresh_token"] = json!(issue(TokenKind::Refresh));
    }
    body
}
