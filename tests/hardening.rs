//! What other programs of the same user can learn about our processes, and about the programs that they
//! start.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{ALICE, Site};
use sandbox::{PATIENCE, Sandbox};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Debian's `nobody`, in place of any user but root.
const NOBODY: u32 = 65_534;

/// A directory where a user other than root can run the binary. A process of root would prove nothing.
struct Guest {
    home: TempDir,
    as_root: bool,
}

impl Guest {
    fn new() -> Self {
        let as_root = rustix::process::geteuid().is_root();
        let home = tempfile::tempdir().unwrap();
        let binary = home.path().join("imap-oauth-proxy");
        std::fs::copy(env!("CARGO_BIN_EXE_imap-oauth-proxy"), &binary).unwrap();
        // A program without read permission for its user is never dumpable, so make it readable.
        for path in [home.path(), &binary] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        if as_root {
            chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        Self { home, as_root }
    }

    /// A pipe without a writer: a process that reads it waits forever.
    fn silent_file(&self) -> PathBuf {
        let pipe = self.home.path().join("config.toml");
        let made = std::process::Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status();
        assert!(made.unwrap().success());
        pipe
    }

    fn start(&self, config: &Path, words: &str) -> Child {
        let binary = self.home.path().join("imap-oauth-proxy");
        let mut command = match self.as_root {
            true => {
                let mut command = Command::new("setpriv");
                let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
                command.args(user).arg("--clear-groups").arg(binary);
                command
            }
            false => Command::new(binary),
        };
        command
            .env("HOME", self.home.path())
            .env_remove("STATE_DIRECTORY")
            .arg("--config")
            .arg(config)
            .args(words.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }
}

#[tokio::test]
async fn security_row_39_no_command_leaves_a_core_dump_or_can_be_traced() {
    let guest = Guest::new();
    let config = guest.silent_file();
    let commands = [
        "serve",
        "authorize alice@example.com",
        "tokens list",
        "tokens refresh alice@example.com",
        "tokens import alice@example.com --provider gmail",
        "tokens revoke alice@example.com",
        "accounts list",
        "accounts export alice@example.com",
        "accounts import",
        "passwords create alice@example.com --name x",
        "passwords list",
        "passwords limit alice@example.com --name x --expires 2199-12-31",
        "accounts disable alice@example.com",
        "check",
        "keys rotate",
        "keys recipient",
        "certs show",
        "certs renew-ca",
        "config check",
    ];
    for words in commands {
        // The process waits for its configuration, and has read no secret yet.
        let mut child = guest.start(&config, words);
        let process = PathBuf::from(format!("/proc/{}", child.id().unwrap()));
        let patience = Instant::now() + PATIENCE;
        // The kernel shows the files of a process that forbids tracing as root's, for every user.
        let owner = || std::fs::metadata(process.join("mem")).unwrap().uid();
        let is_ours =
            || std::fs::read_link(process.join("exe")).map_or(true, |exe| exe.ends_with("imap-oauth-proxy"));
        while owner() != 0 || !is_ours() || core_limit(&process) != "0" {
            assert!(child.try_wait().unwrap().is_none(), "{words}: ended");
            let (owner, core) = (owner(), core_limit(&process));
            assert!(Instant::now() < patience, "{words}: of user {owner}, core dumps up to {core}");
            tokio::task::yield_now().await;
        }
        child.kill().await.unwrap();
    }
}

/// The process's hard limit on the size of core dumps.
fn core_limit(process: &Path) -> String {
    let limits = std::fs::read_to_string(process.join("limits")).unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap_or_default();
    line.split_whitespace().nth(5).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn security_row_39_a_key_command_that_hangs_is_given_up() {
    let site =
        Site::with_config(Sandbox::builder().user(ALICE), "[store]\nkey_command = [\"sleep\", \"600\"]\n")
            .await;
    let began = Instant::now();
    let ran = tokio::time::timeout(Duration::from_secs(90), site.run(&["keys", "recipient"])).await.unwrap();
    assert!(ran.code == 1 && began.elapsed() >= Duration::from_secs(30), "{ran:?}");
    assert!(ran.err.contains("the key command sleep had not ended after 30 s and was stopped"), "{ran:?}");
}

#[tokio::test]
async fn security_row_39_a_key_in_the_environment_is_not_handed_to_the_browser() {
    let site = Site::with_config(Sandbox::builder().user(ALICE), "[store]\nkey_env = \"PROXY_KEY\"\n").await;
    let programs = site.home.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let seen = site.home.path().join("seen");
    let script = format!("#!/bin/sh\n(env; echo \"opens $1\") > {0}.new; mv {0}.new {0}\n", seen.display());
    let browser = programs.join("xdg-open");
    std::fs::write(&browser, script).unwrap();
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).unwrap();
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = site.command(&["authorize", ALICE]);
    let mut child = command.env("PROXY_KEY", key).env("PATH", path).env("LANG", "C").spawn().unwrap();
    let patience = Instant::now() + PATIENCE;
    while !seen.exists() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < patience, "no browser was started");
        tokio::task::yield_now().await;
    }
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("opens http://127.0.0.1:"), "{seen}");
    assert!(seen.contains("LANG=C"), "what a desktop needs is there: {seen}");
    assert!(!seen.contains("PROXY_KEY") && !seen.contains(key), "{seen}");
    child.kill().await.unwrap();
}
