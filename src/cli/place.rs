//! Finds the space that a command works in.

use cf_pusher::push::PushSpace;

use super::CommandError;
use super::cf_home::{self, Targeted};
use super::connect::{self, Connected};

/// A space that the flags, the environment or the cf CLI select.
#[derive(Debug)]
pub(super) struct SelectedSpace {
    pub(super) space: PushSpace,
    pub(super) org_name: String,
    pub(super) space_name: String,
    /// The space's description, such as `space s in org o`.
    pub(super) place: String,
}

impl SelectedSpace {
    fn new(space: PushSpace, org_name: &str, space_name: &str) -> Self {
        Self {
            space,
            org_name: org_name.to_owned(),
            space_name: space_name.to_owned(),
            place: format!("space {space_name} in org {org_name}"),
        }
    }
}

/// A name from a flag or, if the flag is not set, from an environment variable. An empty
/// name counts as missing.
pub(super) fn given(flag: Option<&str>, variable: &str) -> Option<String> {
    let flag = flag.filter(|name| !name.is_empty()).map(str::to_owned);
    flag.or_else(|| connect::variable(variable))
}

/// Finds a space by the names of its org and itself. Without names, the target of the cf
/// CLI is used. On the embedded fake, the space is created if needed. `help` is printed
/// if no space is selected.
pub(super) fn find(
    org: Option<&str>,
    space: Option<&str>,
    help: &str,
    connected: &Connected,
) -> Result<SelectedSpace, CommandError> {
    let fake_org = org.unwrap_or("org");
    let fake_space = space.unwrap_or("space");
    if let Some(guid) = connected.fake_space(fake_org, fake_space) {
        return Ok(SelectedSpace::new(
            PushSpace::guid(guid),
            fake_org,
            fake_space,
        ));
    }
    let (org, space) = match (org, space) {
        (Some(org), Some(space)) => (org.to_owned(), space.to_owned()),
        (org, space) => {
            let (its_org, its_space) = targeted(connected.client.api())?;
            match (org, space, its_org, its_space) {
                (None, None, Some(org), Some(space)) => {
                    let guid = PushSpace::guid(space.guid);
                    return Ok(SelectedSpace::new(guid, &org.name, &space.name));
                }
                (None, Some(space), Some(org), _) => (org.name, space.to_owned()),
                _ => {
                    let error = CommandError::usage("no org and space selected");
                    return Err(error.help(help));
                }
            }
        }
    };
    let named = PushSpace::named(org.as_str(), space.as_str());
    Ok(SelectedSpace::new(named, &org, &space))
}

/// The org and space that the cf CLI targets on this foundation.
fn targeted(api: &str) -> Result<(Option<Targeted>, Option<Targeted>), CommandError> {
    let login = cf_home::read()?;
    let login = login.filter(|login| connect::same_api(api, &login.api));
    Ok(login.map_or((None, None), |login| (login.org, login.space)))
}
