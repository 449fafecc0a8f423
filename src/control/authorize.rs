//! Authorises an account: from the request to a proven grant.
//!
//! [`begin`] does all steps that need no person, and names the step for one ([`Consent::todo`]);
//! [`Consent::finish`] takes the answer. Seconds or minutes pass in between, so the surface keeps the value: a
//! command on its stack, a page in its memory.
//!
//! The order is guaranteed: consent, identity, a real sign-in with a count of the folders; only then is anything
//! stored. There is a file for each source of a grant: a person's consent, the application itself, and the
//! existing grant of a shared mailbox's owner.

mod application;
mod consent;
mod doors;
mod flow;
mod frozen;
mod plan;
mod reuse;
mod storing;
mod waiting;

use std::sync::Arc;

use self::application::Application;
use self::doors::{Certainty, Doors};
use self::reuse::{Reuse, reuse};
use self::storing::{Seat, prove_and_store};
use super::accounts::canonical_name;
use super::error::Error;
use super::installation::Installation;
use super::names::{check_account, check_login_name};
use super::providers::Legs;
use crate::config::{Door, Provider};
use crate::oauth::{GrantedTokens, TokenError};
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Grant, GrantKind, fold};

pub(crate) use consent::{Answer, Consent, Todo};
pub(crate) use doors::Proof;
pub(crate) use frozen::FrozenConsent;
pub(crate) use plan::{AuthorizeRequest, ConsentWay, Judged, Plan, Progress, Tell};
pub(crate) use storing::Authorized;

/// A grant before it is proven.
pub(crate) enum Pending {
    /// No person is needed: the grant can be proven.
    Ready(Box<Ready>),
    /// A person has to consent.
    Consent(Box<Consent>),
}

/// A grant that needs no person.
pub(crate) struct Ready {
    seat: Seat,
    legs: Legs,
    origin: Origin,
}

/// The source of that grant.
enum Origin {
    Application(Application),
    OfOwner(Box<Reuse>),
}

/// Does all steps that need no person.
pub(crate) async fn begin(
    installation: &Installation,
    judged: Judged,
    tell: Tell<'_>,
) -> Result<Pending, Error> {
    let Judged { account, request, provider } = judged;
    let AuthorizeRequest { provider: named, owner, aliases, protocols, way, password, seconds, .. } = request;
    let legs = Legs::of(&installation.config, &provider)?;
    let owner = owner.filter(|owner| fold(owner) != fold(&account));
    let is_another = owner.is_some();
    let is_mended = matches!(way, ConsentWay::Brought { anew: true, .. });
    let owner = owner.unwrap_or_else(|| account.clone());
    let seat = Seat { account, owner, aliases, password, is_mended };
    let kind = if matches!(way, ConsentWay::App { .. }) { GrantKind::App } else { GrantKind::Person };
    let known = installation.store.grant_of(&provider.name, &seat.owner, kind).await?;
    let doors = choose_doors(installation, &provider, &seat, protocols, known.as_ref()).await?;
    let origin = match &way {
        ConsentWay::App { probe } => {
            let application = Application::new(&provider, &seat.account, probe.as_deref(), doors.clone())?;
            Some(Origin::Application(application))
        }
        ConsentWay::Brought { anew: true, .. } => None,
        _ if is_another => {
            let reused = reuse(installation, &provider, &seat, &doors, known, tell).await?;
            reused.map(|reuse| Origin::OfOwner(Box::new(reuse)))
        }
        _ => None,
    };
    if let Some(origin) = origin {
        return Ok(Pending::Ready(Box::new(Ready { seat, legs, origin })));
    }
    let consent = Consent::begin(installation, legs, seat, doors, &way, named, seconds).await?;
    Ok(Pending::Consent(Box::new(consent)))
}

/// The doors to authorise `seat` for; `known` is the existing grant, if there is one.
async fn choose_doors(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    named: Option<Vec<Door>>,
    known: Option<&Grant>,
) -> Result<Doors, Error> {
    // A grant that waits for its first consent opens no door yet.
    let known = known.filter(|grant| grant.is_in_force() || !grant.scopes.is_empty());
    let opened = known.map(|grant| provider.opened_by(grant.known_scopes())).unwrap_or_default();
    if let Some(named) = named {
        // The owner's grant also opens other accounts.
        let kept = if fold(&seat.owner) == fold(&seat.account) { &[][..] } else { &opened };
        return Ok(Doors::named(provider, &named, kept));
    }
    let account = installation.known_account(&seat.account).await?;
    let is_new = account.is_none_or(|known| known.account.name != seat.account);
    Ok(Doors::unnamed(&installation.config, provider, &opened, is_new))
}

impl Ready {
    /// The account, and the person whose grant it is.
    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.seat.account, &self.seat.owner)
    }

    /// Proves the grant and stores it.
    pub(crate) async fn finish(
        self,
        installation: &Installation,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let Self { seat, legs, origin } = self;
        match origin {
            Origin::Application(application) => application.finish(installation, &legs, seat, tell).await,
            Origin::OfOwner(reuse) => reuse.finish(installation, &legs, seat, tell).await,
        }
    }
}

/// Whether `account` can take an imported refresh token for these doors; checked before the token is asked for.
pub(crate) async fn check_import(
    installation: &Installation,
    provider: &Provider,
    account: &str,
    protocols: Option<&[Door]>,
) -> Result<(), Error> {
    check_login_name(account)?;
    for &door in protocols.unwrap_or_default() {
        plan::check_door(provider, door)?;
    }
    check_account(installation, account, false).await
}

/// Stores a refresh token from elsewhere, after proving it.
pub(crate) async fn import(
    installation: &Installation,
    provider: &Arc<Provider>,
    account: &str,
    protocols: Option<&[Door]>,
    refresh_token: Secret,
    tell: Tell<'_>,
) -> Result<Authorized, Error> {
    let legs = Legs::of(&installation.config, provider)?;
    // A provider that rotates invalidates the given token: from here on the operation must not be interrupted.
    let _importing = Uninterrupted::begin();
    let account = canonical_name(installation, account).await?;
    let owner = account.clone();
    let seat = Seat { account, owner, aliases: Vec::new(), password: None, is_mended: false };
    let known = installation.store.grant_of(&provider.name, &seat.owner, GrantKind::Person).await?;
    let named = protocols.map(<[Door]>::to_vec);
    let doors = choose_doors(installation, provider, &seat, named, known.as_ref()).await?;
    let mut tokens = spend(&legs, &doors, &refresh_token).await.map_err(|error| {
        let (title, account) = (provider.title.clone(), seat.account.clone());
        Error::RefreshTokenRefused { title, account, error }
    })?;
    // Most providers keep the old refresh token valid and do not repeat it.
    tokens.refresh_token.get_or_insert(refresh_token);
    prove_and_store(installation, &legs, seat, &doors, tokens, Certainty::Unknown, tell).await
}

/// The first tokens from an imported refresh token. Its scopes are not known: if the provider requires scopes and
/// refuses those of all doors together, each door is asked for separately.
async fn spend(legs: &Legs, doors: &Doors, refresh_token: &Secret) -> Result<GrantedTokens, TokenError> {
    let ask = async |doors: &Doors| {
        let asked = doors.scopes(&legs.provider);
        let mut tokens = legs.client.refresh(refresh_token, &asked).await?;
        tokens.scopes.get_or_insert(asked);
        Ok::<_, TokenError>(tokens)
    };
    let refused = match ask(doors).await {
        Err(error) if legs.provider.scope_on_refresh && !error.is_passing() => error,
        answered => return answered,
    };
    for door in doors.each() {
        if let Ok(tokens) = ask(&door).await {
            return Ok(tokens);
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::answers;

    /// An account at a provider whose answers a running `serve` receives.
    async fn waiting(installation: &Installation) -> Box<Consent> {
        let request = AuthorizeRequest {
            account: "bob@acme.example".to_owned(),
            provider: None,
            owner: None,
            aliases: Vec::new(),
            protocols: None,
            way: ConsentWay::Redirect,
            password: None,
            seconds: 60,
        };
        let plan = Plan::new(&installation.config, request).unwrap();
        let judged = plan.judge(installation, false).await.unwrap();
        match begin(installation, judged, &mut |_| ()).await.unwrap() {
            Pending::Consent(consent) => consent,
            Pending::Ready(_) => panic!("no consent has come yet"),
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

        // The receiver of another process stores the answer, and `wait` collects it.
        let keep = async |consent: &Consent| {
            let query = Secret::new(format!("state={}&code=c", state(consent)));
            answers::keep(&*installation.store, &installation.sealer, &state(consent), &query).await.unwrap()
        };
        assert!(keep(&one).await);
        assert!(matches!(one.wait(&installation).await, Ok(Answer::Code(_))));
        another.withdraw(&installation).await;
        assert!(!keep(&another).await, "it is no longer waited for");
        assert!(super::super::accounts::list(&installation).await.unwrap().is_empty());
    }
}
