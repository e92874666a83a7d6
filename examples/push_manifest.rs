//! Pushes the app of a manifest with two overrides, and prints its URL.
//!
//!     cargo run --example push_manifest
//!
//! It uses the embedded fake Cloud Controller. For a foundation, change the URL, the
//! credentials and the space.

use cf_pusher::desired::{Desired, Org, Space};
use cf_pusher::manifest::{Manifest, Overrides, Variables};
use cf_pusher::push::{Push, PushSpace};
use cf_pusher::{Approval, Client, ConnectOptions, Converger, Credentials, Events};

const MANIFEST: &str = "
applications:
- name: ((name))
  path: fixtures/apps/tick
  memory: 64M
";

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::start().await?;
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&options, Events::default()).await?;

    let org = Org::new("demo-org").space(Space::new("demo-space"));
    let desired = Desired::builder("demo").org(org).build()?;
    let outcome = Converger::new(client.clone(), desired)
        .converge(Approval::None)
        .await?;
    assert!(outcome.is_converged());

    let mut variables = Variables::default();
    variables.set("name", "dora")?;
    let manifest = Manifest::parse_with(MANIFEST, "inline", &variables)?;
    let mut overrides = Overrides::default();
    overrides.instances = Some(2);
    overrides.memory = Some("128M".to_owned());

    let space = PushSpace::named("demo-org", "demo-space");
    let push = Push::new(client, space, manifest).overrides(overrides);

    // The planned changes.
    let plan = push.plan().await?;
    for line in plan.diff().lines(plan.manifest(), true) {
        println!("{line}");
    }

    let outcome = plan.apply().await?;
    for failure in &outcome.failures {
        eprintln!("{failure}");
    }
    for app in &outcome.apps {
        let running: usize = app.processes.iter().map(|process| process.running()).sum();
        let urls = app.urls.join(", ");
        println!("{}: {running} instances at {urls}", app.name);
    }
    assert!(outcome.is_success());
    assert_eq!(outcome.apps[0].processes[0].running(), 2);
    Ok(())
}
