//! The exact texts of Gmail's and Exchange's refusals of mail.

/// `[host time id]`, Exchange's suffix of nearly every error.
const MARK: &str = "[SY5P282CA0097.AUSP282.PROD.OUTLOOK.COM 2025-11-23T11:12:21.493Z 08DE2A6028D26C22]";
/// Gmail's suffix of nearly every reply.
const ID: &str = "46e09a7af769-7cc6673c32esm8590418a34.9 - gsmtp";

/// A known refusal of a submission server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionRefusal {
    /// Exchange, AUTH: SMTP AUTH is switched off for the organisation.
    SmtpAuthDisabledTenant,
    /// Exchange, AUTH: SMTP AUTH is switched off for the mailbox.
    SmtpAuthDisabledMailbox,
    /// Exchange, AUTH: security defaults are on.
    SecurityDefaults,
    /// Exchange, AUTH: a password was sent.
    BasicDisabled,
    /// Exchange, AUTH: a wrong name, or another user's token.
    CredentialsIncorrect,
    /// Exchange, AUTH: Conditional Access or an authentication policy.
    CriteriaNotMet,
    /// Exchange, AUTH: the account is locked.
    AccountLocked,
    /// Exchange, AUTH: a fault at Exchange.
    StsUnreachable,
    /// Exchange, AUTH: a password was sent after Microsoft ended password sign-in.
    PasswordsOver,
    /// Exchange, AUTH: the token has less than ten minutes left (High Volume Email).
    TokenExpiresSoon,
    /// Exchange, AUTH: the message cannot be read (High Volume Email).
    TokenMalformed,
    /// Exchange, MAIL: the client has not signed in.
    NotAuthenticated,
    /// Exchange, MAIL or end of DATA: the service principal has no rights to the mailbox.
    NoRights,
    /// Exchange, end of DATA: more than three connections are sending.
    ConcurrentConnections,
    /// Exchange, end of DATA: too many connections, in older words.
    ThreadLimit,
    /// Exchange, end of DATA: the user must not send as the address in From or MAIL FROM.
    SendAsDenied,
    /// Exchange, end of DATA: a forbidden From address, in older words.
    SendAsDeniedOld,
    /// Exchange, end of DATA: the day's recipients are used up.
    QuotaExceeded,
    /// Exchange, end of DATA: the sender's mailbox is full.
    MailboxFull,
    /// Exchange, end of DATA: blocked as a spammer.
    BadSender,
    /// Gmail, AUTH: a bad token.
    BadCredentials,
    /// Gmail, AUTH: too many logins.
    TooManyLogins,
    /// Gmail, AUTH: a fault at Gmail.
    TemporaryProblem,
    /// Gmail, EHLO or AUTH: a fault at Gmail that ends the connection.
    ClosingConnection,
    /// Gmail, AUTH: the line with the token is too long.
    LineTooLong,
    /// Gmail, DATA or its end: the daily limit of messages is reached.
    DailyLimit,
}

impl SubmissionRefusal {
    /// All refusals.
    pub const ALL: [Self; 26] = [
        Self::SmtpAuthDisabledTenant,
        Self::SmtpAuthDisabledMailbox,
        Self::SecurityDefaults,
        Self::BasicDisabled,
        Self::CredentialsIncorrect,
        Self::CriteriaNotMet,
        Self::AccountLocked,
        Self::StsUnreachable,
        Self::PasswordsOver,
        Self::TokenExpiresSoon,
        Self::TokenMalformed,
        Self::NotAuthenticated,
        Self::NoRights,
        Self::ConcurrentConnections,
        Self::ThreadLimit,
        Self::SendAsDenied,
        Self::SendAsDeniedOld,
        Self::QuotaExceeded,
        Self::MailboxFull,
        Self::BadSender,
        Self::BadCredentials,
        Self::TooManyLogins,
        Self::TemporaryProblem,
        Self::ClosingConnection,
        Self::LineTooLong,
        Self::DailyLimit,
    ];

    /// The reply, a line each.
    pub fn lines(self) -> Vec<String> {
        let text = self.text();
        let (words, end) = match self {
            Self::BadCredentials
            | Self::TooManyLogins
            | Self::TemporaryProblem
            | Self::ClosingConnection
            | Self::LineTooLong
            | Self::DailyLimit => (text, format!(" {ID}")),
            Self::ConcurrentConnections | Self::ThreadLimit | Self::NoRights => {
                (text, " [Hostname=SY5P282MB0097.AUSP282.PROD.OUTLOOK.COM]".to_owned())
            }
            _ => (text, format!(" {MARK}")),
        };
        let mut lines: Vec<String> = words.lines().map(str::to_owned).collect();
        if let Some(last) = lines.last_mut() {
            last.push_str(&end);
        }
        lines
    }

    /// Whether the server closes the connection after it.
    pub(crate) fn hangs_up(self) -> bool {
        self == Self::ClosingConnection
    }

    fn text(self) -> &'static str {
        match self {
            Self::SmtpAuthDisabledTenant => {
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. \
                 Visit https://aka.ms/smtp_auth_disabled for more information."
            }
            Self::SmtpAuthDisabledMailbox => {
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. \
                 Visit https://aka.ms/smtp_auth_disabled for more information."
            }
            Self::SecurityDefaults => {
                "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security \
                 defaults policy. Contact your administrator."
            }
            Self::BasicDisabled => {
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."
            }
            Self::CredentialsIncorrect => {
                "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."
            }
            Self::CriteriaNotMet => {
                "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be \
                 authenticated successfully. Contact your administrator."
            }
            Self::AccountLocked => {
                "535 5.7.139 Authentication unsuccessful, account locked. Contact your administrator."
            }
            Self::StsUnreachable => {
                "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable."
            }
            Self::PasswordsOver => "550 5.7.30 Basic authentication is not supported for Client Submission.",
            Self::TokenExpiresSoon => "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon",
            Self::TokenMalformed => "501 5.5.124 Invalid XOAUTH2 auth data",
            _ => self.text_about_mail(),
        }
    }

    fn text_about_mail(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "530 5.7.57 Client not authenticated to send mail.",
            Self::NoRights => {
                "430 4.2.0 STOREDRV; mailbox logon failure; failure type: \
                 MapiExceptionLogonFailed:16.18969:CD27F88D, AuthenticationContext has no rights on this session"
            }
            Self::ConcurrentConnections => {
                "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for \
                 more information."
            }
            Self::ThreadLimit => "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
            Self::SendAsDenied => {
                "554 5.2.252 SendAsDenied; alice@example.com not allowed to send as other@example.com; \
                 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to \
                 process message due to a permanent exception"
            }
            Self::SendAsDeniedOld => {
                "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
            }
            Self::QuotaExceeded => {
                "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process \
                 message due to a permanent exception"
            }
            Self::MailboxFull => {
                "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException; Failed to \
                 process message due to a permanent exception"
            }
            Self::BadSender => "550 5.1.8 Access denied, bad outbound sender AS(42004)",
            _ => self.text_of_gmail(),
        }
    }

    fn text_of_gmail(self) -> &'static str {
        match self {
            Self::TooManyLogins => {
                "454-4.7.0 Too many login attempts, please try again later. For more information, go to\n\
                 454 4.7.0  https://support.google.com/mail/answer/7126229"
            }
            Self::TemporaryProblem => {
                "454 4.7.0 Cannot authenticate due to a temporary system problem. Try again later."
            }
            Self::ClosingConnection => "421 4.7.0 Try again later, closing connection. (EHLO)",
            Self::LineTooLong => {
                "555-5.5.2 Syntax error, command line too long. For more information, go to\n\
                 555 5.5.2  https://support.google.com/a/answer/3221692 and review RFC 5321 specifications."
            }
            Self::DailyLimit => {
                "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail\n\
                 550-5.4.5 sending limits go to\n\
                 550 5.4.5  https://support.google.com/a/answer/166852"
            }
            _ => {
                "535-5.7.8 Username and Password not accepted. For more information, go to\n\
                 535 5.7.8  https://support.google.com/mail/?p=BadCredentials"
            }
        }
    }
}
