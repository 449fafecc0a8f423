//! One connection, from accept to the last byte.
//!
//! [`Connection::run`] reads like the story: TLS, the dialogue until a client logs in, the password, a
//! token while the provider is dialled, the sign-in, the relay. It is the same for every [`Protocol`].
//! Everything before the relay lives in one boxed future that is gone when the relay starts, and ends by one
//! deadline; a client that waits for an answer then still gets it.

mod denial;
mod doors;
mod farewell;
mod handshake;
mod places;
mod reminders;
mod session;
mod sign_in;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use self::session::{HalfJoined, Joined};
use crate::account::{Accounts, Admitted, Gates, Verdict};
use crate::config::{LimitSettings, Security};
use crate::protocol::{self, Denial, DialogueEnd, Door, Login, Promises, Protocol, Request};
use crate::shutdown::Shutdown;
use crate::tls::{Acceptor, Stream};
use crate::token::Tokens;
use crate::upstream::{self, Upstream};
use crate::wire::Wire;

pub use places::{ConnectionPermit, Full, Places};
pub use reminders::Reminders;

/// No failed login is answered sooner after it came, whatever it cost: unknown account, wrong password,
/// throttled and a dead grant take the same time, and a guess costs the guesser half a second.
const FAILURE_DELAY: Duration = Duration::from_millis(500);
/// Kept back at the end, so that the answer is out before the deadline.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);

/// What every connection needs. A new configuration makes another one for the connections that come then; what
/// lives as long as the process, both share.
pub struct Proxy {
    /// Who may log in.
    pub accounts: Arc<Accounts>,
    /// How many sessions each account holds.
    pub gates: Arc<Gates>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// The providers, by name.
    pub providers: HashMap<String, Upstream>,
    /// The TLS of each door's listeners; empty where no listener has any.
    pub acceptors: HashMap<Door, Acceptor>,
    /// What each door may promise before the provider is known.
    pub promises: HashMap<Door, Arc<Promises>>,
    /// What was said of promises that a provider does not keep.
    pub reminders: Arc<Reminders>,
    /// Bounds.
    pub limits: LimitSettings,
    /// For each listener, in the configuration's order when the process began, the networks that may connect;
    /// none where all may.
    pub sources: Vec<Vec<IpNet>>,
}

/// A connection that was just accepted, on a listener that speaks `P`.
pub struct Connection<P> {
    /// What it needs.
    pub proxy: Arc<Proxy>,
    /// The client's address.
    pub peer: SocketAddr,
    /// What the listener promises.
    pub security: Security,
    /// When to stop.
    pub shutdown: Shutdown,
    /// What the listener speaks.
    pub protocol: PhantomData<P>,
}

/// What came of one request of a client.
enum Answered {
    /// Its login was accepted: this is the provider's side.
    LoggedIn(Box<HalfJoined>),
    /// Its login was refused, and it may try again.
    Refused,
    /// It was told to begin TLS; so many bytes came behind its request.
    StartTls { injected: usize },
    /// The dialogue is over, and the last word was said.
    Over,
    /// The connection is to be closed at once.
    Cut,
}

/// Closes a connection that is one too many, with a greeting that says so where cleartext is understood.
pub fn turn_away<P: Protocol>(tcp: &TcpStream, security: Security) {
    if security != Security::Tls {
        farewell::turn_away::<P>(tcp, &denial::full());
    }
}

impl<P: Protocol> Connection<P> {
    /// Serves `tcp` to its end, or until a new connection takes its place.
    pub async fn run(self, tcp: TcpStream, mut permit: ConnectionPermit) {
        let span = info_span!("connection", peer = %self.peer);
        let joined = Box::pin(self.log_in(tcp, &mut permit).instrument(span.clone())).await;
        let Some(joined) = joined else { return };
        permit.logged_in();
        Box::pin(session::relay::<P>(&self.proxy, joined, &self.shutdown).instrument(span)).await;
    }

    /// TLS, and the dialogue until a login is accepted or the connection is over.
    async fn log_in(&self, tcp: TcpStream, permit: &mut ConnectionPermit) -> Option<Box<Joined>> {
        upstream::keep_alive(&tcp);
        let deadline = Instant::now() + Duration::from_secs(self.proxy.limits.login_seconds);
        let mut ending = pin!(farewell::ending(self.shutdown.begun(), permit.lost()));
        let (stream, channel) = self.open(tcp, deadline, ending.as_mut()).await?;
        let failed_logins = self.proxy.limits.failed_logins;
        let mut dialogue = P::new(channel, protocol::Limits { failed_logins, ..protocol::Limits::default() });
        if let Some(promises) = self.proxy.promises.get(&P::DOOR) {
            dialogue.promise(promises);
        }
        let mut client = Wire::of_client(stream);
        loop {
            let answered = tokio::select! {
                biased;
                answered = self.converse(&mut dialogue, &mut client, deadline, permit) => answered,
                ending = &mut ending => farewell::dismiss(ending, &mut dialogue, &mut client).await,
            };
            match answered {
                Answered::LoggedIn(half) => return Some(Box::new(Joined { client, half: *half })),
                Answered::Refused => {}
                Answered::StartTls { injected } => {
                    client = self.start_tls(client, injected, deadline, ending.as_mut()).await?;
                    dialogue.tls_started();
                }
                Answered::Over => {
                    farewell::close(client).await;
                    return None;
                }
                Answered::Cut => return None,
            }
        }
    }

    /// The client's next request, and the answer to it.
    async fn converse(
        &self,
        dialogue: &mut P,
        client: &mut Wire<Stream>,
        deadline: Instant,
        permit: &mut ConnectionPermit,
    ) -> Answered {
        let login = match timeout_at(deadline - ANSWER_RESERVE, dialogue.next(client)).await {
            Ok(Ok(Request::Login(login))) => login,
            Ok(Ok(Request::StartTls { injected })) => return Answered::StartTls { injected },
            Ok(Err(end)) => return over(&end),
            Err(_) => {
                info!("no login came within {} s", self.proxy.limits.login_seconds);
                farewell::last_word(dialogue, client, &denial::too_late()).await;
                return Answered::Over;
            }
        };
        let answer = Box::pin(self.answer(dialogue, client, login, deadline, permit));
        match timeout_at(deadline, answer).await {
            Ok(Ok(Some(half))) => Answered::LoggedIn(half),
            Ok(Ok(None)) => Answered::Refused,
            Ok(Err(end)) => over(&end),
            Err(_) => {
                info!("the mail program does not take the answer to its login");
                Answered::Cut
            }
        }
    }

    /// Answers one login: with both sides joined, or with a refusal after which the dialogue goes on.
    async fn answer(
        &self,
        dialogue: &mut P,
        client: &mut Wire<Stream>,
        login: Login,
        deadline: Instant,
        permit: &mut ConnectionPermit,
    ) -> Result<Option<Box<HalfJoined>>, DialogueEnd> {
        let came = Instant::now();
        let due = (came + FAILURE_DELAY).min(deadline - ANSWER_RESERVE);
        let denial = match self.admit(&login, due, deadline).await {
            Ok(_) if !permit.keep() => denial::full(),
            Ok(admitted) => {
                drop(login);
                match self.sign_in(dialogue, &admitted, came, deadline).await {
                    Ok((accepted, upstream, upstream_permit)) => {
                        dialogue.accept(client, accepted).await?;
                        info!(
                            account = admitted.account.name,
                            password = admitted.password_name,
                            "logged in"
                        );
                        let Admitted { account, session, .. } = *admitted;
                        return Ok(Some(Box::new(HalfJoined {
                            upstream,
                            account,
                            upstream_permit,
                            session,
                        })));
                    }
                    Err(denial) => denial,
                }
            }
            Err(denial) => denial,
        };
        tokio::time::sleep_until(due).await;
        dialogue.deny(client, &denial).await?;
        Ok(None)
    }

    async fn admit(&self, login: &Login, due: Instant, deadline: Instant) -> Result<Box<Admitted>, Denial> {
        let name = printable(&login.name);
        let (accounts, from) = (&self.proxy.accounts, self.peer.ip());
        let verdict = accounts.verify(&login.name, &login.password, P::DOOR, from, due);
        // A store that is held up must not cost the answer.
        let Ok(verdict) = timeout_at(deadline - ANSWER_RESERVE, verdict).await else {
            warn!(name, "login refused: the store did not answer in time");
            return Err(denial::busy());
        };
        match verdict {
            Ok(Verdict::Admitted(admitted)) => Ok(admitted),
            Ok(Verdict::Barred(barred)) => {
                let denial = denial::barred(&barred, P::DOOR);
                warn!(name, password = barred.password, "login refused: {}", denial.text);
                Err(denial)
            }
            Ok(Verdict::Refused { elsewhere: None }) => {
                warn!(name, "login refused: unknown account or wrong password");
                Err(Denial::wrong_password())
            }
            Ok(Verdict::Refused { elsewhere: Some(password) }) => {
                warn!(name, password, "login refused: the app password is limited to other networks");
                Err(Denial::wrong_password())
            }
            Ok(Verdict::Throttled(wait)) => {
                warn!(
                    name,
                    "login refused: too many failures from this address, for {} s yet",
                    wait.as_secs()
                );
                Err(denial::throttled(wait))
            }
            Ok(Verdict::Busy) => {
                warn!(name, "login refused: too many passwords wait to be verified");
                Err(denial::busy())
            }
            Err(error) => {
                error!(name, "login refused: {error}");
                Err(denial::store_failed())
            }
        }
    }
}

/// A name from outside as it may stand in a log line. The log quotes it, and escapes what cannot be seen.
fn printable(name: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(256).map(visible).collect()
}

fn over(end: &DialogueEnd) -> Answered {
    match end.is_ordinary() {
        true => debug!("{end}"),
        false => warn!("{end}"),
    }
    Answered::Over
}
