//! What is on the foundation, as both dialects tell it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The label that marks orgs, spaces and apps as ours.
pub(crate) const MANAGED_BY_LABEL: &str = "managed-by";
/// The label's value, and the variable's.
pub(crate) const MANAGED_BY_VALUE: &str = "cf-pusher";
/// The annotation with the prefix that something was made for.
pub(crate) const PREFIX_ANNOTATION: &str = "cf-pusher-prefix";
/// The annotation of a package, and of the droplet that was staged from it: the
/// SHA-256 of its bits. Where the droplet has it, all packages of its app are
/// accounted for.
pub(crate) const BITS_ANNOTATION: &str = "cf-pusher-bits-sha256";
/// In 2017, the environment variable that does the label's work.
pub(crate) const MANAGED_BY_VARIABLE: &str = "CF_PUSHER_MANAGED_BY";
/// In 2017, the environment variable that does the bits annotation's work.
pub(crate) const BITS_VARIABLE: &str = "CF_PUSHER_BITS_SHA256";

/// The names that an inventory is made of.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) org: String,
    pub(crate) space: String,
    pub(crate) quota: String,
    pub(crate) security_group: String,
    /// The domain of the apps; if not given, the foundation's default.
    pub(crate) apps_domain: Option<String>,
    /// The apps that matter; of others in the org, only that they are there.
    pub(crate) apps: HashSet<String>,
    /// Whether the routes themselves matter, or only whether each app has its own.
    pub(crate) routes: bool,
}

/// All that exists of a [`Scope`].
#[derive(Debug, Clone)]
pub(crate) struct Inventory {
    pub(crate) domain: Domain,
    pub(crate) quota: Option<Quota>,
    pub(crate) security_group: Option<SecurityGroup>,
    pub(crate) org: Option<Org>,
    pub(crate) space: Option<Space>,
    /// The apps of the whole org; only those of the space in detail.
    pub(crate) apps: Vec<App>,
    /// The routes of the space; none where every app's [`App::routed`] is known
    /// and nothing more needs them.
    pub(crate) routes: Vec<Route>,
}

#[derive(Debug, Clone)]
pub(crate) struct Domain {
    pub(crate) guid: String,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Quota {
    pub(crate) guid: String,
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
    /// The spaces whose running apps it applies to.
    pub(crate) spaces: Vec<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Org {
    pub(crate) guid: String,
    /// Whether it carries our label.
    pub(crate) managed: bool,
    pub(crate) quota: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) guid: String,
    /// Whether it carries our label.
    pub(crate) managed: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) space: String,
    /// Whether its desired state is STARTED.
    pub(crate) started: bool,
    /// Whether it carries our label.
    pub(crate) managed: bool,
    pub(crate) env: Arc<BTreeMap<String, String>>,
    /// Those that it stages with; none where they are detected.
    pub(crate) buildpacks: Vec<String>,
    /// The web process's start command, where it has one.
    pub(crate) command: Option<String>,
    /// Whether that is surely the process's own, and not its droplet's.
    pub(crate) command_is_own: bool,
    pub(crate) current_droplet: Option<String>,
    /// All droplets of the app.
    pub(crate) droplets: Vec<Droplet>,
    /// All packages of the app; none where its droplet accounts for them.
    pub(crate) packages: Vec<Package>,
    /// Whether it has the route of its own name in the apps domain, where the
    /// Cloud Controller told without listing routes.
    pub(crate) routed: Option<bool>,
    pub(crate) web: Option<Process>,
}

#[derive(Debug, Clone)]
pub(crate) struct Droplet {
    pub(crate) guid: String,
    pub(crate) state: DropletState,
    /// The same for a droplet and its copies.
    pub(crate) checksum: Option<String>,
    /// The SHA-256 of the bits that it was staged from, where we noted it.
    pub(crate) bits: Option<String>,
    /// Whether that is noted on the droplet itself, or in 2017 on the app that
    /// runs with it.
    pub(crate) noted: bool,
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
    pub(crate) host: String,
    pub(crate) domain: String,
    /// Whether it has a path or port, so is none of ours.
    pub(crate) plain: bool,
    /// The apps that it is mapped to.
    pub(crate) apps: Vec<String>,
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
    /// is a copy or has a note, and no other was staged meanwhile.
    pub(crate) fn accounts_for_packages(&self) -> bool {
        let Some(current) = self.current() else {
            return false;
        };
        let mut others = self.droplets.iter().filter(|it| it.guid != current.guid);
        (current.noted || current.package.is_none()) && others.all(|it| it.package.is_none())
    }
}
