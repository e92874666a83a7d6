//! Writes the result of a run as JUnit XML, which CI systems show. The file has a test
//! case for each app, for each other resource that failed, and for each part of a scaling
//! test.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::recording::{self, Output, Recording};
use crate::events::{CheckResult, Event, EventSink, ResourceFailure, ResourceResult};

/// A sink that writes the result for each app as JUnit XML.
pub struct Junit {
    /// `None` after [`Recording::finish`].
    writing: Mutex<Option<Writing>>,
}

struct Writing {
    out: Box<dyn Output>,
    suites: Vec<TestSuite>,
}

impl Junit {
    /// Creates the file, or truncates an existing file.
    ///
    /// # Errors
    ///
    /// An error if the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::to(recording::create(path)?)
    }

    fn to(mut out: Box<dyn Output>) -> io::Result<Self> {
        // This is the content of the file if the process is killed.
        let killed = converged(&[], Some("the run did not finish"));
        out.replace(render(&[killed])?)?;
        let writing = Mutex::new(Some(Writing {
            out,
            suites: Vec::new(),
        }));
        Ok(Self { writing })
    }
}

impl EventSink for Junit {
    fn handle(&self, event: &Event) {
        let suite = match event {
            Event::ConvergeEnded {
                error, resources, ..
            } => converged(resources, error.as_deref()),
            Event::TestEnded { checks, error } => tested(checks, error.as_deref()),
            _ => return,
        };
        if let Ok(mut writing) = self.writing.lock()
            && let Some(Writing { out, suites }) = writing.as_mut()
        {
            suites.push(suite);
            if let Ok(text) = render(suites) {
                // `finish` writes the file again, and reports an error.
                let _ = out.replace(text);
            }
        }
    }
}

impl Recording for Junit {
    fn finish(&self) -> io::Result<()> {
        let writing = self.writing.lock().ok().and_then(|mut it| it.take());
        writing.map_or(Ok(()), |mut writing| writing.out.finish())
    }
}

fn render(suites: &[TestSuite]) -> io::Result<Vec<u8>> {
    let mut report = Report::new("cf-pusher");
    report.add_test_suites(suites.iter().cloned());
    let text = report.to_string().map_err(io::Error::other)?;
    Ok(text.into_bytes())
}

/// The result of a convergence. `error` is the reason why it ended early, if it did.
fn converged(resources: &[ResourceResult], error: Option<&str>) -> TestSuite {
    let mut suite = TestSuite::new("converge");
    suite.add_test_cases(resources.iter().map(case));
    suite.add_test_cases(error.map(early_end));
    suite
}

/// The result of a scaling test. `error` is the reason why it ended early, if it did.
fn tested(checks: &[CheckResult], error: Option<&str>) -> TestSuite {
    let mut suite = TestSuite::new("scaling test");
    suite.add_test_cases(checks.iter().map(|check| {
        let mut status = match check.failures.as_slice() {
            [] => TestCaseStatus::success(),
            [first, ..] => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(first.as_str());
                status
            }
        };
        if !check.failures.is_empty() {
            status.set_description(check.failures.join("\n"));
        }
        let mut case = TestCase::new(check.name.as_str(), status);
        case.set_classname(match check.context.as_str() {
            "" => "all",
            context => context,
        });
        case
    }));
    suite.add_test_cases(error.map(early_end));
    suite
}

fn early_end(error: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(error);
    TestCase::new("the run", status)
}

fn case(resource: &ResourceResult) -> TestCase {
    let status = match &resource.failure {
        None => TestCaseStatus::success(),
        Some(ResourceFailure {
            step,
            cause,
            request_id,
        }) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(step.as_str()).set_message(cause.as_str());
            let request = request_id.iter().map(|id| format!("\nrequest: {id}"));
            let request: String = request.collect();
            status.set_description(format!("{step} failed: {cause}{request}"));
            status
        }
    };
    let mut case = TestCase::new(resource.target.as_str(), status);
    case.set_classname(resource.place.as_str());
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::recording::testing::Buffer;

    fn resource(name: &str, failure: Option<ResourceFailure>) -> ResourceResult {
        ResourceResult {
            target: format!("app {name}"),
            place: "org/space".to_owned(),
            failure,
        }
    }

    #[test]
    fn each_app_is_a_test_case() {
        let paper = Buffer::default();
        let junit = Junit::to(paper.output()).unwrap();
        let killed = paper.text();
        assert!(killed.contains("the run did not finish"), "{killed}");
        let failure = ResourceFailure {
            step: "staging".to_owned(),
            cause: "NoAppDetectedError <\u{1b}[31m&>".to_owned(),
            request_id: Some("id::1".to_owned()),
        };
        junit.handle(&Event::ConvergeEnded {
            changed: 1,
            unchanged: 0,
            failed: 1,
            error: None,
            resources: vec![resource("one", None), resource("two", Some(failure))].into(),
        });
        junit.finish().unwrap();
        insta::assert_snapshot!(paper.text());
    }
    #[test]
    fn each_part_of_a_scaling_test_is_a_test_case() {
        let paper = Buffer::default();
        let junit = Junit::to(paper.output()).unwrap();
        let check = |context: &str, name: &str, failures: &[&str]| CheckResult {
            context: context.to_owned(),
            name: name.to_owned(),
            failures: failures.iter().map(|it| (*it).to_owned()).collect(),
        };
        junit.handle(&Event::TestEnded {
            checks: [
                check("", "registration", &[]),
                check("one-client", "with-policies", &["a to b: no", "a to c: no"]),
            ]
            .into(),
            error: Some("interrupted".to_owned()),
        });
        junit.finish().unwrap();
        insta::assert_snapshot!(paper.text());
    }
}
