//! The API's own description, and the differences of a response from it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use jsonschema::{Registry, Validator};
use serde_json::{Value, json};

use crate::recording_client::Exchange;

/// The environment variable with the path of the file.
const VARIABLE: &str = "CAPI_OPENAPI";
/// The name of the document in schemas that refer to it.
const URI: &str = "https://capi.test/openapi";
/// The schema of every error, described or not.
const ERRORS: &str = "/components/schemas/Errors/";
/// Objects with arbitrary keys.
const FREE: &[&str] = &[
    "annotations",
    "application_env_json",
    "credentials",
    "environment_variables",
    "labels",
    "options",
    "process_types",
    "running_env_json",
    "staging_env_json",
    "system_env_json",
    "var",
];

/// The OpenAPI document of the API.
pub(crate) struct Description {
    document: Value,
    registry: Registry<'static>,
    validators: RefCell<HashMap<String, Validator>>,
}

impl Description {
    /// The description that the environment names, if any.
    pub(crate) fn of_environment() -> Option<Self> {
        let path = std::env::var(VARIABLE).ok()?;
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let document: Value = serde_saphyr::from_str(&text).unwrap();
        let registry = Registry::new().add(URI, document.clone()).unwrap();
        Some(Self {
            registry: registry.prepare().unwrap(),
            document,
            validators: RefCell::default(),
        })
    }

    /// The operations, such as `GET /v3/apps/:guid`.
    pub(crate) fn operations(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().unwrap();
        let of_path = |(path, operations): (&String, &Value)| {
            let path = path.replace('{', ":").replace('}', "");
            let methods = operations.as_object().unwrap().keys();
            let methods = methods.filter(|key| METHODS.contains(&key.as_str()));
            methods
                .map(|method| format!("{} {path}", method.to_uppercase()))
                .collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// The differences of a response from the description.
    pub(crate) fn differences(&self, exchange: &Exchange) -> Vec<String> {
        let Some(response) = self.response(exchange) else {
            return self.undescribed_differences(exchange);
        };
        let described = self.at(&response);
        let mut differences = Vec::new();
        let headers = &described["headers"];
        if headers.get("Location").is_some() && !exchange.has_location {
            differences.push("has no Location".to_owned());
        }
        let media_type = exchange.content_type.split(';').next().unwrap_or_default();
        match described["content"].as_object() {
            None if exchange.text.is_empty() => {}
            None => differences.push("has a body".to_owned()),
            Some(content) => match content.get(media_type) {
                None => differences.push(format!("is {media_type}")),
                Some(content) => {
                    let media_type = escape(media_type);
                    let pointer = format!("{response}/content/{media_type}/schema");
                    differences.extend(self.body_differences(exchange, content, &pointer));
                }
            },
        }
        differences
    }

    /// Any operation may return an error. All other responses must be described.
    fn undescribed_differences(&self, exchange: &Exchange) -> Vec<String> {
        match exchange.json() {
            Some(body) if exchange.status >= 400 => self.schema_differences(ERRORS, &body),
            _ => vec!["is not described".to_owned()],
        }
    }

    fn body_differences(&self, exchange: &Exchange, content: &Value, schema: &str) -> Vec<String> {
        let Some(body) = exchange.json() else {
            let is_json = exchange.content_type.starts_with("application/json");
            return is_json
                .then(|| "is not JSON".to_owned())
                .into_iter()
                .collect();
        };
        let mut differences = self.schema_differences(schema, &body);
        if exchange.status < 300 {
            differences.extend(example_differences(content, &body));
        }
        differences
    }

    fn schema_differences(&self, pointer: &str, body: &Value) -> Vec<String> {
        let mut validators = self.validators.borrow_mut();
        let validator = validators.entry(pointer.to_owned()).or_insert_with(|| {
            let fragment = pointer.trim_end_matches('/');
            let fragment = fragment.replace('{', "%7B").replace('}', "%7D");
            let schema = json!({"$ref": format!("{URI}#{fragment}")});
            let options = jsonschema::options().with_registry(&self.registry);
            options.build(&schema).unwrap()
        });
        let errors = validator.iter_errors(body);
        errors
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    }

    /// The description of a response.
    fn response(&self, exchange: &Exchange) -> Option<String> {
        let path = braced(exchange.operation.path);
        let method = exchange.operation.method.to_lowercase();
        let status = exchange.status;
        let pointer = format!("/paths/{}/{method}/responses/{status}", escape(&path));
        let described = self.document.pointer(&pointer)?;
        Some(match described["$ref"].as_str() {
            Some(reference) => reference.trim_start_matches('#').to_owned(),
            None => pointer,
        })
    }

    fn at(&self, pointer: &str) -> &Value {
        let found = self.document.pointer(pointer);
        found.unwrap_or_else(|| panic!("nothing at {pointer}"))
    }
}

const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

/// The path with braces: `/v3/apps/{guid}` for `/v3/apps/:guid`.
fn braced(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| match segment.strip_prefix(':') {
            Some(name) => format!("{{{name}}}"),
            None => segment.to_owned(),
        });
    segments.collect::<Vec<_>>().join("/")
}

/// A key as a part of a JSON pointer.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The keys that are missing in a response, compared with the most similar example.
fn example_differences(content: &Value, body: &Value) -> Vec<String> {
    let examples = content["examples"].as_object();
    let examples = examples.into_iter().flat_map(|examples| examples.values());
    let missing = examples.filter_map(|one| Some(missing_keys(one.get("value")?, body)));
    missing.min_by_key(Vec::len).unwrap_or_default()
}

/// The keys of an example that are missing in a response, at all depths.
fn missing_keys(example: &Value, answer: &Value) -> Vec<String> {
    let mut missing = Vec::new();
    match (example, answer) {
        (Value::Object(example), Value::Object(answer)) => {
            for (key, value) in example {
                match answer.get(key) {
                    None => missing.push(format!("/{key}: is missing")),
                    Some(_) if FREE.contains(&key.as_str()) => {}
                    Some(below) => missing.extend(prefixed(key, missing_keys(value, below))),
                }
            }
        }
        // An item must be similar to any item of the example.
        (Value::Array(example), Value::Array(answer)) => {
            for item in answer {
                let like = example.iter().map(|example| missing_keys(example, item));
                let closest = like.min_by_key(Vec::len).unwrap_or_default();
                missing.extend(prefixed("*", closest));
            }
        }
        _ => {}
    }
    missing
}

fn prefixed(key: &str, missing: Vec<String>) -> impl Iterator<Item = String> {
    missing
        .into_iter()
        .map(move |below| format!("/{key}{below}"))
}
