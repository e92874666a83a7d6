//! A table of rows in insertion order, with secondary indexes. The cost of a filtered
//! list depends on the matches of its most selective filter, not on the size of the
//! table.

mod order;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt as _, HashSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::guid::Guid;
use super::row::{Field, Key, Row, all_keys};
use super::sequences::{ByName, Sequence, Sequences};
use crate::world::clock::Timestamp;
use order::NAME;
pub(crate) use order::{CREATED_AT, Rows};

impl Field {
    /// Whether a row that has a key of the field may also have other keys of
    /// [`Row::listed_by`].
    fn is_shared(self) -> bool {
        matches!(
            self,
            Self::SharedWith | Self::RunningSpace | Self::StagingSpace | Self::Offering
        )
    }
}

/// A conjunction of filters. A filter matches a row that has any of its keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    clauses: Vec<Vec<Key>>,
    /// Selects only rows that were inserted after this one.
    after: Option<Guid>,
}

impl Selection {
    pub(crate) fn all() -> Self {
        Self::default()
    }

    pub(crate) fn by(field: Field, guid: Guid) -> Self {
        Self::all().any_guid(field, [guid])
    }

    pub(crate) fn any_guid(self, field: Field, guids: impl IntoIterator<Item = Guid>) -> Self {
        self.any(
            guids
                .into_iter()
                .map(|guid| Key::Guid(field, guid))
                .collect(),
        )
    }

    pub(crate) fn any(mut self, keys: Vec<Key>) -> Self {
        self.clauses.push(keys);
        self
    }

    /// Selects only rows that were inserted after this one, or all rows if `guid` is
    /// `None`.
    pub(crate) fn after(mut self, guid: Option<Guid>) -> Self {
        self.after = guid;
        self
    }

    /// Whether the selection contains all rows.
    pub(crate) fn is_all(&self) -> bool {
        self.clauses.is_empty() && self.after.is_none()
    }
}

/// Rows by GUID and by their keys, in insertion order.
#[derive(Debug)]
pub(crate) struct Table<R> {
    /// Boxed, because the nodes of a map that is filled in order are half empty.
    rows: BTreeMap<Sequence, Box<R>>,
    by_guid: HashMap<Guid, Sequence>,
    by_key: HashMap<Key, Sequences>,
    by_name: BTreeSet<ByName>,
    /// Empty unless rows may be inserted in advance.
    by_time: BTreeSet<(Timestamp, Sequence)>,
    /// The rows that lists do not contain before a time.
    hidden: BTreeSet<(Timestamp, Sequence)>,
    next: Sequence,
    /// The latest creation time of a row.
    latest: Option<Timestamp>,
    /// Whether rows were inserted in the order of their creation times.
    is_chronological: bool,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            by_guid: HashMap::new(),
            by_key: HashMap::new(),
            by_name: BTreeSet::new(),
            by_time: BTreeSet::new(),
            hidden: BTreeSet::new(),
            next: 0,
            latest: None,
            is_chronological: true,
        }
    }
}

/// Serializes the rows in order. The indexes are rebuilt from them.
impl<R: Row + Serialize> Serialize for Table<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de, R: Row + Deserialize<'de>> Deserialize<'de> for Table<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows: Vec<R> = Vec::deserialize(deserializer)?;
        let mut table = Self::default();
        for row in rows {
            if table.get(row.guid()).is_some() {
                let twice = format!("two resources have the GUID {}", row.guid());
                return Err(de::Error::custom(twice));
            }
            table.insert(row);
        }
        Ok(table)
    }
}

impl<R: Row> Table<R> {
    pub(crate) fn insert(&mut self, row: R) {
        let sequence = self.next;
        self.next += 1;
        for key in all_keys(&row) {
            self.index(key, sequence);
        }
        if R::IS_ORDERED_BY_NAME {
            let name = row.order_text(NAME);
            self.by_name.insert(ByName::new(name, sequence));
        }
        let created = row.base().created;
        self.is_chronological &= Some(created) >= self.latest;
        self.latest = self.latest.max(Some(created));
        if R::IS_IN_ADVANCE {
            self.by_time.insert((created, sequence));
        }
        let hidden = row.hidden_until().map(|until| (until, sequence));
        self.hidden.extend(hidden);
        self.by_guid.insert(row.guid(), sequence);
        self.rows.insert(sequence, Box::new(row));
    }

    pub(crate) fn get(&self, guid: Guid) -> Option<&R> {
        self.rows.get(self.by_guid.get(&guid)?).map(Box::as_ref)
    }

    /// Changes a row and updates the indexes. `None` if the row does not exist.
    pub(crate) fn update<T>(&mut self, guid: Guid, change: impl FnOnce(&mut R) -> T) -> Option<T> {
        let sequence = *self.by_guid.get(&guid)?;
        let row = self.rows.get_mut(&sequence)?;
        let before = all_keys(&**row);
        let name = R::IS_ORDERED_BY_NAME.then(|| row.order_text(NAME).to_owned());
        let hidden = row.hidden_until();
        let result = change(row);
        let after = all_keys(&**row);
        let hidden_now = row.hidden_until();
        if hidden != hidden_now {
            if let Some(until) = hidden {
                self.hidden.remove(&(until, sequence));
            }
            self.hidden
                .extend(hidden_now.map(|until| (until, sequence)));
        }
        if let Some(name) = name.filter(|name| name != row.order_text(NAME)) {
            self.by_name.remove(&ByName::new(&name, sequence));
            let name = row.order_text(NAME);
            self.by_name.insert(ByName::new(name, sequence));
        }
        if before != after {
            for key in &before {
                self.unindex(key, sequence);
            }
            for key in after {
                self.index(key, sequence);
            }
        }
        Some(result)
    }

    pub(crate) fn remove(&mut self, guid: Guid) -> Option<R> {
        let sequence = self.by_guid.remove(&guid)?;
        let row = self.rows.remove(&sequence)?;
        for key in all_keys(&*row) {
            self.unindex(&key, sequence);
        }
        if R::IS_ORDERED_BY_NAME {
            let name = ByName::new(row.order_text(NAME), sequence);
            self.by_name.remove(&name);
        }
        if R::IS_IN_ADVANCE {
            self.by_time.remove(&(row.base().created, sequence));
        }
        if let Some(until) = row.hidden_until() {
            self.hidden.remove(&(until, sequence));
        }
        Some(*row)
    }

    /// Removes the oldest rows until `count` are left, or until a row may not be
    /// removed. Returns the number of removed rows.
    pub(crate) fn keep_newest(&mut self, count: usize, may_go: impl Fn(&R) -> bool) -> u64 {
        let mut removed = 0;
        while self.len() > count {
            let oldest = self.iter().next().filter(|row| may_go(row));
            let Some(guid) = oldest.map(Row::guid) else {
                break;
            };
            self.remove(guid);
            removed += 1;
        }
        removed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(Box::as_ref)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, sequence: Sequence) -> Option<&R> {
        self.rows.get(&sequence).map(Box::as_ref)
    }

    /// The matching rows, in insertion order.
    pub(crate) fn select(&self, selection: &Selection) -> Vec<&R> {
        let first = selection.after.and_then(|guid| self.by_guid.get(&guid));
        let first = first.map(|sequence| self.position(*sequence));
        let is_after =
            |sequence: &Sequence| first.is_none_or(|first| self.position(*sequence) > first);
        let Some(narrowest) = selection
            .clauses
            .iter()
            .min_by_key(|clause| self.candidates(clause))
        else {
            let rows = self.rows.iter().filter(|(sequence, _)| is_after(sequence));
            return rows.map(|(_, row)| row.as_ref()).collect();
        };
        let mut sequences: Vec<Sequence> = narrowest
            .iter()
            .flat_map(|key| self.sequences(key))
            .filter(is_after)
            .collect();
        sequences.sort_unstable();
        sequences.dedup();
        let others: Vec<HashSet<&Key>> = selection
            .clauses
            .iter()
            .filter(|clause| !std::ptr::eq(*clause, narrowest))
            .map(|clause| clause.iter().collect())
            .collect();
        sequences
            .iter()
            .filter_map(|sequence| self.row(*sequence))
            .filter(|row| others.iter().all(|clause| matches(*row, clause)))
            .collect()
    }

    /// The number of rows with the key.
    pub(crate) fn count(&self, key: &Key) -> usize {
        match key {
            Key::Guid(Field::Guid, guid) => usize::from(self.by_guid.contains_key(guid)),
            key => self.by_key.get(key).map_or(0, Sequences::len),
        }
    }

    /// The GUIDs of the matching rows, newest first, which is the cheapest order for
    /// removing all of them.
    pub(crate) fn guids_newest_first(&self, selection: &Selection) -> Vec<Guid> {
        let mut guids: Vec<Guid> = self.select(selection).iter().map(|r| r.guid()).collect();
        guids.reverse();
        guids
    }

    /// The number of rows with any of the keys, where a row with two keys counts twice.
    pub(crate) fn candidates(&self, keys: &[Key]) -> usize {
        keys.iter().map(|key| self.count(key)).sum()
    }

    fn sequences<'t>(
        &'t self,
        key: &Key,
    ) -> impl DoubleEndedIterator<Item = Sequence> + use<'t, R> {
        let (one, others) = match key {
            Key::Guid(Field::Guid, guid) => (self.by_guid.get(guid).copied(), None),
            key => (None, self.by_key.get(key)),
        };
        let others = others.into_iter().flat_map(Sequences::iter);
        one.into_iter().chain(others)
    }

    fn index(&mut self, key: Key, sequence: Sequence) {
        match self.by_key.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().insert(sequence),
            Entry::Vacant(entry) => drop(entry.insert(Sequences::One(sequence))),
        }
    }

    fn unindex(&mut self, key: &Key, sequence: Sequence) {
        let sequences = self.by_key.get_mut(key);
        if sequences.is_some_and(|sequences| sequences.remove(sequence)) {
            self.by_key.remove(key);
        }
    }
}

fn matches<R: Row>(row: &R, clause: &HashSet<&Key>) -> bool {
    clause.contains(&Key::Guid(Field::Guid, row.guid()))
        || all_keys(row).iter().any(|key| clause.contains(key))
}

#[cfg(test)]
mod tests {
    use super::super::{Domain, GuidSource, Space};
    use super::*;
    use crate::world::Base;
    use crate::world::clock::Clock;
    use crate::world::metadata::Metadata;
    use crate::world::random::Random;

    fn base(source: &mut GuidSource) -> Base {
        let now = Clock::new().now();
        Base {
            guid: source.next(),
            created: now,
            updated: now,
            metadata: Metadata::default(),
        }
    }

    fn spaces(source: &mut GuidSource) -> (Table<Space>, Guid, Guid) {
        let (access_scope, away) = (source.next(), source.next());
        let mut table = Table::default();
        for (name, org) in [("Rex", access_scope), ("Tom", away), ("tom", access_scope)] {
            table.insert(Space {
                base: base(source),
                name: name.into(),
                org,
                suspended: false,
                segment: None,
                allows_ssh: true,
                quota: None,
            });
        }
        (table, access_scope, away)
    }

    fn names<'t>(table: &'t Table<Space>, selection: &Selection) -> Vec<&'t str> {
        let selected = table.select(selection).into_iter();
        selected.map(|space| space.name.as_str()).collect()
    }

    fn rows_named_tom() -> Selection {
        Selection::all().any(vec![Key::text(Field::Name, "TOM")])
    }

    #[test]
    fn the_newest_rows_are_kept_with_their_indexes() {
        let (mut table, access_scope, away) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        let newest = table.iter().last().map(Row::guid).unwrap();
        assert_eq!(table.keep_newest(1, |_| false), 0);
        assert_eq!(table.keep_newest(1, |_| true), 2);
        assert_eq!(table.iter().map(Row::guid).collect::<Vec<_>>(), [newest]);
        let of = |org: Guid| table.select(&Selection::by(Field::Org, org)).len();
        assert_eq!(of(access_scope) + of(away), 1);
    }

    #[test]
    fn rows_can_be_read_in_the_order_of_their_names() {
        let (mut table, access_scope, _) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        let ordered = |table: &Table<Space>, descending| {
            let rows = table.ordered(Some("name"), descending).unwrap();
            rows.map(|space| space.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ordered(&table, false), ["Rex", "Tom", "tom"]);
        let rex = table.select(&Selection::by(Field::Org, access_scope))[0].guid();
        table.update(rex, |space| space.name = "Zoe".into());
        assert_eq!(ordered(&table, true), ["Zoe", "tom", "Tom"]);
        table.remove(rex);
        assert_eq!(ordered(&table, false), ["Tom", "tom"]);
        assert!(table.ordered(Some("updated_at"), false).is_none());
    }

    #[test]
    fn rows_of_several_keys_are_merged() {
        let (table, access_scope, away) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        let keys = [access_scope, away].map(|org| Key::Guid(Field::Org, org));
        let merged = |keys: &[Key], descending| {
            let now = Clock::new().now();
            let (count, rows) = table.in_order(Some(keys), None, descending, now).unwrap();
            let names: Vec<&str> = rows.map(|space| space.name.as_str()).collect();
            assert_eq!(names.len(), count);
            names.join(" ")
        };
        assert_eq!(merged(&keys, false), "Rex Tom tom");
        assert_eq!(merged(&keys, true), "tom Tom Rex");
        assert_eq!(merged(&keys[..1], true), "tom Rex");
        assert_eq!(merged(&[], false), "");
    }

    #[test]
    fn rows_with_several_keys_are_listed_and_counted_once() {
        let mut source = GuidSource::new(Random::from_seed(1));
        let (one, two) = (source.next(), source.next());
        let mut table: Table<Domain> = Table::default();
        for (name, org, shared_with) in [
            ("both", one, vec![two]),
            ("two", two, vec![]),
            ("foreign", source.next(), vec![one, two]),
            ("hidden", source.next(), vec![]),
        ] {
            table.insert(Domain {
                base: base(&mut source),
                name: name.into(),
                org: Some(org),
                internal: false,
                shared_with,
                router_group: None,
                route_policies_scope: None,
            });
        }
        let fields = [Field::Org, Field::SharedWith];
        let keys = [one, two].map(|org| fields.map(|field| Key::Guid(field, org)));
        let now = Clock::new().now();
        let listed = |keys: &[Key]| {
            let (count, rows) = table.in_order(Some(keys), None, false, now).unwrap();
            let names: Vec<&str> = rows.map(|domain| domain.name.as_str()).collect();
            assert_eq!(names.len(), count);
            names.join(" ")
        };
        assert_eq!(listed(keys.as_flattened()), "both two foreign");
        assert_eq!(listed(&keys[0]), "both foreign");
        assert_eq!(listed(&keys[1][1..]), "both foreign");
    }

    #[test]
    fn rows_after_another_are_selected() {
        let (table, access_scope, _) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        let first = table.iter().next().map(Row::guid);
        let later = Selection::all().after(first);
        assert!(!later.is_all());
        assert_eq!(names(&table, &later), ["Tom", "tom"]);
        assert_eq!(
            names(&table, &later.any_guid(Field::Org, [access_scope])),
            ["tom"]
        );
    }

    #[test]
    fn filters_are_a_conjunction_in_insertion_order() {
        let (table, access_scope, _) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        assert_eq!(names(&table, &Selection::all()), ["Rex", "Tom", "tom"]);
        assert_eq!(names(&table, &rows_named_tom()), ["Tom", "tom"]);
        assert_eq!(
            names(
                &table,
                &rows_named_tom().any_guid(Field::Org, [access_scope])
            ),
            ["tom"]
        );
        assert!(names(&table, &Selection::all().any(vec![])).is_empty());
    }

    #[test]
    fn indexes_follow_updates_and_removals() {
        let (mut table, access_scope, away) = spaces(&mut GuidSource::new(Random::from_seed(1)));
        let rex = table.select(&Selection::by(Field::Org, access_scope))[0].guid();
        table.update(rex, |space| space.org = away);
        let away = Selection::by(Field::Org, away);
        assert_eq!(names(&table, &away), ["Rex", "Tom"]);
        assert!(table.remove(rex).is_some());
        assert!(table.remove(rex).is_none());
        assert_eq!(names(&table, &away), ["Tom"]);
        assert_eq!(table.count(&Key::Guid(Field::Org, access_scope)), 1);
    }
}
