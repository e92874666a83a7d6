//! `/v3/security_groups`

use serde_json::{Value, json};

use super::spaces;
use crate::api::context::{RequestContext, View, to_many};
use crate::api::error::{CcError, validate};
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, to_many_body};
use crate::api::router::Route;
use crate::api::shared::new_app::name_errors;
use crate::api::shared::security_rules::{model_errors, rule_errors};
use crate::api::state::Present;
use crate::world::{
    AccessScope, Field, Guid, Kind, Row, SecurityGroup, Space, UPDATE_SPACE, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/security_groups", index),
    Route::post("/v3/security_groups", create),
    Route::get("/v3/security_groups/:guid", show),
    Route::patch("/v3/security_groups/:guid", update),
    Route::delete("/v3/security_groups/:guid", delete),
    Route::post(
        "/v3/security_groups/:guid/relationships/running_spaces",
        bind_running,
    )
    .by_anyone(),
    Route::post(
        "/v3/security_groups/:guid/relationships/staging_spaces",
        bind_staging,
    )
    .by_anyone(),
    Route::delete(
        "/v3/security_groups/:guid/relationships/running_spaces/:space",
        unbind_running,
    )
    .by_anyone(),
    Route::delete(
        "/v3/security_groups/:guid/relationships/staging_spaces/:space",
        unbind_staging,
    )
    .by_anyone(),
    Route::get("/v3/spaces/:guid/running_security_groups", index_running),
    Route::get("/v3/spaces/:guid/staging_security_groups", index_staging),
];

const LIST: ListSpec = ListSpec::of(&[
    "names",
    "running_space_guids",
    "staging_space_guids",
    "globally_enabled_running",
    "globally_enabled_staging",
]);
const LIST_OF_SPACE: ListSpec = ListSpec::of(&["names"]);
const MAX_NAME: usize = 250;

/// One of a group's two lists of spaces.
#[derive(Clone, Copy)]
enum Phase {
    Running,
    Staging,
}

impl Phase {
    fn spaces(self, group: &SecurityGroup) -> &[Guid] {
        match self {
            Self::Running => &group.running_spaces,
            Self::Staging => &group.staging_spaces,
        }
    }

    fn spaces_mut(self, group: &mut SecurityGroup) -> &mut Vec<Guid> {
        match self {
            Self::Running => &mut group.running_spaces,
            Self::Staging => &mut group.staging_spaces,
        }
    }

    /// Whether a group applies to running or staged apps of a space.
    fn applies(self, group: &SecurityGroup, space: Guid) -> bool {
        match self {
            Self::Running => group.running_default || group.running_spaces.contains(&space),
            Self::Staging => group.staging_default || group.staging_spaces.contains(&space),
        }
    }

    fn relationship(self) -> &'static str {
        match self {
            Self::Running => "running_spaces",
            Self::Staging => "staging_spaces",
        }
    }
}

impl Present for SecurityGroup {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(group: &SecurityGroup, view: &View<'_>) -> Value {
    present_with(group, view, |_| true)
}

/// A group with the spaces that the caller can see, according to `seen`.
fn present_with(group: &SecurityGroup, view: &View<'_>, seen: impl Fn(&Guid) -> bool) -> Value {
    let spaces = |bound: &[Guid]| to_many(view.visible_spaces(bound.iter().copied().filter(&seen)));
    json!({
        "guid": group.base.guid,
        "created_at": group.base.created,
        "updated_at": group.base.updated,
        "name": group.name,
        "rules": group.rules,
        "globally_enabled": {
            "running": group.running_default,
            "staging": group.staging_default,
        },
        "relationships": {
            "running_spaces": spaces(&group.running_spaces),
            "staging_spaces": spaces(&group.staging_spaces),
        },
        "links": {"self": view.link(&format!("/v3/security_groups/{}", group.base.guid))},
    })
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<SecurityGroup>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &LIST, CcError::unprocessable)?;
    for (name, label) in [
        ("globally_enabled_running", "Globally enabled running"),
        ("globally_enabled_staging", "Globally enabled staging"),
    ] {
        let value = query.value(name);
        if value.is_some_and(|value| !["true", "false"].contains(&value)) {
            return Err(CcError::unprocessable(format!(
                "{label} must be 'true' or 'false'"
            )));
        }
    }
    let selection = query.by_texts(query.selection(), "names", SecurityGroup::NAME);
    let selection = query.by_guids(selection, "running_space_guids", Field::RunningSpace);
    let selection = query.by_guids(selection, "staging_space_guids", Field::StagingSpace);
    let keep = |group: &SecurityGroup| {
        query.admits(
            "globally_enabled_running",
            &group.running_default.to_string(),
        ) && query.admits(
            "globally_enabled_staging",
            &group.staging_default.to_string(),
        )
    };
    query.respond_by_query(context, &selection, keep, present)
}

fn index_running(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    index_of_space(context, Phase::Running)
}

fn index_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    index_of_space(context, Phase::Staging)
}

/// Lists the groups that apply to a space, without their other spaces.
fn index_of_space(context: &RequestContext<'_>, phase: Phase) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &LIST_OF_SPACE, CcError::unprocessable)?;
    let space = spaces::find(context)?;
    let selection = query.by_texts(query.selection(), "names", SecurityGroup::NAME);
    query.respond(
        context,
        &selection,
        |group| phase.applies(group, space),
        |group, view| present_with(group, view, |other| *other == space),
    )
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let allowed = ["name", "globally_enabled", "relationships", "rules"];
    let mut message = Message::new(&body, &allowed);
    let (mut running, mut staging) = (Vec::new(), Vec::new());
    if message.has("relationships") {
        message.relationships_of_any(|inner| {
            running = inner.related_many("running_spaces");
            staging = inner.related_many("staging_spaces");
        });
    }
    let rules = read_rules(&mut message, context.settings.ipv6).unwrap_or_default();
    let name = message.check("name").present().string();
    let name = name.length(0..=MAX_NAME).text().unwrap_or_default();
    let enabled = read_globally_enabled(&mut message);
    message.finish()?;
    check_model(name, &rules, context.settings.ipv6)?;
    check_name(context, name, None)?;
    let staging_spaces = known_spaces(context.world, &staging, "do not exist.")?;
    let running_spaces = known_spaces(context.world, &running, "do not exist.")?;
    let base = context.world.base();
    let guid = context.world.add(SecurityGroup {
        base,
        name: name.into(),
        rules,
        running_default: enabled.running.unwrap_or_default(),
        staging_default: enabled.staging.unwrap_or_default(),
        running_spaces,
        staging_spaces,
    });
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "globally_enabled", "rules"]);
    let rules = read_rules(&mut message, context.settings.ipv6);
    let enabled = read_globally_enabled(&mut message);
    let name = message.has("name").then(|| {
        let name = message.check("name").string();
        name.length(1..=MAX_NAME).text()
    });
    let name = name.flatten();
    message.finish()?;
    let group: &SecurityGroup = context.row(guid)?;
    check_model(
        name.unwrap_or(&group.name),
        rules.as_ref().unwrap_or(&group.rules),
        context.settings.ipv6,
    )?;
    if let Some(name) = name {
        check_name(context, name, Some(guid))?;
    }
    context.world.update_row(guid, |group: &mut SecurityGroup| {
        group.name = name.map_or_else(|| std::mem::take(&mut group.name), str::to_owned);
        group.rules = rules.unwrap_or_else(|| std::mem::take(&mut group.rules));
        group.running_default = enabled.running.unwrap_or(group.running_default);
        group.staging_default = enabled.staging.unwrap_or(group.staging_default);
    });
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    Ok(context.delete_in_job("security_group.delete", Kind::SecurityGroup, guid))
}

fn bind_running(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    bind(context, Phase::Running)
}

fn bind_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    bind(context, Phase::Staging)
}

fn bind(context: &mut RequestContext<'_>, phase: Phase) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let problem = "do not exist, or you do not have access to them.";
    let spaces = known_spaces(context.world, &to_many_body(&body)?, problem)?;
    for space in &spaces {
        context.require(UPDATE_SPACE, AccessScope::Space(*space))?;
    }
    let mut bound = Vec::new();
    context.world.update_row(guid, |group: &mut SecurityGroup| {
        add_missing(phase.spaces_mut(group), &spaces);
        bound = phase.spaces(group).to_vec();
    });
    let mut relationship = to_many(bound);
    let path = format!(
        "/v3/security_groups/{guid}/relationships/{}",
        phase.relationship()
    );
    relationship["links"] = json!({"self": context.view().link(&path)});
    Ok(Response::ok(&relationship))
}

/// Adds GUIDs that are missing.
pub(crate) fn add_missing(present: &mut Vec<Guid>, guids: &[Guid]) {
    for guid in guids {
        if !present.contains(guid) {
            present.push(*guid);
        }
    }
}

fn unbind_running(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    unbind(context, Phase::Running)
}

fn unbind_staging(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    unbind(context, Phase::Staging)
}

fn unbind(context: &mut RequestContext<'_>, phase: Phase) -> Result<Response, CcError> {
    let guid = find(context)?;
    let text = context.capture("space").to_owned();
    let space = context.world.look_up::<Space>(&text).map(Row::guid);
    if let Some(space) = space {
        context.require(UPDATE_SPACE, AccessScope::Space(space))?;
    }
    let bound = phase.spaces(context.row::<SecurityGroup>(guid)?);
    if !space.is_some_and(|space| bound.contains(&space)) {
        return Err(CcError::unprocessable(format!(
            "Unable to unbind security group from space with guid '{text}'. Ensure the space is bound to this security group."
        )));
    }
    context.world.update_row(guid, |group: &mut SecurityGroup| {
        let spaces = phase.spaces_mut(group);
        spaces.retain(|other| Some(*other) != space);
    });
    Ok(Response::empty(204))
}

/// Checks a group as the Cloud Controller's model does.
fn check_model(name: &str, rules: &[Value], ipv6: bool) -> Result<(), CcError> {
    let mut errors = name_errors(name);
    errors.extend(model_errors(rules, ipv6));
    validate(&errors)
}

fn check_name(context: &RequestContext<'_>, name: &str, own: Option<Guid>) -> Result<(), CcError> {
    if context.world.name_taken::<SecurityGroup>(name, own) {
        let taken = format!("Security group with name '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    Ok(())
}

fn known_spaces(world: &World, guids: &[&str], problem: &str) -> Result<Vec<Guid>, CcError> {
    let known = world.look_up_all(guids, |_: &Space| true);
    known.map_err(|unknown| {
        CcError::unprocessable(format!("Spaces with guids {unknown:?} {problem}"))
    })
}

#[derive(Default)]
struct GloballyEnabled {
    running: Option<bool>,
    staging: Option<bool>,
}

fn read_globally_enabled(message: &mut Message<'_>) -> GloballyEnabled {
    let Some(enabled) = message.object("globally_enabled") else {
        return GloballyEnabled::default();
    };
    if enabled
        .keys()
        .any(|key| key != "running" && key != "staging")
    {
        message.error("Globally enabled only allows keys 'running' or 'staging'");
    } else if !enabled.values().all(Value::is_boolean) {
        message.error("Globally enabled values must be booleans");
    }
    let flag = |name: &str| enabled.get(name).and_then(Value::as_bool);
    GloballyEnabled {
        running: flag("running"),
        staging: flag("staging"),
    }
}

fn read_rules(message: &mut Message<'_>, ipv6: bool) -> Option<Vec<Value>> {
    if !message.has("rules") {
        return None;
    }
    let Some(Value::Array(rules)) = message.get("rules") else {
        message.error("Rules must be an array");
        return None;
    };
    for (index, rule) in rules.iter().enumerate() {
        for error in rule_errors(rule, ipv6) {
            message.error(format!("Rules[{index}]: {error}"));
        }
    }
    Some(rules.clone())
}
