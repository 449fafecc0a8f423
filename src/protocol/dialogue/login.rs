//! The way from the client's bytes to a login: whole lines within bounds, the exchange of AUTH, and STARTTLS.

use super::{Dialogue, Event, Phrase, Speech, State};
use crate::protocol::framer::Framer;
use crate::protocol::line::{is_http, trim_end};
use crate::protocol::meter::Begins;
use crate::protocol::sasl::exchange::{Expects, Turn};
use crate::protocol::{Channel, DialogueEnd, Login, Request};
use crate::wire::Buffer;

impl<P: Speech> Dialogue<P> {
    /// Says `phrase` and goes on.
    pub(crate) fn say(&self, phrase: Phrase, outbox: &mut Buffer) -> Option<Event> {
        P::say(self, phrase, outbox);
        None
    }

    /// Reads one line, or waits for the rest of it.
    pub(crate) fn read_line(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        match self.framer.next_line(inbox) {
            Some(end) => self.read_to(end, inbox, outbox),
            None => self.more(inbox, outbox),
        }
    }

    /// Stops where the inbox does not begin as this protocol does, or may not.
    pub(crate) fn begins(&mut self, inbox: &[u8]) -> Option<Event> {
        match self.meter.begins(self.channel, inbox) {
            Begins::Foreign(end) => Some(self.end(end)),
            Begins::Unclear => Some(Event::More),
            Begins::Ours => None,
        }
    }

    /// Asks for another read, unless even one more byte would be too many.
    pub(crate) fn more(&mut self, inbox: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match inbox.len() {
            0 => Some(Event::More),
            length => self.check(length + 1, outbox).or(Some(Event::More)),
        }
    }

    /// Ends the dialogue if `size` bytes of one command are too many.
    pub(crate) fn check(&mut self, size: usize, outbox: &mut Buffer) -> Option<Event> {
        self.meter.check(size).err().map(|what| Event::End(self.limit(what, outbox)))
    }

    /// Counts a command, and ends the dialogue if that is one too many.
    pub(crate) fn count(&mut self, outbox: &mut Buffer) -> Option<Event> {
        self.meter.command().err().map(|what| Event::End(self.limit(what, outbox)))
    }

    /// Answers the whole command, or line of an exchange, that ends at `end`.
    pub(crate) fn read_to(&mut self, end: usize, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        if let Some(end) = self.check(end, outbox) {
            return Some(end);
        }
        let input = inbox.get(..end).unwrap_or_default();
        let event = match std::mem::replace(&mut self.state, State::Command) {
            State::Sasl(expects) => self.sasl(expects, trim_end(input), outbox),
            _ => self.command(input, outbox),
        };
        // The line of a device stays for the relay.
        if !matches!(self.state, State::Send) {
            self.take(end, inbox);
        }
        event
    }

    fn command(&mut self, command: &[u8], outbox: &mut Buffer) -> Option<Event> {
        if is_http(command) {
            self.say(Phrase::Http, outbox);
            return Some(self.end(DialogueEnd::Http(P::PORT)));
        }
        self.count(outbox).or_else(|| P::command(self, command, outbox))
    }

    /// Removes `count` bytes from the inbox; the next command begins behind them.
    pub(crate) fn take(&mut self, count: usize, inbox: &mut Buffer) {
        self.meter.take(count);
        self.framer = Framer::default();
        inbox.consume(count);
    }

    /// Begins a SASL exchange, for which the client may have sent its first line already.
    pub(crate) fn begin_sasl(
        &mut self,
        mechanism: &[u8],
        initial: Option<&[u8]>,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        if self.channel == Channel::StartTls {
            return self.say(Phrase::TlsFirst, outbox);
        }
        let Some(expects) = Expects::first_of(mechanism) else {
            return self.say(Phrase::NoMechanism, outbox);
        };
        match initial {
            // An empty initial response cannot be a login, so the challenge follows.
            None | Some(b"=") => self.ask(expects, outbox),
            Some(response) => self.response(expects, response, outbox),
        }
    }

    /// Sends the challenge that asks for the next line.
    fn ask(&mut self, expects: Expects, outbox: &mut Buffer) -> Option<Event> {
        self.say(Phrase::Ask(expects.challenge()), outbox);
        self.state = State::Sasl(expects);
        None
    }

    /// Reads a line of a SASL exchange.
    fn sasl(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match line {
            b"*" => self.say(Phrase::Cancelled, outbox),
            _ => self.response(expects, line, outbox),
        }
    }

    /// A SASL response in base64, initial or not.
    fn response(&mut self, expects: Expects, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        match expects.take(line) {
            Turn::Ask(expects) => self.ask(expects, outbox),
            Turn::Login(login) => Some(self.login(login)),
            Turn::Wrong(wrong) => self.say(Phrase::Wrong(wrong), outbox),
        }
    }

    /// Hands a login out.
    pub(crate) fn login(&mut self, mut login: Login) -> Event {
        self.own.takes(&mut login);
        self.state = State::Login;
        Event::Asks(Request::Login(login))
    }

    /// Answers STARTTLS. The next step, when the command was taken, counts the bytes behind it.
    pub(crate) fn start_tls(&mut self, outbox: &mut Buffer) -> Option<Event> {
        match self.channel {
            Channel::StartTls => {
                self.state = State::StartTls;
                self.say(Phrase::BeginTls, outbox)
            }
            Channel::Tls => self.say(Phrase::TlsIsActive, outbox),
            Channel::Cleartext => self.say(Phrase::NoTls, outbox),
        }
    }

    pub(crate) fn log_out(&mut self, outbox: &mut Buffer) -> Option<Event> {
        self.say(Phrase::Goodbye, outbox);
        Some(self.end(DialogueEnd::Logout))
    }

    /// The client used more than its limits allow.
    pub(crate) fn limit(&mut self, what: &'static str, outbox: &mut Buffer) -> DialogueEnd {
        self.say(Phrase::TooMuch, outbox);
        self.state = State::End;
        DialogueEnd::Limit(what)
    }

    pub(crate) fn end(&mut self, end: DialogueEnd) -> Event {
        self.state = State::End;
        Event::End(end)
    }
}
