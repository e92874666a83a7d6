//! The table of operations in the documentation, generated from the operations that the
//! mock knows and the tests have called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mock_capi::Operation;

use crate::Named;

/// The environment variable that makes the test rewrite the documentation.
const VARIABLE: &str = "UPDATE_DOCS";
const BEGIN: &str = "<!-- operations: begin -->\n";
const END: &str = "<!-- operations: end -->";

/// Compares the documented table with the expected one. The table is only written with
/// results that were compared with the description.
pub(crate) fn check(validated: &BTreeSet<String>, by_description: bool) {
    let path = root().join("docs/mock-capi.md");
    let text = read(&path);
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table(validated));
    if std::env::var_os(VARIABLE).is_some() {
        assert!(by_description, "{VARIABLE} needs CAPI_OPENAPI");
        std::fs::write(path, expected).unwrap();
        return;
    }
    let differs = text
        .lines()
        .zip(expected.lines())
        .find(|(is, should)| is != should);
    assert!(
        text == expected,
        "docs/mock-capi.md is out of date, first in {differs:?}; \
         `{VARIABLE}=1 CAPI_OPENAPI=... cargo test --test openapi` rewrites it"
    );
}

fn table(validated: &BTreeSet<String>) -> String {
    let operations = Operation::all();
    let clients = client_operations();
    let implemented = operations.iter().filter(|one| one.implemented).count();
    let mut lines = vec![
        format!(
            "{implemented} of {} operations are implemented, {} of them validated, and {} were used by a real client.",
            operations.len(),
            validated.len(),
            operations
                .iter()
                .filter(|one| clients.contains_key(&unnamed(&one.key())))
                .count(),
        ),
        String::new(),
        "| operation | implemented | validated | used by |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    for operation in &operations {
        let key = operation.key();
        let implemented = if operation.implemented { "yes" } else { "501" };
        let validated = if validated.contains(&key) { "yes" } else { "" };
        let clients = clients.get(&unnamed(&key)).map_or("", String::as_str);
        lines.push(format!(
            "| `{key}` | {implemented} | {validated} | {clients} |"
        ));
    }
    lines
        .join("\n")
        .replace("|  |", "| |")
        .replace("|  |", "| |")
        + "\n"
}

/// The operations that real clients use, with the names of the clients.
fn client_operations() -> BTreeMap<String, String> {
    let path = root().join("tests/clients/operations.txt");
    let text = read(&path);
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (operation, clients) = line.split_once(" # ").unwrap_or((line, "yes"));
            (unnamed(operation.trim_end()), clients.to_owned())
        })
        .collect()
}

/// An operation with uniform names of its path parameters.
fn unnamed(operation: &str) -> String {
    let segments = operation
        .split('/')
        .map(|segment| match segment.starts_with(':') {
            true => ":",
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
