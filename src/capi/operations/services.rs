//! Services and their bindings.

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::ServiceInstance;

impl Client {
    pub(crate) async fn services_of_orgs(
        &self,
        orgs: &[&str],
    ) -> Result<Vec<ServiceInstance>, Error> {
        in_dialect!(self, service_instances::of_orgs(orgs))
    }

    /// Removes the bindings of an app to the services with these names.
    pub(crate) async fn unbind_services(
        &self,
        what: &str,
        app: &str,
        services: &[&str],
    ) -> Result<(), Error> {
        in_dialect!(self, service_bindings::unbind(what, app, services))
    }
}
