//! Continues jobs after a broker has responded, or without a request.

mod bindings;
mod brokers;
mod instances;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::BrokerRequest;
use super::reply::{self, BrokerError, BrokerReply};
use crate::api::error::CcError;
use crate::world::settings::Settings;
use crate::world::{BindingRef, Guid, Operation, OperationState, Step, World};

/// When a job continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextRun {
    Now,
    After(Duration),
    /// The job is done.
    Never,
}

/// Continues a job with the response of a broker, or without one.
pub(crate) fn continue_job(
    world: &mut World,
    settings: &Settings,
    job: Guid,
    reply: Option<&BrokerReply>,
) -> NextRun {
    let Some(step) = world.step_of(job).cloned() else {
        return NextRun::Never;
    };
    world.act_for(job);
    let sent = reply.and_then(|_| super::of_job(world, job));
    let mut run = Run {
        world,
        settings,
        job,
    };
    match run.take(step.clone(), reply) {
        Ok(next) => next,
        Err(mut error) => {
            if run.is_awaited() {
                run.withdraw(&step);
            }
            if let Some(sent) = sent {
                add_request(&mut error, &sent);
            }
            world.fail_work(job, error.into());
            NextRun::Never
        }
    }
}

/// Completes the request in an error about a broker: with the URL if the broker did not
/// respond.
fn add_request(error: &mut CcError, sent: &BrokerRequest) {
    for cause in &mut error.causes {
        if let Some(request) = &mut cause.broker_request {
            request["method"] = json!(sent.method);
            if request.get("status").is_none() {
                request["uri"] = json!(sent.url);
            }
        }
    }
}

/// A job that continues.
struct Run<'w> {
    world: &'w mut World,
    settings: &'w Settings,
    job: Guid,
}

fn unable(verb: &str, why: &str) -> CcError {
    let detail = format!("{verb} could not be completed: {why}");
    CcError::new(400, 10009, "CF-UnableToPerform", detail)
}

impl Run<'_> {
    fn take(&mut self, step: Step, reply: Option<&BrokerReply>) -> Result<NextRun, CcError> {
        match (step, reply) {
            (Step::Delete(kind, guid), _) => {
                self.world.delete(kind, guid);
                Ok(self.done())
            }
            (Step::UpdateBroker(broker, change, before), reply) => {
                self.update_broker(broker, change, before, reply)
            }
            (Step::ReadCatalog(broker), Some(reply)) => self.read_catalog(broker, reply),
            (Step::Provision(instance, _), Some(reply)) => self.provision(instance, reply),
            (Step::Update(instance, change), Some(reply)) => self.update(instance, change, reply),
            (Step::Deprovision(instance), Some(reply)) => self.deprovision(instance, reply),
            (Step::PollInstance(instance, change), Some(reply)) => {
                self.poll_instance(instance, change, reply)
            }
            (Step::ReadInstance(instance, change), Some(reply)) => {
                if let Ok(body) = reply::read_parameters(reply) {
                    self.keep_dashboard(instance, &body);
                }
                self.complete_instance(instance, change);
                Ok(self.done())
            }
            (Step::Bind(binding, _), Some(reply)) => self.bind(binding, reply),
            (Step::Unbind(binding), Some(reply)) => self.unbind(binding, reply),
            (Step::Unbind(binding), None) => {
                // The binding has no broker.
                self.remove_binding(binding);
                Ok(self.done())
            }
            (Step::PollBinding(binding), Some(reply)) => self.poll_binding(binding, reply),
            (Step::ReadBinding(binding), Some(reply)) => self.read_binding(binding, reply),
            // The resource was deleted.
            (_, None) => Ok(self.done()),
        }
    }

    fn done(&mut self) -> NextRun {
        self.world.finish_step(self.job);
        match self.world.step_of(self.job) {
            Some(_) => NextRun::Now,
            None => NextRun::Never,
        }
    }

    fn then(&mut self, step: Step, next: NextRun) -> NextRun {
        self.world.replace_step(self.job, Some(step));
        next
    }

    /// Schedules the next poll, no earlier than the broker's `Retry-After`.
    fn later(&self, reply: Option<&BrokerReply>) -> NextRun {
        let wanted = match reply {
            Some(BrokerReply::Response { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let wanted = wanted.map_or(Duration::ZERO, Duration::from_secs);
        NextRun::After(self.settings.broker_poll_interval.max(wanted))
    }

    fn operation(&self, kind: &'static str, state: OperationState) -> Operation {
        Operation::new(kind, state, self.world.now())
    }

    fn failed(&self, kind: &'static str, why: Option<String>) -> Operation {
        Operation {
            description: why,
            ..self.operation(kind, OperationState::Failed)
        }
    }

    /// Whether a client waits for the job.
    fn is_awaited(&self) -> bool {
        let work = self.world.work_of(self.job);
        work.is_some_and(|work| work.client.is_some())
    }

    /// The error that the client receives for a broker's error.
    fn refusal(&self, verb: &str, error: &BrokerError) -> CcError {
        match self.is_awaited() {
            true => error.for_client(),
            false => unable(verb, &error.message),
        }
    }

    /// Removes the resource that a failed step should have created. In v2, such a
    /// resource is not kept.
    fn withdraw(&mut self, step: &Step) {
        match step {
            Step::ReadCatalog(broker) => drop(self.world.service_brokers.remove(*broker)),
            Step::Provision(instance, _) => drop(self.world.service_instances.remove(*instance)),
            Step::Bind(BindingRef::Credential(binding), _) => {
                drop(self.world.service_bindings.remove(*binding));
            }
            Step::Bind(BindingRef::Route(binding), _) => {
                drop(self.world.route_bindings.remove(*binding));
            }
            _ => {}
        }
    }

    /// Whether further steps of the job follow.
    fn is_part(&self) -> bool {
        let work = self.world.work_of(self.job);
        work.is_some_and(|work| work.steps.len() > 1)
    }
}

fn text(body: &Map<String, Value>, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn too_late(verb: &str) -> String {
    format!("Service Broker failed to {verb} within the required time.")
}

fn timed_out() -> CcError {
    CcError::new(
        524,
        290_006,
        "CF-JobTimeout",
        "The job execution has timed out.",
    )
}

/// The warning about plans with instances that are no longer in a catalog.
fn inactive_plans(url: &str, plans: &[(String, String)]) -> String {
    let mut warning = format!(
        "Warning: Service plans are missing from the broker's catalog ({url}/v2/catalog) but can not be removed from Cloud Foundry while instances exist. The plans have been deactivated to prevent users from attempting to provision new instances of these plans. The broker should continue to support bind, unbind, and delete for existing instances; if these operations fail contact your broker provider.\n"
    );
    let mut offerings: Vec<&String> = plans.iter().map(|(offering, _)| offering).collect();
    offerings.dedup();
    for offering in offerings {
        let of_offering = plans.iter().filter(|(other, _)| other == offering);
        let names: Vec<&str> = of_offering.map(|(_, plan)| plan.as_str()).collect();
        warning += &format!(
            "\nService Offering: {offering}\nPlans deactivated: {}\n",
            names.join(", ")
        );
    }
    warning
}
