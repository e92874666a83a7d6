//! `/_mock/state`: all resources of the world, as the APIs present them.

use serde_json::{Map, Value};

use crate::api::context::View;
use crate::api::networking;
use crate::world::registry::with_resources;
use crate::world::settings::Dialect;
use crate::world::{Access, Row, World};

/// Presents a kind of resource in `/_mock/state`.
pub(crate) trait Present: Row {
    fn present(&self, view: &View<'_>) -> Value;

    /// Whether clients of an API version can see the resource.
    fn is_shown(&self, _view: &View<'_>, _dialect: Dialect) -> bool {
        true
    }
}

/// All resources that clients of an API version can see, by the names of their lists.
pub(crate) fn present_world(world: &World, base: &str, dialect: Dialect) -> Value {
    let view = View::new(world, base, &Access::Everything);
    let mut lists = Map::new();
    macro_rules! present_lists {
        ([$($table:ident: $row:ident = $kind:literal, $list:literal;)*]) => {
            $(lists.insert($list.into(), list::<crate::world::$row>(&view, dialect));)*
        };
    }
    with_resources!(present_lists);
    let policies = networking::present_all(&world.network_policies);
    lists.insert("network_policies".into(), policies);
    Value::Object(lists)
}

fn list<R: Present>(view: &View<'_>, dialect: Dialect) -> Value {
    let rows = R::table(view.world).iter();
    let shown = rows.filter(|row| row.is_shown(view, dialect));
    shown.map(|row| row.present(view)).collect()
}
