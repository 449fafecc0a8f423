//! Whether the expected person gave the consent.
//!
//! Each name that the provider tells is compared without case; at Gmail also without dots in the local part,
//! and with `googlemail.com` equal to `gmail.com`. `email` counts only where the provider has verified it: at
//! Microsoft a tenant's administrator can write any address there, so the preset excludes it. If no name
//! counts, the sign-in to the mail server is the proof.

use serde_json::{Map, Value};

use crate::oauth::meaning::text;

/// RFC 5321 §4.5.3.1 allows an address 254 octets.
const LONGEST_NAME: usize = 256;

/// The outcome of comparing names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// One of the names is the expected one.
    Match,
    /// Another person consented: store nothing, show both names. The names are cleaned for showing.
    Mismatch {
        /// The names of the person who consented.
        names: Vec<String>,
    },
    /// The provider told no name.
    Unknown,
}

/// Compares the account (or `--owner`) with the names of the person who consented.
pub fn judge(expected: &str, names: &[String]) -> Compared {
    if names.is_empty() {
        return Compared::Unknown;
    }
    let expected = folded(expected);
    match names.iter().any(|name| folded(name) == expected) {
        true => Compared::Match,
        false => Compared::Mismatch { names: names.to_vec() },
    }
}

/// The names in the claims of an id_token or of userinfo, each cleaned to one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedNames {
    /// `email`, unless it is declared unverified.
    email: Option<String>,
    /// `preferred_username` and `upn`: the names that the person signs in with.
    sign_in: Vec<String>,
}

impl ClaimedNames {
    pub(in crate::oauth) fn of(claims: &Map<String, Value>) -> Self {
        let name = |claim: &str| {
            let name = claims.get(claim).and_then(Value::as_str).map(|name| text::plain(name, LONGEST_NAME));
            name.filter(|name| !name.is_empty())
        };
        let unverified = matches!(claims.get("email_verified"), Some(Value::Bool(false)))
            || claims.get("email_verified").and_then(Value::as_str) == Some("false");
        Self {
            email: name("email").filter(|_| !unverified),
            sign_in: ["preferred_username", "upn"].into_iter().filter_map(name).collect(),
        }
    }

    /// The names that identify the person, each once; `email_counts` is the provider's
    /// [`email_identifies`](crate::config::Provider::email_identifies).
    pub(in crate::oauth) fn that_count(&self, email_counts: bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.email.iter().filter(|_| email_counts).chain(&self.sign_in) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

fn folded(name: &str) -> String {
    let name = name.trim().to_lowercase();
    match name.rsplit_once('@') {
        Some((local, "gmail.com" | "googlemail.com")) => format!("{}@gmail.com", local.replace('.', "")),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_may_match_without_case() {
        for (expected, names, matches) in [
            ("bob@corp.example", &["BOB@corp.EXAMPLE"][..], true),
            ("bob@corp.example", &["robert@corp.example", "bob@corp.example"], true),
            ("bob@corp.example", &["eve@corp.example"], false),
            ("b.o.b@gmail.com", &["bob@googlemail.com"], true),
            ("b.o.b@corp.example", &["bob@corp.example"], false),
            ("Käthe@corp.example", &["KÄTHE@corp.example"], true),
        ] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(judge(expected, &names) == Compared::Match, matches, "{expected} {names:?}");
        }
    }

    #[test]
    fn no_name_is_unknown() {
        assert_eq!(judge("bob@corp.example", &[]), Compared::Unknown);
    }

    #[test]
    fn hostile_names_are_fit_to_be_shown_and_long_ones_stay_whole() {
        let claims = serde_json::json!({
            "email": "eve\u{1b}[2J\n@corp.example",
            "preferred_username": "helpdesk-queue-0123456789-emea@corp.example",
        });
        assert_eq!(
            ClaimedNames::of(claims.as_object().unwrap()).that_count(true),
            ["eve [2J @corp.example", "helpdesk-queue-0123456789-emea@corp.example"]
        );
    }

    #[test]
    fn an_unverified_address_is_no_name() {
        let claims = serde_json::json!({"email": "bob@corp.example", "email_verified": false, "upn": "eve@corp.example"});
        assert_eq!(ClaimedNames::of(claims.as_object().unwrap()).that_count(true), ["eve@corp.example"]);
    }

    #[test]
    fn security_row_18_an_address_that_a_tenant_can_set_is_no_name() {
        let claims =
            serde_json::json!({"email": "bob@corp.example", "preferred_username": "eve@corp.example"});
        let names = ClaimedNames::of(claims.as_object().unwrap());
        assert_eq!(judge("bob@corp.example", &names.that_count(true)), Compared::Match);
        let eve = Compared::Mismatch { names: vec!["eve@corp.example".to_owned()] };
        assert_eq!(judge("bob@corp.example", &names.that_count(false)), eve);
        let alone = serde_json::json!({"email": "bob@corp.example"});
        let alone = ClaimedNames::of(alone.as_object().unwrap()).that_count(false);
        assert_eq!(judge("bob@corp.example", &alone), Compared::Unknown);
        // The same address counts if it is also the sign-in name.
        let both = serde_json::json!({"email": "bob@corp.example", "upn": "bob@corp.example"});
        let both = ClaimedNames::of(both.as_object().unwrap()).that_count(false);
        assert_eq!(judge("bob@corp.example", &both), Compared::Match);
    }
}
