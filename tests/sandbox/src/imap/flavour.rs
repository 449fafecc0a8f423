//! The texts of each dialect. Sources and their weight: the project's notes on providers.

use crate::Flavour;

/// Gmail's `scope` in challenges, which its OAUTHBEARER has as well.
const GMAIL_XOAUTH2: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
const GMAIL_OAUTHBEARER: &str = r#"{"status":"invalid_request","scope":"https://mail.google.com/"}"#;
const RFC7628: &str = r#"{"status":"invalid_token","scope":"mail"}"#;

/// A server name in UTF-16LE and base64, as Exchange shows it.
const EXCHANGE_SERVER: &str = "RgBSADIAUAAyADgAMQBDAEEAMAAxADIAMgAuAEQARQBVAFAAMgA4ADEALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA==";

impl Flavour {
    pub(super) fn greeting(self) -> String {
        match self {
            Self::Gmail => "Gimap ready for requests from 127.0.0.1 d9443c01a7336mb12345678".to_owned(),
            Self::Exchange | Self::ExchangeLoginDisabled => {
                format!("The Microsoft Exchange IMAP4 service is ready. [{EXCHANGE_SERVER}]")
            }
            Self::Yahoo => "[CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE NAMESPACE \
                UIDPLUS LITERAL+ CHILDREN UNSELECT IDLE ENABLE LIST-EXTENDED LIST-STATUS SPECIAL-USE] IMAP4rev1 Hello"
                .to_owned(),
            Self::OauthbearerOnly | Self::NoSaslIr => "Sandbox ready.".to_owned(),
        }
    }

    /// The capabilities before a login.
    pub(super) fn before_login(self) -> &'static str {
        match self {
            Self::Gmail => {
                "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 XYZZY SASL-IR AUTH=XOAUTH2 \
                 AUTH=PLAIN AUTH=PLAIN-CLIENTTOKEN AUTH=OAUTHBEARER"
            }
            Self::Exchange => {
                "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
            }
            Self::ExchangeLoginDisabled => {
                "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
            }
            Self::Yahoo => {
                "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 AUTH=OAUTHBEARER ID MOVE NAMESPACE UIDPLUS LITERAL+ \
                 CHILDREN UNSELECT IDLE ENABLE LIST-EXTENDED LIST-STATUS SPECIAL-USE"
            }
            Self::OauthbearerOnly => "IMAP4rev1 SASL-IR AUTH=OAUTHBEARER ID",
            Self::NoSaslIr => "IMAP4rev1 AUTH=XOAUTH2 ID",
        }
    }

    /// The capabilities after a login. All listed ones are implemented.
    pub(super) fn after_login(self) -> &'static str {
        match self {
            Self::Gmail => {
                "IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN X-GM-EXT-1 UIDPLUS COMPRESS=DEFLATE ENABLE \
                 MOVE CONDSTORE ESEARCH UTF8=ACCEPT LIST-EXTENDED LIST-STATUS LITERAL- SPECIAL-USE \
                 APPENDLIMIT=35651584"
            }
            Self::Exchange => {
                "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES \
                 CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+"
            }
            Self::ExchangeLoginDisabled => {
                "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES \
                 CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE NAMESPACE LITERAL+"
            }
            Self::Yahoo => {
                "IMAP4rev1 ID MOVE NAMESPACE UIDPLUS LITERAL+ CHILDREN UNSELECT IDLE ENABLE LIST-EXTENDED LIST-STATUS \
                 SPECIAL-USE"
            }
            Self::OauthbearerOnly | Self::NoSaslIr => {
                "IMAP4rev1 ID UIDPLUS MOVE IDLE NAMESPACE UNSELECT CHILDREN LITERAL+ ENABLE CONDSTORE ESEARCH \
                 COMPRESS=DEFLATE LIST-EXTENDED LIST-STATUS SPECIAL-USE"
            }
        }
    }

    /// Whether capabilities are sent before the OK of a login.
    pub(super) fn volunteers_capabilities(self) -> bool {
        self == Self::Gmail
    }

    pub(super) fn takes(self, mechanism: &str) -> bool {
        self.before_login().split(' ').any(|capability| capability.strip_prefix("AUTH=") == Some(mechanism))
            && matches!(mechanism, "XOAUTH2" | "OAUTHBEARER")
    }

    pub(super) fn takes_initial_response(self) -> bool {
        self.before_login().split(' ').any(|capability| capability == "SASL-IR")
    }

    /// The text after the tag when a login succeeds.
    pub(super) fn welcome(self) -> &'static str {
        match self {
            Self::Gmail => "OK Success",
            Self::Yahoo => "OK AUTHENTICATE completed",
            _ => "OK AUTHENTICATE completed.",
        }
    }

    /// The text after the tag when a token is refused.
    pub(super) fn refusal(self) -> &'static str {
        match self {
            Self::Gmail => "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
            Self::Yahoo => "NO [AUTHENTICATIONFAILED] AUTHENTICATE Invalid credentials",
            _ => "NO AUTHENTICATE failed.",
        }
    }

    /// The challenge that explains a refusal (RFC 7628 §3.2.2). Exchange has none.
    pub(super) fn challenge(self, mechanism: &str) -> Option<&'static str> {
        match (self, mechanism) {
            (Self::Exchange | Self::ExchangeLoginDisabled, _) => None,
            (Self::Gmail, "OAUTHBEARER") => Some(GMAIL_OAUTHBEARER),
            (Self::Gmail, _) => Some(GMAIL_XOAUTH2),
            _ => Some(RFC7628),
        }
    }

    pub(super) fn too_many_sessions(self) -> &'static str {
        match self {
            Self::Gmail => "NO [ALERT] Too many simultaneous connections. (Failure)",
            Self::Exchange | Self::ExchangeLoginDisabled => {
                "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"
            }
            _ => "NO [LIMIT] Too many simultaneous connections",
        }
    }

    /// The BYE when a session's access token has expired.
    pub(super) fn token_over(self) -> &'static str {
        match self {
            Self::Exchange | Self::ExchangeLoginDisabled => "Session invalidated - AccessTokenExpired",
            _ => "Session expired, please login again.",
        }
    }

    /// The text of a tagged OK.
    pub(super) fn done(self, command: &str) -> String {
        match (self, command) {
            (Self::Gmail, "CAPABILITY") => "OK Thats all she wrote! d9443c01a7336mb12345678".to_owned(),
            (Self::Gmail, "LOGOUT") => "OK 73 good day (Success)".to_owned(),
            (Self::Gmail, _) => "OK Success".to_owned(),
            (Self::Exchange | Self::ExchangeLoginDisabled, "ID") => "OK ID completed".to_owned(),
            _ => format!("OK {command} completed."),
        }
    }

    pub(super) fn goodbye(self) -> &'static str {
        match self {
            Self::Gmail => "LOGOUT Requested",
            Self::Exchange | Self::ExchangeLoginDisabled => {
                "Microsoft Exchange Server IMAP4 server signing off."
            }
            _ => "Logging out",
        }
    }

    pub(super) fn id(self) -> &'static str {
        match self {
            Self::Gmail => {
                r#"("name" "GImap" "vendor" "Google, Inc." "support-url" "https://support.google.com/mail" "version" "gmail_imap_220520.08_p0" "remote-host" "127.0.0.1")"#
            }
            Self::Exchange | Self::ExchangeLoginDisabled => {
                r#"("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")"#
            }
            Self::Yahoo => "NIL",
            Self::OauthbearerOnly | Self::NoSaslIr => r#"("name" "sandbox")"#,
        }
    }
}
