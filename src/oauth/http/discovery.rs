//! An issuer's published metadata (OpenID Connect Discovery §4, RFC 8414 §3).
//!
//! The issuer named in the document must equal the requested one character for character; otherwise another
//! server's endpoints could be slipped in. The exception is Microsoft's `common`, whose document holds the
//! literal `{tenantid}`: then host and path must match.

use serde_json::{Map, Value};
use url::Url;

use super::answer;
use super::transport::{Transport, is_safe};
use crate::oauth::TokenError;
use crate::oauth::meaning::text;
use crate::trouble::Cure;

/// The endpoints of an issuer.
#[derive(Debug)]
pub(in crate::oauth) struct Metadata {
    pub(in crate::oauth) issuer: String,
    pub(in crate::oauth) authorize: Option<Url>,
    pub(in crate::oauth) token: Option<Url>,
    pub(in crate::oauth) device: Option<Url>,
    pub(in crate::oauth) revoke: Option<Url>,
    pub(in crate::oauth) userinfo: Option<Url>,
    /// RFC 9207 §3.
    pub(in crate::oauth) sends_iss: bool,
}

/// Requests the metadata of `issuer`, first at OpenID's address, then at RFC 8414's.
pub(in crate::oauth) async fn fetch(transport: &Transport, issuer: &str) -> Result<Metadata, TokenError> {
    let mut failure = None;
    for url in addresses(issuer)? {
        let reply = transport.get(&url, None).await?;
        match answer::object(&reply, &[]) {
            Ok(document) => return read(issuer, &document),
            // Waiting does not help if there is no document, or a web page in its place.
            Err(_) if !answer::is_passing(reply.status) => {
                failure = failure.or_else(|| Some(no_document(&url, reply.status)));
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| unusable(issuer)))
}

/// The error for a missing document. It costs no grant, and the document is requested again, because it may be gone for
/// a while only. But its cure is not to wait: a person can correct the configuration.
fn no_document(url: &Url, status: u16) -> TokenError {
    let address = text::plain(url.as_str(), 300);
    let meaning = format!("there is no discovery document at {address}");
    let error = TokenError::passing("discovery", meaning, Some(status));
    let cure = "correct issuer, which the provider's documentation names, or set authorize_url and token_url";
    error.cured_by(Cure::configure("issuer", cure))
}

/// The two well-known addresses: one appends to the issuer's path, the other precedes it.
fn addresses(issuer: &str) -> Result<[Url; 2], TokenError> {
    let base =
        Url::parse(issuer).ok().filter(|url| is_safe(url) && url.query().is_none() && !issuer.contains('{'));
    let Some(base) = base else { return Err(unusable(issuer)) };
    let path = base.path().trim_end_matches('/');
    let mut openid = base.clone();
    openid.set_path(&format!("{path}/.well-known/openid-configuration"));
    let mut rfc8414 = base.clone();
    rfc8414.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    Ok([openid, rfc8414])
}

fn read(issuer: &str, document: &Map<String, Value>) -> Result<Metadata, TokenError> {
    let published = document.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if published != issuer && !(published.contains("{tenantid}") && is_issuer(published, issuer)) {
        return Err(TokenError::local(
            "issuer",
            match published {
                "" => format!("the discovery document of {} names no issuer", text::plain(issuer, 200)),
                _ => format!(
                    "the discovery document of {} is that of the issuer {}",
                    text::plain(issuer, 200),
                    text::plain(published, 200)
                ),
            },
            Cure::configure("issuer", "set issuer exactly as the provider publishes it"),
        ));
    }
    let url = |name: &str| {
        let url = document.get(name).and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
        url.filter(is_safe)
    };
    Ok(Metadata {
        issuer: published.to_owned(),
        authorize: url("authorization_endpoint"),
        token: url("token_endpoint"),
        device: url("device_authorization_endpoint"),
        revoke: url("revocation_endpoint"),
        userinfo: url("userinfo_endpoint"),
        sends_iss: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
    })
}

/// Whether `actual` equals `expected`, in which `{tenantid}` stands for one path segment.
pub(in crate::oauth) fn is_issuer(expected: &str, actual: &str) -> bool {
    let Some((before, after)) = expected.split_once("{tenantid}") else { return expected == actual };
    let tenant = actual.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    tenant.is_some_and(|tenant| {
        !tenant.is_empty() && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    })
}

fn unusable(issuer: &str) -> TokenError {
    TokenError::local(
        "issuer",
        format!("the issuer {} cannot be asked for its endpoints", text::plain(issuer, 200)),
        Cure::configure("issuer", "set authorize_url and token_url, or an https issuer without query"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_well_known_paths_are_built_as_their_standards_say() {
        let [openid, rfc8414] = addresses("https://auth.example/realms/mail/").unwrap();
        assert_eq!(openid.as_str(), "https://auth.example/realms/mail/.well-known/openid-configuration");
        assert_eq!(
            rfc8414.as_str(),
            "https://auth.example/.well-known/oauth-authorization-server/realms/mail"
        );
        let [openid, _] = addresses("https://accounts.example").unwrap();
        assert_eq!(openid.as_str(), "https://accounts.example/.well-known/openid-configuration");
    }

    #[test]
    fn an_issuer_is_https_and_holds_no_template() {
        for issuer in
            ["http://auth.example", "https://login.example/{tenantid}/v2.0", "auth.example", "https://a/?x=1"]
        {
            assert!(addresses(issuer).is_err(), "{issuer}");
        }
        assert!(addresses("http://127.0.0.1:8080").is_ok());
    }

    #[test]
    fn the_document_must_name_the_issuer_asked() {
        let document = |issuer: &str| {
            let json = serde_json::json!({
                "issuer": issuer,
                "token_endpoint": "https://auth.example/token",
                "authorization_endpoint": "http://evil.example/authorize",
                "authorization_response_iss_parameter_supported": true,
            });
            json.as_object().unwrap().clone()
        };
        let metadata = read("https://auth.example", &document("https://auth.example")).unwrap();
        assert_eq!(metadata.token.unwrap().as_str(), "https://auth.example/token");
        assert!(metadata.authorize.is_none(), "http is no address for a secret");
        assert!(metadata.sends_iss);
        assert!(read("https://auth.example", &document("https://auth.example/")).is_err());
        assert!(read("https://auth.example", &document("https://evil.example")).is_err());
        let common = "https://login.microsoftonline.com/common/v2.0";
        assert!(read(common, &document("https://login.microsoftonline.com/{tenantid}/v2.0")).is_ok());
        assert!(read(common, &document("https://evil.example/{tenantid}/v2.0")).is_err());
    }
}
