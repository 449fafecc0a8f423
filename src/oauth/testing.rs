//! Helpers for the unit tests of `oauth`.

use std::collections::BTreeMap;

use url::Url;

use crate::config::{ClientAuthentication, Provider, Quirks};

/// A provider with its endpoints at `base` and a public client.
pub(super) fn provider(base: &str) -> Provider {
    let url = |path: &str| Some(Url::parse(&format!("{base}{path}")).unwrap());
    Provider {
        name: "acme".to_owned(),
        is_preset: false,
        title: "Acme".to_owned(),
        services: Vec::new(),
        authorize_url: url("/authorize"),
        token_url: url("/token"),
        device_url: None,
        no_device: None,
        revoke_url: None,
        revoke_page: None,
        userinfo_url: None,
        email_identifies: true,
        issuer: None,
        quirks: Quirks::default(),
        scopes: vec!["mail".to_owned(), "openid".to_owned()],
        client_id: Some("client".to_owned()),
        client_secret: None,
        client_secret_file: None,
        client_assertion_file: None,
        client_secret_expires: None,
        client_authentication: ClientAuthentication::Post,
        domains: Vec::new(),
        authorize_params: BTreeMap::new(),
        redirect_uri: Url::parse("http://127.0.0.1/callback").unwrap(),
        extra_ca: None,
        scope_on_refresh: false,
        rotates: false,
        idle_days: None,
        ends: Vec::new(),
        registration: String::new(),
        app: None,
    }
}
