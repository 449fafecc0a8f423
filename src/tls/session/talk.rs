//! What a peer says beside data, after the handshake: alerts, key updates, tickets, and what it must not.
//!
//! A handshake message is judged by type and length as soon as its header is there; only a key update and,
//! from a server, a ticket are put together, so that nothing else is ever kept. Where the RFCs leave a
//! choice, rustls's own connection is the measure; a test holds both to the same bytes.

use rustls::{
    AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, PeerMisbehaved, ProtocolVersion,
};

use super::{Keys, RecordOpener, Session};

/// A peer may say so many things in a row that are not data, and then it is only wasting our time.
const MAX_TALK: u8 = 32;
/// Warnings in one connection, as many as rustls takes.
const MAX_WARNINGS: u8 = 4;
/// rustls's bound for one handshake message; a ticket has a few hundred bytes.
const MAX_MESSAGE: usize = 0xffff;

pub(super) const WARNING: u8 = 1;
pub(super) const FATAL: u8 = 2;

/// How much a peer has said that is not data.
#[derive(Default)]
pub(super) struct Talk {
    in_a_row: u8,
    warnings: u8,
    /// Whether it has asked for renegotiation.
    renegotiation: bool,
    /// The handshake message that goes on in the next record.
    message: Message,
}

/// A handshake message as its parts come.
#[derive(Default)]
struct Message {
    header: [u8; 4],
    /// How much of the header is there.
    known: usize,
    /// How much of the body is missing.
    missing: usize,
    is_kept: bool,
    body: Vec<u8>,
}

impl Message {
    const NONE: Self = Self { header: [0; 4], known: 0, missing: 0, is_kept: false, body: Vec::new() };

    fn has_begun(&self) -> bool {
        self.known > 0
    }

    fn typ(&self) -> HandshakeType {
        let [typ, ..] = self.header;
        typ.into()
    }

    /// Takes what is missing of the header; true where this completes it.
    fn read_header(&mut self, rest: &mut &[u8]) -> bool {
        let room = self.header.get_mut(self.known..).unwrap_or_default();
        if room.is_empty() {
            return false;
        }
        let (now, later) = rest.split_at(room.len().min(rest.len()));
        room.iter_mut().zip(now).for_each(|(byte, &new)| *byte = new);
        self.known += now.len();
        *rest = later;
        let [_, high, middle, low] = self.header;
        self.missing = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.known == self.header.len()
    }

    /// Takes what is missing of the body, to keep it or not.
    fn read_body(&mut self, rest: &mut &[u8]) {
        let (now, later) = rest.split_at(self.missing.min(rest.len()));
        if self.is_kept {
            self.body.extend_from_slice(now);
        }
        self.missing -= now.len();
        *rest = later;
    }

    fn is_whole(&self) -> bool {
        self.known == self.header.len() && self.missing == 0
    }
}

impl Talk {
    /// Bytes that are kept of a message.
    pub(super) fn held(&self) -> usize {
        self.message.body.capacity()
    }
}

impl Session {
    /// Counts a record of data.
    pub(super) fn take_data(&mut self, length: usize) -> Result<(), Error> {
        if self.talk.message.has_begun() {
            return Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into());
        }
        // An empty record is traffic padding at best.
        match length {
            0 => self.count_talk(),
            _ => {
                self.talk.in_a_row = 0;
                Ok(())
            }
        }
    }

    fn count_talk(&mut self) -> Result<(), Error> {
        self.talk.in_a_row += 1;
        match self.talk.in_a_row > MAX_TALK {
            true => Err(PeerMisbehaved::TooManyEmptyFragments.into()),
            false => Ok(()),
        }
    }

    /// Takes a record that is not data.
    pub(super) fn take_talk(&mut self, typ: ContentType, content: &[u8]) -> Result<(), Error> {
        self.count_talk()?;
        match typ {
            // RFC 8446 §5.4, and nothing that TLS 1.2 allows either.
            ContentType::Handshake | ContentType::Alert if content.is_empty() => {
                Err(InvalidMessage::InvalidEmptyPayload.into())
            }
            ContentType::Handshake => self.take_handshake(content),
            _ if self.talk.message.has_begun() => {
                Err(PeerMisbehaved::MessageInterleavedWithHandshakeMessage.into())
            }
            ContentType::Alert => self.take_alert(content),
            got_type => Err(Error::InappropriateMessage {
                expect_types: vec![ContentType::ApplicationData],
                got_type,
            }),
        }
    }

    /// One alert in a record of its own (RFC 8446 §5.1).
    fn take_alert(&mut self, content: &[u8]) -> Result<(), Error> {
        let &[level, description] = content else { return Err(InvalidMessage::MessageTooShort.into()) };
        let description = AlertDescription::from(description);
        if !(WARNING..=FATAL).contains(&level) {
            return Err(self.refuse(AlertDescription::IllegalParameter, Error::AlertReceived(description)));
        }
        if description == AlertDescription::CloseNotify {
            self.peer_closed = true;
            return Ok(());
        }
        // Every other alert ends a TLS 1.3 connection, whatever its level (RFC 8446 §6).
        let is_tls12 = self.version != ProtocolVersion::TLSv1_3;
        if level == WARNING && (is_tls12 || description == AlertDescription::UserCanceled) {
            self.talk.warnings += 1;
            return match self.talk.warnings > MAX_WARNINGS {
                true => Err(PeerMisbehaved::TooManyWarningAlertsReceived.into()),
                false => Ok(()),
            };
        }
        // The peer has given up; an alert in answer would be talk.
        self.closed = true;
        Err(Error::AlertReceived(description))
    }

    /// Handshake messages after the handshake, which may share a record or take several.
    fn take_handshake(&mut self, content: &[u8]) -> Result<(), Error> {
        let mut rest = content;
        while !rest.is_empty() {
            if self.talk.message.read_header(&mut rest) {
                self.talk.message.is_kept = self.judge()?;
            }
            self.talk.message.read_body(&mut rest);
            if self.talk.message.is_whole() {
                let message = std::mem::replace(&mut self.talk.message, Message::NONE);
                self.take_handshake_message(&message, rest.is_empty())?;
            }
        }
        Ok(())
    }

    /// Judges a message by its header: whether it is kept, or only let pass.
    fn judge(&mut self) -> Result<bool, Error> {
        let (typ, length) = (self.talk.message.typ(), self.talk.message.missing);
        if length > MAX_MESSAGE {
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
        let is_tls13 = self.version == ProtocolVersion::TLSv1_3;
        match typ {
            HandshakeType::KeyUpdate if is_tls13 => match length {
                1 => Ok(true),
                0 => Err(InvalidMessage::MissingData("KeyUpdateRequest").into()),
                _ => Err(InvalidMessage::TrailingData("KeyUpdateRequest").into()),
            },
            HandshakeType::NewSessionTicket if is_tls13 && !self.is_server => Ok(true),
            HandshakeType::HelloRequest if !is_tls13 && !self.is_server => Ok(false),
            HandshakeType::ClientHello if !is_tls13 && self.is_server => Ok(false),
            got_type => Err(Error::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::KeyUpdate],
                got_type,
            }),
        }
    }

    /// TLS 1.2 renegotiation, which we do not do (RFC 5246 §7.2.2): a warning, and the second time the end.
    fn refuse_renegotiation(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.talk.renegotiation, true) {
            return Err(PeerMisbehaved::TooManyRenegotiationRequests.into());
        }
        // Behind our end nothing is said.
        match self.closed {
            true => Ok(()),
            false => self.alert(WARNING, AlertDescription::NoRenegotiation),
        }
    }

    fn take_handshake_message(&mut self, message: &Message, ends_record: bool) -> Result<(), Error> {
        match (message.typ(), self.keys.as_deref_mut()) {
            (HandshakeType::KeyUpdate, Some(keys)) => {
                if !ends_record {
                    return Err(PeerMisbehaved::KeyEpochWithPendingFragment.into());
                }
                let &[asks @ (0 | 1)] = message.body.as_slice() else {
                    return Err(InvalidMessage::InvalidKeyUpdate.into());
                };
                self.opener = RecordOpener::new(keys.next_peers()?, self.suite)?;
                // One answer is enough for all who asked before it could be sent. Data that waits does not
                // stand in for it, and behind our end nothing is said.
                match asks == 1 && !self.key_changed && !self.closed {
                    true => self.change_own_key(),
                    false => Ok(()),
                }
            }
            (HandshakeType::NewSessionTicket, Some(Keys::Client(kernel))) => {
                kernel.handle_new_session_ticket(&message.body)
            }
            // All else was refused when its header came.
            _ => self.refuse_renegotiation(),
        }
    }

    /// Tells the peer `why`, where the error alone would not say it.
    fn refuse(&mut self, why: AlertDescription, error: Error) -> Error {
        if !self.closed {
            let _ = self.alert(FATAL, why);
            self.closed = true;
        }
        error
    }
}

/// What the peer is told (RFC 8446 §6.2).
pub(super) fn description_of(error: &Error) -> AlertDescription {
    match error {
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        // §4.6.3, and §5 and §5.4 for what a record is and what it must hold.
        Error::InvalidMessage(InvalidMessage::InvalidKeyUpdate) => AlertDescription::IllegalParameter,
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::InvalidEmptyPayload) => {
            AlertDescription::UnexpectedMessage
        }
        Error::InvalidMessage(other) => (*other).into(),
        Error::PeerMisbehaved(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => AlertDescription::UnexpectedMessage,
        _ => AlertDescription::InternalError,
    }
}
