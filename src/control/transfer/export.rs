//! The export: first the bundle is written, then the token is removed from the row, all under the grant's lease,
//! so that no refresh runs in between.

use std::sync::Arc;

use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::parcel::Parcel;
use crate::config::Provider;
use crate::control::audit::Deed;
use crate::control::error::Error;
use crate::control::grants;
use crate::control::installation::Installation;
use crate::secret::{Secret, bundle};
use crate::shutdown::Uninterrupted;
use crate::store::{Account, Grant, LoginRecord, Right};
use crate::text::one_line;
use crate::trouble::{CauseKind, Cure, Trouble};

/// Longer than it takes to seal and write a bundle; the passphrase is asked for before.
const LEASE: time::Duration = time::Duration::seconds(60);
/// A shorter passphrase can be guessed, and anyone may get the bundle.
const SHORTEST_PASSPHRASE: usize = 12;

/// The key that seals a bundle.
pub(crate) enum SealedFor {
    /// The public key of the installation that may open it.
    Recipient(String),
    Passphrase(Secret),
}

impl SealedFor {
    /// Seals for the installation with this key. The key is checked before anything is changed.
    pub(crate) fn recipient(key: &str) -> Result<Self, Error> {
        bundle::seal_for_recipient(b"", key)?;
        Ok(Self::Recipient(key.to_owned()))
    }

    /// Seals with this passphrase, if it is long enough.
    pub(crate) fn passphrase(passphrase: Secret) -> Result<Self, Error> {
        match passphrase.expose().chars().count() < SHORTEST_PASSPHRASE {
            true => Err(Error::ShortPassphrase { least: SHORTEST_PASSPHRASE }),
            false => Ok(Self::Passphrase(passphrase)),
        }
    }

    fn seal(&self, text: &[u8]) -> Result<String, Error> {
        Ok(match self {
            Self::Recipient(key) => bundle::seal_for_recipient(text, key)?,
            Self::Passphrase(passphrase) => bundle::seal_with_passphrase(text, passphrase)?,
        })
    }
}

/// An account that can move.
pub(crate) struct Export {
    account: Account,
    grant: Grant,
    provider: Arc<Provider>,
    keeps: bool,
}

/// An account that was exported.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) account: String,
    /// Other accounts that used its grant, and now have none; `None` for a copy.
    pub(crate) closed: Option<Vec<String>>,
}

impl Export {
    /// Checks whether the account called `name` can be moved, or copied.
    pub(crate) async fn new(installation: &Installation, name: &str, copy: bool) -> Result<Self, Error> {
        let LoginRecord { account, grant, .. } = installation.exact_account(name).await?;
        let Some(grant) = grant.filter(Grant::is_in_force) else {
            return Err(Error::NothingToMove { account: account.name });
        };
        if grant.right == Right::Application {
            return Err(Error::ApplicationsKey { account: account.name, provider: grant.provider });
        }
        let Some(provider) = installation.config.providers.get(&grant.provider).cloned() else {
            return Err(Error::NotConfigured { provider: grant.provider });
        };
        match copy && provider.rotates {
            true => Err(Error::Rotates { title: provider.title.clone() }),
            false => Ok(Self { account, grant, provider, keeps: copy }),
        }
    }

    /// Gives the bundle to `write` and, unless it is a copy, deletes the token here. `to` names the target, for
    /// the list of grants.
    pub(crate) async fn send(
        self,
        installation: &Installation,
        sealed_for: &SealedFor,
        to: Option<&str>,
        write: impl FnOnce(&str) -> std::io::Result<()> + Send,
    ) -> Result<Exported, Error> {
        let row = installation.store.account_row(&self.account.id).await?;
        let aliases = row.map(|row| row.account.aliases).unwrap_or_default();
        let account = self.account.name.clone();
        let _moving = Uninterrupted::begin();
        let moved = async {
            let leased = installation.lease(&self.grant.id, LEASE).await?;
            let grant = leased.ok_or(Error::GrantGone)?;
            let Right::Person { refresh_token: sealed } = &grant.right else { return Err(Error::GrantGone) };
            let token = installation.sealer.open_text(&Grant::refresh_context(&grant.id), sealed)?;
            let parcel = Parcel::new(&self.account, aliases, &self.provider, &grant, &token);
            let text = serde_json::to_vec(&parcel).map(Zeroizing::new).map_err(std::io::Error::other)?;
            let text = sealed_for.seal(&text)?;
            if self.keeps {
                // Recorded before the bundle is written, so that no copy exists without a record.
                installation.store.record(&installation.act(Deed::Copied, &[&account], to)).await?;
            }
            write(&text).map_err(Error::NotWritten)?;
            if self.keeps {
                return Ok(None);
            }
            let act = installation.act(Deed::Exported, &[&account], to);
            grants::take(installation, &grant.id, moved_to(sealed_for, to), &act).await?;
            Ok(Some(installation.others_with(&grant.id, &account).await?))
        };
        let closed: Result<_, Error> = moved.await;
        installation.store.release_lease(&self.grant.id).await?;
        let closed = closed?;
        Ok(Exported { closed, account })
    }
}

/// Why the grant has no token, for the list of grants.
fn moved_to(sealed_for: &SealedFor, to: Option<&str>) -> Trouble {
    let to = match (to, sealed_for) {
        (Some(to), _) => to.to_owned(),
        (None, SealedFor::Recipient(key)) => {
            format!("the installation with the key {}", one_line(key.trim()))
        }
        (None, SealedFor::Passphrase(_)) => "another installation".to_owned(),
    };
    let today = OffsetDateTime::now_utc().date();
    let cure = Cure::authorize_with("remove it here with accounts remove, or get it back with: ", "");
    Trouble::new(CauseKind::Moved, format!("it was moved to {to} on {today}"), cure)
}
