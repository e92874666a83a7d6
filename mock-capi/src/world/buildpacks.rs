//! The order in which buildpacks are tried.

use super::{Buildpack, Guid, Row, World};

impl World {
    /// Moves a buildpack to a position among those of its lifecycle, or to the end.
    pub(crate) fn move_buildpack(&mut self, guid: Guid, position: u32) {
        let Some(lifecycle) = self.get(guid).map(|it: &Buildpack| it.lifecycle.clone()) else {
            return;
        };
        let mut order = self.buildpack_order(&lifecycle);
        order.retain(|other| *other != guid);
        let index = usize::try_from(position.saturating_sub(1)).unwrap_or(usize::MAX);
        order.insert(index.min(order.len()), guid);
        self.renumber(&order);
    }

    pub(super) fn delete_buildpack(&mut self, guid: Guid) {
        if let Some(buildpack) = self.buildpacks.remove(guid) {
            let order = self.buildpack_order(&buildpack.lifecycle);
            self.renumber(&order);
        }
    }

    fn buildpack_order(&self, lifecycle: &str) -> Vec<Guid> {
        let buildpacks = self.buildpacks.iter();
        let mut buildpacks: Vec<&Buildpack> = buildpacks
            .filter(|buildpack| buildpack.lifecycle == lifecycle)
            .collect();
        buildpacks.sort_by_key(|buildpack| buildpack.position);
        buildpacks.into_iter().map(Row::guid).collect()
    }

    fn renumber(&mut self, order: &[Guid]) {
        for (position, guid) in (1..).zip(order) {
            self.buildpacks
                .update(*guid, |buildpack| buildpack.position = position);
        }
    }
}
