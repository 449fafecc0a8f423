//! The log: standard error, for people or as JSON.
//!
//! Nothing that is logged comes from mail, and no secret has a printable form; what comes from
//! outside is escaped where it is logged. A thread of its own writes the lines: a log that nobody reads
//! (a full pipe, a stopped terminal) costs lines, which are counted, and never a session.

mod queue;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Warnings of everybody, and our own news.
const DEFAULT_FILTER: &str = "warn,imap_oauth_proxy=info";

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
