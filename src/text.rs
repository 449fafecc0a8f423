//! Makes outside text safe to show: on a terminal, in a command to copy, in a log line.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// An enum whose variants have a word each. The method `word` returns it; `by NAME` gives the method another name.
macro_rules! words {
    ($(#[$about:meta])* $vis:vis $name:ident { $($list:tt)* }) => {
        words! { $(#[$about])* $vis $name by word { $($list)* } }
    };
    ($(#[$about:meta])* $vis:vis $name:ident by $method:ident {
        $($(#[$what:meta])* $variant:ident = $word:literal,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// All words of the list.
            #[allow(dead_code, reason = "not every list is read as a whole")]
            $vis const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word.
            $vis const fn $method(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

pub(crate) use words;

/// `text` without characters that move the cursor, colour, hide or reorder text; line breaks stay.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) || c == '\n' { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Like [`plain`], on one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// A time as a person reads it: `2026-11-24 08:52:30 UTC`.
pub fn utc(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!("{} {:02}:{:02}:{:02} UTC", at.date(), at.hour(), at.minute(), at.second())
}

/// A time as RFC 3339 in UTC, in whole seconds: `2026-11-24T08:52:30Z`.
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// Whether a character may be shown: it is no control character, is visible, and does not change the text's
/// direction.
pub fn is_shown(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e01ef}')
}

/// Whether `name` is a domain in the letters-digits-hyphens form (RFC 5321 §4.1.2).
pub fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The first bytes of a PROXY protocol header of version 2; no mail program sends them.
const PROXY_HEADER: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of a PROXY protocol header of version 1.
const PROXY_LINE: &[u8] = b"PROXY ";

/// Whether `bytes`, the first of a connection, begin a PROXY protocol header: `Some(true)` if they do, `None` if they
/// do not, `Some(false)` if more bytes are needed to tell.
pub fn proxy_header(bytes: &[u8]) -> Option<bool> {
    let signature = |whole: &[u8]| {
        let length = whole.len().min(bytes.len());
        (whole.get(..length) == bytes.get(..length)).then_some(length == whole.len())
    };
    signature(PROXY_HEADER).or_else(|| signature(PROXY_LINE))
}

/// Quotes a word for a shell: in a shown command a name must never be more than one argument. Unprintable
/// characters are written as bash, ksh and zsh read them, so that the command can be copied.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.chars().all(is_shown) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            c if is_shown(c) => quoted.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_header_is_known_by_its_beginning_however_it_is_cut() {
        for (bytes, is) in [
            (&b""[..], Some(false)),
            (b"\r", Some(false)),
            (b"\r\n\r\n\0\r\nQU", Some(false)),
            (b"PROX", Some(false)),
            (b"PROXY ", Some(true)),
            (b"PROXY TCP4 192.0.2.7", Some(true)),
            (b"proxy x", None),
            (b"\r\n\r\n\0\r\nQUIT\n", Some(true)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some(true)),
            (b"\r\n\r\n\0\r\nQUIT\r\n", None),
            (b"\r\nNOOP", None),
        ] {
            assert_eq!(proxy_header(bytes), is, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn security_row_14_nothing_moves_a_cursor_or_hides_text() {
        let dirty = "a\u{1b}[2J\u{9b}2J\u{202e}b\u{200b}\r\u{7}\nc";
        assert_eq!(plain(dirty), "a\u{fffd}[2J\u{fffd}2J\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\nc");
        assert!(!one_line(dirty).contains('\n'));
        assert_eq!(plain("Käthe <k@x.example> 日本"), "Käthe <k@x.example> 日本");
    }

    #[test]
    fn a_quoted_word_is_one_argument() {
        for (word, shown) in [
            ("bob@corp.example", "bob@corp.example"),
            ("o'brien@corp.example", r"'o'\''brien@corp.example'"),
            ("x; rm -rf ~", "'x; rm -rf ~'"),
            ("$(reboot)", "'$(reboot)'"),
            ("CORP\\bob", "'CORP\\bob'"),
            ("a\nb's\u{202e}", r"$'a\x0ab\'s\xe2\x80\xae'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shown, "{word}");
        }
    }
}
