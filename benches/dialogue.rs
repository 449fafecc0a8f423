//! Time and allocations of the two dialogues of a login, without sockets.
//!
//! `cargo bench --bench dialogue`. TLS and system calls cost ten to a hundred times as much, see
//! docs/performance.md.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a bench that fails stops")]
#![allow(missing_docs, reason = "a program of its own")]

use divan::{AllocProfiler, Bencher};
use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::dialogue::Event;
use imap_oauth_proxy::protocol::imap::client::Dialogue;
use imap_oauth_proxy::protocol::imap::upstream::SignIn;
use imap_oauth_proxy::protocol::provider::ProviderDialogue as _;
use imap_oauth_proxy::protocol::{Channel, Credential, Limits, Request};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const QUOTED: &[u8] = b"a1 LOGIN \"alice@example.com\" \"abcd-efgh-ijkm-npqr-stuv-wxyz\"\r\n";
const LITERALS: &[u8] = b"a1 LOGIN {17+}\r\nalice@example.com {29+}\r\nabcd-efgh-ijkm-npqr-stuv-wxyz\r\n";
const PLAIN: &[u8] =
    b"a1 AUTHENTICATE PLAIN AGFsaWNlQGV4YW1wbGUuY29tAGFiY2QtZWZnaC1pamttLW5wcXItc3R1di13eHl6\r\n";

fn main() {
    divan::main();
}

/// From the greeting to the completed LOGIN, in the three forms that mail programs use.
#[divan::bench(args = ["quoted", "literals", "plain"])]
fn client(bencher: Bencher, form: &str) {
    let command = match form {
        "quoted" => QUOTED,
        "literals" => LITERALS,
        _ => PLAIN,
    };
    bencher.bench(|| {
        let mut dialogue = Dialogue::new(Channel::Tls, Limits::default());
        let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
        assert!(matches!(dialogue.step(&mut inbox, &mut outbox), Event::More));
        inbox.push(command);
        let event = dialogue.step(&mut inbox, &mut outbox);
        assert!(matches!(event, Event::Asks(Request::Login(_))));
        (event, outbox)
    });
}

/// From the provider's greeting to its OK, as Gmail words it, with a token of a thousand letters.
#[divan::bench]
fn provider(bencher: Bencher) {
    let token = Secret::new("t".repeat(1000));
    let credential = Credential {
        or_user: None,
        greeted: true,
        user: "alice@example.com",
        token: &token,
        mechanisms: &[Mechanism::Xoauth2],
        host: "imap.gmail.com",
        port: 993,
        sasl_ir: Some(true),
    };
    bencher.bench_local(|| {
        let mut sign_in = SignIn::new(b"a1", &credential).unwrap();
        let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
        inbox.push(b"* OK Gimap ready for requests from 192.0.2.1 x1mb1\r\n");
        assert!(matches!(sign_in.step(&mut inbox, &mut outbox), Ok(None)));
        inbox.push(
            b"* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE QUOTA ID XLIST CHILDREN UIDPLUS MOVE\r\n\
              a1 OK alice@example.com authenticated (Success)\r\n",
        );
        let step = sign_in.step(&mut inbox, &mut outbox).unwrap();
        assert!(step.is_some());
        (step, outbox)
    });
}
