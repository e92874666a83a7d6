//! Lists of v3: their query parameters, filters, order and pages.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::{Response, last_value, percent_decode};
use crate::api::message::humanize;
use crate::world::metadata::LabelSelector;
use crate::world::settings::Dialect;
use crate::world::{Access, Base, Field, Guid, Key, Row, Selection, World};

const MAX_PER_PAGE: u64 = 5000;
const DEFAULT_PER_PAGE: u64 = 50;
const MAX_RESULT: u64 = i64::MAX.cast_unsigned();
const COMMON: &[&str] = &[
    "page",
    "per_page",
    "order_by",
    "created_ats",
    "updated_ats",
    "guids",
];

const COMMON_IN_2017: &[&str] = &["page", "per_page", "order_by", "order_direction", "guids"];

/// The query parameters of a list, besides pages, order, `guids`, `created_ats` and
/// `updated_ats`.
#[derive(Debug)]
pub(crate) struct ListSpec {
    /// Further query parameters, in the order in which errors name them.
    pub(crate) params: &'static [&'static str],
    /// The values of `order_by` besides `created_at` and `updated_at`.
    pub(crate) order_by: &'static [&'static str],
    /// The values of `include`.
    pub(crate) include: &'static [&'static str],
    /// The values of `embed`.
    pub(crate) embed: &'static [&'static str],
    /// The resources of `fields`, and the fields that can be selected of each.
    pub(crate) fields: Fields,
    /// Whether the query has the parameters that all lists have.
    pub(crate) is_list: bool,
    /// Whether invalid requirements in `label_selector` are refused.
    pub(crate) checks_labels: bool,
    /// Whether `created_ats` is refused.
    pub(crate) refuses_created_ats: bool,
}

pub(crate) type Fields = &'static [(&'static str, &'static [&'static str])];

impl ListSpec {
    /// A list with these parameters.
    pub(crate) const fn of(params: &'static [&'static str]) -> Self {
        Self {
            params,
            order_by: &[],
            include: &[],
            embed: &[],
            fields: &[],
            is_list: true,
            checks_labels: true,
            refuses_created_ats: false,
        }
    }

    fn takes(&self, name: &str) -> bool {
        self.params.contains(&name) || self.is_list && COMMON.contains(&name)
    }

    /// A single resource with these parameters.
    pub(crate) const fn of_one(params: &'static [&'static str]) -> Self {
        Self {
            is_list: false,
            ..Self::of(params)
        }
    }
}

/// The validated query of a list.
#[derive(Debug)]
pub(crate) struct ListQuery {
    params: Vec<(String, String)>,
    page: u64,
    per_page: u64,
    order: Option<Order>,
    labels: LabelSelector,
    times: Vec<TimeFilter>,
    access: Access,
}

#[derive(Debug)]
struct Order {
    column: String,
    descending: bool,
    /// Whether links to other pages contain the order.
    in_links: bool,
}

impl ListQuery {
    /// Reads the query of a request; 400 if it is not valid for the list.
    pub(crate) fn read(context: &RequestContext<'_>, spec: &ListSpec) -> Result<Self, CcError> {
        Self::read_or(context, spec, CcError::bad_query)
    }

    /// Reads the query of a list that reports errors in its own way.
    pub(crate) fn read_or(
        context: &RequestContext<'_>,
        spec: &ListSpec,
        refuse: impl FnOnce(String) -> CcError,
    ) -> Result<Self, CcError> {
        let params = &with_lists_as_texts(&context.request.query);
        let mut errors = Vec::new();
        let mut query = Self {
            page: page_number(last_value(params, "page")).unwrap_or(1),
            per_page: page_number(last_value(params, "per_page")).unwrap_or(DEFAULT_PER_PAGE),
            order: None,
            labels: LabelSelector::default(),
            times: Vec::new(),
            access: context.access.clone(),
            params: params.clone(),
        };
        if spec.is_list {
            errors.extend(page_errors(params));
            query.order = read_order(params, spec, &mut errors);
            query.times = read_times(params, &mut errors);
        }
        errors.extend(unknown_param(params, spec, context.settings.dialect));
        let known = |key: &&str| spec.takes(param_name(key));
        let keys = params.iter().map(|(key, _)| key.as_str()).filter(known);
        errors.extend(keys.filter_map(operator_error));
        for (kind, name, valid) in [
            ("included", "include", spec.include),
            ("embedded", "embed", spec.embed),
        ] {
            // Without valid values, the parameter is unknown.
            if !valid.is_empty() {
                check_choices(kind, query.values(name), valid, &mut errors);
            }
        }
        if !spec.fields.is_empty() {
            check_fields(&query, spec.fields, &mut errors);
        }
        if spec.refuses_created_ats && query.has("created_ats") {
            errors.push("Filtering by 'created_ats' is not allowed on this resource.".into());
        }
        if !errors.is_empty() {
            return Err(refuse(errors.join(", ")));
        }
        let parse = match spec.checks_labels {
            true => LabelSelector::parse,
            false => LabelSelector::parse_unchecked,
        };
        match last_value(params, "label_selector").map(parse) {
            None => Ok(query),
            Some(Ok(labels)) => Ok(Self { labels, ..query }),
            Some(Err(error)) => Err(refuse(error)),
        }
    }

    /// A parameter's comma-separated values. Each is decoded once more, since values
    /// with commas are encoded twice.
    pub(crate) fn values(&self, name: &str) -> Option<Vec<String>> {
        let value = last_value(&self.params, name)?;
        // Blanks after a comma are ignored, unlike those at the start.
        let mut values = value.split(',');
        let first = values.next().unwrap_or_default();
        let rest = values.map(str::trim_start);
        let values = [first].into_iter().chain(rest);
        Some(values.map(percent_decode).collect())
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        last_value(&self.params, name)
    }

    /// Whether the query has a parameter, such as `created_ats` or
    /// `created_ats[gt]`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.params.iter().any(|(key, _)| param_name(key) == name)
    }

    pub(crate) fn includes(&self, what: &str) -> bool {
        self.has_choice("include", what)
    }

    pub(crate) fn embeds(&self, what: &str) -> bool {
        self.has_choice("embed", what)
    }

    fn has_choice(&self, name: &str, what: &str) -> bool {
        self.values(name)
            .is_some_and(|values| values.iter().any(|value| value == what))
    }

    /// The selected fields of a related resource; `None` if the resource is not
    /// selected.
    pub(crate) fn fields(&self, resource: &str) -> Option<Vec<String>> {
        self.values(&format!("fields[{resource}]"))
    }

    /// The GUIDs of a parameter; malformed ones match nothing.
    pub(crate) fn guids(&self, name: &str) -> Option<Vec<Guid>> {
        let values = self.values(name)?;
        Some(
            values
                .iter()
                .filter_map(|value| Guid::parse(value))
                .collect(),
        )
    }

    /// Sets the order for queries without one, and whether links to other pages
    /// contain it.
    pub(crate) fn or_ordered_by(mut self, column: &str, in_links: bool) -> Self {
        self.order.get_or_insert_with(|| Order {
            column: column.into(),
            descending: false,
            in_links,
        });
        self
    }

    /// Starts a selection with the filters that all lists have.
    pub(crate) fn selection(&self) -> Selection {
        self.by_guids(self.labelled(), "guids", Field::Guid)
    }

    /// Starts a selection with the filters that all lists have, except for `guids`.
    pub(crate) fn labelled(&self) -> Selection {
        self.labels.clauses().fold(Selection::all(), Selection::any)
    }

    /// Filters by users, whose GUIDs on the wire may be any string.
    pub(crate) fn by_users(
        &self,
        world: &World,
        selection: Selection,
        name: &str,
        field: Field,
    ) -> Selection {
        let Some(ids) = self.values(name) else {
            return selection;
        };
        let users = ids.iter().filter_map(|id| world.find_user(id));
        selection.any_guid(field, users.map(Row::guid))
    }

    pub(crate) fn by_guids(&self, selection: Selection, name: &str, field: Field) -> Selection {
        match self.guids(name) {
            Some(guids) => selection.any_guid(field, guids),
            None => selection,
        }
    }

    /// Filters by `app_guids`, `space_guids` and `organization_guids`, which lists
    /// below an app do not have.
    pub(crate) fn by_owners(
        &self,
        world: &World,
        nested: Option<(Field, Guid)>,
    ) -> Result<Selection, CcError> {
        let of_app = matches!(nested, Some((Field::App, _)));
        if of_app {
            self.refuse(&["app_guids", "organization_guids", "space_guids"])?;
        }
        let mut selection = self.by_guids(self.selection(), "app_guids", Field::App);
        selection = self.by_spaces(world, selection);
        Ok(match nested {
            Some((field, guid)) => selection.any_guid(field, [guid]),
            None => selection,
        })
    }

    /// Filters by `space_guids` and `organization_guids`.
    pub(crate) fn by_spaces(&self, world: &World, selection: Selection) -> Selection {
        let selection = self.by_guids(selection, "space_guids", Field::Space);
        match self.guids("organization_guids") {
            Some(orgs) => selection.any_guid(Field::Space, world.spaces_of(orgs)),
            None => selection,
        }
    }

    /// Refuses parameters that only other paths of the list have.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), CcError> {
        let given = names
            .iter()
            .copied()
            .filter(|name| self.value(name).is_some());
        let given: Vec<&str> = given.collect();
        if given.is_empty() {
            return Ok(());
        }
        let given = given.join("', '");
        Err(CcError::bad_query(format!(
            "Unknown query parameter(s): '{given}'"
        )))
    }

    pub(crate) fn by_texts(&self, selection: Selection, name: &str, field: Field) -> Selection {
        match self.values(name) {
            Some(values) => {
                selection.any(values.iter().map(|value| Key::text(field, value)).collect())
            }
            None => selection,
        }
    }

    /// Whether `value` is among a parameter's values, or the parameter is absent.
    pub(crate) fn admits(&self, name: &str, value: &str) -> bool {
        self.values(name)
            .is_none_or(|values| values.iter().any(|other| other == value))
    }

    /// Whether the query has filters.
    fn is_filtered(&self) -> bool {
        /// Parameters that are not filters.
        const SHAPE: [&str; 6] = ["page", "per_page", "order_by", "include", "embed", "fields"];
        self.params
            .iter()
            .any(|(name, _)| !SHAPE.contains(&param_name(name)))
    }

    /// The rows of the requested page, where `keep` admits every row unless the
    /// query has filters. Without filters, the cost depends on the size of the page.
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

    /// A page of all rows, if the table has the right order and the caller sees all
    /// rows.
    fn page_of_all<'w, R: Row>(&self, world: &'w World) -> Option<Page<'w, R>> {
        let table = R::table(world);
        let total = table.len();
        let (start, end) = self.bounds(total);
        let rows = match &self.order {
            _ if !self.access.is_everything() => None,
            None => Some(Box::new(table.iter()) as Box<dyn Iterator<Item = &R>>),
            Some(order) => table.ordered(&order.column, order.descending),
        }?;
        let rows = rows.skip(start).take(end - start).collect();
        Some(Page { rows, total })
    }

    /// The rows of the requested page, and the number of rows on all pages.
    pub(crate) fn page<'w, R: Row>(
        &self,
        world: &'w World,
        selection: &Selection,
        keep: impl Fn(&R) -> bool,
    ) -> Page<'w, R> {
        let mut rows = R::table(world).select(selection);
        rows.retain(|row| self.allows(*row) && keep(row));
        if !self.access.is_everything() {
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

    fn allows<R: Row>(&self, row: &R) -> bool {
        self.times.iter().all(|filter| filter.allows(row.base()))
            && self.labels.allows(&row.base().metadata)
    }

    fn sort<R: Row>(&self, rows: &mut [&R]) {
        let Some(Order {
            column, descending, ..
        }) = &self.order
        else {
            return;
        };
        match column.as_str() {
            "created_at" => rows.sort_by_key(|row| row.base().created),
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
        // The Cloud Controller counts while it reads the page, so the total of an
        // empty page is 0.
        let total = if page.rows.is_empty() { 0 } else { page.total };
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

    /// Responds with a list where `keep` admits every row unless the query has
    /// filters.
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

    /// Responds with a page of resources that are in no table.
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
            .cloned()
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

/// A list as it is sent. Each resource is serialized as soon as it is presented,
/// since building and dropping a tree of all of them takes several times as long.
#[derive(Debug)]
pub(crate) struct ListAnswer {
    body: Vec<u8>,
    /// Contains `included`, if anything is included.
    pub(crate) rest: Value,
}

impl ListAnswer {
    fn new(pagination: &Value, resources: impl Iterator<Item = impl Serialize>) -> Self {
        let mut body = format!(r#"{{"pagination":{pagination},"resources":["#).into_bytes();
        for (index, resource) in resources.enumerate() {
            if index > 0 {
                body.push(b',');
            }
            // Resources have string keys, and writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut body, &resource);
        }
        body.push(b']');
        let rest = json!({});
        Self { body, rest }
    }
}

impl From<ListAnswer> for Response {
    fn from(ListAnswer { mut body, rest }: ListAnswer) -> Self {
        if let Some(included) = rest.get("included") {
            body.extend(format!(r#","included":{included}"#).into_bytes());
        }
        body.push(b'}');
        Self::json_text(200, body)
    }
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Page<'t, R> {
    pub(crate) rows: Vec<&'t R>,
    pub(crate) total: usize,
}

/// `created_ats[gt]` belongs to the parameter `created_ats`.
fn param_name(key: &str) -> &str {
    key.split('[').next().unwrap_or(key)
}

/// The Cloud Controller treats the list `names[]=a&names[]=b` as the string `["a",
/// "b"]`.
fn with_lists_as_texts(params: &[(String, String)]) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::new();
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in params {
        match key.strip_suffix("[]") {
            Some(name) => lists.entry(name).or_default().push(value),
            // The last value is used.
            None => match read.iter_mut().find(|(other, _)| other == key) {
                Some((_, other)) => other.clone_from(value),
                None => read.push((key.clone(), value.clone())),
            },
        }
    }
    let lists = lists.into_iter();
    read.extend(lists.map(|(name, values)| (name.to_owned(), format!("{values:?}"))));
    read
}

/// Why a parameter such as `names[gt]` is refused.
fn operator_error(key: &str) -> Option<String> {
    let (name, operator) = key.split_once('[')?;
    match name {
        "created_ats" | "updated_ats" | "fields" => None,
        "target_guids" if operator == "not]" => None,
        "target_guids" => Some("Target guids target_guids has an invalid operator".into()),
        _ => Some(format!("{} must be an array", humanize(name))),
    }
}

fn unknown_param(params: &[(String, String)], spec: &ListSpec, dialect: Dialect) -> Option<String> {
    let common = match dialect {
        Dialect::V3 => COMMON,
        Dialect::Documented2017 => COMMON_IN_2017,
    };
    let common = if spec.is_list { common } else { &[] };
    let valid: Vec<&str> = common.iter().chain(spec.params).copied().collect();
    let mut unknown: Vec<&str> = Vec::new();
    for (key, _) in params {
        let name = param_name(key);
        if !valid.contains(&name) && !unknown.contains(&name) {
            unknown.push(name);
        }
    }
    if unknown.is_empty() {
        return None;
    }
    let unknown = format!("Unknown query parameter(s): '{}'", unknown.join("', '"));
    Some(match dialect {
        Dialect::V3 => format!("{unknown}. Valid parameters are: '{}'", valid.join("', '")),
        Dialect::Documented2017 => unknown,
    })
}

fn page_errors(params: &[(String, String)]) -> Vec<String> {
    let mut errors = Vec::new();
    if last_value(params, "page").is_some_and(|page| page_number(Some(page)).is_none()) {
        errors.push("Page must be a positive integer".into());
    }
    if let Some(text) = last_value(params, "per_page") {
        match page_number(Some(text)) {
            None => errors.push("Per page must be a positive integer".into()),
            Some(per_page) if per_page > MAX_PER_PAGE => {
                errors.push(format!("Per page must be between 1 and {MAX_PER_PAGE}"));
            }
            Some(_) => {}
        }
    }
    let number = |name, default| page_number(last_value(params, name)).unwrap_or(default);
    let (page, per_page) = (number("page", 1), number("per_page", DEFAULT_PER_PAGE));
    if page
        .checked_mul(per_page)
        .is_none_or(|last| last > MAX_RESULT)
    {
        errors.push(format!(
            "Maximum result (page * per_page) must be less than {MAX_RESULT}"
        ));
    }
    errors
}

/// A positive integer as Ruby's `to_i` reads it, which ignores what follows the
/// digits.
fn page_number(text: Option<&str>) -> Option<u64> {
    let text = text?.trim_start();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let digits = &text[..digits];
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(u64::MAX);
    (number > 0).then_some(number)
}

fn read_order(
    params: &[(String, String)],
    spec: &ListSpec,
    errors: &mut Vec<String>,
) -> Option<Order> {
    let text = last_value(params, "order_by").filter(|text| !text.is_empty())?;
    let column = text.strip_prefix(['+', '-']).unwrap_or(text);
    let columns: Vec<&str> = ["created_at", "updated_at"]
        .iter()
        .chain(spec.order_by)
        .copied()
        .collect();
    if !columns.contains(&column) {
        let valid: Vec<String> = columns.iter().map(|c| format!("'{c}'")).collect();
        errors.push(format!("Order by can only be: {}", valid.join(", ")));
        return None;
    }
    Some(Order {
        column: column.into(),
        descending: text.starts_with('-'),
        in_links: true,
    })
}

fn check_choices(
    kind: &str,
    values: Option<Vec<String>>,
    valid: &[&str],
    errors: &mut Vec<String>,
) {
    let values = values.unwrap_or_default();
    for (index, value) in values.iter().enumerate() {
        if !valid.contains(&value.as_str()) {
            errors.push(format!(
                "Invalid {kind} resource: '{value}'. Valid {kind} resources are: '{}'",
                valid.join("', '")
            ));
        } else if values[..index].contains(value) {
            errors.push(format!("Duplicate {kind} resource: '{value}'"));
        }
    }
}

/// `fields[space]=name,guid`
fn check_fields(query: &ListQuery, valid: Fields, errors: &mut Vec<String>) {
    let quote = |names: &mut dyn Iterator<Item = &str>| {
        let quoted: Vec<String> = names.map(|name| format!("'{name}'")).collect();
        quoted.join(", ")
    };
    for (key, _) in query
        .params
        .iter()
        .filter(|(key, _)| param_name(key) == "fields")
    {
        let Some(resource) = key
            .strip_prefix("fields[")
            .and_then(|key| key.strip_suffix(']'))
        else {
            errors.push("Fields must be an object".into());
            continue;
        };
        let Some((_, allowed)) = valid.iter().find(|(name, _)| *name == resource) else {
            let resources = quote(&mut valid.iter().map(|(name, _)| *name));
            errors.push(format!(
                "Fields [{resource}] valid resources are: {resources}"
            ));
            continue;
        };
        let asked = query.fields(resource).unwrap_or_default();
        if !asked.iter().all(|field| allowed.contains(&field.as_str())) {
            let keys = quote(&mut allowed.iter().copied());
            errors.push(format!("Fields valid keys for '{resource}' are: {keys}"));
        }
    }
}

/// `created_ats` or `updated_ats`.
#[derive(Debug)]
struct TimeFilter {
    updated: bool,
    condition: TimeCondition,
}

#[derive(Debug)]
enum TimeCondition {
    AnyOf(Vec<String>),
    Compare(fn(&str, &str) -> bool, String),
}

impl TimeFilter {
    /// Timestamps have one format, so their strings compare as times do.
    fn allows(&self, base: &Base) -> bool {
        let time = if self.updated {
            base.updated
        } else {
            base.created
        };
        let time = time.to_string();
        match &self.condition {
            TimeCondition::AnyOf(times) => times.contains(&time),
            TimeCondition::Compare(compare, other) => compare(&time, other),
        }
    }
}

fn read_times(params: &[(String, String)], errors: &mut Vec<String>) -> Vec<TimeFilter> {
    let mut filters = Vec::new();
    for (key, value) in params {
        let (name, label) = match param_name(key) {
            name @ "created_ats" => (name, "Created ats"),
            name @ "updated_ats" => (name, "Updated ats"),
            _ => continue,
        };
        let operator = key[name.len()..].trim_matches(['[', ']']);
        match read_time_condition(operator, value) {
            Ok(condition) => filters.push(TimeFilter {
                updated: name == "updated_ats",
                condition,
            }),
            Err(reason) => errors.push(format!("{label} {reason}")),
        }
    }
    filters
}

fn read_time_condition(operator: &str, value: &str) -> Result<TimeCondition, String> {
    let times: Vec<String> = value.split(',').map(str::to_owned).collect();
    if !operator.is_empty() && times.len() > 1 {
        return Err("only accepts one value when using a relational operator".into());
    }
    if !times.iter().all(|time| is_timestamp(time)) {
        return Err("has an invalid timestamp format. Timestamps should be formatted as 'YYYY-MM-DDThh:mm:ssZ'".into());
    }
    let compare: fn(&str, &str) -> bool = match operator {
        "" => return Ok(TimeCondition::AnyOf(times)),
        "lt" => |a, b| a < b,
        "lte" => |a, b| a <= b,
        "gt" => |a, b| a > b,
        "gte" => |a, b| a >= b,
        other => return Err(format!("Invalid relational operator: '{other}'")),
    };
    Ok(TimeCondition::Compare(compare, value.into()))
}

fn is_timestamp(text: &str) -> bool {
    text.len() == "2017-04-25T20:53:11Z".len()
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            10 => byte == b'T',
            13 | 16 => byte == b':',
            19 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}
