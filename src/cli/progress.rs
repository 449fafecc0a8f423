//! Shows a waiting person what a command is doing: a line on standard error after the first second, and further lines
//! while the command goes on.
//!
//! Only a terminal gets these lines: no person waits at a log or a pipe. They are whole lines and no progress bar,
//! because results are printed in between, and simple terminals can show lines. A thread writes them, because a command
//! may keep its own thread busy.

use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::print;

/// A quicker command shows no line.
const FIRST: Duration = Duration::from_secs(1);
/// The pause between lines, so that they do not hide the results.
const NEXT: Duration = Duration::from_secs(5);

/// Shows lines until this value is dropped.
pub(super) struct Progress(Option<(Sender<String>, JoinHandle<()>)>);

impl Progress {
    /// Begins with the line `what`, such as "Reading the accounts".
    pub(super) fn of(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let (sender, news) = channel();
        let first = what.to_owned();
        let saying = std::thread::Builder::new().spawn(move || say(first, &news, FIRST, NEXT, print::words));
        Self(saying.ok().map(|saying| (sender, saying)))
    }

    /// From now on the line is `what`.
    pub(super) fn now(&self, what: String) {
        if let Some((sender, _)) = &self.0 {
            let _ = sender.send(what);
        }
    }
}

impl Drop for Progress {
    /// Waits for the thread, so that no line follows the result.
    fn drop(&mut self) {
        if let Some((sender, saying)) = self.0.take() {
            drop(sender);
            let _ = saying.join();
        }
    }
}

/// Prints the latest of the `news` after each pause, unless there is nothing newer than the last line.
fn say(begun: String, news: &Receiver<String>, first: Duration, next: Duration, print: impl Fn(&str)) {
    let mut latest = Some(begun);
    let mut due = Instant::now() + first;
    loop {
        match news.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(what) => latest = Some(what),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(what) = latest.take() {
                    print(&format!("{what} …"));
                }
                due = Instant::now() + next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::say;

    const LONG: Duration = Duration::from_secs(600);

    fn said(
        first: Duration,
        next: Duration,
        news: impl FnOnce(&super::Sender<String>, &super::Receiver<String>),
    ) {
        let (sender, receiver) = channel();
        let (lines, printed) = channel();
        let saying = std::thread::spawn(move || {
            say("begun".to_owned(), &receiver, first, next, |line| drop(lines.send(line.to_owned())));
        });
        news(&sender, &printed);
        drop(sender);
        saying.join().unwrap();
    }

    #[test]
    fn what_is_quick_is_not_mentioned() {
        said(LONG, LONG, |sender, _| sender.send("two".to_owned()).unwrap());
        let (sender, receiver) = channel();
        drop(sender);
        say("begun".to_owned(), &receiver, LONG, LONG, |line| panic!("{line}"));
    }

    #[test]
    fn what_takes_long_is_said_and_then_what_has_become_of_it() {
        said(Duration::ZERO, Duration::from_millis(1), |sender, printed| {
            assert_eq!(printed.recv().unwrap(), "begun …");
            sender.send("account 2 of 50".to_owned()).unwrap();
            assert_eq!(printed.recv().unwrap(), "account 2 of 50 …");
        });
    }

    #[test]
    fn only_the_latest_is_said() {
        let (sender, receiver) = channel();
        for what in ["one", "two", "three"] {
            sender.send(what.to_owned()).unwrap();
        }
        let (lines, printed) = channel();
        let saying = std::thread::spawn(move || {
            say("begun".to_owned(), &receiver, Duration::from_millis(50), LONG, |line| {
                drop(lines.send(line.to_owned()));
            });
        });
        assert_eq!(printed.recv().unwrap(), "three …");
        drop(sender);
        saying.join().unwrap();
    }
}
