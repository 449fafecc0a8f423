//! A program that sends mail through `serve`.

use std::net::SocketAddr;

use serde_json::Value;

use super::Serving;
use super::client::tls_config;

pub use sandbox::smtp::{Client, Reply};

impl Serving {
    /// The address of the first submission listener with this security: `tls`, `starttls` or `none`.
    pub fn submission_of(&self, security: &str) -> SocketAddr {
        let listeners = self.ready["listeners"].as_array().unwrap();
        let found = listeners
            .iter()
            .find(|listener| listener["protocol"] == "submission" && listener["security"] == security);
        let found = found.unwrap_or_else(|| panic!("no such submission listener in {listeners:?}"));
        found["address"].as_str().unwrap().parse().unwrap()
    }

    /// A connection to the submission listener under TLS, after the greeting and EHLO.
    pub async fn submit(&self) -> Client {
        let mut client = Client::connect(self.submission_of("tls"), &tls_config(&self.ca_file())).await;
        assert_eq!(client.greeting.code(), 220, "{:?}", client.greeting);
        let ehlo = client.ehlo().await;
        assert_eq!(ehlo.code(), 250, "{ehlo:?}");
        client
    }

    /// Like [`Serving::submit`], signed in with `settings` (the JSON of `authorize`).
    pub async fn submit_as(&self, settings: &Value) -> Client {
        let mut client = self.submit().await;
        let reply = sign_in(&mut client, settings).await;
        assert_eq!(reply.code(), 235, "{reply:?}");
        client
    }
}

/// Sends AUTH PLAIN with the user name and the password of `settings` (the JSON of `authorize`).
pub async fn sign_in(client: &mut Client, settings: &Value) -> Reply {
    let text = |key: &str| settings[key].as_str().unwrap().to_owned();
    client.auth_plain(&text("username"), &text("password")).await
}
