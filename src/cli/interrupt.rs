//! Ctrl-C and SIGTERM: after the first signal, running requests finish and no new
//! ones start. The second signal ends the process.

use std::future;

use tokio_util::sync::CancellationToken;

use super::output;

/// Cancels `interrupt` on the first signal, and returns on the second.
pub(super) async fn wait_for_second_signal(interrupt: &CancellationToken) {
    let Ok(mut signals) = Signals::listen() else {
        // Without a handler, a signal ends the process.
        return future::pending().await;
    };
    signals.next().await;
    interrupt.cancel();
    output::eprintln_line(
        "interrupted: finishing running requests (press Ctrl-C again to quit now)",
    );
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
