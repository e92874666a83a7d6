//! A Cloud Foundry client, tested against mock-capi: the example of docs/mock-capi.md.

use mock_capi::wiremock::matchers::{method, path};
use mock_capi::wiremock::{Mock, ResponseTemplate};
use mock_capi::{Fault, MockCapi};

/// Starts a mock with an app.
async fn mock_with_app() -> MockCapi {
    let mock = MockCapi::start().await.unwrap();
    let space = mock.org("my-org").space("my-space");
    space.app("web").instances(2).started();
    mock
}

async fn get(mock: &MockCapi, path: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}{path}", mock.uri()));
    let request = request.bearer_auth(mock.token("admin").unwrap());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn the_seeded_app_runs() {
    let mock = mock_with_app().await;
    let app = mock.app("web").unwrap();
    assert_eq!((app.instances, app.running), (2, 2));
}

#[tokio::test]
async fn a_stub_answers_once() {
    let mock = mock_with_app().await;
    Mock::given(method("GET"))
        .and(path("/v3/apps"))
        .respond_with(ResponseTemplate::new(502))
        .up_to_n_times(1)
        .expect(1)
        .mount(mock.server())
        .await;
    assert_eq!(get(&mock, "/v3/apps").await, 502);
    assert_eq!(get(&mock, "/v3/apps").await, 200);
}

#[tokio::test]
async fn a_fault_refuses_one_request() {
    let mock = mock_with_app().await;
    // The expectation is verified when the mock is dropped.
    let fault = Fault::answer("GET", "/v3/apps", 503).times(1).expect(1);
    mock.set_faults(vec![fault]).unwrap();
    assert_eq!(get(&mock, "/v3/apps").await, 503);
    assert_eq!(get(&mock, "/v3/apps").await, 200);
}
