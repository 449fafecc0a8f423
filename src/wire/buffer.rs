//! Bytes in transit that may hold a password or a token, and so leave no copy behind.
//!
//! A growing `Vec<u8>` leaves its old allocation, with any password, to the allocator; a drained one keeps
//! the drained bytes. This buffer wipes all bytes that are taken from it and every allocation that it
//! outgrows. While empty it holds no memory, because thousands of connections wait silently.

use std::ops::Deref;

use zeroize::Zeroize as _;

/// Room for a typical line, so that a line written in pieces needs one allocation.
const SMALLEST: usize = 160;

/// A queue of bytes: pushed at the end, read as a slice, consumed and wiped from the front.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// Where the unread bytes begin; the bytes before are wiped.
    start: usize,
}

impl Buffer {
    /// An empty buffer, without an allocation.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// Appends `more`.
    pub fn push(&mut self, more: &[u8]) {
        self.push_within(usize::MAX, more);
    }

    /// Appends texts, one behind the other.
    pub fn push_parts(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.push(part.as_bytes()));
    }

    /// Appends `more`; room reserved in advance ends at `limit`.
    pub fn push_within(&mut self, limit: usize, more: &[u8]) {
        self.make_room(more.len(), limit);
        self.bytes.extend_from_slice(more);
    }

    /// Reserves room for `more` bytes before several pushes.
    pub fn reserve(&mut self, more: usize) {
        self.make_room(more, usize::MAX);
    }

    /// The allocated memory.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Frees memory if most of it is unused.
    pub fn trim(&mut self) {
        if self.bytes.capacity() > 2 * self.len().max(SMALLEST) {
            self.move_to(self.len());
        }
    }

    /// Wipes and drops the first `count` bytes (at most all).
    pub fn consume(&mut self, count: usize) {
        if count >= self.len() {
            return self.clear();
        }
        let end = self.start + count;
        if let Some(taken) = self.bytes.get_mut(self.start..end) {
            taken.zeroize();
        }
        self.start = end;
    }

    /// Wipes and drops everything, and frees the memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The unread bytes, for the next reader.
    pub fn into_unread(mut self) -> Vec<u8> {
        if self.start == 0 {
            return std::mem::take(&mut self.bytes);
        }
        self.to_vec()
    }

    /// Makes room for `more` bytes. `Vec` must never reallocate by itself, because it would not wipe.
    fn make_room(&mut self, more: usize, limit: usize) {
        let needed = self.len() + more;
        if needed + self.start > self.bytes.capacity() {
            // Doubling, so that a long command that arrives in pieces is not copied at each read.
            self.move_to(needed.max((2 * self.len()).min(limit)).max(SMALLEST));
        }
    }

    /// Moves the unread bytes to fresh memory and wipes the old.
    fn move_to(&mut self, capacity: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(self);
        *self = Self { bytes, start: 0 };
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}

/// Shows the number of bytes, never the bytes.
impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_is_wiped_in_place() {
        let mut buffer = Buffer::new();
        buffer.push(b"a LOGIN joe hunter2\r\nb NOOP\r\n");
        buffer.consume(21);
        assert_eq!(&*buffer, b"b NOOP\r\n");
        assert!(buffer.bytes.iter().take(21).all(|&byte| byte == 0));
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::new();
        buffer.push(&[7; 5000]);
        buffer.consume(5000);
        assert_eq!((buffer.len(), buffer.bytes.capacity()), (0, 0));
    }

    #[test]
    fn memory_grows_to_the_limit_and_goes_back_when_little_is_left() {
        let mut buffer = Buffer::new();
        (0..9000).for_each(|_| buffer.push_within(9216, b"x"));
        assert_eq!(buffer.capacity(), 9216);
        buffer.consume(8990);
        buffer.trim();
        assert_eq!((buffer.len(), buffer.capacity()), (10, 10));
    }

    #[test]
    fn unread_bytes_survive_growth_and_consumption() {
        let (mut buffer, mut expected) = (Buffer::new(), Vec::new());
        for round in 0..200_usize {
            let more: Vec<u8> = (0..round).map(|n| (n % 251) as u8).collect();
            buffer.push(&more);
            expected.extend_from_slice(&more);
            let take = round / 2;
            buffer.consume(take);
            expected.drain(..take.min(expected.len()));
            assert_eq!(&*buffer, expected.as_slice());
        }
        assert_eq!(buffer.into_unread(), expected);
    }
}
