//! Literals (RFC 3501 §4.3, 7888). The dialogue asks for a welcome literal. It refuses another one before its
//! bytes are sent, or drops the bytes if the client does not wait, so that it finds the next command.

use super::{Dialogue, Event, State};
use imap_codec::imap_types::response::Code;

use crate::protocol::Channel;
use crate::protocol::imap::answer::{self, Answer, bad, no};
use crate::protocol::imap::command::{self, Verb};
use crate::protocol::imap::framer::{Framed, Literal};
use crate::wire::Buffer;

/// A tagged answer for which the end of the command must come first.
#[derive(Debug)]
pub(super) struct OwedAnswer {
    pub(super) tag: Vec<u8>,
    pub(super) refusal: Refused,
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
        let (tag, refusal) = match command::head(inbox) {
            Some((tag, verb)) => (tag, self.refuses(literal, verb)),
            None => (&b"*"[..], Some(Refused::Tag)),
        };
        let Some(refusal) = refusal else {
            if literal.waits {
                outbox.push(b"+ Go ahead\r\n");
            }
            self.framer.skip(literal);
            return None;
        };
        let answer = OwedAnswer { tag: tag.to_vec(), refusal };
        self.take(literal.start, inbox);
        self.count_command(outbox).or_else(|| self.refuse(literal, answer, outbox))
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
    fn refuse(&mut self, literal: &Literal, answer: OwedAnswer, outbox: &mut Buffer) -> Option<Event> {
        if literal.waits {
            answer::write(outbox, &answer.tag, answer.refusal.answer());
            self.state = State::Command;
            return None;
        }
        if literal.size > self.meter.left() as u64 {
            answer::write(outbox, &answer.tag, answer.refusal.answer());
            let end = self.limit("it announced more bytes than it may send without logging in", outbox);
            return Some(Event::End(end));
        }
        self.state = State::Discard { left: literal.size, answer };
        None
    }

    /// Drops a refused literal as it arrives, then the rest of its command, further literals included.
    pub(super) fn discard(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        let State::Discard { left, .. } = &mut self.state else { return None };
        if *left > 0 {
            let dropped = usize::try_from(*left).unwrap_or(usize::MAX).min(inbox.len());
            *left -= dropped as u64;
            let more = *left > 0;
            self.take(dropped, inbox);
            if more {
                return Some(Event::More);
            }
        }
        let (end, next) = match self.framer.next(inbox) {
            Framed::More => return self.more(inbox, outbox),
            Framed::Literal(literal) => (literal.start, Some(literal)),
            Framed::Complete(end) => (end, None),
        };
        if let Some(end) = self.check(end, outbox) {
            return Some(end);
        }
        self.take(end, inbox);
        let State::Discard { answer, .. } = std::mem::replace(&mut self.state, State::Command) else {
            return None;
        };
        if let Some(literal) = next {
            return self.refuse(&literal, answer, outbox);
        }
        answer::write(outbox, &answer.tag, answer.refusal.answer());
        None
    }
}
