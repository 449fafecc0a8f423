//! Where mail lives: hosts, endpoints, scopes, quirks, and the OAuth client registered there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use time::OffsetDateTime;
use url::Url;

use super::scope;
use super::service::Service;
use crate::protocol::Door;
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
    /// What the provider's own hold already, perhaps spelt differently or as `.default`, is asked for as they do.
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

    /// The mail scopes that a grant of the scopes `granted` lacks for `door`; none where they are not known.
    pub fn lacking(&self, door: Door, granted: Option<&[String]>) -> Vec<String> {
        scope::missing(&self.asked_for(&[door]), granted)
    }

    /// The mail scopes that a grant of the scopes `granted` lacks, where it opens no door at all.
    pub fn missing(&self, granted: Option<&[String]>) -> Vec<String> {
        match self.opened_by(granted).is_empty() {
            true => scope::missing(&self.asked_for(&self.doors().collect::<Vec<_>>()), granted),
            false => Vec::new(),
        }
    }

    /// The mail scopes for want of which a grant of the scopes `granted` does not open `door`, where it opens others.
    /// One that opens none by its scopes is not judged: its provider may call them otherwise than it was asked.
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

    /// The scopes to name in a refresh of a grant of the scopes `granted`: no mail scope that it does not hold,
    /// because a provider may refuse the whole refresh then (AADSTS65001). The others are named as they were asked
    /// for, because a provider leaves some out of what it tells (`offline_access`), and without them it gives no
    /// new refresh token.
    pub fn named_in_refresh(&self, granted: Option<&[String]>) -> Vec<String> {
        let mut doors: Vec<Door> = self.doors().collect();
        if granted.is_none() && doors.len() > 1 {
            // A grant of which nothing is known is from elsewhere or from before, when POP3 was not asked for.
            doors.retain(|door| *door != Door::Pop3);
        }
        let asked = self.asked_for(&doors);
        let missing = scope::missing(&asked, granted);
        let mut named: Vec<String> = asked.into_iter().filter(|scope| !missing.contains(scope)).collect();
        // The configuration asks for other mail scopes by now; the grant still holds its own.
        if !named.iter().any(|scope| scope::is_for_mail(scope)) {
            let held = granted.unwrap_or_default().iter().filter(|scope| scope::is_for_mail(scope));
            named.splice(0..0, held.cloned());
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
        // A list of the user's own is asked for as it is spelt, and holds what `.default` stands for.
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
            // Of another configuration.
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
