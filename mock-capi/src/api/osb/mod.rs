//! The Open Service Broker API as the Cloud Controller uses it: requests to brokers, and
//! the effects of their responses. The requests are sent elsewhere.

mod catalog;
mod reply;
mod work;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{
    BindingRef, BrokerChange, BrokerTask, CatalogEntry, Guid, InstanceChange, Row, ServiceBroker,
    ServiceInstance, ServicePlan, Step, World,
};

pub(crate) use reply::BrokerReply;
pub(crate) use work::{NextRun, continue_job};

/// The version of the API.
const VERSION: &str = "2.15";

/// A request to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokerRequest {
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

/// Reads the catalog of an embedded broker.
pub(crate) fn read_catalog(body: &Value) -> Result<Vec<CatalogEntry>, String> {
    let body = body.as_object().cloned().unwrap_or_default();
    catalog::read(&body, &[])
}

/// The next request to a broker for a task, if there is one.
pub(crate) fn request(world: &World, task: &BrokerTask) -> Option<BrokerRequest> {
    match task {
        BrokerTask::ContinueJob(job) | BrokerTask::AwaitJob { job, .. } => of_job(world, *job),
        BrokerTask::RemoveOrphan {
            plan,
            instance,
            binding,
        } => {
            let endpoint = BrokerEndpoint::of_plan(world, *plan)?;
            let path = path(*instance, *binding);
            let query = endpoint.ids(world, *plan)?;
            Some(endpoint.request("DELETE", format!("{path}?{query}"), None))
        }
        BrokerTask::ReadParameters { instance, binding } => {
            let plan = world.service_instances.get(*instance)?.plan()?;
            let endpoint = BrokerEndpoint::of_plan(world, plan)?;
            Some(endpoint.request("GET", path(*instance, *binding), None))
        }
    }
}

/// The response to a client that waits for parameters.
pub(crate) fn parameters(reply: &BrokerReply) -> Result<Response, CcError> {
    let read = reply::read_parameters(reply).map_err(|error| error.for_client())?;
    let parameters = read.get("parameters").cloned();
    Ok(Response::ok(&parameters.unwrap_or_else(|| json!({}))))
}

fn path(instance: Guid, binding: Option<Guid>) -> String {
    let path = format!("/v2/service_instances/{instance}");
    match binding {
        None => path,
        Some(binding) => format!("{path}/service_bindings/{binding}"),
    }
}

/// A service broker, with the URL, the credentials and the user for requests to it.
struct BrokerEndpoint<'w> {
    broker: &'w ServiceBroker,
    /// The URL and the credentials to use, if they differ from the broker's.
    url: Option<&'w str>,
    login: Option<&'w (String, String)>,
    user: Option<&'w str>,
}

impl<'w> BrokerEndpoint<'w> {
    fn of_plan(world: &'w World, plan: Guid) -> Option<Self> {
        Some(Self {
            broker: world.broker_of(world.service_plans.get(plan)?)?,
            url: None,
            login: None,
            user: None,
        })
    }

    fn for_job(self, world: &'w World, job: Guid) -> Self {
        let user = world.work_of(job).map(|work| work.actor.id.as_str());
        Self { user, ..self }
    }

    /// The broker's IDs for a plan and its offering, as a query.
    fn ids(&self, world: &World, plan: Guid) -> Option<String> {
        let plan = world.service_plans.get(plan)?;
        let offering = world.offering_of(plan)?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("plan_id", &plan.catalog.id);
        query.append_pair("service_id", &offering.catalog.id);
        Some(query.finish())
    }

    fn request(&self, method: &'static str, path: String, body: Option<Value>) -> BrokerRequest {
        let (username, password) = self.login.map_or_else(
            || (&self.broker.username, &self.broker.password),
            |(username, password)| (username, password),
        );
        let url = self.url.unwrap_or(&self.broker.url);
        let mut headers = vec![
            ("X-Broker-Api-Version", VERSION.to_owned()),
            ("Accept", "application/json".into()),
        ];
        if let Some(user) = self.user {
            let identity = STANDARD.encode(json!({"user_id": user}).to_string());
            headers.push((
                "X-Broker-Api-Originating-Identity",
                format!("cloudfoundry {identity}"),
            ));
        }
        BrokerRequest {
            method,
            url: format!("{url}{path}"),
            username: username.clone(),
            password: password.clone(),
            headers,
            body,
        }
    }
}

/// The request for the next step of a job, if a broker has to do it.
fn of_job(world: &World, job: Guid) -> Option<BrokerRequest> {
    let of = |instance: Guid| InstanceTarget::of(world, job, instance);
    match world.step_of(job)? {
        Step::ReadCatalog(broker) => catalog_request(world, job, *broker, None),
        // A broker that is only renamed keeps its catalog.
        Step::UpdateBroker(_, change, _) if change.url.is_none() && change.login.is_none() => None,
        Step::UpdateBroker(broker, change, _) => catalog_request(world, job, *broker, Some(change)),
        Step::Delete(..) => None,
        Step::Provision(instance, parameters) => {
            of(*instance)?.provision(incomplete(world, job), parameters.as_ref())
        }
        Step::Update(instance, change) => {
            let next = match change.plan {
                Some(plan) => Some(world.service_plans.get(plan)?),
                None => None,
            };
            of(*instance)?.update(incomplete(world, job), change, next)
        }
        Step::Deprovision(instance) => {
            let target = of(*instance)?;
            let query = target.query_of_deletion(incomplete(world, job));
            target.request("DELETE", &query, None)
        }
        Step::PollInstance(instance, _) => {
            let target = of(*instance)?;
            let operation = &target.instance.managed.as_ref()?.operation;
            let query = target.query_of(operation.broker_operation.as_deref());
            target.request("GET", &format!("/last_operation?{query}"), None)
        }
        Step::ReadInstance(instance, _) => of(*instance)?.request("GET", "", None),
        Step::Bind(binding, parameters) => of_binding(world, job, *binding, parameters.as_ref()),
        Step::Unbind(binding) => {
            let target = of(world.instance_of(*binding)?.guid())?;
            let query = target.query_of_deletion(incomplete(world, job));
            let path = format!("/service_bindings/{}{query}", binding.guid());
            target.request("DELETE", &path, None)
        }
        Step::PollBinding(binding) => {
            let target = of(world.instance_of(*binding)?.guid())?;
            let operation = world.operation_of_binding(*binding);
            let query = target.query_of(operation.and_then(|it| it.broker_operation.as_deref()));
            let binding = binding.guid();
            let path = format!("/service_bindings/{binding}/last_operation?{query}");
            target.request("GET", &path, None)
        }
        Step::ReadBinding(binding) => {
            let target = of(world.instance_of(*binding)?.guid())?;
            let path = format!("/service_bindings/{}", binding.guid());
            target.request("GET", &path, None)
        }
    }
}

/// The request for the catalog of a broker, at the URL and with the login that a change
/// gives it.
fn catalog_request(
    world: &World,
    job: Guid,
    broker: Guid,
    change: Option<&BrokerChange>,
) -> Option<BrokerRequest> {
    let endpoint = BrokerEndpoint {
        broker: world.service_brokers.get(broker)?,
        url: change.and_then(|change| change.url.as_deref()),
        login: change.and_then(|change| change.login.as_ref()),
        user: None,
    };
    let endpoint = endpoint.for_job(world, job);
    Some(endpoint.request("GET", "/v2/catalog".into(), None))
}

fn of_binding(
    world: &World,
    job: Guid,
    binding: BindingRef,
    parameters: Option<&Value>,
) -> Option<BrokerRequest> {
    let instance = world.instance_of(binding)?;
    let target = InstanceTarget::of(world, job, instance.guid())?;
    let mut body = target.ids();
    body["context"] = target.context.clone();
    body["bind_resource"] = json!({});
    match binding {
        BindingRef::Credential(guid) => {
            let app = world.service_bindings.get(guid)?.app;
            if let Some(app) = app.and_then(|app| world.apps.get(app)) {
                body["app_guid"] = json!(app.guid());
                body["bind_resource"] = json!({
                    "app_guid": app.guid(),
                    "space_guid": app.space,
                    "app_annotations": public_annotations(app.base.metadata.present()),
                });
            }
        }
        BindingRef::Route(guid) => {
            let route = world.routes.get(world.route_bindings.get(guid)?.route)?;
            body["bind_resource"] = json!({"route": world.route_url(route)});
        }
    }
    add_parameters(&mut body, parameters);
    let query = incomplete(world, job);
    let path = format!("/service_bindings/{}{query}", binding.guid());
    target.request("PUT", &path, Some(body))
}

/// The query parameter that allows a broker to respond asynchronously. Clients of v2 can
/// disallow that.
fn incomplete(world: &World, job: Guid) -> &'static str {
    let client = world.work_of(job).and_then(|work| work.client);
    match client.is_none_or(|client| client.accepts_incomplete) {
        true => "?accepts_incomplete=true",
        false => "",
    }
}

fn add_parameters(body: &mut Value, parameters: Option<&Value>) {
    let given = parameters.filter(|it| it.as_object().is_some_and(|it| !it.is_empty()));
    if let Some(parameters) = given {
        body["parameters"] = parameters.clone();
    }
}

/// The annotations that brokers receive, which are those with a prefix.
fn public_annotations(metadata: Value) -> Value {
    let annotations = metadata.get("annotations").and_then(Value::as_object);
    let mut annotations: Map<String, Value> = annotations.cloned().unwrap_or_default();
    annotations.retain(|key, _| key.contains('/'));
    Value::Object(annotations)
}

/// The instance that a request is about, with its broker.
struct InstanceTarget<'w> {
    endpoint: BrokerEndpoint<'w>,
    instance: &'w ServiceInstance,
    plan: &'w ServicePlan,
    offering_id: &'w str,
    context: Value,
}

impl<'w> InstanceTarget<'w> {
    fn of(world: &'w World, job: Guid, instance: Guid) -> Option<Self> {
        let instance = world.service_instances.get(instance)?;
        let plan = world.service_plans.get(instance.plan()?)?;
        let space = world.spaces.get(instance.space)?;
        let org = world.orgs.get(space.org)?;
        Some(Self {
            endpoint: BrokerEndpoint::of_plan(world, plan.guid())?.for_job(world, job),
            instance,
            plan,
            offering_id: &world.offering_of(plan)?.catalog.id,
            context: json!({
                "platform": "cloudfoundry",
                "organization_guid": org.guid(),
                "space_guid": space.guid(),
                "organization_name": org.name,
                "space_name": space.name,
                "organization_annotations": public_annotations(org.base.metadata.present()),
                "space_annotations": public_annotations(space.base.metadata.present()),
            }),
        })
    }

    /// Creates the instance.
    fn provision(&self, incomplete: &str, parameters: Option<&Value>) -> Option<BrokerRequest> {
        let mut body = self.ids();
        body["organization_guid"] = self.context["organization_guid"].clone();
        body["space_guid"] = self.context["space_guid"].clone();
        body["context"] = self.context_named(&self.instance.name);
        body["context"]["instance_annotations"] =
            public_annotations(self.instance.base.metadata.present());
        add_parameters(&mut body, parameters);
        if let Some(info) = &self.plan.catalog.maintenance_info {
            body["maintenance_info"] = json!(info);
        }
        self.request("PUT", incomplete, Some(body))
    }

    /// Changes the instance, and its plan to `next` if that is given.
    fn update(
        &self,
        incomplete: &str,
        change: &InstanceChange,
        next: Option<&ServicePlan>,
    ) -> Option<BrokerRequest> {
        let next = next.unwrap_or(self.plan);
        let managed = self.instance.managed.as_ref()?;
        let mut body = json!({
            "service_id": self.offering_id,
            "plan_id": next.catalog.id,
            "previous_values": {
                "plan_id": self.plan.catalog.id,
                "service_id": self.offering_id,
                "organization_id": self.context["organization_guid"],
                "space_id": self.context["space_guid"],
                "maintenance_info": managed.maintenance_info,
            },
            "context": self.context_named(change.name.as_ref().unwrap_or(&self.instance.name)),
            "parameters": change.parameters.clone().unwrap_or_else(|| json!({})),
        });
        let info = match next.guid() == self.plan.guid() {
            true => change.maintenance_info.clone(),
            false => next.catalog.maintenance_info.as_ref().map(|it| json!(it)),
        };
        if let Some(version) = info.as_ref().and_then(|info| info.get("version")) {
            body["maintenance_info"] = json!({"version": version});
        }
        self.request("PATCH", incomplete, Some(body))
    }

    fn context_named(&self, name: &str) -> Value {
        let mut context = self.context.clone();
        context["instance_name"] = json!(name);
        context
    }

    fn ids(&self) -> Value {
        json!({"service_id": self.offering_id, "plan_id": self.plan.catalog.id})
    }

    /// The query of a deletion, which also contains the IDs of the plan and the offering.
    fn query_of_deletion(&self, incomplete: &str) -> String {
        let ids = self.query(&[]);
        match incomplete {
            "" => format!("?{ids}"),
            incomplete => format!("{incomplete}&{ids}"),
        }
    }

    fn query(&self, more: &[(&str, &str)]) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(more)
            .append_pair("plan_id", &self.plan.catalog.id)
            .append_pair("service_id", self.offering_id)
            .finish()
    }

    fn query_of(&self, operation: Option<&str>) -> String {
        let operation = operation.map(|operation| ("operation", operation));
        self.query(operation.as_slice())
    }

    /// A request about the instance or a resource below it.
    fn request(
        &self,
        method: &'static str,
        below: &str,
        body: Option<Value>,
    ) -> Option<BrokerRequest> {
        let path = path(self.instance.guid(), None) + below;
        Some(self.endpoint.request(method, path, body))
    }
}
