//! The words used as label values. Each list is closed: docs/operations.md explains each word, and a test
//! compares that page with these lists.

use crate::text::words;

words! {
    /// The outcome of a login or a refresh.
    pub Outcome {
        /// It succeeded.
        Ok = "ok",
        /// A login: the password was wrong, was not verified after too many wrong ones, or is limited by its
        /// owner. A refresh: the provider refused the grant or the client.
        Refused = "refused",
        /// Another failure: the provider, the network, this machine, or a limit.
        Failed = "failed",
    }
}

words! {
    /// Why a connection ended without a login.
    pub Abort {
        /// The client said goodbye.
        Logout = "logout",
        /// The client closed the connection, or its network failed.
        Vanished = "vanished",
        /// Too many wrong passwords on one connection.
        FailedLogins = "failed_logins",
        /// The client sent too much.
        Limit = "limit",
        /// The TLS handshake failed or was missing.
        Tls = "tls",
        /// Cleartext at a TLS port, TLS at a cleartext port, HTTP, a PROXY header, or bytes behind STARTTLS.
        WrongProtocol = "wrong_protocol",
        /// No login within `limits.login_seconds`, or no handshake.
        TooLate = "too_late",
        /// The proxy is stopping.
        Stopping = "stopping",
        /// A newer connection took the place of this one.
        Displaced = "displaced",
    }
}

words! {
    /// Why a connection was turned away.
    pub Rejection {
        /// `limits.connections` are already open.
        Full = "full",
        /// Its address already has `limits.connections_per_address` without a login.
        Address = "address",
        /// Its address is not in the listener's `from`.
        Source = "source",
        /// A load balancer's PROXY header did not come, or is not valid.
        ProxyHeader = "proxy_header",
    }
}

words! {
    /// A provider's refusal: of a sign-in by its kind, of a message by its code.
    pub Code {
        /// A sign-in: the access token.
        Token = "token",
        /// A sign-in: the account has too many sessions.
        Connections = "connections",
        /// A sign-in: the account is throttled.
        Throttled = "throttled",
        /// A sign-in: the mailbox is disabled.
        Disabled = "disabled",
        /// A sign-in: the person has to sign in with a browser.
        WebLogin = "web_login",
        /// A sign-in: the provider has a passing failure.
        Unavailable = "unavailable",
        /// A sign-in: the server offers none of the configured mechanisms.
        Mechanism = "mechanism",
        /// A sign-in: the server disconnected or broke the protocol.
        Protocol = "protocol",
        /// A message: the account is blocked from sending (Exchange).
        Blocked = "5.1.8",
        /// A message: the mailbox is full.
        Quota = "5.2.2",
        /// A message: the account may not send as that address (Exchange).
        SendAs = "5.2.252",
        /// A message: the daily limit is reached.
        DailyLimit = "5.4.5",
        /// A message: another sign-in is required (Google).
        Relay = "5.5.127",
        /// A message: the session signed in with a password (Exchange).
        Basic = "5.7.30",
        /// A message: the session is not authenticated for sending (Exchange).
        Anonymous = "5.7.57",
        /// A message: the account may not send as that address (Exchange).
        SendAsOther = "5.7.60",
        /// A message: a stronger sign-in is required (Google).
        Stronger = "5.7.9",
        /// A message: a policy of the organisation.
        Policy = "5.7.139",
        /// A message: another temporary refusal.
        Class4 = "4xx",
        /// A message: another permanent refusal.
        Class5 = "5xx",
    }
}

impl Code {
    /// The word for the code in a provider's reply to a message.
    pub fn of_reply(code: &str) -> Self {
        let known = Self::ALL.iter().copied().find(|known| known.word() == code);
        known.unwrap_or(if code.starts_with('4') { Self::Class4 } else { Self::Class5 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_not_in_the_list_is_its_class() {
        let words = ["5.2.252", "5.9.9", "4.3.2", "432", "554"].map(|code| Code::of_reply(code).word());
        assert_eq!(words, ["5.2.252", "5xx", "4xx", "4xx", "5xx"]);
    }
}
