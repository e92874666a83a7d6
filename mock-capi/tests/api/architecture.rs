//! The modules of the source, and their dependencies: requests pass from `serve` to `api`
//! to `world`, and no version of the API uses the handlers of another.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module, and what it must not use.
const MODULES: [(&str, &[&str]); 8] = [
    (
        "world",
        &[
            "crate::api",
            "crate::data_plane",
            "crate::serve",
            "hyper::",
            "wiremock::",
        ],
    ),
    (
        "api",
        &["crate::data_plane", "crate::serve", "hyper::", "wiremock::"],
    ),
    (
        "data_plane",
        &[
            "crate::api",
            "crate::serve",
            "hyper::",
            "reqwest::",
            "tokio::",
            "wiremock::",
        ],
    ),
    (
        "api/shared",
        &["api::v2::", "api::v2017", "api::v3", "super::super"],
    ),
    ("api/v2", &["api::v2017", "api::v3", "super::v3"]),
    ("api/v2017", &["api::v2::", "api::v3", "super::v3"]),
    ("api/v3", &["api::v2::", "api::v2017"]),
    ("serve", &["api::v2::", "api::v2017", "api::v3"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (module, forbidden) in MODULES {
        let files = sources(&root.join(module));
        assert!(files.len() > 5, "{module}: {files:?}");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for line in text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                if forbidden.iter().any(|word| line.contains(word)) {
                    broken.push(format!("{}: {line}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
