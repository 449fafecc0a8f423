//! The lines on their way to standard error.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait: a few seconds of a busy server, a few hundred kilobytes.
const WAITING: usize = 2048;
/// At the end of the program a reader that is slow is waited for, one that is gone is not.
const LAST_WAIT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<SyncSender<Item>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

enum Item {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// Hands each line to the thread that writes.
#[derive(Clone, Copy)]
pub(super) struct Writer(());

impl Writer {
    /// Starts the thread, once.
    pub(super) fn start() -> Self {
        QUEUE.get_or_init(|| {
            let (queue, items) = sync_channel(WAITING);
            std::thread::spawn(move || write_all(&items));
            queue
        });
        Self(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Writer {
    /// One call is one line: the formatter gathers it first.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let sent = QUEUE.get().map(|queue| queue.try_send(Item::Line(line.to_vec())));
        if let Some(Err(TrySendError::Full(_))) = sent {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, written) = sync_channel(1);
    if queue.try_send(Item::Flush(done)).is_ok() {
        let _ = written.recv_timeout(LAST_WAIT);
    }
}

fn write_all(items: &Receiver<Item>) {
    let mut out = io::stderr();
    for item in items {
        match item {
            Item::Line(line) => {
                let _ = out.write_all(&line);
            }
            Item::Flush(done) => {
                let _ = done.send(());
            }
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were dropped, because nobody read them in time");
        }
    }
}
