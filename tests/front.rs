//! Listeners: every way to connect, the answers to strangers, and a mail program's answers when the provider
//! misbehaves. All tests run the real binary.

#![allow(clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::{Client, tls};
use common::{ALICE, Site, login};
use sandbox::{Flavour, Gate, Greeting, LoginFault, Sandbox, TokenFault};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

const ALL_LISTENERS: &str = r#"
[[listeners]]
addresses = ["127.0.0.1:0", "[::1]:0"]

[[listeners]]
addresses = ["127.0.0.1:0"]
security = "starttls"

[[listeners]]
addresses = ["127.0.0.1:0"]
security = "none"
"#;

async fn site() -> Site {
    Site::with_config(Sandbox::builder(), ALL_LISTENERS).await
}

// The listeners.

#[tokio::test]
async fn security_row_8_starttls_asks_for_no_password_before_it_and_starts_anew_behind_it() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;

    let mut client = serving.plain("starttls").await;
    let greeting = client.line().await;
    assert!(greeting.contains(" STARTTLS LOGINDISABLED]") && !greeting.contains("AUTH="), "{greeting}");
    for refused in [&login(&settings), "LOGIN {5}", "AUTHENTICATE PLAIN", "AUTHENTICATE LOGIN"] {
        let answer = client.command(refused).await;
        assert!(answer.refused_with("PRIVACYREQUIRED") && answer.untagged.is_empty(), "{answer:?}");
    }
    assert!(client.command("STARTTLS").await.is_ok());

    let mut client = Client::upgraded(client.into_tls(&serving.ca_file()).await.unwrap());
    let capability = client.command("CAPABILITY").await;
    let list = &capability.untagged[0];
    assert!(
        list.contains("AUTH=PLAIN") && !list.contains("STARTTLS") && !list.contains("LOGINDISABLED"),
        "{list}"
    );
    assert!(client.command(&login(&settings)).await.is_ok());
    assert!(client.command("SELECT INBOX").await.is_ok());
}

#[tokio::test]
async fn security_row_8_bytes_behind_starttls_are_never_interpreted() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;

    let authorized = site.sandbox.controls().stats().logins;
    let mut client = serving.plain("starttls").await;
    client.line().await;
    client.send(format!("a STARTTLS\r\nb {}\r\n", login(&settings))).await;
    assert_eq!(client.rest().await, "a OK Begin TLS negotiation now\r\n");
    serving.logs("bytes came in cleartext behind STARTTLS").await;
    assert_eq!(site.sandbox.controls().stats().logins, authorized);
}

#[tokio::test]
async fn cleartext_is_for_loopback_alone() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.plain("none").await;
    let greeting = client.line().await;
    assert!(greeting.contains("AUTH=PLAIN") && !greeting.contains("STARTTLS"), "{greeting}");
    assert!(client.command(&login(&settings)).await.is_ok());
    assert!(client.command("SELECT INBOX").await.is_ok());

    site.configure("[[listeners]]\naddresses = [\"0.0.0.0:0\"]\nsecurity = \"none\"\n");
    let ran = site.run(&["serve"]).await;
    assert!(ran.code != 0 && ran.err.contains("in clear over the network"), "{ran:?}");
}

#[tokio::test]
async fn ipv6_and_a_client_that_speaks_before_the_greeting_get_in() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let listeners = serving.ready["listeners"].as_array().unwrap();
    let address =
        listeners.iter().find_map(|listener| listener["address"].as_str().filter(|a| a.starts_with('[')));

    let tcp = TcpStream::connect(address.expect("an IPv6 listener")).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = tls(&serving.ca_file()).connect(name, tcp).await.unwrap();
    stream.write_all(format!("early {}\r\n", login(&settings)).as_bytes()).await.unwrap();
    let mut client = Client::upgraded(stream);
    assert!(client.line().await.starts_with("* OK "));
    assert!(client.answer("early").await.is_ok());
}

#[tokio::test]
async fn a_client_with_the_wrong_setting_gets_a_quick_end_and_the_log_a_plain_sentence() {
    let site = site().await;
    let mut serving = site.serve().await;

    let mut client = serving.plain("tls").await;
    client.send("a LOGIN alice secret\r\n").await;
    let said = client.rest().await;
    assert!(said.starts_with("* BYE [PRIVACYREQUIRED] This port speaks TLS"), "{said}");
    serving.logs("spoke cleartext on a TLS port; set its connection security to SSL/TLS").await;

    let mut browser = serving.plain("tls").await;
    browser.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(browser.rest().await, "");
    serving.logs("the client spoke HTTP").await;

    let mut browser = serving.plain("none").await;
    browser.line().await;
    browser.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(browser.rest().await, "* BYE This is an IMAP server\r\n");
    serving.logs("an HTTP request came to an IMAP port").await;

    for security in ["starttls", "none"] {
        let client = serving.plain(security).await;
        assert!(client.into_tls(&serving.ca_file()).await.is_err());
        serving.logs("a TLS handshake came to a port without implicit TLS").await;
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_greeting_in_cleartext_is_told_before_long() {
    // The limit is fifteen seconds, or `login_seconds` if that is shorter.
    let site = Site::with_config(Sandbox::builder(), "[limits]\nlogin_seconds = 5\n").await;
    let mut serving = site.serve().await;
    let mut client = serving.plain("tls").await;
    let said = client.rest().await;
    assert!(said.starts_with("* BYE [PRIVACYREQUIRED] This port speaks TLS"), "{said}");
    serving.logs("if it waits for a greeting, set its connection security").await;
}

#[tokio::test]
async fn after_logout_the_end_is_orderly() {
    let site = site().await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    client.send("a LOGOUT\r\nb NOOP\r\n").await;
    assert!(client.answer("a").await.is_ok());
    // The end is close_notify, not a reset, although the server left bytes unread.
    assert_eq!(client.next_line().await, None);
}

#[tokio::test]
async fn every_way_in_leads_to_the_mailbox() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap();
    let serving = site.serve().await;
    let plain = STANDARD.encode(format!("\0{ALICE}\0{password}"));
    let equal = STANDARD.encode(format!("{ALICE}\0{ALICE}\0{password}"));
    let (name, word) = (STANDARD.encode(ALICE), STANDARD.encode(password));
    let (a, p) = (ALICE.len(), password.len());
    for said in [
        format!("a LOGIN {ALICE} {password}\r\n"),
        format!("a login \"Alice@Example.COM\" \"{password}\" \n"),
        format!("a LOGIN {{{a}+}}\r\n{ALICE} {{{p}+}}\r\n{password}\r\n"),
        format!("a LOGIN {{{a}}}\r\n{ALICE} {{{p}}}\r\n{password}\r\n"),
        format!("a AUTHENTICATE PLAIN {plain}\r\n"),
        format!("a authenticate plain\r\n{plain}\r\n"),
        format!("a AUTHENTICATE PLAIN {equal}\r\n"),
        format!("a AUTHENTICATE LOGIN\r\n{name}\r\n{word}\r\n"),
        format!("a AUTHENTICATE LOGIN {name}\r\n{word}\r\n"),
        format!("n NOOP\r\na LOGIN {ALICE} {password}\r\nb SELECT INBOX\r\n"),
    ] {
        let mut client = serving.plain("none").await;
        client.send(&said).await;
        let answer = client.answer("a").await;
        assert!(answer.is_ok(), "{said:?}: {answer:?}");
        if said.contains("SELECT") {
            assert!(client.answer("b").await.is_ok());
        }
    }
}

// Strangers' input.

#[tokio::test]
async fn security_row_1_nothing_up_to_the_end_of_the_login_reaches_the_provider() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let password = settings["password"].as_str().unwrap();
    for secret in [password, "canary-in-an-id", "canary-in-a-wrong-password", "canary-in-a-literal"] {
        site.sandbox.controls().forbid(secret);
    }
    let serving = site.serve().await;
    let mut client = serving.plain("none").await;
    client.send("a ID (\"name\" \"canary-in-an-id\")\r\n").await;
    client.send(format!("b LOGIN {ALICE} canary-in-a-wrong-password\r\n")).await;
    client.send("c LOGIN nobody {19+}\r\ncanary-in-a-literal\r\n").await;
    client.send(format!("d AUTHENTICATE PLAIN {}\r\n", STANDARD.encode("\0x\0canary-in-a-literal"))).await;
    client.send(format!("e {}\r\nf NOOP\r\n", login(&settings))).await;
    assert!(client.answer("e").await.is_ok());
    assert!(client.answer("f").await.is_ok());
    // In strict mode the sandbox accepts only CAPABILITY and AUTHENTICATE, and no bytes behind them before
    // its OK.
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_5_and_14_a_login_name_writes_neither_into_the_log_nor_into_an_answer() {
    let site = site().await;
    let mut serving = site.serve().await;
    let name = "a@b\x01auth=Bearer X\x1b[2J\r\n2026 INFO forged";
    let mut client = serving.plain("none").await;
    client.send(format!("a LOGIN {{{}+}}\r\n{name} wrong\r\n", name.len())).await;
    let answer = client.answer("a").await;
    assert!(answer.refused_with("AUTHENTICATIONFAILED") && !answer.tagged.contains("auth"), "{answer:?}");
    let line = serving.logs("result=refused").await;
    let name = " account=a@b?auth?Bearer?X??2J??2026?INFO?forged from=127.0.0.1 password=- fingerprint=";
    assert!(line.contains(name), "one line, and nothing in it that a terminal obeys: {line}");
    assert!(line.contains(" client=- provider=- ms=") && line.ends_with(" reason=wrong_password"), "{line}");
    assert_eq!(site.sandbox.controls().stats().connections, 0, "nobody was asked");
}

// The deadline.

#[tokio::test]
async fn security_row_3_a_provider_that_stalls_at_any_step_still_means_a_tagged_answer_in_time() {
    let (tcp, greeting, verdict, token) = tokio::join!(
        stalled(|_| {}, true),
        stalled(|site| site.sandbox.controls().imap(|switches| switches.greeting = Greeting::Silence), false),
        stalled(|site| site.sandbox.controls().every_login(LoginFault::Silence), false),
        stalled(
            |site| {
                site.sandbox.controls().revoke_access_tokens();
                site.sandbox.controls().every_token(TokenFault::Hold(Gate::new()));
            },
            false
        ),
    );
    for said in [tcp, greeting, verdict] {
        assert!(said.contains("mail server") && said.contains("did not answer in time"), "{said}");
    }
    assert!(token.contains("sign-in service did not answer in time"), "{token}");
}

/// The answer to a login when the provider stalls in this way. `without_tls`: it accepts TCP and sends
/// nothing.
async fn stalled(how: impl FnOnce(&Site), without_tls: bool) -> String {
    let site = Site::with_config(Sandbox::builder(), "[limits]\nlogin_seconds = 8\n").await;
    let settings = site.authorize(ALICE).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    if without_tls {
        let text = std::fs::read_to_string(&site.config).unwrap();
        let here = silent.local_addr().unwrap().to_string();
        std::fs::write(&site.config, text.replace(&site.sandbox.imap_address().to_string(), &here)).unwrap();
    }
    how(&site);
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let login = client.command(&login(&settings)).await;
    assert!(login.refused_with("UNAVAILABLE"), "{login:?}");
    assert!(client.command("NOOP").await.is_ok(), "the connection is kept");
    assert!(client.line().await.starts_with("* BYE [UNAVAILABLE] "), "until the deadline");
    assert!(client.is_closed().await);
    login.tagged
}

#[tokio::test]
async fn a_command_that_waits_at_the_deadline_has_its_tagged_answer() {
    let site = Site::with_config(Sandbox::builder(), "[limits]\nlogin_seconds = 5\n").await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    client.send("a AUTHENTICATE PLAIN\r\n").await;
    assert_eq!(client.line().await, "+ ");
    let answer = client.answer("a").await;
    assert!(answer.refused_with("UNAVAILABLE"), "{answer:?}");
    assert!(client.line().await.starts_with("* BYE "));
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_login_under_way_has_its_answer_when_the_proxy_stops() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let gate = Gate::new();
    site.sandbox.controls().every_login(LoginFault::Hold(gate.clone()));
    let serving = site.serve().await;
    let mut client = serving.client().await;
    client.send(format!("a {}\r\n", login(&settings))).await;
    gate.arrived(1).await;
    serving.terminate();
    assert!(client.answer("a").await.refused_with("UNAVAILABLE"));
    assert!(client.line().await.starts_with("* BYE [UNAVAILABLE] "));
    assert_eq!(serving.stop_waited().await, 0);
}

// Providers that misbehave.

#[tokio::test]
async fn security_row_9_no_greeting_but_ok_counts_and_the_connection_survives() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    for greeting in [
        Greeting::Preauth,
        Greeting::Bye("Too busy".to_owned()),
        Greeting::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        Greeting::Raw(b"\0\xff\x16\x03\r\n".to_vec()),
        Greeting::Endless,
        Greeting::LongLine(100 << 20),
        Greeting::Close,
    ] {
        site.sandbox.controls().imap(|switches| switches.greeting = greeting.clone());
        let answer = client.command(&login(&settings)).await;
        assert!(answer.refused_with("UNAVAILABLE") && answer.untagged.is_empty(), "{greeting:?}: {answer:?}");
    }
    site.sandbox.controls().imap(|switches| switches.greeting = Greeting::Normal);
    assert!(client.command(&login(&settings)).await.is_ok());
    site.sandbox.assert_no_violations();
    let most = serving.process().most_resident();
    assert!(most < 96 << 10, "{most} KiB for a line of 100 MiB");
}

#[tokio::test]
async fn security_row_9_only_our_own_tag_ends_the_exchange_and_whatever_else_comes_is_survived() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let lines = |lines: &[&str]| LoginFault::Lines(lines.iter().map(ToString::to_string).collect());
    for (fault, code) in [
        (lines(&["zz9 OK Success", "{tag} NO [UNAVAILABLE] Busy"]), "UNAVAILABLE"),
        (lines(&["{tag} BAD Command received in Invalid state."]), "UNAVAILABLE"),
        (lines(&["* BYE Server Unavailable. 15"]), "UNAVAILABLE"),
        (LoginFault::Close, "UNAVAILABLE"),
        (LoginFault::Reset, "UNAVAILABLE"),
        (LoginFault::Endless, "UNAVAILABLE"),
        (LoginFault::EndlessChallenges, "UNAVAILABLE"),
        (LoginFault::LongLine(100 << 20), "UNAVAILABLE"),
        (lines(&["{tag} NO [CONTACTADMIN] Ask somebody"]), "CONTACTADMIN"),
        (
            lines(&[
                "* NO [WEBALERT https://accounts.example/x] Web login required.",
                "{tag} NO [ALERT] Please log in via your web browser",
            ]),
            "CONTACTADMIN",
        ),
    ] {
        site.sandbox.controls().next_login(fault.clone());
        let answer = client.command(&login(&settings)).await;
        assert!(answer.refused_with(code) && !answer.tagged.contains("OK Success"), "{fault:?}: {answer:?}");
    }
    site.sandbox.controls().heal_logins();
    assert!(client.command(&login(&settings)).await.is_ok());
    let most = serving.process().most_resident();
    assert!(most < 96 << 10, "{most} KiB for a line of 100 MiB");
}

#[tokio::test]
async fn security_row_3_the_challenge_stays_here_and_the_client_gets_one_tagged_no() {
    for flavour in [Flavour::Gmail, Flavour::Exchange, Flavour::OauthbearerOnly] {
        let site = Site::with(Sandbox::builder().flavour(flavour)).await;
        let settings = site.authorize(ALICE).await;
        site.sandbox.controls().every_login(LoginFault::Refuse);
        let serving = site.serve().await;
        let mut client = serving.client().await;
        let answer = client.command(&login(&settings)).await;
        assert!(answer.tagged.starts_with("NO [") && answer.untagged.is_empty(), "{answer:?}");
        assert!(client.command("NOOP").await.is_ok());
        // The sandbox ends a session that does not answer a challenge as its mechanism requires.
        site.sandbox.assert_no_violations();
    }
}

// Exchange Online.

async fn exchange(flavour: Flavour) -> (Site, serde_json::Value) {
    let site = Site::with(Sandbox::builder().flavour(flavour).user(ALICE)).await;
    let settings = site.authorize(ALICE).await;
    (site, settings)
}

async fn last_error(site: &Site) -> String {
    site.tokens().await.0[0]["last_error"].as_str().unwrap_or_default().to_owned()
}

/// Waits for a trouble to be written, which a session does beside its log line.
async fn comes_to_say(site: &Site, text: &str) {
    let written = async { while !last_error(site).await.contains(text) {} };
    let written = tokio::time::timeout(sandbox::PATIENCE, written).await;
    assert!(written.is_ok(), "{text:?} is not in {:?}", last_error(site).await);
}

#[tokio::test]
async fn exchange_with_logindisabled_is_signed_in_to_all_the_same() {
    let (site, settings) = exchange(Flavour::ExchangeLoginDisabled).await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let answer = client.command(&login(&settings)).await;
    assert!(answer.is_ok() && answer.untagged.is_empty(), "no capabilities, as Exchange: {answer:?}");
    assert!(client.command("SELECT INBOX").await.is_ok());
}

#[tokio::test]
async fn a_flat_no_of_exchange_becomes_a_cause_and_a_remedy() {
    let (site, settings) = exchange(Flavour::Exchange).await;
    site.sandbox.controls().every_login(LoginFault::Refuse);
    let mut serving = site.serve().await;
    let answer = serving.client().await.command(&login(&settings)).await;
    assert!(answer.tagged.contains("Exchange refused without a reason"), "{answer:?}");
    serving.logs("check the mailbox in the Exchange admin centre").await;
    assert!(last_error(&site).await.contains("Exchange refused without a reason"));
}

#[tokio::test]
async fn authenticated_but_not_connected_is_told_while_the_session_goes_on() {
    let (site, settings) = exchange(Flavour::Exchange).await;
    site.sandbox.controls().next_login(LoginFault::FalseSuccess);
    let mut serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    let select = client.command("SELECT INBOX").await;
    assert!(select.tagged.contains("User is authenticated but not connected"), "{select:?}");
    serving.logs("does not open the mailbox; check the mailbox name").await;
    comes_to_say(&site, "check the mailbox name").await;
    // A successful login clears the trouble.
    serving.log_in(&settings).await;
    assert_eq!(last_error(&site).await, "");
}

#[tokio::test]
async fn a_session_that_ends_with_its_token_says_so() {
    let (site, settings) = exchange(Flavour::Exchange).await;
    let mut serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    site.sandbox.controls().expire_access_tokens();
    assert_eq!(client.line().await, "* BYE Session invalidated - AccessTokenExpired");
    serving.logs("The session ended with its access token").await;
    comes_to_say(&site, "log in again").await;
}

#[tokio::test]
async fn too_many_connections_at_the_provider_is_not_a_wrong_password() {
    for flavour in [Flavour::Gmail, Flavour::Exchange, Flavour::Yahoo] {
        let (site, settings) = exchange(flavour).await;
        site.sandbox.controls().imap(|switches| switches.max_sessions_per_user = Some(1));
        let serving = site.serve().await;
        let mut first = serving.log_in(&settings).await;
        let mut second = serving.client().await;
        let answer = second.command(&login(&settings)).await;
        let code = if flavour == Flavour::Exchange { "UNAVAILABLE" } else { "LIMIT" };
        assert!(answer.refused_with(code), "{answer:?}");
        assert!(!last_error(&site).await.is_empty());
        assert!(first.command("NOOP").await.is_ok());
    }
}

#[tokio::test]
async fn the_gate_keeps_below_the_providers_limit_with_a_short_queue() {
    let site = Site::new().await;
    site.configure_provider("max_connections_per_account = 2");
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut first = serving.log_in(&settings).await;
    let mut second = serving.log_in(&settings).await;

    let mut third = serving.client().await;
    third.send(format!("a {}\r\n", login(&settings))).await;
    first.command("LOGOUT").await;
    assert!(first.is_closed().await);
    drop(first);
    assert!(third.answer("a").await.is_ok(), "it waited for the first to leave");

    let mut fourth = serving.client().await;
    let began = Instant::now();
    let answer = fourth.command(&login(&settings)).await;
    assert!(answer.refused_with("LIMIT") && answer.tagged.contains("has 2 connections open"), "{answer:?}");
    assert!(began.elapsed() >= Duration::from_secs(5), "it waited for somebody to leave");
    assert!(second.command("NOOP").await.is_ok() && third.command("NOOP").await.is_ok());
    assert_eq!(site.sandbox.controls().stats().max_logged_in, 2);
}
