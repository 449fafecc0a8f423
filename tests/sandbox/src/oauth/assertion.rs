//! JWT assertions (RFC 7523), as Google service accounts and Microsoft certificates sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of an assertion with a valid signature and valid times.
pub(super) struct Claims {
    pub(super) issuer: String,
    pub(super) subject: Option<String>,
    pub(super) scope: Option<String>,
    audience: String,
    /// `x5t#S256` of the header: the thumbprint of the certificate that it was signed with (RFC 7515 §4.1.8).
    thumbprint: Option<String>,
}

/// The audience that Microsoft requires in a federated credential.
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// Verifies RS256 or PS256 with any of the keys; without keys the signature is not checked.
pub(super) fn read(assertion: &str, keys: &[&[u8]]) -> Option<Claims> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header = part(header)?;
    let algorithm = match header.get("alg")?.as_str()? {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        _ => return None,
    };
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let verified =
        |key: &&[u8]| UnparsedPublicKey::new(algorithm, key).verify(signed.as_bytes(), &signature).is_ok();
    if !keys.is_empty() && !keys.iter().any(verified) {
        return None;
    }
    let claims = part(claims)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let time = |name: &str| claims.get(name).and_then(Value::as_u64);
    let expires = time("exp")?;
    let begins = time("nbf").or(time("iat")).unwrap_or(now);
    // Google's limit: an hour from `iat`, with tolerance for clocks.
    if expires <= now || begins > now + 60 || expires > begins + 3600 + 60 {
        return None;
    }
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let thumbprint = header.get("x5t#S256").and_then(Value::as_str).map(str::to_owned);
    Some(Claims {
        issuer: text("iss")?,
        subject: text("sub"),
        scope: text("scope"),
        audience: text("aud")?,
        thumbprint,
    })
}

impl Claims {
    /// RFC 7523 §3: the audience must be this token endpoint.
    pub(super) fn meant_for(&self, issuer: &str) -> Option<()> {
        let path = self.audience.strip_prefix(issuer)?;
        path.ends_with("/token").then_some(())
    }

    /// Whether a client signed the assertion for this server, with one of `certificates` if there are any.
    pub(super) fn is_own(&self, client: &str, issuer: &str, certificates: &[Vec<u8>]) -> bool {
        let named = |certificate: &Vec<u8>| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
            self.thumbprint.as_ref().is_some_and(|told| *told == URL_SAFE_NO_PAD.encode(digest))
        };
        self.issuer == client
            && self.subject.as_deref() == Some(client)
            && self.meant_for(issuer).is_some()
            && (certificates.is_empty() || certificates.iter().any(named))
    }

    /// Whether the assertion comes from another service that this server trusts, and names a subject.
    pub(super) fn is_federated(&self, issuer: Option<&str>) -> bool {
        issuer.is_some_and(|issuer| self.issuer == issuer)
            && self.subject.is_some()
            && self.audience == EXCHANGE
    }
}

fn part(encoded: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}
