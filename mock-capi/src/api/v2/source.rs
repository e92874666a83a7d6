//! The sources of the resources of a collection: a selection, or an index that has all
//! resources in order.

use super::entity::{Entity, V2Resource};
use crate::world::{Access, Field, Key, Row, Rows, Selection, Table, World};

/// The order of a list: by name or by creation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) by_name: bool,
    pub(super) descending: bool,
}

impl Order {
    /// The rows of a table that have any of the keys, or all rows without keys, and
    /// their number. `None` if no index has that order.
    pub(super) fn rows<'w, R: Row>(
        self,
        world: &World,
        table: &'w Table<R>,
        keys: Option<&[Key]>,
    ) -> Option<(usize, Rows<'w, R>)> {
        let column = self.by_name.then_some("name");
        table.in_order(keys, column, self.descending, world.now())
    }
}

/// The number of resources, and the resources in order.
pub(super) type Listing<'w> = (usize, Box<dyn Iterator<Item = Entity<'w>> + 'w>);

type Select = for<'w> fn(&'w World, &Selection) -> Vec<Entity<'w>>;
type InOrder = for<'w> fn(&'w World, Option<&[Key]>, Order) -> Option<Listing<'w>>;
type Visible = fn(&World, &Access) -> Option<Vec<Key>>;

/// The resources of a collection.
#[derive(Debug)]
pub(super) struct Source {
    /// The resources that match a selection.
    select: Select,
    /// The resources with any of the keys, or all resources without keys. `None` if no
    /// index has that order.
    in_order: InOrder,
    /// Keys that select the resources that the caller can see. Every such resource has
    /// one of the keys, and no other resource has any. `None` if there are no such keys.
    visible: Visible,
    /// The [`Field::Type`] of the resources, if the table also has rows of other types.
    kind: Option<&'static str>,
    /// Whether every caller can see all resources.
    is_public: bool,
}

impl Source {
    /// The rows of a table.
    pub(super) const fn of<R: V2Resource>() -> Self {
        Self {
            select: rows::<R>,
            in_order: in_order::<R>,
            visible: R::listed_by,
            kind: None,
            is_public: R::IS_PUBLIC,
        }
    }

    /// Resources that are not indexed.
    pub(super) const fn scan(select: Select) -> Self {
        Self {
            select,
            in_order: |_, _, _| None,
            visible: |_, _| None,
            kind: None,
            is_public: false,
        }
    }

    /// Sets how resources are found in order.
    pub(super) const fn in_order(mut self, in_order: InOrder) -> Self {
        self.in_order = in_order;
        self
    }

    /// Sets the keys of the resources that callers can see, if they differ from v3's.
    pub(super) const fn visible(mut self, visible: Visible) -> Self {
        self.visible = visible;
        self
    }

    /// Sets how resources are selected.
    pub(super) const fn select(mut self, select: Select) -> Self {
        self.select = select;
        self
    }

    /// Sets the type of the resources, if the table also has rows of other types.
    pub(super) const fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Shows all resources to every caller.
    pub(super) const fn public(mut self) -> Self {
        self.is_public = true;
        self
    }

    /// The resources that match a selection.
    pub(super) fn matching<'w>(&self, world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
        match self.keys_of_kind() {
            Some(keys) => (self.select)(world, &selection.clone().any(keys)),
            None => (self.select)(world, selection),
        }
    }

    /// All resources that the caller can see, in order. `None` if no index has that
    /// order.
    pub(super) fn listing<'w>(
        &self,
        world: &'w World,
        access: &Access,
        order: Order,
    ) -> Option<Listing<'w>> {
        let keys = match self.is_public || access.sees_everything() {
            true => self.keys_of_kind(),
            false => Some((self.visible)(world, access)?),
        };
        (self.in_order)(world, keys.as_deref(), order)
    }

    /// Selects the resources that the caller can see, or all resources if no keys select
    /// them.
    pub(super) fn visible_to(&self, world: &World, access: &Access) -> Selection {
        let keys = match self.is_public || access.sees_everything() {
            true => None,
            false => (self.visible)(world, access),
        };
        keys.map_or_else(Selection::all, |keys| Selection::all().any(keys))
    }

    fn keys_of_kind(&self) -> Option<Vec<Key>> {
        let kind = self.kind?;
        Some(vec![Key::text(Field::Type, kind)])
    }
}

/// The rows that match a selection, as resources.
pub(super) fn rows<'w, R: V2Resource>(world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
    let rows = R::table(world).select(selection).into_iter();
    rows.map(Entity::from).collect()
}

fn in_order<'w, R: V2Resource>(
    world: &'w World,
    keys: Option<&[Key]>,
    order: Order,
) -> Option<Listing<'w>> {
    let (total, rows) = order.rows(world, R::table(world), keys)?;
    Some((total, Box::new(rows.map(Entity::from))))
}
