//! What is declared around apps is converged, and what is protected stays as it is.

use crate::support::{Fixture, Workflow};
use cf_pusher::desired::{Desired, DesiredBuilder, Org, Space};
use cf_pusher::{Approval, ConvergeError, Converger};

fn builder() -> DesiredBuilder {
    Desired::builder("me")
}

#[tokio::test]
async fn protected_names_are_not_touched() {
    let fixture = Fixture::new(Workflow::Manifest).await;
    let desired = |pattern: &str| {
        let org = Org::new("shop").space(Space::new("prod"));
        let other = Org::new("play").space(Space::new("prod"));
        let builder = builder().org(org).org(other).protect(pattern);
        Converger::new(fixture.client.clone(), builder.build().unwrap())
    };
    let refused = desired("shop").converge(Approval::All).await.unwrap_err();
    insta::assert_snapshot!(
        refused,
        @"converging failed: org shop is protected by the pattern shop, space prod is protected by the pattern shop"
    );
    let refused = desired("(play|other)/.*").plan().await.unwrap_err();
    insta::assert_snapshot!(
        refused,
        @"converging failed: space prod is protected by the pattern (play|other)/.*"
    );
    assert!(fixture.writes().is_empty());

    // Patterns match whole names.
    let outcome = desired("sho").converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged());
    // What is protected and up to date keeps nothing from running.
    let outcome = desired("shop").converge(Approval::All).await.unwrap();
    assert!(outcome.is_converged());
    let refused = desired("shop").destroy(Approval::All).await.unwrap_err();
    assert!(matches!(refused, ConvergeError::Protected { .. }));
}
