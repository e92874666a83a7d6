//! What no list of v3 tells of apps: environment, command, and whether an app
//! has its route.
//!
//! But Cloud Controller compares any manifest with what is: one that claims an
//! empty environment is told all that there is instead, and one that claims a
//! route is told if it is missing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::try_join;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::App;
use crate::capi::parallel;
use crate::capi::transport::{Body, Request};

/// Cloud Controller reads no larger manifest.
const MOST_BYTES: usize = 1024 * 1024;

/// Differs from every real command, so that a manifest diff tells the real one.
const NO_COMMAND: &str = ".";

/// How many diffs are asked for at once: each is long work.
const AT_ONCE: usize = 2;

/// What the environments are, in the order of the apps asked for.
pub(super) enum Environments {
    Told(Vec<Environment>),
    /// The Cloud Controller compares no manifests.
    Unknown,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    pub(super) env: Arc<BTreeMap<String, String>>,
    pub(super) command: Option<String>,
    pub(super) command_is_own: bool,
    pub(super) routed: Option<bool>,
}

/// The environments of the apps of a space, by their names; each app's route is
/// of its name in `domain`.
pub(super) async fn environments(
    client: &Client,
    space: &str,
    domain: &str,
    names: &[&str],
) -> Result<Environments, Error> {
    let claims: Vec<String> = names.iter().map(|name| claim(name, domain)).collect();
    let batches = batches(&claims).into_iter();
    let asked = batches.map(|batch| told_of(client, space, batch));
    match parallel::run(AT_ONCE, asked).await {
        Ok(told) => Ok(Environments::Told(shared(told.into_iter().flatten()))),
        Err(error) if error.is_not_found() => Ok(Environments::Unknown),
        Err(error) => Err(error),
    }
}

/// What is claimed of an app, in YAML that is as short as can be. Strings of
/// JSON are strings of YAML.
fn claim(name: &str, domain: &str) -> String {
    let route = json!(format!("{}.{domain}", name.to_lowercase()));
    let name = json!(name);
    format!("- {{name: {name},env: {{}},command: {NO_COMMAND},routes: [{{route: {route}}}]}}\n")
}

/// The claims in parts that are small enough for a manifest each.
fn batches(claims: &[String]) -> Vec<&[String]> {
    let head = manifest(&[]).len();
    let mut bytes = head;
    let mut batches = Vec::new();
    let mut begin = 0;
    for (end, claim) in claims.iter().enumerate() {
        if bytes + claim.len() > MOST_BYTES && end > begin {
            batches.push(&claims[begin..end]);
            (begin, bytes) = (end, head);
        }
        bytes += claim.len();
    }
    if begin < claims.len() {
        batches.push(&claims[begin..]);
    }
    batches
}

fn manifest(claims: &[String]) -> String {
    let mut manifest = String::from("applications:\n");
    manifest.extend(claims.iter().map(String::as_str));
    manifest
}

/// What is told instead of some claims; asked for in halves where all at once
/// is too much for the Cloud Controller.
async fn told_of(
    client: &Client,
    space: &str,
    claims: &[String],
) -> Result<Vec<Environment>, Error> {
    let path = format!("/v3/spaces/{space}/manifest_diff");
    let request = Request::post(path).body(Body::Yaml(manifest(claims)));
    let request = match claims {
        [_] => request.repeatable(),
        _ => request,
    };
    match client.send(&request).await {
        Ok(response) => Ok(told_instead(claims.len(), response.json()?)),
        Err(error) if claims.len() > 1 && error.may_settle() && !error.is_not_found() => {
            let (one, other) = claims.split_at(claims.len() / 2);
            let mut told = Box::pin(told_of(client, space, one)).await?;
            told.extend(Box::pin(told_of(client, space, other)).await?);
            Ok(told)
        }
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct ManifestDiff {
    diff: Vec<Difference>,
}

#[derive(Deserialize)]
struct Difference {
    path: String,
    #[serde(default)]
    was: Value,
}

/// What a diff with so many [`claim`]s tells.
fn told_instead(count: usize, diff: ManifestDiff) -> Vec<Environment> {
    let mut envs: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); count];
    let told = Environment {
        command_is_own: true,
        routed: Some(true),
        ..Environment::default()
    };
    let mut environments = vec![told; count];
    for Difference { path, was } in diff.diff {
        let mut path = path.split('/').skip(1);
        let (Some("applications"), Some(index), Some(key)) =
            (path.next(), path.next(), path.next())
        else {
            continue;
        };
        let Ok(index) = index.parse::<usize>() else {
            continue;
        };
        let (Some(env), Some(environment)) = (envs.get_mut(index), environments.get_mut(index))
        else {
            continue;
        };
        match (key, path.next(), was) {
            ("command", None, Value::String(command)) => environment.command = Some(command),
            // Nothing but our claim can be missing.
            ("routes", _, Value::Null) => environment.routed = Some(false),
            ("env", Some(variable), value) => {
                let variable = variable.replace("~1", "/").replace("~0", "~");
                env.insert(variable, super::env_text(&value));
            }
            ("env", None, Value::Object(variables)) => env.extend(texts(&variables)),
            _ => {}
        }
    }
    for (environment, env) in environments.iter_mut().zip(envs) {
        environment.env = Arc::new(env);
    }
    environments
}

fn texts<'a>(
    variables: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> impl Iterator<Item = (String, String)> {
    let variables = variables.into_iter();
    variables.map(|(name, value)| (name.clone(), super::env_text(value)))
}

/// Most apps of many have the same environment: it is kept once.
fn shared(environments: impl Iterator<Item = Environment>) -> Vec<Environment> {
    let mut known: HashSet<Arc<BTreeMap<String, String>>> = HashSet::new();
    environments
        .map(|mut environment| {
            match known.get(&environment.env) {
                Some(env) => environment.env = Arc::clone(env),
                None => {
                    known.insert(Arc::clone(&environment.env));
                }
            }
            environment
        })
        .collect()
}

/// The environments where no manifests are compared, each app's with two requests.
pub(super) async fn one_by_one(
    client: &Client,
    apps: &[&mut App],
) -> Result<Vec<Environment>, Error> {
    #[derive(Deserialize)]
    struct Variables {
        var: BTreeMap<String, Value>,
    }
    #[derive(Deserialize)]
    struct Web {
        command: Option<String>,
    }
    let environments = apps.iter().map(|app| async move {
        let variables = format!("/v3/apps/{}/environment_variables", app.guid);
        let web = format!("/v3/apps/{}/processes/web", app.guid);
        let (variables, web): (Variables, Web) =
            try_join!(client.get(&variables), client.get(&web))?;
        Ok(Environment {
            env: Arc::new(texts(&variables.var).collect()),
            // Its own, or else its droplet's.
            command: web.command,
            command_is_own: false,
            routed: None,
        })
    });
    parallel::run(super::PER_APP, environments).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_with_nothing_tells_environments() {
        let diff: ManifestDiff = serde_json::from_value(json!({"diff": [
            {"op": "remove", "path": "/applications/0/env/A", "was": "1"},
            {"op": "remove", "path": "/applications/0/env/B~1C~0D", "was": 2},
            {"op": "replace", "path": "/applications/1/command", "was": "./run", "value": NO_COMMAND},
            {"op": "add", "path": "/applications/0/command", "value": NO_COMMAND},
            {"op": "add", "path": "/applications/1/routes/0", "value": {"route": "b.test"}},
            {"op": "remove", "path": "/applications/7/env/A", "was": "1"},
            {"op": "add", "path": "odd"},
        ]}))
        .unwrap();
        let told = told_instead(2, diff);
        let a = BTreeMap::from([
            ("A".to_owned(), "1".to_owned()),
            ("B/C~D".to_owned(), "2".to_owned()),
        ]);
        assert_eq!((&*told[0].env, &told[0].command), (&a, &None));
        assert_eq!(told[1].command.as_deref(), Some("./run"));
        assert_eq!((told[0].routed, told[1].routed), (Some(true), Some(false)));
    }

    #[test]
    fn claims_are_yaml_and_fit_into_manifests() {
        let claims: Vec<String> = (0..10_000)
            .map(|i| claim(&format!("scale-Tick-{i}"), "apps.example.com"))
            .collect();
        let batches = batches(&claims);
        assert_eq!(batches.len(), 1, "ten thousand apps are one request");
        let text = manifest(&batches[0][..1]);
        insta::assert_snapshot!(text, @r#"
        applications:
        - {name: "scale-Tick-0",env: {},command: .,routes: [{route: "scale-tick-0.apps.example.com"}]}
        "#);
        let long = vec!["x".repeat(MOST_BYTES / 2); 3];
        assert_eq!(super::batches(&long).len(), 3);
    }
}
