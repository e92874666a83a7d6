//! The context of a request, which handlers use.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::message::Message;
use crate::api::router::Allowed;
use crate::api::uaa::token::{Caller, Tokens};
use crate::world::clock::Timestamp;
use crate::world::failures::Failures;
use crate::world::metadata::MetadataPatch;
use crate::world::settings::{Dialect, Settings};
use crate::world::{
    ADMINS, Access, AccessScope, BrokerTask, FeatureFlag, Guid, Kind, MANAGE_APPS, MANAGE_ORG,
    READ_SECRETS, Roles, Row, Step, WaitingClient, World,
};

/// A request, the world that it acts on, and the route that handles it.
#[derive(Debug)]
pub(crate) struct RequestContext<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a mut World,
    pub(crate) faults: &'a mut dyn Failures,
    pub(crate) tokens: &'a mut Tokens,
    /// The user or client of the token. `None` without a valid token.
    pub(crate) caller: Option<Caller>,
    /// The permissions of the caller.
    pub(crate) access: Access,
    /// The roles that the operation needs.
    pub(crate) allowed: Allowed,
    /// `http://host:port`, as in the client's URL of the mock.
    pub(crate) base: String,
    /// The segments of the path that the pattern's `:names` match.
    pub(crate) captures: Vec<(&'static str, String)>,
}

impl RequestContext<'_> {
    /// The caller. The error is 401 without a valid token.
    pub(crate) fn caller(&self) -> Result<&Caller, CcError> {
        self.caller.as_ref().ok_or_else(CcError::not_authenticated)
    }

    /// Refuses callers that are not administrators.
    pub(crate) fn require_admin(&self) -> Result<(), CcError> {
        self.require(ADMINS, AccessScope::Deleted)
    }

    /// Refuses callers without any of the roles in a scope, and changes to suspended
    /// organizations and spaces.
    pub(crate) fn require(&self, roles: Roles, access_scope: AccessScope) -> Result<(), CcError> {
        if !self.access.allows(self.world, access_scope, roles) {
            return Err(CcError::not_authorized());
        }
        if self.access.is_everything() || self.request.is_read() {
            return Ok(());
        }
        let space = match access_scope {
            AccessScope::Space(space) => self.world.spaces.get(space),
            _ => None,
        };
        let org = match access_scope {
            AccessScope::Org(org) => Some(org),
            _ => space.map(|space| space.org),
        };
        if org.is_some_and(|org| self.world.is_suspended(org)) {
            return Err(CcError::org_suspended());
        }
        // Managers of the organization may still change a suspended space.
        let manager = self.access.allows(self.world, access_scope, MANAGE_ORG);
        if space.is_some_and(|space| space.suspended) && !manager {
            return Err(CcError::space_suspended());
        }
        Ok(())
    }

    /// Refuses operations whose feature flag is disabled. Administrators may still use
    /// most of them.
    pub(crate) fn require_flag(&self, name: &str) -> Result<(), CcError> {
        let flag = self.world.named::<FeatureFlag>(name);
        if flag.is_some_and(FeatureFlag::allows_admins) && self.access.is_everything() {
            return Ok(());
        }
        self.require_flag_of_all(name)
    }

    /// Refuses operations whose feature flag is disabled, even for administrators.
    pub(crate) fn require_flag_of_all(&self, name: &str) -> Result<(), CcError> {
        let flag = self.world.named::<FeatureFlag>(name);
        match flag.filter(|flag| !flag.enabled) {
            None => Ok(()),
            Some(flag) => {
                let what = flag.error_message.as_deref();
                Err(CcError::feature_disabled(what.unwrap_or(&flag.name)))
            }
        }
    }

    /// Refuses callers who may not carry out the operation in a scope.
    pub(crate) fn authorize(&self, access_scope: AccessScope) -> Result<(), CcError> {
        match self.allowed {
            Allowed::Anyone => Ok(()),
            Allowed::Holders(roles) => self.require(roles, access_scope),
        }
    }

    /// The segment of the path that matches `:name`.
    pub(crate) fn capture(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(key, _)| *key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The row whose GUID is `:name`, for a caller who may carry out the operation. The
    /// error is 404 if the caller cannot see the row, and 403 otherwise.
    pub(crate) fn named<R: Row>(&self, name: &str) -> Result<&R, CcError> {
        let row: &R = self.row_of(self.capture(name))?;
        self.authorize(row.access_scope(self.world))?;
        Ok(row)
    }

    /// The row with this GUID. The error is 404 if the caller cannot see the row.
    pub(crate) fn row_of<R: Row>(&self, guid: &str) -> Result<&R, CcError> {
        self.visible(guid)
            .ok_or_else(|| CcError::not_found(R::KIND))
    }

    /// The row with this GUID, if the caller can see it.
    pub(crate) fn visible<R: Row>(&self, guid: &str) -> Option<&R> {
        let row: &R = self.world.look_up(guid)?;
        row.is_visible(self.world, &self.access).then_some(row)
    }

    /// A row that the body names, for a caller who may carry out the operation there. The
    /// error is 422 with `missing` if the caller cannot see the row.
    pub(crate) fn related<R: Row>(
        &self,
        guid: Option<&str>,
        missing: impl Into<String>,
    ) -> Result<&R, CcError> {
        let row: Option<&R> = guid.and_then(|guid| self.visible(guid));
        let row = row.ok_or_else(|| CcError::unprocessable(missing))?;
        self.authorize(row.access_scope(self.world))?;
        Ok(row)
    }

    /// A row that the body names, for a caller who may manage apps there. The error is
    /// 422 with `missing` for other callers.
    pub(crate) fn manageable<R: Row>(
        &self,
        guid: Option<&str>,
        missing: &str,
    ) -> Result<&R, CcError> {
        let row: Option<&R> = guid.and_then(|guid| self.visible(guid));
        let allowed = |row: &&R| {
            let access_scope = row.access_scope(self.world);
            self.access.allows(self.world, access_scope, MANAGE_APPS)
        };
        let row = row.filter(allowed);
        let row = row.ok_or_else(|| CcError::unprocessable(missing))?;
        self.require(MANAGE_APPS, row.access_scope(self.world))?;
        Ok(row)
    }

    /// A response with the row whose GUID is `:name`.
    pub(crate) fn show<R: Row>(
        &self,
        name: &str,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        let row = self.named(name)?;
        Ok(Response::ok(&present(row, &self.view_of(row))))
    }

    /// The GUID `:name` of an existing row. The error is 404 if the row does not exist.
    pub(crate) fn guid_of<R: Row>(&self, name: &str) -> Result<Guid, CcError> {
        self.named(name).map(R::guid)
    }

    /// The row with this GUID. The error is 404 if the row was deleted.
    pub(crate) fn row<R: Row>(&self, guid: Guid) -> Result<&R, CcError> {
        let row = self.world.get(guid);
        row.ok_or_else(|| CcError::not_found(R::KIND))
    }

    /// The absolute URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The current world, for presenters.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            dialect: self.settings.dialect,
            ..View::new(self.world, &self.base, &self.access)
        }
    }

    /// The current world, for presenting a row. Secrets are hidden from callers who
    /// may not read them.
    pub(crate) fn view_of<R: Row>(&self, row: &R) -> View<'_> {
        let mut view = self.view();
        let access_scope = row.access_scope(self.world);
        if !self.access.allows(self.world, access_scope, READ_SECRETS) {
            view.hidden = Some(HIDDEN);
        }
        view
    }

    /// Presents the row with this GUID.
    pub(crate) fn present<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        let row = self.row(guid)?;
        Ok(present(row, &self.view_of(row)))
    }

    /// A response with the row that has this GUID.
    pub(crate) fn ok<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        self.present(guid, present).map(|row| Response::ok(&row))
    }

    /// A 201 response with the row that has this GUID.
    pub(crate) fn created<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        self.present(guid, present)
            .map(|row| Response::created(&row))
    }

    /// The metadata change in a body that may contain nothing else.
    pub(crate) fn metadata_patch(&self) -> Result<MetadataPatch, CcError> {
        let body = self.request.object()?;
        let mut message = Message::new(&body, &["metadata"]);
        let patch = message.metadata();
        message.finish()?;
        Ok(patch)
    }

    /// Changes the metadata of a row and responds with the row.
    pub(crate) fn update_metadata<R: Row>(
        &mut self,
        guid: Guid,
        patch: MetadataPatch,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Response, CcError> {
        self.world
            .update_row(guid, |row: &mut R| row.base_mut().metadata.apply(patch));
        self.ok(guid, present)
    }

    /// Presents the row with this GUID in its state while an operation of this request is
    /// in progress.
    pub(crate) fn present_pending<R: Row>(
        &self,
        guid: Guid,
        present: impl FnOnce(&R, &View<'_>) -> Value,
    ) -> Result<Value, CcError> {
        let row = self.row(guid)?;
        let mut view = self.view_of(row);
        view.at = view.at.just_before();
        Ok(present(row, &view))
    }

    /// The bits with this checksum. The error is 404 if the mock does not keep them any
    /// more.
    pub(crate) fn bits(&self, checksum: &str) -> Result<Response, CcError> {
        let bits = self.world.blobs.get(checksum);
        let bits = bits.ok_or_else(CcError::bits_not_kept)?;
        Ok(Response::bits(bits.into()))
    }

    /// Starts the job that deletes a resource. Responds with 202 and the job's URL.
    pub(crate) fn delete_in_job(&mut self, operation: &str, kind: Kind, guid: Guid) -> Response {
        let mut steps = self.world.broker_steps(kind, guid);
        if !steps.is_empty() {
            steps.push(Step::Delete(kind, guid));
            return self.work_in_job(operation, guid, steps, Value::Null);
        }
        let job = self.start_job(operation, Some(guid), Some(kind));
        self.in_job(job)
    }

    /// Starts a job that changes nothing.
    pub(crate) fn do_in_job(&mut self, operation: &str, of: Option<Guid>) -> Response {
        let job = self.start_job(operation, of, None);
        self.in_job(job)
    }

    /// Starts a job whose steps are requests to brokers.
    pub(crate) fn work_in_job(
        &mut self,
        operation: &str,
        of: Guid,
        steps: Vec<Step>,
        request: Value,
    ) -> Response {
        let job = match self.faults.job(operation) {
            None => self.world.start_work(operation, of, steps, request),
            failure => self
                .world
                .schedule(operation.into(), Some(of), None, failure),
        };
        self.in_job(job)
    }

    /// Starts a job with requests to brokers that the client waits for. The response
    /// contains the resource at the path `shows`.
    pub(crate) fn await_work(
        &mut self,
        operation: &str,
        steps: Vec<Step>,
        (of, shows): (Guid, String),
        request: Value,
        client: WaitingClient,
    ) -> Result<(), CcError> {
        if let Some(failure) = self.faults.job(operation) {
            return Err(failure.into());
        }
        let world = &mut self.world;
        world.start_awaited_work(operation, steps, (of, shows), request, client);
        Ok(())
    }

    /// Responds with the parameters that a broker has for an instance or a binding.
    pub(crate) fn read_parameters(&mut self, instance: Guid, binding: Option<Guid>) -> Response {
        let task = BrokerTask::ReadParameters { instance, binding };
        self.world.ask_for(task);
        Response::ok(&json!({}))
    }

    /// The body of the request, for events.
    pub(crate) fn request_body(&self) -> Value {
        Value::Object(self.request.object().unwrap_or_default())
    }

    /// Responds with a job whose outcome is already known.
    pub(crate) fn job_with(
        &mut self,
        operation: &str,
        of: Guid,
        outcome: Result<(), CcError>,
    ) -> Response {
        let failure = outcome.err();
        let job = self
            .world
            .schedule(operation.into(), Some(of), None, failure.map(Into::into));
        self.in_job(job)
    }

    fn in_job(&self, job: Guid) -> Response {
        let location = self.url(&format!("/v3/jobs/{job}"));
        Response::empty(202).with_header("Location", location)
    }

    /// Starts an app. A fault may crash its instances.
    pub(crate) fn start_app(&mut self, app: Guid) -> Result<(), CcError> {
        let crashing = self.crashes(app);
        Ok(self.world.start_app(app, crashing)?)
    }

    /// Whether a fault crashes instances of an app that are about to start.
    pub(crate) fn crashes(&mut self, app: Guid) -> bool {
        let app = self.world.apps.get(app);
        app.is_some_and(|app| self.faults.crashes(&app.name))
    }

    /// The error of a fault for a task of an app that is about to start.
    pub(crate) fn fail_task(&mut self, app: Guid) -> Option<String> {
        let app = self.world.apps.get(app)?;
        self.faults.task(&app.name)
    }

    /// Starts a job of a resource, which a fault may fail.
    pub(crate) fn start_job(
        &mut self,
        operation: &str,
        of: Option<Guid>,
        deletes: Option<Kind>,
    ) -> Guid {
        let failure = self.faults.job(operation);
        self.world.schedule(operation.into(), of, deletes, failure)
    }
}

/// The input of presenters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'w> {
    pub(crate) world: &'w World,
    base: &'w str,
    /// The time for which states are computed.
    pub(crate) at: Timestamp,
    /// The permissions of the caller.
    pub(crate) access: &'w Access,
    /// The version of the API.
    pub(crate) dialect: Dialect,
    /// The text that replaces secrets.
    hidden: Option<&'static str>,
}

const HIDDEN: &str = "[PRIVATE DATA HIDDEN]";
const HIDDEN_IN_LISTS: &str = "[PRIVATE DATA HIDDEN IN LISTS]";

impl<'w> View<'w> {
    pub(crate) fn new(world: &'w World, base: &'w str, access: &'w Access) -> Self {
        Self {
            world,
            base,
            at: world.now(),
            access,
            dialect: Dialect::V3,
            hidden: None,
        }
    }

    /// The view for lists, which contain no secrets.
    pub(crate) fn in_list(mut self) -> Self {
        self.hidden = Some(HIDDEN_IN_LISTS);
        self
    }

    /// A value that is hidden in lists and from callers who may not read it.
    pub(crate) fn secret(&self, value: Value) -> Value {
        self.hidden.map_or(value, |hidden| json!(hidden))
    }

    /// An object that is hidden in lists and from callers who may not read it.
    pub(crate) fn secrets(&self, object: Value) -> Value {
        self.hidden
            .map_or(object, |hidden| json!({"redacted_message": hidden}))
    }

    /// The given spaces that the caller can see.
    pub(crate) fn visible_spaces(
        &self,
        spaces: impl IntoIterator<Item = Guid>,
    ) -> impl Iterator<Item = Guid> {
        let spaces = spaces.into_iter();
        spaces.filter(|space| self.access.sees(self.world, AccessScope::Space(*space)))
    }

    /// The given organizations that the caller can see.
    pub(crate) fn visible_orgs(
        &self,
        orgs: impl IntoIterator<Item = Guid>,
    ) -> impl Iterator<Item = Guid> {
        let orgs = orgs.into_iter();
        orgs.filter(|org| self.access.sees(self.world, AccessScope::Org(*org)))
    }

    /// The resources that the resources of a list belong to, without duplicates, oldest
    /// first.
    pub(crate) fn included<R: Row>(
        &self,
        guids: impl Iterator<Item = Guid>,
        present: impl Fn(&R, &Self) -> Value,
    ) -> Value {
        let guids: HashSet<Guid> = guids.collect();
        let rows = guids.into_iter().filter_map(|guid| self.world.get(guid));
        let mut rows: Vec<&R> = rows.collect();
        rows.sort_by_key(|row| (row.base().created, row.guid()));
        rows.into_iter().map(|row| present(row, self)).collect()
    }

    /// A link to a path of the mock.
    pub(crate) fn link(&self, path: &str) -> Value {
        json!({"href": self.url(path)})
    }

    /// The absolute URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A link with a method other than `GET`.
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
