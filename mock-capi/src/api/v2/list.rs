//! Lists in v2: `q`, order, pages, and the depth to which relations are inlined.

use std::cmp::Ordering;

use serde_json::{Value, json};
use url::form_urlencoded;

use super::collection::{Collection, Presenter};
use super::entity::Entity;
use super::source::Order;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{Field, Guid, Key, Selection, World};

const MAX_PER_PAGE: i64 = 100;
const MAX_PER_LARGE_PAGE: i64 = 10_000;
const DEFAULT_PER_PAGE: i64 = 50;
const MAX_DEPTH: i64 = 2;

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
struct Condition {
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

/// The depth to which a response inlines relations, and the relations that it inlines.
#[derive(Debug, Default)]
pub(super) struct Inline {
    depth: usize,
    only: Option<Vec<String>>,
    except: Vec<String>,
}

impl Inline {
    /// The maximum number of inlined resources of a relation.
    pub(super) const MAX: usize = 50;

    pub(super) fn read(context: &RequestContext<'_>) -> Result<Self, CcError> {
        let depth = integer(context, "inline-relations-depth")?.unwrap_or_default();
        if depth > MAX_DEPTH {
            let detail = format!("inline_relations_depth must be <= {MAX_DEPTH}");
            return Err(CcError::bad_query(detail));
        }
        let names = |name| {
            let names = context.request.query(name)?;
            Some(names.split(',').map(str::to_owned).collect())
        };
        Ok(Self {
            depth: usize::try_from(depth).unwrap_or_default(),
            only: names("include-relations"),
            except: names("exclude-relations").unwrap_or_default(),
        })
    }

    /// Whether a relation of a resource at this level, counted from 1, is inlined.
    pub(super) fn has(&self, relation: &str, level: usize) -> bool {
        let named = |names: &Vec<String>| names.iter().any(|name| name == relation);
        level <= self.depth && self.only.as_ref().is_none_or(named) && !named(&self.except)
    }
}

/// An integer of the query. For other values, the Cloud Controller fails with an internal
/// error, and the mock reports the reason.
fn integer(context: &RequestContext<'_>, name: &str) -> Result<Option<i64>, CcError> {
    let text = context.request.query(name);
    let number = text.map(|text| text.trim().parse::<i64>());
    number.transpose().map_err(|_| CcError::bad_query(name))
}

/// The validated query of a list.
#[derive(Debug)]
pub(super) struct Query {
    conditions: Vec<Condition>,
    page: i64,
    per_page: i64,
    order: Order,
    inline: Inline,
    orphans: bool,
}

impl Query {
    /// Reads the query of a list. The order is only validated for collections themselves.
    pub(super) fn read(
        context: &RequestContext<'_>,
        collection: &'static Collection,
        of_collection: bool,
    ) -> Result<Self, CcError> {
        let conditions = read_conditions(context, collection)?;
        Self::read_with(context, collection, of_collection, conditions)
    }

    fn read_with(
        context: &RequestContext<'_>,
        collection: &'static Collection,
        of_collection: bool,
        conditions: Vec<Condition>,
    ) -> Result<Self, CcError> {
        Self::read_up_to(context, collection, of_collection, conditions, MAX_PER_PAGE)
    }

    fn read_up_to(
        context: &RequestContext<'_>,
        collection: &'static Collection,
        of_collection: bool,
        conditions: Vec<Condition>,
        most: i64,
    ) -> Result<Self, CcError> {
        let page = integer(context, "page")?.unwrap_or(1);
        let per_page = integer(context, "results-per-page")?.unwrap_or(DEFAULT_PER_PAGE);
        let orphans = integer(context, "orphan-relations")? == Some(1);
        let order_by = context.request.query("order-by");
        if let Some(order_by) = order_by.filter(|order| !collection.order_by.contains(order)) {
            return Err(match of_collection {
                true => cannot_order_by(order_by),
                false => CcError::bad_query("order-by"),
            });
        }
        if per_page > most {
            let detail = format!("results_per_page must be <= {most}");
            return Err(CcError::bad_query(detail));
        }
        let inline = Inline::read(context)?;
        let descending = match context.request.query("order-direction") {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => {
                let detail = format!("order_direction must be 'asc' or 'desc' but was '{other}'");
                return Err(CcError::bad_query(detail));
            }
        };
        // The Cloud Controller fails, because its database refuses such limits.
        for (name, number) in [("page", page), ("results-per-page", per_page)] {
            if number < 1 {
                return Err(CcError::bad_query(name));
            }
        }
        Ok(Self {
            conditions,
            page,
            per_page,
            order: Order {
                by_name: order_by == Some("name"),
                descending,
            },
            inline,
            orphans,
        })
    }

    /// The conditions that an index can evaluate.
    pub(super) fn selection(&self, world: &World) -> Selection {
        let conditions = self.conditions.iter();
        conditions.fold(Selection::all(), |selection, condition| {
            match condition.keys(world) {
                Some(keys) => selection.any(keys),
                None => selection,
            }
        })
    }

    /// Reads the query of a list whose pages may be larger.
    pub(super) fn read_large(
        context: &RequestContext<'_>,
        collection: &'static Collection,
    ) -> Result<Self, CcError> {
        let conditions = read_conditions(context, collection)?;
        Self::read_up_to(context, collection, true, conditions, MAX_PER_LARGE_PAGE)
    }

    /// Reads the query of a list that reads its conditions itself.
    pub(super) fn read_page(
        context: &RequestContext<'_>,
        collection: &'static Collection,
    ) -> Result<Self, CcError> {
        Self::read_with(context, collection, false, Vec::new())
    }

    /// Responds with the matching resources of a collection that the caller can see.
    /// Without conditions, the cost depends only on the page if an index has the order.
    pub(super) fn list(
        &self,
        context: &RequestContext<'_>,
        collection: &'static Collection,
    ) -> Response {
        let (world, access) = (&*context.world, &context.access);
        let (source, path) = (&collection.source, collection.path);
        if !self.conditions.is_empty() {
            let found = source.matching(world, &self.selection(world));
            return self.answer(context, collection, found, path);
        }
        if let Some((total, found)) = source.listing(world, access, self.order) {
            return respond(self.page_out_of(context, collection, found, total, path));
        }
        let found = source.matching(world, &source.visible_to(world, access));
        self.answer(context, collection, found, path)
    }

    /// Responds with the matching resources that the caller can see.
    pub(super) fn answer(
        &self,
        context: &RequestContext<'_>,
        collection: &'static Collection,
        found: Vec<Entity<'_>>,
        path: &str,
    ) -> Response {
        respond(self.page(context, collection, found, path))
    }

    /// The response as JSON.
    pub(super) fn page(
        &self,
        context: &RequestContext<'_>,
        collection: &'static Collection,
        mut found: Vec<Entity<'_>>,
        path: &str,
    ) -> Value {
        let view = context.view();
        found.retain(|entity| {
            let mut conditions = self.conditions.iter();
            conditions.all(|condition| condition.holds(context.world, *entity))
                && entity.is_visible(&view)
        });
        if self.order.by_name {
            found.sort_by_cached_key(|entity| (entity.name().to_lowercase(), entity.name()));
        }
        if self.order.descending {
            found.reverse();
        }
        let total = found.len();
        self.page_out_of(context, collection, found.into_iter(), total, path)
    }

    /// The response with the requested page of sorted resources.
    fn page_out_of<'w>(
        &self,
        context: &'w RequestContext<'_>,
        collection: &'static Collection,
        found: impl Iterator<Item = Entity<'w>>,
        total: usize,
        path: &str,
    ) -> Value {
        let view = context.view();
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let skip = (self.page - 1).saturating_mul(self.per_page);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let take = usize::try_from(self.per_page).unwrap_or(usize::MAX);
        let mut presenter = Presenter::new(&view, &self.inline);
        presenter.orphans = self.orphans.then(serde_json::Map::new);
        let resources: Vec<Value> = found
            .skip(skip)
            .take(take)
            .map(|entity| presenter.present(collection, entity))
            .collect();
        let total_pages = total.div_euclid(self.per_page) + i64::from(total % self.per_page > 0);
        let total_pages = total_pages.max(1);
        let next = (self.page < total_pages).then(|| self.url(context, path, self.page + 1));
        let previous = (self.page > 1).then(|| self.url(context, path, self.page - 1));
        let mut answer = json!({
            "total_results": total,
            "total_pages": total_pages,
            "prev_url": previous,
            "next_url": next,
            "resources": resources,
        });
        if let Some(orphans) = presenter.orphans {
            answer["orphans"] = Value::Object(orphans);
        }
        answer
    }

    /// The URL of another page, with the parameters of the request sorted by name.
    fn url(&self, context: &RequestContext<'_>, path: &str, page: i64) -> String {
        const KEPT: [&str; 8] = [
            "after_guid",
            "exclude-relations",
            "include-relations",
            "inline-relations-depth",
            "order-by",
            "orphan-relations",
            "q",
            "return_user_provided_service_instances",
        ];
        let direction = if self.order.descending { "desc" } else { "asc" };
        let mut parameters = vec![
            ("order-direction", direction.to_owned()),
            ("page", page.to_string()),
            ("results-per-page", self.per_page.to_string()),
        ];
        if path == "/v2/events" {
            parameters.push(("order-by", "timestamp".into()));
            parameters.push(("order-by", "id".into()));
        }
        let asked = context.request.query.iter();
        for name in KEPT {
            let values = asked.clone().filter(|(key, _)| key == name);
            parameters.extend(values.map(|(_, value)| (name, value.clone())));
        }
        parameters.sort_by_key(|(name, _)| *name);
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", escape(value)))
            .collect();
        format!("{path}?{}", parameters.join("&"))
    }
}

fn respond(page: Value) -> Response {
    let listed = page["resources"].as_array().map_or(0, Vec::len);
    Response::ok(&page).listing(listed)
}

fn cannot_order_by(order_by: &str) -> CcError {
    let detail = format!("Cannot order by: {order_by}");
    CcError::new(500, 10012, "CF-OrderByParameterInvalid", detail)
}

/// Escapes a value of a query, except for characters that need no escape there.
fn escape(value: &str) -> String {
    let escaped = form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
    let mut escaped = escaped.replace('+', "%20");
    for plain in "!$'()*,=:@/?~".chars() {
        escaped = escaped.replace(&format!("%{:02X}", u32::from(plain)), &plain.to_string());
    }
    escaped
}

/// The conditions of all `q` parameters. `;` separates conditions, and `;;` is a `;`
/// in a value.
fn read_conditions(
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
    fn keys(&self, world: &World) -> Option<Vec<Key>> {
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

    fn holds(&self, world: &World, entity: Entity<'_>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_keep_characters_that_need_no_escape() {
        assert_eq!(escape("name:a b;c&d"), "name:a%20b%3Bc%26d");
        assert_eq!(escape("name IN a,b+c"), "name%20IN%20a,b%2Bc");
    }
}
