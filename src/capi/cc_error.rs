//! The errors that the Cloud Controller and the UAA report, and their meaning.
//!
//! The meaning of an error follows from its code. The v3 API reports most refusals with
//! the same code, so for that code the meaning follows from the text. The codes come from
//! `errors/v2.yml` of the Cloud Controller, which both APIs share.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// `UnprocessableEntity`: the code of most refusals in v3, which differ only in their
/// text.
const UNPROCESSABLE_ENTITY: i64 = 10008;

/// An operator has disabled deployments.
pub(super) const DEPLOYMENTS_DISABLED: i64 = 390_014;

/// The Cloud Controller stages one build of an app at a time.
pub(crate) const STAGING_IN_PROGRESS: i64 = 170_017;

/// A name, host, path, port or mapping is taken, or a resource does not exist.
const CONFLICTS: [i64; 23] = [
    10010, 10016, 30002, 30003, 40002, 40004, 60002, 60004, 90003, 90004, 100_002, 100_004,
    130_003, 210_002, 210_003, 210_004, 210_005, 210_006, 240_001, 240_002, 300_002, 300_005,
    310_002,
];

/// A quota of the org or the space is exceeded.
const QUOTA_EXCEEDED: [i64; 17] = [
    60005, 60007, 60012, 60013, 100_005, 100_007, 100_008, 100_010, 130_005, 310_003, 310_004,
    310_005, 310_006, 310_008, 310_009, 310_010, 310_011,
];

/// Texts of v3 for resources that already exist or no longer exist.
const CONFLICT_TEXTS: [&str; 9] = [
    "already exists",
    "is taken",
    "must be unique",
    "Duplicate Route Mapping",
    "does not exist",
    "Ensure the ",
    "Ensure that the ",
    "currently used by app",
    "Stop the app before",
];

/// Texts of v3 for exceeded quotas, in lower case.
const QUOTA_TEXTS: [&str; 7] = [
    "quota_exceeded",
    "quota exceeded",
    "limit_exceeded",
    "limit exceeded",
    "exceeds the quota",
    "log_rate_limit cannot be unlimited in",
    "staging requires",
];

/// The maximum number of characters of an explanation that are shown.
const MAX_DETAIL: usize = 2_000;

/// One error as the Cloud Controller reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CcError {
    /// Its number, such as 10008.
    #[serde(default)]
    pub code: i64,
    /// Its name, such as `CF-UnprocessableEntity`.
    #[serde(default, alias = "error_code")]
    pub title: String,
    /// The Cloud Controller's explanation.
    #[serde(default, alias = "description")]
    pub detail: String,
}

impl CcError {
    /// Whether a resource already exists, or no longer exists.
    pub(super) fn is_conflict(&self) -> bool {
        CONFLICTS.contains(&self.code)
            || self.code == UNPROCESSABLE_ENTITY && is_conflict_text(&self.detail)
    }

    /// Whether a quota of the org or the space is exceeded.
    pub(super) fn is_quota_exceeded(&self) -> bool {
        QUOTA_EXCEEDED.contains(&self.code)
            || self.code == UNPROCESSABLE_ENTITY && is_quota_text(&self.detail)
    }
}

impl fmt::Display for CcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", beginning(&self.detail, MAX_DETAIL))?;
        match (self.code, self.title.as_str()) {
            (0, "") => Ok(()),
            (0, title) => write!(f, " ({title})"),
            (code, title) => write!(f, " ({code} {title})"),
        }
    }
}

/// Whether a text without a code reports that a resource already exists, or no longer
/// exists.
pub(super) fn is_conflict_text(text: &str) -> bool {
    CONFLICT_TEXTS.iter().any(|words| text.contains(words))
}

/// Whether a text reports an exceeded quota. `Organization Quota 'q' already exists` does
/// not.
fn is_quota_text(text: &str) -> bool {
    let text = text.to_lowercase();
    let exceeds_a_quota = text
        .split_once("exceeds ")
        .is_some_and(|(_, rest)| rest.contains("quota"));
    exceeds_a_quota || QUOTA_TEXTS.iter().any(|words| text.contains(words))
}

/// All errors in one line, up to a number that a person can read.
pub(super) fn describe(errors: &[CcError]) -> String {
    const MOST: usize = 20;
    if errors.is_empty() {
        return "no error details".to_owned();
    }
    let mut texts: Vec<String> = errors.iter().take(MOST).map(CcError::to_string).collect();
    if let Some(more) = errors.len().checked_sub(MOST).filter(|more| *more > 0) {
        texts.push(format!("and {more} more errors"));
    }
    texts.join("; ")
}

/// The beginning of a text, with `...` if there is more.
fn beginning(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The errors in a response's body: v3's (`errors`), v2's (`description`) or the UAA's
/// (`error_description`). For any other body, its first characters.
pub(super) fn parse(body: &[u8]) -> Vec<CcError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        V3 {
            errors: Vec<CcError>,
        },
        V2 {
            description: String,
            #[serde(default)]
            error_code: String,
            #[serde(default)]
            code: i64,
        },
        Uaa {
            error: String,
            #[serde(default)]
            error_description: String,
        },
    }
    let errors = match serde_json::from_slice(body) {
        Ok(Body::V3 { errors }) => errors,
        Ok(Body::V2 {
            description,
            error_code,
            code,
        }) => vec![CcError {
            code,
            title: error_code,
            detail: description,
        }],
        Ok(Body::Uaa {
            error,
            error_description,
        }) => vec![CcError {
            code: 0,
            title: error,
            detail: error_description,
        }],
        Err(_) => return beginning_of(body),
    };
    errors.into_iter().map(printable_error).collect()
}

/// The beginning of an HTML or text response, which gateways send.
fn beginning_of(body: &[u8]) -> Vec<CcError> {
    const MAX_SHOWN: usize = 200;
    let text = readable(&String::from_utf8_lossy(body));
    if text.is_empty() {
        return Vec::new();
    }
    vec![CcError {
        code: 0,
        title: "not from the Cloud Controller".to_owned(),
        detail: beginning(&text, MAX_SHOWN).into_owned(),
    }]
}

/// The reason why JSON that a server sent cannot be read, without the names of this
/// program's types, and with long values truncated.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    const MAX_SHOWN: usize = 400;
    static TYPES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"struct \w+( with \d+ elements?)?").ok());
    static LONG_VALUES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(string "(?:[^"\\]|\\.){60})(?:[^"\\]|\\.)+""#).ok());
    let mut problem = printable(&error.to_string());
    for (pattern, replacement) in [(&TYPES, "an object"), (&LONG_VALUES, "$1...\"")] {
        if let Some(pattern) = pattern.as_ref() {
            problem = pattern.replace_all(&problem, replacement).into_owned();
        }
    }
    beginning(&problem, MAX_SHOWN).into_owned()
}

/// A text in one line. For an HTML page, its title, or its text if it has no title.
pub(super) fn readable(text: &str) -> String {
    static TITLE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new("(?is)<title[^>]*>(.*?)</title>").ok());
    static TAGS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("<[^>]*>").ok());
    let found = TITLE.as_ref().and_then(|title| title.captures(text));
    let title = found.and_then(|found| Some(found.get(1)?.as_str()));
    let text = match (title, TAGS.as_ref()) {
        (Some(title), _) => Cow::Borrowed(title),
        (None, Some(tags)) if text.trim_start().starts_with('<') => tags.replace_all(text, " "),
        (None, _) => Cow::Borrowed(text),
    };
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn printable_error(error: CcError) -> CcError {
    CcError {
        code: error.code,
        title: printable(&error.title),
        detail: printable(&error.detail),
    }
}

/// A server's text without escape sequences, control characters and marks that change the
/// direction of text. They could change the state of a terminal or hide output. Line
/// breaks and tabs are kept.
pub(crate) fn printable(text: &str) -> String {
    static ESCAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)?").ok()
    });
    let text = match ESCAPES.as_ref() {
        Some(escapes) => escapes.replace_all(text, ""),
        None => text.into(),
    };
    let is_printable = |it: &char| match it {
        '\n' | '\t' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        it => !it.is_control(),
    };
    text.chars().filter(is_printable).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::v3(
        r#"{"errors":[{"code":10008,"title":"CF-UnprocessableEntity","detail":"no"}]}"#,
        "no (10008 CF-UnprocessableEntity)"
    )]
    #[case::v2(
        r#"{"description":"taken","error_code":"CF-OrganizationNameTaken","code":30002}"#,
        "taken (30002 CF-OrganizationNameTaken)"
    )]
    #[case::uaa(
        r#"{"error":"unauthorized","error_description":"Bad credentials"}"#,
        "Bad credentials (unauthorized)"
    )]
    #[case::gateway("502\n Bad Gateway", "502 Bad Gateway (not from the Cloud Controller)")]
    #[case::a_page_with_a_title(
        "<html><head><TITLE>502 Bad\nGateway</TITLE></head><body>nginx</body></html>",
        "502 Bad Gateway (not from the Cloud Controller)"
    )]
    #[case::a_page_without_title(
        "<html>\n <b>502</b> Bad Gateway</html>",
        "502 Bad Gateway (not from the Cloud Controller)"
    )]
    #[case::control_characters(
        r#"{"errors":[{"code":1,"title":"a","detail":"red \u001b[31m\u0007text"}]}"#,
        "red text (1 a)"
    )]
    #[case::nothing("", "no error details")]
    fn errors_in_every_format_are_shown(#[case] body: &str, #[case] expected: &str) {
        assert_eq!(describe(&parse(body.as_bytes())), expected);
    }

    #[test]
    fn long_errors_are_truncated() {
        let error = CcError {
            code: 1,
            title: "a".to_owned(),
            detail: "\u{e4}".repeat(MAX_DETAIL + 1),
        };
        let shown = error.to_string();
        assert_eq!(shown.chars().count(), MAX_DETAIL + "... (1 a)".len());
        let errors = vec![error; 1_000];
        let shown = describe(&errors);
        assert!(shown.ends_with("; and 980 more errors"), "{shown}");
    }

    #[test]
    fn problems_of_json_are_short_and_without_types() {
        #[derive(Debug, Deserialize)]
        struct App {
            #[allow(dead_code, reason = "only its type counts")]
            instances: u32,
        }
        let problem = |text: &str| json_problem(&serde_json::from_str::<App>(text).unwrap_err());
        assert_eq!(
            problem("null"),
            "invalid type: null, expected an object at line 1 column 4"
        );
        let long = format!(r#"{{"instances": "{}"}}"#, "a\\\"b".repeat(20_000));
        let problem = problem(&long);
        assert!(
            problem.starts_with(r#"invalid type: string "a\"b"#),
            "{problem}"
        );
        assert!(
            problem.contains(r#"...", expected u32 at line 1"#),
            "{problem}"
        );
        assert!(problem.chars().count() < 200, "{problem}");
    }

    fn unprocessable(detail: &str) -> CcError {
        CcError {
            code: UNPROCESSABLE_ENTITY,
            title: "CF-UnprocessableEntity".to_owned(),
            detail: detail.to_owned(),
        }
    }

    #[rstest]
    #[case("memory quota_exceeded", true)]
    #[case("app_instance_limit space_app_instance_limit_exceeded", true)]
    #[case(
        "organization's memory limit exceeded: staging requires 204800M memory",
        true
    )]
    #[case("log_rate_limit exceeds organization log rate quota", true)]
    #[case("log_rate_limit cannot be unlimited in organization 'o'.", true)]
    #[case(
        "For application 'a': For route 'r': Routes quota exceeded for space 's'.",
        true
    )]
    #[case("memory_in_mb exceeds space memory quota", true)]
    #[case(
        "The number of private domains exceeds the quota for organization \"o\"",
        true
    )]
    #[case("Organization Quota 'q' already exists.", false)]
    #[case("Organization quota not found", false)]
    #[case(
        "This quota is applied to one or more spaces. Remove this quota from all spaces before deleting.",
        false
    )]
    fn exceeded_quotas_differ_from_other_errors_about_quotas(
        #[case] detail: &str,
        #[case] expected: bool,
    ) {
        assert_eq!(unprocessable(detail).is_quota_exceeded(), expected);
    }

    #[rstest]
    #[case(30002, "The organization name is taken: o", true)]
    #[case(10016, "App with the name 'a' already exists.", true)]
    #[case(10008, "Organization 'o' already exists.", true)]
    #[case(
        10008,
        "Invalid space. Ensure that the space exists and you have access to it.",
        true
    )]
    #[case(10008, "memory quota_exceeded", false)]
    #[case(10003, "a role that does not exist", false)]
    fn a_conflict_is_recognized_by_its_code_or_text(
        #[case] code: i64,
        #[case] detail: &str,
        #[case] expected: bool,
    ) {
        let error = CcError {
            code,
            ..unprocessable(detail)
        };
        assert_eq!(error.is_conflict(), expected);
    }
}
