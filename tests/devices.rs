//! Scanners and similar devices, without a password and perhaps without TLS, through the real `serve`: their
//! address identifies them.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::client::tls_config;
use common::plain::Plain;
use common::smtp::Client;
use common::{ALICE, BOB, Serving, Site, within};
use sandbox::{Flavour, Sandbox, Security, Step, StepFault, Vendor};

const MESSAGE: &str = "Subject: Scan 7\r\n\r\n..a page\r\n";

/// A submission listener with this security at this address, with `more` lines in its table.
fn listener(security: &str, address: &str, more: &str) -> String {
    format!(
        "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"{address}:0\"]\nsecurity = \"{security}\"\n{more}\n"
    )
}

/// A device at 127.0.0.1 that sends as `account`.
fn device(account: &str, more: &str) -> String {
    format!("[[listeners.devices]]\nfrom = \"127.0.0.1/32\"\naccount = \"{account}\"\n{more}\n")
}

/// A listener on the network, for the whole machine and with a device at 127.0.0.2.
fn in_clear(account: &str) -> String {
    let more = "from = [\"127.0.0.0/8\"]\nacknowledge_cleartext = true\n";
    let device = device(account, "").replace("127.0.0.1", "127.0.0.2");
    listener("none", "0.0.0.0", more) + &device
}

async fn site(listeners: &str) -> Site {
    let provider = Sandbox::builder().user(ALICE).user(BOB).submission();
    Site::with_config(provider, listeners).await
}

/// The commands of a scanner.
async fn scan(client: &mut Plain, to: &str) -> Vec<String> {
    let mut replies = Vec::new();
    for line in [&format!("MAIL FROM:<{ALICE}>"), &format!("RCPT TO:<{to}>"), "DATA"] {
        client.send(format!("{line}\r\n")).await;
        replies.push(client.line().await);
        if !replies.last().unwrap().starts_with(['2', '3']) {
            return replies;
        }
    }
    client.send(format!("{MESSAGE}.\r\n")).await;
    replies.push(client.line().await);
    replies
}

/// A scanner's connection after the greeting and HELO.
async fn scanner(serving: &Serving) -> Plain {
    let mut client = Plain::connect(serving.submission_of("none")).await;
    assert!(client.line().await.starts_with("220 "));
    client.send("HELO SCANNER_2\r\n").await;
    assert_eq!(client.line().await, "250 imap-oauth-proxy.localhost");
    client
}

/// The answer to the MAIL of a new connection, which sends nothing more.
async fn begun(serving: &Serving) -> String {
    let mut client = scanner(serving).await;
    client.send(format!("MAIL FROM:<{ALICE}>\r\n")).await;
    client.line().await
}

/// The answer to the MAIL of a new connection, which sends a message if it may.
async fn asked(serving: &Serving) -> String {
    scan(&mut scanner(serving).await, BOB).await.remove(0)
}

fn codes(replies: &[String]) -> Vec<&str> {
    replies.iter().map(|reply| &reply[..3]).collect()
}

#[tokio::test]
async fn a_scanner_that_knows_helo_mail_rcpt_and_data_sends() {
    let site = site(&(listener("none", "127.0.0.1", "") + &device(ALICE, ""))).await;
    site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = scanner(&serving).await;
    for line in ["NOOP", "RSET"] {
        client.send(format!("{line}\r\n")).await;
        assert!(client.line().await.starts_with("250 2.0.0 "));
    }
    for _ in 0..3 {
        assert_eq!(codes(&scan(&mut client, BOB).await), ["250", "250", "354", "250"]);
    }
    let ran = site.run(&["sessions", "list", "--json"]).await;
    let session = &ran.json()[0];
    assert_eq!((&session["account"], &session["from"]), (&ALICE.into(), &"127.0.0.1".into()), "{session}");
    assert!(session["password"].is_null() && session["client_id"] == "SCANNER_2", "{session}");
    client.send("QUIT\r\n").await;
    assert!(client.line().await.starts_with("221 "));

    let sent = site.sandbox.controls().sent();
    assert_eq!(sent.len(), 3);
    assert_eq!((sent[0].user.as_str(), sent[0].from.as_str()), (ALICE, ALICE));
    assert_eq!(sent[0].data, MESSAGE.as_bytes(), "byte for byte, dots included");
    site.sandbox.assert_no_violations();
    let line = serving.said("login result=").await;
    assert!(line.contains("login result=ok protocol=submission account=alice@example.com from=127.0.0.1 password=- fingerprint=- "), "{line}");
    assert_eq!(scan(&mut Plain::connect(serving.submission_of("none")).await, BOB).await.len(), 4, "no HELO");
}

#[tokio::test]
async fn security_row_43_under_tls_and_after_starttls_a_device_needs_no_login_either() {
    let device = device(ALICE, "");
    let both = listener("tls", "127.0.0.1", "") + &device + &listener("starttls", "127.0.0.1", "") + &device;
    let site = site(&both).await;
    site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let tls = tls_config(&serving.ca_file());
    for mut client in [
        Client::connect(serving.submission_of("tls"), &tls).await,
        Client::starttls(serving.submission_of("starttls"), &tls).await,
    ] {
        assert_eq!(client.ehlo().await.code(), 250);
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE.as_bytes()).await.code(), 250);
        assert_eq!(client.command("QUIT").await.code(), 221);
    }
    let mut client = Client::plain(serving.submission_of("starttls")).await;
    assert_eq!(client.command(&format!("MAIL FROM:<{ALICE}>")).await.code(), 530);
    drop(client);
    serving.said("the device at 127.0.0.1/32 sent MAIL without STARTTLS").await;
    let mut client = Client::plain(serving.submission_of("starttls")).await;
    let reply = client.command(&format!("MAIL FROM:<{ALICE}>")).await;
    assert_eq!(
        reply.text(),
        "5.7.0 Say STARTTLS first: switch TLS on in the device, which then needs no login",
        "nothing in clear"
    );
    assert_eq!(client.command("STARTTLS").await.code(), 220);
    client.begin_tls(&tls).await.unwrap();
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE.as_bytes()).await.code(), 250, "as it was told");
    assert_eq!(client.command("QUIT").await.code(), 221);
    let (_, log) = serving.stop().await;
    assert_eq!(log.matches("sent MAIL without STARTTLS").count(), 1, "not of the one that began TLS: {log}");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_43_in_clear_a_password_opens_only_where_it_is_for_that_alone() {
    let site = site(&in_clear(BOB)).await;
    let settings = site.authorize(ALICE).await;
    let ran = site
        .run(&["passwords", "create", ALICE, "--name", "fax", "--protocols", "submission", "--json"])
        .await;
    let limited = ran.json()["password"].as_str().unwrap().to_owned();
    let serving = site.serve().await;
    let mut client = Client::plain(serving.submission_of("none")).await;
    assert_eq!(client.ehlo().await.listed("AUTH"), Some("PLAIN LOGIN"));
    let reply = client.command(&format!("MAIL FROM:<{ALICE}>")).await;
    assert!(reply.starts_with("530 5.7.0 "), "a foreign address: {reply:?}");
    let reply = client.auth_plain(ALICE, settings["password"].as_str().unwrap()).await;
    assert!(reply.starts_with("535 5.7.8 "), "{reply:?}");
    let text = reply.text();
    assert!(
        text.contains("opens more than SMTP submission, and was sent in clear: revoke it, and run"),
        "{text}"
    );
    assert!(text.contains(&format!("passwords create {ALICE} --name NAME --protocols submission")), "{text}");
    assert_eq!(client.auth_plain(ALICE, &limited).await.code(), 235);
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE.as_bytes()).await.code(), 250);
    let (_, log) = serving.stop().await;
    assert!(log.contains("result=refused") && log.contains("reason=wrong_door"), "{log}");
}

#[tokio::test]
async fn security_row_43_a_device_is_bound_to_its_address() {
    let site = site(&in_clear(ALICE)).await;
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    let address = serving.submission_of("none");
    for (from, code) in [("127.0.0.1", "530"), ("127.0.0.3", "530"), ("127.0.0.2", "250")] {
        let mut client = Plain::connect_from(from, address).await;
        client.line().await;
        assert_eq!(scan(&mut client, BOB).await[0][..3], *code, "{from}");
    }
    assert_eq!(site.sandbox.controls().sent().len(), 1);
}

#[tokio::test]
async fn security_row_43_one_message_too_many_waits_over_restarts_too() {
    let of = |messages: u32| {
        listener("none", "127.0.0.1", "") + &device(ALICE, &format!("messages_per_hour = {messages}"))
    };
    let site = site(&of(3)).await;
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = scanner(&serving).await;
    assert_eq!(scan(&mut client, BOB).await.len(), 4);
    let mut client = scanner(&serving).await;
    for _ in 0..3 {
        assert_eq!(scan(&mut client, BOB).await.len(), 4, "what has begun goes on");
    }
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.1 This device has sent 3 messages within an hour"), "{reply}");
    let (_, log) = serving.stop().await;
    assert!(log.contains("result=failed") && log.contains("reason=device_limit"), "{log}");

    let serving = site.serve().await;
    assert!(asked(&serving).await.starts_with("451 4.7.1 "));
    serving.kill().await;
    let serving = site.serve().await;
    assert!(asked(&serving).await.starts_with("451 4.7.1 "));
    site.configure(&of(5));
    assert_eq!(site.run(&["reload"]).await.code, 0);
    assert!(asked(&serving).await.starts_with("250 "));
    assert_eq!(site.sandbox.controls().sent().len(), 5);
}

#[tokio::test]
async fn security_row_43_sessions_without_a_message_are_bounded_apart() {
    let site = site(&(listener("none", "127.0.0.1", "") + &device(ALICE, "messages_per_hour = 1"))).await;
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    for _ in 0..10 {
        assert!(begun(&serving).await.starts_with("250 "));
    }
    let reply = begun(&serving).await;
    assert!(reply.starts_with("451 4.7.1 This device has begun far more sessions"), "{reply}");
    assert_eq!(site.sandbox.controls().sent().len(), 0);
}

/// BDAT (RFC 3030) has no `354`. It is not offered to a device, and both big providers take it.
#[tokio::test]
async fn security_row_43_messages_that_come_by_bdat_count_like_others() {
    let of = |messages: u32| {
        listener("none", "127.0.0.1", "") + &device(ALICE, &format!("messages_per_hour = {messages}"))
    };
    for flavour in [Flavour::Gmail, Flavour::Exchange] {
        let provider = Sandbox::builder().flavour(flavour).user(ALICE).user(BOB);
        let site = Site::with_config(provider.submission_by(Security::StartTls), &of(5)).await;
        site.authorize(ALICE).await;
        let serving = site.serve().await;
        let mail = format!("MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n");
        let mut client = scanner(&serving).await;
        // All of it pipelined, in one chunk and in three, the last of which is empty.
        let chunks = "BDAT 10\r\nSubject: BBDAT 10\r\n\r\n\r\nBDAT\r\nBDAT 0 LAST\r\n";
        for (body, replies) in [("BDAT 14 LAST\r\nSubject: A\r\n\r\n", 3), (chunks, 5)] {
            client.send(format!("{mail}{body}")).await;
            for _ in 0..replies {
                let reply = client.line().await;
                assert!(reply.starts_with("250 "), "{reply}");
            }
        }
        // Refused, and then one by DATA.
        client.send(format!("{mail}RSET\r\nBDAT 3 LAST\r\nx\r\n")).await;
        for code in ["250", "250", "250", "503"] {
            assert_eq!(client.line().await[..3], *code);
        }
        assert_eq!(scan(&mut client, BOB).await.len(), 4);
        assert_eq!(site.sandbox.controls().sent().len(), 3);
        assert!(asked(&serving).await.starts_with("250 "), "three of five");
        for _ in 0..4 {
            assert!(begun(&serving).await.starts_with("250 "), "a session without a message does not count");
        }
        assert!(asked(&serving).await.starts_with("250 "), "four of five");
        let reply = asked(&serving).await;
        assert!(reply.starts_with("451 4.7.1 This device has sent 5 messages within an hour"), "{reply}");
    }
}

#[tokio::test]
async fn security_row_43_whatever_is_wrong_a_device_keeps_its_message() {
    let site = site(&(listener("none", "127.0.0.1", "") + &device(ALICE, ""))).await;
    let mut serving = site.serve().await;
    serving.said("the device at 127.0.0.1/32: There is no account alice@example.com").await;
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 There is no account alice@example.com"), "{reply}");
    assert!(reply.ends_with("run imap-oauth-proxy authorize alice@example.com"), "{reply}");
    serving.said("reason=misconfigured").await;

    site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    assert_eq!(site.run(&["accounts", "disable", ALICE]).await.code, 0);
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 The account alice@example.com is disabled"), "{reply}");
    assert_eq!(site.run(&["accounts", "enable", ALICE]).await.code, 0);

    controls.every_step(Step::Token, StepFault::Refuse);
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 "), "a 535 for a mail program: {reply}");
    controls.heal_steps();
    assert_eq!(asked(&serving).await[..3], *"250");

    // The same connection may try again.
    controls.every_step(Step::Token, StepFault::Refuse);
    let mut client = scanner(&serving).await;
    assert_eq!(codes(&scan(&mut client, BOB).await), ["451"]);
    controls.heal_steps();
    assert_eq!(scan(&mut client, BOB).await.len(), 4);

    assert_eq!(site.run(&["tokens", "revoke", ALICE]).await.code, 0);
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 ") && reply.contains("authorize alice@example.com"), "{reply}");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_43_a_grant_that_does_not_send_lets_no_device_in() {
    let listeners = listener("none", "127.0.0.1", "") + &device(ALICE, "");
    let provider =
        Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).submission_by(Security::StartTls);
    let site = Site::with_config(provider, &listeners).await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 ") && reply.contains("--protocols imap,submission"), "{reply}");
    assert!(site.sandbox.controls().submission_logins().is_empty(), "no token was spent on it");
}

#[tokio::test]
async fn security_row_43_a_devices_session_ends_with_what_let_it_in() {
    let site = site(&(listener("none", "127.0.0.1", "") + &device(ALICE, ""))).await;
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    for command in [
        &["sessions", "close", ALICE][..],
        &["accounts", "disable", ALICE],
        &["tokens", "revoke", ALICE],
        &["accounts", "remove", ALICE],
    ] {
        let mut client = scanner(&serving).await;
        assert_eq!(scan(&mut client, BOB).await.len(), 4, "{command:?}");
        let ran = site.run(command).await;
        assert_eq!(ran.code, 0, "{command:?}: {ran:?}");
        let last = within("the last word", client.line()).await;
        assert!(last.starts_with("421 4.3.2 "), "{command:?}: {last}");
        assert_eq!(client.line().await, "", "{command:?}");
        // Wait for the next one.
        site.run(&["accounts", "enable", ALICE]).await;
        site.authorize(ALICE).await;
    }
}

/// Row 27: an application's grant may open many mailboxes, so its account is open only while it has a password.
#[tokio::test]
async fn security_row_27_a_device_opens_an_applications_account_by_its_own_name_and_while_that_has_a_password()
 {
    let listeners = listener("none", "127.0.0.1", "") + &device(ALICE, "");
    let application = sandbox::Client {
        id: "application".to_owned(),
        secret: Some("application-secret".to_owned()),
        redirect_uris: Vec::new(),
        installed: false,
        keys: Vec::new(),
    };
    let provider = Sandbox::builder()
        .flavour(Flavour::Exchange)
        .vendor(Vendor::Microsoft)
        .user(ALICE)
        .user(BOB)
        .client(application)
        .submission_by(Security::StartTls);
    let site = Site::with_config(provider, &listeners).await;
    site.configure_provider("app_scopes = [\"https://outlook.office365.com/.default\"]");
    let ran = site.run(&["authorize", "@example.com", "--app", "--probe", BOB]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    let reply = asked(&serving).await;
    assert!(reply.starts_with("451 4.7.0 A device needs an account of its own"), "{reply}");
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(asked(&serving).await[..3], *"250");
    assert_eq!(site.sandbox.controls().sent()[0].user, ALICE);
    assert_eq!(site.run(&["passwords", "revoke", ALICE, "default"]).await.code, 0);
    let reply = asked(&serving).await;
    assert!(
        reply.starts_with("451 4.7.0 ") && reply.contains("has no app password, which closes it"),
        "{reply}"
    );
}
