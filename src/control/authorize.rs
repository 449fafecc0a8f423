//! From the wish for an account to a grant that has proven itself.
//!
//! [`begin`] settles what can be settled without a person and says what is left for one ([`Consent::todo`]);
//! [`Consent::finish`] takes the answer. In between lie seconds or minutes, so the value waits where its surface
//! keeps it: a command on its stack, a page in its memory.
//!
//! The order is the promise: consent, identity, a real sign-in with a count of the folders; only then is anything
//! stored. Each way to a grant is a file: a person's consent, the application itself, or the grant that the
//! owner of a shared mailbox gave already.

mod application;
mod consent;
mod plan;
mod reuse;
mod storing;

use std::sync::Arc;

use self::application::Application;
use self::reuse::{Reuse, reuse};
use self::storing::{Certainty, Seat, prove_and_store};
use super::accounts::canonical_name;
use super::error::Error;
use super::installation::Installation;
use super::names::{check_account, check_login_name};
use super::proof::DOOR;
use super::providers::Legs;
use crate::config::Provider;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::fold;

pub(crate) use consent::{Answer, Consent, Todo};
pub(crate) use plan::{Judged, Plan, Progress, Request, Tell, Way};
pub(crate) use storing::{Authorized, Proof};

/// A grant on its way.
pub(crate) enum Pending {
    /// No person is needed: it can be finished.
    Ready(Box<Ready>),
    /// A person has to consent.
    Consent(Box<Consent>),
}

/// A grant that no person is needed for.
pub(crate) struct Ready {
    seat: Seat,
    legs: Legs,
    origin: Origin,
}

/// Where that grant comes from.
enum Origin {
    Application(Application),
    OfOwner(Box<Reuse>),
}

/// Settles what can be settled without a person.
pub(crate) async fn begin(
    installation: &Installation,
    judged: Judged,
    tell: Tell<'_>,
) -> Result<Pending, Error> {
    let Judged { account, request, provider } = judged;
    let Request { provider: named, owner, aliases, way, password, seconds, .. } = request;
    let legs = Legs::of(&provider)?;
    let owner = owner.filter(|owner| fold(owner) != fold(&account));
    let is_another = owner.is_some();
    let seat = Seat { owner: owner.unwrap_or_else(|| account.clone()), account, aliases, password };
    let origin = match &way {
        Way::App { probe } => {
            Some(Origin::Application(Application::new(&provider, &seat.account, probe.as_deref())?))
        }
        _ if is_another => {
            reuse(installation, &provider, &seat, tell).await?.map(|reuse| Origin::OfOwner(Box::new(reuse)))
        }
        _ => None,
    };
    if let Some(origin) = origin {
        return Ok(Pending::Ready(Box::new(Ready { seat, legs, origin })));
    }
    let consent = Consent::begin(installation, legs, seat, &way, named, seconds).await?;
    Ok(Pending::Consent(Box::new(consent)))
}

impl Ready {
    /// Proves the grant and stores it.
    pub(crate) async fn finish(
        self,
        installation: &Installation,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let Self { seat, legs, origin } = self;
        match origin {
            Origin::Application(application) => application.finish(installation, &legs, seat, tell).await,
            Origin::OfOwner(reuse) => reuse.finish(installation, &legs, seat).await,
        }
    }
}

/// Whether `account` can be given a refresh token that was got elsewhere: before one is asked for.
pub(crate) async fn check_import(installation: &Installation, account: &str) -> Result<(), Error> {
    check_login_name(account)?;
    check_account(installation, account, false).await
}

/// Stores a refresh token that was got elsewhere, once it has proven itself.
pub(crate) async fn import(
    installation: &Installation,
    provider: &Arc<Provider>,
    account: &str,
    refresh_token: Secret,
) -> Result<Authorized, Error> {
    let legs = Legs::of(provider)?;
    // A provider that rotates spends the token that was given: from here on there is no way back.
    let _importing = Uninterrupted::begin();
    let asked = provider.asked_for(&[DOOR]);
    let refreshed = legs.client.refresh(&refresh_token, &asked).await;
    let mut tokens = refreshed.map_err(|error| Error::RefreshTokenRefused {
        title: provider.title.clone(),
        account: account.to_owned(),
        error,
    })?;
    let account = canonical_name(installation, account).await?;
    tokens.scopes.get_or_insert(asked);
    // Most providers keep the old one valid and do not repeat it.
    tokens.refresh_token.get_or_insert(refresh_token);
    let seat = Seat { owner: account.clone(), account, aliases: Vec::new(), password: None };
    prove_and_store(installation, &legs, seat, tokens, Certainty::Unknown).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// An account at a provider whose answers a running `serve` receives.
    async fn waiting(installation: &Installation) -> Box<Consent> {
        let request = Request {
            account: "bob@acme.example".to_owned(),
            provider: None,
            owner: None,
            aliases: Vec::new(),
            way: Way::Redirect,
            password: None,
            seconds: 60,
        };
        let plan = Plan::new(&installation.config, request).unwrap();
        let judged = plan.judge(installation, false).await.unwrap();
        match begin(installation, judged, &mut |_| ()).await.unwrap() {
            Pending::Consent(consent) => consent,
            Pending::Ready(_) => panic!("nobody has consented yet"),
        }
    }

    #[tokio::test]
    async fn a_consent_waits_in_a_value_that_takes_only_its_own_answer_and_can_be_withdrawn() {
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "state_directory = {:?}\n[callback]\naddress = \"127.0.0.1:0\"\n[providers.acme]\nimap = \"imap.acme.example:993\"\n\
             authorize_url = \"https://acme.example/authorize\"\ntoken_url = \"https://acme.example/token\"\n\
             client_id = \"x\"\nscopes = [\"mail\"]\ndomains = [\"acme.example\"]\n\
             redirect_uri = \"https://mail.corp.example/callback\"\n",
            directory.path()
        );
        let installation = Installation::open(Config::parse(&text, None).unwrap()).await.unwrap();
        let (mut one, another) = (waiting(&installation).await, waiting(&installation).await);
        let state = |consent: &Consent| match consent.todo() {
            Todo::Open { url, redirect_uri } => {
                assert_eq!(redirect_uri, "https://mail.corp.example/callback");
                url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
            }
            other => panic!("{other:?}"),
        };
        let answer = |state: &str| format!("https://mail.corp.example/callback?state={state}&code=c");
        assert!(one.pasted(&answer(&state(&another))).is_err(), "it is the answer to another consent");
        assert!(matches!(one.pasted(&answer(&state(&one))), Ok(Answer::Code(_))));

        // The receiver of another process leaves the answer, and `wait` collects it.
        let receiver = super::super::answers::Receiver::listen(&installation).await.unwrap().unwrap();
        let query = |consent: &Consent| Secret::new(format!("state={}&code=c", state(consent)));
        assert!(receiver.keep(&state(&one), &query(&one)).await);
        assert!(matches!(one.wait(&installation).await, Ok(Answer::Code(_))));
        another.withdraw(&installation).await;
        assert!(!receiver.keep(&state(&another), &query(&another)).await, "it is no longer waited for");
        assert!(super::super::accounts::list(&installation).await.unwrap().is_empty());
    }
}
