//! `/v3/spaces/:guid/actions/apply_manifest`, `/v3/spaces/:guid/manifest_diff`
//! and `/v3/apps/:guid/manifest`

use serde::Deserialize;
use serde_json::Value;

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{DiffEntry, DiffOp, ManifestValue};
use crate::capi::transport::{Body, Replay, Request};

/// Applies a manifest to a space, and waits for the job.
pub(in crate::capi) async fn apply(
    client: &Client,
    what: &str,
    space: &str,
    manifest: &str,
    replay: Replay,
) -> Result<(), Error> {
    let path = format!("/v3/spaces/{space}/actions/apply_manifest");
    let request = Request::post(path).body(Body::Yaml(manifest.to_owned()));
    client.finish(what, &request.replay(replay)).await
}

/// The changes that applying a manifest would make.
pub(in crate::capi) async fn diff(
    client: &Client,
    space: &str,
    manifest: &str,
    replay: Replay,
) -> Result<Vec<DiffEntry>, Error> {
    let path = format!("/v3/spaces/{space}/manifest_diff");
    let request = Request::post(path).body(Body::Yaml(manifest.to_owned()));
    let diff: WireDiff = client.send(&request.replay(replay)).await?.json()?;
    Ok(diff.diff.into_iter().map(DiffEntry::from).collect())
}

/// The current manifest of an app, in YAML.
pub(in crate::capi) async fn of_app(client: &Client, app: &str) -> Result<String, Error> {
    let path = format!("/v3/apps/{app}/manifest");
    Ok(client.send(&Request::get(path)).await?.text())
}

#[derive(Deserialize)]
struct WireDiff {
    diff: Vec<WireEntry>,
}

#[derive(Deserialize)]
struct WireEntry {
    op: String,
    path: String,
    #[serde(default)]
    was: Value,
    #[serde(default)]
    value: Value,
}

impl From<WireEntry> for DiffEntry {
    fn from(entry: WireEntry) -> Self {
        Self {
            op: match entry.op.as_str() {
                "remove" => DiffOp::Remove,
                "replace" => DiffOp::Replace,
                "move" => DiffOp::Move,
                _ => DiffOp::Add,
            },
            path: path_of(&entry.path),
            was: entry.was.into(),
            value: entry.value.into(),
        }
    }
}

/// The parts of a JSON pointer.
fn path_of(pointer: &str) -> Vec<String> {
    let parts = pointer.trim_start_matches('/').split('/');
    parts
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

impl From<Value> for ManifestValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(is) => Self::Bool(is),
            Value::Number(number) => match number.as_i128() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(map) => {
                let pairs = map.into_iter();
                Self::Map(pairs.map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_differences_are_split_and_unescaped() {
        let entry = json!({"op": "remove", "path": "/applications/0/env/B~1C~0D", "was": 2});
        let entry: WireEntry = serde_json::from_value(entry).unwrap();
        let expected = DiffEntry {
            op: DiffOp::Remove,
            path: ["applications", "0", "env", "B/C~D"]
                .map(str::to_owned)
                .to_vec(),
            was: ManifestValue::Int(2),
            value: ManifestValue::Null,
        };
        assert_eq!(DiffEntry::from(entry), expected);
    }

    #[test]
    fn values_of_differences_keep_their_kind_and_order() {
        let value = json!({"b": [true, 1.5, "x"], "a": null});
        let expected = ManifestValue::Map(vec![
            (
                "b".to_owned(),
                ManifestValue::List(vec![
                    ManifestValue::Bool(true),
                    ManifestValue::Float(1.5),
                    ManifestValue::Text("x".to_owned()),
                ]),
            ),
            ("a".to_owned(), ManifestValue::Null),
        ]);
        assert_eq!(ManifestValue::from(value), expected);
    }
}
