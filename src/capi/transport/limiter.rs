//! Adapts the number of concurrent requests to the foundation's response times, as TCP
//! congestion control adapts to a network.
//!
//! The limit starts low. Each response that is as fast as usual for its endpoint raises
//! it by one, so it doubles in a round trip. After the first overload, it grows by one
//! per round trip instead. Late responses mean that requests queue at the foundation. A
//! round trip of late responses lowers the limit in proportion to the excess time, but
//! not below the first limit. In a few round trips, the limit settles at the lowest value
//! that keeps the foundation busy. A response that reports overload halves the limit.
//! Other responses of the same burst do not halve it again.
//!
//! An endpoint is compared only with itself, because lists and manifests are always slow.
//! While an endpoint responds late, or has not responded yet, it may use at most half of
//! the slots, so that it does not block other endpoints.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// The limit at the start of a run.
const FIRST: usize = 4;

/// A response is late when it takes longer than twice the endpoint's shortest time plus
/// this much.
const SLACK: Duration = Duration::from_millis(20);

/// At the lowest limit, each response moves the shortest time towards its own time by the
/// difference divided by this number, because an endpoint can become permanently slower.
/// At a higher limit, responses are slow because requests queue.
const DECAY: u32 = 1000;

/// The load of the foundation according to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadSignal {
    /// The request was processed in this time.
    Processed(Duration),
    /// The request was processed or refused, but its duration does not indicate the load.
    Unmeasured,
    /// The foundation reported overload, or did not respond.
    Overloaded,
}

/// A request that was admitted.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    endpoint: EndpointId,
    /// The number of requests in flight, and the limit, when it was admitted.
    in_flight: usize,
    limit: usize,
}

/// Identifies an endpoint within a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointId(usize);

#[derive(Debug)]
pub(crate) struct Limiter {
    ceiling: usize,
    limit: usize,
    /// Below this limit, growth is exponential.
    threshold: usize,
    /// Good responses since the limit was last raised, above the threshold.
    credit: usize,
    /// The late responses since the limit was last changed.
    late: LateResponses,
    /// The number of the next request.
    next: u64,
    /// The first request that was admitted after the limit was halved.
    halved: u64,
    in_flight: usize,
    ids: HashMap<String, EndpointId>,
    endpoints: Vec<Endpoint>,
}

/// The number of late responses, the time that they took, and the maximum time that they
/// should take.
#[derive(Debug, Default)]
struct LateResponses {
    count: usize,
    took: Duration,
    usual: Duration,
}

#[derive(Debug, Default)]
struct Endpoint {
    /// The time when each request was admitted, by its number.
    in_flight: BTreeMap<u64, Instant>,
    lowest: Option<Duration>,
    /// Whether the last response was on time.
    steady: bool,
}

impl Endpoint {
    /// Records the time of a response. Returns the longest time that would not be late.
    fn measure(&mut self, took: Duration, is_lowest_limit: bool) -> Duration {
        let lowest = match self.lowest {
            Some(lowest) if lowest < took && is_lowest_limit => lowest + (took - lowest) / DECAY,
            Some(lowest) => lowest.min(took),
            None => took,
        };
        self.lowest = Some(lowest);
        usual(lowest)
    }

    /// Whether the last response was on time and no request in flight is late.
    fn is_steady(&self, now: Instant) -> bool {
        let oldest = self.in_flight.first_key_value().map(|(_, began)| *began);
        let late = match (oldest, self.lowest) {
            (Some(began), Some(lowest)) => now.saturating_duration_since(began) > usual(lowest),
            _ => false,
        };
        self.steady && !late
    }
}

/// The longest time of a response that is not late.
fn usual(lowest: Duration) -> Duration {
    (lowest * 2).saturating_add(SLACK)
}

impl Limiter {
    pub(crate) fn new(ceiling: usize) -> Self {
        let ceiling = ceiling.max(1);
        Self {
            ceiling,
            limit: FIRST.min(ceiling),
            threshold: ceiling,
            credit: 0,
            late: LateResponses::default(),
            next: 0,
            halved: 0,
            in_flight: 0,
            ids: HashMap::new(),
            endpoints: Vec::new(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_full(&self) -> bool {
        self.in_flight >= self.limit
    }

    pub(crate) fn endpoint(&mut self, name: &str) -> EndpointId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = EndpointId(self.endpoints.len());
        self.endpoints.push(Endpoint::default());
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Admits a request, if a slot is free and its endpoint may use it.
    pub(crate) fn admit(&mut self, id: EndpointId, now: Instant) -> Option<Ticket> {
        let (full, limit) = (self.is_full(), self.limit);
        let endpoint = self.endpoints.get_mut(id.0)?;
        let share = match endpoint.is_steady(now) {
            true => limit,
            false => limit.div_ceil(2),
        };
        if full || endpoint.in_flight.len() >= share {
            return None;
        }
        let number = self.next;
        endpoint.in_flight.insert(number, now);
        self.in_flight += 1;
        self.next += 1;
        Some(Ticket {
            number,
            endpoint: id,
            in_flight: self.in_flight,
            limit,
        })
    }

    /// Frees the slot of a request and adapts the limit to its response.
    pub(crate) fn record_response(&mut self, ticket: &Ticket, response: LoadSignal) {
        // A limit that is not used up must not grow.
        let peak = self.in_flight.max(ticket.in_flight);
        let in_use = peak * 2 > ticket.limit;
        // An endpoint that is late uses only half of the slots.
        let is_half_used = peak * 2 >= ticket.limit;
        let is_lowest_limit = self.limit <= FIRST;
        self.release(ticket);
        let Some(endpoint) = self.endpoints.get_mut(ticket.endpoint.0) else {
            return;
        };
        match response {
            LoadSignal::Processed(took) => {
                let usual = endpoint.measure(took, is_lowest_limit);
                endpoint.steady = took <= usual;
                match took <= usual {
                    true if in_use => self.grow(),
                    false if is_half_used => self.shrink(took, usual),
                    _ => {}
                }
            }
            LoadSignal::Unmeasured => endpoint.steady = true,
            LoadSignal::Overloaded => {
                endpoint.steady = false;
                if ticket.number >= self.halved {
                    self.halve();
                }
            }
        }
    }

    /// Frees the slot of a cancelled request.
    pub(crate) fn release(&mut self, ticket: &Ticket) {
        let endpoint = self.endpoints.get_mut(ticket.endpoint.0);
        let there = endpoint.and_then(|it| it.in_flight.remove(&ticket.number));
        self.in_flight -= usize::from(there.is_some());
    }

    fn grow(&mut self) {
        self.credit += 1;
        if self.limit < self.threshold || self.credit >= self.limit {
            self.limit = (self.limit + 1).min(self.ceiling);
            (self.credit, self.late) = (0, LateResponses::default());
        }
    }

    /// Counts a late response.
    fn shrink(&mut self, took: Duration, usual: Duration) {
        let late = &mut self.late;
        late.count += 1;
        late.took = late.took.saturating_add(took);
        late.usual = late.usual.saturating_add(usual);
        if late.count < self.limit || self.limit <= FIRST {
            return;
        }
        let lower = self.limit as u128 * late.usual.as_nanos() / late.took.as_nanos().max(1);
        let lower = usize::try_from(lower).unwrap_or(self.limit);
        // Lowers the limit by at least one, and at most by half.
        self.limit = lower.clamp(self.limit / 2, self.limit - 1).max(FIRST);
        self.threshold = self.limit;
        (self.credit, self.late) = (0, LateResponses::default());
    }

    fn halve(&mut self) {
        self.limit = (self.limit / 2).max(1);
        self.threshold = self.limit;
        (self.credit, self.late) = (0, LateResponses::default());
        self.halved = self.next;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const RTT: Duration = Duration::from_millis(20);

    /// A limiter and a clock.
    struct Fixture {
        limiter: Limiter,
        now: Instant,
    }

    impl Fixture {
        fn new(ceiling: usize) -> Self {
            Self {
                limiter: Limiter::new(ceiling),
                now: Instant::now(),
            }
        }

        fn go(&mut self, endpoint: &str) -> Option<Ticket> {
            let id = self.limiter.endpoint(endpoint);
            self.limiter.admit(id, self.now)
        }

        /// Admits requests until no slot is free.
        fn all(&mut self, endpoint: &str) -> Vec<Ticket> {
            std::iter::from_fn(|| self.go(endpoint)).collect()
        }

        fn respond(&mut self, tickets: Vec<Ticket>, response: LoadSignal) {
            for ticket in tickets {
                self.limiter.record_response(&ticket, response);
            }
        }

        /// Admits requests until no slot is free, and responds to each after this time.
        fn round_trip(&mut self, took: Duration) -> usize {
            let tickets = self.all("GET /v3/apps");
            let count = tickets.len();
            self.now += took;
            self.respond(tickets, LoadSignal::Processed(took));
            count
        }

        /// A fixture whose limit has grown to the ceiling.
        fn at_ceiling(ceiling: usize) -> Self {
            let mut fixture = Self::new(ceiling);
            while fixture.limiter.limit() < ceiling {
                fixture.round_trip(RTT);
            }
            fixture
        }
    }

    #[test]
    fn the_limit_doubles_in_a_round_trip_up_to_the_ceiling() {
        let mut fixture = Fixture::new(20);
        let first = fixture.go("GET /v3/apps").unwrap();
        fixture.respond(vec![first], LoadSignal::Processed(RTT));
        let counts: Vec<usize> = (0..5).map(|_| fixture.round_trip(RTT)).collect();
        assert_eq!(counts, [4, 8, 16, 20, 20]);
    }

    #[test]
    fn the_limit_never_starts_above_the_ceiling() {
        let mut fixture = Fixture::new(2);
        assert_eq!(fixture.limiter.limit(), 2);
        fixture.round_trip(RTT);
        fixture.round_trip(RTT);
        assert_eq!(fixture.limiter.limit(), 2);
    }

    #[test]
    fn a_burst_of_failures_halves_the_limit_once_and_slows_growth() {
        let mut fixture = Fixture::at_ceiling(20);
        let burst = fixture.all("GET /v3/apps");
        assert_eq!(burst.len(), 20);
        fixture.respond(burst, LoadSignal::Overloaded);
        assert_eq!(fixture.limiter.limit(), 10);
        fixture.round_trip(RTT);
        let limits: Vec<usize> = (0..3)
            .map(|_| {
                fixture.round_trip(RTT);
                fixture.limiter.limit()
            })
            .collect();
        assert_eq!(limits, [11, 12, 13]);
        let again = fixture.all("GET /v3/apps");
        fixture.respond(again, LoadSignal::Overloaded);
        assert_eq!(fixture.limiter.limit(), 6, "a later burst halves it again");
    }

    #[test]
    fn a_round_trip_of_late_responses_lowers_the_limit_by_the_excess() {
        // Responses of up to 60 ms are on time.
        let lowered = |took| {
            let mut fixture = Fixture::at_ceiling(40);
            fixture.round_trip(took);
            fixture.limiter.limit()
        };
        assert_eq!(lowered(RTT * 4), 30);
        assert_eq!(lowered(RTT * 100), 20, "by at most half");
        assert_eq!(lowered(RTT * 3 + RTT / 100), 39, "by at least one");

        let mut fixture = Fixture::at_ceiling(40);
        for _ in 0..100 {
            fixture.round_trip(RTT * 5);
        }
        assert_eq!(fixture.limiter.limit(), FIRST);
        for _ in 0..5 {
            fixture.round_trip(RTT);
        }
        assert!(fixture.limiter.limit() > FIRST, "fast responses raise it");
    }

    /// A foundation that serves some requests in parallel and queues the others.
    #[test]
    fn the_limit_settles_where_requests_begin_to_queue() {
        let settled = |workers: usize| {
            let mut fixture = Fixture::new(100);
            for _ in 0..200 {
                let tickets = fixture.all("GET /v3/apps");
                let queued = tickets.len().div_ceil(workers);
                let took = RTT * u32::try_from(queued).unwrap();
                fixture.now += took;
                fixture.respond(tickets, LoadSignal::Processed(took));
            }
            fixture.limiter.limit()
        };
        assert!((FIRST..=8).contains(&settled(1)), "{}", settled(1));
        assert!((20..=61).contains(&settled(20)), "{}", settled(20));
    }

    /// A foundation that serves four requests in parallel.
    #[test]
    fn a_limit_far_above_the_capacity_is_lowered_in_a_few_round_trips() {
        let mut fixture = Fixture::at_ceiling(64);
        let mut in_flight = VecDeque::from(fixture.all("GET /v3/apps"));
        let mut responses = 0;
        while fixture.limiter.limit() > 20 {
            let took = RTT * u32::try_from(in_flight.len().div_ceil(4)).unwrap();
            let oldest = in_flight.pop_front().unwrap();
            fixture.now += RTT / 4;
            fixture.respond(vec![oldest], LoadSignal::Processed(took));
            in_flight.extend(fixture.all("GET /v3/apps"));
            responses += 1;
        }
        assert!(responses <= 150, "{responses}");
    }

    #[test]
    fn a_slow_endpoint_is_compared_only_with_itself() {
        let mut fixture = Fixture::new(20);
        fixture.round_trip(RTT);
        fixture.round_trip(Duration::from_secs(60));
        let manifests = "POST /v3/spaces/:guid/actions/apply_manifest";
        let before = fixture.limiter.limit();
        for _ in 0..10 {
            let tickets = fixture.all(manifests);
            fixture.respond(tickets, LoadSignal::Processed(Duration::from_secs(5)));
        }
        assert!(fixture.limiter.limit() > before);
    }

    #[test]
    fn a_permanently_slower_endpoint_is_on_time_again_eventually() {
        let mut fixture = Fixture::new(50);
        fixture.round_trip(RTT);
        for _ in 0..500 {
            fixture.round_trip(RTT * 5);
        }
        assert_eq!(fixture.limiter.limit(), 50);
    }

    #[test]
    fn a_limit_that_is_not_used_up_does_not_grow() {
        let mut fixture = Fixture::new(20);
        for _ in 0..100 {
            let one = fixture.go("GET /v3/jobs/:guid").unwrap();
            fixture.respond(vec![one], LoadSignal::Processed(RTT));
        }
        assert_eq!(fixture.limiter.limit(), 4);
    }

    #[test]
    fn a_new_endpoint_may_use_half_of_the_slots() {
        let mut fixture = Fixture::at_ceiling(20);
        assert_eq!(fixture.all("POST /v3/packages/:guid/upload").len(), 10);
        assert_eq!(fixture.all("GET /v3/apps").len(), 10);
    }

    #[test]
    fn an_endpoint_that_fails_or_is_late_may_use_half_of_the_slots() {
        let mut fixture = Fixture::at_ceiling(20);
        let failed = vec![fixture.go("GET /v3/apps").unwrap()];
        fixture.respond(failed, LoadSignal::Overloaded);
        assert_eq!(fixture.limiter.limit(), 10);
        assert_eq!(fixture.all("GET /v3/apps").len(), 5);

        let mut fixture = Fixture::at_ceiling(20);
        let hangs = fixture.go("GET /v3/apps").unwrap();
        fixture.now += RTT * 10;
        assert_eq!(fixture.all("GET /v3/apps").len(), 9);
        fixture.respond(vec![hangs], LoadSignal::Processed(RTT));
        assert_eq!(
            fixture.all("GET /v3/apps").len(),
            11,
            "and all of them once it responds"
        );
    }

    /// An action on a limiter.
    #[derive(Debug, Clone)]
    enum Action {
        Admit(u8),
        Response(prop::sample::Index, LoadSignal),
        Gone(prop::sample::Index),
        Wait(u16),
    }

    fn action() -> impl Strategy<Value = Action> {
        let index = any::<prop::sample::Index>;
        let response = prop_oneof![
            4 => (1..500u64).prop_map(|ms| LoadSignal::Processed(Duration::from_millis(ms))),
            1 => Just(LoadSignal::Unmeasured),
            1 => Just(LoadSignal::Overloaded),
        ];
        prop_oneof![
            6 => (0..4u8).prop_map(Action::Admit),
            4 => (index(), response).prop_map(|(at, response)| Action::Response(at, response)),
            1 => index().prop_map(Action::Gone),
            1 => (0..1000u16).prop_map(Action::Wait),
        ]
    }

    proptest! {
        #[test]
        fn the_limit_stays_within_its_bounds(
            ceiling in 1..40usize,
            actions in prop::collection::vec(action(), 0..400),
        ) {
            let mut fixture = Fixture::new(ceiling);
            let mut in_flight: Vec<Ticket> = Vec::new();
            for action in actions {
                let before = fixture.limiter.limit();
                match action {
                    Action::Admit(endpoint) => {
                        let ticket = fixture.go(&endpoint.to_string());
                        prop_assert!(ticket.is_none() || in_flight.len() < before);
                        prop_assert!(ticket.is_some() || !in_flight.is_empty(), "a request waits only while others are in flight");
                        in_flight.extend(ticket);
                    }
                    Action::Response(at, response) if !in_flight.is_empty() => {
                        let ticket = in_flight.remove(at.index(in_flight.len()));
                        fixture.limiter.record_response(&ticket, response);
                        let after = fixture.limiter.limit();
                        prop_assert!(after <= before + 1 && after >= before / 2);
                        prop_assert!(response != LoadSignal::Unmeasured || after == before);
                    }
                    Action::Gone(at) if !in_flight.is_empty() => {
                        let ticket = in_flight.remove(at.index(in_flight.len()));
                        fixture.limiter.release(&ticket);
                        prop_assert_eq!(fixture.limiter.limit(), before);
                    }
                    Action::Wait(ms) => fixture.now += Duration::from_millis(ms.into()),
                    Action::Response(..) | Action::Gone(_) => {}
                }
                prop_assert_eq!(fixture.limiter.in_flight, in_flight.len());
                prop_assert!((1..=ceiling).contains(&fixture.limiter.limit()));
            }
        }
    }
}
