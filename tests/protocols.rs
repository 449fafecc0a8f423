//! `authorize` and `check` by door: which doors are requested, proven and left out, and which name opens
//! each.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::process::Stdio;

use common::smtp::sign_in;
use common::{ALICE, BOB, Ran, Site};
use sandbox::{
    Client, Flavour, LoginFault, Sandbox, Security, SharedName, Step, StepFault, SubmissionRefusal,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

const SHARED: &str = "shared@example.com";
const IMAP: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";
const SEND: &str = "https://outlook.office.com/SMTP.Send";

/// A provider of the vendor Microsoft, with a scope for each door and STARTTLS for sending; Bob may open a
/// shared mailbox.
async fn microsoft() -> Site {
    let provider = Sandbox::builder()
        .flavour(Flavour::Exchange)
        .user(ALICE)
        .user(BOB)
        .shared_mailbox(SHARED, &[BOB])
        .submission_by(Security::StartTls);
    let site = Site::with(provider).await;
    site.configure_provider("scope_on_refresh = true");
    site
}

/// The scopes that a person would be asked for.
async fn asked(site: &Site, words: &[&str]) -> Vec<String> {
    let words: Vec<&str> =
        ["authorize", "--no-browser", "--timeout", "1"].into_iter().chain(words.iter().copied()).collect();
    let ran = site.run(&words).await;
    let url = url::Url::parse(ran.out.trim()).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let (_, scope) = url.query_pairs().find(|(name, _)| name == "scope").unwrap();
    scope.split(' ').filter(|scope| scope.starts_with("https://")).map(str::to_owned).collect()
}

fn doors(ran: &Ran) -> Vec<String> {
    ran.json()["protocols"].as_object().unwrap().keys().cloned().collect()
}

async fn opened(site: &Site, account: &str) -> Value {
    let (tokens, _) = site.tokens().await;
    tokens.iter().find(|token| token["account"] == account).unwrap()["protocols"].clone()
}

/// The names that were accepted, by door.
fn names(site: &Site) -> (Vec<String>, Vec<String>) {
    let accepted = |logins: Vec<sandbox::LoginRecord>| -> Vec<String> {
        logins.into_iter().filter(|login| login.accepted).map(|login| login.user).collect()
    };
    let controls = site.sandbox.controls();
    (accepted(controls.logins()), accepted(controls.submission_logins()))
}

#[tokio::test]
async fn a_new_account_is_authorised_for_every_door_and_each_is_proven_without_a_message() {
    let site = microsoft().await;
    assert_eq!(asked(&site, &[ALICE]).await, [IMAP, SEND]);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let settings = ran.json();
    assert_eq!(doors(&ran), ["imap", "submission"]);
    for door in ["imap", "submission"] {
        let server = &settings["protocols"][door];
        assert_eq!(
            (&server["host"], &server["security"]),
            (&json!("127.0.0.1"), &json!("tls")),
            "{settings}"
        );
        assert!(server["port"].is_u64(), "{settings}");
    }
    let old = |key: &str| (&settings[key], &settings["protocols"]["imap"][key]);
    for key in ["host", "port", "security"] {
        assert_eq!(old(key).0, old(key).1, "{key}");
    }
    let stats = site.sandbox.controls().wait_for(|stats| stats.submission_quits == 1).await;
    assert_eq!((stats.logins, stats.submission_logins, stats.messages + stats.refused_messages), (1, 1, 0));
    assert_eq!(opened(&site, ALICE).await, json!(["imap", "submission"]));

    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!((ran.code, ran.json()["password"].clone()), (0, Value::Null), "{ran:?}");
    let serving = site.serve().await;
    serving.log_in(&settings).await;
    serving.submit_as(&settings).await;
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_person_reads_what_to_set_up_for_reading_and_for_sending() {
    let site = microsoft().await;
    let mut child = site.command(&["authorize", ALICE, "--no-browser"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    out.read_line(&mut url).await.unwrap();
    site.sandbox.browser().consent(url.trim(), Some(ALICE)).await.unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    let said = String::from_utf8(child.wait_with_output().await.unwrap().stderr).unwrap();
    assert!(said.contains("folders, and SMTP submission lets it in."), "{said}");
    let rows: Vec<&str> = rest.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    let server = ["Protocol", "Server", "Port", "Security"];
    let expected: Vec<&str> = server.into_iter().chain(server).chain(["User", "Password"]).collect();
    assert_eq!(rows, expected, "{rest}");
    assert!(rest.contains("SMTP submission"), "{rest}");
    let listed = site.run(&["tokens", "list"]).await;
    assert!(listed.out.contains("PROTOCOLS") && listed.out.contains("imap,submission"), "{listed:?}");
}

#[tokio::test]
async fn a_door_that_nobody_named_and_that_does_not_open_is_left_out_with_its_cure() {
    let site = microsoft().await;
    let controls = site.sandbox.controls();
    controls.every_step(Step::Token, SubmissionRefusal::SmtpAuthDisabledMailbox);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned()]), "{ran:?}");
    let warning = ran.err.lines().find(|line| line.starts_with("warning: ")).unwrap();
    assert!(
        warning.contains("SMTP submission is left out") && warning.contains("SmtpClientAuthentication"),
        "{warning}"
    );
    assert!(warning.contains("Set-CASMailbox"), "the cure: {warning}");
    assert!(warning.contains(&format!("imap-oauth-proxy check {ALICE} --protocol submission")), "{warning}");

    // Now reading fails and sending works.
    controls.heal_steps();
    controls.every_login(LoginFault::Refuse);
    let ran = site.authorize_with(&[BOB], Some(BOB)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["submission".to_owned()]), "{ran:?}");
    assert!(ran.err.contains("warning: IMAP is left out"), "{ran:?}");

    // Now neither works.
    controls.every_step(Step::Token, StepFault::Refuse);
    let (before, _) = site.tokens().await;
    let ran = site.authorize_with(&[SHARED, "--owner", ALICE], Some(ALICE)).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(site.tokens().await.0.len(), before.len());
}

#[tokio::test]
async fn a_door_that_cannot_be_asked_now_waits() {
    let site = microsoft().await;
    site.sandbox.controls().every_step(Step::Greeting, StepFault::Close);
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned()]), "{ran:?}");
    assert!(ran.err.contains("the sign-in over SMTP submission could not be tried yet"), "{ran:?}");
    assert_eq!(opened(&site, ALICE).await, json!(["imap", "submission"]));
    site.sandbox.controls().heal_steps();
    let serving = site.serve().await;
    serving.submit_as(&ran.json()).await;
}

#[tokio::test]
async fn a_door_that_was_named_is_proven_or_nothing_is_stored() {
    for named in ["imap,submission", "submission"] {
        let site = microsoft().await;
        site.sandbox.controls().every_step(Step::Token, SubmissionRefusal::SmtpAuthDisabledTenant);
        let ran = site.authorize_with(&[ALICE, "--protocols", named], Some(ALICE)).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        let error = ran.error();
        assert!(
            error.contains("over SMTP submission, so nothing is stored") && error.contains("Tenant"),
            "{error}"
        );
        assert!(site.tokens().await.0.is_empty());
    }
    // A check of a provider that cannot be reached.
    let site = microsoft().await;
    site.sandbox.controls().every_step(Step::Greeting, StepFault::Close);
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap,submission"], Some(ALICE)).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(site.tokens().await.0.is_empty());
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned()]), "{ran:?}");
}

#[tokio::test]
async fn a_scope_that_the_person_unticks_closes_its_door_alone() {
    let site = microsoft().await;
    site.sandbox.controls().oauth(|oauth| oauth.untick = vec![SEND.to_owned()]);
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap,submission"], Some(ALICE)).await;
    assert!(ran.code == 1 && ran.error().contains(SEND), "{ran:?}");
    assert!(site.tokens().await.0.is_empty());
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned()]), "{ran:?}");
    let command = format!("imap-oauth-proxy authorize {ALICE} --protocols imap,submission");
    assert!(ran.err.contains(SEND) && ran.err.contains(&command), "{ran:?}");
    assert_eq!(opened(&site, ALICE).await, json!(["imap"]));
    let (tokens, code) = site.tokens().await;
    assert_eq!((&tokens[0]["last_error"], code), (&Value::Null, 0));
    assert_eq!(site.sandbox.controls().stats().submissions, 0, "it was not asked in vain");
}

#[tokio::test]
async fn authorising_again_asks_for_the_doors_that_the_grant_has() {
    let site = microsoft().await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(asked(&site, &[ALICE]).await, [IMAP]);
    assert_eq!(asked(&site, &[ALICE, "--protocols", "submission"]).await, [SEND]);
    assert_eq!(asked(&site, &[BOB]).await, [IMAP, SEND]);
    // A revoked grant, too.
    assert_eq!(site.run(&["tokens", "revoke", ALICE]).await.code, 0);
    assert_eq!(opened(&site, ALICE).await, json!([]));
    assert_eq!(asked(&site, &[ALICE]).await, [IMAP]);
}

#[tokio::test]
async fn a_shared_mailbox_is_proven_under_the_name_that_each_door_takes() {
    let site = microsoft().await;
    site.authorize(BOB).await;
    let ran = site.run(&["authorize", SHARED, "--owner", BOB, "--json"]).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned(), "submission".to_owned()]), "{ran:?}");
    let (read, sent) = names(&site);
    assert_eq!((read.last().unwrap().as_str(), sent.last().unwrap().as_str()), (SHARED, BOB));
    assert_eq!(site.sandbox.controls().stats().failed_submission_logins, 0);

    // If the server behaves as Microsoft documents, the account's name is tried next, on the same connection.
    site.sandbox.controls().submission(|submission| submission.shared_name = SharedName::Account);
    let ran = site.run(&["check", SHARED, "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(names(&site).1.last().unwrap(), SHARED);
    let last = site.sandbox.controls().submissions().pop().unwrap();
    assert_eq!((last.attempts, last.users), (2, vec![BOB.to_owned(), SHARED.to_owned()]));
    // A configured name is the only one tried.
    site.configure_provider("submission_user = \"owner\"");
    let ran = site.run(&["check", SHARED, "--protocol", "submission"]).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert_eq!(site.sandbox.controls().submissions().pop().unwrap().users, [BOB]);
}

#[tokio::test]
async fn an_owner_whose_grant_lacks_a_door_consents_anew_only_where_it_is_named() {
    let site = microsoft().await;
    let ran = site.authorize_with(&[BOB, "--protocols", "imap"], Some(BOB)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = site.run(&["authorize", SHARED, "--owner", BOB, "--json"]).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned()]), "{ran:?}");
    let command = format!("imap-oauth-proxy authorize {SHARED} --owner {BOB} --protocols imap,submission");
    assert!(ran.err.contains(&command), "{ran:?}");
    // Bob's own account reads with that grant, so the scope for reading is kept.
    let words = [SHARED, "--owner", BOB, "--protocols", "submission"];
    assert_eq!(asked(&site, &words).await, [IMAP, SEND]);
    let ran = site.authorize_with(&words, Some(BOB)).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["submission".to_owned()]), "{ran:?}");
    assert_eq!(opened(&site, BOB).await, json!(["imap", "submission"]));
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_one_clear_error() {
    let site = Site::new().await;
    for (words, code, said) in [
        (&["authorize", ALICE, "--protocols", "imap,submission"][..], 1, "has no server for SMTP submission"),
        (&["authorize", ALICE, "--protocols", "imap,pop3"], 1, "has no server for POP3"),
        (&["authorize", ALICE, "--protocols", "jmap"], 2, "jmap"),
        (&["authorize", ALICE, "--protocols", ""], 2, "--protocols"),
        (&["check", "--protocol", "jmap"], 2, "imap, pop3, submission"),
    ] {
        let ran = site.run(words).await;
        assert!(ran.code == code && ran.err.contains(said), "{words:?}: {ran:?}");
        assert_eq!(ran.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{ran:?}");
    }
    assert!(site.run(&["authorize", ALICE, "--protocols", "submission"]).await.err.contains("set smtp = "));
    let site = app_site().await;
    let ran = site.run(&["authorize", "@example.com", "--app", "--protocols", "submission"]).await;
    assert!(ran.code == 1 && ran.err.contains("--probe ADDRESS"), "{ran:?}");
}

/// A provider where an application reads and sends by its own right.
async fn app_site() -> Site {
    let client = Client {
        id: "sandbox-client".to_owned(),
        secret: Some("sandbox-secret".to_owned()),
        redirect_uris: Vec::new(),
        installed: false,
        keys: Vec::new(),
    };
    let provider =
        Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(BOB).submission().client(client);
    let site = Site::with(provider).await;
    site.configure_provider("app_scopes = [\"https://outlook.office365.com/.default\"]");
    site
}

#[tokio::test]
async fn an_application_is_proven_at_each_door_as_the_mailbox() {
    let site = app_site().await;
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["imap".to_owned(), "submission".to_owned()]), "{ran:?}");
    let (read, sent) = names(&site);
    assert_eq!((read, sent), (vec![ALICE.to_owned()], vec![ALICE.to_owned()]));
    let ran = site
        .run(&["authorize", "@example.com", "--app", "--json", "--probe", BOB, "--protocols", "submission"])
        .await;
    assert_eq!((ran.code, doors(&ran)), (0, vec!["submission".to_owned()]), "{ran:?}");
    let settings = json!({"username": BOB, "password": ran.json()["password"]});
    let serving = site.serve().await;
    let mut client = serving.submit().await;
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
    assert_eq!(names(&site).1.last().unwrap(), BOB);
}

#[tokio::test]
async fn a_code_on_another_device_and_a_pasted_address_ask_by_door_too() {
    let site = microsoft().await;
    site.sandbox.controls().oauth(|oauth| oauth.device_interval = 1);
    let words = ["authorize", ALICE, "--device", "--json-lines", "--protocols", "submission"];
    let mut child = site.command(&words).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line =
        async || -> Value { serde_json::from_str(&out.next_line().await.unwrap().unwrap()).unwrap() };
    let to_open = line().await;
    assert!(to_open["url"].as_str().unwrap().starts_with("http"), "{to_open}");
    site.sandbox.controls().wait_for(|stats| stats.device_polls >= 1).await;
    site.sandbox.controls().approve_device(to_open["code"].as_str().unwrap(), ALICE);
    let settings = line().await;
    assert_eq!(settings["protocols"].as_object().unwrap().keys().collect::<Vec<_>>(), ["submission"]);
    assert!(child.wait().await.unwrap().success());
    assert_eq!(opened(&site, ALICE).await, json!(["submission"]));

    let mut child = site
        .command(&["authorize", BOB, "--paste", "--json-lines", "--protocols", "imap"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let to_open: Value = serde_json::from_str(&out.next_line().await.unwrap().unwrap()).unwrap();
    let address =
        site.sandbox.browser().consent_and_copy(to_open["url"].as_str().unwrap(), Some(BOB)).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, format!("{address}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let settings: Value = serde_json::from_str(&out.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(settings["account"], BOB);
    assert_eq!(opened(&site, BOB).await, json!(["imap"]));
}

#[tokio::test]
async fn an_imported_refresh_token_is_proven_at_the_doors_that_it_opens() {
    let site = microsoft().await;
    site.sandbox.controls().oauth(|oauth| oauth.refuse_unconsented = true);
    // The token was granted for reading, and the import does not say so.
    let reading = [IMAP, "offline_access", "openid", "profile", "email"].map(str::to_owned);
    let token = site.sandbox.controls().grant_of(ALICE, &reading);
    let ran = site.run_with(&["tokens", "import", ALICE, "--provider", "sandbox"], &token).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("SMTP submission is left out"), "{ran:?}");
    assert_eq!(opened(&site, ALICE).await, json!(["imap"]));
    let token = site.sandbox.controls().grant(BOB);
    let ran = site.run_with(&["tokens", "import", BOB, "--provider", "sandbox"], &token).await;
    assert!(ran.code == 0 && !ran.err.contains("warning"), "{ran:?}");
    assert_eq!(opened(&site, BOB).await, json!(["imap", "submission"]));
    let ran = site.run_with(&["tokens", "import", BOB, "--provider", "sandbox"], "junk").await;
    assert!(ran.code == 1 && ran.err.contains("does not accept that refresh token"), "{ran:?}");
}

/// The steps of a check that belong to a door, as `imap dns`.
fn steps(ran: &Ran) -> Vec<String> {
    let steps = ran.json()["steps"].as_array().unwrap().clone();
    let of_door = steps.iter().filter(|step| !step["protocol"].is_null());
    of_door
        .map(|step| format!("{} {}", step["protocol"].as_str().unwrap(), step["step"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_check_goes_to_each_door_or_to_the_one_that_is_named() {
    let site = microsoft().await;
    site.authorize(ALICE).await;
    let all = site.run(&["check", ALICE, "--json"]).await;
    assert_eq!(all.code, 0, "{all:?}");
    let way = |door: &'static str| ["dns", "tcp", "tls"].map(|step| format!("{door} {step}"));
    let mut expected: Vec<String> = way("imap").into_iter().chain(way("submission")).collect();
    expected
        .extend(["imap sign-in", "imap folders", "submission sign-in", "submission quit"].map(str::to_owned));
    assert_eq!(steps(&all), expected);

    let ran = site.run(&["check", ALICE, "--protocol", "submission", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut expected: Vec<String> = way("submission").into();
    expected.extend(["submission sign-in", "submission quit"].map(str::to_owned));
    assert_eq!(steps(&ran), expected);
    let words = site.run(&["check", ALICE]).await;
    assert!(
        words.out.contains("ok   sign-in (submission): ") && words.out.contains("ok   folders (imap): "),
        "{words:?}"
    );
    let stats = site.sandbox.controls().wait_for(|stats| stats.submission_quits == 4).await;
    assert_eq!(stats.messages + stats.refused_messages, 0);
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_check_of_a_door_tells_what_keeps_it_shut() {
    let site = microsoft().await;
    let ran = site.authorize_with(&[ALICE, "--protocols", "imap"], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    // Sending was not requested, so its absence is no fault.
    let ran = site.run(&["check", ALICE, "--json"]).await;
    assert!(ran.code == 0 && steps(&ran).iter().all(|step| step.starts_with("imap ")), "{ran:?}");
    let ran = site.run(&["check", ALICE, "--protocol", "submission", "--json"]).await;
    assert_eq!((ran.code, steps(&ran)), (3, vec!["submission scopes".to_owned()]), "{ran:?}");
    let last = ran.json()["steps"].as_array().unwrap().last().unwrap().clone();
    assert!(last["detail"].as_str().unwrap().contains(SEND), "{last}");
    let command = format!("imap-oauth-proxy authorize {ALICE} --protocols imap,submission");
    assert_eq!(last["cure"], command);

    site.authorize(BOB).await;
    site.sandbox.controls().every_step(Step::Token, SubmissionRefusal::SmtpAuthDisabledMailbox);
    let ran = site.run(&["check", BOB, "--json"]).await;
    assert_eq!(ran.code, 3, "{ran:?}");
    let last = ran.json()["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["protocol"], &last["step"]), (&json!("submission"), &json!("sign-in")));
    assert!(last["detail"].as_str().unwrap().contains("Set-CASMailbox"), "{last}");
}
