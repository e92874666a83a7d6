//! Expands the apps of a space: entries of a manifest, with a count, a state and bits.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::{Expander, Names, PlacedGroup};
use crate::desired::{AppState, Bits, Group, needed_flag};
use crate::manifest::entry::{ManifestEntry, has_index, known_keys, literal};
use crate::manifest::is_image;
use crate::manifest::placeholder;
use crate::spec::file::keys::{BITS_KEYS, MAX_COUNT};
use crate::spec::file::node::{Data, Node};
use crate::spec::file::problem::{Location, nearest};
use crate::spec::file::scope::Scope;
use crate::spec::sources::bundled;

/// The properties of an app with placeholders. In other properties, such as a command of
/// a shell, `{i}` may mean something else.
const FILLED: [&str; 5] = ["env", "routes", "services", "metadata", "docker"];

/// The state of an app that does not run.
const STOPPED: &str = "stopped";

/// Parts of the names of environment variables whose values no plan shows.
const SECRET: [&str; 8] = [
    "PASS",
    "SECRET",
    "TOKEN",
    "KEY",
    "CREDENTIAL",
    "PRIVATE",
    "AUTH",
    "CERT",
];

/// An app with its numbers, if they are known.
struct App<'n> {
    node: &'n Node,
    name: String,
    scope: Scope,
    count: Option<u32>,
}

impl<'n> Expander<'_, 'n> {
    pub(super) fn apps(
        &mut self,
        space: &'n Node,
        scope: Scope,
        place: &str,
    ) -> Vec<PlacedGroup<'n>> {
        let nodes = space.list("apps");
        let mut apps = Vec::new();
        for node in nodes {
            apps.push(self.app(node, scope));
        }
        let mut names = Names::new("app", place.to_owned());
        let mut groups = Vec::new();
        for app in &apps {
            let properties = self.properties(app);
            let group = self.group(app, properties);
            for name in group.group.app_names() {
                names.add(&name, app.node.at, self.problems);
            }
            groups.push(group);
        }
        groups
    }

    fn app(&mut self, node: &'n Node, scope: Scope) -> App<'n> {
        // The numbers of counted apps are filled in later, for each app.
        let count = node.get("count").map(|count| {
            let count = count.number::<u32>().filter(|it| *it <= MAX_COUNT);
            count.unwrap_or(1)
        });
        let scope = match count {
            Some(_) => Scope { i: None, ..scope },
            None => scope,
        };
        let value = node.get("name");
        let text = value.and_then(Node::text).unwrap_or_default();
        let mut count = count;
        if let Some(value) = value {
            let numbered = Scope {
                i: count.map(|_| 0).or(scope.i),
                ..scope
            };
            self.check_placeholders(value, "name", &text, numbered);
            if let Some(many @ 2..) = count
                && !has_index(&text)
            {
                let allowed = format!("a name with {{i}}, because there are {many}");
                self.problems
                    .value(value.at, "name", value.shown(), allowed);
                count = Some(1);
            }
        }
        let is_supplied = value.is_some_and(|value| value.is_supplied);
        App {
            node,
            name: of_app(scope, &text, is_supplied),
            scope,
            count,
        }
    }

    /// The properties of the app's entry in a manifest.
    fn properties(&mut self, app: &App<'_>) -> Map<String, Json> {
        let mut properties = Map::new();
        for (key, node) in app.node.entries() {
            let is_property = known_keys().any(|known| known == key);
            if !is_property || ["name", "path"].contains(&key.as_str()) {
                continue;
            }
            let value = match key.as_str() {
                "env" | "routes" | "services" | "metadata" => {
                    node.json(&|text, is_supplied| of_app(app.scope, text, is_supplied))
                }
                key if FILLED.contains(&key) => node.json(&|text, is_supplied| match is_supplied {
                    true => text.to_owned(),
                    false => app.scope.fill(text).into_owned(),
                }),
                _ => node.plain_json(),
            };
            if FILLED.contains(&key.as_str()) {
                self.check_texts(node, key, app.numbered());
            }
            if key == "routes" {
                self.check_routes(node);
            }
            properties.insert(key.clone(), value);
        }
        properties
    }

    /// Reports placeholders without a number in the strings of a value.
    fn check_texts(&mut self, node: &Node, key: &str, scope: Scope) {
        for item in node.items() {
            self.check_texts(item, key, scope);
        }
        for (key, value) in node.entries() {
            self.check_texts(value, key, scope);
        }
        if let Data::Text(text) = &node.data {
            self.check_placeholders(node, key, text, scope);
        }
    }

    /// Reports routes with an unknown placeholder. Routes cannot contain braces.
    fn check_routes(&mut self, routes: &Node) {
        for route in routes.items().iter().filter_map(|item| item.get("route")) {
            let text = route.text().unwrap_or_default();
            if let Some(unknown) = unknown_placeholder(&text)
                && !route.is_supplied
            {
                let allowed = match nearest(unknown, placeholder::ALL) {
                    Some(known) => {
                        format!("a route without {{{unknown}}}, did you mean {{{known}}}?")
                    }
                    None => format!("a route without {{{unknown}}}, which is not a placeholder"),
                };
                self.problems
                    .value(route.at, "route", route.shown(), allowed);
            }
        }
    }

    fn group(&mut self, app: &App<'n>, properties: Map<String, Json>) -> PlacedGroup<'n> {
        let node = app.node;
        let entry = self.entry(app, properties);
        self.check_docker(app, &entry);
        let bits = self.bits(app);
        let has_bits = bits.is_some();
        let bits = bits.unwrap_or(Bits::None);
        let mut group = Group::new(&app.name, entry, bits).count(app.count.unwrap_or(1));
        group.shown_env = shown_env(node);
        if node.get("state").and_then(Node::text).as_deref() == Some(STOPPED) {
            group = group.state(AppState::Stopped);
        }
        let ignored: Vec<String> = node
            .list("ignore_changes")
            .iter()
            .filter_map(Node::text)
            .collect();
        group.ignores_state = ignored.iter().any(|key| key == "state");
        group.ignores_droplets = ignored.iter().any(|key| key == "droplets");
        let like = node.get("like");
        if let Some(like) = like.and_then(Node::text) {
            // If the other app is counted, `{i}` is its number.
            let scope = Scope {
                i: None,
                ..app.scope
            };
            group = group.like(scope.fill_of_app(&like));
        }
        let is_read = !node.has("docker") || group.entry.docker().is_some();
        if has_bits
            && is_read
            && let Err(error) = group.check()
        {
            self.problems
                .refused(node.at, app.subject(), error.to_string());
        }
        PlacedGroup {
            group,
            node,
            like_at: like.map_or(node.at, |like| like.at),
        }
    }

    /// Checks that the image has a valid name, that the password of its registry is not in
    /// the file, and that the spec does not disable the lifecycle of the app.
    fn check_docker(&mut self, app: &App<'_>, entry: &ManifestEntry) {
        let docker = app.node.get("docker");
        if let Some(image) = docker.and_then(|docker| docker.get("image"))
            && let Some(text) = entry.docker().map(|docker| docker.image)
            && !has_index(text)
            && !is_image(text)
        {
            let allowed = "[REGISTRY/]NAME[:TAG][@DIGEST] with the name in lower case";
            self.problems
                .value(image.at, "image", image.shown(), allowed);
        }
        if let Some(password) = docker.and_then(|docker| docker.get("password"))
            && !password.is_variable
            && !password.is_unresolved()
        {
            let reason = "`docker.password` must be a variable, such as ((docker_password))";
            self.problems.refused(password.at, app.subject(), reason);
        }
        let Some((flag, property)) = needed_flag(entry.lifecycle()) else {
            return;
        };
        let flags = self.root.get("feature_flags");
        let wanted = flags.and_then(|flags| flags.get(flag)?.truth());
        if wanted == Some(false) {
            let at = app.node.get(property).map_or(app.node.at, |node| node.at);
            let reason =
                format!("`{property}` needs the feature flag {flag}, which the spec disables");
            self.problems.refused(at, app.subject(), reason);
        }
    }

    /// The entry of a manifest, without invalid properties.
    fn entry(&mut self, app: &App<'_>, mut properties: Map<String, Json>) -> ManifestEntry {
        loop {
            let error = match ManifestEntry::from_value(Json::Object(properties.clone())) {
                Ok(entry) => return entry,
                Err(error) => error,
            };
            // Some errors have the newer name of a property.
            let property = error.property();
            let older = match property {
                "buildpacks" => "buildpack",
                "disk_quota" => "disk-quota",
                _ => property,
            };
            let key = [property, older]
                .into_iter()
                .find(|key| properties.contains_key(*key));
            let at = key.and_then(|key| app.node.get(key));
            let at = at.map_or(app.node.at, |node| node.at);
            self.problems.refused(at, app.subject(), error.to_string());
            if key.and_then(|key| properties.remove(key)).is_none() {
                return ManifestEntry::default();
            }
        }
    }

    /// The source of the app's droplet. `None` if it is missing, which is reported.
    fn bits(&mut self, app: &App<'_>) -> Option<Bits> {
        let node = app.node;
        let text = |key: &str| node.get(key).and_then(|it| Some((it.text()?, it.at)));
        if let Some((path, at)) = text("path") {
            let path = self.path(&app.scope.fill(&path), at);
            if self.needs_bits && !path.exists() {
                let reason = format!("the path {} does not exist", path.display());
                self.problems.refused(at, app.subject(), reason);
            }
            return Some(match path.is_file() {
                true => Bits::archive(path),
                false => Bits::folder(path),
            });
        }
        if let Some((path, at)) = text("droplet") {
            let path = self.path(&app.scope.fill(&path), at);
            if self.needs_bits && !path.is_file() {
                let reason = format!("the droplet {} does not exist", path.display());
                self.problems.refused(at, app.subject(), reason);
            }
            return Some(Bits::droplet(path));
        }
        if node.has("bundled") {
            // An unknown name is reported with the other values.
            return text("bundled").and_then(|(name, _)| bundled(&name));
        }
        let is_stopped = node.get("state").and_then(Node::text).as_deref() == Some(STOPPED);
        let needs_none = BITS_KEYS.iter().any(|key| node.has(key));
        if !needs_none && !is_stopped {
            let reason = "needs its bits: `path`, `droplet`, `like`, `bundled` or `docker`, or `state: stopped`";
            self.problems.refused(node.at, app.subject(), reason);
            return None;
        }
        Some(Bits::None)
    }

    /// A path, resolved relative to its file.
    fn path(&self, path: &str, at: Location) -> PathBuf {
        match self.folders.get(at.file) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }
}

/// The first name in braces that is not a placeholder.
fn unknown_placeholder(text: &str) -> Option<&str> {
    let mut names = text.split('{').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once('}')?;
        Some(name)
    });
    names.find(|name| !placeholder::ALL.contains(name))
}

/// Prepares a text so that the numbers of the apps can be filled in later.
fn of_app(scope: Scope, text: &str, is_supplied: bool) -> String {
    let text = match is_supplied {
        true => literal(text),
        false => scope.fill_of_app(text),
    };
    text.into_owned()
}

impl App<'_> {
    /// The known numbers, and the number of each app if the apps are counted.
    fn numbered(&self) -> Scope {
        Scope {
            i: self.count.map(|_| 0).or(self.scope.i),
            ..self.scope
        }
    }

    fn subject(&self) -> String {
        match self.name.as_str() {
            "" => "an app".to_owned(),
            name => format!("app {name}"),
        }
    }
}

/// The variables with values in the file itself, except those that look secret.
fn shown_env(node: &Node) -> std::collections::HashSet<String> {
    let env = node.get("env").map(Node::entries).unwrap_or_default();
    let shown = env.iter().filter(|(name, value)| {
        let name = name.to_uppercase();
        !value.is_variable && !SECRET.iter().any(|part| name.contains(part))
    });
    shown.map(|(name, _)| name.clone()).collect()
}
