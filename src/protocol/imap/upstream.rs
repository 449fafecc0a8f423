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

use super::meaning::{TOKEN, listen, refused, turned_away, violation};
use super::response::{self, Offer, Response, Status, Words};
use crate::protocol::framer::Framer;
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::sasl::bearer::Bearer;
use crate::protocol::{Accepted, Answers, Credential, Door, Refusal, verdict};
use crate::wire::Buffer;

/// Bytes of one response. Capability lists and texts with URLs take a few hundred.
const RESPONSE_LIMIT: usize = 16_384;

/// Limits of the whole exchange: a dozen lines are common; a server that never stops is cut off.
const EXCHANGE_LIMIT: usize = 65_536;
const RESPONSES_LIMIT: u32 = 100;

/// A sign-in in progress.
pub struct SignIn<'a> {
    bearer: Bearer<'a>,
    tag: &'a [u8],
    state: State,
    framer: Framer,
    /// Lines to pass on once the provider accepts.
    lines: Vec<u8>,
    bytes: usize,
    responses: u32,
}

enum State {
    Greeting,
    /// CAPABILITY must be asked for; no greeting comes before it.
    Silent,
    /// CAPABILITY was sent; the list may come untagged or as a code.
    Capability {
        offer: Option<Offer>,
    },
    /// AUTHENTICATE was sent.
    Authenticate,
}

impl ProviderDialogue for SignIn<'_> {
    type Outcome = Accepted;

    fn begin(&mut self, outbox: &mut Buffer) {
        if let State::Silent = self.state {
            // Nothing heard before TLS can be trusted.
            self.ask_capability(outbox);
        }
    }

    /// The end of the first response in the inbox, its literals included.
    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        if self.responses >= RESPONSES_LIMIT {
            return Err(violation("it sent more than 100 responses without a verdict"));
        }
        let room = RESPONSE_LIMIT.min(EXCHANGE_LIMIT.saturating_sub(self.bytes));
        let tag = self.own_tag();
        let too_much = "it sent more than a sign-in can need";
        let found = response::find(&mut self.framer, inbox, tag, (room, too_much))?;
        self.bytes += found.unwrap_or(0);
        self.responses += u32::from(found.is_some());
        Ok(found)
    }

    fn hear(&mut self, bytes: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        let response = response::parse(bytes, self.own_tag());
        listen(&mut self.bearer.heard, &response);
        match (&mut self.state, &response) {
            (_, Response::Untagged(Status::Bye, words)) => {
                return Err(turned_away(words, self.bearer.heard.take()));
            }
            (State::Greeting, Response::Untagged(Status::Ok, words)) => self.greeted(words, outbox)?,
            (State::Greeting, Response::Untagged(Status::PreAuth, _)) => {
                return Err(violation("it greeted with PREAUTH, so no sign-in is possible"));
            }
            (State::Greeting, _) => return Err(violation("it did not greet as an IMAP server does")),
            (State::Capability { offer }, Response::Tagged(_, words)) => {
                let offer = offer.take().or_else(|| words.offer());
                self.authenticate(offer, outbox)?;
            }
            (State::Capability { offer }, _) => {
                if let Response::Capability(offered) = response {
                    *offer = Some(offered);
                }
            }
            (State::Authenticate, Response::Continue(text)) => self.bearer.asked(text, outbox)?,
            (State::Authenticate, Response::Tagged(Status::Ok, _)) => {
                self.bearer.accepted()?;
                response::pass_on(bytes, &response, &mut self.lines);
                return Ok(Some(Accepted::new(std::mem::take(&mut self.lines))));
            }
            (State::Authenticate, Response::Tagged(_, words)) => {
                return Err(refused(words, self.bearer.heard.take()));
            }
            // An answer with another tag is not to our command.
            (State::Silent, _) | (State::Authenticate, Response::Foreign) => {}
            (State::Authenticate, _) => response::pass_on(bytes, &response, &mut self.lines),
        }
        Ok(None)
    }

    fn closed(&mut self) -> Refusal {
        verdict::closed(self.bearer.heard.take(), TOKEN)
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in under `tag`, which must be a valid tag.
    pub fn new(tag: &'a [u8], credential: &'a Credential<'a>) -> Result<Self, Refusal> {
        Ok(Self {
            bearer: Bearer::new(Door::Imap, credential)?,
            tag,
            state: if credential.greeted { State::Greeting } else { State::Silent },
            framer: Framer::default(),
            lines: Vec::new(),
            bytes: 0,
            responses: 0,
        })
    }

    /// The greeting was OK: ask for unknown capabilities, or sign in at once.
    fn greeted(&mut self, words: &Words<'_>, outbox: &mut Buffer) -> Result<(), Refusal> {
        let offer = words.offer();
        if offer.is_some() || self.bearer.credential.sasl_ir.is_some() {
            return self.authenticate(offer, outbox);
        }
        self.ask_capability(outbox);
        Ok(())
    }

    fn ask_capability(&mut self, outbox: &mut Buffer) {
        self.bearer.heard.answers = Answers::SignIn;
        self.state = State::Capability { offer: None };
        outbox.push(self.own_tag());
        outbox.push(b" CAPABILITY\r\n");
    }

    fn authenticate(&mut self, offer: Option<Offer>, outbox: &mut Buffer) -> Result<(), Refusal> {
        let Credential { user, sasl_ir, .. } = *self.bearer.credential;
        let offered = offer.as_ref().map(|offer| &offer.mechanisms[..]);
        let (mechanism, length) = self.bearer.begin(user, offered)?;
        outbox.reserve(self.tag.len() + " AUTHENTICATE OAUTHBEARER \r\n".len() + length);
        for part in [self.tag, b" AUTHENTICATE ", mechanism.as_bytes()] {
            outbox.push(part);
        }
        self.state = State::Authenticate;
        if offer.map_or(sasl_ir.unwrap_or(false), |offer| offer.sasl_ir) {
            outbox.push(b" ");
            self.bearer.send(outbox);
        } else {
            outbox.push(b"\r\n");
        }
        Ok(())
    }

    /// The tag of the current command: before AUTHENTICATE, one that differs from the client's.
    fn own_tag(&self) -> &'a [u8] {
        match self.state {
            State::Authenticate => self.tag,
            _ if self.tag == b"P1" => b"P2",
            _ => b"P1",
        }
    }
}
