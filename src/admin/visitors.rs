//! Who may see the page: entrances, each for one use within five minutes, and the sessions that they begin.
//!
//! Only hashes of entrances and cookies are kept, and only in memory, so that neither a backup nor a core of the
//! database opens the page. A session ends when its visitor leaves, after an hour without a request, after twelve
//! hours in any case, and with the process. Several people have a session at the same time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

use super::said::Said;
use crate::secret::{random_text, same_bytes};
use crate::store::Actor;

/// Long enough to switch to a browser, too short for a note that is found later.
const ENTRANCE_LIFE: Duration = Duration::from_secs(5 * 60);
/// A screen that is left alone for so long may have another person in front of it.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// A working day.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// More than the administrators of one installation; beyond it the oldest gives way.
const MOST_SESSIONS: usize = 64;
const MOST_ENTRANCES: usize = 32;
/// Answers that a visitor has not looked at.
const MOST_SAID: usize = 16;

/// The hash of a token.
type Hash = [u8; 32];

/// All entrances and sessions.
#[derive(Default)]
pub(super) struct Visitors(Mutex<Known>);

#[derive(Default)]
struct Known {
    entrances: Vec<Entrance>,
    sessions: HashMap<Hash, Session>,
}

struct Entrance {
    token: Hash,
    opened_by: Actor,
    until: Instant,
}

struct Session {
    visitor: Visitor,
    began: Instant,
    seen: Instant,
    said: Vec<(String, Said)>,
}

/// A person with a session.
#[derive(Clone)]
pub(super) struct Visitor {
    key: Hash,
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
    /// A new entrance for the person `by`.
    pub(super) fn invite(&self, by: Actor, now: Instant) -> String {
        let token = random_text::<32>();
        let mut known = self.lock();
        known.forget(now);
        if known.entrances.len() >= MOST_ENTRANCES {
            known.entrances.remove(0);
        }
        known.entrances.push(Entrance { token: hash(&token), opened_by: by, until: now + ENTRANCE_LIFE });
        token
    }

    /// Whether an entrance with that token is open; looking at it changes nothing.
    pub(super) fn is_invited(&self, token: &str, now: Instant) -> bool {
        let token = hash(token);
        let mut known = self.lock();
        known.forget(now);
        known.entrances.iter().any(|entrance| entrance.token == token)
    }

    /// Uses the entrance with that token up, and begins a session; returns its cookie.
    pub(super) fn enter(&self, token: &str, now: Instant) -> Option<(String, Visitor)> {
        let token = hash(token);
        let mut known = self.lock();
        known.forget(now);
        let index = known.entrances.iter().position(|entrance| entrance.token == token)?;
        let Entrance { opened_by, .. } = known.entrances.remove(index);
        if known.sessions.len() >= MOST_SESSIONS {
            let oldest = known.sessions.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
            oldest.map(|key| known.sessions.remove(&key));
        }
        let cookie = random_text::<32>();
        let key = hash(&cookie);
        let session = random_text::<6>().to_lowercase().replace(['-', '_'], "x");
        let visitor = Visitor { key, session, opened_by, form_token: random_text::<32>() };
        let session = Session { visitor: visitor.clone(), began: now, seen: now, said: Vec::new() };
        known.sessions.insert(key, session);
        Some((cookie, visitor))
    }

    /// The person with that cookie. A request that the browser makes by itself does not prolong the session.
    pub(super) fn find(&self, cookie: &str, is_of_person: bool, now: Instant) -> Option<Visitor> {
        let mut known = self.lock();
        known.forget(now);
        let session = known.sessions.get_mut(&hash(cookie))?;
        if is_of_person {
            session.seen = now;
        }
        Some(session.visitor.clone())
    }

    /// Ends the session.
    pub(super) fn leave(&self, visitor: &Visitor) {
        self.lock().sessions.remove(&visitor.key);
    }

    /// Keeps an answer until the visitor's next page; returns its name.
    pub(super) fn say(&self, visitor: &Visitor, said: Said) -> String {
        let name = random_text::<6>();
        if let Some(session) = self.lock().sessions.get_mut(&visitor.key) {
            if session.said.len() >= MOST_SAID {
                session.said.remove(0);
            }
            session.said.push((name.clone(), said));
        }
        name
    }

    /// Takes the answer of that name, once.
    pub(super) fn hear(&self, visitor: &Visitor, name: &str) -> Option<Said> {
        let mut known = self.lock();
        let session = known.sessions.get_mut(&visitor.key)?;
        let index = session.said.iter().position(|(other, _)| other == name)?;
        Some(session.said.remove(index).1)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn forget(&mut self, now: Instant) {
        self.entrances.retain(|entrance| now < entrance.until);
        self.sessions.retain(|_, session| now < session.seen + IDLE && now < session.began + LONGEST);
    }
}

fn hash(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor() -> Actor {
        Actor { surface: "cli".to_owned(), user: Some("alice".to_owned()), uid: Some(1000) }
    }

    #[test]
    fn security_row_46_an_entrance_opens_once_and_for_five_minutes() {
        let (visitors, now) = (Visitors::default(), Instant::now());
        let token = visitors.invite(actor(), now);
        assert!(
            visitors.is_invited(&token, now) && visitors.is_invited(&token, now),
            "a look changes nothing"
        );
        assert!(visitors.enter(&token, now).is_some() && visitors.enter(&token, now).is_none());
        let late = visitors.invite(actor(), now);
        assert!(visitors.enter(&late, now + ENTRANCE_LIFE).is_none());
        assert!(visitors.enter("", now).is_none() && !visitors.is_invited(&token, now));
    }

    #[test]
    fn security_row_46_a_session_ends_with_its_visitor_idle_and_in_any_case() {
        let (visitors, now) = (Visitors::default(), Instant::now());
        let enter = |at| visitors.enter(&visitors.invite(actor(), at), at).unwrap();
        let (cookie, visitor) = enter(now);
        let (other, _) = enter(now);
        assert!(
            visitors.find(&cookie, true, now).is_some()
                && visitors.find(&visitor.session, true, now).is_none()
        );
        visitors.leave(&visitor);
        assert!(visitors.find(&cookie, true, now).is_none() && visitors.find(&other, true, now).is_some());
        // What the browser asks by itself does not count.
        let later = now + IDLE - Duration::from_secs(1);
        assert!(visitors.find(&other, false, later).is_some());
        assert!(visitors.find(&other, true, now + IDLE).is_none());
        let (busy, _) = enter(now);
        let mut at = now;
        while at + IDLE / 2 < now + LONGEST {
            at += IDLE / 2;
            assert!(visitors.find(&busy, true, at).is_some());
        }
        assert!(visitors.find(&busy, true, now + LONGEST).is_none());
    }

    #[test]
    fn beyond_the_most_sessions_the_one_that_was_seen_longest_ago_gives_way() {
        let (visitors, now) = (Visitors::default(), Instant::now());
        let mut cookies = Vec::new();
        for number in 0..=MOST_SESSIONS {
            let at = now + Duration::from_secs(number as u64);
            cookies.push(visitors.enter(&visitors.invite(actor(), at), at).unwrap().0);
        }
        let at = now + Duration::from_secs(100);
        let there: Vec<_> = cookies.iter().map(|cookie| visitors.find(cookie, true, at).is_some()).collect();
        assert!(!there[0] && there[1..].iter().all(|there| *there));
        let tokens: Vec<_> = (0..=MOST_ENTRANCES).map(|_| visitors.invite(actor(), at)).collect();
        assert!(!visitors.is_invited(&tokens[0], at) && visitors.is_invited(&tokens[1], at));
    }

    #[test]
    fn an_answer_is_heard_once_and_by_its_visitor_alone() {
        let (visitors, now) = (Visitors::default(), Instant::now());
        let enter = || visitors.enter(&visitors.invite(actor(), now), now).unwrap().1;
        let (one, other) = (enter(), enter());
        let name = visitors.say(&one, Said::done("it is done"));
        assert!(visitors.hear(&other, &name).is_none());
        assert!(visitors.hear(&one, &name).is_some() && visitors.hear(&one, &name).is_none());
    }
}
