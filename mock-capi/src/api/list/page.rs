//! Pages of lists, and the responses that contain them.

use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{ListQuery, Order};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{CREATED_AT, Row, Selection, World};

impl ListQuery {
    /// The rows of the requested page, where `keep` accepts every row unless the query
    /// has filters. Without filters, the cost depends on the size of the page.
    pub(crate) fn page_by_query<'w, R: Row>(
        &self,
        world: &'w World,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
    ) -> Page<'w, R> {
        let unfiltered = !self.is_filtered() && selection.is_all();
        let unfiltered = unfiltered.then(|| self.page_of_all(world)).flatten();
        unfiltered.unwrap_or_else(|| self.page(world, selection, keep))
    }

    /// A page of all rows that the caller can see, if the table has them in the right
    /// order.
    fn page_of_all<'w, R: Row>(&self, world: &'w World) -> Option<Page<'w, R>> {
        let table = R::table(world);
        let column = self.order.as_ref().map(|order| order.column.as_str());
        let descending = self.order.as_ref().is_some_and(|order| order.descending);
        let now = world.now();
        let keys = match R::IS_PUBLIC || self.access.sees_everything() {
            true => None,
            false => Some(R::listed_by(world, &self.access)?),
        };
        if let Some((total, rows)) = table.in_order(keys.as_deref(), column, descending, now) {
            return Some(self.page_out_of(rows, total));
        }
        // The number of rows of the whole table up to the end of the page, if the visible
        // rows are spread evenly.
        let total = table.count_any(&keys?, now);
        let (_, end) = self.bounds(total);
        let walked = end.saturating_mul(table.len()) / total.max(1);
        let (_, rows) = table.in_order(None, column, descending, now)?;
        let rows = rows.filter(|row| row.is_listed(world, &self.access));
        (walked <= total).then(|| self.page_out_of(rows, total))
    }

    /// The requested page of rows in order.
    fn page_out_of<'w, R>(&self, rows: impl Iterator<Item = &'w R>, total: usize) -> Page<'w, R> {
        let (start, end) = self.bounds(total);
        let rows = rows.skip(start).take(end - start).collect();
        Page { rows, total }
    }

    /// The rows of the requested page, and the number of rows on all pages.
    pub(crate) fn page<'w, R: Row>(
        &self,
        world: &'w World,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
    ) -> Page<'w, R> {
        let mut rows = self.candidates(world, selection);
        rows.retain(|row| self.allows(*row) && keep(row));
        if !R::IS_PUBLIC && !self.access.sees_everything() {
            rows.retain(|row| row.is_listed(world, &self.access));
        }
        self.sort(&mut rows);
        let total = rows.len();
        let (start, end) = self.bounds(total);
        Page {
            rows: rows.drain(start..end).collect(),
            total,
        }
    }

    /// The selected rows. Some of the rows that the caller cannot see may be missing.
    fn candidates<'w, R: Row>(&self, world: &'w World, selection: &Selection) -> Vec<&'w R> {
        let table = R::table(world);
        let sees_all = R::IS_PUBLIC || self.access.sees_everything();
        let visible = match sees_all || !selection.is_all() {
            true => None,
            false => R::listed_by(world, &self.access),
        };
        match visible {
            Some(keys) => table.select(&selection.clone().any(keys)),
            None => table.select(selection),
        }
    }

    fn sort<R: Row>(&self, rows: &mut [&R]) {
        let Some(Order {
            column, descending, ..
        }) = &self.order
        else {
            if R::IS_IN_ADVANCE {
                rows.sort_by_key(|row| row.base().created);
            }
            return;
        };
        match column.as_str() {
            CREATED_AT => rows.sort_by_key(|row| row.base().created),
            "updated_at" => rows.sort_by_key(|row| row.base().updated),
            column => rows.sort_by_cached_key(|row| {
                let text = row.order_text(column);
                (text.to_lowercase(), text.to_owned(), row.order_number())
            }),
        }
        if *descending {
            rows.reverse();
        }
    }

    /// The response: pagination and the presented resources.
    pub(crate) fn answer<R, S: Serialize>(
        &self,
        context: &RequestContext<'_>,
        page: &Page<'_, R>,
        present: impl Fn(&R, &View<'_>) -> S,
    ) -> ListAnswer {
        let view = context.view().in_list();
        let resources = page.rows.iter().map(|row| present(row, &view));
        // The Cloud Controller counts most resources while it reads the page, so the
        // total of an empty page is 0.
        let total = match page.rows.is_empty() && !self.counts_apart {
            true => 0,
            false => page.total,
        };
        ListAnswer::new(&self.pagination(context, total), resources)
    }

    /// Responds with a list: selects, filters and presents rows.
    pub(crate) fn respond<R: Row, S: Serialize>(
        &self,
        context: &RequestContext<'_>,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
        present: impl Fn(&R, &View<'_>) -> S,
    ) -> Result<Response, CcError> {
        let page = self.page(context.world, selection, keep);
        Ok(self.answer(context, &page, present).into())
    }

    /// Responds with a list where `keep` accepts every row unless the query has filters.
    pub(crate) fn respond_by_query<R: Row, S: Serialize>(
        &self,
        context: &RequestContext<'_>,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
        present: impl Fn(&R, &View<'_>) -> S,
    ) -> Result<Response, CcError> {
        let page = self.page_by_query(context.world, selection, keep);
        Ok(self.answer(context, &page, present).into())
    }

    /// Responds with a page of resources that are not in a table.
    pub(crate) fn answer_all(
        &self,
        context: &RequestContext<'_>,
        resources: Vec<Value>,
    ) -> ListAnswer {
        let total = resources.len();
        let (start, end) = self.bounds(total);
        let page = resources.into_iter().take(end).skip(start);
        ListAnswer::new(&self.pagination(context, total), page)
    }

    /// The range of the requested page.
    fn bounds(&self, total: usize) -> (usize, usize) {
        let start = (self.page - 1).saturating_mul(self.per_page);
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(total);
        let per_page = usize::try_from(self.per_page).unwrap_or(usize::MAX);
        (start, start.saturating_add(per_page).min(total))
    }

    fn pagination(&self, context: &RequestContext<'_>, total: usize) -> Value {
        let total_pages = u64::try_from(total)
            .unwrap_or(u64::MAX)
            .div_ceil(self.per_page)
            .max(1);
        let link = |page: u64| json!({"href": self.page_url(context, page)});
        let next = (self.page < total_pages).then(|| link(self.page + 1));
        let previous = (self.page > 1).then(|| link(self.page - 1));
        json!({
            "total_results": total,
            "total_pages": total_pages,
            "first": link(1),
            "last": link(total_pages),
            "next": next,
            "previous": previous,
        })
    }

    /// Adds a filter that follows from the path and is part of the links to other
    /// pages.
    pub(crate) fn with_implied(mut self, name: &str, value: String) -> Self {
        self.params.push((name.into(), value));
        self
    }

    /// The URL of another page: the same query, sorted by name.
    fn page_url(&self, context: &RequestContext<'_>, page: u64) -> String {
        let paging = ["page", "per_page", "order_by"];
        let mut params: Vec<(String, String)> = self
            .params
            .iter()
            .filter(|(key, _)| !paging.contains(&key.as_str()))
            .flat_map(|(key, value)| linked(key, value))
            .collect();
        params.push(("page".into(), page.to_string()));
        params.push(("per_page".into(), self.per_page.to_string()));
        if let Some(order) = self.order.as_ref().filter(|order| order.in_links) {
            let direction = if order.descending { '-' } else { '+' };
            params.push(("order_by".into(), format!("{direction}{}", order.column)));
        }
        // Sorted by the names of parameters, and then by keys in brackets.
        params.sort_by_cached_key(|(key, value)| (key.replace(']', "\0"), value.clone()));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(params)
            .finish();
        context.url(&format!("{}?{query}", context.request.path))
    }
}

/// A parameter in the format of links, where excluded targets are a list of values.
fn linked(key: &str, value: &str) -> Vec<(String, String)> {
    if key != "target_guids[not]" {
        return vec![(key.into(), value.into())];
    }
    let values = value.split(',');
    values
        .map(|value| (format!("{key}[]"), value.to_owned()))
        .collect()
}

/// A serialized list. Each resource is serialized as soon as it is presented, because
/// building and dropping a tree of all resources would take several times as long.
#[derive(Debug)]
pub(crate) struct ListAnswer {
    body: Vec<u8>,
    /// The number of resources.
    count: usize,
    /// Contains `included`, if anything is included.
    pub(crate) rest: Value,
}

impl ListAnswer {
    fn new(pagination: &Value, resources: impl Iterator<Item = impl Serialize>) -> Self {
        let mut body = format!(r#"{{"pagination":{pagination},"resources":["#).into_bytes();
        let mut count = 0;
        for resource in resources {
            count += 1;
            if count > 1 {
                body.push(b',');
            }
            // Resources have string keys, and writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut body, &resource);
        }
        body.push(b']');
        let rest = json!({});
        Self { body, count, rest }
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page<'t, R> {
    pub(crate) rows: Vec<&'t R>,
    pub(crate) total: usize,
}

impl From<ListAnswer> for Response {
    fn from(answer: ListAnswer) -> Self {
        let ListAnswer {
            mut body,
            count,
            rest,
        } = answer;
        if let Some(included) = rest.get("included") {
            body.extend(format!(r#","included":{included}"#).into_bytes());
        }
        body.push(b'}');
        Self::json_text(200, body).listing(count)
    }
}
