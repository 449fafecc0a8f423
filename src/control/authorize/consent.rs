//! A person's consent: the authorisation code flow, whose answer comes to a listener here, from a running `serve`,
//! or by pasting; or the device flow (RFC 8628).

use std::time::Duration;

use time::OffsetDateTime;
use url::Url;

use super::doors::{Certainty, Doors};
use super::flow::{Arrival, Flow, prepare, redirect};
use super::plan::{ConsentWay, Progress, Tell};
use super::storing::{Authorized, Seat, prove_and_store};
use super::waiting;

use crate::config::Provider;
use crate::control::answers;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::oauth::identity::{self, Compared};
use crate::oauth::{
    AuthorizationCode, AuthorizeError, Device, GrantedTokens, Poll, RedirectError, redirect_text,
};
use crate::secret::Secret;

/// How often the store is checked for an answer that a running `serve` has stored; a person waits for it.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) enum Todo<'a> {
    /// Open this URL and sign in. The answer arrives by itself.
    Open { url: &'a Url, redirect_uri: &'a str },
    /// Open this URL, sign in, and paste the address at which the browser ends.
    Paste { url: &'a Url, redirect_uri: &'a str },
    /// Open an address on any device and enter a code.
    EnterCode(&'a Device),
}

/// The result of the person's step.
pub(crate) enum Answer {
    Code(AuthorizationCode),
    Tokens(Box<GrantedTokens>),
}

/// A consent that is awaited.
pub(crate) struct Consent {
    pub(super) seat: Seat,
    pub(super) doors: Doors,
    pub(super) legs: Legs,
    pub(super) flow: Flow,
    /// The provider, if the request names it.
    pub(super) named: Option<String>,
    pub(super) seconds: u64,
}

impl Consent {
    /// Asks the provider for the URL or the code that the person needs.
    pub(super) async fn begin(
        installation: &Installation,
        legs: Legs,
        seat: Seat,
        doors: Doors,
        way: &ConsentWay,
        named: Option<String>,
        seconds: u64,
    ) -> Result<Self, Error> {
        let known = &legs.provider;
        if known.client_id.is_none() {
            return Err(Error::NoPersonsClient { title: known.title.clone(), name: known.name.clone() });
        }
        let asked = doors.scopes(known);
        let flow = match way {
            ConsentWay::Device => {
                let device = legs.client.device(&asked).await;
                Flow::Device(device.map_err(|error| Error::provider(&seat.account, error))?)
            }
            ConsentWay::Paste => {
                let authorization =
                    prepare(installation, &legs, &seat, &redirect_text(&known.redirect_uri), &asked).await?;
                Flow::Code(authorization, Arrival::Brought)
            }
            ConsentWay::Brought { redirect_uri, .. } => {
                let authorization = prepare(installation, &legs, &seat, redirect_uri, &asked).await?;
                Flow::Code(authorization, Arrival::Brought)
            }
            ConsentWay::Redirect | ConsentWay::App { .. } => {
                redirect(installation, &legs, &seat, &asked, seconds).await?
            }
        };
        Ok(Self { seat, doors, legs, flow, named, seconds })
    }

    pub(crate) fn todo(&self) -> Todo<'_> {
        match &self.flow {
            Flow::Device(device) => Todo::EnterCode(device),
            Flow::Code(authorization, arrival) => {
                let (url, redirect_uri) = (authorization.url(), authorization.redirect_uri());
                match arrival {
                    Arrival::Brought => Todo::Paste { url, redirect_uri },
                    Arrival::Listened(_) | Arrival::Left => Todo::Open { url, redirect_uri },
                }
            }
        }
    }

    /// The `state` of the answer, where it comes in a redirect.
    pub(crate) fn state(&self) -> Option<&Secret> {
        match &self.flow {
            Flow::Code(authorization, _) => Some(authorization.state()),
            Flow::Device(_) => None,
        }
    }

    pub(crate) fn account(&self) -> &str {
        &self.seat.account
    }

    /// The person who has to consent.
    pub(crate) fn owner(&self) -> &str {
        &self.seat.owner
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.legs.provider
    }

    /// How long to wait, in seconds: a device code is valid as long as its provider says.
    pub(crate) fn seconds(&self) -> u64 {
        match &self.flow {
            Flow::Code(..) => self.seconds,
            Flow::Device(device) => {
                let left = (device.expires_at - OffsetDateTime::now_utc()).whole_seconds().max(1);
                self.seconds.min(left.unsigned_abs())
            }
        }
    }

    /// Waits for an answer that does not come through the surface: at the listener, or from the other device. A
    /// pasted answer never comes here.
    pub(crate) async fn wait(&mut self, installation: &Installation) -> Result<Answer, Error> {
        let code = match &mut self.flow {
            Flow::Device(device) => match granted(&self.legs, device).await {
                Ok(answer) => return Ok(answer),
                Err(error) => return Err(self.refused(installation, error).await),
            },
            Flow::Code(authorization, Arrival::Left) => loop {
                if let Some(query) = answers::collect(installation, authorization.state()).await? {
                    break authorization.judge(query.expose());
                }
                tokio::time::sleep(PAUSE).await;
            },
            Flow::Code(authorization, Arrival::Listened(callback)) => match callback.take() {
                Some(callback) => callback.wait(authorization).await,
                None => std::future::pending().await,
            },
            Flow::Code(_, Arrival::Brought) => std::future::pending().await,
        };
        match code {
            Ok(code) => Ok(Answer::Code(code)),
            Err(error) => Err(self.refused(installation, error).await),
        }
    }

    /// Updates the account's state after a refusal, and returns the error for the surface.
    pub(crate) async fn refused(
        &self,
        installation: &Installation,
        error: impl Into<AuthorizeError>,
    ) -> Error {
        waiting::refused(installation, &self.legs.provider, &self.seat, error).await
    }

    /// The URL for an administrator, if the provider may require approval before the person can consent.
    pub(crate) fn approval(&self) -> Option<Url> {
        let provider = &self.legs.provider;
        match &self.flow {
            Flow::Code(authorization, _) => authorization.approval().cloned(),
            // The device flow receives no redirect, so the link needs no `state`.
            Flow::Device(_) => {
                let asked = self.doors.scopes(provider);
                provider.admin_consent(&asked, &redirect_text(&provider.redirect_uri), None)
            }
        }
    }

    /// The answer in an address that a person pasted, even if it was expected elsewhere.
    pub(crate) fn pasted(&self, text: &str) -> Result<Answer, RedirectError> {
        match &self.flow {
            Flow::Code(authorization, _) => authorization.judge_pasted(text).map(Answer::Code),
            Flow::Device(_) => Err(RedirectError::WrongState),
        }
    }

    /// The answer in the query of a redirect that a browser brought.
    pub(crate) fn brought(&self, query: &str) -> Result<Answer, RedirectError> {
        match &self.flow {
            Flow::Code(authorization, _) => authorization.judge(query).map(Answer::Code),
            Flow::Device(_) => Err(RedirectError::WrongState),
        }
    }

    /// Removes the announcement of the answer.
    pub(crate) async fn withdraw(&self, installation: &Installation) {
        if let Flow::Code(authorization, Arrival::Left) = &self.flow {
            answers::withdraw(&*installation.store, authorization.state()).await;
        }
    }

    /// Checks the identity of the person, proves the grant and stores it.
    pub(crate) async fn finish(
        self,
        installation: &Installation,
        answer: Answer,
        tell: Tell<'_>,
    ) -> Result<Authorized, Error> {
        let Self { seat, doors, legs, flow, named, .. } = self;
        seat.known(installation).await?;
        let tokens = match (flow, answer) {
            (Flow::Device(_), Answer::Tokens(tokens)) => *tokens,
            (Flow::Code(authorization, _), Answer::Code(code)) => {
                tell(Progress::FetchingTokens);
                match legs.client.exchange(authorization, code).await {
                    Ok(tokens) => tokens,
                    Err(error) => {
                        return Err(waiting::refused(installation, &legs.provider, &seat, error).await);
                    }
                }
            }
            _ => return Err(Error::OtherAnswer),
        };
        let names = legs.client.names(&tokens).await;
        let names = names.map_err(|error| Error::provider(&seat.account, error))?;
        let certainty = match identity::judge(&seat.owner, &names) {
            Compared::Match => Certainty::Known,
            Compared::Unknown => Certainty::Unknown,
            Compared::Mismatch { names } => {
                let Seat { owner, account, .. } = seat;
                return Err(Error::AnotherPerson { names, owner, account, provider: named });
            }
        };
        prove_and_store(installation, &legs, seat, &doors, tokens, certainty, tell).await
    }
}

/// Polls the provider, as often as it allows, until the person has signed in.
async fn granted(legs: &Legs, device: &mut Device) -> Result<Answer, AuthorizeError> {
    let mut pause = device.interval;
    loop {
        tokio::time::sleep(pause).await;
        match legs.client.poll(device).await {
            Ok(Poll::Granted(tokens)) => return Ok(Answer::Tokens(tokens)),
            Ok(Poll::Pending { wait }) => pause = wait,
            Err(error) => return Err(error),
        }
    }
}
