//! The overlay network: each started instance has an address, at which other instances
//! can reach it.
//!
//! A process stores the addresses of its instances in runs, like their start times. The
//! leases map an address back to its process; they are rebuilt from the processes when a
//! state is loaded.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{App, Guid, InstanceState, Process, Table, World};
use crate::world::clock::{Timestamp, exact};

/// The number of cells that receive instances in turn. The next cells are used when these
/// are full.
const CELLS_AT_ONCE: u32 = 4;

/// The number of addresses of a cell: their last byte is from 1 to this.
const PER_CELL: u32 = 254;

const BLOCK: u32 = CELLS_AT_ONCE * PER_CELL;

/// The number of addresses in 10.255.0.0/16. Others are used only when all of these are
/// in use.
const USUAL: u32 = 256 * PER_CELL;

/// The number of all addresses. The last ones are in 10.128.0.0/16.
const ALL: u32 = 128 * USUAL;

/// The maximum number of instances of a process that have addresses.
const ADDRESSED: u32 = InstanceState::LISTED;

/// The time for which ended instances are kept: the maximum lifetime of a registration.
const KEPT: Duration = Duration::from_secs(86_400);

/// The maximum number of ended instances that are kept.
const KEPT_DEPARTURES: usize = 10_000;

/// The address of an instance in the overlay network, as a number that starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct InstanceAddress(u32);

impl InstanceAddress {
    fn cell(self) -> u32 {
        CELLS_AT_ONCE * (self.0 / BLOCK) + self.0 % CELLS_AT_ONCE
    }

    /// The position among the addresses of the cell, starting at 0.
    fn place(self) -> u32 {
        (self.0 % BLOCK) / CELLS_AT_ONCE
    }

    pub(crate) fn ip(self) -> Ipv4Addr {
        let cell = self.cell();
        Ipv4Addr::from_bits(
            (10 << 24) | ((255 - cell / 256) << 16) | ((cell % 256) << 8) | (self.place() + 1),
        )
    }

    /// The address of the cell that the instance runs on.
    pub(crate) fn host(self) -> Ipv4Addr {
        let cell = self.cell();
        Ipv4Addr::from_bits((10 << 24) | ((cell % 256) << 8) | (cell / 256 + 1))
    }

    /// The port of the cell that leads to the instance's port 8080. The port of its TLS
    /// proxy follows.
    pub(crate) fn external_port(self) -> u32 {
        61_000 + 2 * self.place()
    }

    /// The address of an IP address. `None` if it is outside the overlay network.
    pub(crate) fn of_ip(ip: Ipv4Addr) -> Option<Self> {
        let [first, second, third, last] = ip.octets().map(u32::from);
        if first != 10 || second < 128 || !(1..=PER_CELL).contains(&last) {
            return None;
        }
        let cell = (255 - second) * 256 + third;
        let place = (last - 1) * CELLS_AT_ONCE + cell % CELLS_AT_ONCE;
        Some(Self((cell / CELLS_AT_ONCE) * BLOCK + place))
    }

    /// The address that is `count` after this one.
    pub(crate) fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count))
    }
}

/// Whether an IP address is in 10.255.0.0/16.
pub(crate) fn is_usual(ip: Ipv4Addr) -> bool {
    ip.octets()[..2] == [10, 255]
}

/// Instances of a process that were started together, with their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placement {
    /// The first index.
    from: u32,
    /// The index after the last.
    upto: u32,
    /// State files contain this in seconds, like the start times.
    at: Timestamp,
    /// The address of the first instance. The addresses of the others follow it. `None`
    /// if all addresses were in use.
    address: Option<InstanceAddress>,
}

impl Placement {
    fn covers(&self, index: u32) -> bool {
        (self.from..self.upto).contains(&index)
    }

    fn address_of(&self, index: u32) -> Option<InstanceAddress> {
        let address = self.address?.plus(index.checked_sub(self.from)?);
        (index < self.upto.min(ADDRESSED)).then_some(address)
    }
}

/// Instances that have ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct EndedInstances {
    pub(crate) app: Guid,
    /// The app's name.
    pub(crate) name: String,
    pub(crate) space: Guid,
    /// The start command.
    pub(crate) command: String,
    /// The app's environment. Empty unless it names a registry.
    pub(crate) environment: Map<String, serde_json::Value>,
    /// The address of the first instance.
    pub(crate) address: InstanceAddress,
    /// The number of instances. Their addresses follow the first one.
    pub(crate) count: u32,
    /// The time at which the first instance was started.
    #[serde(with = "exact")]
    pub(crate) since: Timestamp,
    /// The time at which the instances ended.
    #[serde(with = "exact")]
    pub(crate) at: Timestamp,
}

/// The addresses that are in use.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// The leases by their first address.
    leases: BTreeMap<u32, Lease>,
    /// The address at which the search for free ones begins.
    next: u32,
    /// The number of addresses that may be leased. It grows when all are leased.
    limit: u32,
}

/// Consecutive addresses of a process. A lease stays until its addresses are needed.
#[derive(Clone, Copy, Debug)]
struct Lease {
    process: Guid,
    count: u32,
}

impl Default for Overlay {
    fn default() -> Self {
        Self {
            leases: BTreeMap::new(),
            next: 0,
            limit: USUAL,
        }
    }
}

impl Overlay {
    /// Leases consecutive addresses. `None` if too few are free.
    fn lease(
        &mut self,
        lease: Lease,
        is_held: impl Fn(u32, &Lease) -> bool,
    ) -> Option<InstanceAddress> {
        let mut found = self.gap(self.next, lease.count);
        if found.is_none() {
            self.leases.retain(|first, lease| is_held(*first, lease));
            found = self.gap(0, lease.count);
        }
        while found.is_none() && self.limit < ALL {
            self.limit = self.limit.saturating_mul(2).min(ALL);
            found = self.gap(0, lease.count);
        }
        let first = found?;
        self.leases.insert(first, lease);
        self.next = first + lease.count;
        Some(InstanceAddress(first))
    }

    /// The first address, not below `from`, at which `count` addresses are free.
    fn gap(&self, from: u32, count: u32) -> Option<u32> {
        let before = self.leases.range(..from).next_back();
        let end_before = before.map_or(0, |(first, lease)| first + lease.count);
        let mut at = from.max(end_before);
        for (first, lease) in self.leases.range(at..) {
            if first - at >= count {
                break;
            }
            at = first + lease.count;
        }
        (at.checked_add(count)? <= self.limit).then_some(at)
    }

    /// The process that leased an address last.
    fn holder(&self, address: InstanceAddress) -> Option<Guid> {
        let (first, lease) = self.leases.range(..=address.0).next_back()?;
        (address.0 - first < lease.count).then_some(lease.process)
    }
}

/// Whether an instance still uses an address of a lease.
fn is_held(processes: &Table<Process>, first: u32, lease: &Lease) -> bool {
    let Some(process) = processes.get(lease.process) else {
        return false;
    };
    process.placements.iter().any(|placement| {
        let own = placement.address.map(|address| address.0);
        let length = placement.upto - placement.from;
        own.is_some_and(|own| own < first + lease.count && first < own + length)
    })
}

/// Consecutive instances of a process, before and after a change.
struct Change {
    from: u32,
    upto: u32,
    before: Option<Placement>,
    started: Option<Timestamp>,
}

impl Change {
    fn is_none(&self) -> bool {
        self.before.map(|before| before.at) == self.started
    }
}

/// The instances of a process, grouped into runs that changed in the same way.
fn changes(before: &[Placement], starts: &[(u32, Timestamp)]) -> Vec<Change> {
    let mut bounds: Vec<u32> = starts.iter().map(|(upto, _)| *upto).collect();
    bounds.extend(before.iter().flat_map(|it| [it.from, it.upto]));
    bounds.push(0);
    bounds.sort_unstable();
    bounds.dedup();
    let pairs = bounds.windows(2);
    let changes = pairs.map(|pair| {
        let from = pair[0];
        let started = starts.iter().find(|(upto, _)| from < *upto);
        Change {
            from,
            upto: pair[1],
            before: before.iter().find(|it| it.covers(from)).copied(),
            started: started.map(|(_, at)| *at),
        }
    });
    changes.collect()
}

impl World {
    /// The address of an instance of a process, if it is started.
    pub(crate) fn address_of(&self, process: &Process, index: u32) -> Option<InstanceAddress> {
        let placement = process.placements.iter().find(|it| it.covers(index))?;
        placement.address_of(index)
    }

    /// The instance at an address.
    pub(crate) fn instance_at(&self, address: InstanceAddress) -> Option<(&Process, u32)> {
        let process = self.processes.get(self.overlay.holder(address)?)?;
        let index = process.placements.iter().find_map(|placement| {
            let index = placement.from + address.0.checked_sub(placement.address?.0)?;
            (placement.address_of(index) == Some(address)).then_some(index)
        })?;
        Some((process, index))
    }

    /// Instances that have ended, the latest last.
    pub(crate) fn departures(&self) -> impl Iterator<Item = &EndedInstances> {
        self.departures.iter()
    }

    /// Assigns addresses to the instances of a process that were started since the last
    /// call, and records the instances that ended.
    pub(super) fn place_instances(&mut self, guid: Guid) {
        let Some(process) = self.processes.get(guid) else {
            return;
        };
        let changes = changes(&process.placements, &process.starts);
        if changes.iter().all(Change::is_none) {
            return;
        }
        let mut placements: Vec<Placement> = Vec::new();
        let mut departed = Vec::new();
        for Change {
            from,
            upto,
            before,
            started,
        } in changes
        {
            let kept = before.filter(|before| Some(before.at) == started);
            if kept.is_none() {
                departed.extend(before.map(|before| Placement {
                    from,
                    upto,
                    address: before.address_of(from),
                    ..before
                }));
            }
            let Some(at) = started else {
                continue;
            };
            let address = match kept {
                Some(kept) => kept.address_of(from),
                None => self.lease(guid, from, upto),
            };
            placements.push(Placement {
                from,
                upto,
                at,
                address,
            });
        }
        for placement in departed {
            self.depart(guid, placement);
        }
        // Addresses do not change the process's `updated_at`.
        self.processes
            .update(guid, |process| process.placements = placements);
    }

    fn lease(&mut self, process: Guid, from: u32, upto: u32) -> Option<InstanceAddress> {
        let count = upto.min(ADDRESSED).checked_sub(from)?;
        if count == 0 {
            return None;
        }
        let processes = &self.processes;
        let lease = Lease { process, count };
        self.overlay
            .lease(lease, |first, lease| is_held(processes, first, lease))
    }

    /// Records the end of all instances of a process that is about to be removed.
    pub(super) fn record_departures(&mut self, guid: Guid) {
        let process = self.processes.get(guid);
        let placements = process.map(|process| process.placements.clone());
        for placement in placements.into_iter().flatten() {
            self.depart(guid, placement);
        }
    }

    /// Records the end of the instances of a placement that were running.
    fn depart(&mut self, guid: Guid, placement: Placement) {
        let Some(process) = self.processes.get(guid) else {
            return;
        };
        let Some(app) = self.apps.get(process.app) else {
            return;
        };
        let mut departed: Vec<EndedInstances> = Vec::new();
        for index in placement.from..placement.upto.min(ADDRESSED) {
            let since = placement.at.plus(self.start_time(process, index));
            let Some(address) = placement.address_of(index) else {
                break;
            };
            if self.now < since || process.crashing {
                continue;
            }
            match departed.last_mut() {
                Some(last) if last.address.plus(last.count) == address => last.count += 1,
                _ => departed.push(self.departure(app, process, address, since)),
            }
        }
        self.departures.extend(departed);
        let now = self.now;
        while self.departures.len() > KEPT_DEPARTURES
            || self
                .departures
                .front()
                .is_some_and(|oldest| now.since(oldest.at) > KEPT)
        {
            self.departures.pop_front();
        }
    }

    fn departure(
        &self,
        app: &App,
        process: &Process,
        address: InstanceAddress,
        since: Timestamp,
    ) -> EndedInstances {
        let registers = app.environment.contains_key(REGISTRY_BASE_URL);
        let environment = registers.then(|| app.environment.clone());
        EndedInstances {
            app: process.app,
            name: app.name.clone(),
            space: app.space,
            command: self.command_of(process).into_owned(),
            environment: environment.unwrap_or_default(),
            address,
            count: 1,
            since,
            at: self.now,
        }
    }

    /// Moves the start of a process's instances to an earlier time.
    pub(super) fn start_earlier(&mut self, guid: Guid, by: Duration) {
        self.processes.update(guid, |process| {
            for (_, started) in &mut process.starts {
                *started = started.minus(by);
            }
            for placement in &mut process.placements {
                placement.at = placement.at.minus(by);
            }
        });
    }

    /// Rebuilds the leases of a loaded world.
    pub(super) fn place_all(&mut self) {
        self.overlay = Overlay::default();
        let processes = self.processes.iter();
        let leases = processes.flat_map(|process| {
            let placements = process.placements.iter();
            placements.filter_map(|placement| {
                let count = placement.upto.min(ADDRESSED).checked_sub(placement.from)?;
                let lease = Lease {
                    process: process.base.guid,
                    count,
                };
                Some((placement.address?.0, lease))
            })
        });
        self.overlay.leases = leases.filter(|(_, lease)| lease.count > 0).collect();
        let last = self.overlay.leases.last_key_value();
        let end = last.map_or(0, |(first, lease)| first.saturating_add(lease.count));
        self.overlay.limit = self.overlay.limit.max(end.min(ALL));
        let processes: Vec<Guid> = self.processes.iter().map(|it| it.base.guid).collect();
        for process in processes {
            self.place_instances(process);
        }
    }
}

/// The environment variable with the URL of an app's registry.
pub(crate) const REGISTRY_BASE_URL: &str = "REGISTRY_BASE_URL";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::GuidSource;
    use crate::world::random::Random;

    fn process() -> Guid {
        GuidSource::new(Random::from_seed(1)).next()
    }

    #[test]
    fn instances_are_placed_on_four_cells_at_a_time() {
        let of = |number| InstanceAddress(number);
        for (number, ip, host) in [
            (0, [10, 255, 0, 1], [10, 0, 0, 1]),
            (1, [10, 255, 1, 1], [10, 0, 1, 1]),
            (4, [10, 255, 0, 2], [10, 0, 0, 1]),
            (BLOCK - 1, [10, 255, 3, 254], [10, 0, 3, 1]),
            (BLOCK, [10, 255, 4, 1], [10, 0, 4, 1]),
            (USUAL - 1, [10, 255, 255, 254], [10, 0, 255, 1]),
            (USUAL, [10, 254, 0, 1], [10, 0, 0, 2]),
            (ALL - 1, [10, 128, 255, 254], [10, 0, 255, 128]),
        ] {
            assert_eq!(of(number).ip(), Ipv4Addr::from(ip), "{number}");
            assert_eq!(of(number).host(), Ipv4Addr::from(host), "{number}");
            assert_eq!(InstanceAddress::of_ip(of(number).ip()), Some(of(number)));
        }
        for ip in [
            [10, 127, 0, 1],
            [10, 255, 0, 0],
            [10, 255, 0, 255],
            [11, 255, 0, 1],
        ] {
            assert_eq!(InstanceAddress::of_ip(ip.into()), None);
        }
    }

    #[test]
    fn addresses_are_reused_after_all_others() {
        let mut overlay = Overlay::default();
        let lease = |count| Lease {
            process: process(),
            count,
        };
        let first = overlay.lease(lease(USUAL - 10), |_, _| true).unwrap();
        assert_eq!(first, InstanceAddress(0));
        assert_eq!(overlay.lease(lease(10), |_, _| true).unwrap().0, USUAL - 10);
        // The first addresses are free again, the others are not.
        let again = overlay.lease(lease(7), |first, _| first > 0).unwrap();
        assert_eq!(again, InstanceAddress(0));
        // All addresses are in use, so new ones are leased.
        let more = overlay.lease(lease(USUAL), |_, _| true).unwrap();
        assert_eq!(more.0, USUAL);
        assert_eq!(overlay.lease(lease(ALL), |_, _| true), None);
    }

    #[test]
    fn only_restarted_instances_get_a_new_address() {
        let at = crate::world::clock::Clock::new().now();
        let later = at.plus(Duration::from_secs(1));
        let before = Placement {
            from: 0,
            upto: 4,
            at,
            address: Some(InstanceAddress(10)),
        };
        let starts = [(1, at), (2, later), (3, at), (6, later)];
        let found = changes(&[before], &starts);
        let kinds: Vec<_> = found
            .iter()
            .map(|change| (change.from, change.upto, change.is_none()))
            .collect();
        assert_eq!(
            kinds,
            [
                (0, 1, true),
                (1, 2, false),
                (2, 3, true),
                (3, 4, false),
                (4, 6, false)
            ]
        );
        assert!(changes(&[before], &[(4, at)]).iter().all(Change::is_none));
        assert!(changes(&[], &[]).is_empty());
    }
}
