//! The audit trail: each change, its author, and the surface.
//!
//! A change to the store is recorded in its own transaction: if the entry cannot be written, the operation fails
//! and changes nothing. Other acts (a reload, a backup, closed sessions) are recorded afterwards; a failure to
//! record them is only a warning, because they are already done. No entry holds a secret.

use time::OffsetDateTime;

pub(crate) use super::actors::{asker, by_token, command_line, on_the_page, signal};
use super::error::Error;
use super::installation::Installation;
use crate::store::{Act, Actor, AppPassword, Store, StoreError, TrailEntry};
use crate::text::words;

/// Number of entries read at once.
const PAGE: u32 = 500;

words! {
    /// A change to an installation; docs/operations.md has the words, which are in the store and in JSON.
    pub(crate) Deed {
        Authorized = "authorized",
        Revoked = "revoked",
        Removed = "removed",
        AliasAdded = "alias_added",
        AliasRemoved = "alias_removed",
        Disabled = "disabled",
        Enabled = "enabled",
        Exported = "exported",
        Copied = "copied",
        Imported = "imported",
        Added = "added",
        PasswordCreated = "password_created",
        PasswordLimited = "password_limited",
        PasswordRevoked = "password_revoked",
        KeysRotated = "keys_rotated",
        BackedUp = "backed_up",
        Restored = "restored",
        StoreMoved = "store_moved",
        Reloaded = "reloaded",
        ReloadRefused = "reload_refused",
        Upgraded = "upgraded",
        SessionsClosed = "sessions_closed",
        Traced = "traced",
        LinkShown = "link_shown",
        ApiTokenCreated = "api_token_created",
        ApiTokenRevoked = "api_token_revoked",
    }
}

impl Installation {
    /// The act of the installation's actor on the accounts of these names, which the store records with the change; `about`
    /// names the detail.
    pub(crate) fn act(&self, deed: Deed, accounts: &[&str], about: Option<&str>) -> Act {
        act(deed, accounts, about, self.actor.clone())
    }

    /// The acts of a command that makes or changes one account, and perhaps its app password.
    pub(crate) fn acts(
        &self,
        deed: Deed,
        account: &str,
        about: Option<&str>,
        password: Option<&AppPassword>,
    ) -> Vec<Act> {
        let mut acts = vec![self.act(deed, &[account], about)];
        acts.extend(password.map(|made| self.act(Deed::PasswordCreated, &[account], Some(&made.name))));
        acts
    }

    /// Records an act of the installation's actor outside of the store.
    pub(crate) async fn record(&self, deed: Deed, about: Option<&str>) {
        record(&*self.store, &self.act(deed, &[], about)).await;
    }

    /// Records that the actor is going to see the sign-in link of the account called `name`. If this fails, the link is
    /// not shown.
    pub(super) async fn record_link(&self, name: &str) -> Result<(), StoreError> {
        self.store.record(&self.act(Deed::LinkShown, &[name], None)).await
    }
}

/// The act of `actor` on the accounts of these names.
pub(super) fn act(deed: Deed, accounts: &[&str], about: Option<&str>, actor: Actor) -> Act {
    let accounts = accounts.iter().map(|name| (*name).to_owned()).collect();
    let (deed, about) = (deed.word().to_owned(), about.map(str::to_owned));
    Act { deed, accounts, about, actor, at: OffsetDateTime::now_utc() }
}

/// Records an act outside of the store.
pub(super) async fn record(store: &dyn Store, act: &Act) {
    if let Err(error) = store.record(act).await {
        tracing::warn!("that this was done ({}) cannot be written to the audit trail: {error}", act.deed);
    }
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
