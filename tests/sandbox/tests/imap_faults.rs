//! The IMAP server: refusals, malice, gigabytes and delay.

use std::time::{Duration, Instant};

use sandbox::mail::{self, Client};
use sandbox::pattern::Checker;
use sandbox::{Certificate, DelayLine, Flavour, Gate, Greeting, LoginFault, Sandbox, pattern};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

mod common;
use common::imap;

const ALICE: &str = "alice@example.com";

async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = imap(sandbox).await;
    let token = sandbox.controls().access_token(ALICE);
    let lines = client.authenticate(ALICE, &token).await;
    assert!(lines.last().is_some_and(|line| line.starts_with("auth OK")), "{lines:?}");
    client
}

#[tokio::test]
async fn greetings_of_every_kind() {
    let sandbox = Sandbox::builder().start().await;
    let controls = sandbox.controls();
    controls.imap(|imap| imap.greeting = Greeting::Bye("Too busy".to_owned()));
    let mut client = imap(&sandbox).await;
    assert!(client.greeting == "* BYE Too busy" && client.at_end().await);

    controls.imap(|imap| imap.greeting = Greeting::Preauth);
    assert!(imap(&sandbox).await.greeting.starts_with("* PREAUTH"));
    controls.imap(|imap| imap.greeting = Greeting::Close);
    assert_eq!(imap(&sandbox).await.greeting, "");
    controls.imap(|imap| imap.greeting = Greeting::LongLine(1_000_000));
    assert_eq!(imap(&sandbox).await.greeting.len(), 1_000_005);

    let gate = Gate::new();
    controls.imap(|imap| imap.greeting = Greeting::Hold(gate.clone()));
    let test = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (client, ()) = tokio::join!(imap(&sandbox), test);
    assert!(client.greeting.starts_with("* OK Gimap"));

    controls.imap(|imap| {
        imap.greeting = Greeting::Normal;
        imap.capability_only_in_greeting = true;
    });
    let mut client = imap(&sandbox).await;
    assert!(client.greeting.starts_with("* OK [CAPABILITY IMAP4rev1 "), "{}", client.greeting);
    assert_eq!(client.command("a1", "CAPABILITY").await.len(), 1);
}

#[tokio::test]
async fn without_an_initial_response_lines_may_come_before_a_bare_plus() {
    let sandbox = Sandbox::builder().flavour(Flavour::NoSaslIr).start().await;
    sandbox.controls().imap(|imap| {
        imap.before_continuation = vec!["* OK still here".to_owned()];
        imap.bare_continuation = true;
    });
    let mut client = imap(&sandbox).await;
    client.send("a1 AUTHENTICATE XOAUTH2").await;
    assert_eq!((client.line().await, client.line().await), ("* OK still here".to_owned(), "+".to_owned()));
    let token = sandbox.controls().access_token(ALICE);
    client.send(&mail::xoauth2(ALICE, &token)).await;
    assert_eq!(client.until_tagged("a1").await, ["a1 OK AUTHENTICATE completed."]);
    sandbox.assert_no_violations();

    let mut client = imap(&sandbox).await;
    client.send(&format!("a1 AUTHENTICATE XOAUTH2 {}", mail::xoauth2(ALICE, &token))).await;
    assert!(client.at_end().await);
    assert_eq!(sandbox.controls().stats().violations, 1);
}

#[tokio::test]
async fn oauthbearer_needs_its_own_dummy_answer() {
    let sandbox = Sandbox::builder().flavour(Flavour::OauthbearerOnly).start().await;
    let mut client = imap(&sandbox).await;
    client.send(&format!("a1 AUTHENTICATE OAUTHBEARER {}", mail::oauthbearer(ALICE, "bad"))).await;
    assert!(client.line().await.starts_with("+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuI"));
    client.send("AQ==").await;
    assert_eq!(client.line().await, "a1 NO AUTHENTICATE failed.");
    let token = sandbox.controls().access_token(ALICE);
    let command = format!("AUTHENTICATE OAUTHBEARER {}", mail::oauthbearer(ALICE, &token));
    assert_eq!(client.command("a2", &command).await, ["a2 OK AUTHENTICATE completed."]);
}

#[tokio::test]
async fn octets_pipelined_behind_the_login_are_a_violation() {
    let sandbox = Sandbox::builder().start().await;
    let token = sandbox.controls().access_token(ALICE);
    let mut client = imap(&sandbox).await;
    let login = mail::xoauth2(ALICE, &token);
    client.write(format!("a1 AUTHENTICATE XOAUTH2 {login}\r\na2 SELECT INBOX\r\n").as_bytes()).await;
    assert!(client.at_end().await);
    assert_eq!(sandbox.controls().violations()[0].what, "octets behind AUTHENTICATE before it was answered");
}

#[tokio::test]
async fn faults_at_the_login() {
    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).start().await;
    let (controls, token) = (sandbox.controls(), sandbox.controls().access_token(ALICE));
    controls.next_login(LoginFault::Refuse);
    controls.next_login(LoginFault::Lines(vec![
        "* NO [WEBALERT https://x] Web login".into(),
        "{tag} BAD no".into(),
    ]));
    controls.next_login(LoginFault::FalseSuccess);
    let mut client = imap(&sandbox).await;
    assert_eq!(client.authenticate(ALICE, &token).await, ["auth NO AUTHENTICATE failed."]);
    assert_eq!(client.authenticate(ALICE, &token).await[1], "auth BAD no");
    assert_eq!(client.authenticate(ALICE, &token).await, ["auth OK AUTHENTICATE completed."]);
    let lines = client.command("a1", "SELECT INBOX").await;
    assert_eq!(lines, ["a1 BAD User is authenticated but not connected."]);
    assert_eq!(client.line().await, "* BYE Connection closed. 14");

    controls.next_login(LoginFault::Close);
    assert!(imap(&sandbox).await.authenticate(ALICE, &token).await.is_empty());
    controls.next_login(LoginFault::Reset);
    assert!(imap(&sandbox).await.authenticate(ALICE, &token).await.is_empty());
    controls.next_login(LoginFault::EndlessChallenges);
    controls.imap(|imap| imap.strict = false);
    let mut client = imap(&sandbox).await;
    client.send(&format!("a1 AUTHENTICATE XOAUTH2 {}", mail::xoauth2(ALICE, &token))).await;
    for _ in 0..100 {
        assert_eq!(client.line().await, "+ e30=");
        client.send("").await;
    }
}

#[tokio::test]
async fn the_sixteenth_session_is_refused_and_room_is_made_again() {
    let sandbox = Sandbox::builder().start().await;
    sandbox.controls().imap(|imap| imap.max_sessions_per_user = Some(2));
    let (first, _second) = (signed_in(&sandbox).await, signed_in(&sandbox).await);
    let token = sandbox.controls().access_token(ALICE);
    let lines = imap(&sandbox).await.authenticate(ALICE, &token).await;
    assert_eq!(lines, ["auth NO [ALERT] Too many simultaneous connections. (Failure)"]);
    drop(first);
    let stats = sandbox.controls().wait_for(|stats| stats.logged_in == 1).await;
    assert_eq!((stats.max_logged_in, stats.failed_logins), (2, 1));
    signed_in(&sandbox).await;
}

#[tokio::test]
async fn sessions_end_on_demand_with_the_token_and_after_so_many_commands() {
    let sandbox = Sandbox::builder().start().await;
    let mut client = signed_in(&sandbox).await;
    sandbox.controls().bye(Some(ALICE), "maintenance");
    assert!(client.line().await == "* BYE maintenance" && client.at_end().await);
    let mut client = signed_in(&sandbox).await;
    sandbox.controls().expire_access_tokens();
    assert_eq!(client.line().await, "* BYE Session expired, please login again.");
    let mut client = signed_in(&sandbox).await;
    sandbox.controls().inject(Some(ALICE), b"* OK news\r\n");
    assert_eq!(client.line().await, "* OK news");
    sandbox.controls().close(None);
    assert!(client.at_end().await);

    sandbox.controls().imap(|imap| imap.bye_after_commands = Some((2, "enough".to_owned())));
    let mut client = signed_in(&sandbox).await;
    client.command("a1", "NOOP").await;
    client.command("a2", "NOOP").await;
    assert_eq!(client.command("a3", "NOOP").await, ["* BYE enough"]);

    sandbox.controls().imap(|imap| imap.bye_after_commands = None);
    sandbox.controls().oauth(|oauth| oauth.access_token_life = Duration::from_secs(1));
    let mut client = imap(&sandbox).await;
    let token = sandbox.controls().access_token(ALICE);
    client.authenticate(ALICE, &token).await;
    assert_eq!(client.line().await, "* BYE Session expired, please login again.");
}

#[tokio::test]
async fn delegates_open_the_shared_mailbox_and_nobody_else() {
    let sandbox = Sandbox::builder()
        .flavour(Flavour::Exchange)
        .user("bob@corp.example")
        .user("eve@corp.example")
        .shared_mailbox("shared@corp.example", &["bob@corp.example"])
        .start()
        .await;
    let token = |user| sandbox.controls().access_token(user);
    let mut client = imap(&sandbox).await;
    let lines = client.authenticate("shared@corp.example", &token("eve@corp.example")).await;
    assert_eq!(lines, ["auth NO AUTHENTICATE failed."]);
    let lines = client.authenticate("shared@corp.example", &token("bob@corp.example")).await;
    assert_eq!(lines, ["auth OK AUTHENTICATE completed."]);
}

#[tokio::test]
async fn a_large_body_down_and_up_without_memory() {
    const LENGTH: u64 = 256 << 20;
    let sandbox = Sandbox::builder().huge_message(ALICE, "Huge", LENGTH).start().await;
    let mut client = signed_in(&sandbox).await;
    client.command("a1", "SELECT Huge").await;
    client.send("a2 FETCH 1 BODY.PEEK[TEXT]").await;
    assert_eq!(client.line().await, format!("* 1 FETCH (BODY[TEXT] {{{LENGTH}}}"));
    let mut checker = Checker::default();
    client.stream_octets(LENGTH, |piece| checker.push(piece)).await;
    assert_eq!((checker.seen(), checker.first_wrong()), (LENGTH, None));
    assert_eq!(client.until_tagged("a2").await, [")", "a2 OK Success"]);

    client.send(&format!("a3 APPEND Huge {{{LENGTH}}}")).await;
    assert!(client.line().await.starts_with('+'));
    let mut sent = 0;
    while sent < LENGTH {
        let piece = pattern::chunk(sent, LENGTH - sent);
        client.write(piece).await;
        sent += piece.len() as u64;
    }
    client.send("").await;
    assert_eq!(client.until_tagged("a3").await, ["a3 OK Success"]);
    let sunk = sandbox.controls().sunk();
    assert_eq!((sunk[0].octets, sunk[0].first_wrong, sunk[0].mailbox.as_str()), (LENGTH, None, "Huge"));
}

#[tokio::test]
async fn one_octet_at_a_time() {
    let sandbox = Sandbox::builder().start().await;
    for (segment, record) in [(1, 0), (0, 1), (3, 2)] {
        sandbox.controls().imap(|imap| (imap.segment, imap.record) = (segment, record));
        let mut client = signed_in(&sandbox).await;
        assert!(client.command("a1", "SELECT INBOX").await.contains(&"* 3 EXISTS".to_owned()));
    }
}

#[tokio::test]
async fn an_idle_session_hears_of_what_another_appends() {
    let sandbox = Sandbox::builder().start().await;
    let (mut idler, mut other) = (signed_in(&sandbox).await, signed_in(&sandbox).await);
    idler.command("a1", "SELECT INBOX").await;
    idler.send("a2 IDLE").await;
    assert_eq!(idler.line().await, "+ idling");
    sandbox.controls().wait_for(|stats| stats.idling == 1).await;
    let lines = other.command("b1", "APPEND INBOX {14+}\r\nSubject: x\r\n\r\n").await;
    assert!(lines[0].starts_with("b1 OK [APPENDUID 1700000001 4]"), "{lines:?}");
    assert_eq!((idler.line().await, idler.line().await), ("* 4 EXISTS".to_owned(), "* 4 RECENT".to_owned()));
    other.command("b2", "SELECT INBOX").await;
    other.command("b3", "STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(idler.line().await, "* 2 FETCH (FLAGS (\\Deleted \\Recent))");
    other.command("b4", "EXPUNGE").await;
    assert_eq!(idler.line().await, "* 2 EXPUNGE");
    idler.send("DONE").await;
    assert_eq!(idler.line().await, "a2 OK IDLE terminated (Success)");
}

#[tokio::test]
async fn certificates_that_must_not_be_trusted() {
    for certificate in [Certificate::WrongName, Certificate::Expired, Certificate::SelfSigned] {
        let sandbox = Sandbox::builder().certificate(certificate).start().await;
        let tcp = tokio::net::TcpStream::connect(sandbox.imap_address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let handshake = TlsConnector::from(sandbox.tls_client()).connect(name, tcp).await;
        assert!(handshake.is_err(), "{certificate:?}");
        sandbox.controls().wait_for(|stats| stats.tls_failures == 1).await;
    }
    let sandbox = Sandbox::builder().tls12_only().start().await;
    signed_in(&sandbox).await;
}

#[tokio::test]
async fn distance_costs_round_trips() {
    let sandbox = Sandbox::builder().start().await;
    let one_way = Duration::from_millis(20);
    let line = DelayLine::start(sandbox.imap_address(), one_way).await;
    let start = Instant::now();
    let mut client = Client::connect(line.address(), &sandbox.tls_client()).await;
    // TCP and TLS 1.3 take a round trip each; the greeting comes with the server's answer to the second
    // flight.
    assert!(start.elapsed() >= 5 * one_way, "{:?}", start.elapsed());
    let start = Instant::now();
    client.command("a1", "CAPABILITY").await;
    assert!(start.elapsed() >= 2 * one_way);
}

#[tokio::test]
async fn hundreds_of_idle_sessions() {
    let sandbox = Sandbox::builder().empty_mailboxes().start().await;
    let token = sandbox.controls().access_token(ALICE);
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = imap(&sandbox).await;
        client.authenticate(ALICE, &token).await;
        client.command("a1", "SELECT INBOX").await;
        client.send("a2 IDLE").await;
        clients.push(client);
    }
    let stats = sandbox.controls().wait_for(|stats| stats.idling == 300).await;
    assert_eq!((stats.logged_in, stats.open), (300, 300));
    sandbox.controls().deliver(ALICE, "INBOX", b"Subject: all\r\n\r\n");
    for client in &mut clients {
        assert_eq!(client.line().await, "+ idling");
        assert_eq!(client.line().await, "* 1 EXISTS");
    }
    drop(clients);
    sandbox.controls().wait_for(|stats| stats.open == 0 && stats.idling == 0).await;
}

#[tokio::test]
async fn compressed_sessions_say_the_same() {
    use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
    let sandbox = Sandbox::builder().start().await;
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.command("a1", "COMPRESS DEFLATE").await, ["a1 OK Success"]);
    let (mut packer, mut unpacker) = (Compress::new(Compression::fast(), false), Decompress::new(false));
    let mut packed = Vec::with_capacity(4096);
    let text = b"a2 SELECT INBOX\r\na3 FETCH 1:3 BODY.PEEK[]\r\n";
    packer.compress_vec(text, &mut packed, FlushCompress::Sync).unwrap();
    client.write(&packed).await;
    let mut plain = Vec::with_capacity(1 << 20);
    while !plain.ends_with(b"a3 OK Success\r\n") {
        let came = client.some_octets().await;
        assert!(!came.is_empty());
        unpacker.decompress_vec(&came, &mut plain, FlushDecompress::Sync).unwrap();
    }
    let plain = String::from_utf8(plain).unwrap();
    assert!(plain.contains("* 3 EXISTS") && plain.contains("Viele Grüße."), "{plain}");
}

#[tokio::test]
async fn floods_and_silence() {
    let sandbox = Sandbox::builder().start().await;
    let (controls, token) = (sandbox.controls(), sandbox.controls().access_token(ALICE));
    let login = format!("a1 AUTHENTICATE XOAUTH2 {}", mail::xoauth2(ALICE, &token));
    controls.imap(|imap| imap.greeting = Greeting::Endless);
    let mut client = imap(&sandbox).await;
    for _ in 0..10_000 {
        assert_eq!(client.line().await, "* OK still thinking");
    }
    controls.imap(|imap| imap.greeting = Greeting::Normal);
    controls.next_login(LoginFault::LongLine(3_000_000));
    let mut client = imap(&sandbox).await;
    client.send(&login).await;
    assert_eq!(client.line().await.len(), 3_000_005);

    controls.next_login(LoginFault::Silence);
    let mut client = imap(&sandbox).await;
    client.send(&login).await;
    controls.wait_for(|stats| stats.failed_logins == 2).await;
    controls.bye(None, "at last");
    assert_eq!(client.line().await, "* BYE at last");
}
