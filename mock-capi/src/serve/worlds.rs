//! Additional worlds in one process, each on its own port: `POST /_mock/worlds`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::serve::controller::CloudController;
use crate::serve::front::{Front, Tls};
use crate::serve::mock_capi::MockCapi;

/// The maximum number of worlds.
const MAX_WORLDS: usize = 100;

/// Creates a fake with the same settings as the first one.
pub(crate) type Make = Box<dyn Fn() -> Result<CloudController, String> + Send + Sync>;

/// The additional worlds of a mock. They end together with the mock.
pub(crate) struct Worlds {
    make: Make,
    ip: IpAddr,
    tls: Option<Tls>,
    /// The range of ports. `None` selects free ports.
    ports: Option<RangeInclusive<u16>>,
    running: Vec<MockCapi<Front>>,
}

impl std::fmt::Debug for Worlds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.running).finish()
    }
}

impl Worlds {
    pub(crate) fn new(
        make: Make,
        ip: IpAddr,
        tls: Option<Tls>,
        ports: Option<RangeInclusive<u16>>,
    ) -> Self {
        Self {
            make,
            ip,
            tls,
            ports,
            running: Vec::new(),
        }
    }

    /// Starts another world, and returns its address.
    pub(crate) fn add(&mut self) -> Result<SocketAddr, String> {
        if self.running.len() >= MAX_WORLDS {
            return Err(format!(
                "there are {MAX_WORLDS} worlds already: DELETE /_mock/worlds ends them"
            ));
        }
        let controller = (self.make)()?;
        let front = self.listen(&controller)?;
        let world = MockCapi::new(front, controller);
        let address = world.address();
        self.running.push(world);
        Ok(address)
    }

    fn listen(&self, controller: &CloudController) -> Result<Front, String> {
        let mut last = "no port of --world-ports is free".to_owned();
        for port in self.ports.clone().unwrap_or(0..=0) {
            let address = SocketAddr::new(self.ip, port);
            match Front::listen(address, self.tls.clone(), controller.clone()) {
                Ok(front) => return Ok(front),
                Err(error) if self.ports.is_none() => last = error.to_string(),
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// Removes all worlds. They end when they are dropped.
    pub(crate) fn take_all(&mut self) -> Vec<MockCapi<Front>> {
        std::mem::take(&mut self.running)
    }
}
