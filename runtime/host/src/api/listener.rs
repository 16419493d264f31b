//! Who listens on the control socket: it accepts as long as a descriptor can be had, from the reserve if need be, so that
//! a supervisor that has run out of them can say so.

use std::io;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use crate::descriptors;

/// How long nobody is accepted after that has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The control socket.
pub(super) struct Control(pub(super) UnixListener);

impl Listener for Control {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            match self.0.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if descriptors::is_exhausted(&error) && descriptors::spare_one() => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
