//! The sessions of every instance on a shared store, listed and closed.
//!
//! The control socket of another machine cannot be reached. So a command, or the `serve` that shows the page, puts a
//! question into the store, which each living instance answers within a second. When all have answered, or after two
//! seconds, it removes the question and the answers. Each is sealed with its id and, for an answer, the instance as
//! context: they hold names and addresses, and only a process with the key may close sessions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::error::Error;
use crate::connection::LiveSession;
use crate::secret::{Sealer, random_text};
use crate::store::{Actor, Instance, InstanceAnswer, Question, Store, StoreError};
use crate::text::rfc3339;

/// How long a command waits for the instances.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks for answers.
const PAUSE: Duration = Duration::from_millis(50);
/// The life of a question, in seconds, if the process that asked it has died. It is longer than [`PATIENCE`], so an
/// instance that answers too late still closes the sessions.
const SECONDS: u32 = 5;

/// A session in the form of `sessions list --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) protocol: String,
    pub(crate) from: String,
    /// RFC 3339, UTC.
    pub(crate) since: String,
    pub(crate) password: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
}

impl SessionRow {
    pub(crate) fn of(session: &LiveSession) -> Self {
        Self {
            id: session.id.clone(),
            account: session.account.clone(),
            protocol: session.door.name().to_owned(),
            from: session.from.to_string(),
            since: rfc3339(session.since),
            password: session.password.clone(),
            client_id: session.client.clone(),
            bytes_up: session.up(),
            bytes_down: session.down(),
        }
    }
}

/// A question to the instances.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Asked {
    List,
    Close {
        /// A session's id, or an account's name.
        of: String,
        /// Who asks, for the audit trail: the surface, the user and the user's number.
        by: (String, Option<String>, Option<u32>),
    },
}

impl Asked {
    pub(crate) fn to_close(of: &str, by: Actor) -> Self {
        Self::Close { of: of.to_owned(), by: (by.surface, by.user, by.uid) }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Sessions(Vec<SessionRow>),
    /// The number of sessions that are told to end.
    Closed(usize),
}

/// The answers of the instances together.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Number of instances that were asked.
    pub(crate) asked: usize,
    pub(crate) sessions: Vec<SessionRow>,
    pub(crate) closed: usize,
    /// The places of the instances that did not answer in time.
    pub(crate) silent: Vec<String>,
}

/// Asks every living instance on `store` but this process.
pub(crate) async fn ask(store: &dyn Store, sealer: &Sealer, asked: &Asked) -> Result<Heard, Error> {
    let instances = store.others().await?;
    let mut heard = Heard { asked: instances.len(), ..Heard::default() };
    if instances.is_empty() {
        return Ok(heard);
    }
    let id = random_text::<12>();
    let sealed = seal(sealer, &context(&id, ""), asked)?;
    store.ask(&Question { id: id.clone(), sealed }, SECONDS).await?;
    let answers = wait(store, &id, &instances).await;
    // Removed even if some have not answered: late answers are not read.
    if let Err(error) = store.withdraw(&id).await {
        tracing::debug!("a question to the instances is not removed before it is over: {error}");
    }
    let answers = answers?;
    for Instance { holder, place } in instances {
        let answer = answers.iter().find(|answer| answer.holder == holder);
        match answer.and_then(|answer| open(sealer, &context(&id, &holder), &answer.sealed)) {
            Some(Answer::Sessions(sessions)) => heard.sessions.extend(sessions),
            Some(Answer::Closed(closed)) => heard.closed += closed,
            None => heard.silent.push(place),
        }
    }
    Ok(heard)
}

/// The answers, read when all may be there: those of thousands of sessions are long.
async fn wait(store: &dyn Store, id: &str, asked: &[Instance]) -> Result<Vec<InstanceAnswer>, StoreError> {
    let end = Instant::now() + PATIENCE;
    // An instance that has just begun answers too, and counts as one of those that were asked.
    let mut enough = asked.len();
    loop {
        tokio::time::sleep(PAUSE).await;
        let number = store.count_answers(id).await?;
        let is_over = Instant::now() >= end;
        if number < enough && !is_over {
            continue;
        }
        let answers = store.answers(id).await?;
        let is_there = |instance: &Instance| answers.iter().any(|answer| answer.holder == instance.holder);
        if is_over || asked.iter().all(is_there) {
            return Ok(answers);
        }
        enough = answers.len() + 1;
    }
}

/// The content of `question`; `None` if it was not sealed for its id.
pub(super) fn read(sealer: &Sealer, question: &Question) -> Option<Asked> {
    open(sealer, &context(&question.id, ""), &question.sealed)
}

/// Answers `question` as `holder`.
pub(super) async fn reply(
    store: &dyn Store,
    sealer: &Sealer,
    question: &str,
    answer: &Answer,
) -> Result<(), StoreError> {
    let sealed = seal(sealer, &context(question, &store.holder().await?), answer)?;
    store.answer(question, &sealed).await
}

fn context(question: &str, holder: &str) -> String {
    format!("question/{question}/{holder}")
}

fn seal(sealer: &Sealer, context: &str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_vec(value).map_err(|error| StoreError::Failed(error.into()))?;
    sealer.seal(context, &text).map_err(|error| StoreError::Failed(error.into()))
}

fn open<T: serde::de::DeserializeOwned>(sealer: &Sealer, context: &str, sealed: &[u8]) -> Option<T> {
    serde_json::from_slice(&sealer.open(context, sealed).ok()?).ok()
}
