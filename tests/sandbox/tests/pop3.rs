//! The POP3 server: the words of both providers, logins, and mail as it is stored.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use sandbox::pop3::Client;
use sandbox::{Builder, Flavour, Pop3Step, Sandbox, Security, StepFault, mail};

const ALICE: &str = "alice@example.com";

fn builder(flavour: Flavour) -> Builder {
    Sandbox::builder().flavour(flavour).user(ALICE).empty_mailboxes().pop3()
}

async fn connect(sandbox: &Sandbox) -> Client {
    Client::connect(sandbox.pop3().0, &sandbox.tls_client()).await
}

async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = connect(sandbox).await;
    let answer = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert!(answer.starts_with("+OK"), "{answer:?}");
    client
}

#[tokio::test]
async fn both_providers_have_their_own_words() {
    for (flavour, greeting, sasl, welcome) in [
        (
            Flavour::Gmail,
            "+OK Gpop ready for requests from ",
            "SASL PLAIN XOAUTH2 OAUTHBEARER",
            "+OK Welcome.",
        ),
        (
            Flavour::Exchange,
            "+OK The Microsoft Exchange POP3 service is ready. [",
            "SASL PLAIN XOAUTH2",
            "+OK User successfully authenticated.",
        ),
    ] {
        let sandbox = builder(flavour).start().await;
        let mut client = connect(&sandbox).await;
        assert!(client.greeting.starts_with(greeting), "{}", client.greeting);
        assert!(client.list("CAPA").await.contains(&sasl.to_owned()));
        assert_eq!(client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await, welcome);
        sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn mail_is_deleted_by_quit_and_by_nothing_else() {
    let sandbox = builder(Flavour::Gmail).start().await;
    let controls = sandbox.controls();
    controls.deliver(ALICE, "INBOX", b"Subject: one\r\n\r\n.dot\r\n");
    controls.deliver(ALICE, "INBOX", b"Subject: two\r\n\r\n");
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.command("STAT").await, "+OK 2 38");
    assert_eq!(client.list("LIST").await, ["1 22", "2 16"]);
    assert_eq!(client.list("RETR 1").await, ["Subject: one", "", "..dot"]);
    assert_eq!(client.command("DELE 1").await, "+OK marked for deletion");
    assert!(client.command("RETR 1").await.starts_with("-ERR"));
    drop(client);
    controls.wait_for(|stats| stats.pop3_open == 0).await;
    assert_eq!(controls.messages(ALICE, "INBOX").len(), 2);

    let mut client = signed_in(&sandbox).await;
    client.command("DELE 2").await;
    client.command("RSET").await;
    client.command("DELE 1").await;
    assert_eq!(client.command("QUIT").await, "+OK Farewell.");
    assert!(client.at_end().await);
    assert_eq!(controls.messages(ALICE, "INBOX").len(), 1);
    let stats = controls.stats();
    assert_eq!((stats.pop3_quits, stats.pop3_deleted, stats.pop3_logins), (1, 1, 2));
}

#[tokio::test]
async fn a_bad_token_is_refused_with_a_challenge_or_without() {
    for (flavour, refusal) in [
        (Flavour::Gmail, "-ERR [AUTH] Username and password not accepted."),
        (Flavour::Exchange, "-ERR Authentication failure: unknown user name or bad password."),
    ] {
        let sandbox = builder(flavour).start().await;
        let mut client = connect(&sandbox).await;
        assert_eq!(client.xoauth2(ALICE, "stale").await, refusal);
        let reading = sandbox.controls().access_token_for(ALICE, &["openid".to_owned()]);
        assert_eq!(client.xoauth2(ALICE, &reading).await, refusal, "a token without the scope");
        sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn exchange_closes_over_a_token_on_the_line() {
    let sandbox = builder(Flavour::Exchange).start().await;
    sandbox.controls().pop3(|pop3| pop3.strict = false);
    let mut client = connect(&sandbox).await;
    let token = sandbox.controls().access_token(ALICE);
    let answer = client.command(&format!("AUTH XOAUTH2 {}", mail::xoauth2(ALICE, &token))).await;
    assert_eq!(answer, "-ERR Protocol error. Connection is closed. 10");
    assert!(client.at_end().await);
}

#[tokio::test]
async fn recent_is_known_at_gmail_alone_and_a_mailbox_may_be_exclusive() {
    for (flavour, known) in [(Flavour::Gmail, true), (Flavour::Exchange, false)] {
        let sandbox = builder(flavour).start().await;
        sandbox.controls().pop3(|pop3| pop3.exclusive = true);
        let token = sandbox.controls().access_token(ALICE);
        let mut client = connect(&sandbox).await;
        let answer = client.xoauth2(&format!("recent:{ALICE}"), &token).await;
        assert_eq!(answer.starts_with("+OK"), known, "{answer}");
        if known {
            let mut second = connect(&sandbox).await;
            assert!(second.xoauth2(ALICE, &token).await.starts_with("-ERR [IN-USE] "));
        }
    }
}

#[tokio::test]
async fn whatever_is_not_the_proxys_own_before_the_login_is_a_violation_and_so_is_quit() {
    for line in ["USER alice", "PASS secret", "AUTH PLAIN AGFsaWNlAHB3", "STAT", "NOOP", "QUIT"] {
        let sandbox = builder(Flavour::Gmail).start().await;
        let mut client = connect(&sandbox).await;
        client.send(line).await;
        assert!(client.at_end().await, "{line}");
        assert_eq!(sandbox.controls().violations().len(), 1, "{line}");
    }
}

#[tokio::test]
async fn behind_stls_there_is_no_second_greeting() {
    let sandbox = Sandbox::builder().user(ALICE).pop3_by(Security::StartTls).start().await;
    let mut client = Client::stls(sandbox.pop3().0, &sandbox.tls_client()).await;
    assert!(client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await.starts_with("+OK"));
    assert!(sandbox.controls().pop3_sessions()[0].tls);
}

#[tokio::test]
async fn faults_meet_the_step_that_they_were_meant_for() {
    let sandbox = builder(Flavour::Gmail).start().await;
    let controls = sandbox.controls();
    controls.next_pop3(Pop3Step::Greeting, StepFault::reply("-ERR [SYS/TEMP] later"));
    assert_eq!(connect(&sandbox).await.greeting, "-ERR [SYS/TEMP] later");
    controls.next_pop3(Pop3Step::Token, StepFault::FalseSuccess);
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.command("STAT").await, "-ERR User is authenticated but not connected.");
    assert!(client.at_end().await);
    let mut client = signed_in(&sandbox).await;
    controls.next_pop3(Pop3Step::Retrieve, StepFault::Close);
    client.send("RETR 1").await;
    assert!(client.at_end().await);
}
