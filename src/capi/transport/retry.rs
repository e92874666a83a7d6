//! Decides whether a failed request is sent again. No other code retries requests.
//!
//! Reads and idempotent writes are sent again after every failure that may be temporary.
//! Other writes are sent again only if they were certainly not processed: no connection
//! was made, or the Cloud Controller refused to process them (429, or 503 with
//! `Retry-After`). After any other failure, the next observation of the foundation shows
//! whether the write took effect.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};

use crate::capi::error::Error;

/// A larger `Retry-After` is a UNIX time (September 2001), a smaller value is a number of
/// seconds.
const FIRST_UNIX_TIME: u64 = 1_000_000_000;

/// The number of retries after failures other than rate limits.
const MAX_RETRIES: usize = 5;

/// Whether sending a request twice has the same effect as sending it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Sending the request several times has the same effect as sending it once.
    Safe,
    /// Sending the request twice would have two effects.
    Unsafe,
}

/// The decision about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    GiveUp,
    /// Send the request again after the next pause of the backoff.
    Retry,
    /// Send the request again after the time that the response requests.
    RetryAfter(Duration),
}

pub(crate) fn verdict(replay: Replay, error: &Error) -> Verdict {
    match error {
        Error::Unreachable { .. } => Verdict::Retry,
        Error::NoResponse { .. } if replay == Replay::Safe => Verdict::Retry,
        Error::Refused {
            status,
            retry_after,
            ..
        } => verdict_on_status(replay, *status, *retry_after),
        _ => Verdict::GiveUp,
    }
}

fn verdict_on_status(replay: Replay, status: u16, retry_after: Option<Duration>) -> Verdict {
    let passes = match status {
        429 => true,
        503 => replay == Replay::Safe || retry_after.is_some(),
        408 | 500 | 502 | 504 => replay == Replay::Safe,
        _ => false,
    };
    match (passes, retry_after) {
        (false, _) => Verdict::GiveUp,
        (true, None) => Verdict::Retry,
        (true, Some(after)) => Verdict::RetryAfter(after),
    }
}

/// The pauses between attempts: exponential, with jitter, and limited in number.
pub(crate) fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(10))
        .with_max_times(MAX_RETRIES)
        .with_jitter()
        .build()
}

/// The given pause and up to a tenth more, so that requests that were delayed together
/// are not retried at the same time, and none is retried too early.
pub(crate) fn spread(pause: Duration) -> Duration {
    const MOST: Duration = Duration::from_secs(10);
    pause.saturating_add((pause / 10).min(MOST).mul_f64(fastrand::f64()))
}

/// The time to wait according to a response.
///
/// `Retry-After` is a number of seconds or a date. From 2016 to 2021, the Cloud
/// Controller's rate limiter sent the UNIX time of the reset instead, so a large number
/// is a point in time. A 429 without `Retry-After` waits until `X-RateLimit-Reset`, a
/// UNIX time in seconds.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let time_until = |time: SystemTime| time.duration_since(now(headers)).unwrap_or_default();
    if let Some(value) = text("retry-after") {
        return match value.trim().parse() {
            Ok(seconds @ FIRST_UNIX_TIME..) => unix_time(seconds).map(time_until),
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => httpdate::parse_http_date(value).ok().map(time_until),
        };
    }
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let seconds: u64 = text("x-ratelimit-reset")?.trim().parse().ok()?;
    unix_time(seconds).map(time_until)
}

fn unix_time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The time of a response by the server's clock, which may differ from ours.
pub(crate) fn now(headers: &HeaderMap) -> SystemTime {
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    date.unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> Error {
        Error::Refused {
            method: "POST".to_owned(),
            path: "/v3/apps".to_owned(),
            status,
            errors: Vec::new(),
            request_id: None,
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    fn no_response() -> Error {
        Error::NoResponse {
            method: "POST".to_owned(),
            path: "/v3/apps".to_owned(),
            reason: "reset".to_owned(),
            source: None,
        }
    }

    fn unreachable() -> Error {
        Error::unreachable("http://localhost", "refused")
    }

    #[rstest]
    #[case(unreachable(), Verdict::Retry, Verdict::Retry)]
    #[case(no_response(), Verdict::Retry, Verdict::GiveUp)]
    #[case(refused(500, None), Verdict::Retry, Verdict::GiveUp)]
    #[case(refused(502, None), Verdict::Retry, Verdict::GiveUp)]
    #[case(refused(504, None), Verdict::Retry, Verdict::GiveUp)]
    #[case(refused(503, None), Verdict::Retry, Verdict::GiveUp)]
    #[case(
        refused(503, Some(2)),
        Verdict::RetryAfter(Duration::from_secs(2)),
        Verdict::RetryAfter(Duration::from_secs(2))
    )]
    #[case(refused(429, None), Verdict::Retry, Verdict::Retry)]
    #[case(
        refused(429, Some(7)),
        Verdict::RetryAfter(Duration::from_secs(7)),
        Verdict::RetryAfter(Duration::from_secs(7))
    )]
    #[case(refused(422, None), Verdict::GiveUp, Verdict::GiveUp)]
    #[case(refused(404, None), Verdict::GiveUp, Verdict::GiveUp)]
    fn an_unsafe_request_is_repeated_only_if_it_was_not_processed(
        #[case] error: Error,
        #[case] safe: Verdict,
        #[case] unsafe_: Verdict,
    ) {
        assert_eq!(verdict(Replay::Safe, &error), safe);
        assert_eq!(verdict(Replay::Unsafe, &error), unsafe_);
    }

    #[test]
    fn the_wait_is_as_long_as_the_response_requests() {
        let headers = |name: &'static str, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let limited = StatusCode::TOO_MANY_REQUESTS;
        assert_eq!(
            retry_after(limited, &headers("retry-after", "3".to_owned())),
            Some(Duration::from_secs(3))
        );
        let soon = SystemTime::now() + Duration::from_secs(60);
        let date = httpdate::fmt_http_date(soon);
        let wait = retry_after(limited, &headers("retry-after", date)).unwrap();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60));
        let epoch = soon.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let point_in_time = headers("retry-after", epoch.to_string());
        let wait = retry_after(limited, &point_in_time).unwrap();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60));
        let reset = headers("x-ratelimit-reset", epoch.to_string());
        assert!(retry_after(limited, &reset).unwrap() > Duration::from_secs(50));
        assert_eq!(retry_after(StatusCode::BAD_GATEWAY, &reset), None);
        let mut fast = headers("x-ratelimit-reset", "1000000060".to_owned());
        fast.insert(DATE, "Sun, 09 Sep 2001 01:46:40 GMT".parse().unwrap());
        assert_eq!(
            retry_after(limited, &fast),
            Some(Duration::from_secs(60)),
            "by the clock of the server"
        );
        let huge = headers("x-ratelimit-reset", u64::MAX.to_string());
        assert_eq!(retry_after(limited, &huge), None);
    }

    #[rstest]
    #[case(Duration::from_secs(20), Duration::from_secs(22))]
    #[case(Duration::from_secs(3600), Duration::from_secs(3610))]
    #[case(Duration::MAX, Duration::MAX)]
    fn pauses_are_spread_and_never_shorter_than_requested(
        #[case] asked: Duration,
        #[case] longest: Duration,
    ) {
        let pauses: Vec<Duration> = (0..100).map(|_| spread(asked)).collect();
        assert!(pauses.iter().all(|it| (asked..=longest).contains(it)));
        let alike = pauses.iter().all(|it| *it == pauses[0]);
        assert_eq!(alike, asked == longest);
    }
}
