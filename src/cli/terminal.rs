//! Reads a terminal's standard input: lines without echo, and of any length.
//!
//! A terminal's line discipline cuts lines at 4,095 bytes, and the address of a redirect can be longer, so the
//! terminal is read byte by byte. Its mode is restored at every end of the command.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::print;
use crate::secret::Secret;
use crate::text::one_line;

/// Longer than any expected line.
const LONGEST_LINE: usize = 64 * 1024;
const BACKSPACE: [u8; 2] = [8, 127];
const CTRL_D: u8 = 4;
const CTRL_U: u8 = 21;

/// Lines of standard input, without echo if it is a terminal.
pub(super) struct Lines {
    lines: mpsc::Receiver<Secret>,
    _silence: Option<Silence>,
}

impl Lines {
    /// Starts reading. The reading thread ends with the process.
    pub(super) fn of_stdin() -> Self {
        let silence =
            is_interactive().then(|| File::open("/dev/stdin").ok()).flatten().and_then(Silence::begin);
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            while let Some(line) = read_line(std::io::stdin().lock()) {
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

/// All of standard input, up to `limit` bytes and one more.
pub(super) async fn read_stdin(limit: u64) -> std::io::Result<Zeroizing<String>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Zeroizing::new(String::new());
        std::io::stdin().lock().take(limit + 1).read_to_string(&mut text).map(|_| text)
    });
    read.await.map_err(std::io::Error::other)?
}

/// Whether [`ask`] can ask.
pub(super) fn is_there() -> bool {
    File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// Asks at the terminal, even if standard input is a pipe; `None` without a terminal.
pub(super) async fn ask(prompt: &str) -> Option<Secret> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    write!(terminal, "{prompt}").ok()?;
    let _silence = Silence::begin(terminal.try_clone().ok()?)?;
    let reading = terminal.try_clone().ok()?;
    let answer = tokio::task::spawn_blocking(move || read_line(reading)).await.ok()?;
    let _ = writeln!(terminal);
    answer
}

/// Asks a question on standard input, answered with y or anything else; `None` if it is no terminal.
pub(super) async fn confirm(question: &str) -> Option<bool> {
    if !is_interactive() {
        return None;
    }
    print::needed(&one_line(question));
    print::needed("Type y for yes, anything else for no:");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = answer.await.ok()?.unwrap_or_default();
    Some(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Whether standard input is a terminal.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal()
}

fn read_line(mut input: impl Read) -> Option<Secret> {
    let mut line = Zeroizing::new(Vec::new());
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

/// A terminal without echo and line buffering, until this is dropped.
struct Silence(File, Termios);

impl Silence {
    fn begin(terminal: File) -> Option<Self> {
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Now, &silent).ok()?;
        Some(Self(terminal, before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.0, OptionalActions::Now, &self.1);
    }
}
