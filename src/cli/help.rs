//! The `help:` line below an error. Messages of the library do not name flags, so the
//! help does.

use cf_pusher::scale_test::TestError;
use cf_pusher::{ConnectionProblem, Error};

/// The help for an error of the foundation.
pub(super) fn for_error(error: &Error) -> Option<String> {
    let help = match error {
        Error::InvalidApi { .. } => {
            "use the URL of the Cloud Controller, such as https://api.example.com"
        }
        Error::Unreachable { problem, .. } => return Some(for_connection(problem)),
        Error::Certificates { .. } => {
            "--ca-cert (CF_PUSHER_CA_CERT) must be a file with certificates in PEM format"
        }
        Error::Unsupported { .. } => "select a dialect with --dialect v3 or --dialect 2017",
        Error::Login { .. } if !error.is_login_refused() => {
            "check that the UAA is available, and run again"
        }
        Error::Login { .. } => {
            "check the user name and password: CF_USERNAME and CF_PASSWORD, CF_CLIENT_ID and CF_CLIENT_SECRET, admin_user and admin_password in the configuration, or log in with `cf login`"
        }
        Error::NoResponse { .. } => "run again; what was done is not done twice",
        Error::Deadline { .. } => "run again, or allow more time with --timeout",
        Error::Gone { .. } => "run again",
        Error::UnexpectedResponse { .. } => "check the API's URL, and any proxy in between",
        Error::Interrupted => "run the same command again to finish",
        Error::Refused { status: 401, .. } => {
            "log in again; if that does not help, the Cloud Controller does not accept the tokens of its UAA"
        }
        Error::Refused { status: 429, .. } => {
            "run again when the rate limit of the user is reset, or have it raised"
        }
        _ if error.is_quota_exceeded() => {
            "raise the limits of the quota, or declare fewer or smaller apps"
        }
        _ if error.is_forbidden() => "log in as an admin",
        _ if error.is_redirect() => "use the URL of the Cloud Controller itself",
        _ if error.is_unavailable() => "run again when the foundation is available",
        _ => return None,
    };
    Some(help.to_owned())
}

fn for_connection(problem: &ConnectionProblem) -> String {
    match problem {
        ConnectionProblem::UntrustedCertificate => unreadable_certificates().unwrap_or_else(|| {
            "trust the server's certificate with --ca-cert FILE or SSL_CERT_FILE, or accept any certificate with --skip-ssl-validation".to_owned()
        }),
        ConnectionProblem::NotTls => "begin the API's URL with http://".to_owned(),
        ConnectionProblem::NeedsTls => {
            "if the server uses TLS, begin the API's URL with https://".to_owned()
        }
        ConnectionProblem::Proxy { variable, .. } => {
            format!("correct {variable}, or list the API's host in NO_PROXY")
        }
        _ => "check the API's URL and the network".to_owned(),
    }
}

/// The help if SSL_CERT_FILE, which replaces the system's certificates, does not name a
/// readable file.
fn unreadable_certificates() -> Option<String> {
    let path = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty())?;
    let problem = match std::fs::metadata(&path) {
        Ok(found) if !found.is_file() => "not a file".to_owned(),
        Ok(_) => std::fs::File::open(&path).err()?.to_string(),
        Err(error) => error.to_string(),
    };
    let path = path.display();
    Some(format!(
        "correct SSL_CERT_FILE: reading {path} failed: {problem}"
    ))
}

/// The help if the threads of the command cannot be started.
pub(super) fn for_threads(error: &std::io::Error) -> &'static str {
    // The number of the error on Linux and macOS.
    const TOO_MANY_OPEN_FILES: i32 = 24;
    match error.raw_os_error() {
        Some(TOO_MANY_OPEN_FILES) => "raise the limit for open files (`ulimit -n`)",
        _ => "raise the limit for processes (`ulimit -u`), or stop other programs",
    }
}

/// The help for an error in a step of an app.
pub(super) fn for_step(step: &str, app: &str, error: &Error) -> Option<String> {
    match (error, step) {
        (Error::Failed { .. } | Error::JobFailed { .. }, "staging") => Some(format!(
            "read the staging log (`cf logs {app} --recent`), fix the bits, and run again"
        )),
        (Error::Failed { .. }, "starting") => {
            Some(format!("read the app's log (`cf logs {app} --recent`)"))
        }
        _ => for_error(error),
    }
}

/// The help for an error of a scaling test.
pub(super) fn for_test(error: &TestError) -> Option<String> {
    let help = match error {
        TestError::NothingToTest { .. } => "set it in the configuration",
        TestError::InvalidRouter { .. } => "correct --router",
        TestError::NoRouter { .. } => {
            "if DNS does not resolve the domain of the apps, name the foundation's router with --router URL"
        }
        TestError::MissingApps { .. } => "create them with `cf-pusher converge`, or add --setup",
        TestError::InvalidTarget { .. } => {
            "name an address that only the security group allows with --asg-target IP:PORT"
        }
        TestError::NoEffect { .. } => {
            "allow more time with --timeout; security groups take effect without a restart only where dynamic ASGs are enabled"
        }
        _ => return None,
    };
    Some(help.to_owned())
}
