//! A browser on this machine, or on a machine that forwards its port by ssh.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use url::Url;

use super::ToOpen;
use crate::cli::print;
use crate::control::authorize::Consent;
use crate::secret::KeySource;

/// Without a desktop `xdg-open` fails within this time; if it still runs, it has passed the address on.
const OPENER_FAILS_WITHIN: Duration = Duration::from_millis(250);

/// Shows the address to open.
pub(super) fn announce(consent: &Consent, url: &Url, redirect_uri: &str, as_json: bool) {
    print::words(&format!("Open this address in a browser and sign in as {}:", consent.owner()));
    ToOpen::new(url, consent).show(as_json);
    if let Some(port) = loopback_port(redirect_uri) {
        print::words("If the browser runs on another machine, let it reach this one first, there:");
        print::words(&format!("  ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"));
    }
}

/// Opens the address, and shows it. The variable of the key `hidden` is removed from the browser's environment.
pub(super) fn open(url: &Url, owner: &str, hidden: &KeySource) {
    print::words(&format!("A browser opens; sign in as {owner}. If none does, open this address:"));
    print::words(url.as_str());
    if let Err(error) = start(url.as_str(), hidden) {
        print::words(&format!("No browser could be started: {error}"));
        print::words(
            "On a machine without one, use --paste or --no-browser, or --device if the provider allows it.",
        );
    }
}

/// Starts the first available program that opens an address. Our Ctrl-C does not reach it, and it does not inherit
/// a key in our environment.
pub(in crate::cli) fn start(address: &str, hidden: &KeySource) -> std::io::Result<()> {
    let mut failure = std::io::ErrorKind::NotFound.into();
    for mut opener in open::commands(address) {
        hidden.hide_from(&mut opener);
        opener.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match opener.spawn().and_then(fails_at_once) {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => {
                let name = opener.get_program().to_string_lossy();
                let ending =
                    status.code().map_or("was ended".to_owned(), |code| format!("ended with {code}"));
                failure = std::io::Error::other(format!("{name} {ending}"));
            }
            // Report the first failure rather than a program that is not installed.
            Err(error) if failure.kind() == std::io::ErrorKind::NotFound => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

/// The exit status of a program that fails at once.
fn fails_at_once(mut opener: Child) -> std::io::Result<Option<ExitStatus>> {
    let patience = Instant::now() + OPENER_FAILS_WITHIN;
    while Instant::now() < patience {
        if let Some(status) = opener.try_wait()? {
            return Ok((!status.success()).then_some(status));
        }
        std::thread::sleep(OPENER_FAILS_WITHIN / 25);
    }
    Ok(None)
}

fn loopback_port(redirect_uri: &str) -> Option<u16> {
    Url::parse(redirect_uri).ok().filter(|url| url.scheme() == "http")?.port()
}
