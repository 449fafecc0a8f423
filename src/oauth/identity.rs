//! Whether the person who consented is the one who was meant.
//!
//! Any of the names that the provider tells may be it, compared without case; at Gmail without dots
//! in the local part, and with `googlemail.com` for `gmail.com`. Where a provider tells no name, the
//! upstream sign-in is the proof.

use serde_json::{Map, Value};

use super::text;

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
        false => Identity::Mismatch { names: names.iter().map(|name| text::clean(name, 256, &[])).collect() },
    }
}

/// The names in an id_token's or userinfo's claims: `email` unless it is declared unverified,
/// `preferred_username`, `upn`; each once.
pub(super) fn names(claims: &Map<String, Value>) -> Vec<String> {
    let unverified = matches!(claims.get("email_verified"), Some(Value::Bool(false)))
        || claims.get("email_verified").and_then(Value::as_str) == Some("false");
    let mut names: Vec<String> = Vec::new();
    for claim in ["email", "preferred_username", "upn"] {
        let Some(name) = claims.get(claim).and_then(Value::as_str).map(str::trim) else { continue };
        if !name.is_empty() && !(claim == "email" && unverified) && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
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
    fn no_name_is_unknown_and_hostile_names_are_cleaned() {
        assert_eq!(judge("bob@corp.example", &[]), Identity::Unknown);
        let names = vec!["eve\x1b[2J\n@corp.example".to_owned()];
        assert_eq!(
            judge("bob@corp.example", &names),
            Identity::Mismatch { names: vec!["eve [2J @corp.example".to_owned()] }
        );
    }

    #[test]
    fn an_unverified_address_is_no_name() {
        let claims = serde_json::json!({"email": "bob@corp.example", "email_verified": false, "upn": "eve@corp.example"});
        assert_eq!(names(claims.as_object().unwrap()), ["eve@corp.example"]);
    }
}
