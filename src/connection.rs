//! One connection, from accept to the last byte.
//!
//! [`Connection::run`] reads like the story: TLS, the dialogue until somebody logs in, the password, a
//! token while the provider is dialled, the sign-in, the relay. Everything before the relay lives in
//! one boxed future that is gone when the relay starts, and ends by one deadline; whoever waits for an
//! answer then still gets a tagged one.

mod denial;
mod farewell;
mod session;
mod sign_in;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use self::session::Joined;
use crate::account::{Accounts, Admitted, Gates, Verdict};
use crate::config::{Limits, Provider, Security};
use crate::protocol::imap::{Channel, DialogueEnd, Imap, Limits as DialogueLimits};
use crate::protocol::{Denial, Login, Protocol, Request};
use crate::shutdown::Shutdown;
use crate::tls::{AcceptError, Acceptor, FirstBytes, Stream};
use crate::token::Tokens;
use crate::upstream::{self, Dialler};
use crate::wire::Wire;

pub use crate::account::neighbourhood;

/// No failed login is answered sooner after it came, whatever it cost: unknown account, wrong password,
/// throttled and a dead grant take the same time, and a guess costs the guesser half a second.
const FAILURE_DELAY: Duration = Duration::from_millis(500);
/// Kept back at the end, so that the answer is out before the deadline.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);
/// A TLS client speaks at once. One that is silent for so long waits for a greeting in cleartext.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a last word may take on its way to a client that does not read.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What every connection needs.
pub struct Proxy {
    /// Who may log in.
    pub accounts: Accounts,
    /// How many sessions each account holds.
    pub gates: Gates,
    /// Access tokens.
    pub tokens: Tokens,
    /// The providers, by name.
    pub providers: HashMap<String, (Arc<Provider>, Dialler)>,
    /// The listeners' TLS; absent where no listener has any.
    pub acceptor: Option<Acceptor>,
    /// Bounds.
    pub limits: Limits,
}

/// A connection that was just accepted.
pub struct Connection {
    /// What it needs.
    pub proxy: Arc<Proxy>,
    /// Who it is.
    pub peer: SocketAddr,
    /// What the listener promises.
    pub security: Security,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// Closes a connection that is one too many, with a greeting that says so where cleartext is understood.
pub fn turn_away(tcp: &TcpStream, security: Security) {
    if security != Security::Tls {
        farewell::turn_away(tcp, &denial::full());
    }
}

impl Connection {
    /// Serves `tcp` to its end. `logged_in` is called once the connection no longer counts among
    /// those that have not logged in.
    pub async fn run(self, tcp: TcpStream, logged_in: impl FnOnce() + Send) {
        let span = info_span!("connection", peer = %self.peer);
        let joined = Box::pin(self.log_in(tcp).instrument(span.clone())).await;
        let Some(joined) = joined else { return };
        logged_in();
        Box::pin(session::relay(&self.proxy, joined, &self.shutdown).instrument(span)).await;
    }

    async fn log_in(&self, tcp: TcpStream) -> Option<Box<Joined>> {
        upstream::keep_alive(&tcp);
        let deadline = Instant::now() + Duration::from_secs(self.proxy.limits.login_seconds);
        let (stream, channel) = match self.security {
            Security::Tls => (self.handshake(tcp, deadline).await?, Channel::Tls),
            Security::Starttls => (Stream::plain(tcp).ok()?, Channel::StartTls),
            Security::None => (Stream::plain(tcp).ok()?, Channel::Cleartext),
        };
        let limits =
            DialogueLimits { failed_logins: self.proxy.limits.failed_logins, ..DialogueLimits::default() };
        let mut dialogue = Imap::new(channel, limits);
        let mut client = Wire::of_client(stream);
        let stopping = self.shutdown.begun();
        tokio::pin!(stopping);
        loop {
            let request = tokio::select! {
                biased;
                request = timeout_at(deadline - ANSWER_RESERVE, dialogue.next(&mut client)) => request,
                () = &mut stopping => {
                    self.last_word(&mut dialogue, &mut client, &denial::stopping()).await;
                    break;
                }
            };
            match request {
                Err(_) => {
                    info!("nobody logged in within {} s", self.proxy.limits.login_seconds);
                    self.last_word(&mut dialogue, &mut client, &denial::too_late()).await;
                    break;
                }
                Ok(Err(end)) => {
                    log_end(&end);
                    break;
                }
                Ok(Ok(Request::StartTls { injected })) => {
                    client = self.start_tls(client, injected, deadline).await?;
                    dialogue.tls_started();
                }
                Ok(Ok(Request::Login(login))) => {
                    let answer = self.answer(&mut dialogue, &mut client, login, deadline);
                    let outcome = tokio::select! {
                        biased;
                        outcome = timeout_at(deadline, Box::pin(answer)) => outcome,
                        () = &mut stopping => {
                            self.last_word(&mut dialogue, &mut client, &denial::stopping()).await;
                            break;
                        }
                    };
                    match outcome {
                        Ok(Ok(Some(joined))) => return Some(joined.with_client(client)),
                        Ok(Ok(None)) => {}
                        Ok(Err(end)) => {
                            log_end(&end);
                            break;
                        }
                        Err(_) => {
                            info!("the mail program does not take the answer to its login");
                            return None;
                        }
                    }
                }
            }
        }
        farewell::close(client).await;
        None
    }

    async fn handshake(&self, tcp: TcpStream, deadline: Instant) -> Option<Stream> {
        let shaken = tokio::select! {
            biased;
            shaken = self.tls(tcp, deadline) => shaken?,
            () = self.shutdown.begun() => return None,
        };
        match shaken {
            Ok(stream) => Some(stream),
            Err(error) if error.is_noise() => {
                debug!("{error}");
                None
            }
            Err(error @ (AcceptError::Io(_) | AcceptError::Vanished | AcceptError::Silent)) => {
                info!("{error}");
                None
            }
            Err(error) => {
                warn!("{error}");
                None
            }
        }
    }

    /// The handshake itself, unless the client does not speak TLS: then it is told, in its own words.
    async fn tls(&self, tcp: TcpStream, deadline: Instant) -> Option<Result<Stream, AcceptError>> {
        let acceptor = self.proxy.acceptor.as_ref()?;
        let patience = deadline.min(Instant::now() + SILENCE);
        let not_tls = match timeout_at(patience, FirstBytes::peek(&tcp)).await {
            Err(_) => Some(AcceptError::Silent),
            Ok(Ok(FirstBytes::Text)) => Some(AcceptError::PlaintextClient),
            Ok(_) => None,
        };
        if let Some(error) = not_tls {
            farewell::turn_away(&tcp, &denial::tls_only());
            return Some(Err(error));
        }
        Some(acceptor.accept(tcp, deadline).await)
    }

    /// The same connection under TLS. What came in cleartext behind STARTTLS is never interpreted: it
    /// was injected on the way, or the client is broken, and either way the connection ends.
    async fn start_tls(
        &self,
        client: Wire<Stream>,
        injected: usize,
        deadline: Instant,
    ) -> Option<Wire<Stream>> {
        if injected > 0 {
            warn!(
                "{injected} bytes came in cleartext behind STARTTLS; they are not looked at, and the connection is closed"
            );
            return None;
        }
        let (stream, _) = client.into_parts();
        let tcp = stream.into_plain().ok()?;
        Some(Wire::of_client(self.handshake(tcp, deadline).await?))
    }

    /// Answers one login: with both sides joined, or with a refusal after which the dialogue goes on.
    async fn answer(
        &self,
        dialogue: &mut Imap,
        client: &mut Wire<Stream>,
        login: Login,
        deadline: Instant,
    ) -> Result<Option<session::HalfJoined>, DialogueEnd> {
        let came = Instant::now();
        let denial = match self.admit(&login, deadline).await {
            Ok(admitted) => {
                drop(login);
                match self.sign_in(dialogue, &admitted, came, deadline).await {
                    Ok((accepted, upstream, pass)) => {
                        dialogue.accept(client, accepted).await?;
                        info!(
                            account = admitted.account.name,
                            password = admitted.password_name,
                            "logged in"
                        );
                        let Admitted { account, place, .. } = *admitted;
                        return Ok(Some(session::HalfJoined { upstream, account, pass, place }));
                    }
                    Err(denial) => denial,
                }
            }
            Err(denial) => denial,
        };
        tokio::time::sleep_until((came + FAILURE_DELAY).min(deadline - ANSWER_RESERVE)).await;
        dialogue.deny(client, &denial).await?;
        Ok(None)
    }

    async fn admit(&self, login: &Login, deadline: Instant) -> Result<Box<Admitted>, Denial> {
        let name = printable(&login.name);
        let verdict = self.proxy.accounts.verify(&login.name, &login.password, self.peer.ip());
        let Ok(verdict) = timeout_at(deadline - ANSWER_RESERVE, verdict).await else {
            warn!(name, "login refused: too many chosen passwords are being verified");
            return Err(denial::busy());
        };
        match verdict {
            Ok(Verdict::Admitted(admitted)) => Ok(admitted),
            Ok(Verdict::Refused) => {
                warn!(name, "login refused: unknown account or wrong password");
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
            Err(error) => {
                error!(name, "login refused: {error}");
                Err(denial::store_failed())
            }
        }
    }

    async fn last_word(&self, dialogue: &mut Imap, client: &mut Wire<Stream>, denial: &Denial) {
        let _ = tokio::time::timeout(LAST_WORD, dialogue.bye(client, denial)).await;
    }
}

/// A name from outside as it may stand in a log line. The log quotes it, and escapes what cannot be seen.
fn printable(name: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(256).map(visible).collect()
}

fn log_end(end: &DialogueEnd) {
    match end.is_ordinary() {
        true => debug!("{end}"),
        false => warn!("{end}"),
    }
}
