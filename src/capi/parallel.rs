//! Runs many requests in parallel, up to a limit.

use std::vec;

use futures::stream::{self, Buffered, StreamExt, TryCollect, TryStreamExt};

/// The number of requests of one kind, one for each app, that run in parallel.
pub(crate) const PER_APP: usize = 64;

/// Results in the order of their futures, or the first error.
type Results<F, T> = TryCollect<Buffered<stream::Iter<vec::IntoIter<F>>>, Vec<T>>;

/// Runs up to `limit` of the futures at a time.
///
/// The futures are collected before the first one is polled. A stream that held the
/// iterator, with closures over borrowed items, would not be provably `Send`.
pub(crate) fn run<F, T, E>(limit: usize, futures: impl IntoIterator<Item = F>) -> Results<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    let futures: Vec<F> = futures.into_iter().collect();
    stream::iter(futures).buffered(limit).try_collect()
}
