//! Service instances that users provide, and apps bound to them.

use super::{App, Field, Guid, Key, Selection, ServiceBinding, ServiceInstance, World};
use crate::world::metadata::MetadataPatch;

impl World {
    pub(crate) fn find_service_instance(
        &self,
        space: Guid,
        name: &str,
    ) -> Option<&ServiceInstance> {
        let named = Selection::by(Field::Space, space).any(vec![Key::text(Field::Name, name)]);
        self.service_instances.select(&named).first().copied()
    }

    pub(crate) fn bindings_of(&self, app: Guid) -> Vec<&ServiceBinding> {
        self.service_bindings
            .select(&Selection::by(Field::App, app))
    }

    /// Binds an app to a service instance; else says why not.
    pub(crate) fn bind(
        &mut self,
        app: Guid,
        instance: Guid,
        name: Option<String>,
        metadata: MetadataPatch,
    ) -> Result<Guid, String> {
        let space = |app: &App| app.space;
        let of_app = self.apps.get(app).map(space);
        let of_instance = self
            .service_instances
            .get(instance)
            .map(|found| found.space);
        if of_app != of_instance {
            return Err("The service instance and the app are in different spaces".into());
        }
        let bindings = self.bindings_of(app);
        if bindings.iter().any(|binding| binding.instance == instance) {
            return Err("The app is already bound to the service instance".into());
        }
        if let Some(name) = &name
            && bindings
                .iter()
                .any(|binding| binding.name.as_ref() == Some(name))
        {
            return Err(format!(
                "The binding name is invalid. Binding names must be unique for a given service instance and app. The app already has a binding with name '{name}'."
            ));
        }
        let base = self.base_with(metadata);
        Ok(self.add(ServiceBinding {
            base,
            name,
            app,
            instance,
        }))
    }
}
