//! Names that must be unique.

use std::collections::{HashMap, HashSet};

use super::super::problem::{Location, Problems, SpecProblemReason};

/// Names that must be unique, with their places.
pub(super) struct Names {
    kind: &'static str,
    /// The scope of the names, such as ` in the space prod`.
    place: String,
    seen: HashMap<String, Location>,
    /// The pairs that were reported. Two elements with counts may have many names in
    /// common.
    reported: HashSet<(Location, Location)>,
}

impl Names {
    pub(super) fn new(kind: &'static str, place: String) -> Self {
        Self {
            kind,
            place,
            seen: HashMap::new(),
            reported: HashSet::new(),
        }
    }

    /// Reports a repeated name. The Cloud Controller ignores case.
    pub(super) fn add(&mut self, name: &str, at: Location, problems: &mut Problems) {
        match self.seen.get(&name.to_lowercase()) {
            None => {
                self.seen.insert(name.to_lowercase(), at);
            }
            Some(other) if self.reported.insert((*other, at)) => {
                let reason = SpecProblemReason::Duplicate {
                    kind: self.kind,
                    name: name.to_owned(),
                    place: self.place.clone(),
                    other: problems.place(*other),
                };
                problems.add(at, reason);
            }
            Some(_) => {}
        }
    }
}
