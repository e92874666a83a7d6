//! The Cloud Controller's rate limit: a number of requests in a period, for each user, or
//! for each address without a login.

use std::collections::HashMap;

use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::clock::Timestamp;
use crate::world::settings::{Dialect, RateLimit};

/// A caller whose requests are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RateLimitedCaller {
    User(String),
    Address(String),
}

/// With this number of callers or more, callers whose period has expired are dropped.
const CLEANUP_THRESHOLD: usize = 10_000;

/// The requests of each caller in the current period.
#[derive(Debug, Default)]
pub(crate) struct RateLimiter(HashMap<RateLimitedCaller, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    count: u64,
    ends: Timestamp,
}

/// The rest of a caller's limit after a request.
#[derive(Debug)]
pub(crate) struct Allowance {
    limit: RateLimit,
    window: Window,
    now: Timestamp,
    caller: RateLimitedCaller,
}

/// Whether requests to a path count. Requests to the root and the login do not.
pub(crate) fn counts(path: &str) -> bool {
    (path.starts_with("/v3/") || path.starts_with("/v2/")) && path != "/v2/info"
}

impl RateLimiter {
    /// Counts a request.
    pub(crate) fn count(
        &mut self,
        limit: RateLimit,
        caller: RateLimitedCaller,
        now: Timestamp,
    ) -> Allowance {
        let fresh = Window {
            count: 0,
            ends: now.plus(limit.window),
        };
        if self.0.len() >= CLEANUP_THRESHOLD {
            self.0.retain(|_, window| window.ends > now);
        }
        let window = self.0.entry(caller.clone()).or_insert(fresh);
        if window.ends <= now {
            *window = fresh;
        }
        window.count += 1;
        Allowance {
            limit,
            window: *window,
            now,
            caller,
        }
    }
}

impl Allowance {
    /// The response to a request beyond the limit.
    pub(crate) fn refusal(&self, path: &str, dialect: Dialect) -> Option<Response> {
        if self.window.count <= self.limit.requests {
            return None;
        }
        let error = match self.caller {
            RateLimitedCaller::User(_) => {
                CcError::new(429, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded")
            }
            RateLimitedCaller::Address(_) => CcError::new(
                429,
                10014,
                "CF-IPBasedRateLimitExceeded",
                "Rate Limit Exceeded: Unauthenticated requests from this IP address \
                 have exceeded the limit. Please log in.",
            ),
        };
        let refused = Response::error(path, &error);
        let mut response = match dialect {
            Dialect::V3 => refused.with_retry_after(self.window.ends.since(self.now)),
            // Until 2021, the header had the end of the period as a UNIX time.
            Dialect::Documented2017 => {
                let ends = self.window.ends.unix_seconds();
                refused.with_header("Retry-After", ends.to_string())
            }
        };
        // The Cloud Controller's content type.
        response.content_type = "text/plain; charset=utf-8".into();
        Some(response)
    }

    /// Adds the headers with the remaining requests.
    pub(crate) fn sign(&self, response: Response) -> Response {
        response
            .with_header("X-RateLimit-Limit", self.limit.requests.to_string())
            .with_header(
                "X-RateLimit-Reset",
                self.window.ends.unix_seconds().to_string(),
            )
            .with_header("X-RateLimit-Remaining", self.remaining().to_string())
    }

    /// The Cloud Controller's estimate, in tenths of the limit.
    fn remaining(&self) -> u64 {
        let limit = u128::from(self.limit.requests.max(1));
        let left = u128::from(self.limit.requests.saturating_sub(self.window.count));
        let tenths = left * 10 / limit;
        u64::try_from(tenths * limit / 10).unwrap_or(u64::MAX)
    }
}
