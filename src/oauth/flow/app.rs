//! Tokens for an application, without a person: client credentials (RFC 6749 §4.4) at Microsoft, with
//! a secret or a signed assertion (RFC 7523 §2.2), and Google's service account (RFC 7523 §2.1).
//!
//! There is no refresh token: each request uses the application's own key. The key file is read for each
//! request, so a renewed key needs no restart. Such an application can open many mailboxes; only this proxy's
//! app passwords decide who may log in to them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use time::OffsetDateTime;
use url::Url;
use zeroize::Zeroizing;

use super::jwt::{SigningKey, fresh_id};
use super::key_file;
use crate::config::{AppGrant, AssertionAlgorithm};
use crate::oauth::http::request::{self, Requests};
use crate::oauth::meaning::text;
use crate::oauth::{Client, GrantedTokens, ProviderRefusal, TokenError};
use crate::secret::{Secret, sha256};
use crate::trouble::Cure;

/// Vendors recommend five to ten minutes for a client assertion.
const ASSERTION_LIFETIME: i64 = 600;
/// The longest lifetime that Google accepts.
const SERVICE_ACCOUNT_LIFETIME: i64 = 3600;
/// No certificate or key is longer; what is, is another file.
const LONGEST_FILE: u64 = 1024 * 1024;
/// Clocks differ: an assertion is valid from a minute ago.
const SKEW: i64 = 60;

impl Client {
    /// An access token for `mailbox` by the application's own right. Microsoft's tokens open all mailboxes
    /// that the application may use; Google's open `mailbox` alone.
    pub async fn app_token(&self, mailbox: &str) -> Result<GrantedTokens, TokenError> {
        let url = self.token_url().await?;
        let request = match &self.provider.app {
            None => {
                return Err(TokenError::local(
                    "app",
                    format!("no application sign-in is configured for {}", self.provider.title),
                    Cure::configure(
                        "app",
                        format!("set app in [providers.{}], or authorise as a person", self.provider.name),
                    ),
                ));
            }
            Some(AppGrant::ClientSecret { scopes }) => {
                own_tenant(&url)?;
                if self.provider.client_secret.is_none() && self.provider.client_assertion_file.is_none() {
                    return Err(TokenError::local(
                        "client_secret",
                        "application sign-in needs a client secret or a certificate",
                        Cure::configure(
                            "client_secret_file",
                            format!("set client_secret_file in [providers.{}]", self.provider.name),
                        ),
                    ));
                }
                self.requests().await?.client_credentials(scopes)?
            }
            Some(AppGrant::Certificate { scopes, certificate, key, algorithm }) => {
                own_tenant(&url)?;
                let client_id = request::client_id(&self.provider)?;
                let assertion = client_assertion(&url, client_id, certificate, key, *algorithm).await?;
                Requests::new(&self.provider, &url, Some(assertion))?.client_credentials(scopes)?
            }
            Some(AppGrant::ServiceAccount { scopes, key }) => {
                let assertion = service_account_assertion(&url, mailbox, scopes, key).await?;
                request::jwt_bearer(&url, &assertion)?
            }
        };
        self.tokens(request).await.map_err(for_application)
    }
}

/// The assertion that Microsoft accepts in place of a client secret.
async fn client_assertion(
    token_url: &Url,
    client_id: &str,
    certificate: &Path,
    key: &Path,
    algorithm: AssertionAlgorithm,
) -> Result<Secret, TokenError> {
    let pem = read(certificate).await?;
    let der = CertificateDer::from_pem_slice(&pem)
        .map_err(|_| wrong_file(certificate, "it holds no certificate"))?;
    let signing = SigningKey::from_pem(&read(key).await?).map_err(|why| wrong_file(key, why))?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der)
        .map_err(|_| wrong_file(certificate, "its certificate is not readable"))?;
    if parsed.public_key().subject_public_key.data != signing.public_key() {
        return Err(wrong_file(key, "its private key does not belong to the certificate"));
    }
    if parsed.validity().not_after.timestamp() < OffsetDateTime::now_utc().unix_timestamp() {
        return Err(wrong_file(certificate, "its certificate has expired"));
    }
    let header = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(sha256(&der)) });
    let claims = client_claims(token_url, client_id, OffsetDateTime::now_utc().unix_timestamp());
    signing.sign(algorithm, header, &claims).map_err(|why| wrong_file(key, why))
}

fn client_claims(token_url: &Url, client_id: &str, now: i64) -> Value {
    json!({
        "aud": token_url.as_str(),
        "iss": client_id,
        "sub": client_id,
        "jti": fresh_id(),
        "iat": now,
        "nbf": now - SKEW,
        "exp": now - SKEW + ASSERTION_LIFETIME,
    })
}

/// The assertion that Google accepts for a service account with domain-wide delegation.
async fn service_account_assertion(
    token_url: &Url,
    mailbox: &str,
    scopes: &[String],
    key: &Path,
) -> Result<Secret, TokenError> {
    #[derive(serde::Deserialize)]
    struct KeyFile {
        client_email: String,
        private_key: Secret,
        private_key_id: Option<String>,
    }
    // Replaces the parser's message, which would quote the key file.
    let file: KeyFile = serde_json::from_slice(&read(key).await?)
        .map_err(|_| wrong_file(key, "it is not the JSON key of a service account"))?;
    let signing =
        SigningKey::from_pem(file.private_key.expose().as_bytes()).map_err(|why| wrong_file(key, why))?;
    let header = file.private_key_id.map_or_else(|| json!({}), |id| json!({ "kid": id }));
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({
        "iss": file.client_email,
        "sub": mailbox,
        "scope": scopes.join(" "),
        "aud": token_url.as_str(),
        "iat": now - SKEW,
        "exp": now - SKEW + SERVICE_ACCOUNT_LIFETIME,
    });
    signing.sign(AssertionAlgorithm::Rs256, header, &claims).map_err(|why| wrong_file(key, why))
}

/// Refuses the shared tenants before a request: Microsoft would answer AADSTS9001023.
fn own_tenant(token_url: &Url) -> Result<(), TokenError> {
    let host = token_url.host_str().unwrap_or_default();
    let is_microsoft = host.starts_with("login.") && host.contains("microsoftonline.");
    let tenant = token_url.path_segments().and_then(|mut path| path.next()).unwrap_or_default();
    match is_microsoft
        && ["common", "organizations", "consumers"].contains(&tenant.to_ascii_lowercase().as_str())
    {
        false => Ok(()),
        true => Err(TokenError::local(
            "tenant",
            format!("application sign-in needs a tenant of its own, and `{tenant}` means all tenants"),
            Cure::configure(
                "tenant",
                "set tenant of the provider to the directory (tenant) id; personal accounts have no application sign-in",
            ),
        )),
    }
}

/// An application has no person to ask, so its administrator has to act instead.
fn for_application(error: TokenError) -> TokenError {
    match error {
        TokenError::NeedsPerson(refusal) if refusal.is_plain_invalid_grant() => {
            TokenError::NeedsAdministrator(Box::new(ProviderRefusal {
                meaning: "the provider does not accept this application for the account".into(),
                cure: Cure::Administrator {
                    text: "check the application's key and permissions, and that the account exists".into(),
                },
                ..*refusal
            }))
        }
        TokenError::NeedsPerson(refusal) => TokenError::NeedsAdministrator(refusal),
        other => other,
    }
}

async fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let read = key_file::read(path, LONGEST_FILE).await;
    read.map_err(|error| wrong_file(path, &format!("it cannot be read: {error}")))
}

fn wrong_file(path: &Path, why: &str) -> TokenError {
    let name = text::plain(&path.display().to_string(), 300);
    TokenError::local(
        "app_key",
        format!("the application's key file {name} cannot be used: {why}"),
        Cure::configure("app", "correct the file or its path"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_that_stand_for_many_are_refused() {
        for (url, refused) in [
            ("https://login.microsoftonline.com/common/oauth2/v2.0/token", true),
            ("https://login.microsoftonline.com/Consumers/oauth2/v2.0/token", true),
            ("https://login.partner.microsoftonline.cn/organizations/oauth2/v2.0/token", true),
            ("https://login.microsoftonline.us/corp.example/oauth2/v2.0/token", false),
            ("https://auth.example/common/token", false),
        ] {
            assert_eq!(own_tenant(&Url::parse(url).unwrap()).is_err(), refused, "{url}");
        }
    }

    #[test]
    fn client_claims_are_short_lived_and_unique() {
        let url = Url::parse("https://login.microsoftonline.com/corp.example/oauth2/v2.0/token").unwrap();
        let (one, two) = (client_claims(&url, "id", 1000), client_claims(&url, "id", 1000));
        assert_eq!(
            (&one["iss"], &one["sub"], &one["aud"]),
            (&json!("id"), &json!("id"), &json!(url.as_str()))
        );
        assert_eq!((&one["nbf"], &one["exp"]), (&json!(940), &json!(1540)));
        assert_ne!(one["jti"], two["jti"]);
    }
}
