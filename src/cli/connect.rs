//! Connects to the foundation that the flags, the environment, the configuration or the
//! cf CLI select.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use cf_pusher::{
    Client, ConnectOptions, Connection, Converger, Counts, Credentials, Event, EventSink, Events,
    SecretString,
};

#[cfg(feature = "mock")]
use cf_pusher::scale_test::Clock;
use cf_pusher::scale_test::Tester;

use super::input::{Bits, Input};
use super::progress::Progress;
use super::{CommandError, Common, Format, Foundation, cf_home, interrupt, logging};

/// The maximum number of concurrent requests if neither the configuration nor
/// --concurrency sets it.
const CONCURRENCY: u32 = 16;

/// A connection to a foundation, with the settings of the command.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) counts: Arc<Counts>,
    pub(super) format: Format,
    pub(super) began: std::time::Instant,
    progress: Arc<Progress>,
    /// The fake Cloud Controller, which stops when it is dropped.
    #[cfg(feature = "mock")]
    mock: Option<mock_capi::MockCapi<mock_capi::Front>>,
}

/// The desired state and a connection.
pub(super) struct Session {
    pub(super) input: Input,
    pub(super) connected: Connected,
}

impl Connected {
    /// Connects for a command that reads no configuration.
    pub(super) async fn without_configuration(
        foundation: &Foundation,
        interrupt: &CancellationToken,
        warnings: impl IntoIterator<Item = String>,
    ) -> Result<Self, CommandError> {
        let concurrency = foundation.concurrency.unwrap_or(CONCURRENCY);
        let (connection, recordings) = (Connection::default(), Vec::new());
        Self::open(
            foundation,
            &connection,
            concurrency,
            interrupt,
            warnings,
            recordings,
        )
        .await
    }

    /// Connects to the selected foundation. Emits `warnings` first; events go to
    /// the progress output and to `recordings`.
    pub(super) async fn open(
        foundation: &Foundation,
        configured: &Connection,
        concurrency: u32,
        interrupt: &CancellationToken,
        warnings: impl IntoIterator<Item = String>,
        recordings: Vec<Arc<dyn EventSink>>,
    ) -> Result<Self, CommandError> {
        let began = std::time::Instant::now();
        logging::init(foundation.verbose);
        let counts = Arc::new(Counts::default());
        let progress = Progress::start();
        let shown: [Arc<dyn EventSink>; 2] = [
            Arc::clone(&counts) as Arc<dyn EventSink>,
            Arc::clone(&progress) as Arc<dyn EventSink>,
        ];
        let events = Events::new(shown.into_iter().chain(recordings));
        for warning in warnings {
            events.emit(Event::Warning(warning));
        }
        #[cfg(feature = "mock")]
        let mock = start_mock(foundation).await?;
        #[cfg(feature = "mock")]
        let target = match &mock {
            Some(mock) => mock_target(mock),
            None => target(foundation, configured)?,
        };
        #[cfg(not(feature = "mock"))]
        let target = target(foundation, configured)?;
        let target = target
            .ca_cert(ca_cert(foundation))
            .dialect(foundation.dialect.dialect())
            .concurrency(usize::try_from(concurrency).unwrap_or(1))
            .timeout(foundation.timeout)
            .interrupt(interrupt.clone());
        Ok(Self {
            client: Client::connect(&target, events).await?,
            counts,
            format: foundation.format,
            began,
            progress,
            #[cfg(feature = "mock")]
            mock,
        })
    }

    /// The GUID of a space of the embedded fake, which is created if needed. `None` for a
    /// real foundation.
    pub(super) fn fake_space(&self, org: &str, space: &str) -> Option<String> {
        #[cfg(feature = "mock")]
        return Some(self.mock.as_ref()?.org(org).space(space).guid());
        #[cfg(not(feature = "mock"))]
        {
            let (_, _) = (org, space);
            None
        }
    }

    /// Creates a started app in the embedded fake if it does not exist. Does nothing on a
    /// real foundation.
    pub(super) fn fake_app(&self, org: &str, space: &str, app: &str) {
        #[cfg(feature = "mock")]
        if let Some(mock) = &self.mock {
            mock.org(org).space(space).app(app).started();
        }
        #[cfg(not(feature = "mock"))]
        let (_, _, _) = (org, space, app);
    }

    /// Whether the foundation is the embedded fake.
    pub(super) fn is_fake(&self) -> bool {
        #[cfg(feature = "mock")]
        return self.mock.is_some();
        #[cfg(not(feature = "mock"))]
        return false;
    }

    /// Lets a test on the embedded fake use the fake's clock, and the fake as the router
    /// of its apps.
    pub(super) fn use_mock(&self, tester: Tester) -> Tester {
        #[cfg(feature = "mock")]
        if let Some(mock) = &self.mock {
            let fake: mock_capi::CloudController = (**mock).clone();
            let clock = Clock::advanced_by(move |by| fake.advance(by));
            return tester.router(mock.uri()).clock(clock);
        }
        tester
    }

    /// Removes the live lines before the summary is printed.
    pub(super) fn end_progress(&self) {
        self.progress.stop();
    }

    /// The time since the command started, in milliseconds.
    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Session {
    /// Reads the desired state, then connects.
    pub(super) async fn open(
        common: &Common,
        bits: Bits,
        interrupt: &CancellationToken,
    ) -> Result<Self, CommandError> {
        Self::recorded(common, bits, interrupt, Vec::new()).await
    }

    /// The same as [`Session::open`], with additional sinks for events.
    pub(super) async fn recorded(
        common: &Common,
        bits: Bits,
        interrupt: &CancellationToken,
        recordings: Vec<Arc<dyn EventSink>>,
    ) -> Result<Self, CommandError> {
        let flags = common.input.clone();
        let input = interrupt::blocking(interrupt, move || Input::read(&flags, bits)).await?;
        Self::of(input, &common.foundation, interrupt, recordings).await
    }

    /// Connects with a desired state that has already been read.
    pub(super) async fn of(
        input: Input,
        foundation: &Foundation,
        interrupt: &CancellationToken,
        recordings: Vec<Arc<dyn EventSink>>,
    ) -> Result<Self, CommandError> {
        let concurrency = foundation.concurrency.unwrap_or(input.concurrency());
        let connection = input.connection();
        let connected = Connected::open(
            foundation,
            &connection,
            concurrency,
            interrupt,
            input.warnings(foundation.verbose > 0),
            recordings,
        );
        Ok(Self {
            connected: connected.await?,
            input,
        })
    }
}

impl Session {
    /// The converger for the desired state and the foundation.
    pub(super) fn converger(&self) -> Result<Converger, CommandError> {
        let desired = self.input.desired()?;
        Ok(Converger::new(self.connected.client.clone(), desired))
    }
}

/// The file of trusted certificates that the flag or the environment names.
fn ca_cert(foundation: &Foundation) -> Option<PathBuf> {
    let given = foundation.ca_cert.clone();
    given.or_else(|| path_variable("CF_PUSHER_CA_CERT"))
}

/// The time until a network policy of the embedded fake takes effect: the longest time
/// that is usual on a foundation.
#[cfg(feature = "mock")]
const POLICY_TIME: std::time::Duration = std::time::Duration::from_secs(5);

#[cfg(feature = "mock")]
async fn start_mock(
    foundation: &Foundation,
) -> Result<Option<mock_capi::MockCapi<mock_capi::Front>>, CommandError> {
    use super::flags::DialectChoice;
    if !foundation.is_mock() {
        return Ok(None);
    }
    let dialect = match foundation.dialect {
        DialectChoice::Documented2017 => mock_capi::Dialect::Documented2017,
        DialectChoice::Auto | DialectChoice::V3 => mock_capi::Dialect::V3,
    };
    let mock = mock_capi::MockCapi::builder().front().dialect(dialect);
    let mock = mock.policy_time(POLICY_TIME);
    // Requests are sent and answered in parallel, as with a foundation.
    let mock = super::runtime::start_apart(mock.start()).await?;
    mock.map(Some).map_err(|error| {
        CommandError::usage(format!(
            "starting the fake Cloud Controller failed: {error}"
        ))
    })
}

#[cfg(feature = "mock")]
fn mock_target(mock: &mock_capi::CloudController) -> ConnectOptions {
    ConnectOptions::new(
        mock.uri(),
        Credentials::Password {
            username: "admin".to_owned(),
            password: SecretString::from("admin"),
        },
    )
}

/// The API and the credentials. Flags and environment take precedence over the
/// configuration, and the configuration over the login of the cf CLI.
fn target(
    foundation: &Foundation,
    connection: &Connection,
) -> Result<ConnectOptions, CommandError> {
    let api = foundation.api.clone().or_else(|| variable("CF_API"));
    let api = api.or_else(|| connection.api.clone());
    let credentials = match environment_credentials()? {
        Some(credentials) => Some(credentials),
        None => configured_credentials(connection)?,
    };
    let skip_ssl_validation = foundation.skip_ssl_validation || connection.skip_ssl_validation;
    if let (Some(api), Some(credentials)) = (&api, &credentials) {
        let options = ConnectOptions::new(api, credentials.clone());
        return Ok(options.skip_ssl_validation(skip_ssl_validation));
    }
    let login = cf_home::read()?;
    let Some(login) = login else {
        return Err(missing(api.is_some()));
    };
    // The cf CLI's tokens are sent only to the cf CLI's own target.
    if let Some(api) = &api
        && !same_api(api, &login.api)
        && credentials.is_none()
    {
        let message = format!(
            "no credentials for {api}: the cf CLI is logged in to {}",
            login.api
        );
        return Err(CommandError::usage(message).help(format!(
            "set CF_USERNAME and CF_PASSWORD, or log in with `cf login -a {api}`"
        )));
    }
    let Some(credentials) = credentials.or(login.credentials) else {
        let api = login.api;
        let message = format!("no credentials for {api}: the cf CLI is not logged in");
        return Err(CommandError::usage(message)
            .help("log in with `cf login`, or set CF_USERNAME and CF_PASSWORD"));
    };
    let options = ConnectOptions::new(api.unwrap_or(login.api), credentials);
    Ok(options.skip_ssl_validation(skip_ssl_validation || login.skip_ssl_validation))
}

pub(super) fn same_api(one: &str, other: &str) -> bool {
    let bare = |api: &str| {
        let api = api.trim().trim_end_matches('/').to_ascii_lowercase();
        api.trim_start_matches("https://").to_owned()
    };
    bare(one) == bare(other)
}

fn missing(has_api: bool) -> CommandError {
    if has_api {
        CommandError::usage("no credentials").help(
            "set CF_USERNAME and CF_PASSWORD (or CF_CLIENT_ID and CF_CLIENT_SECRET), or admin_user and admin_password in the configuration, or log in with `cf login`",
        )
    } else {
        CommandError::usage("no foundation selected").help(
            "use --api (CF_API), or api in the configuration, or log in with `cf login`, or try --mock",
        )
    }
}

/// The value of an environment variable, unless it is empty. A value that is not UTF-8 is
/// not ignored. It contains replacement characters, so that using it fails with an error
/// that names it.
pub(super) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(value.to_string_lossy().into_owned())
}

/// The path in an environment variable, unless it is empty.
pub(super) fn path_variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
    Some(PathBuf::from(value))
}

fn environment_credentials() -> Result<Option<Credentials>, CommandError> {
    let secret = |name: &str| variable(name).map(SecretString::from);
    let user = ("CF_USERNAME", variable("CF_USERNAME"));
    if let Some((username, password)) = both(user, ("CF_PASSWORD", secret("CF_PASSWORD")))? {
        return Ok(Some(Credentials::Password { username, password }));
    }
    let client = ("CF_CLIENT_ID", variable("CF_CLIENT_ID"));
    let client = both(client, ("CF_CLIENT_SECRET", secret("CF_CLIENT_SECRET")))?;
    Ok(client.map(|(id, secret)| Credentials::Client { id, secret }))
}

fn configured_credentials(connection: &Connection) -> Result<Option<Credentials>, CommandError> {
    let Connection {
        admin_user,
        admin_password,
        ..
    } = connection.clone();
    let given = both(
        ("admin_user", admin_user),
        ("admin_password", admin_password),
    )?;
    Ok(given.map(|(username, password)| Credentials::Password { username, password }))
}

/// Two values that must either both be set or both be missing.
fn both(
    (name, one): (&str, Option<String>),
    (other_name, other): (&str, Option<SecretString>),
) -> Result<Option<(String, SecretString)>, CommandError> {
    match (one, other) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(half(name, other_name)),
        (None, Some(_)) => Err(half(other_name, name)),
    }
}

fn half(given: &str, missing: &str) -> CommandError {
    CommandError::usage(format!("{given} is set without {missing}")).help("set both, or neither")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_the_default_scheme() {
        assert!(same_api("api.example.com", "https://api.example.com/"));
        assert!(!same_api("api.example.com", "http://api.example.com"));
        assert!(!same_api("api.example.com", "https://api.example.org"));
    }
}
