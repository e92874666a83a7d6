//! Reads the login of the `cf` CLI from `$CF_HOME/.cf/config.json`: its target and
//! tokens.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use cf_pusher::{Credentials, SecretString};

use super::{CommandError, files};

/// The maximum size of a login, in bytes.
const MAX_LOGIN: u64 = 10_000_000;

/// The login of the `cf` CLI.
#[derive(Debug)]
pub(super) struct CfLogin {
    pub(super) api: String,
    pub(super) skip_ssl_validation: bool,
    /// `None` after `cf logout`.
    pub(super) credentials: Option<Credentials>,
    /// The targeted org and space, if any.
    pub(super) org: Option<Targeted>,
    pub(super) space: Option<Targeted>,
}

/// An org or a space.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Targeted {
    #[serde(rename = "GUID")]
    pub(super) guid: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct CfConfig {
    target: String,
    access_token: String,
    refresh_token: String,
    #[serde(rename = "SSLDisabled")]
    ssl_disabled: bool,
    #[serde(rename = "UAAOAuthClient")]
    uaa_oauth_client: String,
    #[serde(rename = "UAAOAuthClientSecret")]
    uaa_oauth_client_secret: String,
    organization_fields: Targeted,
    space_fields: Targeted,
}

/// The login in `$CF_HOME`, or in the home folder if `CF_HOME` is not set. `None` if the
/// `cf` CLI has no target.
pub(super) fn read() -> Result<Option<CfLogin>, CommandError> {
    let home = std::env::var_os("CF_HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .or_else(std::env::home_dir);
    match home {
        Some(home) => read_from(&home),
        None => Ok(None),
    }
}

fn read_from(home: &Path) -> Result<Option<CfLogin>, CommandError> {
    let path = home.join(".cf").join("config.json");
    let text = match files::read_regular(&path, MAX_LOGIN) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(CommandError::usage(format!(
                "reading the cf CLI's login {} failed: {error}",
                path.display()
            ))
            .help("correct CF_HOME, or log in again with `cf login`"));
        }
    };
    let invalid = |reason: &dyn std::fmt::Display| {
        let path = path.display();
        CommandError::usage(format!("invalid login of the cf CLI {path}: {reason}"))
            .help("log in again with `cf login`")
    };
    let object: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| invalid(&format_args!("not a JSON object: {error}")))?;
    let config: CfConfig =
        serde_json::from_value(object.into()).map_err(|error| invalid(&error))?;
    if config.target.is_empty() {
        return Ok(None);
    }
    let access = config.access_token;
    if access.contains(char::is_control) {
        return Err(invalid(&"the access token has control characters"));
    }
    let token = match access.split_once(' ') {
        Some((kind, token)) if kind.eq_ignore_ascii_case("bearer") => token.to_owned(),
        _ => access,
    };
    let client = match config.uaa_oauth_client {
        client if client.is_empty() => "cf".to_owned(),
        client => client,
    };
    Ok(Some(CfLogin {
        api: config.target,
        skip_ssl_validation: config.ssl_disabled,
        credentials: (!token.is_empty()).then(|| Credentials::Tokens {
            access: SecretString::from(token),
            refresh: SecretString::from(config.refresh_token),
            client,
            client_secret: SecretString::from(config.uaa_oauth_client_secret),
        }),
        org: Some(config.organization_fields).filter(|org| !org.guid.is_empty()),
        space: Some(config.space_fields).filter(|space| !space.guid.is_empty()),
    }))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn home(config: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".cf")).unwrap();
        std::fs::write(home.path().join(".cf/config.json"), config).unwrap();
        home
    }

    #[test]
    fn a_login_is_read() {
        let home = home(
            r#"{"ConfigVersion": 4, "Target": "https://api.example.com", "AccessToken": "bearer abc",
                "RefreshToken": "def", "SSLDisabled": true, "OrganizationFields": {"GUID": "o-guid", "Name": "o"},
                "SpaceFields": {"GUID": "", "Name": ""}, "UAAOAuthClient": "cf", "UAAOAuthClientSecret": ""}"#,
        );
        let login = read_from(home.path()).unwrap().unwrap();
        assert_eq!(login.api, "https://api.example.com");
        assert!(login.skip_ssl_validation);
        assert_eq!(login.org.unwrap().guid, "o-guid");
        assert!(login.space.is_none());
        let Some(Credentials::Tokens {
            access,
            refresh,
            client,
            ..
        }) = login.credentials
        else {
            panic!("not tokens");
        };
        assert_eq!(access.expose_secret(), "abc");
        assert_eq!(refresh.expose_secret(), "def");
        assert_eq!(client, "cf");
    }

    #[test]
    fn a_missing_login_is_none() {
        assert!(read_from(Path::new("/nonexistent")).unwrap().is_none());
        assert!(read_from(home("{}").path()).unwrap().is_none());
        let logged_out = r#"{"Target": "https://api.example.com", "AccessToken": ""}"#;
        let logged_out = read_from(home(logged_out).path()).unwrap().unwrap();
        assert!(logged_out.credentials.is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let home = home("");
        let login = home.path().join(".cf/config.json");
        std::fs::remove_file(&login).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&login).status();
        assert!(made.unwrap().success());
        let error = read_from(home.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("config.json failed: not a file"),
            "{error}"
        );
    }

    #[test]
    fn an_invalid_login_is_an_error() {
        for (text, reason) in [
            (
                "{",
                "not a JSON object: EOF while parsing an object at line 1 column 1",
            ),
            (
                "[]",
                "not a JSON object: invalid type: sequence, expected a map at line 1 column 0",
            ),
            (
                r#"{"Target": 5}"#,
                "invalid type: integer `5`, expected a string",
            ),
            (
                r#"{"Target": "https://api.example.com", "AccessToken": "bearer a\nb"}"#,
                "the access token has control characters",
            ),
        ] {
            let error = read_from(home(text).path()).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("config.json: {reason}")),
                "{error}"
            );
            assert_eq!(error.advice().unwrap(), "log in again with `cf login`");
        }
    }
}
