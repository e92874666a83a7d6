//! Jobs, and the resources that they belong to.

use std::time::Duration;

use crate::common::{HttpResponse, Session};
use mock_capi::{Fault, MockCapi};
use reqwest::Method;
use serde_json::{Value, json};

const TIME: Duration = Duration::from_secs(60);

/// The job in the `Location` of a response.
async fn job_of(cf: &Session, answer: &HttpResponse) -> Value {
    let location = answer.header("location");
    cf.get(location).await.json()
}

fn linked<'j>(job: &'j Value, kind: &str) -> Option<&'j str> {
    let link = job["links"].get(kind)?;
    link["href"].as_str()
}

#[tokio::test]
async fn a_job_links_to_its_resource_while_that_exists() {
    let cf = Session::start(MockCapi::builder().job_time(TIME)).await;
    let (org, space) = cf.space().await;
    let url = |path: &str| Some(format!("{}{path}", cf.mock.uri()));
    let of_org = url(&format!("/v3/organizations/{org}"));
    let of_space = url(&format!("/v3/spaces/{space}"));

    let manifest = "applications: [{name: app}]";
    let applied = cf.apply(&space, manifest).await;
    cf.mock.advance(TIME);
    let job = job_of(&cf, &applied).await;
    assert_eq!(job["state"], "COMPLETE");
    assert_eq!(linked(&job, "space"), of_space.as_deref());

    let unmapped = format!("/v3/spaces/{space}/routes?unmapped=true");
    let job = job_of(&cf, &cf.delete(&unmapped).await).await;
    assert_eq!(linked(&job, "space"), of_space.as_deref());

    let deleted = cf.delete(&format!("/v3/organizations/{org}")).await;
    let job = job_of(&cf, &deleted).await;
    assert_eq!(job["state"], "PROCESSING");
    assert_eq!(linked(&job, "organization"), of_org.as_deref());
    cf.mock.advance(TIME);
    let job = job_of(&cf, &deleted).await;
    assert_eq!(
        (&job["state"], linked(&job, "organization")),
        (&json!("COMPLETE"), None)
    );

    let org = cf.create_org("kept").await;
    cf.mock.set_faults(vec![Fault::failed_job()]).unwrap();
    let deleted = cf.delete(&format!("/v3/organizations/{org}")).await;
    cf.mock.advance(TIME);
    let job = job_of(&cf, &deleted).await;
    assert_eq!(job["state"], "FAILED");
    let of_org = url(&format!("/v3/organizations/{org}"));
    assert_eq!(linked(&job, "organization"), of_org.as_deref());

    let cleared = cf.request(Method::POST, "/v3/admin/actions/clear_buildpack_cache");
    let job = job_of(&cf, &crate::common::send(cleared).await).await;
    assert_eq!(job["links"].as_object().map(serde_json::Map::len), Some(1));
}
