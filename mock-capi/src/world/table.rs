//! A table of rows in insertion order, with secondary indexes. The cost of a filtered
//! list depends on the matches of its most selective filter, not on the size of the
//! table.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};
use std::iter;
use std::ops::Bound;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::World;
use super::access::{Access, AccessScope};
use super::guid::Guid;
use super::registry::Registered;
use super::sequences::{ByName, Sequence, Sequences};
use crate::world::clock::Timestamp;
use crate::world::metadata::Metadata;

/// The fields by which rows are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Guid,
    /// A name that is compared without regard to case.
    Name,
    /// A case-sensitive name.
    ExactName,
    Org,
    Space,
    App,
    Package,
    Domain,
    Route,
    Quota,
    IsolationSegment,
    User,
    Group,
    Origin,
    ServiceInstance,
    Broker,
    Offering,
    Plan,
    Host,
    Type,
    Destination,
    /// The target of an event.
    Target,
    /// Organizations or spaces with which a row is shared.
    SharedWith,
    RunningSpace,
    StagingSpace,
    /// The space of a managed service instance.
    ManagedIn,
    /// The space of a user-provided service instance.
    ProvidedIn,
    /// The space of the app of a service binding.
    BoundIn,
    /// The space of a service key.
    KeyIn,
    /// The space of a route, once for each destination that v2 shows as a mapping.
    MappedIn,
    Label,
    LabelValue,
}

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

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Guid(Field, Guid),
    Text(Field, Box<str>),
}

impl Key {
    fn field(&self) -> Field {
        match self {
            Self::Guid(field, _) | Self::Text(field, _) => *field,
        }
    }

    /// A key for a string that the Cloud Controller compares without regard to case.
    pub(crate) fn text(field: Field, value: &str) -> Self {
        match field {
            Field::ExactName | Field::Type => Self::exact(field, value),
            _ => Self::Text(field, value.to_lowercase().into()),
        }
    }

    /// A key for a case-sensitive string.
    pub(crate) fn exact(field: Field, value: impl Into<Box<str>>) -> Self {
        Self::Text(field, value.into())
    }
}

/// The columns that all rows have.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Base {
    pub(crate) guid: Guid,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) metadata: Metadata,
}

/// A row of a [`Table`].
pub(crate) trait Row: Registered {
    /// The field of the name, which determines whether its case matters.
    const NAME: Field = Field::Name;

    /// Whether the table also keeps the rows in the order of their names.
    const IS_ORDERED_BY_NAME: bool = false;

    /// Whether rows may be inserted before their creation time. Rows are then ordered by
    /// these times, and lists contain them only from then on.
    const IS_IN_ADVANCE: bool = false;

    /// Whether lists contain all rows for every caller.
    const IS_PUBLIC: bool = false;

    /// The keys of the row, in addition to its GUID and labels.
    fn keys(&self) -> Vec<Key>;

    /// The organization or space whose roles determine who may access the row.
    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Global
    }

    /// Whether a caller can see the row.
    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees(world, self.access_scope(world))
    }

    /// Whether lists contain the row for a caller.
    fn is_listed(&self, world: &World, access: &Access) -> bool {
        self.is_visible(world, access)
    }

    /// Keys that select the rows that lists contain for a caller. Every such row has one
    /// of the keys, and no other row has any. `None` if the rows themselves must be
    /// checked. No row has two of the keys, unless one is of a field that [is
    /// shared](Field::is_shared).
    fn listed_by(_world: &World, _access: &Access) -> Option<Vec<Key>> {
        None
    }

    /// The time before which lists do not contain the row, although it was inserted.
    fn hidden_until(&self) -> Option<Timestamp> {
        None
    }

    /// The string by which `order_by` sorts a column.
    fn order_text(&self, _column: &str) -> &str {
        ""
    }

    /// The number by which rows with equal strings are sorted.
    fn order_number(&self) -> u32 {
        0
    }

    fn guid(&self) -> Guid {
        self.base().guid
    }
}

fn all_keys<R: Row>(row: &R) -> Vec<Key> {
    let mut keys = row.keys();
    keys.extend(row.base().metadata.keys());
    keys
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

    fn row(&self, sequence: Sequence) -> Option<&R> {
        self.rows.get(&sequence).map(Box::as_ref)
    }

    /// Rows in the order of a column or of their insertion, if the table keeps this
    /// order.
    fn ordered(&self, column: Option<&str>, descending: bool) -> Option<Rows<'_, R>> {
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
    fn position(&self, sequence: Sequence) -> (Option<Timestamp>, Sequence) {
        let row = R::IS_IN_ADVANCE.then(|| self.row(sequence)).flatten();
        (row.map(|row| row.base().created), sequence)
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

/// The column of names.
const NAME: &str = "name";

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

fn matches<R: Row>(row: &R, clause: &HashSet<&Key>) -> bool {
    clause.contains(&Key::Guid(Field::Guid, row.guid()))
        || all_keys(row).iter().any(|key| clause.contains(key))
}

#[cfg(test)]
mod tests {
    use super::super::{Domain, GuidSource, Space};
    use super::*;
    use crate::world::clock::Clock;
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
