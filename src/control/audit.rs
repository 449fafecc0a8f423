//! The audit trail: who did what, through which surface.
//!
//! It is written when the deed is in the store. A trail that cannot be written undoes nothing: it is a warning, since
//! what was done is done. No entry holds a secret.

use time::OffsetDateTime;

use super::error::Error;
use super::installation::Installation;
use crate::store::{Act, Actor, Store, TrailEntry};

/// Entries that are read at once.
const PAGE: u32 = 500;

/// What can be done to an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Authorized,
    Revoked,
    Removed,
    AliasAdded,
    AliasRemoved,
    Disabled,
    Enabled,
    Exported,
    Copied,
    Imported,
    PasswordCreated,
    PasswordLimited,
    PasswordRevoked,
    KeysRotated,
    BackedUp,
    Restored,
    Reloaded,
    ReloadRefused,
    Upgraded,
    SessionsClosed,
    Traced,
}

impl Deed {
    /// The word in the store and in JSON; docs/operations.md has them all.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Revoked => "revoked",
            Self::Removed => "removed",
            Self::AliasAdded => "alias_added",
            Self::AliasRemoved => "alias_removed",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Exported => "exported",
            Self::Copied => "copied",
            Self::Imported => "imported",
            Self::PasswordCreated => "password_created",
            Self::PasswordLimited => "password_limited",
            Self::PasswordRevoked => "password_revoked",
            Self::KeysRotated => "keys_rotated",
            Self::BackedUp => "backed_up",
            Self::Restored => "restored",
            Self::Reloaded => "reloaded",
            Self::ReloadRefused => "reload_refused",
            Self::Upgraded => "upgraded",
            Self::SessionsClosed => "sessions_closed",
            Self::Traced => "traced",
        }
    }
}

impl Installation {
    /// Writes down what was done to the accounts of these names; `about` says what of them.
    pub(crate) async fn record(&self, deed: Deed, accounts: &[&str], about: Option<&str>) {
        let accounts = accounts.iter().map(|name| (*name).to_owned()).collect();
        record(&*self.store, deed, accounts, about.map(str::to_owned), command_line()).await;
    }
}

/// Writes down what `actor` did.
pub(super) async fn record(
    store: &dyn Store,
    deed: Deed,
    accounts: Vec<String>,
    about: Option<String>,
    actor: Actor,
) {
    let deed = deed.name();
    let act = Act { deed: deed.to_owned(), accounts, about, actor };
    if let Err(error) = store.record(&act, OffsetDateTime::now_utc()).await {
        tracing::warn!("that this was done ({deed}) cannot be written to the audit trail: {error}");
    }
}

/// The user of a command that asked a running `serve`.
pub(crate) fn asker(uid: u32) -> Actor {
    Actor { surface: "cli".to_owned(), user: Some(crate::store::user_name(uid)), uid: Some(uid) }
}

/// A signal, whose sender is not known.
pub(crate) fn signal() -> Actor {
    Actor { surface: "signal".to_owned(), user: None, uid: None }
}

/// The user whose command this process is. Behind `sudo` it also says who called that, as far as the environment
/// tells.
pub(crate) fn command_line() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let user = crate::store::user_name(uid);
    let user = match std::env::var("SUDO_USER") {
        Ok(caller) if !caller.is_empty() && caller != user => format!("{user}, for {caller}"),
        _ => user,
    };
    Actor { surface: "cli".to_owned(), user: Some(user), uid: Some(uid) }
}

/// Reads the trail from `since` on, in order, page by page.
pub(crate) struct Trail {
    since: Option<OffsetDateTime>,
    after: i64,
}

impl Trail {
    pub(crate) fn since(since: Option<OffsetDateTime>) -> Self {
        Self { since, after: i64::MIN }
    }

    /// The next entries; none at the end.
    pub(crate) async fn next(&mut self, installation: &Installation) -> Result<Vec<TrailEntry>, Error> {
        let page = installation.store.trail(self.since, self.after, PAGE).await?;
        if let Some(last) = page.last() {
            self.after = last.number;
        }
        Ok(page)
    }
}
