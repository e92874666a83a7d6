//! The events of a run. The engine emits events, and sinks show, count or record them.
//! Sinks are in [`report`](crate::report), or implemented by callers.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

/// A phase of a run, in the order of execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Creates or changes org, quota, space and security group.
    Foundation,
    /// Stages the apps whose bits are uploaded.
    Prototypes,
    /// Gives the other apps a copy of a prototype's droplet.
    Clones,
    /// Deletes apps and routes that are not in the desired state.
    Deletions,
    /// Waits until all instances run.
    Instances,
    /// Pushes the apps of a manifest.
    Push,
    /// Waits until the instances of a scaling test have registered themselves.
    Registration,
    /// Creates or deletes the network policies of a scaling test.
    Policies,
    /// Tries the connections of a scaling test.
    Connections,
    /// Measures the time until changes take effect.
    Measurements,
}

impl Phase {
    /// The phase's name in lower case, as progress output shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Foundation => "foundation",
            Self::Prototypes => "prototypes",
            Self::Clones => "clones",
            Self::Deletions => "deletions",
            Self::Instances => "instances",
            Self::Push => "push",
            Self::Registration => "registration",
            Self::Policies => "policies",
            Self::Connections => "connections",
            Self::Measurements => "measurements",
        }
    }
}

/// A step that `push` starts for an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PushStep {
    /// The app's bits are zipped and uploaded.
    Upload {
        /// The size of the zip in bytes. `None` if the Cloud Controller already has all
        /// files.
        bytes: Option<u64>,
    },
    /// An existing package with the same bits is staged again.
    ReusePackage,
    /// The app's droplet is uploaded.
    UploadDroplet,
    /// The app is staged.
    Stage,
    /// The app is stopped.
    Stop,
    /// The app is started or restarted.
    Start,
    /// A deployment replaces the app's instances.
    Deploy,
}

/// A step and its target: the reason for a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StepContext {
    /// The resource that the step is for, such as `app scale-tick-0`.
    pub target: String,
    /// The step, such as `copying the droplet`.
    pub step: String,
    /// The phase that the step is part of, if any.
    pub phase: Option<Phase>,
}

impl StepContext {
    /// A step for a target that does not belong to a phase.
    pub fn new(target: impl Into<String>, step: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            target: target.into(),
            step: step.into(),
            phase: None,
        })
    }

    /// A step of a phase.
    pub(crate) fn in_phase(
        phase: Option<Phase>,
        target: impl Into<String>,
        step: impl Into<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            target: target.into(),
            step: step.into(),
            phase,
        })
    }

    /// The step that the current task executes, if any.
    pub(crate) fn current() -> Option<Arc<Self>> {
        STEP_CONTEXT.try_with(Arc::clone).ok()
    }
}

tokio::task_local! {
    static STEP_CONTEXT: Arc<StepContext>;
}

/// A state that an app reaches during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AppMilestone {
    /// The app exists.
    Created,
    /// The app has a droplet.
    DropletReady,
    /// The Cloud Controller has accepted the request to start the app.
    Started,
    /// All instances of the app run.
    Running,
}

/// A request and its response, without secrets and with long bodies truncated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Exchange {
    /// The method, such as `GET`.
    pub method: String,
    /// The URL with its query.
    pub url: String,
    /// The request's body.
    pub request_body: Option<Content>,
    /// The response. `None` if the request failed without a response.
    pub response: Option<Response>,
    /// The reason why there is no response.
    pub error: Option<String>,
}

/// The response of an [`Exchange`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status code, such as 201.
    pub status: u16,
    /// The reason phrase, such as `Created`.
    pub reason: &'static str,
    /// The protocol version, such as `HTTP/1.1`.
    pub version: String,
    /// The time from sending the request to the first byte of the response.
    pub time_to_first_byte: Duration,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Content,
}

/// The body of a request or response in an [`Exchange`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Content {
    /// The media type.
    pub mime: String,
    /// The full size in bytes, if known.
    pub size: Option<u64>,
    /// The beginning of the body.
    pub text: String,
    /// Whether `text` was truncated.
    pub is_truncated: bool,
}

/// An app, or another resource that failed, at the end of a convergence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceResult {
    /// The resource, such as `app scale-tick-0`.
    pub target: String,
    /// The names of an app's org and space, such as `scale-org/scale-space`. Empty for
    /// other resources.
    pub place: String,
    /// The failure of the resource, if it failed.
    pub failure: Option<ResourceFailure>,
}

/// The failure of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ResourceFailure {
    /// The step that failed, such as `staging`.
    pub step: String,
    /// The cause, with the Cloud Controller's message if there is one.
    pub cause: String,
    /// The `X-Vcap-Request-Id` of the failed request, if the Cloud Controller responded.
    pub request_id: Option<String>,
}

/// A check of a scaling test: the connections that are tried at one point of the test.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// The context, which determines which apps connect to each other, such as
    /// `one-client`.
    pub context: String,
    /// The point of the test, such as `with-policies`.
    pub phase: String,
}

impl Check {
    pub(crate) fn new(context: impl Into<String>, phase: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            context: context.into(),
            phase: phase.into(),
        })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.context, self.phase.replace('-', " "))
    }
}

/// A connection of a scaling test that was tried.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TriedConnection {
    /// The check that it is part of.
    pub check: Arc<Check>,
    /// The name of the proxy app.
    pub proxy: String,
    /// The name of the tick app.
    pub tick: String,
    /// The tick instance's address and port, such as `10.255.0.1:8080`.
    pub address: String,
    /// The time of the first try.
    pub began: Instant,
    /// The time until the last try ended.
    pub took: Duration,
    /// The number of tries.
    pub tries: u32,
    /// The difference from the expected result. `None` if there is no difference.
    pub failure: Option<String>,
}

/// The result of a part of a scaling test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckResult {
    /// The context, such as `one-client`. Empty for other parts of the test.
    pub context: String,
    /// The part, such as `with-policies` or `registration`.
    pub name: String,
    /// The unexpected results, one on each line.
    pub failures: Vec<String>,
}

/// An event of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A step started.
    StepStarted(Arc<StepContext>),
    /// A step ended.
    StepEnded {
        /// The step.
        context: Arc<StepContext>,
        /// The cause of a failure. `None` if the step succeeded.
        error: Option<String>,
    },
    /// A convergence ended.
    ConvergeEnded {
        /// The number of apps that were created, changed or deleted.
        changed: usize,
        /// The number of apps that were up to date before.
        unchanged: usize,
        /// The number of apps that did not converge.
        failed: usize,
        /// The reason why the convergence stopped early. `None` if it did not.
        error: Option<String>,
        /// All apps, and the other resources that failed.
        resources: Arc<[ResourceResult]>,
    },
    /// An app reached a milestone.
    App {
        /// The app's name.
        name: String,
        /// The milestone.
        milestone: AppMilestone,
    },
    /// A step of `push` started.
    Push {
        /// The app's name.
        app: String,
        /// The step.
        step: PushStep,
    },
    /// An app's staging wrote a log line.
    StagingLog {
        /// The app's name.
        app: String,
        /// The line, without its line break.
        line: String,
        /// Whether the line was written to standard error.
        is_error: bool,
    },
    /// A request ended, with or without a response.
    Request {
        /// Method and path with GUIDs replaced by `:guid`, such as `GET /v3/apps/:guid`.
        endpoint: String,
        /// The status code of the response. `None` if there was no response.
        status: Option<u16>,
        /// The time at which the request was sent.
        began: Instant,
        /// The time from sending the request to the end of the response.
        took: Duration,
        /// The time that the Cloud Controller reports for the request (`X-Runtime`), if
        /// any.
        server_time: Option<Duration>,
        /// The number of requests in flight when this request was sent, including this
        /// request.
        in_flight: usize,
        /// The `X-Vcap-Request-Id` of the response, as in the foundation's logs.
        request_id: Option<String>,
        /// The step that the request was sent for. `None` if it serves several steps.
        context: Option<Arc<StepContext>>,
        /// Request and response, if a sink [wants them](EventSink::wants_exchanges).
        exchange: Option<Arc<Exchange>>,
    },
    /// A request will be sent again.
    Retry {
        /// The same as in [`Event::Request`].
        endpoint: String,
        /// Whether the response was 429, too many requests.
        rate_limited: bool,
        /// The pause before the request is sent again.
        after: Duration,
        /// The same as in [`Event::Request`].
        context: Option<Arc<StepContext>>,
    },
    /// The limit for concurrent requests was set. Also emitted at the start.
    Concurrency {
        /// The new limit.
        limit: usize,
    },
    /// A phase started.
    PhaseStarted {
        /// The phase.
        phase: Phase,
        /// The number of steps or resources in the phase.
        total: usize,
    },
    /// A phase made progress.
    PhaseProgress {
        /// The phase.
        phase: Phase,
        /// The number of steps or resources that are done.
        done: usize,
        /// The number of steps or resources that failed, or were skipped because a
        /// resource that they need failed. Interrupted steps are not counted.
        failed: usize,
    },
    /// A phase ended.
    PhaseEnded {
        /// The phase.
        phase: Phase,
    },
    /// An upload made progress. A retry starts again at 0 bytes.
    UploadProgress {
        /// The name of the app.
        name: String,
        /// The number of bytes sent.
        sent: u64,
        /// The size of the upload in bytes.
        total: u64,
    },
    /// A phase without steps waits for an app, and possibly for other apps.
    Waiting {
        /// The phase.
        phase: Phase,
        /// The name of the app.
        app: String,
    },
    /// A connection of a scaling test was tried.
    Connection(Arc<TriedConnection>),
    /// A scaling test ended.
    TestEnded {
        /// Every part of the test that was carried out, in order.
        checks: Arc<[CheckResult]>,
        /// The reason why the test stopped early. `None` if it did not.
        error: Option<String>,
    },
    /// A note about the next action of the run.
    Note(String),
    /// A warning for the user, from cf-pusher or the Cloud Controller.
    Warning(String),
}

/// A receiver of events.
///
/// ```
/// use std::sync::Mutex;
///
/// use cf_pusher::{Event, EventSink};
///
/// #[derive(Default)]
/// struct Warnings(Mutex<Vec<String>>);
///
/// impl EventSink for Warnings {
///     fn handle(&self, event: &Event) {
///         if let (Event::Warning(text), Ok(mut warnings)) = (event, self.0.lock()) {
///             warnings.push(text.clone());
///         }
///     }
/// }
///
/// let warnings = Warnings::default();
/// warnings.handle(&Event::Warning("the quota is almost used up".to_owned()));
/// assert_eq!(warnings.0.lock().unwrap().len(), 1);
/// ```
pub trait EventSink: Send + Sync {
    /// Handles one event. The engine calls this from its own tasks, so it must
    /// not block.
    fn handle(&self, event: &Event);

    /// Whether [`Event::Request`] should include the [`Exchange`], which costs
    /// time and memory. The default is `false`.
    fn wants_exchanges(&self) -> bool {
        false
    }
}

/// The sinks that receive the events of a client.
#[derive(Clone, Default)]
pub struct Events {
    sinks: Arc<[Arc<dyn EventSink>]>,
}

impl Events {
    /// Sends events to each of `sinks`, in order.
    pub fn new(sinks: impl IntoIterator<Item = Arc<dyn EventSink>>) -> Self {
        Self {
            sinks: sinks.into_iter().collect(),
        }
    }

    pub(crate) fn wants_exchanges(&self) -> bool {
        self.sinks.iter().any(|sink| sink.wants_exchanges())
    }

    /// Sends an event to all sinks.
    pub fn emit(&self, event: Event) {
        for sink in self.sinks.iter() {
            sink.handle(&event);
        }
    }

    /// Runs a step. The events of its requests contain `context`.
    pub(crate) async fn step<T, E: fmt::Display>(
        &self,
        context: Arc<StepContext>,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.emit(Event::StepStarted(Arc::clone(&context)));
        let outcome = STEP_CONTEXT.scope(Arc::clone(&context), step).await;
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.emit(Event::StepEnded { context, error });
        outcome
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} sinks)", self.sinks.len())
    }
}
