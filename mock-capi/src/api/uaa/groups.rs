//! `/Groups` of UAA, and their members.

use serde::Deserialize;
use serde_json::{Value, json};

use super::filter::Attributes;
use super::refusal::Refusal;
use super::scim::{self, SCHEMAS, check_version, require_scope, with_version};
use super::users::MetaMessage;
use crate::api::context::{RequestContext, View};
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::json::read_object;
use crate::world::{Group, Guid, Member, UAA_ORIGIN, World};

pub(super) const ROUTES: &[Route] = &[
    Route::get("/uaa/Groups", uaa_handler!(index)).open(),
    Route::post("/uaa/Groups", uaa_handler!(create)).open(),
    Route::get("/uaa/Groups/:guid", uaa_handler!(show)).open(),
    Route::put("/uaa/Groups/:guid", uaa_handler!(replace)).open(),
    Route::patch("/uaa/Groups/:guid", uaa_handler!(patch)).open(),
    Route::delete("/uaa/Groups/:guid", uaa_handler!(delete)).open(),
    Route::get("/uaa/Groups/:guid/members", uaa_handler!(list_members)).open(),
    Route::post("/uaa/Groups/:guid/members", uaa_handler!(add_member)).open(),
    Route::get(
        "/uaa/Groups/:guid/members/:member",
        uaa_handler!(show_member),
    )
    .open(),
    Route::delete(
        "/uaa/Groups/:guid/members/:member",
        uaa_handler!(remove_member),
    )
    .open(),
];

const READ: &str = "uaa.admin scim.read";
const WRITE: &str = "uaa.admin scim.write";

const ATTRIBUTES: Attributes<Group> = &[
    ("id", |group| vec![group.base.guid.to_string()]),
    ("displayname", |group| vec![group.name.clone()]),
    ("description", |group| {
        group.description.iter().cloned().collect()
    }),
    ("meta.created", |group| vec![group.base.created.to_string()]),
    ("meta.lastmodified", |group| {
        vec![group.base.updated.to_string()]
    }),
];

fn present_member(member: Member) -> Value {
    let kind = match member {
        Member::User(_) => "USER",
        Member::Group(_) => "GROUP",
    };
    json!({"origin": UAA_ORIGIN, "type": kind, "value": member.guid()})
}

fn present_members(group: Guid, world: &World) -> Value {
    let members = world.members_of(group).into_iter();
    members.map(present_member).collect()
}

impl Present for Group {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view.world)
    }
}

fn present(group: &Group, world: &World) -> Value {
    let mut presented = json!({
        "id": group.base.guid,
        "meta": {
            "version": group.version,
            "created": group.base.created,
            "lastModified": group.base.updated,
        },
        "displayName": group.name,
        "zoneId": "uaa",
        "members": present_members(group.base.guid, world),
        "schemas": SCHEMAS,
    });
    if let Some(description) = &group.description {
        presented["description"] = json!(description);
    }
    presented
}

fn answer(context: &RequestContext<'_>, guid: Guid, status: u16) -> Result<Response, Refusal> {
    let group = context.world.groups.get(guid);
    let group = group.ok_or_else(|| not_found(&guid.to_string()))?;
    let response = Response::json(status, &present(group, context.world));
    Ok(with_version(response, group.version))
}

fn not_found(id: &str) -> Refusal {
    let description = format!("Group {id} does not exist");
    Refusal::scim(404, "scim_resource_not_found", description)
}

fn find<'c>(context: &'c RequestContext<'_>) -> Result<&'c Group, Refusal> {
    let id = context.capture("guid");
    let group = context.world.look_up::<Group>(id);
    group.ok_or_else(|| not_found(id))
}

fn invalid(description: impl Into<String>) -> Refusal {
    Refusal::scim(400, "invalid_scim_resource", description)
}

/// A group in a request. Unknown keys are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct GroupMessage {
    display_name: Option<String>,
    description: Option<String>,
    members: Option<Vec<MemberMessage>>,
    meta: MetaMessage,
}

#[derive(Clone, Debug, Deserialize)]
struct MemberMessage {
    value: String,
    /// `delete` in a `PATCH` removes the member.
    operation: Option<String>,
}

impl GroupMessage {
    fn read(context: &RequestContext<'_>) -> Result<Self, Refusal> {
        read_object(context.request.body).map_err(Refusal::unreadable)
    }

    fn name(&self) -> Result<String, Refusal> {
        let name = self.display_name.clone().filter(|name| !name.is_empty());
        name.ok_or_else(|| invalid("A group must have a displayName."))
    }

    /// Returns the members, if UAA knows all of them.
    fn members(&self, world: &World) -> Result<Vec<Member>, Refusal> {
        let members = self.members.iter().flatten();
        let members = members.map(|member| {
            let found = world.find_member(&member.value);
            found.ok_or_else(|| invalid(format!("Invalid group member: {}", member.value)))
        });
        members.collect()
    }
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let world = &*context.world;
    let groups = world.groups.iter();
    scim::list(context, groups, ATTRIBUTES, &SCHEMAS, |group| {
        present(group, world)
    })
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let message = GroupMessage::read(context)?;
    let name = message.name()?;
    if context.world.named::<Group>(&name).is_some() {
        let description = format!("A group with displayName: {name} already exists.");
        let refusal = Refusal::scim(409, "scim_resource_already_exists", description);
        return Err(refusal);
    }
    let members = message.members(context.world)?;
    let guid = context.world.add_group(name, message.description);
    for member in members {
        context.world.add_member(guid, member);
    }
    answer(context, guid, 201)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let guid = find(context)?.base.guid;
    answer(context, guid, 200)
}

fn replace(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let message = GroupMessage::read(context)?;
    let members = message.members(context.world)?;
    let name = message.name()?;
    update(context, name, message.description, members)
}

fn patch(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let message = GroupMessage::read(context)?;
    let group = find(context)?;
    let mut members = context.world.members_of(group.base.guid);
    let (mut name, mut description) = (group.name.clone(), group.description.clone());
    for attribute in &message.meta.attributes {
        match attribute.to_lowercase().as_str() {
            "description" => description = None,
            "displayname" => name.clear(),
            "members" => members.clear(),
            _ => {
                return Err(invalid(format!(
                    "Attribute {attribute} cannot be removed using \"Meta.attributes\""
                )));
            }
        }
    }
    let changes = message.members(context.world)?;
    members.retain(|member| !changes.contains(member));
    let operations = message.members.iter().flatten();
    let kept = changes.iter().zip(operations).filter(|(_, change)| {
        let operation = change.operation.as_deref().unwrap_or_default();
        !operation.eq_ignore_ascii_case("delete")
    });
    members.extend(kept.map(|(member, _)| *member));
    name = message.display_name.unwrap_or(name);
    if name.is_empty() {
        return Err(invalid("A group must have a displayName."));
    }
    update(context, name, message.description.or(description), members)
}

fn update(
    context: &mut RequestContext<'_>,
    name: String,
    description: Option<String>,
    members: Vec<Member>,
) -> Result<Response, Refusal> {
    let group = find(context)?;
    let guid = group.base.guid;
    check_version(context, &format!("a group ({guid})"), group.version)?;
    if context.world.name_taken::<Group>(&name, Some(guid)) {
        let description = format!("A group with displayName: {name} already exists");
        return Err(invalid(description));
    }
    if members.contains(&Member::Group(guid)) {
        return Err(nested_in_itself());
    }
    for member in context.world.members_of(guid) {
        context.world.remove_member(guid, member.guid());
    }
    for member in members {
        context.world.add_member(guid, member);
    }
    context.world.update_row(guid, |group: &mut Group| {
        group.name = name;
        group.description = description;
        group.version += 1;
    });
    answer(context, guid, 200)
}

fn nested_in_itself() -> Refusal {
    invalid("trying to nest group within itself, aborting")
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let group = find(context)?;
    let (guid, version) = (group.base.guid, group.version);
    if context.request.header("if-match").is_some() {
        check_version(context, &format!("a group ({guid})"), version)?;
    }
    let deleted = answer(context, guid, 200);
    context.world.delete_group(guid);
    deleted
}

fn list_members(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let group = find(context)?.base.guid;
    Ok(Response::ok(&present_members(group, context.world)))
}

fn add_member(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let message: MemberMessage = read_object(context.request.body).map_err(Refusal::unreadable)?;
    let group = find(context)?;
    let refuse = |description: String| Refusal::scim(409, "member_already_exists", description);
    if group.is_default() {
        return Err(refuse("Trying to add member to default group".into()));
    }
    let guid = group.base.guid;
    let member = context.world.find_member(&message.value);
    let member = member.ok_or_else(|| not_found(&message.value))?;
    if member == Member::Group(guid) {
        return Err(nested_in_itself());
    }
    if context.world.is_member(guid, member.guid()) {
        let value = &message.value;
        return Err(refuse(format!(
            "{value} is already part of the group: {guid}"
        )));
    }
    context.world.add_member(guid, member);
    Ok(Response::created(&present_member(member)))
}

/// The group and the member in a path.
fn find_membership(context: &RequestContext<'_>) -> Result<(Guid, Member), Refusal> {
    let group = find(context)?.base.guid;
    let id = context.capture("member");
    let member = context.world.find_member(id);
    let member = member.filter(|member| context.world.is_member(group, member.guid()));
    let member = member.ok_or_else(|| {
        let description = format!("Member {id} does not exist in group {group}");
        Refusal::scim(404, "member_not_found", description)
    })?;
    Ok((group, member))
}

fn show_member(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, READ)?;
    let (_, member) = find_membership(context)?;
    Ok(Response::ok(&present_member(member)))
}

fn remove_member(context: &mut RequestContext<'_>) -> Result<Response, Refusal> {
    require_scope(context, WRITE)?;
    let (group, member) = find_membership(context)?;
    context.world.remove_member(group, member.guid());
    Ok(Response::ok(&present_member(member)))
}
