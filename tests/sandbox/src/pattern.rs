//! Data of any length that needs no memory and reveals every loss, repetition or shift.
//!
//! The octet at offset *i* depends on *i* modulo a prime, so no buffer size divides the period, and a stream
//! with a lost or repeated block no longer matches. No octet is NUL (RFC 3501 literals forbid it).

use std::sync::OnceLock;

/// The period: the largest prime below 2^16.
const PERIOD: usize = 65_521;
/// The most that [`chunk`] returns at once.
const CHUNK: usize = 65_536;

/// At most 64 KiB of the pattern, from `offset` on.
pub fn chunk(offset: u64, length: u64) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    let length = length.min(CHUNK as u64) as usize;
    &block()[start..start + length]
}

fn block() -> &'static [u8] {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut one = Vec::with_capacity(PERIOD + CHUNK);
        for _ in 0..PERIOD {
            // xorshift64: any fixed sequence without short cycles works.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            one.push((state % 255) as u8 + 1);
        }
        let again = one.iter().copied().cycle().take(PERIOD + CHUNK);
        again.collect()
    })
}

/// Compares a stream with the pattern.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    seen: u64,
    first_wrong: Option<u64>,
}

impl Checker {
    /// Checks the next octets.
    pub fn push(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let expected = chunk(self.seen, data.len() as u64);
            let (head, rest) = data.split_at(expected.len());
            if self.first_wrong.is_none() && head != expected {
                let at = head.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(0);
                self.first_wrong = Some(self.seen + at as u64);
            }
            self.seen += head.len() as u64;
            data = rest;
        }
    }

    /// Octets checked so far.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The offset of the first octet that differs; `None` if all match.
    pub fn first_wrong(&self) -> Option<u64> {
        self.first_wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_fits_itself_however_it_is_cut_and_a_lost_octet_shows() {
        let whole: Vec<u8> = [chunk(0, 65_536), chunk(65_536, 65_536), chunk(131_072, 10)].concat();
        let mut checker = Checker::default();
        for piece in whole.chunks(977) {
            checker.push(piece);
        }
        assert_eq!((checker.seen(), checker.first_wrong()), (131_082, None));

        let mut checker = Checker::default();
        checker.push(&whole[..70_000]);
        checker.push(&whole[70_001..]);
        assert!(checker.first_wrong().is_some_and(|at| (70_000..70_100).contains(&at)));
    }
}
