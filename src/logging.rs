//! The log: standard error, for people or as JSON.
//!
//! Nothing that is logged comes from mail, and no secret has a printable form; what comes from
//! outside is escaped where it is logged. A thread of its own writes the lines: a log that nobody reads
//! (a full pipe, a stopped terminal) costs lines, which are counted, and never a session.

mod queue;

use std::any::Any;
use std::io::{IsTerminal as _, Write as _};

use tracing_subscriber::EnvFilter;

/// Warnings of everybody, and our own news.
const DEFAULT_FILTER: &str = "warn,imap_oauth_proxy=info";

/// As much of a panic's message as a person needs.
const PANIC_TEXT: usize = 200;

/// Starts the log. `filter` is in tracing's form, such as `debug` or `imap_oauth_proxy=trace`.
///
/// `json` makes each line an object. Called once; later calls do nothing.
pub fn start(json: bool, filter: Option<&str>) -> Result<(), LogFilterError> {
    let filter = match filter {
        Some(text) => {
            EnvFilter::try_new(quiet_dependencies(text)).map_err(|error| LogFilterError(error.to_string()))?
        }
        None => EnvFilter::new(DEFAULT_FILTER),
    };
    let colours = !json && std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue::Writer::start(colours));
    let started = match json {
        true => builder.json().flatten_event(true).try_init(),
        false => builder.with_ansi(colours).try_init(),
    };
    drop(started);
    Ok(())
}

/// Has panics said in the log, with their place. Before the log is started they go to standard error.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic_text(panic.payload());
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        if !tracing::dispatcher::has_been_set() {
            let _ = writeln!(std::io::stderr(), "error: this program has a fault at {place}: {text}");
            return;
        }
        tracing::error!("this program has a fault at {place}: {text}");
        // The process may end with its main thread, before the line is written.
        if std::thread::current().name() == Some("main") {
            flush();
        }
    }));
}

/// The message of a panic, as far as it holds nothing of what was worked on: that stands in it in quotes.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(fixed), _) => fixed,
        (None, Some(made)) => made.split(['`', '"', '\'']).next().unwrap_or_default(),
        (None, None) => "",
    };
    let text: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(PANIC_TEXT).collect();
    match text.trim() {
        "" => "no message".to_owned(),
        text => text.to_owned(),
    }
}

/// Waits, for a moment at most, until everything logged so far is written.
pub fn flush() {
    queue::flush();
}

/// Dependencies that print what they carry at their finest levels are kept from it: a trace of
/// HTTP would hold tokens, and a trace of SQL sealed ones.
fn quiet_dependencies(filter: &str) -> String {
    const TALKATIVE: [&str; 6] = ["hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls", "sqlx"];
    let mut filter = filter.to_owned();
    for name in TALKATIVE {
        filter.push_str(&format!(",{name}=warn"));
    }
    filter
}

/// A filter that is not one.
#[derive(Debug, thiserror::Error)]
#[error("--log is not a filter: {0}; write a level such as \"debug\", or \"imap_oauth_proxy=debug,warn\"")]
pub struct LogFilterError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(panic: impl FnOnce() + std::panic::UnwindSafe) -> String {
        panic_text(&*std::panic::catch_unwind(panic).unwrap_err())
    }

    #[test]
    fn security_row_33_the_message_of_a_panic_shows_nothing_of_what_was_worked_on() {
        let token = std::hint::black_box("1//sécret");
        let text = text_of(|| drop(token[..5].to_owned()));
        assert!(!text.contains("cret"), "{text}");
        assert_eq!(text_of(|| panic!("a fixed text")), "a fixed text");
        let few = std::hint::black_box(vec![1, 2]);
        assert_eq!(text_of(|| assert_eq!(few[9], 0)), "index out of bounds: the len is 2 but the index is 9");
        assert_eq!(text_of(|| std::panic::panic_any(7)), "no message");
        let long = text_of(|| panic!("{}", "line\n\x1b[2J".repeat(100)));
        assert!(long.len() <= PANIC_TEXT && !long.contains(['\n', '\x1b']), "{long}");
    }
}
