//! Finds the apps of a test: their GUIDs, and the domain of their routes.

use std::collections::HashMap;

use url::Url;

use super::{TestError, Tester};
use crate::capi::error::Error;
use crate::capi::model::Domain;
use crate::spec::scaling::Names;

/// The apps of a test on the foundation.
#[derive(Debug)]
pub(super) struct TestApps {
    pub(super) names: Names,
    /// The GUID of each app of the space by its name.
    guids: HashMap<String, String>,
    /// The GUID of their space.
    pub(super) space: String,
    /// The GUID of their org.
    pub(super) org: String,
}

impl TestApps {
    /// Finds all apps with one list.
    pub(super) async fn find(tester: &Tester) -> Result<Self, TestError> {
        let (client, names) = (&tester.client, tester.test.names());
        let space = client.space_of_org_named(&names.org, &names.space).await?;
        let mut guids = HashMap::new();
        if let Some(space) = &space {
            let expected = 1 + names.ticks.len() + names.proxies.len();
            let listed = client.apps_of_orgs(&[&space.org], expected).await?;
            let apps = listed
                .apps
                .into_iter()
                .filter(|app| app.space == space.guid);
            guids.extend(apps.map(|app| (app.name, app.guid)));
        }
        let wanted = [&names.registry].into_iter();
        let wanted = wanted.chain(&names.ticks).chain(&names.proxies);
        let missing: Vec<String> = wanted
            .filter(|name| !guids.contains_key(*name))
            .cloned()
            .collect();
        match space {
            Some(space) if missing.is_empty() => Ok(Self {
                names,
                guids,
                space: space.guid,
                org: space.org,
            }),
            _ => Err(TestError::MissingApps {
                apps: missing,
                org: names.org,
                space: names.space,
                user: client.user(),
            }),
        }
    }

    /// Whether an app with this name is in the space, even if it belongs to another test.
    pub(super) fn exists(&self, name: &str) -> bool {
        self.guids.contains_key(name)
    }

    /// The GUIDs of some apps of the test.
    pub(super) fn guids(&self, names: &[String]) -> Vec<&str> {
        let guids = names.iter().filter_map(|name| self.guids.get(name));
        guids.map(String::as_str).collect()
    }
}

/// The domain of the apps' routes: the configured domain, the first shared domain, or the
/// first private domain of the org.
pub(super) async fn domain(tester: &Tester, org: &str) -> Result<Domain, Error> {
    let mut domains = tester.client.domains().await?;
    let wanted = tester.test.connection.apps_domain.as_deref();
    let is_shared = |it: &Domain| it.is_for_apps && it.owner.is_none();
    let is_own = |it: &Domain| it.is_for_apps && it.owner.as_deref() == Some(org);
    let found = match wanted {
        Some(name) => domains.iter().position(|it| it.name == name),
        None => {
            let shared = domains.iter().position(is_shared);
            shared.or_else(|| domains.iter().position(is_own))
        }
    };
    match (found, wanted) {
        (Some(at), _) => Ok(domains.swap_remove(at)),
        (None, Some(name)) => {
            let reason = format!("the domain {name} was not found, or is not visible");
            Err(Error::impossible("finding the apps' routes", reason))
        }
        (None, None) => {
            let reason = "the foundation has no domain for apps";
            Err(Error::impossible("finding the apps' routes", reason))
        }
    }
}

/// The URL to send requests for apps to, if it is not the apps' own host.
pub(super) fn router(tester: &Tester) -> Result<Option<Url>, TestError> {
    let Some(given) = &tester.router else {
        return Ok(None);
    };
    let invalid = |reason: String| TestError::InvalidRouter {
        url: given.clone(),
        reason,
    };
    let url = Url::parse(given).map_err(|error| invalid(error.to_string()))?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    if !is_http || url.path() != "/" || url.query().is_some() {
        return Err(invalid("it must be http://HOST[:PORT]".to_owned()));
    }
    Ok(Some(url))
}
