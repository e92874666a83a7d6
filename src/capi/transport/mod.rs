//! Sends requests: connections, tokens, retries, limits on concurrency and rate, uploads,
//! and recorded exchanges. This module does not know the operations of the API.
//! [`app_requests`] sends requests to apps.

mod app_requests;
mod auth;
mod connection_error;
mod gate;
mod http;
mod http_clients;
mod limiter;
mod pace;
mod record;
mod request;
mod response;
mod retry;
mod secrets;
mod tls;
mod upload;

pub(crate) use app_requests::{AppRequests, AppResponse};
pub(crate) use auth::Auth;
pub use auth::Credentials;
pub(crate) use http::{Authorization, Transport, despite_interrupt};
pub(crate) use request::{Body, Request};
pub(crate) use response::Response;
pub(crate) use retry::{Replay, spread};
pub(crate) use upload::Upload;
