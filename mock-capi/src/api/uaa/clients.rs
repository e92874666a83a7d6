//! `/oauth/clients` of UAA.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::filter::Attributes;
use super::refusal::Refusal;
use super::scim::{self, caller, require_scope};
use crate::api::context::{RequestContext, View};
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::json::read_object;
use crate::world::{Client, ClientDetails, Guid};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/uaa/oauth/clients", uaa_handler!(index)).open(),
    Route::post("/uaa/oauth/clients", uaa_handler!(create)).open(),
    Route::get("/uaa/oauth/clients/:client", uaa_handler!(show)).open(),
    Route::put("/uaa/oauth/clients/:client", uaa_handler!(replace)).open(),
    Route::delete("/uaa/oauth/clients/:client", uaa_handler!(delete)).open(),
    Route::put(
        "/uaa/oauth/clients/:client/secret",
        uaa_handler!(set_secret),
    )
    .open(),
];

const READ: &str = "clients.read clients.admin uaa.admin";
const WRITE: &str = "clients.write clients.admin uaa.admin";
const SECRET: &str = "clients.secret clients.admin uaa.admin";
const SCHEMAS: [&str; 1] = ["http://cloudfoundry.org/schema/scim/oauth-clients-1.0"];

/// The grant types that the fake supports.
pub(super) const GRANT_TYPES: &[&str] = &[
    "authorization_code",
    "client_credentials",
    "password",
    "refresh_token",
];

/// Other grant types that UAA accepts.
const OTHER_GRANT_TYPES: &[&str] = &[
    "implicit",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "user_token",
];

const ATTRIBUTES: Attributes<Client> = &[
    ("client_id", |client| vec![client.id.clone()]),
    ("scope", |client| client.details.scope.clone()),
    ("authorities", |client| client.details.authorities.clone()),
    ("authorized_grant_types", |client| {
        client.details.grant_types.clone()
    }),
];

impl Present for Client {
    fn present(&self, _view: &View<'_>) -> Value {
        present(self)
    }
}

fn present(client: &Client) -> Value {
    let details = &client.details;
    let mut presented = json!({
        "client_id": client.id,
        "scope": details.scope,
        "resource_ids": ["none"],
        "authorized_grant_types": details.grant_types,
        "autoapprove": [],
        "authorities": details.authorities,
        "lastModified": client.base.updated.unix_seconds().saturating_mul(1000),
    });
    if !details.redirect_uris.is_empty() {
        presented["redirect_uri"] = json!(details.redirect_uris);
    }
    for (key, seconds) in [
        ("access_token_validity", details.access_token_validity),
        ("refresh_token_validity", details.refresh_token_validity),
    ] {
        if let Some(seconds) = seconds {
            presented[key] = json!(seconds);
        }
    }
    for (key, value) in &details.further {
        presented[key] = value.clone();
    }
    presented
}

/// A client in a request. UAA stores unknown keys unchanged.
#[derive(Debug, Deserialize)]
struct ClientMessage {
    client_id: Option<String>,
    client_secret: Option<String>,
    #[serde(default)]
    scope: StringList,
    #[serde(default)]
    authorities: StringList,
    #[serde(default)]
    authorized_grant_types: StringList,
    #[serde(default)]
    redirect_uri: StringList,
    access_token_validity: Option<u64>,
    refresh_token_validity: Option<u64>,
    #[serde(flatten)]
    further: Map<String, Value>,
}

/// A list, or a comma-separated string.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StringList {
    List(Vec<String>),
    Joined(String),
}

impl Default for StringList {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl StringList {
    fn list(self) -> Vec<String> {
        match self {
            Self::List(list) => list,
            Self::Joined(text) => text
                .split(',')
                .map(|part| part.trim().to_owned())
                .filter(|part| !part.is_empty())
                .collect(),
        }
    }
}

fn invalid(description: impl Into<String>) -> Refusal {
    Refusal::new(400, "invalid_client", description)
}

fn no_client(id: &str) -> Refusal {
    let description = format!("No client with requested id: {id}");
    Refusal::new(404, "invalid_client", description)
}

/// The list, or `none` if it is empty.
fn or_none(list: Vec<String>) -> Vec<String> {
    match list.is_empty() {
        true => vec!["uaa.none".into()],
        false => list,
    }
}

impl ClientMessage {
    fn read(context: &RequestContext<'_>) -> Result<Self, Refusal> {
        read_object(context.request.body).map_err(invalid)
    }

    /// Returns the permissions and limits of the client, if they are valid.
    fn validate(self) -> Result<ClientDetails, Refusal> {
        let mut grant_types = self.authorized_grant_types.list();
        let known = [GRANT_TYPES, OTHER_GRANT_TYPES].concat();
        if grant_types.is_empty() {
            return Err(invalid(format!(
                "An authorized grant type must be provided. Must be one of: {known:?}"
            )));
        }
        let unknown = grant_types.iter().find(|it| !known.contains(&it.as_str()));
        if let Some(unknown) = unknown {
            return Err(invalid(format!(
                "{unknown} is not an allowed grant type. Must be one of: {known:?}"
            )));
        }
        let redirect_uris = self.redirect_uri.list();
        let has = |wanted: &str| grant_types.iter().any(|it| it == wanted);
        let redirecting = ["authorization_code", "implicit"];
        if let Some(grant_type) = redirecting.into_iter().find(|it| has(it)) {
            if redirect_uris.is_empty() {
                return Err(invalid(format!(
                    "{grant_type} grant type requires at least one redirect URL."
                )));
            }
            let unusable = redirect_uris.iter().find(|uri| Url::parse(uri).is_err());
            if let Some(uri) = unusable {
                return Err(invalid(format!(
                    "One of the redirect_uri is invalid: {uri}"
                )));
            }
        }
        let refreshes = has("authorization_code") || has("password");
        if refreshes && !has("refresh_token") {
            grant_types.push("refresh_token".into());
        }
        let mut further = self.further;
        // UAA sets these itself.
        for key in ["resource_ids", "lastModified"] {
            further.remove(key);
        }
        Ok(ClientDetails {
            scope: or_none(self.scope.list()),
            authorities: or_none(self.authorities.list()),
            grant_types,
            redirect_uris,
            access_token_validity: self.access_token_validity,
            refresh_token_validity: self.refresh_token_validity,
            further,
        })
    }
}

fn find<'c>(context: &'c RequestContext<'_>) -> Result<&'c Client, Refusal> {
    let id = context.capture("client");
    context.world.client(id).ok_or_else(|| no_client(id))
}

fn answer(context: &RequestContext<'_>, guid: Guid, status: u16) -> Result<Response, Refusal> {
    let client = context.world.clients.get(guid);
    let client = client.ok_or_else(|| no_client(&guid.to_string()))?;
    Ok(Response::json(status, &present(client)))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let clients = context.world.clients.iter();
    scim::list(context, clients, ATTRIBUTES, &SCHEMAS, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let mut message = ClientMessage::read(context)?;
    let id = message.client_id.take().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| invalid("A client_id must be provided."))?;
    if id.contains(['/', '\\']) {
        return Err(invalid(format!(
            "Not allowed characters: {id} must not contain any of [/, \\]"
        )));
    }
    let secret = message.client_secret.take();
    let details = message.validate()?;
    let needs_secret = details
        .grant_types
        .iter()
        .any(|it| it == "client_credentials");
    if needs_secret && secret.as_ref().is_none_or(String::is_empty) {
        let description = "Client secret is required for client_credentials grant type";
        return Err(invalid(description));
    }
    if context.world.client(&id).is_some() {
        let description = format!("Client already exists: {id}");
        return Err(Refusal::new(409, "invalid_client", description));
    }
    let secret = Some(secret.unwrap_or_default());
    let guid = context.world.add_client(id, secret, details);
    answer(context, guid, 201)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    find(context).map(|client| Response::ok(&present(client)))
}

/// Replaces everything except for the secret. Lists that are not in the request are not
/// changed.
fn replace(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let mut message = ClientMessage::read(context)?;
    let client = find(context)?;
    let (guid, known) = (client.base.guid, client.details.clone());
    if message
        .client_id
        .as_ref()
        .is_some_and(|id| *id != client.id)
    {
        let (path, body) = (&client.id, message.client_id.unwrap_or_default());
        return Err(invalid(format!(
            "The client id ({body}) does not match the URL ({path})"
        )));
    }
    for (list, known) in [
        (&mut message.scope, known.scope),
        (&mut message.authorities, known.authorities),
        (&mut message.authorized_grant_types, known.grant_types),
        (&mut message.redirect_uri, known.redirect_uris),
    ] {
        let given = std::mem::take(list).list();
        *list = StringList::List(if given.is_empty() { known } else { given });
    }
    message.access_token_validity = message
        .access_token_validity
        .or(known.access_token_validity);
    message.refresh_token_validity = message
        .refresh_token_validity
        .or(known.refresh_token_validity);
    for (key, value) in known.further {
        message.further.entry(key).or_insert(value);
    }
    let details = message.validate()?;
    context
        .world
        .update_row(guid, |client: &mut Client| client.details = details);
    answer(context, guid, 200)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let client = find(context)?;
    let (guid, presented) = (client.base.guid, present(client));
    context.world.clients.remove(guid);
    Ok(Response::ok(&presented))
}

/// Changes a client's secret. A client that changes its own secret must send the old one.
fn set_secret(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct SecretMessage {
        old_secret: Option<String>,
        secret: String,
    }
    let own = caller(context)?.id() == context.capture("client");
    require_scope(context, SECRET)?;
    let message: SecretMessage = read_object(context.request.body).map_err(invalid)?;
    let client = find(context)?;
    let is_admin = require_scope(context, "clients.admin uaa.admin").is_ok();
    let knows_old = own && message.old_secret == client.secret;
    if !is_admin && !knows_old {
        let description = "Bad request. Previous secret must be provided and correct";
        return Err(invalid(description));
    }
    let guid = client.base.guid;
    context.world.update_row(guid, |client: &mut Client| {
        client.secret = Some(message.secret);
    });
    Ok(Response::ok(
        &json!({"status": "ok", "message": "secret updated"}),
    ))
}
