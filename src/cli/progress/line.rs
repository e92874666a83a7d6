//! The text of live lines. These functions are pure, so tests need no terminal.

use std::time::Duration;

use console::{measure_text_width, style, truncate_str};
use indicatif::HumanBytes;

use cf_pusher::events::StepContext;

use super::super::output::counted;
use super::super::screen::visible;

const SPINNER: [char; 4] = ['|', '/', '-', '\\'];

/// On a terminal of at least this width, bars are longer.
const WIDE: usize = 100;

/// On a terminal below this width, the names of phases are not padded.
const NARROW: usize = 60;

/// The width of the longest name of a common phase.
const NAME_WIDTH: usize = 11;

/// The columns between two parts of a line.
const GAP: usize = 2;

/// The minimum number of columns in which a truncated description is useful.
const MIN_DESCRIPTION: usize = 8;

/// The columns that are reserved for the description of the step that the phase waits
/// for.
const DESCRIPTION_WIDTH: usize = 28;

/// A phase in progress.
#[derive(Debug, Clone, Default)]
pub(super) struct PhaseLine<'a> {
    /// The number of the frame.
    pub(super) frame: usize,
    pub(super) name: &'a str,
    pub(super) total: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
    /// Steps or resources per second. `None` until it is known.
    pub(super) rate: Option<f64>,
    /// The step that has taken longest so far, and its duration.
    pub(super) waiting: Option<(String, Duration)>,
}

impl PhaseLine<'_> {
    /// The line, at most `width` columns wide.
    ///
    /// The phase, the count and the step that the phase waits for are always shown. The
    /// other parts are left out if the line is too narrow.
    pub(super) fn text(&self, width: usize) -> String {
        let ended = self.done + self.failed;
        let rest = self.total.saturating_sub(ended);
        let rate = self.rate.filter(|_| rest > 0);
        let pad = if width < NARROW { 0 } else { NAME_WIDTH };
        let name = format!("{} {:<pad$}", spinner(self.frame), self.name);
        let count = count(self.done, self.total);
        let failed = (self.failed > 0).then(|| {
            let failed = style(format!("{} failed", self.failed));
            failed.for_stderr().red().to_string()
        });
        let mut room = Room::of(width);
        room.take(&name);
        room.take(&count);
        if self.waiting.is_some() {
            room.reserve(DESCRIPTION_WIDTH.min(room.0 / 2));
        }
        // The most important part is first.
        let failed = room.fitting(failed);
        let left = rate.map(|rate| format!("{} left", time(left(rest, rate))));
        let left = room.fitting(left);
        let bar = room.fitting(Some(bar(ended, self.total, width)));
        let rate = room.fitting(rate.map(|rate| format!("{:>7}", rate_text(rate))));

        let parts = [Some(name), bar, Some(count), failed, rate, left];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let mut text = parts.join(&" ".repeat(GAP));
        if let Some((what, time_so_far)) = &self.waiting {
            let what = visible(what);
            let time_so_far = format!(": {}", time(*time_so_far));
            let taken = measure_text_width(&text) + GAP + time_so_far.len() + 1;
            let free = width.saturating_sub(taken);
            if free >= MIN_DESCRIPTION || measure_text_width(&what) <= free {
                text += &format!("{:GAP$}{}{time_so_far}", "", shorten(&what, free));
            }
        }
        fit(&text, width)
    }
}

/// The free columns of a line.
struct Room(usize);

impl Room {
    fn of(width: usize) -> Self {
        Self(width.saturating_sub(1))
    }

    fn reserve(&mut self, columns: usize) {
        self.0 = self.0.saturating_sub(columns + GAP);
    }

    fn take(&mut self, part: &str) {
        self.reserve(measure_text_width(part));
    }

    /// The part, if it fits.
    fn fitting(&mut self, part: Option<String>) -> Option<String> {
        let part = part.filter(|part| measure_text_width(part) + GAP <= self.0)?;
        self.take(&part);
        Some(part)
    }
}

/// Shortens an activity so that the name at its end remains: `copying...
/// scale-tick-1042`, or only the name if the line is too narrow.
fn shorten(what: &str, most: usize) -> String {
    const DOTS: &str = "...";
    if measure_text_width(what) <= most {
        return what.to_owned();
    }
    let verb = what.split(' ').next().unwrap_or_default();
    let alone = most.saturating_sub(DOTS.len());
    let beside_verb = alone.saturating_sub(measure_text_width(verb));
    let tails = what.char_indices().filter_map(|(at, _)| what.get(at..));
    let longest = |room: usize, is_cut: bool| {
        let mut tails = tails.clone();
        tails.find(|tail| (is_cut || tail.starts_with(' ')) && measure_text_width(tail) <= room)
    };
    match (longest(beside_verb, false), longest(alone, false)) {
        (Some(tail), _) => format!("{verb}{DOTS}{tail}"),
        (None, Some(tail)) => format!("{DOTS}{tail}"),
        (None, None) => format!("{DOTS}{}", longest(alone, true).unwrap_or_default()),
    }
}

/// The state of the run.
#[derive(Debug, Clone, Default)]
pub(super) struct StatusLine {
    pub(super) frame: usize,
    pub(super) elapsed: Duration,
    pub(super) requests: u64,
    pub(super) retries: u64,
    pub(super) rate_limited: u64,
}

impl StatusLine {
    /// The line at the bottom, which is also shown between phases.
    pub(super) fn text(&self, width: usize) -> String {
        let mut text = format!(
            "{} {}, {}",
            spinner(self.frame),
            time(self.elapsed),
            counted(self.requests, "request", "requests")
        );
        if self.retries > 0 {
            text += &format!(", {}", counted(self.retries, "retry", "retries"));
        }
        if self.rate_limited > 0 {
            text += &format!(", {} rate limited", self.rate_limited);
        }
        fit(&text, width)
    }
}

/// The line of an upload.
pub(super) fn upload(name: &str, sent: u64, total: u64, width: usize) -> String {
    let part = |bytes: u64| usize::try_from(bytes >> 10).unwrap_or(usize::MAX);
    let bar = bar(part(sent), part(total).max(1), width);
    let (sent, total) = (HumanBytes(sent), HumanBytes(total));
    let name = visible(name);
    fit(
        &format!("  uploading    {bar}  {sent} of {total}  {name}"),
        width,
    )
}

/// The last line of a phase, with the number of steps that succeeded and failed.
pub(super) fn ended(name: &str, total: usize, done: usize, failed: usize) -> String {
    let mut text = match done == total {
        true => format!("{name}: {total} done"),
        false => format!("{name}: {done} of {total} done"),
    };
    if failed > 0 {
        let failed = style(format!("{failed} failed"));
        text += &format!(", {}", failed.for_stderr().red());
    }
    text
}

/// The activity of a step, with the name of its target: `staging scale-tick-0`.
pub(super) fn doing(context: &StepContext) -> String {
    const KINDS: [&str; 4] = ["org", "space", "quota", "security group"];
    let StepContext { target, step, .. } = context;
    let is_of = |kind: &&&str| {
        target
            .strip_prefix(**kind)
            .is_some_and(|it| it.starts_with(' '))
    };
    let (kind, subject) = match (target.strip_prefix("app "), KINDS.iter().find(is_of)) {
        (Some(name), _) => ("app", name.to_owned()),
        (None, Some(kind)) => (*kind, format!("the {target}")),
        (None, None) => return format!("{step} of {target}"),
    };
    // Avoids a repetition of the kind: "creating the app" of "app a" becomes "creating
    // a".
    match step.split_once(&format!("the {kind}")) {
        Some((before, after)) => format!("{before}{subject}{after}"),
        None if step.contains(' ') => format!("{step} of {subject}"),
        None => format!("{step} {subject}"),
    }
}

/// A duration in its two largest units, such as `12 s` or `2 min 5 s`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn spinner(frame: usize) -> char {
    SPINNER[frame % SPINNER.len()]
}

fn bar(ended: usize, total: usize, width: usize) -> String {
    let length = if width < WIDE { 10 } else { 20 };
    let filled = (ended * length / total.max(1)).min(length);
    let head = if filled < length { ">" } else { "" };
    format!("[{:<length$}]", format!("{}{head}", "=".repeat(filled)))
}

fn count(done: usize, total: usize) -> String {
    let total = total.to_string();
    format!("{done:>width$}/{total}", width = total.len())
}

fn rate_text(rate: f64) -> String {
    match rate {
        rate if rate >= 10.0 => format!("{rate:.0}/s"),
        rate if rate >= 1.0 => format!("{rate:.1}/s"),
        rate => format!("{:.0}/min", (rate * 60.0).max(1.0)),
    }
}

/// The time that the remaining steps take at this rate.
fn left(rest: usize, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = (rest as f64 / rate).clamp(0.0, 1e6);
    Duration::from_secs_f64(seconds)
}

/// Truncates a line that is wider than the terminal. The last column is not used, because
/// some terminals wrap a line that fills it.
fn fit(text: &str, width: usize) -> String {
    let most = width.saturating_sub(1);
    match measure_text_width(text) > most {
        true => truncate_str(text, most, "...").into_owned(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clones() -> PhaseLine<'static> {
        PhaseLine {
            frame: 1,
            name: "clones",
            total: 2000,
            done: 812,
            failed: 3,
            rate: Some(24.2),
            waiting: Some((
                "copying the droplet of scale-tick-1042".to_owned(),
                Duration::from_secs(12),
            )),
        }
    }

    #[test]
    fn a_phase_fits_on_narrow_and_wide_terminals() {
        let line = clones();
        let lines = [40, 80, 120].map(|width| {
            let text = line.text(width);
            assert!(measure_text_width(&text) < width, "{text}");
            text
        });
        insta::assert_snapshot!(lines.join("\n"), @r"
        / clones   812/2000  ...tick-1042: 12 s
        / clones        812/2000  3 failed  48 s left  copying... scale-tick-1042: 12 s
        / clones       [========>           ]   812/2000  3 failed     24/s  48 s left  copying... of scale-tick-1042: 12 s
        ");
    }

    #[test]
    fn a_narrow_line_keeps_the_step_that_the_phase_waits_for() {
        let lines = [None, Some(24.2)].map(|rate| {
            let line = PhaseLine {
                failed: 0,
                rate,
                ..clones()
            };
            line.text(80)
        });
        let idle = PhaseLine {
            waiting: None,
            ..clones()
        };
        insta::assert_snapshot!(format!("{}\n{}", lines.join("\n"), idle.text(80)), @r"
        / clones       [====>     ]   812/2000  copying... of scale-tick-1042: 12 s
        / clones       [====>     ]   812/2000  49 s left  ... of scale-tick-1042: 12 s
        / clones       [====>     ]   812/2000  3 failed     24/s  48 s left
        ");
    }

    #[test]
    fn a_phase_that_has_just_begun_has_no_rate() {
        let line = PhaseLine {
            name: "prototypes",
            total: 3,
            waiting: Some(("staging scale-tick-0".to_owned(), Duration::from_secs(12))),
            ..PhaseLine::default()
        };
        insta::assert_snapshot!(line.text(80), @"| prototypes   [>         ]  0/3  staging scale-tick-0: 12 s");
    }

    #[test]
    fn slow_rates_are_per_minute() {
        assert_eq!(rate_text(240.4), "240/s");
        assert_eq!(rate_text(2.44), "2.4/s");
        assert_eq!(rate_text(0.2), "12/min");
    }

    #[test]
    fn a_phase_does_not_count_failures_as_done() {
        let lines = [
            ended("clones", 1998, 1998, 0),
            ended("clones", 1998, 0, 1998),
            ended("clones", 200, 12, 0),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        clones: 1998 done
        clones: 0 of 1998 done, 1998 failed
        clones: 12 of 200 done
        ");
    }

    #[test]
    fn steps_are_shown_with_the_name_of_their_target() {
        let doing = [
            ("app scale-tick-0", "staging"),
            ("app scale-tick-0", "creating the app"),
            ("app scale-tick-0", "labelling the app as managed"),
            ("app scale-tick-0", "copying the droplet"),
            ("org scale-org", "creating the org"),
            ("security group scale-asg", "setting the rules"),
            (
                "apps scale-tick-0 to scale-tick-99",
                "applying the manifest",
            ),
        ]
        .map(|(target, step)| doing(&StepContext::new(target, step)));
        insta::assert_snapshot!(doing.join("\n"), @r"
        staging scale-tick-0
        creating scale-tick-0
        labelling scale-tick-0 as managed
        copying the droplet of scale-tick-0
        creating the org scale-org
        setting the rules of the security group scale-asg
        applying the manifest of apps scale-tick-0 to scale-tick-99
        ");
    }

    #[test]
    fn times_have_two_units() {
        let times = [0, 12, 60, 125, 3725, 90_000].map(|it| time(Duration::from_secs(it)));
        assert_eq!(
            times,
            [
                "0 s",
                "12 s",
                "1 min",
                "2 min 5 s",
                "1 h 2 min",
                "25 h 0 min"
            ]
        );
    }

    #[test]
    fn the_status_shows_unusual_events() {
        let status = StatusLine {
            frame: 2,
            elapsed: Duration::from_secs(75),
            requests: 455,
            retries: 2,
            rate_limited: 1,
        };
        insta::assert_snapshot!(status.text(80), @"- 1 min 15 s, 455 requests, 2 retries, 1 rate limited");
        insta::assert_snapshot!(upload("dora", 3 << 20, 10 << 20, 80), @"  uploading    [===>      ]  3.00 MiB of 10.00 MiB  dora");
    }
}
