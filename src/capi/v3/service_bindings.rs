//! `/v3/service_credential_bindings`

use super::{Guid, list_by, list_items};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::transport::Request;

/// Removes the bindings of an app to the services of these names.
pub(in crate::capi) async fn unbind(
    client: &Client,
    what: &str,
    app: &str,
    services: &[&str],
) -> Result<(), Error> {
    let list = "/v3/service_credential_bindings";
    let (filter, of_app) = (
        "service_instance_names",
        format!("&type=app&app_guids={app}"),
    );
    let services = list_items(services);
    let bindings: Vec<Guid> = list_by(client, list, filter, &services, &of_app).await?;
    for guid in bindings.into_iter().filter_map(|binding| binding.guid) {
        let request = Request::delete(format!("{list}/{guid}"));
        client.delete(what, &request).await?;
    }
    Ok(())
}
