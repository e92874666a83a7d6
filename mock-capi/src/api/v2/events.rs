//! `/v2/events`, and `/v2/app_events`, which is always empty

use serde_json::{Value, json};

use super::collection::{self, Collection, by_guid, row};
use super::entity::Entity;
use super::filter::Filter;
use super::source::{Source, rows};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Event, Field, Guid, Key, READ_V2_EVENTS, Selection, World};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/events", collection::index),
    Route::get("/v2/events/:guid", collection::show),
    Route::get("/v2/app_events", index_app_events),
];

pub(super) static EVENTS: Collection = Collection {
    path: "/v2/events",
    source: Source::of::<Event>()
        .select(|world, selection| so_far(world, rows::<Event>(world, selection)))
        .visible(|world, access| Some(Event::keys_for(world, access, READ_V2_EVENTS))),
    get: row::<Event>,
    parse: by_guid,
    relations: &[],
    filters: &[
        Filter::text("timestamp", |_, event| {
            texts(event, |event| event.base.created.to_string())
        }),
        Filter::text("type", |_, event| {
            texts(event, |event| event.kind.to_string())
        })
        .indexed(Field::Type),
        Filter::text("actee", |_, event| texts(event, Event::target_id))
            .found_by(|_, ids| Some(Event::keys_of_targets(ids))),
        Filter::text("space_guid", |_, event| {
            texts(event, |event| guid_text(event.space))
        })
        .found_by(|_, guids| keys_of_places(Field::Space, guids)),
        Filter::text("organization_guid", |_, event| match event {
            Entity::Event(event) => event.org.iter().map(Guid::to_string).collect(),
            _ => Vec::new(),
        })
        .found_by(|_, guids| keys_of_places(Field::Org, guids)),
    ],
    order_by: &["timestamp", "id"],
    not_found: (230_002, "CF-EventNotFound", "Event could not be found"),
};

pub(super) static APP_EVENTS: Collection = Collection {
    path: "/v2/app_events",
    source: Source::scan(|_, _| Vec::new()),
    get: |_, _| None,
    parse: by_guid,
    relations: &[],
    filters: &[
        Filter::text("timestamp", |_, _| Vec::new()),
        Filter::guid("app_guid", |_, _| Vec::new()),
    ],
    order_by: &[],
    not_found: (
        10000,
        "CF-AppEventNotFound",
        "The app event could not be found",
    ),
};

/// The keys of organizations or spaces. An empty value selects events without an
/// organization or a space, which have no key.
fn keys_of_places(field: Field, guids: &[String]) -> Option<Vec<Key>> {
    let keys = guids.iter().map(|guid| {
        let guid = Guid::parse(guid)?;
        Some(Key::Guid(field, guid))
    });
    keys.collect()
}

/// The GUID, or an empty string.
fn guid_text(guid: Option<Guid>) -> String {
    guid.map_or_else(String::new, |guid| guid.to_string())
}

fn texts(event: Entity<'_>, text: impl Fn(&Event) -> String) -> Vec<String> {
    match event {
        Entity::Event(event) => vec![text(event)],
        _ => Vec::new(),
    }
}

/// The events up to now, oldest first.
pub(super) fn so_far<'w>(world: &'w World, mut events: Vec<Entity<'w>>) -> Vec<Entity<'w>> {
    let time = |event: &Entity<'_>| match event {
        Entity::Event(event) => Some(event.base.created),
        _ => None,
    };
    events.retain(|event| time(event).is_some_and(|at| at <= world.now()));
    events.sort_by_key(time);
    events
}

/// The events of an app.
pub(super) fn of_app(world: &World, app: Guid) -> Vec<Entity<'_>> {
    let events = rows::<Event>(world, &Selection::by(Field::Target, app));
    so_far(world, events)
}

pub(super) fn attributes(event: &Event) -> Value {
    json!({
        "type": event.kind,
        "actor": event.actor.id,
        "actor_type": event.actor.kind,
        "actor_name": event.actor.name,
        "actor_username": event.actor.name,
        "actee": event.target_id(),
        "actee_type": event.target_kind,
        "actee_name": event.target_name,
        "timestamp": event.base.created,
        "metadata": event.data,
        "space_guid": guid_text(event.space),
        "organization_guid": guid_text(event.org),
    })
}

fn index_app_events(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let answer = collection::index(context)?;
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}
