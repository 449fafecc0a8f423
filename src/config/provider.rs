//! A mail provider: hosts, endpoints, scopes, quirks, and the OAuth client registered there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use time::OffsetDateTime;
use url::Url;

use super::scope;
use super::service::Service;
use crate::protocol::Door;
use crate::secret::Secret;

/// A configured provider: a preset with the user's changes, or the user's own definition.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name in `[providers.NAME]`.
    pub name: String,
    /// Whether it is a preset under the preset's own name.
    pub is_preset: bool,
    /// Its name for people, such as "Gmail".
    pub title: String,
    /// Its mail servers, one for each door that it offers.
    pub services: Vec<Service>,
    /// The authorisation endpoint (RFC 6749 §3.1); `None` is discovered from `issuer`.
    pub authorize_url: Option<Url>,
    /// The token endpoint (RFC 6749 §3.2); `None` is discovered from `issuer`.
    pub token_url: Option<Url>,
    /// The device authorisation endpoint (RFC 8628 §3.1), if there is one.
    pub device_url: Option<Url>,
    /// Why `authorize --device` cannot work here, if that is known (Google).
    pub no_device: Option<String>,
    /// The revocation endpoint (RFC 7009), if there is one.
    pub revoke_url: Option<Url>,
    /// The page on which a person withdraws consent, if no endpoint does it.
    pub revoke_page: Option<String>,
    /// The OIDC userinfo endpoint, if it accepts the token.
    pub userinfo_url: Option<Url>,
    /// Whether the claim `email` identifies the person. False if a tenant's administrator can set any address
    /// (Microsoft).
    pub email_identifies: bool,
    /// Compared with `iss` of redirects and id_tokens that have one. `{tenantid}` matches any tenant (Microsoft).
    pub issuer: Option<String>,
    /// The issuer's special behaviour.
    pub quirks: Quirks,
    /// The scopes asked for, in order.
    pub scopes: Vec<String>,
    /// The client registered at the provider; presets ship without one.
    pub client_id: Option<String>,
    /// The client's secret; none makes it a public client.
    pub client_secret: Option<Secret>,
    /// The file that the secret was read from, unless the configuration itself has it.
    pub client_secret_file: Option<PathBuf>,
    /// A file with a signed assertion instead of a secret (RFC 7523 §2.2, a federated credential). It is read at
    /// each use, because another program renews it.
    pub client_assertion_file: Option<PathBuf>,
    /// When the client secret ends, if configured.
    pub client_secret_expires: Option<OffsetDateTime>,
    /// How the secret is sent (RFC 6749 §2.3.1).
    pub client_authentication: ClientAuthentication,
    /// Domains of its accounts; `*.example` stands for every domain below `example`.
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
    /// Days without use after which a refresh token ends, if known.
    pub idle_days: Option<u32>,
    /// Other events that end a grant here, one plain sentence each, for the forecast.
    pub ends: Vec<String>,
    /// How to register a client, as numbered lines to print if `client_id` is missing.
    pub registration: String,
    /// App-only grants (client credentials or service account), if configured.
    pub app: Option<AppGrant>,
}

impl Provider {
    /// Whether tokens can be asked for; a service account needs no other client.
    pub fn is_usable(&self) -> bool {
        self.client_id.is_some() || matches!(self.app, Some(AppGrant::ServiceAccount { .. }))
    }

    /// Its server for `door`, if it has one.
    pub fn service(&self, door: Door) -> Option<&Service> {
        self.services.iter().find(|service| service.door == door)
    }

    /// The doors of its servers.
    pub fn doors(&self) -> impl Iterator<Item = Door> {
        self.services.iter().map(|service| service.door)
    }

    /// The scopes to ask a person for who will use `doors`: those of the doors, then the provider's own. A scope
    /// that the provider's own list covers, in another spelling or as `.default`, is asked for in that form.
    pub fn asked_for(&self, doors: &[Door]) -> Vec<String> {
        let of_doors = self.services.iter().filter(|service| doors.contains(&service.door));
        let mut asked: Vec<String> = Vec::new();
        for scope in of_doors.flat_map(|service| &service.scopes) {
            let known = |other: &String| scope::covers(scope, other);
            if !asked.iter().chain(&self.scopes).any(known) {
                asked.push(scope.clone());
            }
        }
        asked.extend(self.scopes.iter().cloned());
        asked
    }

    /// The mail scopes that a grant of the scopes `granted` lacks for `door`; none if `granted` is not known.
    pub fn lacking(&self, door: Door, granted: Option<&[String]>) -> Vec<String> {
        scope::missing(&self.asked_for(&[door]), granted)
    }

    /// The mail scopes that a grant of the scopes `granted` lacks, if it opens no door.
    pub fn missing(&self, granted: Option<&[String]>) -> Vec<String> {
        match self.opened_by(granted).is_empty() {
            true => scope::missing(&self.asked_for(&self.doors().collect::<Vec<_>>()), granted),
            false => Vec::new(),
        }
    }

    /// The mail scopes that a grant of the scopes `granted` lacks for `door`, if it opens other doors. A grant
    /// that opens no door by its scopes is not judged: its provider may use other names for scopes.
    pub fn closed(&self, door: Door, granted: Option<&[String]>) -> Vec<String> {
        match self.opened_by(granted).is_empty() {
            true => Vec::new(),
            false => self.lacking(door, granted),
        }
    }

    /// The doors that a grant of the scopes `granted` opens, and `door`.
    pub fn opened_with(&self, door: Door, granted: Option<&[String]>) -> Vec<Door> {
        let opened = self.opened_by(granted);
        self.doors().filter(|other| *other == door || opened.contains(other)).collect()
    }

    /// The doors that a grant of the scopes `granted` opens.
    pub fn opened_by(&self, granted: Option<&[String]>) -> Vec<Door> {
        self.doors().filter(|&door| self.lacking(door, granted).is_empty()).collect()
    }

    /// The scopes to name in a refresh of a grant of the scopes `granted`. Mail scopes that it lacks are left out,
    /// because a provider may refuse the whole refresh (AADSTS65001). Other scopes are named as they were asked
    /// for: a provider does not list all of them (`offline_access`), and gives no new refresh token without them.
    pub fn named_in_refresh(&self, granted: Option<&[String]>) -> Vec<String> {
        let mut doors: Vec<Door> = self.doors().collect();
        if granted.is_none() && doors.len() > 1 {
            // A grant without known scopes was imported or is old, and never asked for POP3.
            doors.retain(|door| *door != Door::Pop3);
        }
        let asked = self.asked_for(&doors);
        let missing = scope::missing(&asked, granted);
        let mut named: Vec<String> = asked.into_iter().filter(|scope| !missing.contains(scope)).collect();
        // The configuration now asks for other mail scopes, but the grant holds its old ones.
        if !named.iter().any(|scope| scope::is_for_mail(scope)) {
            let held = granted.unwrap_or_default().iter().filter(|scope| scope::is_for_mail(scope));
            named.splice(0..0, held.cloned());
        }
        named
    }

    /// Whether an application's token opens only one mailbox.
    pub fn app_tokens_are_per_mailbox(&self) -> bool {
        matches!(self.app, Some(AppGrant::ServiceAccount { .. }))
    }
}

/// Special behaviour of an issuer. A table with another issuer than its preset's does not inherit it.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quirks {
    /// The issuer sends `iss` with every code (RFC 9207), but does not publish that.
    pub sends_iss: bool,
    /// The issuer's other name in id_tokens (Google leaves the scheme out).
    pub alias: Option<String>,
    /// A refresh token comes only with `access_type=offline` and `prompt=consent` (Google).
    pub offline_by_parameters: bool,
    /// Days after the consent at which a grant ends if the project's status is Testing (Google).
    pub testing_days: Option<u32>,
    /// An application gets mail access only through a service account, not through a client secret (Google).
    pub app_by_service_account: bool,
}

/// How the proxy signs in as an application, without a person.
#[derive(Clone, Debug)]
pub enum AppGrant {
    /// RFC 6749 §4.4 with the client secret (Microsoft), or with the assertion of
    /// [`Provider::client_assertion_file`].
    ClientSecret {
        /// Scopes asked for, such as `https://outlook.office365.com/.default`.
        scopes: Vec<String>,
    },
    /// RFC 6749 §4.4 with a signed assertion (RFC 7523 §2.2, Microsoft: `x5t#S256`).
    Certificate {
        /// Scopes asked for.
        scopes: Vec<String>,
        /// PEM certificate.
        certificate: PathBuf,
        /// PEM private key (RSA).
        key: PathBuf,
        /// How it is signed.
        algorithm: AssertionAlgorithm,
    },
    /// RFC 7523 §2.1 with `sub` (Google service account with domain-wide delegation).
    ServiceAccount {
        /// Scopes asked for.
        scopes: Vec<String>,
        /// The JSON key file from Google.
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

/// How an application's assertion is signed (RFC 7518 §3.3, §3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
pub enum AssertionAlgorithm {
    /// RSASSA-PSS, which Microsoft's pages ask for.
    #[default]
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5, for servers without RSASSA-PSS.
    #[serde(rename = "RS256")]
    Rs256,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const IDENTITY: &str = "openid profile email offline_access";

    fn microsoft(own: &str) -> std::sync::Arc<Provider> {
        let text = format!("state_directory = \"/x\"\n[providers.microsoft365]\nclient_id = \"x\"\n{own}\n");
        Config::parse(&text, None).unwrap().providers["microsoft365"].clone()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_person_is_asked_for_the_scopes_of_the_doors_and_for_no_other() {
        let preset = microsoft("");
        let [imap, pop3, send] = ["IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"]
            .map(|right| format!("https://outlook.office.com/{right}"));
        for (doors, asked) in [
            (&[][..], IDENTITY.to_owned()),
            (&[Door::Imap], format!("{imap} {IDENTITY}")),
            (&[Door::Pop3], format!("{pop3} {IDENTITY}")),
            (&[Door::Submission], format!("{send} {IDENTITY}")),
            (&Door::ALL, format!("{imap} {pop3} {send} {IDENTITY}")),
        ] {
            assert_eq!(preset.asked_for(doors), words(&asked));
        }
        // The user's own scopes are asked for as written, and cover what `.default` stands for.
        for (own, asked) in [
            (
                "https://outlook.office365.com/IMAP.AccessAsUser.All openid",
                format!("{pop3} {send} https://outlook.office365.com/IMAP.AccessAsUser.All openid"),
            ),
            (
                "https://outlook.office.com/.default openid",
                "https://outlook.office.com/.default openid".to_owned(),
            ),
        ] {
            let own = microsoft(&format!("scopes = {:?}", words(own)));
            assert_eq!(own.asked_for(&Door::ALL), words(&asked));
        }
    }

    #[test]
    fn a_refresh_names_what_the_grant_holds_and_an_unknown_grant_opens_everything() {
        let preset = microsoft("");
        let [imap, pop3, send] = ["IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send"]
            .map(|right| format!("https://outlook.office.com/{right}"));
        for (granted, named, opened) in [
            (imap.clone(), format!("{imap} {IDENTITY}"), &[Door::Imap][..]),
            (pop3.clone(), format!("{pop3} {IDENTITY}"), &[Door::Pop3]),
            (format!("{send} openid"), format!("{send} {IDENTITY}"), &[Door::Submission]),
            (format!("{send} {imap}"), format!("{imap} {send} {IDENTITY}"), &[Door::Imap, Door::Submission]),
            // Scopes of an earlier configuration.
            ("https://graph.example/Mail".to_owned(), format!("https://graph.example/Mail {IDENTITY}"), &[]),
        ] {
            let granted = words(&granted);
            assert_eq!(preset.named_in_refresh(Some(&granted)), words(&named), "{granted:?}");
            assert_eq!(preset.opened_by(Some(&granted)), opened, "{granted:?}");
        }
        assert_eq!(preset.lacking(Door::Submission, Some(&words(&imap))), std::slice::from_ref(&send));
        assert_eq!(preset.missing(Some(&words(&imap))), [""; 0]);
        assert_eq!(preset.missing(Some(&words("openid"))), [imap.clone(), pop3, send.clone()]);
        assert_eq!(preset.named_in_refresh(None), words(&format!("{imap} {send} {IDENTITY}")));
        assert_eq!(preset.opened_by(None), Door::ALL);
    }
}
