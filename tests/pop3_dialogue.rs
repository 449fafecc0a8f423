//! The POP3 dialogues over in-memory pipes: the driver, the hand-over to the relay, and the state after a dropped
//! future.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod pipe;

use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::pop3::Pop3;
use imap_oauth_proxy::protocol::pop3::client::Dialogue;
use imap_oauth_proxy::protocol::{
    Channel, Code, Credential, Denial, DialogueEnd, Limits, Protocol as _, Refusal, Request,
};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Wire;
use pipe::{Peer, once};
use tokio::io::DuplexStream;

const GREETING: &str = "+OK imap-oauth-proxy POP3 ready\r\n";
const MESSAGE: &str = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ==\r\n";
/// `user=recent:alice@example.com`.
const RECENT: &str = "dXNlcj1yZWNlbnQ6YWxpY2VAZXhhbXBsZS5jb20BYXV0aD1CZWFyZXIgeWEyOS5URVNUAQE=\r\n";

fn dialogue() -> Dialogue {
    Dialogue::new(Channel::Tls, Limits::default())
}

async fn login(pop3: &mut Dialogue, client: &mut Wire<DuplexStream>) -> (String, String) {
    match pop3.next(client).await.unwrap() {
        Request::Login(login) => (login.name.clone(), login.password.expose().to_owned()),
        Request::StartTls { .. } => panic!("STLS instead of a login"),
        Request::Send => panic!("a message instead of a login"),
    }
}

fn credential(token: &Secret) -> Credential<'_> {
    Credential {
        or_user: None,
        greeted: true,
        user: "alice@example.com",
        token,
        mechanisms: &[Mechanism::Xoauth2],
        host: "pop.gmail.com",
        port: 995,
        sasl_ir: None,
    }
}

fn token() -> Secret {
    Secret::new("ya29.TEST")
}

#[tokio::test]
async fn a_password_becomes_a_token_and_what_follows_is_handed_over() {
    for (name, message) in [("alice", MESSAGE), ("recent:alice", RECENT)] {
        let (mut fetcher, mut client) = Peer::new();
        let (mut provider, mut upstream) = Peer::new();
        fetcher.say(&format!("USER {name}\r\nPASS pw\r\nSTAT\r\nQUIT\r\n")).await;
        let mut pop3 = dialogue();
        assert_eq!(login(&mut pop3, &mut client).await, ("alice".into(), "pw".into()));
        let (token, script) = (token(), async {
            provider.say("+OK Gpop ready\r\n").await;
            provider.hears("CAPA\r\n").await;
            provider.say("+OK\r\nSASL PLAIN XOAUTH2\r\n.\r\n").await;
            provider.hears("AUTH XOAUTH2\r\n").await;
            provider.say("+ \r\n").await;
            provider.hears(message).await;
            provider.say("+OK Welcome.\r\n-ERR [SYS/TEMP] bye\r\n").await;
        });
        let credential = credential(&token);
        let (accepted, ()) = tokio::join!(pop3.authenticate(&mut upstream, &credential), script);
        pop3.accept(&mut client, accepted.unwrap()).await.unwrap();
        let (_, pipelined) = client.into_parts();
        assert_eq!(pipelined, b"STAT\r\nQUIT\r\n");
        let (_, early) = upstream.into_parts();
        assert_eq!(early, b"-ERR [SYS/TEMP] bye\r\n");
        assert_eq!(
            fetcher.hears_rest().await,
            [GREETING, "+OK Send the password\r\n+OK Welcome.\r\n"].concat()
        );
    }
}

#[tokio::test]
async fn empty_lines_are_answered_once_no_header_follows_them() {
    for (said, answers) in [("\r\n", 1), ("\r\n\r\n", 2)] {
        let (mut fetcher, mut client) = Peer::new();
        let mut pop3 = dialogue();
        fetcher.say(said).await;
        let next = tokio::spawn(async move { pop3.next(&mut client).await.unwrap_err() });
        fetcher.hears(GREETING).await;
        for _ in 0..answers {
            fetcher.hears("-ERR Unknown command\r\n").await;
        }
        fetcher.say("QUIT\r\n").await;
        fetcher.hears("+OK Closing the connection\r\n").await;
        assert!(matches!(next.await.unwrap(), DialogueEnd::Logout));
    }
}

#[tokio::test]
async fn a_header_that_begins_with_empty_lines_is_still_one() {
    let (mut fetcher, mut client) = Peer::new();
    let mut pop3 = dialogue();
    fetcher.say("\r\n\r\n").await;
    assert!(once(pop3.next(&mut client)).await.is_none(), "the rest may follow");
    fetcher.say("\0\r\nQUIT\n").await;
    assert!(matches!(pop3.next(&mut client).await, Err(DialogueEnd::ProxyHeader)));
    drop(client);
    assert_eq!(fetcher.hears_rest().await, GREETING);
}

#[tokio::test]
async fn a_dropped_next_goes_on_where_it_was() {
    let said = "CAPA\r\nUSER alice\r\nPASS pw\r\nSTAT\r\n";
    for cut in 0..=said.len() {
        let (mut fetcher, mut client) = Peer::new();
        let mut pop3 = dialogue();
        let (before, behind) = said.split_at(cut);
        fetcher.say(before).await;
        // The deadline drops the future wherever it is.
        let first = once(pop3.next(&mut client)).await;
        fetcher.say(behind).await;
        let request = match first {
            Some(request) => request,
            None => pop3.next(&mut client).await,
        };
        let Ok(Request::Login(login)) = request else { panic!("{cut}: {request:?}") };
        assert_eq!((login.name.as_str(), login.password.expose()), ("alice", "pw"), "{cut}");
        pop3.deny(&mut client, &Denial::wrong_password()).await.unwrap();
        assert!(once(pop3.next(&mut client)).await.is_none(), "{cut}");
        drop(client);
        let expected = [
            GREETING,
            "+OK Capability list follows\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
            "+OK Send the password\r\n-ERR [AUTH] The user name or the password is wrong\r\n",
            "-ERR Log in first: set user name and app password in the mail program\r\n",
        ];
        assert_eq!(fetcher.hears_rest().await, expected.concat(), "{cut}");
    }
}

/// A peer that reads slowly: waiting answers are sent by the next call, once.
#[tokio::test]
async fn answers_that_a_dropped_future_did_not_get_out_stay_for_the_next() {
    for room in [1, 7, 20] {
        let (mut fetcher, mut client) = Peer::with_room(room);
        let mut pop3 = dialogue();
        assert!(once(pop3.next(&mut client)).await.is_none());
        let hear = async {
            fetcher.hears(GREETING).await;
            fetcher.say("AUTH PLAIN AGFsaWNlAHB3\r\n").await;
            fetcher
        };
        let ((name, _), mut fetcher) = tokio::join!(login(&mut pop3, &mut client), hear);
        assert_eq!(name, "alice");
        // A login that waits at the deadline gets its answer, even if the goodbye is interrupted several times.
        let denial = Denial::new(Code::Unavailable, "Too slow");
        assert!(once(pop3.bye(&mut client, &denial)).await.is_none());
        let finish = async {
            pop3.bye(&mut client, &denial).await.unwrap();
            drop(client);
        };
        let hear = async {
            fetcher.hears("-ERR [SYS/TEMP] Too slow\r\n").await;
            fetcher.hears_rest().await
        };
        let ((), rest) = tokio::join!(finish, hear);
        assert_eq!(rest, "", "once");
    }
}

#[tokio::test]
async fn security_row_8_bytes_behind_stls_are_reported_and_gone() {
    let (mut fetcher, mut client) = Peer::new();
    fetcher.say("STLS\r\nUSER evil\r\n").await;
    let mut pop3 = Dialogue::new(Channel::StartTls, Limits::default());
    let request = pop3.next(&mut client).await.unwrap();
    assert!(matches!(request, Request::StartTls { injected: 11 }), "{request:?}");
    let (_, unread) = client.into_parts();
    assert_eq!(unread, b"");

    pop3.tls_started();
    let (mut inside, mut client) = Peer::new();
    inside.say("PASS x\r\nSTLS\r\nQUIT\r\n").await;
    assert!(matches!(pop3.next(&mut client).await, Err(DialogueEnd::Logout)));
    inside.hears("-ERR Say USER with the user name first\r\n").await;
    inside.hears("-ERR TLS is active already\r\n").await;
    inside.hears("+OK Closing the connection\r\n").await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_told_apart_from_one_that_quits() {
    let (fetcher, mut client) = Peer::new();
    drop(fetcher);
    let end = dialogue().next(&mut client).await.unwrap_err();
    assert!(matches!(end, DialogueEnd::Vanished), "{end:?}");
}

#[tokio::test]
async fn security_row_6_a_client_that_pipelines_more_than_is_held_has_an_answer() {
    let (mut fetcher, ours) = tokio::io::duplex(1 << 20);
    let mut client = Wire::of_client(ours);
    let line = format!("AUTH PLAIN {}\r\n", "A".repeat(20_000));
    tokio::io::AsyncWriteExt::write_all(&mut fetcher, line.as_bytes()).await.unwrap();
    let end = dialogue().next(&mut client).await.unwrap_err();
    assert!(matches!(end, DialogueEnd::Limit(_)), "{end:?}");
    drop(client);
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut fetcher, &mut said).await.unwrap();
    assert_eq!(said, [GREETING, "-ERR Too much before login\r\n"].concat());
}

#[tokio::test]
async fn a_pop3_server_that_hangs_up_is_said_so() {
    let token = token();
    for said in ["", "+OK x\r\n", "+OK x\r\n+OK\r\nTOP\r\n", "+OK x\r\n+OK\r\nSASL XOAUTH2\r\n.\r\n+ \r\n"] {
        let (mut provider, mut upstream) = Peer::new();
        provider.say(said).await;
        drop(provider);
        let refusal = Pop3::sign_in(None, &mut upstream, &credential(&token)).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Closed), "{said:?}: {refusal:?}");
    }
    let (mut provider, mut upstream) = Peer::new();
    provider.say("+OK x\r\n").await;
    drop(provider);
    let refusal = Pop3::begin_tls(&mut upstream).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Closed), "{refusal:?}");
}

#[tokio::test]
async fn a_check_signs_in_looks_and_never_says_quit() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("+OK x\r\n+OK\r\nSASL XOAUTH2\r\n.\r\n+ \r\n+OK in\r\n+OK 3 1000\r\n").await;
    let token = token();
    Pop3::sign_in(None, &mut upstream, &credential(&token)).await.unwrap();
    assert_eq!(Pop3::look_in(&mut upstream).await.unwrap(), None);
    drop(upstream);
    assert_eq!(provider.hears_rest().await, format!("CAPA\r\nAUTH XOAUTH2\r\n{MESSAGE}STAT\r\n"));

    let (mut provider, mut upstream) = Peer::new();
    provider.say("-ERR User is authenticated but not connected.\r\n").await;
    let not_listed = Pop3::look_in(&mut upstream).await.unwrap_err().to_string();
    assert!(not_listed.contains("to STAT") && not_listed.contains("POP is enabled"), "{not_listed}");
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
async fn stls_at_a_provider_says_no_more_than_it_must() {
    let (mut provider, mut upstream) = Peer::new();
    provider.say("+OK x\r\n+OK Begin\r\n+OK injected\r\n").await;
    Pop3::begin_tls(&mut upstream).await.unwrap();
    drop(upstream);
    assert_eq!(provider.hears_rest().await, "STLS\r\n");
    let (mut provider, mut upstream) = Peer::new();
    provider.say("+OK x\r\n-ERR Unknown command\r\n").await;
    let refusal = Pop3::begin_tls(&mut upstream).await.unwrap_err().to_string();
    assert!(refusal.contains("it offers no STLS"), "{refusal}");
}
