//! The bindings of apps to services (`/v3/service_credential_bindings`).

use serde::Deserialize;

use super::client::Client;
use super::error::Error;
use super::list_item;
use super::transport::Request;

/// Removes the bindings of an app to the services of these names.
pub(crate) async fn unbind(client: &Client, app: &str, services: &[String]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Found {
        guid: String,
    }
    let names: Vec<String> = services.iter().map(|name| list_item(name)).collect();
    let path = format!(
        "/v3/service_credential_bindings?type=app&app_guids={app}&service_instance_names={}&per_page=5000",
        names.join(",")
    );
    let found: Vec<Found> = client.list(&path).await?;
    for binding in found {
        let what = format!("unbinding {}", services.join(", "));
        let path = format!("/v3/service_credential_bindings/{}", binding.guid);
        client.delete(&what, &Request::delete(path)).await?;
    }
    Ok(())
}
