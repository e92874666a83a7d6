//! Recognizes the mock's own host names.

use std::net::IpAddr;

use crate::world::without_port;

/// Whether a `Host` header names the mock itself: by an IP address, a name of the
/// loopback interface, or a name of `--allow-host`. All other names belong to someone
/// else, even if they resolve to this machine.
pub(crate) fn is_own(host: &str, allowed: &[String]) -> bool {
    let name = without_port(host);
    name.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name))
}
