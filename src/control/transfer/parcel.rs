//! The content of a bundle. It exists only in memory and sealed.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::config::Provider;

use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::keys;
use crate::control::names::{Owners, check_aliases};
use crate::secret::Secret;
use crate::secret::bundle::{self, BundleKey};
use crate::store::{Account, Grant};

/// An account and its grant during the transfer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub(crate) account: String,
    pub(super) aliases: Vec<String>,
    pub(super) provider: String,
    pub(super) client_id: Option<String>,
    /// The person who consented.
    pub(crate) owner: String,
    pub(super) scopes: Vec<String>,
    pub(super) refresh_token: String,
    #[serde(with = "time::serde::timestamp")]
    pub(super) authorized_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::option")]
    pub(super) refreshed_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::timestamp::option")]
    pub(super) refresh_expires_at: Option<OffsetDateTime>,
    /// Whether the account is disabled. Older bundles lack this key: their accounts are enabled.
    #[serde(default)]
    pub(super) disabled: bool,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.refresh_token);
    }
}

impl Parcel {
    pub(super) fn new(
        account: &Account,
        aliases: Vec<String>,
        provider: &Provider,
        grant: &Grant,
        refresh_token: &Secret,
    ) -> Self {
        Self {
            account: account.name.clone(),
            aliases,
            provider: grant.provider.clone(),
            client_id: provider.client_id.clone(),
            owner: grant.owner.clone(),
            scopes: grant.scopes.clone(),
            refresh_token: refresh_token.expose().to_owned(),
            authorized_at: grant.authorized_at,
            refreshed_at: grant.refreshed_at,
            refresh_expires_at: grant.refresh_expires_at,
            disabled: account.disabled,
        }
    }

    /// Whether its aliases may be stored here; `yes` allows other addresses.
    pub(crate) async fn check_aliases(&self, installation: &Installation, yes: bool) -> Result<(), Error> {
        check_aliases(installation, &Owners::of(installation), &self.account, &self.aliases, yes).await
    }

    /// Opens a bundle that was sealed for this installation.
    pub(crate) async fn opened_here(installation: &Installation, bundle: &str) -> Result<Self, Error> {
        let key = keys::transfer_key(installation).await?;
        read(&bundle::open(bundle, &BundleKey::Key(&key))?)
    }

    /// Opens a bundle that was sealed with a passphrase.
    pub(crate) fn opened_with(passphrase: &Secret, bundle: &str) -> Result<Self, Error> {
        read(&bundle::open(bundle, &BundleKey::Passphrase(passphrase))?)
    }
}

/// The parser's own message would quote the text.
fn read(text: &Zeroizing<Vec<u8>>) -> Result<Parcel, Error> {
    serde_json::from_slice(text).map_err(|_| Error::AnotherVersion)
}
