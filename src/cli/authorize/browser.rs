//! A browser on this machine, or on one that an ssh forwarding leads from.

use url::Url;

use crate::cli::print;

/// Shows the address to open, and opens it.
pub(super) fn announce(url: &Url, redirect_uri: &str, owner: &str, no_browser: bool) {
    if no_browser {
        print::words(&format!("Open this address in a browser and sign in as {owner}:"));
        print::data(url.as_str());
        if let Some(port) = loopback_port(redirect_uri) {
            print::words("If the browser runs on another machine, let it reach this one first, there:");
            print::words(&format!("  ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"));
        }
        return;
    }
    print::words(&format!("A browser opens; sign in as {owner}. If none does, open this address:"));
    print::words(url.as_str());
    if let Err(error) = open::that_detached(url.as_str()) {
        print::words(&format!("No browser could be started: {error}"));
        print::words("On a machine without one, use --no-browser, --paste or --device.");
    }
}

fn loopback_port(redirect_uri: &str) -> Option<u16> {
    Url::parse(redirect_uri).ok().filter(|url| url.scheme() == "http")?.port()
}
