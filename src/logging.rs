//! The log on standard error, as text or JSON.
//!
//! No mail content is logged, secrets have no printable form, and outside text is escaped where it is logged.
//! A separate thread writes the lines. If the log's reader stalls (a full pipe, a stopped terminal), lines
//! are dropped and counted, and no session waits.

mod queue;
mod shape;

use std::any::Any;
use std::io::{IsTerminal as _, Write as _};

use std::sync::OnceLock;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use self::shape::Shape;

pub use queue::flush;

/// Warnings of all crates, and this crate's info lines.
const DEFAULT_FILTER: &str = "warn,imap_oauth_proxy=info";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Characters of a panic's message that are logged.
const PANIC_TEXT: usize = 200;

/// The handle that replaces the running log's filter.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Checked settings of the log, not applied yet.
pub struct Settings {
    json: bool,
    filter: Targets,
}

impl Settings {
    /// `filter` is in tracing's form, such as `debug` or `imap_oauth_proxy=trace`. `json` makes each line a
    /// JSON object.
    pub fn new(json: bool, filter: Option<&str>) -> Result<Self, LogFilterError> {
        let filter = match filter {
            Some(text) => {
                judge(text)?;
                quiet_dependencies(text)
            }
            None => DEFAULT_FILTER.to_owned(),
        };
        let filter = filter.parse().map_err(|error| LogFilterError(format!("{error}")))?;
        Ok(Self { json, filter })
    }

    /// Applies the settings to the running log.
    pub fn apply(self) {
        shape::set(self.json);
        if let Some(handle) = FILTER.get() {
            // Fails only if the log is gone.
            let _ = handle.reload(self.filter);
        }
    }
}

/// Starts the log; see [`Settings::new`]. Only the first call has an effect.
pub fn start(json: bool, filter: Option<&str>) -> Result<(), LogFilterError> {
    let Settings { json, filter } = Settings::new(json, filter)?;
    if FILTER.get().is_some() {
        return Ok(());
    }
    let (filter, handle) = reload::Layer::new(filter);
    shape::set(json);
    let shape = Shape::new(std::io::stderr().is_terminal());
    if tracing_subscriber::registry().with(filter).with(shape).try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// Logs panics with their source location; before the log is started, prints them to standard error.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic_text(panic.payload());
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        if !tracing::dispatcher::has_been_set() {
            let _ = writeln!(std::io::stderr(), "error: this program has a fault at {place}: {text}");
            return;
        }
        tracing::error!("this program has a fault at {place}: {text}");
        // A panic in the main thread may end the process before the line is written.
        if std::thread::current().name() == Some("main") {
            flush();
        }
    }));
}

/// The message of a panic, cut at the first quote: panics quote the data they failed on.
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

/// Refuses what would count as the name of a target, and so switch all other lines off: a misspelt level, and a level
/// or a target that is empty.
fn judge(filter: &str) -> Result<(), LogFilterError> {
    // A filter by span has an empty target where it stands alone.
    let is_by_span = filter.contains('[');
    for part in without_spans(filter).split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let wrong = match part.split_once('=') {
            None if is_level(part) => continue,
            None => format!("{part:?} is no level"),
            Some((target, _)) if target.trim().is_empty() && !is_by_span => {
                format!("{part:?} has no target before =")
            }
            Some((_, level)) if is_level(level.trim()) => continue,
            Some((_, level)) => format!("{:?} is no level", level.trim()),
        };
        return Err(LogFilterError(wrong));
    }
    Ok(())
}

fn is_level(text: &str) -> bool {
    // Numbers are levels of earlier versions too: 0 is off, 5 is trace.
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)) || matches!(text.as_bytes(), [b'0'..=b'5'])
}

/// Limits dependencies that print payloads at their finest levels: a trace of HTTP would show tokens, and a
/// trace of SQL sealed ones.
fn quiet_dependencies(filter: &str) -> String {
    const TALKATIVE: [&str; 6] = ["hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls", "sqlx"];
    let close = |part: &str| part.split('=').map(str::trim).collect::<Vec<_>>().join("=");
    let filter = without_spans(filter);
    let parts = filter.split(',').map(close).filter(|part| !part.is_empty());
    let parts = parts.map(|part| part.trim_start_matches('=').to_owned());
    let mut filter = parts.collect::<Vec<_>>().join(",");
    for name in TALKATIVE {
        filter.push_str(&format!(",{name}=warn"));
    }
    filter.trim_start_matches(',').to_owned()
}

/// Earlier versions also took filters by span and field, `target[span{field=value}]=level`. Such a filter now counts for
/// the whole target, so that an old configuration shows more, not less.
fn without_spans(filter: &str) -> String {
    let mut depth = 0_u32;
    let outside = |letter: &char| {
        match letter {
            '[' => depth += 1,
            ']' if depth > 0 => {
                depth -= 1;
                return false;
            }
            _ => {}
        }
        depth == 0
    };
    filter.chars().filter(outside).collect()
}

/// The text is no valid filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log or log.filter is not a filter: {0}; write a level such as \"debug\", or \"imap_oauth_proxy=debug,warn\"; the levels are {levels}",
    levels = LEVELS.join(", ")
)]
pub struct LogFilterError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_and_targets_and_never_open_a_dependency_that_prints_secrets() {
        for good in
            ["debug", "trace,", " imap_oauth_proxy = debug , warn", "off", "", "hyper=trace,sqlx=trace"]
        {
            let Ok(Settings { filter, .. }) = Settings::new(false, Some(good)) else { panic!("{good}") };
            for talkative in ["hyper::proto", "sqlx::query", "reqwest::connect"] {
                assert!(!filter.would_enable(talkative, &tracing::Level::DEBUG), "{good}: {talkative}");
            }
        }
        let filter = Settings::new(false, Some("imap_oauth_proxy=debug,warn")).ok().unwrap().filter;
        assert!(filter.would_enable("imap_oauth_proxy::relay", &tracing::Level::DEBUG));
        assert!(!filter.would_enable("axum", &tracing::Level::INFO));
        for old in ["imap_oauth_proxy[session{id=7,door=imap}]=debug,warn", "[session]=debug"] {
            let filter = Settings::new(false, Some(old)).ok().unwrap().filter;
            assert!(filter.would_enable("imap_oauth_proxy::relay", &tracing::Level::DEBUG), "{old}");
        }
        // A bare word would be a target, and nothing else would be logged.
        for (bad, said) in [
            ("loud=very", "\"very\" is no level"),
            ("a=b=c", "\"b=c\" is no level"),
            ("debugg", "\"debugg\" is no level"),
            ("imap_oauth_proxy", "\"imap_oauth_proxy\" is no level"),
            ("info,waarn", "\"waarn\" is no level"),
            ("=,=", "\"=\" has no target before ="),
            ("=debug", "\"=debug\" has no target before ="),
            ("a=", "\"\" is no level"),
        ] {
            let error = Settings::new(false, Some(bad)).err().unwrap().to_string();
            assert!(error.contains(said) && error.contains("write a level such as"), "{bad}: {error}");
            assert!(error.ends_with("the levels are off, error, warn, info, debug, trace"), "{error}");
        }
    }

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
