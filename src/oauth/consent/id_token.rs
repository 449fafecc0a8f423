//! The claims of an id_token (OpenID Connect Core §2).
//!
//! An id_token comes over TLS straight from the token endpoint, so its signature need not be checked
//! (§3.1.3.7 item 6). Issuer, audience, time and nonce are checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use time::OffsetDateTime;

use super::identity::ClaimedNames;
use crate::oauth::http::answer;
use crate::oauth::http::discovery::is_issuer;
use crate::secret::{Secret, same_bytes};

/// What an id_token says about the person who consented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdClaims {
    /// `iss`.
    pub issuer: String,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `exp`, in Unix seconds.
    pub expires_at: i64,
    /// `email` (unless declared unverified), `preferred_username` and `upn`.
    pub names: ClaimedNames,
    /// `tid`: Microsoft's tenant.
    pub tenant: Option<String>,
    nonce: Option<String>,
}

/// Clocks that are five minutes off are common, and the tolerance is harmless here.
const LEEWAY: i64 = 300;

impl IdClaims {
    /// The claims of `token`; `None` if it is not a JWT with the mandatory claims of an id_token.
    pub(in crate::oauth) fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let claims: Value = serde_json::from_slice(&payload).ok()?;
        let claims = claims.as_object()?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            issuer: text("iss")?,
            audience: match claims.get("aud")? {
                Value::String(one) => vec![one.clone()],
                Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => return None,
            },
            expires_at: answer::seconds(claims.get("exp"))?,
            names: ClaimedNames::of(claims),
            tenant: text("tid"),
            nonce: text("nonce"),
        })
    }

    /// Whether this id_token answers our request (OpenID Connect Core §3.1.3.7). `alias` is another spelling
    /// of the issuer.
    pub(in crate::oauth) fn check(
        &self,
        issuer: Option<&str>,
        alias: Option<&str>,
        client_id: &str,
        nonce: Option<&Secret>,
        now: OffsetDateTime,
    ) -> Result<(), &'static str> {
        if issuer.is_some_and(|issuer| !self.is_from(issuer) && alias != Some(&self.issuer)) {
            return Err("it comes from another issuer");
        }
        if !self.audience.iter().any(|audience| audience == client_id) {
            return Err("it is meant for another client");
        }
        if self.expires_at.saturating_add(LEEWAY) < now.unix_timestamp() {
            return Err("it has expired; check this machine's clock");
        }
        let answers = |nonce: &Secret| {
            self.nonce.as_ref().is_some_and(|sent| same_bytes(sent.as_bytes(), nonce.expose().as_bytes()))
        };
        match nonce.is_none_or(answers) {
            true => Ok(()),
            false => Err("it answers another request"),
        }
    }

    /// Microsoft's issuer contains the tenant; it must be the tenant of `tid`.
    fn is_from(&self, issuer: &str) -> bool {
        if issuer.contains("{tenantid}") {
            let own = self.tenant.as_ref().map(|tenant| issuer.replace("{tenantid}", tenant));
            return is_issuer(issuer, &self.issuer) && own.is_none_or(|own| own == self.issuer);
        }
        self.issuer == issuer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSOFT: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

    fn token(claims: &Value) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn claims() -> Value {
        serde_json::json!({
            "iss": "https://accounts.google.com", "aud": "client", "sub": "1", "exp": 2_000_000_000,
            "nonce": "n-1", "email": "bob@corp.example", "email_verified": true,
        })
    }

    fn judge(change: impl Fn(&mut Value)) -> Result<(), &'static str> {
        let mut claims = claims();
        change(&mut claims);
        let parsed = IdClaims::parse(&token(&claims)).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(1_999_999_000).unwrap();
        let (issuer, alias) = (Some("https://accounts.google.com"), Some("accounts.google.com"));
        parsed.check(issuer, alias, "client", Some(&Secret::new("n-1")), now)
    }

    #[test]
    fn issuer_audience_time_and_nonce_are_checked() {
        assert_eq!(judge(|_| ()), Ok(()));
        assert_eq!(judge(|c| c["iss"] = "accounts.google.com".into()), Ok(()));
        assert_eq!(judge(|c| c["aud"] = serde_json::json!(["other", "client"])), Ok(()));
        assert!(judge(|c| c["iss"] = "https://evil.example".into()).is_err());
        assert!(judge(|c| c["aud"] = "other".into()).is_err());
        assert!(judge(|c| c["exp"] = 1_999_990_000.into()).is_err());
        assert!(judge(|c| c["nonce"] = "n-2".into()).is_err());
        assert!(judge(|c| c["nonce"] = Value::Null).is_err());
    }

    #[test]
    fn microsofts_issuer_holds_the_tenant() {
        for (issuer, tid, is) in [
            ("https://login.microsoftonline.com/9188040d-6c67/v2.0", Some("9188040d-6c67"), true),
            ("https://login.microsoftonline.com/9188040d-6c67/v2.0", None, true),
            ("https://login.microsoftonline.com/9188040d-6c67/v2.0", Some("other"), false),
            ("https://login.microsoftonline.com/a/b/v2.0", None, false),
            ("https://login.microsoftonline.com//v2.0", None, false),
            ("https://evil.example/9188040d-6c67/v2.0", Some("9188040d-6c67"), false),
        ] {
            let mut claims = claims();
            claims["iss"] = issuer.into();
            claims["tid"] = tid.map_or(Value::Null, Value::from);
            let parsed = IdClaims::parse(&token(&claims)).unwrap();
            assert_eq!(parsed.is_from(MICROSOFT), is, "{issuer} {tid:?}");
        }
    }

    #[test]
    fn what_is_no_id_token_is_none() {
        for text in ["", "a.b", "a.b.c", "..", "eyJ.e30.x", &token(&serde_json::json!([1]))] {
            assert!(IdClaims::parse(text).is_none(), "{text}");
        }
    }
}
