//! Finds all mistakes of a file at once.
//!
//! Parsing ends at the first mistake. This file removes the mistaken part and parses again, until no mistake is
//! left. The removed part is as small as possible without causing new mistakes: a single key where keys are
//! independent, otherwise the whole table, because a provider without its wrong URL would seem to lack a URL.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Location, Problem};
use super::{Config, ConfigError, file};

/// The most mistakes that are searched for; a file for people has fewer.
const MOST: usize = 100;
/// Replaces a wrong listener, so that later listeners keep their numbers.
const SOME_LISTENER: &str = "addresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"";

/// All mistakes of `text`, and the configuration without them.
pub(super) fn mistakes(text: &str, path: Option<&Path>) -> (Vec<ConfigError>, Option<Config>) {
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // A file that is not TOML has no known contents.
        let mut errors: Vec<_> =
            errors.iter().map(|error| Problem::from_toml(error).in_file(path, text)).collect();
        errors.dedup_by_key(|error| error.to_string());
        return (errors, None);
    }
    let mut found: Vec<ConfigError> = Vec::new();
    // Tables from which a key was removed that others may need.
    let mut lacking: Vec<Vec<String>> = Vec::new();
    for _ in 0..MOST {
        let read = file::read(table.clone()).and_then(|file| file::validate(file, path));
        let problem = match read {
            Ok(config) => return (found, Some(config)),
            Err(problem) => problem,
        };
        let (key, is_of_form) = match problem.place() {
            Location::Key(key) => (key.clone(), false),
            Location::Offset(offset) => {
                (offset.map(|offset| key_at(table.get_ref(), offset)).unwrap_or_default(), true)
            }
        };
        let part = part_of(&key);
        // In a provider's table, only another key can be missed; every wrong value is a mistake of its own.
        let is_value = !is_of_form && value_of_provider(table.get_mut(), &key).is_some();
        let can_follow = match is_of_form || is_value {
            true => problem.is_missing_key() || problem.misses_another_key(),
            false => true,
        };
        let is_consequence = can_follow && lacking.contains(&part);
        let is_taken_out = match (is_of_form || is_value) && !is_consequence {
            true if is_value && stand_in(table.get_mut(), &key) => true,
            true => {
                if !problem.is_unknown_key() {
                    lacking.push(part.clone());
                }
                remove(table.get_mut(), &key) || take_out(table.get_mut(), &part)
            }
            false => take_out(table.get_mut(), &part),
        };
        if !is_consequence {
            found.push(problem.in_file(path, text));
        }
        if !is_taken_out {
            break;
        }
    }
    (found, None)
}

/// The value at `key`, if that is a key of a provider's table.
fn value_of_provider<'t, 'd>(
    table: &'t mut DeTable<'d>,
    key: &[String],
) -> Option<&'t mut Spanned<DeValue<'d>>> {
    let [section, name, key] = key else { return None };
    let providers = table.get_mut(section.as_str()).filter(|_| section == "providers")?;
    let DeValue::Table(providers) = providers.get_mut() else { return None };
    let DeValue::Table(own) = providers.get_mut(name.as_str())?.get_mut() else { return None };
    own.get_mut(key.as_str())
}

/// Puts a value that is right in the place of a wrong one that a provider needs, so that the rest of its table can be
/// judged; false if the key is not needed.
fn stand_in(table: &mut DeTable<'_>, key: &[String]) -> bool {
    let text = match key.last().map(String::as_str) {
        Some("imap" | "pop3" | "smtp") => "value = \"localhost:1\"",
        Some("authorize_url" | "token_url") => "value = \"https://localhost/\"",
        Some("scopes") => "value = [\"some\"]",
        _ => return false,
    };
    let right = DeTable::parse(text).ok().and_then(|mut right| right.get_mut().remove("value"));
    let (Some(right), Some(value)) = (right, value_of_provider(table, key)) else { return false };
    *value.get_mut() = right.into_inner();
    true
}

/// The keys that lead to `offset`.
fn key_at(table: &DeTable<'_>, offset: usize) -> Vec<String> {
    let mut key = Vec::new();
    find_in_table(table, offset, &mut key);
    key
}

fn find_in_table(table: &DeTable<'_>, offset: usize, key: &mut Vec<String>) -> bool {
    table.iter().any(|(name, value)| {
        key.push(name.get_ref().to_string());
        let found = find_in_value(value, offset, key) || holds(&name.span(), offset);
        if !found {
            key.pop();
        }
        found
    })
}

fn find_in_value(value: &Spanned<DeValue<'_>>, offset: usize, key: &mut Vec<String>) -> bool {
    let inside = match value.get_ref() {
        DeValue::Table(table) => find_in_table(table, offset, key),
        DeValue::Array(array) => array.iter().enumerate().any(|(index, value)| {
            key.push(index.to_string());
            let found = find_in_value(value, offset, key);
            if !found {
                key.pop();
            }
            found
        }),
        _ => false,
    };
    inside || holds(&value.span(), offset)
}

fn holds(span: &Range<usize>, offset: usize) -> bool {
    span.contains(&offset)
}

/// The smallest part around `key` that other keys do not depend on.
fn part_of(key: &[String]) -> Vec<String> {
    let length = match key.first().map(String::as_str) {
        Some("tls" | "store") => 1,
        _ => 2,
    };
    key.iter().take(length).cloned().collect()
}

/// Removes `part`; false if it does not exist.
fn take_out(table: &mut DeTable<'_>, part: &[String]) -> bool {
    match part {
        [section, index] if section == "listeners" => spare_listener(table, index),
        [section, ..] => remove(table, part) || remove(table, std::slice::from_ref(section)),
        [] => false,
    }
}

fn remove(table: &mut DeTable<'_>, key: &[String]) -> bool {
    match key {
        [] => false,
        [last] => table.remove(last.as_str()).is_some(),
        [first, rest @ ..] => match table.get_mut(first.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            Some(DeValue::Array(array)) => {
                let element = rest.first().and_then(|index| index.parse::<usize>().ok());
                match element.and_then(|index| array.get_mut(index)).map(Spanned::get_mut) {
                    Some(DeValue::Table(inner)) => remove(inner, rest.get(1..).unwrap_or_default()),
                    _ => false,
                }
            }
            _ => false,
        },
    }
}

fn spare_listener(table: &mut DeTable<'_>, index: &str) -> bool {
    let Some(DeValue::Array(listeners)) = table.get_mut("listeners").map(Spanned::get_mut) else {
        return table.remove("listeners").is_some();
    };
    let listener = index.parse::<usize>().ok().and_then(|index| listeners.get_mut(index));
    let (Some(listener), Ok(spare)) = (listener, DeTable::parse(SOME_LISTENER)) else { return false };
    *listener.get_mut() = DeValue::Table(spare.into_inner());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let (mistakes, _) = mistakes(&format!("state_directory = \"/x\"\n{text}"), Some(Path::new("F")));
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_mistake_is_found_once_and_none_is_made_up() {
        let text = "stat = 1\n[limits]\nfailed_logins = 0\nlogin_second = 3\nconnections = \"many\"\ndrain_seconds = 0\n\
            [[listeners]]\naddresses = [\"nowhere\"]\n[[listeners]]\naddresses = [\"127.0.0.1:1\"]\nprotocol = \"pop4\"\n\
            fro = []\n[tls]\ncertificate = \"a\"\n[providers.acme]\nimap = 5\nscope = []\n[providers.gmail]\n\
            client_id = \"x\"\nredirect_uri = \"nonsense\"\n[providers.other]\npreset = \"gmial\"\n[events]\nwarn_day = 3\n";
        let found = said(text);
        let lines: Vec<_> = found
            .iter()
            .map(|line| line.split(':').nth(1).unwrap().parse::<usize>().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        assert_eq!(lines, [2, 4, 5, 6, 7, 9, 12, 13, 15, 17, 18, 21, 23, 25], "{found:#?}");
        assert_eq!(found.len(), lines.len(), "{found:#?}");
    }

    #[test]
    fn the_first_is_the_one_that_ends_any_other_command() {
        for text in ["[limits]\nfailed_logins = 0\n[events]\nx = 1\n", "[a\n[b\n", "[tls]\nkey = \"x\"\n"] {
            let text = format!("state_directory = \"/x\"\n{text}");
            let first = Config::parse(&text, None).unwrap_err().to_string();
            assert_eq!(mistakes(&text, None).0[0].to_string(), first);
        }
        assert!(said("").is_empty() && mistakes("state_directory = \"/x\"", None).1.is_some());
    }
}
