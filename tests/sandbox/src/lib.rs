//! A mail provider for tests, benches and the demo: an OAuth server, an IMAP server and a submission server that
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
//! * Everything is on 127.0.0.1 with ports of the kernel's choice, in memory, and gone when the [`Sandbox`] is
//!   dropped.
//! * Tests never sleep: they wait for what they are waiting for ([`Controls::wait_for`], [`Gate`]).
//! * The proxy is under suspicion: whatever comes before a login and is not of the proxy's own vocabulary is a
//!   *violation*, as is a forbidden secret anywhere ([`Controls::forbid`]).
//! * Nothing claims more than `AUTHENTICATE` proves: mail is as open as the token's owner and the list of
//!   delegates say, scopes included.
//!
//! The parts: [`Builder`] and [`Sandbox`]; [`Controls`] to watch and to turn [`switches`]; `oauth`, `imap` and
//! `submission`, the servers; [`Browser`], the person who consents; [`mail::Client`] and [`smtp::Client`], mail
//! clients that speak `XOAUTH2`; [`DelayLine`], distance; [`proxy::Proxy`], a SOCKS5 or CONNECT proxy; [`pattern`], gigabytes without memory.

// A test's helper has nobody to hand an error to: it aborts the test, with the reason.
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
pub mod proxy;
mod sasl;
pub mod smtp;
mod state;
mod stats;
mod submission;
pub mod switches;
mod tls;

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
pub use stats::{LoginRecord, Sent, Stats, Submission, Sunk, TokenRequest, Violation};
pub use switches::{
    AuthForm, Greeting, ImapSwitches, LoginFault, OauthSwitches, Rotation, Security, SharedName, Step,
    StepFault, SubmissionRefusal, SubmissionSwitches, TokenFault, Wall,
};
pub use tls::Certificate;

/// How long a test waits for what must come; far more than any machine needs, as it only ends failing tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A running provider. Dropping it closes everything.
pub struct Sandbox {
    controls: Controls,
    http: SocketAddr,
    imap: SocketAddr,
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
    /// A provider to be described.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// To watch and to turn switches, from any task.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    /// The IMAP server, implicit TLS; a certificate for `localhost` and 127.0.0.1.
    pub fn imap_address(&self) -> SocketAddr {
        self.imap
    }

    /// The submission server, and how it speaks TLS. Panics where [`Builder::submission`] was not asked for one.
    pub fn submission(&self) -> (SocketAddr, Security) {
        self.submission.expect("a sandbox that was built with a submission server")
    }

    /// Whether there is a submission server.
    pub fn has_submission(&self) -> bool {
        self.submission.is_some()
    }

    /// The OAuth server.
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

    /// A TLS client configuration that trusts this provider and nobody else.
    pub fn tls_client(&self) -> Arc<ClientConfig> {
        self.authority.client()
    }

    /// Whose habits the authorisation server has.
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

    /// Panics with the list if the proxy did anything that it must not.
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
