//! Measures the time until changes take effect: mapped routes, and bound and unbound
//! security groups.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::outcome::message;
use super::probe::describe_error;
use super::run::{Run, in_step};
use super::{TestError, Tester};
use crate::capi::error::Error;
use crate::capi::model::{NewRoute, NewSecurityGroup, Rule};
use crate::events::{Event, Phase};
use crate::latency::{Latencies, Percentiles};

/// The time between two checks for the effect of a change.
const PAUSE: Duration = Duration::from_millis(100);

/// The timeout for deleting resources after a failed measurement.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(60);

/// The time until changes of one kind took effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MeasuredLatency {
    /// The change: `route-mapping`, `security-group-binding` or
    /// `security-group-unbinding`.
    pub name: &'static str,
    /// The time from the response of the Cloud Controller to the effect.
    pub latency_ms: Percentiles,
    /// The error that ended the measurements early, such as an interrupt. Serializes as
    /// its message.
    #[serde(serialize_with = "message", skip_serializing_if = "Option::is_none")]
    pub error: Option<TestError>,
}

impl MeasuredLatency {
    fn new(name: &'static str, latencies: &Latencies) -> Self {
        Self {
            name,
            latency_ms: latencies.percentiles(),
            error: None,
        }
    }
}

/// The effect that a change should have.
enum Effect<'a> {
    /// An app responds to a host below the domain of the apps.
    Responds { host: &'a str },
    /// A proxy app connects to an address, or does not.
    Connects { address: &'a str, expected: bool },
}

/// Maps a route several times.
pub(super) async fn routes(tester: &Tester, times: u32) -> Result<MeasuredLatency, TestError> {
    let run = Run::prepare(tester).await?;
    let client = &tester.client;
    let host = format!("{}latency-", tester.test.prefix.to_lowercase());
    // An earlier run may have been killed.
    for route in client.routes_of_spaces(&[&run.apps.space]).await? {
        if route.host.starts_with(&host) && route.domain == run.domain.guid {
            delete_route(&run, &route.host, &route.guid).await?;
        }
    }
    let mut latencies = Latencies::default();
    let progress = Progress::start(&run, times);
    let ended = map_routes(&run, &host, times, &mut latencies, &progress).await;
    progress.end();
    let mut measured = MeasuredLatency::new("route-mapping", &latencies);
    match ended {
        Err(error) if measured.latency_ms.count == 0 => return Err(error),
        ended => measured.error = ended.err(),
    }
    Ok(measured)
}

/// Maps routes one after the other, and deletes each route. Measurements before an error
/// are in `latencies`.
async fn map_routes(
    run: &Run<'_>,
    host: &str,
    times: u32,
    latencies: &mut Latencies,
    progress: &Progress<'_>,
) -> Result<(), TestError> {
    let client = &run.tester.client;
    for number in 0..times {
        let host = format!("{host}{number}");
        let route = NewRoute {
            host: &host,
            domain: &run.domain.guid,
            space: &run.apps.space,
            path: None,
        };
        let route = client.create_route(&route).await?;
        let measured = map_route(run, &host, &route).await;
        let deleted = client.despite_interrupt(delete_route(run, &host, &route));
        let deleted = tokio::time::timeout(CLEANUP_TIMEOUT, deleted).await;
        latencies.add(measured?);
        deleted.unwrap_or(Ok(()))?;
        progress.advance(number + 1);
    }
    Ok(())
}

async fn map_route(run: &Run<'_>, host: &str, route: &str) -> Result<Duration, TestError> {
    let client = &run.tester.client;
    let proxies = run.apps.guids(&run.apps.names.proxies);
    let proxy = proxies.first().copied().unwrap_or_default();
    in_step(
        client,
        "routes",
        "mapping a route",
        client.map_route(route, proxy),
    )
    .await?;
    let what = format!("mapping the route {host}.{}", run.domain.name);
    until(run, &what, &Effect::Responds { host }).await
}

async fn delete_route(run: &Run<'_>, host: &str, route: &str) -> Result<(), TestError> {
    let what = format!("deleting the route {host}.{}", run.domain.name);
    Ok(run.tester.client.delete_route(&what, route).await?)
}

/// Binds and unbinds a security group several times.
pub(super) async fn security_groups(
    tester: &Tester,
    times: u32,
    target: Option<&str>,
) -> Result<[MeasuredLatency; 2], TestError> {
    let run = Run::prepare(tester).await?;
    let client = &tester.client;
    let target = target_of(&run, target).await?;
    let name = format!("{}asg-latency", tester.test.prefix);
    let what = format!("deleting the security group {name}");
    // An earlier run may have been killed.
    for group in client.security_groups_named(&[&name]).await? {
        client.delete_security_group(&what, &group.guid).await?;
    }
    let rule = Rule {
        protocol: "tcp".to_owned(),
        destination: target.ip().to_string(),
        ports: Some(target.port().to_string()),
        ..Rule::default()
    };
    let group = NewSecurityGroup {
        name: &name,
        rules: &[rule],
        ..NewSecurityGroup::default()
    };
    let group = client.create_security_group(&group).await?;
    let mut latencies = [Latencies::default(), Latencies::default()];
    let measured = bind_and_unbind(&run, times, &group, &target.to_string(), &mut latencies).await;
    let deleted = client.despite_interrupt(client.delete_security_group(&what, &group));
    let deleted = tokio::time::timeout(CLEANUP_TIMEOUT, deleted).await;
    let ended = measured.and(deleted.unwrap_or(Ok(())).map_err(TestError::from));
    let [bound, unbound] = &latencies;
    let mut bound = MeasuredLatency::new("security-group-binding", bound);
    let mut unbound = MeasuredLatency::new("security-group-unbinding", unbound);
    if let Err(error) = ended {
        match (bound.latency_ms.count, unbound.latency_ms.count) {
            (0, _) => return Err(error),
            // After each binding, the group is unbound.
            (bindings, unbindings) if bindings > unbindings => unbound.error = Some(error),
            _ => bound.error = Some(error),
        }
    }
    Ok([bound, unbound])
}

/// Binds and unbinds a group several times. Measurements before an error are in
/// `latencies`: first of bindings, then of unbindings.
async fn bind_and_unbind(
    run: &Run<'_>,
    times: u32,
    group: &str,
    address: &str,
    [bound, unbound]: &mut [Latencies; 2],
) -> Result<(), TestError> {
    let (client, space) = (&run.tester.client, run.apps.space.as_str());
    let spaces = [space];
    let effect = |expected| Effect::Connects { address, expected };
    if let Err(problem) = check_effect(run, &effect(false)).await? {
        return Err(TestError::InvalidTarget {
            reason: format!(
                "{address} must not be reached without the security group, but: {problem}"
            ),
        });
    }
    let progress = Progress::start(run, times);
    for number in 0..times {
        let binding = client.bind_security_group(group, &spaces);
        in_step(client, "security groups", "binding the group", binding).await?;
        let what = format!("binding a security group that allows {address}");
        bound.add(until(run, &what, &effect(true)).await?);
        let unbinding = client.unbind_security_group(group, space);
        in_step(client, "security groups", "unbinding the group", unbinding).await?;
        let what = format!("unbinding the security group that allows {address}");
        unbound.add(until(run, &what, &effect(false)).await?);
        progress.advance(number + 1);
    }
    progress.end();
    Ok(())
}

/// The address that the security group allows.
async fn target_of(run: &Run<'_>, given: Option<&str>) -> Result<SocketAddr, TestError> {
    let found = match given {
        Some(given) => Some(given.to_owned()),
        None => {
            let ticks = run.apps.guids(&run.apps.names.ticks);
            let tick = ticks.first().copied().unwrap_or_default();
            let addresses = run.tester.client.cell_addresses(tick).await?;
            addresses.into_iter().next()
        }
    };
    let invalid = |reason: String| TestError::InvalidTarget { reason };
    let found = found.ok_or_else(|| {
        let tick = run.apps.names.ticks.first().cloned().unwrap_or_default();
        invalid(format!("no port of a cell leads to an instance of {tick}"))
    })?;
    found
        .parse()
        .map_err(|_| invalid(format!("the target \"{found}\" is not IP:PORT")))
}

/// Polls until a change takes effect, and returns the time that it took.
async fn until(run: &Run<'_>, what: &str, effect: &Effect<'_>) -> Result<Duration, TestError> {
    let (client, clock) = (&run.tester.client, &run.tester.clock);
    let began = clock.now();
    loop {
        let last = match check_effect(run, effect).await? {
            Ok(()) => return Ok(clock.now().saturating_sub(began)),
            Err(last) => last,
        };
        let waited = clock.now().saturating_sub(began);
        if waited > client.timeout() {
            let what = what.to_owned();
            return Err(TestError::NoEffect { what, waited, last });
        }
        client.unless_interrupted(clock.wait(PAUSE)).await?;
    }
}

/// Whether an effect is visible. If it is not, describes what was observed instead.
async fn check_effect(run: &Run<'_>, effect: &Effect<'_>) -> Result<Result<(), String>, TestError> {
    let proxy = run.apps.names.proxies.first();
    let proxy = proxy.map(String::as_str).unwrap_or_default();
    let answer = match effect {
        Effect::Responds { host } => run.prober.get(host, "/").await,
        Effect::Connects { address, .. } => {
            run.prober.get(proxy, &format!("/proxy/{address}")).await
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error @ Error::Interrupted) => return Err(error.into()),
        Err(Error::Unreachable { url, reason, .. }) => {
            return Err(TestError::NoRouter { url, reason });
        }
        Err(error) => return Ok(Err(describe_error(proxy, &error))),
    };
    if let Some(reason) = &answer.router_error {
        return Ok(Err(format!(
            "the router responded with {} ({reason})",
            answer.status
        )));
    }
    let is_visible = match effect {
        Effect::Responds { .. } => answer.is_success(),
        Effect::Connects { expected, .. } => is_connected(&answer.body) == *expected,
    };
    Ok(match is_visible {
        true => Ok(()),
        false => Err(format!(
            "the response was {} \"{}\"",
            answer.status,
            answer.body.trim()
        )),
    })
}

/// Whether a proxy app could connect. A server that does not speak HTTP, such as a port
/// for TLS, counts as reached.
fn is_connected(body: &str) -> bool {
    const REACHED: [&str; 3] = ["malformed HTTP", "EOF", "connection reset by peer"];
    !body.contains("request failed") || REACHED.iter().any(|it| body.contains(it))
}

/// Reports the number of measurements.
struct Progress<'a>(&'a Run<'a>);

impl<'a> Progress<'a> {
    fn start(run: &'a Run<'_>, total: u32) -> Progress<'a> {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let phase = Phase::Measurements;
        run.emit(Event::PhaseStarted { phase, total });
        Progress(run)
    }

    fn advance(&self, done: u32) {
        self.0.emit(Event::PhaseProgress {
            phase: Phase::Measurements,
            done: usize::try_from(done).unwrap_or(usize::MAX),
            failed: 0,
        });
    }

    fn end(self) {
        let phase = Phase::Measurements;
        self.0.emit(Event::PhaseEnded { phase });
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("mock-capi: 10.0.0.1:61000", true)]
    #[case(
        "request failed: Get \"http://10.0.0.1\": dial tcp 10.0.0.1:80: i/o timeout",
        false
    )]
    #[case(
        "request failed: Get \"http://10.0.0.1\": net/http: HTTP/1.x transport connection broken: malformed HTTP response",
        true
    )]
    #[case("request failed: Get \"http://10.0.0.1\": EOF", true)]
    fn a_port_that_does_not_speak_http_counts_as_reached(
        #[case] body: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(is_connected(body), expected);
    }
}
