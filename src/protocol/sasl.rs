//! SASL messages, from mail programs and to providers.
//!
//! From mail programs: PLAIN (RFC 4616) and LOGIN (never standardised, spoken by old Outlook). To providers:
//! XOAUTH2 (Google's and Microsoft's) and OAUTHBEARER (RFC 7628), whose refusals carry a small JSON challenge. A
//! bearer message is built from checked parts only: the formats have no quoting, so a `\x01` or a line break in a
//! user name could add a field. Passwords and tokens are wiped when they are dropped.

pub(super) mod bearer;
pub mod exchange;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Login;
use super::denial::plain_text;
use crate::secret::Secret;

/// A SASL mechanism that carries an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// Google's and Microsoft's.
    Xoauth2,
    /// RFC 7628.
    Oauthbearer,
}

impl Mechanism {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }
}

/// Decodes one base64 line (RFC 4648 §4: padded, no blanks), or `None`.
pub fn decode_base64(line: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    // One allocation of full size: a growing one would leave a copy behind.
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(line.len())]);
    let length = STANDARD.decode_slice(line, &mut decoded).ok()?;
    decoded.truncate(length);
    Some(decoded)
}

/// Reads a PLAIN message, `authzid NUL authcid NUL passwd` (RFC 4616 §2).
pub fn decode_plain(message: &[u8]) -> Result<Login, PlainError> {
    let mut parts = message.split(|&byte| byte == 0);
    let (Some(authzid), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(PlainError::Malformed);
    };
    let (authzid, name) = (text_of(authzid), text_of(name));
    // Some old senders put the user name into the authzid.
    let name = if name.is_empty() { authzid.clone() } else { name };
    if !authzid.is_empty() && !same_name(&authzid, &name) {
        return Err(PlainError::OtherIdentity);
    }
    Ok(Login { name, password: secret_text_of(password) })
}

/// Whether two names are equal without regard to case.
fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Why a PLAIN message cannot be used as a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// Not three parts: the mail program's fault.
    #[error("The PLAIN message must be authzid NUL user NUL password")]
    Malformed,
    /// A user asks to act for another user.
    #[error(
        "Logging in as one user to act for another is not supported; leave the authorization identity empty"
    )]
    OtherIdentity,
}

/// Decodes bytes of a mail program, which declares no charset: UTF-8, otherwise Latin-1.
pub fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // The exact capacity, so that no reallocation leaves a copy behind.
        Err(_) => {
            let length = bytes.iter().map(|&byte| char::from(byte).len_utf8()).sum();
            let mut text = String::with_capacity(length);
            text.extend(bytes.iter().copied().map(char::from));
            text
        }
    }
}

/// Like [`text_of`], for a password.
pub fn secret_text_of(bytes: &[u8]) -> Secret {
    Secret::new(text_of(bytes))
}

/// The bearer message of `mechanism` in base64, as one line without its end.
///
/// `host` and `port` are the provider's; the provider may compare them with its own (RFC 7628 §3.2).
pub fn encode_bearer(
    mechanism: Mechanism,
    user: &str,
    token: &Secret,
    (host, port): (&str, u16),
) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    check_bearer(user, token)?;
    let token = token.expose();
    let (name, digits);
    let parts: &[&str] = match mechanism {
        Mechanism::Xoauth2 => &["user=", user, "\x01auth=Bearer ", token, "\x01\x01"],
        Mechanism::Oauthbearer => {
            (name, digits) = (saslname(user), port.to_string());
            &["n,a=", &name, ",\x01host=", host, "\x01port=", &digits, "\x01auth=Bearer ", token, "\x01\x01"]
        }
    };
    let mut message = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| message.extend_from_slice(part.as_bytes()));
    encode_base64(&message).ok_or(EncodeError::Token)
}

/// Checks that `user` and `token` can stand in a bearer message.
pub fn check_bearer(user: &str, token: &Secret) -> Result<(), EncodeError> {
    let fits = |part: &str| !part.is_empty() && !part.bytes().any(|byte| byte.is_ascii_control());
    if !fits(user) {
        return Err(EncodeError::User);
    }
    if !fits(token.expose()) {
        return Err(EncodeError::Token);
    }
    Ok(())
}

fn encode_base64(message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(vec![0; base64::encoded_len(message.len(), true)?]);
    STANDARD.encode_slice(message, &mut line).ok()?;
    Some(line)
}

/// A name inside a GS2 header (RFC 5801 §4).
fn saslname(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

/// The answer to a challenge that refuses the token, after which the tagged refusal follows (RFC 7628 §3.2.3;
/// Google's XOAUTH2 document).
pub fn dummy_answer(mechanism: Mechanism) -> &'static [u8] {
    match mechanism {
        Mechanism::Xoauth2 => b"",
        // One \x01 in base64.
        Mechanism::Oauthbearer => b"AQ==",
    }
}

/// Why no bearer message can be made. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The user name for the provider cannot be used.
    #[error(
        "the account's user name is empty or holds a control character; remove the account and authorise it under its real name"
    )]
    User,
    /// The access token cannot be used.
    #[error(
        "the access token is empty or holds a control character, so the token endpoint answered nonsense; try again later"
    )]
    Token,
}

/// The JSON challenge in which a provider gives its reason to refuse a token (RFC 7628 §3.2.2), reduced to parts
/// that are safe to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// `status`: "400", "401", "invalid_token"; some send a number.
    pub status: Option<String>,
    /// `schemes`, sent by Google.
    pub schemes: Option<String>,
    /// The scope that the provider requires.
    pub scope: Option<String>,
}

impl Challenge {
    /// Reads the base64 of a `+` line. Anything but a JSON object becomes an empty challenge.
    pub fn decode(line: &[u8]) -> Self {
        let decoded = decode_base64(line).unwrap_or_default();
        let Ok(Value::Object(fields)) = serde_json::from_slice(&decoded) else { return Self::default() };
        let field = |name: &str| match fields.get(name)? {
            Value::String(text) => Some(plain_text(text)),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Self { status: field("status"), schemes: field("schemes"), scope: field("scope") }
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.status.as_deref().unwrap_or("no status"))?;
        match &self.scope {
            Some(scope) => write!(f, ", scope {scope}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GMAIL: (&str, u16) = ("imap.gmail.com", 993);

    fn encode(mechanism: Mechanism, user: &str, token: &str, server: (&str, u16)) -> String {
        let line = encode_bearer(mechanism, user, &Secret::new(token), server).unwrap();
        String::from_utf8(line.to_vec()).unwrap()
    }

    #[test]
    fn golden_vectors_xoauth2() {
        let xoauth2 = |user, token| encode(Mechanism::Xoauth2, user, token, GMAIL);
        assert_eq!(
            xoauth2("alice@example.com", "ya29.TEST"),
            "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ=="
        );
        assert_eq!(
            xoauth2("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"),
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
        );
        assert_eq!(
            xoauth2("test@contoso.onmicrosoft.com", "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA"),
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ=="
        );
    }

    #[test]
    fn golden_vectors_oauthbearer() {
        let bearer = |user, token, server| encode(Mechanism::Oauthbearer, user, token, server);
        assert_eq!(
            bearer("alice@example.com", "ya29.TEST", GMAIL),
            "bixhPWFsaWNlQGV4YW1wbGUuY29tLAFob3N0PWltYXAuZ21haWwuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHlhMjkuVEVTVAEB"
        );
        assert_eq!(
            bearer("a,b=c@example.com", "ya29.TEST", ("imap.example.com", 993)),
            "bixhPWE9MkNiPTNEY0BleGFtcGxlLmNvbSwBaG9zdD1pbWFwLmV4YW1wbGUuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHlhMjkuVEVTVAEB"
        );
        assert_eq!(
            bearer(
                "user@example.com",
                "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
                ("server.example.com", 143)
            ),
            "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
        );
    }

    #[test]
    fn golden_vectors_challenges() {
        let gmail = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
        let document = "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K";
        let bearer = "eyJzdGF0dXMiOiJpbnZhbGlkX3JlcXVlc3QiLCJzY29wZSI6Imh0dHBzOi8vbWFpbC5nb29nbGUuY29tLyJ9";
        for (line, status, schemes) in [
            (gmail, "400", Some("Bearer")),
            (document, "401", Some("bearer mac")),
            (bearer, "invalid_request", None),
        ] {
            let challenge = Challenge::decode(line.as_bytes());
            assert_eq!(challenge.status.as_deref(), Some(status));
            assert_eq!(challenge.schemes.as_deref(), schemes);
            assert_eq!(challenge.scope.as_deref(), Some("https://mail.google.com/"));
        }
    }

    #[test]
    fn a_challenge_status_of_any_type_is_read() {
        let decode = |json: &str| Challenge::decode(STANDARD.encode(json).as_bytes()).status;
        assert_eq!(decode(r#"{"status":401}"#).as_deref(), Some("401"));
        assert_eq!(decode(r#"{"status":null,"openid-configuration":{}}"#), None);
        assert_eq!(decode("not json"), None);
        assert_eq!(Challenge::decode(b"%%%"), Challenge::default());
        assert_eq!(Challenge::decode(b""), Challenge::default());
    }

    #[test]
    fn a_challenge_cannot_break_a_log_line() {
        let line = STANDARD.encode("{\"status\":\"4\\r\\n\\u001b[2J00\"}");
        assert_eq!(Challenge::decode(line.as_bytes()).status.as_deref(), Some("4 ?[2J00"));
    }

    #[test]
    fn golden_vector_plain() {
        let message = decode_base64(b"AGFsaWNlQGV4YW1wbGUuY29tAGxvY2FsLXBhc3M=").unwrap();
        let login = decode_plain(&message).unwrap();
        assert_eq!(login.name, "alice@example.com");
        assert_eq!(login.password.expose(), "local-pass");
    }

    #[test]
    fn a2_plain_authzid_is_empty_or_the_same() {
        assert_eq!(decode_plain(b"Joe@X.example\0joe@x.example\0pw").unwrap().name, "joe@x.example");
        assert_eq!(decode_plain(b"root\0joe\0pw").unwrap_err(), PlainError::OtherIdentity);
        for message in [&b""[..], b"joe", b"joe\0pw", b"\0joe\0pw\0", b"a\0b\0c\0d"] {
            assert_eq!(decode_plain(message).unwrap_err(), PlainError::Malformed);
        }
    }

    #[test]
    fn i25_eight_bit_text_is_utf_8_or_else_latin_1() {
        assert_eq!(text_of("é".as_bytes()), "é");
        assert_eq!(text_of(b"caf\xe9"), "café");
        let login = decode_plain(b"\0r\xe9n\xe9\0na\xc3\xafve").unwrap();
        assert_eq!((login.name.as_str(), login.password.expose()), ("réné", "naïve"));
    }

    #[test]
    fn security_row_5_no_part_of_a_bearer_message_can_add_a_field() {
        for mechanism in [Mechanism::Xoauth2, Mechanism::Oauthbearer] {
            for bad in ["a@b\x01auth=Bearer X", "a\r\nb", "a\0", "a\x7f", ""] {
                let good = Secret::new("ya29.TEST");
                assert_eq!(encode_bearer(mechanism, bad, &good, GMAIL).unwrap_err(), EncodeError::User);
                let token = Secret::new(bad);
                assert_eq!(encode_bearer(mechanism, "joe", &token, GMAIL).unwrap_err(), EncodeError::Token);
            }
        }
    }

    #[test]
    fn i14_broken_base64_is_refused() {
        for line in ["a=b=", "====", "abc", "a", "YQ==YQ==", "YQ= =", "Y\u{e9}=="] {
            assert!(decode_base64(line.as_bytes()).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(bytes: Vec<u8>) {
            let _ = decode_base64(&bytes);
            let _ = decode_plain(&bytes);
            let _ = Challenge::decode(&bytes);
            let line = STANDARD.encode(&bytes);
            prop_assert_eq!(&decode_base64(line.as_bytes()).unwrap()[..], &bytes[..]);
            let _ = Challenge::decode(line.as_bytes());
        }
    }
}
