//! `/Users` and `/userinfo` of UAA.

use serde::Deserialize;
use serde_json::{Value, json};

use super::filter::{Attributes, Filter};
use super::refusal::Refusal;
use super::scim::{
    self, SCHEMAS, caller, check_version, require_scope, require_self_or_scope, with_version,
};
use crate::api::context::{RequestContext, View};
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::json::read_object;
use crate::world::{Account, Email, Guid, NewAccount, Profile, UAA_ORIGIN, World};

/// UAA has its own errors, so the handlers check tokens themselves.
pub(super) const ROUTES: &[Route] = &[
    Route::get("/uaa/Users", uaa_handler!(index)).open(),
    Route::post("/uaa/Users", uaa_handler!(create)).open(),
    Route::get("/uaa/Users/:guid", uaa_handler!(show)).open(),
    Route::put("/uaa/Users/:guid", uaa_handler!(replace)).open(),
    Route::patch("/uaa/Users/:guid", uaa_handler!(patch)).open(),
    Route::delete("/uaa/Users/:guid", uaa_handler!(delete)).open(),
    Route::put("/uaa/Users/:guid/password", uaa_handler!(set_password)).open(),
    Route::get("/uaa/Users/:guid/verify", uaa_handler!(verify)).open(),
    Route::get("/uaa/userinfo", uaa_handler!(user_info)).open(),
    Route::post("/uaa/userinfo", uaa_handler!(user_info)).open(),
    Route::get("/uaa/ids/Users", uaa_handler!(find_ids)).open(),
];

const READ: &str = "uaa.admin scim.read";
const CREATE: &str = "uaa.admin scim.write scim.create";
const WRITE: &str = "uaa.admin scim.write";

const ATTRIBUTES: Attributes<Account> = &[
    ("id", |user| vec![user.base.guid.to_string()]),
    ("username", |user| vec![user.name.clone()]),
    ("user_name", |user| vec![user.name.clone()]),
    ("email", emails),
    ("emails.value", emails),
    ("origin", |user| vec![user.origin.clone()]),
    ("givenname", |user| list(&user.profile.given_name)),
    ("name.givenname", |user| list(&user.profile.given_name)),
    ("familyname", |user| list(&user.profile.family_name)),
    ("name.familyname", |user| list(&user.profile.family_name)),
    ("externalid", |user| list(&user.profile.external_id)),
    ("active", |user| vec![user.profile.active.to_string()]),
    ("verified", |user| vec![user.profile.verified.to_string()]),
    ("meta.created", |user| vec![user.base.created.to_string()]),
    ("meta.lastmodified", |user| {
        vec![user.base.updated.to_string()]
    }),
];

/// The attributes by which `/ids/Users` finds users.
const IDS: Attributes<Account> = &[
    ("id", |user| vec![user.base.guid.to_string()]),
    ("username", |user| vec![user.name.clone()]),
    ("origin", |user| vec![user.origin.clone()]),
];

fn emails(user: &Account) -> Vec<String> {
    let emails = user.profile.emails.iter();
    emails.map(|email| email.value.clone()).collect()
}

fn list(text: &Option<String>) -> Vec<String> {
    text.iter().cloned().collect()
}

impl Present for Account {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view.world)
    }
}

fn present(user: &Account, world: &World) -> Value {
    let profile = &user.profile;
    let groups = world.groups_of(user).into_iter();
    let groups = groups.map(|(group, direct)| {
        json!({
            "value": group.base.guid,
            "display": group.name,
            "type": if direct { "DIRECT" } else { "INDIRECT" },
        })
    });
    let mut name = json!({});
    for (key, part) in [
        ("familyName", &profile.family_name),
        ("givenName", &profile.given_name),
    ] {
        if let Some(part) = part {
            name[key] = json!(part);
        }
    }
    let mut presented = json!({
        "id": user.base.guid,
        "meta": {
            "version": user.version,
            "created": user.base.created,
            "lastModified": user.base.updated,
        },
        "userName": user.name,
        "name": name,
        "emails": profile.emails.iter().map(|email| {
            json!({"value": email.value, "primary": email.primary})
        }).collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "approvals": [],
        "active": profile.active,
        "verified": profile.verified,
        "origin": user.origin,
        "zoneId": "uaa",
        "schemas": SCHEMAS,
    });
    if !profile.phone_numbers.is_empty() {
        let numbers = profile.phone_numbers.iter();
        presented["phoneNumbers"] = numbers.map(|number| json!({"value": number})).collect();
    }
    if let Some(id) = &profile.external_id {
        presented["externalId"] = json!(id);
    }
    presented
}

fn answer(context: &RequestContext<'_>, guid: Guid, status: u16) -> Result<Response, Refusal> {
    let user = context.world.accounts.get(guid);
    let user = user.ok_or_else(|| not_found(&guid.to_string()))?;
    let response = Response::json(status, &present(user, context.world));
    Ok(with_version(response, user.version))
}

fn not_found(id: &str) -> Refusal {
    let description = format!("User {id} does not exist");
    Refusal::scim(404, "scim_resource_not_found", description)
}

fn find<'c>(context: &'c RequestContext<'_>) -> Result<&'c Account, Refusal> {
    let id = context.capture("guid");
    let account = context.world.look_up::<Account>(id);
    account.ok_or_else(|| not_found(id))
}

fn invalid(description: &str) -> Refusal {
    Refusal::scim(400, "invalid_scim_resource", description)
}

fn name_taken(name: &str, holder: Guid) -> Refusal {
    let description = format!("Username already in use: {name}");
    Refusal::scim(409, "scim_resource_already_exists", description)
        .with("user_id", holder.to_string())
        .with("active", true)
}

/// A user in a request. Unknown keys are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct UserMessage {
    user_name: Option<String>,
    password: Option<String>,
    origin: Option<String>,
    external_id: Option<String>,
    name: Option<NameMessage>,
    emails: Option<Vec<Email>>,
    phone_numbers: Option<Vec<PhoneNumber>>,
    active: Option<bool>,
    verified: Option<bool>,
    meta: MetaMessage,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct NameMessage {
    family_name: Option<String>,
    given_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PhoneNumber {
    value: String,
}

/// The attributes that a `PATCH` removes first.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct MetaMessage {
    pub(super) attributes: Vec<String>,
}

impl UserMessage {
    fn read(context: &RequestContext<'_>) -> Result<Self, Refusal> {
        let read = read_object(context.request.body);
        let mut message: Self = read.map_err(Refusal::unreadable)?;
        message.origin = message.origin.filter(|origin| !origin.is_empty());
        Ok(message)
    }

    /// Returns the user's name and profile, if they are valid.
    fn validate(self, origin: &str) -> Result<(String, Profile), Refusal> {
        let name = self.user_name.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| invalid("A username must be provided."))?;
        let is_allowed = |c: char| c.is_alphanumeric() || "+-_.@'!".contains(c);
        if origin == UAA_ORIGIN && !name.chars().all(is_allowed) {
            return Err(invalid(
                "Username must match pattern: [\\p{L}+0-9+\\-_.@'!]+",
            ));
        }
        let emails = self.emails.unwrap_or_default();
        match emails.as_slice() {
            [email] if email.value.is_empty() => Err(invalid("An email must be provided.")),
            [_] => Ok(()),
            _ => Err(invalid("Exactly one email must be provided.")),
        }?;
        let person = self.name.unwrap_or_default();
        let numbers = self.phone_numbers.unwrap_or_default().into_iter();
        let profile = Profile {
            given_name: person.given_name,
            family_name: person.family_name,
            emails,
            phone_numbers: numbers.map(|number| number.value).collect(),
            external_id: self.external_id,
            active: self.active.unwrap_or(true),
            verified: self.verified.unwrap_or(true),
        };
        Ok((name, profile))
    }

    /// The user after a `PATCH` with this message.
    fn patch(self, user: &Account) -> Result<Self, Refusal> {
        let profile = &user.profile;
        let mut patched = Self {
            user_name: Some(user.name.clone()),
            external_id: profile.external_id.clone(),
            name: Some(NameMessage {
                family_name: profile.family_name.clone(),
                given_name: profile.given_name.clone(),
            }),
            emails: Some(profile.emails.clone()),
            active: Some(self.active.unwrap_or(profile.active)),
            verified: Some(self.verified.unwrap_or(profile.verified)),
            ..Self::default()
        };
        let mut numbers: Vec<String> = profile.phone_numbers.clone();
        for attribute in &self.meta.attributes {
            let name = patched.name.get_or_insert_default();
            match attribute.to_lowercase().as_str() {
                "username" if self.user_name.is_some() => {}
                "username" => return Err(invalid("Can not drop username, field is required.")),
                "emails" => patched.emails = None,
                "phonenumbers" => numbers.clear(),
                "name" => *name = NameMessage::default(),
                "name.familyname" => name.family_name = None,
                "name.givenname" => name.given_name = None,
                _ => {
                    let description = format!(
                        "Attribute {attribute} cannot be removed using \"Meta.attributes\""
                    );
                    return Err(invalid(&description));
                }
            }
        }
        patched.user_name = self.user_name.or(patched.user_name);
        patched.external_id = self.external_id.or(patched.external_id);
        if let Some(change) = self.name {
            let name = patched.name.get_or_insert_default();
            name.family_name = change.family_name.or(name.family_name.take());
            name.given_name = change.given_name.or(name.given_name.take());
        }
        // UAA stores only one address, the primary one.
        if let Some(emails) = self.emails.filter(|emails| !emails.is_empty()) {
            let primary = emails.iter().position(|email| email.primary);
            let email = emails.into_iter().nth(primary.unwrap_or(0));
            patched.emails = Some(email.into_iter().collect());
        }
        let added = self.phone_numbers.unwrap_or_default().into_iter();
        let added = added.map(|number| number.value).chain(numbers);
        let added = added.map(|value| PhoneNumber { value });
        patched.phone_numbers = Some(added.collect());
        Ok(patched)
    }
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let world = &*context.world;
    let users = world.accounts.iter();
    scim::list(context, users, ATTRIBUTES, &SCHEMAS, |user| {
        present(user, world)
    })
}

/// Converts names to GUIDs and vice versa, for clients that may not see other attributes.
fn find_ids(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, "scim.userids")?;
    let refuse = |description: &str| Refusal::scim(400, "scim", description);
    let text = context.request.query("filter").unwrap_or_default();
    if text.trim().is_empty() {
        return Err(refuse("a 'filter' parameter is required"));
    }
    if Filter::parse(text, IDS).is_some_and(|filter| !filter.is_exact()) {
        return Err(refuse("Wildcards are not allowed in filter."));
    }
    let users = context.world.accounts.iter();
    scim::list(
        context,
        users,
        IDS,
        &SCHEMAS,
        |user| json!({"id": user.base.guid, "userName": user.name, "origin": user.origin}),
    )
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, CREATE)?;
    let mut message = UserMessage::read(context)?;
    let origin = message.origin.take();
    let origin = origin.unwrap_or_else(|| UAA_ORIGIN.into());
    let password = message.password.take().filter(|_| origin == UAA_ORIGIN);
    let (name, profile) = message.validate(&origin)?;
    if origin == UAA_ORIGIN && password.is_none() {
        return Err(invalid("A password is required"));
    }
    let registered = context.world.register(NewAccount {
        name: name.clone(),
        password,
        origin,
        profile,
    });
    let guid = registered.map_err(|holder| name_taken(&name, holder))?;
    answer(context, guid, 201)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_self_or_scope(context, context.capture("guid"), READ)?;
    let guid = find(context)?.base.guid;
    answer(context, guid, 200)
}

fn replace(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_self_or_scope(context, context.capture("guid"), WRITE)?;
    let message = UserMessage::read(context)?;
    update(context, message)
}

fn patch(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_self_or_scope(context, context.capture("guid"), WRITE)?;
    let message = UserMessage::read(context)?;
    let user = find(context)?;
    if message.origin.as_ref().is_some_and(|it| *it != user.origin) {
        return Err(invalid("Cannot change origin in patch of user."));
    }
    let patched = message.patch(user)?;
    update(context, patched)
}

/// Replaces the attributes of a user, except for the password.
fn update(context: &mut RequestContext<'_>, message: UserMessage) -> Result<Response, Refusal> {
    let user = find(context)?;
    let guid = user.base.guid;
    check_version(context, &format!("a user ({guid})"), user.version)?;
    let origin = user.origin.clone();
    if message.origin.as_ref().is_some_and(|it| *it != origin) {
        return Err(invalid("Cannot change user's origin in update operation."));
    }
    let (name, profile) = message.validate(&origin)?;
    let only_names = Profile {
        given_name: profile.given_name.clone(),
        family_name: profile.family_name.clone(),
        ..user.profile.clone()
    };
    if (name != user.name || profile != only_names) && require_scope(context, WRITE).is_err() {
        return Err(Refusal::new(
            403,
            "invalid_self_edit",
            "Users are only allowed to edit their own User settings when internal user storage is \
             enabled, and in that case they may only edit the givenName and familyName.",
        ));
    }
    let holders = context.world.accounts_named(&name, Some(&[origin]));
    let other = holders.iter().find(|holder| holder.base.guid != guid);
    if let Some(other) = other {
        return Err(name_taken(&name, other.base.guid));
    }
    context.world.update_row(guid, |user: &mut Account| {
        user.name = name;
        user.profile = profile;
        user.version += 1;
    });
    answer(context, guid, 200)
}

/// Marks the user's email address as verified.
fn verify(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let user = find(context)?;
    let (guid, version) = (user.base.guid, user.version);
    if context.request.header("if-match").is_some() {
        check_version(context, &format!("a user ({guid})"), version)?;
    }
    context.world.update_row(guid, |user: &mut Account| {
        user.profile.verified = true;
    });
    answer(context, guid, 200)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let user = find(context)?;
    let (guid, version) = (user.base.guid, user.version);
    if context.request.header("if-match").is_some() {
        check_version(context, &format!("a user ({guid})"), version)?;
    }
    let deleted = answer(context, guid, 200);
    context.world.accounts.remove(guid);
    deleted
}

/// Changes a password. Users who change their own must send the old one.
fn set_password(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct PasswordMessage {
        old_password: Option<String>,
        password: Option<String>,
    }
    let own = caller(context)?.id() == context.capture("guid");
    if !own {
        require_scope(context, WRITE)?;
    }
    let message: PasswordMessage =
        read_object(context.request.body).map_err(Refusal::unreadable)?;
    let account = find(context)?;
    let guid = account.base.guid;
    if own && message.old_password != account.password {
        let description = "Old password is incorrect";
        return Err(Refusal::new(401, "unauthorized", description));
    }
    let refuse = |description: &str| Refusal::scim(422, "invalid_password", description);
    let password = message.password.filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| refuse("Password must be specified."))?;
    if account.password.as_ref() == Some(&password) {
        return Err(refuse(
            "Your new password cannot be the same as the old password.",
        ));
    }
    context.world.update_row(guid, |account: &mut Account| {
        account.password = Some(password);
        account.version += 1;
    });
    Ok(Response::ok(
        &json!({"status": "ok", "message": "password updated"}),
    ))
}

fn user_info(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, "openid")?;
    let id = caller(context)?.id();
    let user = context.world.look_up::<Account>(id);
    let user = user.ok_or_else(|| Refusal::insufficient_scope("openid"))?;
    let profile = &user.profile;
    let names = [&profile.given_name, &profile.family_name];
    let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
    Ok(Response::ok(&json!({
        "user_id": user.base.guid,
        "sub": user.base.guid,
        "user_name": user.name,
        "name": names.join(" "),
        "given_name": profile.given_name,
        "family_name": profile.family_name,
        "phone_number": profile.phone_numbers.first(),
        "email": profile.email(),
        "email_verified": profile.verified,
        "origin": user.origin,
        "previous_logon_time": null,
    })))
}
