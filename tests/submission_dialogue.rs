//! The submission dialogues over in-memory pipes: the driver, the hand-over, and the state after a dropped
//! future.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod pipe;

use std::sync::Arc;

use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::submission::Submission;
use imap_oauth_proxy::protocol::submission::client::Dialogue;
use imap_oauth_proxy::protocol::{
    Channel, Code, Credential, Denial, DialogueEnd, Limits, Promises, Protocol as _, Refusal, Request,
};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Wire;
use pipe::{Peer, once};
use tokio::io::DuplexStream;

const GREETING: &str = "220 imap-oauth-proxy.localhost ESMTP ready\r\n";
const MESSAGE: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ==\r\n";

fn dialogue() -> Dialogue {
    Dialogue::new(Channel::Tls, Limits::default())
}

async fn login(submission: &mut Dialogue, client: &mut Wire<DuplexStream>) -> (String, String) {
    match submission.next(client).await.unwrap() {
        Request::Login(login) => (login.name.clone(), login.password.expose().to_owned()),
        other => panic!("{other:?} instead of a login"),
    }
}

fn credential(token: &Secret) -> Credential<'_> {
    Credential {
        or_user: None,
        greeted: true,
        user: "alice@example.com",
        token,
        mechanisms: &[Mechanism::Xoauth2],
        host: "smtp.gmail.com",
        port: 465,
        sasl_ir: None,
    }
}

fn token() -> Secret {
    Secret::new("ya29.TEST")
}

#[tokio::test]
async fn a_password_becomes_a_token_and_what_follows_is_handed_over() {
    let (mut sender, mut client) = Peer::new();
    let (mut provider, mut upstream) = Peer::new();

    // The sender speaks before the greeting, and pipelines behind its login.
    sender
        .say("EHLO scanner.corp.example\r\nAUTH PLAIN AGFsaWNlAHB3\r\nMAIL FROM:<alice@example.com>\r\n")
        .await;
    let mut submission = dialogue();
    let lines = ["SIZE 1000", "PIPELINING"].map(str::to_owned);
    submission.promise(&Arc::new(Promises::common(std::iter::once(&lines[..]))));
    assert_eq!(login(&mut submission, &mut client).await, ("alice".into(), "pw".into()));
    sender.hears(GREETING).await;
    sender.hears("250-imap-oauth-proxy.localhost\r\n").await;
    sender.hears("250-AUTH PLAIN LOGIN\r\n").await;
    sender.hears("250-SIZE 1000\r\n").await;
    sender.hears("250 PIPELINING\r\n").await;

    let (token, script) = (token(), async {
        provider.say("220 smtp.gmail.com ESMTP\r\n").await;
        provider.hears("EHLO scanner.corp.example\r\n").await;
        provider.say("250-smtp.gmail.com at your service\r\n250-SIZE 900\r\n250 AUTH XOAUTH2\r\n").await;
        provider.hears("AUTH XOAUTH2\r\n").await;
        provider.say("334 \r\n").await;
        provider.hears(MESSAGE).await;
        provider.say("235 2.7.0 Accepted\r\n421 4.3.2 bye\r\n").await;
    });
    let credential = credential(&token);
    let (accepted, ()) = tokio::join!(submission.authenticate(&mut upstream, &credential), script);
    let accepted = accepted.unwrap();
    assert_eq!(accepted.lacking, ["PIPELINING"]);
    submission.accept(&mut client, accepted).await.unwrap();

    let (_, pipelined) = client.into_parts();
    assert_eq!(pipelined, b"MAIL FROM:<alice@example.com>\r\n");
    let (_, early) = upstream.into_parts();
    assert_eq!(early, b"421 4.3.2 bye\r\n");
    assert_eq!(sender.hears_rest().await, "235 2.7.0 Accepted\r\n");
}

#[tokio::test]
async fn security_row_43_the_mail_of_a_device_is_handed_over_and_no_login_is_answered() {
    let (mut device, mut client) = Peer::new();
    let (mut provider, mut upstream) = Peer::new();
    device.say("HELO scanner\r\nMAIL FROM:<scan@corp.example>\r\nRCPT TO:<b@corp.example>\r\n").await;
    let mut submission = dialogue();
    submission.admit_device();
    let asked = submission.next(&mut client).await.unwrap();
    assert!(matches!(asked, Request::Send), "{asked:?}");
    device.hears(GREETING).await;
    device.hears("250 imap-oauth-proxy.localhost\r\n").await;

    let (token, script) = (token(), async {
        provider.say("220 smtp.gmail.com ESMTP\r\n").await;
        provider.hears("EHLO scanner\r\n").await;
        provider.say("250-smtp.gmail.com at your service\r\n250 AUTH XOAUTH2\r\n").await;
        provider.hears("AUTH XOAUTH2\r\n").await;
        provider.say("334 \r\n").await;
        provider.hears(MESSAGE).await;
        provider.say("235 2.7.0 Accepted\r\n").await;
    });
    let credential = credential(&token);
    let (accepted, ()) = tokio::join!(submission.authenticate(&mut upstream, &credential), script);
    submission.accept(&mut client, accepted.unwrap()).await.unwrap();
    let (_, from_client) = client.into_parts();
    assert_eq!(from_client, b"MAIL FROM:<scan@corp.example>\r\nRCPT TO:<b@corp.example>\r\n");
    assert_eq!(device.hears_rest().await, "", "the provider's reply to MAIL comes next");
}

#[tokio::test]
async fn a_dropped_next_goes_on_where_it_was() {
    let said = "EHLO x\r\nNOOP\r\nAUTH LOGIN\r\nYWxpY2U=\r\ncHc=\r\nMAIL FROM:<alice@example.com>\r\n";
    for cut in 0..=said.len() {
        let (mut sender, mut client) = Peer::new();
        let mut submission = dialogue();
        let (before, behind) = said.split_at(cut);
        sender.say(before).await;
        // Runs as far as possible; then the future is dropped, as at a deadline.
        let first = once(submission.next(&mut client)).await;
        sender.say(behind).await;
        let request = match first {
            Some(request) => request,
            None => submission.next(&mut client).await,
        };
        let Ok(Request::Login(login)) = request else { panic!("{cut}: {request:?}") };
        assert_eq!((login.name.as_str(), login.password.expose()), ("alice", "pw"), "{cut}");
        submission.deny(&mut client, &Denial::wrong_password()).await.unwrap();
        assert!(once(submission.next(&mut client)).await.is_none(), "{cut}");
        drop(client);
        let expected = [
            GREETING,
            "250-imap-oauth-proxy.localhost\r\n250 AUTH PLAIN LOGIN\r\n250 2.0.0 OK\r\n",
            "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 5.7.8 The user name or the password is wrong\r\n",
            "530 5.7.0 Log in first: set user name and app password in the sender\r\n",
        ];
        assert_eq!(sender.hears_rest().await, expected.concat(), "{cut}");
    }
}

/// With a slow peer, replies that a dropped future could not send are sent by the next call, once.
#[tokio::test]
async fn replies_that_a_dropped_future_did_not_get_out_stay_for_the_next() {
    for room in [1, 7, 30] {
        let (mut sender, mut client) = Peer::with_room(room);
        let mut submission = dialogue();
        assert!(once(submission.next(&mut client)).await.is_none());
        let hear = async {
            sender.hears(GREETING).await;
            sender.say("AUTH PLAIN AGFsaWNlAHB3\r\n").await;
            sender
        };
        let ((name, _), mut sender) = tokio::join!(login(&mut submission, &mut client), hear);
        assert_eq!(name, "alice");
        // A waiting login gets its answer at the deadline, even if the goodbye is interrupted.
        let denial = Denial::new(Code::Unavailable, "Too slow");
        assert!(once(submission.bye(&mut client, &denial)).await.is_none());
        let finish = async {
            submission.bye(&mut client, &denial).await.unwrap();
            drop(client);
        };
        let hear = async {
            sender.hears("454 4.7.0 Too slow\r\n").await;
            sender.hears("421 4.3.2 Too slow\r\n").await;
            sender.hears_rest().await
        };
        let ((), rest) = tokio::join!(finish, hear);
        assert_eq!(rest, "", "once");
    }
}

#[tokio::test]
async fn a_goodbye_between_two_commands_is_one_reply() {
    let (mut sender, mut client) = Peer::new();
    sender.say("NOOP\r\nEHL").await;
    let mut submission = dialogue();
    assert!(once(submission.next(&mut client)).await.is_none());
    submission.bye(&mut client, &Denial::new(Code::Unavailable, "The proxy stops")).await.unwrap();
    drop(client);
    assert_eq!(
        sender.hears_rest().await,
        [GREETING, "250 2.0.0 OK\r\n421 4.3.2 The proxy stops\r\n"].concat()
    );
}

#[tokio::test]
async fn security_row_8_bytes_behind_starttls_are_reported_and_gone_at_a_submission_port() {
    let (mut sender, mut client) = Peer::new();
    sender.say("STARTTLS\r\nMAIL FROM:<x@evil.example>\r\n").await;
    let mut submission = Dialogue::new(Channel::StartTls, Limits::default());
    let request = submission.next(&mut client).await.unwrap();
    assert!(matches!(request, Request::StartTls { injected: 28 }), "{request:?}");
    let (_, unread) = client.into_parts();
    assert_eq!(unread, b"");

    submission.tls_started();
    let (mut inside, mut client) = Peer::new();
    inside.say("EHLO x\r\nSTARTTLS\r\nQUIT\r\n").await;
    assert!(matches!(submission.next(&mut client).await, Err(DialogueEnd::Logout)));
    inside.hears("250-imap-oauth-proxy.localhost\r\n").await;
    inside.hears("250 AUTH PLAIN LOGIN\r\n").await;
    inside.hears("503 5.5.1 TLS is active already\r\n").await;
    inside.hears("221 2.0.0 Closing the connection\r\n").await;
}

#[tokio::test]
async fn a_sender_that_vanishes_is_told_apart_from_one_that_quits() {
    let (sender, mut client) = Peer::new();
    drop(sender);
    let end = dialogue().next(&mut client).await.unwrap_err();
    assert!(matches!(end, DialogueEnd::Vanished), "{end:?}");
}

#[tokio::test]
async fn security_row_6_a_sender_that_pipelines_more_than_is_held_has_an_answer() {
    let (theirs, ours) = tokio::io::duplex(1 << 20);
    let (mut client, mut sender) = (Wire::of_client(ours), theirs);
    let line = format!("AUTH PLAIN {}\r\n", "A".repeat(20_000));
    tokio::io::AsyncWriteExt::write_all(&mut sender, line.as_bytes()).await.unwrap();
    let end = dialogue().next(&mut client).await.unwrap_err();
    assert!(matches!(end, DialogueEnd::Limit(_)), "{end:?}");
    drop(client);
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut sender, &mut said).await.unwrap();
    assert_eq!(said, [GREETING, "421 4.7.0 Too much before login\r\n"].concat());
}

#[tokio::test]
async fn a_submission_server_that_hangs_up_is_said_so() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("220 x\r\n250-x\r\n").await;
    drop(provider);
    let token = token();
    let refusal = Submission::sign_in(None, &mut upstream, &credential(&token)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Closed), "{refusal:?}");

    let (mut provider, mut upstream) = Peer::new();
    provider.say("220 x\r\n").await;
    drop(provider);
    let refusal = Submission::begin_tls(&mut upstream).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Closed), "{refusal:?}");
}

#[tokio::test]
async fn a_check_signs_in_and_quits_without_a_message() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("220 x\r\n250-x\r\n250 AUTH XOAUTH2\r\n334 \r\n235 2.7.0 OK\r\n").await;
    let token = token();
    Submission::sign_in(None, &mut upstream, &credential(&token)).await.unwrap();
    assert_eq!(Submission::look_in(&mut upstream).await.unwrap(), None);
    drop(upstream);
    let heard = provider.hears_rest().await;
    assert_eq!(heard, format!("EHLO imap-oauth-proxy.localhost\r\nAUTH XOAUTH2\r\n{MESSAGE}QUIT\r\n"));
}

#[tokio::test]
async fn a_sign_in_that_no_login_asked_for_says_nothing() {
    let (provider, mut upstream) = Peer::new();
    let token = token();
    let refusal = dialogue().authenticate(&mut upstream, &credential(&token)).await.unwrap_err();
    assert!(matches!(refusal, Refusal::NotAsked), "{refusal:?}");
    drop(upstream);
    assert_eq!(provider.hears_rest().await, "");
}

#[tokio::test]
async fn starttls_at_a_provider_says_no_more_than_it_must() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("220 x\r\n250-x\r\n250 STARTTLS\r\n220 2.0.0 Ready\r\n250 injected\r\n").await;
    Submission::begin_tls(&mut upstream).await.unwrap();
    drop(upstream);
    assert_eq!(provider.hears_rest().await, "EHLO imap-oauth-proxy.localhost\r\nSTARTTLS\r\n");
}

/// A code of the fives would make the device drop its message.
#[tokio::test]
async fn security_row_43_what_a_device_pipelines_behind_a_refused_mail_is_deferred_too() {
    let (mut device, mut client) = Peer::new();
    device
        .say("HELO scanner\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\nRSET\r\nRCPT TO:<b@x>\r\nQUIT\r\n")
        .await;
    let mut submission = dialogue();
    submission.admit_device();
    assert!(matches!(submission.next(&mut client).await.unwrap(), Request::Send));
    submission.deny(&mut client, &Denial::new(Code::Unavailable, "Later")).await.unwrap();
    assert!(matches!(submission.next(&mut client).await, Err(DialogueEnd::Logout)));
    device.hears(GREETING).await;
    device.hears("250 imap-oauth-proxy.localhost\r\n").await;
    device.hears("451 4.7.0 Later\r\n").await;
    device.hears("451 4.7.0 MAIL was refused; try again later\r\n").await;
    device.hears("451 4.7.0 MAIL was refused; try again later\r\n").await;
    device.hears("250 2.0.0 Flushed\r\n").await;
    device.hears("503 5.5.1 Say MAIL first\r\n").await;
}
