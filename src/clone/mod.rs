//! Copies an app, once or many times, with its droplet.
//!
//! The Cloud Controller's manifest of the source has every property. It is applied for
//! all clones in one request, with their names and hosts. Then each clone takes two
//! requests: one copies the droplet, the other sets it and starts the app. Waits share
//! their polls.
//!
//! Until all clones of a run are finished, an annotation names their source. A run that
//! finds this annotation continues with the clones of an interrupted run. The last
//! request of a run removes the annotations of all clones together.

mod outcome;
mod prepare;
mod run;

use std::collections::HashSet;

use futures::future::BoxFuture;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::push::{PushSpace, lowercase};
pub use outcome::{CloneError, CloneFailure, CloneOutcome, CloneResult, ClonedApp};

/// The placeholder for the number of a clone, from 0.
const INDEX: &str = "{i}";

/// Clones of an app: new apps with its properties and a copy of its droplet.
///
/// ```
/// # #[cfg(feature = "mock")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cf_pusher::clone::Cloner;
/// use cf_pusher::push::PushSpace;
/// # let mock = mock_capi::MockCapi::start().await?;
/// # mock.org("o").space("s").app("web").instances(2).started();
/// # let options = cf_pusher::ConnectOptions::new(mock.uri(), cf_pusher::Credentials::Password {
/// #     username: "admin".to_owned(),
/// #     password: "admin".into(),
/// # });
/// # let client = cf_pusher::Client::connect(&options, cf_pusher::Events::default()).await?;
///
/// let cloner = Cloner::new(client, PushSpace::named("o", "s"), "web", "copy").count(3);
/// let outcome = cloner.run().await?;
/// assert!(outcome.is_success());
/// assert_eq!(outcome.apps[2].name, "copy-2");
/// assert_eq!(outcome.apps[2].processes[0].running(), 2);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "mock"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Cloner {
    client: Client,
    /// The space of the source.
    space: PushSpace,
    /// The space of the clones, if it differs from the source's space.
    target: Option<PushSpace>,
    app: String,
    new: String,
    count: Option<u32>,
    instances: Option<u32>,
    starts: bool,
    routes: bool,
    services: bool,
}

impl Cloner {
    /// Creates one clone named `new` of the app `app` in `space`.
    pub fn new(
        client: Client,
        space: PushSpace,
        app: impl Into<String>,
        new: impl Into<String>,
    ) -> Self {
        Self {
            client,
            space,
            target: None,
            app: app.into(),
            new: new.into(),
            count: None,
            instances: None,
            starts: true,
            routes: true,
            services: true,
        }
    }

    /// Creates this many clones. `{i}` in their name stands for the number of each clone,
    /// starting at 0. Without it, the names end in `-0`, `-1` and so on.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Creates the clones in this space, which must exist.
    #[must_use]
    pub fn target(mut self, space: PushSpace) -> Self {
        self.target = Some(space);
        self
    }

    /// Sets the number of instances of the web process of each clone.
    #[must_use]
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = Some(instances);
        self
    }

    /// Leaves the clones stopped.
    #[must_use]
    pub fn no_start(mut self) -> Self {
        self.starts = false;
        self
    }

    /// Creates no routes for the clones. Otherwise, a clone gets a route with its own
    /// name as host in each domain where its source has a route.
    #[must_use]
    pub fn no_routes(mut self) -> Self {
        self.routes = false;
        self
    }

    /// Does not bind the clones to services.
    #[must_use]
    pub fn no_services(mut self) -> Self {
        self.services = false;
        self
    }

    /// Creates the clones, or finishes the clones of an interrupted run.
    ///
    /// If the Cloud Controller refuses the manifest, or refuses to start a clone, the new
    /// apps and routes are deleted again. They are kept if the result of a request is
    /// unknown. A second run continues with them.
    ///
    /// # Errors
    ///
    /// [`CloneError`] if no clone could be created. Errors of single clones are in the
    /// [`CloneOutcome`].
    pub fn run(&self) -> BoxFuture<'_, Result<CloneOutcome, CloneError>> {
        Box::pin(async move {
            if self.client.dialect() == Dialect::Documented2017 {
                return Err(CloneError::NeedsV3);
            }
            let names = self.names()?;
            if names.is_empty() {
                return Ok(CloneOutcome::default());
            }
            let prepared = self.prepare(names).await?;
            self.create(prepared).await
        })
    }

    /// The names of the clones.
    fn names(&self) -> Result<Vec<String>, CloneError> {
        let count = match self.count {
            None if self.new.contains(INDEX) => 1,
            None => return Ok(vec![self.new.clone()]),
            Some(count) => count,
        };
        let name = |i: u32| match self.new.contains(INDEX) {
            true => self.new.replace(INDEX, &i.to_string()),
            false => format!("{}-{i}", self.new),
        };
        let names: Vec<String> = (0..count).map(name).collect();
        let mut seen = HashSet::new();
        match names.iter().find(|name| !seen.insert(lowercase(name))) {
            Some(name) => Err(CloneError::SameName { name: name.clone() }),
            None => Ok(names),
        }
    }
}
