//! Marks, by which a process knows the tokens of its own installation without asking the store.
//!
//! Half of a token is random, and the other half is the beginning of an HMAC over its kind and the random half. The key
//! of the HMAC is the installation's. So a token that a stranger invents is known as such before it costs the database
//! a look, and cannot fill a count behind which a person would have to wait. A mark says only that a token was made
//! here: whether the token is good is the store's word, and a token that leaks together with the key is still random.
//!
//! A token from an older version, without a mark, has the same form as one with a mark, and counts as made by a
//! stranger.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use zeroize::Zeroizing;

use super::{Secret, random_bytes, same_bytes};

/// Bytes of each half of a token.
const HALF: usize = 16;
/// The letters of a word, which a double click selects whole: five bits each.
const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 80 random bits.
const RANDOM_LETTERS: usize = 16;
/// 50 bits of the mark: with the random ones none is guessed, and alone they keep all but one in 2^50 from the store.
const MARK_LETTERS: usize = 10;

/// Makes tokens with marks, and knows them.
pub struct Marks(hmac::Key);

impl Marks {
    /// Marks under the installation's key.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A new token of this kind: 32 bytes in base64url.
    pub fn token(&self, kind: &str) -> Secret {
        let random = Zeroizing::new(random_bytes::<HALF>());
        let mark = self.mark(kind, &*random);
        let mut bytes = Zeroizing::new(random.to_vec());
        bytes.extend(mark.as_ref().iter().take(HALF));
        Secret::new(BASE64.encode(&*bytes))
    }

    /// Whether `token` is a token of this kind that was made here.
    pub fn knows(&self, kind: &str, token: &str) -> bool {
        let Ok(bytes) = BASE64.decode(token).map(Zeroizing::new) else { return false };
        let Some((random, mark)) = bytes.split_at_checked(HALF) else { return false };
        let right = self.mark(kind, random);
        right.as_ref().get(..HALF).is_some_and(|right| same_bytes(mark, right))
    }

    /// A new word of this kind: 26 letters `[a-z2-7]`.
    pub fn word(&self, kind: &str) -> Secret {
        let random = letters(&*Zeroizing::new(random_bytes::<RANDOM_LETTERS>()), RANDOM_LETTERS);
        let mark = self.mark_of_word(kind, random.expose());
        Secret::new(format!("{}{}", random.expose(), mark.expose()))
    }

    /// Whether `word` is a word of this kind that was made here.
    pub fn knows_word(&self, kind: &str, word: &str) -> bool {
        let Some((random, mark)) = word.split_at_checked(RANDOM_LETTERS) else { return false };
        same_bytes(mark.as_bytes(), self.mark_of_word(kind, random).expose().as_bytes())
    }

    fn mark(&self, kind: &str, random: &[u8]) -> hmac::Tag {
        // No kind holds a zero byte, so a kind and a random half cannot be read as others.
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_bytes());
        context.update(&[0]);
        context.update(random);
        context.sign()
    }

    fn mark_of_word(&self, kind: &str, random: &str) -> Secret {
        letters(self.mark(kind, random.as_bytes()).as_ref(), MARK_LETTERS)
    }
}

/// Whether `text` has the form of a word.
pub fn is_word(text: &str) -> bool {
    text.len() == RANDOM_LETTERS + MARK_LETTERS && text.bytes().all(|byte| LETTERS.contains(&byte))
}

/// A random word without a mark.
pub fn random_word() -> Secret {
    let random = Zeroizing::new(random_bytes::<{ RANDOM_LETTERS + MARK_LETTERS }>());
    letters(&*random, RANDOM_LETTERS + MARK_LETTERS)
}

fn letters(bytes: &[u8], count: usize) -> Secret {
    let letters = bytes.iter().take(count).filter_map(|byte| LETTERS.get(usize::from(byte & 31)));
    Secret::new(letters.map(|&letter| char::from(letter)).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(byte: u8) -> Marks {
        Marks::new(&[byte; 32])
    }

    #[test]
    fn security_row_46_only_a_token_that_was_made_here_and_for_this_is_known() {
        let (ours, theirs) = (marks(1), marks(2));
        let (token, word) = (ours.token("session"), ours.word("link"));
        let (token, word) = (token.expose(), word.expose());
        assert!(token.len() == 43 && ours.knows("session", token) && marks(1).knows("session", token));
        assert!(is_word(word) && ours.knows_word("link", word) && marks(1).knows_word("link", word));
        assert!(!theirs.knows("session", token) && !ours.knows("entrance", token));
        assert!(!theirs.knows_word("link", word) && !ours.knows_word("session", word));
        let mut others = vec![String::new(), "ü".repeat(20), format!("{token}A"), token[1..].to_owned()];
        others.extend((0..42).map(|at| changed(token, at)));
        for other in others {
            assert!(!ours.knows("session", &other), "{other}");
        }
        for other in (0..26).map(|at| changed(word, at)).chain([format!("{word}a"), word[..16].to_owned()]) {
            assert!(!ours.knows_word("link", &other), "{other}");
        }
        assert!(!ours.knows_word("link", random_word().expose()) && is_word(random_word().expose()));
        assert_ne!(ours.token("session"), ours.token("session"));
        assert_ne!(ours.word("link"), ours.word("link"));
    }

    fn changed(text: &str, at: usize) -> String {
        let other = if &text[at..=at] == "a" { "b" } else { "a" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    }
}
