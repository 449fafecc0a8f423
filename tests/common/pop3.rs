//! A program that fetches mail through `serve`.

use std::net::SocketAddr;

use serde_json::Value;

use super::Serving;
use super::client::tls_config;

pub use sandbox::pop3::Client;

impl Serving {
    /// The address of the first POP3 listener with this security: `tls`, `starttls` or `none`.
    pub fn pop3_of(&self, security: &str) -> SocketAddr {
        let listeners = self.ready["listeners"].as_array().unwrap();
        let found = listeners
            .iter()
            .find(|listener| listener["protocol"] == "pop3" && listener["security"] == security);
        let found = found.unwrap_or_else(|| panic!("no such POP3 listener in {listeners:?}"));
        found["address"].as_str().unwrap().parse().unwrap()
    }

    /// A connection to the POP3 listener under TLS, greeted.
    pub async fn pop3(&self) -> Client {
        let client = Client::connect(self.pop3_of("tls"), &tls_config(&self.ca_file())).await;
        assert_eq!(client.greeting, "+OK imap-oauth-proxy POP3 ready");
        client
    }

    /// A connection to the POP3 listener under TLS, logged in with `settings` (the JSON of `authorize`).
    pub async fn pop3_as(&self, settings: &Value) -> Client {
        let mut client = self.pop3().await;
        let answer = log_in(&mut client, settings).await;
        assert!(answer.starts_with("+OK"), "{answer:?}");
        client
    }
}

/// USER and PASS with the user name and the password of `settings` (the JSON of `authorize`).
pub async fn log_in(client: &mut Client, settings: &Value) -> String {
    client.user_pass(settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap()).await
}
