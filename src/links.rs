//! The sign-in link of an account: an address at which its person consents again, without an administrator.
//!
//! An account has one link. It is made when an answer or an event first needs it, and every login and every process
//! repeats the same text from the account's row for some days. A link is a way to begin a consent and nothing else:
//! the consent is judged as that of `authorize`. The token is printed only as part of that address, and is not logged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use crate::config::{Admin, AdminAddress};
use crate::secret::marks::{Marks, is_word, random_word};
use crate::secret::{Sealer, Secret, sha256};
use crate::store::{Id, Linked, Result, SignInLink, Store, StoreError, fold};

/// What the marks of tokens are made for.
const MARKED_FOR: &str = "link";
/// The path of a link's page, before its token.
pub const PATH: &str = "/again/";
/// A link is good for a week after it was made, because mail may be read after a holiday.
pub const LIFE: Duration = Duration::days(7);
/// After half of its life a link is renewed, so that each that is shown is good for three days at least. The account
/// remembers one link before the newest, which is enough for a whole life.
const SHOWN: Duration = Duration::hours(84);
/// A link with which too many consents were begun is renewed, but not more often than this.
const SHORTEST: Duration = Duration::days(1);
/// The most consents that one link begins.
pub const MOST_BEGUN: u32 = 10;

/// The address that links begin with, as people reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Without a slash at its end.
    url: String,
    /// Whether the address works only on this machine.
    is_local: bool,
}

impl Base {
    /// The base of `admin` for a command, which does not know whether a `serve` runs; `None` also if only `serve` knows
    /// the port.
    pub fn configured(admin: &Admin) -> Option<Self> {
        let bound = match &admin.address {
            AdminAddress::Tcp(address) if address.port() != 0 || admin.url.is_some() => Some(*address),
            _ => None,
        };
        Self::of(admin, bound)
    }

    /// The base of `admin`, whose page is served at `bound`; `None` if there is no page to reach.
    pub fn of(admin: &Admin, bound: Option<SocketAddr>) -> Option<Self> {
        let is_served = match &admin.address {
            AdminAddress::Off => false,
            AdminAddress::Tcp(_) => bound.is_some(),
            AdminAddress::Unix(_) => admin.url.is_some(),
        };
        is_served.then(|| Self { url: admin.base_url(bound), is_local: admin.url.is_none() })
    }
}

/// Makes and finds links.
#[derive(Clone)]
pub struct Links {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    base: Option<Base>,
    marks: Option<Arc<Marks>>,
}

impl Links {
    /// Links that begin with `base`; with `None` there are none.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, base: Option<Base>) -> Self {
        Self { store, sealer, base, marks: None }
    }

    /// The same, whose new tokens have marks.
    pub fn with_marks(self, marks: Arc<Marks>) -> Self {
        Self { marks: Some(marks), ..self }
    }

    /// Whether a client at `from` can open links.
    pub fn reach(&self, from: IpAddr) -> bool {
        self.base.as_ref().is_some_and(|base| !base.is_local || from.to_canonical().is_loopback())
    }

    /// The address of the account's link for a client at `from`; `None` if that client cannot open it.
    pub async fn for_client(&self, account: &Id, from: IpAddr) -> Option<Secret> {
        match self.reach(from) {
            true => self.address(self.base.as_ref()?, account).await,
            false => None,
        }
    }

    /// The address of the link of the account called `name`, for people who are told about that account.
    pub async fn for_people(&self, name: &str) -> Option<Secret> {
        let base = self.base.as_ref()?;
        let account = match self.store.find(&fold(name)).await {
            Ok(found) => found?.account.id,
            Err(error) => return not_made(&error),
        };
        self.address(base, &account).await
    }

    async fn address(&self, base: &Base, account: &Id) -> Option<Secret> {
        match self.token(account, OffsetDateTime::now_utc()).await {
            Ok(token) => token.map(|token| Secret::new(format!("{}{PATH}{}", base.url, token.expose()))),
            Err(error) => not_made(&error),
        }
    }

    /// The token of the account's link, which is made or renewed if needed; `None` if the account is gone, or the
    /// token cannot be sealed or opened.
    async fn token(&self, account: &Id, now: OffsetDateTime) -> Result<Option<Secret>> {
        let context = SignInLink::context(account);
        let known = self.store.link(account).await?;
        let opened = known.as_ref().and_then(|link| self.sealer.open_text(&context, &link.sealed).ok());
        if let (Some(link), Some(token)) = (&known, opened)
            && !is_over(link, now)
        {
            return Ok(Some(token));
        }
        let token = self.marks.as_ref().map_or_else(random_word, |marks| marks.word(MARKED_FOR));
        // The keys may have been rotated since this process last read them.
        self.sealer.refresh();
        let Ok(sealed) = self.sealer.seal(&context, token.expose().as_bytes()) else { return Ok(None) };
        let new = SignInLink { hash: hash(token.expose()), sealed, made_at: now, begun: 0 };
        let seen = known.as_ref().map(|link| link.hash.as_slice());
        let Some(kept) = self.store.renew_link(account, seen, &new).await? else { return Ok(None) };
        if kept.hash == new.hash {
            return Ok(Some(token));
        }
        // If another process was faster, both use its link.
        Ok(self.sealer.open_text(&context, &kept.sealed).ok())
    }
}

/// Whether it is time for another link.
fn is_over(link: &SignInLink, now: OffsetDateTime) -> bool {
    // A date in the future was written under a wrong clock.
    let age = (now - link.made_at).abs();
    age >= SHOWN || (link.begun >= MOST_BEGUN && age >= SHORTEST)
}

fn not_made<T>(error: &StoreError) -> Option<T> {
    tracing::warn!("there is no sign-in link, because the store failed: {error}");
    None
}

/// Why a link begins no consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dead {
    /// No account has this link: it was mistyped, it is too old, or the account was authorised since.
    Unknown,
    /// As many consents as one link allows were begun with it.
    UsedUp,
}

/// What is known of a token before the store is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It is no token of a link.
    Other,
    /// It may be a token from an older version, without a mark.
    Unmarked,
    /// It was made for a link of this installation.
    Marked,
}

/// What `token` is by its form.
pub fn form(marks: &Marks, token: &str) -> Form {
    match (is_word(token), marks.knows_word(MARKED_FOR, token)) {
        (false, _) => Form::Other,
        (true, false) => Form::Unmarked,
        (true, true) => Form::Marked,
    }
}

/// The account that the link with this `token` belongs to. Every token costs one search, known or not.
pub async fn find(store: &dyn Store, token: &str, now: OffsetDateTime) -> Result<Result<String, Dead>> {
    let found = store.linked(&hash(token)).await?;
    Ok(match found {
        Some(Linked { made_at, .. }) if (now - made_at).abs() >= LIFE => Err(Dead::Unknown),
        Some(Linked { begun, .. }) if begun >= MOST_BEGUN => Err(Dead::UsedUp),
        Some(Linked { account, .. }) => Ok(account),
        None => Err(Dead::Unknown),
    })
}

/// Like [`find`], for a consent that begins now, which is counted.
pub async fn begin(store: &dyn Store, token: &str, now: OffsetDateTime) -> Result<Result<String, Dead>> {
    let account = match find(store, token, now).await? {
        Ok(account) => account,
        Err(dead) => return Ok(Err(dead)),
    };
    let counted = store.begin_by_link(&hash(token), MOST_BEGUN, now.saturating_sub(LIFE)).await?;
    // Other requests may have begun the last ones meanwhile.
    Ok(if counted { Ok(account) } else { Err(Dead::UsedUp) })
}

/// A token is random, so a plain hash hides it.
fn hash(token: &str) -> Vec<u8> {
    sha256(token.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests;
