//! The part of UAA that clients of the Cloud Controller log in with.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::settings::Account;
use crate::token::{self, Grant, SCOPES, TokenKind};

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
        .filter(|known| known.matches(&client, &secret));
    let public_client = client == "cf" && secret.is_empty();
    match field("grant_type") {
        None => Err(Refusal::new(400, "invalid_request", "Missing grant type")),
        _ if matching_client.is_none() && !public_client => Err(Refusal::bad_credentials()),
        Some("client_credentials") => match matching_client {
            Some(client) => Ok(tokens(call, client, Grant::ClientCredentials)),
            None => Err(Refusal::new(
                401,
                "unauthorized_client",
                "Unauthorized grant type: client_credentials",
            )),
        },
        Some("password") => {
            let text = |name| field(name).unwrap_or_default();
            if settings.user.matches(text("username"), text("password")) {
                Ok(tokens(call, &settings.user, Grant::Password))
            } else {
                Err(Refusal::bad_credentials())
            }
        }
        Some("refresh_token") => {
            let token = field("refresh_token").unwrap_or_default();
            let now = call.world.now();
            if call
                .tokens
                .accepts(settings, token, TokenKind::Refresh, now)
            {
                Ok(tokens(call, &settings.user, Grant::Password))
            } else {
                Err(Refusal::new(
                    401,
                    "invalid_token",
                    "The token expired, was revoked, or the token ID is incorrect.",
                ))
            }
        }
        Some(other) => Err(Refusal::new(
            400,
            "unsupported_grant_type",
            format!("Unsupported grant type: {other}"),
        )),
    }
}

fn tokens(call: &Call<'_>, account: &Account, grant: Grant) -> Value {
    let issuer = call.url("/uaa/oauth/token");
    let issue = |kind| {
        let now = call.world.now();
        call.tokens
            .issue(call.settings, account, grant, kind, now, &issuer)
    };
    let mut body = json!({
        "access_token": issue(TokenKind::Access),
        "token_type": "bearer",
        "expires_in": call.settings.token_lifetime.as_secs().saturating_sub(1),
        "scope": SCOPES.join(" "),
    });
    if grant == Grant::Password {
        body["refresh_token"] = json!(issue(TokenKind::Refresh));
    }
    body
}
