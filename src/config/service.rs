//! A mail server of a provider: its address, its mechanisms, and the user names for signing in.
//!
//! A shared mailbox has two names: its own, and that of the person who authorised. IMAP servers require the
//! mailbox's name. Exchange's submission server requires the person's, although Microsoft's documentation says
//! otherwise, so both are tried there. Only [`Service::credential`] chooses, for a login, a proof and a check.

use std::fmt;

use crate::protocol::sasl::Mechanism;
use crate::protocol::{Credential, Door, SignInAs};
use crate::secret::Secret;

/// A mail server of a provider.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its protocol.
    pub door: Door,
    /// Its address.
    pub endpoint: Endpoint,
    /// How the connection begins TLS; every connection does.
    pub security: UpstreamSecurity,
    /// SASL mechanisms in order of preference.
    pub mechanisms: Vec<Mechanism>,
    /// Whether the server takes an initial response (RFC 4959), if the preset says so; then the sign-in need not ask.
    pub sasl_ir: Option<bool>,
    /// The most connections of one account at once.
    pub max_connections_per_account: Option<u32>,
    /// Scopes for this door, asked for besides the provider's own.
    pub scopes: Vec<String>,
    /// Capabilities that may be promised to a client before its provider is known: lines of EHLO or CAPA.
    pub promises: Vec<String>,
    /// The name to sign in with if the mailbox belongs to another person; with `None` the sign-in tries both.
    pub sign_in_as: Option<SignInAs>,
}

/// How a connection to a mail server begins TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamSecurity {
    /// Immediately.
    Tls,
    /// By the protocol's STARTTLS command.
    Starttls,
}

/// The names that may sign in to a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The mailbox's name.
    pub account: &'a str,
    /// The name of the person who authorised; `None` for an application.
    pub owner: Option<&'a str>,
    /// The name that the provider accepted before, if known.
    pub remembered: Option<SignInAs>,
}

impl<'a> Names<'a> {
    fn of(&self, whose: SignInAs) -> &'a str {
        match whose {
            SignInAs::Account => self.account,
            SignInAs::Owner => self.owner.unwrap_or(self.account),
        }
    }
}

impl Service {
    /// The name to try first, and the name to try if the first is refused.
    pub fn signs_in_as(&self, names: Names<'_>) -> (SignInAs, Option<SignInAs>) {
        let another = names.owner.filter(|owner| owner.to_lowercase() != names.account.to_lowercase());
        if another.is_none() || !self.door.may_want_owner() {
            return (SignInAs::Account, None);
        }
        match (self.sign_in_as, names.remembered) {
            (Some(fixed), _) => (fixed, None),
            (None, Some(SignInAs::Account)) => (SignInAs::Account, Some(SignInAs::Owner)),
            (None, Some(SignInAs::Owner) | None) => (SignInAs::Owner, Some(SignInAs::Account)),
        }
    }

    /// The credential for a sign-in with `token`. Only this function makes credentials.
    pub fn credential<'a>(&'a self, names: Names<'a>, token: &'a Secret) -> Credential<'a> {
        let (first, next) = self.signs_in_as(names);
        Credential {
            user: names.of(first),
            or_user: next.map(|next| names.of(next)),
            greeted: self.security == UpstreamSecurity::Tls,
            token,
            mechanisms: &self.mechanisms,
            host: &self.endpoint.host,
            port: self.endpoint.port,
            sasl_ir: self.sasl_ir,
        }
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// Whether the host is this machine, without asking the resolver.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<std::net::IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "must be host:port, such as \"mail.example.com:993\"";
        let (host, port) = text.rsplit_once(':').ok_or(SHAPE)?;
        let port = port.parse().map_err(|_| SHAPE)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok()),
            None => Some(host).filter(|host| !host.contains(':')),
        };
        let plain = |host: &str| host.bytes().all(|b| b.is_ascii_graphic() && !b"/@?#\\\"".contains(&b));
        match host.filter(|host| !host.is_empty() && plain(host)) {
            Some(host) => Ok(Self { host: host.to_ascii_lowercase(), port }),
            None => Err(SHAPE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The names that are tried at `door`, in order.
    fn tried(door: Door, owner: Option<&str>, remembered: Option<SignInAs>, fixed: &str) -> Vec<String> {
        let text =
            format!("state_directory = \"/x\"\n[providers.microsoft365]\nclient_id = \"x\"\n{fixed}\n");
        let provider = Config::parse(&text, None).unwrap().providers["microsoft365"].clone();
        let token = Secret::new("token");
        let names = Names { account: "shared@corp.example", owner, remembered };
        let credential = provider.service(door).unwrap().credential(names, &token);
        [credential.user].into_iter().chain(credential.or_user).map(str::to_owned).collect()
    }

    #[test]
    fn each_door_gets_the_name_that_it_takes() {
        use Door::{Imap, Pop3, Submission};
        use SignInAs::{Account, Owner};
        const SHARED: &str = "shared@corp.example";
        const BOB: &str = "bob@corp.example";
        for (door, owner, remembered, fixed, names) in [
            (Imap, Some(BOB), None, "", &[SHARED][..]),
            (Imap, Some(BOB), Some(Owner), "submission_user = \"owner\"", &[SHARED]),
            (Pop3, Some(BOB), Some(Owner), "submission_user = \"owner\"", &[SHARED]),
            (Submission, Some(BOB), None, "", &[BOB, SHARED]),
            (Submission, Some(BOB), Some(Owner), "", &[BOB, SHARED]),
            (Submission, Some(BOB), Some(Account), "", &[SHARED, BOB]),
            (Submission, Some(BOB), None, "submission_user = \"account\"", &[SHARED]),
            (Submission, Some(BOB), Some(Account), "submission_user = \"owner\"", &[BOB]),
            // The person's own mailbox, and an application's.
            (Submission, Some("Shared@Corp.example"), None, "submission_user = \"owner\"", &[SHARED]),
            (Submission, None, Some(Owner), "", &[SHARED]),
        ] {
            assert_eq!(
                tried(door, owner, remembered, fixed),
                names,
                "{door:?} {owner:?} {remembered:?} {fixed}"
            );
        }
    }
}
