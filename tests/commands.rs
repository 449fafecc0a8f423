//! The commands for a grant: refresh, revoke, list, check, move; and their messages for bad input.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::path::Path;

use common::{ALICE, BOB, Ran, Site};
use sandbox::{Flavour, Gate, Greeting, LoginFault, Sandbox, TokenFault};
use serde_json::{Value, json};

const SHARED: &str = "shared@example.com";
const PASSPHRASE: &str = "correct horse battery";

/// Runs a command that a person at a terminal answers.
async fn answered(site: &Site, words: &[&str], answer: &str) -> Ran {
    let (mut keyboard, terminal) = common::pseudo_terminal();
    let child = site.command(words).stdin(terminal).spawn().unwrap();
    std::io::Write::write_all(&mut keyboard, answer.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().await.unwrap())
}

#[tokio::test]
async fn what_loses_something_asks_at_a_terminal_and_a_script_goes_on() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let ca = || std::fs::read(site.state().join("ca.pem")).unwrap();
    let before = ca();
    for words in [&["certs", "renew-ca"][..], &["tokens", "revoke", ALICE], &["accounts", "remove", ALICE]] {
        let ran = answered(&site, words, "n\n").await;
        assert!(
            ran.code == 1 && ran.err.contains("Go on?") && ran.err.contains("nothing was changed"),
            "{ran:?}"
        );
    }
    assert_eq!((ca(), site.tokens().await.0[0]["state"].as_str()), (before.clone(), Some("ok")));
    let ran = answered(&site, &["certs", "renew-ca"], "y\n").await;
    assert!(ran.code == 0 && ca() != before, "{ran:?}");
    let ran = answered(&site, &["tokens", "revoke", ALICE, "--yes"], "").await;
    assert!(ran.code == 0 && !ran.err.contains("Go on?"), "{ran:?}");
    // No terminal: nothing is asked.
    let ran = site.run(&["accounts", "remove", ALICE]).await;
    assert!(ran.code == 0 && !ran.err.contains("Go on?"), "{ran:?}");
}

#[tokio::test]
async fn the_exported_ca_is_for_everyone_and_what_cannot_be_written_names_sudo_tee() {
    let site = Site::new().await;
    let file = site.home.path().join("exported.pem");
    let name = file.to_str().unwrap();
    let program = env!("CARGO_BIN_EXE_imap-oauth-proxy");
    let config = site.config.to_str().unwrap();
    let script = format!("umask 077; exec {program} --config {config} certs export {name}");
    let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(status.success());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o644);
    let shown = site.run(&["certs", "show"]).await;
    assert!(shown.out.contains("Names:        localhost, 127.0.0.1, ::1"), "{shown:?}");
    // As in lists, to the minute.
    let end = shown.out.lines().find_map(|line| line.strip_prefix("Ends:         ")).unwrap();
    assert!(
        end.len() == "2036-11-26 08:52 UTC".len() && end.ends_with(" UTC") && &end[10..11] == " ",
        "{end}"
    );
    let ran = site.run(&["certs", "export", "/nonexistent/ca.pem"]).await;
    let hint = "certs export - | sudo tee /nonexistent/ca.pem >/dev/null";
    assert!(ran.code == 1 && ran.err.contains(hint), "{ran:?}");
}

#[tokio::test]
async fn a_check_asks_the_sign_in_service_although_the_token_in_the_cache_is_good() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let ran = site.run(&["check", ALICE]).await;
    assert!(
        ran.code == 0 && ran.out.contains("from the cache, the sign-in service was asked less than"),
        "{ran:?}"
    );
    let text = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, text.replace("client_id = \"", "client_id = \"wrong-")).unwrap();
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    site.tamper(&format!("UPDATE grants SET refreshed_at = {}", now - 61), &[]).await;
    let ran = site.run(&["check", ALICE]).await;
    assert!(ran.code != 0 && ran.out.contains("FAIL token"), "{ran:?}");
}

#[tokio::test]
async fn a_check_of_several_accounts_is_a_line_each_and_the_total() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    assert_eq!(site.run(&["tokens", "revoke", BOB]).await.code, 0);
    let brief = site.run(&["check"]).await;
    let lines: Vec<&str> = brief.out.lines().filter(|line| line.contains("example.com")).collect();
    assert_eq!(lines[0], format!("ok   {ALICE}"), "{brief:?}");
    assert!(lines.len() == 2 && lines[1].starts_with(&format!("FAIL {BOB}: ")), "{brief:?}");
    assert!(brief.out.contains("2 accounts: 1 ok, 1 in want of a person, 0 failed"), "{brief:?}");
    assert!(site.run(&["check", "-v"]).await.out.contains("  ok   token"));
    let list = site.run(&["tokens", "list"]).await;
    assert!(list.out.lines().nth(1).unwrap().starts_with(BOB), "what needs a person is first: {list:?}");
    assert!(list.err.contains("2 accounts: 1 needs_authorization, 1 ok; 1 needs a person."), "{list:?}");
}

#[tokio::test]
async fn a_check_is_in_colour_on_a_terminal_alone_and_not_where_no_color_is_set() {
    let site = Site::new().await;
    let on_a_terminal = async |no_color: &str| {
        let (mut screen, terminal) = common::pseudo_terminal();
        let mut command = site.command(&["check"]);
        let child = command.env("TERM", "xterm").env("NO_COLOR", no_color).stdout(terminal).spawn().unwrap();
        // The terminal's other end is closed with the command, which a read reports as an error.
        drop(command);
        let reading = tokio::task::spawn_blocking(move || {
            let mut shown = Vec::new();
            let _ = std::io::Read::read_to_end(&mut screen, &mut shown);
            String::from_utf8(shown).unwrap()
        });
        child.wait_with_output().await.unwrap();
        common::within("the terminal", reading).await.unwrap()
    };
    let shown = on_a_terminal("").await;
    assert!(shown.starts_with("\x1b[32mok  \x1b[0m config: read from "), "{shown:?}");
    for plain in [on_a_terminal("1").await, site.run(&["check"]).await.out] {
        assert!(plain.starts_with("ok   config: read from ") && !plain.contains('\x1b'), "{plain:?}");
    }
}

#[tokio::test]
async fn what_takes_longer_than_a_second_is_said_on_a_terminal_alone() {
    let site = Site::new().await;
    for account in [ALICE, BOB] {
        site.authorize(account).await;
    }
    let gate = Gate::new();
    site.sandbox.controls().every_token(TokenFault::Hold(gate.clone()));
    let piped = site.command(&["tokens", "refresh", BOB]).spawn().unwrap();
    gate.arrived(1).await;
    // The second command is the younger one: once it has said something, the first one would have, too.
    let command = site.command(&["tokens", "refresh", ALICE]);
    let (line, shown, _screen) = common::first_line_at_a_terminal(command).await;
    let said = "Asking the provider for a new access token …";
    assert_eq!(line, said);
    gate.open();
    for child in [piped, shown] {
        let ran = Ran::of(child.wait_with_output().await.unwrap());
        assert!(ran.code == 0 && !ran.err.contains(said), "{ran:?}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_secrets_masked_and_quiet_is_quiet() {
    let site = Site::new().await;
    let path = site.run(&["config", "path"]).await;
    assert_eq!((path.code, path.out.trim()), (0, site.config.to_str().unwrap()));
    let shown = site.run(&["config", "show"]).await;
    assert!(
        shown.out.contains("client_secret = \"[masked]\"") && !shown.out.contains("sandbox-secret"),
        "{shown:?}"
    );
    site.authorize(ALICE).await;
    let refreshed = site.run(&["-q", "tokens", "refresh", ALICE]).await;
    assert_eq!((refreshed.code, refreshed.err.as_str(), refreshed.out.lines().count()), (0, "", 1));
    for words in
        [&["passwords", "create", ALICE, "desk"][..], &["passwords", "revoke", ALICE, "--name", "desk"]]
    {
        assert_eq!(site.run(words).await.code, 0, "{words:?}");
    }
}

#[tokio::test]
async fn commands_that_only_read_make_nothing_and_name_the_directory() {
    let site = Site::new().await;
    for words in [
        &["tokens", "list"][..],
        &["accounts", "list"],
        &["passwords", "list"],
        &["events", "list"],
        &["check"],
    ] {
        let ran = site.run(words).await;
        let said = format!("There is no account yet in {}", site.state().display());
        assert!(ran.code == 0 && ran.err.contains(&said), "{words:?}: {ran:?}");
        assert!(!site.state().exists(), "{words:?}");
    }
    let ran = site.run(&["tokens", "list", "--json"]).await;
    assert_eq!((ran.code, ran.json()), (0, serde_json::json!([])));
    assert!(!site.state().exists());
    let copy = site.home.path().join("copy");
    for words in [
        &["backup", copy.to_str().unwrap()][..],
        &["setup", ALICE, "--for", "text"],
        &["accounts", "export", ALICE],
        &["accounts", "disable", ALICE],
        &["passwords", "create", ALICE, "desk"],
        &["tokens", "refresh", ALICE],
        &["keys", "rotate"],
    ] {
        let ran = site.run(words).await;
        let said = format!("error: there is no account yet in {}", site.state().display());
        assert!(ran.code == 1 && ran.err.contains(&said), "{words:?}: {ran:?}");
        assert!(ran.err.contains("hint: where a service has the accounts, run this as its user"), "{ran:?}");
        assert!(!site.state().exists() && !copy.exists(), "{words:?}");
    }
    let ran = site.run(&["certs", "show"]).await;
    let said = format!("error: there is no CA in {} yet\nhint: ", site.state().display());
    assert!(ran.code == 1 && ran.err.starts_with(&said) && !site.state().exists(), "{ran:?}");
    // An account that was named and is not there is no success.
    let ran = site.run(&["check", ALICE]).await;
    assert!(ran.code == 1 && ran.out.contains(ALICE) && !site.state().exists(), "{ran:?}");
    let ran = site.run(&["restore", "missing.backup"]).await;
    assert!(ran.code == 1 && ran.err.contains("missing.backup cannot be read: No such file"), "{ran:?}");
    assert!(!site.state().exists());
    // The first account of a new host can be one that moves there.
    let ran = site.run(&["keys", "recipient"]).await;
    assert!(ran.code == 0 && ran.out.starts_with("iop1-") && site.state().exists(), "{ran:?}");
    assert!(ran.err.contains(&format!("the installation in {}", site.state().display())), "{ran:?}");
}

#[tokio::test]
async fn a_configuration_that_this_user_is_kept_from_is_not_taken_for_none() {
    let site = Site::new().await;
    let own = site.home.path().join("imap-oauth-proxy");
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(&site.config, own.join("config.toml")).unwrap();
    for (hidden, mode) in [(own.join("config.toml"), 0o000), (own.clone(), 0o000)] {
        common::set_mode(&hidden, mode);
        for words in [&["config", "check"][..], &["tokens", "list"], &["certs", "export", "-"]] {
            let ran = site.run_by_default_configuration(words).await;
            // Root reads everything.
            if rustix::process::geteuid().is_root() {
                continue;
            }
            assert!(ran.code == 2 && ran.err.contains("is there, but cannot be read"), "{words:?}: {ran:?}");
            assert!(ran.err.contains("hint: run it as that user: sudo -u"), "{words:?}: {ran:?}");
        }
        common::set_mode(&hidden, 0o700);
    }
}

#[tokio::test]
async fn the_version_names_the_commit_where_it_is_known() {
    let site = Site::new().await;
    let said = site.run(&["--version"]).await.out;
    let version = env!("CARGO_PKG_VERSION");
    let expected = match option_env!("IMAP_OAUTH_PROXY_REVISION") {
        Some(revision) => format!("imap-oauth-proxy {version} ({revision})\n"),
        None => format!("imap-oauth-proxy {version}\n"),
    };
    assert_eq!(said, expected);
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() {
    let site = Site::new().await;
    let help = site.run(&["--help"]).await.out;
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = list
        .lines()
        .take_while(|line| !line.is_empty())
        // A description goes on in the next line, further in.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().filter(|name| *name != "help"))
        .collect();
    assert!(commands.len() > 15, "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let ran = site.run(&["completions", shell]).await;
        assert!(ran.code == 0 && ran.err.is_empty(), "{shell}: {}", ran.err);
        let unknown: Vec<_> = commands.iter().filter(|name| !ran.out.contains(**name)).collect();
        assert!(unknown.is_empty(), "{shell} does not know {unknown:?}");
    }
    let pages = site.home.path().join("pages");
    let ran = site.run(&["man", pages.to_str().unwrap()]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    for command in commands {
        let page = std::fs::read_to_string(pages.join(format!("imap-oauth-proxy-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    let ran = site.run(&["man", pages.join("imap-oauth-proxy.1").to_str().unwrap()]).await;
    assert!(ran.code == 1 && ran.err.contains("hint: name a directory that you may write to"), "{ran:?}");
}

#[tokio::test]
async fn a_refresh_on_command_fetches_a_new_token_and_prints_its_end() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let ran = site.run(&["tokens", "refresh", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.trim_end().ends_with('Z') && ran.out.starts_with("20"), "{ran:?}");
    assert_eq!(site.sandbox.controls().stats().refreshes, 1);
    site.sandbox.controls().next_token(TokenFault::server_error());
    let ran = site.run(&["tokens", "refresh", ALICE]).await;
    assert!(ran.code == 1 && ran.err.contains("no new token"), "{ran:?}");
    assert_eq!(site.tokens().await.0[0]["state"], "retrying");
    let ran = site.run(&["tokens", "refresh", ALICE]).await;
    assert_eq!(ran.code, 0, "the person does not wait for the back-off: {ran:?}");
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
    let ran = site.run(&["tokens", "refresh", "nobody@example.com"]).await;
    assert!(ran.code == 1 && ran.err.contains("there is no account"), "{ran:?}");
}

#[tokio::test]
async fn a_revoked_grant_is_gone_here_and_there() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    drop(serving.log_in(&settings).await);
    let ran = site.run(&["tokens", "revoke", ALICE]).await;
    assert!(ran.code == 0 && ran.err.contains("has revoked it, too"), "{ran:?}");
    assert_eq!(site.sandbox.controls().stats().revocations, 1);
    let mut client = serving.client().await;
    let login = client.command(&format!("LOGIN {ALICE} {}", settings["password"].as_str().unwrap())).await;
    assert!(login.tagged.contains("authorize alice@example.com"), "{login:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("needs_authorization"), 3));
    let again = site.run(&["tokens", "revoke", ALICE]).await;
    assert!(again.code == 1 && again.err.contains("no authorisation"), "{again:?}");
    let settings = site.authorize(ALICE).await;
    assert_eq!(settings["password"], Value::Null, "the app password is kept");
}

#[tokio::test]
async fn a_provider_that_is_down_or_revokes_nothing_is_said() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    site.configure("");
    let config = std::fs::read_to_string(&site.config).unwrap();
    let down = config.replace(&format!("{}/revoke", site.sandbox.issuer()), "http://127.0.0.1:9/revoke");
    std::fs::write(&site.config, down).unwrap();
    let ran = site.run(&["tokens", "revoke", ALICE]).await;
    assert!(ran.code == 0 && ran.err.contains("did not revoke it"), "{ran:?}");
    assert!(ran.err.contains("is removed from this machine"), "{ran:?}");

    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
    site.authorize(ALICE).await;
    let ran = site.run(&["tokens", "revoke", ALICE]).await;
    assert!(ran.code == 0 && ran.err.contains("no way for a program"), "{ran:?}");
}

#[tokio::test]
async fn the_list_forecasts_and_stays_readable() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    append(
        &site,
        "idle_days = 90\nclient_secret_expires = \"2099-03-01\"\nends = [\"A change of the password.\"]\n",
    );
    let (tokens, code) = site.tokens().await;
    assert_eq!(code, 0);
    let ends = tokens[0]["ends"].as_array().unwrap();
    assert!(ends[0]["text"].as_str().unwrap().contains("not refreshed until then"), "{ends:?}");
    assert!(ends[0]["at"].as_str().unwrap().ends_with('Z'));
    assert!(ends[1]["text"].as_str().unwrap().contains("2099-03-01"), "{ends:?}");
    assert!(tokens[0]["forecast"].as_str().unwrap().contains("A change of the password"));
    assert_eq!(tokens[0]["scopes_missing"], json!([]));
    let ran = site.run(&["tokens", "list"]).await;
    assert!(ran.code == 0 && ran.out.contains("if it is not refreshed until then"), "{ran:?}");
    assert!(ran.out.lines().all(|line| line.chars().count() < 250), "{}", ran.out);
    site.sandbox.controls().next_token(TokenFault::scope("openid email"));
    site.run(&["tokens", "refresh", ALICE]).await;
    let (tokens, _) = site.tokens().await;
    assert_eq!(tokens[0]["scopes_missing"], json!(["https://mail.google.com/"]));
    assert!(tokens[0]["last_error"].as_str().unwrap().contains("https://mail.google.com/"), "{tokens:?}");
}

fn append(site: &Site, text: &str) {
    let before = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, before + text).unwrap();
}

fn steps(ran: &Ran) -> Vec<(String, bool)> {
    let steps = ran.json()["steps"].as_array().unwrap().clone();
    let step = |step: &Value| (step["step"].as_str().unwrap().to_owned(), step["ok"].as_bool().unwrap());
    steps.iter().map(step).collect()
}

/// The name of the only failed step, which must be the last.
fn failed(ran: &Ran) -> String {
    let steps = steps(ran);
    let (last, before) = steps.split_last().unwrap();
    assert!(before.iter().all(|(_, ok)| *ok) && !last.1, "{steps:?}");
    last.0.clone()
}

#[tokio::test]
async fn a_check_tries_every_step_and_shows_no_secret() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let ran = site.run(&["check", ALICE, "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let names: Vec<String> = steps(&ran).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config", "store", "key", "dns", "tcp", "tls", "token", "sign-in", "folders"]);
    let ran = site.run(&["check"]).await;
    assert!(ran.code == 0 && ran.out.contains("ok   folders"), "{ran:?}");
    let token = site.sandbox.controls().logins().pop().unwrap().token;
    for secret in [token.as_str(), settings["password"].as_str().unwrap()] {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    }
    let ran = site.run(&["check", "nobody@example.com"]).await;
    assert!(ran.code == 1 && ran.out.contains("FAIL account: there is no account"), "{ran:?}");
    let ran = site.run(&["check", "nobody@example.com", "--json"]).await;
    assert!(ran.code == 1 && ran.json()["ok"] == false && failed(&ran) == "account", "{ran:?}");
}

#[tokio::test]
async fn a_check_names_the_first_step_that_fails() {
    let imap = |site: &Site| site.sandbox.imap_address().to_string();
    let with_imap = |site: &Site, other: &str| {
        let config = std::fs::read_to_string(&site.config).unwrap();
        std::fs::write(
            &site.config,
            config.replace(&format!("imap = \"{}\"", imap(site)), &format!("imap = \"{other}\"")),
        )
        .unwrap();
    };
    let site = Site::new().await;
    site.authorize(ALICE).await;
    let config = std::fs::read_to_string(&site.config).unwrap();

    with_imap(&site, "no-such-host.invalid:993");
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("dns", 1), "{ran:?}");
    std::fs::write(&site.config, &config).unwrap();

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    with_imap(&site, &closed.to_string());
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("tcp", 1), "{ran:?}");
    std::fs::write(&site.config, &config).unwrap();

    std::fs::write(&site.config, config.replace("extra_ca", "#extra_ca")).unwrap();
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("tls", 1), "{ran:?}");
    std::fs::write(&site.config, &config).unwrap();

    site.sandbox.controls().next_login(LoginFault::Refuse);
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("sign-in", 3), "{ran:?}");

    site.sandbox.controls().next_login(LoginFault::FalseSuccess);
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!(failed(&ran), "folders", "{ran:?}");

    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Bye("closed for today".to_owned()));
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!(failed(&ran), "sign-in", "{ran:?}");
    site.sandbox.controls().imap(|imap| imap.greeting = Greeting::Normal);

    site.sandbox.controls().revoke_grants(ALICE);
    site.run(&["tokens", "refresh", ALICE]).await;
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("token", 3), "{ran:?}");

    let key = site.state().join("master.key");
    std::fs::write(&key, std::fs::read_to_string(&key).unwrap().replace("1 ", "9 ")).unwrap();
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("key", 1), "{ran:?}");
    std::fs::remove_file(&key).unwrap();
    let ran = site.run(&["check", "--json"]).await;
    assert_eq!((failed(&ran).as_str(), ran.code), ("store and key", 1), "{ran:?}");
}

#[tokio::test]
async fn a_check_that_succeeds_forgets_a_refusal() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    site.sandbox.controls().every_login(LoginFault::Refuse);
    let mut client = serving.client().await;
    client.command(&format!("LOGIN {ALICE} {}", settings["password"].as_str().unwrap())).await;
    assert_eq!(site.tokens().await.1, 3);
    site.sandbox.controls().heal_logins();
    assert_eq!(site.run(&["check", ALICE]).await.code, 0);
    assert_eq!(site.tokens().await.1, 0);
}

/// A second installation at the same provider.
async fn second(site: &Site) -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("config.toml");
    std::fs::copy(&site.config, &config).unwrap();
    (home, config.to_string_lossy().into_owned())
}

#[tokio::test]
async fn an_account_moves_under_a_passphrase_and_logs_in_there() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let (home, config) = second(&site).await;
    let file = home.path().join("passphrase");
    std::fs::write(&file, format!("{PASSPHRASE}\n")).unwrap();
    let file = file.to_string_lossy().into_owned();
    let exported =
        site.run(&["accounts", "export", ALICE, "--passphrase-file", &file, "--to", "server"]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("needs_authorization"), 3));
    assert!(tokens[0]["last_error"].as_str().unwrap().contains("moved to server on 20"), "{tokens:?}");
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let login = client.command(&format!("LOGIN {ALICE} {}", settings["password"].as_str().unwrap())).await;
    assert!(!login.is_ok(), "{login:?}");
    drop(serving);

    let import = ["accounts", "import", "--passphrase-file"];
    let wrong = home.path().join("wrong");
    std::fs::write(&wrong, "something else entirely\n").unwrap();
    let ran = site.run_at(&config, &[&import[..], &[&wrong.to_string_lossy()]].concat(), &exported.out).await;
    assert!(ran.code == 1 && ran.err.contains("the passphrase is wrong"), "{ran:?}");
    assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    let ran = site.run_at(&config, &[&import[..], &[&file]].concat(), &exported.out).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("The mailbox opened"), "{ran:?}");
    let ran = site.run_at(&config, &[&import[..], &[&file]].concat(), &exported.out).await;
    assert!(ran.code == 1 && ran.err.contains("here already") && ran.err.contains("--replace"), "{ran:?}");
    let ran = site.run_at(&config, &[&import[..], &[&file, "--replace"]].concat(), &exported.out).await;
    assert_eq!(ran.code, 0, "{ran:?}");

    let made =
        site.run_at(&config, &["passwords", "create", ALICE, "--name", "x", "--json"], "").await.json();
    let there = Site { sandbox: site.sandbox, config: config.into(), home };
    let settings = json!({"username": ALICE, "password": made["password"]});
    assert!(there.serve().await.log_in(&settings).await.command("SELECT INBOX").await.is_ok());
}

#[tokio::test]
async fn an_account_moves_to_the_key_of_another_installation() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB).shared_mailbox(SHARED, &[BOB])).await;
    site.authorize(BOB).await;
    let (_home, config) = second(&site).await;
    let recipient = site.run_at(&config, &["keys", "recipient"], "").await.out;
    let words = ["accounts", "export", BOB, "--recipient", recipient.trim(), "--copy"];
    let copied = site.run(&words).await;
    assert_eq!(copied.code, 0, "{copied:?}");
    assert_eq!(site.tokens().await.1, 0, "a copy takes nothing away");
    let ran = site.run_with(&["accounts", "import"], &copied.out).await;
    assert!(ran.code == 1 && ran.err.contains("another installation"), "{ran:?}");
    let ran = site.run_at(&config, &["accounts", "import"], &copied.out).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = site.run_at(&config, &["accounts", "import"], "hello").await;
    assert!(ran.code == 1 && ran.err.contains("not an exported account"), "{ran:?}");
    let ran = site.run(&["accounts", "export", BOB, "--recipient", "nonsense"]).await;
    assert!(ran.code == 1 && ran.err.contains("keys recipient"), "{ran:?}");
    append(&site, "rotates = true\n");
    let ran = site.run(&words).await;
    assert!(ran.code == 1 && ran.err.contains("replaces the refresh token"), "{ran:?}");
    let ran = site.run(&["accounts", "export", BOB]).await;
    assert!(ran.code == 1 && ran.err.contains("no terminal"), "{ran:?}");
}

#[tokio::test]
async fn accounts_and_passwords_tell_their_last_use() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    assert_eq!(site.run(&["accounts", "alias", ALICE, "CORP\\alice"]).await.code, 0);
    let chosen =
        site.run_with(&["passwords", "create", ALICE, "--name", "phone", "--stdin"], "long enough\n").await;
    assert_eq!(chosen.code, 0, "{chosen:?}");
    let serving = site.serve().await;
    drop(serving.log_in(&settings).await);
    drop(serving.log_in(&json!({"username": "corp\\\\ALICE", "password": "long enough"})).await);
    serving.stop().await;
    let listed = site.run(&["accounts", "list", "--json"]).await.json();
    assert_eq!(
        (listed[0]["passwords"].as_u64(), listed[0]["last_login_from"].as_str()),
        (Some(2), Some("127.0.0.1"))
    );
    assert_eq!(listed[0]["aliases"], json!(["CORP\\alice"]));
    let listed = site.run(&["passwords", "list", ALICE, "--json"]).await.json();
    let used: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["last_used_from"].as_str()).collect();
    assert_eq!(used, [Some("127.0.0.1"); 2], "{listed}");
    assert_eq!(site.run(&["passwords", "revoke", ALICE, "phone"]).await.code, 0);
    assert_eq!(site.run(&["accounts", "remove", "corp\\ALICE"]).await.code, 0);
    assert_eq!(site.run(&["accounts", "list", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn bad_input_gets_one_clear_sentence() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    for (words, input, said) in [
        (&["accounts", "remove", "nobody"][..], "", "there is no account"),
        (&["accounts", "alias", ALICE, BOB], "", "is already a login name of bob@example.com"),
        (&["accounts", "alias", ALICE, " x"], "", "cannot be a login name"),
        (&["passwords", "create", ALICE, "--name", ""], "", "1 to 100 characters"),
        (&["passwords", "create", ALICE, "--name", "default"], "", "already has an app password"),
        (&["passwords", "create", ALICE, "--name", "x", "--stdin"], "short", "8 to 1024 characters"),
        (&["passwords", "create", ALICE, "--name", "x", "--stdin"], "two lines\nof it\n", "one line"),
        (&["passwords", "revoke", ALICE, "y"], "", "has no password called"),
        (&["passwords", "list", "nobody"], "", "there is no account"),
        (&["tokens", "import", ALICE, "--provider", "sandbox"], "", "does not hold a refresh token"),
        (&["tokens", "import", ALICE, "--provider", "x"], "", "there is no provider"),
        (&["accounts", "import"], "", "not an exported account"),
    ] {
        let ran = site.run_with(words, input).await;
        assert!(ran.code == 1 && ran.err.contains(said), "{words:?}: {ran:?}");
        assert_eq!(ran.err.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{ran:?}");
    }
}

/// Each file of `tests/configs/bad` begins with the line, key and words that its error must contain.
#[tokio::test]
async fn bad_configurations_are_refused_with_file_line_key_and_hint_before_anything_is_bound() {
    let site = Site::new().await;
    for path in configs("bad") {
        let text = std::fs::read_to_string(&path).unwrap();
        let path = path.to_string_lossy().into_owned();
        let expected: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("#! ")).collect();
        assert!(!expected.is_empty(), "{path} does not say what is expected");
        for command in [&["config", "check"][..], &["serve"]] {
            let ran = site.run_at(&path, command, "").await;
            assert_eq!(ran.code, 2, "{path}: {ran:?}");
            for expected in &expected {
                let expected = expected.replace("FILE", &path);
                assert!(ran.err.contains(&expected), "{path}: {expected:?} is not in {}", ran.err);
            }
        }
    }
}

#[tokio::test]
async fn good_configurations_are_accepted() {
    let site = Site::new().await;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/imap-oauth-proxy.toml");
    for path in configs("good").into_iter().chain([sample]) {
        let ran = site.run_at(&path, &["config", "check"], "").await;
        assert_eq!(ran.code, 0, "{}: {ran:?}", path.display());
    }
}

fn configs(kind: &str) -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(kind);
    let mut paths: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

#[tokio::test]
async fn a_word_that_is_nearly_right_gets_the_right_one() {
    let site = Site::new().await;
    for (words, said) in [
        (&["token", "list"][..], "tip: a similar subcommand exists: 'tokens'\n"),
        (&["autorize", ALICE], "tip: a similar subcommand exists: 'authorize'\n"),
        (
            &["tokens", "list", "--ends-within", "99999999999d"],
            "it is too long; the most is a century, 36525d\n",
        ),
        (&["tokens", "list", "--ends-within", "14"], "write a number of days or hours: 14d, 12h\n"),
        (
            &["store", "migrate", "--to", "mysql://u:s3cret@x"],
            "error: --to: is not a store\nhint: write --to \"sqlite\", or --to \"postgres://",
        ),
        (
            &["store", "migrate", "--to", "sqlite", "--password-file", "x"],
            "error: --password-file: is for a store in PostgreSQL",
        ),
    ] {
        let ran = site.run(words).await;
        assert!(ran.code == 2 && ran.err.contains(said), "{said}\n{ran:?}");
        assert!(!ran.err.contains("'store'") && !ran.err.contains("s3cret"), "{ran:?}");
    }
    let ran = site.run(&["authorize", ALICE, "--provider", "gmial"]).await;
    assert!(ran.code == 1 && ran.err.contains("hint: did you mean gmail?\n"), "{ran:?}");
    site.authorize(ALICE).await;
    let copy = site.home.path().join("copy");
    let ran = site.run(&["backup", copy.to_str().unwrap()]).await;
    assert!(ran.err.contains(&format!("The store is in {}, with one account.\n", copy.display())), "{ran:?}");
}
