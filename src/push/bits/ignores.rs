//! What is not uploaded: what the `cf` CLI leaves out, and what `.cfignore` says.
//!
//! `.cfignore` is read as git reads a `.gitignore`, and only the one at the
//! root. Its lines come after the defaults, so that `!manifest.yml` brings that
//! file back; what is in an ignored folder cannot be brought back.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::error::Reason;

/// Where the user's lines are.
pub(super) const FILE: &str = ".cfignore";

/// What the `cf` CLI never uploads, wherever it is.
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

/// Tells what is ignored.
#[derive(Debug)]
pub(super) struct Ignores(Gitignore);

impl Ignores {
    /// The defaults, then the lines of a `.cfignore`.
    pub(super) fn new(cfignore: &str) -> Result<Self, Reason> {
        let lines = cfignore.trim_start_matches('\u{feff}').lines();
        let mut builder = GitignoreBuilder::new("");
        for line in DEFAULTS.into_iter().chain(lines) {
            builder
                .add_line(None, line)
                .map_err(|error| Reason::Pattern {
                    line: line.to_owned(),
                    error,
                })?;
        }
        let ignores = builder.build().map(Self);
        ignores.map_err(|error| Reason::Pattern {
            line: cfignore.to_owned(),
            error,
        })
    }

    /// Of a path whose folders are known not to be ignored.
    pub(super) fn ignores(&self, relative: &Path, is_dir: bool) -> bool {
        self.0.matched(relative, is_dir).is_ignore()
    }

    /// Of any path with `/`: what is in an ignored folder is ignored too.
    pub(super) fn ignores_deeply(&self, name: &str, is_dir: bool) -> bool {
        let mut folders = name.match_indices('/').map(|(at, _)| name.split_at(at).0);
        folders.any(|folder| self.ignores(Path::new(folder), true))
            || self.ignores(Path::new(name), is_dir)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::defaults_are_everywhere("", "sub/manifest.yml", true)]
    #[case::so_are_their_contents("", "sub/.git/config", true)]
    #[case::others_are_not("", "manifest.json", false)]
    #[case::a_default_is_brought_back("!manifest.yml", "manifest.yml", false)]
    #[case::anchored("/a.txt", "sub/a.txt", false)]
    #[case::by_extension("*.log", "sub/deep/a.log", true)]
    #[case::the_last_line_wins("*.log\n!keep.log", "sub/keep.log", false)]
    #[case::a_folder_is_ignored_as_a_whole("tmp/\n!tmp/keep", "tmp/keep", true)]
    #[case::its_contents_one_by_one("tmp/*\n!tmp/keep", "tmp/keep", false)]
    #[case::a_folder_pattern_spares_files("tmp/", "tmp", false)]
    #[case::comments_and_windows_lines("# no\r\na.txt\r\n", "a.txt", true)]
    #[case::a_byte_order_mark("\u{feff}a.txt", "a.txt", true)]
    #[case::stars_in_the_middle("a/**/z", "a/b/c/z", true)]
    fn lines_mean_what_they_mean_to_git(
        #[case] cfignore: &str,
        #[case] name: &str,
        #[case] ignored: bool,
    ) {
        let ignores = Ignores::new(cfignore).unwrap();
        assert_eq!(ignores.ignores_deeply(name, false), ignored);
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        let error = Ignores::new("a{").unwrap_err().to_string();
        assert!(error.starts_with("the line `a{` of .cfignore"), "{error}");
    }
}
