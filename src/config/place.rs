//! Where what a configuration names is: files beside it, and hosts that are this machine.

use std::path::PathBuf;

use url::{Host, Url};

/// What relative paths are relative to: the file's directory, else the current one.
pub(super) struct Base(pub(super) Option<PathBuf>);

impl Base {
    pub(super) fn resolve(&self, path: PathBuf) -> PathBuf {
        match &self.0 {
            Some(directory) => directory.join(path),
            None => path,
        }
    }
}

/// Whether no network lies between us and the URL's host, whatever the resolver says.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
