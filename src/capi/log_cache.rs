//! Logs of apps, from the foundation's log-cache (`/api/v1/read/:source_id`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::client::Client;
use super::error::Error;
use super::transport::Request;

/// The maximum number of lines in one response.
const LIMIT: usize = 1000;

/// A line that an app wrote, or the platform on its behalf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// The time in nanoseconds since 1970, by the foundation's clock.
    pub(crate) at: i64,
    /// The component that wrote it, such as `STG` for staging.
    pub(crate) source: String,
    pub(crate) is_error: bool,
    pub(crate) text: String,
}

#[derive(Deserialize)]
struct ReadResponse {
    envelopes: Batch,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    batch: Vec<Envelope>,
}

#[derive(Deserialize)]
struct Envelope {
    timestamp: String,
    #[serde(default)]
    tags: Tags,
    log: Option<Log>,
}

#[derive(Default, Deserialize)]
struct Tags {
    #[serde(default)]
    source_type: String,
}

#[derive(Deserialize)]
struct Log {
    #[serde(default)]
    payload: String,
    #[serde(default, rename = "type")]
    kind: String,
}

/// The lines of an app since a time in nanoseconds since 1970, in order, and whether the
/// log-cache may have more.
pub(crate) async fn lines(
    client: &Client,
    app: &str,
    since: i64,
) -> Result<(Vec<LogLine>, bool), Error> {
    let path = format!("/api/v1/read/{app}?start_time={since}&envelope_types=LOG&limit={LIMIT}");
    let response: ReadResponse = client.log_cache(&Request::get(path)).await?.json()?;
    let is_full = response.envelopes.batch.len() >= LIMIT;
    let mut lines: Vec<LogLine> = response
        .envelopes
        .batch
        .into_iter()
        .filter_map(line)
        .collect();
    lines.sort_by_key(|line| line.at);
    Ok((lines, is_full))
}

/// The last lines that the app itself wrote, oldest first.
pub(crate) async fn last_lines(
    client: &Client,
    app: &str,
    count: usize,
) -> Result<Vec<String>, Error> {
    const LOOKED_AT: usize = 100;
    let path = format!("/api/v1/read/{app}?envelope_types=LOG&limit={LOOKED_AT}&descending=true");
    let response: ReadResponse = client.log_cache(&Request::get(path)).await?.json()?;
    let lines = response.envelopes.batch.into_iter().filter_map(line);
    let mut lines: Vec<LogLine> = lines
        .filter(|line| line.source.starts_with("APP"))
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.at));
    lines.truncate(count);
    Ok(lines.into_iter().rev().map(|line| line.text).collect())
}

fn line(envelope: Envelope) -> Option<LogLine> {
    let log = envelope.log?;
    let text = BASE64.decode(log.payload).ok()?;
    Some(LogLine {
        at: envelope.timestamp.parse().ok()?,
        source: envelope.tags.source_type,
        is_error: log.kind == "ERR",
        text: String::from_utf8_lossy(&text).trim_end().to_owned(),
    })
}
