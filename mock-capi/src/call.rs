//! One request being handled: what handlers have at hand.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::error::CcError;
use crate::faults::FaultPlan;
use crate::http::{Request, Response};
use crate::settings::Settings;
use crate::token::Tokens;
use crate::world::{Guid, Kind, Row, Table, World};

/// A request, the world that it acts on, and what it was routed by.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a mut World,
    pub(crate) faults: &'a mut FaultPlan,
    pub(crate) tokens: &'a Tokens,
    /// `http://host:port`, as the client knows the mock.
    pub(crate) base: String,
    /// What the path had in the place of the pattern's `:names`.
    pub(crate) captures: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// The text that the path had in the place of `:name`.
    pub(crate) fn capture(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The row that `:name` is the GUID of; else 404, naming its kind as a
    /// person writes it.
    pub(crate) fn guid_of<R: Row>(
        &self,
        name: &str,
        table: impl FnOnce(&World) -> &Table<R>,
        kind: &str,
    ) -> Result<Guid, CcError> {
        Guid::parse(self.capture(name))
            .filter(|guid| table(self.world).get(*guid).is_some())
            .ok_or_else(|| CcError::not_found(kind))
    }

    /// Makes a path of the mock an absolute URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The world as it is now, for presenters.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            world: self.world,
            base: &self.base,
            at: self.world.now(),
        }
    }

    /// The row of a GUID, presented; 404 if the row is gone.
    pub(crate) fn present<R: Row>(
        &self,
        guid: Guid,
        table: impl FnOnce(&World) -> &Table<R>,
        kind: &str,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        let row = table(self.world).get(guid);
        row.map(|row| present(row, &self.view()))
            .ok_or_else(|| CcError::not_found(kind))
    }

    /// The same, while what this request started is still under way.
    pub(crate) fn present_pending<R: Row>(
        &self,
        guid: Guid,
        table: impl FnOnce(&World) -> &Table<R>,
        kind: &str,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        self.present(guid, table, kind, |row, view| {
            let pending = View {
                at: view.at.just_before(),
                ..*view
            };
            present(row, &pending)
        })
    }

    /// Starts the job that deletes something: 202 and where to watch it.
    pub(crate) fn delete_in_job(&mut self, operation: &str, kind: Kind, guid: Guid) -> Response {
        let job = self.start_job(operation, Some((kind, guid)));
        let location = self.url(&format!("/v3/jobs/{job}"));
        Response::empty(202).with_header("Location", location)
    }

    /// Starts a job, which a fault may fail.
    pub(crate) fn start_job(&mut self, operation: &str, deletion: Option<(Kind, Guid)>) -> Guid {
        let failure = self.faults.job(operation);
        self.world.schedule(operation.into(), deletion, failure)
    }
}

/// What presenters see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'w> {
    pub(crate) world: &'w World,
    base: &'w str,
    /// The moment at which states are derived.
    pub(crate) at: Timestamp,
}

impl<'w> View<'w> {
    pub(crate) fn new(world: &'w World, base: &'w str) -> Self {
        Self {
            world,
            base,
            at: world.now(),
        }
    }

    /// A link to a path of the mock.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"href": format!("{}{path}", self.base)})
    }

    /// A link that takes another method than `GET`.
    pub(crate) fn action(&self, method: &str, path: &str) -> Value {
        json!({"href": format!("{}{path}", self.base), "method": method})
    }
}

/// `{"data": {"guid": ...}}`, or `{"data": null}`.
pub(crate) fn to_one(guid: Option<Guid>) -> Value {
    json!({"data": guid.map(|guid| json!({"guid": guid.to_string()}))})
}

/// `{"data": [{"guid": ...}, ...]}`.
pub(crate) fn to_many(guids: impl IntoIterator<Item = Guid>) -> Value {
    let data = guids
        .into_iter()
        .map(|guid| json!({"guid": guid.to_string()}));
    json!({"data": data.collect::<Vec<_>>()})
}
