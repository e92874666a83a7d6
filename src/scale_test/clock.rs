//! The clock of a scaling test. Every wait and every deadline of the test uses it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::oneshot;

/// The clock of a scaling test: the clock of this machine, or the clock of a fake
/// foundation, which is advanced instead of waiting.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use cf_pusher::scale_test::Clock;
///
/// # #[tokio::main]
/// # async fn main() {
/// // A fake foundation would advance its clock here: `mock.advance(by)`.
/// let clock = Clock::advanced_by(|by: Duration| drop(by));
/// clock.wait(Duration::from_secs(3600)).await;
/// assert_eq!(clock.waited(), Duration::from_secs(3600));
/// # }
/// ```
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    started: Instant,
    /// `None` if the clock is the machine's.
    advance: Option<Box<dyn Fn(Duration) + Send + Sync>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The total length of the waits.
    waited: Duration,
    /// The time by which the clock was advanced.
    advanced: Duration,
    /// The number of tasks that are working, rather than waiting.
    busy: usize,
    sleepers: Vec<Sleeper>,
}

/// A task that waits.
struct Sleeper {
    until: Duration,
    wake: oneshot::Sender<()>,
}

impl Clock {
    /// The clock of this machine.
    pub fn real() -> Self {
        Self::new(None)
    }

    /// A clock that is advanced instead of waiting, such as the clock of a fake Cloud
    /// Controller. While several tasks wait, it is advanced to the end of the shortest
    /// wait, as soon as no task is working.
    pub fn advanced_by(advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self::new(Some(Box::new(advance)))
    }

    fn new(advance: Option<Box<dyn Fn(Duration) + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            advance,
            state: Mutex::default(),
        }))
    }

    /// Whether waits take real time.
    pub fn is_real(&self) -> bool {
        self.0.advance.is_none()
    }

    /// Waits for a duration on this clock.
    pub fn wait(&self, time: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.worker().wait(time).await })
    }

    /// The total length of the waits so far. Concurrent waits count once.
    pub fn waited(&self) -> Duration {
        match self.is_real() {
            true => self.state().waited,
            false => self.state().advanced,
        }
    }

    /// The time on this clock since it was created.
    pub(super) fn now(&self) -> Duration {
        self.0.started.elapsed() + self.state().advanced
    }

    /// A task that works and waits. The clock is not advanced while the task works.
    pub(super) fn worker(&self) -> Worker {
        self.state().busy += 1;
        Worker {
            clock: self.clone(),
            is_busy: true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Advances the clock to the end of the shortest wait, unless a task is working.
    fn advance_if_idle(&self, mut state: MutexGuard<'_, State>) {
        let Some(advance) = &self.0.advance else {
            return;
        };
        while state.busy == 0 {
            state.sleepers.retain(|it| !it.wake.is_closed());
            let Some(until) = state.sleepers.iter().map(|it| it.until).min() else {
                return;
            };
            let by = until.saturating_sub(state.advanced);
            state.advanced += by;
            if !by.is_zero() {
                advance(by);
            }
            let (ended, waiting) = std::mem::take(&mut state.sleepers)
                .into_iter()
                .partition::<Vec<Sleeper>, _>(|it| it.until <= until);
            state.sleepers = waiting;
            for sleeper in ended {
                // This fails if the wait was dropped.
                state.busy += usize::from(sleeper.wake.send(()).is_ok());
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("is_real", &self.is_real())
            .field("waited", &self.waited())
            .finish()
    }
}

/// A task that uses the clock.
pub(super) struct Worker {
    clock: Clock,
    is_busy: bool,
}

impl Worker {
    /// Waits for a duration on the clock.
    pub(super) async fn wait(&mut self, time: Duration) {
        if self.clock.is_real() {
            tokio::time::sleep(time).await;
            self.clock.state().waited += time;
            return;
        }
        let clock = self.clock.clone();
        let mut waiting = self.begin(time);
        clock.advance_if_idle(clock.state());
        // The sender is dropped only after it was used.
        let _ = (&mut waiting.woken).await;
        waiting.worker.is_busy = true;
    }

    /// Starts a wait. The task no longer counts as working.
    fn begin(&mut self, time: Duration) -> Waiting<'_> {
        let (wake, woken) = oneshot::channel();
        {
            let mut state = self.clock.state();
            let until = state.advanced + time;
            state.sleepers.push(Sleeper { until, wake });
            state.busy -= 1;
        }
        self.is_busy = false;
        Waiting {
            worker: self,
            woken,
        }
    }
}

/// A wait. If it is dropped after its end, its task still counts as working.
struct Waiting<'a> {
    worker: &'a mut Worker,
    woken: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // From here on, no other task wakes it.
        self.woken.close();
        if self.woken.try_recv().is_ok() {
            self.worker.is_busy = true;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        if self.is_busy {
            state.busy -= 1;
        }
        self.clock.advance_if_idle(state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A clock, and the seconds by which it was advanced.
    fn advanced() -> (Clock, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(0));
        let sum = Arc::clone(&seconds);
        let clock = Clock::advanced_by(move |by| {
            sum.fetch_add(by.as_secs(), Ordering::SeqCst);
        });
        (clock, seconds)
    }

    #[tokio::test]
    async fn consecutive_waits_add_up() {
        let (clock, advanced) = advanced();
        clock.wait(Duration::from_secs(10)).await;
        clock.wait(Duration::from_secs(30)).await;
        assert_eq!(advanced.load(Ordering::SeqCst), 40);
        assert_eq!(clock.waited(), Duration::from_secs(40));
        assert!(clock.now() >= Duration::from_secs(40));
    }

    #[tokio::test]
    async fn concurrent_waits_count_once() {
        let (clock, advanced) = advanced();
        let waits = [3, 1, 2, 3].map(|seconds| {
            let mut worker = clock.worker();
            async move {
                worker.wait(Duration::from_secs(seconds)).await;
                seconds
            }
        });
        assert_eq!(futures::future::join_all(waits).await, [3, 1, 2, 3]);
        assert_eq!(advanced.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn the_clock_is_not_advanced_while_a_task_works() {
        let (clock, advanced) = advanced();
        let working = clock.worker();
        let mut waiting = std::pin::pin!(clock.wait(Duration::from_secs(1)));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        assert_eq!(advanced.load(Ordering::SeqCst), 0);
        drop(working);
        waiting.await;
        assert_eq!(advanced.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_dropped_wait_does_not_stop_the_clock() {
        let (clock, advanced) = advanced();
        let working = clock.worker();
        {
            let mut given_up = std::pin::pin!(clock.wait(Duration::from_secs(1)));
            assert!(futures::poll!(given_up.as_mut()).is_pending());
        }
        drop(working);
        clock.wait(Duration::from_secs(5)).await;
        assert_eq!(advanced.load(Ordering::SeqCst), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_real_clock_lets_time_pass() {
        let clock = Clock::real();
        let before = tokio::time::Instant::now();
        clock.wait(Duration::from_secs(10)).await;
        assert!(before.elapsed() >= Duration::from_secs(10));
        assert_eq!(clock.waited(), Duration::from_secs(10));
    }
}
