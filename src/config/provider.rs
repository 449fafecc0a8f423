//! Where mail lives: hosts, endpoints, scopes, quirks, and the OAuth client registered there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use time::OffsetDateTime;
use url::Url;

use super::scope;

use crate::protocol::sasl::Mechanism;
use crate::protocol::{Credential, Door};
use crate::secret::Secret;

/// One provider as configured: a preset with the user's changes, or wholly the user's own.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name in `[providers.NAME]`.
    pub name: String,
    /// Whether it is a preset under the preset's own name.
    pub is_preset: bool,
    /// What a person calls it, such as "Gmail".
    pub title: String,
    /// Its mail servers, one for each door that it offers.
    pub services: Vec<Service>,
    /// The authorisation endpoint (RFC 6749 §3.1); `None` is discovered from `issuer`.
    pub authorize_url: Option<Url>,
    /// The token endpoint (RFC 6749 §3.2); `None` is discovered from `issuer`.
    pub token_url: Option<Url>,
    /// The device authorisation endpoint (RFC 8628 §3.1), where there is one.
    pub device_url: Option<Url>,
    /// Why `authorize --device` cannot work here, where the reason is known (Google).
    pub no_device: Option<String>,
    /// The revocation endpoint (RFC 7009), where there is one.
    pub revoke_url: Option<Url>,
    /// Where a person withdraws consent by hand, where no endpoint does it.
    pub revoke_page: Option<String>,
    /// The OIDC userinfo endpoint, where the token can be used there.
    pub userinfo_url: Option<Url>,
    /// Whether the claim `email` tells who consented. False where a tenant's administrator can write any
    /// address there (Microsoft).
    pub email_identifies: bool,
    /// Compared with `iss` of redirects and id_tokens where those carry one. `{tenantid}` in it stands
    /// for any tenant (Microsoft).
    pub issuer: Option<String>,
    /// What is special about that issuer.
    pub quirks: Quirks,
    /// The scopes asked for, in order.
    pub scopes: Vec<String>,
    /// The client registered at the provider; presets ship without one.
    pub client_id: Option<String>,
    /// The client's secret; none makes it a public client.
    pub client_secret: Option<Secret>,
    /// When the client secret ends, if the user told.
    pub client_secret_expires: Option<OffsetDateTime>,
    /// How the secret is sent (RFC 6749 §2.3.1).
    pub client_authentication: ClientAuthentication,
    /// Domains whose accounts live here; `*.example` stands for every domain below `example`.
    pub domains: Vec<String>,
    /// Extra parameters of the authorisation request, such as `access_type=offline`.
    pub authorize_params: BTreeMap<String, String>,
    /// The redirect URI. On a loopback host without a port a free port is chosen at each request.
    pub redirect_uri: Url,
    /// A PEM file trusted besides the system's roots, on the mail and the HTTP leg.
    pub extra_ca: Option<PathBuf>,
    /// Whether refresh requests name the scopes (Microsoft).
    pub scope_on_refresh: bool,
    /// Whether a refresh answers with a new refresh token that replaces the old one.
    pub rotates: bool,
    /// Days without use after which a refresh token dies, where known.
    pub idle_days: Option<u32>,
    /// What else ends a grant here, one plain sentence each, for the forecast.
    pub ends: Vec<String>,
    /// How to register a client, as numbered lines to print where `client_id` is missing.
    pub registration: String,
    /// App-only grants (client credentials or service account), where configured.
    pub app: Option<AppGrant>,
}

impl Provider {
    /// Whether there is a client to ask for tokens with; a service account is one of its own.
    pub fn is_usable(&self) -> bool {
        self.client_id.is_some() || matches!(self.app, Some(AppGrant::ServiceAccount { .. }))
    }

    /// Its server for `door`, where it has one.
    pub fn service(&self, door: Door) -> Option<&Service> {
        self.services.iter().find(|service| service.door == door)
    }

    /// The doors that it has servers for.
    pub fn doors(&self) -> impl Iterator<Item = Door> {
        self.services.iter().map(|service| service.door)
    }

    /// The scopes that a person is asked for who is to use `doors`: those of the doors, then the provider's own.
    pub fn asked_for(&self, doors: &[Door]) -> Vec<String> {
        let of_doors = self.services.iter().filter(|service| doors.contains(&service.door));
        let mut asked: Vec<String> = Vec::new();
        for scope in of_doors.flat_map(|service| &service.scopes).chain(&self.scopes) {
            if !asked.iter().any(|other| scope::covers(other, scope)) {
                asked.push(scope.clone());
            }
        }
        asked
    }

    /// The mail scopes that a grant of the scopes `granted` lacks for `door`.
    pub fn lacking(&self, door: Door, granted: &[String]) -> Vec<String> {
        scope::missing(&self.asked_for(&[door]), Some(granted))
    }

    /// The doors that a grant of the scopes `granted` opens.
    pub fn opened_by(&self, granted: &[String]) -> Vec<Door> {
        self.doors().filter(|&door| self.lacking(door, granted).is_empty()).collect()
    }

    /// The scopes to name in a refresh of a grant of the scopes `granted`: no mail scope that it does not hold,
    /// because a provider may refuse the whole refresh then (AADSTS65001). The others are named as they were asked
    /// for, because a provider leaves some out of what it tells (`offline_access`), and without them it gives no
    /// new refresh token.
    pub fn named_in_refresh(&self, granted: &[String]) -> Vec<String> {
        let doors: Vec<Door> = self.doors().collect();
        let asked = self.asked_for(&doors);
        let missing = scope::missing(&asked, Some(granted));
        let mut named: Vec<String> = asked.into_iter().filter(|scope| !missing.contains(scope)).collect();
        // The configuration asks for other mail scopes by now; the grant still holds its own.
        if !named.iter().any(|scope| scope::is_for_mail(scope)) {
            named.splice(0..0, granted.iter().filter(|scope| scope::is_for_mail(scope)).cloned());
        }
        named
    }

    /// Whether an application's token opens one mailbox alone.
    pub fn app_tokens_are_per_mailbox(&self) -> bool {
        matches!(self.app, Some(AppGrant::ServiceAccount { .. }))
    }
}

/// What is special about a provider's issuer. It does not hold for another one, so a table that names its own
/// issuer does not take it over from its preset.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quirks {
    /// It is known to send `iss` with every code (RFC 9207), without publishing that.
    pub sends_iss: bool,
    /// How it also writes itself in id_tokens (Google leaves the scheme out).
    pub alias: Option<String>,
    /// A refresh token comes only with `access_type=offline` and `prompt=consent` (Google).
    pub offline_by_parameters: bool,
    /// So many days after the consent a grant ends where the project's status is Testing (Google).
    pub testing_days: Option<u32>,
    /// An application gets mail access through a service account, and through no client secret (Google).
    pub app_by_service_account: bool,
}

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

/// Whose names may open a mailbox.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The mailbox's own.
    pub mailbox: &'a str,
    /// The person who authorised; none for an application, which has no other name to sign in with.
    pub owner: Option<&'a str>,
    /// Whose name the server accepted last.
    pub worked: Option<SignInAs>,
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

/// Whose name opens a mailbox that belongs to another than the person who authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInAs {
    /// The mailbox's.
    Account,
    /// The name of the person who authorised.
    Owner,
}

impl Service {
    /// How to sign in there by these `names`. The only place that makes a credential.
    ///
    /// Reports differ on whose name opens a shared mailbox where mail is sent: the owner's is tried first, or the one
    /// that was right before.
    pub fn credential<'a>(&'a self, names: Names<'a>, token: &'a Secret) -> Credential<'a> {
        let Names { mailbox, owner, worked } = names;
        let owner = owner.filter(|owner| owner.to_lowercase() != mailbox.to_lowercase());
        let (user, or_user) = match (owner, self.sign_in_as, worked) {
            (None, ..) | (Some(_), Some(SignInAs::Account), _) => (mailbox, None),
            (Some(owner), Some(SignInAs::Owner), _) => (owner, None),
            (Some(owner), None, Some(SignInAs::Account)) => (mailbox, Some(owner)),
            (Some(owner), None, Some(SignInAs::Owner) | None) => (owner, Some(mailbox)),
        };
        Credential {
            user,
            or_user,
            greeted: self.security == UpstreamSecurity::Tls,
            token,
            mechanisms: &self.mechanisms,
            host: &self.endpoint.host,
            port: self.endpoint.port,
            sasl_ir: self.sasl_ir,
        }
    }
}

/// How the proxy signs in as an application, without a person.
#[derive(Clone, Debug)]
pub enum AppGrant {
    /// RFC 6749 §4.4 with the client secret (Microsoft).
    ClientSecret {
        /// Scopes asked for, such as `https://outlook.office365.com/.default`.
        scopes: Vec<String>,
    },
    /// RFC 6749 §4.4 with a signed assertion (RFC 7523 §2.2, Microsoft: PS256 and `x5t#S256`).
    Certificate {
        /// Scopes asked for.
        scopes: Vec<String>,
        /// PEM certificate.
        certificate: PathBuf,
        /// PEM private key (RSA).
        key: PathBuf,
    },
    /// RFC 7523 §2.1 with `sub` (Google service account with domain-wide delegation).
    ServiceAccount {
        /// Scopes asked for.
        scopes: Vec<String>,
        /// The JSON key file as Google hands it out.
        key: PathBuf,
    },
}

impl AppGrant {
    /// The scopes asked for.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::ClientSecret { scopes }
            | Self::Certificate { scopes, .. }
            | Self::ServiceAccount { scopes, .. } => scopes,
        }
    }
}

/// How a client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the form.
    #[default]
    Post,
    /// The `Authorization` header.
    Basic,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
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
        const SHAPE: &str = "must be host:port, such as \"imap.example.com:993\"";
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
