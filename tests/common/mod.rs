//! A site: the sandbox provider, a configuration, and the real binary with real sockets.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's helper aborts the test")]

pub mod client;
pub mod person;
pub mod plain;
pub mod pop3;
pub mod process;
pub mod smtp;
pub mod web;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use sandbox::{Builder, Sandbox};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

pub const ALICE: &str = "alice@example.com";
pub const BOB: &str = "bob@example.com";

/// An installation with a provider of its own.
pub struct Site {
    pub sandbox: Sandbox,
    pub home: TempDir,
    pub config: PathBuf,
}

impl Site {
    /// A Gmail-like provider with mailboxes for Alice and Bob.
    pub async fn new() -> Self {
        Self::with(Sandbox::builder().user(ALICE).user(BOB)).await
    }

    pub async fn with(provider: Builder) -> Self {
        Self::with_config(provider, "").await
    }

    /// `more` is inserted before the provider's table.
    pub async fn with_config(provider: Builder, more: &str) -> Self {
        let sandbox = provider.start().await;
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("config.toml");
        let site = Self { sandbox, home, config };
        site.configure(more);
        site
    }

    /// Appends lines to the provider's table, which is the last one of the configuration.
    pub fn configure_provider(&self, lines: &str) {
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, format!("{text}\n{lines}\n")).unwrap();
    }

    /// Writes the configuration anew.
    pub fn configure(&self, more: &str) {
        let mut listeners = String::new();
        if !more.contains("[[listeners]]") {
            listeners.push_str("[[listeners]]\naddresses = [\"127.0.0.1:0\"]\n");
            for (protocol, is_served) in
                [("submission", self.sandbox.has_submission()), ("pop3", self.sandbox.has_pop3())]
            {
                if is_served {
                    listeners.push_str(&format!(
                        "[[listeners]]\nprotocol = {protocol:?}\naddresses = [\"127.0.0.1:0\"]\n"
                    ));
                }
            }
        }
        // The default port would be the same for all tests.
        let page = if more.contains("[admin]") { "" } else { "[admin]\naddress = \"off\"\n" };
        let provider = self.sandbox.provider_toml("sandbox");
        let text = format!("state_directory = \"state\"\n{more}\n{page}\n{listeners}\n{provider}");
        std::fs::write(&self.config, text).unwrap();
        // The file holds a client secret.
        set_mode(&self.config, 0o600);
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Changes the store with a statement that no command would send. Returns the number of changed rows.
    pub async fn tamper(&self, sql: &str, values: &[&str]) -> u64 {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.state().join("store.sqlite"));
        let mut store = options.busy_timeout(sandbox::PATIENCE).connect().await.unwrap();
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for value in values {
            query = query.bind(*value);
        }
        let done = query.execute(&mut store).await.unwrap();
        store.close().await.unwrap();
        done.rows_affected()
    }

    /// The binary with this site's configuration and an empty environment.
    pub fn command(&self, words: &[&str]) -> Command {
        self.command_with_config(&self.config, words)
    }

    /// A command with another configuration.
    pub fn command_with_config(&self, config: &Path, words: &[&str]) -> Command {
        self.command_of(env!("CARGO_BIN_EXE_imap-oauth-proxy").as_ref(), config, words)
    }

    fn command_of(&self, program: &Path, config: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env_remove("STATE_DIRECTORY")
            .env_remove("IMAP_OAUTH_PROXY_CONFIG")
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .arg("--config")
            .arg(config)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().await.unwrap())
    }

    /// Runs a command without `--config`: it looks for a configuration below the site's home.
    pub async fn run_by_default_configuration(&self, words: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imap-oauth-proxy"));
        command
            .env_remove("STATE_DIRECTORY")
            .env_remove("IMAP_OAUTH_PROXY_CONFIG")
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("XDG_STATE_HOME", self.home.path())
            .args(words)
            .stdin(Stdio::null());
        Ran::of(command.output().await.unwrap())
    }

    /// Runs a command that reads `input`.
    pub async fn run_with(&self, words: &[&str], input: &str) -> Ran {
        self.run_at(&self.config, words, input).await
    }

    /// Runs a command with another configuration.
    pub async fn run_at(&self, config: impl AsRef<Path>, words: &[&str], input: &str) -> Ran {
        let mut command = self.command_with_config(config.as_ref(), words);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        Ran::of(child.wait_with_output().await.unwrap())
    }

    /// Authorises `account` by its own consent, and returns the result's JSON.
    pub async fn authorize(&self, account: &str) -> Value {
        let ran = self.authorize_with(&[account], Some(account)).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json()
    }

    /// Runs `authorize --no-browser --json WORDS…`; `person` consents.
    pub async fn authorize_with(&self, words: &[&str], person: Option<&str>) -> Ran {
        let words: Vec<&str> =
            ["authorize", "--no-browser", "--json"].into_iter().chain(words.iter().copied()).collect();
        let mut child = self.command(&words).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).await.unwrap();
        if url.starts_with("http") {
            self.sandbox.browser().consent(url.trim(), person).await.unwrap();
        }
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        let mut ran = Ran::of(child.wait_with_output().await.unwrap());
        ran.out = rest;
        ran
    }

    /// Starts `serve` and waits until it accepts connections.
    pub async fn serve(&self) -> Serving {
        self.serve_with(&[]).await
    }

    pub async fn serve_with(&self, words: &[&str]) -> Serving {
        let ready_file = self.home.path().join(format!("ready-{}.json", unique()));
        let mut command = self.command(&["serve", "--ready-file"]);
        command.arg(&ready_file).args(words);
        Self::start(command, &ready_file).await
    }

    /// Starts `serve` with another configuration.
    pub async fn serve_at(&self, config: &Path) -> Serving {
        let ready_file = self.home.path().join(format!("ready-{}.json", unique()));
        let mut command = self.command_with_config(config, &["serve", "--ready-file"]);
        command.arg(&ready_file);
        Self::start(command, &ready_file).await
    }

    /// Starts `serve` from a program at another path.
    pub async fn serve_from(
        &self,
        program: &Path,
        ready_file: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Serving {
        let mut command = self.command_of(program, &self.config, &["serve", "--ready-file"]);
        command.arg(ready_file);
        prepare(&mut command);
        Self::start(command, ready_file).await
    }

    async fn start(mut command: Command, ready_file: &Path) -> Serving {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            let Some(line) = log.next_line().await.unwrap() else { panic!("serve did not start: {said:#?}") };
            let ready = line.contains("listening on");
            said.push(line);
            if ready {
                break;
            }
        }
        let ready = std::fs::read_to_string(ready_file).unwrap();
        Serving { child, log, said, ready: serde_json::from_str(&ready).unwrap() }
    }

    /// The output of `tokens list --json`, and its exit code.
    pub async fn tokens(&self) -> (Vec<Value>, i32) {
        let ran = self.run(&["tokens", "list", "--json"]).await;
        (ran.json().as_array().unwrap().clone(), ran.code)
    }

    /// All bytes in the state directory, for finding leaked secrets.
    pub fn state_bytes(&self) -> Vec<u8> {
        fn gather(directory: &Path, bytes: &mut Vec<u8>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => gather(&path, bytes),
                    false => bytes.extend(std::fs::read(&path).unwrap()),
                }
            }
        }
        let mut bytes = Vec::new();
        gather(&self.state(), &mut bytes);
        bytes
    }
}

/// The result of `work`. The test fails with `what` if it takes too long.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(sandbox::PATIENCE, work).await;
    waited.unwrap_or_else(|_| panic!("waited in vain for {what:?}"))
}

pub fn set_mode(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}

/// A pseudo terminal: the person's end and the command's end.
pub fn pseudo_terminal() -> (std::fs::File, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let name = ptsname(&keyboard, Vec::new()).unwrap();
    let terminal = std::fs::File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (keyboard.into(), terminal)
}

/// Starts a command at a terminal, and returns it with the first line that it shows there. The terminal is open as long as
/// the last of these values lives.
pub async fn first_line_at_a_terminal(mut command: Command) -> (String, Child, std::fs::File) {
    let (screen, terminal) = pseudo_terminal();
    let child = command.stderr(terminal).spawn().unwrap();
    drop(command);
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        let mut screen = std::io::BufReader::new(screen);
        let _ = std::io::BufRead::read_line(&mut screen, &mut line);
        (line.trim_end().to_owned(), screen.into_inner())
    });
    let (line, screen) = within("the terminal", reading).await.unwrap();
    (line, child, screen)
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The `LOGIN` command for `settings` (the JSON of `authorize`).
pub fn login(settings: &Value) -> String {
    let text = |key: &str| settings[key].as_str().unwrap().to_owned();
    format!("LOGIN {} {}", text("username"), text("password"))
}

/// The result of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard error from its error on, without earlier output such as the address to open.
    pub fn error(&self) -> &str {
        let at = match self.err.starts_with("error: ") {
            true => Some(0),
            false => self.err.find("\nerror: "),
        };
        at.map_or("", |at| &self.err[at..])
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A running `serve`.
pub struct Serving {
    pub child: Child,
    log: Lines<BufReader<ChildStderr>>,
    said: Vec<String>,
    pub ready: Value,
}

impl Serving {
    /// The address of the first listener.
    pub fn address(&self) -> std::net::SocketAddr {
        self.ready["listeners"][0]["address"].as_str().unwrap().parse().unwrap()
    }

    /// The address of the first listener with this security.
    pub fn address_of(&self, security: &str) -> std::net::SocketAddr {
        let listeners = self.ready["listeners"].as_array().unwrap();
        let found = listeners.iter().find(|listener| listener["security"] == security);
        found.unwrap()["address"].as_str().unwrap().parse().unwrap()
    }

    /// A connection without TLS to the first listener with this security, before its greeting.
    pub async fn plain(&self, security: &str) -> plain::Plain {
        plain::Plain::connect(self.address_of(security)).await
    }

    /// The resource use of the process.
    pub fn process(&self) -> process::Process {
        process::Process(self.child.id().unwrap())
    }

    pub fn ca_file(&self) -> PathBuf {
        self.ready["ca_file"].as_str().unwrap().into()
    }

    /// A mail program's connection after the greeting.
    pub async fn client(&self) -> client::Client {
        client::Client::connect(self.address(), &self.ca_file()).await
    }

    /// A session logged in with `settings` (the JSON of `authorize`).
    pub async fn log_in(&self, settings: &Value) -> client::Client {
        let (user, password) =
            (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
        let mut client = self.client().await;
        let answer = client.command(&format!("LOGIN \"{user}\" \"{password}\"")).await;
        assert!(answer.is_ok(), "{answer:?}");
        client
    }

    /// The log line with `text`, past or future.
    pub async fn said(&mut self, text: &str) -> String {
        match self.said.iter().find(|line| line.contains(text)) {
            Some(line) => line.clone(),
            None => self.logs(text).await,
        }
    }

    /// Reads the log until a line holds `text`, and returns that line.
    pub async fn logs(&mut self, text: &str) -> String {
        self.logs_within(sandbox::PATIENCE, text).await
    }

    /// Like [`Serving::logs`], waiting up to `patience`.
    pub async fn logs_within(&mut self, patience: std::time::Duration, text: &str) -> String {
        loop {
            let next = tokio::time::timeout(patience, self.log.next_line()).await;
            let Ok(line) = next else { panic!("waited in vain for {text:?}") };
            let Some(line) = line.unwrap() else {
                panic!("serve ended without logging {text:?}: {:#?}", self.said)
            };
            self.said.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads the log during `work`, because a full pipe would block the log.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Ok(Some(line)) = self.log.next_line() => self.said.push(line),
            }
        }
    }

    pub fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM; returns the exit code and the rest of the log.
    pub async fn stop(mut self) -> (i32, String) {
        self.terminate();
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.said.push(line);
        }
        let status = self.child.wait().await.unwrap();
        (status.code().unwrap_or(-1), self.said.join("\n"))
    }

    /// The exit code, after [`Serving::terminate`].
    pub async fn stop_waited(mut self) -> i32 {
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.said.push(line);
        }
        self.child.wait().await.unwrap().code().unwrap_or(-1)
    }

    /// Sends SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
