//! The settings for the mail program.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::print;
use crate::command;
use crate::config::{Config, Door, Provider};
use crate::control::authorize::{Authorized, Proof};
use crate::control::setup::{self, Server};
use crate::secret::Secret;

/// The result of `authorize`, as its JSON.
#[derive(Serialize)]
pub(super) struct SetUp<'a> {
    account: &'a str,
    provider: &'a str,
    owner: &'a str,
    #[serde(flatten)]
    server: Server,
    username: &'a str,
    /// Null if the account keeps its passwords.
    password: Option<&'a str>,
    ca_file: Option<PathBuf>,
    /// The server of each proven door.
    protocols: BTreeMap<&'static str, Server>,
    /// The servers to show a person, in the order of the doors, with those that could not be tested.
    #[serde(skip)]
    shown: Vec<(Door, Server)>,
}

impl<'a> SetUp<'a> {
    pub(super) fn new(
        config: &Config,
        provider: &'a Provider,
        stored: &'a Authorized,
        ca_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        // Shown if no listener has one of the opened doors.
        let first = Door::ALL.into_iter().find_map(|door| Some((door, setup::server(config, door)?)));
        let (door, server) = first.ok_or_else(|| Failure::new("no listener is configured"))?;
        let servers = |which: fn(&Proof) -> bool| {
            let doors = stored.proofs.iter().filter(move |(_, proof)| which(proof));
            doors.filter_map(|(door, _)| Some((*door, setup::server(config, *door)?)))
        };
        let proven = servers(|proof| matches!(proof, Proof::Opened { .. }));
        let protocols = proven.map(|(door, server)| (door.name(), server)).collect();
        let mut shown: Vec<(Door, Server)> = servers(|proof| !matches!(proof, Proof::LeftOut(_))).collect();
        if shown.is_empty() {
            shown.push((door, server.clone()));
        }
        Ok(Self {
            account: &stored.account,
            provider: &provider.name,
            owner: &stored.owner,
            server,
            username: &stored.account,
            password: stored.password.as_ref().map(Secret::expose),
            ca_file,
            protocols,
            shown,
        })
    }

    /// Prints the result for a person: the data within messages.
    pub(super) fn show(&self, proofs: &[(Door, Proof)]) {
        let Self { account, .. } = self;
        let opened: Vec<String> = proofs
            .iter()
            .filter_map(|(door, proof)| match proof {
                Proof::Opened { folders: Some(folders) } => {
                    Some(format!("the mailbox opened and has {folders} folders"))
                }
                Proof::Opened { folders: None } => Some(format!("{} lets it in", door.title())),
                _ => None,
            })
            .collect();
        match opened.is_empty() {
            false => print::words(&format!("{account} is authorised: {}.", opened.join(", and "))),
            true => print::words(&format!("{account} is authorised.")),
        }
        print::words("Set the mail program up with:");
        for (door, server) in &self.shown {
            row("Protocol", door.title());
            row("Server", &server.host);
            row("Port", &server.port.to_string());
            row("Security", server.security.title());
        }
        let user_name = match self.username.strip_prefix('@') {
            Some(domain) => format!("NAME@{domain}, each mailbox by its own address"),
            None => self.username.to_owned(),
        };
        row("User name", &user_name);
        row(
            "Password",
            self.password.unwrap_or("unchanged (imap-oauth-proxy passwords create makes another)"),
        );
        if let Some(ca_file) = &self.ca_file {
            print::words("It must trust the proxy's own CA, which is in:");
            print::words(&format!("  {}", ca_file.display()));
            print::words(
                "Thunderbird: Settings > Privacy & Security > Certificates > Manage Certificates > Authorities > Import.",
            );
            print::words(
                "Debian: copy it to /usr/local/share/ca-certificates/imap-oauth-proxy.crt and run update-ca-certificates.",
            );
            print::words(&format!("Others: {}", command::manual("clients.md")));
            print::words(
                "For other users, who cannot read that file: imap-oauth-proxy certs export - | sudo tee FILE >/dev/null",
            );
        }
        if !self.username.starts_with('@') {
            let setup = command::setup(self.username);
            print::words(&format!("A file that sets a mail program up: {setup}"));
        }
    }
}

fn row(name: &str, value: &str) {
    print::data(&format!("  {name:<10} {value}"));
}
