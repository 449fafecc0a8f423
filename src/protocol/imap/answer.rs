//! The lines that we write to mail programs.
//!
//! Fixed texts, the client's own checked tag, and the text of a [`Denial`], which is made harmless on its
//! way: no byte from anywhere else can get into a line.

use crate::protocol::denial::write_text;
use crate::protocol::{Code, Denial};
use crate::wire::Buffer;

/// `tag text CRLF`.
pub(super) fn write_line(outbox: &mut Buffer, tag: &[u8], text: &str) {
    for part in [tag, b" ", text.as_bytes(), b"\r\n"] {
        outbox.push(part);
    }
}

/// `tag NO [CODE] text`, and the untagged alert before it where the person must see it.
///
/// `alerted` is the alert that this connection has had last: the same is not said again. Thunderbird
/// opens a box for each, and tries one password by PLAIN, by LOGIN and by the LOGIN command.
pub(super) fn write_denial(outbox: &mut Buffer, tag: &[u8], denial: &Denial, alerted: &mut Option<String>) {
    if denial.alert && alerted.as_ref() != Some(&denial.text) {
        outbox.push(b"* NO [ALERT] ");
        write_text(outbox, &denial.text);
        outbox.push(b"\r\n");
        *alerted = Some(denial.text.clone());
    }
    outbox.push(tag);
    outbox.push(b" NO [");
    outbox.push(response_code(denial.code).as_bytes());
    outbox.push(b"] ");
    write_text(outbox, &denial.text);
    outbox.push(b"\r\n");
}

/// `* BYE [CODE] text`.
pub(super) fn push_bye(outbox: &mut Buffer, denial: &Denial) {
    outbox.push(b"* BYE [");
    outbox.push(response_code(denial.code).as_bytes());
    outbox.push(b"] ");
    write_text(outbox, &denial.text);
    outbox.push(b"\r\n");
}

/// The response code as it stands between the brackets (RFC 5530 §3).
pub fn response_code(code: Code) -> &'static str {
    match code {
        Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
        Code::Unavailable => "UNAVAILABLE",
        Code::ContactAdmin | Code::WebLogin => "CONTACTADMIN",
        Code::Limit | Code::InUse => "LIMIT",
        Code::Expired => "EXPIRED",
        Code::PrivacyRequired => "PRIVACYREQUIRED",
        Code::ServerBug => "SERVERBUG",
    }
}
