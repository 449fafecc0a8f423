//! What to type into the mail program.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::print;
use crate::config::{Config, Provider, Security};
use crate::control::authorize::{Authorized, Proof};
use crate::control::setup;
use crate::secret::Secret;

/// The result of `authorize`, as its JSON.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    account: &'a str,
    provider: &'a str,
    owner: &'a str,
    host: String,
    port: u16,
    security: Security,
    username: &'a str,
    /// Null where the account keeps the passwords that it has.
    password: Option<&'a str>,
    ca_file: Option<PathBuf>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(
        config: &Config,
        provider: &'a Provider,
        stored: &'a Authorized,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let server = setup::server(config).ok_or_else(|| Failure::new("no listener is configured"))?;
        Ok(Self {
            account: &stored.account,
            provider: &provider.name,
            owner: &stored.owner,
            host: server.host,
            port: server.port,
            security: server.security,
            username: &stored.account,
            password: stored.password.as_ref().map(Secret::expose),
            ca_file,
        })
    }

    /// For a person: words around, data as they are.
    pub(super) fn show(&self, proof: &Proof) {
        let Self { account, .. } = self;
        match proof {
            Proof::Opened { folders } => print::words(&format!(
                "{account} is authorised: the mailbox opened and has {folders} folders."
            )),
            _ => print::words(&format!("{account} is authorised.")),
        }
        print::words("Set the mail program up with:");
        let user_name = match self.username.strip_prefix('@') {
            Some(domain) => format!("NAME@{domain}, each mailbox by its own address"),
            None => self.username.to_owned(),
        };
        let security = match self.security {
            Security::Tls => "SSL/TLS",
            Security::Starttls => "STARTTLS",
            Security::None => "none",
        };
        let password = self.password.unwrap_or("unchanged (imap-oauth-proxy passwords create makes another)");
        for (name, value) in [
            ("Protocol", "IMAP"),
            ("Server", self.host.as_str()),
            ("Port", self.port.to_string().as_str()),
            ("Security", security),
            ("User name", user_name.as_str()),
            ("Password", password),
        ] {
            print::data(&format!("  {name:<10} {value}"));
        }
        if let Some(ca_file) = &self.ca_file {
            print::words("It has to trust the proxy's own CA, which is in:");
            print::words(&format!("  {}", ca_file.display()));
            print::words(
                "Thunderbird: Settings > Privacy & Security > Certificates > Manage Certificates > Authorities > Import.",
            );
            print::words(
                "Debian: copy it to /usr/local/share/ca-certificates/imap-oauth-proxy.crt and run update-ca-certificates.",
            );
            print::words("Others: docs/clients.md and certs/README.md.");
        }
    }
}
