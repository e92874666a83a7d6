//! What serves the fake on a socket.

use std::net::SocketAddr;

/// A way to serve the fake: [`Wiremock`](crate::Wiremock) or
/// [`Front`](crate::Front).
pub trait Adapter: sealed::Serve {
    /// The address that it listens on.
    fn address(&self) -> SocketAddr;
}

pub(crate) mod sealed {
    use std::io;
    use std::net::SocketAddr;

    use crate::serve::controller::CloudController;
    use crate::serve::core::Wire;
    use crate::serve::front::Tls;

    pub trait Serve: Sized + Send {
        #[doc(hidden)]
        const WIRE: WireKind;

        /// Listens, and serves the fake from then on.
        #[doc(hidden)]
        fn start(
            options: ServeOptions,
            controller: CloudController,
        ) -> impl Future<Output = io::Result<Self>> + Send;
    }

    /// How to listen.
    #[derive(Debug)]
    pub struct ServeOptions {
        pub(crate) address: SocketAddr,
        /// Whether wiremock keeps the requests that it receives.
        pub(crate) keeps_requests: bool,
        /// Only the front can do TLS.
        pub(crate) tls: Option<Tls>,
    }

    /// A [`Wire`] that a public trait may mention.
    #[derive(Clone, Copy, Debug)]
    pub struct WireKind(pub(crate) Wire);
}
