//! The server sections that no provider of the new configuration uses: mail programs on such a port reach another server
//! now, the one of their account's provider, which a person has to know.

use std::collections::HashSet;

use super::left::Change;
use super::listeners::Listening;
use super::source::{Account, Server};
use super::tables::{Base, Table};
use crate::config::{Door, preset_family};

/// The servers that tables use, by door and host.
#[derive(Default)]
pub(super) struct Used(HashSet<(Door, String)>);

impl Used {
    /// Adds the servers of `table`, which was made for `account`.
    pub(super) fn add(&mut self, table: &Table, account: &Account) {
        self.0.extend(table.servers.iter().map(|server| (server.door, server.host.clone())));
        if let Base::Preset { .. } = table.base {
            let own: Vec<Door> = table.servers.iter().map(|server| server.door).collect();
            let doors = Door::ALL.into_iter().filter(|door| !own.contains(door));
            let hosts = account.token_url.as_deref().map(preset_family).unwrap_or_default();
            self.0.extend(doors.flat_map(|door| hosts.iter().map(move |host| (door, host.clone()))));
        }
    }

    /// The servers of the `listeners` that no table uses.
    pub(super) fn unused(&self, servers: &[Server], listeners: &[Listening]) -> Vec<Change> {
        let moves = |server: &&Server| listeners.iter().any(|listener| listener.section == server.section);
        let is_unused = |server: &&Server| !self.0.contains(&(server.door, server.host.to_ascii_lowercase()));
        let unused = servers.iter().filter(moves).filter(is_unused);
        let change = |server: &Server| Change::ServerUnused {
            section: server.section.clone(),
            host: server.host.clone(),
        };
        if self.0.is_empty() { Vec::new() } else { unused.map(change).collect() }
    }
}
