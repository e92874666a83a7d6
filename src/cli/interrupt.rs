//! Ctrl-C and SIGTERM: the first lets what is in flight end, the second ends the
//! process.

use std::future;

use tokio_util::sync::CancellationToken;

use super::output;

/// Cancels `interrupt` with the first signal, and returns with the second.
pub(super) async fn heard_twice(interrupt: &CancellationToken) {
    let Ok(mut signals) = Signals::listen() else {
        // Then a signal ends the process, as it does where nobody listens.
        return future::pending().await;
    };
    signals.next().await;
    interrupt.cancel();
    output::complain("interrupted: what is in flight is finished; once more leaves at once");
    signals.next().await;
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
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
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
