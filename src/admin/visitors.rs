//! Who may see the page: entrances, each for one use within five minutes, and the sessions that they begin.
//!
//! They lie in the store, so that they outlive a restart, and an entrance that one instance prints opens at another. A
//! token is found by its hash and is stored nowhere; what belongs to it is sealed. So neither a backup nor a copy of
//! the database opens the page. A session ends when its visitor leaves, after an hour without a request, and after
//! twelve hours in any case. Several people have a session at the same time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tracing::warn;
use zeroize::Zeroizing;

use crate::secret::{Sealer, Secret, random_text, same_bytes};
use crate::store::{Actor, ShortLived, ShortLivedKind as Kind, Store, StoreError};

/// Long enough to switch to a browser, too short for a note that is found later.
const ENTRANCE_LIFE: Duration = Duration::minutes(5);
/// A screen that is left alone for so long may have another person in front of it.
const IDLE: Duration = Duration::hours(1);
/// A working day.
const LONGEST: Duration = Duration::hours(12);
/// A use is written at most so often.
const NOTED: Duration = Duration::seconds(20);
/// An answer is shown by the next page.
const SAID_LIFE: Duration = Duration::minutes(10);

/// All entrances and sessions.
pub(super) struct Visitors {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

/// The sealed part of an entrance.
#[derive(Serialize, Deserialize)]
struct Entrance {
    opened_by: Actor,
}

/// The sealed part of a session.
#[derive(Serialize, Deserialize)]
struct Session {
    session: String,
    opened_by: Actor,
    form_token: String,
    /// In seconds since 1970 UTC.
    began: i64,
}

/// A person with a session.
#[derive(Clone)]
pub(super) struct Visitor {
    key: String,
    /// The session's name in the audit trail: it opens nothing.
    pub(super) session: String,
    /// The user whose command opened the page.
    pub(super) opened_by: Actor,
    /// The token in each form of the session.
    pub(super) form_token: String,
}

impl Visitor {
    /// Whether `token` is that of the session's forms.
    pub(super) fn sent(&self, token: &str) -> bool {
        same_bytes(token.as_bytes(), self.form_token.as_bytes())
    }
}

impl Visitors {
    pub(super) fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer }
    }

    /// The time by the clock that all instances go by.
    pub(super) async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.store.clock().await
    }

    /// A new entrance for the person `by`.
    pub(super) async fn invite(&self, by: Actor, now: OffsetDateTime) -> Result<String, StoreError> {
        let token = random_text::<32>();
        let entrance = Entrance { opened_by: by };
        self.keep(Kind::Entrance, ShortLived::key_of(&token), &entrance, now + ENTRANCE_LIFE, now).await?;
        Ok(token)
    }

    /// Whether an entrance with that token is open; looking at it changes nothing.
    pub(super) async fn is_invited(&self, token: &str, now: OffsetDateTime) -> bool {
        let found = self.store.short_lived(Kind::Entrance, &ShortLived::key_of(token), now).await;
        self.opened::<Entrance>(found).is_some()
    }

    /// Uses the entrance with that token up, and begins a session; returns its cookie.
    pub(super) async fn enter(&self, token: &str, now: OffsetDateTime) -> Option<(String, Visitor)> {
        let taken = self.store.take_short_lived(Kind::Entrance, &ShortLived::key_of(token), now).await;
        let (_, Entrance { opened_by }) = self.opened(taken)?;
        let cookie = random_text::<32>();
        let key = ShortLived::key_of(&cookie);
        let session = Session {
            session: random_text::<6>().to_lowercase().replace(['-', '_'], "x"),
            opened_by,
            form_token: random_text::<32>(),
            began: now.unix_timestamp(),
        };
        let kept = self.keep(Kind::Session, key.clone(), &session, now + IDLE, now).await;
        kept.inspect_err(|error| warn!("a session of the page cannot begin: {error}")).ok()?;
        Some((cookie, visitor(key, session)))
    }

    /// The person with that cookie. A request that the browser makes by itself does not prolong the session.
    pub(super) async fn find(
        &self,
        cookie: &str,
        is_of_person: bool,
        now: OffsetDateTime,
    ) -> Option<Visitor> {
        let key = ShortLived::key_of(cookie);
        let found = self.store.short_lived(Kind::Session, &key, now).await;
        let (found, session): (_, Session) = self.opened(found)?;
        if is_of_person && now - found.used_at >= NOTED {
            let longest = OffsetDateTime::from_unix_timestamp(session.began).ok()? + LONGEST;
            let used = self.store.use_short_lived(Kind::Session, &key, now, longest.min(now + IDLE)).await;
            let _ = used.inspect_err(|error| warn!("the use of a session was not noted: {error}"));
        }
        Some(visitor(key, session))
    }

    /// Ends the session.
    pub(super) async fn leave(&self, visitor: &Visitor) {
        let beginning = OffsetDateTime::UNIX_EPOCH;
        let taken = self.store.take_short_lived(Kind::Session, &visitor.key, beginning).await;
        let _ = taken.inspect_err(|error| warn!("a session of the page was not ended: {error}"));
    }

    /// Keeps an answer until the visitor's next page; returns its name. The answer is a part of a page.
    pub(super) async fn say(&self, visitor: &Visitor, said: &Secret) -> String {
        let name = random_text::<9>();
        let Ok(now) = self.now().await else { return name };
        let key = said_key(visitor, &name);
        let kept = self.keep(Kind::Said, key, &said.expose(), now + SAID_LIFE, now).await;
        let _ = kept.inspect_err(|error| warn!("an answer of the page was lost: {error}"));
        name
    }

    /// Takes the answer of that name, once.
    pub(super) async fn hear(&self, visitor: &Visitor, name: &str) -> Option<Secret> {
        let now = self.now().await.ok()?;
        let taken = self.store.take_short_lived(Kind::Said, &said_key(visitor, name), now).await;
        self.opened::<Secret>(taken).map(|(_, said)| said)
    }

    async fn keep<T: Serialize>(
        &self,
        kind: Kind,
        key: String,
        value: &T,
        until: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Failed(error);
        let text = Zeroizing::new(serde_json::to_vec(value).map_err(|error| failed(error.into()))?);
        // A rotation of the keys keeps only the newest.
        let _ = self.sealer.reload();
        let sealed = self.sealer.seal(&ShortLived::context(kind, &key), &text);
        let sealed = sealed.map_err(|error| failed(error.into()))?;
        self.store.keep_shortly(&ShortLived { kind, key, sealed, used_at: now, until }, now).await
    }

    /// The value, unless there is none or it cannot be read.
    fn opened<T: for<'a> Deserialize<'a>>(
        &self,
        found: Result<Option<ShortLived>, StoreError>,
    ) -> Option<(ShortLived, T)> {
        let found = found.inspect_err(|error| warn!("the page cannot read its sessions: {error}")).ok()??;
        let text = self.sealer.open(&ShortLived::context(found.kind, &found.key), &found.sealed);
        let text = text.inspect_err(|error| warn!("a session of the page cannot be opened: {error}")).ok()?;
        Some((found, serde_json::from_slice(&text).ok()?))
    }
}

fn visitor(key: String, session: Session) -> Visitor {
    let Session { session, opened_by, form_token, .. } = session;
    Visitor { key, session, opened_by, form_token }
}

/// Only its visitor finds an answer.
fn said_key(visitor: &Visitor, name: &str) -> String {
    ShortLived::key_of(&format!("{}/{name}", visitor.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Sqlite;

    const BEGAN: OffsetDateTime = time::macros::datetime!(2027-02-08 10:00 UTC);

    fn actor() -> Actor {
        Actor { surface: "cli".to_owned(), user: Some("alice".to_owned()), uid: Some(1000) }
    }

    /// Two instances on one store.
    async fn two() -> (Visitors, Visitors, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let sealer = Arc::new(Sealer::new([(1, Zeroizing::new([7; 32]))]).unwrap());
        let open = async || {
            let store = Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap());
            Visitors::new(store, sealer.clone())
        };
        let (one, other) = (open().await, open().await);
        (one, other, directory)
    }

    async fn enter(visitors: &Visitors, at: OffsetDateTime) -> (String, Visitor) {
        let token = visitors.invite(actor(), at).await.unwrap();
        visitors.enter(&token, at).await.unwrap()
    }

    #[tokio::test]
    async fn security_row_46_an_entrance_opens_once_and_for_five_minutes_at_any_instance() {
        let (one, other, _directory) = two().await;
        let token = one.invite(actor(), BEGAN).await.unwrap();
        assert!(one.is_invited(&token, BEGAN).await && other.is_invited(&token, BEGAN).await, "only a look");
        let (first, second) = tokio::join!(one.enter(&token, BEGAN), other.enter(&token, BEGAN));
        assert!(first.is_some() != second.is_some(), "one of two enters");
        let late = one.invite(actor(), BEGAN).await.unwrap();
        assert!(other.enter(&late, BEGAN + ENTRANCE_LIFE).await.is_none());
        assert!(one.enter("", BEGAN).await.is_none() && !one.is_invited(&token, BEGAN).await);
        for value in one.store.all_short_lived().await.unwrap() {
            assert!(!value.key.contains(&token) && !value.key.contains(&late), "a token is stored nowhere");
        }
    }

    #[tokio::test]
    async fn security_row_46_a_session_ends_with_its_visitor_idle_and_in_any_case() {
        let (visitors, instance, _directory) = two().await;
        let (cookie, visitor) = enter(&visitors, BEGAN).await;
        let (other, _) = enter(&visitors, BEGAN).await;
        assert!(instance.find(&cookie, true, BEGAN).await.is_some());
        assert!(visitors.find(&visitor.session, true, BEGAN).await.is_none());
        instance.leave(&visitor).await;
        assert!(visitors.find(&cookie, true, BEGAN).await.is_none());
        assert!(visitors.find(&other, true, BEGAN).await.is_some());
        // What the browser asks by itself does not count.
        let later = BEGAN + IDLE - Duration::seconds(1);
        assert!(visitors.find(&other, false, later).await.is_some());
        assert!(visitors.find(&other, true, BEGAN + IDLE).await.is_none());
        let (busy, _) = enter(&visitors, BEGAN).await;
        let mut at = BEGAN;
        while at + IDLE / 2 < BEGAN + LONGEST {
            at += IDLE / 2;
            assert!(visitors.find(&busy, true, at).await.is_some());
        }
        assert!(visitors.find(&busy, true, BEGAN + LONGEST).await.is_none());
    }

    #[tokio::test]
    async fn beyond_the_most_sessions_the_one_that_was_seen_longest_ago_gives_way() {
        let (visitors, _, _directory) = two().await;
        let mut cookies = Vec::new();
        for number in 0..=Kind::Session.most() {
            cookies.push(enter(&visitors, BEGAN + Duration::seconds(i64::from(number))).await.0);
        }
        let at = BEGAN + Duration::seconds(100);
        for (number, cookie) in cookies.iter().enumerate() {
            assert_eq!(visitors.find(cookie, true, at).await.is_some(), number > 0, "{number}");
        }
        let mut tokens = Vec::new();
        for _ in 0..=Kind::Entrance.most() {
            tokens.push(visitors.invite(actor(), at).await.unwrap());
        }
        assert!(!visitors.is_invited(&tokens[0], at).await && visitors.is_invited(&tokens[1], at).await);
    }

    #[tokio::test]
    async fn an_answer_is_heard_once_and_by_its_visitor_alone() {
        let (visitors, instance, _directory) = two().await;
        let now = visitors.now().await.unwrap();
        let ((_, one), (_, other)) = (enter(&visitors, now).await, enter(&visitors, now).await);
        let name = visitors.say(&one, &Secret::new("it is done")).await;
        assert!(visitors.hear(&other, &name).await.is_none());
        assert!(instance.hear(&one, &name).await.is_some() && visitors.hear(&one, &name).await.is_none());
    }
}
