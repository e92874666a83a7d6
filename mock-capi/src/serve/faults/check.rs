//! Which faults are refused: those that are contradictory, and those that could
//! never strike.

use serde_json::value::RawValue;

use super::pattern::has_misplaced_star;
use super::{Effect, Fault};
use crate::api::http::read_object;
use crate::api::router::Router;
use crate::serve::core::Wire;

/// What `method` takes, in any case.
const METHODS: [&str; 8] = [
    "*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
];

impl Fault {
    /// Reads a JSON list of faults, as `PUT /_mock/faults` takes it.
    ///
    /// # Errors
    ///
    /// [`InvalidFaults`] if it is no JSON, or a fault in it has fields that are
    /// unknown or do not go together.
    pub fn list_from_json(json: &str) -> Result<Vec<Self>, InvalidFaults> {
        let faults: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|error| InvalidFaults(error.to_string()))?;
        let faults = faults.into_iter().enumerate().map(|(index, fault)| {
            read_object(fault.get().as_bytes())
                .map_err(|error| InvalidFaults(format!("fault {index}: {error}")))
        });
        let faults = faults.collect::<Result<Vec<Self>, _>>()?;
        refuse_first(&faults, |fault| fault.complaint().map(str::to_owned))?;
        Ok(faults)
    }

    /// Refuses faults that could never strike, or not as they say: on this API
    /// and by this adapter.
    pub(crate) fn check_all(
        faults: &[Self],
        router: &Router,
        wire: Wire,
    ) -> Result<(), InvalidFaults> {
        refuse_first(faults, |fault| {
            let complaint = fault.complaint().map(str::to_owned);
            complaint.or_else(|| fault.complaint_here(router, wire))
        })
    }

    /// What the API that is spoken, or what serves it, has against a fault.
    fn complaint_here(&self, router: &Router, wire: Wire) -> Option<String> {
        if self.fault.is_of_traffic() {
            return (wire == Wire::Wiremock).then(|| NO_APPS.to_owned());
        }
        if self.fault == Effect::Truncate && wire == Wire::Wiremock {
            return Some(
                "wiremock cannot break off an answer: start the mock with \
                 MockCapi::builder().front()"
                    .into(),
            );
        }
        let path = self.path.as_deref()?;
        let method = self.method.as_deref().unwrap_or("*");
        (!router.knows(method, path))
            .then(|| format!("no operation of the API has the path '{path}' for {method}"))
    }

    /// What is wrong with a fault: fields that do not go together, or values
    /// that nothing could come of.
    fn complaint(&self) -> Option<&'static str> {
        let effect = self.fault;
        let only = [
            (
                self.app.is_some() && !effect.is_of_app(),
                "'app' goes with failed_staging, failed_copy, failed_task, crashing_instances, \
                 unreachable, unregistered and slow",
            ),
            (
                self.operation.is_some() && effect != Effect::FailedJob,
                "'operation' goes with failed_job",
            ),
            (
                self.status.is_some() != (effect == Effect::Answer),
                "'status' goes with answer, which needs it",
            ),
            (
                self.retry_after.is_some() && effect != Effect::Answer,
                "'retry_after' goes with answer",
            ),
            (
                self.delay.is_some() && !effect.has_delay(),
                "'delay' goes with faults of requests, unreachable and slow",
            ),
            (
                self.delay.is_none() && effect == Effect::Delay,
                "delay needs a 'delay'",
            ),
            (
                self.delay.is_none() && effect == Effect::Slow,
                "slow needs a 'delay'",
            ),
            (
                !effect.has_error()
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' go with answer, failed_staging, failed_copy, \
                 failed_task and failed_job",
            ),
            (
                self.status.is_some_and(|status| status < 400)
                    && (self.code.is_some() || self.title.is_some() || self.detail.is_some()),
                "'code', 'title' and 'detail' go with a status of 400 or more",
            ),
            (self.nth == Some(0), "'nth' counts from 1"),
            (
                self.nth.is_some() && (self.skip > 0 || self.times.is_some()),
                "'nth' does not go with 'skip' and 'times'",
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
            (
                self.path
                    .as_ref()
                    .is_some_and(|path| path != "*" && !path.starts_with('/')),
                "'path' must start with a '/'",
            ),
            (
                self.path.as_deref().is_some_and(|path| path.contains('?')),
                "'path' has no query",
            ),
            (
                self.path.as_deref().is_some_and(has_misplaced_star),
                "in 'path', a '*' is the whole last segment",
            ),
            (
                self.method.as_deref().is_some_and(|method| {
                    !METHODS
                        .iter()
                        .any(|known| known.eq_ignore_ascii_case(method))
                }),
                "'method' must be one of HTTP's, or '*'",
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
        broken.map(|(_, complaint)| complaint)
    }
}

/// What wiremock has against everything that is about apps.
pub(crate) const NO_APPS: &str = "wiremock does not serve apps: start the mock with \
                                  MockCapi::builder().front()";

/// Why faults cannot be set, or a text is no list of faults.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFaults(String);

fn refuse_first(
    faults: &[Fault],
    complain: impl Fn(&Fault) -> Option<String>,
) -> Result<(), InvalidFaults> {
    let complaints = faults.iter().enumerate();
    let mut complaints = complaints.filter_map(|(index, fault)| Some((index, complain(fault)?)));
    match complaints.next() {
        Some((index, complaint)) => Err(InvalidFaults(format!("fault {index}: {complaint}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn faults_that_mean_nothing_are_refused() {
        let cases = [
            (r#"{}"#, "invalid type: map, expected a sequence"),
            (r#"[{}]"#, "fault 0: missing field `fault`"),
            (
                r#"[["drop_after"]]"#,
                "fault 0: expected an object, not a list",
            ),
            (
                r#"[{"fault": "answer", "path": "/"}]"#,
                "fault 0: 'status' goes with answer, which needs it",
            ),
            (
                r#"[{"fault": "delay", "delay": "1s"}, {"fault": "delay"}]"#,
                "fault 1: delay needs a 'delay'",
            ),
            (
                r#"[{"fault": "truncate", "app": "a"}]"#,
                "fault 0: 'app' goes with failed_staging, failed_copy, failed_task, crashing_instances, unreachable, unregistered and slow",
            ),
            (r#"[{"fault": "slow"}]"#, "fault 0: slow needs a 'delay'"),
            (
                r#"[{"fault": "unregistered", "delay": "1s"}]"#,
                "fault 0: 'delay' goes with faults of requests, unreachable and slow",
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
                "fault 0: in 'path', a '*' is the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/ap*"}]"#,
                "fault 0: in 'path', a '*' is the whole last segment",
            ),
            (
                r#"[{"fault": "drop_after", "path": "/v3/apps?names=a"}]"#,
                "fault 0: 'path' has no query",
            ),
            (
                r#"[{"fault": "drop_after", "method": "FETCH"}]"#,
                "fault 0: 'method' must be one of HTTP's, or '*'",
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
                "fault 0: expected number at 0",
            ),
        ];
        for (body, complaint) in cases {
            let error = Fault::list_from_json(body).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{body}: {error}");
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
