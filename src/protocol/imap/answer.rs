//! The lines that we write to mail programs, as values of imap-codec.
//!
//! imap-codec has no value for a text, tag or code that could end a line: [`text`] makes the text of a [`Denial`]
//! harmless, and an invalid tag gets an untagged answer. Only [`capabilities`] is written without imap-codec,
//! which says IMAP4REV1, while old programs look for IMAP4rev1.

use imap_codec::encode::Encoder as _;
use imap_codec::imap_types::core::{IString, NString, Tag, Text};
use imap_codec::imap_types::response::{
    Bye, Code as ResponseCode, CodeOther, Data, Greeting, GreetingKind, Response, Status, StatusBody,
    StatusKind,
};
use imap_codec::{GreetingCodec, ResponseCodec};

use crate::protocol::denial::plain_text;
use crate::protocol::{Channel, Code, Denial};
use crate::wire::Buffer;

/// The status, code and text of one answer.
pub(super) type Answer = StatusBody<'static>;

pub(super) fn ok(said: &str) -> Answer {
    StatusBody { kind: StatusKind::Ok, code: None, text: text(said) }
}

pub(super) fn bad(said: &str) -> Answer {
    StatusBody { kind: StatusKind::Bad, code: None, text: text(said) }
}

pub(super) fn no(code: &'static str, said: &str) -> Answer {
    StatusBody { kind: StatusKind::No, code: Some(code_of(code)), text: text(said) }
}

/// Writes `answer` under `tag`, or untagged if `tag` is not valid. The tag may be a password of a client that is out of
/// step, so it does not pass through imap-codec, whose buffers are not wiped.
pub(super) fn write(outbox: &mut Buffer, tag: &[u8], answer: Answer) {
    const UNTAGGED: &[u8] = b"*";
    let line = ResponseCodec::new().encode(&Response::Status(Status::Untagged(answer))).dump();
    outbox.push(if Tag::try_from(tag).is_ok() { tag } else { UNTAGGED });
    outbox.push(line.get(UNTAGGED.len()..).unwrap_or_default());
}

/// `tag NO [CODE] text`, and the untagged alert before it if the user must see it.
///
/// `alerted` is the last alert on this connection, which is not repeated: Thunderbird opens a window for each
/// alert, and tries one password by PLAIN, by LOGIN and by the LOGIN command.
pub(super) fn write_denial(outbox: &mut Buffer, tag: &[u8], denial: &Denial, alerted: &mut Option<String>) {
    let code = response_code(denial.code);
    let said = denial.text_beside(tag.len() + " NO [] \r\n".len() + code.len());
    if denial.alert && alerted.as_deref() != Some(said) {
        let alert = StatusBody { code: Some(ResponseCode::Alert), ..no("ALERT", said) };
        push(outbox, &Response::Status(Status::Untagged(alert)));
        *alerted = Some(said.to_owned());
    }
    write(outbox, tag, no(code, said));
}

/// `* OK [ALERT] text`, which a mail program shows to its user.
pub(super) fn alert(said: &str) -> Vec<u8> {
    let alert = StatusBody { code: Some(ResponseCode::Alert), ..ok(said) };
    ResponseCodec::new().encode(&Response::Status(Status::Untagged(alert))).dump()
}

/// `* BYE [CODE] text`, which ends a connection.
pub(super) fn write_bye(outbox: &mut Buffer, code: Option<Code>, said: &str) {
    outbox.push(&bye(code, said));
}

pub(super) fn bye(code: Option<Code>, said: &str) -> Vec<u8> {
    let code = code.map(|code| code_of(response_code(code)));
    ResponseCodec::new().encode(&Response::Status(Status::Bye(Bye { code, text: text(said) }))).dump()
}

pub(super) fn write_greeting(outbox: &mut Buffer, channel: Channel) {
    let code = ResponseCode::Other(CodeOther::unvalidated(capabilities(channel).as_bytes()));
    let greeting =
        Greeting { kind: GreetingKind::Ok, code: Some(code), text: text("imap-oauth-proxy ready") };
    outbox.push(&GreetingCodec::new().encode(&greeting).dump());
}

pub(super) fn write_capabilities(outbox: &mut Buffer, channel: Channel) {
    outbox.push_parts(&["* ", capabilities(channel), "\r\n"]);
}

/// A proxy between client and server identifies itself (RFC 2971 §5).
pub(super) fn write_id(outbox: &mut Buffer) {
    let name = IString::try_from("name").and_then(|name| Ok((name, NString::try_from("imap-oauth-proxy")?)));
    push(outbox, &Response::Data(Data::Id { parameters: name.ok().map(|pair| vec![pair]) }));
}

/// `said` in the form for a line: printable ASCII, bounded, never empty.
pub(super) fn text(said: &str) -> Text<'static> {
    Text::try_from(plain_text(said)).unwrap_or_else(|_| Text::unvalidated("No reason given"))
}

/// The response code between the brackets (RFC 5530 §3).
pub fn response_code(code: Code) -> &'static str {
    match code {
        Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
        Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
        Code::Unavailable | Code::LoginDelay => "UNAVAILABLE",
        Code::ContactAdmin | Code::WebLogin => "CONTACTADMIN",
        Code::Limit | Code::InUse => "LIMIT",
        Code::Expired => "EXPIRED",
        Code::PrivacyRequired => "PRIVACYREQUIRED",
        Code::ServerBug => "SERVERBUG",
    }
}

fn code_of(code: &'static str) -> ResponseCode<'static> {
    ResponseCode::Other(CodeOther::unvalidated(code.as_bytes()))
}

/// The capabilities on `channel` before login (RFC 3501 §7.2.1). `LITERAL+` and not `LITERAL-`, because old
/// programs know only `LITERAL+`; a server may refuse a literal that is too long with either.
fn capabilities(channel: Channel) -> &'static str {
    match channel {
        Channel::Tls | Channel::Cleartext => "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN",
        Channel::StartTls => "CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID STARTTLS LOGINDISABLED",
    }
}

fn push(outbox: &mut Buffer, response: &Response<'_>) {
    outbox.push(&ResponseCodec::new().encode(response).dump());
}
