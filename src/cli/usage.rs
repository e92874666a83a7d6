//! Explains errors of the command line, with suggestions.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ValueEnum;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{ColorChoice, CommandError, Format, screen};

/// Properties of the output, read from the arguments before they are parsed, so that an
/// error in the arguments is printed in the right format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hints {
    pub(super) format: Format,
    pub(super) color: ColorChoice,
    /// Whether every error exits with 1.
    pub(super) detailed_exitcode: bool,
}

impl Hints {
    pub(super) fn of(arguments: &[OsString]) -> Self {
        let arguments = arguments.iter().skip(1).map(|it| it.to_string_lossy());
        let arguments: Vec<_> = arguments.take_while(|it| it != "--").collect();
        let value = |flag: &str| {
            let with_value = format!("{flag}=");
            let separate = arguments.windows(2).filter(|it| it[0] == flag);
            let separate = separate.map(|it| it[1].to_string());
            let joined = arguments
                .iter()
                .filter_map(|it| it.strip_prefix(&with_value));
            separate.chain(joined.map(str::to_owned)).next_back()
        };
        let has = |word: &str| arguments.iter().any(|it| it == word);
        Self {
            format: parsed(value("--format")).unwrap_or(Format::Text),
            color: parsed(value("--color")).unwrap_or_default(),
            detailed_exitcode: has("plan") && has("--detailed-exitcode"),
        }
    }
}

fn parsed<T: ValueEnum>(value: Option<String>) -> Option<T> {
    T::from_str(&value?, false).ok()
}

/// Whether an "error" of clap is the help or the version.
pub(super) fn is_help(error: &clap::Error) -> bool {
    !error.use_stderr()
}

/// Prints help or the version to standard output.
pub(super) fn print_help(error: &clap::Error) -> ExitCode {
    let help = error.render();
    let text = match console::colors_enabled() {
        true => help.ansi().to_string(),
        false => help.to_string(),
    };
    ExitCode::from(u8::from(screen::print_unchanged(text.trim_end()).is_err()))
}

/// An error of the command line, with a suggestion.
pub(super) fn explain(error: &clap::Error, arguments: &[OsString]) -> CommandError {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        screen::line(error.render().to_string().trim_end());
        let missing = CommandError::usage("a subcommand is required");
        return missing.help("see `cf-pusher --help`");
    }
    let text = one_line(error);
    let message = text.strip_prefix("error: ").unwrap_or(&text);
    let command = super::command();
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .filter_map(|it| it.to_str())
        .collect();
    let mut subcommands = words.iter().filter_map(|it| command.find_subcommand(it));
    let subcommand = subcommands.next();
    if let Some((flag, variable)) = subcommand.and_then(|it| variable(error, it, &words)) {
        let message = message.replacen(&format!("'{flag}'"), &variable, 1);
        return CommandError::usage(message).help(format!("correct {variable}"));
    }
    let help = suggestion(error).unwrap_or_else(|| match subcommand {
        Some(subcommand) => format!("see `cf-pusher {} --help`", subcommand.get_name()),
        None => "see `cf-pusher --help`".to_owned(),
    });
    CommandError::usage(message).help(help)
}

/// The flag of an invalid value, and the environment variable that the value came from.
/// `None` if the value came from the command line.
fn variable(
    error: &clap::Error,
    subcommand: &clap::Command,
    words: &[&str],
) -> Option<(String, String)> {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = shown.split(' ').next().unwrap_or_default();
    let is_given = |word: &&str| word.split('=').next() == Some(flag);
    let mut arguments = subcommand.get_arguments();
    let argument = arguments.find(|it| it.get_long() == flag.strip_prefix("--"))?;
    let variable = argument.get_env()?.to_str()?;
    let is_from_variable = std::env::var_os(variable).is_some() && !words.iter().any(is_given);
    is_from_variable.then(|| (shown.clone(), variable.to_owned()))
}

/// The flag, subcommand or value that the user most likely meant.
fn suggestion(error: &clap::Error) -> Option<String> {
    const KINDS: [ContextKind; 3] = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    if let Some(value) = value_in_another_case(error) {
        return Some(format!("did you mean `{value}`?"));
    }
    let suggested = KINDS.iter().find_map(|kind| error.get(*kind))?;
    let nearest = match suggested {
        ContextValue::String(nearest) => nearest.clone(),
        ContextValue::Strings(all) => all.last()?.clone(),
        _ => return None,
    };
    Some(format!("did you mean `{nearest}`?"))
}

/// The valid value that differs from the given value only in upper and lower case.
fn value_in_another_case(error: &clap::Error) -> Option<&str> {
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidValue) else {
        return None;
    };
    let Some(ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue) else {
        return None;
    };
    let mut valid = valid.iter().map(String::as_str);
    valid.find(|value| value.eq_ignore_ascii_case(given))
}

/// The first paragraph of clap's message, as one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn usage_errors_suggest_the_nearest_match() {
        let explained = [
            "cf-pusher push -i -1",
            "cf-pusher push -u bogus",
            "cf-pusher push -u prot",
            "cf-pusher converge",
            "cf-pusher convrge",
            "cf-pusher push --instnaces 2",
            "cf-pusher frobnicate",
            "cf-pusher plan --config a --format JSON",
            "cf-pusher plan --config a --concurrency -1",
            "cf-pusher spec",
        ]
        .map(|line| {
            let arguments = arguments(line);
            let error = super::super::command().try_get_matches_from(&arguments);
            let error = explain(&error.unwrap_err(), &arguments);
            let help = error.advice().unwrap_or_default();
            format!("$ {line}\nerror: {error}\nhelp: {help}")
        });
        insta::assert_snapshot!(explained.join("\n"), @r"
        $ cf-pusher push -i -1
        error: invalid value '-1' for '--instances <N>': must be a whole number from 0 to 4294967295
        help: see `cf-pusher push --help`
        $ cf-pusher push -u bogus
        error: invalid value 'bogus' for '--health-check-type <TYPE>' [possible values: http, port, process]
        help: see `cf-pusher push --help`
        $ cf-pusher push -u prot
        error: invalid value 'prot' for '--health-check-type <TYPE>' [possible values: http, port, process]
        help: did you mean `port`?
        $ cf-pusher converge
        error: the following required arguments were not provided: <--file <FILE>|--config <FILE>>
        help: see `cf-pusher converge --help`
        $ cf-pusher convrge
        error: unrecognized subcommand 'convrge'
        help: did you mean `converge`?
        $ cf-pusher push --instnaces 2
        error: unexpected argument '--instnaces' found
        help: did you mean `--instances`?
        $ cf-pusher frobnicate
        error: unrecognized subcommand 'frobnicate'
        help: see `cf-pusher --help`
        $ cf-pusher plan --config a --format JSON
        error: invalid value 'JSON' for '--format <FORMAT>' [possible values: text, json]
        help: did you mean `json`?
        $ cf-pusher plan --config a --concurrency -1
        error: invalid value '-1' for '--concurrency <N>': must be a whole number from 1 to 1000
        help: see `cf-pusher plan --help`
        $ cf-pusher spec
        error: the following required arguments were not provided: <--config <FILE>|--preset <NAME>>
        help: see `cf-pusher spec --help`
        ");
    }

    #[rstest]
    #[case("cf-pusher plan", Format::Text, false)]
    #[case("cf-pusher plan --format json --detailed-exitcode", Format::Json, true)]
    #[case("cf-pusher plan --format=json", Format::Json, false)]
    #[case("cf-pusher plan --format json --format text", Format::Text, false)]
    #[case("cf-pusher verify --detailed-exitcode", Format::Text, false)]
    #[case("cf-pusher push -- --format json", Format::Text, false)]
    #[case("cf-pusher plan --format", Format::Text, false)]
    fn invalid_arguments_still_select_the_format_of_the_error(
        #[case] line: &str,
        #[case] format: Format,
        #[case] detailed_exitcode: bool,
    ) {
        let hints = Hints::of(&arguments(line));
        assert_eq!(hints.format, format);
        assert_eq!(hints.detailed_exitcode, detailed_exitcode);
    }
}
