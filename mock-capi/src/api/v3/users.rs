//! `/v3/users`: users of the Cloud Controller, with their names from UAA

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{Account, Field, Guid, Kind, Registered, Row, UAA_ORIGIN, User};

use super::{organizations, spaces};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/users", index),
    Route::post("/v3/users", create),
    Route::get("/v3/users/:guid", show),
    Route::patch("/v3/users/:guid", update),
    Route::delete("/v3/users/:guid", delete),
];

const LIST: ListSpec = ListSpec::of(&[
    "usernames",
    "partial_usernames",
    "origins",
    "label_selector",
]);

impl Present for User {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(user: &User, view: &View<'_>) -> Value {
    let account = view.world.account_of(user);
    json!({
        "guid": user.id,
        "created_at": user.base.created,
        "updated_at": user.base.updated,
        "username": account.map(|account| &account.name),
        "presentation_name": view.world.presentation_name(user),
        "origin": account.map(|account| &account.origin),
        "metadata": user.base.metadata.present(),
        "links": {"self": view.link(&path(user))},
    })
}

pub(crate) fn path(user: &User) -> String {
    let id: String = url::form_urlencoded::byte_serialize(user.id.as_bytes()).collect();
    // In a path, a blank is not encoded as a plus sign.
    format!("/v3/users/{}", id.replace('+', "%20"))
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let user = context.world.find_user(context.capture("guid"));
    let user = user.filter(|user| user.is_visible(context.world, &context.access));
    user.map(Row::guid)
        .ok_or_else(|| CcError::not_found(User::KIND))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None, CcError::unprocessable)
}

/// `GET /v3/organizations/:guid/users`
pub(crate) fn index_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the organization is looked up.
    check_names(&ListQuery::read(context, &LIST)?).map_err(CcError::bad_query)?;
    let org = organizations::find(context)?;
    let members = context.world.members(Field::Org, org);
    list(context, Some(members), CcError::bad_query)
}

/// `GET /v3/spaces/:guid/users`
pub(crate) fn index_of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    check_names(&ListQuery::read(context, &LIST)?).map_err(CcError::bad_query)?;
    let space = spaces::find(context)?;
    let members = context.world.members(Field::Space, space);
    list(context, Some(members), CcError::bad_query)
}

fn list(
    context: &RequestContext<'_>,
    among: Option<Vec<Guid>>,
    refuse: fn(String) -> CcError,
) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &LIST, refuse)?;
    check_names(&query).map_err(|error| refuse(error.into()))?;
    let mut selection = query.by_users(context.world, query.labelled(), "guids", Field::Guid);
    if let Some(among) = among {
        selection = selection.any_guid(Field::Guid, among);
    }
    let named = |user: &User| is_named(&query, context.world.account_of(user));
    query.respond_by_query(context, &selection, named, present)
}

fn check_names(query: &ListQuery) -> Result<(), &'static str> {
    let given = |name| query.value(name).is_some();
    match (given("usernames"), given("partial_usernames")) {
        (false, false) if given("origins") => {
            Err("Origins filter cannot be provided without usernames or partial_usernames filter.")
        }
        (true, true) => Err(
            "Usernames filter cannot be provided with both usernames and partial_usernames filter.",
        ),
        _ => Ok(()),
    }
}

/// Whether an account has one of the requested names.
fn is_named(query: &ListQuery, account: Option<&Account>) -> bool {
    let has = |param: &str, test: fn(&str, &str) -> bool, text: &str| {
        let values = query.values(param);
        values.is_none_or(|values| {
            let mut values = values.iter();
            values.any(|value| test(&text.to_lowercase(), &value.to_lowercase()))
        })
    };
    let (name, origin) = match account {
        Some(account) => (account.name.as_str(), account.origin.as_str()),
        None => {
            return ["usernames", "partial_usernames"]
                .iter()
                .all(|name| query.value(name).is_none());
        }
    };
    has("usernames", |name, asked| name == asked, name)
        && has(
            "partial_usernames",
            |name, asked| name.contains(asked),
            name,
        )
        && has("origins", |origin, asked| origin == asked, origin)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.require_admin()?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["guid", "origin", "username", "metadata"]);
    let patch = message.metadata();
    let guid = read_guid(&mut message);
    let origin = message.optional_text("origin", 0..=usize::MAX);
    let username = message.optional_text("username", 0..=usize::MAX);
    check_identity(&mut message);
    message.finish()?;
    let (id, called) = match (guid, username, origin) {
        (None, Some(username), Some(origin)) => (
            context
                .world
                .find_or_add_account(username, origin)
                .to_string(),
            format!("username '{username}' and origin '{origin}'"),
        ),
        _ => {
            let guid = guid.unwrap_or_default();
            (guid.to_owned(), format!("guid '{guid}'"))
        }
    };
    if context.world.find_user(&id).is_some() {
        let taken = format!("User with {called} already exists.");
        return Err(CcError::unprocessable(taken));
    }
    let guid = context.world.add_user(&id, patch);
    context.created(guid, present)
}

fn read_guid<'b>(message: &mut Message<'b>) -> Option<&'b str> {
    let value = message.get("guid")?;
    let guid = value.as_str();
    if guid.is_none() {
        message.error("Guid must be a string");
    }
    if guid.is_none_or(|guid| !(1..=200).contains(&guid.chars().count())) {
        message.error("Guid must be between 1 and 200 characters");
    }
    guid
}

/// Checks that a request identifies a user either by GUID, or by name and origin.
fn check_identity(message: &mut Message<'_>) {
    let given = ["guid", "username", "origin"].map(|key| message.get(key).is_some());
    let is_uaa = message.get("origin").is_some_and(|o| o == UAA_ORIGIN);
    match given {
        [true, username, origin] => {
            for (label, wrong) in [("Username", username), ("Origin", origin)] {
                if wrong {
                    message.error(format!("{label} cannot be provided with 'guid'"));
                }
            }
        }
        [false, false, false] => {
            message.error("Guid or 'username' and 'origin' must be provided");
        }
        [false, username, origin] => {
            if !username {
                message.error("Origin can only be provided together with 'username'");
            }
            if !origin {
                message.error("Username can only be provided together with 'origin'");
            }
            if is_uaa {
                message.error("Origin cannot be 'uaa' when creating a user by username");
            }
        }
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.ok(guid, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.require_admin()?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.require_admin()?;
    Ok(context.delete_in_job("user.delete", Kind::User, guid))
}
