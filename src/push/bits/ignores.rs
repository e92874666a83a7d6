//! Determines which files are not uploaded, with the same result as `cf push`.
//!
//! `.cfignore` looks like a `.gitignore` but has different rules. The `cf` CLI translates
//! each line into a regular expression and matches every file and folder by its own path
//! against the whole list. The last matching line wins (`actor/sharedaction/resource.go`
//! and its matcher, go-gitignore). A file in an ignored folder can therefore be included
//! again, a pattern with a slash in the middle matches at any depth, and braces are
//! literal. A line that is not a valid pattern matches nothing.

use std::io::{self, Read};

use regex::{RegexSet, RegexSetBuilder};

use super::error::Reason;

/// The name of the file with the user's lines.
pub(super) const FILE: &str = ".cfignore";

/// The maximum size of a `.cfignore`, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The maximum memory of the compiled lines, in bytes.
const MAX_COMPILED_BYTES: usize = 256 * 1024 * 1024;

/// Files that the `cf` CLI never uploads, at any depth.
const DEFAULTS: [&str; 9] = [
    FILE,
    ".DS_Store",
    ".git",
    ".gitignore",
    ".hg",
    ".svn",
    "_darcs",
    "manifest.yaml",
    "manifest.yml",
];

/// The lines that decide whether a path is ignored.
#[derive(Debug)]
pub(super) struct Ignores {
    patterns: RegexSet,
    /// For each pattern, whether its line began with `!`.
    negated: Vec<bool>,
}

impl Ignores {
    /// The lines of a folder's `.cfignore`, followed by the defaults, so that no line
    /// includes `.git` again.
    pub(super) fn of_folder(cfignore: &str) -> Result<Self, Reason> {
        Self::new(lines(cfignore).chain(DEFAULTS))
    }

    /// The defaults, followed by the lines of an archive's `.cfignore`. In this order, a
    /// line such as `!manifest.yml` includes that file again, as in the `cf` CLI.
    pub(super) fn of_archive(cfignore: &str) -> Result<Self, Reason> {
        Self::new(DEFAULTS.into_iter().chain(lines(cfignore)))
    }

    fn new<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, Reason> {
        let is_valid = |(pattern, _): &(String, bool)| regex_syntax::parse(pattern).is_ok();
        let (patterns, negated): (Vec<String>, Vec<bool>) =
            lines.filter_map(pattern_of).filter(is_valid).unzip();
        let patterns = RegexSetBuilder::new(patterns)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|_| Reason::TooManyPatterns)?;
        Ok(Self { patterns, negated })
    }

    /// Whether a path is ignored. The path is relative to the root, with `/` between its
    /// parts.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let last = self.patterns.matches(path).into_iter().next_back();
        last.is_some_and(|last| self.negated.get(last) == Some(&false))
    }
}

/// Whether a folder with this name is ignored with all of its contents, even if a
/// `.cfignore` includes them.
pub(super) fn is_always_ignored(name: &str) -> bool {
    DEFAULTS.contains(&name)
}

/// Reads a `.cfignore` of at most 1 MiB.
pub(super) fn read(file: impl Read) -> Result<String, Reason> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(Reason::io(FILE))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Reason::io(FILE)(io::Error::other("larger than 1 MiB")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn lines(cfignore: &str) -> impl Iterator<Item = &str> {
    cfignore.trim_start_matches('\u{feff}').split('\n')
}

/// The regular expression of a line, and whether the line includes files again. `None`
/// for blank lines and comments.
fn pattern_of(line: &str) -> Option<(String, bool)> {
    let line = line.trim_end_matches('\r');
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim_matches(' ');
    if line.is_empty() {
        return None;
    }
    let (line, negated) = match line.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let line = line.strip_prefix(['#', '!']).unwrap_or(line);
    let mut body = translated(line);
    if has_extension_below_folder(line) && !body.starts_with('/') {
        body.insert(0, '/');
    }
    let end = if body.ends_with('/') {
        ".*$"
    } else {
        "(?:|/.*)$"
    };
    let (start, body) = match body.strip_prefix('/') {
        Some(body) => ("^/?", body),
        None => ("^(?:|.*/)", body.as_str()),
    };
    Some((format!("{start}{body}{end}"), negated))
}

/// Whether a line contains a folder and later a `*.`, as `foo/*.log` does. The `cf` CLI
/// matches such a line only from the root.
fn has_extension_below_folder(line: &str) -> bool {
    let folder_end = line
        .char_indices()
        .zip(line.chars().skip(1))
        .find(|((_, before), slash)| !matches!(before, '/' | '+') && *slash == '/');
    let Some(((at, before), _)) = folder_end else {
        return false;
    };
    let below = at + before.len_utf8() + 1;
    line.get(below..).is_some_and(|rest| rest.contains("*."))
}

/// Translates a line's wildcards into a regular expression. Other special characters of
/// regular expressions keep their meaning, as in the `cf` CLI, except for braces without
/// a count.
fn translated(line: &str) -> String {
    const WILDCARDS: [(&str, &str); 7] = [
        ("/**/", "(?:/|/.+/)"),
        ("**/", "(?:|.*/)"),
        ("/**", "(?:|/.*)"),
        (r"\*", r"\*"),
        ("*", "[^/]*"),
        ("?", r"\?"),
        (".", r"\."),
    ];
    let mut regex = String::with_capacity(2 * line.len());
    // `**/` matches everything that a leading `/**/` matches.
    let mut rest = match line.strip_prefix('/') {
        Some(rest) if rest.starts_with("**/") => rest,
        _ => line,
    };
    while let Some(next) = rest.chars().next() {
        let wildcard = WILDCARDS.iter().find(|(from, _)| rest.starts_with(from));
        let taken = match wildcard {
            Some((from, to)) => {
                regex.push_str(to);
                from.len()
            }
            None => {
                if next == '{' && !starts_with_count(rest) {
                    regex.push('\\');
                }
                regex.push(next);
                next.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    regex
}

/// Whether a text starts with `{n}`, `{n,}` or `{n,m}`.
fn starts_with_count(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let Some((inner, _)) = inner else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_digits(least) && is_digits(most)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::defaults_apply_at_any_depth("", "sub/manifest.yml", true)]
    #[case::and_to_their_contents("", "sub/.git/config", true)]
    #[case::other_files_are_uploaded("", "manifest.json", false)]
    #[case::defaults_cannot_be_negated("!manifest.yml", "manifest.yml", true)]
    #[case::nor_by_a_wildcard("/*\n!/.*", ".git/config", true)]
    #[case::a_leading_slash_anchors("/a.txt", "sub/a.txt", false)]
    #[case::an_extension_matches_anywhere("*.log", "sub/deep/a.log", true)]
    #[case::the_last_line_wins("*.log\n!keep.log", "sub/keep.log", false)]
    #[case::a_file_in_an_ignored_folder_is_included("assets/\n!assets/keep", "assets/keep", false)]
    #[case::its_siblings_are_not("assets/\n!assets/keep", "assets/drop", true)]
    #[case::an_allowlist("**\n!web\n!Procfile", "web/img/logo.png", false)]
    #[case::what_it_leaves_out("**\n!web\n!Procfile", "src/a.ts", true)]
    #[case::a_slash_in_the_middle_does_not_anchor("config/a.json", "a/b/config/a.json", true)]
    #[case::an_extension_below_a_folder_does("foo/*.log", "sub/foo/a.log", false)]
    #[case::at_the_root_it_matches("foo/*.log", "foo/a.log", true)]
    #[case::braces_are_literal("*.{js,ts}", "a.js", false)]
    #[case::also_in_names("*.{js,ts}", "a.{js,ts}", true)]
    #[case::a_question_mark_is_literal("a?", "ab", false)]
    #[case::a_folder_pattern_spares_files("tmp/", "tmp", false)]
    #[case::comments_and_windows_lines("# no\r\na.txt\r\n", "a.txt", true)]
    #[case::a_byte_order_mark("\u{feff}a.txt", "a.txt", true)]
    #[case::stars_in_the_middle("a/**/z", "a/b/c/z", true)]
    #[case::stars_at_the_end("a/**", "a/b/c", true)]
    #[case::stars_at_the_start("**/z", "a/b/z", true)]
    #[case::an_invalid_line_matches_nothing("[\n*.log", "[", false)]
    fn folders_are_read_as_cf_push_reads_them(
        #[case] cfignore: &str,
        #[case] path: &str,
        #[case] ignored: bool,
    ) {
        let ignores = Ignores::of_folder(cfignore).unwrap();
        assert_eq!(ignores.ignores(path), ignored);
    }

    #[test]
    fn an_archive_may_include_defaults_again() {
        let ignores = Ignores::of_archive("!manifest.yml").unwrap();
        assert!(!ignores.ignores("manifest.yml"));
        assert!(ignores.ignores("manifest.yaml"));
    }

    #[test]
    fn a_file_above_one_mebibyte_is_refused() {
        assert!(read(io::repeat(b'a').take(MAX_BYTES)).is_ok());
        let error = read(io::repeat(b'a')).unwrap_err().to_string();
        assert_eq!(error, ".cfignore: larger than 1 MiB");
    }
}
