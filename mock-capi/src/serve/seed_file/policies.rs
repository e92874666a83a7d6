//! Adds the network policies of a seed. Apps are selected by names or patterns.

use serde_json::Value;

use super::entries::{OrgEntry, PolicyEntry, SpaceEntry};
use crate::world::{App, NetworkPolicy, Org, Row, Space, World};

/// The default port of a policy.
const DEFAULT_PORT: i64 = 8080;

/// Names or patterns of an org, a space and an app.
struct Apps<'p>([&'p str; 3]);

/// Adds the policies of an entry. Names without a space or an org refer to `place`.
pub(super) fn add(
    world: &mut World,
    entry: &PolicyEntry,
    place: Option<(&OrgEntry, &SpaceEntry)>,
) -> Result<(), String> {
    let PolicyEntry {
        from,
        to,
        protocol,
        ports,
    } = entry;
    let refuse = |reason: String| format!("network policy from '{from}' to '{to}': {reason}");
    let place = place.map(|(org, space)| [org.name.as_str(), space.name.as_str()]);
    let find = |apps: &str| {
        let pattern = Apps::parse(apps, place)?;
        match pattern.found(world) {
            found if found.is_empty() => Err(format!("there is no app '{apps}'")),
            found => Ok(found),
        }
    };
    let (sources, destinations) = (find(from).map_err(refuse)?, find(to).map_err(refuse)?);
    let protocol = protocol.as_deref().unwrap_or("tcp");
    if !["tcp", "udp"].contains(&protocol) {
        return Err(refuse(format!(
            "the protocol '{protocol}' must be tcp or udp"
        )));
    }
    let (start_port, end_port) = read_ports(ports.as_ref())
        .ok_or_else(|| refuse("`ports` must be a port or a range such as 7000-7010".into()))?;
    let pairs = sources.iter().flat_map(|source| {
        let to = destinations.iter();
        to.map(move |destination| (source.clone(), destination.clone()))
    });
    let policies = pairs.map(|(source, destination)| NetworkPolicy {
        source,
        destination,
        protocol: protocol.to_owned(),
        start_port,
        end_port,
    });
    let policies = policies.collect();
    world.add_network_policies(policies);
    Ok(())
}

impl<'p> Apps<'p> {
    fn parse(text: &'p str, place: Option<[&'p str; 2]>) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match (parts.as_slice(), place) {
            ([org, space, app], _) => Ok(Self([*org, *space, *app])),
            ([space, app], Some([org, _])) => Ok(Self([org, *space, *app])),
            ([app], Some([org, space])) => Ok(Self([org, space, *app])),
            _ => Err(format!("'{text}' must be org/space/app")),
        }
    }

    /// The GUIDs of the selected apps.
    fn found(&self, world: &World) -> Vec<String> {
        let Self([org, space, app]) = self;
        let is_meant = |candidate: &&App| {
            let its_space = world.spaces.get(candidate.space);
            let its_org = its_space.and_then(|space: &Space| world.orgs.get(space.org));
            is_match(app, &candidate.name)
                && its_space.is_some_and(|it| is_match(space, &it.name))
                && its_org.is_some_and(|it: &Org| is_match(org, &it.name))
        };
        let apps = world.apps.iter().filter(is_meant);
        apps.map(|app| app.guid().to_string()).collect()
    }
}

/// Whether a name matches a pattern, in which `*` stands for any text and `?` for any
/// character.
pub(super) fn is_match(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| is_match(rest.as_str(), &name[at..]))
        }
        Some(letter) => {
            let mut name = name.chars();
            let first = name.next();
            first.is_some_and(|first| letter == '?' || letter == first)
                && is_match(rest.as_str(), name.as_str())
        }
    }
}

fn read_ports(ports: Option<&Value>) -> Option<(i64, i64)> {
    let is_port = |port: &i64| (1..=65_535).contains(port);
    let (start, end) = match ports {
        None | Some(Value::Null) => (DEFAULT_PORT, DEFAULT_PORT),
        Some(Value::Number(port)) => (port.as_i64()?, port.as_i64()?),
        Some(Value::String(text)) => match text.split_once('-') {
            Some((start, end)) => (start.trim().parse().ok()?, end.trim().parse().ok()?),
            None => (text.trim().parse().ok()?, text.trim().parse().ok()?),
        },
        Some(_) => return None,
    };
    (is_port(&start) && is_port(&end) && start <= end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("web", "web", true),
            ("web", "web-1", false),
            ("web-*", "web-1", true),
            ("*", "", true),
            ("w?b*", "wäb", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn ports_are_a_number_or_a_range() {
        let read = |ports: Value| read_ports(Some(&ports));
        assert_eq!(read_ports(None), Some((8080, 8080)));
        assert_eq!(read(80.into()), Some((80, 80)));
        assert_eq!(read("7000-7010".into()), Some((7000, 7010)));
        assert_eq!(read("10-1".into()), None);
        assert_eq!(read("web".into()), None);
    }
}
