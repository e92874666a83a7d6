//! The commit of the source, for the build script. The file belongs to no crate: the
//! build script and its test include it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The length of a commit's short name.
const LENGTH: usize = 12;

/// The commit of the source in `folder`: the one that `cargo package` recorded, or else
/// the one that git reports. `None` if there is neither.
pub(crate) fn of(folder: &Path) -> Option<String> {
    packaged(folder).or_else(|| checked_out(folder))
}

/// The files that change with the commit.
pub(crate) fn watched(folder: &Path) -> Vec<PathBuf> {
    let head = git(folder, &["rev-parse", "--git-path", "HEAD"]);
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    let branch = branch.and_then(|name| git(folder, &["rev-parse", "--git-path", &name]));
    let paths = head.into_iter().chain(branch);
    let paths = paths.map(|path| folder.join(path));
    paths.filter(|path| path.exists()).collect()
}

/// The commit in the file that `cargo package` adds.
fn packaged(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(".cargo_vcs_info.json")).ok()?;
    let (_, after) = text.split_once("\"sha1\"")?;
    let commit = after.split('"').nth(1)?;
    is_commit(commit).then(|| commit[..LENGTH].to_owned())
}

/// The commit that is checked out, if the folder is the root of a repository. It may be
/// an unpacked package inside another repository.
fn checked_out(folder: &Path) -> Option<String> {
    if !folder.join(".git").exists() {
        return None;
    }
    let commit = git(folder, &["rev-parse", "HEAD"])?;
    is_commit(&commit).then(|| commit[..LENGTH].to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() >= LENGTH && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    let output = git.args(arguments).current_dir(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
