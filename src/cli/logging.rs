//! Writes the library's log to standard error, for `-v` and `RUST_LOG`.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::screen;

/// Shows the log that `-v` and `RUST_LOG` select. `RUST_LOG` can add to `-v`, but cannot
/// silence it.
pub(super) fn init(verbose: u8) {
    let variable = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = filter(verbose, &variable).unwrap_or_else(|reason| {
        screen::line(&format!("warning: RUST_LOG is ignored: {reason}"));
        filter(verbose, "").unwrap_or_default()
    });
    // This fails only if a logger is already set. That logger stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(console::colors_enabled_stderr())
        .with_writer(Lines)
        .try_init();
}

fn filter(verbose: u8, variable: &str) -> Result<EnvFilter, String> {
    let level = match verbose {
        0 => None,
        1 => Some("cf_pusher=debug"),
        _ => Some("cf_pusher=trace"),
    };
    let directives = match (variable.trim(), level) {
        ("", None) => "off".to_owned(),
        ("", Some(level)) => level.to_owned(),
        (variable, None) => variable.to_owned(),
        // For each target, the last directive applies.
        (variable, Some(level)) => format!("{variable},{level}"),
    };
    EnvFilter::builder()
        .parse(directives)
        .map_err(|error| error.to_string())
}

/// Writes each entry of the log as lines of the screen.
struct Lines;

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Entry;

    fn make_writer(&'a self) -> Entry {
        Entry(Vec::new())
    }
}

/// An entry of the log, which is printed when it is complete.
struct Entry(Vec<u8>);

impl Write for Entry {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let entry = String::from_utf8_lossy(&self.0);
        match console::colors_enabled_stderr() {
            // The logger has already escaped the text of the entry.
            true => screen::styled_line(entry.trim_end()),
            false => screen::line(entry.trim_end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(0, "", "off")]
    #[case::verbose(1, "", "cf_pusher=debug")]
    #[case::very_verbose(2, "", "cf_pusher=trace")]
    #[case::the_variable_alone(0, "hyper=debug", "hyper=debug")]
    #[case::both(1, "hyper=debug", "cf_pusher=debug,hyper=debug")]
    #[case::the_variable_cannot_silence_the_flag(1, "cf_pusher=off", "cf_pusher=debug")]
    fn the_log_is_filtered(#[case] verbose: u8, #[case] variable: &str, #[case] expected: &str) {
        assert_eq!(filter(verbose, variable).unwrap().to_string(), expected);
    }

    #[test]
    fn an_invalid_variable_is_an_error() {
        assert!(filter(1, "cf_pusher=loud").is_err());
    }
}
