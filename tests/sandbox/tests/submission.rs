//! The submission server: the texts of both providers, logins, and unchanged mail.

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

#[tokio::test]
async fn either_flavour_speaks_tls_in_either_way() {
    let sandbox = Sandbox::builder().submission_by(Security::StartTls).start().await;
    let mut client = Client::plain(sandbox.submission().0).await;
    let ehlo = client.ehlo().await;
    assert!(ehlo.lines[3] == "250-STARTTLS" && ehlo.listed("AUTH").is_none(), "{ehlo:?}");
    assert!(client.command("STARTTLS").await.starts_with("220 2.0.0 Ready to start TLS"));
    client.begin_tls(&sandbox.tls_client()).await.unwrap();
    let ehlo = client.ehlo().await;
    assert!(ehlo.listed("AUTH").is_some() && ehlo.listed("STARTTLS").is_none(), "{ehlo:?}");
    assert_eq!(client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await.code(), 235);

    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).submission_by(Security::Tls).start().await;
    let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
    assert_eq!(client.ehlo().await.listed("AUTH"), Some("LOGIN XOAUTH2"));
    let reply = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert_eq!(reply.code(), 235, "{reply:?}");
}

#[tokio::test]
async fn nothing_is_taken_before_tls_or_behind_starttls() {
    let sandbox = exchange().start().await;
    sandbox.controls().submission(|submission| submission.strict = false);
    let mut client = Client::plain(sandbox.submission().0).await;
    client.ehlo().await;
    let reply = client.command(&format!("MAIL FROM:<{ALICE}>")).await;
    assert!(is_one_line(&reply, "451 5.7.3 STARTTLS is required to send mail ["), "{reply:?}");
    assert_eq!(client.command("AUTH XOAUTH2").await.code(), 451);

    let sandbox = Sandbox::builder().submission_by(Security::StartTls).start().await;
    sandbox.controls().submission(|submission| submission.strict = false);
    let mut client = Client::plain(sandbox.submission().0).await;
    client.write(b"STARTTLS\r\nNOOP\r\nNOOP\r\n").await;
    assert!(client.reply().await.starts_with("454 4.5.0 SMTP protocol violation, no commands allowed"));
    // Neither NOOP was answered, and the session continues.
    assert_eq!(client.command("STARTTLS").await.code(), 220);
    client.begin_tls(&sandbox.tls_client()).await.unwrap();
    assert_eq!(client.ehlo().await.code(), 250);
    sandbox.assert_no_violations();
}

#[tokio::test]
async fn the_dialects_refuse_a_token_as_their_models_do_and_go_on() {
    let sandbox = gmail().start().await;
    let mut client = submit(&sandbox).await;
    client.command("AUTH XOAUTH2").await;
    let challenge = "334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
    assert_eq!(client.command(&mail::xoauth2(ALICE, "bad")).await.lines, [challenge]);
    let refused = client.command("").await;
    let first = "535-5.7.8 Username and Password not accepted. For more information, go to";
    assert_eq!(refused.lines[0], first);
    assert!(
        refused.starts_with("535 5.7.8  https://support.google.com/mail/?p=BadCredentials "),
        "{refused:?}"
    );
    assert_eq!(client.oauthbearer(ALICE, "bad").await.code(), 535);
    let reply = client.oauthbearer(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert_eq!(reply.code(), 235, "{reply:?}");
    let tried: Vec<bool> =
        sandbox.controls().submission_logins().iter().map(|login| login.accepted).collect();
    assert_eq!(tried, [false, false, true]);

    let sandbox = exchange().start().await;
    let mut client = submit(&sandbox).await;
    client.command("AUTH XOAUTH2").await;
    let refused = client.command(&mail::xoauth2(ALICE, "bad")).await;
    assert!(is_one_line(&refused, "535 5.7.3 Authentication unsuccessful [SY5P282CA0097."), "{refused:?}");
    let unknown = client.command("AUTH OAUTHBEARER").await;
    assert!(is_one_line(&unknown, "504 5.7.4 Unrecognized authentication type ["), "{unknown:?}");
    client.command("AUTH XOAUTH2").await;
    assert!(client.command("*").await.starts_with("535 "), "RFC 4954 says 501; Exchange does not");
    let reply = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert_eq!(reply.code(), 235, "{reply:?}");
    assert_eq!(sandbox.controls().submissions()[0].attempts, 4);
    sandbox.assert_no_violations();
}

#[tokio::test]
async fn mail_without_a_login_is_refused_with_the_last_error() {
    let sandbox = exchange().start().await;
    sandbox.controls().submission(|submission| submission.strict = false);
    let mut client = submit(&sandbox).await;
    let command = format!("MAIL FROM:<{ALICE}>");
    let reply = client.command(&command).await;
    assert!(reply.starts_with("530 5.7.57 Client not authenticated to send mail. ["), "{reply:?}");
    client.xoauth2(ALICE, "bad").await;
    let reply = client.command(&command).await;
    assert!(reply.text().contains("to send mail. Error: 535 5.7.3 Authentication unsuccessful"), "{reply:?}");
    assert_eq!(client.command("DATA").await.code(), 530);
    let reply = client.command("XYZZY plugh").await;
    assert!(is_one_line(&reply, "500 5.3.3 Unrecognized command 'XYZZY' ["), "{reply:?}");
}

#[tokio::test]
async fn a_token_needs_the_scope_for_sending() {
    let sandbox = exchange().start().await;
    let controls = sandbox.controls();
    let scopes = |scope: &str| vec![scope.to_owned(), "offline_access".to_owned()];
    let mail = controls.access_token_for(ALICE, &scopes(Vendor::Microsoft.mail_scope()));
    let sending = controls.access_token_for(ALICE, &scopes(Vendor::Microsoft.submission_scope()));
    let mut client = submit(&sandbox).await;
    assert!(client.xoauth2(ALICE, &mail).await.starts_with("535 5.7.3 "));
    assert_eq!(client.xoauth2(ALICE, &sending).await.code(), 235);
    let lines = common::imap(&sandbox).await.authenticate(ALICE, &sending).await;
    assert_eq!(lines, ["auth NO AUTHENTICATE failed."], "and a token for sending opens no mailbox");
    let lines = common::imap(&sandbox).await.authenticate(ALICE, &mail).await;
    assert_eq!(lines, ["auth OK AUTHENTICATE completed."]);

    let sandbox = gmail().start().await;
    let token = sandbox.controls().access_token_for(ALICE, &scopes("https://mail.google.com/"));
    let other = sandbox.controls().access_token_for(ALICE, &scopes("openid"));
    let mut client = submit(&sandbox).await;
    assert_eq!(client.xoauth2(ALICE, &other).await.code(), 535);
    assert_eq!(client.xoauth2(ALICE, &token).await.code(), 235);
}

#[tokio::test]
async fn a_dead_token_and_a_foreign_one_are_refused() {
    let sandbox = exchange().start().await;
    let controls = sandbox.controls();
    let mut client = submit(&sandbox).await;
    let token = controls.access_token(BOB);
    assert_eq!(client.xoauth2(ALICE, &token).await.code(), 535, "another user's");
    controls.revoke_grants(BOB);
    assert_eq!(client.xoauth2(BOB, &token).await.code(), 535, "a revoked grant");
    let token = controls.access_token(ALICE);
    controls.expire_access_tokens();
    assert_eq!(client.xoauth2(ALICE, &token).await.code(), 535, "expired");
    assert_eq!(client.xoauth2(ALICE, &controls.access_token(ALICE)).await.code(), 235);
}

#[tokio::test]
async fn refreshing_with_a_scope_that_nobody_consented_to() {
    let sandbox = exchange().start().await;
    let flow = Flow::new(&sandbox);
    // `Flow` asks for the scopes of IMAP only.
    let redirect = sandbox.browser().consent_and_copy(&flow.url(ALICE), None).await.unwrap();
    let (_, answer) = token_form(&sandbox, &flow.exchange(&flow.code(&redirect).0)).await;
    let refresh_token = answer["refresh_token"].as_str().unwrap().to_owned();
    let ask = |scope: &str| {
        let mut form = flow.refresh(&refresh_token);
        form.push(("scope", scope.to_owned()));
        form
    };
    let (status, answer) = token_form(&sandbox, &ask(Vendor::Microsoft.submission_scope())).await;
    assert_eq!(
        (status, &answer["error"], &answer["error_codes"][0]),
        (400, &"invalid_grant".into(), &65001.into())
    );
    assert!(
        answer["error_description"].as_str().unwrap().starts_with("AADSTS65001: The user or administrator")
    );
    sandbox.controls().oauth(|oauth| oauth.refuse_unconsented = false);
    let (_, answer) = token_form(&sandbox, &ask(Vendor::Microsoft.submission_scope())).await;
    assert_eq!(answer["error"], "invalid_scope");
    let (status, answer) = token_form(&sandbox, &ask(Vendor::Microsoft.mail_scope())).await;
    assert_eq!((status, &answer["scope"]), (200, &Value::from(Vendor::Microsoft.mail_scope())));
}

#[tokio::test]
async fn a_shared_mailbox_is_opened_by_the_name_that_the_switch_says() {
    let builder = exchange().shared_mailbox(TEAM, &[BOB]).alias("bobby@example.com", BOB);
    let sandbox = builder.start().await;
    let controls = sandbox.controls();
    let token = controls.access_token(BOB);
    let mut client = submit(&sandbox).await;
    assert!(client.xoauth2(TEAM, &token).await.starts_with("535 5.7.3 "));
    assert_eq!(client.xoauth2(BOB, &token).await.code(), 235);
    assert_eq!(client.mail(TEAM, &[ALICE], b"From: Team <team@example.com>\r\n\r\n").await.code(), 250);
    assert_eq!(client.mail("bobby@example.com", &[ALICE], b"\r\n").await.code(), 250);
    let reply = client.mail(ALICE, &[TEAM], b"\r\n").await;
    let denied =
        "554 5.2.252 SendAsDenied; bob@example.com not allowed to send as alice@example.com; STOREDRV.";
    assert!(is_one_line(&reply, denied), "{reply:?}");
    assert_eq!(
        client.mail(BOB, &[TEAM], b"from: <alice@example.com>\r\n\r\n").await.code(),
        554,
        "the field"
    );
    let submission = controls.submissions().remove(0);
    assert_eq!(submission.users, [TEAM, BOB]);
    let stats = controls.stats();
    assert_eq!((stats.messages, stats.refused_messages), (2, 2));

    controls.submission(|submission| submission.shared_name = SharedName::Account);
    let mut client = submit(&sandbox).await;
    assert!(client.xoauth2(BOB, &token).await.starts_with("535 5.7.3 "));
    assert_eq!(client.xoauth2(TEAM, &token).await.code(), 235);
    let mut client = submit(&sandbox).await;
    let own = client.xoauth2(ALICE, &controls.access_token(ALICE)).await;
    assert_eq!(own.code(), 235, "who is nobody's delegate signs in by their own name");
}

#[tokio::test]
async fn a_long_token_needs_two_steps_at_gmail() {
    let sandbox = gmail().start().await;
    sandbox.controls().oauth(|oauth| oauth.access_token_length = 8 << 10);
    let token = sandbox.controls().access_token(ALICE);
    let mut client = submit(&sandbox).await;
    let message = mail::xoauth2(ALICE, &token);
    let reply = client.command(&format!("AUTH XOAUTH2 {message}")).await;
    let first = "555-5.5.2 Syntax error, command line too long. For more information, go to";
    assert!(reply.lines[0] == first && reply.code() == 555, "{reply:?}");
    assert_eq!(client.xoauth2(ALICE, &token).await.code(), 235);

    sandbox.controls().submission(|submission| submission.auth_line_limit = None);
    let reply = submit(&sandbox).await.command(&format!("AUTH XOAUTH2 {message}")).await;
    assert_eq!(reply.code(), 235);
    let logins = sandbox.controls().submission_logins();
    let inline: Vec<bool> = logins.iter().map(|login| login.initial_response).collect();
    assert_eq!(inline, [false, true]);
}

#[tokio::test]
async fn ehlo_lists_what_the_switches_say() {
    let sandbox = gmail().start().await;
    let listed = async |form: AuthForm| {
        sandbox.controls().submission(|submission| submission.auth = form);
        let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
        client.ehlo().await.lines.into_iter().filter(|line| line.contains("AUTH")).collect::<Vec<_>>()
    };
    let words = "LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH";
    let (plain, equals) = (format!("250-AUTH {words}"), format!("250-AUTH={words}"));
    assert_eq!(listed(AuthForm::Usual).await, [plain.as_str()]);
    assert_eq!(listed(AuthForm::Equals).await, [equals.as_str()]);
    assert_eq!(listed(AuthForm::Both).await, [equals, plain]);
    assert_eq!(listed(AuthForm::Last).await, [format!("250 AUTH {words}")]);
    assert!(listed(AuthForm::Missing).await.is_empty());

    sandbox.controls().submission(|submission| {
        submission.without = vec!["SMTPUTF8".to_owned(), "CHUNKING".to_owned()];
        submission.besides = vec!["X-MORE".to_owned()];
    });
    let mut client = signed_in(&sandbox).await;
    let ehlo = client.ehlo().await;
    assert!(ehlo.lists("X-MORE") && ehlo.lists("PIPELINING") && !ehlo.lists("CHUNKING"), "{ehlo:?}");
    let reply = client.command(&format!("MAIL FROM:<{ALICE}> SMTPUTF8")).await;
    assert_eq!(reply.code(), 555, "what is not listed is not taken");
    assert_eq!(client.command("BDAT 0 LAST").await.code(), 502);
    sandbox.controls().submission(|submission| submission.instead = Some(vec!["AUTH XOAUTH2".to_owned()]));
    let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
    assert_eq!(client.ehlo().await.lines[1..], ["250 AUTH XOAUTH2"]);
}

#[tokio::test]
async fn a_message_in_chunks() {
    let sandbox = exchange().start().await;
    let mut client = signed_in(&sandbox).await;
    client.command(&format!("MAIL FROM:<{ALICE}> BODY=BINARYMIME SIZE=17 RET=HDRS")).await;
    client.command(&format!("RCPT TO:<{BOB}> NOTIFY=NEVER")).await;
    client.write(b"BDAT 10\r\n\r\n.\r\n\0\r\n.\r").await;
    assert_eq!(client.reply().await.code(), 250);
    client.write(b"BDAT 7 LAST\r\n\nQUIT\r\n").await;
    assert_eq!(client.reply().await.code(), 250);
    let sent = sandbox.controls().sent().remove(0);
    assert_eq!((sent.data.as_slice(), sent.chunks), (&b"\r\n.\r\n\0\r\n.\r\nQUIT\r\n"[..], vec![10, 7]));
    assert_eq!(sent.commands[1], "RCPT TO:<bob@example.com> NOTIFY=NEVER");
    assert!(!sandbox.controls().submissions()[0].quit);

    client.write(b"BDAT 4\r\nabcdNOOP\r\n").await;
    assert_eq!((client.reply().await.code(), client.reply().await.code()), (503, 250), "without MAIL");
}

#[tokio::test]
async fn what_is_sent_arrives_and_stays_with_the_sender() {
    for (builder, sent) in [(gmail().user(BOB), "[Gmail]/Sent Mail"), (exchange(), "Sent Items")] {
        let sandbox = builder.start().await;
        let controls = sandbox.controls();
        let mut client = signed_in(&sandbox).await;
        let message = b"Subject: dots\r\n\r\n..\r\n..x\r\n";
        assert_eq!(client.mail(ALICE, &[BOB, "x@example.org"], message).await.code(), 250);
        let plain = b"Subject: dots\r\n\r\n.\r\n.x\r\n";
        assert_eq!(controls.messages(BOB, "INBOX").pop().unwrap().octets, plain);
        assert_eq!(controls.messages(ALICE, sent).pop().unwrap().octets, plain);
    }
}

#[tokio::test]
async fn commands_out_of_order_and_in_one_write() {
    let sandbox = gmail().start().await;
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.command("AUTH XOAUTH2").await.code(), 503);
    assert_eq!(client.command(&format!("RCPT TO:<{BOB}>")).await.code(), 503);
    assert_eq!(client.command("DATA").await.code(), 503);
    assert_eq!(client.command("MAIL TO:<x>").await.code(), 555);
    let size = client.command(&format!("MAIL FROM:<{ALICE}> SIZE=35882578")).await;
    assert_eq!(size.code(), 552, "{size:?}");
    client.write(b"MAIL FROM:<alice@example.com>\r\nRSET\r\nVRFY x\r\nNOOP\r\nDATA\r\n").await;
    for expected in
        ["250 2.1.0 OK", "250 2.1.5 Flushed", "252 2.1.5 Send some mail", "250 2.0.0 OK", "503 5.5.1"]
    {
        let reply = client.reply().await;
        assert!(reply.starts_with(expected), "{reply:?}");
    }
    // The whole message in one write, which PIPELINING forbids but clients do.
    client
        .write(b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n.\r\nQUIT\r\n")
        .await;
    for expected in [250, 250, 354, 250, 221] {
        assert_eq!(client.reply().await.code(), expected);
    }
    assert_eq!(sandbox.controls().sent()[0].data, b"");
}

#[tokio::test]
async fn what_the_proxy_must_not_say_is_a_violation() {
    let sandbox = gmail().start().await;
    sandbox.controls().forbid("local password");
    let token = sandbox.controls().access_token(ALICE);
    let message = mail::xoauth2(ALICE, &token);
    let behind = format!("AUTH XOAUTH2 {message}\r\nMAIL FROM:<{ALICE}>");
    let lines =
        ["HELO x", "AUTH PLAIN AGEAYg==", "MAIL FROM:<a@b>", "RCPT TO:<a@b>", "NOOP cal passw", &behind];
    for line in lines {
        let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
        client.send(line).await;
        assert!(client.at_end().await, "{line}");
    }
    let mut client = Client::connect(sandbox.submission().0, &sandbox.tls_client()).await;
    client.command("AUTH XOAUTH2").await;
    client.command(&mail::xoauth2(ALICE, "bad")).await;
    client.send("AQ==").await;
    assert!(client.at_end().await);
    let violations = sandbox.controls().violations();
    assert_eq!(violations.len(), 7, "{violations:?}");
    assert_eq!(violations[4].what, "forbidden secret no. 0 reached the submission server");
    assert_eq!(violations[5].what, "octets behind AUTH before it was answered");

    let sandbox = exchange().start().await;
    let mut client = Client::plain(sandbox.submission().0).await;
    client.send("AUTH XOAUTH2").await;
    assert!(client.at_end().await, "AUTH before TLS");
    let mut client = Client::plain(sandbox.submission().0).await;
    client.write(b"STARTTLS\r\nEHLO x\r\n").await;
    assert!(client.at_end().await, "octets behind STARTTLS");
    assert_eq!(sandbox.controls().violations().len(), 2);
}

#[tokio::test]
async fn a_big_message_is_counted_and_compared_and_not_kept() {
    let sandbox = gmail().start().await;
    sandbox.controls().submission(|submission| submission.sink_above = 100_000);
    let mut client = signed_in(&sandbox).await;
    for shift in [0, 1] {
        client.command(&format!("MAIL FROM:<{ALICE}>")).await;
        client.command(&format!("RCPT TO:<{BOB}>")).await;
        client.command("DATA").await;
        let mut octets = 0;
        while octets < 1_000_000 {
            let chunk = sandbox::pattern::chunk(octets + shift, 50_000);
            client.write(chunk).await;
            octets += chunk.len() as u64;
        }
        assert_eq!(client.command("\r\n.").await.code(), 250);
    }
    let sent = sandbox.controls().sent();
    assert_eq!((sent[0].octets, sent[0].data.len(), sent[0].first_wrong), (1_000_002, 0, Some(1_000_000)));
    assert_eq!(sent[1].first_wrong, Some(0));
}
