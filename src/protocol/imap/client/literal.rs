//! Literals (RFC 3501 §4.3, 7888). The dialogue asks for a welcome literal. It refuses another one before its
//! bytes are sent, or drops the bytes if the client does not wait, so that it finds the next command.

use super::{Dialogue, Event};
use imap_codec::imap_types::response::Code;

use crate::protocol::Channel;
use crate::protocol::framer::{Framed, Literal};
use crate::protocol::imap::answer::{Answer, bad, no};
use crate::protocol::imap::command::Verb;
use crate::wire::Buffer;

/// A refused literal and the rest of its command, which are dropped before the answer is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discard {
    left: u64,
    refusal: Refused,
}

/// Why a command is refused before its end has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    Tag,
    Privacy,
    TooBig,
    NoLiteral,
}

impl Refused {
    pub(super) fn answer(self) -> Answer {
        match self {
            Self::Tag => bad("Invalid tag"),
            Self::Privacy => {
                no("PRIVACYREQUIRED", "Use STARTTLS first: passwords are not read in cleartext here")
            }
            Self::TooBig => Answer { code: Some(Code::TooBig), ..bad("The literal is too long") },
            Self::NoLiteral => bad("This command takes no literal before login"),
        }
    }
}

impl Dialogue {
    /// Asks for an announced literal, or refuses it before its bytes are sent (RFC 3501 §4.3, 7888 §4).
    pub(super) fn literal(
        &mut self,
        literal: &Literal,
        inbox: &mut Buffer,
        outbox: &mut Buffer,
    ) -> Option<Event> {
        let refusal = match self.begin_command(inbox) {
            Some(verb) => self.refuses(literal, verb),
            None => Some(Refused::Tag),
        };
        let Some(refusal) = refusal else {
            if literal.waits {
                outbox.push(b"+ Go ahead\r\n");
            }
            self.framer.skip(literal);
            return None;
        };
        self.take(literal.start, inbox);
        self.count(outbox).or_else(|| self.refuse(literal, refusal, outbox))
    }

    fn refuses(&self, literal: &Literal, verb: Verb) -> Option<Refused> {
        if verb == Verb::Login && self.channel == Channel::StartTls {
            return Some(Refused::Privacy);
        }
        if !verb.takes_literals() {
            return Some(Refused::NoLiteral);
        }
        let room = self.meter.limits().command.saturating_sub(literal.start).min(self.meter.limits().literal);
        (literal.size > room as u64).then_some(Refused::TooBig)
    }

    /// Answers at once if the client waits, otherwise after the literal.
    fn refuse(&mut self, literal: &Literal, refusal: Refused, outbox: &mut Buffer) -> Option<Event> {
        if literal.waits {
            return self.answer(refusal.answer(), outbox);
        }
        if literal.size > self.meter.left() as u64 {
            self.answer(refusal.answer(), outbox);
            let end = self.limit("it announced more bytes than it may send without logging in", outbox);
            return Some(Event::End(end));
        }
        self.own.discard = Some(Discard { left: literal.size, refusal });
        None
    }

    /// Drops a refused literal as it arrives, then the rest of its command, further literals included.
    pub(super) fn discard(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let Discard { left, refusal } = self.own.discard.take()?;
        if left > 0 {
            let dropped = usize::try_from(left).unwrap_or(usize::MAX).min(inbox.len());
            let left = left - dropped as u64;
            self.own.discard = Some(Discard { left, refusal });
            self.take(dropped, inbox);
            return (left > 0).then_some(Event::More);
        }
        let (end, next) = match self.framer.next(inbox) {
            Framed::More => {
                self.own.discard = Some(Discard { left, refusal });
                return self.more(inbox, outbox);
            }
            Framed::Literal(literal) => (literal.start, Some(literal)),
            Framed::Complete(end) => (end, None),
        };
        if let Some(end) = self.check(end, outbox) {
            return Some(end);
        }
        self.take(end, inbox);
        match next {
            Some(literal) => self.refuse(&literal, refusal, outbox),
            None => self.answer(refusal.answer(), outbox),
        }
    }
}
