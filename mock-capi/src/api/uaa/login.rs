//! Tokens for users and clients: `/oauth/token`, `/oauth/authorize` and
//! `/check_token`

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::TOKEN_PATH;
use super::authorization::basic;
use super::clients::GRANT_TYPES;
use super::passcode;
use super::refusal::Refusal;
use super::token::{AuthorizationCode, Caller, Challenge, TokenKind, TokenOwner};
use crate::api::context::RequestContext;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Account, Client, UAA_ORIGIN};

pub(super) const ROUTES: &[Route] = &[
    Route::post("/oauth/token", uaa_handler!(issue_token)).open(),
    Route::post(TOKEN_PATH, uaa_handler!(issue_token)).open(),
    Route::get("/oauth/authorize", uaa_handler!(authorize)).open(),
    Route::get("/uaa/oauth/authorize", uaa_handler!(authorize)).open(),
    Route::post("/uaa/check_token", uaa_handler!(check_token)).open(),
    Route::post("/uaa/introspect", uaa_handler!(introspect)).open(),
];

/// The fields of a form, first from the body, then from the query.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(context: &RequestContext<'_>) -> Self {
        let query = context.request.raw_query.unwrap_or_default();
        let body = form_urlencoded::parse(context.request.body).into_owned();
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(body.chain(query).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The client whose credentials are in the header or in the form.
    fn client<'c>(&self, context: &'c RequestContext<'_>) -> Result<&'c Client, Refusal> {
        let header = context.request.header("authorization");
        let credentials = header.and_then(basic);
        let (id, secret) = credentials.unwrap_or_else(|| {
            let owned = |name| self.text(name).to_owned();
            (owned("client_id"), owned("client_secret"))
        });
        let client = context.world.client(&id);
        let client = client.filter(|client| client.secret.as_ref() == Some(&secret));
        client.ok_or_else(Refusal::bad_credentials)
    }
}

fn issue_token(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let form = Form::read(context);
    let mut holder = grant(context, &form)?;
    restrict(&mut holder, form.text("scope"))?;
    // A refresh token is valid until it expires.
    let refresh = match form.text("grant_type") {
        "refresh_token" => form.get("refresh_token"),
        _ => None,
    };
    let tokens = issue(context, &holder, refresh)?;
    Ok(Response::ok(&tokens).with_header("Cache-Control", "no-store"))
}

/// The user or client that the requested token is issued to.
fn grant(context: &mut RequestContext<'_>, form: &Form) -> Result<TokenOwner, Refusal> {
    let Some(grant_type) = form.get("grant_type") else {
        return Err(Refusal::new(400, "invalid_request", "Missing grant type"));
    };
    let client = form.client(context)?;
    let Some(known) = GRANT_TYPES.iter().find(|known| **known == grant_type) else {
        return Err(Refusal::new(
            400,
            "unsupported_grant_type",
            format!("Unsupported grant type: {grant_type}"),
        ));
    };
    require_grant_type(client, known)?;
    match *known {
        "client_credentials" => Ok(TokenOwner::client(client)),
        "password" => {
            let client = client.id.clone();
            check_password(context, &client, form)
        }
        "refresh_token" => {
            let client = client.id.clone();
            refresh(context, &client, form.text("refresh_token"))
        }
        _ => {
            let client = client.id.clone();
            exchange_code(context, &client, form)
        }
    }
}

fn require_grant_type(client: &Client, grant_type: &str) -> Result<(), Refusal> {
    let mut known = client.details.grant_types.iter();
    if known.any(|known| known == grant_type) {
        return Ok(());
    }
    let description = format!("Unauthorized grant type: {grant_type}");
    Err(Refusal::new(401, "unauthorized_client", description))
}

/// The user with this name and password, or with this passcode.
fn check_password(
    context: &mut RequestContext<'_>,
    client: &str,
    form: &Form,
) -> Result<TokenOwner, Refusal> {
    let unauthorized = |description: &str| Refusal::new(401, "unauthorized", description);
    let hint: Option<Value> = form
        .get("login_hint")
        .and_then(|hint| serde_json::from_str(hint).ok());
    let origin = hint.as_ref().and_then(|hint| hint["origin"].as_str());
    if origin.is_some_and(|origin| origin != UAA_ORIGIN) {
        return Err(unauthorized(
            "The origin provided in the login_hint does not match an active Identity Provider, \
             that supports password grant.",
        ));
    }
    let now = context.world.now();
    let user = match form.get("passcode") {
        Some(passcode) => {
            let user = context.tokens.take_passcode(passcode, now);
            let user = user.and_then(|user| context.world.accounts.get(user));
            user.ok_or_else(|| unauthorized("Invalid passcode"))?
        }
        None => {
            let user = find_by_password(context, form.text("username"), form.text("password"));
            user.ok_or_else(Refusal::bad_credentials)?
        }
    };
    let client = context.world.client(client);
    let client = client.ok_or_else(Refusal::bad_credentials)?;
    Ok(TokenOwner::user(context.world, client, user, "password"))
}

/// The user with this name and password.
pub(super) fn find_by_password<'w>(
    context: &'w RequestContext<'_>,
    name: &str,
    password: &str,
) -> Option<&'w Account> {
    let origins = [UAA_ORIGIN.to_owned()];
    let accounts = context.world.accounts_named(name, Some(&origins));
    let mut accounts = accounts.into_iter();
    let is_right = |it: &&Account| it.profile.active && it.password.as_deref() == Some(password);
    accounts.find(is_right)
}

fn refresh(
    context: &mut RequestContext<'_>,
    client: &str,
    token: &str,
) -> Result<TokenOwner, Refusal> {
    let refuse = || {
        Refusal::new(
            401,
            "invalid_token",
            "The token expired, was revoked, or the token ID is incorrect.",
        )
    };
    let now = context.world.now();
    let caller = context.tokens.caller(token, TokenKind::Refresh, now);
    let caller = caller.filter(|caller| !context.tokens.is_revoked(caller.claims()));
    let caller = caller.ok_or_else(refuse)?;
    if caller.claims().client_id != client {
        let owner = &caller.claims().client_id;
        let description = format!("Wrong client for this refresh token: {owner}");
        return Err(Refusal::new(401, "invalid_token", description));
    }
    let user = context.world.look_up::<Account>(caller.id());
    let user = user.filter(|user| user.profile.active).ok_or_else(refuse)?;
    let client = context.world.client(client);
    let client = client.ok_or_else(Refusal::bad_credentials)?;
    Ok(TokenOwner::refreshed(
        context.world,
        client,
        user,
        caller.claims(),
    ))
}

fn exchange_code(
    context: &mut RequestContext<'_>,
    client: &str,
    form: &Form,
) -> Result<TokenOwner, Refusal> {
    let invalid = |description: &dyn fmt::Display| {
        Refusal::new(400, "invalid_grant", description.to_string())
    };
    let text = form.text("code");
    let now = context.world.now();
    let code = context.tokens.take_code(text, now);
    let code = code.filter(|code| code.client_id == client);
    let code = code.ok_or_else(|| invalid(&format_args!("Invalid authorization code: {text}")))?;
    let redirect_uri = code.redirect_uri.as_deref();
    if redirect_uri.is_some() && redirect_uri != form.get("redirect_uri") {
        return Err(invalid(&"Redirect URI mismatch."));
    }
    if let Some(challenge) = &code.challenge
        && !challenge.is_met_by(form.text("code_verifier"))
    {
        return Err(invalid(&"Invalid code verifier"));
    }
    let user = context.world.accounts.get(code.user);
    let user = user.ok_or_else(Refusal::bad_credentials)?;
    let client = context.world.client(client);
    let client = client.ok_or_else(Refusal::bad_credentials)?;
    let mut owner = TokenOwner::user(context.world, client, user, "authorization_code");
    restrict(&mut owner, &code.scopes)?;
    Ok(owner.with_nonce(code.nonce))
}

impl Challenge {
    /// The challenge of a request for a code, if it has one.
    fn read(form: &Form) -> Result<Option<Self>, Refusal> {
        let Some(text) = form.get("code_challenge") else {
            return Ok(None);
        };
        let invalid = |description: &str| Refusal::new(400, "invalid_request", description);
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !(43..=128).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(invalid(
                "Code challenge length must between 43 and 128 and use only \
                 [A-Z],[a-z],[0-9],_,.,-,~ characters.",
            ));
        }
        match form.get("code_challenge_method") {
            None | Some("plain") => Ok(Some(Self::Plain(text.to_owned()))),
            Some("S256") => Ok(Some(Self::S256(text.to_owned()))),
            Some(_) => Err(invalid(
                "Unsupported code challenge method. Supported: [S256, plain]",
            )),
        }
    }

    fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(challenge) => challenge == verifier,
            Self::S256(challenge) => *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)),
        }
    }
}

/// Keeps only the requested scopes, or all scopes if the form names none.
fn restrict(holder: &mut TokenOwner, wanted: &str) -> Result<(), Refusal> {
    let wanted: Vec<&str> = wanted
        .split([' ', ','])
        .filter(|it| !it.is_empty())
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    holder.restrict(&wanted);
    if holder.scopes().is_empty() {
        let description =
            format!("{wanted:?} is invalid. This user is not allowed any of the requested scopes");
        return Err(Refusal::new(401, "invalid_scope", description));
    }
    Ok(())
}

/// Issues tokens. The response contains this refresh token, or a new one.
fn issue(
    context: &mut RequestContext<'_>,
    holder: &TokenOwner,
    refresh: Option<&str>,
) -> Result<Value, Refusal> {
    let now = context.world.now();
    let usual = context.settings.token_lifetime.as_secs();
    let (tokens, base) = (&mut *context.tokens, &context.base);
    let access = tokens.issue(holder, TokenKind::Access, now, usual, base)?;
    let mut body = json!({
        "access_token": access.text,
        "token_type": "bearer",
        "expires_in": access.lifetime.saturating_sub(1),
        "scope": holder.scopes().join(" "),
        "jti": access.id,
    });
    if holder.is_user() {
        body["refresh_token"] = match refresh {
            Some(refresh) => json!(refresh),
            None => {
                let refresh = tokens.issue(holder, TokenKind::Refresh, now, usual, base)?;
                json!(refresh.text)
            }
        };
        if holder.scopes().iter().any(|scope| scope == "openid") {
            let id = tokens.issue(holder, TokenKind::Id, now, usual, base)?;
            body["id_token"] = json!(id.text);
        }
    }
    Ok(body)
}

/// `GET /oauth/authorize` with a token, as `cf ssh-code` sends it, or from a browser:
/// redirects to the client with a code. The fake has no page on which users approve
/// clients, so it treats every client as approved.
fn authorize(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let user = passcode::find_user(context)?;
    let form = Form::read(context);
    let id = form.text("client_id");
    let client = context.world.client(id);
    let client = client.ok_or_else(|| {
        let description = format!("No client with requested id: {id}");
        Refusal::new(401, "invalid_client", description)
    })?;
    require_grant_type(client, "authorization_code")?;
    let mut location = redirect_to(client, form.get("redirect_uri"))?;
    let challenge = Challenge::read(&form)?;
    match form.get("response_type") {
        Some("code") => {}
        Some(_) => {
            let description = "Unsupported response types";
            return Err(Refusal::new(400, "unsupported_response_type", description));
        }
        None => {
            location
                .query_pairs_mut()
                .append_pair("error", "invalid_request")
                .append_pair(
                    "error_description",
                    "Missing response_type in authorization request",
                );
            return Ok(redirect(location));
        }
    }
    let client_id = client.id.clone();
    let text = context.world.next_guid().to_string().replace('-', "");
    let now = context.world.now();
    let code = AuthorizationCode {
        client_id,
        user,
        redirect_uri: form.get("redirect_uri").map(str::to_owned),
        challenge,
        scopes: form.text("scope").to_owned(),
        nonce: form.get("nonce").map(str::to_owned),
    };
    context.tokens.add_code(text.clone(), code, now);
    location.query_pairs_mut().append_pair("code", &text);
    if let Some(state) = form.get("state") {
        location.query_pairs_mut().append_pair("state", state);
    }
    Ok(redirect(location))
}

fn redirect(location: Url) -> Response {
    Response::empty(302).with_header("Location", location)
}

/// The redirect URI of a response: the requested URI if it is registered, or the only
/// registered URI.
fn redirect_to(client: &Client, wanted: Option<&str>) -> Result<Url, Refusal> {
    let registered = &client.details.redirect_uris;
    let refuse = |description: String| Refusal::new(400, "invalid_grant", description);
    let address = match wanted {
        Some(wanted) => {
            let is_registered = registered.iter().any(|uri| match uri.split_once('*') {
                Some((start, _)) => wanted.starts_with(start),
                None => wanted == uri,
            });
            if !is_registered {
                return Err(refuse(format!(
                    "Invalid redirect {wanted} did not match one of the registered values"
                )));
            }
            Some(wanted)
        }
        None => registered.first().map(|uri| uri.trim_end_matches('*')),
    };
    let url = address.and_then(|address| Url::parse(address).ok());
    url.ok_or_else(|| {
        refuse("A redirectUri must be either supplied or preconfigured in the ClientDetails".into())
    })
}

/// The form that a resource server sent, and the caller of its token if the token is
/// valid.
fn read_token(context: &mut RequestContext<'_>) -> Result<(Form, Option<Caller>), Refusal> {
    let form = Form::read(context);
    let client = form.client(context)?;
    let mut authorities = client.details.authorities.iter();
    if !authorities.any(|authority| authority == "uaa.resource") {
        return Err(Refusal::new(403, "access_denied", "Access is denied"));
    }
    let now = context.world.now();
    let token = form.text("token");
    let caller = context.tokens.caller(token, TokenKind::Access, now);
    let caller = caller.filter(|caller| !context.tokens.is_revoked(caller.claims()));
    Ok((form, caller))
}

/// `POST /check_token`: the claims of a token, for resource servers.
fn check_token(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let (form, caller) = read_token(context)?;
    let invalid = || Refusal::new(400, "invalid_token", "Token is invalid");
    let caller = caller.ok_or_else(invalid)?;
    let scopes = form.text("scopes").split(',');
    let missing: Vec<&str> = scopes
        .filter(|scope| !scope.is_empty() && !caller.has_scope(scope))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(",");
        let description = format!("Some requested scopes are missing: {missing}");
        return Err(Refusal::new(400, "invalid_scope", description));
    }
    Ok(Response::ok(&json!(caller.claims())))
}

/// `POST /introspect`: the claims of a token, where an invalid token is not an error.
fn introspect(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    let (_, caller) = read_token(context)?;
    let mut claims = caller.as_ref().map_or(json!({}), |it| json!(it.claims()));
    claims["active"] = json!(caller.is_some());
    Ok(Response::ok(&claims))
}
