//! The refusal of a login, as a mail program understands it: a code and one line of text.
//!
//! The text may quote a provider, a token endpoint or a configured name. Only printable ASCII of bounded length
//! passes, so that no quoted text can end a line of the protocol.

/// Why a login is refused, for the mail program (RFC 5530 §3) and for its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What the mail program should do about it.
    pub code: Code,
    /// Cause and cure in plain words, one line; anything but printable ASCII is replaced when it is
    /// written.
    pub text: String,
    /// Whether the user must see the text (IMAP's `ALERT`, RFC 3501 §7.1). Mail programs open a window for it, so
    /// set it only for what the user would not find out otherwise.
    pub alert: bool,
    /// The text in fewer words, each shorter than the previous one, for lines that would get too long.
    pub shorter: Vec<String>,
}

impl Denial {
    /// A refusal that the mail program need not show.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), alert: false, shorter: Vec::new() }
    }

    /// The same refusal, which the mail program must show.
    #[must_use]
    pub fn alert(mut self) -> Self {
        self.alert = true;
        self
    }

    /// The text for one line that holds `others` bytes besides it, its end included: the longest that fits, or else
    /// the shortest there is.
    pub fn text_beside(&self, others: usize) -> &str {
        let mut texts = std::iter::once(&self.text).chain(&self.shorter);
        let fits = texts.find(|text| text.len() + others <= LINE_LIMIT);
        fits.or(self.shorter.last()).unwrap_or(&self.text)
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
    /// The user is known, but may not do this.
    AuthorizationFailed,
    /// The provider or the token endpoint is down. The password is not the problem: try later.
    Unavailable,
    /// The same, where the provider asks for a longer pause between two logins, which POP3 has a code of its own for.
    LoginDelay,
    /// Only an administrator can repair it.
    ContactAdmin,
    /// A limit on connections or attempts.
    Limit,
    /// All sessions that the provider allows are open: trying later helps, another password does not.
    InUse,
    /// The stored authorisation ended.
    Expired,
    /// The person has to sign in at the provider with a browser.
    WebLogin,
    /// Refused in cleartext: the client must begin TLS first.
    PrivacyRequired,
    /// A fault of the proxy.
    ServerBug,
}

/// Bytes of a line, its end included, that every client of every protocol takes (RFC 2449 §4 allows two more).
const LINE_LIMIT: usize = 510;

/// Bytes of text in one line that we write. It fits a sentence and a sign-in URL, and is far below the 8,000 bytes
/// that every client accepts (RFC 2683 §3.2.1.5).
pub const TEXT_LIMIT: usize = 1000;

/// `text` in the form for protocol lines and logs: printable ASCII, at most [`TEXT_LIMIT`] bytes. A run of other
/// characters becomes one `?`, or one blank if it was white space. A provider's text is kept in this form.
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
    // RFC 3501 wants text after a code; a blank is not enough.
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

    #[test]
    fn the_longest_text_that_fits_is_taken_and_else_the_shortest() {
        let mut denial = Denial::new(Code::Expired, "x".repeat(100));
        assert_eq!(denial.text_beside(500).len(), 100, "there is no other");
        denial.shorter = vec!["y".repeat(60), "z".repeat(40)];
        for (others, length) in [(410, 100), (411, 60), (450, 60), (451, 40), (470, 40), (471, 40)] {
            assert_eq!(denial.text_beside(others).len(), length, "{others}");
        }
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
