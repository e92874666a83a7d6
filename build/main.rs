//! Sets the version of the command, with the commit that it is built from.

use std::path::Path;

mod commit;

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=CF_PUSHER_COMMIT");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let folder = variable("CARGO_MANIFEST_DIR");
    let folder = Path::new(&folder);
    let commit = Some(variable("CF_PUSHER_COMMIT")).filter(|commit| !commit.is_empty());
    // A debug build would have to be rebuilt after each commit.
    let commit = match variable("PROFILE") == "release" {
        true => commit.or_else(|| {
            for path in commit::watched(folder) {
                println!("cargo::rerun-if-changed={}", path.display());
            }
            commit::of(folder)
        }),
        false => commit,
    };
    let version = variable("CARGO_PKG_VERSION");
    let version = match commit {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    println!("cargo::rustc-env=CF_PUSHER_VERSION={version}");
}
