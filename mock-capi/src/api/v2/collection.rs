//! The collections of v2. Requests for all collections are handled in the same way:
//! lists, single resources and related resources, with relations inlined to the requested
//! depth.

use serde_json::{Map, Value, json};

use super::entity::{Entity, V2Resource};
use super::filter::Filter;
use super::list::{Inline, Query};
use super::source::{Source, rows};
use super::{COLLECTIONS, users};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{Field, Guid, Selection, World};

/// A collection of resources and their relations.
#[derive(Debug)]
pub(super) struct Collection {
    /// The path, such as `/v2/apps`.
    pub(super) path: &'static str,
    pub(super) source: Source,
    /// The resource with a GUID of the world.
    pub(super) get: for<'w> fn(&'w World, Guid) -> Option<Entity<'w>>,
    /// The GUID of the world for a string in a path.
    pub(super) parse: fn(&World, &str) -> Option<Guid>,
    pub(super) relations: &'static [Relation],
    pub(super) filters: &'static [Filter],
    /// The values of `order-by`.
    pub(super) order_by: &'static [&'static str],
    /// The code, title and message of the error for an unknown GUID.
    pub(super) not_found: (u32, &'static str, &'static str),
}

/// A relation of the resources of a collection.
#[derive(Debug)]
pub(super) struct Relation {
    name: &'static str,
    to: &'static Collection,
    find: Find,
    /// Finds the inlined resources, if they differ from the relation's list.
    inlined: Option<FindMany>,
}

type FindOne = for<'w> fn(&'w World, Guid) -> Option<Entity<'w>>;
type FindMany = for<'w> fn(&'w World, Guid) -> Vec<Entity<'w>>;

/// Finds the related resources of a GUID.
#[derive(Debug)]
enum Find {
    One(FindOne),
    Many(FindMany),
    /// A list that is never inlined.
    Link(FindMany),
}

impl Relation {
    const fn new(name: &'static str, to: &'static Collection, find: Find) -> Self {
        Self {
            name,
            to,
            find,
            inlined: None,
        }
    }

    pub(super) const fn one(name: &'static str, to: &'static Collection, find: FindOne) -> Self {
        Self::new(name, to, Find::One(find))
    }

    pub(super) const fn many(name: &'static str, to: &'static Collection, find: FindMany) -> Self {
        Self::new(name, to, Find::Many(find))
    }

    pub(super) const fn link(name: &'static str, to: &'static Collection, find: FindMany) -> Self {
        Self::new(name, to, Find::Link(find))
    }

    /// Inlines other resources than the list contains.
    pub(super) const fn inlining(mut self, find: FindMany) -> Self {
        self.inlined = Some(find);
        self
    }
}

/// The row with a GUID, as a resource.
pub(super) fn row<'w, R: V2Resource>(world: &'w World, guid: Guid) -> Option<Entity<'w>> {
    world.get::<R>(guid).map(Entity::from)
}

/// Parses a GUID, the identifier of most collections.
pub(super) fn by_guid(_world: &World, text: &str) -> Option<Guid> {
    Guid::parse(text)
}

/// The rows with a key, as resources.
pub(super) fn rows_by<'w, R: V2Resource>(
    world: &'w World,
    field: Field,
    guid: Guid,
) -> Vec<Entity<'w>> {
    rows::<R>(world, &Selection::by(field, guid))
}

impl Collection {
    /// The collection of a path.
    fn of(path: &str) -> Result<&'static Self, CcError> {
        let mut collections = COLLECTIONS.iter().copied();
        let found = collections.find(|collection| {
            let rest = path.strip_prefix(collection.path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        found.ok_or_else(CcError::unknown_request)
    }

    fn find<'w>(&self, world: &'w World, text: &str) -> Option<Entity<'w>> {
        (self.get)(world, (self.parse)(world, text)?)
    }

    pub(super) fn not_found(&self, guid: &str) -> CcError {
        let (code, title, text) = self.not_found;
        CcError::new(404, code, title, format!("{text}: {guid}"))
    }

    /// The GUID of the resource with an identifier, without a check of permissions.
    pub(super) fn look_up(&self, world: &World, text: &str) -> Result<Guid, CcError> {
        let found = self.find(world, text);
        found.map(Entity::guid).ok_or_else(|| self.not_found(text))
    }

    /// The resource of `:guid` in the path, if the caller may read it.
    fn read<'c>(&self, context: &'c RequestContext<'_>) -> Result<Entity<'c>, CcError> {
        let text = context.capture("guid");
        let found = self.find(context.world, text);
        let found = found.ok_or_else(|| self.not_found(text))?;
        if found.is_readable(&context.view()) {
            Ok(found)
        } else {
            Err(CcError::not_authorized())
        }
    }

    /// The GUID of the resource of `:guid` in the path, if the caller may read it.
    pub(super) fn readable(&self, context: &RequestContext<'_>) -> Result<Guid, CcError> {
        self.read(context).map(Entity::guid)
    }

    /// Presents a resource for the request.
    pub(super) fn present(
        &'static self,
        context: &RequestContext<'_>,
        guid: Guid,
    ) -> Result<Value, CcError> {
        let found = (self.get)(context.world, guid);
        let found = found.ok_or_else(|| self.not_found(&guid.to_string()))?;
        let inline = Inline::read(context)?;
        Ok(present(self, found, &context.view(), &inline))
    }

    /// The response to a request that changed the resource.
    pub(super) fn changed(
        &'static self,
        context: &RequestContext<'_>,
        guid: Guid,
    ) -> Result<Response, CcError> {
        Ok(Response::created(&self.present(context, guid)?))
    }

    /// The response to a request that created the resource.
    pub(super) fn created(
        &'static self,
        context: &RequestContext<'_>,
        guid: Guid,
    ) -> Result<Response, CcError> {
        let presented = self.present(context, guid)?;
        let id = presented["metadata"]["guid"].as_str().unwrap_or_default();
        let location = format!("{}/{id}", self.path);
        Ok(Response::created(&presented).with_header("Location", location))
    }
}

/// `GET` of a collection
pub(super) fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let collection = Collection::of(context.request.path)?;
    let query = Query::read(context, collection, true)?;
    Ok(query.list(context, collection))
}

/// `GET` of a resource
pub(super) fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    show_of(context, Collection::of(context.request.path)?)
}

/// The resource of a collection whose GUID is in the path
pub(super) fn show_of(
    context: &RequestContext<'_>,
    collection: &'static Collection,
) -> Result<Response, CcError> {
    let inline = Inline::read(context)?;
    let found = collection.read(context)?;
    Ok(Response::ok(&present(
        collection,
        found,
        &context.view(),
        &inline,
    )))
}

/// `GET` of related resources
pub(super) fn related(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let collection = Collection::of(context.request.path)?;
    let owner = collection.read(context)?;
    let name = context
        .request
        .path
        .trim_end_matches('/')
        .rsplit('/')
        .next();
    let mut relations = collection.relations.iter();
    let relation = relations.find(|relation| Some(relation.name) == name);
    let relation = relation.ok_or_else(CcError::unknown_request)?;
    let query = Query::read(context, relation.to, false)?;
    let found = match relation.find {
        Find::One(find) => find(context.world, owner.guid()).into_iter().collect(),
        Find::Many(find) | Find::Link(find) => find(context.world, owner.guid()),
    };
    let path = format!("{}/{}", owner.path(collection.path), relation.name);
    Ok(query.answer(context, relation.to, found, &path))
}

/// Presents a resource for the request.
fn present<'w>(
    collection: &'static Collection,
    entity: Entity<'w>,
    view: &View<'w>,
    inline: &Inline,
) -> Value {
    Presenter::new(view, inline).present(collection, entity)
}

/// Presents resources with their relations.
pub(super) struct Presenter<'p, 'w> {
    view: &'p View<'w>,
    inline: &'p Inline,
    /// The collections of the resources that are being presented.
    parents: Vec<&'static Collection>,
    /// Related resources by GUID, if the request sets `orphan-relations`.
    pub(super) orphans: Option<Map<String, Value>>,
}

impl<'p, 'w> Presenter<'p, 'w> {
    pub(super) fn new(view: &'p View<'w>, inline: &'p Inline) -> Self {
        Self {
            view,
            inline,
            parents: Vec::new(),
            orphans: None,
        }
    }

    pub(super) fn present(&mut self, collection: &'static Collection, entity: Entity<'w>) -> Value {
        let mut presented = self.present_related(collection, entity);
        // Users' names are read from UAA, once per response.
        if let Entity::User(user) = entity
            && let Some(name) = users::name(user, self.view)
        {
            presented["entity"]["username"] = json!(name);
        }
        presented
    }

    fn present_related(&mut self, collection: &'static Collection, entity: Entity<'w>) -> Value {
        let mut attributes = entity.attributes(self.view);
        self.parents.push(collection);
        for relation in collection.relations {
            self.relate(&mut attributes, collection, entity, relation);
        }
        self.parents.pop();
        json!({
            "metadata": entity.metadata(collection.path),
            "entity": attributes,
        })
    }

    fn relate(
        &mut self,
        attributes: &mut Value,
        collection: &'static Collection,
        entity: Entity<'w>,
        relation: &Relation,
    ) {
        let Relation { name, to, find, .. } = relation;
        // The resource presents only the name of the relation.
        if matches!(entity, Entity::Domain(domain) if domain.org.is_none()) {
            return;
        }
        let inlined = self.inline.has(name, self.parents.len()) && !self.is_parent(to);
        match find {
            Find::One(find) => {
                let found = find(self.view.world, entity.guid());
                let Some(found) = found.filter(|found| found.is_visible(self.view)) else {
                    return;
                };
                attributes[format!("{name}_url")] = json!(found.url(to.path));
                if inlined {
                    let presented = self.present_related(to, found);
                    match &mut self.orphans {
                        Some(orphans) => drop(orphans.entry(found.id()).or_insert(presented)),
                        None => attributes[*name] = presented,
                    }
                }
            }
            Find::Many(find) if inlined => {
                self.link(attributes, collection, entity, name);
                let find = relation.inlined.unwrap_or(*find);
                let mut found = find(self.view.world, entity.guid());
                found.retain(|found| found.is_visible(self.view));
                if found.len() <= Inline::MAX {
                    attributes[*name] = self.inline_all(to, found);
                }
            }
            Find::Many(_) | Find::Link(_) => self.link(attributes, collection, entity, name),
        }
    }

    fn link(
        &self,
        attributes: &mut Value,
        collection: &Collection,
        entity: Entity<'_>,
        name: &str,
    ) {
        let path = entity.path(collection.path);
        attributes[format!("{name}_url")] = json!(format!("{path}/{name}"));
    }

    fn inline_all(&mut self, to: &'static Collection, found: Vec<Entity<'w>>) -> Value {
        let mut inlined = Vec::new();
        for entity in found {
            let presented = self.present_related(to, entity);
            match &mut self.orphans {
                Some(orphans) => {
                    orphans.entry(entity.id()).or_insert(presented);
                    inlined.push(json!(entity.id()));
                }
                None => inlined.push(presented),
            }
        }
        Value::Array(inlined)
    }

    fn is_parent(&self, collection: &'static Collection) -> bool {
        let mut parents = self.parents.iter();
        parents.any(|parent| parent.path == collection.path)
    }
}
