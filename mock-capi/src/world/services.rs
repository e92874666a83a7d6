//! Service instances and their bindings.

use serde_json::{Value, json};

use super::broker_work::BindingRef;
use super::events::Target;
use super::{
    App, Field, Guid, Key, OperationState, Route, RouteBinding, Row, Selection, ServiceBinding,
    ServiceInstance, World,
};
use crate::world::metadata::MetadataPatch;

/// A binding to create for an app.
#[derive(Debug)]
pub(crate) struct NewBinding {
    pub(crate) app: Guid,
    pub(crate) instance: Guid,
    pub(crate) name: Option<String>,
    pub(crate) metadata: MetadataPatch,
    /// The maximum number of bindings between the app and the instance.
    pub(crate) limit: usize,
    /// Whether more than one binding is allowed.
    pub(crate) multiple: bool,
}

impl World {
    pub(crate) fn find_service_instance(
        &self,
        space: Guid,
        name: &str,
    ) -> Option<&ServiceInstance> {
        let named =
            Selection::by(Field::Space, space).any(vec![Key::text(ServiceInstance::NAME, name)]);
        self.service_instances.select(&named).first().copied()
    }

    /// The service instance with this name that belongs to a space or is shared with it.
    pub(crate) fn find_usable_service_instance(
        &self,
        space: Guid,
        name: &str,
    ) -> Option<&ServiceInstance> {
        let own = self.find_service_instance(space, name);
        own.or_else(|| {
            let shared = Selection::by(Field::SharedWith, space);
            let named = shared.any(vec![Key::text(ServiceInstance::NAME, name)]);
            self.service_instances.select(&named).first().copied()
        })
    }

    pub(crate) fn bindings_of(&self, app: Guid) -> Vec<&ServiceBinding> {
        self.service_bindings
            .select(&Selection::by(Field::App, app))
    }

    pub(crate) fn bindings_of_instance(&self, instance: Guid) -> Vec<&ServiceBinding> {
        let of_instance = Selection::by(Field::ServiceInstance, instance);
        self.service_bindings.select(&of_instance)
    }

    pub(crate) fn route_bindings_of_instance(&self, instance: Guid) -> Vec<&RouteBinding> {
        let of_instance = Selection::by(Field::ServiceInstance, instance);
        self.route_bindings.select(&of_instance)
    }

    pub(crate) fn route_binding_of(&self, route: Guid) -> Option<&RouteBinding> {
        let of_route = Selection::by(Field::Route, route);
        self.route_bindings.select(&of_route).first().copied()
    }

    /// Adds a binding of an app, which the broker may still have to create. The error is
    /// the reason why it is refused.
    pub(crate) fn bind(&mut self, new: NewBinding) -> Result<Guid, String> {
        let space = self.apps.get(new.app).map(|app: &App| app.space);
        let instance = self.service_instances.get(new.instance);
        let usable = |space: &Guid| instance.is_some_and(|it| it.is_usable_in(*space));
        let Some(space) = space.filter(usable) else {
            return Err("The service instance and the app are in different spaces".into());
        };
        self.check_bindable(new.instance, "Service plan does not allow bindings")?;
        let bindings = self.bindings_of(new.app).into_iter();
        let same = bindings.filter(|binding| binding.instance == new.instance);
        let (failed, others): (Vec<_>, Vec<_>) = same.partition(|it| it.has_failed_creation());
        let failed: Vec<Guid> = failed.iter().map(|binding| binding.guid()).collect();
        for binding in &others {
            check_beside(binding, &new)?;
        }
        match others.len() {
            0 => {}
            count if new.multiple && count < new.limit => {}
            _ if new.multiple => {
                return Err(format!(
                    "The app has too many bindings to this service instance (limit: {}). Consider deleting existing/orphaned bindings.",
                    new.limit
                ));
            }
            _ => return Err(ALREADY_BOUND.into()),
        }
        let mut bindings = self.bindings_of(new.app).into_iter();
        if let Some(name) = &new.name
            && bindings.any(|it| it.instance != new.instance && it.name.as_ref() == Some(name))
        {
            let mut reason = "The binding name is invalid. Binding names must be unique for a given service instance and app.".to_owned();
            if !name.is_empty() {
                reason += &format!(" The app already has a binding with name '{name}'.");
            }
            return Err(reason);
        }
        if let Some(name) = &new.name {
            let length = name.chars().count();
            let errors = binding_name_errors(name, length, name.trim().is_empty());
            if !errors.is_empty() {
                return Err(errors.join(", "));
            }
        }
        for binding in failed {
            self.service_bindings.remove(binding);
        }
        let base = self.base_with(new.metadata);
        Ok(self.add(ServiceBinding {
            base,
            name: new.name,
            app: Some(new.app),
            instance: new.instance,
            space,
            operation: None,
            credentials: None,
            syslog_drain_url: None,
            volume_mounts: None,
        }))
    }

    /// Checks that an instance can be bound now. `unbindable` is the message if its plan
    /// does not allow bindings.
    pub(crate) fn check_bindable(&self, instance: Guid, unbindable: &str) -> Result<(), String> {
        let instance = self.service_instances.get(instance);
        let Some(managed) = instance.and_then(|it| it.managed.as_ref()) else {
            return Ok(());
        };
        let plan = self.service_plans.get(managed.plan);
        if !plan.is_some_and(|plan| self.is_bindable(plan)) {
            return Err(unbindable.into());
        }
        if managed.operation.is("create", OperationState::Failed) {
            return Err("Service instance not found".into());
        }
        if managed.operation.is_pending() {
            return Err("There is an operation in progress for the service instance".into());
        }
        Ok(())
    }

    /// Records an event of a service instance.
    pub(crate) fn record_instance(&mut self, instance: Guid, verb: &str, request: Value) {
        let data = json!({"request": request});
        self.record_instance_with(instance, verb, data);
    }

    pub(crate) fn record_instance_with(&mut self, instance: Guid, verb: &str, data: Value) {
        let Some(found) = self.service_instances.get(instance) else {
            return;
        };
        let names = match found.managed {
            Some(_) => MANAGED_EVENTS,
            None => PROVIDED_EVENTS,
        };
        let Some(kind) = named(names, verb) else {
            return;
        };
        let target_kind = match found.managed {
            Some(_) => "service_instance",
            None => "user_provided_service_instance",
        };
        let target = Target {
            space: Some(found.space),
            ..Target::of(target_kind, instance, &found.name)
        };
        self.record_target(kind, target, data);
    }

    /// Records an event of a binding.
    pub(crate) fn record_binding(&mut self, binding: BindingRef, verb: &str, data: Value) {
        let (kinds, target_kind, name) = match binding {
            BindingRef::Route(_) => (ROUTE_BINDING_EVENTS, "service_route_binding", ""),
            BindingRef::Credential(guid) => match self.service_bindings.get(guid) {
                Some(found) if found.app.is_some() => (
                    BINDING_EVENTS,
                    "service_binding",
                    found.name.as_deref().unwrap_or_default(),
                ),
                Some(found) => (
                    KEY_EVENTS,
                    "service_key",
                    found.name.as_deref().unwrap_or_default(),
                ),
                None => return,
            },
        };
        let Some(kind) = named(kinds, verb) else {
            return;
        };
        let instance = self.instance_of(binding).map(|instance| instance.space);
        let space = match binding {
            BindingRef::Credential(guid) => {
                let app = self.service_bindings.get(guid).and_then(|it| it.app);
                app.and_then(|app| self.apps.get(app)).map(|app| app.space)
            }
            BindingRef::Route(_) => None,
        };
        let target = Target {
            space: space.or(instance),
            ..Target::of(target_kind, binding.guid(), name)
        };
        self.record_target(kind, target, data);
    }

    /// Records that a binding was created by a request or a manifest.
    pub(crate) fn record_bound(&mut self, binding: BindingRef, request: Value) {
        self.record_binding(binding, "create", json!({"request": request}));
    }

    /// Records an event of a binding as v2 does: those of keys name the key, and those of
    /// routes are events of the instance.
    pub(crate) fn record_v2_binding(&mut self, binding: BindingRef, verb: &str, request: Value) {
        let Some(instance) = self.instance_of(binding) else {
            return;
        };
        let guid = match binding {
            BindingRef::Credential(guid) => guid,
            BindingRef::Route(guid) => {
                let kind = match verb {
                    "create" => "audit.service_instance.bind_route",
                    _ => "audit.service_instance.unbind_route",
                };
                let target = Target {
                    space: Some(instance.space),
                    ..Target::of("service_instance", instance.guid(), &instance.name)
                };
                let route = self.route_bindings.get(guid).map(|found| found.route);
                let data = json!({"request": {"route_guid": route}});
                self.record_target(kind, target, data);
                return;
            }
        };
        let found = self.service_bindings.get(guid);
        let request = match found.filter(|found| found.app.is_none()) {
            Some(key) if verb != "delete" => {
                json!({"service_instance_guid": key.instance, "name": key.name})
            }
            Some(_) => json!({}),
            None => request,
        };
        self.record_binding(binding, verb, json!({"request": request}));
    }

    /// Removes a binding without a request to its broker, with the event of v2.
    pub(crate) fn unbind_in_v2(&mut self, binding: BindingRef) {
        if let BindingRef::Credential(guid) = binding {
            let found = self.service_bindings.get(guid);
            let request = json!({
                "app_guid": found.and_then(|found| found.app),
                "service_instance_guid": found.map(|found| found.instance),
            });
            self.record_v2_binding(binding, "delete", request);
        } else {
            self.record_v2_binding(binding, "delete", Value::Null);
        }
        self.remove_binding(binding);
    }

    fn remove_binding(&mut self, binding: BindingRef) {
        match binding {
            BindingRef::Credential(guid) => drop(self.service_bindings.remove(guid)),
            BindingRef::Route(guid) => drop(self.route_bindings.remove(guid)),
        }
    }

    /// The data of events at the end of a binding.
    pub(crate) fn binding_data(&self, binding: BindingRef) -> Value {
        let (app, route) = match binding {
            BindingRef::Credential(guid) => {
                (self.service_bindings.get(guid).and_then(|it| it.app), None)
            }
            BindingRef::Route(guid) => (None, self.route_bindings.get(guid).map(|it| it.route)),
        };
        let instance = self.instance_of(binding).map(ServiceInstance::guid);
        json!({"request": {
            "app_guid": app,
            "route_guid": route,
            "service_instance_guid": instance,
        }})
    }

    /// Removes a binding without a request to its broker.
    pub(crate) fn unbind_service(&mut self, binding: BindingRef) {
        let data = self.binding_data(binding);
        self.record_binding(binding, "delete", data);
        self.remove_binding(binding);
    }

    /// Removes an instance and its bindings without requests to its broker.
    pub(crate) fn purge_service_instance(&mut self, instance: Guid) {
        for binding in self.all_bindings_of(instance) {
            self.unbind_service(binding);
        }
        self.record_instance(instance, "purge", Value::Null);
        self.record_service_usage(instance, "DELETED");
        self.service_instances.remove(instance);
    }

    /// All bindings of an instance: of routes, apps and keys.
    pub(crate) fn all_bindings_of(&self, instance: Guid) -> Vec<BindingRef> {
        let routes = self.route_bindings_of_instance(instance).into_iter();
        let routes = routes.map(|binding| BindingRef::Route(binding.guid()));
        let others = self.bindings_of_instance(instance).into_iter();
        let others = others.map(|binding| BindingRef::Credential(binding.guid()));
        routes.chain(others).collect()
    }

    /// Checks that a route can be bound to an instance.
    pub(crate) fn check_route_binding(
        &self,
        route: &Route,
        instance: &ServiceInstance,
    ) -> Result<(), String> {
        let domain = self.domains.get(route.domain);
        if !self.is_route_service(instance) {
            return Err("This service instance does not support route binding".into());
        }
        if instance.plan().is_some() {
            let unbindable = "This service instance does not support binding";
            let plan = instance
                .plan()
                .and_then(|plan| self.service_plans.get(plan));
            if !plan.is_some_and(|plan| self.is_bindable(plan)) {
                return Err(unbindable.into());
            }
        }
        if domain.is_some_and(|domain| domain.internal) {
            return Err("Route services cannot be bound to internal routes".into());
        }
        if route.space != instance.space {
            return Err("The service instance and the route are in different spaces".into());
        }
        let bound = self.route_binding_of(route.guid());
        if bound.is_some_and(|bound| bound.instance != instance.guid()) {
            return Err("A route may only be bound to a single service instance".into());
        }
        self.check_bindable(instance.guid(), "")
    }

    pub(crate) fn is_route_service(&self, instance: &ServiceInstance) -> bool {
        match instance
            .plan()
            .and_then(|plan| self.service_plans.get(plan))
        {
            None => instance
                .route_service_url
                .as_ref()
                .is_some_and(|url| !url.trim().is_empty()),
            Some(plan) => self
                .offering_of(plan)
                .is_some_and(|it| it.catalog.requires("route_forwarding")),
        }
    }

    /// Records an event of a broker, an offering or a plan.
    pub(crate) fn record_broker(&mut self, kind: &'static str, broker: Guid, request: &Value) {
        let Some(found) = self.service_brokers.get(broker) else {
            return;
        };
        let target = Target::of("service_broker", broker, &found.name);
        let request = match request {
            Value::Null => json!({}),
            request => request.clone(),
        };
        self.record_target(kind, target, json!({"request": request}));
    }

    pub(super) fn record_offering(&mut self, kind: &'static str, offering: Guid) {
        let Some(found) = self.service_offerings.get(offering) else {
            return;
        };
        let target = Target::of("service", offering, &found.catalog.name);
        self.record_as_broker(found.broker, kind, target);
    }

    pub(super) fn record_plan(&mut self, kind: &'static str, plan: Guid) {
        let Some(found) = self.service_plans.get(plan) else {
            return;
        };
        let target = Target::of("service_plan", plan, &found.catalog.name);
        if let Some(broker) = self.broker_of(found).map(Row::guid) {
            self.record_as_broker(broker, kind, target);
        }
    }
}

const ALREADY_BOUND: &str = "The app is already bound to the service instance";

/// Checks that a binding of the same app and instance allows another one.
fn check_beside(binding: &ServiceBinding, new: &NewBinding) -> Result<(), String> {
    let is = |kind, state| {
        let operation = binding.operation.as_ref();
        operation.is_some_and(|operation| operation.is(kind, state))
    };
    let being_made = is("create", OperationState::InProgress);
    let made = binding.operation.is_none() || is("create", OperationState::Succeeded);
    if new.limit == 1 && (made || being_made) {
        return Err(ALREADY_BOUND.into());
    }
    if being_made {
        return Err(format!(
            "There is already a binding in progress for this service instance and app (binding guid: {})",
            binding.guid()
        ));
    }
    if is("delete", OperationState::InProgress) || is("delete", OperationState::Failed) {
        return Err(if new.limit == 1 {
            "The binding is getting deleted or its deletion failed".into()
        } else {
            "A binding for this service instance and app is getting deleted or its deletion failed"
                .into()
        });
    }
    if binding.name != new.name {
        return Err(
            "The binding name cannot be changed for the same app and service instance".into(),
        );
    }
    Ok(())
}

impl ServiceBinding {
    fn has_failed_creation(&self) -> bool {
        let operation = self.operation.as_ref();
        operation.is_some_and(|operation| operation.is("create", OperationState::Failed))
    }
}

/// The type of the event for each verb.
type EventNames = &'static [(&'static str, &'static str)];

/// The errors of the model for the name of a binding.
pub(crate) fn binding_name_errors(name: &str, length: usize, is_blank: bool) -> Vec<&'static str> {
    const MAX: usize = 255;
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut errors = Vec::new();
    if length > MAX {
        errors.push(
            "The binding name is invalid. App binding names must be less than 256 characters.",
        );
    }
    if !is_blank && !name.chars().all(in_name) {
        errors.push(
            "The binding name is invalid. Valid characters are alphanumeric, underscore, and dash.",
        );
    }
    errors
}

fn named(names: EventNames, verb: &str) -> Option<&'static str> {
    let found = names.iter().find(|(known, _)| *known == verb);
    found.map(|(_, name)| *name)
}

const MANAGED_EVENTS: EventNames = &[
    ("create", "audit.service_instance.create"),
    ("update", "audit.service_instance.update"),
    ("delete", "audit.service_instance.delete"),
    ("start_create", "audit.service_instance.start_create"),
    ("start_update", "audit.service_instance.start_update"),
    ("start_delete", "audit.service_instance.start_delete"),
    ("share", "audit.service_instance.share"),
    ("unshare", "audit.service_instance.unshare"),
    ("purge", "audit.service_instance.purge"),
    ("show", "audit.service_instance.show"),
];

const PROVIDED_EVENTS: EventNames = &[
    ("create", "audit.user_provided_service_instance.create"),
    ("update", "audit.user_provided_service_instance.update"),
    ("delete", "audit.user_provided_service_instance.delete"),
    ("show", "audit.user_provided_service_instance.show"),
    ("purge", "audit.service_instance.purge"),
];

const BINDING_EVENTS: EventNames = &[
    ("create", "audit.service_binding.create"),
    ("update", "audit.service_binding.update"),
    ("delete", "audit.service_binding.delete"),
    ("start_create", "audit.service_binding.start_create"),
    ("start_delete", "audit.service_binding.start_delete"),
    ("show", "audit.service_binding.show"),
];

const KEY_EVENTS: EventNames = &[
    ("create", "audit.service_key.create"),
    ("update", "audit.service_key.update"),
    ("delete", "audit.service_key.delete"),
    ("start_create", "audit.service_key.start_create"),
    ("start_delete", "audit.service_key.start_delete"),
    ("show", "audit.service_key.show"),
];

const ROUTE_BINDING_EVENTS: EventNames = &[
    ("create", "audit.service_route_binding.create"),
    ("update", "audit.service_route_binding.update"),
    ("delete", "audit.service_route_binding.delete"),
    ("start_create", "audit.service_route_binding.start_create"),
    ("start_delete", "audit.service_route_binding.start_delete"),
];
