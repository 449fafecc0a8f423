//! Mail: MAIL, RCPT, and the message by DATA or by BDAT (RFC 3030), kept octet by octet.

use super::delivery::deliver;
use super::ending::{Ending, FINAL};
use super::flavour::{Dialect, Phrase};
use super::login::is_own;
use super::malice::Entered;
use super::session::{Command, Flow, Session};
use crate::pattern::Checker;
use crate::state::State;
use crate::stats::Sent;
use crate::switches::{Step, StepFault, SubmissionRefusal};

/// A message in transfer.
#[derive(Default)]
pub(super) struct Envelope {
    commands: Vec<String>,
    from: String,
    recipients: Vec<String>,
    body: Body,
    /// The sizes of the chunks received by BDAT.
    chunks: Vec<u64>,
}

/// The octets of a message, or the number of octets of a big one.
#[derive(Default)]
struct Body {
    kept: Vec<u8>,
    octets: u64,
    sink: Option<Checker>,
}

impl Body {
    fn push(&mut self, octets: &[u8], sink_above: u64) {
        self.octets += octets.len() as u64;
        if let Some(sink) = &mut self.sink {
            return sink.push(octets);
        }
        self.kept.extend_from_slice(octets);
        if self.octets > sink_above {
            let mut sink = Checker::default();
            sink.push(&std::mem::take(&mut self.kept));
            self.sink = Some(sink);
        }
    }
}

impl Session {
    pub(super) async fn mail(&mut self, command: &Command) -> Flow {
        let Some(gate) = self.enter(Step::Mail).await? else { return Ok(()) };
        let dialect = self.dialect();
        let refusal = match &self.sender {
            _ if !self.may_sign_in() => Some(dialect.say(Phrase::TlsFirst)),
            None => Some(self.not_in()),
            Some(sender) if !sender.connected => Some(SubmissionRefusal::NoRights.lines().join(" ")),
            Some(_) if self.envelope.is_some() => Some(dialect.say(Phrase::TwoSenders)),
            Some(_) => self.unsupported(command),
        };
        let from = path(&command.rest, "FROM:");
        match (refusal, from) {
            (Some(refusal), _) => self.transport.put_line(refusal),
            (None, None) => self.say(Phrase::Syntax),
            (None, Some(from)) => {
                let commands = vec![format!("MAIL {}", command.rest)];
                self.envelope = Some(Envelope { commands, from, ..Envelope::default() });
                self.say(Phrase::Mail);
            }
        }
        self.leave(gate).await
    }

    /// The reply without a login. Exchange repeats why AUTH was refused.
    fn not_in(&self) -> String {
        let plain = self.dialect().say(Phrase::NotIn);
        match &self.refused {
            Some(why) if self.dialect() == Dialect::Exchange => {
                plain.replace("to send mail.", &format!("to send mail. Error: {why}"))
            }
            _ => plain,
        }
    }

    /// The reply to a parameter that EHLO does not list.
    fn unsupported(&self, command: &Command) -> Option<String> {
        let needs = |parameter: &str| {
            let upper = parameter.to_ascii_uppercase();
            match upper.split('=').next().unwrap_or_default() {
                "RET" | "ENVID" | "NOTIFY" | "ORCPT" => Some("DSN"),
                "SMTPUTF8" => Some("SMTPUTF8"),
                "BODY" if upper.ends_with("BINARYMIME") => Some("BINARYMIME"),
                "BODY" => Some("8BITMIME"),
                "SIZE" => Some("SIZE"),
                _ => None,
            }
        };
        let parameters = || command.rest.split_ascii_whitespace().skip(1);
        if parameters().filter_map(needs).any(|word| !self.lists(word)) {
            return Some(self.dialect().say(Phrase::Unsupported));
        }
        let number = |text: &str, before: &str| {
            text.to_ascii_uppercase().strip_prefix(before).and_then(|size| size.parse::<u64>().ok())
        };
        let size = parameters().find_map(|parameter| number(parameter, "SIZE="))?;
        let limit = self.capabilities().iter().find_map(|line| number(line, "SIZE "))?;
        (size > limit).then(|| self.dialect().say(Phrase::TooBig))
    }

    pub(super) async fn recipient(&mut self, command: &Command) -> Flow {
        let Some(gate) = self.enter(Step::Rcpt).await? else { return Ok(()) };
        let refusal = self.unsupported(command);
        let to = path(&command.rest, "TO:").filter(|to| !to.is_empty());
        match (&mut self.envelope, refusal, to) {
            (None, _, _) if self.sender.is_none() => self.transport.put_line(self.not_in()),
            (None, _, _) => self.say(Phrase::NoMail),
            (Some(_), Some(refusal), _) => self.transport.put_line(refusal),
            (Some(_), None, None) => self.say(Phrase::Syntax),
            (Some(envelope), None, Some(to)) => {
                envelope.commands.push(format!("RCPT {}", command.rest));
                envelope.recipients.push(to);
                self.say(Phrase::Rcpt);
            }
        }
        self.leave(gate).await
    }

    pub(super) async fn data(&mut self) -> Flow {
        let Some(gate) = self.enter(Step::Data).await? else { return Ok(()) };
        if let Some(phrase) = self.not_ready() {
            self.say(phrase);
            return self.leave(gate).await;
        }
        self.say(Phrase::Data);
        self.leave(gate).await?;
        let mut envelope = self.envelope.take().unwrap_or_default();
        let sink_above = self.switches.sink_above;
        let mut ending = Ending::new();
        // The final dot is not part of the message, and may arrive in pieces.
        let mut held = Vec::new();
        loop {
            let end = ending.find(self.transport.unread());
            let unread = self.transport.unread().len();
            held.extend(self.transport.take(end.unwrap_or(unread)));
            let known = held.len().saturating_sub(FINAL);
            envelope.body.push(&held[..known], sink_above);
            held.drain(..known);
            if end.is_some() {
                return self.finish(envelope).await;
            }
            self.more().await?;
        }
    }

    pub(super) async fn chunk(&mut self, command: &Command) -> Flow {
        let mut words = command.rest.split_ascii_whitespace();
        let size = words.next().and_then(|size| size.parse::<u64>().ok());
        let last = words.next().is_some_and(|word| word.eq_ignore_ascii_case("LAST"));
        let Some(size) = size else { return self.answer(self.dialect().say(Phrase::Syntax)).await };
        let phrase = self.not_ready();
        let mut envelope = self.envelope.take().unwrap_or_default();
        let mut left = size;
        while left > 0 {
            if self.transport.unread().is_empty() {
                self.more().await?;
                continue;
            }
            let octets = self.transport.take(usize::try_from(left).unwrap_or(usize::MAX));
            left -= octets.len() as u64;
            envelope.body.push(&octets, self.switches.sink_above);
        }
        envelope.chunks.push(size);
        if let Some(phrase) = phrase {
            return self.answer(self.dialect().say(phrase)).await;
        }
        if last {
            return self.finish(envelope).await;
        }
        let gate = self.enter(Step::Chunk).await?;
        self.envelope = gate.is_some().then_some(envelope);
        let Some(gate) = gate else { return Ok(()) };
        self.say(Phrase::Chunk);
        self.leave(gate).await
    }

    /// Why no message is accepted now.
    fn not_ready(&self) -> Option<Phrase> {
        match &self.envelope {
            _ if self.sender.is_none() => Some(Phrase::NotIn),
            None => Some(Phrase::NoMail),
            Some(envelope) if envelope.recipients.is_empty() => Some(Phrase::NoRecipient),
            Some(_) => None,
        }
    }

    /// Judges, records and answers a complete message.
    async fn finish(&mut self, envelope: Envelope) -> Flow {
        let fault = self.server.shared.change(|state| state.step_fault(Step::Message));
        let judged = self.judge_message(&envelope);
        let said = match &fault {
            None | Some(StepFault::Hold(_) | StepFault::HoldReply(_)) => Some(judged.clone()),
            Some(StepFault::Reply(lines) | StepFault::ReplyAndClose(lines)) => lines.first().cloned(),
            Some(_) => None,
        };
        let gate: Entered = match fault {
            // The message is recorded only when the gate opens.
            Some(StepFault::Hold(gate)) => {
                gate.pass().await;
                None
            }
            Some(StepFault::HoldReply(gate)) => Some(gate),
            Some(fault) => {
                self.keep(envelope, said);
                return self.meet(fault).await.map(drop);
            }
            None => None,
        };
        self.keep(envelope, said);
        self.transport.put_line(judged);
        self.leave(gate).await
    }

    fn judge_message(&self, envelope: &Envelope) -> String {
        let dialect = self.dialect();
        let Some(sender) = &self.sender else { return dialect.say(Phrase::NotIn) };
        self.server.shared.look(|state| {
            let same = |user: &&crate::state::Session| user.user.as_deref() == Some(&sender.address);
            let sending = state.senders.values().filter(same).count();
            if self.switches.max_sending.is_some_and(|most| sending > most) {
                return SubmissionRefusal::ConcurrentConnections.lines().join(" ");
            }
            let as_whom = [Some(envelope.from.clone()), from_header(&envelope.body.kept)];
            let mut named = as_whom.into_iter().flatten().filter(|address| !address.is_empty());
            match named.find(|address| !may_send_as(state, &sender.address, address)) {
                Some(other) if self.switches.check_sender => dialect.send_as_denied(&sender.address, &other),
                _ => dialect.say(Phrase::Message),
            }
        })
    }

    fn keep(&self, envelope: Envelope, reply: Option<String>) {
        let Envelope { commands, from, recipients, body, chunks } = envelope;
        let accepted = reply.as_ref().is_some_and(|reply| reply.starts_with('2'));
        let sent = Sent {
            user: self.sender.as_ref().map(|sender| sender.address.clone()).unwrap_or_default(),
            commands,
            from,
            recipients,
            octets: body.octets,
            first_wrong: body.sink.as_ref().and_then(Checker::first_wrong),
            data: body.kept,
            chunks,
            reply,
            accepted,
        };
        self.server.shared.change(|state| {
            if accepted {
                deliver(state, &sent);
            }
            state.stats.messages += u64::from(accepted);
            state.stats.refused_messages += u64::from(!accepted);
            state.log_sent(sent);
        });
    }
}

/// Whether `user` may send as `address`: it belongs to the user or to a mailbox shared with them.
fn may_send_as(state: &State, user: &str, address: &str) -> bool {
    state
        .user(address)
        .is_some_and(|other| is_own(state, other, user) || other.delegates.contains(&user.to_lowercase()))
}

/// The address between angle brackets after `FROM:` or `TO:`.
fn path(rest: &str, name: &str) -> Option<String> {
    let head = rest.get(..name.len())?;
    let path =
        rest[name.len()..].trim_start().strip_prefix('<').filter(|_| head.eq_ignore_ascii_case(name))?;
    path.split_once('>').map(|(address, _)| address.to_owned())
}

/// The address in the From field, if there is one.
fn from_header(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let mut fields = text.split("\r\n").take_while(|line| !line.is_empty());
    let field = fields.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("From").then(|| value.trim().to_owned())
    })?;
    let bracketed = field.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    Some(bracketed.map_or(field.clone(), |(address, _)| address.to_owned()))
}
