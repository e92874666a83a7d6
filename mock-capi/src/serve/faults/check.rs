//! Refuses faults that are contradictory or could never apply.

use super::pattern::{method_problem, path_problem};
use super::{Effect, Fault};
use crate::api::router::Router;
use crate::json::read_list;
use crate::serve::core::Wire;

impl Fault {
    /// Reads a JSON list of faults, in the format of `PUT /_mock/faults`.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] if the text is not JSON, or a fault has unknown fields or fields
    /// that cannot be combined.
    pub fn list_from_json(json: &str) -> Result<Vec<Self>, InvalidFaults> {
        let faults = read_list(json.as_bytes(), "fault");
        let faults: Vec<Self> = faults.map_err(InvalidFaults)?;
        refuse_first(&faults, |fault| fault.problem().map(str::to_owned))?;
        Ok(faults)
    }

    /// Refuses faults that could never apply, and faults that this API or adapter does
    /// not support.
    pub(crate) fn check_all(
        faults: &[Self],
        router: &Router,
        wire: Wire,
    ) -> Result<(), InvalidFaults> {
        refuse_first(faults, |fault| {
            let problem = fault.problem().map(str::to_owned);
            problem.or_else(|| fault.unsupported(router, wire))
        })
    }

    /// The reason why a fault cannot be used with this API or adapter.
    fn unsupported(&self, router: &Router, wire: Wire) -> Option<String> {
        if self.fault.is_of_traffic() {
            return (wire == Wire::Wiremock).then(|| NO_APPS.to_owned());
        }
        let impossible = match self.fault {
            Effect::Truncate => Some("close connections in a response"),
            Effect::Drip => Some("send a response in pieces"),
            _ => None,
        };
        if let Some(what) = impossible.filter(|_| wire == Wire::Wiremock) {
            return Some(format!(
                "wiremock cannot {what}: start the mock with MockCapi::builder().front()"
            ));
        }
        let path = self.path.as_deref()?;
        let method = self.method.as_deref().unwrap_or("*");
        (!router.knows(method, path)).then(|| format!("the API has no operation {method} {path}"))
    }

    /// The reason why a fault is invalid: fields that cannot be combined, or values that
    /// could never have an effect.
    fn problem(&self) -> Option<&'static str> {
        let effect = self.fault;
        let only = [
            (
                self.app.is_some() && !effect.is_of_app(),
                "'app' needs failed_staging, failed_copy, failed_task, crashing_instances, \
                 unreachable, unregistered or slow",
            ),
            (
                self.operation.is_some() && effect != Effect::FailedJob,
                "'operation' needs failed_job",
            ),
            (
                self.status.is_some() != (effect == Effect::Answer),
                "answer, and only answer, needs a 'status'",
            ),
            (
                self.retry_after.is_some() && effect != Effect::Answer,
                "'retry_after' needs answer",
            ),
            (
                self.delay.is_some() && !effect.has_delay(),
                "'delay' needs a fault of requests, unreachable or slow",
            ),
            (
                self.delay.is_none() && effect == Effect::Delay,
                "delay needs a 'delay'",
            ),
            (
                self.delay.is_none() && effect == Effect::Drip,
                "drip needs a 'delay'",
            ),
            (
                self.delay.is_none() && effect == Effect::Slow,
                "slow needs a 'delay'",
            ),
            (
                !effect.has_error()
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' need answer, failed_staging, failed_copy, \
                 failed_task or failed_job",
            ),
            (
                self.status.is_some_and(|status| status < 400)
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' need a status of 400 or more",
            ),
            (self.nth == Some(0), "'nth' must be 1 or more"),
            (
                self.nth.is_some() && (self.skip > 0 || self.times.is_some()),
                "'nth' cannot be combined with 'skip' and 'times'",
            ),
            (
                self.status
                    .is_some_and(|status| !(200..=599).contains(&status)),
                "'status' must be from 200 to 599",
            ),
            (
                self.probability
                    .is_some_and(|probability| !(0.0..=1.0).contains(&probability)),
                "'probability' must be from 0 to 1",
            ),
            (self.times == Some(0), "'times' must be 1 or more"),
            (
                self.from
                    .zip(self.until)
                    .is_some_and(|(from, until)| from >= until),
                "'from' must be before 'until'",
            ),
        ];
        let broken = only.into_iter().find(|(broken, _)| *broken);
        broken
            .map(|(_, problem)| problem)
            .or_else(|| self.path.as_deref().and_then(path_problem))
            .or_else(|| self.method.as_deref().and_then(method_problem))
    }
}

/// The error for faults of apps with wiremock.
pub(crate) const NO_APPS: &str = "wiremock does not serve apps: start the mock with \
                                  MockCapi::builder().front()";

/// The reason why faults are invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFaults(String);

fn refuse_first(
    faults: &[Fault],
    problem_of: impl Fn(&Fault) -> Option<String>,
) -> Result<(), InvalidFaults> {
    let problems = faults.iter().enumerate();
    let mut problems = problems.filter_map(|(index, fault)| Some((index, problem_of(fault)?)));
    match problems.next() {
        Some((index, problem)) => Err(InvalidFaults(format!("fault {index}: {problem}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn contradictory_faults_are_refused() {
        let cases = [
            (r#"{}"#, "expected a list, not an object"),
            ("", "expected a list, not an empty body"),
            ("[null]", "fault 0: expected an object, not null"),
            (r#"[{}]"#, "fault 0: missing field `fault`"),
            (
                r#"[["drop_after"]]"#,
                "fault 0: expected an object, not a list",
            ),
            (
                r#"[{"fault": "answer", "path": "/"}]"#,
                "fault 0: answer, and only answer, needs a 'status'",
            ),
            (
                r#"[{"fault": "delay", "delay": "1s"}, {"fault": "delay"}]"#,
                "fault 1: delay needs a 'delay'",
            ),
            (
                r#"[{"fault": "truncate", "app": "a"}]"#,
                "fault 0: 'app' needs failed_staging, failed_copy, failed_task, crashing_instances, unreachable, unregistered or slow",
            ),
            (r#"[{"fault": "drip"}]"#, "fault 0: drip needs a 'delay'"),
            (r#"[{"fault": "slow"}]"#, "fault 0: slow needs a 'delay'"),
            (
                r#"[{"fault": "unregistered", "delay": "1s"}]"#,
                "fault 0: 'delay' needs a fault of requests, unreachable or slow",
            ),
            (
                r#"[{"fault": "answer", "status": 99}]"#,
                "fault 0: 'status' must be from 200 to 599",
            ),
            (
                r#"[{"fault": "drop_after", "probability": 1.5}]"#,
                "fault 0: 'probability' must be from 0 to 1",
            ),
            (
                r#"[{"fault": "drop_after", "path": "v3"}]"#,
                "fault 0: 'path' must start with a '/'",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/*/env"}]"#,
                "fault 0: in 'path', a '*' must be the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/ap*"}]"#,
                "fault 0: in 'path', a '*' must be the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/apps?names=a"}]"#,
                "fault 0: 'path' must not have a query",
            ),
            (
                r#"[{"fault": "drop_after", "method": "FETCH"}]"#,
                "fault 0: 'method' must be an HTTP method, or '*'",
            ),
            (
                r#"[{"fault": "drop_after", "times": 0}]"#,
                "fault 0: 'times' must be 1 or more",
            ),
            (
                r#"[{"fault": "drop_after", "from": "5s", "until": "2s"}]"#,
                "fault 0: 'from' must be before 'until'",
            ),
            (
                r#"[{"fault": "delay", "delay": "soon"}]"#,
                "fault 0: delay: 'soon' is not a duration such as '1m 30s': expected number at 0",
            ),
        ];
        for (body, problem) in cases {
            let error = Fault::list_from_json(body).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{body}: {error}");
        }
    }

    #[test]
    fn faults_are_json() {
        let faults = vec![
            Fault::answer("POST", "/v3/apps", 429)
                .retry_after(Duration::from_secs(1))
                .skip(1)
                .times(2),
            Fault::failed_job()
                .of("app.delete")
                .by("DELETE", "/v3/apps/:guid")
                .error(10001, "UnknownError", "no"),
            Fault::delay("*", "*", Duration::from_millis(1500)).probability(0.5),
        ];
        let json = serde_json::to_string(&faults).unwrap();
        assert_eq!(Fault::list_from_json(&json).unwrap(), faults);
    }
}
