//! The numbers of the scaling test: its connections, samples of the connections, and the
//! policies that allow them. All functions are pure.
//!
//! The numbers are the same as in the scaling suite of cf-networking-release.

use std::collections::HashMap;

use serde::Serialize;

use super::registry::Address;
use crate::capi::network_policies::NetworkPolicy;

/// The port that every tick app listens on.
const APP_PORT: u16 = 8080;

/// The first of the tick apps' additional ports.
const FIRST_EXTRA_PORT: u16 = 7000;

/// Determines which apps connect to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Context {
    /// The first proxy app connects to all tick apps.
    OneClient,
    /// All proxy apps connect to the first tick app.
    OneServer,
}

impl Context {
    /// Both contexts, in the order of the test.
    pub const ALL: [Self; 2] = [Self::OneClient, Self::OneServer];

    /// The context's name, `one-client` or `one-server`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneClient => "one-client",
            Self::OneServer => "one-server",
        }
    }

    /// The proxy apps and the tick apps that take part.
    pub(super) fn apps<'a>(
        self,
        proxies: &'a [String],
        ticks: &'a [String],
    ) -> (&'a [String], &'a [String]) {
        let first = |apps: &'a [String]| &apps[..apps.len().min(1)];
        match self {
            Self::OneClient => (first(proxies), ticks),
            Self::OneServer => (proxies, first(ticks)),
        }
    }
}

/// The maximum accepted difference between the numbers of registered and expected
/// instances.
pub(super) fn allowed_difference(instances: u64) -> u64 {
    instances / 1000
}

/// The ports that each tick app listens on.
pub(super) fn ports(extra: u16) -> Vec<u16> {
    let extra = (0..extra).map(|i| FIRST_EXTRA_PORT.saturating_add(i));
    std::iter::once(APP_PORT).chain(extra).collect()
}

/// The ports that each tick app listens on, as ranges.
pub(super) fn port_ranges(extra: u16) -> Vec<(u16, u16)> {
    let mut ranges = vec![(APP_PORT, APP_PORT)];
    if extra > 0 {
        ranges.push((FIRST_EXTRA_PORT, FIRST_EXTRA_PORT.saturating_add(extra - 1)));
    }
    ranges
}

/// A connection to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Connection<'a> {
    /// The proxy app that connects.
    pub(super) proxy: &'a str,
    /// The tick instance that it connects to.
    pub(super) address: &'a Address,
    pub(super) port: u16,
}

/// All connections of a context: from each proxy app to each port of each address. They
/// are numbered rather than listed, because there may be millions.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    proxies: Vec<String>,
    addresses: Vec<Address>,
    ports: Vec<u16>,
}

impl Connections {
    pub(super) fn new(proxies: &[String], addresses: Vec<Address>, ports: Vec<u16>) -> Self {
        Self {
            proxies: proxies.to_vec(),
            addresses,
            ports,
        }
    }

    pub(super) fn count(&self) -> u64 {
        [self.proxies.len(), self.addresses.len(), self.ports.len()]
            .into_iter()
            .map(|count| count as u64)
            .product()
    }

    /// The connection with a number below [`Connections::count`].
    pub(super) fn get(&self, number: u64) -> Option<Connection<'_>> {
        let (ports, addresses) = (self.ports.len() as u64, self.addresses.len() as u64);
        let rest = number.checked_div(ports)?;
        let port = self.ports.get(index(number % ports)?)?;
        let address = self.addresses.get(index(rest.checked_rem(addresses)?)?)?;
        let proxy = self.proxies.get(index(rest.checked_div(addresses)?)?)?;
        Some(Connection {
            proxy,
            address,
            port: *port,
        })
    }
}

fn index(number: u64) -> Option<usize> {
    usize::try_from(number).ok()
}

/// The number of connections to try. A share that is not between 1 and 100 percent, or
/// that is less than one connection, means all.
pub(super) fn sample_size(connections: u64, percent: i32) -> u64 {
    let share = u64::try_from(percent).unwrap_or(0);
    let size = share.saturating_mul(connections) / 100;
    match size < 1 || size >= connections {
        true => connections,
        false => size,
    }
}

/// Draws `size` of the numbers below `population`, each at most once. If all are drawn,
/// they are in order.
pub(super) fn sample(population: u64, size: u64, random: &mut fastrand::Rng) -> Vec<u64> {
    if size >= population {
        return (0..population).collect();
    }
    // Numbers that are not at their own position in the list of remaining numbers.
    let mut moved: HashMap<u64, u64> = HashMap::new();
    let mut drawn = Vec::new();
    for last in (population - size..population).rev() {
        let place = random.u64(0..=last);
        let at_last = moved.remove(&last).unwrap_or(last);
        drawn.push(match place == last {
            true => at_last,
            false => moved.insert(place, at_last).unwrap_or(place),
        });
    }
    drawn
}

/// A policy for each proxy app, tick app and range of ports. Apps are given as GUIDs.
pub(super) fn policies(
    proxies: &[&str],
    ticks: &[&str],
    ranges: &[(u16, u16)],
) -> Vec<NetworkPolicy> {
    let mut policies = Vec::new();
    for source in proxies {
        for destination in ticks {
            policies.extend(ranges.iter().map(|ports| NetworkPolicy {
                source: (*source).to_owned(),
                destination: (*destination).to_owned(),
                protocol: "tcp".to_owned(),
                ports: *ports,
            }));
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn apps(kind: &str, count: usize) -> Vec<String> {
        (0..count).map(|i| format!("scale-{kind}-{i}")).collect()
    }

    fn addresses(count: usize) -> Vec<Address> {
        let address = |i| Address {
            app: format!("scale-tick-{i}"),
            ip: format!("10.255.0.{i}"),
        };
        (0..count).map(address).collect()
    }

    #[test]
    fn one_client_connects_to_all_servers_and_all_clients_to_one_server() {
        let (proxies, ticks) = (apps("proxy", 3), apps("tick", 2));
        let (clients, servers) = Context::OneClient.apps(&proxies, &ticks);
        assert_eq!((clients, servers), (&proxies[..1], &ticks[..]));
        let (clients, servers) = Context::OneServer.apps(&proxies, &ticks);
        assert_eq!((clients, servers), (&proxies[..], &ticks[..1]));
    }

    #[rstest]
    #[case(0, 0)]
    #[case(200, 0)]
    #[case(999, 0)]
    #[case(1000, 1)]
    #[case(4999, 4)]
    fn whole_thousandths_of_the_instances_may_be_missing(#[case] total: u64, #[case] allowed: u64) {
        assert_eq!(allowed_difference(total), allowed);
    }

    #[test]
    fn ticks_listen_on_their_own_port_and_on_extra_ports_from_7000() {
        assert_eq!(ports(0), [8080]);
        assert_eq!(ports(2), [8080, 7000, 7001]);
        assert_eq!(port_ranges(0), [(8080, 8080)]);
        assert_eq!(port_ranges(1), [(8080, 8080), (7000, 7000)]);
        assert_eq!(port_ranges(1000), [(8080, 8080), (7000, 7999)]);
    }

    #[test]
    fn connections_are_all_combinations() {
        let connections = Connections::new(&apps("proxy", 2), addresses(3), ports(1));
        assert_eq!(connections.count(), 12);
        let all: Vec<String> = (0..12)
            .filter_map(|number| connections.get(number))
            .map(|it| format!("{} {}:{}", it.proxy, it.address.ip, it.port))
            .collect();
        assert_eq!(all[0], "scale-proxy-0 10.255.0.0:8080");
        assert_eq!(all[1], "scale-proxy-0 10.255.0.0:7000");
        assert_eq!(all[11], "scale-proxy-1 10.255.0.2:7000");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 12);
        assert_eq!(connections.get(12), None);
        let none = Connections::new(&[], addresses(3), ports(1));
        assert_eq!((none.count(), none.get(0)), (0, None));
        let none = Connections::new(&apps("proxy", 1), Vec::new(), ports(1));
        assert_eq!((none.count(), none.get(0)), (0, None));
    }

    #[rstest]
    #[case::a_fifth(600, 20, 120)]
    #[case::rounded_down(299, 1, 2)]
    #[case::less_than_one_means_all(99, 1, 99)]
    #[case::nothing_means_all(10, 0, 10)]
    #[case::negative_means_all(10, -1, 10)]
    #[case::all(10, 100, 10)]
    #[case::more_than_all_means_all(10, 999, 10)]
    #[case::of_none(0, 50, 0)]
    fn a_percentage_selects_some_or_all(
        #[case] connections: u64,
        #[case] percent: i32,
        #[case] expected: u64,
    ) {
        assert_eq!(sample_size(connections, percent), expected);
    }

    #[test]
    fn a_seed_repeats_the_sample_and_the_next_draw_differs() {
        let draw = |random: &mut fastrand::Rng| sample(1000, 50, random);
        let mut random = fastrand::Rng::with_seed(7);
        let (first, second) = (draw(&mut random), draw(&mut random));
        assert_ne!(first, second);
        let mut again = fastrand::Rng::with_seed(7);
        assert_eq!((draw(&mut again), draw(&mut again)), (first, second));
    }

    #[test]
    fn every_connection_is_equally_likely() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut drawn = [0; 10];
        for _ in 0..10_000 {
            for number in sample(10, 3, &mut random) {
                drawn[usize::try_from(number).unwrap()] += 1;
            }
        }
        assert!(
            drawn.iter().all(|count| (2_800..3_200).contains(count)),
            "{drawn:?}"
        );
    }

    proptest! {
        #[test]
        fn a_sample_has_no_number_twice(population in 0..500u64, size in 0..600u64, seed: u64) {
            let drawn = sample(population, size, &mut fastrand::Rng::with_seed(seed));
            prop_assert_eq!(drawn.len() as u64, size.min(population));
            prop_assert!(drawn.iter().all(|number| *number < population));
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
        }
    }

    #[test]
    fn policies_are_for_each_proxy_tick_and_range_of_ports() {
        let policies = policies(&["P0", "P1"], &["T0", "T1", "T2"], &port_ranges(2));
        assert_eq!(policies.len(), 2 * 3 * 2);
        assert_eq!(
            policies[1],
            NetworkPolicy {
                source: "P0".to_owned(),
                destination: "T0".to_owned(),
                protocol: "tcp".to_owned(),
                ports: (7000, 7001),
            }
        );
    }
}
