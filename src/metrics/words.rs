//! The words that stand in labels. Each list is closed: docs/operations.md tells what each word means, and a test holds
//! that page to these lists.

/// A closed list of words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in the label.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// What came of a login, or of a refresh.
    Outcome {
        /// It succeeded.
        Ok = "ok",
        /// A login: the password was wrong, was not looked at after too many wrong ones, or its owner limited it. A
        /// refresh: the provider refused the grant or the client.
        Refused = "refused",
        /// Something else spoilt it: the provider, the network, this machine, a limit.
        Failed = "failed",
    }
}

words! {
    /// Why a connection ended without a login.
    Abort {
        /// The client said goodbye.
        Logout = "logout",
        /// The client closed the connection, or its network failed.
        Vanished = "vanished",
        /// Too many wrong passwords on one connection.
        FailedLogins = "failed_logins",
        /// It sent too much.
        Limit = "limit",
        /// A TLS handshake, or the lack of one: it failed.
        Tls = "tls",
        /// Cleartext at a TLS port, TLS at a cleartext port, HTTP, a PROXY header, or bytes behind STARTTLS.
        WrongProtocol = "wrong_protocol",
        /// No login within `limits.login_seconds`, or no handshake.
        TooLate = "too_late",
        /// The proxy stops.
        Stopping = "stopping",
        /// A newcomer took its place.
        Displaced = "displaced",
    }
}

words! {
    /// Why a connection was turned away.
    Rejection {
        /// `limits.connections` are open.
        Full = "full",
        /// Its address has `limits.connections_per_address` that have not logged in.
        Address = "address",
        /// Its address is none of the listener's `from`.
        Source = "source",
        /// A load balancer's PROXY header did not come, or is none.
        ProxyHeader = "proxy_header",
    }
}

words! {
    /// What a provider refused: a sign-in by its kind, a message by its code.
    Code {
        /// A sign-in: the access token.
        Token = "token",
        /// A sign-in: too many sessions of the account.
        Connections = "connections",
        /// A sign-in: the account did too much.
        Throttled = "throttled",
        /// A sign-in: the mailbox is not open.
        Disabled = "disabled",
        /// A sign-in: the person has to sign in with a browser.
        WebLogin = "web_login",
        /// A sign-in: the provider has a failure that passes.
        Unavailable = "unavailable",
        /// A sign-in: none of the configured mechanisms.
        Mechanism = "mechanism",
        /// A sign-in: the server broke off, or does not speak as it should.
        Protocol = "protocol",
        /// A message: the account may not send any more (Exchange).
        Blocked = "5.1.8",
        /// A message: the mailbox is full.
        Quota = "5.2.2",
        /// A message: the account may not send as that address (Exchange).
        SendAs = "5.2.252",
        /// A message: the day's limit.
        DailyLimit = "5.4.5",
        /// A message: another sign-in is wanted (Google).
        Relay = "5.5.127",
        /// A message: a sign-in with a password was seen (Exchange).
        Basic = "5.7.30",
        /// A message: the sign-in does not count for it (Exchange).
        Anonymous = "5.7.57",
        /// A message: the account may not send as that address (Exchange).
        SendAsOther = "5.7.60",
        /// A message: the sign-in has to be stronger (Google).
        Stronger = "5.7.9",
        /// A message: a policy of the organisation.
        Policy = "5.7.139",
        /// A message: another refusal for now.
        Class4 = "4xx",
        /// A message: another refusal for good.
        Class5 = "5xx",
    }
}

impl Code {
    /// The word for a provider's code in a reply to a message.
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
