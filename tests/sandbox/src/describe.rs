//! The provider as the proxy's configuration describes it.

use std::net::SocketAddr;

use crate::{Flavour, Sandbox, Security, Vendor};

impl Sandbox {
    /// The section `[providers.NAME]` of the proxy's configuration that points here.
    pub fn provider_toml(&self, name: &str) -> String {
        self.describe(name, self.imap, self.submission)
    }

    /// The same with another way to the IMAP server, such as a [`DelayLine`](crate::DelayLine).
    pub fn provider_toml_at(&self, name: &str, imap: SocketAddr) -> String {
        self.describe(name, imap, self.submission)
    }

    /// The same with another way to the submission server.
    pub fn provider_toml_with_submission_at(&self, name: &str, submission: SocketAddr) -> String {
        let security = self.submission().1;
        self.describe(name, self.imap, Some((submission, security)))
    }

    fn describe(&self, name: &str, imap: SocketAddr, submission: Option<(SocketAddr, Security)>) -> String {
        let vendor = self.vendor();
        let mut lines = vec![
            format!("[providers.{name}]"),
            format!("imap = \"{imap}\""),
            format!("authorize_url = {}", quoted(&self.url("/authorize"))),
            format!("token_url = {}", quoted(&self.url("/token"))),
            format!("device_url = {}", quoted(&self.url("/device"))),
            format!("userinfo_url = {}", quoted(&self.url("/userinfo"))),
            format!("client_id = {}", quoted(&self.client.id)),
            format!("domains = {}", list(&self.domains())),
            format!("extra_ca = {}", quoted(&self.ca_file().to_string_lossy())),
        ];
        if self.imap_security == Security::StartTls {
            lines.push("imap_security = \"starttls\"".to_owned());
        }
        lines.extend(self.scope_lines());
        lines.extend(
            submission.into_iter().flat_map(|(address, security)| submission_lines(address, security)),
        );
        if let Some(secret) = &self.client.secret {
            lines.push(format!("client_secret = {}", quoted(secret)));
        }
        if vendor != Vendor::Microsoft {
            lines.push(format!("revoke_url = {}", quoted(&self.url("/revoke"))));
            lines.push(format!("issuer = {}", quoted(&self.issuer())));
        } else {
            lines.push("redirect_uri = \"http://localhost\"".to_owned());
        }
        if vendor == Vendor::Google {
            lines.push("authorize_params = { access_type = \"offline\", prompt = \"consent\" }".to_owned());
        }
        if self.controls.shared().look(|state| state.imap.flavour) == Flavour::OauthbearerOnly {
            lines.push("mechanisms = [\"oauthbearer\"]".to_owned());
        }
        lines.join("\n") + "\n"
    }

    /// The scopes; where each door has one of its own, apart.
    fn scope_lines(&self) -> Vec<String> {
        let vendor = self.vendor();
        let (reading, sending) = (vendor.mail_scope(), vendor.submission_scope());
        let scopes = vendor.scopes();
        if !self.has_submission() || reading == sending {
            return vec![format!("scopes = {}", list(&scopes))];
        }
        let own = |scope: &str| list(&[scope.to_owned()]);
        let others: Vec<String> = scopes.into_iter().filter(|scope| scope != reading).collect();
        vec![
            format!("imap_scopes = {}", own(reading)),
            format!("smtp_scopes = {}", own(sending)),
            format!("scopes = {}", list(&others)),
        ]
    }

    fn domains(&self) -> Vec<String> {
        let mut domains: Vec<String> = self.controls.shared().look(|state| {
            let domain = |address: &String| address.split_once('@').map(|(_, domain)| domain.to_owned());
            state.users.keys().filter_map(domain).collect()
        });
        domains.sort();
        domains.dedup();
        domains
    }
}

fn submission_lines(address: SocketAddr, security: Security) -> [String; 2] {
    let security = match security {
        Security::Tls => "tls",
        Security::StartTls => "starttls",
    };
    [format!("smtp = \"{address}\""), format!("smtp_security = \"{security}\"")]
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}
