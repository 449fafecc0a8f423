//! The lines of one side of a conversation, as they come together from pieces.
//!
//! The invariant: of a line no more is kept than its beginning, and of a literal, a message or a text nothing but how
//! long it is. So what a scribe holds does not grow with the mail that it hears.

/// Bytes of a line that are kept to see what it is.
pub(super) const LINE: usize = 8192;

/// What came of one side, up to the end of a line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) line: Vec<u8>,
    /// Of the line, those included that were not kept.
    pub(super) length: u64,
    /// Of a literal, still to come.
    pub(super) skip: u64,
    pub(super) literal: u64,
    /// The line goes on behind a literal.
    pub(super) goes_on: bool,
    /// The literal has not begun, and waits for the server's word.
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

    /// Counts a line of a message or a text, up to the dot at its end; whether that is still to come.
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
