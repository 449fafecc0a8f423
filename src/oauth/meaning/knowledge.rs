//! The meaning and the cure of providers' error codes, from `config/errors.toml`.
//!
//! The vendors ask clients to decide by `error` and to treat Microsoft's AADSTS numbers as display text. But
//! `invalid_grant` with AADSTS50196 is a throttle, and with AADSTS53003 a policy. So a number in the table
//! takes precedence; otherwise `error` decides.

use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::trouble::{Cure, Way};

/// Who can cure a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The person, by authorising again.
    Person,
    /// The administrator of the proxy, the registration or the tenant.
    Administrator,
    /// The refusal ends by itself.
    Passing,
}

/// One row of the table.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Row")]
pub struct KnownError {
    /// Values of `error`, or `AADSTS` numbers.
    pub codes: Vec<String>,
    /// Who can cure it.
    pub class: Class,
    /// What happened, one clause.
    pub meaning: String,
    /// The cure.
    pub cure: Cure,
    /// The entry applies only with this `error_subtype` or `suberror`.
    pub subtype: Option<String>,
    /// The entry applies only if the description contains this text.
    pub contains: Option<String>,
    /// Seconds to wait if the answer names none.
    retry_after: Option<u64>,
}

/// An entry as written in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    codes: Vec<String>,
    class: Class,
    meaning: String,
    cure: Option<String>,
    key: Option<String>,
    remedy: String,
    subtype: Option<String>,
    contains: Option<String>,
    retry_after: Option<u64>,
}

impl TryFrom<Row> for KnownError {
    type Error = String;

    fn try_from(row: Row) -> Result<Self, String> {
        let Row { codes, class, meaning, cure, key, remedy, subtype, contains, retry_after } = row;
        let cure = match (cure.as_deref(), key) {
            (None, None) if remedy.is_empty() => Cure::Unknown,
            (Some("authorize"), None) => authorize(&remedy)?,
            (Some("configure"), Some(key)) => Cure::Configure { key, text: remedy },
            (Some("administrator"), None) => Cure::Administrator { text: remedy },
            (Some("wait"), None) => Cure::wait(remedy),
            (Some("advice"), None) => Cure::advice(remedy),
            (cure, key) => return Err(format!("{codes:?}: cure {cure:?} with key {key:?}")),
        };
        Ok(Self { codes, class, meaning, cure, subtype, contains, retry_after })
    }
}

/// The cure with the text around `{authorize}`, `{authorize --device}` or `{authorize --paste}`.
fn authorize(remedy: &str) -> Result<Cure, String> {
    let ways = [
        ("{authorize}", None),
        ("{authorize --device}", Some(Way::Device)),
        ("{authorize --paste}", Some(Way::Paste)),
    ];
    let found = ways.iter().find_map(|(mark, way)| Some((remedy.split_once(mark)?, *way)));
    let ((before, after), way) = found.ok_or_else(|| format!("no {{authorize}} in {remedy:?}"))?;
    Ok(Cure::authorize_by(way, before, after))
}

impl KnownError {
    /// The wait if the answer names none.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after.map(Duration::from_secs)
    }

    fn is_for(&self, code: &str) -> bool {
        self.codes.iter().any(|known| known == code)
    }

    /// How specifically the entry fits; `None` if it does not.
    fn fits(&self, subtype: Option<&str>, description: &str) -> Option<u8> {
        match (&self.subtype, &self.contains) {
            (Some(wanted), _) => (subtype == Some(wanted)).then_some(2),
            (_, Some(part)) => description.contains(part.as_str()).then_some(1),
            (None, None) => Some(0),
        }
    }
}

#[derive(Default, Deserialize)]
struct Table {
    error: Vec<KnownError>,
}

/// The file is compiled in, and a test parses it, so the default is never used.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("../../../config/errors.toml")).unwrap_or_default());

/// The most specific entry for `code`.
pub fn look_up(code: &str, subtype: Option<&str>, description: &str) -> Option<&'static KnownError> {
    let fitting = TABLE
        .error
        .iter()
        .filter(|entry| entry.is_for(code))
        .filter_map(|entry| Some((entry.fits(subtype, description)?, entry)));
    fitting.max_by_key(|(closeness, _)| *closeness).map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn table() -> Table {
        toml::from_str(include_str!("../../../config/errors.toml")).unwrap()
    }

    #[test]
    fn the_table_is_readable_and_each_plain_code_is_in_it_once() {
        let table = table();
        let mut seen = BTreeSet::new();
        for entry in table.error.iter().filter(|entry| entry.subtype.is_none() && entry.contains.is_none()) {
            for code in &entry.codes {
                assert!(seen.insert(code.clone()), "{code} is there twice");
            }
        }
        assert!(seen.len() > 100, "{}", seen.len());
    }

    #[test]
    fn a_description_sharpens_the_meaning_but_never_the_class() {
        let table = table();
        for special in table.error.iter().filter(|entry| entry.contains.is_some()) {
            let plain = look_up(&special.codes[0], None, "").unwrap();
            assert_eq!(special.class, plain.class, "{special:?}");
        }
    }

    #[test]
    fn every_text_is_one_clause_on_one_line() {
        for entry in table().error {
            for text in [&entry.meaning, &entry.cure.words("COMMAND")] {
                assert!(
                    !text.contains(char::is_control) && !text.ends_with('.') && text.is_ascii(),
                    "{text}"
                );
            }
            assert!(!entry.meaning.is_empty());
        }
    }

    #[test]
    fn the_most_specific_entry_counts() {
        let plain = look_up("invalid_grant", None, "Token has been expired or revoked.").unwrap();
        let rapt = look_up("invalid_grant", Some("invalid_rapt"), "reauth related error").unwrap();
        let clock = look_up("invalid_grant", None, "Invalid JWT: Token must be a short-lived token").unwrap();
        assert!(plain.meaning.contains("no longer accepts"));
        assert!(rapt.meaning.contains("session control"));
        assert!(clock.meaning.contains("clock"));
        assert!(look_up("no_such_error", None, "").is_none());
    }
}
