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

    pub trait Serve: Sized + Send {
        #[doc(hidden)]
        const WIRE: WireKind;

        /// Listens, and serves the fake from then on.
        #[doc(hidden)]
        fn start(
            address: SocketAddr,
            controller: CloudController,
            keeps_requests: bool,
        ) -> impl Future<Output = io::Result<Self>> + Send;
    }

    /// A [`Wire`] that a public trait may mention.
    #[derive(Clone, Copy, Debug)]
    pub struct WireKind(pub(crate) Wire);
}
