//! A mail server of a provider: where it is, what it takes, and with whose name a mailbox is signed in to.
//!
//! A shared mailbox has two names: its own, and that of the person who authorised. IMAP servers want the mailbox's.
//! Exchange's submission wants the person's, and Microsoft's documentation says otherwise, so both are tried there.
//! [`Service::credential`] is the one place that chooses, for a login, a proof and a check alike.

use std::fmt;

use crate::protocol::sasl::Mechanism;
use crate::protocol::{Credential, Door, SignInAs};
use crate::secret::Secret;

/// A mail server of a provider.
#[derive(Clone, Debug)]
pub struct Service {
    /// What it speaks.
    pub door: Door,
    /// Where it is.
    pub endpoint: Endpoint,
    /// How its connection comes into TLS; none stays without.
    pub security: UpstreamSecurity,
    /// SASL mechanisms in order of preference.
    pub mechanisms: Vec<Mechanism>,
    /// Whether the server takes an initial response (RFC 4959), where the preset knows, so that no
    /// round trip is spent on asking.
    pub sasl_ir: Option<bool>,
    /// Connections that one account may hold at once.
    pub max_connections_per_account: Option<u32>,
    /// The scopes asked for besides the provider's own where this door is used.
    pub scopes: Vec<String>,
    /// What may be promised to a client on behalf of this server before the client is known: lines of EHLO.
    pub promises: Vec<String>,
    /// Whose name to sign in with where the mailbox is another's; `None` finds out.
    pub sign_in_as: Option<SignInAs>,
}

/// How a connection to a mail server comes into TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamSecurity {
    /// At once.
    Tls,
    /// By the protocol's own STARTTLS.
    Starttls,
}

/// The names that a mailbox may be signed in to with.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The mailbox's.
    pub account: &'a str,
    /// That of the person who authorised; `None` where an application did.
    pub owner: Option<&'a str>,
    /// Whose name the provider accepted before, where that is known.
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
    /// Whose name is tried there, and whose next where that is refused.
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

    /// How to sign in there with `token`. The only place that makes a credential.
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
    /// Whether no network lies between us and the host, whatever the resolver says.
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
            // One's own mailbox, and an application's.
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
