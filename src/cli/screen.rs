//! The terminal. All output of the command passes through this module, so that lines and
//! live progress never overwrite each other.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// The width of a terminal that does not report one.
const DEFAULT_WIDTH: usize = 80;

static SCREEN: OnceLock<Screen> = OnceLock::new();

struct Screen {
    /// The live lines. `None` if standard error is not a terminal that can move its
    /// cursor.
    live: Option<MultiProgress>,
    /// Whether a question is on the screen. While it is, nothing may be drawn.
    is_asking: AtomicBool,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is `dumb`
    #[default]
    Auto,
    /// Always, even in a pipe
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Whether a stream has colors. `variable` reads the environment.
    fn is_on(self, is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if is_set("NO_COLOR") => false,
            Self::Auto => is_terminal && !is_dumb(variable),
        }
    }
}

/// Whether the terminal can neither move its cursor nor show colors.
fn is_dumb(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Decides about colors and live lines, once for the process.
pub(super) fn init(color: ColorChoice) {
    let variable = |name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned());
    let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
    console::set_colors_enabled(color.is_on(out, variable));
    console::set_colors_enabled_stderr(color.is_on(err, variable));
    let is_live = err && !is_dumb(variable);
    let screen = Screen {
        live: is_live.then(live_lines),
        is_asking: AtomicBool::new(false),
    };
    // Only the first call has an effect.
    let _ = SCREEN.set(screen);
}

fn live_lines() -> MultiProgress {
    const FRAMES_PER_SECOND: u8 = 20;
    let terminal = Box::new(Terminal(Term::buffered_stderr()));
    let target = ProgressDrawTarget::term_like_with_hz(terminal, FRAMES_PER_SECOND);
    MultiProgress::with_draw_target(target)
}

/// The terminal of the live lines.
///
/// After each frame, the cursor is at the beginning of the last line. The terminal
/// shows `^C` at the cursor when the user presses Ctrl-C: at the end of a line, that
/// would begin a new line, and the next frame would not replace this one.
#[derive(Debug)]
struct Terminal(Term);

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_up(lines)
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        self.0.move_cursor_down(lines)
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_right(columns)
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        self.0.move_cursor_left(columns)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.write_str("\r")?;
        self.0.flush()
    }
}

/// The live lines. `None` if there are none or a question is on the screen.
fn live() -> Option<&'static MultiProgress> {
    let screen = SCREEN.get()?;
    screen.live.as_ref().filter(|_| !is_asking())
}

/// Whether a question waits for its answer.
pub(super) fn is_asking() -> bool {
    let screen = SCREEN.get();
    screen.is_some_and(|screen| screen.is_asking.load(Ordering::SeqCst))
}

/// Whether lines can be drawn and redrawn now.
pub(super) fn is_live() -> bool {
    live().is_some()
}

/// The width of the terminal in columns.
pub(super) fn width() -> usize {
    let size = Term::stderr().size_checked();
    size.map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns))
}

/// Adds a live line, above `below` or at the bottom.
pub(super) fn add_line(below: Option<&ProgressBar>) -> Option<ProgressBar> {
    let live = live()?;
    let line = ProgressBar::new_spinner();
    let line = match below {
        Some(below) => live.insert_before(below, line),
        None => live.add(line),
    };
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        line.set_style(style);
    }
    Some(line)
}

/// Escapes control characters, and marks that change the direction of text, as in JSON.
/// They could change the state of the terminal, or hide output. Line breaks and tabs are
/// kept.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for it in text.chars() {
        if is_hidden(it) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(it));
        } else {
            shown.push(it);
        }
    }
    Cow::Owned(shown)
}

fn is_hidden(it: char) -> bool {
    match it {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        it => it.is_control(),
    }
}

/// Prints a line to standard error, above the live lines. A closed pipe is not an
/// error.
pub(super) fn line(text: &str) {
    styled_line(&visible(text));
}

/// The same as [`line`], for a text with colors. Its other parts must be [`visible`].
pub(super) fn styled_line(text: &str) {
    let write = || {
        let _ = writeln!(io::stderr().lock(), "{text}");
    };
    match live() {
        Some(live) => live.suspend(write),
        None => write(),
    }
}

/// Prints lines to standard output. A closed pipe is not an error.
pub(super) fn print(text: &str) -> io::Result<()> {
    print_unchanged(&visible(text))
}

/// The same as [`print`], for text with colors, and for documents, whose meaning an
/// escape would change.
pub(super) fn print_unchanged(text: &str) -> io::Result<()> {
    let write = || match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    };
    match live() {
        Some(live) => live.suspend(write),
        None => write(),
    }
}

/// Asks a question on standard error, and reads a line from standard input. Live lines
/// are hidden until it returns. The call blocks, so it needs a thread for blocking work.
pub(super) fn ask(question: &str) -> io::Result<String> {
    let _hidden = Hidden::new();
    let mut terminal = io::stderr().lock();
    write!(terminal, "{}", visible(question))?;
    terminal.flush()?;
    drop(terminal);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer)
}

/// Hides the live lines until it is dropped.
struct Hidden;

impl Hidden {
    fn new() -> Self {
        if let Some(live) = live() {
            let _ = live.clear();
        }
        set_asking(true);
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        set_asking(false);
    }
}

fn set_asking(is_asking: bool) {
    if let Some(screen) = SCREEN.get() {
        screen.is_asking.store(is_asking, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("line 1\n\tline 2: \u{e4}", "line 1\n\tline 2: \u{e4}")]
    #[case("a\u{1b}[31mb\r", "a\\u001b[31mb\\u000d")]
    #[case("a\u{9b}31m\u{7f}", "a\\u009b31m\\u007f")]
    #[case("a\u{202e}b\u{2066}", "a\\u202eb\\u2066")]
    fn text_cannot_control_the_terminal(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(visible(text), expected);
    }

    #[rstest]
    #[case::a_terminal(ColorChoice::Auto, true, &[], true)]
    #[case::a_pipe(ColorChoice::Auto, false, &[], false)]
    #[case::no_color(ColorChoice::Auto, true, &[("NO_COLOR", "1")], false)]
    #[case::an_empty_no_color_counts_as_unset(ColorChoice::Auto, true, &[("NO_COLOR", "")], true)]
    #[case::a_dumb_terminal(ColorChoice::Auto, true, &[("TERM", "dumb")], false)]
    #[case::the_flag_wins(ColorChoice::Always, false, &[("NO_COLOR", "1"), ("TERM", "dumb")], true)]
    #[case::never(ColorChoice::Never, true, &[("TERM", "xterm")], false)]
    fn colors_follow_the_flag_and_the_environment(
        #[case] choice: ColorChoice,
        #[case] is_terminal: bool,
        #[case] environment: &[(&str, &str)],
        #[case] expected: bool,
    ) {
        let variable = |name: &str| {
            let found = environment.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(choice.is_on(is_terminal, variable), expected);
    }
}
