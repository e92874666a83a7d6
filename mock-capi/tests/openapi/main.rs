//! Calls every operation that the mock implements, and compares every response with the
//! API's description.
//!
//! The description is the OpenAPI document that the Cloud Controller publishes. It is not
//! part of the project. `CAPI_OPENAPI` is the path of the file. The tests that need it
//! are ignored by default:
//!
//! ```text
//! CAPI_OPENAPI=openapi.yaml cargo test --test openapi -- --include-ignored
//! ```

// Helpers fail like tests.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;

mod apps;
mod bits;
mod connections;
mod description;
mod exceptions;
mod foundation;
mod marketplace;
mod platform_settings;
mod recording_client;
mod table;
mod users;

use std::collections::BTreeSet;

use description::Description;
use mock_capi::Operation;
use recording_client::{Exchange, RecordingClient};

/// Calls every implemented operation, successfully and unsuccessfully.
async fn call_all_operations() -> Vec<Exchange> {
    let client = RecordingClient::start().await;
    foundation::call_all(&client).await;
    apps::call_all(&client).await;
    bits::call_all(&client).await;
    connections::call_all(&client).await;
    marketplace::call_all(&client).await;
    users::call_all(&client).await;
    platform_settings::call_all(&client).await;
    client.send_invalid_requests().await;
    client.into_exchanges()
}

/// The operations with a successful response.
fn successful(exchanges: &[Exchange]) -> BTreeSet<String> {
    let successful = exchanges.iter().filter(|exchange| exchange.status < 300);
    successful
        .map(|exchange| exchange.operation.key())
        .collect()
}

trait Named {
    /// The name of the operation, such as `GET /v3/apps/:guid`.
    fn key(&self) -> String;
}

impl Named for Operation {
    fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[tokio::test]
async fn every_implemented_operation_succeeds() {
    let driven = successful(&call_all_operations().await);
    let missed: Vec<String> = Operation::all()
        .iter()
        .filter(|operation| operation.implemented)
        .map(Named::key)
        .filter(|key| !driven.contains(key))
        .collect();
    assert!(
        missed.is_empty(),
        "implemented, but not called by any of tests/openapi/*.rs: {missed:#?}"
    );
}

#[tokio::test]
#[ignore = "needs the API's OpenAPI description: CAPI_OPENAPI names the file"]
async fn responses_match_the_description() {
    let description = Description::of_environment().expect("CAPI_OPENAPI names the description");
    let (mut differences, mut explained) = (BTreeSet::new(), BTreeSet::new());
    for exchange in &call_all_operations().await {
        let (key, asked) = (exchange.operation.key(), &exchange.asked);
        for difference in description.differences(exchange) {
            match exceptions::explain(&key, &difference) {
                Some(exception) => explained.insert(exception),
                None => {
                    differences.insert(format!("{key} {} {difference} ({asked})", exchange.status))
                }
            };
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
    let unused = exceptions::unused(&explained);
    assert!(unused.is_empty(), "explain nothing: {unused:#?}");
}

#[test]
#[ignore = "needs the API's OpenAPI description: CAPI_OPENAPI names the file"]
fn the_mock_knows_every_operation_of_the_description() {
    let description = Description::of_environment().expect("CAPI_OPENAPI names the description");
    let known: BTreeSet<String> = Operation::all().iter().map(Named::key).collect();
    assert_eq!(known, description.operations());
}

#[tokio::test]
async fn the_documentation_lists_every_operation() {
    let exchanges = call_all_operations().await;
    let mut validated = successful(&exchanges);
    let description = Description::of_environment();
    if let Some(description) = &description {
        for exchange in &exchanges {
            let key = exchange.operation.key();
            let differences = description.differences(exchange);
            if differences
                .iter()
                .any(|it| exceptions::explain(&key, it).is_none())
            {
                validated.remove(&key);
            }
        }
    }
    table::check(&validated, description.is_some());
}
