//! Sending mail through `serve`: the login, each of its failures, and the relayed bytes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::client::tls_config;
use common::smtp::{Client, Reply, sign_in};
use common::{ALICE, BOB, Site, within};
use sandbox::{
    AuthForm, Flavour, Gate, Sandbox, Security, SharedName, Step, StepFault, SubmissionRefusal, TokenFault,
};
use serde_json::Value;

const TEAM: &str = "team@example.com";
/// Both kinds of providers: implicit TLS with challenges in refusals, and STARTTLS without.
const FLAVOURS: [Flavour; 2] = [Flavour::Gmail, Flavour::Exchange];
const MESSAGE: &[u8] =
    b"From: Alice <alice@example.com>\r\nTo: bob@example.com\r\nSubject: dots\r\n\r\nHello\r\n..\r\n..x\r\n";

async fn site(flavour: Flavour) -> Site {
    Site::with(Sandbox::builder().flavour(flavour).user(ALICE).user(BOB).submission()).await
}

/// The last connection to the provider's submission server.
fn last(site: &Site) -> sandbox::Submission {
    site.sandbox.controls().submissions().pop().unwrap()
}

async fn refused(site: &Site, settings: &Value) -> Reply {
    let serving = site.serve().await;
    let mut client = serving.submit().await;
    let reply = sign_in(&mut client, settings).await;
    assert_eq!(client.command("NOOP").await.code(), 250, "the connection is kept");
    reply
}

#[tokio::test]
async fn a_password_sends_a_message_byte_for_byte() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        site.sandbox.controls().forbid(settings["password"].as_str().unwrap());
        let serving = site.serve().await;
        let mut client = serving.submit().await;
        let reply = sign_in(&mut client, &settings).await;
        assert!(reply.starts_with("235 2.7.0 "), "the provider's own words: {reply:?}");
        let reply = client.mail(ALICE, &[BOB, "x@example.org"], MESSAGE).await;
        assert!(reply.starts_with("250 2.0.0 OK"), "{reply:?}");
        assert_eq!(client.command("QUIT").await.code(), 221);
        assert!(client.at_end().await);
        drop(client);

        let sent = site.sandbox.controls().sent().remove(0);
        assert_eq!(sent.data, MESSAGE);
        assert_eq!((sent.user.as_str(), sent.from.as_str()), (ALICE, ALICE));
        assert_eq!(sent.recipients, [BOB, "x@example.org"]);
        let seen = last(&site);
        assert!(seen.quit && seen.names.last().is_some_and(|name| name == "client.example"), "{seen:?}");
        assert_eq!(seen.users, [ALICE]);
        assert!(site.sandbox.controls().submission_logins().iter().all(|login| !login.initial_response));
        site.sandbox.assert_no_violations();
        let (code, log) = serving.stop().await;
        assert!(code == 0 && !log.contains(settings["password"].as_str().unwrap()), "{log}");
    }
}

#[tokio::test]
async fn old_senders_log_in_with_auth_login_or_without_ehlo() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let password = settings["password"].as_str().unwrap();
    let mut client = serving.submit().await;
    assert_eq!(client.auth_login(ALICE, password).await.code(), 235);
    assert_eq!(client.mail(ALICE, &[BOB], b"by AUTH LOGIN\r\n").await.code(), 250);

    let mut client = Client::connect(serving.submission_of("tls"), &tls_config(&serving.ca_file())).await;
    assert_eq!(client.auth_plain(ALICE, password).await.code(), 235, "no EHLO at all");
    assert_eq!(client.mail(ALICE, &[BOB], b"without EHLO\r\n").await.code(), 250);
    let names = last(&site).names;
    assert!(names.iter().all(|name| !name.is_empty()), "the proxy has a name of its own: {names:?}");
}

#[tokio::test]
async fn a_refused_token_is_refreshed_once_and_tried_on_the_same_connection() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        controls.revoke_access_tokens();
        let before = controls.stats();
        let serving = site.serve().await;
        let mut client = serving.submit_as(&settings).await;
        let stats = controls.stats();
        assert_eq!(stats.refreshes - before.refreshes, 1);
        assert_eq!(stats.submissions - before.submissions, 1, "one connection");
        assert_eq!(last(&site).users, [ALICE, ALICE]);
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn a_mailbox_that_refuses_fresh_tokens_is_not_hammered() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let before = controls.stats().refreshes;
    controls.every_step(Step::Token, StepFault::Refuse);
    let serving = site.serve().await;
    let mut client = serving.submit().await;
    for _ in 0..3 {
        let reply = sign_in(&mut client, &settings).await;
        assert!(reply.starts_with("535 5.7.8 "), "{reply:?}");
        assert!(reply.text().contains(&format!("imap-oauth-proxy check {ALICE}")), "{reply:?}");
    }
    assert_eq!(controls.stats().refreshes - before, 1, "one fresh token, then none for a while");
    controls.heal_steps();
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
}

#[tokio::test]
async fn a_shared_mailbox_is_sent_from_under_its_owners_name_or_its_own() {
    let builder = Sandbox::builder().flavour(Flavour::Exchange).user(BOB).shared_mailbox(TEAM, &[BOB]);
    let site = Site::with(builder.submission()).await;
    let ran = site.authorize_with(&[TEAM, "--owner", BOB], Some(BOB)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let settings = ran.json();
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [BOB], "the owner first");
    assert_eq!(client.mail(TEAM, &[BOB], b"From: team@example.com\r\n\r\n").await.code(), 250);
    serving.log_in(&settings).await;
    assert_eq!(controls.logins().pop().unwrap().user, TEAM, "and the mailbox for reading");

    // A tenant that accepts only the other name.
    controls.submission(|submission| submission.shared_name = SharedName::Account);
    let before = controls.stats();
    serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [BOB, TEAM], "on one connection");
    assert_eq!(controls.stats().refreshes, before.refreshes, "and the token is not to blame");
    serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [TEAM], "remembered");
    drop(serving);
    let serving = site.serve().await;
    serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [TEAM], "by the store");

    // A remembered name is tried first, but the other one is still tried.
    controls.submission(|submission| submission.shared_name = SharedName::Owner);
    serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [TEAM, BOB]);
    serving.submit_as(&settings).await;
    assert_eq!(last(&site).users, [BOB]);
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn submission_user_fixes_the_name() {
    for (fixed, works) in [("owner", SharedName::Owner), ("account", SharedName::Account)] {
        let builder = Sandbox::builder().flavour(Flavour::Exchange).user(BOB).shared_mailbox(TEAM, &[BOB]);
        let site = Site::with(builder.submission()).await;
        site.configure_provider(&format!("submission_user = \"{fixed}\""));
        let controls = site.sandbox.controls();
        controls.submission(|submission| submission.shared_name = works);
        let ran = site.authorize_with(&[TEAM, "--owner", BOB], Some(BOB)).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let serving = site.serve().await;
        let name = if fixed == "owner" { BOB } else { TEAM };
        serving.submit_as(&ran.json()).await;
        assert_eq!(last(&site).users, [name]);
        controls.next_step(Step::Token, StepFault::Refuse);
        serving.submit_as(&ran.json()).await;
        assert_eq!(last(&site).users, [name, name], "another token, and no other name");
    }
}

#[tokio::test]
async fn a_token_of_eight_kilobytes_is_never_on_the_auth_line() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let controls = site.sandbox.controls();
        controls.oauth(|oauth| oauth.access_token_length = 8 << 10);
        controls.submission(|submission| submission.auth_line_limit = Some(1000));
        let settings = site.authorize(ALICE).await;
        let serving = site.serve().await;
        let mut client = serving.submit_as(&settings).await;
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
        let login = controls.submission_logins().pop().unwrap();
        assert_eq!((login.token.len(), login.initial_response), (8 << 10, false));
        assert!(last(&site).heard.contains(&"AUTH XOAUTH2".to_owned()), "{:?}", last(&site).heard);
    }
}

#[tokio::test]
async fn nothing_is_sent_without_a_login_and_a_wrong_password_keeps_the_connection() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let before = site.sandbox.controls().stats().submissions;
    let mut client = serving.submit().await;
    for command in ["MAIL FROM:<alice@example.com>", "RCPT TO:<bob@example.com>", "DATA", "BDAT 3", "VRFY x"]
    {
        let reply = client.command(command).await;
        assert!(reply.starts_with("530 5.7.0 "), "{command}: {reply:?}");
    }
    let wrong = client.auth_plain(ALICE, "wrong").await;
    let unknown = client.auth_login("nobody@example.com", "wrong").await;
    assert!(wrong.starts_with("535 5.7.8 "), "{wrong:?}");
    assert_eq!(wrong, unknown, "one answer for both");
    assert_eq!(site.sandbox.controls().stats().submissions, before, "the provider is not asked");
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);

    let mut client = serving.submit().await;
    for _ in 0..4 {
        assert_eq!(client.auth_plain(ALICE, "wrong").await.code(), 535);
    }
    let last_words = client.reply().await;
    assert!(last_words.starts_with("421 4.7.0 ") && client.at_end().await, "{last_words:?}");
}

#[tokio::test]
async fn what_time_heals_is_a_454() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    let mut client = serving.submit().await;
    let temporary: [(Step, StepFault); 7] = [
        (Step::Greeting, StepFault::Close),
        (Step::Greeting, StepFault::reply("421 4.3.2 Service not available")),
        (Step::Ehlo, StepFault::Reset),
        (Step::Ehlo, SubmissionRefusal::ClosingConnection.into()),
        (Step::StartTls, StepFault::reply("454 4.7.0 TLS not available due to local problem")),
        (Step::Token, SubmissionRefusal::TemporaryProblem.into()),
        (Step::Token, SubmissionRefusal::StsUnreachable.into()),
    ];
    for (step, fault) in temporary {
        controls.next_step(step, fault.clone());
        let reply = sign_in(&mut client, &settings).await;
        assert!(reply.starts_with("454 4.7.0 "), "{fault:?} at {step:?}: {reply:?}");
    }
    controls.revoke_access_tokens();
    controls.next_token(TokenFault::Drop);
    let reply = sign_in(&mut client, &settings).await;
    assert!(reply.starts_with("454 4.7.0 "), "the token endpoint: {reply:?}");
    controls.heal_steps();

    // No server listens at this address.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = site.sandbox.provider_toml_with_submission_at("sandbox", closed);
    let config = std::fs::read_to_string(&site.config).unwrap();
    let kept = config.split("[providers.").next().unwrap();
    std::fs::write(&site.config, format!("{kept}{table}")).unwrap();
    let reply = refused(&site, &settings).await;
    assert!(reply.starts_with("454 4.7.0 "), "{reply:?}");
    assert!(reply.text().contains(&closed.to_string()), "{reply:?}");
}

#[tokio::test]
async fn what_a_person_must_mend_is_a_535_with_cause_and_cure() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    let refusals = [
        (SubmissionRefusal::SmtpAuthDisabledTenant, "the whole organisation", "Set-CASMailbox"),
        (SubmissionRefusal::SmtpAuthDisabledMailbox, "this mailbox", "Set-CASMailbox"),
        (SubmissionRefusal::SecurityDefaults, "security defaults", "Conditional Access"),
        (SubmissionRefusal::CriteriaNotMet, "Conditional Access", "sign-in log"),
        (SubmissionRefusal::AccountLocked, "locked", "unlock"),
    ];
    for (refusal, cause, cure) in refusals {
        controls.next_step(Step::Token, refusal);
        let mut client = serving.submit().await;
        let reply = sign_in(&mut client, &settings).await;
        assert!(reply.lines.iter().all(|line| line.starts_with("535")), "{reply:?}");
        let text = reply.text();
        assert!(text.contains(cause) && text.contains(cure), "{refusal:?}: {text}");
        assert!(reply.lines.iter().all(|line| line.len() <= 510), "{reply:?}");
    }
    controls.revoke_grants(ALICE);
    controls.revoke_access_tokens();
    let mut client = serving.submit().await;
    let reply = sign_in(&mut client, &settings).await;
    assert!(reply.starts_with("535 5.7.8 "), "{reply:?}");
    assert!(reply.text().contains(&format!("imap-oauth-proxy authorize {ALICE}")), "{reply:?}");
}

/// In most tenants IMAP is on and sending is off, so a collector's logins must not hide the cause of failed
/// sending.
#[tokio::test]
async fn a_mail_program_that_reads_does_not_hide_why_another_cannot_send() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let serving = site.serve().await;
    controls.next_step(Step::Token, SubmissionRefusal::SmtpAuthDisabledMailbox);
    let mut sender = serving.submit().await;
    sign_in(&mut sender, &settings).await;
    drop(serving.log_in(&settings).await);
    let (listed, _) = site.tokens().await;
    let error = listed[0]["last_error"].as_str().unwrap_or_default();
    assert!(error.contains("switched off for this mailbox"), "{listed:#?}");
    assert!(sign_in(&mut sender, &settings).await.starts_with("235 "));
    assert!(site.tokens().await.0[0]["last_error"].is_null(), "sending works again");
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_refused_before_the_token_is_sent() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        let serving = site.serve().await;
        let before = controls.submission_logins().len();
        let faults = [
            (Step::Greeting, StepFault::http()),
            (Step::Greeting, StepFault::Endless),
            (Step::Greeting, StepFault::LongLine(1 << 20)),
            (Step::Greeting, StepFault::reply("250 hello")),
            (Step::Ehlo, StepFault::Lines(100_000)),
            (Step::Ehlo, StepFault::LongLine(1 << 20)),
            (Step::Ehlo, StepFault::Raw(b"250-\x1b[31m\0\x07\r\n250 \xff\r\n".to_vec())),
            (Step::Auth, StepFault::EarlySuccess),
        ];
        for (step, fault) in faults {
            controls.next_step(step, fault.clone());
            let mut client = serving.submit().await;
            let reply = within(&format!("{fault:?}"), sign_in(&mut client, &settings)).await;
            assert!(matches!(reply.code(), 454 | 535), "{fault:?} at {step:?}: {reply:?}");
            let printable = |line: &String| line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            assert!(reply.lines.iter().all(printable), "{reply:?}");
        }
        assert_eq!(controls.submission_logins().len(), before, "the token stayed here");
        controls.heal_steps();
        controls.submission(|submission| submission.auth = AuthForm::Missing);
        let mut client = serving.submit().await;
        let reply = sign_in(&mut client, &settings).await;
        assert!(matches!(reply.code(), 454 | 535), "{reply:?}");
        assert_eq!(controls.submission_logins().len(), before, "the token stayed here");
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn a_refusal_with_endless_challenges_ends() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().submission(|submission| submission.strict = false);
    site.sandbox.controls().every_step(Step::Token, StepFault::EndlessChallenges);
    let reply = within("a verdict", refused(&site, &settings)).await;
    assert!(matches!(reply.code(), 454 | 535), "{reply:?}");
}

#[tokio::test]
async fn control_characters_of_a_refusal_do_not_reach_the_client() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let fault = StepFault::Raw(b"535 5.7.139 \x1b]0;x\x07\0\x08no\r250 yes\r\n".to_vec());
    site.sandbox.controls().every_step(Step::Token, fault);
    let reply = refused(&site, &settings).await;
    assert_eq!(reply.code(), 535, "{reply:?}");
    assert!(
        reply.lines.iter().all(|line| line.bytes().all(|byte| (b' '..=b'~').contains(&byte))),
        "{reply:?}"
    );
}

#[tokio::test]
async fn auth_may_be_listed_in_any_form() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    for form in [AuthForm::Last, AuthForm::Equals, AuthForm::Both] {
        site.sandbox.controls().submission(|submission| {
            submission.auth = form;
            submission.bare_challenge = true;
            submission.piece = 1;
        });
        let mut client = serving.submit_as(&settings).await;
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250, "{form:?}");
    }
}

#[tokio::test]
async fn cleartext_behind_the_providers_answer_to_starttls_is_never_read() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    let injected = b"250-injected\r\n250 AUTH PLAIN LOGIN\r\n535 5.7.139 injected\r\n";
    controls.submission(|submission| submission.behind_starttls = injected.to_vec());
    let reply = refused(&site, &settings).await;
    // Injected bytes that are read with the answer are dropped; if they come later, the handshake fails.
    assert!(matches!(reply.code(), 235 | 454), "{reply:?}");
    assert!(!reply.text().contains("injected"), "{reply:?}");
}

#[tokio::test]
async fn a_starttls_listener_reads_no_password_before_tls_and_nothing_behind_starttls() {
    for flavour in FLAVOURS {
        let listeners = "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"starttls\"\n";
        let provider = Sandbox::builder().flavour(flavour).user(ALICE).user(BOB).submission();
        let site = Site::with_config(provider, listeners).await;
        let settings = site.authorize(ALICE).await;
        let password = settings["password"].as_str().unwrap();
        let mut serving = site.serve().await;
        let (address, tls) = (serving.submission_of("starttls"), tls_config(&serving.ca_file()));

        let mut client = Client::plain(address).await;
        let ehlo = client.ehlo().await;
        assert!(ehlo.lists("STARTTLS") && ehlo.listed("AUTH").is_none(), "{ehlo:?}");
        assert!(client.auth_plain(ALICE, password).await.starts_with("530 5.7.0 "));
        assert!(client.command("AUTH LOGIN").await.starts_with("530 5.7.0 "));
        assert_eq!(client.command("STARTTLS").await.code(), 220);
        client.begin_tls(&tls).await.unwrap();
        let ehlo = client.ehlo().await;
        assert!(!ehlo.lists("STARTTLS") && ehlo.listed("AUTH") == Some("PLAIN LOGIN"), "{ehlo:?}");
        assert_eq!(client.command("STARTTLS").await.code(), 503);
        assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
        assert_eq!(site.sandbox.controls().sent().pop().unwrap().data, MESSAGE);

        let before = site.sandbox.controls().stats();
        let mut client = Client::plain(address).await;
        client.write(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<injected@example.com>\r\n").await;
        assert_eq!(client.reply().await.code(), 220);
        let said = client.rest().await;
        assert!(said.is_empty(), "{:?}", String::from_utf8_lossy(&said));
        serving.logs("behind STARTTLS").await;
        assert_eq!(site.sandbox.controls().stats(), before);
    }
}

#[tokio::test]
async fn a_cleartext_listener_on_loopback_takes_passwords() {
    let listeners =
        "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
    let site = Site::with_config(Sandbox::builder().user(ALICE).submission(), listeners).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = Client::plain(serving.submission_of("none")).await;
    let ehlo = client.ehlo().await;
    assert!(ehlo.listed("AUTH") == Some("PLAIN LOGIN") && !ehlo.lists("STARTTLS"), "{ehlo:?}");
    assert_eq!(client.command("STARTTLS").await.code(), 502);
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
}

#[tokio::test]
async fn commands_pipelined_behind_auth_wait_for_its_answer() {
    use base64::Engine as _;
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let controls = site.sandbox.controls();
        let serving = site.serve().await;
        let plain = |password: &str| {
            base64::engine::general_purpose::STANDARD.encode(format!("\0{ALICE}\0{password}"))
        };
        let gate = Gate::new();
        controls.next_step(Step::Token, StepFault::Hold(gate.clone()));
        let mut client = serving.submit().await;
        let auth = format!("AUTH PLAIN {}\r\n", plain(settings["password"].as_str().unwrap()));
        let mail = "MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n";
        client.write(format!("{auth}{mail}hello\r\n.\r\nQUIT\r\n").as_bytes()).await;
        gate.arrived(1).await;
        assert!(!last(&site).heard.iter().any(|line| line.starts_with("MAIL")), "{:?}", last(&site).heard);
        gate.open();
        for expected in [235, 250, 250, 354, 250, 221] {
            assert_eq!(client.reply().await.code(), expected);
        }
        assert_eq!(controls.sent().pop().unwrap().data, b"hello\r\n");

        // After a refused login the proxy answers these commands itself, and none reaches the provider.
        let before = controls.stats().submissions;
        let mut client = serving.submit().await;
        client.write(format!("AUTH PLAIN {}\r\n{mail}NOOP\r\n", plain("wrong")).as_bytes()).await;
        for expected in [535, 530, 530, 530, 250] {
            assert_eq!(client.reply().await.code(), expected);
        }
        assert_eq!(controls.stats().submissions, before);
        site.sandbox.assert_no_violations();
    }
}

/// All sequences of up to `length` pieces.
fn sequences(pieces: &[&[u8]], length: u32) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut longest = vec![Vec::new()];
    for _ in 0..length {
        longest = longest
            .iter()
            .flat_map(|start| pieces.iter().map(move |piece| [start.as_slice(), piece].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

/// Whether `octets`, which start a line, contain the end of a message before their own end.
fn ends_early(octets: &[u8]) -> bool {
    octets.starts_with(b".\r\n") || octets.windows(5).any(|window| window == b"\r\n.\r\n")
}

#[tokio::test]
async fn every_sequence_of_cr_lf_and_dots_passes_to_the_provider_as_it_is() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let serving = site.serve().await;
        let mut client = serving.submit_as(&settings).await;
        let mut expected = Vec::new();
        for mut octets in sequences(&[b"\r", b"\n", b".", b"\0\xff"], 5) {
            octets.extend_from_slice(b"\r\n");
            if ends_early(&octets) {
                continue;
            }
            let reply = client.mail(ALICE, &[BOB], &octets).await;
            assert_eq!(reply.code(), 250, "{octets:?}: {reply:?}");
            expected.push(octets);
        }
        assert!(expected.len() > 1000, "{}", expected.len());
        let sent: Vec<Vec<u8>> = site.sandbox.controls().sent().into_iter().map(|sent| sent.data).collect();
        assert!(
            sent == expected,
            "{:?}",
            sent.iter().zip(&expected).find(|(sent, expected)| sent != expected)
        );
    }
}

#[tokio::test]
async fn chunks_pass_as_they_are() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    let chunk = sequences(&[b"\r", b"\n", b".", b"\0\xff"], 5).concat();
    client.command("MAIL FROM:<alice@example.com> BODY=BINARYMIME").await;
    client.command("RCPT TO:<bob@example.com>").await;
    client.write(&[format!("BDAT {}\r\n", chunk.len()).as_bytes(), &chunk].concat()).await;
    assert_eq!(client.reply().await.code(), 250);
    client.write(b"BDAT 5 LAST\r\n\r\n.\r\n").await;
    assert_eq!(client.reply().await.code(), 250);
    let sent = site.sandbox.controls().sent().pop().unwrap();
    assert!(sent.data == [chunk.as_slice(), b"\r\n.\r\n"].concat());
    assert_eq!(sent.chunks, [chunk.len() as u64, 5]);
}

#[tokio::test]
async fn every_sequence_of_cr_lf_and_dots_passes_to_the_client_as_it_is() {
    for flavour in FLAVOURS {
        let site = site(flavour).await;
        let settings = site.authorize(ALICE).await;
        let serving = site.serve().await;
        let mut client = serving.submit_as(&settings).await;
        let octets = sequences(&[b"\r", b"\n", b".", b"\0\xff", b"250-", b"554 5.7.1 x"], 4).concat();
        for piece in octets.chunks(1000) {
            site.sandbox.controls().inject_submissions(None, piece);
            assert_eq!(client.octets(piece.len()).await, piece);
        }
        client.send("NOOP").await;
        assert_eq!(client.reply().await.code(), 250);
    }
}

#[tokio::test]
async fn what_goes_wrong_after_the_login_is_the_providers_to_say() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    for refusal in SubmissionRefusal::ALL {
        if refusal == SubmissionRefusal::ClosingConnection {
            continue;
        }
        for step in [Step::Mail, Step::Rcpt, Step::Data, Step::Message] {
            site.sandbox.controls().next_step(step, refusal);
            let reply = client.mail(ALICE, &[BOB], MESSAGE).await;
            assert_eq!(reply.lines, refusal.lines(), "at {step:?}");
            client.command("RSET").await;
        }
    }
    let reply = client.mail(BOB, &[ALICE], MESSAGE).await;
    assert!(reply.starts_with("554 5.2.252 SendAsDenied; "), "{reply:?}");
}

#[tokio::test]
async fn a_provider_of_either_security_is_spoken_to_as_configured() {
    for (flavour, security) in [(Flavour::Gmail, Security::StartTls), (Flavour::Exchange, Security::Tls)] {
        let provider = Sandbox::builder().flavour(flavour).user(ALICE).submission_by(security);
        let site = Site::with(provider).await;
        let settings = site.authorize(ALICE).await;
        let serving = site.serve().await;
        let mut client = serving.submit_as(&settings).await;
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
        assert_eq!(last(&site).tls, security == Security::StartTls);
        site.sandbox.assert_no_violations();
    }
}

#[tokio::test]
async fn ehlo_promises_what_every_provider_keeps_and_a_broken_promise_is_logged() {
    let site = site(Flavour::Gmail).await;
    site.configure_provider(
        "submission_ehlo = [\"SIZE 35882577\", \"PIPELINING\", \"8BITMIME\", \"SMTPUTF8\"]",
    );
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    controls.submission(|submission| submission.without = vec!["SMTPUTF8".to_owned()]);
    let mut serving = site.serve().await;
    let mut client = serving.submit().await;
    let ehlo = client.ehlo().await;
    for line in ["AUTH PLAIN LOGIN", "SIZE 35882577", "PIPELINING", "8BITMIME", "SMTPUTF8"] {
        assert!(ehlo.lists(line), "{line}: {ehlo:?}");
    }
    for word in ["CHUNKING", "DSN", "BINARYMIME", "STARTTLS"] {
        assert!(ehlo.listed(word).is_none(), "{word}: {ehlo:?}");
    }
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
    let warning = serving.logs("lacks SMTPUTF8").await;
    assert!(warning.contains("submission_ehlo"), "{warning}");
}

#[tokio::test]
async fn a_session_too_many_waits_for_its_turn_and_is_told_so_in_the_end() {
    let provider = Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).submission();
    let site = Site::with_config(provider, "[limits]\nlogin_seconds = 5\n").await;
    site.configure_provider("smtp_max_connections_per_account = 1");
    let settings = site.authorize(ALICE).await;
    let controls = site.sandbox.controls();
    controls.submission(|submission| submission.max_sending = Some(1));
    let serving = site.serve().await;
    let mut first = serving.submit_as(&settings).await;
    // IMAP sessions are counted separately.
    serving.log_in(&settings).await;
    let (waiting, ()) = tokio::join!(serving.submit_as(&settings), async {
        assert_eq!(first.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
        assert_eq!(first.command("QUIT").await.code(), 221);
        drop(first);
    });
    let mut second = waiting;
    assert_eq!(second.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
    let reply = refused_by(&serving, &settings).await;
    assert!(reply.starts_with("454 4.7.0 "), "{reply:?}");
    assert_eq!(controls.stats().refused_messages, 0);
}

async fn refused_by(serving: &common::Serving, settings: &Value) -> Reply {
    let mut client = serving.submit().await;
    sign_in(&mut client, settings).await
}

#[tokio::test]
async fn a_stop_lets_a_message_finish_and_says_421_between_two() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let gate = Gate::new();
    site.sandbox.controls().next_step(Step::Message, StepFault::HoldReply(gate.clone()));
    let mut serving = site.serve().await;
    let mut idle = serving.submit_as(&settings).await;
    let mut new = serving.submit().await;
    let mut sending = serving.submit_as(&settings).await;
    sending.command("MAIL FROM:<alice@example.com>").await;
    sending.command("RCPT TO:<bob@example.com>").await;
    assert_eq!(sending.command("DATA").await.code(), 354);
    sending.write(b"first half\r\n").await;
    serving.terminate();
    let last_words = new.reply().await;
    assert!(last_words.starts_with("421 4.3.2 ") && new.at_end().await, "{last_words:?}");
    sending.write(b"second half\r\n.\r\n").await;
    gate.arrived(1).await;
    gate.open();
    assert_eq!(sending.reply().await.code(), 250, "the reply to the whole message");
    for client in [&mut idle, &mut sending] {
        let last_words = serving.meanwhile(client.reply()).await;
        assert!(last_words.starts_with("421 4.3.2 ") && client.at_end().await, "{last_words:?}");
    }
    assert_eq!(site.sandbox.controls().sent()[0].data, b"first half\r\nsecond half\r\n");
    drop((idle, new, sending));
    assert_eq!(serving.stop_waited().await, 0);
}

#[tokio::test]
async fn the_providers_end_is_the_clients_end() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    site.sandbox.controls().end_submissions(None, "421 4.4.2 Connection timed out");
    assert_eq!(client.reply().await.lines, ["421 4.4.2 Connection timed out"]);
    assert!(client.at_end().await);
    let mut client = serving.submit_as(&settings).await;
    site.sandbox.controls().next_step(Step::Message, StepFault::Close);
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await, Reply::default(), "no reply is made up");

    let client = serving.submit_as(&settings).await;
    drop(client);
    let stats = site.sandbox.controls().wait_for(|stats| stats.submissions_open == 0).await;
    assert_eq!(stats.messages, 0);
    assert!(!last(&site).quit, "no QUIT is made up");
}

#[tokio::test]
async fn what_comes_before_a_login_is_bounded() {
    let site = site(Flavour::Gmail).await;
    let serving = site.serve().await;
    let mut client = serving.submit().await;
    client.write(&vec![b'x'; 100_000]).await;
    let reply = client.reply().await;
    assert!(reply.starts_with("421 4.7.0 ") && client.at_end().await, "{reply:?}");
    let mut client = serving.submit().await;
    let reply = client.command("GET / HTTP/1.1").await;
    assert!(reply.starts_with("554 5.7.0 ") && client.at_end().await, "{reply:?}");
    let mut client = serving.submit().await;
    for line in ["AUTH CRAM-MD5", "AUTH XOAUTH2 x"] {
        assert_eq!(client.command(line).await.code(), 504, "{line}");
    }
    assert_eq!(client.command("AUTH PLAIN !!!").await.code(), 501);
    client.command("AUTH LOGIN").await;
    assert_eq!(client.command("*").await.code(), 501);
    assert_eq!(client.command("STARTTLS").await.code(), 503);
    assert_eq!(client.command("XYZZY").await.code(), 500);
    assert_eq!(client.command("QUIT").await.code(), 221);
    assert!(client.at_end().await);
}

#[tokio::test]
async fn a_gigantic_message_passes_whole() {
    let site = site(Flavour::Gmail).await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().submission(|submission| submission.sink_above = 0);
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    client.command("MAIL FROM:<alice@example.com>").await;
    client.command("RCPT TO:<bob@example.com>").await;
    client.command("DATA").await;
    let mut octets = 0;
    while octets < 32 << 20 {
        let chunk = sandbox::pattern::chunk(octets, u64::MAX);
        client.write(chunk).await;
        octets += chunk.len() as u64;
    }
    assert_eq!(client.command("\r\n.").await.code(), 250);
    let sent = site.sandbox.controls().sent().pop().unwrap();
    // The line end before the dot belongs to the message, but not to the pattern.
    assert_eq!((sent.octets, sent.first_wrong), (octets + 2, Some(octets)));
}

#[tokio::test]
async fn who_consents_to_reading_alone_reads_and_is_told_why_nothing_is_sent() {
    let site = site(Flavour::Exchange).await;
    let controls = site.sandbox.controls();
    let sending = site.sandbox.vendor().submission_scope();
    controls.oauth(|oauth| oauth.untick = vec![sending.to_owned()]);
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    let reply = refused_by(&serving, &settings).await;
    assert!(reply.starts_with("535 5.7.8 "), "{reply:?}");
    let cure = format!("Run imap-oauth-proxy authorize {ALICE} --protocols imap,submission : ");
    assert!(reply.text().contains(&cure) && reply.text().contains(sending), "{reply:?}");

    // A refresh names no scope without consent, because the provider would refuse the whole request.
    controls.revoke_access_tokens();
    serving.log_in(&settings).await;
    assert_eq!(controls.stats().tokens_refused, 0);

    controls.oauth(|oauth| oauth.untick = Vec::new());
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap,submission"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut client = serving.submit_as(&settings).await;
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
}

#[tokio::test]
async fn a_refused_message_is_logged_with_its_meaning_and_without_its_addresses() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    let refusals = [
        (SubmissionRefusal::SendAsDenied, "5.2.252", "Send As"),
        (SubmissionRefusal::SendAsDeniedOld, "5.7.60", "Send As"),
        (SubmissionRefusal::ConcurrentConnections, "4.3.2", "More than three connections"),
        (SubmissionRefusal::ThreadLimit, "4.3.2", "fewer programs"),
        (SubmissionRefusal::QuotaExceeded, "5.2.0", "wait until tomorrow"),
        (SubmissionRefusal::MailboxFull, "5.2.2", "empty the mailbox"),
        (SubmissionRefusal::BadSender, "5.1.8", "Restricted entities"),
        (SubmissionRefusal::NoRights, "4.2.0", "FullAccess"),
        (SubmissionRefusal::DailyLimit, "5.4.5", "24 hours"),
    ];
    for (refusal, code, advice) in refusals {
        site.sandbox.controls().next_step(Step::Message, refusal);
        let reply = client.mail(ALICE, &[BOB], MESSAGE).await;
        assert_eq!(reply.lines, refusal.lines());
        let line = serving.logs("refused a message").await;
        assert!(line.contains(code) && line.contains(advice), "{refusal:?}: {line}");
        assert!(!line.contains(BOB) && !line.contains("other@example.com"), "{line}");
        // A repeated refusal is reported once, until a message is accepted.
        assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
    }
}

/// `last_refusal` of the only account, once it satisfies `is_wanted`; the session does not wait for the
/// write.
async fn last_refusal(site: &Site, is_wanted: impl Fn(Option<&Value>) -> bool) -> Option<Value> {
    within("last_refusal", async {
        loop {
            let (tokens, code) = site.tokens().await;
            assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0), "{tokens:?}");
            let refusal = tokens[0].get("last_refusal").cloned();
            if is_wanted(refusal.as_ref()) {
                return refusal;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_refused_message_is_listed_until_one_is_taken() {
    let site = site(Flavour::Exchange).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.submit_as(&settings).await;
    for (refusal, code) in
        [(SubmissionRefusal::SendAsDenied, "5.2.252"), (SubmissionRefusal::MailboxFull, "5.2.2")]
    {
        site.sandbox.controls().next_step(Step::Message, refusal);
        client.mail(ALICE, &[BOB], MESSAGE).await;
        let listed = last_refusal(&site, |listed| listed.is_some_and(|it| it["code"] == code)).await.unwrap();
        assert_eq!(listed["protocol"], "submission");
        let text = listed.to_string();
        assert!(!text.contains(BOB) && !text.contains("other@example.com"), "{text}");
    }
    assert_eq!(client.mail(ALICE, &[BOB], MESSAGE).await.code(), 250);
    last_refusal(&site, |listed| listed.is_none()).await;
}
