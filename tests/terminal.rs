//! Tests the output on a terminal of 80 columns: questions, progress, interrupts and
//! colors.

#![cfg(unix)]

use std::time::Duration;

use mock_capi::{CloudController, Fault, MockCapi};
use rstest::rstest;
use vt100::Color;

use crate::support::SMALL;
use crate::support::command::{Place, stable};
use crate::support::terminal::{Ended, Terminal};

const LONG: Duration = Duration::from_secs(60 * 60);

const CTRL_C: &str = "\u{3}";

/// Runs a command on a foundation.
fn run(place: &Place, mock: &CloudController, config: &str, args: &[&str]) -> Terminal {
    Terminal::run(place.process_on(mock, config, args))
}

/// The text of the screen, without parts that differ between runs.
fn text(ended: &Ended, mock: &CloudController) -> String {
    let text = stable(&ended.text.replace(&mock.uri(), "http://api"));
    let lines = text
        .lines()
        .map(|line| match line.starts_with("requests: ") {
            true => "requests: ...",
            false => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// The row of the screen that shows a phase in progress.
fn line_of<'a>(contents: &'a str, phase: &str) -> &'a str {
    let mut lines = contents.lines();
    let is_phase = |line: &&str| line.get(2..).is_some_and(|it| it.starts_with(phase));
    lines.find(is_phase).unwrap_or_else(|| panic!("{contents}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_lists_what_would_be_deleted_and_waits_for_the_answer() {
    let mock = MockCapi::start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let fewer = SMALL.replace("\"test_applications\": 3", "\"test_applications\": 1");
    let declined = run(&place, &mock, &fewer, &["converge"]);
    declined.shows("[y/N]");
    assert_eq!(mock.state()["apps"].as_array().unwrap().len(), 7);
    declined.types("n\r");
    let declined = declined.ended();
    assert_eq!(declined.code, 1, "{}", declined.text);
    insta::assert_snapshot!(text(&declined, &mock), @r"
    - app scale-tick-{1..2}
    Delete 2 apps on http://api? [y/N] n
    error: deleting 2 apps failed: declined
    ");
    assert_eq!(mock.state()["apps"].as_array().unwrap().len(), 7);

    let approved = run(&place, &mock, &fewer, &["converge"]);
    approved.shows("[y/N]");
    approved.types("y\r");
    let approved = approved.ended();
    assert_eq!(approved.code, 0, "{}", approved.text);
    insta::assert_snapshot!(text(&approved, &mock), @r"
    - app scale-tick-{1..2}
    Delete 2 apps on http://api? [y/N] y
    deletions: 2 done
    apps: 2 changed, 5 unchanged, 0 failed
    requests: ...
    time: ...
    ");
    assert_eq!(mock.state()["apps"].as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn destroy_asks_on_a_terminal_and_an_interrupt_is_not_an_answer() {
    let mock = MockCapi::start().await.unwrap();
    let place = Place::new();
    assert_eq!(place.on(&mock, SMALL, &["converge"]).code, 0);
    let interrupted = run(&place, &mock, SMALL, &["destroy"]);
    interrupted.shows("[y/N]");
    interrupted.types(CTRL_C);
    let interrupted = interrupted.ended();
    assert_eq!(interrupted.code, 130, "{}", interrupted.text);
    let end = "? [y/N] ^C\nnothing deleted, or not confirmed by the Cloud Controller\nerror: interrupted\n";
    assert!(
        text(&interrupted, &mock).contains(end),
        "{}",
        interrupted.text
    );
    assert_eq!(mock.state()["apps"].as_array().unwrap().len(), 7);

    let approved = run(&place, &mock, SMALL, &["destroy"]);
    approved.shows("[y/N]");
    approved.types("yes\r");
    let approved = approved.ended();
    assert_eq!(approved.code, 0, "{}", approved.text);
    insta::assert_snapshot!(text(&approved, &mock), @r"
    - org scale-org
    - quota scale-quota
    - security group scale-asg
    - app scale-registry
    - app scale-proxy-{0..2}
    - app scale-tick-{0..2}
    Delete the org scale-org and 7 apps on http://api? [y/N] yes
    deletions: 10 done
    deleted scale-org, scale-quota, scale-asg
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phase_in_progress_has_a_line_that_an_interrupt_removes() {
    let mock = MockCapi::builder().start_time(LONG).start().await.unwrap();
    let place = Place::new();
    let running = run(&place, &mock, SMALL, &["converge"]);
    let beginning = "instances    [>         ]  0/7  waiting for scale-registry: ";
    running.until(|rows| {
        // The first two columns are the spinner.
        let is_phase = |row: &str| {
            row.get(2..).is_some_and(|row| row.starts_with(beginning)) && row.ends_with(" s")
        };
        rows.lines().any(is_phase) && rows.ends_with(" requests")
    });
    running.types(CTRL_C);
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{}", ended.text);
    insta::assert_snapshot!(text(&ended, &mock), @r"
    foundation: 4 done
    prototypes: 3 done
    clones: 4 done
    interrupted: finishing running requests (press Ctrl-C again to quit now)
    instances: 0 of 7 done
    apps: 7 changed, 0 unchanged, 0 not done
    requests: ...
    time: ...
    error: interrupted
    help: run the same command again to finish
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_removes_the_live_lines() {
    let hangs = Fault::delay("POST", "/v3/packages", LONG);
    let mock = MockCapi::builder()
        .faults(vec![hangs])
        .start()
        .await
        .unwrap();
    let place = Place::new();
    let running = run(&place, &mock, SMALL, &["converge"]);
    let contents = running.shows("pushing the bits of ");
    assert!(
        line_of(&contents, "prototypes").contains("0/3"),
        "{contents}"
    );
    running.types(CTRL_C);
    running.shows("interrupted: ");
    running.types(CTRL_C);
    let ended = running.ended();
    assert_eq!(ended.code, 130, "{}", ended.text);
    insta::assert_snapshot!(text(&ended, &mock), @r"
    foundation: 4 done
    interrupted: finishing running requests (press Ctrl-C again to quit now)
    prototypes: 0 of 3 done
    clones: 0 of 4 done
    error: interrupted
    help: run the same command again to finish
    ");
}

/// Tests the lines with colors and live lines: a failure, and its cause and help.
#[rstest]
#[case::by_default(&[], true, true)]
#[case::no_color(&[("NO_COLOR", "1")], false, true)]
#[case::dumb(&[("TERM", "dumb")], false, false)]
#[tokio::test(flavor = "multi_thread")]
async fn colors_and_live_lines_depend_on_the_terminal(
    #[case] environment: &[(&str, &str)],
    #[case] has_colors: bool,
    #[case] is_live: bool,
) {
    let staging = Fault::failed_staging().of("scale-tick-0");
    let mock = MockCapi::builder()
        .faults(vec![staging])
        .start()
        .await
        .unwrap();
    let place = Place::new();
    let mut command = place.process_on(&mock, SMALL, &["converge"]);
    command.envs(environment.iter().copied());
    let ended = Terminal::run(command).ended();
    assert_eq!(ended.code, 1, "{}", ended.text);
    let colors = ["error:", "help:"].map(|text| ended.color_of(text));
    match has_colors {
        true => assert_eq!(colors, [Color::Idx(1), Color::Idx(6)]),
        false => assert_eq!(colors, [Color::Default; 2]),
    }
    // A failure is always shown at the end, and on a live screen also when it happens.
    let is_failure = |line: &&str| line.starts_with("failed: staging of scale-tick-0 failed: ");
    assert_eq!(
        ended.text.lines().filter(is_failure).count(),
        usize::from(is_live)
    );
    if has_colors {
        assert_eq!(ended.color_of("failed: staging"), Color::Idx(1));
    }
    if !is_live {
        assert!(!ended.bytes.contains('\u{1b}'), "{:?}", ended.bytes);
    }
    assert!(
        ended
            .text
            .contains("\nerror: app scale-tick-0: staging failed: ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn live_lines_do_not_interrupt_log_lines() {
    let latency = Duration::from_millis(150);
    let mock = MockCapi::builder().latency(latency).start().await.unwrap();
    let place = Place::new();
    let ended = run(&place, &mock, SMALL, &["plan", "-v"]).ended();
    assert_eq!(ended.code, 0, "{}", ended.text);
    let logged: Vec<&str> = ended
        .text
        .lines()
        .filter(|line| line.contains("DEBUG"))
        .collect();
    assert_eq!(logged.len() as u64, mock.stats().total, "{}", ended.text);
    for line in logged {
        // Each line begins with the time.
        let is_whole = line.starts_with("20") && line.contains(" status=200 took=");
        assert!(is_whole, "{}", ended.text);
    }
    // Live lines were drawn between the log lines.
    assert!(ended.bytes.contains(" requests"), "{}", ended.text);
}
