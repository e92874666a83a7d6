//! The positions of the rows with a key or a name, in order.

use std::cmp::Ordering;
use std::collections::VecDeque;

/// The position of a row in its table. It increases with each inserted row.
pub(super) type Sequence = u64;

/// The rows of a key, in insertion order. Every key has at least one row, and most keys
/// have only one row. If a key has many rows, such as the type of an event, removing the
/// oldest row is as fast as removing the newest row.
#[derive(Debug)]
pub(super) enum Sequences {
    One(Sequence),
    /// Boxed, because most keys have one row: a queue would make each four times as large.
    #[allow(clippy::box_collection)]
    More(Box<VecDeque<Sequence>>),
}

impl Sequences {
    pub(super) fn insert(&mut self, sequence: Sequence) {
        match self {
            Self::One(one) => {
                let two = [sequence.min(*one), sequence.max(*one)];
                *self = Self::More(Box::new(two.into()));
            }
            Self::More(more) => {
                let at = more.partition_point(|&other| other < sequence);
                more.insert(at, sequence);
            }
        }
    }

    /// Removes a row. Returns whether it was the only row.
    pub(super) fn remove(&mut self, sequence: Sequence) -> bool {
        match self {
            Self::One(one) => *one == sequence,
            Self::More(more) => {
                if let Ok(at) = more.binary_search(&sequence) {
                    more.remove(at);
                }
                more.is_empty()
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::More(more) => more.len(),
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Sequence> {
        let (one, more) = match self {
            Self::One(one) => (Some(*one), None),
            Self::More(more) => (None, Some(more)),
        };
        let more = more.into_iter().flat_map(|more| more.iter()).copied();
        one.into_iter().chain(more)
    }
}

/// A row in the order of names. Names are compared case-insensitively, then
/// case-sensitively, then by insertion order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ByName {
    lower: Box<str>,
    /// The name, if it contains upper case.
    exact: Option<Box<str>>,
    pub(super) sequence: Sequence,
}

impl ByName {
    pub(super) fn new(name: &str, sequence: Sequence) -> Self {
        let lower: Box<str> = name.to_lowercase().into();
        let exact = (*lower != *name).then(|| name.into());
        Self {
            lower,
            exact,
            sequence,
        }
    }

    fn exact(&self) -> &str {
        self.exact.as_deref().unwrap_or(&self.lower)
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_text = self.lower.cmp(&other.lower);
        by_text
            .then_with(|| self.exact().cmp(other.exact()))
            .then_with(|| self.sequence.cmp(&other.sequence))
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_in_order_when_others_are_removed() {
        let all: Vec<Sequence> = (0..200).collect();
        let mut sequences = Sequences::One(199);
        for sequence in all[..199].iter().rev() {
            sequences.insert(*sequence);
        }
        assert!(sequences.iter().eq(all.iter().copied()));
        for removed in [0, 199, 100, 100] {
            assert!(!sequences.remove(removed));
        }
        assert_eq!(sequences.len(), 197);
        assert!(sequences.iter().all(|it| ![0, 199, 100].contains(&it)));
        let left: Vec<Sequence> = sequences.iter().collect();
        let emptied = left.iter().map(|it| sequences.remove(*it));
        assert_eq!(emptied.filter(|is_empty| *is_empty).count(), 1);
        assert!(!Sequences::One(1).remove(2) && Sequences::One(1).remove(1));
    }

    #[test]
    fn names_are_first_compared_case_insensitively() {
        let mut names = [("b", 0), ("a", 3), ("B", 1), ("a", 2), ("C", 4)]
            .map(|(name, sequence)| ByName::new(name, sequence));
        names.sort();
        assert_eq!(names.map(|name| name.sequence), [2, 3, 1, 0, 4]);
    }
}
