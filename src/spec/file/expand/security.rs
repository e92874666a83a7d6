//! Expands security groups, and selects those of each space.

use std::collections::HashSet;

use super::super::node::Node;
use super::super::scope::Scope;
use super::names::Names;
use super::{Expander, texts};
use crate::desired::{GloballyEnabled, Rule, SecurityGroup};

impl Expander<'_, '_> {
    /// The security groups that a space selects, by name or by pattern.
    pub(super) fn groups_of(&mut self, node: &Node, scope: Scope, known: &[String]) -> Vec<String> {
        let mut groups: Vec<String> = Vec::new();
        for (name, at) in texts(node, "security_groups", scope) {
            let named: Vec<&String> = match is_pattern(&name) {
                true => known
                    .iter()
                    .filter(|it| crate::desired::matches(&name, it))
                    .collect(),
                false => known.iter().filter(|it| **it == name).collect(),
            };
            if named.is_empty() {
                let known = known.iter().map(String::as_str);
                self.unknown(
                    at,
                    "security_groups",
                    ("the spec", "security group"),
                    &name,
                    known,
                );
            }
            groups.extend(named.into_iter().cloned());
        }
        let mut seen = HashSet::new();
        groups.retain(|name| seen.insert(name.clone()));
        groups
    }

    pub(super) fn security_groups(&mut self) -> Vec<SecurityGroup> {
        let root = self.root;
        let mut groups = Vec::new();
        let mut names = Names::new("security group", String::new());
        for node in root.list("security_groups") {
            let enabled = node.get("globally_enabled");
            let flag = |key: &str| enabled.and_then(|it| it.get(key)).and_then(Node::truth);
            let globally_enabled = GloballyEnabled {
                running: flag("running"),
                staging: flag("staging"),
            };
            let numbers = self.numbers(node, "i");
            self.check_rules(node, &numbers);
            for number in numbers {
                let scope = Scope::default().within(number);
                let name = self.name(node, "name", scope);
                names.add(&name, node.at, self.problems);
                let rules = node.list("rules").iter();
                let mut group =
                    SecurityGroup::new(name, rules.map(|node| rule(node, scope)).collect());
                group.globally_enabled = globally_enabled;
                groups.push(group);
            }
        }
        groups
    }
}

fn rule(node: &Node, scope: Scope) -> Rule {
    let text = |key: &str| scope.text(node.get(key)?);
    let number = |key: &str| node.get(key).and_then(Node::number::<i64>);
    let mut rule = Rule::new(
        text("protocol").unwrap_or_default(),
        text("destination").unwrap_or_default(),
        text("ports"),
    );
    (rule.icmp_type, rule.icmp_code) = (number("type"), number("code"));
    rule.description = text("description");
    rule.log = node.get("log").and_then(Node::truth);
    rule
}

pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}
