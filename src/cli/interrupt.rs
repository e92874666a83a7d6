//! Handles Ctrl-C and SIGTERM. After the first signal, running requests finish and no new
//! ones start. The second signal ends the process.

use std::{future, io};

use tokio_util::sync::CancellationToken;

use cf_pusher::Error;

use super::{CommandError, output, screen};

/// Cancels `interrupt` on the first signal, and returns on the second.
pub(super) async fn wait_for_second_signal(interrupt: &CancellationToken) {
    let Ok(mut signals) = Signals::listen() else {
        // Without a handler, a signal ends the process.
        return future::pending().await;
    };
    signals.next().await;
    output::eprintln_line(match screen::is_asking() {
        // Ends the line of the question.
        true => "",
        false => "interrupted: finishing running requests (press Ctrl-C again to quit now)",
    });
    interrupt.cancel();
    signals.next().await;
}

/// Runs blocking work, such as reading a file, which may be a pipe or a terminal. An
/// interrupt does not wait for the work.
///
/// # Errors
///
/// The errors of `work`, and [`Error::Interrupted`].
pub(super) async fn blocking<T: Send + 'static>(
    interrupt: &CancellationToken,
    work: impl FnOnce() -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    tokio::select! {
        biased;
        () = interrupt.cancelled() => Err(Error::Interrupted.into()),
        ended = tokio::task::spawn_blocking(work) => match ended {
            Ok(outcome) => outcome,
            Err(error) => Err(CommandError::Output(io::Error::other(error))),
        },
    }
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
