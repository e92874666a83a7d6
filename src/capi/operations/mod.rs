//! Every operation of the Cloud Controller that cf-pusher uses, as a method of
//! [`Client`](super::client::Client). Each calls the function with the same name and
//! arguments in [`v3`](super::v3) or [`v2017`](super::v2017), depending on the client's
//! dialect.
//!
//! An argument that is named after a resource (`org`, `app`) is its GUID. `what` names
//! background work in errors, such as `deleting the org scale-org`, and `expected` is how
//! many resources a list may have, if that is known.

// Modules can use only the macros that are defined before them.

/// Calls a function of the client's dialect.
macro_rules! in_dialect {
    ($client:expr, $resource:ident :: $operation:ident ( $($argument:expr),* )) => {
        match $client.dialect() {
            $crate::capi::dialect::Dialect::V3 => $crate::capi::v3::$resource::$operation($client $(, $argument)*).await,
            $crate::capi::dialect::Dialect::Documented2017 => $crate::capi::v2017::$resource::$operation($client $(, $argument)*).await,
        }
    };
}

/// Calls a function of v3. In the dialect of 2017, the operation fails and no request is
/// sent.
macro_rules! in_v3 {
    ($client:expr, $what:literal, $resource:ident :: $operation:ident ( $($argument:expr),* )) => {
        match $client.dialect() {
            $crate::capi::dialect::Dialect::V3 => $crate::capi::v3::$resource::$operation($client $(, $argument)*).await,
            $crate::capi::dialect::Dialect::Documented2017 => Err($crate::capi::error::Error::NotInDialect { operation: $what }),
        }
    };
}

mod apps;
mod export;
mod orgs;
mod processes;
mod routes;
mod services;
mod spaces;
mod staging;
mod supporting;
#[cfg(test)]
mod tests;
