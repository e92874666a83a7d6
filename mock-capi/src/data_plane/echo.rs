//! The behaviour `echo`: the app responds with the request that it received.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AppRequest, Instance, READ_BODY, Reply, RequestBody, go};

#[derive(Serialize)]
struct Echo<'a> {
    application_name: &'a str,
    instance_index: u32,
    process_type: &'a str,
    /// The IP address of the instance.
    address: String,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: BTreeMap<&'a str, String>,
    body: String,
}

pub(super) fn answer(instance: &Instance<'_>, request: &AppRequest<'_>) -> Reply {
    let body = match request.body {
        RequestBody::Read(body) => &body[..body.len().min(READ_BODY)],
        RequestBody::Empty | RequestBody::Unread => &[],
    };
    let names = request.headers.keys();
    let headers = names.map(|name| {
        let values = request.headers.get_all(name).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.as_str(), values.collect::<Vec<_>>().join(", "))
    });
    let echo = Echo {
        application_name: &instance.app.name,
        instance_index: instance.index,
        process_type: &instance.process.kind,
        address: instance.address.ip().to_string(),
        method: request.method,
        host: request.host,
        path: request.path,
        query: request.query,
        headers: headers.collect(),
        body: String::from_utf8_lossy(body).into_owned(),
    };
    go::json(200, &echo)
}
