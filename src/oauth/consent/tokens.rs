//! Reads the tokens that a provider grants, tolerant of real endpoints' spellings.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::id_token::IdClaims;
use crate::oauth::TokenError;
use crate::oauth::http::answer::{seconds, secret};
use crate::secret::Secret;

/// Assumed if the provider gives no usable lifetime (RFC 6749 §5.1 uses an hour in its example).
const DEFAULT_LIFETIME: i64 = 3600;
/// Longer lifetimes are cut to this, so that no arithmetic overflows.
const LONGEST_LIFETIME: i64 = 366 * 86_400;

/// What a token endpoint granted (RFC 6749 §5.1).
#[derive(Clone, Debug)]
pub struct GrantedTokens {
    /// The access token; opaque, visible ASCII.
    pub access_token: Secret,
    /// A refresh token that replaces the one used; `None` keeps the old one (RFC 6749 §6).
    pub refresh_token: Option<Secret>,
    /// When the access token expires; an hour from now if the provider does not say.
    pub expires_at: OffsetDateTime,
    /// The granted scopes; `None` means those that were asked for.
    pub scopes: Option<Vec<String>>,
    /// The person's claims, if the answer held an id_token.
    pub id_claims: Option<IdClaims>,
    /// When the refresh token expires, if the provider says (Google: access granted for a limited time).
    pub refresh_expires_at: Option<OffsetDateTime>,
}

impl GrantedTokens {
    /// The tokens in a successful answer (RFC 6749 §5.1); unknown members are ignored.
    pub(in crate::oauth) fn read(
        object: &Map<String, Value>,
        now: OffsetDateTime,
    ) -> Result<Self, TokenError> {
        let access_token = secret(object, "access_token")
            .filter(|token| token.expose().bytes().all(|b| b.is_ascii_graphic()));
        let Some(access_token) = access_token else {
            return Err(TokenError::passing(
                "no_access_token",
                "the provider's answer holds no usable access token",
                None,
            ));
        };
        Ok(Self {
            access_token,
            refresh_token: secret(object, "refresh_token"),
            expires_at: now.saturating_add(
                lifetime(object.get("expires_in")).unwrap_or(time::Duration::seconds(DEFAULT_LIFETIME)),
            ),
            scopes: scopes(object.get("scope")),
            id_claims: object.get("id_token").and_then(Value::as_str).and_then(IdClaims::parse),
            refresh_expires_at: lifetime(object.get("refresh_token_expires_in"))
                .map(|left| now.saturating_add(left)),
        })
    }
}

fn lifetime(value: Option<&Value>) -> Option<time::Duration> {
    seconds(value).map(|seconds| time::Duration::seconds(seconds.min(LONGEST_LIFETIME)))
}

fn scopes(value: Option<&Value>) -> Option<Vec<String>> {
    let scopes: Vec<&str> = match value? {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let scopes: Vec<_> = scopes.into_iter().filter(|scope| is_scope(scope)).map(str::to_owned).collect();
    Some(scopes).filter(|scopes| !scopes.is_empty())
}

/// Whether a text has only the characters of a scope (RFC 6749, section 3.3). Others cannot be stored in every database.
fn is_scope(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scope_has_the_characters_of_the_rfc() {
        assert_eq!(
            scopes(Some(&json!("a\u{0}b https://mail.google.com/"))).unwrap(),
            ["https://mail.google.com/"]
        );
        assert_eq!(scopes(Some(&json!(["a\"", "offline_access", "é"]))).unwrap(), ["offline_access"]);
        assert!(scopes(Some(&json!("\u{0}"))).is_none());
    }

    fn granted(answer: &Value) -> GrantedTokens {
        GrantedTokens::read(answer.as_object().unwrap(), OffsetDateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn answers_are_read_as_real_endpoints_write_them() {
        for (expires_in, lifetime) in [
            (json!(3599), 3599),
            (json!("3599"), 3599),
            (json!(" 3599 "), 3599),
            (json!(3599.7), 3599),
            (json!("3599.7"), 3599),
            (json!(null), 3600),
            (json!(0), 3600),
            (json!(-5), 3600),
            (json!("-5"), 3600),
            (json!("soon"), 3600),
            (json!([]), 3600),
            (json!(1e300), 366 * 86_400),
            (json!("NaN"), 3600),
            (json!(u64::MAX), 366 * 86_400),
        ] {
            let tokens = granted(&json!({"access_token": "a", "expires_in": expires_in}));
            assert_eq!(tokens.expires_at.unix_timestamp(), lifetime, "{expires_in}");
        }
        let tokens = granted(
            &json!({"access_token": "a", "refresh_token": "", "scope": "", "refresh_token_expires_in": "60"}),
        );
        assert_eq!((tokens.refresh_token, tokens.scopes), (None, None));
        assert_eq!(tokens.refresh_expires_at.unwrap().unix_timestamp(), 60);
        let tokens =
            granted(&json!({"access_token": "a", "scope": ["x", "y"], "id_token": "broken", "unknown": {}}));
        assert_eq!(tokens.scopes.unwrap(), ["x", "y"]);
        assert!(tokens.id_claims.is_none() && tokens.refresh_expires_at.is_none());
    }

    #[test]
    fn an_access_token_that_no_mail_server_takes_is_none() {
        for token in
            [json!(""), json!(null), json!(7), json!("a\u{1}auth=Bearer b"), json!("a b"), json!("é")]
        {
            let answer = json!({"access_token": token});
            let error =
                GrantedTokens::read(answer.as_object().unwrap(), OffsetDateTime::UNIX_EPOCH).unwrap_err();
            assert!(error.is_passing(), "{token}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_reading_panic(members in prop::collection::btree_map("access_token|expires_in|scope|id_token|refresh_token", any::<String>(), 0..5)) {
            let answer = json!(members);
            let _ = GrantedTokens::read(answer.as_object().unwrap(), OffsetDateTime::now_utc());
        }
    }
}
