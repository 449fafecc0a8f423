//! A person's consent: the authorisation code flow, its answer listened for here, left by a running `serve` or
//! pasted; or the device flow (RFC 8628).

use std::time::Duration;

use time::OffsetDateTime;
use url::Url;

use super::error::Error;
use super::plan::{Progress, Tell, Way};
use super::storing::{Certainty, Seat};

use crate::control::answers;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::oauth::identity::{self, Identity};
use crate::oauth::{
    Authorization, Callback, CallbackError, Code, Device, Poll, RedirectError, Tokens, redirect_text,
};

/// How often the store is looked at for an answer that a running `serve` left; a person waits for this.
const PAUSE: Duration = Duration::from_millis(250);

/// What a person has to do.
#[derive(Debug)]
pub enum Todo<'a> {
    /// Nothing: go on.
    Nothing,
    /// To open that address and sign in. The answer comes by itself.
    Open {
        /// The address.
        url: &'a Url,
        /// Where the browser ends.
        redirect_uri: &'a str,
    },
    /// To open that address, sign in, and bring the address that the browser ends at.
    Paste {
        /// The address.
        url: &'a Url,
        /// What the other address begins with.
        redirect_uri: &'a str,
    },
    /// To open an address on any device and enter a code.
    EnterCode(&'a Device),
}

/// What a person's doing brought.
#[derive(Debug)]
pub struct Answer(Given);

#[derive(Debug)]
enum Given {
    Nothing,
    Code(Code),
    Tokens(Box<Tokens>),
}

impl Answer {
    /// Nothing was to be done.
    pub fn nothing() -> Self {
        Self(Given::Nothing)
    }
}

/// A consent that is waited for.
pub(super) struct Consent {
    flow: Flow,
    /// The provider, where the request named it.
    provider: Option<String>,
    seconds: u64,
}

enum Flow {
    /// The address is listened on until the answer has come.
    Listened(Authorization, Option<Callback>),
    /// A running `serve` receives the answer.
    Left(Authorization),
    Pasted(Authorization),
    Device(Device),
}

impl Consent {
    /// Asks the provider for what a person needs.
    pub(super) async fn begin(
        installation: &Installation,
        legs: &Legs,
        seat: &Seat,
        way: &Way,
        provider: Option<String>,
        seconds: u64,
    ) -> Result<Self, Error> {
        let known = &legs.provider;
        if known.client_id.is_none() {
            return Err(Error::NoPersonsClient { title: known.title.clone(), name: known.name.clone() });
        }
        let flow = match way {
            Way::Device => {
                let device = legs.client.device().await;
                Flow::Device(device.map_err(|error| Error::provider(&seat.account, error))?)
            }
            Way::Paste => Flow::Pasted(prepare(legs, seat, &redirect_text(&known.redirect_uri)).await?),
            Way::Redirect | Way::App { .. } => redirect(installation, legs, seat, seconds).await?,
        };
        Ok(Self { flow, provider, seconds })
    }

    pub(super) fn todo(&self) -> Todo<'_> {
        match &self.flow {
            Flow::Listened(authorization, _) | Flow::Left(authorization) => {
                Todo::Open { url: authorization.url(), redirect_uri: authorization.redirect_uri() }
            }
            Flow::Pasted(authorization) => {
                Todo::Paste { url: authorization.url(), redirect_uri: authorization.redirect_uri() }
            }
            Flow::Device(device) => Todo::EnterCode(device),
        }
    }

    /// A code lives as long as its provider says.
    pub(super) fn seconds(&self) -> u64 {
        match &self.flow {
            Flow::Device(device) => {
                let left = (device.expires_at - OffsetDateTime::now_utc()).whole_seconds().max(1);
                self.seconds.min(left.unsigned_abs())
            }
            _ => self.seconds,
        }
    }

    pub(super) async fn wait(
        &mut self,
        installation: &Installation,
        legs: &Legs,
        account: &str,
    ) -> Result<Answer, Error> {
        let code = match &mut self.flow {
            Flow::Device(device) => return granted(legs, device, account).await,
            Flow::Listened(authorization, callback) => match callback.take() {
                Some(callback) => callback.wait(authorization).await,
                None => std::future::pending().await,
            },
            Flow::Left(authorization) => loop {
                if let Some(query) = answers::collect(installation, authorization.state()).await? {
                    break authorization.judge(query.expose());
                }
                tokio::time::sleep(PAUSE).await;
            },
            Flow::Pasted(_) => std::future::pending().await,
        };
        code.map(|code| Answer(Given::Code(code))).map_err(|error| Error::provider(account, error))
    }

    pub(super) fn pasted(&self, text: &str) -> Result<Answer, RedirectError> {
        let code = match &self.flow {
            Flow::Listened(authorization, _) | Flow::Left(authorization) | Flow::Pasted(authorization) => {
                authorization.judge_pasted(text)?
            }
            Flow::Device(_) => return Err(RedirectError::WrongState),
        };
        Ok(Answer(Given::Code(code)))
    }

    pub(super) async fn withdraw(&self, installation: &Installation) {
        if let Flow::Left(authorization) = &self.flow {
            answers::withdraw(&*installation.store, authorization.state()).await;
        }
    }

    /// The tokens that the consent brought, and how sure it is who gave it.
    pub(super) async fn redeem(
        self,
        legs: &Legs,
        seat: &Seat,
        answer: Answer,
        tell: Tell<'_>,
    ) -> Result<(Tokens, Certainty), Error> {
        let tokens = match (self.flow, answer.0) {
            (Flow::Device(_), Given::Tokens(tokens)) => *tokens,
            (
                Flow::Listened(authorization, _) | Flow::Left(authorization) | Flow::Pasted(authorization),
                Given::Code(code),
            ) => {
                tell(Progress::FetchingTokens);
                let redeemed = legs.client.exchange(authorization, code).await;
                redeemed.map_err(|error| Error::provider(&seat.account, error))?
            }
            _ => return Err(Error::OtherAnswer),
        };
        let names = legs.client.names(&tokens).await;
        let names = names.map_err(|error| Error::provider(&seat.account, error))?;
        match identity::judge(&seat.owner, &names) {
            Identity::Match => Ok((tokens, Certainty::Known)),
            Identity::Unknown => Ok((tokens, Certainty::Unknown)),
            Identity::Mismatch { names } => Err(Error::AnotherPerson {
                names,
                owner: seat.owner.clone(),
                account: seat.account.clone(),
                provider: self.provider,
            }),
        }
    }
}

/// Listens where the answer goes, or announces it to a running `serve` that does.
async fn redirect(
    installation: &Installation,
    legs: &Legs,
    seat: &Seat,
    seconds: u64,
) -> Result<Flow, Error> {
    let configured = &legs.provider.redirect_uri;
    match Callback::bind(configured).await {
        Ok(callback) => {
            let authorization = prepare(legs, seat, &callback.redirect_uri()).await?;
            Ok(Flow::Listened(authorization, Some(callback)))
        }
        Err(CallbackError::NotLoopback(_)) => {
            let authorization = prepare(legs, seat, &redirect_text(configured)).await?;
            if installation.config.callback.is_none() {
                return Err(Error::RedirectElsewhere {
                    redirect_uri: authorization.redirect_uri().to_owned(),
                    account: seat.account.clone(),
                });
            }
            answers::announce(installation, authorization.state(), seconds).await?;
            Ok(Flow::Left(authorization))
        }
        Err(error) => Err(Error::Callback(error)),
    }
}

async fn prepare(legs: &Legs, seat: &Seat, redirect_uri: &str) -> Result<Authorization, Error> {
    let prepared = legs.client.authorization(redirect_uri, Some(&seat.owner)).await;
    prepared.map_err(|error| Error::provider(&seat.account, error))
}

/// Asks the provider, as often as it allows, whether the person has signed in.
async fn granted(legs: &Legs, device: &mut Device, account: &str) -> Result<Answer, Error> {
    let mut pause = device.interval;
    loop {
        tokio::time::sleep(pause).await;
        match legs.client.poll(device).await {
            Ok(Poll::Granted(tokens)) => return Ok(Answer(Given::Tokens(tokens))),
            Ok(Poll::Pending { wait }) => pause = wait,
            Err(error) => return Err(Error::provider(account, error)),
        }
    }
}
