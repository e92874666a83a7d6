//! Gates a CI job on drift: exits with 1 and a list if the foundation differs from the
//! configuration.
//!
//!     cargo run --example gate_on_drift
//!
//! It uses the embedded fake Cloud Controller, and causes the drift itself. For a
//! foundation, change the URL and the credentials.

use std::process::ExitCode;

use cf_pusher::{Client, Config, ConnectOptions, Converger, Credentials, Events, Sources};

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::builder().start().await?;
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&options, Events::default()).await?;

    let (deployed, _) = Config::parse(r#"{"proxy_applications": 2}"#, "deployed")?;
    let sources = Sources::read(&deployed, None)?;
    let outcome = Converger::new(&client, &deployed, &sources)
        .converge()
        .await?;
    assert!(outcome.is_converged());

    // The job's configuration asks for one app more than is deployed.
    let (config, _) = Config::parse(r#"{"proxy_applications": 3}"#, "config")?;
    let sources = Sources::read(&config, None)?;
    let drift = Converger::new(&client, &config, &sources).verify().await?;
    for difference in &drift {
        println!("drift: {difference}");
    }
    assert!(!drift.is_empty());
    Ok(match drift.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
