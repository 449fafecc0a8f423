//! A terminal's standard input: a line that is not echoed, and of any length.
//!
//! The line discipline of a terminal cuts lines at 4,095 bytes, and an address that a provider sends a
//! browser to can be longer; so the terminal is read byte by byte. It is put back as it was however the
//! command ends.

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use crate::secret::Secret;

/// Longer than any line that is wanted here.
const LONGEST_LINE: usize = 64 * 1024;
const BACKSPACE: [u8; 2] = [8, 127];
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;

/// Lines of standard input, without echo where it is a terminal.
pub(super) struct Lines {
    lines: mpsc::Receiver<Secret>,
    _silence: Option<Silence>,
}

impl Lines {
    /// Begins to read. The thread that reads ends with the process.
    pub(super) fn of_stdin() -> Self {
        let silence = Silence::begin();
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            while let Some(line) = read_line() {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines, _silence: silence }
    }

    /// The next line without its end; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> Option<Secret> {
        self.lines.recv().await
    }
}

/// Whether a person sits at standard input.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

fn read_line() -> Option<Secret> {
    let mut line = zeroize::Zeroizing::new(Vec::new());
    let mut input = std::io::stdin().lock();
    let mut byte = [0];
    loop {
        match input.read(&mut byte) {
            Ok(1) => {}
            _ if line.is_empty() => return None,
            _ => break,
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            CTRL_D if line.is_empty() => return None,
            CTRL_U => line.clear(),
            erased if BACKSPACE.contains(&erased) => drop(line.pop()),
            other if line.len() < LONGEST_LINE => line.push(other),
            _ => {}
        }
    }
    Some(Secret::new(String::from_utf8_lossy(&line)))
}

/// A terminal that does not echo and does not gather lines, until this is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> Option<Self> {
        if !is_interactive() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(std::io::stdin(), OptionalActions::Now, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
