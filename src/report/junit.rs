//! Writes the end of a run as JUnit XML, which CI systems show: a test case for each
//! app, and one for each other resource that failed.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::recording::{self, Output, Recording};
use crate::events::{EndedFailure, EndedResource, Event, EventSink};

/// A sink that writes the result for each app as JUnit XML.
pub struct Junit {
    /// `None` after [`Recording::finish`].
    out: Mutex<Option<Box<dyn Output>>>,
}

impl Junit {
    /// Creates the file, or truncates an existing one.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::to(recording::create(path)?)
    }

    fn to(mut out: Box<dyn Output>) -> io::Result<Self> {
        // What stays if the process is killed.
        out.replace(render(&[], Some("the run did not come to its end"))?)?;
        let out = Mutex::new(Some(out));
        Ok(Self { out })
    }
}

impl EventSink for Junit {
    fn handle(&self, event: &Event) {
        let Event::Ended {
            error, resources, ..
        } = event
        else {
            return;
        };
        if let Ok(mut out) = self.out.lock()
            && let Some(out) = out.as_mut()
            && let Ok(text) = render(resources, error.as_deref())
        {
            // A failed write is reported by `finish`, which writes the last of it.
            let _ = out.replace(text);
        }
    }
}

impl Recording for Junit {
    fn finish(&self) -> io::Result<()> {
        let out = self.out.lock().ok().and_then(|mut it| it.take());
        out.map_or(Ok(()), |mut out| out.finish())
    }
}

/// The report; `error` is why the run ended early, if it did.
fn render(resources: &[EndedResource], error: Option<&str>) -> io::Result<Vec<u8>> {
    let mut suite = TestSuite::new("converge");
    suite.add_test_cases(resources.iter().map(case));
    if let Some(error) = error {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(error);
        suite.add_test_case(TestCase::new("the run", status));
    }
    let mut report = Report::new("cf-pusher");
    report.add_test_suite(suite);
    let text = report.to_string().map_err(io::Error::other)?;
    Ok(text.into_bytes())
}

fn case(resource: &EndedResource) -> TestCase {
    let status = match &resource.failure {
        None => TestCaseStatus::success(),
        Some(EndedFailure {
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

    fn resource(name: &str, failure: Option<EndedFailure>) -> EndedResource {
        EndedResource {
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
        assert!(
            killed.contains("the run did not come to its end"),
            "{killed}"
        );
        let failure = EndedFailure {
            step: "staging".to_owned(),
            cause: "NoAppDetectedError <\u{1b}[31m&>".to_owned(),
            request_id: Some("id::1".to_owned()),
        };
        junit.handle(&Event::Ended {
            changed: 1,
            unchanged: 0,
            failed: 1,
            error: None,
            resources: vec![resource("one", None), resource("two", Some(failure))].into(),
        });
        junit.finish().unwrap();
        insta::assert_snapshot!(paper.text());
    }
}
