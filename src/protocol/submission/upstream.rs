//! The dialogue with a provider, from its greeting to its verdict on a token: bytes in, verdict out.
//!
//! greeting -> EHLO -> `AUTH XOAUTH2` -> `334` -> the message -> `235`. **Always in two steps**: Gmail refuses a
//! token of a kilobyte on the AUTH line (RFC 4954 §4 limits the line to 512 octets). A challenge that refuses the
//! token is answered as the mechanism demands, so that the verdict follows; Exchange sends its verdict at once. If
//! the verdict is about the token and there is another name ([`Credential::or_user`]), the same token is tried
//! with that name on the same connection.
//!
//! Bytes behind the verdict stay in the inbox for the relay.

use super::meaning::{TOKEN, refused, turned_away, violation};
use super::reply::NAME;
use super::response::{Replies, Reply};
use crate::protocol::promises::keyword;
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::sasl::bearer::Bearer;
use crate::protocol::{Accepted, Answers, Credential, Door, Promises, Refusal, verdict};
use crate::wire::Buffer;

/// A sign-in in progress.
pub struct SignIn<'a> {
    bearer: Bearer<'a>,
    /// The proxy's own name in EHLO.
    name: &'a str,
    promises: Option<&'a Promises>,
    state: State,
    replies: Replies,
    offer: Offer,
    /// Whether [`Credential::or_user`] is being tried.
    by_other_name: bool,
}

enum State {
    Greeting,
    /// EHLO must be sent; no greeting comes before it.
    Silent,
    Ehlo,
    /// AUTH was sent.
    Auth,
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
    type Outcome = Accepted;

    fn begin(&mut self, outbox: &mut Buffer) {
        if let State::Silent = self.state {
            self.say_ehlo(outbox);
        }
    }

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.replies.next(inbox)
    }

    fn hear(&mut self, bytes: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        let reply = Reply::read(bytes);
        match (&self.state, reply.code) {
            (State::Greeting, 220) => self.say_ehlo(outbox),
            (State::Greeting, 421 | 450..=599) => {
                return Err(turned_away(&reply, self.bearer.heard.take()));
            }
            (State::Greeting, _) => return Err(violation("it did not greet as a submission server does")),
            (State::Silent, _) => {}
            (State::Ehlo, 250) => {
                self.offer = Offer::read(&reply);
                self.say_auth(self.bearer.credential.user, outbox)?;
            }
            // The server may have refused the client's name.
            (State::Ehlo, 500..=599) if self.name != NAME => {
                self.name = NAME;
                self.say_ehlo(outbox);
            }
            (State::Ehlo, 400..=599) => return Err(turned_away(&reply, self.bearer.heard.take())),
            (State::Ehlo, _) => {
                return Err(violation("it did not answer EHLO as a submission server does"));
            }
            (State::Auth, 334) => {
                self.bearer.asked(reply.lines().next().unwrap_or_default(), outbox)?;
            }
            (State::Auth, 235) => {
                self.bearer.accepted()?;
                let (by_other_name, lacking) = (self.by_other_name, self.lacking());
                return Ok(Some(Accepted { by_other_name, lacking, ..Accepted::new(bytes.to_vec()) }));
            }
            (State::Auth, _) => {
                let may_be_name = self.bearer.is_sent() && !self.by_other_name;
                match (refused(&reply, self.bearer.heard.take()), self.bearer.credential.or_user) {
                    (Refusal::Token(_), Some(user)) if may_be_name => {
                        self.by_other_name = true;
                        self.say_auth(user, outbox)?;
                    }
                    (refusal, _) => return Err(refusal),
                }
            }
        }
        Ok(None)
    }

    fn closed(&mut self) -> Refusal {
        verdict::closed(self.bearer.heard.take(), TOKEN)
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in for a client named `name`, which was promised `promises`.
    pub fn new(
        credential: &'a Credential<'a>,
        name: Option<&'a str>,
        promises: Option<&'a Promises>,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            bearer: Bearer::new(Door::Submission, credential)?,
            name: name.unwrap_or(NAME),
            promises,
            state: if credential.greeted { State::Greeting } else { State::Silent },
            replies: Replies::default(),
            offer: Offer::default(),
            by_other_name: false,
        })
    }

    fn say_ehlo(&mut self, outbox: &mut Buffer) {
        write_ehlo(outbox, self.name);
        self.bearer.heard.answers = Answers::Command("EHLO");
        self.state = State::Ehlo;
    }

    fn say_auth(&mut self, user: &str, outbox: &mut Buffer) -> Result<(), Refusal> {
        self.state = State::Auth;
        self.bearer.say_auth(user, Some(&self.offer.mechanisms), outbox)
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

/// Says EHLO as `name`.
pub(super) fn write_ehlo(outbox: &mut Buffer, name: &str) {
    outbox.push_parts(&["EHLO ", name, "\r\n"]);
}
