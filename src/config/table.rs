//! A provider's table in the written form, and its conversion into a [`Provider`].

mod client;
mod field;
mod services;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use self::field::Field;
use super::error::Problem;
use super::place::Base;
use super::provider::{AssertionAlgorithm, ClientAuthentication, Provider, Quirks};
use super::service::UpstreamSecurity;
use crate::protocol::SignInAs;
use crate::protocol::sasl::Mechanism;
use crate::secret::Secret;

/// Declares the keys of a provider's table, each of which may be missing, and lays one table over another.
macro_rules! table {
    ($($key:ident: $value:ty,)*) => {
        /// A `[providers.NAME]` table, or a preset.
        #[derive(Clone, Deserialize, Default)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct ProviderFile {
            $(pub(super) $key: Option<$value>,)*
        }

        impl ProviderFile {
            /// The keys of `self`, and those of `below` that `self` lacks.
            pub(super) fn over(self, below: &Self) -> Self {
                Self { $($key: self.$key.or_else(|| below.$key.clone()),)* }
            }
        }
    };
}

table! {
    preset: String,
    title: String,
    unsupported: String,
    tenant: String,
    imap: String,
    imap_security: UpstreamSecurity,
    imap_scopes: Vec<String>,
    pop3: String,
    pop3_security: UpstreamSecurity,
    pop3_scopes: Vec<String>,
    pop3_max_connections_per_account: u32,
    smtp: String,
    smtp_security: UpstreamSecurity,
    smtp_scopes: Vec<String>,
    smtp_max_connections_per_account: u32,
    submission_user: SignInAs,
    submission_ehlo: Vec<String>,
    authorize_url: String,
    token_url: String,
    device_url: String,
    no_device: String,
    revoke_url: String,
    revoke_page: String,
    userinfo_url: String,
    email_identifies: bool,
    issuer: String,
    quirks: Quirks,
    scopes: Vec<String>,
    client_id: String,
    client_secret: Secret,
    client_secret_file: PathBuf,
    client_assertion_file: PathBuf,
    client_secret_expires: String,
    client_authentication: ClientAuthentication,
    domains: Vec<String>,
    authorize_params: BTreeMap<String, String>,
    redirect_uri: String,
    mechanisms: Vec<Mechanism>,
    sasl_ir: bool,
    extra_ca: PathBuf,
    max_connections_per_account: u32,
    scope_on_refresh: bool,
    rotates: bool,
    idle_days: u32,
    ends: Vec<String>,
    registration: String,
    app_scopes: Vec<String>,
    app_certificate: PathBuf,
    app_key: PathBuf,
    app_algorithm: AssertionAlgorithm,
    service_account_file: PathBuf,
}

impl ProviderFile {
    /// The keys that name files with secrets, and those files.
    pub(super) fn secret_files(&self) -> [(&'static str, Option<&PathBuf>); 4] {
        [
            ("client_secret_file", self.client_secret_file.as_ref()),
            ("client_assertion_file", self.client_assertion_file.as_ref()),
            ("app_key", self.app_key.as_ref()),
            ("service_account_file", self.service_account_file.as_ref()),
        ]
    }

    /// Whether `authorize --device` can work.
    pub(super) fn takes_device(&self) -> bool {
        self.device_url.is_some() && self.no_device.is_none()
    }

    /// The fault of a client id that is only a placeholder.
    pub(super) fn client_id_fault(&self) -> Option<String> {
        let id = self.client_id.as_deref()?.trim();
        let is_blank =
            id.len() > 8 && id.chars().all(|c| matches!(c, '0' | '-' | 'x' | 'X' | '.' | '…' | '*'));
        match id {
            "" => Some("is empty, so no account can be authorised there".to_owned()),
            _ if is_blank || is_placeholder(id) => {
                Some(format!("{id:?} is a placeholder; write the id of your own registration"))
            }
            _ => None,
        }
    }

    /// The fault of a tenant that can be no part of a URL's path.
    pub(super) fn tenant_fault(&self) -> Option<String> {
        let tenant = self.tenant.as_deref()?.trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match tenant {
            _ if is_placeholder(tenant) => {
                Some(format!("{tenant:?} is a placeholder; write your own tenant's id or domain"))
            }
            _ if tenant.is_empty() || !tenant.chars().all(is_name) => Some(format!(
                "{tenant:?} is neither the id nor the domain of a tenant, such as \"corp.example\""
            )),
            _ => None,
        }
    }

    /// Whether the table itself holds a secret.
    pub(super) fn has_inline_secret(&self) -> bool {
        self.client_secret.as_ref().is_some_and(|secret| !secret.is_empty())
    }
}

/// Whether a value is one of those that samples and guides show.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_lowercase();
    let of_yours = lower.strip_prefix("your").is_some_and(|rest| rest.starts_with(['_', '-', ' ', '.']));
    let is_its_name = ["client_id", "client-id", "clientid", "tenant_id", "tenant-id", "changeme"];
    value.contains('…')
        || value.starts_with("***")
        || value.starts_with('<')
        || of_yours
        || is_its_name.contains(&&*lower)
}

/// The provider `name` from `file`, which may be laid over `preset`.
pub(super) fn build(
    name: &str,
    file: ProviderFile,
    preset: Option<&str>,
    base: &Base,
) -> Result<Provider, Problem> {
    let field = Field { name, tenant: file.tenant.as_deref() };
    let issuer = file.issuer.as_deref().map(|text| field.url("issuer", text)).transpose()?;
    let services = services::services(&field, &file)?;
    let url_or_discovered = |key, value: &Option<String>| match (value, &issuer) {
        (Some(text), _) => field.url(key, text).map(Some),
        (None, Some(_)) => Ok(None),
        (None, None) => Err(field.missing(key).hint("write it, or issuer = \"https://…\" to discover it")),
    };
    let optional =
        |key, value: &Option<String>| value.as_deref().map(|text| field.url(key, text)).transpose();
    let client_id = file.client_id.clone().filter(|id| !id.trim().is_empty());
    if client_id.is_none() && preset.is_none() {
        return Err(field.missing("client_id"));
    }
    let client_secret = client::secret(&field, &file, base)?;
    let client_assertion_file = client::assertion(&field, &file, base)?;
    let has_credential = client_secret.is_some() || client_assertion_file.is_some();
    let app = client::application(&field, &file, base, has_credential)?;
    let scopes = file.scopes.ok_or_else(|| field.missing("scopes"))?;
    field.check_scopes("scopes", &scopes)?;
    let expires = file.client_secret_expires.as_deref();
    let expires = expires.map(|text| field.date("client_secret_expires", text)).transpose()?;
    Ok(Provider {
        is_preset: preset == Some(name),
        title: file.title.unwrap_or_else(|| name.to_owned()),
        services,
        authorize_url: url_or_discovered("authorize_url", &file.authorize_url)?,
        token_url: url_or_discovered("token_url", &file.token_url)?,
        device_url: optional("device_url", &file.device_url)?,
        no_device: file.no_device,
        revoke_url: optional("revoke_url", &file.revoke_url)?,
        revoke_page: file.revoke_page,
        userinfo_url: optional("userinfo_url", &file.userinfo_url)?,
        email_identifies: file.email_identifies.unwrap_or(true),
        // Compared as a string (RFC 9207 §2.4), so only the tenant is replaced.
        issuer: file.issuer.as_deref().map(|text| field.with_tenant(text)),
        quirks: file.quirks.unwrap_or_default(),
        scopes,
        client_id,
        client_secret,
        client_secret_file: file.client_secret_file.map(|path| base.resolve(path)),
        client_assertion_file,
        client_secret_expires: expires,
        client_authentication: file.client_authentication.unwrap_or_default(),
        domains: file.domains.unwrap_or_default().iter().map(|domain| domain.to_lowercase()).collect(),
        authorize_params: file.authorize_params.unwrap_or_default(),
        redirect_uri: field.redirect_uri(file.redirect_uri.as_deref())?,
        extra_ca: file.extra_ca.map(|path| base.resolve(path)),
        scope_on_refresh: file.scope_on_refresh.unwrap_or(false),
        rotates: file.rotates.unwrap_or(false),
        idle_days: file.idle_days,
        ends: file.ends.unwrap_or_default(),
        registration: file.registration.unwrap_or_default(),
        app,
        name: name.to_owned(),
    })
}
