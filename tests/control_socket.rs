//! The control socket: who may use it, what a user can do to it, and the commands' messages when no `serve`
//! answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use common::{ALICE, BOB, Site, set_mode, within};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The control sockets of a site, in order.
fn sockets(site: &Site) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(site.state().join("control"))
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The answers to these bytes, after which the client sends no more.
async fn answer(socket: &Path, bytes: &[u8]) -> Vec<Value> {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut text = String::new();
    within("an answer", stream.read_to_string(&mut text)).await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn without_a_running_serve_commands_say_so_in_one_sentence() {
    let site = Site::new().await;
    let said = format!("error: no serve is running on the state directory {}\n", site.state().display());
    for words in [&["reload"][..], &["health"], &["sessions", "list"], &["sessions", "close", ALICE]] {
        let ran = site.run(words).await;
        assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (1, said.as_str(), ""));
    }
    assert!(!site.state().exists(), "asking makes nothing");
}

#[tokio::test]
async fn what_a_killed_serve_left_is_no_running_one_and_goes() {
    let site = Site::new().await;
    site.serve().await.kill().await;
    assert_eq!(sockets(&site).len(), 1);
    assert!(site.run(&["health"]).await.err.contains("no serve is running"));
    assert!(sockets(&site).is_empty());
    site.serve().await.kill().await;
    let serving = site.serve().await;
    assert_eq!(sockets(&site).len(), 1, "a start sweeps, too");
    assert_eq!(site.run(&["health"]).await.code, 0);
    assert_eq!(serving.stop().await.0, 0);
    assert!(sockets(&site).is_empty(), "one that ends takes its socket along");
}

#[tokio::test]
async fn two_serves_on_one_state_directory_are_asked_both() {
    let site = Site::new().await;
    let (mut one, mut other) = (site.serve().await, site.serve().await);
    assert_eq!(sockets(&site).len(), 2);
    assert_eq!(site.run(&["reload"]).await.code, 0);
    one.logs("the configuration was loaded again").await;
    other.logs("the configuration was loaded again").await;
    one.stop().await;
    assert_eq!(site.run(&["health"]).await.code, 0);
    other.stop().await;
    assert_eq!(site.run(&["health"]).await.code, 1);
}

#[tokio::test]
async fn a_serve_that_is_silent_is_named_beside_the_answer_of_another() {
    let site = Site::new().await;
    let (silent, other) = (site.serve().await, site.serve().await);
    let pid = silent.child.id().unwrap().to_string();
    let kill = |signal: &str| std::process::Command::new("kill").args([signal, &pid]).status().unwrap();
    assert!(kill("-STOP").success());
    let ran = within("the answer of the other", site.run(&["health"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("warning: a running serve gives no answer on "), "{ran:?}");
    assert!(ran.err.contains("Logins can succeed."), "{ran:?}");
    other.stop().await;
    let ran = within("the end of the patience", site.run(&["health"])).await;
    assert!(ran.code == 1 && ran.err.contains("error: a running serve gives no answer on "), "{ran:?}");
    assert!(kill("-CONT").success());
    silent.stop().await;
}

#[tokio::test]
async fn security_row_47_the_socket_is_its_owners_alone() {
    let site = Site::new().await;
    let mut serving = site.serve().await;
    let [socket] = &sockets(&site)[..] else { panic!("one socket") };
    let holder = socket.file_stem().unwrap();
    assert!(site.state().join("holders").join(holder).exists(), "named as in holders/");
    assert_eq!((mode(socket), mode(socket.parent().unwrap())), (0o600, 0o700));
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // File modes do not stop this other user: the check of the peer's user id refuses the request.
    for path in [site.home.path(), &site.state(), socket.parent().unwrap()] {
        set_mode(path, 0o755);
    }
    set_mode(socket, 0o666);
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        s.sendall(b'{\"do\":\"reload\"}\\n')\nprint(s.recv(100))\n";
    let mut python = tokio::process::Command::new("python3");
    let asked = python.uid(65534).gid(65534).args(["-c", script]).arg(socket).output().await.unwrap();
    // The connection may be closed before the request is read, or after.
    let got = String::from_utf8_lossy(&asked.stdout);
    assert!(["", "b''"].contains(&got.trim()), "{asked:?}");
    serving.logs("the user 65534 may not use the control socket").await;
}

#[tokio::test]
async fn another_mode_is_set_right_at_the_next_start() {
    let site = Site::new().await;
    site.serve().await.stop().await;
    let control = site.state().join("control");
    set_mode(&control, 0o777);
    let serving = site.serve().await;
    assert_eq!(mode(&control), 0o700);
    serving.stop().await;
}

#[tokio::test]
async fn a_socket_that_cannot_be_bound_is_a_warning() {
    let site = Site::new().await;
    std::fs::create_dir(site.state()).unwrap();
    set_mode(&site.state(), 0o700);
    std::fs::write(site.state().join("control"), "").unwrap();
    let mut serving = site.serve().await;
    serving.said("there is no control socket").await;
    let alice = site.authorize(ALICE).await;
    assert!(serving.log_in(&alice).await.command("NOOP").await.is_ok());
}

#[tokio::test]
async fn garbage_gets_one_error_and_disturbs_nobody() {
    let site = Site::new().await;
    let serving = site.serve().await;
    let socket = &sockets(&site)[0];
    let long = vec![b'x'; 100_000];
    let deep = "[".repeat(8000) + "\n";
    let requests: [&[u8]; 7] =
        [b"\n", b"reload\n", b"{}\n", b"{\"do\":\"export\"}\n", b"\xff\xfe\x00\n", deep.as_bytes(), &long];
    for request in requests {
        let replies = answer(socket, request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        assert_eq!(replies.len(), 2, "{shown}: {replies:?}");
        assert!(replies[0]["failed"].as_str().unwrap().starts_with("not a request"), "{shown}: {replies:?}");
        assert!(replies[1].get("end").is_some());
    }
    // Disconnects, before and in the middle of a request.
    drop(UnixStream::connect(socket).await.unwrap());
    let mut half = UnixStream::connect(socket).await.unwrap();
    half.write_all(b"{\"do\":").await.unwrap();
    drop(half);
    let replies = answer(socket, b"{\"do\":\"health\"}\n{\"do\":\"reload\"}\n").await;
    assert!(replies.len() == 2 && replies[0].get("ready").is_some(), "one request a connection: {replies:?}");
    serving.stop().await;
}

#[tokio::test]
async fn slow_peers_lose_their_answer_and_hold_up_nobody_for_long() {
    let site = Site::new().await;
    let serving = site.serve().await;
    let socket = &sockets(&site)[0];
    // As many connections as are served at once.
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(UnixStream::connect(socket).await.unwrap());
    }
    let ran = within("health beside silent peers", site.run(&["health"])).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut said = String::new();
    within("the end of a silent peer", silent[0].read_to_string(&mut said)).await.unwrap();
    assert!(said.contains("no request came within 5 s"), "{said}");
    serving.stop().await;
}

#[tokio::test]
async fn sessions_of_all_serves_are_listed_and_closed() {
    let site = Site::new().await;
    let (alice, bob) = (site.authorize(ALICE).await, site.authorize(BOB).await);
    let (one, other) = (site.serve().await, site.serve().await);
    let list = async || site.run(&["sessions", "list", "--json"]).await.json().as_array().unwrap().clone();
    assert_eq!(list().await, Vec::<Value>::new());
    assert!(site.run(&["sessions", "list"]).await.err.contains("No mail program is logged in."));

    let mut first = one.client().await;
    first.command("ID (\"name\" \"Quick Mail\" \"version\" \"7\")").await;
    assert!(first.command(&common::login(&alice)).await.is_ok());
    let mut second = other.log_in(&alice).await;
    let mut third = other.log_in(&bob).await;
    assert!(third.command("NOOP").await.is_ok());
    let sessions = list().await;
    assert_eq!(sessions.len(), 3);
    let keys: Vec<_> = sessions[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["account", "bytes_down", "bytes_up", "client_id", "from", "id", "password", "protocol", "since"];
    assert_eq!(keys, expected);
    let of = |account: &'static str| sessions.iter().filter(move |session| session["account"] == account);
    assert_eq!((of(ALICE).count(), of(BOB).count()), (2, 1));
    let bobs = of(BOB).next().unwrap();
    assert_eq!((&bobs["protocol"], &bobs["from"]), (&"imap".into(), &"127.0.0.1".into()));
    assert!(bobs["bytes_up"].as_u64().unwrap() > 0 && bobs["bytes_down"].as_u64().unwrap() > 0, "{bobs}");
    assert!(
        of(ALICE).any(|session| session["client_id"].as_str().is_some_and(|id| id.contains("Quick Mail")))
    );
    assert!(site.run(&["sessions", "list"]).await.out.contains(BOB));

    let id = bobs["id"].as_str().unwrap();
    assert_eq!(site.run(&["sessions", "close", id]).await.code, 0);
    assert!(within("the last word", third.line()).await.starts_with("* BYE "));
    let closed = site.run(&["sessions", "close", ALICE]).await;
    assert!(closed.code == 0 && closed.err.contains("2 sessions are told to end."), "{closed:?}");
    for session in [&mut first, &mut second] {
        assert!(within("the last word", session.line()).await.starts_with("* BYE "));
    }
    within("an empty list", async { while !list().await.is_empty() {} }).await;
    let again = site.run(&["sessions", "close", ALICE]).await;
    assert!(again.code == 1 && again.err.contains("none is of an account of that name"), "{again:?}");
}
