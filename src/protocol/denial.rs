//! The refusal of a login, as a mail program understands it: a code and one line of text.
//!
//! The text may quote a provider, a token endpoint or a configured name, so this is where text from
//! outside stops being able to end a line: only printable ASCII passes, at a bounded length.

/// Why a login is refused, for the mail program (RFC 5530 §3) and for the person at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What the mail program should do about it.
    pub code: Code,
    /// Cause and cure in plain words, one line; anything but printable ASCII is replaced when it is
    /// written.
    pub text: String,
    /// Whether the person must see the text (IMAP's `ALERT`, RFC 3501 §7.1); mail programs pop it up, so this
    /// is for what the person would not find out otherwise.
    pub alert: bool,
}

impl Denial {
    /// A refusal that the mail program shows or not, as it likes.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), alert: false }
    }

    /// The same, shown to the person.
    #[must_use]
    pub fn alert(mut self) -> Self {
        self.alert = true;
        self
    }

    /// Unknown account and wrong password, which must not be told apart.
    pub fn wrong_password() -> Self {
        Self::new(Code::AuthenticationFailed, "The user name or the password is wrong")
    }
}

/// What a mail program should do about a refusal: the meanings of RFC 5530 §3, which each protocol writes in its
/// own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// User name or password wrong: trying the same again is useless. Counts against the
    /// connection's failed logins.
    AuthenticationFailed,
    /// Known, but not allowed to act as asked.
    AuthorizationFailed,
    /// Something behind us is down: the password is not the problem, try later.
    Unavailable,
    /// Only an administrator can repair it.
    ContactAdmin,
    /// A limit on connections or attempts.
    Limit,
    /// As many sessions of the account as its provider allows: trying later helps, another password does not.
    InUse,
    /// The stored authorisation ended.
    Expired,
    /// The person has to sign in at the provider with a browser.
    WebLogin,
    /// Not without TLS.
    PrivacyRequired,
    /// Our own fault.
    ServerBug,
}

/// Bytes of text in one line that we write. Long enough for a sentence and a sign-in URL, far
/// below the 8,000 that RFC 2683 §3.2.1.5 lets a client give up at.
pub const TEXT_LIMIT: usize = 1000;

/// `text` as it may stand in a protocol line or in a log: printable ASCII, at most [`TEXT_LIMIT`] bytes, each run of
/// anything else as one `?` or, where it was white space, one blank. Text from a provider is kept in this form.
pub fn plain_text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len().min(TEXT_LIMIT));
    for character in text.chars() {
        if plain.len() == TEXT_LIMIT {
            break;
        }
        match character {
            ' '..='~' => plain.push(character),
            _ if character.is_whitespace() && !plain.ends_with(' ') => plain.push(' '),
            _ if character.is_whitespace() || plain.ends_with('?') => {}
            _ => plain.push('?'),
        }
    }
    // RFC 3501 wants text after a code; a blank would not do.
    match plain.trim() {
        "" => "No reason given".to_owned(),
        trimmed if trimmed.len() == plain.len() => plain,
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_breaks_and_escape_sequences_do_not_survive() {
        assert_eq!(plain_text("a\r\nb OK\x1b[2J\0 é"), "a b OK?[2J? ?");
        assert_eq!(plain_text("\r\n"), "No reason given");
    }

    proptest! {
        #[test]
        fn security_row_4_no_byte_from_outside_ends_a_line(text: String) {
            let plain = plain_text(&text);
            prop_assert!(plain.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert!((1..=TEXT_LIMIT).contains(&plain.len()));
        }
    }
}
