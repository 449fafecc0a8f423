//! The IMAP dialogues over in-memory pipes: the driver, the hand-over, and many sessions at once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod pipe;

use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::imap::client::Dialogue;
use imap_oauth_proxy::protocol::imap::{self, Imap};
use imap_oauth_proxy::protocol::{
    Channel, Code, Credential, Denial, DialogueEnd, Limits, Protocol as _, Refusal, Request,
};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Wire;
use pipe::Peer;
use tokio::io::DuplexStream;

const GREETING: &str =
    "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN] imap-oauth-proxy ready\r\n";

async fn login(imap: &mut Dialogue, client: &mut Wire<DuplexStream>) -> (String, String) {
    match imap.next(client).await.unwrap() {
        Request::Login(login) => (login.name.clone(), login.password.expose().to_owned()),
        other => panic!("{other:?} instead of a login"),
    }
}

fn dialogue() -> Dialogue {
    Dialogue::new(Channel::Tls, Limits::default())
}

#[tokio::test]
async fn a_password_becomes_a_token_and_what_follows_is_handed_over() {
    let (mut program, mut client) = Peer::new();
    let (mut provider, mut upstream) = Peer::new();
    let token = Secret::new("ya29.TEST");
    let credential = Credential {
        or_user: None,
        greeted: true,
        user: "alice@example.com",
        token: &token,
        mechanisms: &[Mechanism::Xoauth2],
        host: "imap.gmail.com",
        port: 993,
        sasl_ir: None,
    };

    // The client speaks before the greeting, and pipelines behind its login.
    program.say("x]1 LOGIN alice {10+}\r\nlocal-pass\r\na2 SELECT INBOX\r\n").await;
    let mut imap = dialogue();
    assert_eq!(login(&mut imap, &mut client).await, ("alice".into(), "local-pass".into()));
    program.hears(GREETING).await;

    provider.say("* OK Gimap ready\r\n").await;
    let proxy = imap.authenticate(&mut upstream, &credential);
    let server = async {
        provider.hears("P1 CAPABILITY\r\n").await;
        provider.say("* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2\r\nP1 OK Thats all she wrote!\r\n").await;
        provider.hears("x]1 AUTHENTICATE XOAUTH2 dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ==\r\n").await;
        provider.say("* CAPABILITY IMAP4rev1 IDLE MOVE\r\nx]1 OK Success\r\n* 3 EXISTS\r\n").await;
    };
    let (accepted, ()) = tokio::join!(proxy, server);
    imap.accept(&mut client, accepted.unwrap()).await.unwrap();

    let (_, pipelined) = client.into_parts();
    assert_eq!(pipelined, b"a2 SELECT INBOX\r\n");
    let (_, early) = upstream.into_parts();
    assert_eq!(early, b"* 3 EXISTS\r\n");
    assert_eq!(program.hears_rest().await, "* CAPABILITY IMAP4rev1 IDLE MOVE\r\nx]1 OK Success\r\n");
}

#[tokio::test]
async fn i20_what_waits_behind_a_denied_login_is_answered_here() {
    let (mut program, mut client) = Peer::new();
    program.say("a LOGIN joe wrong\r\nb NOOP\r\nc LOGIN joe right\r\n").await;
    let mut imap = dialogue();
    login(&mut imap, &mut client).await;
    imap.deny(&mut client, &Denial::wrong_password()).await.unwrap();
    assert_eq!(login(&mut imap, &mut client).await.1, "right");
    program.hears(GREETING).await;
    program.hears("a NO [AUTHENTICATIONFAILED] The user name or the password is wrong\r\n").await;
    program.hears("b OK NOOP completed\r\n").await;
}

#[tokio::test]
async fn s1_s2_bytes_behind_starttls_are_reported_and_gone() {
    let (mut program, mut client) = Peer::new();
    program.say("a STARTTLS\r\nb LOGIN x y\r\n").await;
    let mut imap = Dialogue::new(Channel::StartTls, Limits::default());
    let request = imap.next(&mut client).await.unwrap();
    assert!(matches!(request, Request::StartTls { injected: 13 }), "{request:?}");
    let (_, unread) = client.into_parts();
    assert_eq!(unread, b"");

    imap.tls_started();
    let (mut inside, mut client) = Peer::new();
    inside.say("c CAPABILITY\r\nd STARTTLS\r\ne LOGOUT\r\n").await;
    assert!(matches!(imap.next(&mut client).await, Err(DialogueEnd::Logout)));
    inside.hears("* CAPABILITY IMAP4rev1 LITERAL+ SASL-IR ID AUTH=PLAIN AUTH=LOGIN\r\n").await;
    inside.hears("c OK CAPABILITY completed\r\n").await;
    inside.hears("d BAD TLS is active already\r\n").await;
    inside.hears("* BYE Logging out\r\n").await;
    inside.hears("e OK LOGOUT completed\r\n").await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_told_apart_from_one_that_logs_out() {
    let (program, mut client) = Peer::new();
    drop(program);
    let end = dialogue().next(&mut client).await.unwrap_err();
    assert!(matches!(end, DialogueEnd::Vanished), "{end:?}");
}

#[tokio::test]
async fn a_login_that_waits_at_the_deadline_has_its_answer() {
    let (mut program, mut client) = Peer::new();
    program.say("a LOGIN joe pw\r\n").await;
    let mut imap = dialogue();
    login(&mut imap, &mut client).await;
    imap.bye(&mut client, &Denial::new(Code::Unavailable, "Too slow")).await.unwrap();
    program.hears(GREETING).await;
    program.hears("a NO [UNAVAILABLE] Too slow\r\n").await;
    program.hears("* BYE [UNAVAILABLE] Too slow\r\n").await;
}

#[tokio::test]
async fn security_row_26_broken_sessions_do_not_disturb_good_ones() {
    let sessions = (0..200).map(|number| {
        tokio::spawn(async move {
            let (mut program, mut client) = Peer::new();
            let broken = number % 2 == 0;
            let line = if broken { "====" } else { "AGFsaWNlAHB3" };
            program.say(&format!("a AUTHENTICATE PLAIN {line}\r\n")).await;
            let mut imap = dialogue();
            if broken {
                program.say("z LOGOUT\r\n").await;
                assert!(matches!(imap.next(&mut client).await, Err(DialogueEnd::Logout)));
            } else {
                assert_eq!(login(&mut imap, &mut client).await, ("alice".into(), "pw".into()));
            }
        })
    });
    for session in sessions.collect::<Vec<_>>() {
        session.await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_hangs_up_is_said_so() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("* OK ready\r\n").await;
    drop(provider);
    let token = Secret::new("t");
    let credential = Credential {
        or_user: None,
        greeted: true,
        user: "u",
        token: &token,
        mechanisms: &[Mechanism::Xoauth2],
        host: "h",
        port: 993,
        sasl_ir: None,
    };
    let refusal = Imap::sign_in(None, &mut upstream, &credential).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Closed), "{refusal:?}");
}

#[tokio::test]
async fn a_mailbox_is_proven_by_its_folders() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("* LIST () \"/\" INBOX\r\n* LIST () \"/\" {6}\r\nP3 OK\n\r\n* 3 EXISTS\r\n").await;
    provider.say("* list (\\Noselect) NIL \"x\"\r\nP3 OK done\r\n").await;
    assert_eq!(Imap::look_in(&mut upstream).await.unwrap(), Some(3));
    provider.hears("P3 LIST \"\" \"*\"\r\n").await;
    provider.hears("P4 LOGOUT\r\n").await;
}

#[tokio::test]
async fn a_token_without_a_mailbox_is_found_out() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("P3 BAD User is authenticated but not connected.\r\n* BYE Connection closed. 14\r\n").await;
    let refusal = Imap::look_in(&mut upstream).await.unwrap_err().0;
    assert!(matches!(refusal, Refusal::Disabled(_)), "{refusal}");
}

#[test]
fn what_providers_say_in_a_session_has_a_cause_and_a_remedy() {
    for line in [
        "a9 BAD User is authenticated but not connected.\r\n",
        "* BYE Session invalidated - AccessTokenExpired\r\n",
        "* BYE Session expired, please login again.\r\n",
        "a NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n",
        "a BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n",
        "a BAD Command received in Invalid state.\r\n",
        "a NO Server Unavailable. 15\r\n",
    ] {
        let advice = imap::advice_on(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
        assert!(!advice.cause.is_empty() && !advice.remedy.is_empty());
    }
    assert!(imap::advice_on(b"* 3 EXISTS\r\n").is_none());
}

/// The proxy's answers to `lines`, and how the dialogue ends.
async fn ends(limits: Limits, lines: &str) -> (String, DialogueEnd) {
    let (mut program, mut client) = Peer::new();
    program.say(lines).await;
    let end = Dialogue::new(Channel::Tls, limits).next(&mut client).await.unwrap_err();
    drop(client);
    (program.hears_rest().await, end)
}

#[tokio::test]
async fn security_row_6_commands_are_bounded() {
    let (said, end) = ends(Limits::default(), &"a NOOP\r\n".repeat(101)).await;
    assert_eq!(said.matches("a OK NOOP completed\r\n").count(), 100);
    assert!(said.ends_with("* BYE Too much before login\r\n") && matches!(end, DialogueEnd::Limit(_)));
}

#[tokio::test]
async fn security_row_6_bytes_are_bounded() {
    let line = format!("a NOOP {}\r\n", "x".repeat(8_000));
    let (said, end) = ends(Limits::default(), &line.repeat(33)).await;
    assert_eq!(said.matches("a BAD ").count(), 32);
    assert!(said.ends_with("* BYE Too much before login\r\n") && matches!(end, DialogueEnd::Limit(_)));
}

#[tokio::test]
async fn security_row_6_the_literals_of_a_command_count_together() {
    let pair = format!("{{4096+}}\r\n{} NIL ", "x".repeat(4096));
    let (said, _) = ends(Limits::default(), &format!("a ID ({})\r\nb LOGOUT\r\n", pair.repeat(16))).await;
    assert_eq!(
        said.strip_prefix(GREETING).unwrap(),
        "a BAD [TOOBIG] The literal is too long\r\n* BYE Logging out\r\nb OK LOGOUT completed\r\n"
    );
}

#[tokio::test]
async fn security_row_6_a_silent_connection_costs_next_to_nothing() {
    let (_program, mut client) = Peer::new();
    let mut imap = dialogue();
    let sizes = size_of_val(&client) + size_of_val(&imap) + size_of_val(&imap.next(&mut client));
    assert!(sizes < 1024, "{sizes} bytes a silent connection");
}

#[test]
fn a_connection_is_turned_away_in_the_protocol() {
    let denial = Denial::new(Code::Limit, "Too many connections from your address");
    assert_eq!(Imap::turn_away(&denial), b"* BYE [LIMIT] Too many connections from your address\r\n");
}
