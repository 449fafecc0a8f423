//! Property tests of all dialogues: security rows 1, 2, 4, 6 and 7 for random inputs.
//!
//! The inputs mix pieces of real dialogues, which lead deep into a dialogue, with arbitrary bytes, which
//! cause errors there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod invariants;

use imap_oauth_proxy::protocol::pop3::Pop3;
use imap_oauth_proxy::protocol::submission::Submission;
use imap_oauth_proxy::protocol::{Code, Denial, Protocol as _};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use invariants::{imap, pop3, submission};

#[rustfmt::skip]
const IMAP_CLIENT: &[&[u8]] = &[
    b"a ", b"b1 ", b"]x ", b"+ ", b"LOGIN", b" LOGIN alice secret", b"AUTHENTICATE PLAIN", b"AUTHENTICATE LOGIN ",
    b" AGFsaWNlAHB3", b"YWxpY2U=", b"cHc=", b"=", b"*", b"CAPABILITY", b"NOOP", b"LOGOUT", b"STARTTLS", b"ID NIL",
    b"ID (\"name\" \"x\")", b"ID (", b"SELECT ", b"APPEND INBOX ", b"{5}\r\nalice", b"{5+}\r\nalice", b"{0}\r\n",
    b"{64+}\r\n", b"{65}\r\n", b"{65+}\r\n", b"{400+}\r\n", b"{99999999999999999999+}\r\n", b"{3}", b"\"al\\\"ice\"",
    b"\"", b"\\", b" ", b"  ", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"\xc3\xa9", b"\xe9", b"\x16\x03\x01",
    b"GET / HTTP/1.1\r\n", b"x", b"(", b")", b"a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n",
    b"c LOGIN \"u\" {2}\r\npw\r\n", b"d AUTHENTICATE PLAIN\r\nAGFsaWNlAHB3\r\n", b"e NOOP\r\n",
];

#[rustfmt::skip]
const IMAP_PROVIDER: &[&[u8]] = &[
    b"* OK hello\r\n", b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", b"* PREAUTH hi\r\n",
    b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", b"P2 OK go on\r\n", b"P2 NO no\r\n", b"* BYE gone\r\n", b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER UNAUTHENTICATE\r\n",
    b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"P1 OK done\r\n", b"P1 BAD what\r\n", b"+ \r\n", b"+\r\n",
    b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", b"a7 OK in\r\n", b"a7 OK [CAPABILITY IDLE UNAUTHENTICATE] in\n",
    b"a7 NO [AUTHENTICATIONFAILED] no\r\n", b"a7 BAD Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n",
    b"* NO [WEBALERT https://x.example/\x1b] Web login required.\r\n", b"zz OK in\r\n", b"* 3 EXISTS\r\n",
    b"* 1 FETCH (BODY[] {5}\r\n", b"* OK {5}\r\n", b"{99999}\r\n", b"hello", b"\r\n", b"\n", b"\0", b"\xff", b"a7 ",
    b"* ",
];

#[rustfmt::skip]
const SENDER: &[&[u8]] = &[
    b"EHLO scanner.corp.example\r\n", b"ehlo [192.0.2.7]\r\n", b"EHLO [IPv6:2001:db8::1]\r\n", b"HELO DESK_TOP\r\n",
    b"EHLO ", b"AUTH PLAIN AGFsaWNlAHB3\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"auth login YWxpY2U=\r\n",
    b"AUTH PLAIN AGFsaWNlAHB3eA==\r\n", b"AUTH PLAIN AGFsaWNlAHB3eHg=\r\n", b"AUTH LOGIN =\r\n", b"AUTH ", b"PLAIN",
    b"YWxpY2U=\r\n", b"cHc=\r\n", b"=\r\n", b"*\r\n", b"AUTH PLAIN Ym9iAGFsaWNlAHB3\r\n", b"AUTH CRAM-MD5\r\n",
    b"STARTTLS\r\n", b"STARTTLS now\r\n", b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n", b"QUIT\r\n", b"VRFY x\r\n",
    b"MAIL FROM:<alice@example.com> SIZE=3\r\n", b"RCPT TO:<bob@example.com>\r\n", b"DATA\r\n", b"BDAT 3 LAST\r\nabc",
    b".\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b"\xc3\xa9", b"\xe9",
];

#[rustfmt::skip]
const SUBMISSION_PROVIDER: &[&[u8]] = &[
    b"220 x ESMTP\r\n", b"220-x\r\n", b"250-x\r\n", b"250-AUTH LOGIN XOAUTH2\r\n", b"250 AUTH OAUTHBEARER XOAUTH2\r\n",
    b"250-AUTH=XOAUTH2\r\n", b"250-STARTTLS\r\n", b"250-SIZE 1000\r\n", b"250 PIPELINING\r\n", b"250 AUTH PLAIN\r\n", b"250 AUTH \x1b[2J\0 NTLM\r\n",
    b"334 \r\n", b"334\n", b"334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", b"235 2.7.0 Accepted\r\n", b"235-2.7.0 in\r\n",
    b"535 5.7.3 Authentication unsuccessful [X 2026]\r\n", b"535-5.7.8 Username and Password not accepted.\r\n",
    b"535 5.7.8  https://support.google.com/mail/?p=BadCredentials x\r\n", b"535 5.7.139 x, account locked.\r\n",
    b"534-5.7.14 <https://accounts.google.com/x\x1b> Please log in\r\n", b"454 4.7.0 Too many login attempts\r\n",
    b"432 4.3.2 Concurrent connections limit exceeded.\r\n", b"421 4.7.0 Try again later\r\n", b"999 x\r\n", b"000-\r\n",
    b"220 2.0.0 Ready to start TLS\r\n", b"503 5.5.1 no\r\n", b"250", b"hello", b" ", b"-", b"\r\n", b"\n", b"\0", b"\xff",
];

#[rustfmt::skip]
const FETCHER: &[&[u8]] = &[
    b"CAPA\r\n", b"capa\r\n", b"USER alice\r\n", b"USER recent:alice\r\n", b"USER", b"user  alice \r\n", b"PASS pw\r\n",
    b"PASS two words \r\n", b"PASS pwx\r\n", b"PASS pwxy\r\n", b"PASS\r\n", b"PASS ", b"AUTH\r\n", b"AUTH PLAIN AGFsaWNlAHB3\r\n",
    b"AUTH PLAIN\r\n", b"auth plain AGFsaWNlAHB3eA==\r\n", b"AUTH PLAIN AGFsaWNlAHB3eHg=\r\n", b"AUTH LOGIN\r\n", b"AUTH LOGIN =\r\n",
    b"AUTH ", b"PLAIN", b"YWxpY2U=\r\n", b"cHc=\r\n", b"=\r\n", b"*\r\n", b"AUTH CRAM-MD5\r\n", b"APOP alice c4c9334b\r\n",
    b"STLS\r\n", b"STLS now\r\n", b"NOOP\r\n", b"STAT\r\n", b"RETR 1\r\n", b"DELE 1\r\n", b"UTF8\r\n", b"LANG\r\n", b"QUIT\r\n",
    b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b"\xc3\xa9", b"\xe9", b".\r\n", b"recent:",
];

#[rustfmt::skip]
const POP3_PROVIDER: &[&[u8]] = &[
    b"+OK ready\r\n", b"+OK\n", b"-ERR\r\n", b"-ERR no\r\n", b"SASL PLAIN XOAUTH2\r\n", b"sasl oauthbearer xoauth2\r\n", b"SASL\r\n",
    b"SASL \x1b[2J\0 NTLM\r\n", b"TOP\r\n", b"STLS\r\n", b".\r\n", b".\n", b"..\r\n", b"+ \r\n", b"+\n", b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n",
    b"-ERR [AUTH] Username and password not accepted.\r\n", b"-ERR [AUTH] Web login required: https://x.example/\x1b\r\n",
    b"-ERR Authentication failure: unknown user name or bad password.\r\n", b"-ERR Protocol error. Connection is closed. 10\r\n",
    b"-ERR [SYS/TEMP] later\r\n", b"-ERR [SYS/PERM] no\r\n", b"-ERR [IN-USE] locked\r\n", b"-ERR [LOGIN-DELAY] wait\r\n",
    b"-ERR [\r\n", b"-ERR []\r\n", b"-ERR Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n", b"+OKAY\r\n",
    b"* OK IMAP\r\n", b"220 x\r\n", b"+OK", b"-ERR ", b"hello", b" ", b"\r\n", b"\n", b"\0", b"\xff",
];

/// Two bytes of choices, then the input.
fn input(pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => select(pieces).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..80),
    ];
    (any::<u8>(), any::<u8>(), vec(piece, 0..24)).prop_map(|(mode, cut, pieces)| {
        // Every size of a piece, small sizes more often.
        let cut = if cut < 128 { cut % 8 } else { cut };
        [vec![mode, cut], pieces.concat()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn security_rows_2_4_6_7_client_answers_do_not_depend_on_cuts(input in input(IMAP_CLIENT)) {
        imap::client(&input);
    }

    #[test]
    fn what_imap_codec_accepts_reads_the_same(input in input(IMAP_CLIENT)) {
        imap::command(&input);
        imap::command(&[b"a LOGIN ", &input[..]].concat());
    }

    #[test]
    fn security_rows_1_2_4_9_provider_verdicts_do_not_depend_on_cuts(input in input(IMAP_PROVIDER)) {
        imap::provider(&input);
        // Starts with a greeting, because few random inputs do.
        let (choices, said) = input.split_at(2);
        imap::provider(&[choices, b"* OK hello\r\n", said].concat());
    }

    #[test]
    fn security_rows_2_4_6_7_senders_answers_do_not_depend_on_cuts(input in input(SENDER)) {
        submission::client(&input);
    }

    #[test]
    fn security_rows_1_2_4_9_submission_verdicts_do_not_depend_on_cuts(input in input(SUBMISSION_PROVIDER)) {
        submission::provider(&input);
        // Starts correctly, because few random inputs get past this part.
        let (choices, said) = input.split_at(2);
        let begun = b"220 x\r\n250-x\r\n250-STARTTLS\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n";
        submission::provider(&[choices, begun, said].concat());
        submission::provider(&[choices, begun, b"334 \r\n", said].concat());
    }

    #[test]
    fn security_rows_2_4_6_7_42_pop3_answers_do_not_depend_on_cuts(input in input(FETCHER)) {
        pop3::client(&input);
    }

    #[test]
    fn security_rows_1_2_4_9_pop3_verdicts_do_not_depend_on_cuts(input in input(POP3_PROVIDER)) {
        pop3::provider(&input);
        // Begun as it should be, because few inputs get past that.
        let (choices, said) = input.split_at(2);
        let begun = b"+OK x\r\n+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n";
        pop3::provider(&[choices, begun, said].concat());
        pop3::provider(&[choices, begun, b"+ \r\n", said].concat());
    }

    #[test]
    fn security_row_4_what_a_denial_says_stays_within_one_line(text in "(?s).{0,1500}", at in 0..4_usize) {
        let code = [Code::PrivacyRequired, Code::Limit, Code::InUse, Code::ContactAdmin][at];
        let said = Pop3::turn_away(&Denial::new(code, text));
        pop3::check_answers(&said);
        prop_assert_eq!(said.iter().filter(|&&byte| byte == b'\n').count(), 1);
    }

    #[test]
    fn security_row_4_what_a_denial_says_stays_within_one_reply(text in "(?s).{0,1500}", at in 0..4_usize) {
        let code = [Code::PrivacyRequired, Code::Limit, Code::Unavailable, Code::ServerBug][at];
        let said = Submission::turn_away(&Denial::new(code, text));
        submission::check_replies(&said);
        let codes: Vec<_> = said.split_inclusive(|&byte| byte == b'\n').map(|line| &line[..3]).collect();
        prop_assert!(codes.iter().all(|code| *code == codes[0]));
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
        imap::command(line.as_bytes());
    }
}

/// Sessions of both sides with all commands.
#[test]
fn security_row_2_every_split_gives_the_same() {
    let program = b"a1 ID (\"name\" {4}\r\nmutt)\r\na2 LOGIN {5+}\r\nalice {3}\r\na\r\n\r\n\
        a3 AUTHENTICATE LOGIN\r\nYWxpY2U=\r\ncHc=\r\na4 SELECT {3+}\r\nabc\r\na5 LOGIN {5000+}\r\nx NOOP\r\n";
    let provider = b"* OK hello\r\n* OK still\r\nP1 OK [CAPABILITY SASL-IR AUTH=XOAUTH2] x\r\n\
        * CAPABILITY IDLE UNAUTHENTICATE\r\n* 1 FETCH (BODY[] {4}\r\n\r\n\r\n)\r\na7 OK in\r\n* 3 EXISTS\r\nx";
    for mode in [0, 1, 2, 0x80, 0x81] {
        imap::client_at_every_cut(mode, program);
    }
    for mode in 0..16 {
        imap::provider_at_every_cut(mode, provider);
    }
    let starttls =
        b"* OK hi\r\n* CAPABILITY STARTTLS\r\nP1 OK done\r\nP2 OK go on\r\n* CAPABILITY AUTH=XOAUTH2\r\n";
    imap::provider_at_every_cut(32, starttls);
}

/// A sender that uses all commands, is refused twice, and logs in; then mail, which the relay handles.
#[test]
fn security_row_2_every_split_of_a_sender_gives_the_same() {
    let sender = b"EHLO scanner.corp.example\r\nMAIL FROM:<a@corp.example>\r\nNOOP\nHELP\r\nVRFY x\r\nAUTH CRAM-MD5\r\n\
        AUTH LOGIN\r\n*\r\nAUTH PLAIN ====\r\nauth login YWxpY2U=\r\ncHdkMg==\r\nAUTH PLAIN\r\nAGFsaWNlAHB3ZA==\r\nRSET\r\n\
        AUTH PLAIN AGFsaWNlAHB3\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n";
    for mode in [0, 1, 2, 0x20, 0x21, 0x22, 0x40, 0x80, 0xc1] {
        submission::client_at_every_cut(mode, sender);
    }
    let upgrade = b"EHLO x\r\nAUTH PLAIN AGFsaWNlAHB3\r\nSTARTTLS now\r\nSTARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x.example>\r\n";
    submission::client_at_every_cut(1, upgrade);
}

/// Two MAIL of a device: the first is refused, and the second is the relay's with all that comes behind it.
#[test]
fn security_row_43_every_split_of_a_device_gives_the_same() {
    let device = b"HELO DESK_TOP\r\nNOOP\r\nRCPT TO:<b@x>\r\nMAIL FROM:<a@x>\r\nRSET\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n";
    for mode in [0x20, 0x21, 0x22, 0xa2] {
        submission::client_at_every_cut(mode, device);
    }
}

/// Known before any of its lines is answered, wherever the network cuts.
#[test]
fn security_row_44_every_split_of_a_proxy_header_gives_the_same() {
    for header in [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], b"PROXY TCP4 192.0.2.7 192.0.2.1 5 25\r\n"] {
        for mode in [0, 1, 2, 0x20] {
            imap::client_at_every_cut(mode, header);
            submission::client_at_every_cut(mode, header);
            pop3::client_at_every_cut(mode, header);
        }
    }
    imap::client_at_every_cut(0, b"\r\n\r\na NOOP\r\n");
    submission::client_at_every_cut(0, b"\r\n\r\nNOOP\r\n");
    pop3::client_at_every_cut(0, b"\r\n\r\nCAPA\r\n");
}

/// Successful and refused sign-ins, in the words of Gmail and of Exchange.
#[test]
fn security_row_2_every_split_of_a_submission_server_gives_the_same() {
    const GREETED: &str = "220-x\r\n220 x ESMTP\r\n";
    const EHLO: &str = "250-x at your service\r\n250-SIZE 35882577\r\n250-AUTH LOGIN XOAUTH2 OAUTHBEARER\r\n250 SMTPUTF8\r\n";
    const CHALLENGED: &str = "334 \r\n334 eyJzdGF0dXMiOiI0MDAifQ==\r\n535-5.7.8 Username and Password not accepted.\r\n535 5.7.8  https://x.example/ y - gsmtp\r\n";
    // The outcomes with one name, and with a second name to try.
    let cases = [
        ("334 \r\n235-2.7.0 Accepted\r\n235 2.7.0 in\r\n421 4.3.2 bye\r\n250", ["accepted 235-"; 2]),
        ("334 \r\n334 eyJzdGF0dXMiOiI0MDAifQ==\r\n", [""; 2]),
        (CHALLENGED, ["the provider refused the access token", ""]),
        (
            "334\r\n535 5.7.3 Authentication unsuccessful [X 2026]\r\n334\r\n235 2.7.0 OK\r\nrest",
            ["the provider refused the access token", "accepted 235 2.7.0 OK\\r\\n (true, "],
        ),
        ("504 5.7.4 Unrecognized authentication type\r\n", ["the provider does not open"; 2]),
        ("235 2.7.0 Accepted\r\n", ["the provider's server does not speak"; 2]),
        ("334 \r\n454 4.7.0 Too many login attempts, please try again later.\r\n", ["the provider slows"; 2]),
        ("334 \r\n432 4.3.2 Concurrent connections limit exceeded.\r\n", ["the provider allows no more"; 2]),
        ("hello\r\n", ["the provider's server does not speak"; 2]),
    ];
    for mode in [0, 1, 2, 4, 5, 8, 16, 31] {
        let begun = [if mode & 1 == 0 { GREETED } else { "" }, EHLO].concat();
        for (script, happens) in cases {
            let happened = submission::provider_at_every_cut(mode, [&begun, script].concat().as_bytes());
            let happens = happens[usize::from(mode >> 2 & 1)];
            let fits = happened.starts_with(happens) && happened.is_empty() == happens.is_empty();
            assert!(fits, "{mode}, {script:?}: {happened:?}");
        }
    }
    let turned_away = submission::provider_at_every_cut(0, b"421 4.3.2 Service not available\r\n");
    assert!(turned_away.starts_with("the provider is not available"), "{turned_away}");
    let starttls = b"220 x\r\n250-x\r\n250-STARTTLS\r\n250 DSN\r\n220 2.0.0 Go on\r\n250 injected\r\n";
    assert_eq!(submission::provider_at_every_cut(32, starttls), "starttls");
}

/// A client that says everything, is refused twice, and gets in; then its mail, which is the relay's.
#[test]
fn security_row_2_every_split_of_a_pop3_client_gives_the_same() {
    let client = b"CAPA\r\nSTAT\r\nAUTH\r\nAPOP a b\r\nPASS pw\r\nUSER alice\r\nPASS pwx\nAUTH CRAM-MD5\r\nAUTH PLAIN\r\n*\r\n\
        AUTH PLAIN ====\r\nauth plain AGFsaWNlAHB3eHg=\r\nUSER recent:alice\r\nPASS pw\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n";
    for mode in [0, 1, 2, 0x40, 0x80, 0xc1] {
        pop3::client_at_every_cut(mode, client);
    }
    let upgrade =
        b"CAPA\r\nUSER alice\r\nAUTH PLAIN AGFsaWNlAHB3\r\nSTLS now\r\nSTLS\r\nUSER evil\r\nPASS evil\r\n";
    pop3::client_at_every_cut(1, upgrade);
}

/// Good sign-ins and refused ones, in the words of Gmail and of Exchange.
#[test]
fn security_row_2_every_split_of_a_pop3_server_gives_the_same() {
    const CAPA: &str = "+OK Capability list follows\r\nTOP\r\nSASL PLAIN XOAUTH2 OAUTHBEARER\r\n.\r\n";
    let cases = [
        ("+ \r\n+OK Welcome.\r\n-ERR [SYS/TEMP] bye\r\n+O", "accepted +OK Welcome."),
        ("+ \r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", ""),
        ("+ \r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\n-ERR [AUTH] no\r\n", "the provider refused the access token"),
        (
            "+\r\n-ERR Authentication failure: unknown user name or bad password.\r\n",
            "the provider refused the access token",
        ),
        ("+\r\n-ERR Protocol error. Connection is closed. 10\r\n", "the provider is not available"),
        ("-ERR [AUTH] Unsupported authentication mechanism.\r\n", "the provider does not open"),
        ("+OK come in\r\n", "the provider's server does not speak"),
        ("+ \r\n-ERR [IN-USE] locked\r\n", "the provider allows no more"),
        ("hello\r\n", "the provider's server does not speak"),
    ];
    for mode in [0, 1, 2, 4, 7] {
        let begun = [if mode & 1 == 0 { "+OK ready\r\n" } else { "" }, CAPA].concat();
        for (script, happens) in cases {
            let happened = pop3::provider_at_every_cut(mode, [&begun, script].concat().as_bytes());
            let fits = happened.starts_with(happens) && happened.is_empty() == happens.is_empty();
            assert!(fits, "{mode}, {script:?}: {happened:?}");
        }
    }
    let turned_away = pop3::provider_at_every_cut(0, b"-ERR [SYS/TEMP] Too busy\r\n");
    assert!(turned_away.starts_with("the provider is not available"), "{turned_away}");
    assert_eq!(pop3::provider_at_every_cut(32, b"+OK ready\r\n+OK Begin\r\n+OK injected\r\n"), "starttls");
}

#[test]
fn tokens_of_every_length_go_up_in_two_steps() {
    for length in [1, 400, 512, 1024, 4096, 8089] {
        for mode in [0, 2] {
            submission::two_steps(&"t".repeat(length), mode);
            pop3::two_steps(&"t".repeat(length), mode);
        }
    }
}
