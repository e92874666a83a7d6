//! The dependency table of the modules, checked against the source and against
//! docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The modules of the library, and the modules that each may use.
const TABLE: [(&str, &[&str]); 12] = [
    ("spec", &["desired", "manifest"]),
    ("desired", &["manifest"]),
    (
        "converge",
        &["capi", "desired", "events", "manifest", "push"],
    ),
    ("push", &["capi", "desired", "events", "manifest"]),
    ("clone", &["capi", "events", "manifest", "push"]),
    (
        "scale_test",
        &["capi", "converge", "events", "latency", "spec"],
    ),
    ("report", &["events", "latency"]),
    ("export", &["capi", "desired", "manifest", "spec"]),
    ("capi", &["events"]),
    ("manifest", &[]),
    ("events", &[]),
    ("latency", &[]),
];

/// The module of the binary. It may use only the public API of the library.
const BINARY: &str = "cli";

/// The only module with URLs and JSON of the Cloud Controller.
const WIRE: &str = "capi";

/// Words that only [`WIRE`] may use.
const WIRE_WORDS: [&str; 2] = ["reqwest", "StatusCode"];

/// Paths of the Cloud Controller, which only [`WIRE`] may use.
const WIRE_PATHS: [&str; 2] = ["/v2/", "/v3/"];

#[test]
fn modules_use_only_what_the_table_allows() {
    let mut found = Vec::new();
    for file in source_files() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        found.extend(violations(&file, &text));
    }
    let new: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(new.is_empty(), "\n{}", new.join("\n"));
}

#[test]
fn the_documentation_shows_the_same_table() {
    let docs = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let shown = table_of(&docs);
    let expected: BTreeMap<String, BTreeSet<String>> = TABLE
        .iter()
        .map(|(module, uses)| {
            let uses = uses.iter().map(|it| (*it).to_owned());
            ((*module).to_owned(), uses.collect())
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn the_table_covers_every_module() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let tokens = tokens(&text);
    let declared = tokens.windows(3).filter_map(|it| match it {
        [
            Token::Word(keyword),
            Token::Word(name),
            Token::Punctuation(';'),
        ] if keyword == "mod" => Some(name.as_str()),
        _ => None,
    });
    let declared: BTreeSet<&str> = declared.collect();
    let covered: BTreeSet<&str> = TABLE.iter().map(|(module, _)| *module).collect();
    assert_eq!(declared, covered);
}

/// The code of an async function is compiled in each program that awaits it. A boxed
/// future is compiled once, in the library.
#[test]
fn public_functions_return_boxed_futures() {
    for file in source_files() {
        let text = std::fs::read_to_string(file.path()).unwrap();
        let is_public_async = text.contains("pub async fn");
        assert!(!is_public_async, "{}: return a BoxFuture", file.name);
    }
}

/// A file of the crate, and its module.
#[derive(Debug)]
struct SourceFile {
    /// Relative to `src`, with `/`.
    name: String,
    /// The module's path, such as `["push", "bits"]`.
    module: Vec<String>,
}

impl SourceFile {
    fn at(name: &str) -> Self {
        let path = name.trim_end_matches(".rs");
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
        module.pop_if(|last| last == "mod");
        Self {
            name: name.to_owned(),
            module,
        }
    }

    fn path(&self) -> PathBuf {
        root().join("src").join(&self.name)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files except the roots of library and binary, and tests.
fn source_files() -> Vec<SourceFile> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&src).unwrap();
            let name = name.to_str().unwrap().replace('\\', "/");
            let is_root = ["lib.rs", "main.rs"].contains(&name.as_str());
            if name.ends_with(".rs") && !is_root && !name.ends_with("tests.rs") {
                files.push(SourceFile::at(&name));
            }
        }
    }
    assert!(files.len() > 30, "{files:?}");
    files
}

/// A forbidden use of a module.
#[derive(Debug, PartialEq)]
struct Violation {
    file: String,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "src/{}: {}", self.file, self.what)
    }
}

fn violations(file: &SourceFile, text: &str) -> Vec<Violation> {
    let module = file.module.first().unwrap().as_str();
    let tokens = without_tests(tokens(text));
    let mut found: BTreeSet<String> = BTreeSet::new();
    for used in used_modules(&file.module, &tokens) {
        let allowed = match TABLE.iter().find(|(name, _)| *name == module) {
            Some((_, uses)) => used == module || uses.contains(&used.as_str()),
            None => module == BINARY && used == BINARY,
        };
        if !allowed {
            found.insert(format!("uses {used}"));
        }
    }
    if module != WIRE {
        for token in &tokens {
            match token {
                Token::Word(word) if WIRE_WORDS.contains(&word.as_str()) => {
                    found.insert(format!("uses {word}"));
                }
                Token::Text(text) if WIRE_PATHS.iter().any(|path| text.contains(path)) => {
                    found.insert(format!("knows the path {text}"));
                }
                _ => {}
            }
        }
    }
    let violation = |what| Violation {
        file: file.name.clone(),
        what,
    };
    found.into_iter().map(violation).collect()
}

/// The first segments of all paths that begin with `crate`, or with enough `super` to
/// reach the root of the crate.
fn used_modules(module: &[String], tokens: &[Token]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    // For each open brace, whether it belongs to an inline module.
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Punctuation('{') => {
                let is_module = at >= 2 && tokens[at - 2] == Token::word("mod");
                braces.push(is_module);
            }
            Token::Punctuation('}') => {
                braces.pop();
            }
            Token::Word(word) if word == "crate" && is_path(tokens, at) => {
                used.extend(names_after(tokens, at + 3));
                at += 2;
            }
            Token::Word(word) if word == "super" && is_path(tokens, at) => {
                let mut supers = 1;
                while tokens.get(at + 3) == Some(&Token::word("super")) && is_path(tokens, at + 3) {
                    supers += 1;
                    at += 3;
                }
                let depth = module.len() + braces.iter().filter(|it| **it).count();
                if supers >= depth {
                    used.extend(names_after(tokens, at + 3));
                }
                at += 2;
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// Whether `::` follows a token.
fn is_path(tokens: &[Token], at: usize) -> bool {
    let colon = Some(&Token::Punctuation(':'));
    tokens.get(at + 1) == colon && tokens.get(at + 2) == colon
}

/// The names at a position in a path: a single name, or those in braces.
fn names_after(tokens: &[Token], at: usize) -> Vec<String> {
    match tokens.get(at) {
        Some(Token::Word(name)) => vec![name.clone()],
        Some(Token::Punctuation('{')) => {
            let mut names = Vec::new();
            let mut depth = 0;
            let mut is_first = true;
            for token in &tokens[at..] {
                match token {
                    Token::Punctuation('{') => depth += 1,
                    Token::Punctuation('}') => depth -= 1,
                    Token::Punctuation(',') if depth == 1 => is_first = true,
                    Token::Word(name) if depth == 1 && is_first => {
                        names.push(name.clone());
                        is_first = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
            names
        }
        // A glob import of the root could contain any module.
        Some(Token::Punctuation('*')) => vec!["*".to_owned()],
        _ => Vec::new(),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// The content of a string literal.
    Text(String),
    Punctuation(char),
}

impl Token {
    fn word(text: &str) -> Self {
        Self::Word(text.to_owned())
    }
}

/// Words, strings and punctuation of Rust source, without comments.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let starts_with = |at: usize, what: &str| {
        what.chars()
            .eq(chars[at..].iter().copied().take(what.len()))
    };
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let char = chars[at];
        if starts_with(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts_with(at, "/*") {
            while at < chars.len() && !starts_with(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if let Some((content, end)) = raw_string(&chars, at) {
            tokens.push(Token::Text(content));
            at = end;
        } else if char == '"' {
            let mut content = String::new();
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                if chars[at] == '\\' {
                    at += 1;
                }
                content.extend(chars.get(at));
                at += 1;
            }
            at += 1;
            tokens.push(Token::Text(content));
        } else if char == '\'' {
            // A character literal or a lifetime.
            at += match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('\\'), _) => {
                    2 + chars[at + 3..].iter().position(|it| *it == '\'').unwrap() + 2
                }
                (Some(_), Some('\'')) => 3,
                _ => 1,
            };
        } else if char.is_alphanumeric() || char == '_' {
            let word: String = chars[at..]
                .iter()
                .take_while(|it| it.is_alphanumeric() || **it == '_')
                .collect();
            at += word.chars().count();
            tokens.push(Token::Word(word));
        } else {
            if !char.is_whitespace() {
                tokens.push(Token::Punctuation(char));
            }
            at += 1;
        }
    }
    tokens
}

/// A raw string at a position: its content and its end.
fn raw_string(chars: &[char], at: usize) -> Option<(String, usize)> {
    let is_in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if chars[at] != 'r' || is_in_word {
        return None;
    }
    let hashes = chars[at + 1..].iter().take_while(|it| **it == '#').count();
    let begin = at + 1 + hashes;
    if chars.get(begin) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    let content = &chars[begin + 1..];
    let length = content.windows(end.len()).position(|it| it == end)?;
    let text = content[..length].iter().collect();
    Some((text, begin + 1 + length + end.len()))
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let marker: Vec<Token> = self::tokens("#[cfg(test)]");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].starts_with(&marker) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        // The item ends with `;`, or with the closing brace of its first block.
        let mut depth = 0;
        for token in &tokens[at..] {
            at += 1;
            match token {
                Token::Punctuation('{') => depth += 1,
                Token::Punctuation('}') if depth == 1 => break,
                Token::Punctuation('}') => depth -= 1,
                Token::Punctuation(';') if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// The table in a document: rows of module, purpose and used modules.
fn table_of(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let module = quoted(cells.first()?).into_iter().next()?;
        let is_module = TABLE.iter().any(|(name, _)| *name == module);
        is_module.then(|| (module, quoted(cells.last().unwrap()).into_iter().collect()))
    })
    .collect()
}

/// The words in backquotes.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// The violations in a file with this text.
fn found(file: &str, text: &str) -> Vec<String> {
    let violations = violations(&SourceFile::at(file), text);
    violations.into_iter().map(|it| it.what).collect()
}

#[test]
fn the_checker_finds_forbidden_uses() {
    assert_eq!(
        found("report/page.rs", "use crate::capi::Client;"),
        ["uses capi"]
    );
    assert_eq!(
        found("manifest/mod.rs", "use crate::{events::Event, push};"),
        ["uses events", "uses push"]
    );
    assert_eq!(
        found("events.rs", "fn f() { crate::push::run() }"),
        ["uses push"]
    );
    assert_eq!(found("events.rs", "use super::push::Push;"), ["uses push"]);
    assert_eq!(
        found("report/page.rs", "use super::super::push;"),
        ["uses push"]
    );
    assert_eq!(
        found("report/page.rs", "mod a { use super::super::super::push; }"),
        ["uses push"]
    );
    assert_eq!(
        found("cli/push.rs", "use crate::push::Push;"),
        ["uses push"]
    );
    assert_eq!(
        found("capi/mod.rs", "use crate::manifest;"),
        ["uses manifest"]
    );
    assert_eq!(found("push/app.rs", "use crate::*;"), ["uses *"]);
}

#[test]
fn the_checker_finds_knowledge_of_the_wire() {
    assert_eq!(
        found("push/app.rs", r##"let path = format!("/v3/apps/{guid}");"##),
        ["knows the path /v3/apps/{guid}"]
    );
    assert_eq!(
        found("push/app.rs", r###"let path = r#"/v2/apps"#;"###),
        ["knows the path /v2/apps"]
    );
    assert_eq!(
        found("converge/mod.rs", "use reqwest::StatusCode;"),
        ["uses StatusCode", "uses reqwest"]
    );
    assert!(
        found(
            "capi/v3.rs",
            r#"use reqwest::StatusCode; let p = "/v3/apps";"#
        )
        .is_empty()
    );
}

#[test]
fn the_checker_allows_what_the_table_allows() {
    for (file, text) in [
        (
            "report/page.rs",
            "use crate::events::Event; use super::counts;",
        ),
        (
            "push/bits/mod.rs",
            "use super::upload; use super::super::push::app;",
        ),
        (
            "converge/mod.rs",
            "use crate::{capi, desired::{self, Names}, push};",
        ),
        (
            "manifest/diff.rs",
            "// use crate::capi;\n/* crate::push */ let a = \"crate::capi\";",
        ),
        (
            "manifest/diff.rs",
            "let c = '\"'; let d = '\\''; let e: &'static str = \"\";",
        ),
        (
            "manifest/diff.rs",
            "#[cfg(test)]\nmod tests { use crate::capi; fn f() {} }",
        ),
        ("manifest/diff.rs", "mod inner { use super::super::yaml; }"),
        (
            "cli/push.rs",
            "use cf_pusher::push::Push; use super::output; use crate::cli::help;",
        ),
    ] {
        assert_eq!(found(file, text), [] as [&str; 0], "{text}");
    }
    assert_eq!(
        found(
            "events.rs",
            "#[cfg(test)] use crate::push; use crate::capi;"
        ),
        ["uses capi"]
    );
}

#[test]
fn a_table_is_read_from_a_document() {
    let document = "| module | what it is for | may use |\n| --- | --- | --- |\n| `report` | sinks: `counts` | `events` |\n| `events` | values | nothing |\n| `other` | | |";
    let table = table_of(document);
    assert_eq!(table["report"], BTreeSet::from(["events".to_owned()]));
    assert_eq!(table["events"], BTreeSet::new());
    assert_eq!(table.len(), 2);
}
