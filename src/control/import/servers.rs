//! The mail servers of a provider's table, chosen from the server sections.
//!
//! email-oauth2-proxy knows servers by local port, and any account may use any of them; here they belong to the
//! account's provider. A provider of its own gets the servers that belong to no preset, and those of the preset whose
//! sign-in service it uses under another name. A preset keeps its own servers, unless the sections lead to others: an Exchange server in a company's own house takes tokens of
//! Microsoft's sign-in service too.

use std::collections::HashSet;

use url::Url;

use super::left::Why;
use super::source::{Account, Server};
use crate::config::{Door, preset_family, preset_hosts};

/// The port of implicit TLS, for which the table need not name the security.
const SUBMISSIONS: u16 = 465;

/// A mail server of a provider's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MailServer {
    pub(super) door: Door,
    pub(super) endpoint: String,
    /// Written if the port does not imply it.
    pub(super) security: Option<&'static str>,
    pub(super) section: String,
    pub(super) host: String,
}

/// The servers of a provider that is not a preset. One whose sign-in service is a preset's in another spelling, or in
/// an older version, uses the preset's servers where a section leads to them.
pub(super) fn of_own(account: &Account, servers: &[Server]) -> Result<Vec<MailServer>, Why> {
    let known = preset_hosts();
    let family = account.token_url.as_deref().map(preset_family).unwrap_or_default();
    let mut found = Vec::new();
    let mut candidates = Vec::new();
    for door in Door::ALL {
        if let Some(server) = of_door(servers, door, |server| is_at(server, &family)).first() {
            found.push(mail_server(server));
            continue;
        }
        match nearest(account, &of_door(servers, door, |server| !is_at(server, &known))) {
            Ok(server) => found.extend(server.map(mail_server)),
            Err(several) => candidates.extend(several),
        }
    }
    match found.is_empty() || !candidates.is_empty() {
        true => Err(Why::NoServer { candidates }),
        false => Ok(found),
    }
}

/// The servers that replace those of a preset, whose token endpoint the account has: the one that the account's scopes
/// name, else the one of the account's domain where none is the preset's, else the only one where no section leads to
/// a preset at all.
pub(super) fn beside_preset(account: &Account, servers: &[Server]) -> Result<Vec<MailServer>, Why> {
    let known = preset_hosts();
    let family = account.token_url.as_deref().map(preset_family).unwrap_or_default();
    let uses_preset = servers.iter().any(|server| is_at(server, &family));
    let domain = account.name.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
    let resources: Vec<String> = account.scopes.iter().filter_map(|scope| host_of(scope)).collect();
    let mut found = Vec::new();
    for door in Door::ALL {
        let foreign = of_door(servers, door, |server| !is_at(server, &known));
        if let Some(server) = foreign.iter().find(|server| is_at(server, &resources)) {
            found.push(mail_server(server));
            continue;
        }
        if servers.iter().any(|server| server.door == door && is_at(server, &family)) {
            continue;
        }
        let of_domain: Vec<&Server> =
            foreign.iter().copied().filter(|server| common(domain, &server.host) > 1).collect();
        let leads_to_none = !uses_preset && foreign.len() == of_door(servers, door, |_| true).len();
        let candidates = if of_domain.is_empty() && leads_to_none { foreign } else { of_domain };
        let server = nearest(account, &candidates).map_err(|candidates| Why::NoServer { candidates })?;
        found.extend(server.map(mail_server));
    }
    Ok(found)
}

fn mail_server(server: &Server) -> MailServer {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let security = match (server.door, server.starttls_there, server.host_port == SUBMISSIONS) {
        (Door::Submission, true, true) => Some("starttls"),
        (Door::Submission, false, false) => Some("tls"),
        _ => None,
    };
    MailServer {
        door: server.door,
        endpoint: format!("{host}:{}", server.host_port),
        security,
        section: server.section.clone(),
        host: server.host.to_ascii_lowercase(),
    }
}

/// The servers of that door, each once: several ports may lead to one server.
fn of_door(servers: &[Server], door: Door, is_wanted: impl Fn(&Server) -> bool) -> Vec<&Server> {
    let mut seen = HashSet::new();
    let of_door = servers.iter().filter(|server| server.door == door && is_wanted(server));
    of_door.filter(|server| seen.insert((server.host.to_ascii_lowercase(), server.host_port))).collect()
}

/// The only one of `servers`, else the one whose name is nearest to the account's and its provider's. The error lists
/// the sections if the choice is not clear.
fn nearest<'a>(account: &Account, servers: &[&'a Server]) -> Result<Option<&'a Server>, Vec<String>> {
    if servers.len() < 2 {
        return Ok(servers.first().copied());
    }
    let urls = [&account.token_url, &account.permission_url].into_iter().flatten();
    let hosts = urls.filter_map(|url| host_of(url));
    let names: Vec<String> =
        hosts.chain(account.name.rsplit_once('@').map(|(_, domain)| domain.to_owned())).collect();
    let nearness = |server: &&Server| names.iter().map(|name| common(name, &server.host)).max().unwrap_or(0);
    let best = servers.iter().map(nearness).max().unwrap_or(0);
    let mut nearest = servers.iter().filter(|server| nearness(server) == best);
    match (nearest.next(), nearest.next()) {
        (Some(server), None) if best > 1 => Ok(Some(server)),
        _ => Err(servers.iter().map(|server| server.section.clone()).collect()),
    }
}

fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

/// Number of labels at the ends of two names that are equal.
fn common(one: &str, other: &str) -> usize {
    one.rsplit('.').zip(other.rsplit('.')).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
}

/// Whether the server is one of the hosts, whose case does not count.
fn is_at(server: &Server, hosts: &[String]) -> bool {
    hosts.iter().any(|host| host.eq_ignore_ascii_case(&server.host))
}
