//! Makes outside text safe to show: one line, bounded, and without secrets.
//!
//! Endpoints echo parts of a request ("unknown token 1//0g…"). So the request's secrets are masked wherever
//! they occur, and so is any text in the shape of a token.

use crate::secret::Secret;
use crate::text::is_shown;

const MASK: &str = "[masked]";
/// Longer runs that mix letters and digits are taken for tokens. GUIDs are excepted.
const LONGEST_WORD: usize = 23;

/// `text` on one line of at most `limit` characters, without control, invisible or direction-changing
/// characters.
pub(in crate::oauth) fn plain(text: &str, limit: usize) -> String {
    let visible: String = text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
    cut(&visible.split_whitespace().collect::<Vec<_>>().join(" "), limit)
}

/// Like [`plain`], for an endpoint's words: masks `secrets` and any text in the shape of a token.
pub(in crate::oauth) fn clean(text: &str, limit: usize, secrets: &[Secret]) -> String {
    // Text far beyond the limit is never shown, so it need not be cleaned.
    let mut text: String = text.chars().take(limit.saturating_mul(8)).collect();
    for secret in secrets.iter().filter(|secret| secret.expose().len() >= 4) {
        text = text.replace(secret.expose(), MASK);
    }
    // Microsoft appends ids that only its support can use.
    if let Some(at) = text.find(" Trace ID:") {
        text.truncate(at);
    }
    let words: Vec<String> = plain(&text, usize::MAX).split(' ').map(mask_tokens).collect();
    cut(&words.join(" "), limit)
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Masks each run of token characters in `word` that looks like a token.
fn mask_tokens(word: &str) -> String {
    let mut masked = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_token_character(c)).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        masked.push_str(if looks_like_token(run) { MASK } else { run });
        let separator = tail.chars().next().map_or(0, char::len_utf8);
        masked.push_str(&tail[..separator]);
        rest = &tail[separator..];
    }
    masked
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=%".contains(c)
}

fn looks_like_token(run: &str) -> bool {
    const PREFIXES: [&str; 6] = ["ya29.", "1//", "4/0", "eyJ", "EwB", "M.C"];
    if run.len() >= 10 && PREFIXES.iter().any(|prefix| run.starts_with(prefix)) {
        return true;
    }
    run.split(['.', '/']).any(|part| {
        part.len() > LONGEST_WORD
            && part.bytes().any(|b| b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_alphabetic())
            && !is_guid(part)
    })
}

fn is_guid(part: &str) -> bool {
    part.len() == 36
        && part.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_become_blanks() {
        let dirty = "bad\r\n\x1b[2J\u{202e}thing\u{0}\u{85} here";
        assert_eq!(clean(dirty, 100, &[]), "bad [2J thing here");
    }

    #[test]
    fn what_we_sent_is_masked_where_it_is_echoed() {
        let sent = Secret::new("short-one");
        assert_eq!(clean("no such token 'short-one'.", 100, &[sent]), "no such token '[masked]'.");
    }

    #[test]
    fn tokens_are_masked_by_their_shape_and_words_are_not() {
        for (text, shown) in [
            ("token ya29.a0AfH6SMBx is bad", "token [masked] is bad"),
            ("got \"1//0gAbCdEfGhIjK\"", "got \"[masked]\""),
            ("jwt eyJhbGciOiJIUzI1NiJ9.e30.abc", "jwt [masked]"),
            (
                "app '9188040d-6c67-4c5b-b112-36a304b66dad' is gone",
                "app '9188040d-6c67-4c5b-b112-36a304b66dad' is gone",
            ),
            (
                "https://outlook.office365.com/IMAP.AccessAsUser.All",
                "https://outlook.office365.com/IMAP.AccessAsUser.All",
            ),
            ("secret=Ab1cdefghijklmnopqrstuvwxyz012", "[masked]"),
        ] {
            assert_eq!(clean(text, 200, &[]), shown, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(clean(&"é ".repeat(500), 5, &[]), "é é é…");
    }
}
