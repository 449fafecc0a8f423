//! The dialogue with a provider, from its greeting to its verdict on a token: bytes in, verdict out.
//!
//! greeting (none after STARTTLS) -> capabilities if unknown -> `TAG AUTHENTICATE XOAUTH2 …` under the client's
//! own tag -> the tagged answer. With SASL-IR (RFC 4959) the bearer message is part of the command, otherwise it
//! follows the server's `+`. A challenge that refuses the token is answered as the mechanism demands, so that the
//! tagged NO follows; the client never sees the challenge. Only our own tag ends the exchange, and BAD counts as
//! NO. Only the greeting OK is accepted: PREAUTH would be another person's mailbox.
//!
//! The server's lines behind the AUTHENTICATE are passed on byte for byte, such as Gmail's untagged CAPABILITY.
//! Bytes behind the tagged OK stay in the inbox for the relay.

use zeroize::Zeroizing;

use super::framer::{Framed, Framer};
use super::meaning::{Heard, closed, refused, turned_away, violation};
use super::response::{self, Offer, Response, Status, Words};
use crate::protocol::dialogue::{ProviderDialogue, Step};
use crate::protocol::sasl::{self, Mechanism};
use crate::protocol::verdict::{answer_challenge, no_mechanism};
use crate::protocol::{Accepted, Answers, Credential, Door, Refusal};
use crate::wire::Buffer;

/// Bytes of one response. Capability lists and texts with URLs take a few hundred.
const RESPONSE_LIMIT: usize = 16_384;

/// Limits of the whole exchange: a dozen lines are common; a server that never stops is cut off.
const EXCHANGE_LIMIT: usize = 65_536;
const RESPONSES_LIMIT: u32 = 100;

/// A sign-in in progress.
pub struct SignIn<'a> {
    credential: &'a Credential<'a>,
    tag: &'a [u8],
    state: State,
    framer: Framer,
    /// Lines to pass on once the provider accepts.
    lines: Vec<u8>,
    heard: Heard,
    bytes: usize,
    responses: u32,
    challenges: u32,
}

enum State {
    Greeting,
    /// CAPABILITY must be asked for; no greeting comes before it.
    Silent,
    /// CAPABILITY was sent; the list may come untagged or as a code.
    Capability {
        offer: Option<Offer>,
    },
    /// AUTHENTICATE was sent; its message waits for a `+`.
    Prompt {
        mechanism: Mechanism,
        message: Zeroizing<Vec<u8>>,
    },
    /// The message was sent.
    Verdict {
        mechanism: Mechanism,
    },
}

impl ProviderDialogue for SignIn<'_> {
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Step, Refusal> {
        if let State::Silent = self.state {
            // Nothing heard before TLS can be trusted.
            self.heard.answers = Answers::SignIn;
            self.ask_capability(outbox);
        }
        while let Some(end) = self.find_response(inbox)? {
            let verdict = self.response(inbox.get(..end).unwrap_or_default(), outbox);
            inbox.consume(end);
            self.framer = Framer::default();
            self.bytes += end;
            self.responses += 1;
            if let Some(accepted) = verdict? {
                return Ok(Step::Accepted(accepted));
            }
        }
        Ok(Step::More)
    }

    fn closed(&mut self) -> Refusal {
        closed(std::mem::take(&mut self.heard))
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in under `tag`, which must be a valid tag.
    pub fn new(tag: &'a [u8], credential: &'a Credential<'a>) -> Result<Self, Refusal> {
        // Checked before anything is sent.
        sasl::check_bearer(credential.user, credential.token)?;
        Ok(Self {
            credential,
            tag,
            state: if credential.greeted { State::Greeting } else { State::Silent },
            framer: Framer::default(),
            lines: Vec::new(),
            heard: Heard::while_waiting_for(Answers::Connection),
            bytes: 0,
            responses: 0,
            challenges: 0,
        })
    }

    /// The end of the first response in the inbox, its literals included.
    fn find_response(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        if self.responses >= RESPONSES_LIMIT {
            return Err(violation("it sent more than 100 responses without a verdict"));
        }
        let room = RESPONSE_LIMIT.min(EXCHANGE_LIMIT - self.bytes.min(EXCHANGE_LIMIT));
        loop {
            let end = match self.framer.next(inbox) {
                Framed::More if inbox.len() <= room => return Ok(None),
                Framed::Complete(end) if end <= room => return Ok(Some(end)),
                Framed::Literal(literal) if literal.start <= room => literal,
                _ => return Err(violation("it sent more than a sign-in can need")),
            };
            if response::is_text(inbox.get(..end.start).unwrap_or_default(), self.own_tag()) {
                return Ok(Some(end.start));
            }
            if end.size > (room - end.start) as u64 {
                return Err(violation("it sent more than a sign-in can need"));
            }
            self.framer.skip(&end);
        }
    }

    /// Handles one response, by the state.
    fn response(&mut self, bytes: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        let response = response::parse(bytes, self.own_tag());
        self.heard.listen(&response);
        if let Response::Untagged(Status::Bye, words) = &response {
            return Err(self.explain(words, turned_away));
        }
        match self.state {
            State::Greeting => self.greeting(&response, outbox).map(|()| None),
            State::Silent => Ok(None),
            State::Capability { .. } => self.capability(response, outbox).map(|()| None),
            State::Prompt { .. } => self.prompted(bytes, &response, outbox).map(|()| None),
            State::Verdict { mechanism } => self.verdict(bytes, &response, mechanism, outbox),
        }
    }

    fn greeting(&mut self, response: &Response<'_>, outbox: &mut Buffer) -> Result<(), Refusal> {
        match response {
            Response::Untagged(Status::Ok, words) => self.greeted(words, outbox),
            Response::Untagged(Status::PreAuth, _) => {
                Err(violation("it greeted with PREAUTH, so no sign-in is possible"))
            }
            _ => Err(violation("it did not greet as an IMAP server does")),
        }
    }

    fn capability(&mut self, response: Response<'_>, outbox: &mut Buffer) -> Result<(), Refusal> {
        let State::Capability { offer } = &mut self.state else { return Ok(()) };
        match response {
            Response::Capability(offered) => *offer = Some(offered),
            Response::Tagged(_, words) => {
                let offer = offer.take().or_else(|| words.offer());
                return self.authenticate(offer, outbox);
            }
            _ => {}
        }
        Ok(())
    }

    /// AUTHENTICATE was sent; its message was not.
    fn prompted(
        &mut self,
        bytes: &[u8],
        response: &Response<'_>,
        outbox: &mut Buffer,
    ) -> Result<(), Refusal> {
        match response {
            Response::Continue(_) => self.send_message(outbox),
            Response::Tagged(Status::Ok, _) => {
                return Err(violation("it accepted a token that it had not seen"));
            }
            Response::Tagged(_, words) => return Err(self.explain(words, refused)),
            // An answer with another tag is not to our command.
            Response::Foreign => {}
            _ => response::pass_on(bytes, response, &mut self.lines),
        }
        Ok(())
    }

    /// The message was sent.
    fn verdict(
        &mut self,
        bytes: &[u8],
        response: &Response<'_>,
        mechanism: Mechanism,
        outbox: &mut Buffer,
    ) -> Result<Option<Accepted>, Refusal> {
        match response {
            Response::Continue(challenge) => answer_challenge(
                Door::Imap,
                challenge,
                mechanism,
                &mut self.challenges,
                &mut self.heard.challenge,
                outbox,
            )?,
            Response::Tagged(Status::Ok, _) => {
                response::pass_on(bytes, response, &mut self.lines);
                return Ok(Some(Accepted::new(std::mem::take(&mut self.lines))));
            }
            Response::Tagged(_, words) => return Err(self.explain(words, refused)),
            Response::Foreign => {}
            _ => response::pass_on(bytes, response, &mut self.lines),
        }
        Ok(None)
    }

    fn explain(&mut self, words: &Words<'_>, meaning: fn(&Words<'_>, Heard) -> Refusal) -> Refusal {
        meaning(words, std::mem::take(&mut self.heard))
    }

    /// The greeting was OK: ask for unknown capabilities, or sign in at once.
    fn greeted(&mut self, words: &Words<'_>, outbox: &mut Buffer) -> Result<(), Refusal> {
        self.heard.answers = Answers::SignIn;
        let offer = words.offer();
        if offer.is_some() || self.credential.sasl_ir.is_some() {
            return self.authenticate(offer, outbox);
        }
        self.ask_capability(outbox);
        Ok(())
    }

    fn ask_capability(&mut self, outbox: &mut Buffer) {
        self.state = State::Capability { offer: None };
        outbox.push(self.own_tag());
        outbox.push(b" CAPABILITY\r\n");
    }

    fn authenticate(&mut self, offer: Option<Offer>, outbox: &mut Buffer) -> Result<(), Refusal> {
        let Credential { user, token, host, port, .. } = *self.credential;
        let mechanism = self.choose(offer.as_ref())?;
        let sasl_ir = offer.map_or(self.credential.sasl_ir.unwrap_or(false), |offer| offer.sasl_ir);
        let message = sasl::encode_bearer(mechanism, user, token, (host, port))?;
        outbox.reserve(self.tag.len() + " AUTHENTICATE OAUTHBEARER \r\n".len() + message.len());
        for part in [self.tag, b" AUTHENTICATE ", mechanism.name().as_bytes()] {
            outbox.push(part);
        }
        self.state = State::Prompt { mechanism, message };
        if sasl_ir {
            outbox.push(b" ");
            self.send_message(outbox);
        } else {
            outbox.push(b"\r\n");
        }
        Ok(())
    }

    /// The most preferred mechanism that is offered, or the first one if the offer is unknown.
    fn choose(&self, offer: Option<&Offer>) -> Result<Mechanism, Refusal> {
        let offered = |mechanism: &Mechanism| {
            offer.is_none_or(|offer| offer.mechanisms.iter().any(|name| name == mechanism.name()))
        };
        let chosen = self.credential.mechanisms.iter().copied().find(offered);
        chosen.ok_or_else(|| {
            no_mechanism(Door::Imap, offer.map(|offer| offer.mechanisms.as_slice()).unwrap_or_default())
        })
    }

    /// The message goes out, and its copy here is wiped.
    fn send_message(&mut self, outbox: &mut Buffer) {
        if let State::Prompt { mechanism, message } = &self.state {
            outbox.push(message);
            outbox.push(b"\r\n");
            self.state = State::Verdict { mechanism: *mechanism };
        }
    }

    /// The tag of the current command: before AUTHENTICATE, one that differs from the client's.
    fn own_tag(&self) -> &'a [u8] {
        match self.state {
            State::Prompt { .. } | State::Verdict { .. } => self.tag,
            _ if self.tag == b"P1" => b"P2",
            _ => b"P1",
        }
    }
}
