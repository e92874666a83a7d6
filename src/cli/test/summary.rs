//! The closing lines of a scaling test.

use std::time::Duration;

use cf_pusher::report::Percentiles;
use cf_pusher::scale_test::{PhaseOutcome, TestOutcome, TestPhase};

use super::super::output::counted;

/// The result of a test, with the numbers of each phase.
pub(super) fn test(tested: &TestOutcome, is_fake: bool, took: Duration) -> String {
    let registry = &tested.registry;
    let mut lines = vec![format!(
        "registration: {} of {} instances",
        registry.registered, registry.expected
    )];
    for context in &tested.contexts {
        lines.push(format!(
            "{}: {} to {}, {}, {}",
            context.name.name(),
            counted(context.proxies as u64, "proxy app", "proxy apps"),
            counted(context.ticks as u64, "tick app", "tick apps"),
            counted(context.connections, "connection", "connections"),
            counted(context.policies as u64, "policy", "policies"),
        ));
        for phase in &context.phases {
            lines.push(format!("  {}", line_of(phase, context.sampled)));
        }
    }
    if tested.latency_ms.count > 0 {
        lines.push(latency("latency", &tested.latency_ms));
    }
    if !tested.contexts.is_empty() {
        lines.push(format!("seed: {}", tested.seed));
    }
    if is_fake {
        let waited = tested.waited.as_secs_f64();
        lines.push(format!("waited {waited} s on the mock's clock"));
    }
    lines.push(format!("time: {:.1} s", took.as_secs_f64()));
    lines.join("\n")
}

fn line_of(phase: &PhaseOutcome, sampled: u64) -> String {
    let name = phase.name.name().replace('-', " ");
    let failed = phase.failed.len();
    let expected = match phase.name {
        TestPhase::WithPolicies => "succeeded",
        _ => "failed as expected",
    };
    let as_expected = sampled.saturating_sub(failed as u64);
    match failed {
        0 => format!("ok      {name}: {as_expected} of {sampled} {expected}"),
        _ => format!("FAILED  {name}: {as_expected} of {sampled} {expected}"),
    }
}

/// Percentiles in one line.
pub(super) fn latency(name: &str, latency: &Percentiles) -> String {
    let Percentiles {
        count,
        p50,
        p95,
        max,
        ..
    } = latency;
    format!("{name}: p50 {p50:.1} ms, p95 {p95:.1} ms, max {max:.1} ms ({count} measured)")
}

/// The help for the first failure. `has_setup` is whether the apps were converged first.
pub(super) fn help(tested: &TestOutcome, has_setup: bool) -> Option<String> {
    if !tested.registry.ok {
        return Some(match &tested.registry.error {
            Some(_) => "check that the registry app runs, with `cf-pusher verify`".to_owned(),
            None if tested.registry.registered > tested.registry.expected => match has_setup {
                true => "check which other apps use this registry (REGISTRY_BASE_URL)".to_owned(),
                false => "if the apps are those of another configuration, add --setup".to_owned(),
            },
            None => "check that the tick apps run (`cf-pusher verify`), and that they reach the registry (`cf logs APP --recent`)".to_owned(),
        });
    }
    let mut phases = tested.contexts.iter().flat_map(|it| &it.phases);
    let failed = phases.find(|phase| !phase.ok)?;
    let help = match failed.name {
        TestPhase::WithoutPolicies => {
            "check that no other policies or security groups allow these connections, and that the proxy apps run"
        }
        TestPhase::WithPolicies => {
            "if policies need more time on this foundation, raise policy_update_wait_seconds in the configuration or --policy-wait"
        }
        _ => {
            "if the deletion of policies needs more time on this foundation, raise policy_update_wait_seconds in the configuration or --policy-wait"
        }
    };
    Some(help.to_owned())
}
