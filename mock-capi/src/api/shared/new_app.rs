//! Reading requests that create apps.

use serde_json::{Map, Value};

use super::lifecycle::{self, Purpose};
use crate::api::context::RequestContext;
use crate::api::error::{CcError, validate};
use crate::api::message::Message;
use crate::api::shared::app_environment::environment_errors;
use crate::world::metadata::MetadataPatch;
use crate::world::{Guid, Lifecycle, Space, World, ruby};

pub(crate) const MAX_NAME: usize = 255;

/// The new app in a request.
pub(crate) struct NewApp {
    pub(crate) space: Guid,
    pub(crate) name: String,
    pub(crate) lifecycle: Lifecycle,
    environment: Option<Map<String, Value>>,
    metadata: MetadataPatch,
}

impl NewApp {
    pub(crate) fn create(self, world: &mut World) -> Guid {
        world.create_app(
            self.space,
            self.name,
            self.lifecycle,
            self.environment,
            self.metadata,
        )
    }
}

/// Reads the body of a request that creates an app. `no_space` is the error if the space
/// does not exist.
pub(crate) fn read_new(
    context: &RequestContext<'_>,
    fields: &[&str],
    no_space: &str,
) -> Result<NewApp, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, fields);
    let space = message.relationships(&["space"], |inner| inner.related("space"));
    let name = message.check("name").string().length(0..=MAX_NAME);
    let name = name.text().unwrap_or_default().trim();
    let environment = message.object("environment_variables").cloned();
    let default = Lifecycle::Buildpack {
        buildpacks: Vec::new(),
        stack: context.world.default_stack.into(),
        cnb: false,
    };
    let asked = lifecycle::read(&mut message, &default, context.world, Purpose::NewApp);
    let metadata = message.metadata();
    message.finish()?;
    let space: &Space = context.related(space.flatten(), no_space)?;
    let space = space.base.guid;
    lifecycle::check_flag(context, &asked.lifecycle)?;
    asked.check()?;
    let mut errors = name_errors(name);
    let wrong = environment.iter().flat_map(environment_errors);
    for (_, reason) in wrong {
        // The model prints the validator's arguments instead of the message.
        let reason = ruby::inspect_string(reason);
        errors.push(format!("environment_variables {{:message=>{reason}}}"));
    }
    validate(&errors)?;
    Ok(NewApp {
        space,
        name: name.into(),
        lifecycle: asked.lifecycle,
        environment,
        metadata,
    })
}

/// The errors of the Cloud Controller's model for a name. The model validates after the
/// request was validated.
pub(crate) fn name_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.trim().is_empty() {
        errors.push("name presence".to_owned());
    }
    if name.is_empty() || name.chars().any(char::is_control) {
        errors.push("name format".to_owned());
    }
    errors
}
