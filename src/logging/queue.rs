//! The queue of log lines, and the thread that writes them to standard error.

use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::text::is_shown;

/// Lines that may wait: a few seconds of a busy server, a few hundred kilobytes.
const WAITING: usize = 2048;
/// The thread sleeps this long after each write, so that lines gather. Waking it for every single line would
/// slow down the threads that log.
const GATHER: Duration = Duration::from_millis(5);
/// At its end the program waits this long for a slow log reader.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Memory that the thread keeps between writes.
const KEPT: usize = 64 * 1024;

static QUEUE: OnceLock<SyncSender<Item>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Item {
    Line(Vec<u8>),
    /// Answered when all earlier items are written.
    Flush(SyncSender<()>),
}

/// Sends each line to the writing thread.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    /// Whether the formatter colours lines.
    colours: bool,
}

impl Writer {
    /// Starts the thread, once.
    pub(super) fn start(colours: bool) -> Self {
        QUEUE.get_or_init(|| {
            let (queue, items) = sync_channel(WAITING);
            std::thread::spawn(move || keep_writing(&items));
            queue
        });
        Self { colours }
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Writer {
    /// One call is one whole line: the formatter collects the line first.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = QUEUE.get().map(|queue| queue.try_send(Item::Line(one_line(line, self.colours))));
        if let Some(Err(TrySendError::Full(_))) = sent {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps an event on one line: a line break in a stored name or a peer's text must not start another. A
/// colouring formatter's escape characters are kept.
fn one_line(line: &[u8], colours: bool) -> Vec<u8> {
    const ESCAPE: u8 = 0x1b;
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let is_ours = |byte: &u8| matches!(byte, b' '..=b'~') || (colours && *byte == ESCAPE);
    if body.iter().all(is_ours) {
        return line.to_vec();
    }
    let keeps = |c: char| is_shown(c) || (colours && c == char::from(ESCAPE));
    let clean = |c: char| if keeps(c) { c } else { char::REPLACEMENT_CHARACTER };
    let mut clean: String = String::from_utf8_lossy(body).chars().map(clean).collect();
    clean.push('\n');
    clean.into_bytes()
}

/// Waits, a second at most, until everything logged so far is written.
pub fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, written) = sync_channel(1);
    if queue.try_send(Item::Flush(done)).is_ok() {
        let _ = written.recv_timeout(LAST_WAIT);
    }
}

/// Restarts the writing after a panic, which loses lines but not the log.
fn keep_writing(items: &Receiver<Item>) {
    while std::panic::catch_unwind(AssertUnwindSafe(|| write_all(items))).is_err() {
        std::thread::sleep(LAST_WAIT);
    }
}

fn write_all(items: &Receiver<Item>) {
    let mut out = io::stderr();
    let mut lines = Vec::new();
    while let Ok(first) = items.recv() {
        let mut flushed = Vec::new();
        // A limited number, so that a flood does not postpone the write.
        for item in std::iter::once(first).chain(items.try_iter()).take(WAITING) {
            match item {
                Item::Line(line) => lines.extend_from_slice(&line),
                Item::Flush(done) => flushed.push(done),
            }
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ =
                writeln!(lines, "{lost} log lines were dropped, because standard error was not read in time");
        }
        let _ = out.write_all(&lines);
        lines.clear();
        // Frees the memory of a flood.
        lines.shrink_to(KEPT);
        for done in flushed {
            let _ = done.send(());
        }
        std::thread::sleep(GATHER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_row_14_an_event_is_one_line() {
        let coloured = "owner=\u{1b}[3mKäthe\u{1b}[0m\n";
        assert_eq!(one_line(coloured.as_bytes(), true), coloured.as_bytes());
        for (event, line) in [
            ("owner=bob@corp.example\n", "owner=bob@corp.example\n"),
            (coloured, "owner=\u{fffd}[3mKäthe\u{fffd}[0m\n"),
            ("owner=x\n2026 ERROR forged\u{202e}\r\n", "owner=x\u{fffd}2026 ERROR forged\u{fffd}\u{fffd}\n"),
        ] {
            assert_eq!(String::from_utf8(one_line(event.as_bytes(), false)).unwrap(), line);
        }
    }
}
