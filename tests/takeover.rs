//! Upgrades and passed sockets: `serve` is replaced during sessions by a program that works, is broken, is
//! slow, or dies. The program on disk is a link, which a test redirects.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use command_fds::{CommandFdExt as _, FdMapping};
use common::client::tls_config;
use common::web::Browser;
use common::{ALICE, Serving, Site, set_mode, within};
use sandbox::mail::Client;
use sandbox::{PATIENCE, Sandbox};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_imap-oauth-proxy");

/// An installation whose program can be replaced.
struct Installed {
    site: Site,
    alice: Value,
}

impl Installed {
    async fn new(more: &str) -> Self {
        let site = Site::with_config(Sandbox::builder().user(ALICE).submission(), more).await;
        let alice = site.authorize(ALICE).await;
        let installed = Self { site, alice };
        installed.link(Path::new(PROGRAM));
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.home.path().join(name)
    }

    /// Atomically redirects the link to `program`.
    fn link(&self, program: &Path) {
        let new = self.path("new");
        symlink(program, &new).unwrap();
        std::fs::rename(new, self.path("program")).unwrap();
    }

    fn install_script(&self, text: &str) {
        let script = self.path("script");
        std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        set_mode(&script, 0o755);
        self.link(&script);
    }

    async fn serve(&self) -> Serving {
        self.serve_with(|_| ()).await
    }

    async fn serve_with(&self, prepare: impl FnOnce(&mut tokio::process::Command)) -> Serving {
        self.site.serve_from(&self.path("program"), &self.path("ready.json"), prepare).await
    }

    fn ready(&self) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.path("ready.json")).unwrap()).unwrap()
    }

    /// The process that has taken over; the test's end kills it.
    fn successor(&self, serving: &Serving) -> Process {
        let pid = self.ready()["pid"].as_u64().unwrap();
        assert_ne!(pid, u64::from(serving.child.id().unwrap()));
        Process(pid)
    }

    /// Where the account has as many sessions as it may, another gets no session.
    async fn is_refused_as_one_too_many(&self, serving: &Serving) {
        let mut client = Client::connect(serving.address(), &tls_config(&serving.ca_file())).await;
        let text = |key: &str| self.alice[key].as_str().unwrap().to_owned();
        let answer = client.login(&text("username"), &text("password")).await;
        assert!(answer.last().unwrap().contains(" NO [LIMIT] "), "{answer:?}");
    }

    /// A logged-in mail program.
    async fn log_in(&self, serving: &Serving) -> Client {
        let mut client = Client::connect(serving.address(), &tls_config(&serving.ca_file())).await;
        let text = |key: &str| self.alice[key].as_str().unwrap().to_owned();
        let answer = client.login(&text("username"), &text("password")).await;
        assert!(answer.last().unwrap().contains(" OK "), "{answer:?}");
        client
    }
}

/// Logs out and closes the connection, as mail programs do.
async fn log_out(mut client: Client) {
    assert!(client.command("l1", "LOGOUT").await.last().unwrap().contains(" OK "));
}

struct Process(u64);

impl Process {
    fn signal(&self, signal: &str) {
        kill(signal, self.0);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", &self.0.to_string()]).output();
    }
}

fn kill(signal: &str, pid: u64) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn upgrade(serving: &Serving) {
    kill("-USR2", serving.child.id().unwrap().into());
}

async fn exit_code(serving: &mut Serving) -> i32 {
    within("the end of the old process", serving.child.wait()).await.unwrap().code().unwrap_or(-1)
}

#[tokio::test]
async fn mail_programs_work_through_an_upgrade() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let mut reader = installed.log_in(&serving).await;
    reader.command("s1", "SELECT INBOX").await;
    reader.send("i1 IDLE").await;
    assert!(reader.line().await.starts_with('+'));
    let mut sender = serving.submit_as(&installed.alice).await;
    sender.command(&format!("MAIL FROM:<{ALICE}>")).await;
    sender.command("RCPT TO:<bob@example.com>").await;
    assert_eq!(sender.command("DATA").await.code(), 354);
    sender.write(b"Subject: half\r\n\r\nfirst\r\n").await;

    upgrade(&serving);
    serving.logs("has taken over").await;
    let successor = installed.successor(&serving);
    assert_eq!(installed.ready()["listeners"], serving.ready["listeners"], "the same ports");
    installed.log_in(&serving).await;

    sender.write(b"second\r\n").await;
    assert_eq!(sender.command(".").await.code(), 250);
    reader.send("DONE").await;
    assert!(reader.until_tagged("i1").await.last().unwrap().contains(" OK "));
    assert!(reader.command("n1", "NOOP").await.last().unwrap().contains(" OK "));
    assert!(serving.child.try_wait().unwrap().is_none(), "it has sessions");
    assert_eq!(sender.command("QUIT").await.code(), 221);
    drop(sender);
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);

    assert_eq!(installed.ready()["pid"], successor.0, "the ready file is the new one's");
    installed.log_in(&serving).await;
    successor.signal("-TERM");
    serving.logs("all sessions have ended").await;
}

#[tokio::test]
async fn sessions_that_two_processes_before_still_hold_count_at_the_gate() {
    let installed = Installed::new("").await;
    installed.site.configure_provider("max_connections_per_account = 2");
    let mut serving = installed.serve().await;
    let mut oldest = installed.log_in(&serving).await;
    oldest.command("s1", "SELECT INBOX").await;
    oldest.send("i1 IDLE").await;
    assert!(oldest.line().await.starts_with('+'));

    upgrade(&serving);
    serving.logs("has taken over").await;
    let middle = installed.successor(&serving);
    let older = installed.log_in(&serving).await;
    installed.is_refused_as_one_too_many(&serving).await;

    middle.signal("-USR2");
    serving.logs("has taken over").await;
    let _newest = installed.successor(&serving);
    assert_ne!(installed.ready()["pid"], middle.0);
    installed.is_refused_as_one_too_many(&serving).await;

    // The first process still counts after the second has died, and a session that ended there counts no more.
    middle.signal("-KILL");
    drop(older);
    let other = installed.log_in(&serving).await;
    installed.is_refused_as_one_too_many(&serving).await;
    oldest.send("DONE").await;
    oldest.until_tagged("i1").await;
    log_out(oldest).await;
    installed.log_in(&serving).await;
    drop(other);
}

#[tokio::test]
async fn a_program_that_does_not_start_changes_nothing() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let mut reader = installed.log_in(&serving).await;
    for (script, cause) in [(Some("exit 7"), "exit status: 7"), (None, "No such file")] {
        match script {
            Some(script) => installed.install_script(script),
            None => std::fs::remove_file(installed.path("program")).unwrap(),
        }
        upgrade(&serving);
        let said = serving.logs("the upgrade failed").await;
        assert!(said.contains(cause), "{said}");
        assert!(reader.command("n1", "NOOP").await.last().unwrap().contains(" OK "));
        installed.log_in(&serving).await;
        assert_eq!(installed.ready(), serving.ready);
    }
    installed.link(Path::new(PROGRAM));
    upgrade(&serving);
    serving.logs("has taken over").await;
    let _successor = installed.successor(&serving);
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn the_command_has_the_outcome() {
    let installed = Installed::new("[metrics]\naddress = \"127.0.0.1:0\"\n").await;
    let ran = installed.site.run(&["upgrade"]).await;
    assert!(ran.code == 1 && ran.err.contains("no serve is running"), "{ran:?}");
    let mut serving = installed.serve().await;
    installed.install_script("exit 7");
    let ran = installed.site.run(&["upgrade"]).await;
    assert!(ran.code == 1 && ran.err.contains("exit status: 7"), "{ran:?}");
    installed.link(Path::new(PROGRAM));
    let reader = installed.log_in(&serving).await;
    let ran = installed.site.run(&["upgrade"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let successor = installed.successor(&serving);
    assert!(ran.err.contains(&format!("Process {} has taken over", successor.0)), "{ran:?}");
    assert_eq!(installed.ready()["metrics"], serving.ready["metrics"], "the same port");
    let address = serving.ready["metrics"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let metrics = async {
        let mut tcp = tokio::net::TcpStream::connect(&address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut tcp, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let mut said = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut tcp, &mut said).await.unwrap();
        said
    };
    serving.logs("has taken over").await;
    let said = within("the new process's answer", metrics).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    let sessions = installed.site.run(&["sessions", "list", "--json"]).await;
    assert!(sessions.out.contains(ALICE), "the old process still tells of its own: {sessions:?}");
    let trail = installed.site.run(&["events", "list", "--json"]).await.json();
    let upgraded: Vec<_> =
        trail.as_array().unwrap().iter().filter(|act| act["event"] == "upgraded").collect();
    assert_eq!(upgraded.len(), 1, "the failed one is none: {trail}");
    let about = format!("process {}", successor.0);
    assert_eq!((&upgraded[0]["about"], &upgraded[0]["surface"]), (&about.into(), &"cli".into()));
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn the_command_has_its_answer_from_a_process_that_has_no_session() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let ran = installed.site.run(&["upgrade"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let successor = installed.successor(&serving);
    assert!(ran.err.contains(&format!("Process {} has taken over", successor.0)), "{ran:?}");
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn a_person_at_a_terminal_is_told_what_takes_long() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let pid = serving.child.id().unwrap().into();
    for (word, said) in [("reload", "Reading the configuration …"), ("upgrade", "Starting the new program …")]
    {
        kill("-STOP", pid);
        let command = installed.site.command(&[word]);
        let (line, mut command, _screen) = common::first_line_at_a_terminal(command).await;
        assert_eq!(line, said);
        kill("-CONT", pid);
        assert!(within("the command", command.wait()).await.unwrap().success(), "{word}");
    }
    let _successor = installed.successor(&serving);
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn a_configuration_that_is_broken_changes_nothing() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let good = std::fs::read_to_string(&installed.site.config).unwrap();
    std::fs::write(&installed.site.config, "listeners = 7").unwrap();
    upgrade(&serving);
    serving.logs("the upgrade failed").await;
    installed.log_in(&serving).await;
    std::fs::write(&installed.site.config, good).unwrap();
    upgrade(&serving);
    serving.logs("has taken over").await;
    let _successor = installed.successor(&serving);
    assert_eq!(exit_code(&mut serving).await, 0, "it had no session");
}

#[tokio::test]
async fn a_ready_file_that_cannot_be_written_does_not_hinder_an_upgrade() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let ready = installed.path("ready.json");
    std::fs::remove_file(&ready).unwrap();
    std::fs::create_dir(&ready).unwrap();
    upgrade(&serving);
    let line = serving.logs("has taken over").await;
    let digits = line.split("process ").nth(1).unwrap().split(' ').next().unwrap();
    let _successor = Process(digits.parse().unwrap());
    assert_eq!(exit_code(&mut serving).await, 0);
    log_out(installed.log_in(&serving).await).await;
}

#[tokio::test]
async fn two_upgrades_at_once_are_one() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    let reader = installed.log_in(&serving).await;
    let gate = installed.path("gate");
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    installed.install_script(&format!("read line < {}\nexec {PROGRAM} \"$@\"", gate.display()));
    upgrade(&serving);
    serving.logs("upgrade: the program on disk is started").await;
    upgrade(&serving);
    serving.logs("an upgrade is under way already").await;
    let opened = tokio::task::spawn_blocking(move || std::fs::write(gate, "go\n"));
    serving.logs("has taken over").await;
    opened.await.unwrap().unwrap();
    let successor = installed.successor(&serving);
    upgrade(&serving);
    let said = serving.logs("this process has been taken over").await;
    assert!(said.contains(&successor.0.to_string()), "{said}");
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn a_stop_during_an_upgrade_ends_both() {
    let installed = Installed::new("").await;
    let mut serving = installed.serve().await;
    // Writes its process id, but never becomes ready.
    let (gate, written) = (installed.path("gate"), installed.path("pid"));
    assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
    let written_name = written.display();
    installed.install_script(&format!(
        "echo $$ > {written_name}.new; mv {written_name}.new {written_name}; read line < {}",
        gate.display()
    ));
    upgrade(&serving);
    serving.logs("upgrade: the program on disk is started").await;
    let patience = std::time::Instant::now() + PATIENCE;
    while !written.exists() {
        assert!(std::time::Instant::now() < patience);
        tokio::task::yield_now().await;
    }
    let started: u64 = std::fs::read_to_string(&written).unwrap().trim().parse().unwrap();
    serving.terminate();
    assert_eq!(exit_code(&mut serving).await, 0);
    // The process was killed. Its parent is gone, so it may stay a zombie on a machine without init.
    loop {
        let status = std::fs::read_to_string(format!("/proc/{started}/status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            break;
        }
        assert!(std::time::Instant::now() < patience);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn systemd_is_told_of_the_new_process_and_of_its_death() {
    let installed = Installed::new("").await;
    let path = installed.path("notify");
    let notified = UnixDatagram::bind(&path).unwrap();
    notified.set_nonblocking(true).unwrap();
    let notified = tokio::net::UnixDatagram::from_std(notified).unwrap();
    let mut serving = installed
        .serve_with(|command| {
            command.env("NOTIFY_SOCKET", &path);
        })
        .await;
    let mut reader = installed.log_in(&serving).await;
    upgrade(&serving);
    serving.logs("has taken over").await;
    let successor = installed.successor(&serving);
    hears(&notified, &format!("MAINPID={}", successor.0)).await;
    successor.signal("-KILL");
    let said = serving.logs("nothing accepts connections").await;
    assert!(said.contains("start serve again"), "{said}");
    hears(&notified, &format!("MAINPID={}", serving.child.id().unwrap())).await;
    assert!(reader.line().await.starts_with("* BYE"));
    assert_eq!(exit_code(&mut serving).await, 1, "so that systemd starts it again");
}

async fn hears(notified: &tokio::net::UnixDatagram, wanted: &str) {
    let mut message = [0; 512];
    loop {
        let length = within(wanted, notified.recv(&mut message)).await.unwrap();
        if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == wanted) {
            return;
        }
    }
}

#[tokio::test]
async fn without_systemd_sessions_outlive_the_death_of_the_new_process() {
    let installed = Installed::new("").await;
    let mut serving = installed
        .serve_with(|command| {
            command.env_remove("NOTIFY_SOCKET");
        })
        .await;
    let mut reader = installed.log_in(&serving).await;
    upgrade(&serving);
    serving.logs("has taken over").await;
    installed.successor(&serving).signal("-KILL");
    serving.logs("nothing accepts connections").await;
    assert!(reader.command("n1", "NOOP").await.last().unwrap().contains(" OK "));
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);
}

#[tokio::test]
async fn sessions_of_before_end_with_takeover_seconds() {
    let installed = Installed::new("[limits]\ntakeover_seconds = 1\n").await;
    let mut serving = installed.serve().await;
    let mut reader = installed.log_in(&serving).await;
    upgrade(&serving);
    serving.logs("has taken over").await;
    let _successor = installed.successor(&serving);
    serving.logs("limits.takeover_seconds").await;
    assert!(reader.line().await.starts_with("* BYE"));
    assert_eq!(exit_code(&mut serving).await, 0);
}

/// An events table whose program writes the event to this file.
fn events_to(installed: &Installed, name: &str) -> String {
    let script = format!("cat >> {}", installed.path(name).display());
    format!("[events]\ncommand = [\"sh\", \"-c\", {script:?}]\n")
}

#[tokio::test]
async fn after_an_upgrade_only_the_new_process_tells_of_grants() {
    let installed = Installed::new("").await;
    installed.site.configure(&events_to(&installed, "old"));
    let mut serving = installed.serve().await;
    let reader = installed.log_in(&serving).await;
    installed.site.configure(&events_to(&installed, "new"));
    upgrade(&serving);
    serving.logs("has taken over").await;
    let _successor = installed.successor(&serving);
    let events = async |path: PathBuf| {
        tokio::fs::read_to_string(path).await.unwrap_or_default().matches("\"event\"").count()
    };
    let states =
        ["state = 'needs_authorization', last_error = 'it ended'", "state = 'ok', last_error = NULL"];
    for told in 1..=4 {
        installed.site.tamper(&format!("UPDATE grants SET {}", states[(told + 1) % 2]), &[]).await;
        let tells = async {
            while events(installed.path("new")).await + events(installed.path("old")).await < told {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        within("an event", tells).await;
    }
    assert_eq!((events(installed.path("new")).await, events(installed.path("old")).await), (4, 0));
    log_out(reader).await;
    assert_eq!(exit_code(&mut serving).await, 0);
}

/// Starts `serve` with these sockets, as systemd does; `pid` is the announced process id.
async fn activated(installed: &Installed, sockets: Vec<TcpListener>, pid: &str) -> Serving {
    installed.install_script(&format!("LISTEN_PID={pid} exec {PROGRAM} \"$@\""));
    let count = sockets.len().to_string();
    let mapped =
        (3..).zip(sockets).map(|(child_fd, socket)| FdMapping { parent_fd: socket.into(), child_fd });
    let mapped = mapped.collect();
    let prepare = |command: &mut tokio::process::Command| {
        command.env("LISTEN_FDS", count);
        command.as_std_mut().fd_mappings(mapped).unwrap();
    };
    installed.serve_with(prepare).await
}

#[tokio::test]
async fn sockets_of_systemd_are_used_and_the_others_are_bound() {
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, copy) = (passed.local_addr().unwrap(), passed.try_clone().unwrap());
    let listeners = format!(
        "[[listeners]]\naddresses = [\"{address}\"]\n[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\n"
    );
    let installed = Installed::new(&listeners).await;
    // A client that connects before the process exists waits in the listen queue.
    let early = tokio::net::TcpStream::connect(address).await.unwrap();
    let serving = activated(&installed, vec![passed], "$$").await;
    assert_eq!(serving.address(), address);
    drop((copy, early));
    installed.log_in(&serving).await;
    serving.submit_as(&installed.alice).await;
    assert_eq!(serving.stop().await.0, 0);
}

#[tokio::test]
async fn a_socket_that_no_listener_names_is_closed_and_said() {
    let passed = TcpListener::bind("127.0.0.2:0").unwrap();
    let address = passed.local_addr().unwrap();
    let installed = Installed::new("").await;
    let mut serving = activated(&installed, vec![passed], "$$").await;
    let said = serving.said("was passed to serve").await;
    assert!(said.contains(&address.to_string()), "{said}");
    let closed = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed).await.expect("the socket is closed");
    installed.log_in(&serving).await;
    serving.stop().await;
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let passed = TcpListener::bind("127.0.0.2:0").unwrap();
    let installed = Installed::new("").await;
    let serving = activated(&installed, vec![passed], "1").await;
    installed.log_in(&serving).await;
    let (code, log) = serving.stop().await;
    assert_eq!(code, 0);
    assert!(!log.contains("was passed"), "{log}");
}

#[tokio::test]
async fn the_page_moves_to_the_new_process_and_shows_the_sessions_of_the_old_one() {
    let installed = Installed::new(common::web::ON).await;
    let mut serving = installed.serve().await;
    let client = installed.log_in(&serving).await;
    let mut browser = Browser::enter(&installed.site, &serving).await;
    upgrade(&serving);
    serving.logs("has taken over").await;
    let _successor = installed.successor(&serving);
    assert_eq!(installed.ready()["admin"], serving.ready["admin"]);
    assert!(browser.get("/").await.body.contains("Sign out"), "the session is in the store and goes on");
    let page = browser.get("/sessions").await;
    page.has(ALICE);
    let id = page.between("name=\"id\" value=\"", "\"");
    browser.post("/sessions/close", &[("id", &id)]).await.has("The session is told to end");
    // The old process writes who asked the new one for it.
    let trail = installed.site.run(&["events", "list", "--json"]).await.json();
    let closed = trail.as_array().unwrap().iter().find(|event| event["event"] == "sessions_closed").unwrap();
    assert_eq!(closed["surface"], "page", "{closed}");
    assert!(closed["user"].as_str().unwrap().contains(", session "), "{closed}");
    assert_eq!(exit_code(&mut serving).await, 0, "with its last session");
    drop(client);
}
