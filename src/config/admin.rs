//! The address of the page: where `serve` listens for it, and what people type to reach it.
//!
//! A browser on this machine reaches a loopback address as it is. People elsewhere come through the user's own web
//! server, whose public address is `admin.url`; sign-in links and redirects begin with that.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

/// The port of the page, unless the configuration names another.
const PORT: u16 = 8993;

/// The `[admin]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where the page is served.
    pub address: AdminAddress,
    /// How people reach the page, if that is written: an origin, without path, query or name.
    pub url: Option<Url>,
    /// Whether no file names the address. If it cannot be bound then, that is only a warning.
    pub is_default: bool,
}

/// An address to serve the page on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// No page.
    Off,
    /// A loopback address; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Default for Admin {
    fn default() -> Self {
        let address = AdminAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], PORT)));
        Self { address, url: None, is_default: true }
    }
}

impl Admin {
    /// The beginning of every address of the page, without a slash at the end: `admin.url` where that is written,
    /// else `localhost` with the port of `bound`, the address that is really listened on.
    pub fn base_url(&self, bound: Option<SocketAddr>) -> String {
        if let Some(url) = &self.url {
            return url.origin().ascii_serialization();
        }
        match (bound, &self.address) {
            (Some(bound), _) => at_localhost(bound),
            (None, AdminAddress::Tcp(address)) => at_localhost(*address),
            (None, AdminAddress::Unix(_) | AdminAddress::Off) => "http://localhost".to_owned(),
        }
    }
}

/// `localhost` is what people type, and what providers accept in redirect URIs; only an address that the name may
/// not stand for is written as it is.
fn at_localhost(address: SocketAddr) -> String {
    match address.ip().to_string().as_str() {
        "127.0.0.1" | "::1" => format!("http://localhost:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_the_written_url_or_localhost_with_the_real_port() {
        let tcp =
            |text: &str| Admin { address: AdminAddress::Tcp(text.parse().unwrap()), ..Admin::default() };
        let bound = |text: &str| Some(text.parse().unwrap());
        assert_eq!(Admin::default().base_url(None), "http://localhost:8993");
        assert_eq!(tcp("127.0.0.1:0").base_url(bound("127.0.0.1:4711")), "http://localhost:4711");
        assert_eq!(tcp("[::1]:5").base_url(bound("[::1]:5")), "http://localhost:5");
        assert_eq!(tcp("127.0.0.2:5").base_url(bound("127.0.0.2:5")), "http://127.0.0.2:5");
        let url = Some(Url::parse("https://Proxy.corp.example:443/").unwrap());
        let behind = Admin { url, ..Admin::default() };
        assert_eq!(behind.base_url(bound("127.0.0.1:8993")), "https://proxy.corp.example");
        let socket = Admin { address: AdminAddress::Unix("/run/x.sock".into()), ..Admin::default() };
        assert_eq!(socket.base_url(None), "http://localhost");
    }
}
