//! The mail servers of a provider's table, chosen from the server sections.
//!
//! email-oauth2-proxy knows servers by local port, and any account may use any of them; here they belong to the
//! account's provider. A provider of its own gets the servers that belong to no preset. A preset keeps its own
//! servers, unless the sections lead to others: an Exchange server in a company's own house takes tokens of
//! Microsoft's sign-in service too.

use std::collections::HashSet;

use url::Url;

use super::left::Why;
use super::listeners::door;
use super::source::{Account, Kind, Server};
use crate::config::{Door, preset_family, preset_hosts};

const KINDS: [Kind; 3] = [Kind::Imap, Kind::Pop, Kind::Smtp];
/// The port of implicit TLS, for which the table need not name the security.
const SUBMISSIONS: u16 = 465;

/// A mail server of a provider's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MailServer {
    pub(super) door: Door,
    pub(super) endpoint: String,
    /// Written if the port does not imply it.
    pub(super) security: Option<&'static str>,
    /// The section that it comes from.
    pub(super) section: String,
    pub(super) host: String,
}

/// The servers of a provider that is not a preset. One whose sign-in service is a preset's in another spelling, or in
/// an older version, uses the preset's servers where a section leads to them.
pub(super) fn of_own(account: &Account, servers: &[Server]) -> Result<Vec<MailServer>, Why> {
    let known = Hosts(preset_hosts());
    let family = Hosts(account.token_url.as_deref().map(preset_family).unwrap_or_default());
    let mut found = Vec::new();
    let mut candidates = Vec::new();
    for kind in KINDS {
        if let Some(server) = of_kind(servers, kind, |server| family.has(&server.host)).first() {
            found.push(mail_server(server));
            continue;
        }
        match nearest(account, &of_kind(servers, kind, |server| !known.has(&server.host))) {
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
    let known = Hosts(preset_hosts());
    let family = Hosts(account.token_url.as_deref().map(preset_family).unwrap_or_default());
    let uses_preset = servers.iter().any(|server| family.has(&server.host));
    let domain = account.name.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
    let resources: Vec<String> = account.scopes.iter().filter_map(|scope| host_of(scope)).collect();
    let mut found = Vec::new();
    for kind in KINDS {
        let foreign = of_kind(servers, kind, |server| !known.has(&server.host));
        let is_named =
            |server: &&&Server| resources.iter().any(|host| server.host.eq_ignore_ascii_case(host));
        if let Some(server) = foreign.iter().find(is_named) {
            found.push(mail_server(server));
            continue;
        }
        if servers.iter().any(|server| server.kind == kind && family.has(&server.host)) {
            continue;
        }
        let of_domain: Vec<&Server> =
            foreign.iter().copied().filter(|server| common(domain, &server.host) > 1).collect();
        let leads_to_none = !uses_preset && foreign.len() == of_kind(servers, kind, |_| true).len();
        let candidates = if of_domain.is_empty() && leads_to_none { foreign } else { of_domain };
        let server = nearest(account, &candidates).map_err(|candidates| Why::NoServer { candidates })?;
        found.extend(server.map(mail_server));
    }
    Ok(found)
}

fn mail_server(server: &Server) -> MailServer {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let security = match (server.kind, server.starttls_there, server.host_port == SUBMISSIONS) {
        (Kind::Smtp, true, true) => Some("starttls"),
        (Kind::Smtp, false, false) => Some("tls"),
        _ => None,
    };
    MailServer {
        door: door(server.kind),
        endpoint: format!("{host}:{}", server.host_port),
        security,
        section: server.section.clone(),
        host: server.host.to_ascii_lowercase(),
    }
}

/// The servers of that kind, each once: several ports may lead to one server.
fn of_kind(servers: &[Server], kind: Kind, is_wanted: impl Fn(&Server) -> bool) -> Vec<&Server> {
    let mut seen = HashSet::new();
    let of_kind = servers.iter().filter(|server| server.kind == kind && is_wanted(server));
    of_kind.filter(|server| seen.insert((server.host.to_ascii_lowercase(), server.host_port))).collect()
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

/// Names of hosts, whose case does not count.
struct Hosts(Vec<String>);

impl Hosts {
    fn has(&self, host: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}
