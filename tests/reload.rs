//! A new configuration for a running `serve`: applied as a whole or not at all, and no session ends.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::path::Path;

use common::plain::Plain;
use common::{ALICE, BOB, Site, set_mode};
use serde_json::Value;

const PLAIN: &str = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";

async fn reload(site: &Site) -> (i32, String) {
    let ran = site.run(&["reload"]).await;
    assert_eq!(ran.out, "");
    (ran.code, ran.err)
}

fn login(settings: &Value) -> String {
    common::login(settings)
}

#[tokio::test]
async fn security_row_48_a_bad_file_changes_nothing_and_says_so() {
    let site = Site::new().await;
    let alice = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut session = serving.log_in(&alice).await;
    for (mistake, said) in [
        ("[limits]\nfailed_logins = 0\n", "limits.failed_logins: 0 would refuse every login"),
        ("[limits]\nfailed_login = 1\n", "unknown field `failed_login`"),
        ("[limits\n", "config.toml:2"),
        ("[log]\nfilter = \"a=b=c\"\n", "is not a filter"),
        ("[tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n", "none.pem"),
    ] {
        site.configure(mistake);
        let (code, words) = reload(&site).await;
        assert_eq!(code, 1, "{mistake}: {words}");
        assert!(words.contains("error: nothing was changed: ") && words.contains(said), "{mistake}: {words}");
        assert_eq!(words.matches("error: ").count(), 1, "{words}");
        serving.logs("the configuration was not loaded again, and nothing has changed").await;
    }
    let trail = site.run(&["events", "list", "--json"]).await.json();
    let refused: Vec<_> =
        trail.as_array().unwrap().iter().filter(|act| act["event"] == "reload_refused").collect();
    assert_eq!(refused.len(), 5, "{trail}");
    // The error may quote the file, and with it a secret, so only the log contains it.
    assert!(refused.iter().all(|act| act["about"].is_null()), "{trail}");
    assert!(session.command("NOOP").await.is_ok());
    assert!(serving.log_in(&alice).await.command("NOOP").await.is_ok());
    site.configure("");
    assert_eq!(reload(&site).await.0, 0);
    assert!(session.command("NOOP").await.is_ok());
}

#[tokio::test]
async fn security_row_48_the_same_file_ends_no_session() {
    let site = Site::new().await;
    let alice = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut session = serving.log_in(&alice).await;
    for _ in 0..3 {
        let (code, words) = reload(&site).await;
        assert_eq!((code, words.lines().count()), (0, 1), "{words}");
        assert!(session.command("NOOP").await.is_ok());
    }
    hang_up(&serving);
    serving.logs("the configuration was loaded again").await;
    assert!(session.command("NOOP").await.is_ok());
    let refreshes = site.sandbox.controls().token_requests().len();
    assert!(serving.log_in(&alice).await.command("NOOP").await.is_ok());
    assert_eq!(site.sandbox.controls().token_requests().len(), refreshes, "tokens are kept");
}

#[tokio::test]
async fn security_row_48_a_changed_listener_waits_for_a_restart_and_the_rest_is_in_use() {
    let site = Site::with_config(sandbox::Sandbox::builder().user(ALICE), PLAIN).await;
    let alice = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut session = serving.plain("none").await;
    session.line().await;
    assert!(session.command(&login(&alice)).await.is_ok());

    let more = format!("[metrics]\naddress = \"127.0.0.1:0\"\n[limits]\nfailed_logins = 1\n{PLAIN}");
    site.configure(&more.replace("127.0.0.1:0\"]", "127.0.0.1:0\", \"127.0.0.2:0\"]"));
    for _ in 0..2 {
        let (code, words) = reload(&site).await;
        assert_eq!(code, 3, "{words}");
        let named = "A restart is needed for the new listeners, metrics.address; the rest is in use.";
        assert!(words.contains(named), "{words}");
    }
    let mut guess = serving.plain("none").await;
    guess.line().await;
    guess.send("a LOGIN nobody wrong\r\n").await;
    let rest = guess.rest().await;
    assert!(rest.contains("* BYE"), "one failed login is the last: {rest}");
    assert!(session.command("NOOP").await.is_ok());
    site.configure(PLAIN);
    assert_eq!(reload(&site).await.0, 0, "as it was started");
}

#[tokio::test]
async fn who_may_connect_is_reloaded_and_others_are_closed_without_a_greeting() {
    let site = Site::with_config(sandbox::Sandbox::builder().user(ALICE), PLAIN).await;
    let alice = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut session = serving.plain("none").await;
    session.line().await;
    assert!(session.command(&login(&alice)).await.is_ok());
    site.configure(&format!("{PLAIN}from = [\"127.0.0.2\", \"192.0.2.0/24\"]\n"));
    assert_eq!(reload(&site).await.0, 0);
    assert_eq!(serving.plain("none").await.rest().await, "");
    let mut other = Plain::connect_from("127.0.0.2", serving.address()).await;
    assert!(other.line().await.starts_with("* OK"));
    assert!(session.command("NOOP").await.is_ok(), "a session stays");
    site.configure(PLAIN);
    assert_eq!(reload(&site).await.0, 0);
    assert!(serving.plain("none").await.line().await.starts_with("* OK"));
}

#[tokio::test]
async fn a_new_provider_works_without_a_restart_and_a_removed_one_keeps_its_sessions() {
    let site = Site::new().await;
    let whole = std::fs::read_to_string(&site.config).unwrap();
    let (without, _) = whole.split_once("[providers.").unwrap();
    std::fs::write(&site.config, without).unwrap();
    let serving = site.serve().await;
    std::fs::write(&site.config, &whole).unwrap();
    let alice = site.authorize(ALICE).await;
    let refused = serving.client().await.command(&login(&alice)).await;
    assert!(refused.tagged.contains("sandbox") && refused.tagged.contains(" any more"), "{refused:?}");
    assert_eq!(reload(&site).await.0, 0);
    let mut session = serving.log_in(&alice).await;
    std::fs::write(&site.config, without).unwrap();
    assert_eq!(reload(&site).await.0, 0);
    assert!(session.command("NOOP").await.is_ok());
    let refused = serving.client().await.command(&login(&alice)).await;
    assert!(refused.tagged.contains("sandbox") && refused.tagged.contains(" any more"), "{refused:?}");
}

#[tokio::test]
async fn another_certificate_is_shown_from_the_reload_on() {
    let site = Site::new().await;
    let (first, second) = (certificate(&site, "first"), certificate(&site, "second"));
    site.configure(&first.1);
    let alice = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let connect = async |trusted: &Path| {
        let tcp = tokio::net::TcpStream::connect(serving.address()).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        common::client::tls(trusted).connect(name, tcp).await.is_ok()
    };
    let mut session = common::client::Client::connect(serving.address(), &first.0).await;
    assert!(session.command(&login(&alice)).await.is_ok());
    assert!(!connect(&second.0).await);
    site.configure(&second.1);
    assert_eq!(reload(&site).await.0, 0);
    assert!(connect(&second.0).await && !connect(&first.0).await);
    assert!(session.command("NOOP").await.is_ok());
    // The files keep their names, and get other certificates.
    std::fs::copy(&first.0, &second.0).unwrap();
    let (code, words) = reload(&site).await;
    assert!(code == 1 && words.contains("second.key"), "{words}");
    std::fs::copy(first.0.with_extension("key"), second.0.with_extension("key")).unwrap();
    assert_eq!(reload(&site).await.0, 0);
    assert!(connect(&first.0).await);
}

#[tokio::test]
async fn events_and_the_log_follow_the_file() {
    let site = Site::with(sandbox::Sandbox::builder().user(ALICE).user(BOB)).await;
    let alice = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let session = serving.log_in(&alice).await;
    // A pipe blocks its reader until a writer comes.
    let told = site.home.path().join("told");
    assert!(std::process::Command::new("mkfifo").arg(&told).status().unwrap().success());
    let script = format!("cat > {}", told.display());
    site.configure(&format!(
        "[log]\nformat = \"json\"\nfilter = \"info\"\n[events]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\n"
    ));
    assert_eq!(reload(&site).await.0, 0);
    // The session began under the text format, and ends under JSON.
    drop(session);
    let line = serving.logs("session ended").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["name"], "connection", "{line}");
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    assert!(!serving.client().await.command(&login(&alice)).await.is_ok());
    let event = common::within("an event", tokio::fs::read_to_string(&told)).await.unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!((&event["event"], &event["account"]), (&"needs_person".into(), &ALICE.into()));
    site.configure("[log]\nfilter = \"error\"\n");
    assert_eq!(reload(&site).await.0, 0);
    let alice = site.authorize(ALICE).await;
    assert!(!alice["username"].is_null());
    drop(serving.client().await);
    let (_, log) = serving.stop().await;
    assert!(!log.contains("all sessions have ended"), "{log}");
}

/// A self-signed certificate for localhost, and the configuration table for it and its key.
fn certificate(site: &Site, name: &str) -> (std::path::PathBuf, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) =
        (site.home.path().join(format!("{name}.pem")), site.home.path().join(format!("{name}.key")));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    set_mode(&key, 0o600);
    (certificate, format!("[tls]\ncertificate = \"{name}.pem\"\nkey = \"{name}.key\"\n"))
}

fn hang_up(serving: &common::Serving) {
    let pid = serving.child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}
