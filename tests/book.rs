//! Runs the commands in the documentation. A block of shell commands is run unchanged,
//! unless its first line is `# needs: foundation` (or names another need). For such
//! blocks, the test only checks that the flags of the commands exist in `--help`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mock_capi::{Front, MockCapi};
use rstest::rstest;
use serde_json::json;

use crate::support::command::cf_pusher;
use crate::support::http;

/// The needs that a block may declare.
const NEEDS: [&str; 4] = ["foundation", "network", "docker", "another program"];

/// The timeout of a block.
const DEADLINE: Duration = Duration::from_secs(120);

struct Block {
    /// The line number of its first command.
    line: usize,
    text: String,
    /// The reason why it cannot be run in the test, if any.
    need: Option<String>,
}

/// The blocks of shell commands in a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(document.lines());
    while let Some((number, line)) = lines.next() {
        if line.trim() != "```sh" {
            continue;
        }
        let body = lines.by_ref().map(|(_, line)| line);
        let body: Vec<&str> = body.take_while(|line| line.trim() != "```").collect();
        let need = body
            .first()
            .and_then(|first| first.strip_prefix("# needs: "));
        blocks.push(Block {
            line: number + 1,
            text: body.join("\n"),
            need: need.map(str::to_owned),
        });
    }
    blocks
}

/// The commands of `program` in a block, without the name of the program.
fn commands_of(program: &str, text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines = text
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or_default());
    let commands = lines.flat_map(|line| line.split([';', '|', '&', '(', ')', '>']));
    let words = commands.map(|command| command.split_whitespace().map(str::to_owned));
    let commands = words.map(|words| words.skip_while(|word| word.contains('=')));
    commands
        .map(Iterator::collect::<Vec<String>>)
        .filter(|words| words.first().is_some_and(|first| first == program))
        .map(|words| words.into_iter().skip(1).collect())
        .collect()
}

/// The flags that do not exist in the help of a subcommand.
fn unknown_flags(home: &Path, arguments: &[String]) -> Vec<String> {
    let mut helped = arguments.iter().take_while(|it| !it.starts_with('-'));
    let subcommand: Vec<&String> = helped.by_ref().take(1).collect();
    let help = cf_pusher(home)
        .args(&subcommand)
        .arg("--help")
        .output()
        .unwrap();
    assert!(
        help.status.success(),
        "there is no subcommand {subcommand:?}"
    );
    let help = String::from_utf8(help.stdout).unwrap();
    let known: Vec<&str> = help
        .split(|it: char| it.is_whitespace() || ",=[]".contains(it))
        .collect();
    let flags = arguments
        .iter()
        .filter(|it| it.starts_with('-') && it.len() > 1);
    let flags = flags.map(|flag| flag.split('=').next().unwrap_or_default());
    let unknown = flags.filter(|flag| !known.contains(flag));
    unknown.map(str::to_owned).collect()
}

fn run(folder: &Path, block: &Block) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_cf-pusher"));
    let mut path = vec![program.parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    // `cargo run` is replaced by the program that Cargo built for this test.
    let text = block.text.replace("cargo run --", "cf-pusher");
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &text]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CF_")) {
        command.env_remove(name);
    }
    command
        .current_dir(folder)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("HOME", folder)
        .env("CF_HOME", folder)
        .env("TMPDIR", folder);
    assert_cmd::Command::from_std(command)
        .timeout(DEADLINE)
        .output()
        .unwrap()
}

/// A folder for running the blocks, with the fixtures of the repository and a small
/// configuration.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::os::unix::fs::symlink(fixtures, folder.path().join("fixtures")).unwrap();
    let config = r#"{"test_applications": 3, "test_app_instances": 2, "proxy_applications": 2}"#;
    std::fs::write(folder.path().join("scale-test.json"), config).unwrap();
    folder
}

/// Starts a mock for a block that starts the command `mock-capi`, and replaces the
/// command with the mock.
async fn mock_of(block: &mut Block) -> Option<MockCapi<Front>> {
    const START: &str = "mock-capi --listen 127.0.0.1:8181 &\n";
    if !block.text.contains(START) {
        return None;
    }
    let mock = MockCapi::builder().front().start().await.unwrap();
    let text = block.text.replace(START, "");
    block.text = text.replace("http://127.0.0.1:8181", &mock.uri());
    Some(mock)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn commands_in_the_documentation_run(
    #[files("docs/*.md")]
    #[files("README.md")]
    #[exclude("docs/mock-capi.md")]
    document: PathBuf,
) {
    let text = std::fs::read_to_string(&document).unwrap();
    let folder = folder();
    let mut wrong = BTreeMap::new();
    for mut block in blocks(&text) {
        let place = format!("{}:{}", document.display(), block.line);
        let _mock = mock_of(&mut block).await;
        if let Some(need) = &block.need {
            assert!(
                NEEDS.contains(&need.as_str()),
                "{place}: unknown need {need}"
            );
            for arguments in commands_of("cf-pusher", &block.text) {
                let unknown = unknown_flags(folder.path(), &arguments);
                if !unknown.is_empty() {
                    wrong.insert(place.clone(), format!("unknown flags {unknown:?}"));
                }
            }
        } else if block.text != "cargo test" {
            let output = run(folder.path(), &block);
            if !output.status.success() {
                let err = String::from_utf8_lossy(&output.stderr).into_owned();
                wrong.insert(place, err);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Runs the commands of mock-capi's chapter, one block after the other, against one mock.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl and jq"]
async fn commands_for_a_running_mock_capi_work() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mock-capi.md");
    let text = std::fs::read_to_string(&document).unwrap();
    let mock = MockCapi::builder().front().start().await.unwrap();
    // Send the requests that the examples verify.
    let create = http().post(format!("{}/v3/apps", mock.uri()));
    let create = create.bearer_auth(mock.token("admin").unwrap());
    let created = create.json(&json!({"name": "web"})).send().await;
    assert_eq!(created.unwrap().status().as_u16(), 422, "it has no space");
    let folder = folder();
    let mut count = 0;
    for mut block in blocks(&text) {
        // Some blocks reset the mock.
        let space = mock.org("my-org").space("my-space");
        space.app("web").route("web").unwrap().started();
        // Additional worlds need the command.
        let is_of_worlds = block.text.contains("/_mock/worlds");
        if block.need.is_some() || is_of_worlds || !block.text.contains("curl") {
            continue;
        }
        let lines = block.text.lines();
        let lines = lines.filter(|line| !line.starts_with("mock-capi "));
        let lines: Vec<&str> = lines.collect();
        let commands = lines
            .join("\n")
            .replace("http://127.0.0.1:8181", &mock.uri());
        block.text = format!(
            "curl() {{ command curl --silent --show-error --fail-with-body \"$@\"; }}\n{commands}"
        );
        let output = run(folder.path(), &block);
        assert!(
            output.status.success(),
            "{}:{}: {}{}",
            document.display(),
            block.line,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        count += 1;
    }
    assert!(count >= 10, "only {count} blocks were run");
}

#[test]
fn commands_are_found_in_a_block() {
    let text = "A=1 cf-pusher plan --config x \\\n  --all > out\ncf target # not ours\ncf-pusher verify | jq .";
    let commands = commands_of("cf-pusher", text);
    let commands: Vec<String> = commands.iter().map(|words| words.join(" ")).collect();
    assert_eq!(commands, ["plan --config x --all", "verify"]);
}

/// A code block after a comment with a file name has the content of that file.
/// `UPDATE_DOCS=1` rewrites the blocks.
#[test]
fn programs_in_the_documentation_are_the_files_that_they_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = root.join("docs/mock-capi.md");
    let text = std::fs::read_to_string(&document).unwrap();
    let (mut current, mut count) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        current += &format!("{line}\n");
        let name = line
            .strip_prefix("<!-- ")
            .and_then(|it| it.strip_suffix(" -->"));
        let Some(name) = name.filter(|name| root.join(name).is_file()) else {
            continue;
        };
        let fence = lines.next().unwrap();
        assert!(fence.starts_with("```"), "no block after {name}");
        lines.by_ref().find(|line| *line == "```").unwrap();
        let file = std::fs::read_to_string(root.join(name)).unwrap();
        current += &format!("{fence}\n{file}```\n");
        count += 1;
    }
    assert!(count >= 5, "only {count} programs were found");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&document, &current).unwrap();
    }
    assert!(
        current == text,
        "set UPDATE_DOCS=1 to rewrite {}",
        document.display()
    );
}
