//! The sources of the sealing keys, and their rotation under a running proxy.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, BOB, Site};
use sandbox::Sandbox;

fn key_ids(site: &Site) -> Vec<String> {
    let text = std::fs::read_to_string(site.state().join("master.key")).unwrap();
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn keys_rotate_under_a_running_serve_with_logins_going_on() {
    let site = Site::new().await;
    let (alice, bob) = (site.authorize(ALICE).await, site.authorize(BOB).await);
    let serving = site.serve().await;
    drop(serving.log_in(&alice).await);
    let (rotated, ()) = tokio::join!(site.run(&["keys", "rotate"]), async {
        for _ in 0..5 {
            for settings in [&alice, &bob] {
                let mut session = serving.log_in(settings).await;
                assert!(session.command("NOOP").await.is_ok());
            }
        }
    });
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(
        rotated.err.contains("Key 2 is added") && rotated.err.contains("Nothing needs key 1"),
        "{rotated:?}"
    );
    assert_eq!(key_ids(&site), ["2"]);
    // The process that began with the old key seals refreshed tokens with the new one.
    site.sandbox.controls().revoke_access_tokens();
    let mut session = serving.log_in(&alice).await;
    assert!(session.command("SELECT INBOX").await.is_ok(), "the app password stays");
    let ran = site.run(&["keys", "rotate"]).await;
    assert_eq!((ran.code, key_ids(&site)), (0, vec!["3".to_owned()]), "{ran:?}");
    drop(serving.log_in(&bob).await);
    drop(serving);
    let serving = site.serve().await;
    drop(serving.log_in(&alice).await);
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn a_key_that_opens_nothing_stops_whatever_would_seal_and_costs_nothing() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let path = site.state().join("master.key");
    let right = std::fs::read_to_string(&path).unwrap();
    let wrong = format!("1 {}\n", openssl_like_key());
    std::fs::write(&path, wrong).unwrap();
    for command in [&["keys", "rotate"][..], &["authorize", ALICE, "--no-browser"]] {
        let ran = site.run(command).await;
        assert!(ran.code == 1 && ran.err.contains("cannot be opened"), "{ran:?}");
        assert!(ran.out.is_empty(), "nobody is asked to consent: {ran:?}");
    }
    assert_eq!(key_ids(&site), ["1"], "and no key is added");
    std::fs::write(&path, right).unwrap();
    drop(site.serve().await.log_in(&settings).await);
}

fn openssl_like_key() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode([7; 32])
}

#[tokio::test]
async fn keys_from_the_environment_a_credential_and_a_command() {
    let key = openssl_like_key();
    for (setting, variable, value) in [
        ("key_env = \"PROXY_KEY\"", "PROXY_KEY", key.clone()),
        ("key_credential = \"master\"", "CREDENTIALS_DIRECTORY", "credentials".to_owned()),
        ("key_command = [\"cat\", \"credentials/master\"]", "UNUSED", String::new()),
    ] {
        let site = Site::with_config(Sandbox::builder().user(ALICE), &format!("[store]\n{setting}\n")).await;
        std::fs::create_dir(site.home.path().join("credentials")).unwrap();
        std::fs::write(site.home.path().join("credentials/master"), format!("1 {key}\n")).unwrap();
        let token = site.sandbox.controls().grant(ALICE);
        let import = ["tokens", "import", ALICE, "--provider", "sandbox"];
        let mut command = site.command(&import);
        command.env(variable, &value).current_dir(site.home.path()).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stdin, token.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{setting}: {output:?}");
        assert!(!site.state().join("master.key").exists());
        let mut command = site.command(&["keys", "rotate"]);
        let output = command.env(variable, &value).current_dir(site.home.path()).output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && err.contains("only you can add another"), "{err}");
        assert!(!err.contains(&key));
    }
}

#[tokio::test]
async fn a_rotation_where_the_user_holds_the_keys() {
    let site = Site::with_config(
        Sandbox::builder().user(ALICE),
        "[store]\nkey_command = [\"cat\", \"/nowhere/keys\"]\n",
    )
    .await;
    let keys = site.home.path().join("keys");
    let key = openssl_like_key();
    let config = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, config.replace("/nowhere/keys", &keys.to_string_lossy())).unwrap();
    std::fs::write(&keys, &key).unwrap();
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    drop(serving.log_in(&settings).await);
    std::fs::write(&keys, format!("1 {key}\n2 {}\n", key.replace('B', "C"))).unwrap();
    let ran = site.run(&["keys", "rotate"]).await;
    assert!(ran.code == 0 && ran.err.contains("take it out of the key command cat"), "{ran:?}");
    drop(serving.log_in(&settings).await);
    std::fs::write(&keys, format!("2 {}\n", key.replace('B', "C"))).unwrap();
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[tokio::test]
async fn a_missing_key_is_one_clear_sentence() {
    let site = Site::with_config(Sandbox::builder().user(ALICE), "[store]\nkey_env = \"PROXY_KEY\"\n").await;
    let asked = ["keys", "recipient"];
    let ran = site.run(&asked).await;
    assert!(ran.code == 1 && ran.err.contains("the environment variable PROXY_KEY is not set"), "{ran:?}");
    site.configure("[store]\nkey_credential = \"master\"\n");
    let ran = site.run(&asked).await;
    assert!(ran.code == 1 && ran.err.contains("LoadCredential=master"), "{ran:?}");
    site.configure("[store]\nkey_command = [\"false\"]\n");
    let ran = site.run(&asked).await;
    assert!(ran.code == 1 && ran.err.contains("the key command false failed"), "{ran:?}");
}

#[tokio::test]
async fn a_key_file_that_cannot_be_written_rotates_by_hand() {
    use std::os::unix::fs::OpenOptionsExt as _;
    // The program reads the file under a name whose directory takes no file, as that of a Secret in a cluster.
    let site =
        Site::with_config(Sandbox::builder().user(ALICE), "[store]\nkey_file = \"/proc/self/fd/0\"\n").await;
    let keys = site.home.path().join("keys");
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&keys).unwrap();
    let (old, new) = (openssl_like_key(), openssl_like_key().replace('B', "C"));
    std::fs::write(&keys, format!("1 {old}\n")).unwrap();
    let run = async |words: &[&str]| {
        let mut command = site.command(words);
        common::Ran::of(command.stdin(std::fs::File::open(&keys).unwrap()).output().await.unwrap())
    };
    assert_eq!(run(&["keys", "recipient"]).await.code, 0, "something is sealed");
    let ran = run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in
        ["key 2 cannot be added", "`2 NEW-KEY`", "Secret", "openssl rand -base64 32", "run keys rotate again"]
    {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    std::fs::write(&keys, format!("1 {old}\n2 {new}\n")).unwrap();
    let ran = run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in ["Done. Nothing needs key 1 any more", "Remove its line from the key file"] {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    let ran = run(&["events", "list"]).await;
    assert!(ran.out.contains("keys_rotated"), "{ran:?}");
    std::fs::write(&keys, format!("2 {new}\n")).unwrap();
    assert_eq!(run(&["keys", "recipient"]).await.code, 0, "the old key is not needed");
}
