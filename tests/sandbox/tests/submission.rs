//! The submission server: the words of both providers, logins, and mail as it came.

use sandbox::smtp::{Client, Reply};
use sandbox::{AuthForm, Builder, Flavour, Sandbox, Security, SharedName, Vendor, mail};
use serde_json::Value;

mod common;
use common::{Flow, submit, token_form};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const TEAM: &str = "team@example.com";

fn gmail() -> Builder {
    Sandbox::builder().user(ALICE).submission()
}

fn exchange() -> Builder {
    Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(BOB).submission()
}

async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = submit(sandbox).await;
    let reply = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert_eq!(reply.code(), 235, "{reply:?}");
    client
}

fn is_one_line(reply: &Reply, start: &str) -> bool {
    reply.lines.len() == 1 && reply.starts_with(start)
}

#[tokio::test]
async fn gmail_takes_mail_over_tls() {
    let sandbox = gmail().start().await;
    assert_eq!(sandbox.submission().1, Security::Tls);
    let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
    assert!(is_one_line(&client.greeting, "220 smtp.gmail.com ESMTP "), "{:?}", client.greeting);
    let ehlo = [
        "250-smtp.gmail.com at your service, [203.0.113.9]",
        "250-SIZE 35882577",
        "250-8BITMIME",
        "250-AUTH LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
        "250-ENHANCEDSTATUSCODES",
        "250-PIPELINING",
        "250-CHUNKING",
        "250 SMTPUTF8",
    ];
    assert_eq!(client.ehlo().await.lines, ehlo);
    let token = sandbox.controls().access_token(ALICE);
    assert_eq!(client.command("AUTH XOAUTH2").await.lines, ["334 "]);
    assert!(client.command(&mail::xoauth2(ALICE, &token)).await.starts_with("235 2.7.0 Accepted"));
    assert!(client.command(&format!("MAIL FROM:<{ALICE}>")).await.starts_with("250 2.1.0 OK "));
    assert!(client.command(&format!("RCPT TO:<{BOB}>")).await.starts_with("250 2.1.5 OK "));
    assert!(client.command("DATA").await.starts_with("354  Go ahead "));
    client.write(b"Subject: x\r\n\r\n..dots\r\nbare \r and \n\r\n").await;
    assert!(client.command(".").await.starts_with("250 2.0.0 OK  "));
    assert!(client.command("QUIT").await.starts_with("221 2.0.0 closing connection "));
    assert!(client.at_end().await);

    let sent = sandbox.controls().sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].data, b"Subject: x\r\n\r\n..dots\r\nbare \r and \n\r\n");
    assert_eq!(sent[0].commands, ["MAIL FROM:<alice@example.com>", "RCPT TO:<bob@example.com>"]);
    assert_eq!((sent[0].user.as_str(), sent[0].from.as_str()), (ALICE, ALICE));
    assert_eq!((sent[0].recipients.as_slice(), sent[0].accepted), (&[BOB.to_owned()][..], true));
    let submission = sandbox.controls().submissions().remove(0);
    assert_eq!((submission.names.as_slice(), submission.attempts), (&["client.example".to_owned()][..], 1));
    assert_eq!((submission.users, submission.accepted), (vec![ALICE.to_owned()], Some(ALICE.to_owned())));
    assert!(submission.quit && !submission.tls);
    let stats = sandbox.controls().wait_for(|stats| stats.submissions_open == 0).await;
    assert_eq!((stats.submissions, stats.messages, stats.submission_quits, stats.connections), (1, 1, 1, 0));
    sandbox.assert_no_violations();
}

#[tokio::test]
async fn exchange_takes_mail_after_starttls() {
    let sandbox = exchange().start().await;
    let (address, security) = sandbox.submission();
    assert_eq!(security, Security::StartTls);
    let mut client = Client::plain(address).await;
    let greeting = "220 SY5P282CA0097.outlook.office365.com Microsoft ESMTP MAIL Service ready at Sun, 23 Nov 2025 \
                    11:12:20 +0000 [08DE2A6028D26C22]";
    assert_eq!(client.greeting.lines, [greeting]);
    let mut ehlo = [
        "250-SY5P282CA0097.outlook.office365.com Hello [203.0.113.9]",
        "250-SIZE 157286400",
        "250-PIPELINING",
        "250-DSN",
        "250-ENHANCEDSTATUSCODES",
        "250-STARTTLS",
        "250-8BITMIME",
        "250-BINARYMIME",
        "250-CHUNKING",
        "250 SMTPUTF8",
    ];
    assert_eq!(client.ehlo().await.lines, ehlo);
    assert_eq!(client.command("STARTTLS").await.lines, ["220 2.0.0 SMTP server ready"]);
    client.begin_tls(&sandbox.tls_client()).await.unwrap();
    ehlo[5] = "250-AUTH LOGIN XOAUTH2";
    assert_eq!(client.ehlo().await.lines, ehlo);
    let token = sandbox.controls().access_token(ALICE);
    assert_eq!(client.xoauth2(ALICE, &token).await.lines, ["235 2.7.0 Authentication successful"]);
    let reply = client.mail(ALICE, &["x@example.org", "y@example.org"], b"hello\r\n").await;
    assert!(is_one_line(&reply, "250 2.0.0 OK <") && reply.text().contains("[Hostname="), "{reply:?}");
    let quit = client.command("QUIT").await;
    assert_eq!(quit.lines, ["221 2.0.0 Service closing transmission channel"]);
    let submission = sandbox.controls().submissions().remove(0);
    assert!(submission.tls && submission.names.len() == 2, "{submission:?}");
    assert_eq!(sandbox.controls().sent()[0].recipients, ["x@example.org", "y@example.org"]);
    sandbox.assert_no_violations();
}
