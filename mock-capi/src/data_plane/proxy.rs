//! The app `proxy`: it connects to other instances and reports the result.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::{
    Action, AppRequest, DataPlaneContext, Instance, Outcome, PORT, Reply, ReplyBody, RequestBody,
    go,
};

const MAX_LATENCIES: usize = 10_000;
const MAX_BYTES: i64 = 1 << 30;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    listen_addresses: [String; 2],
    port: u16,
}

#[derive(Serialize)]
struct Stats {
    latency: Vec<f64>,
}

pub(super) fn counted(bytes: u64) -> Reply {
    go::text(format!("{bytes} bytes received and read"))
}

impl<'s> DataPlaneContext<'s> {
    pub(super) fn serve_proxy(
        &mut self,
        instance: &Instance<'s>,
        request: &AppRequest<'_>,
        caller: IpAddr,
    ) -> Outcome {
        let path = request.path.strip_prefix('/').unwrap_or(request.path);
        let (operation, argument) = path.split_once('/').unwrap_or((path, ""));
        match (request.method, operation) {
            ("GET", "") if argument.is_empty() => info(instance).into(),
            ("GET", "proxy") if !argument.is_empty() => {
                let destination = match request.query {
                    Some(query) if !query.is_empty() => format!("{argument}?{query}"),
                    _ => argument.to_owned(),
                };
                self.fetch(instance, &destination)
            }
            ("GET", "dig") if !argument.is_empty() => self.dig(argument).into(),
            ("GET", "download") => download(argument).into(),
            ("POST" | "PUT", "upload") => match request.body {
                RequestBody::Empty => counted(0).into(),
                RequestBody::Unread | RequestBody::Read(_) => Action::CountBody.into(),
            },
            ("GET", "echosourceip") => go::text(caller.to_string()).into(),
            ("GET", "stats") => self.show_stats(instance).into(),
            ("DELETE", "stats") => {
                self.plane.latencies.remove(&instance.address);
                Reply::new(200, "").into()
            }
            _ => go::not_found().into(),
        }
    }

    fn show_stats(&self, instance: &Instance<'_>) -> Reply {
        let latencies = self.plane.latencies.get(&instance.address);
        let latency = latencies.into_iter().flatten().copied().collect();
        go::json(200, &Stats { latency })
    }

    /// Resolves a name, which may contain a port.
    fn dig(&self, name: &str) -> Reply {
        let name = name.split(':').next().unwrap_or(name);
        match self.resolve(name) {
            Ok(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                go::json(200, &addresses)
            }
            Err(error) => go::error(500, &format!("cannot resolve {name}: {error}")),
        }
    }
}

impl super::DataPlane {
    /// Records the latency of a request that a proxy sent.
    pub(crate) fn record_latency(
        &mut self,
        proxy: crate::world::InstanceAddress,
        latency: Duration,
        world: &crate::world::World,
    ) {
        let latencies = self.latencies_of(proxy, world);
        if latencies.len() >= MAX_LATENCIES {
            latencies.pop_front();
        }
        latencies.push_back(latency.as_secs_f64());
    }
}

fn info(instance: &Instance<'_>) -> Reply {
    go::json(
        200,
        &Info {
            listen_addresses: ["127.0.0.1".to_owned(), instance.ip().to_string()],
            port: PORT,
        },
    )
}

fn download(size: &str) -> Reply {
    let bytes = size.parse().ok();
    let bytes = bytes.filter(|bytes| (0..=MAX_BYTES).contains(bytes));
    match bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
        Some(bytes) => Reply {
            status: 200,
            headers: vec![("Content-Type".into(), "application/octet-stream".into())],
            body: ReplyBody::Random(bytes),
        },
        None => go::error(
            400,
            &format!("the number of bytes is {size:?}: it must be from 0 to {MAX_BYTES}"),
        ),
    }
}
