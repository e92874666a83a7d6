//! v2 lists: `q`, and pages.

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{Field, Guid, Key, Row, Selection};

const MAX_PER_PAGE: u64 = 100;
const DEFAULT_PER_PAGE: u64 = 50;

/// What `q` can filter a list by.
pub(super) type Filters = &'static [(&'static str, Field)];

/// The validated query of a list.
pub(super) struct Query {
    conditions: Vec<(Field, Vec<String>)>,
    page: u64,
    per_page: u64,
}

impl Query {
    pub(super) fn read(context: &RequestContext<'_>, filters: Filters) -> Result<Self, CcError> {
        let queries = context.request.query.iter().filter(|(key, _)| key == "q");
        let conditions: Result<Vec<_>, CcError> = queries
            .flat_map(|(_, text)| text.split(';'))
            .map(|text| read_condition(text, filters))
            .collect();
        let number = |name| context.request.query(name).map(str::parse::<u64>);
        let per_page = match number("results-per-page") {
            None => DEFAULT_PER_PAGE,
            Some(Ok(per_page)) if (1..=MAX_PER_PAGE).contains(&per_page) => per_page,
            Some(Ok(_)) => {
                let detail = format!("results_per_page must be <= {MAX_PER_PAGE}");
                return Err(CcError::bad_query(detail));
            }
            Some(Err(_)) => return Err(CcError::bad_query("results-per-page")),
        };
        let page = match number("page") {
            None => 1,
            Some(Ok(page)) if page > 0 => page,
            Some(_) => return Err(CcError::bad_query("page")),
        };
        Ok(Self {
            conditions: conditions?,
            page,
            per_page,
        })
    }

    /// The filters that the rows have keys for: all but organizations and
    /// paths.
    pub(super) fn selection(&self) -> Selection {
        let indexed = self
            .conditions
            .iter()
            .filter(|(field, _)| ![Field::Org, Field::Path].contains(field));
        indexed.fold(Selection::all(), |selection, (field, values)| {
            selection.any(keys(*field, values))
        })
    }

    /// The organizations that are asked for.
    pub(super) fn orgs(&self) -> Option<Vec<Guid>> {
        let values = self.values(Field::Org)?.iter();
        Some(values.filter_map(|value| Guid::parse(value)).collect())
    }

    /// What a field is filtered by.
    pub(super) fn values(&self, field: Field) -> Option<&[String]> {
        let mut conditions = self.conditions.iter();
        let (_, values) = conditions.find(|(other, _)| *other == field)?;
        Some(values)
    }

    /// The answer of the rows that match and are kept.
    pub(super) fn answer<R: Row>(
        &self,
        context: &RequestContext<'_>,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
        present: impl Fn(&R, &View<'_>) -> Value,
    ) -> Response {
        let view = context.view();
        let mut rows = R::table(context.world).select(selection);
        rows.retain(|row| keep(row) && row.is_visible(context.world, &context.access));
        let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let skip = (self.page - 1).saturating_mul(self.per_page);
        let take = usize::try_from(self.per_page).unwrap_or(usize::MAX);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let resources: Vec<Value> = rows
            .into_iter()
            .skip(skip)
            .take(take)
            .map(|row| present(row, &view))
            .collect();
        let total_pages = total.div_ceil(self.per_page).max(1);
        let next = (self.page < total_pages).then(|| self.url(context, self.page + 1));
        let previous = (self.page > 1).then(|| self.url(context, self.page - 1));
        Response::ok(&json!({
            "total_results": total,
            "total_pages": total_pages,
            "prev_url": previous,
            "next_url": next,
            "resources": resources,
        }))
    }

    fn url(&self, context: &RequestContext<'_>, page: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("order-direction", "asc");
        query.append_pair("page", &page.to_string());
        for (key, value) in &context.request.query {
            if key == "q" {
                query.append_pair(key, value);
            }
        }
        query.append_pair("results-per-page", &self.per_page.to_string());
        format!("{}?{}", context.request.path, query.finish())
    }
}

/// `name:x`, or `organization_guid IN a,b`.
fn read_condition(text: &str, filters: Filters) -> Result<(Field, Vec<String>), CcError> {
    let (key, values) = match text.split_once(" IN ") {
        Some((key, values)) => (key, values.split(',').map(str::to_owned).collect()),
        None => match text.split_once(':') {
            Some((key, value)) => (key, vec![value.to_owned()]),
            None => return Err(CcError::bad_query(text)),
        },
    };
    let known = filters.iter().find(|(name, _)| *name == key);
    let (_, field) = known.ok_or_else(|| CcError::bad_query(key))?;
    Ok((*field, values))
}

fn keys(field: Field, values: &[String]) -> Vec<Key> {
    match field {
        Field::Name | Field::Host => values.iter().map(|value| Key::text(field, value)).collect(),
        field => {
            let guids = values.iter().filter_map(|value| Guid::parse(value));
            guids.map(|guid| Key::Guid(field, guid)).collect()
        }
    }
}
