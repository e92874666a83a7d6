//! Steps of jobs for brokers.

use super::{NextRun, Run, inactive_plans};
use crate::api::error::CcError;
use crate::api::osb::catalog::{self, PreviousOffering};
use crate::api::osb::reply::{self, BrokerErrorKind, BrokerOperation, BrokerReply};
use crate::world::metadata::MetadataPatch;
use crate::world::{BrokerChange, BrokerState, Guid, Row, ServiceBroker, ServiceOffering};

impl Run<'_> {
    pub(super) fn read_catalog(
        &mut self,
        broker: Guid,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        let taken = self.take_catalog(broker, reply);
        let state = match taken {
            Ok(()) => BrokerState::Available,
            Err(_) => BrokerState::SynchronizationFailed,
        };
        self.set_state(broker, state);
        taken.map(|()| self.done())
    }

    pub(super) fn set_state(&mut self, broker: Guid, state: BrokerState) {
        let brokers = &mut self.world.service_brokers;
        brokers.update(broker, |broker| broker.state = state);
    }

    pub(super) fn take_catalog(
        &mut self,
        broker: Guid,
        reply: &BrokerReply,
    ) -> Result<(), CcError> {
        let accepted = reply::read(BrokerOperation::Catalog, reply).map_err(|error| match error.kind {
            BrokerErrorKind::Malformed => CcError::new(
                502,
                270_021,
                "CF-ServiceBrokerRequestMalformed",
                "The service broker returned an invalid response: expected valid JSON object in body. Please check that the URL points to a valid service broker.",
            ),
            BrokerErrorKind::Rejected => CcError::new(
                502,
                270_020,
                "CF-ServiceBrokerRequestRejected",
                format!(
                    "The service broker rejected the request. Status Code: {}. Please check that the URL points to a valid service broker.",
                    error.answered
                ),
            ),
            _ => error.for_client(),
        })?;
        let known: Vec<PreviousOffering> = self
            .world
            .offerings_of(broker)
            .into_iter()
            .map(|offering: &ServiceOffering| PreviousOffering {
                id: offering.catalog.id.clone(),
                name: offering.catalog.name.clone(),
                is_removable: {
                    let plans = self.world.plans_of(offering.guid());
                    let mut plans = plans.iter();
                    !plans.any(|plan| self.world.has_instances_of_plan(plan.guid()))
                },
            })
            .collect();
        let entries = catalog::read(&accepted.body, &known).map_err(|problems| {
            let detail = format!("Service broker catalog is invalid: {problems}");
            CcError::new(502, 270_012, "CF-ServiceBrokerCatalogInvalid", detail)
        })?;
        let inactive = self.world.take_catalog(broker, entries);
        if !inactive.is_empty() {
            let broker = self.world.service_brokers.get(broker);
            let url = broker.map_or("", |broker| &broker.url);
            let warning = inactive_plans(url, &inactive);
            self.world.warn_of(self.job, warning);
        }
        Ok(())
    }

    pub(super) fn update_broker(
        &mut self,
        broker: Guid,
        change: BrokerChange,
        before: BrokerState,
        reply: Option<&BrokerReply>,
    ) -> Result<NextRun, CcError> {
        if self.world.service_brokers.get(broker).is_none() {
            return Err(CcError::new(
                422,
                270_011,
                "CF-ServiceBrokerGone",
                "The service broker was removed before the synchronization completed",
            ));
        }
        if let Some(reply) = reply
            && let Err(error) = self.take_catalog(broker, reply)
        {
            self.set_state(broker, before);
            return Err(error);
        }
        let patch = change.metadata.as_ref();
        let patch = patch.map(|patch| MetadataPatch::read(patch, &mut Vec::new()));
        self.world.update_row(broker, |broker: &mut ServiceBroker| {
            if let Some(name) = change.name {
                broker.name = name;
            }
            if let Some(url) = change.url {
                broker.url = url;
            }
            if let Some((username, password)) = change.login {
                (broker.username, broker.password) = (username, password);
            }
            if let Some(patch) = patch {
                broker.base.metadata.apply(patch);
            }
            broker.state = BrokerState::Available;
        });
        Ok(self.done())
    }
}
