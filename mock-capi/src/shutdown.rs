//! Waits for the signal to exit: Ctrl-C, SIGTERM on Unix, and optionally the end of
//! standard input.

use std::future;
use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Waits for the signal to exit. Signals are handled from the creation of this value on.
pub(crate) struct Shutdown {
    signals: Signals,
    input: Option<oneshot::Receiver<()>>,
}

impl Shutdown {
    pub(crate) fn listen(until_eof: bool) -> io::Result<Self> {
        let signals = Signals::listen()?;
        let input = until_eof.then(end_of_input).transpose()?;
        Ok(Self { signals, input })
    }

    pub(crate) async fn wait(mut self) {
        let input = async {
            match self.input {
                // The sender sends a value or is dropped. In both cases, the input has
                // ended.
                Some(end) => drop(end.await),
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = self.signals.next() => {}
            () = input => {}
        }
    }
}

/// Resolves when standard input has ended. A dedicated thread reads it, because a read
/// cannot be cancelled and the runtime would wait for it.
fn end_of_input() -> io::Result<oneshot::Receiver<()>> {
    let (sender, end) = oneshot::channel();
    thread::Builder::new().spawn(move || {
        // An input that cannot be read counts as ended.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(());
    })?;
    Ok(end)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
