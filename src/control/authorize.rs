//! From the wish for an account to a grant that has proven itself.
//!
//! [`begin`] settles what can be settled without a person and says what is left for one ([`Pending::todo`]);
//! [`Pending::finish`] takes the answer. In between lie seconds or minutes, so the value waits where its surface
//! keeps it: a command on its stack, a page in its memory.
//!
//! The order is the promise: consent, identity, a real sign-in with a count of the folders; only then is anything
//! stored. Each way to a grant is a file: a person's consent, the application itself, or the grant that the
//! owner of a shared mailbox gave already.

mod application;
mod consent;
mod error;
mod plan;
mod reuse;
mod storing;

use std::sync::Arc;

use self::application::Application;
use self::consent::Consent;
use self::reuse::Reuse;
use self::storing::{NewGrant, Seat};
use super::accounts::canonical_name;
use super::error::Error as AnyError;
use super::installation::Installation;
use super::names::{check_account, check_login_name};
use super::providers::Legs;
use crate::config::Provider;
use crate::oauth::RedirectError;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::fold;

pub use consent::{Answer, Todo};
pub use error::Error;
pub use plan::{Judged, Plan, Progress, Request, Tell, Way};
pub use storing::{Authorized, Proof};

/// A grant on its way, which may wait for a person.
pub struct Pending {
    seat: Seat,
    legs: Legs,
    step: Step,
}

/// What is left to do.
enum Step {
    Consent(Box<Consent>),
    Application(Application),
    Reuse(Box<Reuse>),
}

/// Settles what can be settled without a person.
pub async fn begin(installation: &Installation, judged: Judged, tell: Tell<'_>) -> Result<Pending, Error> {
    let Judged { account, request, provider } = judged;
    let Request { provider: named, owner, aliases, way, password, seconds, .. } = request;
    let legs = Legs::of(&provider)?;
    let owner = owner.filter(|owner| fold(owner) != fold(&account));
    let mut seat = Seat { owner: account.clone(), account, aliases, password };
    let step = match (way, owner) {
        (Way::App { probe }, _) => Step::Application(Application::new(&provider, &seat.account, probe)?),
        (way, owner) => {
            let reused = match owner {
                Some(owner) => {
                    seat.owner = owner;
                    reuse::reuse(installation, &provider, &seat, tell).await?
                }
                None => None,
            };
            match reused {
                Some(reuse) => Step::Reuse(Box::new(reuse)),
                None => {
                    let consent = Consent::begin(installation, &legs, &seat, &way, named, seconds).await?;
                    Step::Consent(Box::new(consent))
                }
            }
        }
    };
    Ok(Pending { seat, legs, step })
}

impl Pending {
    /// What a person has to do.
    pub fn todo(&self) -> Todo<'_> {
        match &self.step {
            Step::Consent(consent) => consent.todo(),
            Step::Application(_) | Step::Reuse(_) => Todo::Nothing,
        }
    }

    /// Who has to do it.
    pub fn owner(&self) -> &str {
        &self.seat.owner
    }

    /// The provider.
    pub fn provider(&self) -> &Provider {
        &self.legs.provider
    }

    /// How long it can be waited for, in seconds.
    pub fn seconds(&self) -> u64 {
        match &self.step {
            Step::Consent(consent) => consent.seconds(),
            Step::Application(_) | Step::Reuse(_) => 0,
        }
    }

    /// Waits for an answer that comes without the surface's help: to the address that is listened on, or from the
    /// other device. A pasted one never does.
    pub async fn wait(&mut self, installation: &Installation) -> Result<Answer, Error> {
        match &mut self.step {
            Step::Consent(consent) => consent.wait(installation, &self.legs, &self.seat.account).await,
            Step::Application(_) | Step::Reuse(_) => Ok(Answer::nothing()),
        }
    }

    /// The answer in an address that a person pasted.
    pub fn pasted(&self, text: &str) -> Result<Answer, RedirectError> {
        match &self.step {
            Step::Consent(consent) => consent.pasted(text),
            Step::Application(_) | Step::Reuse(_) => Err(RedirectError::WrongState),
        }
    }

    /// Nobody waits for the answer any more.
    pub async fn withdraw(&self, installation: &Installation) {
        if let Step::Consent(consent) = &self.step {
            consent.withdraw(installation).await;
        }
    }

    /// Judges who consented, proves the grant and stores it.
    pub async fn finish(
        self,
        installation: &Installation,
        answer: Answer,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let Self { seat, legs, step } = self;
        match step {
            Step::Application(application) => application.finish(installation, &legs, seat, tell).await,
            Step::Reuse(reuse) => reuse.finish(installation, &legs, seat).await,
            Step::Consent(consent) => {
                let (tokens, certainty) = consent.redeem(&legs, &seat, answer, tell).await?;
                tell(Progress::Proving(None));
                NewGrant { tokens, certainty }.prove_and_store(installation, &legs, seat).await
            }
        }
    }
}

/// Whether `account` can be given a refresh token that was got elsewhere: before one is asked for.
pub async fn check_import(installation: &Installation, account: &str) -> Result<(), AnyError> {
    check_login_name(account)?;
    check_account(installation, account, false).await
}

/// Stores a refresh token that was got elsewhere, once it has proven itself.
pub async fn import(
    installation: &Installation,
    provider: &Arc<Provider>,
    account: &str,
    refresh_token: Secret,
) -> Result<Authorized, Error> {
    let legs = Legs::of(provider)?;
    // A provider that rotates spends the token that was given: from here on there is no way back.
    let _importing = Uninterrupted::begin();
    let refreshed = legs.client.refresh(&refresh_token, &provider.scopes).await;
    let mut tokens = refreshed.map_err(|error| Error::RefreshTokenRefused {
        title: provider.title.clone(),
        account: account.to_owned(),
        error,
    })?;
    let account = canonical_name(installation, account).await?;
    // Most providers keep the old one valid and do not repeat it.
    tokens.refresh_token.get_or_insert(refresh_token);
    let seat = Seat { owner: account.clone(), account, aliases: Vec::new(), password: None };
    NewGrant { tokens, certainty: storing::Certainty::Unknown }
        .prove_and_store(installation, &legs, seat)
        .await
}
