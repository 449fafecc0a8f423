//! The configuration file in a form that may be shown: secrets are masked, and nothing else is changed.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::error::Problem;

const MASK: &str = "\"[masked]\"";

/// The text of `path` without its secrets. Invalid TOML is not shown: its secrets cannot be found.
pub fn masked(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
    without_secrets(&text).map_err(|problem| problem.in_file(Some(path), &text))
}

fn without_secrets(text: &str) -> Result<String, Problem> {
    let table = DeTable::parse(text).map_err(|error| Problem::from_toml(&error))?;
    let mut places = Vec::new();
    find(table.get_ref(), &mut places);
    // From the end, so that earlier offsets stay right.
    places.sort_by_key(|place: &Range<usize>| std::cmp::Reverse(place.start));
    let mut shown = text.to_owned();
    for place in places {
        shown.replace_range(place, MASK);
    }
    Ok(shown)
}

fn find(table: &DeTable<'_>, places: &mut Vec<Range<usize>>) {
    for (name, value) in table.iter() {
        match value.get_ref() {
            DeValue::Table(inner) => find(inner, places),
            DeValue::Array(array) => {
                for element in array.iter() {
                    if let DeValue::Table(inner) = element.get_ref() {
                        find(inner, places);
                    }
                }
            }
            DeValue::String(text) if is_secret(name.get_ref(), text) => places.push(value.span()),
            _ => {}
        }
    }
}

/// Whether the value is a client's secret, or a URL with a secret path or a password.
fn is_secret(name: &str, value: &str) -> bool {
    let has_password = || url::Url::parse(value).is_ok_and(|url| url.password().is_some());
    name == "client_secret" || name == "webhook" || has_password()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_as_it_was() {
        let text = "state_directory = \"/x\" # mine\n[events]\nwebhook = 'https://chat.example/canary'\n[network]\n\
             proxy = \"socks5://anna:canary@127.0.0.1:1080\"\n[providers.gmail]\nclient_id = \"id\"\n\
             client_secret = \"\"\"canary\ncanary\"\"\"\n";
        let shown = without_secrets(text).ok().unwrap();
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.matches("\"[masked]\"").count(), 3);
        assert!(shown.starts_with("state_directory = \"/x\" # mine\n[events]\nwebhook = \"[masked]\"\n"));
        assert!(shown.contains("client_id = \"id\"\n"));
        assert!(without_secrets("client_secret = \"canary\"\n[").is_err());
    }
}
