//! An application opens the mailbox itself: no person consents, and there is no refresh token.
//!
//! Only the app password guards such a mailbox, so the account and its first password are stored in one
//! transaction.

use super::doors::{Certainty, Doors, Proof};
use super::plan::{Progress, Tell};
use super::storing::{Authorized, Seat, store};

use crate::config::{AppGrant, Names, Provider};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::store::{GrantKind, is_of_domain};

/// An application's right before it is proven.
pub(super) struct Application {
    /// The mailbox to prove it with.
    probe: Option<String>,
    doors: Doors,
}

impl Application {
    /// Checks that `provider` can give such a right.
    pub(super) fn new(
        provider: &Provider,
        account: &str,
        probe: Option<&str>,
        doors: Doors,
    ) -> Result<Self, Error> {
        let (title, name) = (provider.title.clone(), provider.name.clone());
        match &provider.app {
            Some(AppGrant::ClientSecret { .. }) if provider.quirks.app_by_service_account => {
                return Err(Error::ServiceAccountOnly { title, name });
            }
            Some(_) => {}
            None => return Err(Error::NoApplication { title, name }),
        }
        let probe = if is_of_domain(account) { probe } else { Some(account) };
        Ok(Self { probe: probe.map(str::to_owned), doors })
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
        // A token for a single mailbox must name that mailbox.
        let subject = probe.or((!per_mailbox).then_some(&seat.account));
        let tokens = match subject {
            None => None,
            Some(subject) => {
                tell(Progress::SigningIn { title: &provider.title });
                let tokens = legs.client.app_token(subject).await;
                Some(tokens.map_err(|error| Error::provider(&seat.account, error))?)
            }
        };
        let proofs = match (&tokens, probe) {
            (Some(tokens), Some(mailbox)) => {
                let names = Names { account: mailbox, owner: None, remembered: None };
                let token = &tokens.access_token;
                let proven = self.doors.prove(legs, names, None, token, Certainty::Unknown, tell).await;
                proven.map_err(|(door, why)| Error::NotTheApplications {
                    mailbox: mailbox.to_owned(),
                    door,
                    why,
                })?
            }
            _ => self.doors.proven.iter().map(|&door| (door, Proof::NoMailbox)).collect(),
        };
        // The row of a domain account must not hold a token for a single mailbox.
        let is_domain = is_of_domain(&seat.account);
        let tokens = tokens.filter(|_| !(is_domain && per_mailbox));
        store(installation, provider, seat, GrantKind::App, tokens, proofs).await
    }
}
