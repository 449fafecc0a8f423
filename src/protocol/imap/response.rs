//! Reads a provider's responses, as far as a sign-in and a proof need them.
//!
//! imap-codec reads them, because they hold no secret. Servers deviate from the grammar (8-bit letters, a bare LF,
//! no text behind a code), so `shallow` reads what imap-codec refuses: status, response code (RFC 3501 §7.1),
//! capability list and LIST, into the same values. A SASL challenge is left to its mechanism. After the sign-in no
//! response is read.

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::encode::Encoder as _;
use imap_codec::imap_types::core::Text;
use imap_codec::imap_types::response::{
    Bye, Capability, Code, CodeOther, Data, Response as Typed, Status as TypedStatus, StatusBody, StatusKind,
    Tagged,
};

use super::answer;
use super::meaning::violation;
use crate::protocol::Refusal;
use crate::protocol::denial::plain_text;
use crate::protocol::framer::{Framed, Framer};
use crate::protocol::line::trim_end;

/// One response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response<'a> {
    /// `+ …`: the server waits for a line; holds the text behind the blank.
    Continue(&'a [u8]),
    /// `* OK`, `NO`, `BAD`, `PREAUTH` or `BYE`.
    Untagged(Status, Words<'a>),
    /// `* CAPABILITY …`.
    Capability(Offer),
    /// `* LIST …`: a folder.
    List,
    /// The tagged answer to our command.
    Tagged(Status, Words<'a>),
    /// Another untagged response.
    Data,
    /// A response with another tag, or not IMAP at all.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    PreAuth,
    Bye,
}

/// The code and the text behind a status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words<'a> {
    code: Option<Code<'a>>,
    text: Text<'a>,
}

/// Reads one response, line end included; `tag` belongs to the current command.
pub(super) fn parse<'a>(response: &'a [u8], tag: &[u8]) -> Response<'a> {
    // Some servers omit the blank behind the plus sign.
    if let Some(text) = trim_end(response).strip_prefix(b"+") {
        return Response::Continue(text.strip_prefix(b" ").unwrap_or(text));
    }
    match ResponseCodec::new().decode(response) {
        Ok((b"", typed)) => of_typed(typed, tag),
        _ => shallow(trim_end(response), tag),
    }
}

fn of_typed<'a>(response: Typed<'a>, tag: &[u8]) -> Response<'a> {
    let body = |StatusBody { kind, code, text }| (Status::from(kind), Words { code, text });
    match response {
        Typed::Status(TypedStatus::Untagged(status)) => {
            let (status, words) = body(status);
            Response::Untagged(status, words)
        }
        Typed::Status(TypedStatus::Bye(Bye { code, text })) => {
            Response::Untagged(Status::Bye, Words { code, text })
        }
        Typed::Status(TypedStatus::Tagged(Tagged { tag: theirs, body: status }))
            if theirs.as_ref().as_bytes() == tag =>
        {
            let (status, words) = body(status);
            Response::Tagged(status, words)
        }
        Typed::Status(TypedStatus::Tagged(_)) | Typed::CommandContinuationRequest(_) => Response::Foreign,
        Typed::Data(Data::Capability(names)) => Response::Capability(names.as_ref().iter().collect()),
        Typed::Data(Data::List { .. }) => Response::List,
        Typed::Data(_) => Response::Data,
    }
}

/// Reads a response that imap-codec refuses or finds incomplete.
fn shallow<'a>(line: &'a [u8], tag: &[u8]) -> Response<'a> {
    let (first, rest) = split_word(line);
    let (name, text) = split_word(rest);
    match Status::named(name) {
        Some(status) if first == b"*" => Response::Untagged(status, Words::shallow(text)),
        Some(status @ (Status::Ok | Status::No | Status::Bad)) if first == tag => {
            Response::Tagged(status, Words::shallow(text))
        }
        None if first == b"*" && name.eq_ignore_ascii_case(b"CAPABILITY") => {
            Response::Capability(offer(text))
        }
        None if first == b"*" && name.eq_ignore_ascii_case(b"LIST") => Response::List,
        None if first == b"*" => Response::Data,
        _ => Response::Foreign,
    }
}

/// The end of the first response of `input`, its literals included; a violation if it has more than `room` bytes.
pub(super) fn find(
    framer: &mut Framer,
    input: &[u8],
    tag: &[u8],
    (room, too_much): (usize, &'static str),
) -> Result<Option<usize>, Refusal> {
    let end = loop {
        let literal = match framer.next(input) {
            Framed::More if input.len() <= room => return Ok(None),
            Framed::Complete(end) if end <= room => break end,
            Framed::Literal(literal) if literal.start <= room => literal,
            _ => return Err(violation(too_much)),
        };
        if is_text(input.get(..literal.start).unwrap_or_default(), tag) {
            break literal.start;
        }
        if literal.size > (room - literal.start) as u64 {
            return Err(violation(too_much));
        }
        framer.skip(&literal);
    };
    *framer = Framer::default();
    Ok(Some(end))
}

/// Whether the line ends in free text, where `{5}` announces no literal.
fn is_text(line: &[u8], tag: &[u8]) -> bool {
    !matches!(parse(line, tag), Response::Capability(_) | Response::List | Response::Data)
}

impl Status {
    fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(&[u8], Status); 5] = [
            (b"OK", Status::Ok),
            (b"NO", Status::No),
            (b"BAD", Status::Bad),
            (b"PREAUTH", Status::PreAuth),
            (b"BYE", Status::Bye),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|&(_, status)| status)
    }
}

impl From<StatusKind> for Status {
    fn from(kind: StatusKind) -> Self {
        match kind {
            StatusKind::Ok => Self::Ok,
            StatusKind::No => Self::No,
            StatusKind::Bad => Self::Bad,
        }
    }
}

impl<'a> Words<'a> {
    fn shallow(words: &'a [u8]) -> Self {
        let coded = words.strip_prefix(b"[").and_then(|inside| {
            let (code, text) = inside.split_at_checked(memchr::memchr(b']', inside)?)?;
            Some((code, text.get(1..)?))
        });
        let (code, text) = coded.map_or((None, words), |(code, text)| (Some(code), text));
        let code = code.map(|code| Code::Other(CodeOther::unvalidated(code)));
        Self { code, text: answer::text(&String::from_utf8_lossy(text)) }
    }

    /// Code and text in the form for logs and quotes.
    pub(super) fn said(&self) -> String {
        let code = self.code.clone();
        let status = StatusBody { kind: StatusKind::Ok, code, text: self.text.clone() };
        let line = ResponseCodec::new().encode(&Typed::Status(TypedStatus::Untagged(status))).dump();
        said(line.strip_prefix(b"* OK ").unwrap_or_default())
    }

    /// The name and the argument of a code that imap-codec does not know.
    pub(super) fn other_code(&self) -> Option<(&[u8], &[u8])> {
        match &self.code {
            Some(Code::Other(code)) => Some(split_word(code.inner())),
            _ => None,
        }
    }

    pub(super) fn is_over_quota(&self) -> bool {
        self.code == Some(Code::OverQuota)
    }

    /// The list in `[CAPABILITY …]`.
    pub(super) fn offer(&self) -> Option<Offer> {
        if let Some(Code::Capability(names)) = &self.code {
            return Some(names.as_ref().iter().collect());
        }
        let (name, list) = self.other_code()?;
        name.eq_ignore_ascii_case(b"CAPABILITY").then(|| offer(list))
    }
}

/// The capabilities that the server offers before login.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// RFC 4959.
    pub(super) sasl_ir: bool,
    /// RFC 3501 §6.2.1.
    pub(super) starttls: bool,
    /// The names behind `AUTH=`, upper case.
    pub(super) mechanisms: Vec<String>,
}

impl<'a, 'b: 'a> FromIterator<&'a Capability<'b>> for Offer {
    fn from_iter<I: IntoIterator<Item = &'a Capability<'b>>>(capabilities: I) -> Self {
        let mut offer = Self::default();
        for capability in capabilities {
            match capability {
                Capability::SaslIr => offer.sasl_ir = true,
                Capability::StartTls => offer.starttls = true,
                Capability::Auth(mechanism) => offer.mechanisms.push(mechanism.as_ref().to_ascii_uppercase()),
                _ => {}
            }
        }
        offer
    }
}

/// Reads a list of capability names; words that are not valid names are left out.
fn offer(list: &[u8]) -> Offer {
    let names = list.split(|&byte| byte == b' ').filter_map(|name| Capability::try_from(name).ok());
    names.collect::<Vec<_>>().iter().collect()
}

/// The first word, and the rest behind the blank.
pub(super) fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b' ', text).and_then(|blank| text.split_at_checked(blank)) {
        Some((word, rest)) => (word, rest.strip_prefix(b" ").unwrap_or(rest)),
        None => (text, b""),
    }
}

/// A provider's text in the form for logs and quotes.
pub(super) fn said(text: &[u8]) -> String {
    plain_text(&String::from_utf8_lossy(text))
}

/// The capability of RFC 8437. It must not be offered through the proxy: after UNAUTHENTICATE the provider would
/// take another login, with its password, from a client whose commands the proxy no longer reads.
const UNAUTHENTICATE: &[u8] = b"UNAUTHENTICATE";

/// Appends the `bytes` of `response` to `lines`, byte for byte, except that a capability list loses UNAUTHENTICATE.
pub(super) fn pass_on(bytes: &[u8], response: &Response<'_>, lines: &mut Vec<u8>) {
    let lists_capabilities = match response {
        Response::Capability(_) => true,
        Response::Untagged(_, words) | Response::Tagged(_, words) => words.offer().is_some(),
        _ => false,
    };
    let mut rest = bytes;
    while lists_capabilities && let Some(at) = find_unauthenticate(rest) {
        // The blank in front of the name is removed too.
        lines.extend_from_slice(rest.get(..at - 1).unwrap_or_default());
        rest = rest.get(at + UNAUTHENTICATE.len()..).unwrap_or_default();
    }
    lines.extend_from_slice(rest);
}

/// Where UNAUTHENTICATE stands as a whole word behind a blank.
fn find_unauthenticate(list: &[u8]) -> Option<usize> {
    let length = UNAUTHENTICATE.len();
    list.windows(length + 2)
        .position(|window| {
            let (&first, &last) = match window {
                [first, .., last] => (first, last),
                _ => return false,
            };
            first == b' '
                && matches!(last, b' ' | b']' | b'\r' | b'\n')
                && window.get(1..=length).is_some_and(|word| word.eq_ignore_ascii_case(UNAUTHENTICATE))
        })
        .map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(code: Option<&'a str>, said: &str) -> Words<'a> {
        let code = code.map(|code| Code::Other(CodeOther::unvalidated(code.as_bytes())));
        Words { code, text: answer::text(said) }
    }

    #[test]
    fn responses_are_told_apart() {
        let table: &[(&str, Response<'_>)] = &[
            ("+ \r\n", Response::Continue(b"")),
            ("+\r\n", Response::Continue(b"")),
            ("+ eyJ9\r\n", Response::Continue(b"eyJ9")),
            ("* OK ready\r\n", Response::Untagged(Status::Ok, words(None, "ready"))),
            ("* ok\n", Response::Untagged(Status::Ok, words(None, ""))),
            ("* OK r\u{e9}dy\r\n", Response::Untagged(Status::Ok, words(None, "r\u{fffd}dy"))),
            ("* BYE [X y]\n", Response::Untagged(Status::Bye, words(Some("X y"), ""))),
            ("* BYE [X y] z\r\n", Response::Untagged(Status::Bye, words(Some("X y"), "z"))),
            ("* NO [X y z\r\n", Response::Untagged(Status::No, words(None, "[X y z"))),
            ("* PREAUTH hi\r\n", Response::Untagged(Status::PreAuth, words(None, "hi"))),
            ("* CAPABILITY IMAP4rev1\r\n", Response::Capability(Offer::default())),
            ("* CAPABILITY  IMAP4rev1 \n", Response::Capability(Offer::default())),
            ("* LIST () \"/\" INBOX\r\n", Response::List),
            ("* LIST () \"/\" \"r\u{e9}\"\r\n", Response::List),
            ("* list (\\X) NIL {3}\r\n", Response::List),
            ("* 3 EXISTS\r\n", Response::Data),
            ("* 3 WHATEVER\r\n", Response::Data),
            ("x]1 OK done\r\n", Response::Tagged(Status::Ok, words(None, "done"))),
            ("x]1 BAD\r\n", Response::Tagged(Status::Bad, words(None, ""))),
            ("x]1 BYE\r\n", Response::Foreign),
            ("X]1 OK done\r\n", Response::Foreign),
            ("x]12 OK done\r\n", Response::Foreign),
            ("garbage\r\n", Response::Foreign),
            ("\r\n", Response::Foreign),
        ];
        for (line, expected) in table {
            let bytes: Vec<u8> = line.chars().map(|letter| letter as u8).collect();
            assert_eq!(&parse(&bytes, b"x]1"), expected, "{line}");
        }
    }

    #[test]
    fn offers_are_read() {
        let gmail = "IMAP4rev1 UNSELECT SASL-IR AUTH=XOAUTH2 auth=plain AUTH=gssapi AUTH=OAUTHBEARER";
        // The first line is for imap-codec, the second for the shallow reader.
        for line in [
            format!("* CAPABILITY {gmail}\r\n"),
            format!("* CAPABILITY  {gmail} \n"),
            format!("* OK [CAPABILITY {gmail}] hi\r\n"),
            format!("* OK [capability  {gmail} ]\n"),
        ] {
            let offer = match parse(line.as_bytes(), b"a") {
                Response::Capability(offer) => offer,
                Response::Untagged(_, words) => words.offer().unwrap(),
                other => panic!("{other:?}"),
            };
            assert!(offer.sasl_ir);
            assert_eq!(offer.mechanisms, ["XOAUTH2", "PLAIN", "GSSAPI", "OAUTHBEARER"]);
        }
    }

    #[test]
    fn what_is_quoted_of_a_status_is_its_code_and_its_text() {
        for (line, said) in [
            ("a NO [ALERT] Too many\r\n", "[ALERT] Too many"),
            ("a NO [WEBALERT https://x/\x1b] Web\tlogin\n", "[WEBALERT https://x/?] Web login"),
            ("a BAD no \r\n", "no"),
        ] {
            let Response::Tagged(_, words) = parse(line.as_bytes(), b"a") else { panic!("{line}") };
            assert_eq!(words.said(), said);
        }
    }

    #[test]
    fn a11_unauthenticate_is_not_passed_on() {
        let pass = |line: &str| {
            let mut lines = Vec::new();
            pass_on(line.as_bytes(), &parse(line.as_bytes(), b"a"), &mut lines);
            String::from_utf8(lines).unwrap()
        };
        assert_eq!(pass("* CAPABILITY IMAP4rev1 UNAUTHENTICATE IDLE\r\n"), "* CAPABILITY IMAP4rev1 IDLE\r\n");
        assert_eq!(pass("* CAPABILITY IMAP4rev1 unauthenticate\r\n"), "* CAPABILITY IMAP4rev1\r\n");
        assert_eq!(pass("a OK [CAPABILITY IDLE UNAUTHENTICATE] Hi\r\n"), "a OK [CAPABILITY IDLE] Hi\r\n");
        assert_eq!(pass("* CAPABILITY X UNAUTHENTICATE UNAUTHENTICATE\r\n"), "* CAPABILITY X\r\n");
        for untouched in [
            "* CAPABILITY IMAP4rev1  IDLE \r\n",
            "* CAPABILITY XUNAUTHENTICATE UNAUTHENTICATED\n",
            "a OK do not UNAUTHENTICATE please\r\n",
        ] {
            assert_eq!(pass(untouched), untouched);
        }
    }
}
