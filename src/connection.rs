//! One connection, from accept to the last byte.
//!
//! [`Connection::run`] does the steps in order: TLS, the dialogue until a client logs in, the password, a token
//! while the provider is dialled, the sign-in, the relay. The steps are the same for every [`Protocol`].
//! Everything before the relay runs in one boxed future, which is freed when the relay starts. One deadline ends
//! it; a client that waits for an answer then still gets one.

mod admit;
mod denial;
mod denied;
mod doors;
mod farewell;
mod handshake;
mod links;
mod live;
mod login_line;
mod places;
mod reason;
mod reminders;
mod session;
mod sign_in;
mod trace;

use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, error_span, info};

use self::admit::Asked;
use self::denied::Denied;
use self::login_line::LoginLine;
use self::session::{HalfJoined, Joined};
use self::trace::Record;
use crate::account::{Accounts, Admitted, Gates};
use crate::config::{Access, Device, LimitSettings, Security};
use crate::links::Links;
use crate::metrics::{Abort, Metrics};
use crate::protocol::dialogue::Dialogue;
use crate::protocol::{self, DialogueEnd, Door, Promises, Protocol, Request};
use crate::secret::random_bytes;
use crate::shutdown::Shutdown;
use crate::tls::{Acceptor, Socket};
use crate::token::Tokens;
use crate::upstream::{self, Upstream};
use crate::wire::Wire;

pub use admit::device_trouble;
pub use farewell::refuse_cleartext;
pub use live::{Live, LiveSession, Moved};
pub use places::{ConnectionPermit, Full, Places};
pub use reason::Reason;
pub use reminders::Reminders;
pub use trace::{MOST as MOST_TRACES, Trace, TraceLine};

/// The shortest time between a failed login and its answer: unknown account, wrong password, too many attempts and
/// an ended grant take the same time, and a guess costs the guesser half a second.
const FAILURE_DELAY: Duration = Duration::from_millis(500);
/// Kept back at the end, so that the answer is sent before the deadline.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);

/// The parts that every connection needs. A new configuration makes another value for new connections; both values
/// share the parts that last as long as the process.
pub struct Proxy {
    /// The accounts that may log in.
    pub accounts: Arc<Accounts>,
    /// How many sessions each account holds.
    pub gates: Arc<Gates>,
    /// Access tokens.
    pub tokens: Arc<Tokens>,
    /// The providers, by name.
    pub providers: HashMap<String, Upstream>,
    /// The TLS of each door's listeners; empty if no listener uses TLS.
    pub acceptors: HashMap<Door, Acceptor>,
    /// Capabilities that each door may promise before the provider is known.
    pub promises: HashMap<Door, Arc<Promises>>,
    /// The sign-in links of accounts.
    pub links: Links,
    /// The warnings that are given once a day.
    pub reminders: Arc<Reminders>,
    /// The sessions that have logged in.
    pub live: Arc<Live>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub limits: LimitSettings,
    /// The addresses that may use each listener, in the configuration's order when the process began.
    pub access: Vec<Arc<Access>>,
}

/// A connection that was just accepted, on a listener that speaks `P`.
pub struct Connection<P> {
    /// The shared parts.
    pub proxy: Arc<Proxy>,
    /// The client's address: that of the connection, or the one that a load balancer names.
    pub peer: SocketAddr,
    /// The load balancer in between.
    pub via: Option<IpAddr>,
    /// The device, if the client's address stands for an account.
    pub device: Option<Device>,
    /// Whether others on the network can read the client's bytes.
    pub is_exposed: bool,
    /// See [`connection_id`].
    pub id: String,
    /// The security that the listener promises.
    pub security: Security,
    /// When to stop.
    pub shutdown: Shutdown,
    /// The protocol of the listener.
    pub protocol: PhantomData<P>,
}

/// The outcome of a client's request.
enum Answered {
    /// The login was accepted: this is the provider's side.
    LoggedIn(Box<HalfJoined>),
    /// The login was refused, and the client may try again.
    Refused,
    /// The client was told to begin TLS; this number of bytes came behind its command.
    StartTls { injected: usize },
    /// The dialogue is over, and the client was told so.
    Over,
    /// The connection is to be closed at once.
    Cut,
}

/// A new connection's id, for its lines in the log and for the list of sessions: sixteen hexadecimal
/// digits, which cannot be taken for a command's option. With a million sessions on all instances of a store, the chance
/// that two have the same is one in thirty million.
pub fn connection_id() -> String {
    format!("{:016x}", u64::from_be_bytes(random_bytes()))
}

/// Closes a connection beyond the limit, with a greeting that gives the reason if the listener speaks cleartext.
pub fn turn_away<P: Protocol>(tcp: &TcpStream, security: Security) {
    if security != Security::Tls {
        farewell::turn_away::<P>(tcp, &denial::full());
    }
}

impl<P: Protocol> Connection<P> {
    /// Serves `tcp` to its end, or until a new connection takes its place.
    pub async fn run(self, tcp: TcpStream, mut permit: ConnectionPermit) {
        // At every log level, so that each line of a connection has the id.
        let span = error_span!("connection", id = %self.id, peer = %self.peer);
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
        let limits = protocol::Limits { failed_logins, ..protocol::Limits::default() };
        let mut dialogue = Dialogue::<P>::new(channel, limits);
        if let Some(promises) = self.proxy.promises.get(&P::DOOR) {
            dialogue.promise(promises);
        }
        if self.device.is_some() {
            dialogue.admit_device();
        }
        let record = self.proxy.live.record(&self.id, P::DOOR, P::WORDS);
        let record = record.as_ref();
        let tape = || record.map(Record::of_client);
        let mut client = Wire::of_client(stream).taped(tape());
        loop {
            let answered = tokio::select! {
                biased;
                answered = self.converse(&mut dialogue, &mut client, deadline, permit, record) => answered,
                ending = &mut ending => self.dismiss(ending, &mut dialogue, &mut client).await,
            };
            match answered {
                Answered::LoggedIn(half) => return Some(Box::new(Joined { client, half: *half })),
                Answered::Refused => {}
                Answered::StartTls { injected } => {
                    client = self.start_tls(client, injected, deadline, ending.as_mut()).await?.taped(tape());
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
        dialogue: &mut Dialogue<P>,
        client: &mut Wire<Socket>,
        deadline: Instant,
        permit: &mut ConnectionPermit,
        record: Option<&Record>,
    ) -> Answered {
        let asked = match timeout_at(deadline - ANSWER_RESERVE, dialogue.next(client)).await {
            Ok(Ok(Request::Login(login))) => Asked::Login(login),
            Ok(Ok(Request::Send)) => match &self.device {
                Some(device) => Asked::Send(device.clone()),
                // Only a dialogue that knows of a device sends this event.
                None => return Answered::Cut,
            },
            Ok(Ok(Request::StartTls { injected })) => return Answered::StartTls { injected },
            Ok(Err(end)) => {
                self.name_device_in_clear(dialogue);
                return self.over(&end);
            }
            Err(_) => {
                self.name_device_in_clear(dialogue);
                self.aborted(Abort::TooLate);
                info!("no login came within {} s", self.proxy.limits.login_seconds);
                farewell::last_word(dialogue, client, &denial::too_late()).await;
                return Answered::Over;
            }
        };
        let answer = Box::pin(self.answer(dialogue, client, asked, deadline, permit, record));
        match timeout_at(deadline, answer).await {
            Ok(Ok(Some(half))) => Answered::LoggedIn(half),
            Ok(Ok(None)) => Answered::Refused,
            Ok(Err(end)) => self.over(&end),
            Err(_) => {
                self.aborted(Abort::TooLate);
                info!("the mail program does not take the answer to its login");
                Answered::Cut
            }
        }
    }

    /// Answers one login, or a device: by joining both sides, or by a refusal after which the dialogue continues.
    async fn answer(
        &self,
        dialogue: &mut Dialogue<P>,
        client: &mut Wire<Socket>,
        asked: Asked,
        deadline: Instant,
        permit: &mut ConnectionPermit,
        record: Option<&Record>,
    ) -> Result<Option<Box<HalfJoined>>, DialogueEnd> {
        let came = Instant::now();
        if let Some(record) = record {
            record.names(asked.name());
        }
        let due = (came + FAILURE_DELAY).min(deadline - ANSWER_RESERVE);
        let client_called = dialogue.client_called();
        let mut line =
            LoginLine::new(&self.proxy.metrics, P::DOOR, asked.name(), self.peer.ip(), client_called);
        let verdict = match &asked {
            Asked::Login(login) => self.admit(login, due, deadline, &mut line).await,
            Asked::Send(device) => self.admit_device(device, deadline, &mut line).await,
        };
        let Denied { denial, reason, .. } = match verdict {
            Ok(_) if !permit.keep() => Denied::new(Reason::Displaced, denial::full()),
            Ok(admitted) => {
                let device = asked.device();
                match self.sign_in(dialogue, &admitted, came, deadline, record).await {
                    Ok((mut accepted, upstream, upstream_permit)) => {
                        if device.is_none() {
                            self.warn_of_end(&admitted, &mut accepted).await;
                        }
                        dialogue.accept(client, accepted).await?;
                        line.ended = None;
                        let live = self.enter(&admitted, dialogue.client_called());
                        let Admitted { account, session, .. } = *admitted;
                        return Ok(Some(Box::new(HalfJoined {
                            upstream,
                            account,
                            upstream_permit,
                            session,
                            live,
                            device,
                        })));
                    }
                    Err(denied) if device.is_none() => self.with_link(&admitted, denied).await,
                    Err(denied) => denied,
                }
            }
            Err(denied) => denied,
        };
        line.ended = Some(reason);
        tokio::time::sleep_until(due).await;
        drop(line);
        dialogue.deny(client, &denial).await?;
        Ok(None)
    }
}
