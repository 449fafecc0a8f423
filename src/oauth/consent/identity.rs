//! Whether the person who consented is the one who was meant.
//!
//! Any of the names that the provider tells may be it, compared without case; at Gmail without dots
//! in the local part, and with `googlemail.com` for `gmail.com`. Where a provider tells no name, the
//! upstream sign-in is the proof.

use serde_json::{Map, Value};

use crate::oauth::meaning::text;

/// RFC 5321 §4.5.3.1 allows an address 254 octets.
const LONGEST_NAME: usize = 256;

/// The outcome of comparing names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// One of the names is the one expected.
    Match,
    /// Somebody else consented: store nothing, show both. The names are clean and may be shown.
    Mismatch {
        /// Who consented.
        names: Vec<String>,
    },
    /// The provider told no name.
    Unknown,
}

/// Compares the account (or `--owner`) with the names of whoever consented.
pub fn judge(expected: &str, names: &[String]) -> Identity {
    if names.is_empty() {
        return Identity::Unknown;
    }
    let expected = folded(expected);
    match names.iter().any(|name| folded(name) == expected) {
        true => Identity::Match,
        false => Identity::Mismatch { names: names.to_vec() },
    }
}

/// The names in an id_token's or userinfo's claims: `email` unless it is declared unverified,
/// `preferred_username`, `upn`; each once, on one line, fit to be shown.
pub(in crate::oauth) fn names(claims: &Map<String, Value>) -> Vec<String> {
    let unverified = matches!(claims.get("email_verified"), Some(Value::Bool(false)))
        || claims.get("email_verified").and_then(Value::as_str) == Some("false");
    let mut names: Vec<String> = Vec::new();
    for claim in ["email", "preferred_username", "upn"] {
        let Some(name) = claims.get(claim).and_then(Value::as_str) else { continue };
        let name = text::plain(name, LONGEST_NAME);
        let counts = claim != "email" || !unverified;
        if counts && !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
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
            assert_eq!(judge(expected, &names) == Identity::Match, matches, "{expected} {names:?}");
        }
    }

    #[test]
    fn no_name_is_unknown() {
        assert_eq!(judge("bob@corp.example", &[]), Identity::Unknown);
    }

    #[test]
    fn hostile_names_are_fit_to_be_shown_and_long_ones_stay_whole() {
        let claims = serde_json::json!({
            "email": "eve\u{1b}[2J\n@corp.example",
            "preferred_username": "helpdesk-queue-0123456789-emea@corp.example",
        });
        assert_eq!(
            names(claims.as_object().unwrap()),
            ["eve [2J @corp.example", "helpdesk-queue-0123456789-emea@corp.example"]
        );
    }

    #[test]
    fn an_unverified_address_is_no_name() {
        let claims = serde_json::json!({"email": "bob@corp.example", "email_verified": false, "upn": "eve@corp.example"});
        assert_eq!(names(claims.as_object().unwrap()), ["eve@corp.example"]);
    }
}
