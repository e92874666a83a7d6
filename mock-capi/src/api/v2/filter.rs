//! The filters of lists, and the conditions of requests, such as `q=name:x`.

use std::cmp::Ordering;

use super::collection::Collection;
use super::entity::Entity;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::world::{Field, Guid, Key, World};

/// A field by which `q` can filter a list.
#[derive(Debug)]
pub(super) struct Filter {
    name: &'static str,
    index: Option<Index>,
    /// The values of a resource.
    values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    kind: Kind,
}

/// The index that finds the resources with some values.
#[derive(Clone, Copy, Debug)]
enum Index {
    /// By an indexed field with these values.
    Field(Field),
    /// By keys. Every such resource has one of them. `None` if there are no keys for
    /// these values.
    Keys(fn(&World, &[String]) -> Option<Vec<Key>>),
}

/// The comparison of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// Strings, which are compared case-insensitively.
    Name,
    /// GUIDs of other resources, which are only compared for equality.
    Guid,
    Flag,
    Number,
}

impl Filter {
    const fn of(
        name: &'static str,
        kind: Kind,
        values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    ) -> Self {
        Self {
            name,
            index: None,
            values,
            kind,
        }
    }

    pub(super) const fn text(
        name: &'static str,
        values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    ) -> Self {
        Self::of(name, Kind::Text, values)
    }

    pub(super) const fn guid(
        name: &'static str,
        values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    ) -> Self {
        Self::of(name, Kind::Guid, values)
    }

    pub(super) const fn flag(
        name: &'static str,
        values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    ) -> Self {
        Self::of(name, Kind::Flag, values)
    }

    pub(super) const fn number(
        name: &'static str,
        values: for<'w> fn(&'w World, Entity<'w>) -> Vec<String>,
    ) -> Self {
        Self::of(name, Kind::Number, values)
    }

    /// The name of the resource, which is indexed.
    pub(super) const NAME: Self = Self {
        index: Some(Index::Field(Field::Name)),
        ..Self::of("name", Kind::Name, |_, entity| vec![entity.name().into()])
    };

    /// The name of the resource, which is case-sensitive.
    pub(super) const EXACT_NAME: Self = Self {
        index: Some(Index::Field(Field::ExactName)),
        ..Self::text("name", |_, entity| vec![entity.name().into()])
    };

    /// Sets the index for the values.
    pub(super) const fn indexed(mut self, field: Field) -> Self {
        self.index = Some(Index::Field(field));
        self
    }

    /// Sets the keys by which resources with some values are found.
    pub(super) const fn found_by(
        mut self,
        keys: fn(&World, &[String]) -> Option<Vec<Key>>,
    ) -> Self {
        self.index = Some(Index::Keys(keys));
        self
    }

    /// Compares values case-insensitively.
    pub(super) const fn without_case(mut self) -> Self {
        self.kind = Kind::Name;
        self
    }
}

/// The keys of rows in the spaces of organizations.
pub(super) fn in_spaces_of(world: &World, orgs: &[String]) -> Option<Vec<Key>> {
    let orgs = orgs.iter().filter_map(|org| Guid::parse(org));
    let spaces = world.spaces_of(orgs.collect()).into_iter();
    Some(spaces.map(|space| Key::Guid(Field::Space, space)).collect())
}

/// A condition of `q`.
#[derive(Debug)]
pub(super) struct Condition {
    filter: &'static Filter,
    comparison: Comparison,
    /// `None` for an empty value, which matches nothing.
    values: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The conditions of all `q` parameters. `;` separates conditions, and `;;` is a `;`
/// in a value.
pub(super) fn read_conditions(
    context: &RequestContext<'_>,
    collection: &'static Collection,
) -> Result<Vec<Condition>, CcError> {
    const ESCAPED: &str = "\u{0}";
    let queries = context.request.query.iter().filter(|(key, _)| key == "q");
    let mut conditions = Vec::new();
    for (_, text) in queries {
        let text = text.replace(";;", ESCAPED);
        for segment in text.trim_end_matches(';').split(';') {
            if !text.is_empty() {
                let segment = segment.replace(ESCAPED, ";");
                conditions.push(read_condition(&segment, collection)?);
            }
        }
    }
    Ok(conditions)
}

/// `name:x`, `timestamp>=x`, or `organization_guid IN a,b`.
fn read_condition(text: &str, collection: &'static Collection) -> Result<Condition, CcError> {
    const COMPARISONS: [(&str, Comparison); 6] = [
        (":", Comparison::Equal),
        (">=", Comparison::GreaterOrEqual),
        ("<=", Comparison::LessOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        (" IN ", Comparison::Equal),
    ];
    let found = COMPARISONS.iter().filter_map(|(mark, comparison)| {
        let at = text.find(mark)?;
        Some((at, *mark, *comparison))
    });
    // The first operator is used. If two operators have the same position, the longer
    // operator is used.
    let first = found.min_by_key(|(at, mark, _)| (*at, std::cmp::Reverse(mark.len())));
    let (key, comparison, values) = match first {
        None => (text, Comparison::Equal, None),
        Some((at, mark, comparison)) => {
            let value = &text[at + mark.len()..];
            let values = match mark {
                " IN " => value.split(',').map(str::to_owned).collect(),
                _ => vec![value.to_owned()],
            };
            (&text[..at], comparison, Some(values))
        }
    };
    let mut filters = collection.filters.iter();
    let filter = filters.find(|filter| filter.name == key);
    let filter = filter.ok_or_else(|| CcError::bad_query(key))?;
    Ok(Condition {
        filter,
        comparison,
        values,
    })
}

impl Condition {
    /// The keys of the rows that meet the condition, if an index has them.
    pub(super) fn keys(&self, world: &World) -> Option<Vec<Key>> {
        let values = self.values.as_ref()?;
        let is_guid = self.filter.kind == Kind::Guid;
        if !is_guid && self.comparison != Comparison::Equal {
            return None;
        }
        match self.filter.index? {
            Index::Keys(keys) => keys(world, values),
            Index::Field(field) if is_guid => {
                let guids = values.iter().filter_map(|value| Guid::parse(value));
                Some(guids.map(|guid| Key::Guid(field, guid)).collect())
            }
            Index::Field(field) => {
                Some(values.iter().map(|value| Key::text(field, value)).collect())
            }
        }
    }

    pub(super) fn holds(&self, world: &World, entity: Entity<'_>) -> bool {
        let Some(asked) = &self.values else {
            return false;
        };
        let Filter { values, kind, .. } = self.filter;
        let actual = values(world, entity);
        actual
            .iter()
            .any(|actual| asked.iter().any(|asked| self.compare(*kind, actual, asked)))
    }

    fn compare(&self, kind: Kind, actual: &str, asked: &str) -> bool {
        let number = |text: &str| text.trim().parse::<i64>().unwrap_or_default();
        let order = match kind {
            Kind::Text => actual.cmp(asked),
            Kind::Guid => return actual == asked,
            Kind::Name => actual.to_lowercase().cmp(&asked.to_lowercase()),
            Kind::Flag => (actual == "true").cmp(&["t", "true"].contains(&asked)),
            Kind::Number => number(actual).cmp(&number(asked)),
        };
        match self.comparison {
            Comparison::Equal => order == Ordering::Equal,
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            Comparison::GreaterOrEqual => order != Ordering::Less,
        }
    }
}
