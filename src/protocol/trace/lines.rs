//! The lines of one side of a conversation, assembled from the pieces that the network delivers.
//!
//! The invariant: only the beginning of a line is kept, and only the length of a literal, a message or a text. So the
//! memory of a scribe does not grow with the mail that passes.

/// Bytes of a line that are kept, to recognise it.
pub(super) const LINE: usize = 8192;

/// The incomplete line of one side.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) line: Vec<u8>,
    /// Bytes of the line so far, including those that were not kept.
    pub(super) length: u64,
    /// Bytes of a literal that are still to come.
    pub(super) skip: u64,
    pub(super) literal: u64,
    /// The line goes on behind a literal.
    pub(super) goes_on: bool,
    /// The client has not begun the literal, and waits for the server's `+`.
    pub(super) waits: bool,
}

impl Lines {
    pub(super) fn push(&mut self, piece: &[u8]) {
        let room = LINE.saturating_sub(self.line.len()).min(piece.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or_default());
        self.length += piece.len() as u64;
    }

    pub(super) fn take(&mut self) -> (Vec<u8>, u64) {
        (std::mem::take(&mut self.line), std::mem::take(&mut self.length))
    }

    /// Counts a line of a message or a text, which ends with a dot; returns whether that dot is still to come.
    pub(super) fn goes_on_to_the_dot(
        &mut self,
        line: &[u8],
        length: u64,
        tell: &mut dyn FnMut(String),
    ) -> bool {
        self.literal += length;
        let goes_on = line != b".\r\n" && line != b".\n";
        if !goes_on {
            tell(format!("<{} bytes>", std::mem::take(&mut self.literal)));
        }
        goes_on
    }
}
