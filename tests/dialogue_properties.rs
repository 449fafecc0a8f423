//! Property tests of both dialogues: security rows 1, 2, 4, 6 and 7 for inputs that nobody thought of.
//!
//! The inputs are made of pieces that mail programs and providers say, so that they get deep, and of
//! arbitrary bytes, so that they go wrong there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod invariants;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

#[rustfmt::skip]
const CLIENT_PIECES: &[&[u8]] = &[
    b"a ", b"b1 ", b"]x ", b"+ ", b"LOGIN", b" LOGIN alice secret", b"AUTHENTICATE PLAIN", b"AUTHENTICATE LOGIN ",
    b" AGFsaWNlAHB3", b"YWxpY2U=", b"cHc=", b"=", b"*", b"CAPABILITY", b"NOOP", b"LOGOUT", b"STARTTLS", b"ID NIL",
    b"ID (\"name\" \"x\")", b"ID (", b"SELECT ", b"APPEND INBOX ", b"{5}\r\nalice", b"{5+}\r\nalice", b"{0}\r\n",
    b"{64+}\r\n", b"{65}\r\n", b"{65+}\r\n", b"{400+}\r\n", b"{99999999999999999999+}\r\n", b"{3}", b"\"al\\\"ice\"",
    b"\"", b"\\", b" ", b"  ", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"\xc3\xa9", b"\xe9", b"\x16\x03\x01",
    b"GET / HTTP/1.1\r\n", b"x", b"(", b")", b"a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n",
    b"c LOGIN \"u\" {2}\r\npw\r\n", b"d AUTHENTICATE PLAIN\r\nAGFsaWNlAHB3\r\n", b"e NOOP\r\n",
];

#[rustfmt::skip]
const PROVIDER_PIECES: &[&[u8]] = &[
    b"* OK hello\r\n", b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", b"* PREAUTH hi\r\n",
    b"* BYE gone\r\n", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER UNAUTHENTICATE\r\n",
    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"P1 OK done\r\n", b"P1 BAD what\r\n", b"+ \r\n", b"+\r\n",
    b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", b"a7 OK in\r\n", b"a7 OK [CAPABILITY IDLE UNAUTHENTICATE] in\n",
    b"a7 NO [AUTHENTICATIONFAILED] no\r\n", b"a7 BAD Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n",
    b"* NO [WEBALERT https://x.example/\x1b] Web login required.\r\n", b"zz OK in\r\n", b"* 3 EXISTS\r\n",
    b"* 1 FETCH (BODY[] {5}\r\n", b"* OK {5}\r\n", b"{99999}\r\n", b"hello", b"\r\n", b"\n", b"\0", b"\xff", b"a7 ",
    b"* ",
];

/// Two bytes of choices, and what is said.
fn input(pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..80),
    ];
    (any::<u8>(), any::<u8>(), vec(piece, 0..24)).prop_map(|(mode, cut, pieces)| {
        // Every size of a cut, small ones more often than not.
        let cut = if cut < 128 { cut % 8 } else { cut };
        [vec![mode, cut], pieces.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn security_rows_2_4_6_7_client_answers_do_not_depend_on_cuts(input in input(CLIENT_PIECES)) {
        invariants::client(&input);
    }

    #[test]
    fn what_imap_codec_accepts_reads_the_same(input in input(CLIENT_PIECES)) {
        invariants::command(&input);
        invariants::command(&[b"a LOGIN ", &input[..]].concat());
    }

    #[test]
    fn security_rows_1_2_4_9_provider_verdicts_do_not_depend_on_cuts(input in input(PROVIDER_PIECES)) {
        invariants::provider(&input);
        // A greeting in front, because few inputs begin with one.
        let (choices, said) = input.split_at(2);
        invariants::provider(&[choices, b"* OK hello\r\n", said].concat());
    }

    #[test]
    fn every_login_reads_the_same_here_and_in_imap_codec(
        name in "[ -~]{0,20}", password in "[ -~]{0,20}", form in 0..3_u8,
    ) {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let literal = |text: &str| format!("{{{}+}}\r\n{text}", text.len());
        let line = match form {
            0 => format!("a LOGIN {} {}\r\n", quoted(&name), quoted(&password)),
            1 => format!("a LOGIN {} {}\r\n", literal(&name), quoted(&password)),
            _ => format!("a LOGIN {} {}\r\n", quoted(&name), literal(&password)),
        };
        invariants::command(line.as_bytes());
    }
}

/// Sessions of both sides with everything in them, cut in two at every byte.
#[test]
fn security_row_2_every_split_gives_the_same() {
    let program = b"a1 ID (\"name\" {4}\r\nmutt)\r\na2 LOGIN {5+}\r\nalice {3}\r\na\r\n\r\n\
        a3 AUTHENTICATE LOGIN\r\nYWxpY2U=\r\ncHc=\r\na4 SELECT {3+}\r\nabc\r\na5 LOGIN {5000+}\r\nx NOOP\r\n";
    let provider = b"* OK hello\r\n* OK still\r\nP1 OK [CAPABILITY SASL-IR AUTH=XOAUTH2] x\r\n\
        * CAPABILITY IDLE UNAUTHENTICATE\r\n* 1 FETCH (BODY[] {4}\r\n\r\n\r\n)\r\na7 OK in\r\n* 3 EXISTS\r\nx";
    for mode in [0, 1, 2, 0x80, 0x81] {
        for cut in 1..=u8::try_from(program.len()).unwrap() {
            invariants::client(&[&[mode, cut], &program[..]].concat());
        }
    }
    for mode in 0..8 {
        for cut in 1..=u8::try_from(provider.len()).unwrap() {
            invariants::provider(&[&[mode, cut], &provider[..]].concat());
        }
    }
}
