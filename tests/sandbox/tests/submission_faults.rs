//! The submission server: refusals at every step, slowness, silence and malice.

use sandbox::smtp::{Client, Reply};
use sandbox::{Builder, Flavour, Gate, Sandbox, Security, Step, StepFault, SubmissionRefusal};

mod common;
use common::submit;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";

fn exchange() -> Builder {
    Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).submission()
}

async fn signed_in(sandbox: &Sandbox) -> Client {
    let mut client = submit(sandbox).await;
    let reply = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    assert_eq!(reply.code(), 235, "{reply:?}");
    client
}

/// Runs a whole session up to its first refusal, and returns that refusal.
async fn session(sandbox: &Sandbox) -> Reply {
    let (address, tls) = (sandbox.submission().0, sandbox.tls_client());
    let mut client = Client::connect(address, &tls).await;
    if client.greeting.code() != 220 {
        return client.greeting;
    }
    let reply = client.ehlo().await;
    if reply.code() != 250 {
        return reply;
    }
    let reply = client.xoauth2(ALICE, &sandbox.controls().access_token(ALICE)).await;
    if reply.code() != 235 {
        return reply;
    }
    let reply = client.mail(ALICE, &[BOB], b"hello\r\n").await;
    if reply.code() != 250 {
        return reply;
    }
    client.command("QUIT").await
}

const STEPS: [Step; 9] = [
    Step::Greeting,
    Step::Ehlo,
    Step::Auth,
    Step::Token,
    Step::Mail,
    Step::Rcpt,
    Step::Data,
    Step::Message,
    Step::Quit,
];

#[tokio::test]
async fn every_refusal_can_stand_at_every_step() {
    let sandbox = Sandbox::builder().submission().start().await;
    for refusal in SubmissionRefusal::ALL {
        for step in STEPS {
            sandbox.controls().next_step(step, refusal);
            let reply = session(&sandbox).await;
            assert_eq!(reply.lines, refusal.lines(), "at {step:?}");
        }
    }
    assert_eq!(session(&sandbox).await.code(), 221, "and none is left over");
    sandbox.assert_no_violations();
}

#[tokio::test]
async fn the_refusals_read_as_they_were_seen() {
    let line = |refusal: SubmissionRefusal| refusal.lines().join(" / ");
    let tenant = line(SubmissionRefusal::SmtpAuthDisabledTenant);
    let start = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit \
                 https://aka.ms/smtp_auth_disabled for more information. [SY5P282CA0097.";
    assert!(tenant.starts_with(start), "{tenant}");
    assert!(line(SubmissionRefusal::DailyLimit).starts_with(
        "550-5.4.5 Daily user sending limit exceeded. For more information on Gmail / 550-5.4.5 sending limits go \
         to / 550 5.4.5  https://support.google.com/a/answer/166852 "
    ));
    assert!(
        line(SubmissionRefusal::ConcurrentConnections).starts_with("432 4.3.2 Concurrent connections limit")
    );
    for refusal in SubmissionRefusal::ALL {
        let lines = refusal.lines();
        let code = &lines[0][..3];
        for (at, text) in lines.iter().enumerate() {
            let mark = if at + 1 == lines.len() { ' ' } else { '-' };
            assert!(text.starts_with(&format!("{code}{mark}")), "{lines:?}");
        }
    }
}

#[tokio::test]
async fn hang_ups_and_resets_at_every_step() {
    let sandbox = Sandbox::builder().submission().start().await;
    for fault in [StepFault::Close, StepFault::Reset] {
        for step in STEPS {
            sandbox.controls().next_step(step, fault.clone());
            assert_eq!(session(&sandbox).await, Reply::default(), "{fault:?} at {step:?}");
        }
    }
    let stats = sandbox.controls().wait_for(|stats| stats.submissions_open == 0).await;
    assert_eq!((stats.submissions, stats.messages, stats.refused_messages), (18, 2, 2));
}

#[tokio::test]
async fn a_gate_stands_before_a_step_or_before_its_reply() {
    let sandbox = Sandbox::builder().submission().start().await;
    let controls = sandbox.controls();
    for step in STEPS {
        let gate = Gate::new();
        controls.next_step(step, StepFault::Hold(gate.clone()));
        let test = async {
            gate.arrived(1).await;
            gate.open();
        };
        let (reply, ()) = tokio::join!(session(&sandbox), test);
        assert_eq!(reply.code(), 221, "{step:?}");
    }
    for (fault, messages) in [
        (StepFault::Hold as fn(Gate) -> StepFault, controls.stats().messages),
        (StepFault::HoldReply, controls.stats().messages + 2),
    ] {
        let gate = Gate::new();
        controls.next_step(Step::Message, fault(gate.clone()));
        let test = async {
            gate.arrived(1).await;
            assert_eq!(controls.stats().messages, messages, "taken before the reply, or with it");
            gate.open();
        };
        let (reply, ()) = tokio::join!(session(&sandbox), test);
        assert_eq!(reply.code(), 221);
    }
    sandbox.assert_no_violations();
}

#[tokio::test]
async fn silence_ends_when_the_test_says_so() {
    let sandbox = Sandbox::builder().submission().start().await;
    let controls = sandbox.controls();
    controls.next_step(Step::Mail, StepFault::Silence);
    let mut client = signed_in(&sandbox).await;
    client.write(b"MAIL FROM:<alice@example.com>\r\nQUIT\r\n").await;
    controls.wait_for(|stats| stats.submission_logins == 1).await;
    controls.end_submissions(Some(ALICE), "421 4.3.2 Service not available");
    assert_eq!(client.reply().await.lines, ["421 4.3.2 Service not available"]);
    assert!(client.at_end().await);

    let mut client = signed_in(&sandbox).await;
    controls.inject_submissions(None, b"250 from nowhere\r\n");
    assert_eq!(client.reply().await.lines, ["250 from nowhere"]);
    controls.close_submissions(Some("somebody@example.com"));
    assert_eq!(client.command("NOOP").await.code(), 250);
    controls.reset_submissions(None);
    assert!(client.at_end().await);
    let mut client = signed_in(&sandbox).await;
    controls.close_submissions(None);
    assert!(client.at_end().await);
}

#[tokio::test]
async fn faults_of_a_login() {
    let sandbox = exchange().start().await;
    let (controls, token) = (sandbox.controls(), sandbox.controls().access_token(ALICE));
    controls.next_step(Step::Token, StepFault::Refuse);
    controls.next_step(Step::Token, SubmissionRefusal::SecurityDefaults);
    controls.submission(|submission| submission.strict = false);
    let mut client = submit(&sandbox).await;
    assert!(client.xoauth2(ALICE, &token).await.starts_with("535 5.7.3 "));
    let reply = client.xoauth2(ALICE, &token).await;
    assert!(reply.text().contains("security defaults policy"), "{reply:?}");
    let reply = client.command(&format!("MAIL FROM:<{ALICE}>")).await;
    assert!(reply.starts_with("530 5.7.57 ") && reply.text().contains("Error: 535 5.7.139 "), "{reply:?}");

    controls.next_step(Step::Token, StepFault::FalseSuccess);
    assert_eq!(client.xoauth2(ALICE, &token).await.code(), 235);
    let reply = client.mail(ALICE, &[BOB], b"").await;
    assert!(reply.starts_with("430 4.2.0 STOREDRV; mailbox logon failure"), "{reply:?}");

    controls.next_step(Step::Auth, StepFault::EarlySuccess);
    let mut client = submit(&sandbox).await;
    assert_eq!(client.command("AUTH XOAUTH2").await.code(), 235, "before the token was sent");
    assert_eq!(client.mail(ALICE, &[BOB], b"").await.code(), 430);

    controls.next_step(Step::Token, StepFault::EndlessChallenges);
    let mut client = submit(&sandbox).await;
    client.command("AUTH XOAUTH2").await;
    for _ in 0..100 {
        assert_eq!(client.command("").await.lines, ["334 e30="]);
    }
    let stats = controls.stats();
    assert_eq!((stats.submission_logins, stats.failed_submission_logins), (1, 2));
}

#[tokio::test]
async fn the_fourth_session_that_sends_is_refused_at_the_end_of_its_message() {
    let sandbox = exchange().start().await;
    sandbox.controls().submission(|submission| submission.max_sending = Some(3));
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(signed_in(&sandbox).await);
    }
    let reply = sessions[3].mail(ALICE, &[BOB], b"\r\n").await;
    assert!(reply.starts_with("432 4.3.2 Concurrent connections limit exceeded. "), "{reply:?}");
    sessions[0].command("QUIT").await;
    sandbox.controls().wait_for(|stats| stats.submissions_open == 3).await;
    assert_eq!(sessions[3].mail(ALICE, &[BOB], b"\r\n").await.code(), 250);
}

#[tokio::test]
async fn replies_that_no_honest_server_sends() {
    let sandbox = Sandbox::builder().submission().start().await;
    let controls = sandbox.controls();
    let (address, tls) = (sandbox.submission().0, sandbox.tls_client());
    controls.next_step(Step::Greeting, StepFault::http());
    let client = Client::connect(address, &tls).await;
    assert_eq!(client.greeting.lines, ["HTTP/1.1 400 Bad Request"]);

    controls.next_step(Step::Greeting, StepFault::Endless);
    let mut client = Client::silent(address).await;
    client.begin_tls(&tls).await.unwrap();
    for _ in 0..10_000 {
        assert_eq!(client.line().await, "250-X-STILL-THINKING");
    }
    drop(client);

    controls.next_step(Step::Ehlo, StepFault::Lines(5000));
    let mut client = Client::connect(address, &tls).await;
    let reply = client.ehlo().await;
    assert_eq!((reply.lines.len(), reply.code()), (5000, 250));
    controls.next_step(Step::Ehlo, StepFault::LongLine(1_000_000));
    assert_eq!(client.ehlo().await.lines[0].len(), 1_000_000);
    controls.next_step(Step::Ehlo, StepFault::Raw(b"250 \x1b[31m\x07\0\r\n".to_vec()));
    assert_eq!(client.ehlo().await.lines, ["250 \x1b[31m\x07\0"]);

    controls.submission(|submission| submission.piece = 1);
    assert_eq!(session(&sandbox).await.code(), 221, "an octet at a time");
}

#[tokio::test]
async fn cleartext_behind_the_answer_to_starttls() {
    let sandbox = Sandbox::builder().submission_by(Security::StartTls).start().await;
    let injected = b"250-injected\r\n250 AUTH PLAIN\r\n";
    sandbox.controls().submission(|submission| submission.behind_starttls = injected.to_vec());
    let mut client = Client::plain(sandbox.submission().0).await;
    client.ehlo().await;
    assert_eq!(client.command("STARTTLS").await.code(), 220);
    assert_eq!(client.unread(), injected, "in the same write");
    assert!(client.reply().await.lists("AUTH PLAIN"));
    client.begin_tls(&sandbox.tls_client()).await.unwrap();
    assert_eq!(client.ehlo().await.code(), 250);
}

#[tokio::test]
async fn starttls_refused_cut_or_held_and_a_handshake_that_fails() {
    let sandbox = exchange().start().await;
    let (controls, address) = (sandbox.controls(), sandbox.submission().0);
    let mut client = Client::plain(address).await;
    controls.next_step(Step::StartTls, StepFault::reply("454 4.7.0 TLS not available due to local problem"));
    assert_eq!(client.command("STARTTLS").await.code(), 454);
    let gate = Gate::new();
    controls.next_step(Step::StartTls, StepFault::HoldReply(gate.clone()));
    let test = async {
        gate.arrived(1).await;
        gate.open();
    };
    let (reply, ()) = tokio::join!(client.command("STARTTLS"), test);
    assert_eq!(reply.code(), 220);
    client.write(b"this is no handshake\r\n").await;
    controls.wait_for(|stats| stats.submission_tls_failures == 1).await;
    controls.next_step(Step::StartTls, StepFault::Close);
    let mut client = Client::plain(address).await;
    assert_eq!(client.command("STARTTLS").await, Reply::default());
}

#[tokio::test]
async fn an_unknown_command_may_be_answered_late() {
    let sandbox = exchange().start().await;
    let mut client = signed_in(&sandbox).await;
    assert_eq!(client.command("XYZZY").await.code(), 500);
    let tarpit = std::time::Duration::from_millis(200);
    sandbox.controls().submission(|submission| submission.tarpit = tarpit);
    let mut client = signed_in(&sandbox).await;
    let begun = std::time::Instant::now();
    assert_eq!(client.command("XYZZY").await.code(), 500);
    assert!(begun.elapsed() >= tarpit);
}
