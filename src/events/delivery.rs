//! Delivers events to a program, a webhook, or both.
//!
//! The program gets the event as JSON on its standard input. It runs without a shell and without our
//! environment, which may hold a key. It is killed when it takes too long.

use std::fmt::Display;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::news::Event;
use crate::metrics::Metrics;
use crate::oauth::Webhook;

/// A notifying program needs seconds; one that hangs must not delay the next event.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// The pauses before each attempt.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5)];
/// The environment variables that the program gets.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

pub(super) struct Delivery {
    pub(super) command: Vec<String>,
    pub(super) webhook: Option<Webhook>,
    pub(super) metrics: Arc<Metrics>,
}

impl Delivery {
    /// Returns whether at least one delivery succeeded. Failures are logged.
    pub(super) async fn deliver(&self, event: &Event) -> bool {
        let Ok(json) = serde_json::to_string(event) else { return false };
        let (ran, posted) = tokio::join!(self.run(&json), self.post(&json));
        let delivered = ran || posted;
        self.metrics.event_delivered(delivered);
        delivered
    }

    async fn run(&self, json: &str) -> bool {
        let Some((program, arguments)) = self.command.split_first() else { return false };
        tried(&format!("events.command {program:?}"), || run(program, arguments, json)).await
    }

    async fn post(&self, json: &str) -> bool {
        let Some(webhook) = &self.webhook else { return false };
        tried("events.webhook", || webhook.post(json.to_owned())).await
    }
}

/// Makes an attempt after each of [`PAUSES`], until one succeeds. Failures are logged under the name `what`.
async fn tried<E: Display, A: Future<Output = Result<(), E>>>(what: &str, attempt: impl Fn() -> A) -> bool {
    for pause in PAUSES {
        tokio::time::sleep(pause).await;
        match attempt().await {
            Ok(()) => return true,
            Err(error) => tracing::warn!("{what} failed for an event: {error}"),
        }
    }
    false
}

/// Runs a program to its end, with `input` on its standard input. Its output is discarded.
async fn run(program: &str, arguments: &[String], input: &str) -> Result<(), String> {
    let environment = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input may still do its work.
            let _ = stdin.write_all(format!("{input}\n").as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(COMMAND_TIME, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(status.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("it had not ended after {} s", COMMAND_TIME.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_the_event_and_not_our_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("cat > {0}; env >> {0}", file.path().display());
        run("sh", &["-c".to_owned(), script], "{\"event\":\"healed\"}").await.unwrap();
        let got = std::fs::read_to_string(file.path()).unwrap();
        assert!(got.starts_with("{\"event\":\"healed\"}\n"), "{got}");
        assert!(!got.contains("CARGO"), "{got}");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_fails_is_an_error() {
        assert!(run("/nonexistent/program", &[], "").await.is_err());
        assert!(run("false", &[], "").await.unwrap_err().contains('1'));
    }
}
