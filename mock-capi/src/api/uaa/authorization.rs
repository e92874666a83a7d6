//! The `Authorization` header, as UAA's clients send it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::api::http::percent_decode;

/// The token of an `Authorization: bearer ...` header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    credentials(header, "bearer")
}

/// The client and its secret in an `Authorization: Basic ...` header. UAA's clients
/// escape both as in a form.
pub(super) fn basic(header: &str) -> Option<(String, String)> {
    let (id, secret) = name_and_password(header)?;
    // In a form, a plus sign is a space.
    let decode = |text: String| percent_decode(&text.replace('+', " "));
    Some((decode(id), decode(secret)))
}

/// The user and the password in an `Authorization: Basic ...` header of a browser.
pub(super) fn name_and_password(header: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(credentials(header, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn credentials<'h>(header: &'h str, scheme: &str) -> Option<&'h str> {
    let (found, credentials) = header.split_once(' ')?;
    found
        .eq_ignore_ascii_case(scheme)
        .then_some(credentials.trim())
}
