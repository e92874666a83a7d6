//! Steps of jobs for bindings.

use serde_json::{Map, Value, json};

use super::{NextRun, Run, text, timed_out, too_late, unable};
use crate::api::error::CcError;
use crate::api::osb::reply::{
    self, BrokerError, BrokerErrorKind, BrokerOperation, BrokerReply, Progress,
};
use crate::world::{
    BindingRef, Operation, OperationState, RouteBinding, Row, ServiceBinding, Step,
};

impl Run<'_> {
    pub(super) fn bind(
        &mut self,
        binding: BindingRef,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        const NOT_RETRIEVABLE: &str =
            "The broker responded asynchronously but does not support fetching binding data";
        let Some(instance) = self.world.instance_of(binding).map(Row::guid) else {
            return Ok(self.done());
        };
        let offering = self.offering_of(instance).map(|offering| &offering.catalog);
        let requires = offering.map(|it| it.requires.clone()).unwrap_or_default();
        let retrievable = offering.is_some_and(|it| it.bindings_retrievable);
        let accepted = match reply::read(BrokerOperation::Bind(&requires), reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.remove_orphan(&error, instance, Some(binding.guid()));
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_binding_operation(binding, operation);
                return Err(self.refusal("bind", &error));
            }
        };
        if !accepted.pending {
            self.complete_binding(binding, &accepted.body);
            return Ok(self.done());
        }
        if !retrievable {
            let operation = self.failed("create", Some(NOT_RETRIEVABLE.into()));
            self.world.set_binding_operation(binding, operation);
            let detail = format!("The service binding is invalid: {NOT_RETRIEVABLE}");
            return Err(CcError::new(
                400,
                90_001,
                "CF-ServiceBindingInvalid",
                detail,
            ));
        }
        self.begin_binding(binding, "create", &accepted.body);
        let data = json!({"request": self.world.request_of(self.job)});
        self.world.record_binding(binding, "start_create", data);
        Ok(self.then(Step::PollBinding(binding), self.later(Some(reply))))
    }

    pub(super) fn begin_binding(
        &mut self,
        binding: BindingRef,
        kind: &'static str,
        body: &Map<String, Value>,
    ) {
        let operation = Operation {
            broker_operation: text(body, "operation"),
            ..self.operation(kind, OperationState::InProgress)
        };
        self.world.set_binding_operation(binding, operation);
    }

    pub(super) fn complete_binding(&mut self, binding: BindingRef, body: &Map<String, Value>) {
        match binding {
            BindingRef::Credential(guid) => {
                let is_app = |binding: &ServiceBinding| binding.app.is_some();
                self.world.update_row(guid, |binding: &mut ServiceBinding| {
                    binding.credentials =
                        body.get("credentials").filter(|it| !it.is_null()).cloned();
                    if is_app(binding) {
                        binding.syslog_drain_url = text(body, "syslog_drain_url");
                        binding.volume_mounts = body.get("volume_mounts").cloned();
                    }
                });
            }
            BindingRef::Route(guid) => self.world.update_row(guid, |binding: &mut RouteBinding| {
                binding.route_service_url = text(body, "route_service_url");
            }),
        }
        let operation = self.operation("create", OperationState::Succeeded);
        self.world.set_binding_operation(binding, operation);
        let request = self.world.request_of(self.job);
        match self.is_awaited() {
            true => self.world.record_v2_binding(binding, "create", request),
            false => self.world.record_bound(binding, request),
        }
    }

    /// Removes a binding that its broker no longer has.
    pub(super) fn remove_binding(&mut self, binding: BindingRef) {
        match self.is_awaited() {
            true => self.world.unbind_in_v2(binding),
            false => self.world.unbind_service(binding),
        }
    }

    pub(super) fn unbind(
        &mut self,
        binding: BindingRef,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        let accepted = match reply::read(BrokerOperation::Unbind, reply) {
            Ok(accepted) => accepted,
            Err(error) => return Err(self.fail_unbind(binding, &error)),
        };
        if !accepted.pending {
            self.remove_binding(binding);
            return Ok(self.done());
        }
        self.begin_binding(binding, "delete", &accepted.body);
        let data = self.world.binding_data(binding);
        self.world.record_binding(binding, "start_delete", data);
        if !self.is_part() || self.settings.recursive_delete {
            return Ok(self.then(Step::PollBinding(binding), self.later(Some(reply))));
        }
        // The deletion continues in its own job, and the job that needs it fails.
        let steps = vec![Step::PollBinding(binding)];
        let operation = match binding {
            BindingRef::Credential(_) => "service_bindings.delete",
            BindingRef::Route(_) => "service_route_bindings.delete",
        };
        let guid = binding.guid();
        self.world.start_work(operation, guid, steps, Value::Null);
        let why = self.in_progress(binding);
        Err(self.fail_whole(binding, &why))
    }

    /// The error for a binding whose deletion is still in progress.
    pub(super) fn in_progress(&self, binding: BindingRef) -> String {
        let instance = self.world.instance_of(binding);
        let instance = instance.map_or("", |instance| &instance.name);
        let app = match binding {
            BindingRef::Credential(guid) => self.world.service_bindings.get(guid),
            BindingRef::Route(_) => None,
        };
        let app = app.and_then(|binding| self.world.apps.get(binding.app?));
        match app {
            Some(app) => format!(
                "An operation for the service binding between app {} and service instance {instance} is in progress.",
                app.name
            ),
            None => format!(
                "An operation for a service binding of service instance {instance} is in progress."
            ),
        }
    }

    pub(super) fn fail_unbind(&mut self, binding: BindingRef, error: &BrokerError) -> CcError {
        let name = self.world.instance_of(binding);
        let name = name.map_or("", |instance| &instance.name);
        let why = match error.kind {
            BrokerErrorKind::Concurrency => {
                "The service broker rejected the request due to an operation being in progress for the service binding.".to_owned()
            }
            _ => format!(
                "Service broker failed to delete service binding for instance {name}: {}",
                error.message
            ),
        };
        if error.kind != BrokerErrorKind::Concurrency {
            let operation = self.failed("delete", Some(why.clone()));
            self.world.set_binding_operation(binding, operation);
        }
        match self.is_part() {
            true => self.fail_whole(binding, &why),
            false if self.is_awaited() => error.for_client(),
            false => unable("unbind", &why),
        }
    }

    /// Fails a job that has other steps in addition to the binding.
    pub(super) fn fail_whole(&mut self, binding: BindingRef, why: &str) -> CcError {
        let steps = self
            .world
            .work_of(self.job)
            .map(|work| work.steps.as_slice());
        let of_instance = steps
            .unwrap_or_default()
            .iter()
            .find_map(|step| match step {
                Step::Deprovision(instance) => Some(*instance),
                _ => None,
            });
        let own = self.world.instance_of(binding).map(Row::guid);
        if let Some(instance) = of_instance.filter(|instance| Some(*instance) == own) {
            let operation = self.failed("delete", Some(why.to_owned()));
            self.world.set_instance_operation(instance, operation);
        }
        unable("delete", why)
    }

    pub(super) fn poll_binding(
        &mut self,
        binding: BindingRef,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        const FAILED: &str = "VCAP::CloudController::V3::LastOperationFailedState";
        let deletes = self.world.operation_of_binding(binding);
        let deletes = deletes.is_some_and(|operation| operation.kind == "delete");
        let kind = if deletes { "delete" } else { "create" };
        let (progress, description) =
            reply::read_progress(reply).unwrap_or((Progress::Pending, None));
        match progress {
            Progress::Succeeded | Progress::Gone if deletes => {
                self.remove_binding(binding);
                Ok(self.done())
            }
            Progress::Succeeded => Ok(self.then(Step::ReadBinding(binding), NextRun::Now)),
            Progress::Failed => {
                let operation = self.failed(kind, description);
                self.world.set_binding_operation(binding, operation);
                Err(unable(kind, FAILED))
            }
            Progress::Pending | Progress::Gone => {
                let instance = self.world.instance_of(binding).map(Row::guid);
                let longest = instance.and_then(|instance| self.max_duration(instance));
                if self.world.is_work_late(self.job, longest) {
                    let verb = if deletes { "unbind" } else { "bind" };
                    let operation = self.failed(kind, Some(too_late(verb)));
                    self.world.set_binding_operation(binding, operation);
                    return Err(timed_out());
                }
                let mut operation = self.operation(kind, OperationState::InProgress);
                operation.description = description;
                operation.broker_operation = self
                    .world
                    .operation_of_binding(binding)
                    .and_then(|it| it.broker_operation.clone());
                self.world.set_binding_operation(binding, operation);
                Ok(self.later(Some(reply)))
            }
        }
    }

    pub(super) fn read_binding(
        &mut self,
        binding: BindingRef,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        match reply::read_parameters(reply) {
            Ok(body) => {
                self.complete_binding(binding, &body);
                Ok(self.done())
            }
            Err(error) => {
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_binding_operation(binding, operation);
                Err(unable("bind", &error.message))
            }
        }
    }
}
