//! The options of a mock, and the fake that is built from them.

use std::io;
use std::iter;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::api::uaa::token::Tokens;
use crate::serve::controller::CloudController;
use crate::serve::core::{Core, Observer, Parts, Wire};
use crate::serve::embedded_broker::{BrokerSpec, EmbeddedBroker};
use crate::serve::faults::Fault;
use crate::serve::front::Tls;
use crate::serve::mock_capi::StartError;
use crate::serve::pace::Profile;
use crate::serve::seed_file::SeedFile;
use crate::serve::state::{LoadedState, StateFile};
use crate::serve::worlds::Worlds;
use crate::world::clock::Clock;
use crate::world::random::Random;
use crate::world::settings::{
    Account, Client, Dialect, RateLimit, Settings, Timings, check_jitter,
};
use crate::world::{GuidSource, RouterGroup, World};

/// The highest limit that a foundation can set for bindings between an app and a service
/// instance.
const MAX_BINDINGS: usize = 5;

/// The file or text that declares the initial resources.
#[derive(Clone, Debug)]
pub(super) enum SeedSource {
    File(PathBuf),
    Yaml(String),
}

impl SeedSource {
    fn read(&self) -> Result<SeedFile, StartError> {
        match self {
            Self::File(path) => SeedFile::read(path),
            Self::Yaml(text) => SeedFile::parse(text).map_err(StartError::Seed),
        }
    }

    fn refuse(self, reason: String) -> StartError {
        match self {
            Self::File(path) => StartError::SeedFile { path, reason },
            Self::Yaml(_) => StartError::Seed(reason),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) dialect: Dialect,
    pub(super) listen: SocketAddr,
    pub(super) user: (String, String),
    pub(super) further_users: Vec<(String, String)>,
    pub(super) client: Option<(String, String)>,
    pub(super) apps_domain: String,
    pub(super) timings: Timings,
    pub(super) profile: Option<Profile>,
    pub(super) workers: usize,
    pub(super) token_lifetime: Duration,
    pub(super) record_requests: bool,
    pub(super) deployments_disabled: bool,
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) admin_rate_limit: Option<u64>,
    pub(super) faults: Vec<Fault>,
    pub(super) seed: Option<u64>,
    pub(super) state_file: Option<PathBuf>,
    pub(super) seed_source: Option<SeedSource>,
    pub(super) keep_events: usize,
    pub(super) keep_requests: usize,
    pub(super) v2_disabled: bool,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) world_ports: Option<RangeInclusive<u16>>,
    pub(super) tls: bool,
    pub(super) observer: Option<Observer>,
    pub(super) brokers: Vec<BrokerSpec>,
    pub(super) bindings_per_app: usize,
    pub(super) broker_timeout: Duration,
    pub(super) broker_poll_interval: Duration,
    pub(super) ipv6: bool,
    pub(super) recursive_delete: bool,
    pub(super) router_groups: Vec<RouterGroup>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: ("admin".into(), "admin".into()),
            further_users: Vec::new(),
            client: None,
            apps_domain: "apps.mock.test".into(),
            timings: Timings::default(),
            profile: None,
            workers: 0,
            token_lifetime: Duration::from_secs(600),
            record_requests: false,
            deployments_disabled: false,
            rate_limit: None,
            admin_rate_limit: None,
            faults: Vec::new(),
            seed: None,
            state_file: None,
            seed_source: None,
            keep_events: 200_000,
            keep_requests: 1000,
            v2_disabled: false,
            allowed_hosts: Vec::new(),
            world_ports: None,
            tls: false,
            observer: None,
            brokers: Vec::new(),
            bindings_per_app: 1,
            broker_timeout: Duration::from_secs(60),
            broker_poll_interval: Duration::from_secs(1),
            ipv6: false,
            recursive_delete: false,
            router_groups: Vec::new(),
        }
    }
}

impl Options {
    /// A certificate for the host names of the mock.
    pub(super) fn tls(&self) -> io::Result<Option<Tls>> {
        if !self.tls {
            return Ok(None);
        }
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let domain = &self.apps_domain;
        let mut hosts = own.to_vec();
        hosts.push(self.listen.ip().to_string());
        hosts.extend([domain.clone(), format!("*.{domain}")]);
        hosts.extend(self.allowed_hosts.iter().cloned());
        hosts.sort();
        hosts.dedup();
        Tls::self_signed(hosts).map(Some)
    }

    /// The additional worlds, if the options allow them.
    pub(super) fn worlds(&self, tls: Option<&Tls>) -> Option<Worlds> {
        let ports = self.world_ports.clone()?;
        let ports = (ports != (0..=0)).then_some(ports);
        let options = Self {
            state_file: None,
            world_ports: None,
            ..self.clone()
        };
        let make = move || {
            let made = options.clone().build(Wire::Front);
            made.map_err(|error| error.to_string())
        };
        Some(Worlds::new(
            Box::new(make),
            self.listen.ip(),
            tls.cloned(),
            ports,
        ))
    }

    /// The settings, with a GUID for each user.
    fn settings(&self, guids: &mut GuidSource) -> Settings {
        let further = self.further_users.iter().map(|user| (user, false));
        let users = iter::once((&self.user, true)).chain(further);
        let users = users.map(|((name, secret), admin)| Account {
            name: name.clone(),
            secret: secret.clone(),
            guid: guids.next(),
            admin,
        });
        let client = self.client.clone();
        Settings {
            dialect: self.dialect,
            users: users.collect(),
            client: client.map(|(id, secret)| Client { id, secret }),
            apps_domain: self.apps_domain.clone(),
            token_lifetime: self.token_lifetime,
            record_requests: self.record_requests,
            deployments_disabled: self.deployments_disabled,
            rate_limit: self.rate_limit,
            keep_events: self.keep_events,
            keep_requests: self.keep_requests,
            admin_rate_limit: self.admin_rate_limit,
            v2: !self.v2_disabled,
            bindings_per_app: self.bindings_per_app.clamp(1, MAX_BINDINGS),
            broker_timeout: self.broker_timeout,
            broker_poll_interval: self.broker_poll_interval,
            ipv6: self.ipv6,
            recursive_delete: self.recursive_delete,
            router_groups: self.router_groups.clone(),
            allowed_hosts: self.allowed_hosts.clone(),
        }
    }

    pub(super) fn build(self, wire: Wire) -> Result<CloudController, StartError> {
        check_jitter(self.timings.jitter).map_err(StartError::Times)?;
        let seed = self.seed_source.as_ref().map(SeedSource::read);
        let seed = seed.transpose()?;
        let mut random = Random::from_seed(self.seed.unwrap_or_else(Random::any_seed));
        let mut guids = GuidSource::new(random.split());
        let settings = self.settings(&mut guids);
        let opened = self.state_file.as_ref();
        let opened = opened.map(|path| StateFile::open(path, self.dialect));
        let (state_file, loaded) = opened.transpose()?.unzip();
        let loaded: Option<LoadedState> = loaded.flatten();
        let is_new = loaded.is_none();
        let clock = Clock::new();
        let (world, tokens) = match loaded {
            Some(LoadedState {
                mut world, tokens, ..
            }) => {
                // The clock of the saved mock may have been advanced, and time does not
                // go back.
                clock.advance(world.now().since(clock.now()));
                world.resume(self.timings, &settings);
                (world, tokens)
            }
            None => {
                let mut world = World::new(guids, clock.now(), self.timings, &settings);
                if let (Some(seed), Some(source)) = (&seed, self.seed_source) {
                    let applied = seed.apply(&mut world, &settings);
                    applied.map_err(|reason| source.refuse(reason))?;
                }
                (world, Tokens::default())
            }
        };
        let brokers = self.brokers.into_iter().map(EmbeddedBroker::start);
        let brokers: io::Result<Vec<EmbeddedBroker>> = brokers.collect();
        let core = Core::new(Parts {
            settings,
            clock,
            world,
            tokens,
            faults: self.faults,
            random,
            wire,
            seed,
            state_file,
            observer: self.observer,
            profile: self.profile,
            workers: self.workers,
            brokers: brokers.map_err(StartError::Broker)?,
        })?;
        if let Some(path) = self.state_file.filter(|_| is_new) {
            core.save(&path)?;
        }
        let controller = CloudController::new(core);
        controller.run_broker_tasks();
        Ok(controller)
    }
}
