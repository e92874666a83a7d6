//! What manifest entries change in their apps, for any number of entries: as many
//! in one request as the Cloud Controller reads.

use super::client::Client;
use super::error::Error;
use super::model::DiffEntry;
use super::transport::Replay;
use super::{halves, parallel};

/// The Cloud Controller reads no larger manifest.
const LARGEST_MANIFEST: usize = 1024 * 1024;

/// How many diffs are requested at once: each is long work.
const AT_ONCE: usize = 2;

const HEAD: &str = "applications:\n";

impl Client {
    /// What each entry of a manifest would change in a space, in the order of the
    /// entries. An entry is an item of a YAML list with its line break, such as
    /// `- {name: a}\n`. The paths of the differences begin below the entry.
    ///
    /// Where many entries are too much for one request they are sent in halves.
    pub(crate) async fn manifest_diffs(
        &self,
        space: &str,
        entries: &[String],
    ) -> Result<Vec<Vec<DiffEntry>>, Error> {
        let batches = batches(entries).into_iter();
        let diffs = batches.map(|batch| self.diffs_of(space, batch));
        let diffs = parallel::run(AT_ONCE, diffs).await?;
        Ok(diffs.into_iter().flatten().collect())
    }

    async fn diffs_of(
        &self,
        space: &str,
        entries: &[String],
    ) -> Result<Vec<Vec<DiffEntry>>, Error> {
        let parts = halves::run(entries.len(), is_worth_halving, |part| async move {
            // A request for many is not repeated, but halved.
            let replay = match part.len() {
                1 => Replay::Safe,
                _ => Replay::Unsafe,
            };
            let some = entries.get(part).unwrap_or_default();
            self.manifest_diff(space, &manifest(some), replay).await
        });
        let mut diffs = Vec::with_capacity(entries.len());
        for (part, diff) in parts.await {
            diffs.extend(by_entry(part.len(), diff?));
        }
        Ok(diffs)
    }
}

fn is_worth_halving(error: &Error) -> bool {
    error.is_worth_replanning() && !error.is_not_found()
}

/// The entries in parts that are each small enough for a manifest.
fn batches(entries: &[String]) -> Vec<&[String]> {
    let mut bytes = HEAD.len();
    let mut batches = Vec::new();
    let mut begin = 0;
    for (end, entry) in entries.iter().enumerate() {
        if bytes + entry.len() > LARGEST_MANIFEST && end > begin {
            batches.push(&entries[begin..end]);
            (begin, bytes) = (end, HEAD.len());
        }
        bytes += entry.len();
    }
    if begin < entries.len() {
        batches.push(&entries[begin..]);
    }
    batches
}

fn manifest(entries: &[String]) -> String {
    let mut manifest = String::from(HEAD);
    manifest.extend(entries.iter().map(String::as_str));
    manifest
}

/// The differences of each entry. Those that name no entry that we sent are left out.
fn by_entry(count: usize, diff: Vec<DiffEntry>) -> Vec<Vec<DiffEntry>> {
    let mut by_entry = vec![Vec::new(); count];
    for mut difference in diff {
        let index = match difference.path.as_slice() {
            [root, index, ..] if root == "applications" => index.parse().ok(),
            _ => None,
        };
        if let Some(of_entry) = index.and_then(|index: usize| by_entry.get_mut(index)) {
            difference.path.drain(..2);
            of_entry.push(difference);
        }
    }
    by_entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::model::{DiffOp, ManifestValue};

    #[test]
    fn entries_fit_into_manifests() {
        let entries = vec!["- {name: scale-tick-0}\n".to_owned(); 10_000];
        assert_eq!(
            batches(&entries).len(),
            1,
            "ten thousand apps are one request"
        );
        let long = vec!["x".repeat(LARGEST_MANIFEST / 2); 3];
        assert_eq!(batches(&long).len(), 3);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn differences_are_sorted_by_entry() {
        let difference = |path: &[&str]| DiffEntry {
            op: DiffOp::Add,
            path: path.iter().map(|part| (*part).to_owned()).collect(),
            was: ManifestValue::Null,
            value: ManifestValue::Null,
        };
        let diff = vec![
            difference(&["applications", "1", "env", "A"]),
            difference(&["applications", "0", "command"]),
            difference(&["applications", "7", "command"]),
            difference(&["odd"]),
        ];
        let expected = [
            vec![difference(&["command"])],
            vec![difference(&["env", "A"])],
        ];
        assert_eq!(by_entry(2, diff), expected);
    }
}
