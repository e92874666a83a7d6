//! The state of the fake Cloud Controller: typed tables, and the operations on them
//! that all dialects share.
//!
//! Nothing runs in the background. An operation that takes time has a completion time,
//! and its state is computed when it is read. Later changes by jobs are scheduled for
//! [`World::settle`], which carries them out before the first request after their time.

mod access;
mod apps;
mod bits;
mod blobs;
mod broker_work;
mod buildpacks;
mod catalogs;
pub(crate) mod clock;
mod delete;
mod deployments;
mod destinations;
mod droplets;
pub(crate) mod durations;
mod egress;
mod environment;
pub(crate) mod error;
mod events;
pub(crate) mod failures;
mod foundation;
mod guid;
mod host_lookup;
mod logs;
mod marketplace;
pub(crate) mod metadata;
mod model;
mod network_policies;
mod overlay;
mod packages;
mod pairs;
mod processes;
pub(crate) mod random;
pub(crate) mod registry;
mod resources;
mod revisions;
mod roles;
mod route_policies;
mod router_groups;
mod routes;
mod row;
pub(crate) mod ruby;
mod seed;
mod sequences;
mod services;
pub(crate) mod settings;
mod sidecars;
mod staging;
mod table;
mod tasks;
mod uaa;
mod usage;
mod usage_events;
mod users;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use access::{
    ADMINS, Access, AccessScope, DOWNLOAD_DROPLETS, MANAGE_APPS, MANAGE_ORG, READ_ENVIRONMENT,
    READ_ROUTES, READ_SECRETS, READ_SPACE, READ_V2_EVENTS, READ_V2_SPACE, Roles, UPDATE_SPACE,
    V2_SPACE_MEMBERS, WRITE_SPACE,
};
pub(crate) use apps::{DEFAULT_DISK_MB, InstanceState, MAX_APP_DISK_MB};
pub(crate) use bits::{Bits, BitsWriter};
use blobs::Blobs;
pub(crate) use broker_work::{
    BindingRef, BrokerChange, BrokerTask, InstanceChange, Operation, OperationState, Step,
    WaitingClient,
};
pub(crate) use delete::Kind;
pub(crate) use deployments::NewDeployment;
pub(crate) use destinations::{DEFAULT_PORT, MAX_DESTINATIONS, NewDestination, UNMAP_ROUTE};
pub(crate) use droplets::{NewDroplet, sha256};
pub(crate) use egress::ROUTER;
pub(crate) use environment::merge_environment;
use events::Actor;
pub(crate) use events::{Event, RoleChange, Target, audited};
pub(crate) use foundation::DEFAULT_QUOTA;
pub(crate) use guid::{Guid, GuidSource, SHARED_SEGMENT};
pub(crate) use host_lookup::{HostLookup, without_port};
pub(crate) use logs::{LogLine, instance_guid};
pub(crate) use marketplace::{
    BrokerState, CatalogEntry, CatalogOffering, CatalogPlan, PlanVisibility, ServiceBroker,
    ServiceOffering, ServicePlan, Visibility,
};
pub(crate) use model::{
    App, Build, Buildpack, CowStr, Deployment, DeploymentOptions, DeploymentState, Destination,
    Domain, Droplet, EnvironmentGroup, Feature, FeatureFlag, Features, HealthCheck,
    IsolationSegment, Job, Lifecycle, Limits, Managed, Org, Origin, Package, PackageKind, Process,
    Quota, Role, RoleType, Route, RouteBinding, Scale, SecurityGroup, ServiceBinding,
    ServiceInstance, Sidecar, Space, SpaceQuota, Stack, StackState, Task, Upload, User, V2Marks,
};
pub(crate) use network_policies::{NetworkPolicies, NetworkPolicy};
use overlay::Overlay;
pub(crate) use overlay::{EndedInstances, InstanceAddress, REGISTRY_BASE_URL, is_usual};
pub(crate) use processes::{CheckPatch, NO_CHECK, ProcessPatch};
pub(crate) use registry::Registered;
use registry::{declare_world, empty_world, with_resources};
pub use resources::PackageFile;
pub(crate) use resources::Resource;
pub(crate) use revisions::Revision;
pub(crate) use route_policies::{RoutePolicy, RoutePolicySource};
pub(crate) use router_groups::{ROUTER_GROUP_TYPE, RouterGroup};
pub(crate) use routes::{NewRoute, RouteRefusal, is_in_host};
pub(crate) use row::{Base, Field, Key, Row};
pub(crate) use services::{NewBinding, binding_name_errors};
pub(crate) use sidecars::NewSidecar;
pub(crate) use table::{CREATED_AT, Rows, Selection, Table};
pub(crate) use tasks::NewTask;
pub(crate) use uaa::{
    ADMIN_GROUP, ADMIN_READ_ONLY_GROUP, Account, CF_CLIENT, Client, ClientDetails, Email,
    GLOBAL_AUDITOR_GROUP, Group, Member, NewAccount, Profile, READ_SCOPE, UAA_ORIGIN, WRITE_SCOPE,
};
use usage::Usage;
pub(crate) use usage_events::{AppUsageEvent, ServiceUsageEvent};

use crate::world::clock::{Timestamp, exact};
use crate::world::error::Failure;
use crate::world::metadata::{Metadata, MetadataPatch};
use crate::world::random::Random;
use crate::world::settings::{Settings, Timings};

/// The number of finished jobs that are kept.
const KEPT_JOBS: usize = 10_000;

/// The numbers of old resources that were dropped because of limits.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct DroppedCounts {
    jobs: u64,
    /// Audit events and usage events.
    events: u64,
    log_lines: u64,
}

/// An action that is due at some time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Due {
    /// Delete the resource of a job.
    Delete(Kind, Guid),
    /// Visit a deployment.
    Deploy(Guid),
    /// Remove the network policies of deleted apps.
    CleanNetworkPolicies,
    /// Run a droplet, whose instances may crash.
    Run(Guid, bool),
    /// Make a droplet the current one of its app.
    Use(Guid),
    /// Expire old droplets of an app.
    ExpireDroplets(Guid),
    /// Expire old packages of an app.
    ExpirePackages(Guid),
}

with_resources! { declare_world
    /// The state of the Cloud Controller and of UAA.
    #[derive(Debug, Serialize, Deserialize)]
    pub(crate) struct World {
        /// The requests that are still to be sent to brokers.
        #[serde(skip)]
        broker_tasks: Vec<BrokerTask>,
        pub(crate) network_policies: NetworkPolicies,
        #[serde(skip)]
        overlay: Overlay,
        #[serde(default)]
        departures: VecDeque<EndedInstances>,
        #[serde(skip)]
        pub(crate) timings: Timings,
        #[serde(skip)]
        pub(crate) default_stack: &'static str,
        #[serde(skip)]
        pub(crate) router_groups: Vec<RouterGroup>,
        /// The number of events of each kind that are kept.
        #[serde(skip)]
        kept_events: usize,
        #[serde(skip)]
        pub(crate) forgotten: DroppedCounts,
        /// The actor of the current request.
        #[serde(skip)]
        actor: Arc<Actor>,
        /// Whether a manifest causes the events that are recorded.
        #[serde(skip)]
        pub(crate) applies_manifest: bool,
        /// Whether a resource is read for the response to another request, which records
        /// no event.
        #[serde(skip)]
        pub(crate) is_read_again: bool,
        #[serde(with = "exact")]
        now: Timestamp,
        guids: GuidSource,
        /// The source of jitter and random routes.
        random: Random,
        #[serde(skip)]
        usage: HashMap<Guid, Usage>,
        logs: HashMap<Guid, Vec<LogLine>>,
        /// The sizes of uploaded files by their checksums.
        #[serde(with = "pairs")]
        resources: HashMap<resources::Checksum, u64>,
        #[serde(skip)]
        pub(crate) blobs: Blobs,
        policy_cleanup_planned: bool,
        #[serde(with = "pairs")]
        agenda: BTreeMap<(Timestamp, u64), Due>,
        scheduled: u64,
    }
}

impl World {
    /// A new world, with a shared domain, the default quota and the configured
    /// users.
    pub(crate) fn new(
        mut guids: GuidSource,
        now: Timestamp,
        timings: Timings,
        settings: &Settings,
    ) -> Self {
        let random = guids.split();
        let mut world = with_resources! { empty_world
            broker_tasks: Vec::new(),
            network_policies: NetworkPolicies::default(),
            overlay: Overlay::default(),
            departures: VecDeque::new(),
            timings,
            default_stack: Settings::default_stack(settings.dialect),
            router_groups: settings.router_groups.clone(),
            kept_events: settings.keep_events,
            forgotten: DroppedCounts::default(),
            actor: Arc::default(),
            applies_manifest: false,
            is_read_again: false,
            now,
            random,
            guids,
            usage: HashMap::new(),
            logs: HashMap::new(),
            resources: HashMap::new(),
            blobs: Blobs::default(),
            policy_cleanup_planned: false,
            agenda: BTreeMap::new(),
            scheduled: 0,
        };
        world.populate(settings);
        world
    }

    /// Replaces this world with an empty one. New GUIDs continue the sequence, so
    /// that an old GUID never identifies a new resource.
    pub(crate) fn reset(&mut self, settings: &Settings, now: Timestamp) {
        let guids = GuidSource::new(self.guids.split());
        *self = Self::new(guids, now, self.timings, settings);
    }

    /// Continues with a loaded world, and adds the configured users.
    pub(crate) fn resume(&mut self, timings: Timings, settings: &Settings) {
        self.timings = timings;
        self.default_stack = Settings::default_stack(settings.dialect);
        self.router_groups = settings.router_groups.clone();
        self.kept_events = settings.keep_events;
        self.count_usage();
        self.place_all();
        self.resume_work();
        self.admit_configured(settings);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Moves the time to `now`, and carries out each due action with its own time as the
    /// current one.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let now = self.now.max(now);
        while let Some(entry) = self.agenda.first_entry() {
            let at = entry.key().0;
            if at > now {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            match due {
                Due::Delete(kind, guid) => self.delete(kind, guid),
                Due::Deploy(guid) => self.visit_deployment(guid),
                Due::CleanNetworkPolicies => drop(self.clean_network_policies()),
                Due::Run(droplet, crashing) => self.run_staged(droplet, crashing),
                Due::Use(droplet) => self.use_stored(droplet),
                Due::ExpireDroplets(app) => self.expire_droplets(app),
                Due::ExpirePackages(app) => self.expire_packages(app),
            }
        }
        self.now = now;
    }

    fn plan(&mut self, at: Timestamp, due: Due) {
        self.scheduled += 1;
        self.agenda.insert((at, self.scheduled), due);
    }

    /// The base of a new row.
    pub(crate) fn base(&mut self) -> Base {
        self.base_with(MetadataPatch::default())
    }

    /// The base of a new row with labels and annotations.
    pub(crate) fn base_with(&mut self, patch: MetadataPatch) -> Base {
        let mut metadata = Metadata::default();
        metadata.apply(patch);
        Base {
            guid: self.guids.next(),
            created: self.now,
            updated: self.now,
            metadata,
        }
    }

    pub(crate) fn get<R: Row>(&self, guid: Guid) -> Option<&R> {
        R::table(self).get(guid)
    }

    /// The row with this GUID, given as text.
    pub(crate) fn look_up<R: Row>(&self, guid: &str) -> Option<&R> {
        self.get(Guid::parse(guid)?)
    }

    /// Parses GUIDs and removes duplicates, if a row that is `right` exists for each. The
    /// error lists the others.
    pub(crate) fn look_up_all<'t, R: Row>(
        &self,
        guids: &[&'t str],
        right: impl Fn(&R) -> bool,
    ) -> Result<Vec<Guid>, Vec<&'t str>> {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for text in guids {
            match self.look_up::<R>(text).filter(|row| right(row)) {
                Some(row) if known.contains(&row.guid()) => {}
                Some(row) => known.push(row.guid()),
                None => unknown.push(*text),
            }
        }
        if unknown.is_empty() {
            Ok(known)
        } else {
            Err(unknown)
        }
    }

    pub(crate) fn add<R: Row>(&mut self, row: R) -> Guid {
        let guid = row.guid();
        R::table_mut(self).insert(row);
        guid
    }

    /// Changes a row, if it exists, and sets `updated_at`.
    pub(crate) fn update_row<R: Row>(&mut self, guid: Guid, change: impl FnOnce(&mut R)) {
        let now = self.now;
        R::table_mut(self).update(guid, |row| {
            change(row);
            row.base_mut().updated = now;
        });
    }

    /// The first row with this name.
    pub(crate) fn named<R: Row>(&self, name: &str) -> Option<&R> {
        let named = Selection::all().any(vec![Key::text(R::NAME, name)]);
        R::table(self).select(&named).first().copied()
    }

    /// Whether a row other than `own` has this name.
    pub(crate) fn name_taken<R: Row>(&self, name: &str, own: Option<Guid>) -> bool {
        let named = Selection::all().any(vec![Key::text(R::NAME, name)]);
        let holders = R::table(self).select(&named);
        holders.iter().any(|row| Some(row.guid()) != own)
    }

    pub(crate) fn next_guid(&mut self) -> Guid {
        self.guids.next()
    }

    /// A random number below `limit`, which must not be 0.
    pub(crate) fn random_below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    /// The completion time of an operation that starts now and takes one of the
    /// configured times.
    pub(crate) fn ready_after(&mut self, time: impl FnOnce(&Timings) -> Duration) -> Timestamp {
        let time = time(&self.timings);
        self.now
            .plus(self.random.jittered(time, self.timings.jitter))
    }

    /// Adds a job, and schedules the deletion of its resource if the job deletes it.
    pub(crate) fn schedule(
        &mut self,
        operation: String,
        of: Option<Guid>,
        deletes: Option<Kind>,
        failure: Option<Failure>,
    ) -> Guid {
        let ready_at = self.ready_after(|timings| timings.job);
        if let (Some(kind), Some(guid), None) = (deletes, of, &failure) {
            self.plan(ready_at, Due::Delete(kind, guid));
        }
        let base = self.base();
        let job = self.add(Job {
            base,
            operation,
            of,
            ready_at,
            failure,
            work: None,
            warnings: Vec::new(),
        });
        let now = self.now;
        let is_done = |job: &Job| job.ready_at <= now && job.work.is_none();
        self.forgotten.jobs += self.jobs.keep_newest(KEPT_JOBS, is_done);
        job
    }

    /// The quota of organizations that are created without one.
    pub(crate) fn default_quota(&self) -> Option<&Quota> {
        self.named(DEFAULT_QUOTA)
    }

    pub(crate) fn find_space(&self, org: Guid, name: &str) -> Option<&Space> {
        let named = Selection::by(Field::Org, org).any(vec![Key::text(Field::Name, name)]);
        self.spaces.select(&named).first().copied()
    }

    pub(crate) fn find_app(&self, space: Guid, name: &str) -> Option<&App> {
        let named = Selection::by(Field::Space, space).any(vec![Key::text(Field::Name, name)]);
        self.apps.select(&named).first().copied()
    }

    /// The spaces of these organizations.
    pub(crate) fn spaces_of(&self, orgs: Vec<Guid>) -> Vec<Guid> {
        let spaces = Selection::all().any_guid(Field::Org, orgs);
        self.spaces
            .select(&spaces)
            .iter()
            .map(|space| space.guid())
            .collect()
    }

    pub(crate) fn is_suspended(&self, org: Guid) -> bool {
        self.orgs.get(org).is_some_and(|org| org.suspended)
    }

    /// The isolation segment on which the apps of a space run. `None` for the shared one.
    pub(crate) fn segment_of(&self, space: Guid) -> Option<&str> {
        let space = self.spaces.get(space)?;
        let chosen = space
            .segment
            .or(self.orgs.get(space.org)?.default_segment)?;
        let segment = self.isolation_segments.get(chosen)?;
        (chosen != SHARED_SEGMENT).then_some(&segment.name)
    }

    pub(crate) fn org_of(&self, space: Guid) -> Option<&Org> {
        self.orgs.get(self.spaces.get(space)?.org)
    }

    /// The first shared domain that is not internal, or the first private domain
    /// that the organization may use.
    pub(crate) fn default_domain(&self, org: Guid) -> Option<&Domain> {
        let mut domains = self.domains.iter();
        let shared = domains.find(|domain| {
            domain.org.is_none() && !domain.internal && domain.router_group.is_none()
        });
        shared.or_else(|| {
            let mut domains = self.domains.iter();
            domains.find(|domain| domain.org.is_some() && domain.is_usable_by(org))
        })
    }
}
