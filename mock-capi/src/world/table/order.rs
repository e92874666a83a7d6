//! Rows in an order: by a column, or by their insertion, oldest or newest first.

use std::collections::BinaryHeap;
use std::iter;
use std::ops::Bound;

use foldhash::HashSet;

use super::super::row::{Key, Row};
use super::super::sequences::Sequence;
use super::{Table, matches};
use crate::world::clock::Timestamp;

impl<R: Row> Table<R> {
    /// The number of rows that lists contain at `now` and that have any of the keys, or
    /// of all such rows without keys. Also returns these rows in the order of a column,
    /// or of their insertion. The cost depends on the keys and on the rows that are taken
    /// and skipped, not on the size of the table. `None` if no index has that order.
    pub(crate) fn in_order<'t>(
        &'t self,
        keys: Option<&[Key]>,
        column: Option<&str>,
        descending: bool,
        now: Timestamp,
    ) -> Option<(usize, Rows<'t, R>)> {
        let (total, rows) = match keys {
            None => (
                self.len() - self.later_than(now).count(),
                self.ordered(column, descending)?,
            ),
            Some(keys) => {
                let is_inserted_so = match column {
                    None => !R::IS_IN_ADVANCE || self.is_chronological,
                    Some(CREATED_AT) => self.is_chronological,
                    Some(_) => false,
                };
                let total = self.count_any(keys, now);
                let rows = is_inserted_so.then(|| self.of_any(keys, descending))?;
                (total, Box::new(rows) as Rows<'t, R>)
            }
        };
        let is_shown = move |row: &&R| {
            let is_past = !R::IS_IN_ADVANCE || row.base().created <= now;
            is_past && row.hidden_until().is_none_or(|until| until <= now)
        };
        Some((total, Box::new(rows.filter(is_shown))))
    }

    /// The number of rows that lists contain at `now`, by the keys of [`Row::listed_by`].
    /// The cost depends on the keys, and on the rows that have a shared key.
    pub(crate) fn count_any(&self, keys: &[Key], now: Timestamp) -> usize {
        let (shared, single): (Vec<&Key>, Vec<&Key>) =
            keys.iter().partition(|key| key.field().is_shared());
        let single: HashSet<&Key> = single.into_iter().collect();
        let of_single: usize = single.iter().map(|key| self.count(key)).sum();
        let later = self.later_than(now).filter(|row| matches(*row, &single));
        let shared = shared.into_iter().flat_map(|key| self.sequences(key));
        let shared: HashSet<Sequence> = shared.collect();
        let shared = shared.iter().filter_map(|sequence| self.row(*sequence));
        let only_shared = shared.filter(|row| !matches(*row, &single));
        of_single - later.count() + only_shared.count()
    }

    /// The rows that lists do not contain yet.
    fn later_than(&self, now: Timestamp) -> impl Iterator<Item = &R> {
        let after = (Bound::Excluded((now, Sequence::MAX)), Bound::Unbounded);
        let later = self.by_time.range(after).chain(self.hidden.range(after));
        later.filter_map(move |(_, sequence)| self.row(*sequence))
    }

    /// Rows in the order of a column or of their insertion, if the table keeps this
    /// order.
    pub(super) fn ordered(&self, column: Option<&str>, descending: bool) -> Option<Rows<'_, R>> {
        let rows = self.rows.values().map(Box::as_ref);
        let named = self.by_name.iter();
        let named = named.filter_map(move |name| self.row(name.sequence));
        let timed = self.by_time.iter();
        let timed = timed.filter_map(move |(_, sequence)| self.row(*sequence));
        match column {
            None | Some(CREATED_AT) if R::IS_IN_ADVANCE => Some(either_way(timed, descending)),
            None => Some(either_way(rows, descending)),
            Some(CREATED_AT) if self.is_chronological => Some(either_way(rows, descending)),
            Some(NAME) if R::IS_ORDERED_BY_NAME => Some(either_way(named, descending)),
            _ => None,
        }
    }

    /// The rows with any of the keys, without duplicates, oldest or newest first.
    fn of_any<'t>(
        &'t self,
        keys: &[Key],
        descending: bool,
    ) -> impl Iterator<Item = &'t R> + use<'t, R> {
        let sources = keys.iter().map(|key| self.sequences(key));
        let sources = sources.map(|sequences| either_way(sequences, descending));
        let merged = merge(sources.collect(), descending);
        let mut last = None;
        let once = merged.filter(move |sequence| last.replace(*sequence) != Some(*sequence));
        once.filter_map(move |sequence| self.row(sequence))
    }

    /// The position of a row in the table's order.
    pub(super) fn position(&self, sequence: Sequence) -> (Option<Timestamp>, Sequence) {
        let row = R::IS_IN_ADVANCE.then(|| self.row(sequence)).flatten();
        (row.map(|row| row.base().created), sequence)
    }
}

/// The column of names.
pub(super) const NAME: &str = "name";

/// The column of creation times.
pub(crate) const CREATED_AT: &str = "created_at";

/// The rows of a table, in some order.
pub(crate) type Rows<'t, R> = Box<dyn Iterator<Item = &'t R> + 't>;

fn either_way<'t, T>(
    items: impl DoubleEndedIterator<Item = T> + 't,
    descending: bool,
) -> Box<dyn Iterator<Item = T> + 't> {
    match descending {
        true => Box::new(items.rev()),
        false => Box::new(items),
    }
}

type SequencesInOrder<'t> = Box<dyn Iterator<Item = Sequence> + 't>;

/// Merges sequences that are all ascending or all descending.
fn merge(
    mut sources: Vec<SequencesInOrder<'_>>,
    descending: bool,
) -> impl Iterator<Item = Sequence> {
    // The source whose next row comes first is on top of the heap.
    let rank = move |sequence: Sequence| match descending {
        true => sequence,
        false => Sequence::MAX - sequence,
    };
    let firsts = sources.iter_mut().enumerate();
    let firsts = firsts.filter_map(|(index, source)| Some((source.next()?, index)));
    let mut heap: BinaryHeap<_> = firsts
        .map(|(sequence, index)| (rank(sequence), index, sequence))
        .collect();
    iter::from_fn(move || {
        let (_, index, sequence) = heap.pop()?;
        if let Some(next) = sources.get_mut(index).and_then(Iterator::next) {
            heap.push((rank(next), index, next));
        }
        Some(sequence)
    })
}
