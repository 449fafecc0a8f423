//! One connection, from accept to the last byte.
//!
//! [`Connection::run`] reads like the story: TLS, the dialogue until somebody logs in, the password, a
//! token while the provider is dialled, the sign-in, the relay. Everything before the relay lives in
//! one boxed future that is gone when the relay starts, and ends by one deadline; whoever waits for an
//! answer then still gets a tagged one.

mod denial;
mod sign_in;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, info, info_span, warn};

use self::sign_in::Upstream;
use crate::account::{Accounts, Admitted, Gates, Pass, Verdict};
use crate::config::{Limits, Provider, Security};
use crate::protocol::imap::{Channel, Imap, Limits as DialogueLimits};
use crate::protocol::{Denial, Login, Protocol, Request};
use crate::relay::{self, End, Farewell, Session, Summary};
use crate::shutdown::Shutdown;
use crate::tls::{Acceptor, Connector, Stream};
use crate::token::Tokens;
use crate::upstream;
use crate::wire::Wire;

/// All failed logins are answered this long after they came, whatever they cost: unknown account,
/// wrong password and throttled look the same, and a guess costs the guesser half a second.
const FAILURE_DELAY: Duration = Duration::from_millis(500);
/// Of the login's time, what token and upstream get; the rest is the client's. 45 of 60 seconds.
const UPSTREAM_SHARE: f64 = 0.75;
/// Kept back at the end, so that the answer is out before the deadline.
const ANSWER_RESERVE: Duration = Duration::from_millis(500);
/// How long a session may take to reach a moment for its farewell when the proxy stops.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
const STOPPING: &str = "* BYE The mail proxy is stopping; reconnect in a moment\r\n";

/// What every connection needs.
pub struct Proxy {
    /// Who may log in.
    pub accounts: Accounts,
    /// How many sessions each account holds.
    pub gates: Gates,
    /// Access tokens.
    pub tokens: Tokens,
    /// The providers, by name.
    pub providers: HashMap<String, (Arc<Provider>, Connector)>,
    /// The listeners' TLS; absent where no listener has any.
    pub acceptor: Option<Acceptor>,
    /// Bounds.
    pub limits: Limits,
    /// When to stop.
    pub shutdown: Shutdown,
}

/// A connection that was just accepted.
pub struct Connection {
    /// What it needs.
    pub proxy: Arc<Proxy>,
    /// The stream.
    pub tcp: TcpStream,
    /// Who it is.
    pub peer: SocketAddr,
    /// What the listener promises.
    pub security: Security,
}

/// Both sides signed in.
struct Joined {
    client: Wire<Stream>,
    upstream: Wire<Stream>,
    admitted: Box<Admitted>,
    pass: Pass,
}

impl Connection {
    /// Serves the connection to its end. `logged_in` is called when it no longer counts as waiting to.
    pub async fn run(self, logged_in: impl FnOnce() + Send) {
        let span = info_span!("connection", peer = %self.peer);
        let proxy = self.proxy.clone();
        let joined = Box::pin(self.log_in().instrument(span.clone())).await;
        let Some(joined) = joined else { return };
        logged_in();
        join(&proxy, joined).instrument(span).await;
    }

    async fn log_in(self) -> Option<Joined> {
        let started = Instant::now();
        let deadline = started + Duration::from_secs(self.proxy.limits.login_seconds);
        upstream::keep_alive(&self.tcp);
        let limits = DialogueLimits { failed_logins: self.proxy.limits.failed_logins, ..DialogueLimits::default() };
        let (stream, channel) = match self.security {
            Security::Tls => (self.handshake(self.tcp_taken(), deadline).await?, Channel::Tls),
            Security::Starttls => (Stream::plain(self.tcp_taken()).ok()?, Channel::StartTls),
            Security::None => (Stream::plain(self.tcp_taken()).ok()?, Channel::Cleartext),
        };
        let mut client = Wire::new(stream);
        let mut imap = Imap::new(channel, limits);
        None
    }
}
