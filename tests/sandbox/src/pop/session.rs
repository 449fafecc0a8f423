//! One session as a conversation: greeting, then commands until the end.
//!
//! Before the login every line is checked, because the client is the proxy: see [`Session::distrust`]. Each step may
//! meet a fault: see [`Session::enter`].

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Server;
use super::flavour::{Dialect, mechanisms};
use super::maildrop::Maildrop;
use crate::state::Order;
use crate::stats::Pop3Session;
use crate::switches::{Pop3Step, Pop3Switches, Security};
use crate::transport::Transport;

pub(super) struct Session {
    pub(super) server: Server,
    pub(super) id: u64,
    pub(super) switches: Arc<Pop3Switches>,
    pub(super) transport: Transport,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Set by a login.
    pub(super) user: Option<User>,
}

/// The user whose mail is fetched.
pub(super) struct User {
    /// False after a login that succeeded in name only.
    pub(super) connected: bool,
    pub(super) maildrop: Maildrop,
}

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// With these lines.
    Said(Vec<String>),
    /// With close_notify and FIN only.
    Close,
    /// With a TCP reset.
    Reset,
    /// The client disconnected, or the connection broke.
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

pub(super) type Flow<T = ()> = Result<T, End>;

impl Session {
    pub(super) fn new(
        server: Server,
        id: u64,
        switches: Arc<Pop3Switches>,
        transport: Transport,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        Self { server, id, switches, transport, orders, user: None }
    }

    pub(super) fn dialect(&self) -> Dialect {
        Dialect::of(self.switches.flavour)
    }

    pub(super) async fn run(mut self) {
        let Err(end) = self.converse().await;
        match end {
            End::Said(lines) => {
                lines.iter().for_each(|line| self.transport.put_line(line));
                self.transport.close().await;
            }
            End::Close => self.transport.close().await,
            End::Reset => self.transport.reset(),
            End::Gone => {}
        }
    }

    async fn converse(&mut self) -> Flow<Infallible> {
        if let Some(gate) = self.enter(Pop3Step::Greeting).await? {
            self.transport.put_line(self.dialect().greeting());
            self.leave(gate).await?;
        }
        loop {
            let line = self.line().await?;
            let text = String::from_utf8_lossy(&line).into_owned();
            let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
            let verb = verb.to_ascii_uppercase();
            self.distrust(&line, &verb, rest)?;
            self.note(|session| session.heard.push(text.clone()));
            Box::pin(self.serve(&verb, rest.trim(), line.len())).await?;
        }
    }

    async fn serve(&mut self, verb: &str, rest: &str, octets: usize) -> Flow {
        match verb {
            "CAPA" => return self.capabilities().await,
            "STLS" if self.user.is_none() => return self.stls().await,
            "AUTH" if self.user.is_none() => return Box::pin(self.authenticate(rest, octets)).await,
            "QUIT" => return self.quit().await,
            _ => {}
        }
        let Some(user) = &self.user else { return self.answer("-ERR Unknown command.").await };
        if !user.connected {
            return Err(End::Said(vec!["-ERR User is authenticated but not connected.".to_owned()]));
        }
        let step = match verb {
            "STAT" => Pop3Step::Stat,
            "RETR" | "TOP" => Pop3Step::Retrieve,
            _ => Pop3Step::Other,
        };
        let Some(gate) = self.enter(step).await? else { return Ok(()) };
        self.transaction(verb, rest).await?;
        self.leave(gate).await
    }

    async fn capabilities(&mut self) -> Flow {
        let Some(gate) = self.enter(Pop3Step::Capa).await? else { return Ok(()) };
        if !self.switches.capa {
            return self.answer("-ERR Unknown command.").await;
        }
        self.transport.put_line("+OK");
        let own = self.dialect().capabilities();
        own.iter().for_each(|line| self.transport.put_line(line));
        if self.server.security == Security::StartTls && !self.transport.is_tls() {
            self.transport.put_line("STLS");
        }
        let listed =
            self.switches.sasl.clone().unwrap_or_else(|| mechanisms(self.switches.flavour).to_owned());
        if !listed.is_empty() && self.may_sign_in() {
            self.transport.put_line(format!("SASL {listed}"));
        }
        self.transport.put_line(".");
        self.leave(gate).await
    }

    async fn stls(&mut self) -> Flow {
        let Some(gate) = self.enter(Pop3Step::Stls).await? else { return Ok(()) };
        if self.server.security != Security::StartTls || self.transport.is_tls() {
            return self.answer("-ERR Unknown command.").await;
        }
        if self.transport.has_more().await {
            self.violation("octets behind STLS before it was answered".to_owned())?;
        }
        self.transport.put_line("+OK Begin TLS negotiation now.");
        let behind = self.switches.behind_stls.clone();
        self.transport.put(behind);
        self.leave(gate).await?;
        self.transport.begin_tls(&self.server.tls).await?;
        self.note(|session| session.tls = true);
        Ok(())
    }

    async fn quit(&mut self) -> Flow {
        self.server.shared.change(|state| state.stats.pop3_quits += 1);
        self.note(|session| session.quit = true);
        let Some(gate) = self.enter(Pop3Step::Quit).await? else { return Ok(()) };
        if let Some(user) = self.user.take().filter(|user| user.connected) {
            let deleted = user.maildrop.update();
            self.server.shared.change(|state| state.stats.pop3_deleted += deleted);
        }
        self.transport.put_line(self.dialect().farewell());
        self.leave(gate).await?;
        Err(End::Close)
    }

    /// Whether a token may be sent: not in cleartext.
    pub(super) fn may_sign_in(&self) -> bool {
        self.transport.is_tls()
    }

    /// Before the login the proxy sends only its own commands: CAPA, STLS, AUTH with a token, and never QUIT. Any other
    /// line was leaked from its client.
    fn distrust(&self, line: &[u8], verb: &str, rest: &str) -> Flow {
        self.scan(line)?;
        if !self.switches.strict || self.user.is_some() {
            return Ok(());
        }
        let own = match verb {
            "CAPA" | "STLS" => rest.is_empty(),
            "AUTH" => self.may_sign_in() && matches!(rest, "XOAUTH2" | "OAUTHBEARER"),
            _ => false,
        };
        if own {
            return Ok(());
        }
        self.violation(format!("before the login at the POP3 server: {verb:?}"))
    }

    /// Records a violation and ends the session.
    pub(super) fn violation(&self, what: String) -> Flow {
        self.server.shared.violation(what);
        Err(End::Close)
    }

    pub(super) fn scan(&self, octets: &[u8]) -> Flow {
        if self.server.shared.scan(octets, "the POP3 server") { Err(End::Close) } else { Ok(()) }
    }

    /// Changes the record of this session.
    pub(super) fn note(&self, change: impl FnOnce(&mut Pop3Session)) {
        self.server.shared.change(|state| state.pop3_sessions.get_mut(&self.id).map(change));
    }

    /// Sends one line immediately.
    pub(super) async fn answer(&mut self, line: impl AsRef<[u8]>) -> Flow {
        self.transport.put_line(line);
        Ok(self.transport.flush().await?)
    }

    /// Waits for the next line.
    pub(super) async fn line(&mut self) -> Flow<Vec<u8>> {
        loop {
            if let Some(line) = self.transport.line()? {
                return Ok(line);
            }
            self.more().await?;
        }
    }

    /// Waits for more octets, and follows the test's orders meanwhile.
    pub(super) async fn more(&mut self) -> Flow {
        tokio::select! {
            filled = self.transport.fill() => match filled? {
                0 => Err(End::Gone),
                _ => Ok(()),
            },
            Some(order) = self.orders.recv() => match order {
                Order::Bye(text) => Err(End::Said(vec![text])),
                Order::TokenExpired => Ok(()),
                Order::Close => Err(End::Close),
                Order::Reset => Err(End::Reset),
                Order::Raw(octets) => {
                    self.transport.put(octets);
                    Ok(self.transport.flush().await?)
                }
            },
        }
    }
}
