//! A mail provider for tests, benches and the demo: an OAuth server, an IMAP, a POP3 and a submission server that
//! behave like Gmail's or Outlook's, with every known refusal on a switch.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use sandbox::{Flavour, Sandbox, TokenFault};
//!
//! let sandbox = Sandbox::builder().flavour(Flavour::Exchange).user("alice@example.com").start().await;
//! println!("{}", sandbox.provider_toml("sandbox")); // for the proxy's configuration
//! sandbox.controls().next_token(TokenFault::too_many("60"));
//! sandbox.controls().forbid("local password");
//! // … drive the proxy …
//! sandbox.assert_no_violations();
//! # });
//! ```
//!
//! Rules that hold throughout:
//! * Everything runs in memory on 127.0.0.1, with free ports, and ends when the [`Sandbox`] is dropped.
//! * Tests never sleep: they wait for an event ([`Controls::wait_for`], [`Gate`]).
//! * The proxy is checked: a line before a login that is not one of the proxy's own commands is a
//!   *violation*, and so is a forbidden secret anywhere ([`Controls::forbid`]).
//! * A login opens only the mailboxes that the token's owner, scopes and the list of delegates allow.
//!
//! The parts: [`Builder`] and [`Sandbox`]; [`Controls`] to watch and to turn [`switches`]; `oauth`, `imap`, `pop` and
//! `submission`, the servers; [`Browser`], the person who consents; [`mail::Client`], [`pop3::Client`] and [`smtp::Client`], mail
//! clients that speak `XOAUTH2`; [`DelayLine`], distance; [`proxy::Proxy`], a SOCKS5 or CONNECT proxy; [`pattern`], gigabytes without memory.

// A test helper has no caller to return errors to: it fails the test with the reason.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod browser;
mod builder;
mod canary;
mod controls;
mod delay;
mod describe;
mod flavour;
mod gate;
mod imap;
pub mod mail;
mod oauth;
pub mod pattern;
mod pop;
pub mod pop3;
pub mod proxy;
mod sasl;
pub mod smtp;
mod state;
mod stats;
mod submission;
pub mod switches;
mod tls;
mod transport;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_rustls::rustls::ClientConfig;

pub use browser::{Browser, Page};
pub use builder::Builder;
pub use controls::Controls;
pub use delay::DelayLine;
pub use flavour::{Flavour, Vendor};
pub use gate::Gate;
pub use imap::mailbox::MessageView;
pub use state::Client;
pub use stats::{LoginRecord, Pop3Session, Sent, Stats, Submission, Sunk, TokenRequest, Violation};
pub use switches::{
    AuthForm, Greeting, ImapSwitches, LoginFault, OauthSwitches, Pop3Step, Pop3Switches, Rotation, Security,
    SharedName, Step, StepFault, SubmissionRefusal, SubmissionSwitches, TokenFault,
};
pub use tls::Certificate;

/// How long a test waits for an event that must come. It only ends failing tests, so it is far more than any
/// machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running provider. Dropping it closes everything.
pub struct Sandbox {
    controls: Controls,
    http: SocketAddr,
    imap: SocketAddr,
    pop3: Option<(SocketAddr, Security)>,
    submission: Option<(SocketAddr, Security)>,
    authority: tls::Authority,
    ca_file: CaFile,
    client: Client,
    tasks: Vec<AbortHandle>,
}

enum CaFile {
    Given(std::path::PathBuf),
    Temporary(tempfile::NamedTempFile),
}

impl Sandbox {
    /// Begins the description of a provider.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The controls, usable from any task.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// The address of the IMAP server: implicit TLS, with a certificate for `localhost` and 127.0.0.1.
    pub fn imap_address(&self) -> SocketAddr {
        self.imap
    }

    /// The POP3 server, and how it speaks TLS. Panics where [`Builder::pop3`] was not asked for one.
    pub fn pop3(&self) -> (SocketAddr, Security) {
        self.pop3.expect("a sandbox that was built with a POP3 server")
    }

    /// Whether there is a POP3 server.
    pub fn has_pop3(&self) -> bool {
        self.pop3.is_some()
    }

    /// The address of the submission server, and how it uses TLS. Panics if [`Builder::submission`] was not
    /// called.
    pub fn submission(&self) -> (SocketAddr, Security) {
        self.submission.expect("a sandbox that was built with a submission server")
    }

    /// Whether there is a submission server.
    pub fn has_submission(&self) -> bool {
        self.submission.is_some()
    }

    /// The address of the OAuth server.
    pub fn http_address(&self) -> SocketAddr {
        self.http
    }

    /// The issuer, which is also the base of every URL: `http://127.0.0.1:port`.
    pub fn issuer(&self) -> String {
        self.controls.shared().issuer.clone()
    }

    /// `ISSUER` followed by a path: `/authorize`, `/token`, `/device`, `/revoke`, `/userinfo`.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.controls.shared().issuer)
    }

    /// The certification authority to trust, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority.ca_pem
    }

    /// The file that holds [`Sandbox::ca_pem`].
    pub fn ca_file(&self) -> &Path {
        match &self.ca_file {
            CaFile::Given(path) => path,
            CaFile::Temporary(file) => file.path(),
        }
    }

    /// A TLS client configuration that trusts only this provider.
    pub fn tls_client(&self) -> Arc<ClientConfig> {
        self.authority.client()
    }

    /// The authorisation server's vendor.
    pub fn vendor(&self) -> Vendor {
        self.controls.shared().vendor
    }

    /// The registered client that the proxy should use.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A person with a browser, for `authorize --no-browser` and the like.
    pub fn browser(&self) -> Browser {
        Browser::new()
    }

    /// Panics with the list of violations, if there are any.
    pub fn assert_no_violations(&self) {
        let violations = self.controls.violations();
        assert!(violations.is_empty(), "the proxy broke its discipline: {violations:#?}");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
