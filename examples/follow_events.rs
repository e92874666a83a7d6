//! Follows a convergence with a custom event sink: prints the milestones of apps and
//! counts requests.
//!
//!     cargo run --example follow_events
//!
//! It uses the embedded fake Cloud Controller. For a foundation, change the URL and the
//! credentials.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cf_pusher::events::AppMilestone;
use cf_pusher::{
    Approval, Client, ConnectOptions, Converger, Credentials, Event, EventSink, Events,
    ScalingTest, Sources,
};

#[derive(Debug, Default)]
struct Follower {
    running: Mutex<Vec<String>>,
    requests: AtomicUsize,
}

impl EventSink for Follower {
    fn handle(&self, event: &Event) {
        match event {
            Event::App { name, milestone } => {
                println!("{name}: {milestone:?}");
                if *milestone == AppMilestone::Running
                    && let Ok(mut running) = self.running.lock()
                {
                    running.push(name.clone());
                }
            }
            Event::Request { .. } => {
                self.requests.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mock = mock_capi::MockCapi::start().await?;
    let credentials = Credentials::Password {
        username: "admin".to_owned(),
        password: "admin".into(),
    };
    let options = ConnectOptions::new(mock.uri(), credentials);
    let follower = Arc::new(Follower::default());
    let events = Events::new([Arc::clone(&follower) as Arc<dyn EventSink>]);
    let client = Client::connect(&options, events).await?;

    let test = ScalingTest::parse(r#"{"proxy_applications": 3}"#, "inline")?;
    let sources = Sources::read(&test, None)?;
    let outcome = Converger::new(client, test.desired(&sources)?)
        .converge(Approval::None)
        .await?;
    assert!(outcome.is_converged());

    let requests = follower.requests.load(Ordering::Relaxed);
    println!("{requests} requests");
    // Three proxy apps and their registry.
    assert_eq!(follower.running.lock().map(|it| it.len()).ok(), Some(4));
    Ok(())
}
