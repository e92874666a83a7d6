//! Gates a CI job on drift: lists all differences between the foundation and the
//! configuration, and exits with 1 if there are any.
//!
//!     cargo run --example gate_on_drift
//!
//! It uses the embedded fake Cloud Controller, which it converges first, so there is no
//! drift. For a foundation, change the URL and the credentials.

use std::process::ExitCode;

use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Credentials, Drift, Error, Events, ScalingTest,
    Sources,
};

const DEPLOYED: &str = r#"{"proxy_applications": 2}"#;

/// Converges a fake foundation to [`DEPLOYED`], and compares it with a configuration.
pub(crate) async fn drift(config: &str) -> Result<Vec<Drift>, Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::start().await?;
    let client = connect(&mock.uri()).await?;
    let outcome = converger(&client, DEPLOYED)?
        .converge(Approval::None)
        .await?;
    assert!(outcome.is_converged());
    Ok(converger(&client, config)?.verify().await?)
}

async fn connect(api: &str) -> Result<Client, Error> {
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(api, credentials);
    Client::connect(&options, Events::default()).await
}

fn converger(client: &Client, config: &str) -> Result<Converger, Box<dyn std::error::Error>> {
    let test = ScalingTest::parse(config, "config")?;
    let sources = Sources::read(&test, None)?;
    Ok(Converger::new(client.clone(), test.desired(&sources)?))
}

#[tokio::main]
pub(crate) async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let drift = drift(DEPLOYED).await?;
    for difference in &drift {
        println!("drift: {difference}");
    }
    Ok(match drift.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
