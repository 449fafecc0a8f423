//! A client's side of a sign-in with a password, whatever the protocol around it: PLAIN (RFC 4616), and the LOGIN
//! of old Outlook, each with and without an initial response.

use zeroize::Zeroizing;

use super::{PlainError, decode_base64, decode_plain, secret_text_of, text_of};
use crate::protocol::Login;

/// Which line of an exchange comes next.
#[derive(Debug)]
pub enum Expects {
    /// The PLAIN message.
    Plain,
    /// The user name.
    LoginName,
    /// The password.
    LoginPassword {
        /// What came before it.
        name: Zeroizing<Vec<u8>>,
    },
}

/// What a line of an exchange comes to.
#[derive(Debug)]
pub enum Turn {
    /// Another line is asked for.
    Ask(Expects),
    /// It is complete.
    Login(Login),
    /// It is no login.
    Wrong(WrongLine),
}

/// Why a line is no part of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongLine {
    /// The mail program's fault.
    #[error("The line is not valid base64")]
    Base64,
    /// The mail program's, or an attacker's.
    #[error("The user name is too long")]
    NameTooLong,
    /// The message of PLAIN.
    #[error(transparent)]
    Plain(#[from] PlainError),
}

/// The longest user name that is kept while the password is asked for; an address has at most 254 bytes.
pub(crate) const NAME_LIMIT: usize = 1024;

impl Expects {
    /// What an exchange of this mechanism begins with; `None` where it carries no password.
    pub fn first_of(mechanism: &[u8]) -> Option<Self> {
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            Some(Self::Plain)
        } else if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            Some(Self::LoginName)
        } else {
            None
        }
    }

    /// The challenge that asks for it, in base64.
    pub fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            // "Username:" and "Password:", by which old programs recognise the step.
            Self::LoginName => "VXNlcm5hbWU6",
            Self::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Takes the line in base64, without its end.
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
