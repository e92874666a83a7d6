//! Starts the threads that the command runs on.

#[cfg(unix)]
use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Runtime};

use super::CommandError;

/// The number of threads in addition to one per core, for reading files and resolving
/// host names.
const SPARE: usize = 2;

/// The number of files that the runtime opens to wait for input, output and signals.
#[cfg(unix)]
const FILES: usize = 8;

/// Starts the threads.
///
/// # Errors
///
/// An error if the system refuses to start enough threads, or to open enough files for them.
pub(super) fn start() -> Result<Runtime, CommandError> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let failed = |source: io::Error| CommandError::Threads { source };
    check(cores + SPARE).map_err(failed)?;
    check_files().map_err(failed)?;
    let mut runtime = Builder::new_multi_thread();
    // The main thread runs the command itself. A worker more than that would only take
    // turns with it.
    runtime.worker_threads(cores.saturating_sub(1).max(1));
    runtime.enable_all().build().map_err(failed)
}

/// Runs a future on a thread of its own, which then runs the tasks that the future spawned
/// until the process ends.
///
/// # Errors
///
/// An error if the system refuses to start the thread.
#[cfg(feature = "mock")]
pub(super) async fn start_apart<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T, CommandError> {
    let failed = |source: io::Error| CommandError::Threads { source };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(failed)?;
    let (sender, result) = tokio::sync::oneshot::channel();
    let run = move || {
        runtime.block_on(async {
            // Nobody waits for the result if the command ends before.
            let _ = sender.send(future.await);
            std::future::pending::<()>().await;
        });
    };
    thread::Builder::new().spawn(run).map_err(failed)?;
    result
        .await
        .map_err(|ended| failed(io::Error::other(ended)))
}

/// Whether this many threads can be started. The runtime would panic if it could not
/// start the first thread, and wait forever if it could not start the second.
fn check(threads: usize) -> io::Result<()> {
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let started: io::Result<Vec<_>> = (0..threads)
        .map(|_| {
            let wait = std::sync::Arc::clone(&wait);
            thread::Builder::new().spawn(move || {
                // Receiving fails when all threads should end.
                let _ = wait.lock().map(|wait| wait.recv());
            })
        })
        .collect();
    drop(release);
    for thread in started? {
        let _ = thread.join();
    }
    Ok(())
}

/// Whether the runtime can open its files. The runtime would panic if it could not.
#[cfg(unix)]
fn check_files() -> io::Result<()> {
    let opened: io::Result<Vec<File>> = (0..FILES).map(|_| File::open("/dev/null")).collect();
    opened.map(drop)
}

#[cfg(not(unix))]
fn check_files() -> io::Result<()> {
    Ok(())
}
