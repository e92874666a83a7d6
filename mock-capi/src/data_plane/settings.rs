//! Behaviours of apps that a test sets: `PUT /_mock/apps`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::behaviour::Behaviour;
use super::{Reply, go};
use crate::json::read_list;
use crate::world::{App, Guid, Space, World};

/// A behaviour that a test sets for an app, in place of the default one.
///
/// ```
/// use mock_capi::AppBehaviour;
///
/// // A server of the test responds to requests for the app `web`,
/// AppBehaviour::forward("web", "http://127.0.0.1:9000");
/// // and the app `status` of one space always responds with 503.
/// AppBehaviour::fixed("status", 503).body("down").space("my-org", "my-space");
/// ```
///
/// `PUT /_mock/apps` takes a list of behaviours as JSON. The second of these is
/// `{"app": "status", "org": "my-org", "space": "my-space", "answer": {"status": 503,
/// "body": "down"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppBehaviour {
    app: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behaviour: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<FixedAnswer>,
}

/// A fixed response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FixedAnswer {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// A string is sent as it is, any other value as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

fn ok() -> u16 {
    200
}

impl FixedAnswer {
    pub(super) fn reply(&self) -> Reply {
        let (kind, body) = match &self.body {
            None => ("", String::new()),
            Some(Value::String(text)) => (go::TEXT, text.clone()),
            Some(json) => ("application/json", json.to_string()),
        };
        let mut reply = Reply::new(self.status, body);
        for (name, value) in &self.headers {
            reply = reply.with_header(name.clone(), value);
        }
        match kind {
            "" => reply,
            _ if reply.header("content-type").is_some() => reply,
            kind => reply.with_header("Content-Type", kind),
        }
    }
}

/// The values of `behaviour`.
const NAMED: [&str; 4] = ["tick", "proxy", "registry", "echo"];

impl AppBehaviour {
    /// Makes the apps with this name behave like the scaling test's `tick`.
    pub fn tick(app: &str) -> Self {
        Self::named(app, "tick")
    }

    /// Makes the apps with this name behave like the scaling test's `proxy`.
    pub fn proxy(app: &str) -> Self {
        Self::named(app, "proxy")
    }

    /// Makes the apps with this name behave like the scaling test's `registry`.
    pub fn registry(app: &str) -> Self {
        Self::named(app, "registry")
    }

    /// Makes the apps with this name answer with the request that they received, as JSON.
    pub fn echo(app: &str) -> Self {
        Self::named(app, "echo")
    }

    /// Forwards requests for the apps with this name to the server at a URL.
    pub fn forward(app: &str, url: &str) -> Self {
        Self {
            forward: Some(url.into()),
            ..Self::of(app)
        }
    }

    /// Makes the apps with this name respond to every request with a status.
    pub fn fixed(app: &str, status: u16) -> Self {
        Self {
            answer: Some(FixedAnswer {
                status,
                headers: BTreeMap::new(),
                body: None,
            }),
            ..Self::of(app)
        }
    }

    /// Sets the body of a [`fixed`](Self::fixed) response: a string is sent as it is, any
    /// other value as JSON. It has no effect on other behaviours.
    #[must_use]
    pub fn body(mut self, body: impl Into<Value>) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.body = Some(body.into());
        }
        self
    }

    /// Adds a header to a [`fixed`](Self::fixed) response. It has no effect on other
    /// behaviours.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.headers.insert(name.into(), value.into());
        }
        self
    }

    /// Restricts the behaviour to the app of one space.
    #[must_use]
    pub fn space(mut self, org: &str, space: &str) -> Self {
        (self.org, self.space) = (Some(org.into()), Some(space.into()));
        self
    }

    fn named(app: &str, behaviour: &str) -> Self {
        Self {
            behaviour: Some(behaviour.into()),
            ..Self::of(app)
        }
    }

    fn of(app: &str) -> Self {
        Self {
            app: app.into(),
            org: None,
            space: None,
            behaviour: None,
            forward: None,
            answer: None,
        }
    }

    /// Reads a JSON list of behaviours, in the format of `PUT /_mock/apps`.
    ///
    /// # Errors
    ///
    /// [`InvalidApps`] if the text is not such a list.
    pub fn list_from_json(json: &[u8]) -> Result<Vec<Self>, InvalidApps> {
        read_list(json, "app").map_err(InvalidApps)
    }

    /// Returns the behaviour, or the reason why it is invalid.
    fn read(&self) -> Result<Behaviour, String> {
        if self.app.is_empty() {
            return Err("'app' must be the name of an app".into());
        }
        match (&self.behaviour, &self.forward, &self.answer) {
            (Some(name), None, None) if name == "echo" => Ok(Behaviour::Echo),
            (Some(name), None, None) => Behaviour::of_name(name)
                .ok_or_else(|| format!("'behaviour' must be one of {}", NAMED.join(", "))),
            (None, Some(url), None) => read_url(url).map(Behaviour::Forward),
            (None, None, Some(answer)) => {
                answer.check()?;
                Ok(Behaviour::Fixed(Arc::new(answer.clone())))
            }
            _ => Err("one of 'behaviour', 'forward' and 'answer' is needed".into()),
        }
    }

    fn is_of(&self, world: &World, name: &str, space: Guid) -> bool {
        if self.app != name {
            return false;
        }
        let space_name = || world.get(space).map(|space: &Space| space.name.as_str());
        let org_name = || world.org_of(space).map(|org| org.name.as_str());
        (self.space.is_none() || self.space.as_deref() == space_name())
            && (self.org.is_none() || self.org.as_deref() == org_name())
    }
}

fn read_url(text: &str) -> Result<Arc<Url>, String> {
    let url = Url::parse(text).map_err(|error| format!("'forward' is not a URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err("'forward' must be an http or https URL".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("'forward' must have neither a query nor a fragment".into());
    }
    Ok(Arc::new(url))
}

impl FixedAnswer {
    fn check(&self) -> Result<(), String> {
        if !(200..=599).contains(&self.status) {
            return Err("'status' must be from 200 to 599".into());
        }
        let of_body = ["content-length", "transfer-encoding"];
        let mut names = self.headers.keys();
        if let Some(name) = names.find(|name| of_body.contains(&name.to_lowercase().as_str())) {
            return Err(format!("'{name}' follows from the body"));
        }
        let invalid = self.headers.iter().find(|(name, value)| {
            HeaderName::try_from(name.as_str()).is_err()
                || HeaderValue::try_from(value.as_str()).is_err()
        });
        match invalid {
            Some((name, _)) => Err(format!(
                "'{name}' is not a valid header, or its value is not"
            )),
            None => Ok(()),
        }
    }
}

/// The reason why behaviours cannot be set.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidApps(pub(crate) String);

/// The behaviours that were set. The first one that applies to an app is used.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<Setting>);

#[derive(Debug)]
struct Setting {
    said: AppBehaviour,
    behaviour: Behaviour,
    answered: u64,
}

impl Settings {
    pub(super) fn new(behaviours: Vec<AppBehaviour>) -> Result<Self, InvalidApps> {
        let behaviours = behaviours.into_iter().enumerate();
        let settings = behaviours.map(|(index, said)| match said.read() {
            Ok(behaviour) => Ok(Setting {
                said,
                behaviour,
                answered: 0,
            }),
            Err(problem) => Err(InvalidApps(format!("app {index}: {problem}"))),
        });
        settings.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn present(&self) -> Value {
        let settings = self.0.iter();
        let settings = settings.map(|setting| {
            let mut said = json!(setting.said);
            said["answered"] = json!(setting.answered);
            said
        });
        settings.collect()
    }

    /// The behaviour of an app that is about to answer a request, which is counted.
    pub(super) fn count<'c>(
        &mut self,
        world: &World,
        app: &App,
        command: impl FnOnce() -> Cow<'c, str>,
    ) -> Behaviour {
        let mut settings = self.0.iter_mut();
        let set = settings.find(|setting| setting.said.is_of(world, &app.name, app.space));
        match set {
            Some(setting) => {
                setting.answered += 1;
                setting.behaviour.clone()
            }
            None => Behaviour::of_app(&app.environment, &command()),
        }
    }

    /// The behaviour of an app, which may have been deleted.
    pub(super) fn behaviour<'c>(
        &self,
        world: &World,
        (name, space): (&str, Guid),
        environment: &Map<String, Value>,
        command: impl FnOnce() -> Cow<'c, str>,
    ) -> Behaviour {
        let mut settings = self.0.iter();
        let set = settings.find(|setting| setting.said.is_of(world, name, space));
        match set {
            Some(setting) => setting.behaviour.clone(),
            None => Behaviour::of_app(environment, &command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: Value) -> Result<Settings, InvalidApps> {
        Settings::new(AppBehaviour::list_from_json(json.to_string().as_bytes())?)
    }

    #[test]
    fn contradictory_behaviours_are_refused() {
        for (list, problem) in [
            (json!({}), "expected a list, not an object"),
            (json!([{}]), "app 0: missing field `app`"),
            (
                json!([{"app": "a", "port": 1}]),
                "app 0: unknown field `port`",
            ),
            (
                json!([{"app": "", "behaviour": "tick"}]),
                "app 0: 'app' must be the name of an app",
            ),
            (
                json!([{"app": "a"}]),
                "app 0: one of 'behaviour', 'forward' and 'answer' is needed",
            ),
            (
                json!([{"app": "a", "behaviour": "tick"}, {"app": "b", "behaviour": "tock"}]),
                "app 1: 'behaviour' must be one of tick, proxy, registry, echo",
            ),
            (
                json!([{"app": "a", "behaviour": "tick", "forward": "http://b"}]),
                "app 0: one of 'behaviour', 'forward' and 'answer' is needed",
            ),
            (
                json!([{"app": "a", "forward": "b"}]),
                "app 0: 'forward' is not a URL: relative URL without a base",
            ),
            (
                json!([{"app": "a", "forward": "ftp://b"}]),
                "app 0: 'forward' must be an http or https URL",
            ),
            (
                json!([{"app": "a", "forward": "http://b?c"}]),
                "app 0: 'forward' must have neither a query nor a fragment",
            ),
            (
                json!([{"app": "a", "answer": {"status": 99}}]),
                "app 0: 'status' must be from 200 to 599",
            ),
            (
                json!([{"app": "a", "answer": {"headers": {"a b": "c"}}}]),
                "app 0: 'a b' is not a valid header, or its value is not",
            ),
        ] {
            let error = set(list.clone()).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{list}: {error}");
        }
    }

    #[test]
    fn behaviours_are_json() {
        let behaviours = vec![
            AppBehaviour::tick("a"),
            AppBehaviour::echo("b").space("o", "s"),
            AppBehaviour::forward("c", "http://127.0.0.1:1/base"),
            AppBehaviour::fixed("d", 418)
                .header("X-A", "b")
                .body(json!({"e": 1})),
        ];
        let json = serde_json::to_vec(&behaviours).unwrap();
        assert_eq!(AppBehaviour::list_from_json(&json).unwrap(), behaviours);
        let settings = Settings::new(behaviours).unwrap();
        assert_eq!(settings.present()[3]["answered"], 0);
    }
}
