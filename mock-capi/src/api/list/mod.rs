//! Lists of v3: their query parameters, filters, order and pages.

mod page;
mod params;
mod times;

pub(crate) use page::Page;
use params::{
    check_choices, check_fields, operator_error, page_errors, page_number, param_name, read_order,
    unknown_param, with_lists_as_texts,
};
use times::{TimeFilter, read_times};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::{last_value, percent_decode};
use crate::world::metadata::LabelSelector;
use crate::world::{Access, Field, Guid, Key, Row, Selection, World};

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

/// The query parameters of a list, in addition to pages, order, `guids`, `created_ats`
/// and `updated_ats`.
#[derive(Debug)]
pub(crate) struct ListSpec {
    /// Additional query parameters, in the order in which errors name them.
    pub(crate) params: &'static [&'static str],
    /// The values of `order_by`, in addition to `created_at` and `updated_at`.
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
    /// Whether resources are counted separately from the page, so that the total is
    /// correct even on an empty page.
    pub(crate) counts_apart: bool,
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
            counts_apart: false,
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
    counts_apart: bool,
}

#[derive(Debug)]
struct Order {
    column: String,
    descending: bool,
    /// Whether links to other pages contain the order.
    in_links: bool,
}

impl ListQuery {
    /// Reads the query of a request. The error is 400 if the query is invalid for the
    /// list.
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
            counts_apart: spec.counts_apart,
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

    /// A parameter's comma-separated values. Each value is decoded a second time, because
    /// values with commas are encoded twice.
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

    /// The selected fields of a related resource. `None` if the resource is not selected.
    pub(crate) fn fields(&self, resource: &str) -> Option<Vec<String>> {
        self.values(&format!("fields[{resource}]"))
    }

    /// The GUIDs of a parameter. Malformed GUIDs match nothing.
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

    /// Filters by users, whose GUIDs in the API may be any string.
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

    /// Refuses parameters that only the list's other paths have.
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

    fn allows<R: Row>(&self, row: &R) -> bool {
        self.times.iter().all(|filter| filter.allows(row.base()))
            && self.labels.allows(&row.base().metadata)
    }
}
