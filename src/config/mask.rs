//! The configuration file in a form that may be shown: secrets are masked, and nothing else is changed.
//!
//! `confidential` decides which values count as secrets. A comment that is TOML, such as a setting that is switched
//! off, is judged like a setting. Any other comment is shown if it stands in the sample, or has no sign of a secret.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::confidential::{is_secret, names_user, speaks_of_secrets};
use super::error::Problem;
use super::{ConfigError, EXAMPLE};

const MASK: &str = "\"[masked]\"";
const MASKED_COMMENT: &str = "# [masked]";
/// A word of this length or more that mixes letters and digits is taken for a secret.
const RANDOM: usize = 12;

/// The text of `path` without its secrets. Invalid TOML is not shown: its secrets cannot be found.
pub fn masked(path: &Path) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
    without_secrets(&text).map_err(|problem| problem.in_file(Some(path), &text))
}

fn without_secrets(text: &str) -> Result<String, Problem> {
    let values = secret_values(text, Some("")).map_err(|error| Problem::from_toml(&error))?;
    let mut places: Vec<(Range<usize>, String)> =
        values.into_iter().map(|place| (place, MASK.to_owned())).collect();
    places.extend(comments(text));
    // Replaced from the end, so that earlier offsets stay right.
    places.sort_by_key(|(place, _)| std::cmp::Reverse(place.start));
    let mut shown = text.to_owned();
    for (place, mask) in places {
        shown.replace_range(place, &mask);
    }
    Ok(shown)
}

/// The places of the secrets in `text`, whose keys belong to `table`; `None` if the table is not known.
fn secret_values(text: &str, table: Option<&str>) -> Result<Vec<Range<usize>>, toml::de::Error> {
    let parsed = DeTable::parse(text)?;
    let mut places = Vec::new();
    find(parsed.get_ref(), table, &mut places);
    Ok(places)
}

fn find(table: &DeTable<'_>, name: Option<&str>, places: &mut Vec<Range<usize>>) {
    for (key, value) in table.iter() {
        judge(value, (name, key.get_ref()), 0, places);
    }
}

/// Judges the value at a key of a table. `index` is its number in an array.
fn judge(
    value: &toml::Spanned<DeValue<'_>>,
    (table, key): (Option<&str>, &str),
    index: usize,
    places: &mut Vec<Range<usize>>,
) {
    let text = match value.get_ref() {
        DeValue::Table(inner) => {
            return find(inner, table.map(|table| below(table, key)).as_deref(), places);
        }
        DeValue::Array(array) => {
            for (index, element) in array.iter().enumerate() {
                judge(element, (table, key), index, places);
            }
            return;
        }
        DeValue::Boolean(_) => return,
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Datetime(time) => time.to_string(),
    };
    if is_secret(table, key, index, &text) {
        places.push(value.span());
    }
}

/// The table `key` below `table`. A provider's name is its administrator's choice.
fn below(table: &str, key: &str) -> String {
    match table {
        "" => key.to_owned(),
        "providers" => "providers.*".to_owned(),
        _ => format!("{table}.{key}"),
    }
}

/// The comments that have to be masked, and the texts to show instead.
fn comments(text: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    // The lines after a masked one may be the rest of the same secret.
    let mut is_going_on = false;
    for token in Source::new(text).lex() {
        let place = token.span().start()..token.span().end();
        match token.kind() {
            TokenKind::Comment => {}
            TokenKind::Whitespace | TokenKind::Newline => continue,
            _ => {
                is_going_on = false;
                continue;
            }
        }
        let comment = text.get(place.clone()).unwrap_or_default();
        match shown_comment(comment, is_going_on) {
            None => {
                is_going_on = true;
                found.push((place, MASKED_COMMENT.to_owned()));
            }
            Some(shown) => {
                is_going_on = false;
                if shown != comment {
                    found.push((place, shown));
                }
            }
        }
    }
    found
}

/// A comment as it may be shown; `None` if all of it has to be masked.
fn shown_comment(comment: &str, after_masked: bool) -> Option<String> {
    if EXAMPLE.lines().any(|line| line.trim() == comment.trim()) {
        return Some(comment.to_owned());
    }
    let body = comment.trim_start_matches('#');
    if let Ok(places) = secret_values(body, None)
        && !body.trim().is_empty()
    {
        let hashes = comment.get(..comment.len() - body.len())?;
        let mut shown = body.to_owned();
        for place in places.into_iter().rev() {
            shown.replace_range(place, MASK);
        }
        // The comment may hold comments of its own, behind a setting.
        for (place, mask) in comments(&shown).into_iter().rev() {
            shown.replace_range(place, &mask);
        }
        return Some(format!("{hashes}{shown}"));
    }
    let is_plain = !after_masked
        && !body.contains('=')
        && !speaks_of_secrets(body)
        && !names_user(body)
        && !body.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random);
    (is_plain || body.trim().is_empty()).then(|| comment.to_owned())
}

fn is_random(word: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    word.len() >= RANDOM && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        without_secrets(text).ok().unwrap()
    }

    #[test]
    fn secrets_are_masked_and_the_rest_is_as_it_was() {
        let text = "state_directory = \"/x\" # mine\n[events]\nwebhook = 'https://chat.example/canary'\n[network]\n\
             proxy = \"socks5://anna:canary@127.0.0.1:1080\"\n[providers.gmail]\nclient_id = \"id\"\n\
             client_secret = \"\"\"canary\ncanary\"\"\"\n";
        let shown = shown(text);
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(shown.matches("\"[masked]\"").count(), 3);
        assert!(shown.starts_with("state_directory = \"/x\" # mine\n[events]\nwebhook = \"[masked]\"\n"));
        assert!(shown.contains("client_id = \"id\"\n"));
        assert!(without_secrets("client_secret = \"canary\"\n[").is_err());
    }

    #[test]
    fn security_row_12_no_misspelt_key_comment_or_url_shows_a_secret() {
        for text in [
            "[providers.gmail]\nclient_secrets = \"canary\"\n",
            "[providers.gmail]\nclient_secert = [\"canary\"]\n",
            "[providers.gmail]\n\"client-secret\" = \"canary\"\n",
            "providers.gmail.clientSecret = 'canary'\n",
            "client_secret = \"canary\"\n",
            "[provider.gmail]\ntitle = \"canary\"\n",
            "[events]\nhook = { url = \"canary\" }\n",
            "[events]\ncommand = [\"/bin/tell\", \"--header\", \"canary\"]\n",
            "[events]\nwebhook = \"http://127.0.0.1/canary\"\n",
            "[store]\nkey_env = \"canarycanarycanarycanarycanarycanarycanarycanary=\"\n",
            "[store]\nkey_command = [\"sh\", \"-c\", \"echo canary\"]\n",
            "[network]\nproxy = \"http://canary@proxy.example:3128\"\n",
            "[network]\nproxy = \"http://ca/nary:canary@proxy.example:3128\"\n",
            "[network]\nproxy = \"http://canary\\u0040proxy.example:3128\"\n",
            "[providers.acme]\ntoken_url = \"https://acme.example/token?api_key=canary\"\n",
            "[providers.acme]\nimap = \"imaps://canary@imap.acme.example\"\n",
            "[providers.acme]\nauthorize_params = { prompt = \"consent\", state = \"canary\" }\n",
            "# client_secret = \"canary\"\n",
            "#providers.gmail.client_secret = 'canary'\n",
            "#client_secret = canary\n",
            "# the old secret: canary\n",
            "# Passwort canary\n",
            "# try colour = canary later\n",
            "# https://canary@proxy.example\n",
            "# GOCSPX-canary0123456789\n",
            "#client_secret = \"\"\"\n# canary\n# canary\"\"\"\n",
            "[log]\nformat = \"text\" # was client_secret = \"canary\"\n",
            "#format = \"text\" # password canary\n",
        ] {
            let shown = shown(text);
            assert!(!shown.contains("canary"), "{text}: {shown}");
            assert!(shown.contains("[masked]"), "{text}: {shown}");
            assert!(toml::from_str::<toml::Table>(&shown).is_ok(), "{text}: {shown}");
        }
        // Numbers are masked, too.
        assert_eq!(shown("pin = 123456\n"), "pin = \"[masked]\"\n");
    }

    /// A key that is added to the sample has to be listed among those that may be shown, or stay hidden on purpose.
    #[test]
    fn the_sample_and_what_is_switched_off_in_it_are_shown() {
        assert_eq!(shown(EXAMPLE), EXAMPLE);
        let mut hidden = Vec::new();
        for line in EXAMPLE.lines().filter_map(|line| line.strip_prefix('#')) {
            if let Ok(places) = secret_values(line, None)
                && !places.is_empty()
            {
                hidden.push(line.split(' ').next().unwrap());
            }
        }
        hidden.sort_unstable();
        hidden.dedup();
        assert_eq!(hidden, ["client_secret", "command", "key_command", "webhook"]);
        let own = "# Alice's scanner stands in the hall.\n#imap = \"imap.example:993\"\n#[providers.corp]\n";
        assert_eq!(shown(own), own);
    }
}
