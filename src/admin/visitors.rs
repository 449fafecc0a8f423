//! Who may see the page: entrances, each for one use within five minutes, and the sessions that they begin.
//!
//! Entrances and sessions are in the store, so that they outlive a restart, and an entrance that one instance prints
//! opens at another. A row is found by the hash of its token, which is stored nowhere; the rest of the row is sealed.
//! So neither a backup nor a copy of the database opens the page. A session ends when its visitor leaves, after an hour
//! without a request, and after twelve hours in any case. Several people have a session at the same time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tracing::warn;
use zeroize::Zeroizing;

use crate::control::audit;
use crate::control::misses::{Judged, Lookups};
use crate::secret::marks::Marks;
use crate::secret::{Sealer, Secret, random_text, same_bytes};
use crate::store::{Actor, ShortLived, ShortLivedKind as Kind, Store, StoreError};

/// Long enough to switch to a browser, too short for a note that is found later.
const ENTRANCE_LIFE: Duration = Duration::minutes(5);
/// After this time without a request, another person may be in front of the screen.
const IDLE: Duration = Duration::hours(1);
/// A working day.
const LONGEST: Duration = Duration::hours(12);
/// The shortest time between two writes of a session's last use.
const NOTED: Duration = Duration::seconds(20);
/// The life of a message; the next page shows it.
const SAID_LIFE: Duration = Duration::minutes(10);
/// 32 bytes in base64.
const TOKEN_LENGTH: usize = 43;

/// All entrances and sessions.
pub(super) struct Visitors {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    marks: Arc<Marks>,
    lookups: Lookups,
}

/// Why it is not known whether a session or an entrance exists.
#[derive(Debug)]
pub(super) enum NotKnown {
    /// Too many that do not exist were asked for, so the store was not asked.
    TooMany,
    /// The store does not answer.
    Away,
}

impl From<StoreError> for NotKnown {
    fn from(error: StoreError) -> Self {
        warn!("the page cannot use its sessions: {error}");
        Self::Away
    }
}

/// Whether `token` has the form of our tokens. Others are not looked up.
pub(super) fn is_formed(token: &str) -> bool {
    token.len() == TOKEN_LENGTH
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
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

    /// The visitor as an actor of the audit trail.
    pub(super) fn actor(&self) -> Actor {
        audit::on_the_page(&self.opened_by, &self.session)
    }
}

impl Visitors {
    pub(super) fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, marks: Arc<Marks>) -> Self {
        Self { store, sealer, marks, lookups: Lookups::default() }
    }

    /// The time by the clock that all instances go by.
    pub(super) async fn now(&self) -> Result<OffsetDateTime, StoreError> {
        self.store.clock().await
    }

    /// A new entrance for the person `by`.
    pub(super) async fn invite(&self, by: Actor, now: OffsetDateTime) -> Result<String, StoreError> {
        let token = self.marks.token(Kind::Entrance.name()).expose().to_owned();
        let entrance = Entrance { opened_by: by };
        self.keep(Kind::Entrance, ShortLived::key_of(&token), &entrance, now + ENTRANCE_LIFE, now).await?;
        Ok(token)
    }

    /// Whether an entrance with that token is open; looking at it changes nothing.
    pub(super) async fn is_invited(&self, token: &str, now: OffsetDateTime) -> Result<bool, NotKnown> {
        let found = self.look::<Entrance>(Kind::Entrance, token, now).await?;
        Ok(found.is_some())
    }

    /// Begins a session, and uses up the entrance with that token; returns the session's cookie. The session is stored
    /// first, so that a failing store does not use up the entrance.
    pub(super) async fn enter(
        &self,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Option<(String, Visitor)>, NotKnown> {
        let Some((_, Entrance { opened_by })) = self.look(Kind::Entrance, token, now).await? else {
            return Ok(None);
        };
        let entrance = ShortLived::key_of(token);
        let cookie = self.marks.token(Kind::Session.name()).expose().to_owned();
        let key = ShortLived::key_of(&cookie);
        let session = Session {
            session: random_text::<6>().to_lowercase().replace(['-', '_'], "x"),
            opened_by,
            form_token: random_text::<32>(),
            began: now.unix_timestamp(),
        };
        self.keep(Kind::Session, key.clone(), &session, now + IDLE, now).await?;
        let taken = self.store.take_short_lived(Kind::Entrance, &entrance, now).await;
        if !matches!(taken, Ok(Some(_))) {
            // Another browser was faster. This session is removed; no browser has its cookie.
            let undone = self.store.take_short_lived(Kind::Session, &key, now).await;
            let _ = undone.inspect_err(|error| warn!("a session without a visitor ends by itself: {error}"));
            taken?;
            return Ok(None);
        }
        Ok(Some((cookie, visitor(key, session))))
    }

    /// Whether the store is asked for the session or the entrance with that token.
    pub(super) fn judge(&self, kind: Kind, token: &str) -> Judged {
        self.lookups.judge(&ShortLived::key_of(token), self.is_ours(kind, token))
    }

    /// Whether the token was made here.
    pub(super) fn is_ours(&self, kind: Kind, token: &str) -> bool {
        self.marks.knows(kind.name(), token)
    }

    /// The person with that cookie. A request that the browser makes by itself does not prolong the session.
    pub(super) async fn find(
        &self,
        cookie: &str,
        is_of_person: bool,
        now: OffsetDateTime,
    ) -> Result<Option<Visitor>, NotKnown> {
        let Some((found, session)) = self.look::<Session>(Kind::Session, cookie, now).await? else {
            return Ok(None);
        };
        let key = ShortLived::key_of(cookie);
        if is_of_person && now - found.used_at >= NOTED {
            let began = OffsetDateTime::from_unix_timestamp(session.began);
            let longest = began.unwrap_or(OffsetDateTime::UNIX_EPOCH) + LONGEST;
            let used = self.store.use_short_lived(Kind::Session, &key, now, longest.min(now + IDLE)).await;
            let _ = used.inspect_err(|error| warn!("the use of a session was not noted: {error}"));
        }
        Ok(Some(visitor(key, session)))
    }

    /// Ends the session; after an error it goes on.
    pub(super) async fn leave(&self, visitor: &Visitor) -> Result<(), NotKnown> {
        let beginning = OffsetDateTime::UNIX_EPOCH;
        self.store.take_short_lived(Kind::Session, &visitor.key, beginning).await?;
        Ok(())
    }

    /// Keeps a message, which is a part of a page, until the visitor's next page; returns its name.
    pub(super) async fn say(&self, visitor: &Visitor, said: &Secret) -> Result<String, NotKnown> {
        let name = random_text::<9>();
        let now = self.now().await?;
        let key = said_key(visitor, &name);
        self.keep(Kind::Said, key, &said.expose(), now + SAID_LIFE, now).await?;
        Ok(name)
    }

    /// Takes the message of that name, once.
    pub(super) async fn hear(&self, visitor: &Visitor, name: &str) -> Result<Option<Secret>, NotKnown> {
        let now = self.now().await?;
        let taken = self.store.take_short_lived(Kind::Said, &said_key(visitor, name), now).await?;
        Ok(self.opened::<Secret>(taken).map(|(_, said)| said))
    }

    /// The value with that token, if the store may be asked for it.
    async fn look<T: for<'a> Deserialize<'a>>(
        &self,
        kind: Kind,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<Option<(ShortLived, T)>, NotKnown> {
        let (key, is_ours) = (ShortLived::key_of(token), self.is_ours(kind, token));
        match self.lookups.judge(&key, is_ours) {
            Judged::Look => {}
            Judged::Gone => return Ok(None),
            Judged::TooMany => return Err(NotKnown::TooMany),
        }
        let found = self.store.short_lived(kind, &key, now).await?;
        if found.is_none() {
            self.lookups.missed(&key, is_ours);
        }
        Ok(self.opened(found))
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
        self.sealer.refresh();
        let sealed = self.sealer.seal(&ShortLived::context(kind, &key), &text);
        let sealed = sealed.map_err(|error| failed(error.into()))?;
        self.store.keep_shortly(&ShortLived { kind, key, sealed, used_at: now, until }, now).await
    }

    /// The value, unless there is none or it cannot be read.
    fn opened<T: for<'a> Deserialize<'a>>(&self, found: Option<ShortLived>) -> Option<(ShortLived, T)> {
        let found = found?;
        let text = self.sealer.open(&ShortLived::context(found.kind, &found.key), &found.sealed);
        let text = text.inspect_err(|error| warn!("a session of the page cannot be opened: {error}")).ok()?;
        Some((found, serde_json::from_slice(&text).ok()?))
    }
}

fn visitor(key: String, session: Session) -> Visitor {
    let Session { session, opened_by, form_token, .. } = session;
    Visitor { key, session, opened_by, form_token }
}

/// The key of a message: it includes the session, so that only the session's visitor finds the message.
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
            Visitors::new(store, sealer.clone(), Arc::new(Marks::new(&[7; 32])))
        };
        let (one, other) = (open().await, open().await);
        (one, other, directory)
    }

    async fn enter(visitors: &Visitors, at: OffsetDateTime) -> (String, Visitor) {
        let token = visitors.invite(actor(), at).await.unwrap();
        visitors.enter(&token, at).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn security_row_46_an_entrance_opens_once_and_for_five_minutes_at_any_instance() {
        let (one, other, _directory) = two().await;
        let token = one.invite(actor(), BEGAN).await.unwrap();
        assert!(
            one.is_invited(&token, BEGAN).await.unwrap() && other.is_invited(&token, BEGAN).await.unwrap(),
            "only a look"
        );
        let (first, second) = tokio::join!(one.enter(&token, BEGAN), other.enter(&token, BEGAN));
        assert!(first.unwrap().is_some() != second.unwrap().is_some(), "one of two enters");
        let late = one.invite(actor(), BEGAN).await.unwrap();
        assert!(other.enter(&late, BEGAN + ENTRANCE_LIFE).await.unwrap().is_none());
        assert!(
            one.enter("", BEGAN).await.unwrap().is_none() && !one.is_invited(&token, BEGAN).await.unwrap()
        );
        for value in one.store.all_short_lived().await.unwrap() {
            assert!(!value.key.contains(&token) && !value.key.contains(&late), "a token is stored nowhere");
        }
    }

    #[tokio::test]
    async fn security_row_46_a_session_ends_with_its_visitor_idle_and_in_any_case() {
        let (visitors, instance, _directory) = two().await;
        let (cookie, visitor) = enter(&visitors, BEGAN).await;
        let (other, _) = enter(&visitors, BEGAN).await;
        assert!(instance.find(&cookie, true, BEGAN).await.unwrap().is_some());
        assert!(visitors.find(&visitor.session, true, BEGAN).await.unwrap().is_none());
        instance.leave(&visitor).await.unwrap();
        assert!(visitors.find(&cookie, true, BEGAN).await.unwrap().is_none());
        assert!(visitors.find(&other, true, BEGAN).await.unwrap().is_some());
        // Requests that the browser makes by itself do not count.
        let later = BEGAN + IDLE - Duration::seconds(1);
        assert!(visitors.find(&other, false, later).await.unwrap().is_some());
        assert!(visitors.find(&other, true, BEGAN + IDLE).await.unwrap().is_none());
        let (busy, _) = enter(&visitors, BEGAN).await;
        let mut at = BEGAN;
        while at + IDLE / 2 < BEGAN + LONGEST {
            at += IDLE / 2;
            assert!(visitors.find(&busy, true, at).await.unwrap().is_some());
        }
        assert!(visitors.find(&busy, true, BEGAN + LONGEST).await.unwrap().is_none());
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
            assert_eq!(visitors.find(cookie, true, at).await.unwrap().is_some(), number > 0, "{number}");
        }
        let mut tokens = Vec::new();
        for _ in 0..=Kind::Entrance.most() {
            tokens.push(visitors.invite(actor(), at).await.unwrap());
        }
        assert!(
            !visitors.is_invited(&tokens[0], at).await.unwrap()
                && visitors.is_invited(&tokens[1], at).await.unwrap()
        );
    }

    #[tokio::test]
    async fn an_answer_is_heard_once_and_by_its_visitor_alone() {
        let (visitors, instance, _directory) = two().await;
        let now = visitors.now().await.unwrap();
        let ((_, one), (_, other)) = (enter(&visitors, now).await, enter(&visitors, now).await);
        let name = visitors.say(&one, &Secret::new("it is done")).await.unwrap();
        assert!(visitors.hear(&other, &name).await.unwrap().is_none());
        assert!(
            instance.hear(&one, &name).await.unwrap().is_some()
                && visitors.hear(&one, &name).await.unwrap().is_none()
        );
    }
}
