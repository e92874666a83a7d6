//! What happens during a run, as values: the engine emits them, the sinks in
//! [`report`](crate::report) show, count or record them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A part of a run, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Org, quota, space, security group.
    Foundation,
    /// The apps whose bits are pushed.
    Prototypes,
    /// The apps that get a copy of a prototype's droplet.
    Clones,
    /// Apps and routes that are not desired.
    Deletions,
    /// Waiting until every instance runs.
    Instances,
}

impl Phase {
    /// As a user reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Foundation => "foundation",
            Self::Prototypes => "prototypes",
            Self::Clones => "clones",
            Self::Deletions => "deletions",
            Self::Instances => "instances",
        }
    }
}

/// What `push` begins to do for an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushStep {
    /// Its bits are zipped and sent.
    Upload {
        /// How many bytes the zip has; none where all files are there already.
        bytes: Option<u64>,
    },
    /// A package that has the same bits is staged again.
    ReusePackage,
    /// Its droplet is sent.
    UploadDroplet,
    /// It is staged.
    Stage,
    /// It is stopped.
    Stop,
    /// It is started, or started again.
    Start,
    /// Its instances are replaced bit by bit.
    Deploy,
}

/// A step, and what it is taken for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Subject {
    /// For what, such as `app scale-tick-0`.
    pub name: String,
    /// Which, such as `copying the droplet`.
    pub step: String,
}

impl Subject {
    /// The step `step` for `name`.
    pub fn new(name: impl Into<String>, step: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            step: step.into(),
        })
    }

    /// What is done here and now, if it is done for something.
    pub(crate) fn current() -> Option<Arc<Self>> {
        SUBJECT.try_with(Arc::clone).ok()
    }
}

tokio::task_local! {
    static SUBJECT: Arc<Subject>;
}

/// What becomes of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AppMoment {
    /// It is there.
    Created,
    /// A droplet of its own is there.
    DropletReady,
    /// It is asked to run.
    Started,
    /// All its instances run.
    Running,
}

/// A request and its answer as they may be kept: secrets are removed, and long
/// bodies are cut.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// As in `GET`.
    pub method: String,
    /// With its query.
    pub url: String,
    /// The body that was sent.
    pub sent: Option<Content>,
    /// What came back.
    pub answer: Option<Answer>,
    /// Why nothing did.
    pub error: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// As in 201.
    pub status: u16,
    /// As in `Created`.
    pub reason: &'static str,
    /// As in `HTTP/1.1`.
    pub version: String,
    /// From sending until the answer began.
    pub waited: Duration,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub content: Content,
}

/// A body.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its type.
    pub mime: String,
    /// How many bytes it had, where that is known.
    pub size: Option<u64>,
    /// Its beginning.
    pub text: String,
    /// Whether there was more.
    pub is_cut: bool,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A step began.
    StepStarted(Arc<Subject>),
    /// A step ended.
    StepEnded {
        /// Which.
        subject: Arc<Subject>,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// A convergence came to its end.
    Ended {
        /// How many apps were created, changed or deleted.
        changed: usize,
        /// How many apps were as desired before.
        unchanged: usize,
        /// How many apps are not as desired.
        failed: usize,
        /// What ended it before all was done.
        error: Option<String>,
    },
    /// An app has got so far.
    App {
        /// The app's name.
        name: String,
        /// How far.
        moment: AppMoment,
    },
    /// A step of `push` began.
    Push {
        /// The app's name.
        app: String,
        /// Which.
        step: PushStep,
    },
    /// A line that the staging of an app wrote.
    StagingLog {
        /// The app's name.
        app: String,
        /// The line.
        line: String,
        /// Whether it was written as an error.
        is_error: bool,
    },
    /// A request was answered, or failed for good or for now.
    Request {
        /// Method and path with GUIDs replaced by `:guid`, such as `GET /v3/apps/:guid`.
        endpoint: String,
        /// The answer's status; none if there was no answer.
        status: Option<u16>,
        /// When it was sent.
        began: Instant,
        /// From sending to the answer's end.
        took: Duration,
        /// How many were under way when it was sent, with this one.
        in_flight: usize,
        /// Cloud Controller's name for it, as its own logs have it.
        request_id: Option<String>,
        /// What for; none for what many wait for together.
        subject: Option<Arc<Subject>>,
        /// What was sent and answered, where a sink wants to have it.
        exchange: Option<Arc<Exchange>>,
    },
    /// A request is going to be sent again.
    Retry {
        /// As in [`Event::Request`].
        endpoint: String,
        /// Because Cloud Controller limits our rate (429).
        rate_limited: bool,
        /// How long until then.
        after: Duration,
        /// As in [`Event::Request`].
        subject: Option<Arc<Subject>>,
    },
    /// How many requests may be in flight from now on; told at first, too.
    Concurrency {
        /// So many.
        limit: usize,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
        /// Of how many steps or things it is made.
        total: usize,
    },
    /// How far a phase is.
    PhaseProgress {
        /// Which.
        phase: Phase,
        /// How many of its steps are done.
        done: usize,
    },
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: Phase,
    },
    /// How far an upload is; from its beginning again where it is tried again.
    UploadProgress {
        /// Whose, such as an app's name.
        name: String,
        /// How many bytes of the file were sent.
        sent: u64,
        /// How many it has.
        total: u64,
    },
    /// Something that a user should know of; Cloud Controller's warnings too.
    Warning(String),
}

/// Where events go.
pub trait Sink: Send + Sync {
    /// Takes one event. Called from the engine: must not block.
    fn on(&self, event: &Event);

    /// Whether requests are to come with their [`Exchange`], which takes time.
    fn wants_exchanges(&self) -> bool {
        false
    }
}

/// The sinks of a run.
#[derive(Clone, Default)]
pub struct Events {
    sinks: Arc<[Arc<dyn Sink>]>,
}

impl Events {
    /// Events that go to each of `sinks`, in order.
    pub fn to(sinks: impl IntoIterator<Item = Arc<dyn Sink>>) -> Self {
        Self {
            sinks: sinks.into_iter().collect(),
        }
    }

    pub(crate) fn wants_exchanges(&self) -> bool {
        self.sinks.iter().any(|sink| sink.wants_exchanges())
    }

    pub(crate) fn emit(&self, event: Event) {
        for sink in self.sinks.iter() {
            sink.on(&event);
        }
    }

    /// Takes a step: what is sent meanwhile is sent for `subject`.
    pub(crate) async fn step<T, E: fmt::Display>(
        &self,
        subject: Arc<Subject>,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.emit(Event::StepStarted(Arc::clone(&subject)));
        let outcome = SUBJECT.scope(Arc::clone(&subject), step).await;
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.emit(Event::StepEnded { subject, error });
        outcome
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} sinks)", self.sinks.len())
    }
}
