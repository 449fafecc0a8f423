//! The texts of each dialect. Sources and their weight: the project's notes on POP3.
//!
//! A dialect that is neither Gmail's nor Exchange's uses the texts of Dovecot's POP3 server.

use crate::Flavour;

/// The three sets of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Gmail,
    Exchange,
    Dovecot,
}

impl Dialect {
    pub(super) fn of(flavour: Flavour) -> Self {
        match flavour {
            Flavour::Gmail => Self::Gmail,
            Flavour::Exchange | Flavour::ExchangeLoginDisabled => Self::Exchange,
            Flavour::Yahoo | Flavour::OauthbearerOnly | Flavour::NoSaslIr => Self::Dovecot,
        }
    }

    pub(super) fn greeting(self) -> &'static str {
        match self {
            Self::Gmail => "+OK Gpop ready for requests from 203.0.113.9 z10mb83089744wro",
            Self::Exchange => {
                "+OK The Microsoft Exchange POP3 service is ready. [RgBSADIAUAAyADgAMQBDAEEAMAAxADIAMgA=]"
            }
            Self::Dovecot => "+OK Dovecot ready.",
        }
    }

    /// What CAPA lists besides STLS and the mechanisms.
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Gmail => {
                &["USER", "RESP-CODES", "EXPIRE 0", "LOGIN-DELAY 300", "TOP", "UIDL", "X-GOOGLE-RICO"]
            }
            Self::Exchange => &["TOP", "UIDL", "USER"],
            Self::Dovecot => &["CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE", "USER"],
        }
    }

    pub(super) fn welcome(self) -> &'static str {
        match self {
            Self::Gmail => "+OK Welcome.",
            Self::Exchange => "+OK User successfully authenticated.",
            Self::Dovecot => "+OK Logged in.",
        }
    }

    /// The answer to a refused token.
    pub(super) fn refusal(self) -> &'static str {
        match self {
            Self::Gmail => "-ERR [AUTH] Username and password not accepted.",
            Self::Exchange => "-ERR Authentication failure: unknown user name or bad password.",
            Self::Dovecot => "-ERR [AUTH] Authentication failed.",
        }
    }

    /// The longest AUTH line that is accepted. Exchange closes the connection after a longer one.
    pub(super) fn line_limit(self) -> usize {
        match self {
            Self::Gmail | Self::Dovecot => 8192,
            Self::Exchange => 255,
        }
    }

    pub(super) fn farewell(self) -> &'static str {
        match self {
            Self::Gmail => "+OK Farewell.",
            Self::Exchange => "+OK Microsoft Exchange Server POP3 server signing off.",
            Self::Dovecot => "+OK Logging out.",
        }
    }
}

/// The mechanisms, as CAPA lists them.
pub(super) fn mechanisms(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Gmail => "PLAIN XOAUTH2 OAUTHBEARER",
        Flavour::Exchange | Flavour::ExchangeLoginDisabled => "PLAIN XOAUTH2",
        Flavour::OauthbearerOnly => "OAUTHBEARER",
        Flavour::Yahoo | Flavour::NoSaslIr => "XOAUTH2 OAUTHBEARER",
    }
}
