//! One session as a conversation: greeting, login, commands until the end.
//!
//! Between two commands the session waits for the first of these: a line, an order from the test, the end of
//! the access token, and in IDLE a change of the mailbox. Before the login every line is checked, because the
//! client is the proxy: see [`Session::distrust`].

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use super::mailboxes::Mailboxes;
use super::parser::{self, Command, Piece};
use super::select::Selected;
use super::transport::Transport;
use crate::state::{Order, Shared};
use crate::stats::Sunk;
use crate::switches::ImapSwitches;
use crate::{Flavour, Greeting, pattern};

/// Literals above this are accepted only for APPEND.
const LITERAL: u64 = 1 << 20;

pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) switches: Arc<ImapSwitches>,
    pub(super) transport: Transport,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Set by a login.
    pub(super) user: Option<Account>,
    pub(super) selected: Option<Selected>,
    /// RFC 7162: the client has shown that it knows MODSEQ.
    pub(super) condstore: bool,
    commands: u32,
}

/// The mailbox's owner and the session's right to it.
pub(super) struct Account {
    pub(super) mailboxes: Arc<Mailboxes>,
    /// When the access token expires.
    pub(super) expires: Instant,
    /// False after a login that succeeded in name only.
    pub(super) connected: bool,
}

/// How a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// With `* BYE`.
    Bye(String),
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

/// The end of a wait.
pub(super) enum Event {
    Line(Vec<u8>),
    /// The selected mailbox changed; only if requested.
    Changed,
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: u64,
        switches: Arc<ImapSwitches>,
        transport: Transport,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        Self {
            shared,
            id,
            switches,
            transport,
            orders,
            user: None,
            selected: None,
            condstore: false,
            commands: 0,
        }
    }

    pub(super) fn flavour(&self) -> Flavour {
        self.switches.flavour
    }

    pub(super) async fn run(mut self) {
        let Err(end) = self.converse().await;
        match end {
            End::Bye(text) => {
                self.transport.put_line(format!("* BYE {text}"));
                self.transport.close().await;
            }
            End::Close => self.transport.close().await,
            End::Reset => self.transport.reset(),
            End::Gone => {}
        }
    }

    async fn converse(&mut self) -> Flow<std::convert::Infallible> {
        self.greet().await?;
        while self.user.is_none() {
            self.before_login().await?;
        }
        loop {
            let Some(command) = self.command().await? else { continue };
            self.limit_commands()?;
            Box::pin(self.serve(command)).await?;
            self.transport.flush().await?;
        }
    }

    async fn greet(&mut self) -> Flow {
        let switches = Arc::clone(&self.switches);
        match &switches.greeting {
            Greeting::Normal => {}
            Greeting::Hold(gate) => gate.pass().await,
            other => return self.greet_wrongly(other).await,
        }
        let mut text = self.flavour().greeting();
        if switches.capability_only_in_greeting && !text.starts_with('[') {
            text = format!("[CAPABILITY {}] {text}", self.flavour().before_login());
        }
        self.transport.put_line(format!("* OK {text}"));
        Ok(self.transport.flush().await?)
    }

    // Before the login.

    async fn before_login(&mut self) -> Flow {
        if !self.transport.unread().is_empty() {
            self.scan(self.transport.unread())?;
        }
        let line = self.line().await?;
        self.distrust(&line)?;
        let Some(command) = parser::command(vec![Piece::Line(line)]) else {
            self.transport.put_line("* BAD Command Error. 10");
            return Ok(self.transport.flush().await?);
        };
        match command.name.as_str() {
            "AUTHENTICATE" => Box::pin(self.authenticate(command)).await?,
            "LOGIN" => self.no(&command.tag, "NO LOGIN failed."),
            "CAPABILITY" | "NOOP" | "LOGOUT" | "ID" => self.serve_any_time(&command)?,
            _ => self.no(&command.tag, "BAD Command received in Invalid state."),
        }
        Ok(self.transport.flush().await?)
    }

    /// Before the login the proxy sends only its own commands: CAPABILITY, AUTHENTICATE with a token, NOOP,
    /// LOGOUT. Any other line was leaked from its client.
    fn distrust(&self, line: &[u8]) -> Flow {
        self.scan(line)?;
        if !self.switches.strict {
            return Ok(());
        }
        let text = String::from_utf8_lossy(line);
        let mut words = text.split(' ').skip(1);
        let name = words.next().unwrap_or_default();
        let mechanism = words.next().unwrap_or_default();
        let own = match name {
            "CAPABILITY" | "NOOP" | "LOGOUT" => mechanism.is_empty(),
            "AUTHENTICATE" => matches!(mechanism, "XOAUTH2" | "OAUTHBEARER"),
            _ => false,
        };
        if own {
            return Ok(());
        }
        self.violation(format!(
            "before the login: {name:?} {}",
            if name == "AUTHENTICATE" { mechanism } else { "" }
        ))
    }

    /// Records a violation and ends the session.
    pub(super) fn violation(&self, what: String) -> Flow {
        self.shared.violation(what);
        Err(End::Close)
    }

    pub(super) fn scan(&self, octets: &[u8]) -> Flow {
        if self.shared.scan(octets, "the IMAP server") { Err(End::Close) } else { Ok(()) }
    }

    // After the login.

    /// The next command with all its literals; `None` if the line is no command.
    async fn command(&mut self) -> Flow<Option<Command>> {
        let mut line = self.line().await?;
        let mut pieces = Vec::new();
        loop {
            self.scan(&line)?;
            let literal = parser::literal(&line);
            pieces.push(Piece::Line(line));
            let Some((octets, waits)) = literal else { break };
            pieces.push(self.literal(&pieces, octets, waits).await?);
            line = self.line().await?;
        }
        let command = parser::command(pieces);
        if command.is_none() {
            self.transport.put_line("* BAD Command Error. 10");
            self.transport.flush().await?;
        }
        Ok(command)
    }

    async fn literal(&mut self, so_far: &[Piece], octets: u64, waits: bool) -> Flow<Piece> {
        let append = so_far.first().is_some_and(is_append);
        if octets > LITERAL && !append {
            return Err(End::Bye("Literal too large".to_owned()));
        }
        if waits {
            self.transport.put_line("+ go ahead");
            self.transport.flush().await?;
        }
        if octets > self.switches.sink_above {
            let mut checker = pattern::Checker::default();
            self.transport.literal(octets, |piece| checker.push(piece)).await?;
            let sunk = Sunk { mailbox: String::new(), octets, first_wrong: checker.first_wrong() };
            return Ok(Piece::Sunk(sunk));
        }
        let mut literal = Vec::with_capacity(octets as usize);
        self.transport.literal(octets, |piece| literal.extend_from_slice(piece)).await?;
        Ok(Piece::Literal(literal))
    }

    fn limit_commands(&mut self) -> Flow {
        self.commands += 1;
        match &self.switches.bye_after_commands {
            Some((limit, text)) if self.commands > *limit => Err(End::Bye(text.clone())),
            _ => Ok(()),
        }
    }

    // Helpers for all commands.

    /// The tagged OK.
    pub(super) fn done(&mut self, command: &Command) {
        let text = self.flavour().done(&command.name);
        self.transport.put_line(format!("{} {text}", command.tag));
    }

    /// A tagged NO or BAD, or an OK with its own text.
    pub(super) fn no(&mut self, tag: &str, text: &str) {
        self.transport.put_line(format!("{tag} {text}"));
    }

    /// Waits for the next line.
    pub(super) async fn line(&mut self) -> Flow<Vec<u8>> {
        loop {
            if let Event::Line(line) = self.event(false).await? {
                return Ok(line);
            }
        }
    }

    /// Waits for the next event.
    pub(super) async fn event(&mut self, watch_mailbox: bool) -> Flow<Event> {
        loop {
            if let Some(line) = self.transport.line()? {
                return Ok(Event::Line(line));
            }
            let expires =
                self.user.as_ref().map(|user| user.expires).filter(|_| self.switches.bye_at_token_expiry);
            let changes =
                self.selected.as_mut().map(|selected| &mut selected.changes).filter(|_| watch_mailbox);
            tokio::select! {
                filled = self.transport.fill() => {
                    if filled? == 0 {
                        return Err(End::Gone);
                    }
                }
                Some(order) = self.orders.recv() => self.obey(order).await?,
                () = until(expires) => return Err(End::Bye(self.flavour().token_over().to_owned())),
                () = change(changes) => return Ok(Event::Changed),
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Flow {
        match order {
            Order::Bye(text) => Err(End::Bye(text)),
            Order::TokenExpired if self.user.is_none() => Ok(()),
            Order::TokenExpired => Err(End::Bye(self.flavour().token_over().to_owned())),
            Order::Close => Err(End::Close),
            Order::Reset => Err(End::Reset),
            Order::Raw(octets) => {
                self.transport.put(octets);
                Ok(self.transport.flush().await?)
            }
        }
    }
}

fn is_append(piece: &Piece) -> bool {
    let Piece::Line(line) = piece else { return false };
    let mut words = line.split(|&octet| octet == b' ');
    words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(b"APPEND"))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

async fn change(changes: Option<&mut watch::Receiver<u64>>) {
    // An error means that the mailbox was deleted, so no changes follow.
    if let Some(changes) = changes
        && changes.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
