//! Adapters, which serve the fake on a socket.

use std::net::SocketAddr;

/// An adapter that serves the fake: [`Wiremock`](crate::Wiremock) or
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

        /// Listens on the address, and serves the fake from then on.
        #[doc(hidden)]
        fn start(
            options: ServeOptions,
            controller: CloudController,
        ) -> impl Future<Output = io::Result<Self>> + Send;
    }

    /// Options for listening.
    #[derive(Debug)]
    pub struct ServeOptions {
        pub(crate) address: SocketAddr,
        /// Whether wiremock keeps the requests that it receives.
        pub(crate) keeps_requests: bool,
        /// Only [`Front`](crate::Front) supports TLS.
        pub(crate) tls: Option<Tls>,
    }

    /// Wraps [`Wire`], so that a public trait can contain it.
    #[derive(Clone, Copy, Debug)]
    pub struct WireKind(pub(crate) Wire);
}
