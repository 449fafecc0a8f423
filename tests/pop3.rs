//! Mail fetched through `serve` by POP3: the login, each way in which it can fail, and the relayed bytes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::tls_config;
use common::pop3::{Client, log_in};
use common::{ALICE, BOB, Site, login, within};
use sandbox::{Flavour, Gate, Pop3Session, Pop3Step, Sandbox, Security, StepFault, TokenFault};
use serde_json::Value;

const TEAM: &str = "team@example.com";
/// With a challenge at a refusal, and without.
const FLAVOURS: [Flavour; 2] = [Flavour::Gmail, Flavour::Exchange];
const MESSAGE: &[u8] = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nHello\r\n";

async fn site(flavour: Flavour) -> Site {
    Site::with(Sandbox::builder().flavour(flavour).user(ALICE).user(BOB).empty_mailboxes().pop3()).await
}

/// The last connection to the provider's POP3 server.
fn last(site: &Site) -> Pop3Session {
    site.sandbox.controls().pop3_sessions().pop().unwrap()
}

/// Waits until the provider's POP3 server has no session.
async fn all_over(site: &Site) {
    site.sandbox.controls().wait_for(|stats| stats.pop3_open == 0).await;
}

async fn refused(site: &Site, settings: &Value) -> String {
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, settings).await;
    assert!(client.command("CAPA").await.starts_with("+OK"), "the connection is kept");
    client.listed().await;
    answer
}

#[tokio::test]
async fn a_password_fetches_and_deletes_mail_byte_for_byte() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let controls = site.sandbox.controls();
        controls.deliver(ALICE, "INBOX", MESSAGE);
        controls.deliver(ALICE, "INBOX", b"Subject: second\r\n\r\nkept\r\n");
        let settings = site.authorize(ALICE).await;
        controls.forbid(settings["password"].as_str().unwrap());
        let serving = site.serve().await;
        let mut client = serving.pop3().await;
        let capabilities = client.list("CAPA").await;
        assert_eq!(
            capabilities,
            ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "USER", "SASL PLAIN"],
            "before the login: what all providers keep"
        );
        let answer = log_in(&mut client, &settings).await;
        let own =
            if flavour == Flavour::Gmail { "+OK Welcome." } else { "+OK User successfully authenticated." };
        assert_eq!(answer, own, "the provider's own words");
        assert!(client.list("CAPA").await.iter().any(|line| line.contains("XOAUTH2")), "behind it: its own");

        let octets = MESSAGE.len() + b"Subject: second\r\n\r\nkept\r\n".len();
        assert_eq!(client.command("STAT").await, format!("+OK 2 {octets}"));
        assert_eq!(client.list("UIDL").await.len(), 2);
        client.send("RETR 1").await;
        let stuffed = b"+OK message follows\r\nSubject: dots\r\n\r\n..\r\n...\r\n..x\r\nHello\r\n.\r\n";
        assert_eq!(client.octets(stuffed.len()).await, stuffed);
        assert_eq!(client.list("TOP 2 0").await, ["Subject: second", ""]);
        assert_eq!(client.command("DELE 1").await, "+OK marked for deletion");
        assert!(client.command("QUIT").await.starts_with("+OK"));
        assert!(client.at_end().await);
        all_over(&site).await;

        assert_eq!(controls.messages(ALICE, "INBOX").len(), 1, "its own QUIT deletes");
        let seen = last(&site);
        assert!(seen.quit && seen.users == [ALICE], "{seen:?}");
        assert!(controls.pop3_logins().iter().all(|login| !login.initial_response), "in two steps");
        site.sandbox.assert_no_violations();
        let (code, log) = serving.stop().await;
        assert!(code == 0 && !log.contains(settings["password"].as_str().unwrap()), "{log}");
        assert!(log.contains("login result=ok protocol=pop3 account=alice@example.com"), "{log}");
    }
}

#[tokio::test]
async fn every_way_to_log_in_works() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap();
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    assert_eq!(client.auth_plain(ALICE, password).await, "+OK Welcome.");
    drop(client);
    let message = sandbox_base64(&format!("\0{ALICE}\0{password}"));
    for (asked, answer) in [("auth plain", "+ "), ("AUTH PLAIN =", "+ ")] {
        all_over(&site).await;
        let mut client = serving.pop3().await;
        assert_eq!(client.command(asked).await, answer);
        assert_eq!(client.command(&message).await, "+OK Welcome.");
    }
    all_over(&site).await;
    let mut client = serving.pop3().await;
    assert_eq!(client.list("AUTH").await, ["PLAIN"]);
    assert_eq!(client.user_pass("Alice@Example.com", password).await, "+OK Welcome.");
}

fn sandbox_base64(text: &str) -> String {
    use base64::Engine as _;
    STANDARD.encode(text)
}

#[tokio::test]
async fn commands_pipelined_behind_the_login_wait_for_its_answer() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        let password = settings["password"].as_str().unwrap();
        let gate = Gate::new();
        controls.next_pop3(Pop3Step::Token, StepFault::Hold(gate.clone()));
        let serving = site.serve().await;
        let mut client = serving.pop3().await;
        client.write(format!("USER {ALICE}\r\nPASS {password}\r\nSTAT\r\nNOOP\r\nQUIT\r\n").as_bytes()).await;
        gate.arrived(1).await;
        assert_eq!(last(&site).heard, ["CAPA", "AUTH XOAUTH2"]);
        gate.open();
        assert_eq!(client.line().await, "+OK Send the password");
        assert!(client.line().await.starts_with("+OK "), "the login's");
        assert_eq!(client.line().await, "+OK 0 0");
        assert_eq!(client.line().await, "+OK");
        assert!(client.line().await.starts_with("+OK") && client.at_end().await, "QUIT's");

        // Commands behind a refused login are answered by the proxy, and do not reach the provider.
        let before = controls.stats().pop3_connections;
        let mut client = serving.pop3().await;
        client.write(format!("USER {ALICE}\r\nPASS wrong\r\nSTAT\r\nQUIT\r\n").as_bytes()).await;
        assert_eq!(client.line().await, "+OK Send the password");
        assert_eq!(client.line().await, "-ERR [AUTH] The user name or the password is wrong");
        assert!(client.line().await.starts_with("-ERR Log in first"));
        assert_eq!(client.line().await, "+OK Closing the connection");
        assert_eq!(controls.stats().pop3_connections, before);
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn security_row_42_nothing_is_fetched_without_a_login_and_apop_is_never_offered() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let before = site.sandbox.controls().stats().pop3_connections;
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    assert!(!client.greeting.contains('<'), "{}", client.greeting);
    assert!(client.command("APOP alice c4c9334bac560ecc979e58001b3e22fb").await.starts_with("-ERR APOP"));
    for line in
        ["STAT", "LIST", "RETR 1", "DELE 1", "NOOP", "RSET", "TOP 1 0", "UIDL", "UTF8", "LANG", "XYZZY"]
    {
        assert!(client.command(line).await.starts_with("-ERR "), "{line}");
    }
    let wrong = client.user_pass(ALICE, "wrong").await;
    let unknown = client.auth_plain("nobody@example.com", "wrong").await;
    assert_eq!(wrong, "-ERR [AUTH] The user name or the password is wrong");
    assert_eq!(wrong, unknown, "one answer for both");
    assert!(client.command("PASS again").await.starts_with("-ERR Say USER"));
    assert_eq!(site.sandbox.controls().stats().pop3_connections, before, "the provider is not asked");
    assert_eq!(log_in(&mut client, &settings).await, "+OK Welcome.");

    let mut client = serving.pop3().await;
    for _ in 0..4 {
        assert!(client.user_pass(ALICE, "wrong").await.starts_with("-ERR [AUTH] "));
    }
    assert!(client.at_end().await);
}

#[tokio::test]
async fn security_row_42_nothing_pipelined_behind_stls_is_interpreted() {
    let listeners =
        "[[listeners]]\nprotocol = \"pop3\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"starttls\"\n";
    let provider = Sandbox::builder().user(ALICE).pop3();
    let site = Site::with_config(provider, listeners).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let (address, tls) = (serving.pop3_of("starttls"), tls_config(&serving.ca_file()));

    let mut client = Client::plain(address).await;
    let capabilities = client.list("CAPA").await;
    assert!(capabilities.contains(&"STLS".to_owned()), "{capabilities:?}");
    assert!(!capabilities.iter().any(|line| line == "USER" || line.starts_with("SASL")), "{capabilities:?}");
    for line in ["USER alice", "PASS x", "AUTH PLAIN AGFsaWNlAHB3", "AUTH"] {
        assert!(client.command(line).await.starts_with("-ERR Say STLS first"), "{line}");
    }
    assert!(client.command("STLS").await.starts_with("+OK"));
    client.begin_tls(&tls).await.unwrap();
    let capabilities = client.list("CAPA").await;
    assert!(!capabilities.contains(&"STLS".to_owned()), "{capabilities:?}");
    assert!(capabilities.contains(&"SASL PLAIN".to_owned()), "{capabilities:?}");
    assert!(client.command("STLS").await.starts_with("-ERR"));
    assert_eq!(log_in(&mut client, &settings).await, "+OK Welcome.");

    let before = site.sandbox.controls().stats().pop3_connections;
    let mut client = Client::plain(address).await;
    client.write(b"STLS\r\nUSER injected\r\nPASS injected\r\n").await;
    assert!(client.line().await.starts_with("+OK"));
    assert!(client.rest().await.is_empty());
    serving.logs("behind STARTTLS").await;
    assert_eq!(site.sandbox.controls().stats().pop3_connections, before);
}

#[tokio::test]
async fn a_cleartext_listener_on_loopback_takes_passwords_and_none_listens_beyond() {
    let listeners =
        "[[listeners]]\nprotocol = \"pop3\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
    let site = Site::with_config(Sandbox::builder().user(ALICE).pop3(), listeners).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = Client::plain(serving.pop3_of("none")).await;
    assert!(client.command("STLS").await.starts_with("-ERR"));
    assert_eq!(log_in(&mut client, &settings).await, "+OK Welcome.");
    site.configure(&listeners.replace("127.0.0.1", "192.0.2.1"));
    let ran = site.run(&["config", "check"]).await;
    assert!(ran.code != 0 && ran.err.contains("would send mail and passwords in clear"), "{ran:?}");
}

#[tokio::test]
async fn a_refused_token_is_refreshed_once_and_tried_on_a_new_connection() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        controls.revoke_access_tokens();
        let before = controls.stats();
        let serving = site.serve().await;
        serving.pop3_as(&settings).await;
        let stats = controls.stats();
        assert_eq!(stats.refreshes - before.refreshes, 1);
        assert_eq!(stats.pop3_connections - before.pop3_connections, 2);
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn a_mailbox_that_refuses_fresh_tokens_is_not_hammered() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let before = controls.stats().refreshes;
    controls.every_pop3(Pop3Step::Token, StepFault::Refuse);
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    for _ in 0..3 {
        let answer = log_in(&mut client, &settings).await;
        assert!(answer.starts_with("-ERR [AUTH] Exchange refused without a reason"), "{answer:?}");
        assert!(answer.len() + 2 <= 512, "{answer:?}");
    }
    assert_eq!(controls.stats().refreshes - before, 1, "one fresh token, then none for a while");
    controls.heal_pop3();
    assert!(log_in(&mut client, &settings).await.starts_with("+OK"));
}

#[tokio::test]
async fn a_token_of_twelve_kilobytes_goes_up_in_two_steps() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let controls = site.sandbox.controls();
        controls.oauth(|oauth| oauth.access_token_length = 12 << 10);
        let settings = site.authorize(ALICE).await;
        let serving = site.serve().await;
        serving.pop3_as(&settings).await;
        let login = controls.pop3_logins().pop().unwrap();
        assert_eq!((login.token.len(), login.initial_response), (12 << 10, false));
    }
}

#[tokio::test]
async fn recent_is_not_part_of_the_name_and_goes_to_the_provider() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap();
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    assert_eq!(client.user_pass(&format!("recent:{ALICE}"), password).await, "+OK Welcome.");
    assert_eq!(last(&site).users, [format!("recent:{ALICE}")]);
    drop(client);
    all_over(&site).await;

    // A provider that does not know the `recent:` prefix.
    site.sandbox.controls().pop3(|pop3| pop3.flavour = Flavour::Exchange);
    let mut client = serving.pop3().await;
    let answer = client.user_pass(&format!("Recent:{ALICE}"), password).await;
    assert!(answer.starts_with("-ERR [AUTH] ") && answer.contains("leave recent: out"), "{answer:?}");
    assert!(log_in(&mut client, &settings).await.starts_with("+OK"), "without it all is well");
    assert_eq!(site.tokens().await.0[0]["last_error"], Value::Null);
}

#[tokio::test]
async fn what_time_heals_is_sys_temp() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    let temporary: [(Pop3Step, StepFault); 8] = [
        (Pop3Step::Greeting, StepFault::Close),
        (Pop3Step::Greeting, StepFault::ReplyAndClose(vec!["-ERR [SYS/TEMP] Too busy".to_owned()])),
        (Pop3Step::Greeting, StepFault::reply("-ERR go away")),
        (Pop3Step::Capa, StepFault::Reset),
        (Pop3Step::Auth, StepFault::Close),
        (Pop3Step::Token, StepFault::Close),
        (
            Pop3Step::Token,
            StepFault::reply("-ERR [SYS/TEMP] Temporary system problem. Please try again later."),
        ),
        (
            Pop3Step::Token,
            StepFault::ReplyAndClose(vec!["-ERR Protocol error. Connection is closed. 10".to_owned()]),
        ),
    ];
    for (step, fault) in temporary {
        controls.next_pop3(step, fault.clone());
        let answer = log_in(&mut client, &settings).await;
        assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{fault:?} at {step:?}: {answer:?}");
        assert!(answer.contains("wait"), "fetchmail takes it for a wrong password: {answer:?}");
    }
    controls.revoke_access_tokens();
    controls.next_token(TokenFault::Drop);
    let answer = log_in(&mut client, &settings).await;
    assert!(
        answer.starts_with("-ERR [SYS/TEMP] ") && answer.contains("wait"),
        "the token endpoint: {answer:?}"
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = site.sandbox.provider_toml_with_pop3_at("sandbox", closed);
    let config = std::fs::read_to_string(&site.config).unwrap();
    let kept = config.split("[providers.").next().unwrap();
    std::fs::write(&site.config, format!("{kept}{table}")).unwrap();
    let answer = refused(&site, &settings).await;
    assert!(answer.starts_with("-ERR [SYS/TEMP] ") && answer.contains(&closed.to_string()), "{answer:?}");
    assert!(answer.contains("wait"), "{answer:?}");
}

#[tokio::test]
async fn a_provider_that_asks_for_a_longer_pause_is_quoted_with_its_code() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    for said in ["-ERR [LOGIN-DELAY] Too often", "-ERR [login-delay/300] Request is throttled"] {
        site.sandbox.controls().next_pop3(Pop3Step::Token, StepFault::reply(said));
        let answer = log_in(&mut client, &settings).await;
        assert!(answer.starts_with("-ERR [LOGIN-DELAY] ") && answer.contains("wait"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_provider_that_hangs_up_behind_its_challenge_has_refused_the_token() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    let challenge = format!("+ {}", STANDARD.encode(r#"{"status":"400","schemes":"Bearer"}"#));
    let refreshes = controls.stats().token_requests;
    controls.next_pop3(Pop3Step::Token, StepFault::ReplyAndClose(vec![challenge.clone()]));
    let mut client = serving.pop3().await;
    assert!(log_in(&mut client, &settings).await.starts_with("+OK"), "with a fresh token");
    assert_eq!(controls.stats().token_requests, refreshes + 1);
    assert!(client.command("QUIT").await.starts_with("+OK"));
    drop(client);
    all_over(&site).await;
    for _ in 0..2 {
        controls.next_pop3(Pop3Step::Token, StepFault::ReplyAndClose(vec![challenge.clone()]));
    }
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, &settings).await;
    assert!(
        answer.starts_with("-ERR [AUTH] ") && answer.contains("authorise the account again"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_a_person_must_mend_has_cause_and_cure_in_one_line() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    for (said, code, cure) in [
        (
            "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and enable your account for POP access.",
            "[SYS/PERM]",
            "Forwarding and POP/IMAP",
        ),
        ("-ERR [SYS/PERM] Account is locked", "[SYS/PERM]", "ask the administrator"),
        (
            "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
            "[AUTH]",
            "https://support.google.com/mail/answer/78754",
        ),
        ("-ERR [IN-USE] locked by another session", "[IN-USE]", "another POP3 session"),
    ] {
        controls.next_pop3(Pop3Step::Token, StepFault::reply(said));
        let mut client = serving.pop3().await;
        let answer = log_in(&mut client, &settings).await;
        assert!(answer.starts_with(&format!("-ERR {code} ")) && answer.contains(cure), "{said}: {answer:?}");
        assert!(answer.len() + 2 <= 512, "{answer:?}");
    }
    controls.revoke_grants(ALICE);
    controls.revoke_access_tokens();
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, &settings).await;
    assert!(
        answer.starts_with(&format!("-ERR [AUTH] Run imap-oauth-proxy authorize {ALICE} : ")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_refused_before_the_token_is_sent() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        let serving = site.serve().await;
        let before = controls.pop3_logins().len();
        for (step, fault) in [
            (Pop3Step::Greeting, StepFault::http()),
            (Pop3Step::Greeting, StepFault::Endless),
            (Pop3Step::Greeting, StepFault::LongLine(1 << 20)),
            (Pop3Step::Greeting, StepFault::reply("* OK IMAP4rev1 ready")),
            (Pop3Step::Capa, StepFault::Lines(100_000)),
            (Pop3Step::Capa, StepFault::LongLine(1 << 20)),
            (Pop3Step::Capa, StepFault::Raw(b"+OK\r\n\x1b[31m\0\x07\r\nSASL \xff\r\n.\r\n".to_vec())),
            (Pop3Step::Auth, StepFault::reply("+OK come in")),
        ] {
            controls.next_pop3(step, fault.clone());
            let mut client = serving.pop3().await;
            let answer = within(&format!("{fault:?}"), log_in(&mut client, &settings)).await;
            assert!(answer.starts_with("-ERR [SYS/"), "{fault:?} at {step:?}: {answer:?}");
            assert!(answer.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{answer:?}");
        }
        controls.pop3(|pop3| pop3.sasl = Some("PLAIN LOGIN".to_owned()));
        let mut client = serving.pop3().await;
        let answer = log_in(&mut client, &settings).await;
        assert!(answer.starts_with("-ERR [SYS/PERM] "), "{answer:?}");
        assert_eq!(controls.pop3_logins().len(), before, "the token stayed here");
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn a_server_of_any_habits_is_signed_in_to() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    for (capa, piece) in [(true, 1), (false, 0)] {
        site.sandbox.controls().pop3(|pop3| {
            pop3.capa = capa;
            pop3.bare_challenge = true;
            pop3.piece = piece;
        });
        serving.pop3_as(&settings).await;
        all_over(&site).await;
    }
    site.sandbox.controls().pop3(|pop3| pop3.strict = false);
    site.sandbox.controls().next_pop3(Pop3Step::Token, StepFault::EndlessChallenges);
    let mut client = serving.pop3().await;
    let answer = within("a verdict", log_in(&mut client, &settings)).await;
    assert!(answer.starts_with("-ERR [SYS/TEMP] "), "{answer:?}");
}

#[tokio::test]
async fn a_provider_behind_stls_is_spoken_to_as_configured() {
    let provider = Sandbox::builder().flavour(Flavour::Yahoo).user(ALICE).pop3_by(Security::StartTls);
    let site = Site::with(provider).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    serving.pop3_as(&settings).await;
    let seen = last(&site);
    assert!(seen.tls && seen.heard == ["STLS", "CAPA", "AUTH XOAUTH2"], "{seen:?}");
    all_over(&site).await;

    site.sandbox
        .controls()
        .pop3(|pop3| pop3.behind_stls = b"+OK injected\r\n-ERR [SYS/PERM] injected\r\n".to_vec());
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, &settings).await;
    // Bytes that are read together with the answer are dropped; if they come later, the handshake fails.
    assert!(answer.starts_with("+OK") || answer.starts_with("-ERR [SYS/TEMP] "), "{answer:?}");
    assert!(!answer.contains("injected"), "{answer:?}");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn one_session_a_mailbox_and_another_waits_for_a_moment() {
    let site = site(Flavour::Gmail).await;
    site.sandbox.controls().pop3(|pop3| pop3.exclusive = true);
    let settings = site.authorize(ALICE).await;
    let other = site.authorize(BOB).await;
    let serving = site.serve().await;
    let mut first = serving.pop3_as(&settings).await;
    // Sessions for reading by IMAP, and those of another mailbox, count separately.
    serving.log_in(&settings).await;
    serving.pop3_as(&other).await;
    let (waiting, ()) = tokio::join!(serving.pop3_as(&settings), async {
        assert!(first.command("QUIT").await.starts_with("+OK"));
        drop(first);
    });
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, &settings).await;
    assert!(answer.starts_with("-ERR [IN-USE] This account has a session open already"), "{answer:?}");
    drop(waiting);
    assert_eq!(log_in(&mut client, &settings).await, "+OK Welcome.");
}

#[tokio::test]
async fn no_quit_is_ever_made_up() {
    let site = site(Flavour::Gmail).await;
    let controls = site.sandbox.controls();
    controls.deliver(ALICE, "INBOX", MESSAGE);
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = serving.pop3_as(&settings).await;
    client.command("DELE 1").await;
    drop(client);
    all_over(&site).await;

    // The proxy stops.
    let mut client = serving.pop3_as(&settings).await;
    client.command("DELE 1").await;
    serving.terminate();
    assert_eq!(serving.meanwhile(client.line()).await, "", "no line that would answer the next command");
    assert!(client.at_end().await);
    drop(client);
    assert_eq!(serving.stop_waited().await, 0);
    all_over(&site).await;

    // A check looks into the mailbox.
    let ran = site.run(&["check", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("the mailbox opens; no message was fetched"), "{ran:?}");
    assert!(last(&site).heard.contains(&"STAT".to_owned()), "{:?}", last(&site));
    let stats = controls.stats();
    assert_eq!((stats.pop3_quits, controls.messages(ALICE, "INBOX").len()), (0, 1));
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_stop_lets_a_message_finish() {
    let site = site(Flavour::Exchange).await;
    let controls = site.sandbox.controls();
    controls.deliver(ALICE, "INBOX", MESSAGE);
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut new = serving.pop3().await;
    let mut fetching = serving.pop3_as(&settings).await;
    controls.inject_pop3(None, b"+OK message follows\r\nSubject: x\r\n");
    assert_eq!(fetching.line().await, "+OK message follows");
    assert_eq!(fetching.line().await, "Subject: x");
    serving.terminate();
    let last_words = new.line().await;
    assert!(last_words.starts_with("-ERR [SYS/TEMP] ") && new.at_end().await, "{last_words:?}");
    // Longer than the pause after which a session is between two answers.
    tokio::time::timeout(std::time::Duration::from_secs(7), fetching.line()).await.unwrap_err();
    controls.inject_pop3(None, b"\r\nthe rest\r\n.\r\n");
    assert_eq!(fetching.listed().await, ["", "the rest"]);
    assert!(fetching.command("QUIT").await.starts_with("+OK"), "and its own QUIT");
    drop((new, fetching));
    assert_eq!(serving.stop_waited().await, 0);
    assert_eq!(controls.stats().pop3_quits, 1);
}

#[tokio::test]
async fn the_providers_end_is_the_clients_end() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.pop3_as(&settings).await;
    site.sandbox.controls().close_pop3(None);
    assert!(client.at_end().await, "and no line is made up");
    drop(client);
    let mut client = serving.pop3_as(&settings).await;
    site.sandbox.controls().next_pop3(Pop3Step::Stat, StepFault::FalseSuccess);
    assert!(client.command("STAT").await.starts_with("+OK"));
    site.sandbox.controls().next_pop3(Pop3Step::Stat, StepFault::reply("-ERR [SYS/TEMP] Try later"));
    assert_eq!(client.command("STAT").await, "-ERR [SYS/TEMP] Try later", "its own words");
}

/// All octets pass, even those that look like an end.
#[tokio::test]
async fn every_sequence_of_cr_lf_and_dots_passes_to_the_client_as_it_is() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.pop3_as(&settings).await;
    let pieces: [&[u8]; 6] = [b"\r", b"\n", b".", b"\0\xff", b"+OK", b"-ERR [AUTH] x"];
    let mut octets = Vec::new();
    for number in 0..6_usize.pow(4) {
        (0..4_u32).for_each(|place| octets.extend_from_slice(pieces[number / 6_usize.pow(place) % 6]));
    }
    for piece in octets.chunks(1000) {
        site.sandbox.controls().inject_pop3(None, piece);
        assert_eq!(client.octets(piece.len()).await, piece);
    }
}

#[tokio::test]
async fn a_gigantic_message_passes_whole() {
    let octets = 32 << 20;
    let builder = Sandbox::builder().user(ALICE).empty_mailboxes().huge_message(ALICE, "INBOX", octets);
    let site = Site::with(builder.pop3()).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.pop3_as(&settings).await;
    assert!(client.command("RETR 1").await.starts_with("+OK"));
    while !client.line().await.is_empty() {}
    let mut seen = 0;
    while seen < octets {
        let chunk = sandbox::pattern::chunk(seen, octets - seen);
        assert!(client.octets(chunk.len()).await == chunk, "at {seen}");
        seen += chunk.len() as u64;
    }
    assert_eq!(client.octets(5).await, b"\r\n.\r\n");
}

#[tokio::test]
async fn what_comes_before_a_login_is_bounded() {
    let site = site(Flavour::Gmail).await;
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    client.write(&vec![b'x'; 100_000]).await;
    assert_eq!(client.line().await, "-ERR Too much before login");
    assert!(client.at_end().await);
    let mut client = serving.pop3().await;
    assert!(client.command("GET / HTTP/1.1").await.starts_with("-ERR ") && client.at_end().await);
    let mut client = serving.pop3().await;
    client.write("NOOP\r\n".repeat(101).as_bytes()).await;
    for _ in 0..100 {
        assert!(client.line().await.starts_with("-ERR Log in first"));
    }
    assert_eq!(client.line().await, "-ERR Too much before login");
    let mut client = serving.pop3().await;
    for line in ["AUTH CRAM-MD5", "AUTH XOAUTH2 x", "AUTH PLAIN !!!", "USER", "PASS x"] {
        assert!(client.command(line).await.starts_with("-ERR "), "{line}");
    }
    assert_eq!(client.command("AUTH PLAIN").await, "+ ");
    assert_eq!(client.command("*").await, "-ERR AUTH cancelled");
    assert_eq!(client.command("quit").await, "+OK Closing the connection");
    assert!(client.at_end().await);
}

#[tokio::test]
async fn who_consents_to_reading_by_imap_alone_is_told_what_pop3_takes() {
    let site = site(Flavour::Exchange).await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let settings = ran.json();
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    let answer = log_in(&mut client, &settings).await;
    let cure = format!("-ERR [AUTH] Run imap-oauth-proxy authorize {ALICE} --protocols imap,pop3 : ");
    assert!(answer.starts_with(&cure) && answer.contains("POP.AccessAsUser.All"), "{answer:?}");
    assert_eq!(site.sandbox.controls().stats().pop3_connections, 0);

    let ran = site.authorize_with(&[ALICE, "--protocols", "imap,pop3"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.json()["protocols"]["pop3"]["port"].is_number(), "{ran:?}");
    assert_eq!(site.tokens().await.0[0]["protocols"], serde_json::json!(["imap", "pop3"]));
    serving.pop3_as(&settings).await;
    serving.log_in(&settings).await;
}

#[tokio::test]
async fn a_password_for_another_door_is_told_apart() {
    let site = site(Flavour::Gmail).await;
    site.authorize(ALICE).await;
    let words = ["passwords", "create", ALICE, "--name", "reader", "--protocols", "imap", "--json"];
    let settings = site.run(&words).await.json();
    let password = settings["password"].as_str().unwrap();
    let serving = site.serve().await;
    let mut client = serving.pop3().await;
    let answer = client.user_pass(ALICE, password).await;
    let cure = "imap-oauth-proxy passwords limit alice@example.com --name reader --protocols imap,pop3";
    assert!(answer.starts_with("-ERR [SYS/PERM] ") && answer.contains(cure), "{answer:?}");
    let ran = site.run(&["passwords", "limit", ALICE, "--name", "reader", "--protocols", "pop3"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(client.user_pass(ALICE, password).await, "+OK Welcome.");
    let imap = serving.client().await.command(&login(&settings_of(password))).await;
    assert!(!imap.tagged.contains(" OK "), "{imap:?}");
}

fn settings_of(password: &str) -> Value {
    serde_json::json!({ "username": ALICE, "password": password })
}

#[tokio::test]
async fn a_shared_mailbox_is_opened_under_its_own_name() {
    let builder = Sandbox::builder().flavour(Flavour::Exchange).user(BOB).shared_mailbox(TEAM, &[BOB]);
    let site = Site::with(builder.pop3()).await;
    let ran = site.authorize_with(&[TEAM, "--owner", BOB], Some(BOB)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    serving.pop3_as(&ran.json()).await;
    assert_eq!(last(&site).users, [TEAM]);
}
