//! How many requests may be in flight, by how the answers come: as TCP finds
//! out how much a network bears.
//!
//! It begins low. Each answer that comes as fast as its endpoint answers allows
//! one more, which doubles the limit in a round trip; once the limit had to be
//! halved, one more in a round trip. Answers that come late allow nothing. One
//! that says that the foundation is overloaded halves the limit, and the others
//! of its burst, which were in flight then, do not halve it once more.
//!
//! An endpoint is compared with itself alone: lists and manifests are slow by
//! nature. While it answers late, or has not answered yet, it may hold half of
//! the slots, so that others are not kept waiting for it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// How many may be in flight at first.
const FIRST: usize = 4;

/// What an answer may take longer than twice the least: no sign of load.
const SLACK: Duration = Duration::from_millis(20);

/// The least is forgotten, by this part of the difference with each answer: what
/// an endpoint does may become slower for good.
const FORGOTTEN: u32 = 1000;

/// What an answer tells of the foundation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It did the work, and took so long.
    Good(Duration),
    /// It did or refused the work, and how long that took tells nothing.
    Untold,
    /// It has too much to do, or did not answer.
    Overloaded,
}

/// A request that was let go.
#[derive(Debug)]
pub(crate) struct Ticket {
    number: u64,
    endpoint: EndpointId,
    /// How many were in flight with it when it was let go, and the limit then.
    in_flight: usize,
    limit: usize,
}

/// One of the endpoints that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndpointId(usize);

#[derive(Debug)]
pub(crate) struct Limiter {
    ceiling: usize,
    limit: usize,
    /// Up to here the limit doubles in a round trip.
    threshold: usize,
    /// Good answers since the limit was last raised, above the threshold.
    credit: usize,
    /// The number of the next request.
    next: u64,
    /// The first request that was let go after the limit was halved.
    halved: u64,
    in_flight: usize,
    ids: HashMap<String, EndpointId>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Default)]
struct Endpoint {
    /// When each request was let go, by its number.
    in_flight: BTreeMap<u64, Instant>,
    lowest: Option<Duration>,
    /// Whether the last answer was in time.
    steady: bool,
}

impl Endpoint {
    /// Notes what an answer took; whether that is as usual.
    fn measure(&mut self, took: Duration) -> bool {
        let lowest = match self.lowest {
            Some(lowest) if lowest < took => lowest + (took - lowest) / FORGOTTEN,
            _ => took,
        };
        self.lowest = Some(lowest);
        took <= usual(lowest)
    }

    /// Whether it answers as usual, and nothing in flight is late.
    fn is_steady(&self, now: Instant) -> bool {
        let oldest = self.in_flight.first_key_value().map(|(_, began)| *began);
        let late = match (oldest, self.lowest) {
            (Some(began), Some(lowest)) => now.saturating_duration_since(began) > usual(lowest),
            _ => false,
        };
        self.steady && !late
    }
}

/// The longest that an answer takes where nothing is in its way.
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

    /// Lets a request go, if there is a slot that its endpoint may have.
    pub(crate) fn go(&mut self, id: EndpointId, now: Instant) -> Option<Ticket> {
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

    /// Takes an answer into account. Its slot is free then.
    pub(crate) fn on_answer(&mut self, ticket: &Ticket, answer: Answer) {
        // A limit that is not made use of says nothing about more.
        let in_use = self.in_flight.max(ticket.in_flight) * 2 > ticket.limit;
        self.on_gone(ticket);
        let Some(endpoint) = self.endpoints.get_mut(ticket.endpoint.0) else {
            return;
        };
        let in_time = match answer {
            Answer::Good(took) => endpoint.measure(took),
            Answer::Untold => true,
            Answer::Overloaded => false,
        };
        endpoint.steady = in_time;
        match answer {
            Answer::Good(_) if in_time && in_use => self.grow(),
            Answer::Overloaded if ticket.number >= self.halved => self.halve(),
            _ => {}
        }
    }

    /// Frees the slot of a request that nobody waits for any more.
    pub(crate) fn on_gone(&mut self, ticket: &Ticket) {
        let endpoint = self.endpoints.get_mut(ticket.endpoint.0);
        let there = endpoint.and_then(|it| it.in_flight.remove(&ticket.number));
        self.in_flight -= usize::from(there.is_some());
    }

    fn grow(&mut self) {
        self.credit += 1;
        if self.limit < self.threshold || self.credit >= self.limit {
            self.limit = (self.limit + 1).min(self.ceiling);
            self.credit = 0;
        }
    }

    fn halve(&mut self) {
        self.limit = (self.limit / 2).max(1);
        self.threshold = self.limit;
        self.credit = 0;
        self.halved = self.next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RTT: Duration = Duration::from_millis(20);

    /// A limiter, and a clock.
    struct Rig {
        limiter: Limiter,
        now: Instant,
    }

    impl Rig {
        fn new(ceiling: usize) -> Self {
            Self {
                limiter: Limiter::new(ceiling),
                now: Instant::now(),
            }
        }

        fn go(&mut self, endpoint: &str) -> Option<Ticket> {
            let id = self.limiter.endpoint(endpoint);
            self.limiter.go(id, self.now)
        }

        /// As many as may go.
        fn all(&mut self, endpoint: &str) -> Vec<Ticket> {
            std::iter::from_fn(|| self.go(endpoint)).collect()
        }

        fn answer(&mut self, tickets: Vec<Ticket>, answer: Answer) {
            for ticket in tickets {
                self.limiter.on_answer(&ticket, answer);
            }
        }

        /// As many requests as may go, each answered in this time.
        fn round_trip(&mut self, took: Duration) -> usize {
            let tickets = self.all("GET /v3/apps");
            let count = tickets.len();
            self.now += took;
            self.answer(tickets, Answer::Good(took));
            count
        }

        /// All may be in flight, and the endpoint is known.
        fn at_ceiling(ceiling: usize) -> Self {
            let mut rig = Self::new(ceiling);
            while rig.limiter.limit() < ceiling {
                rig.round_trip(RTT);
            }
            rig
        }
    }

    #[test]
    fn the_limit_doubles_in_a_round_trip_up_to_the_ceiling() {
        let mut rig = Rig::new(20);
        let first = rig.go("GET /v3/apps").unwrap();
        rig.answer(vec![first], Answer::Good(RTT));
        let counts: Vec<usize> = (0..5).map(|_| rig.round_trip(RTT)).collect();
        assert_eq!(counts, [4, 8, 16, 20, 20]);
    }

    #[test]
    fn a_low_ceiling_holds_from_the_beginning() {
        let mut rig = Rig::new(2);
        assert_eq!(rig.limiter.limit(), 2);
        rig.round_trip(RTT);
        rig.round_trip(RTT);
        assert_eq!(rig.limiter.limit(), 2);
    }

    #[test]
    fn a_burst_of_failures_halves_once_and_growth_is_slow_then() {
        let mut rig = Rig::at_ceiling(20);
        let burst = rig.all("GET /v3/apps");
        assert_eq!(burst.len(), 20);
        rig.answer(burst, Answer::Overloaded);
        assert_eq!(rig.limiter.limit(), 10);
        rig.round_trip(RTT);
        let limits: Vec<usize> = (0..3)
            .map(|_| {
                rig.round_trip(RTT);
                rig.limiter.limit()
            })
            .collect();
        assert_eq!(limits, [11, 12, 13]);
        let again = rig.all("GET /v3/apps");
        rig.answer(again, Answer::Overloaded);
        assert_eq!(rig.limiter.limit(), 6, "a burst of later requests does");
    }

    #[test]
    fn answers_that_come_late_allow_no_more() {
        let mut rig = Rig::new(100);
        rig.round_trip(RTT);
        rig.round_trip(RTT);
        let limit = rig.limiter.limit();
        assert!(limit < 100);
        for _ in 0..10 {
            rig.round_trip(RTT * 5);
        }
        assert_eq!(rig.limiter.limit(), limit);
        for _ in 0..10 {
            rig.round_trip(RTT);
        }
        assert_eq!(rig.limiter.limit(), 100, "once it is fast again, they do");
    }

    #[test]
    fn what_is_slow_by_nature_is_compared_with_itself() {
        let mut rig = Rig::new(20);
        rig.round_trip(RTT);
        rig.round_trip(Duration::from_secs(60));
        let manifests = "POST /v3/spaces/:guid/actions/apply_manifest";
        let before = rig.limiter.limit();
        for _ in 0..10 {
            let tickets = rig.all(manifests);
            rig.answer(tickets, Answer::Good(Duration::from_secs(5)));
        }
        assert!(rig.limiter.limit() > before);
    }

    #[test]
    fn what_is_slower_for_good_is_usual_in_time() {
        let mut rig = Rig::new(50);
        rig.round_trip(RTT);
        for _ in 0..500 {
            rig.round_trip(RTT * 5);
        }
        assert_eq!(rig.limiter.limit(), 50);
    }

    #[test]
    fn a_limit_that_is_not_made_use_of_does_not_grow() {
        let mut rig = Rig::new(20);
        for _ in 0..100 {
            let one = rig.go("GET /v3/jobs/:guid").unwrap();
            rig.answer(vec![one], Answer::Good(RTT));
        }
        assert_eq!(rig.limiter.limit(), 4);
    }

    #[test]
    fn a_new_endpoint_leaves_half_to_others() {
        let mut rig = Rig::at_ceiling(20);
        assert_eq!(rig.all("POST /v3/packages/:guid/upload").len(), 10);
        assert_eq!(rig.all("GET /v3/apps").len(), 10);
    }

    #[test]
    fn an_endpoint_that_fails_or_is_late_leaves_half_to_others() {
        let mut rig = Rig::at_ceiling(20);
        let failed = vec![rig.go("GET /v3/apps").unwrap()];
        rig.answer(failed, Answer::Overloaded);
        assert_eq!(rig.limiter.limit(), 10);
        assert_eq!(rig.all("GET /v3/apps").len(), 5);

        let mut rig = Rig::at_ceiling(20);
        let hangs = rig.go("GET /v3/apps").unwrap();
        rig.now += RTT * 10;
        assert_eq!(rig.all("GET /v3/apps").len(), 9);
        rig.answer(vec![hangs], Answer::Good(RTT));
        assert_eq!(rig.all("GET /v3/apps").len(), 11, "and all once it answers");
    }

    /// What may happen to a limiter.
    #[derive(Debug, Clone)]
    enum Happens {
        Go(u8),
        Answer(prop::sample::Index, Answer),
        Gone(prop::sample::Index),
        Passes(u16),
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let index = any::<prop::sample::Index>;
        let answer = prop_oneof![
            4 => (1..500u64).prop_map(|ms| Answer::Good(Duration::from_millis(ms))),
            1 => Just(Answer::Untold),
            1 => Just(Answer::Overloaded),
        ];
        prop_oneof![
            6 => (0..4u8).prop_map(Happens::Go),
            4 => (index(), answer).prop_map(|(at, answer)| Happens::Answer(at, answer)),
            1 => index().prop_map(Happens::Gone),
            1 => (0..1000u16).prop_map(Happens::Passes),
        ]
    }

    proptest! {
        #[test]
        fn the_limit_keeps_its_bounds_and_its_word(
            ceiling in 1..40usize,
            all in prop::collection::vec(happens(), 0..400),
        ) {
            let mut rig = Rig::new(ceiling);
            let mut flying: Vec<Ticket> = Vec::new();
            for one in all {
                let before = rig.limiter.limit();
                match one {
                    Happens::Go(endpoint) => {
                        let gone = rig.go(&endpoint.to_string());
                        prop_assert!(gone.is_none() || flying.len() < before);
                        prop_assert!(gone.is_some() || !flying.is_empty(), "nobody waits for nobody");
                        flying.extend(gone);
                    }
                    Happens::Answer(at, answer) if !flying.is_empty() => {
                        let ticket = flying.remove(at.index(flying.len()));
                        rig.limiter.on_answer(&ticket, answer);
                        let after = rig.limiter.limit();
                        prop_assert!(after <= before + 1 && after >= before / 2);
                        prop_assert!(after >= before || answer == Answer::Overloaded);
                    }
                    Happens::Gone(at) if !flying.is_empty() => {
                        let ticket = flying.remove(at.index(flying.len()));
                        rig.limiter.on_gone(&ticket);
                        prop_assert_eq!(rig.limiter.limit(), before);
                    }
                    Happens::Passes(ms) => rig.now += Duration::from_millis(ms.into()),
                    Happens::Answer(..) | Happens::Gone(_) => {}
                }
                prop_assert_eq!(rig.limiter.in_flight, flying.len());
                prop_assert!((1..=ceiling).contains(&rig.limiter.limit()));
            }
        }
    }
}
