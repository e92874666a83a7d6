//! Lists in v2: `q`, order, pages, and the depth to which relations are inlined.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::collection::{Collection, Presenter};
use super::entity::Entity;
use super::filter::{Condition, read_conditions};
use super::source::Order;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{Selection, World};

const MAX_PER_PAGE: i64 = 100;
const MAX_PER_LARGE_PAGE: i64 = 10_000;
const DEFAULT_PER_PAGE: i64 = 50;
const MAX_DEPTH: i64 = 2;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_keep_characters_that_need_no_escape() {
        assert_eq!(escape("name:a b;c&d"), "name:a%20b%3Bc%26d");
        assert_eq!(escape("name IN a,b+c"), "name%20IN%20a,b%2Bc");
    }
}
