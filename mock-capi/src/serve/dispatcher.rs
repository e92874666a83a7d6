//! Sends requests to service brokers while no request is being answered, and passes their
//! responses to the fake. It runs on a dedicated thread, which is started with the first
//! request.

use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use reqwest::{Client, Method};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::api::osb::{BrokerReply, BrokerRequest, NextRun};
use crate::serve::core::Core;
use crate::world::{BrokerTask, Guid};

/// The maximum size of a response.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// A task for the dispatcher.
enum Message {
    Task(BrokerTask, Weak<Core>),
    /// A job for which a client waits, and a function that is called when the client
    /// need not wait any longer.
    Job(Guid, Weak<Core>, Release),
    /// A request, and a function that gets its response.
    Request(BrokerRequest, Box<dyn FnOnce(BrokerReply) + Send>),
}

type Release = Box<dyn FnOnce() + Send>;

/// The thread that sends requests to brokers.
#[derive(Debug)]
pub(crate) struct BrokerDispatcher {
    messages: mpsc::UnboundedSender<Message>,
}

impl BrokerDispatcher {
    /// Starts the thread. It ends when the dispatcher is dropped. Each request times out
    /// after `timeout`.
    pub(crate) fn start(timeout: Duration) -> std::io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (messages, mut receiver) = mpsc::unbounded_channel();
        let serve = move || {
            runtime.block_on(async move {
                let http = Client::builder().timeout(timeout).no_proxy().build().ok();
                while let Some(message) = receiver.recv().await {
                    tokio::spawn(answer(message, http.clone()));
                }
            });
        };
        thread::Builder::new()
            .name("mock-capi-brokers".into())
            .spawn(serve)?;
        Ok(Self { messages })
    }

    pub(crate) fn run(&self, task: BrokerTask, core: &Arc<Core>) {
        // The thread lives as long as the dispatcher.
        let _ = self
            .messages
            .send(Message::Task(task, Arc::downgrade(core)));
    }

    /// Carries out a job, and waits until it has ended or polls a broker.
    pub(crate) async fn await_job(&self, job: Guid, core: &Arc<Core>) {
        let (sender, receiver) = oneshot::channel();
        // The caller may have stopped waiting.
        let release = Box::new(move || {
            let _ = sender.send(());
        });
        let _ = self
            .messages
            .send(Message::Job(job, Arc::downgrade(core), release));
        // The sender is dropped if the mock has stopped.
        let _ = receiver.await;
    }

    /// The blocking form of [`BrokerDispatcher::await_job`].
    pub(crate) fn await_job_blocking(&self, job: Guid, core: &Arc<Core>) {
        let (sender, receiver) = std_mpsc::channel();
        let release = Box::new(move || {
            let _ = sender.send(());
        });
        let _ = self
            .messages
            .send(Message::Job(job, Arc::downgrade(core), release));
        let _ = receiver.recv();
    }

    /// Sends a request and waits for the response. `None` if the thread has ended.
    pub(crate) async fn ask(&self, request: BrokerRequest) -> Option<BrokerReply> {
        let (sender, receiver) = oneshot::channel();
        // The caller may have stopped waiting.
        let deliver = Box::new(move |reply| drop(sender.send(reply)));
        let _ = self.messages.send(Message::Request(request, deliver));
        receiver.await.ok()
    }

    /// The blocking form of [`BrokerDispatcher::ask`].
    pub(crate) fn ask_blocking(&self, request: BrokerRequest) -> Option<BrokerReply> {
        let (sender, receiver) = std_mpsc::channel();
        let deliver = Box::new(move |reply| drop(sender.send(reply)));
        let _ = self.messages.send(Message::Request(request, deliver));
        receiver.recv().ok()
    }
}

async fn answer(message: Message, http: Option<Client>) {
    match message {
        Message::Request(request, deliver) => deliver(send(http.as_ref(), request).await),
        Message::Task(task, core) => run(task, &core, http.as_ref(), None).await,
        Message::Job(job, core, release) => {
            let task = BrokerTask::ContinueJob(job);
            run(task, &core, http.as_ref(), Some(release)).await;
        }
    }
}

/// Carries out a task to its end, as long as the fake exists. A client that waits for it
/// is released when the task has ended or polls a broker.
async fn run(
    task: BrokerTask,
    core: &Weak<Core>,
    http: Option<&Client>,
    mut release: Option<Release>,
) {
    loop {
        let request = match core.upgrade() {
            Some(core) => core.broker_request(&task),
            None => return,
        };
        let reply = match request {
            Some(request) => Some(send(http, request).await),
            None => None,
        };
        let (BrokerTask::ContinueJob(job) | BrokerTask::AwaitJob { job, .. }) = &task else {
            return;
        };
        let next = match core.upgrade() {
            Some(core) => core.continue_job(*job, reply.as_ref()),
            None => return,
        };
        if let Some(release) = release.take_if(|_| next != NextRun::Now) {
            release();
        }
        match next {
            NextRun::Never => return,
            NextRun::Now => {}
            NextRun::After(time) => tokio::time::sleep(time).await,
        }
    }
}

async fn send(http: Option<&Client>, request: BrokerRequest) -> BrokerReply {
    let Some(http) = http else {
        return BrokerReply::Failed("no HTTP client can be made on this system".into());
    };
    let method = Method::from_bytes(request.method.as_bytes()).unwrap_or(Method::GET);
    let mut asked = http
        .request(method, &request.url)
        .basic_auth(&request.username, Some(&request.password));
    for (name, value) in &request.headers {
        asked = asked.header(*name, value);
    }
    if let Some(body) = &request.body {
        asked = asked.json(body);
    }
    match read(asked).await {
        Ok(reply) => reply,
        Err(error) if error.is_timeout() => BrokerReply::TimedOut,
        Err(error) if error.is_connect() => BrokerReply::Unreachable,
        Err(error) => BrokerReply::Failed(error.to_string()),
    }
}

async fn read(request: reqwest::RequestBuilder) -> reqwest::Result<BrokerReply> {
    let mut response = request.send().await?;
    let status = response.status();
    let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(BrokerReply::Response {
        status: status.as_u16(),
        reason: status.canonical_reason().unwrap_or_default().to_owned(),
        retry_after,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
