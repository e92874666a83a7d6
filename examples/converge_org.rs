//! Converges an org to a scaling test, twice. The second run has nothing to do.
//!
//!     cargo run --example converge_org
//!
//! It uses the embedded fake Cloud Controller. For a foundation, change the URL and the
//! credentials.

use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Credentials, Events, ScalingTest, Sources,
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::start().await?;
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    let client = Client::connect(&options, Events::default()).await?;

    let text = r#"{"test_applications": 10, "test_app_instances": 2}"#;
    let test = ScalingTest::parse(text, "inline")?;
    let sources = Sources::read(&test, None)?;
    let converger = Converger::new(client, test.desired(&sources)?);

    print!("{}", converger.plan().await?);
    let outcome = converger.converge(Approval::None).await?;
    for failure in &outcome.failures {
        eprintln!("{failure}");
    }
    println!("{} apps changed", outcome.changed());
    assert!(outcome.is_converged());

    let second = converger.converge(Approval::None).await?;
    println!("{} apps changed", second.changed());
    assert_eq!(second.changed(), 0);
    Ok(())
}
