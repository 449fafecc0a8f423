//! The provider as the proxy's configuration describes it.

use std::net::SocketAddr;

use crate::{Flavour, Sandbox, Security, Vendor};

impl Sandbox {
    /// The section `[providers.NAME]` of the proxy's configuration for this provider.
    pub fn provider_toml(&self, name: &str) -> String {
        self.describe(name, self.imap, self.pop3, self.submission)
    }

    /// Like [`Sandbox::provider_toml`], with another IMAP address, such as a [`DelayLine`](crate::DelayLine).
    pub fn provider_toml_at(&self, name: &str, imap: SocketAddr) -> String {
        self.describe(name, imap, self.pop3, self.submission)
    }

    /// Like [`Sandbox::provider_toml`], with another submission address.
    pub fn provider_toml_with_submission_at(&self, name: &str, submission: SocketAddr) -> String {
        let security = self.submission().1;
        self.describe(name, self.imap, self.pop3, Some((submission, security)))
    }

    /// Like [`Sandbox::provider_toml`], with another address of the POP3 server.
    pub fn provider_toml_with_pop3_at(&self, name: &str, pop3: SocketAddr) -> String {
        let security = self.pop3().1;
        self.describe(name, self.imap, Some((pop3, security)), self.submission)
    }

    fn describe(
        &self,
        name: &str,
        imap: SocketAddr,
        pop3: Option<(SocketAddr, Security)>,
        submission: Option<(SocketAddr, Security)>,
    ) -> String {
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
        for (key, server) in [("pop3", pop3), ("smtp", submission)] {
            lines.extend(
                server.into_iter().flat_map(|(address, security)| server_lines(key, address, security)),
            );
        }
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

    /// The scopes; separate lists if each protocol has its own scope.
    fn scope_lines(&self) -> Vec<String> {
        let vendor = self.vendor();
        let reading = vendor.mail_scope();
        let scopes = vendor.scopes();
        let others = [
            ("pop3", self.pop3.is_some(), vendor.pop3_scope()),
            ("smtp", self.has_submission(), vendor.submission_scope()),
        ];
        let apart = |&(_, is_served, scope): &(&str, bool, &str)| is_served && scope != reading;
        if !others.iter().any(apart) {
            return vec![format!("scopes = {}", list(&scopes))];
        }
        let own = |key: &str, scope: &str| format!("{key}_scopes = {}", list(&[scope.to_owned()]));
        let identity: Vec<String> = scopes.into_iter().filter(|scope| scope != reading).collect();
        let mut lines = vec![own("imap", reading), format!("scopes = {}", list(&identity))];
        lines.extend(others.iter().filter(|other| apart(other)).map(|(key, _, scope)| own(key, scope)));
        lines
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

fn server_lines(key: &str, address: SocketAddr, security: Security) -> [String; 2] {
    let security = match security {
        Security::Tls => "tls",
        Security::StartTls => "starttls",
    };
    [format!("{key} = \"{address}\""), format!("{key}_security = \"{security}\"")]
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}
