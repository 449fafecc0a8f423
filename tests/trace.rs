//! `trace`: the parts of an account's sessions that it shows, and the parts that it must not show.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Site, within};
use sandbox::Sandbox;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout};

const CANARY: &str = "canary-in-a-letter";

/// A running `trace`.
struct Tracing {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    words: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
}

impl Tracing {
    async fn begin(site: &Site, account: &str, time: &str) -> Self {
        let mut child = site.command(&["trace", account, "--for", time]).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut words = BufReader::new(child.stderr.take().unwrap()).lines();
        let began = within("the begin of the trace", words.next_line()).await.unwrap().unwrap();
        assert_eq!(began, format!("The sessions of {account} are traced; Ctrl-C ends it."));
        Self { child, lines, words, said: Vec::new() }
    }

    /// Reads until a line holds `text`.
    async fn shows(&mut self, text: &str) -> String {
        loop {
            let line = within(text, self.lines.next_line()).await.unwrap();
            let line = line.unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The rest of its output, its exit status, and its last message.
    async fn end(mut self) -> (Vec<String>, i32, String) {
        while let Some(line) = within("the end", self.lines.next_line()).await.unwrap() {
            self.said.push(line);
        }
        let mut last = String::new();
        while let Some(line) = self.words.next_line().await.unwrap() {
            last = line;
        }
        let code = within("the end", self.child.wait()).await.unwrap().code().unwrap_or(-1);
        (self.said, code, last)
    }
}

fn text(settings: &Value, key: &str) -> String {
    settings[key].as_str().unwrap().to_owned()
}

/// Neither the password in any form, nor the token, nor mail.
fn has_no_secret(said: &[String], settings: &Value) {
    let (user, password) = (text(settings, "username"), text(settings, "password"));
    let secrets = [
        password.clone(),
        base64(&password),
        base64(&format!("\0{user}\0{password}")),
        base64(&format!("user={user}\x01auth=Bearer ")).trim_end_matches('=').to_owned(),
        CANARY.to_owned(),
        "Bearer".to_owned(),
    ];
    for secret in secrets {
        let leak = said.iter().find(|line| line.contains(&secret[..secret.len().min(24)]));
        assert!(leak.is_none(), "{secret:?} in {leak:?}");
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn security_row_13_a_trace_of_imap_shows_commands_and_no_password_or_mail() {
    let site = Site::new().await;
    let (alice, bob) = (site.authorize(ALICE).await, site.authorize(BOB).await);
    let serving = site.serve().await;
    let mut tracing = Tracing::begin(&site, ALICE, "5m").await;
    // The forms in which programs send a password: literals, quoted strings, lines of an exchange.
    let mut client = serving.client().await;
    let (user, password) = (text(&alice, "username"), text(&alice, "password"));
    client.send(format!("l0 LOGIN {{{}}}\r\n", user.len())).await;
    client.line().await;
    client.send(format!("{user} {{{}}}\r\n", CANARY.len())).await;
    client.line().await;
    client.send(format!("{CANARY}\r\n")).await;
    assert!(client.answer("l0").await.refused_with("AUTHENTICATIONFAILED"));
    tracing.shows("client>proxy l0 LOGIN <").await;
    tracing.shows(&format!("client>proxy <{} bytes>", CANARY.len())).await;
    tracing.shows("proxy>client l0 NO [AUTHENTICATIONFAILED] The user name or the password is wrong").await;
    client.send("l1 AUTHENTICATE LOGIN\r\n").await;
    client.line().await;
    client.send(format!("{}\r\n", base64(&user))).await;
    client.line().await;
    client.send(format!("{}\r\n", base64(&password))).await;
    assert!(client.answer("l1").await.is_ok());
    tracing.shows("client>proxy l1 AUTHENTICATE LOGIN").await;
    tracing.shows("proxy>provider l1 AUTHENTICATE XOAUTH2 <").await;
    tracing.shows("proxy>client l1 OK ").await;

    let letter = format!("Subject: {CANARY}\r\n\r\na1 OK {CANARY}\r\na1 FETCH {CANARY}\r\n");
    client.send(format!("p1 APPEND INBOX {{{}}}\r\n", letter.len())).await;
    client.line().await;
    client.send(format!("{letter}\r\n")).await;
    assert!(client.answer("p1").await.is_ok());
    tracing.shows("client>provider p1 APPEND <").await;
    tracing.shows(&format!("client>provider <{} bytes>", letter.len())).await;
    tracing.shows("provider>client p1 OK <").await;
    client.send("s1 SELECT INBOX\r\n").await;
    client.answer("s1").await;
    client.send("f1 FETCH * (ENVELOPE BODY[])\r\n").await;
    let mut fetched = String::new();
    while !fetched.contains("f1 OK") {
        fetched.push_str(&client.line().await);
    }
    assert!(fetched.contains(CANARY), "{fetched}");
    tracing.shows("client>provider f1 FETCH <").await;
    tracing.shows(" FETCH <").await;
    tracing.shows("provider>client f1 OK <").await;

    // It shows no line of another account's session.
    let other = serving.log_in(&bob).await;
    drop(other);
    client.send("o1 LOGOUT\r\n").await;
    client.answer("o1").await;
    tracing.shows("provider>client o1 OK <").await;
    assert_eq!(serving.stop().await.0, 0);
    let (said, code, last) = tracing.end().await;
    assert_eq!((code, last.as_str()), (0, "A running serve has ended, and its trace with it."));
    has_no_secret(&said, &alice);
    assert!(!said.iter().any(|line| line.contains(BOB)), "{said:#?}");
    let trail = site.run(&["events", "list", "--json"]).await.json();
    let traced: Vec<_> = trail.as_array().unwrap().iter().filter(|act| act["event"] == "traced").collect();
    assert_eq!((traced.len(), &traced[0]["about"]), (1, &"for 300 s".into()), "{trail}");
}

#[tokio::test]
async fn security_row_13_two_traces_of_submission_show_the_same_and_no_password_or_mail() {
    let site = Site::with(Sandbox::builder().user(ALICE).submission()).await;
    let alice = site.authorize(ALICE).await;
    let serving = site.serve().await;
    // One session began before the traces, which begin in the middle of a message.
    let mut early = serving.submit_as(&alice).await;
    early.command(&format!("MAIL FROM:<{ALICE}>")).await;
    early.command("RCPT TO:<bob@example.com>").await;
    assert_eq!(early.command("DATA").await.code(), 354);
    let mut one = Tracing::begin(&site, ALICE, "1m").await;
    let mut other = Tracing::begin(&site, ALICE, "1h").await;
    early.write(format!("Subject: {CANARY}\r\n\r\nMAIL {CANARY}\r\n{CANARY}\r\n").as_bytes()).await;
    assert_eq!(early.command(".").await.code(), 250);

    let mut sender = serving.submit_as(&alice).await;
    sender.command(&format!("MAIL FROM:<{ALICE}>")).await;
    sender.command("RCPT TO:<bob@example.com>").await;
    assert_eq!(sender.command("DATA").await.code(), 354);
    let letter = format!("Subject: {CANARY}\r\n\r\nMAIL {CANARY}\r\n");
    sender.write(letter.as_bytes()).await;
    assert_eq!(sender.command(".").await.code(), 250);
    assert_eq!(sender.command("QUIT").await.code(), 221);
    for tracing in [&mut one, &mut other] {
        tracing.shows("client>proxy AUTH PLAIN <").await;
        tracing.shows("proxy>provider AUTH XOAUTH2").await;
        tracing.shows("provider>proxy 235 ").await;
        tracing.shows("client>provider MAIL <").await;
        tracing.shows("provider>client 250 <").await;
        tracing.shows("client>provider DATA").await;
        tracing.shows("provider>client 354 <").await;
        tracing.shows(&format!("client>provider <{} bytes>", letter.len() + 3)).await;
        tracing.shows("client>provider QUIT").await;
        tracing.shows("provider>client 221 <").await;
    }
    drop(early);
    serving.stop().await;
    for tracing in [one, other] {
        let (said, _, _) = tracing.end().await;
        has_no_secret(&said, &alice);
        assert!(!said.iter().any(|line| line.contains("bob@")), "{said:#?}");
    }
}

#[tokio::test]
async fn a_trace_ends_at_its_time_and_with_its_account() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let _serving = site.serve().await;
    let (said, code, last) = Tracing::begin(&site, ALICE, "1s").await.end().await;
    assert_eq!((said.len(), code, last.as_str()), (0, 0, "The trace has ended."));
    let tracing = Tracing::begin(&site, ALICE, "1h").await;
    assert_eq!(site.run(&["accounts", "remove", ALICE]).await.code, 0);
    let (_, code, last) = tracing.end().await;
    assert_eq!((code, last), (0, format!("The account {ALICE} is gone, and the trace has ended.")));
}

#[tokio::test]
async fn what_cannot_be_traced_is_said_in_one_sentence() {
    let site = Site::new().await;
    let trace = async |account: &str, time: &str| site.run(&["trace", account, "--for", time]).await;
    for wrong in ["5", "61m", "2h", "0s", "m", ""] {
        let ran = trace(ALICE, wrong).await;
        assert!(ran.code == 2 && ran.err.contains("it is a number and its unit"), "{wrong}: {ran:?}");
    }
    let ran = trace(ALICE, "5m").await;
    assert!(ran.code == 1 && ran.err.contains("no serve is running"), "{ran:?}");
    let _serving = site.serve().await;
    let ran = trace("nobody@example.com", "5m").await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("error: there is no account \"nobody@example.com\""), "{ran:?}");
}

#[tokio::test]
async fn a_trace_that_is_not_read_loses_lines_and_holds_no_session_up() {
    let site = Site::new().await;
    let alice = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut tracing = Tracing::begin(&site, ALICE, "5m").await;
    let mut client = serving.log_in(&alice).await;
    // More than pipes, sockets and the queue of the trace can hold.
    let noops: String = (0..500).map(|n| format!("n{n} NOOP\r\n")).collect();
    for _ in 0..40 {
        client.send(&noops).await;
        let mut line = String::new();
        while !line.starts_with("n499 ") {
            line = within("an answer", client.line()).await;
        }
    }
    tracing.shows("LOGIN").await;
    let read = async {
        loop {
            tokio::select! {
                line = tracing.words.next_line() => return line.unwrap().unwrap(),
                line = tracing.lines.next_line() => drop(line.unwrap().unwrap()),
            }
        }
    };
    let word = within("the word of lost lines", read).await;
    assert!(word.ends_with(" lines were lost: they were read too slowly."), "{word}");
}

#[tokio::test(flavor = "multi_thread")]
async fn security_row_45_a_trace_shows_no_sign_in_link() {
    let provider = Sandbox::builder().user(ALICE).submission().pop3();
    let site = Site::with_config(provider, common::web::ON).await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().revoke_grants(ALICE);
    let serving = site.serve().await;
    let tracing = Tracing::begin(&site, ALICE, "3s").await;
    let mut client = serving.client().await;
    let answer = client.command(&common::login(&settings)).await;
    let word = answer.tagged.split(' ').find(|word| word.contains("/again/")).expect("a link");
    let token = word.rsplit_once('/').unwrap().1.to_owned();
    common::pop3::log_in(&mut serving.pop3().await, &settings).await;
    common::smtp::sign_in(&mut serving.submit().await, &settings).await;
    let (said, _, _) = tracing.end().await;
    assert!(said.iter().any(|line| line.contains(" NO ")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("-ERR")), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("535")), "{said:#?}");
    assert!(!said.iter().any(|line| line.contains(&token)), "{said:#?}");
}
