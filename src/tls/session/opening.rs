//! Received bytes: those that wait, and the records that are opened.

use rustls::{ContentType, Error};
use tokio::io::ReadBuf;
use zeroize::Zeroizing;

use super::Session;
use crate::tls::record::Record;

impl Session {
    /// Number of received bytes that are kept.
    pub(in crate::tls) fn held(&self) -> usize {
        self.received.capacity() + self.opened.capacity() + self.talk.held()
    }

    /// Sealed bytes that wait to be opened.
    pub(in crate::tls) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Takes the sealed bytes, to be opened or kept again.
    pub(in crate::tls) fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// Limits the bytes that wait for a reader of small pieces.
    pub(in crate::tls) fn hold_at_most(&mut self, bytes: usize) {
        self.may_hold = bytes;
    }

    /// See [`Session::hold_at_most`].
    pub(in crate::tls) fn may_hold(&self) -> usize {
        self.may_hold
    }

    /// Whether the first record is longer than the limit.
    pub(in crate::tls) fn is_overfull(&self) -> bool {
        Record::announced(&self.received).is_some_and(|length| length > self.may_hold)
    }

    /// Keeps `rest` for the next [`Session::open`].
    pub(in crate::tls) fn keep(&mut self, rest: &[u8]) {
        // A new vector each time: it holds a part of one record, which the next read takes.
        self.received = rest.to_vec();
    }

    /// Opens the kept records that are whole, while `out` has room.
    pub(in crate::tls) fn open_received(&mut self, out: &mut ReadBuf<'_>) {
        let received = self.take_received();
        let opened = self.open(&received, out);
        self.keep(received.get(opened..).unwrap_or_default());
    }

    /// Gives the reader bytes that were opened before without room for them; false if there are none.
    pub(in crate::tls) fn read_opened(&mut self, out: &mut ReadBuf<'_>) -> bool {
        if self.opened.is_empty() {
            return false;
        }
        let (now, later) = self.opened.split_at(self.opened.len().min(out.remaining()));
        out.put_slice(now);
        // A smaller vector each time: the reader holds the other bytes.
        self.opened = Zeroizing::new(later.to_vec());
        true
    }

    /// Opens the whole records at the start of `sealed` into `out` while it has room; returns the number of bytes
    /// taken from `sealed`. An error is kept in [`Session::failure`]; data before it is still given.
    pub(in crate::tls) fn open(&mut self, sealed: &[u8], out: &mut ReadBuf<'_>) -> usize {
        let mut done = 0;
        // Bytes from earlier reads, as with `read_exact`, do not come from this call.
        let before = out.filled().len();
        while !self.peer_closed && self.failure.is_none() {
            let rest = sealed.get(done..).unwrap_or_default();
            match Record::first(rest, self.version) {
                Ok(None) => return done,
                Ok(Some(record)) => {
                    // Opens directly if a whole record fits; a small reader gets one record at a time.
                    if record.room() > out.remaining() && out.filled().len() > before {
                        return done;
                    }
                    done += record.length();
                    if let Err(error) = self.open_one(&record, out) {
                        self.fail(error);
                    }
                    if !self.opened.is_empty() {
                        return done;
                    }
                }
                Err(error) => self.fail(error),
            }
        }
        // Bytes behind the end are ignored.
        sealed.len()
    }

    fn open_one(&mut self, record: &Record<'_>, out: &mut ReadBuf<'_>) -> Result<(), Error> {
        let room = record.room();
        if room <= out.remaining() {
            let (typ, length) = self.opener.open(record, out.initialize_unfilled_to(room))?;
            if typ == ContentType::ApplicationData {
                self.take_data(length)?;
                out.advance(length);
                return Ok(());
            }
            let content = out.initialize_unfilled_to(length).to_vec();
            return self.take_talk(typ, &content);
        }
        let mut plaintext = Zeroizing::new(vec![0; room]);
        let (typ, length) = self.opener.open(record, &mut plaintext)?;
        plaintext.truncate(length);
        if typ == ContentType::ApplicationData {
            self.take_data(length)?;
            self.opened = plaintext;
            self.read_opened(out);
            return Ok(());
        }
        self.take_talk(typ, &plaintext)
    }
}
