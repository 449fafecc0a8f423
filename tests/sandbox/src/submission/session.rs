//! One session as a conversation: greeting, then commands until the end.
//!
//! Between two commands the session waits for a line or for an order from the test. Before the login every
//! line is checked, because the client is the proxy: see [`Session::distrust`]. Each step may meet a fault:
//! see [`Session::enter`].

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Server;
use super::flavour::{Dialect, Phrase};
use super::message::Envelope;
use crate::Gate;
use crate::state::Order;
use crate::stats::Submission;
use crate::switches::{Step, SubmissionSwitches};
use crate::transport::Transport;

pub(super) struct Session {
    pub(super) server: Server,
    pub(super) id: u64,
    pub(super) switches: Arc<SubmissionSwitches>,
    pub(super) transport: Transport,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Set by a login.
    pub(super) sender: Option<Sender>,
    pub(super) envelope: Option<Envelope>,
    /// The last refusal of AUTH, which Exchange repeats at MAIL.
    pub(super) refused: Option<String>,
}

/// The mailbox that sends, after the login.
pub(super) struct Sender {
    /// The address of the mailbox.
    pub(super) address: String,
    /// False after a login that succeeded in name only.
    pub(super) connected: bool,
}

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// With these lines as the last ones.
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

/// A command line in parts.
pub(super) struct Command {
    pub(super) verb: String,
    /// The text after the verb and a space.
    pub(super) rest: String,
    pub(super) octets: usize,
}

impl Command {
    fn read(line: &[u8]) -> Self {
        let text = String::from_utf8_lossy(line);
        let (verb, rest) = text.split_once(' ').unwrap_or((&text, ""));
        Self { verb: verb.to_ascii_uppercase(), rest: rest.trim().to_owned(), octets: line.len() }
    }
}

impl Session {
    pub(super) fn new(
        server: Server,
        id: u64,
        switches: Arc<SubmissionSwitches>,
        transport: Transport,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        Self { server, id, switches, transport, orders, sender: None, envelope: None, refused: None }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.switches.flavour.dialect()
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
        if let Some(gate) = self.enter(Step::Greeting).await? {
            self.transport.put_line(self.dialect().greeting());
            self.leave(gate).await?;
        }
        loop {
            let line = self.line().await?;
            let command = Command::read(&line);
            self.distrust(&line, &command)?;
            self.note(|submission| submission.heard.push(String::from_utf8_lossy(&line).into_owned()));
            Box::pin(self.serve(command)).await?;
        }
    }

    async fn serve(&mut self, command: Command) -> Flow {
        match command.verb.as_str() {
            "EHLO" | "HELO" => self.hello(&command).await,
            "STARTTLS" => self.start_tls().await,
            "AUTH" => Box::pin(self.authenticate(command)).await,
            "MAIL" => self.mail(&command).await,
            "RCPT" => self.recipient(&command).await,
            "DATA" => Box::pin(self.data()).await,
            "BDAT" if self.lists("CHUNKING") => Box::pin(self.chunk(&command)).await,
            "RSET" => {
                self.envelope = None;
                self.plainly(Step::Other, Phrase::Reset).await
            }
            "NOOP" => self.plainly(Step::Other, Phrase::Noop).await,
            "VRFY" => self.plainly(Step::Other, Phrase::Verify).await,
            "HELP" => self.plainly(Step::Other, Phrase::Help).await,
            "QUIT" => self.quit().await,
            verb => {
                tokio::time::sleep(self.switches.tarpit).await;
                self.answer(self.dialect().unknown_command(verb)).await
            }
        }
    }

    async fn plainly(&mut self, step: Step, phrase: Phrase) -> Flow {
        let Some(gate) = self.enter(step).await? else { return Ok(()) };
        self.say(phrase);
        self.leave(gate).await
    }

    async fn quit(&mut self) -> Flow {
        self.server.shared.change(|state| state.stats.submission_quits += 1);
        self.note(|submission| submission.quit = true);
        self.plainly(Step::Quit, Phrase::Quit).await?;
        Err(End::Close)
    }

    /// Before the login the proxy sends only its own commands: EHLO, STARTTLS, AUTH with a token, RSET, NOOP,
    /// QUIT. Any other line was leaked from its client.
    fn distrust(&self, line: &[u8], command: &Command) -> Flow {
        self.scan(line)?;
        if !self.switches.strict || self.sender.is_some() {
            return Ok(());
        }
        let mechanism = command.rest.split(' ').next().unwrap_or_default();
        let own = match command.verb.as_str() {
            "EHLO" => true,
            "STARTTLS" | "RSET" | "NOOP" | "QUIT" => command.rest.is_empty(),
            "AUTH" => self.may_sign_in() && matches!(mechanism, "XOAUTH2" | "OAUTHBEARER"),
            _ => false,
        };
        if own {
            return Ok(());
        }
        let mechanism = if command.verb == "AUTH" { mechanism } else { "" };
        self.violation(format!("before the login at the submission server: {:?} {mechanism}", command.verb))
    }

    /// Records a violation and ends the session.
    pub(super) fn violation(&self, what: String) -> Flow {
        self.server.shared.violation(what);
        Err(End::Close)
    }

    pub(super) fn scan(&self, octets: &[u8]) -> Flow {
        if self.server.shared.scan(octets, "the submission server") { Err(End::Close) } else { Ok(()) }
    }

    // Helpers for all commands.

    /// Changes the record of this session.
    pub(super) fn note(&self, change: impl FnOnce(&mut Submission)) {
        self.server.shared.change(|state| state.submissions.get_mut(&self.id).map(change));
    }

    /// Adds a reply with this code, one line each.
    pub(super) fn reply(&mut self, code: u16, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            let mark = if at + 1 == lines.len() { ' ' } else { '-' };
            self.transport.put_line(format!("{code}{mark}{line}"));
        }
    }

    pub(super) fn say(&mut self, phrase: Phrase) {
        self.transport.put_line(self.dialect().say(phrase));
    }

    /// Sends one line at once.
    pub(super) async fn answer(&mut self, line: impl AsRef<[u8]>) -> Flow {
        self.transport.put_line(line);
        Ok(self.transport.flush().await?)
    }

    /// Sends the reply of a step when the gate lets it through.
    pub(super) async fn leave(&mut self, gate: Option<Gate>) -> Flow {
        if let Some(gate) = gate {
            gate.pass().await;
        }
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
