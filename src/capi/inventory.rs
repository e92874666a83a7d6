//! What is on the foundation, as both dialects show it: one type a resource.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The label that marks orgs, spaces and apps as managed.
pub(crate) const MANAGED_BY_LABEL: &str = "managed-by";
/// The label's value, and the variable's.
pub(crate) const MANAGED_BY_VALUE: &str = "cf-pusher";
/// The annotation that names the owner of a managed resource.
pub(crate) const PREFIX_ANNOTATION: &str = "cf-pusher-prefix";
/// The annotation of a package, and of the droplet that was staged from it: the
/// SHA-256 of its bits. Where the droplet has it, all packages of its app are
/// accounted for.
pub(crate) const BITS_ANNOTATION: &str = "cf-pusher-bits-sha256";
/// In 2017, the environment variable that stands for the label.
pub(crate) const MANAGED_BY_VARIABLE: &str = "CF_PUSHER_MANAGED_BY";
/// In 2017, the environment variable that stands for the annotation of the bits.
pub(crate) const BITS_VARIABLE: &str = "CF_PUSHER_BITS_SHA256";

/// A domain, in the order of the foundation's list.
#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// Whether routes of apps may be in it: it is neither internal nor for TCP.
    pub(crate) is_for_apps: bool,
    /// The org that owns it; none for one that is shared by all.
    pub(crate) owner: Option<String>,
}

/// One rule of a security group: what traffic it allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) protocol: String,
    pub(crate) destination: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ports: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct SecurityGroup {
    pub(crate) guid: String,
    pub(crate) rules: Vec<Rule>,
    /// The GUIDs of the spaces whose running apps it applies to.
    pub(crate) spaces: Vec<String>,
}

/// Labels and annotations.
pub(crate) type Metadata = BTreeMap<String, Option<String>>;

/// Whether a resource carries our label, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) managed: bool,
    /// Who is responsible for it; none where nothing says so.
    pub(crate) owner: Option<String>,
}

impl Ownership {
    /// Whether it is managed, and for nobody else.
    pub(crate) fn is_of(&self, owner: &str) -> bool {
        self.managed && self.owner.as_deref().is_none_or(|it| it == owner)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Org {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) ownership: Ownership,
    pub(crate) quota: Option<String>,
    pub(crate) labels: Metadata,
    pub(crate) annotations: Metadata,
}

#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org.
    pub(crate) org: String,
    pub(crate) ownership: Ownership,
    pub(crate) labels: Metadata,
    pub(crate) annotations: Metadata,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its space.
    pub(crate) space: String,
    /// Whether its desired state is STARTED.
    pub(crate) started: bool,
    pub(crate) ownership: Ownership,
    /// Those that it stages with; none where they are detected.
    pub(crate) buildpacks: Vec<String>,
    pub(crate) current_droplet: Option<String>,
    /// All droplets of the app.
    pub(crate) droplets: Vec<Droplet>,
    /// All packages of the app; none where its droplet accounts for them.
    pub(crate) packages: Vec<Package>,
    pub(crate) web: Option<Process>,
    /// The app as a manifest has it, where it was read by itself.
    pub(crate) manifest: Option<Map<String, Value>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Droplet {
    pub(crate) guid: String,
    pub(crate) state: DropletState,
    /// The same for a droplet and its copies.
    pub(crate) checksum: Option<String>,
    /// The SHA-256 of the bits that it was staged from, where an annotation has it.
    pub(crate) bits: Option<String>,
    /// Whether the annotation is on the droplet itself, or in 2017 on the app that
    /// runs with it.
    pub(crate) annotated: bool,
    /// What it was staged from; none for a copy.
    pub(crate) package: Option<String>,
}

/// Whether an app can run with a droplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropletState {
    Staged,
    /// It is being staged.
    Staging,
    /// It is being copied or uploaded, failed, or expired.
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) guid: String,
    pub(crate) bits: Option<String>,
    /// Whether it can be staged.
    pub(crate) ready: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) instances: u32,
    pub(crate) memory_mb: u64,
    pub(crate) disk_mb: u64,
    /// The state of each instance that there is, as Cloud Controller calls it.
    pub(crate) states: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) guid: String,
    /// Host, domain and path or port.
    pub(crate) url: String,
    pub(crate) destinations: Vec<Destination>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) app: String,
    /// The type of the app's process.
    pub(crate) process: String,
    /// None where nothing says so.
    pub(crate) port: Option<u32>,
}

/// The port that apps listen on unless a destination says otherwise.
pub(crate) const DEFAULT_PORT: u32 = 8080;

impl Destination {
    /// Whether it is where a manifest maps a route to.
    pub(crate) fn is_default(&self) -> bool {
        self.process == "web" && self.port.is_none_or(|port| port == DEFAULT_PORT)
    }
}

impl App {
    /// The droplet that the app runs with.
    pub(crate) fn current(&self) -> Option<&Droplet> {
        let current = self.current_droplet.as_deref()?;
        self.droplets.iter().find(|droplet| droplet.guid == current)
    }

    /// Takes its own of the packages of many apps, which tell the bits of the
    /// droplets that were staged from them.
    pub(crate) fn take_packages(&mut self, by_app: &mut HashMap<String, Vec<Package>>) {
        self.packages = by_app.remove(&self.guid).unwrap_or_default();
        for droplet in self.droplets.iter_mut().filter(|it| it.bits.is_none()) {
            let source = droplet.package.as_deref();
            let mut packages = self.packages.iter();
            let source = packages.find(|it| Some(it.guid.as_str()) == source);
            droplet.bits = source.and_then(|package| package.bits.clone());
        }
    }

    /// Whether the droplet that it runs with accounts for all of its packages: it
    /// is a copy or annotated, and no other was staged meanwhile.
    pub(crate) fn accounts_for_packages(&self) -> bool {
        let Some(current) = self.current() else {
            return false;
        };
        let mut others = self.droplets.iter().filter(|it| it.guid != current.guid);
        (current.annotated || current.package.is_none()) && others.all(|it| it.package.is_none())
    }
}
