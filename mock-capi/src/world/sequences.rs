//! The rows of a key or a name, in order.

use std::cmp::Ordering;
use std::collections::VecDeque;

use smallvec::SmallVec;

/// The position of a row in its table: rows that were inserted later have a higher
/// one.
pub(super) type Sequence = u64;

/// The rows of a key, in insertion order. Most keys have one row. For keys with
/// many, such as the type of an event, removing the oldest row is as fast as
/// removing the newest.
#[derive(Debug)]
pub(super) enum Sequences {
    Few(SmallVec<[Sequence; 2]>),
    Many(VecDeque<Sequence>),
}

/// The number of rows from which on a key has many.
const MANY: usize = 64;

impl Default for Sequences {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl Sequences {
    pub(super) fn insert(&mut self, sequence: Sequence) {
        match self {
            Self::Few(few) => {
                let at = few.partition_point(|&other| other < sequence);
                few.insert(at, sequence);
                if few.len() >= MANY {
                    *self = Self::Many(few.iter().copied().collect());
                }
            }
            Self::Many(many) => {
                let at = many.partition_point(|&other| other < sequence);
                many.insert(at, sequence);
            }
        }
    }

    pub(super) fn remove(&mut self, sequence: Sequence) {
        match self {
            Self::Few(few) => {
                if let Ok(at) = few.binary_search(&sequence) {
                    few.remove(at);
                }
            }
            Self::Many(many) => {
                if let Ok(at) = many.binary_search(&sequence) {
                    many.remove(at);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Sequence> {
        let (few, many) = match self {
            Self::Few(few) => (few.as_slice(), None),
            Self::Many(many) => (&[][..], Some(many)),
        };
        few.iter().chain(many.into_iter().flatten()).copied()
    }
}

/// A row in the order of names: first without regard to case, then with it, then in
/// insertion order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ByName {
    lower: Box<str>,
    /// The name, if it differs from its lower case.
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
    fn many_rows_are_kept_in_order_whatever_is_removed() {
        let mut sequences = Sequences::default();
        let all: Vec<Sequence> = (0..200).collect();
        for sequence in all.iter().rev() {
            sequences.insert(*sequence);
        }
        assert!(sequences.iter().eq(all.iter().copied()));
        for removed in [0, 199, 100, 100] {
            sequences.remove(removed);
        }
        assert_eq!(sequences.len(), 197);
        assert!(sequences.iter().all(|it| ![0, 199, 100].contains(&it)));
    }

    #[test]
    fn names_are_ordered_without_case_first() {
        let mut names = [("b", 0), ("a", 3), ("B", 1), ("a", 2), ("C", 4)]
            .map(|(name, sequence)| ByName::new(name, sequence));
        names.sort();
        assert_eq!(names.map(|name| name.sequence), [2, 3, 1, 0, 4]);
    }
}
