//! The exchange in which a client logs in with a password, the same for all protocols: PLAIN (RFC 4616), and the
//! LOGIN of old Outlook, each with and without an initial response.

use zeroize::Zeroizing;

use super::{PlainError, decode_base64, decode_plain, secret_text_of, text_of};
use crate::protocol::Login;

/// The next line of an exchange.
#[derive(Debug)]
pub enum Expects {
    /// The PLAIN message.
    Plain,
    /// The user name.
    LoginName,
    /// The password.
    LoginPassword {
        /// The user name that came before.
        name: Zeroizing<Vec<u8>>,
    },
}

/// The result of a line.
#[derive(Debug)]
pub enum Turn {
    /// The exchange needs another line.
    Ask(Expects),
    /// The exchange is complete.
    Login(Login),
    /// The line cannot be part of a login.
    Wrong(WrongLine),
}

/// Why a line cannot be part of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongLine {
    /// The line is not base64.
    #[error("The line is not valid base64")]
    Base64,
    /// The user name exceeds `NAME_LIMIT`.
    #[error("The user name is too long")]
    NameTooLong,
    /// The PLAIN message is wrong.
    #[error(transparent)]
    Plain(#[from] PlainError),
}

/// The longest user name that is kept while the exchange waits for the password; an address has at most 254 bytes.
pub(crate) const NAME_LIMIT: usize = 1024;

impl Expects {
    /// The first line of an exchange of this mechanism; `None` if the mechanism carries no password.
    pub fn first_of(mechanism: &[u8]) -> Option<Self> {
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            Some(Self::Plain)
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            Some(Self::LoginName)
        } else {
            None
        }
    }

    /// The challenge that asks for this line, in base64.
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            // "Username:" and "Password:": old programs recognise the step by these texts.
            Self::LoginName => "VXNlcm5hbWU6",
            Self::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Reads the line, in base64 and without its end.
    pub fn take(self, line: &[u8]) -> Turn {
        let Some(decoded) = decode_base64(line) else { return Turn::Wrong(WrongLine::Base64) };
        match self {
            Self::Plain => match decode_plain(&decoded) {
                Ok(login) => Turn::Login(login),
                Err(error) => Turn::Wrong(error.into()),
            },
            Self::LoginName if decoded.len() > NAME_LIMIT => Turn::Wrong(WrongLine::NameTooLong),
            Self::LoginName => Turn::Ask(Self::LoginPassword { name: decoded }),
            Self::LoginPassword { name } => {
                Turn::Login(Login { name: text_of(&name), password: secret_text_of(&decoded) })
            }
        }
    }
}
