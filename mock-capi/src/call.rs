//! One request being handled: what handlers have at hand.

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::error::CcError;
use crate::faults::FaultPlan;
use crate::http::{Request, Response};
use crate::settings::Settings;
use crate::token::{Caller, Tokens};
use crate::world::{Guid, Kind, Row, World};

/// A request, the world that it acts on, and what it was routed by.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a mut World,
    pub(crate) faults: &'a mut FaultPlan,
    pub(crate) tokens: &'a Tokens,
    /// Who the token says the request is from; none without a good one.
    pub(crate) caller: Option<Caller>,
    /// `http://host:port`, as the client knows the mock.
    pub(crate) base: String,
    /// What the path had in the place of the pattern's `:names`.
    pub(crate) captures: Vec<(&'static str, String)>,
}

impl Call<'_> {
    /// Who the request is from.
    pub(crate) fn caller(&self) -> Result<&Caller, CcError> {
        self.caller.as_ref().ok_or_else(CcError::not_authenticated)
    }

    /// Refuses whoever is no administrator.
    pub(crate) fn require_admin(&self) -> Result<(), CcError> {
        match self.caller()?.admin {
            true => Ok(()),
            false => Err(CcError::not_authorized()),
        }
    }

    /// The text that the path had in the place of `:name`.
    pub(crate) fn capture(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The row that `:name` is the GUID of; else 404.
    pub(crate) fn named<R: Row>(&self, name: &str) -> Result<&R, CcError> {
        self.row_of(self.capture(name))
    }

    /// The row that a text is the GUID of; else 404.
    pub(crate) fn row_of<R: Row>(&self, guid: &str) -> Result<&R, CcError> {
        Guid::parse(guid)
            .and_then(|guid| self.world.get(guid))
            .ok_or_else(|| CcError::not_found(R::KIND))
    }

    /// The row that `:name` is the GUID of, as an answer.
    pub(crate) fn show<R: Row>(
        &self,
        name: &str,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        Ok(Response::ok(&present(self.named(name)?, &self.view())))
    }

    /// The GUID `:name`, if there is such a row; else 404.
    pub(crate) fn guid_of<R: Row>(&self, name: &str) -> Result<Guid, CcError> {
        self.named(name).map(R::guid)
    }

    /// The row of a GUID; 404 if it is gone.
    pub(crate) fn row<R: Row>(&self, guid: Guid) -> Result<&R, CcError> {
        let row = self.world.get(guid);
        row.ok_or_else(|| CcError::not_found(R::KIND))
    }

    /// Makes a path of the mock an absolute URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The world as it is now, for presenters.
    pub(crate) fn view(&self) -> View<'_> {
        View::new(self.world, &self.base)
    }

    /// The row of a GUID, presented.
    pub(crate) fn present<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        Ok(present(self.row(guid)?, &self.view()))
    }

    /// The same as an answer.
    pub(crate) fn ok<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        self.present(guid, present).map(|row| Response::ok(&row))
    }

    /// The same to a request that made the row.
    pub(crate) fn created<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        self.present(guid, present)
            .map(|row| Response::created(&row))
    }

    /// The row of a GUID, presented while what this request started is still
    /// under way.
    pub(crate) fn present_pending<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        let mut view = self.view();
        view.at = view.at.just_before();
        Ok(present(self.row(guid)?, &view))
    }

    /// Starts the job that deletes something: 202 and where to watch it.
    pub(crate) fn delete_in_job(&mut self, operation: &str, kind: Kind, guid: Guid) -> Response {
        let job = self.start_job(operation, Some((kind, guid)));
        self.in_job(job)
    }

    /// Answers with a job whose outcome is known already.
    pub(crate) fn job_with(&mut self, operation: &str, outcome: Result<(), CcError>) -> Response {
        let job = self.world.schedule(operation.into(), None, outcome.err());
        self.in_job(job)
    }

    fn in_job(&self, job: Guid) -> Response {
        let location = self.url(&format!("/v3/jobs/{job}"));
        Response::empty(202).with_header("Location", location)
    }

    /// Starts an app; a fault may crash its instances.
    pub(crate) fn start_app(&mut self, app: Guid) -> Result<(), CcError> {
        let crashing = self.crashes(app);
        self.world.start_app(app, crashing)
    }

    /// Whether a fault crashes what is about to be started of an app.
    pub(crate) fn crashes(&mut self, app: Guid) -> bool {
        let app = self.world.apps.get(app);
        app.is_some_and(|app| self.faults.crashes(&app.name))
    }

    /// Why a fault fails the task that is about to be started of an app.
    pub(crate) fn fail_task(&mut self, app: Guid) -> Option<String> {
        let app = self.world.apps.get(app)?;
        self.faults.task(&app.name)
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
    /// Whether a list is presented, which has no secrets.
    pub(crate) in_list: bool,
}

const HIDDEN: &str = "[PRIVATE DATA HIDDEN IN LISTS]";

impl<'w> View<'w> {
    pub(crate) fn new(world: &'w World, base: &'w str) -> Self {
        Self {
            world,
            base,
            at: world.now(),
            in_list: false,
        }
    }

    /// A value that lists do not show, even to administrators.
    pub(crate) fn secret(&self, value: Value) -> Value {
        if self.in_list { json!(HIDDEN) } else { value }
    }

    /// The same of an object.
    pub(crate) fn secrets(&self, object: Value) -> Value {
        if self.in_list {
            json!({"redacted_message": HIDDEN})
        } else {
            object
        }
    }

    /// A link to a path of the mock.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"href": self.url(path)})
    }

    /// A path of the mock as an absolute URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A link that takes another method than `GET`.
    pub(crate) fn action(&self, method: &str, path: &str) -> Value {
        json!({"href": self.url(path), "method": method})
    }
}

/// `{"data": {"guid": ...}}`, or `{"data": null}`.
pub(crate) fn to_one(guid: Option<Guid>) -> Value {
    json!({"data": guid.map(|guid| json!({"guid": guid}))})
}

/// `{"data": [{"guid": ...}, ...]}`.
pub(crate) fn to_many(guids: impl IntoIterator<Item = Guid>) -> Value {
    let data = guids.into_iter().map(|guid| json!({"guid": guid}));
    json!({"data": data.collect::<Vec<_>>()})
}
