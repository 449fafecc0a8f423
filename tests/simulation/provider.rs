//! The provider of a run: a token endpoint that rotates refresh tokens, and a mail server that knows whose token is whose.
//!
//! It remembers each request, the process that sent it, and whether the answer arrived. When a refresh token is used a
//! second time, it therefore knows whether there is an excuse (the first answer was lost; its process died or was taken
//! for dead) or none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imap_oauth_proxy::oauth::Exchanged;
use imap_oauth_proxy::store::Id;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::audit::TakenOver;
use crate::database::Database;
use crate::knobs::Rotation;
use crate::process::Process;
use crate::world::World;

/// How long a provider with [`Rotation::Grace`] allows a second use.
const GRACE: Duration = Duration::from_secs(30);

/// Excuses that the refused process cannot know.
pub(crate) const ANSWER_LOST: &str = "the answer was lost";
/// The endpoint handles a request of a process that is dead or has given up, after another process used the token.
pub(crate) const REQUEST_LATE: &str = "the request came late";

/// A refresh token: the mailbox, the consent, and how often the token was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) account: String,
    pub(crate) consent: usize,
    turn: u64,
}

impl fmt::Display for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r.{}.{}.{}", self.account, self.consent, self.turn)
    }
}

impl RefreshToken {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("r.")?.split('.');
        let account = parts.next()?.to_owned();
        Some(Self { account, consent: parts.next()?.parse().ok()?, turn: parts.next()?.parse().ok()? })
    }
}

struct Consent {
    turn: u64,
    spent_at: Option<Instant>,
    ended: Option<&'static str>,
    /// The excuse of the second use that ended it.
    excuse: Option<&'static str>,
}

struct AccessToken {
    consent: usize,
    /// The number of rotations of the refresh token in the same answer.
    turn: u64,
    account: String,
    ends: OffsetDateTime,
    revoked: Option<OffsetDateTime>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered,
    Lost,
}

struct Use {
    token: RefreshToken,
    by: Arc<Process>,
    sent: Instant,
    fate: Fate,
    /// Whether this use spent the token.
    spent: bool,
}

pub(crate) struct Provider {
    world: Arc<World>,
    database: Arc<Mutex<Database>>,
    consents: Vec<Consent>,
    access: BTreeMap<String, AccessToken>,
    uses: Vec<Use>,
    out_until: Instant,
}

impl Provider {
    pub(crate) fn new(world: &Arc<World>, database: &Arc<Mutex<Database>>) -> Self {
        Self {
            world: world.clone(),
            database: database.clone(),
            consents: Vec::new(),
            access: BTreeMap::new(),
            uses: Vec::new(),
            out_until: Instant::now(),
        }
    }

    /// A person consents: the first refresh token.
    pub(crate) fn consent(&mut self, account: &str) -> RefreshToken {
        self.consents.push(Consent { turn: 0, spent_at: None, ended: None, excuse: None });
        RefreshToken { account: account.to_owned(), consent: self.consents.len() - 1, turn: 0 }
    }

    /// The access token that the newest consent brings, with so many seconds left.
    pub(crate) fn access_of_consent(&mut self, account: &str, left: u64) -> String {
        let consent = self.consents.len() - 1;
        let access = format!("t.{account}.{consent}.{}", self.access.len());
        let ends = self.world.now() + time::Duration::seconds(left.try_into().unwrap());
        let account = account.to_owned();
        self.access.insert(access.clone(), AccessToken { consent, turn: 0, account, ends, revoked: None });
        access
    }

    pub(crate) fn end(&mut self, consent: usize, why: &'static str) {
        self.consents[consent].ended.get_or_insert(why);
        for token in self.access.values_mut().filter(|token| token.consent == consent) {
            token.revoked.get_or_insert(self.world.now());
        }
    }

    /// Whether the consent is in force. If a second use ended it, the error is the excuse for that use.
    pub(crate) fn honours(&self, consent: usize) -> Result<(), Option<&'static str>> {
        let consent = &self.consents[consent];
        consent.ended.map_or(Ok(()), |_| Err(consent.excuse))
    }

    pub(crate) fn goes_out(&mut self, time: Duration) {
        self.world.log(format_args!("the provider is out for {} ms", time.as_millis()));
        self.out_until = Instant::now() + time;
    }

    pub(crate) fn database_goes_away(&self, time: Duration) {
        self.database.lock().unwrap().goes_away(time);
    }

    pub(crate) fn revoke_access(&mut self) {
        self.world.log(format_args!("the provider revokes all access tokens"));
        let now = self.world.now();
        for token in self.access.values_mut() {
            token.revoked.get_or_insert(now);
        }
    }

    pub(crate) fn was_asked(&self) -> bool {
        !self.uses.is_empty()
    }

    /// How many requests were answered.
    pub(crate) fn answers(&self) -> usize {
        self.uses.iter().filter(|use_| use_.fate == Fate::Answered).count()
    }

    /// The refresh token that the consent of `token` has by now.
    pub(crate) fn newest(&self, token: &RefreshToken) -> RefreshToken {
        RefreshToken { turn: self.consents[token.consent].turn, ..token.clone() }
    }

    /// A request leaves `process`.
    pub(crate) fn sent(&mut self, process: &Arc<Process>, token: RefreshToken) -> usize {
        self.world.log(format_args!("{} sends {token}", process.name));
        self.world.count("refresh requests");
        for before in self.uses.iter().filter(|before| before.token.consent == token.consent) {
            let is_again = before.spent && before.token == token;
            let is_waiting = before.fate == Fate::Waiting && !before.by.is_dead();
            if !is_again && !is_waiting {
                continue;
            }
            match self.excuse(before) {
                Some(excuse) if is_again => {
                    self.world.log(format_args!("a second use: {excuse}"));
                    self.consents[token.consent].excuse = Some(excuse);
                }
                Some(_) => {}
                None => {
                    let how = if is_again { "after it had the answer of" } else { "while there is that of" };
                    let (by, first) = (&process.name, &before.by.name);
                    self.world.breach(format_args!("{by} asks with {token} {how} {first}"));
                }
            }
        }
        let sent = Instant::now();
        self.uses.push(Use { token, by: process.clone(), sent, fate: Fate::Waiting, spent: false });
        self.uses.len() - 1
    }

    /// The reason why the tokens of this use may be missing in the database; `None` if they should be there.
    fn excuse(&self, before: &Use) -> Option<&'static str> {
        let grant = grant_of(&before.token.account);
        let audit = &self.database.lock().unwrap().audit;
        if before.fate == Fate::Lost {
            return Some(ANSWER_LOST);
        }
        if before.by.has_crashed() {
            return Some("the process died");
        }
        // An outage of the whole database is no such reason.
        let is_away = before.by.was_away_after(before.sent);
        let mut taken = audit.taken_over(&grant, &before.by.name, before.sent);
        (is_away && taken.any(|taken| self.was_needed(taken))).then_some("the process was taken for dead")
    }

    /// Whether a lease went over because the access token in the row was worth nothing. Otherwise the other process could have
    /// waited for the holder.
    fn was_needed(&self, taken: &TakenOver) -> bool {
        let token = taken.living.as_ref().and_then(|token| self.access.get(token));
        token.is_none_or(|token| token.revoked.is_some_and(|at| at <= taken.now) || token.ends <= taken.now)
    }

    pub(crate) fn answered(&mut self, number: usize, in_time: bool) {
        let by = &self.uses[number].by.name;
        self.world.log(format_args!("{by} has the answer to {}: {in_time}", self.uses[number].token));
        self.uses[number].fate = if in_time { Fate::Answered } else { Fate::Lost };
    }

    /// The endpoint handles a request.
    pub(crate) fn handle(&mut self, number: usize) -> Exchanged {
        let token = self.uses[number].token.clone();
        let knobs = &self.world.knobs;
        let is_out = Instant::now() < self.out_until && !self.world.is_calm();
        if is_out || self.world.strikes(knobs.refusal) {
            return self.refusal();
        }
        if self.world.strikes(knobs.mistake) {
            self.world.count("mistaken refusals");
            return invalid_grant();
        }
        let now = Instant::now();
        let consent = &mut self.consents[token.consent];
        if consent.ended.is_some() {
            return invalid_grant();
        }
        if knobs.rotation == Rotation::None {
            return self.grants(&token, None);
        }
        if token.turn == consent.turn {
            (consent.turn, consent.spent_at) = (consent.turn + 1, Some(now));
            self.uses[number].spent = true;
            let next = RefreshToken { turn: token.turn + 1, ..token.clone() };
            return self.grants(&token, Some(next));
        }
        let is_forgiven = knobs.rotation == Rotation::Grace
            && token.turn + 1 == consent.turn
            && consent.spent_at.is_some_and(|spent| spent.elapsed() < GRACE);
        if is_forgiven {
            let next = RefreshToken { turn: consent.turn, ..token.clone() };
            return self.grants(&token, Some(next));
        }
        self.world.log(format_args!("{token} comes again: the consent ends"));
        let late = self.excuse(&self.uses[number]).map(|_| REQUEST_LATE);
        let first = || {
            let mut spent = self.uses.iter().filter(|before| before.spent && before.token == token);
            spent.find_map(|before| self.excuse(before))
        };
        let excuse = late.or(self.consents[token.consent].excuse).or_else(first);
        self.consents[token.consent].excuse = excuse;
        match excuse {
            Some(excuse) => self.world.count(excuse),
            None => self.world.breach(format_args!("{token} comes twice without an excuse")),
        }
        self.end(token.consent, "a token came twice");
        invalid_grant()
    }

    fn grants(&mut self, token: &RefreshToken, next: Option<RefreshToken>) -> Exchanged {
        self.world.count("refreshes");
        let life = self.world.knobs.life;
        let access = format!("t.{}.{}.{}", token.account, token.consent, self.access.len());
        let ends = self.world.now() + time::Duration::seconds(life.try_into().unwrap());
        let account = token.account.clone();
        let turn = next.as_ref().map_or(token.turn, |next| next.turn);
        self.access.insert(
            access.clone(),
            AccessToken { consent: token.consent, turn, account, ends, revoked: None },
        );
        self.world.log(format_args!("{access} for {token}"));
        let rotated = next.map(|next| format!(",\"refresh_token\":\"{next}\"")).unwrap_or_default();
        answer(200, &format!("{{\"access_token\":\"{access}\",\"expires_in\":{life}{rotated}}}"))
    }

    fn refusal(&self) -> Exchanged {
        self.world.count("passing refusals");
        match self.world.of(0..=4) {
            0 => answer(500, "oops"),
            1 => Exchanged { retry_after: Some(self.world.of(1..=20).to_string()), ..answer(503, "") },
            2 => Exchanged { retry_after: Some(self.world.of(1..=20).to_string()), ..answer(429, "{}") },
            3 => answer(200, "<html>please log in</html>"),
            _ => answer(400, "{\"error\":\"temporarily_unavailable\"}"),
        }
    }

    /// The mail server: whether `token` opens the mailbox.
    pub(crate) fn signs_in(&self, process: &Process, account: &str, token: &str) -> bool {
        let known = self.access.get(token);
        if let Some(other) = known.filter(|known| known.account != account) {
            let other = &other.account;
            self.world.breach(format_args!("{} opens {account} with a token of {other}", process.name));
        }
        if let Some(known) = known
            && let Some(stored) = self.database.lock().unwrap().stored(&grant_of(account))
            && stored.consent == known.consent
            && stored.turn < known.turn
        {
            let name = &process.name;
            self.world.breach(format_args!("{name} uses {token}, and {stored} is stored still"));
        }
        let is_open = known.is_some_and(|known| known.revoked.is_none() && known.ends > self.world.now());
        self.world.log(format_args!("{} signs in {account} with {token}: {is_open}", process.name));
        is_open
    }
}

/// Each mailbox has a grant of its own.
pub(crate) fn grant_of(account: &str) -> Id {
    Id(format!("grant of {account}"))
}

fn invalid_grant() -> Exchanged {
    answer(400, "{\"error\":\"invalid_grant\"}")
}

fn answer(status: u16, body: &str) -> Exchanged {
    Exchanged { status, retry_after: None, body: body.as_bytes().to_vec() }
}
