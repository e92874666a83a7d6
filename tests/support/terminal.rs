//! Runs the command in a terminal with a keyboard and a screen.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{self, Pty};
use vt100::{Color, Parser};

const ROWS: NonZero<u16> = NonZero::new(30).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(80).unwrap();

/// The maximum wait for a text on the screen.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    screen: Arc<Screen>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: Parser,
    /// Everything that was written to the terminal.
    bytes: Vec<u8>,
    /// Whether the command has closed the terminal.
    is_closed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            parser: Parser::new(ROWS, COLUMNS, 0),
            bytes: Vec::new(),
            is_closed: false,
        }
    }
}

impl State {
    /// The text of the screen, without the spaces that clear the rest of a line.
    fn contents(&self) -> String {
        let contents = self.parser.screen().contents();
        let lines = contents.lines().map(str::trim_end);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The rows of the screen. A row that is padded to the full width is not joined with
    /// the next one.
    fn rows(&self) -> String {
        let rows = self.parser.screen().rows(0, COLUMNS.get());
        let rows = rows.map(|row| row.trim_end().to_owned());
        let rows = rows.collect::<Vec<_>>().join("\n");
        rows.trim_end().to_owned()
    }
}

/// The screen of the terminal after the end of the command.
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// The text on the screen. Lines that the terminal has wrapped are one line.
    pub(crate) text: String,
    /// Everything that was written to the terminal.
    pub(crate) bytes: String,
    parser: Parser,
}

impl Ended {
    /// The color of the first occurrence of a text on the screen.
    pub(crate) fn color_of(&self, text: &str) -> Color {
        let screen = self.parser.screen();
        let rows = screen.rows(0, COLUMNS.get()).enumerate();
        let mut found = rows.filter_map(|(row, line)| Some((row, line.find(text)?)));
        let (row, column) = found.next().unwrap_or_else(|| panic!("{}", self.text));
        let cell = screen.cell(u16::try_from(row).unwrap(), u16::try_from(column).unwrap());
        cell.unwrap().fgcolor()
    }
}

impl Terminal {
    /// Runs a command in a terminal of 80 columns with colors, unless the command's
    /// environment variables disable colors.
    pub(crate) fn run(mut command: Command) -> Self {
        let is_set = |name: &str| command.get_envs().any(|(it, _)| it == name);
        let (has_term, has_no_color) = (is_set("TERM"), is_set("NO_COLOR"));
        if !has_term {
            command.env("TERM", "xterm-256color");
        }
        if !has_no_color {
            command.env_remove("NO_COLOR");
        }
        let (pty, pts) = blocking::open().unwrap();
        pty.resize(Size::new(ROWS.get(), COLUMNS.get())).unwrap();
        let child = blocking::Command::from(command).spawn(pts).unwrap();
        let (pty, screen) = (Arc::new(pty), Arc::new(Screen::default()));
        let reader = std::thread::spawn({
            let (pty, screen) = (Arc::clone(&pty), Arc::clone(&screen));
            move || screen.draw(&pty)
        });
        Self {
            pty,
            child,
            screen,
            reader: Some(reader),
        }
    }

    /// Waits until the screen shows a text, and returns the text of the whole screen.
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(|rows| rows.contains(text))
    }

    /// Waits until the rows of the screen meet a condition, and returns them.
    pub(crate) fn until(&self, is_met: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.screen.state();
        loop {
            let rows = state.rows();
            if is_met(&rows) {
                return rows;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!state.is_closed && !left.is_zero(), "{rows}");
            let waited = self.screen.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Types on the keyboard. `\r` is the return key, and `\x03` is Ctrl-C.
    pub(crate) fn types(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the command.
    pub(crate) fn ended(mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("{}", self.screen.state().contents()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        // The terminal is closed, because no other process uses it.
        self.reader.take().unwrap().join().unwrap();
        let state = std::mem::take(&mut *self.screen.state());
        Ended {
            code: status.code().unwrap(),
            text: state.contents(),
            bytes: String::from_utf8(state.bytes).unwrap(),
            parser: state.parser,
        }
    }
}

/// Kills the command if the test fails.
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Screen {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the output of the terminal until it is closed. Linux reports an error when
    /// it is closed.
    fn draw(&self, mut pty: &Pty) {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = pty.read(&mut piece) {
            let mut state = self.state();
            state.parser.process(&piece[..read]);
            state.bytes.extend_from_slice(&piece[..read]);
            self.changed.notify_all();
        }
        self.state().is_closed = true;
        self.changed.notify_all();
    }
}
