//! File modes: of the files that this program writes, and of the secret files that a configuration names.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{ALICE, BOB, Ran, Site, set_mode};
use sandbox::Sandbox;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

/// A directory and everything in it.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut paths = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => paths.extend(walk(&path)),
            false => paths.push(path),
        }
    }
    paths
}

/// Only the owner may access the state directory and its files, except for the public certificate.
fn assert_private(site: &Site, after: &str) {
    for path in walk(&site.state()) {
        let allowed = match (path.is_dir(), path.file_name().unwrap().to_str().unwrap()) {
            (true, _) => 0o700,
            (false, "ca.pem") => 0o644,
            (false, _) => 0o600,
        };
        assert_eq!(mode(&path) & !allowed, 0, "{} is {:o} after {after}", path.display(), mode(&path));
    }
}

/// Runs a command with a umask and input.
async fn under(site: &Site, umask: &str, words: &[&str], input: &str) -> Ran {
    let mut command = shell(site, umask, words);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    Ran::of(child.wait_with_output().await.unwrap())
}

fn shell(site: &Site, umask: &str, words: &[&str]) -> Command {
    let script = format!("umask {umask}; exec \"$0\" \"$@\"");
    let inner = site.command(words);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(inner.as_std().get_program()).args(inner.as_std().get_args());
    command.env("HOME", site.home.path()).env("XDG_CONFIG_HOME", site.home.path());
    command.env_remove("STATE_DIRECTORY").env_remove("IMAP_OAUTH_PROXY_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn security_row_24_a_busy_state_directory_is_private_under_any_umask() {
    for umask in ["022", "000"] {
        let site = Site::with(Sandbox::builder().user(ALICE).user(BOB)).await;
        let token = site.sandbox.controls().grant(ALICE);
        let run = async |words: &[&str], input: &str| {
            let ran = under(&site, umask, words, input).await;
            assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
            assert_private(&site, &format!("{words:?} under {umask}"));
            ran
        };
        run(&["tokens", "import", ALICE, "--provider", "sandbox"], &token).await;
        run(&["passwords", "create", ALICE, "--name", "chosen", "--stdin"], "a chosen password\n").await;
        let made = run(&["passwords", "create", ALICE, "--name", "x", "--json"], "").await.json();
        let recipient = run(&["keys", "recipient"], "").await.out;
        run(&["check"], "").await;

        let ready = site.home.path().join("ready.json");
        let mut serving =
            shell(&site, umask, &["serve", "--ready-file", &ready.to_string_lossy()]).spawn().unwrap();
        let mut log = tokio::io::BufReader::new(serving.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(tokio::io::AsyncBufReadExt::read_line(&mut log, &mut line).await.unwrap(), 0);
        }
        assert_private(&site, "the start of serve");
        let ready: serde_json::Value = serde_json::from_slice(&std::fs::read(&ready).unwrap()).unwrap();
        let address = ready["listeners"][0]["address"].as_str().unwrap().parse().unwrap();
        let ca_file = PathBuf::from(ready["ca_file"].as_str().unwrap());
        for password in [made["password"].as_str().unwrap(), "a chosen password"] {
            let mut client = common::client::Client::connect(address, &ca_file).await;
            assert!(client.command(&format!("LOGIN {ALICE} \"{password}\"")).await.is_ok());
            assert_private(&site, "a login");
        }
        run(&["keys", "rotate"], "").await;
        run(&["tokens", "refresh", ALICE], "").await;
        run(&["certs", "renew-ca"], "").await;
        let bundle =
            run(&["accounts", "export", ALICE, "--recipient", recipient.trim(), "--copy"], "").await.out;
        run(&["accounts", "import", "--replace"], &bundle).await;
        run(&["passwords", "revoke", ALICE, "x"], "").await;
        run(&["accounts", "remove", ALICE], "").await;
        serving.kill().await.unwrap();
        assert_private(&site, "a killed serve");
    }
}

#[tokio::test]
async fn security_row_24_master_and_ca_key_that_others_can_read_are_refused() {
    let site = Site::new().await;
    assert_eq!(site.run(&["certs", "export", "-"]).await.code, 0);
    site.authorize(ALICE).await;
    for (file, command) in [("master.key", &["accounts", "list"][..]), ("ca.key", &["certs", "show"])] {
        let path = site.state().join(file);
        for exposed in [0o604, 0o640, 0o644, 0o666] {
            set_mode(&path, exposed);
            let ran = site.run(command).await;
            let said = format!("chmod 600 {}", path.display());
            assert!(ran.code == 1 && ran.err.contains(&said), "{file} {exposed:o}: {ran:?}");
        }
        set_mode(&path, 0o600);
        assert_eq!(site.run(command).await.code, 0);
    }
}

/// An installation whose configuration names every kind of secret file, and contains no secret itself.
async fn with_secret_files() -> (Site, Vec<(&'static str, PathBuf)>) {
    let site = Site::new().await;
    let config = std::fs::read_to_string(&site.config).unwrap();
    let config: Vec<&str> = config.lines().filter(|line| !line.starts_with("client_secret")).collect();
    let own = "[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n";
    let others = "client_secret_file = \"client.secret\"\n\
         [providers.google]\npreset = \"gmail\"\nclient_id = \"x\"\nservice_account_file = \"service.json\"\n\
         [providers.pod]\npreset = \"microsoft365\"\nclient_id = \"x\"\nclient_assertion_file = \"pod.jwt\"\n\
         [providers.corp]\npreset = \"microsoft365\"\nclient_id = \"x\"\napp_certificate = \"app.pem\"\napp_key = \"app.key\"\n";
    std::fs::write(&site.config, format!("{own}{}\n{others}", config.join("\n"))).unwrap();
    // The keys of the top level come first.
    let text = std::fs::read_to_string(&site.config).unwrap();
    let text = format!("state_directory = \"state\"\n{}", text.replace("state_directory = \"state\"\n", ""));
    std::fs::write(&site.config, text).unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let path = site.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
        path
    };
    file("own.pem", &certified.cert.pem());
    file("app.pem", &certified.cert.pem());
    let files = vec![
        ("tls.key", file("own.key", &certified.signing_key.serialize_pem())),
        ("providers.sandbox.client_secret_file", file("client.secret", "secret\n")),
        ("providers.google.service_account_file", file("service.json", "{}")),
        ("providers.pod.client_assertion_file", file("pod.jwt", "jwt")),
        ("providers.corp.app_key", file("app.key", "key")),
    ];
    (site, files)
}

#[tokio::test]
async fn security_row_35_files_with_secrets_are_judged_by_their_modes() {
    let (site, files) = with_secret_files().await;
    set_mode(&site.config, 0o644);
    for (key, path) in &files {
        for quiet in [0o400, 0o600, 0o640] {
            set_mode(path, quiet);
            let ran = site.run(&["config", "check"]).await;
            assert!(ran.code == 0 && !ran.err.contains("warning"), "{key} {quiet:o}: {ran:?}");
        }
        set_mode(path, 0o644);
        for command in [&["config", "check"][..], &["accounts", "list"]] {
            let ran = site.run(command).await;
            let said = format!("{} can be read by others (mode 644); run: chmod 600 {0}", path.display());
            assert!(ran.code == 0 && ran.err.matches("warning: ").count() == 1, "{key}: {ran:?}");
            assert!(ran.err.contains(&said), "{key}: {ran:?}");
        }
        for refused in [0o666, 0o602, 0o660] {
            set_mode(path, refused);
            for command in [&["config", "check"][..], &["serve"]] {
                let ran = site.run(command).await;
                assert!(
                    ran.code == 2 && ran.err.contains(key) && ran.err.contains("can be written by"),
                    "{ran:?}"
                );
                assert!(
                    ran.err.contains(&format!("hint: run: chmod 600 {}", path.display())),
                    "{key}: {ran:?}"
                );
            }
        }
        set_mode(path, 0o600);
    }
    assert_eq!(site.run(&["config", "check"]).await.code, 0);
}

#[tokio::test]
async fn security_row_35_a_symbolic_link_is_judged_by_the_file_that_it_leads_to() {
    let (site, files) = with_secret_files().await;
    let (_, path) = &files[1];
    let elsewhere = site.home.path().join("elsewhere");
    std::fs::rename(path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path).unwrap();
    let ran = site.run(&["config", "check"]).await;
    assert!(ran.code == 0 && !ran.err.contains("warning"), "{ran:?}");
    set_mode(&elsewhere, 0o666);
    assert_eq!(site.run(&["config", "check"]).await.code, 2);
}

#[tokio::test]
async fn security_row_35_serve_says_once_in_its_log_what_others_can_read() {
    let (site, files) = with_secret_files().await;
    for (_, path) in &files {
        set_mode(path, 0o644);
    }
    let (code, log) = site.serve().await.stop().await;
    assert_eq!(code, 0, "{log}");
    for (key, path) in &files {
        assert_eq!(log.matches(&format!("chmod 600 {}", path.display())).count(), 1, "{key}: {log}");
    }
}

#[tokio::test]
async fn security_row_35_a_configuration_that_holds_a_secret_is_judged_too() {
    let site = Site::new().await;
    let with_secret = std::fs::read_to_string(&site.config).unwrap();
    let secret = with_secret.lines().find(|line| line.starts_with("client_secret")).unwrap();
    let bare = with_secret.replace(secret, "");
    let webhook = |url: &str| format!("{bare}\n[events]\nwebhook = \"{url}\"\n");
    let cure = format!("chmod 600 {}", site.config.display());
    for (text, secret) in [
        (with_secret.clone(), Some("client_secret")),
        (webhook("https://chat.example/hooks/T0/B0"), Some("webhook")),
        (webhook("https://chat.example/?token=x"), Some("webhook")),
        (webhook("https://user:pass@chat.example/"), Some("webhook")),
        (webhook("https://chat.example/"), None),
        (webhook("http://127.0.0.1:9/events"), None),
        (bare.clone(), None),
    ] {
        std::fs::write(&site.config, &text).unwrap();
        for quiet in [0o600, 0o640] {
            set_mode(&site.config, quiet);
            let ran = site.run(&["config", "check"]).await;
            assert!(ran.code == 0 && !ran.err.contains("warning"), "{quiet:o}: {ran:?}");
        }
        set_mode(&site.config, 0o644);
        let ran = site.run(&["config", "check"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        match secret {
            Some(key) => assert!(ran.err.contains(&cure) && ran.err.contains(key), "{ran:?}"),
            None => assert!(!ran.err.contains("warning"), "{ran:?}"),
        }
        set_mode(&site.config, 0o666);
        let ran = site.run(&["config", "check"]).await;
        assert_eq!(ran.code, if secret.is_some() { 2 } else { 0 }, "{ran:?}");
        assert!(ran.err.contains(&cure), "{ran:?}");
    }
}

/// Configurations from before the mode checks still work.
#[tokio::test]
async fn security_row_35_a_configuration_of_before_serves_on() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    set_mode(&site.config, 0o664);
    let serving = site.serve().await;
    let mut session = serving.log_in(&settings).await;
    assert!(session.command("SELECT INBOX").await.is_ok());
    drop(session);
    let (_, log) = serving.stop().await;
    assert_eq!(log.matches(&format!("chmod 600 {}", site.config.display())).count(), 1, "{log}");
    assert_eq!(json!(settings)["account"], ALICE);
}
