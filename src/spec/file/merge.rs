//! Joins the documents of several files.
//!
//! Lists are appended. An org or space with the same name in several files is joined,
//! including its lists. Other values that are in several files must be equal.

use super::keys::{Kind, Table};
use super::node::{Data, Node};
use super::problem::{Problems, SpecProblemReason};

/// Adds the second document to the first.
pub(super) fn merge(table: Table, into: &mut Node, from: Node, problems: &mut Problems) {
    let (Data::Map(entries), Data::Map(more)) = (&mut into.data, from.data) else {
        // Reported as invalid types.
        return;
    };
    for (key, node) in more {
        let known = table.iter().find(|known| known.name == key);
        match entries.iter_mut().find(|(name, _)| *name == key) {
            None => entries.push((key, node)),
            Some((_, present)) => {
                let kind = known.map(|known| known.kind);
                merge_value(kind, &key, present, node, problems);
            }
        }
    }
}

fn merge_value(
    kind: Option<Kind>,
    key: &str,
    into: &mut Node,
    from: Node,
    problems: &mut Problems,
) {
    match (kind, &mut into.data, from.data) {
        (Some(Kind::Entries { table, joins: true }), Data::List(items), Data::List(more)) => {
            join(table, items, more, problems);
        }
        (_, Data::List(items), Data::List(more)) => items.extend(more),
        (Some(Kind::Map(table)), Data::Map(_), data @ Data::Map(_)) => {
            merge(table, into, Node { data, ..from }, problems);
        }
        (Some(Kind::Flags | Kind::Texts), Data::Map(entries), Data::Map(more)) => {
            for (key, node) in more {
                match entries.iter_mut().find(|(name, _)| *name == key) {
                    None => entries.push((key, node)),
                    Some((_, present)) => merge_value(None, &key, present, node, problems),
                }
            }
        }
        (_, _, data) => {
            let from = Node { data, ..from };
            if !into.is_same(&from) {
                let reason = SpecProblemReason::Conflict {
                    key: key.to_owned(),
                    value: from.shown(),
                    other: problems.place(into.at),
                    other_value: into.shown(),
                };
                problems.add(from.at, reason);
            }
        }
    }
}

/// Joins items with the same name. Items of the same file stay separate, and are reported
/// later.
fn join(table: Table, items: &mut Vec<Node>, more: Vec<Node>, problems: &mut Problems) {
    let present = items.len();
    for item in more {
        let name = item.get("name").and_then(Node::text);
        let same = items.iter_mut().take(present).find(|other| {
            let other = other.get("name").and_then(Node::text);
            name.is_some() && other == name
        });
        match same {
            Some(same) => merge(table, same, item, problems),
            None => items.push(item),
        }
    }
}
