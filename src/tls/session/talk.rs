//! The peer's messages other than data, after the handshake: alerts, key updates, tickets, and forbidden messages.
//!
//! A handshake message is judged by type and length as soon as its header is there. Only a key update and a
//! server's ticket are assembled; no other message is kept. If the RFCs leave a choice, rustls's own connection is
//! the model; a test compares both on the same bytes.

use rustls::{
    AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, PeerMisbehaved, ProtocolVersion,
};

use super::{Keys, RecordOpener, Session};

/// The most messages in a row without data; a peer that sends more only wastes our time.
const MAX_TALK: u8 = 32;
/// The most warnings in one connection, as in rustls.
const MAX_WARNINGS: u8 = 4;
/// rustls's limit for one handshake message; a ticket has a few hundred bytes.
const MAX_MESSAGE: usize = 0xffff;

pub(super) const WARNING: u8 = 1;
pub(super) const FATAL: u8 = 2;

/// The peer's messages so far.
#[derive(Default)]
pub(super) struct Talk {
    in_a_row: u8,
    warnings: u8,
    /// Whether the peer has asked for renegotiation.
    renegotiation: bool,
    /// The handshake message that continues in the next record.
    message: Message,
}

/// A handshake message while its parts arrive.
#[derive(Default)]
struct Message {
    header: [u8; 4],
    /// Number of header bytes that have come.
    known: usize,
    /// Number of body bytes still missing.
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

    /// Takes missing bytes of the header; true if the header is now complete.
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

    /// Takes missing bytes of the body, and keeps or drops them.
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
    /// Number of bytes kept of a message.
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
        // An empty record is at best padding.
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

    /// Handles a record that is not data.
    pub(super) fn take_talk(&mut self, typ: ContentType, content: &[u8]) -> Result<(), Error> {
        self.count_talk()?;
        match typ {
            // Forbidden by RFC 8446 §5.4, and by TLS 1.2.
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
        // Every other alert ends a TLS 1.3 connection, of any level (RFC 8446 §6).
        let is_tls12 = self.version != ProtocolVersion::TLSv1_3;
        if level == WARNING && (is_tls12 || description == AlertDescription::UserCanceled) {
            self.talk.warnings += 1;
            return match self.talk.warnings > MAX_WARNINGS {
                true => Err(PeerMisbehaved::TooManyWarningAlertsReceived.into()),
                false => Ok(()),
            };
        }
        // The peer has given up, so no alert is sent in answer.
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

    /// Judges a message by its header; returns whether it is kept or skipped.
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

    /// Answers TLS 1.2 renegotiation (RFC 5246 §7.2.2) with a warning; the second request ends the connection.
    fn refuse_renegotiation(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.talk.renegotiation, true) {
            return Err(PeerMisbehaved::TooManyRenegotiationRequests.into());
        }
        // After our close_notify nothing is sent.
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
                // One key update answers all requests before it is sent. Waiting data is no answer, and after our
                // close_notify nothing is sent.
                match asks == 1 && !self.key_changed && !self.closed {
                    true => self.change_own_key(),
                    false => Ok(()),
                }
            }
            (HandshakeType::NewSessionTicket, Some(Keys::Client(kernel))) => {
                kernel.handle_new_session_ticket(&message.body)
            }
            // Every other type was refused at its header.
            _ => self.refuse_renegotiation(),
        }
    }

    /// Sends the alert `why`, if the error alone would give another one.
    fn refuse(&mut self, why: AlertDescription, error: Error) -> Error {
        if !self.closed {
            let _ = self.alert(FATAL, why);
            self.closed = true;
        }
        error
    }
}

/// The alert for an error (RFC 8446 §6.2).
pub(super) fn description_of(error: &Error) -> AlertDescription {
    match error {
        Error::DecryptError => AlertDescription::BadRecordMac,
        Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        // §4.6.3; §5 and §5.4 for the form and the content of records.
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
