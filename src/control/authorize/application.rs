//! The application itself may open the mailbox; no person consents, and no refresh token comes.
//!
//! What guards such a mailbox is the app password alone, so the account and its first password are
//! stored in one moment, or not at all.

use super::plan::{Progress, Tell};
use super::storing::{Authorized, Proof, Seat, store};

use crate::config::{AppGrant, Names, Provider};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::store::GrantKind;

/// An application's right that is to be proven.
pub(super) struct Application {
    /// The mailbox to prove it with.
    probe: Option<String>,
}

impl Application {
    /// Judges whether `provider` can give one.
    pub(super) fn new(provider: &Provider, account: &str, probe: Option<&str>) -> Result<Self, Error> {
        let (title, name) = (provider.title.clone(), provider.name.clone());
        match &provider.app {
            Some(AppGrant::ClientSecret { .. }) if provider.quirks.app_by_service_account => {
                return Err(Error::ServiceAccountOnly { title, name });
            }
            Some(_) => {}
            None => return Err(Error::NoApplication { title, name }),
        }
        let probe = if account.starts_with('@') { probe } else { Some(account) };
        Ok(Self { probe: probe.map(str::to_owned) })
    }

    pub(super) async fn finish(
        self,
        installation: &Installation,
        legs: &Legs,
        seat: Seat,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let provider = &legs.provider;
        let (probe, per_mailbox) = (self.probe.as_deref(), provider.app_tokens_are_per_mailbox());
        // A token that opens one mailbox alone needs one to be asked for.
        let subject = probe.or((!per_mailbox).then_some(&seat.account));
        let tokens = match subject {
            None => None,
            Some(subject) => {
                tell(Progress::SigningIn { title: &provider.title });
                let tokens = legs.client.app_token(subject).await;
                Some(tokens.map_err(|error| Error::provider(&seat.account, error))?)
            }
        };
        let proof = match (&tokens, probe) {
            (Some(tokens), Some(mailbox)) => {
                tell(Progress::Proving(Some(mailbox)));
                let names = Names { account: mailbox, owner: None, remembered: None };
                let proven = prove(legs, names, &tokens.access_token).await;
                let folders = proven.map_err(|unproven| Error::NotTheApplications {
                    mailbox: mailbox.to_owned(),
                    unproven: unproven.into(),
                })?;
                Proof::Opened { folders }
            }
            _ => Proof::NoMailbox,
        };
        // The row holds a token that opens whatever the account stands for.
        let is_domain = seat.account.starts_with('@');
        let tokens = tokens.filter(|_| !(is_domain && per_mailbox));
        store(installation, provider, seat, GrantKind::App, tokens, proof).await
    }
}
