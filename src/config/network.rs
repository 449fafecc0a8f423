//! `network.proxy`: a proxy for the connections to other machines.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::Endpoint;
use super::error::Problem;
use crate::secret::Secret;

const SHAPE: &str = "write proxy = \"socks5://host:port\" or \"http://host:port\"";
/// The longest user name or password: RFC 1929 writes its length into one byte.
const LONGEST_CREDENTIAL: usize = 255;

/// `network.proxy`.
#[derive(Clone, Debug)]
pub struct NetworkProxy {
    /// Its protocol.
    pub kind: ProxyKind,
    /// Its address.
    pub endpoint: Endpoint,
    /// The user name and password for it.
    pub credentials: Option<(String, Secret)>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// RFC 1928.
    Socks5,
    /// CONNECT (RFC 9110 §9.3.6).
    Http,
}

/// As in the configuration, without the credentials.
impl fmt::Display for NetworkProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Http => "http",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl NetworkProxy {
    /// Reads `network.proxy`. Errors do not show the text: it may hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |message: &str| Problem::at(["network", "proxy"], message).hint(SHAPE);
        let url = Url::parse(text).map_err(|error| wrong(&format!("is not a URL: {error}")))?;
        let kind = match url.scheme() {
            // With "h" the proxy resolves host names; it always does so for us.
            "socks5" | "socks5h" => ProxyKind::Socks5,
            "http" => ProxyKind::Http,
            _ => return Err(wrong("must begin with socks5:// or http://")),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("goes on behind the port"));
        }
        let host = match url.host() {
            Some(Host::Ipv6(ip)) => ip.to_string(),
            Some(host) => host.to_string().to_ascii_lowercase(),
            None => return Err(wrong("names no host")),
        };
        // A URL omits the default port of its scheme.
        let port = url.port_or_known_default().ok_or_else(|| wrong("names no port"))?;
        let credentials = credentials(&url).map_err(wrong)?;
        Ok(Self { kind, endpoint: Endpoint { host, port }, credentials })
    }
}

fn credentials(url: &Url) -> Result<Option<(String, Secret)>, &'static str> {
    let decoded = |part| percent_decode_str(part).decode_utf8().map(Cow::into_owned);
    let password = match (url.username(), url.password()) {
        ("", None) => return Ok(None),
        (_, password) => password.unwrap_or_default(),
    };
    let (Ok(user), Ok(password)) = (decoded(url.username()), decoded(password)) else {
        return Err("has a name or a password that is not UTF-8");
    };
    let fits = |text: &str| (1..=LONGEST_CREDENTIAL).contains(&text.len());
    match fits(&user) && fits(&password) && !user.contains(':') {
        true => Ok(Some((user, Secret::new(password)))),
        false => Err("must have both a name and a password, or neither, each of 1 to 255 bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_and_shown_without_its_password() {
        for (text, kind, endpoint) in [
            ("socks5://127.0.0.1:1080", ProxyKind::Socks5, "127.0.0.1:1080"),
            ("socks5h://[::1]:9050/", ProxyKind::Socks5, "[::1]:9050"),
            ("http://Proxy.Corp.example:3128", ProxyKind::Http, "proxy.corp.example:3128"),
            ("http://proxy.corp.example", ProxyKind::Http, "proxy.corp.example:80"),
        ] {
            let proxy = NetworkProxy::parse(text).ok().unwrap();
            assert_eq!((proxy.kind, proxy.endpoint.to_string().as_str()), (kind, endpoint), "{text}");
            assert!(proxy.credentials.is_none());
        }
        let proxy = NetworkProxy::parse("socks5://anna:c%40nary@proxy.example:1080").ok().unwrap();
        let (user, password) = proxy.credentials.as_ref().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("anna", "c@nary"));
        assert_eq!(proxy.to_string(), "socks5://proxy.example:1080");
        assert!(!format!("{proxy:?}").contains("c@nary"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_showing_it() {
        for text in [
            "proxy.canary.example:1080",
            "socks5://canary.example",
            "socks4://canary.example:1080",
            "https://canary.example:443",
            "http://canary.example:3128/path",
            "http://canary.example:3128/?query",
            "http://canary@proxy.example:3128",
            "http://:canary@proxy.example:3128",
            "http://anna:%ff@canary.example:3128",
            "socks5://:1080",
        ] {
            let problem = NetworkProxy::parse(text).err().unwrap().in_file(None, "");
            assert!(!problem.to_string().contains("canary"), "{problem}");
        }
    }
}
