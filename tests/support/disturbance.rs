//! Changes the foundation during a request of a run, so that the time of the change is
//! deterministic.

use std::sync::Mutex;

use mock_capi::wiremock::matchers::{method, path_regex};
use mock_capi::wiremock::{Mock, Request, Respond, ResponseTemplate};
use mock_capi::{CloudController, MockCapi};

type Action = Box<dyn FnOnce(&OtherUser<'_>) + Send>;

/// Runs an action after the first matching request was processed, and before its response
/// is sent.
pub(crate) async fn after_first(
    mock: &MockCapi,
    of_method: &str,
    path: &str,
    act: impl FnOnce(&OtherUser<'_>) + Send + 'static,
) {
    let controller: &CloudController = mock;
    let disturbance = Disturbance {
        controller: controller.clone(),
        act: Mutex::new(Some(Box::new(act))),
    };
    let pattern = format!("^{}$", path.replace(":guid", "[^/]+"));
    Mock::given(method(of_method))
        .and(path_regex(pattern))
        .respond_with(disturbance)
        .with_priority(1)
        .mount(mock.server())
        .await;
}

struct Disturbance {
    controller: CloudController,
    act: Mutex<Option<Action>>,
}

impl Respond for Disturbance {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let response = self.controller.respond(request);
        let act = self.act.lock().unwrap().take();
        if let Some(act) = act {
            act(&OtherUser {
                controller: &self.controller,
                request,
            });
        }
        response
    }
}

/// Another user of the foundation.
pub(crate) struct OtherUser<'a> {
    controller: &'a CloudController,
    /// A request of the run, whose token and host are used.
    request: &'a Request,
}

impl OtherUser<'_> {
    pub(crate) fn delete(&self, path: &str) {
        let mut request = self.request.clone();
        request.method = "DELETE".parse().unwrap();
        request.url.set_path(path);
        request.url.set_query(None);
        request.body.clear();
        self.controller.respond(&request);
    }

    /// The GUIDs of all apps.
    pub(crate) fn apps(&self) -> Vec<String> {
        let state = self.controller.state();
        let apps = state["apps"].as_array().unwrap().iter();
        apps.map(|app| app["guid"].as_str().unwrap().to_owned())
            .collect()
    }
}
