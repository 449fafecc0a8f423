//! The dialogue with a provider, from its greeting to its verdict on a token: bytes in, verdict out.
//!
//! greeting -> EHLO -> `AUTH XOAUTH2` -> `334` -> the message -> `235`. **Always in two steps**: Gmail refuses a
//! token of a kilobyte on the AUTH line (RFC 4954 §4 limits the line to 512 octets). A challenge that refuses the
//! token is answered as the mechanism demands, so that the verdict follows; Exchange sends its verdict at once. If
//! the verdict is about the token and there is another name ([`Credential::or_user`]), the same token is tried
//! with that name on the same connection.
//!
//! Bytes behind the verdict stay in the inbox for the relay.

use zeroize::Zeroizing;

use super::meaning::{closed, refused, turned_away, violation};
use super::reply::NAME;
use super::response::{Replies, Reply};
use crate::protocol::dialogue::{ProviderDialogue, Step};
use crate::protocol::promises::keyword;
use crate::protocol::sasl::{self, Mechanism};
use crate::protocol::verdict::{Heard, answer_challenge, no_mechanism};
use crate::protocol::{Accepted, Answers, Credential, Door, Promises, Refusal};
use crate::wire::Buffer;

/// A sign-in in progress.
pub struct SignIn<'a> {
    credential: &'a Credential<'a>,
    /// The proxy's own name in EHLO.
    name: &'a str,
    promises: Option<&'a Promises>,
    state: State,
    replies: Replies,
    offer: Offer,
    heard: Heard,
    challenges: u32,
    /// Whether [`Credential::or_user`] is being tried.
    by_other_name: bool,
}

enum State {
    Greeting,
    /// EHLO must be sent; no greeting comes before it.
    Silent,
    Ehlo,
    /// AUTH was sent; its message waits for a `334`.
    Prompt {
        mechanism: Mechanism,
        message: Zeroizing<Vec<u8>>,
    },
    /// The message was sent.
    Verdict {
        mechanism: Mechanism,
    },
}

/// The contents of the provider's EHLO.
#[derive(Default)]
pub(super) struct Offer {
    /// Names of SASL mechanisms, in capitals.
    mechanisms: Vec<String>,
    /// The keyword of each line, in capitals.
    pub(super) keywords: Vec<String>,
}

impl ProviderDialogue for SignIn<'_> {
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Step, Refusal> {
        if let State::Silent = self.state {
            self.say_ehlo(outbox);
        }
        while let Some(end) = self.replies.next(inbox)? {
            let verdict = self.reply(inbox.get(..end).unwrap_or_default(), outbox);
            inbox.consume(end);
            if let Some(accepted) = verdict? {
                return Ok(Step::Accepted(accepted));
            }
        }
        Ok(Step::More)
    }

    fn closed(&mut self) -> Refusal {
        closed(self.heard.take())
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in for a client named `name`, which was promised `promises`.
    pub fn new(
        credential: &'a Credential<'a>,
        name: Option<&'a str>,
        promises: Option<&'a Promises>,
    ) -> Result<Self, Refusal> {
        // Checked before anything is sent.
        sasl::check_bearer(credential.user, credential.token)?;
        if let Some(user) = credential.or_user {
            sasl::check_bearer(user, credential.token)?;
        }
        Ok(Self {
            credential,
            name: name.unwrap_or(NAME),
            promises,
            state: if credential.greeted { State::Greeting } else { State::Silent },
            replies: Replies::default(),
            offer: Offer::default(),
            heard: Heard::while_waiting_for(Answers::Connection),
            challenges: 0,
            by_other_name: false,
        })
    }

    /// Handles one reply, by the state.
    fn reply(&mut self, bytes: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        let reply = Reply::read(bytes);
        match &self.state {
            State::Greeting => match reply.code {
                220 => self.say_ehlo(outbox),
                421 | 450..=599 => return Err(turned_away(&reply, self.heard.take())),
                _ => return Err(violation("it did not greet as a submission server does")),
            },
            State::Silent => {}
            State::Ehlo => match reply.code {
                250 => self.authenticate(&reply, outbox)?,
                // The server may have refused the client's name.
                500..=599 if self.name != NAME => {
                    self.name = NAME;
                    self.say_ehlo(outbox);
                }
                400..=599 => return Err(turned_away(&reply, self.heard.take())),
                _ => return Err(violation("it did not answer EHLO as a submission server does")),
            },
            State::Prompt { .. } => match reply.code {
                334 => self.send_message(outbox),
                235 => return Err(violation("it accepted a token that it had not seen")),
                _ => return Err(refused(&reply, self.heard.take())),
            },
            State::Verdict { mechanism } => {
                let mechanism = *mechanism;
                return self.verdict(bytes, &reply, mechanism, outbox);
            }
        }
        Ok(None)
    }

    fn say_ehlo(&mut self, outbox: &mut Buffer) {
        write_ehlo(outbox, self.name);
        self.heard.answers = Answers::Command("EHLO");
        self.state = State::Ehlo;
    }

    /// The provider's offer is known: sign in with the most preferred mechanism of it.
    fn authenticate(&mut self, ehlo: &Reply<'_>, outbox: &mut Buffer) -> Result<(), Refusal> {
        self.offer = Offer::read(ehlo);
        self.heard.answers = Answers::SignIn;
        self.say_auth(self.credential.user, outbox)
    }

    fn say_auth(&mut self, user: &str, outbox: &mut Buffer) -> Result<(), Refusal> {
        let Credential { token, host, port, mechanisms, .. } = *self.credential;
        let offered =
            |mechanism: &Mechanism| self.offer.mechanisms.iter().any(|name| name == mechanism.name());
        let chosen = mechanisms.iter().copied().find(offered);
        let mechanism = chosen.ok_or_else(|| no_mechanism(Door::Submission, &self.offer.mechanisms))?;
        let message = sasl::encode_bearer(mechanism, user, token, (host, port))?;
        for part in ["AUTH ", mechanism.name(), "\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.challenges = 0;
        self.state = State::Prompt { mechanism, message };
        Ok(())
    }

    /// Sends the message, and wipes its copy here.
    fn send_message(&mut self, outbox: &mut Buffer) {
        if let State::Prompt { mechanism, message } = &self.state {
            outbox.reserve(message.len() + 2);
            outbox.push(message);
            outbox.push(b"\r\n");
            self.state = State::Verdict { mechanism: *mechanism };
        }
    }

    /// The message was sent.
    fn verdict(
        &mut self,
        bytes: &[u8],
        reply: &Reply<'_>,
        mechanism: Mechanism,
        outbox: &mut Buffer,
    ) -> Result<Option<Accepted>, Refusal> {
        match reply.code {
            235 => {
                let accepted = Accepted {
                    by_other_name: self.by_other_name,
                    lacking: self.lacking(),
                    ..Accepted::new(bytes.to_vec())
                };
                Ok(Some(accepted))
            }
            334 => {
                let text = reply.lines().next().unwrap_or_default();
                answer_challenge(
                    Door::Submission,
                    text,
                    mechanism,
                    &mut self.challenges,
                    &mut self.heard.challenge,
                    outbox,
                )?;
                Ok(None)
            }
            _ => match (refused(reply, self.heard.take()), self.credential.or_user) {
                (Refusal::Token(_), Some(user)) if !self.by_other_name => {
                    self.by_other_name = true;
                    self.say_auth(user, outbox).map(|()| None)
                }
                (refusal, _) => Err(refusal),
            },
        }
    }

    /// The promised keywords that this provider's EHLO lacks.
    fn lacking(&self) -> Vec<String> {
        let kept = |promised: &&str| self.offer.keywords.iter().any(|own| own.eq_ignore_ascii_case(promised));
        let promised = self.promises.into_iter().flat_map(Promises::keywords);
        promised.filter(|promised| !kept(promised)).map(str::to_owned).collect()
    }
}

impl Offer {
    /// Reads all lines but the first, which greets. `AUTH=LOGIN PLAIN` is an old form of `AUTH LOGIN PLAIN`.
    pub(super) fn read(ehlo: &Reply<'_>) -> Self {
        let mut offer = Self::default();
        for line in ehlo.lines().skip(1) {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let line = line.to_ascii_uppercase().replacen("AUTH=", "AUTH ", 1);
            if keyword(&line) == "AUTH" {
                offer.mechanisms.extend(line.split_whitespace().skip(1).map(str::to_owned));
            }
            offer.keywords.push(keyword(&line).to_owned());
        }
        offer
    }
}

pub(super) fn write_ehlo(outbox: &mut Buffer, name: &str) {
    for part in ["EHLO ", name, "\r\n"] {
        outbox.push(part.as_bytes());
    }
}
