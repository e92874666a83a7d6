//! Creates the apps of a seed. Each is staged, and then gets the properties of its entry
//! as if by a manifest.

use serde_json::{Value, json};

use super::entries::AppEntry;
use super::escapes::{APPS_DOMAIN, WITH_DOMAIN};
use super::problem::{Problem, each};
use super::requests::Requests;
use crate::world::settings::Settings;
use crate::world::{Guid, Lifecycle, Space};

/// Creates the apps of a space.
pub(super) fn apply(
    fake: &mut Requests<'_>,
    space: Guid,
    apps: &[AppEntry],
    apps_domain: Option<&str>,
) -> Result<(), Problem> {
    let org = fake.world.spaces.get(space).map(|space: &Space| space.org);
    let default = org.and_then(|org| fake.world.default_domain(org));
    let default = default.map(|domain| domain.name.to_string());
    let apps_domain = apps_domain.map(str::to_owned).or(default);
    let apps_domain = apps_domain.unwrap_or_default();
    each("apps", apps, |app| {
        create(fake, space, app, &apps_domain).map_err(|problem| problem.named("app", app.name()))
    })
}

fn create(
    fake: &mut Requests<'_>,
    space: Guid,
    app: &AppEntry,
    apps_domain: &str,
) -> Result<(), Problem> {
    let starts = match app.state() {
        "started" => true,
        "stopped" => false,
        other => {
            let reason = format!("the state '{other}' must be 'started' or 'stopped'");
            return Err(Problem::from(reason).in_key("state"));
        }
    };
    let guid = match app.docker() {
        Some((image, username)) => fake
            .world
            .seed_docker_app(space, app.name(), image, username),
        None => {
            let stack = Settings::default_stack(fake.settings.dialect);
            let lifecycle = Lifecycle::Buildpack {
                buildpacks: Vec::new(),
                stack: app.text("stack").unwrap_or(stack).into(),
                cnb: app.text("lifecycle") == Some("cnb"),
            };
            fake.world.seed_staged_app(space, app.name(), lifecycle)
        }
    };
    let mut manifest = app.manifest();
    for key in WITH_DOMAIN {
        if let Some(value) = manifest.get_mut(key) {
            fill_in(value, apps_domain);
        }
    }
    let applied = fake.apply_manifest(space, &json!({"applications": [manifest]}));
    applied.map_err(|error| {
        let prefix = format!("For application '{}': ", app.name());
        error.strip_prefix(&prefix).unwrap_or(&error).to_owned()
    })?;
    if starts {
        fake.world.seed_started(guid);
    }
    Ok(())
}

/// Replaces `{apps_domain}` in all strings. `{{apps_domain}}` is escaped, and becomes
/// `{apps_domain}`.
fn fill_in(value: &mut Value, apps_domain: &str) {
    match value {
        Value::String(text) if text.contains(APPS_DOMAIN) => {
            let parts = text.split("{{apps_domain}}");
            let filled: Vec<String> = parts
                .map(|part| part.replace(APPS_DOMAIN, apps_domain))
                .collect();
            *text = filled.join(APPS_DOMAIN);
        }
        Value::Array(list) => list.iter_mut().for_each(|it| fill_in(it, apps_domain)),
        Value::Object(map) => map.values_mut().for_each(|it| fill_in(it, apps_domain)),
        _ => {}
    }
}
