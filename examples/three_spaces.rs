//! Converges an org with three spaces, described in Rust instead of a file.
//!
//!     cargo run --example three_spaces
//!
//! It uses the embedded fake Cloud Controller. For a foundation, change the URL and the
//! credentials.

use cf_pusher::desired::{Bits, Desired, Group, Org, Rule, SecurityGroup, Space};
use cf_pusher::{Approval, Client, ConnectOptions, Converger, Credentials, Events, ManifestEntry};

/// A space with five web apps, each with its own route.
fn space(name: &str) -> Result<Space, Box<dyn std::error::Error>> {
    let entry = format!(
        "{{memory: 64M, instances: 2, env: {{STAGE: {name}}}, routes: [{{route: '{name}-{{i}}.{{apps_domain}}'}}]}}"
    );
    let entry = ManifestEntry::parse(&entry)?;
    let group = Group::new("web-{i}", entry, Bits::folder("fixtures/apps/tick")).count(5);
    Ok(Space::new(name).security_group("backends").group(group))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::start().await?;
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&options, Events::default()).await?;

    let backends = SecurityGroup::new("backends", vec![Rule::tcp("10.0.0.0/8", "8080")]);
    let mut shop = Org::new("shop");
    for name in ["dev", "test", "prod"] {
        shop = shop.space(space(name)?);
    }
    let desired = Desired::builder("three-spaces")
        .security_group(backends)
        .org(shop)
        .build()?;

    let converger = Converger::new(client, desired);
    let outcome = converger.converge(Approval::None).await?;
    for failure in &outcome.failures {
        eprintln!("{failure}");
    }
    for app in &outcome.apps {
        println!("{}/{}: {}", app.space, app.name, app.urls.join(", "));
    }
    assert!(outcome.is_converged());
    assert_eq!(outcome.changed(), 15);
    assert!(converger.plan().await?.is_empty());
    Ok(())
}
