//! Writes all requests and responses of a run as an HTTP Archive 1.2, which the developer
//! tools of browsers can open. Events contain no secrets and no long bodies.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use url::Url;

use super::recording::{self, Entries, Output, Recording};
use crate::events::{Content, Event, EventSink, Response};

/// A sink that writes all requests and responses as an HTTP Archive (HAR).
pub struct HttpArchive {
    /// The same point in time on both clocks.
    origin: (Instant, SystemTime),
    /// `None` after [`Recording::finish`].
    entries: Mutex<Option<Entries>>,
}

impl HttpArchive {
    /// Creates the file, or truncates an existing file.
    ///
    /// # Errors
    ///
    /// An error if the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let origin = (Instant::now(), SystemTime::now());
        Ok(Self::to(recording::create(path)?, origin))
    }

    fn to(out: Box<dyn Output>, origin: (Instant, SystemTime)) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let creator = json!({"name": "cf-pusher", "version": version});
        let head = format!(r#"{{"log":{{"version":"1.2","creator":{creator},"entries":["#);
        Self {
            origin,
            entries: Mutex::new(Some(Entries::begin(out, &head, "\n]}}\n"))),
        }
    }

    /// The date and time when a request was sent.
    fn date(&self, began: Instant) -> String {
        let (instant, date) = self.origin;
        let date = date + began.saturating_duration_since(instant);
        humantime::format_rfc3339_millis(date).to_string()
    }
}

impl EventSink for HttpArchive {
    fn handle(&self, event: &Event) {
        let Event::Request {
            began,
            took,
            request_id,
            context,
            exchange: Some(exchange),
            ..
        } = event
        else {
            return;
        };
        let waited = exchange
            .response
            .as_ref()
            .map_or(*took, |it| it.time_to_first_byte);
        let context = context.as_ref();
        let entry = json!({
            "startedDateTime": self.date(*began),
            "time": milliseconds(*took),
            "request": request(&exchange.method, &exchange.url, exchange.request_body.as_ref()),
            "response": response(exchange.response.as_ref()),
            "cache": {},
            "timings": {
                "send": 0,
                "wait": milliseconds(waited),
                "receive": milliseconds(took.saturating_sub(waited)),
            },
            "_request_id": request_id,
            "_target": context.map(|it| &it.target),
            "_step": context.map(|it| &it.step),
            "_error": exchange.error,
        });
        if let Ok(mut entries) = self.entries.lock()
            && let Some(entries) = entries.as_mut()
        {
            entries.push(&entry);
        }
    }

    fn wants_exchanges(&self) -> bool {
        true
    }
}

impl Recording for HttpArchive {
    fn finish(&self) -> io::Result<()> {
        let entries = self.entries.lock().ok().and_then(|mut it| it.take());
        entries.map_or(Ok(()), Entries::end)
    }
}

fn request(method: &str, url: &str, sent: Option<&Content>) -> Value {
    let query = Url::parse(url).map(|url| {
        let pairs = url.query_pairs();
        pairs
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect::<Vec<_>>()
    });
    let mut request = json!({
        "method": method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": sent
            .map(|sent| json!({"name": "content-type", "value": sent.mime}))
            .into_iter()
            .collect::<Vec<_>>(),
        "queryString": query.unwrap_or_default(),
        "headersSize": -1,
        "bodySize": if sent.is_some() { -1 } else { 0 },
    });
    if let Some(sent) = sent {
        request["postData"] = json!({"mimeType": sent.mime, "text": sent.text});
        note_truncation(&mut request["postData"], sent);
    }
    request
}

/// Without a response, the status is 0, as in browsers.
fn response(response: Option<&Response>) -> Value {
    let nothing = json!({"size": 0, "mimeType": ""});
    let content = response.map_or(nothing, |response| content(&response.content));
    let headers = response.map_or(&[][..], |response| response.headers.as_slice());
    let location = headers.iter().find(|(name, _)| name == "location");
    json!({
        "status": response.map_or(0, |response| response.status),
        "statusText": response.map_or("", |response| response.reason),
        "httpVersion": response.map_or("", |response| &response.version),
        "cookies": [],
        "headers": headers
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect::<Vec<_>>(),
        "content": content,
        "redirectURL": location.map_or("", |(_, url)| url),
        "headersSize": -1,
        "bodySize": response.map_or(Some(0), |response| response.content.size),
    })
}

fn content(kept: &Content) -> Value {
    let mut content = json!({"size": kept.size, "mimeType": kept.mime, "text": kept.text});
    note_truncation(&mut content, kept);
    content
}

fn note_truncation(value: &mut Value, content: &Content) {
    if content.is_truncated {
        value["comment"] = json!("the text is truncated");
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::events::{Exchange, StepContext};
    use crate::report::recording::testing::Buffer;

    #[test]
    fn an_exchange_becomes_an_entry() {
        let paper = Buffer::default();
        let origin = Instant::now();
        let har = HttpArchive::to(paper.output(), (origin, SystemTime::UNIX_EPOCH));
        let content = |text: &str, is_truncated| Content {
            mime: "application/json".to_owned(),
            size: Some(100),
            text: text.to_owned(),
            is_truncated,
        };
        let response = Response {
            status: 201,
            reason: "Created",
            version: "HTTP/1.1".to_owned(),
            time_to_first_byte: Duration::from_millis(4),
            headers: vec![("x-vcap-request-id".to_owned(), "id".to_owned())],
            content: content("{\"guid\":", true),
        };
        for response in [Some(response), None] {
            har.handle(&Event::Request {
                endpoint: "POST /v3/apps".to_owned(),
                status: response.as_ref().map(|it| it.status),
                began: origin + Duration::from_millis(250),
                took: Duration::from_millis(5),
                server_time: None,
                in_flight: 1,
                request_id: response.as_ref().map(|_| "id".to_owned()),
                context: Some(StepContext::new("app one", "creating the app")),
                exchange: Some(Arc::new(Exchange {
                    method: "POST".to_owned(),
                    url: "https://api.example.com/v3/apps?a=b%20c".to_owned(),
                    request_body: Some(content("{}", false)),
                    error: response.is_none().then(|| "no response".to_owned()),
                    response,
                })),
            });
        }
        har.finish().unwrap();
        let value: Value = serde_json::from_str(&paper.text()).unwrap();
        assert_eq!(value["log"]["creator"]["name"], "cf-pusher");
        insta::assert_snapshot!(format!("{:#}", value["log"]["entries"]));
    }
}
