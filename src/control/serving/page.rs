//! The listener of the page. A default address that cannot be bound is a warning: mail does not depend on the page,
//! and two proxies on one machine have the same default. A written address is required.

use std::net::SocketAddr;

use ::tracing::warn;
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Admin, AdminAddress};
use crate::control::error::Error;
use crate::server::Sockets;

pub(crate) enum PageListener {
    /// On loopback.
    Tcp(TcpListener),
    /// A Unix socket, for a web server.
    Unix(UnixListener),
}

impl PageListener {
    /// The bound address; `None` for a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// Listens for the page, if there is one.
pub(super) fn listen(admin: &Admin, sockets: &Sockets) -> Result<Option<PageListener>, Error> {
    let bound = match &admin.address {
        AdminAddress::Off => return Ok(None),
        AdminAddress::Tcp(address) => sockets.listen(*address).map(PageListener::Tcp),
        AdminAddress::Unix(path) => sockets.listen_on_path(path).map(PageListener::Unix),
    };
    let address = || admin.address.to_string();
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if admin.is_default => {
            warn!(
                "there is no page: its default address {} cannot be listened on: {error}; write address in [admin], \
                 with another port or \"off\"",
                address()
            );
            Ok(None)
        }
        Err(error) => Err(Error::Address { key: "admin.address", address: address(), error }),
    }
}
