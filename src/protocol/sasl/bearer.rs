//! The exchange in which an access token signs in at a provider, the same for all protocols: the mechanism is chosen,
//! its message goes out once the server asks for it, and a challenge that refuses the token is answered as the
//! mechanism demands, so that the verdict follows. The protocol reads the server's lines and the verdict.

use zeroize::Zeroizing;

use super::{Challenge, Mechanism, check_bearer, dummy_answer, encode_bearer};
use crate::protocol::denial::plain_text;
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Credential, Door, Refusal};
use crate::wire::Buffer;

/// The most challenges that are answered. One is common; a server that sends more than two will not accept.
const CHALLENGES_LIMIT: u32 = 2;

/// Mechanisms that carry a password.
const OF_PASSWORDS: [&str; 6] = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "PLAIN-CLIENTTOKEN"];

/// A sign-in with a token.
pub(in crate::protocol) struct Bearer<'a> {
    door: Door,
    pub(in crate::protocol) credential: &'a Credential<'a>,
    pub(in crate::protocol) heard: Heard,
    /// The mechanism of this attempt, and its message until that is sent.
    mechanism: Option<Mechanism>,
    message: Option<Zeroizing<Vec<u8>>>,
    /// The challenges of this attempt.
    challenges: u32,
}

impl<'a> Bearer<'a> {
    /// A sign-in before the greeting. The credential is checked before anything is sent.
    pub(in crate::protocol) fn new(door: Door, credential: &'a Credential<'a>) -> Result<Self, Refusal> {
        check_bearer(credential.user, credential.token)?;
        if let Some(user) = credential.or_user {
            check_bearer(user, credential.token)?;
        }
        let heard = Heard::while_waiting_for(Answers::Connection);
        Ok(Self { door, credential, heard, mechanism: None, message: None, challenges: 0 })
    }

    /// Begins an attempt as `user` with the most preferred mechanism that is `offered`, or with the first one if the
    /// offer is unknown. Returns the name of the mechanism and the length of its message.
    pub(in crate::protocol) fn begin(
        &mut self,
        user: &str,
        offered: Option<&[String]>,
    ) -> Result<(&'static str, usize), Refusal> {
        let Credential { token, host, port, mechanisms, .. } = *self.credential;
        let is_offered = |mechanism: &Mechanism| {
            offered.is_none_or(|offered| offered.iter().any(|name| name == mechanism.name()))
        };
        let chosen = mechanisms.iter().copied().find(is_offered);
        let mechanism = chosen.ok_or_else(|| self.no_mechanism(offered.unwrap_or_default()))?;
        let message = encode_bearer(mechanism, user, token, (host, port))?;
        let begun = (mechanism.name(), message.len());
        (self.mechanism, self.message, self.challenges) = (Some(mechanism), Some(message), 0);
        self.heard.answers = Answers::SignIn;
        Ok(begun)
    }

    /// [`Bearer::begin`] with the line `AUTH XOAUTH2`, of POP3 and submission.
    pub(in crate::protocol) fn say_auth(
        &mut self,
        user: &str,
        offered: Option<&[String]>,
        outbox: &mut Buffer,
    ) -> Result<(), Refusal> {
        let (mechanism, _) = self.begin(user, offered)?;
        outbox.push_parts(&["AUTH ", mechanism, "\r\n"]);
        Ok(())
    }

    /// Whether the server has got the message, so that a refusal may be about the token.
    pub(in crate::protocol) fn is_sent(&self) -> bool {
        self.mechanism.is_some() && self.message.is_none()
    }

    /// Sends the message, and wipes its copy here.
    pub(in crate::protocol) fn send(&mut self, outbox: &mut Buffer) {
        if let Some(message) = self.message.take() {
            outbox.reserve(message.len() + 2);
            outbox.push(&message);
            outbox.push(b"\r\n");
        }
    }

    /// The server asks for a line: for the message, or for an answer to the challenge `text` in base64.
    pub(in crate::protocol) fn asked(&mut self, text: &[u8], outbox: &mut Buffer) -> Result<(), Refusal> {
        let Some(mechanism) = self.mechanism.filter(|_| self.is_sent()) else {
            self.send(outbox);
            return Ok(());
        };
        self.challenges += 1;
        if self.challenges > CHALLENGES_LIMIT {
            return Err(self.violation("it asks for more than the mechanism holds"));
        }
        self.heard.challenge.get_or_insert_with(|| Box::new(Challenge::decode(text)));
        outbox.push(dummy_answer(mechanism));
        outbox.push(b"\r\n");
        Ok(())
    }

    /// The server says that it accepts the token.
    pub(in crate::protocol) fn accepted(&self) -> Result<(), Refusal> {
        match self.is_sent() {
            true => Ok(()),
            false => Err(self.violation("it accepted a token that it had not seen")),
        }
    }

    /// None of the configured mechanisms is among those that the server has `offered`.
    fn no_mechanism(&self, offered: &[String]) -> Refusal {
        match offered.iter().all(|name| OF_PASSWORDS.contains(&name.as_str())) {
            true => Refusal::PasswordsOnly(self.door),
            false => Refusal::NoCommonMechanism(plain_text(&offered.join(", "))),
        }
    }

    fn violation(&self, what: &'static str) -> Refusal {
        Refusal::Violation { door: self.door, what }
    }
}
