//! Canaries: secrets that must never reach the provider, in any shape.
//!
//! A forbidden secret is searched for in plain, and in base64 at each of the three alignments that it can
//! have inside a longer message. Every 8-byte piece of these forms counts, so a secret cut by a length or a
//! line end is found too. A secret shorter than 8 bytes is searched for as a whole.

use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

const WINDOW: usize = 8;

/// The forbidden secrets, ready for the search.
#[derive(Default)]
pub(crate) struct Canaries {
    windows: HashMap<[u8; WINDOW], usize>,
    short: HashSet<(Vec<u8>, usize)>,
    secrets: usize,
}

impl Canaries {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets == 0
    }

    pub(crate) fn forbid(&mut self, secret: &[u8]) {
        let number = self.secrets;
        self.secrets += 1;
        self.add(secret, number);
        for shift in 0..3 {
            self.add(&base64_inside(secret, shift), number);
        }
    }

    fn add(&mut self, shape: &[u8], number: usize) {
        if shape.len() < WINDOW {
            // Shorter base64 text would be found in any message.
            if shape.len() >= 4 {
                self.short.insert((shape.to_vec(), number));
            }
            return;
        }
        for piece in shape.windows(WINDOW) {
            self.windows.insert(piece.try_into().expect("8 bytes"), number);
        }
    }

    /// The first canary found in `haystack`, by the order in which they were forbidden, from 0.
    pub(crate) fn find(&self, haystack: &[u8]) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let long = haystack.windows(WINDOW).find_map(|piece| self.windows.get(piece).copied());
        let short = || {
            let holds = |shape: &[u8]| haystack.windows(shape.len()).any(|piece| piece == shape);
            self.short.iter().find(|(shape, _)| holds(shape)).map(|&(_, number)| number)
        };
        long.or_else(short)
    }
}

/// The characters of base64 that depend on the secret alone if `shift` bytes precede it.
fn base64_inside(secret: &[u8], shift: usize) -> Vec<u8> {
    let mut message = vec![0; shift];
    message.extend_from_slice(secret);
    let text = STANDARD_NO_PAD.encode(&message).into_bytes();
    // The first character that depends on no byte before the secret, and the end of the last whole group.
    let start = (shift * 8).div_ceil(6);
    let end = message.len() * 8 / 6;
    text.get(start..end).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn a_secret_is_found_in_plain_and_in_base64_at_every_alignment() {
        let mut canaries = Canaries::default();
        canaries.forbid(b"another secret");
        canaries.forbid(b"local password");
        for before in ["", "a", "ab", "abc", "\0alice\0"] {
            let message = format!("{before}local password");
            assert_eq!(canaries.find(message.as_bytes()), Some(1));
            assert_eq!(canaries.find(STANDARD.encode(&message).as_bytes()), Some(1), "{before:?}");
            assert_eq!(canaries.find(STANDARD.encode(format!("{message}!!")).as_bytes()), Some(1));
        }
        assert_eq!(canaries.find(b"a1 LOGIN x l passwor"), Some(1), "a piece");
        assert_eq!(canaries.find(b"a1 CAPABILITY locally passed"), None);
    }

    #[test]
    fn a_short_secret_is_found_whole() {
        let mut canaries = Canaries::default();
        canaries.forbid(b"hunt4");
        assert_eq!(canaries.find(b"a1 LOGIN alice hunt4\r\n"), Some(0));
        assert_eq!(canaries.find(b"a1 LOGIN alice hunt\r\n"), None);
    }
}
