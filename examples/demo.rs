//! Everything on one machine: a sandbox provider, the proxy, one authorised account.
//!
//! Run `cargo demo`, then configure a mail program with the printed settings. The
//! account is authorised through the real flow: this program plays the person at the browser. The proxy is
//! the real command line program, run as another process of this executable. Ctrl-C ends everything and
//! leaves nothing behind.

use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use sandbox::Sandbox;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

const ACCOUNT: &str = "alice@example.com";
/// The protocols of its listeners.
const LISTENERS: [&str; 2] = ["imap", "submission"];
/// As first argument it makes this program run the proxy.
const AS_PROXY: &str = "--as-proxy";

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next();
    let mut words = words.peekable();
    if words.next_if(|word| word == AS_PROXY).is_some() {
        return imap_oauth_proxy::cli::run(program.into_iter().chain(words));
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn demo() -> Result<(), Box<dyn Error>> {
    let sandbox = Sandbox::builder().user(ACCOUNT).submission().start().await;
    let home = tempfile::tempdir()?;
    let submission = free_port(1465)?;
    let config = home.path().join("config.toml");
    std::fs::write(
        &config,
        format!(
            "state_directory = \"state\"\n\n[[listeners]]\naddresses = [\"127.0.0.1:{}\"]\n\n\
             [[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:{submission}\"]\n\n{}",
            free_port(1993)?,
            sandbox.provider_toml("sandbox")
        ),
    )?;
    // The file holds a client secret.
    std::fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    println!(
        "A sandbox provider is up: OAuth at {}, IMAP at {}, submission at {}.",
        sandbox.issuer(),
        sandbox.imap_address(),
        sandbox.submission().0
    );

    println!("Authorising {ACCOUNT}; this program plays the person at the browser, who consents.");
    let settings = authorize(&config, &sandbox).await?;
    println!("{ACCOUNT} is authorised. Starting the proxy …");
    let mut serving = serve(&config, home.path()).await?;
    show(&settings, submission);

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => println!("Stopping."),
        _ = terminate.recv() => println!("Stopping."),
        status = serving.wait() => return Err(format!("the proxy stopped by itself: {}", status?).into()),
    }
    let _ = serving.kill().await;
    Ok(())
}

/// The protocol's usual port if it is free, so that a mail program's settings survive a restart.
fn free_port(usual: u16) -> Result<u16, Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", usual)).or_else(|_| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?.port())
}

fn proxy(config: &Path) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(AS_PROXY).arg("--config").arg(config).kill_on_drop(true);
    Ok(command)
}

/// Runs `authorize`, with a person at the browser who consents. Its messages ask a person to open an address. Here this
/// program does that, so the messages are not shown.
async fn authorize(config: &Path, sandbox: &Sandbox) -> Result<Value, Box<dyn Error>> {
    let mut command = proxy(config)?;
    command.args(["--quiet", "authorize", ACCOUNT, "--no-browser", "--json"]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut url = String::new();
    output.read_line(&mut url).await?;
    sandbox.browser().consent(url.trim(), Some(ACCOUNT)).await?;
    let mut result = String::new();
    output.read_to_string(&mut result).await?;
    match child.wait().await?.success() {
        true => Ok(serde_json::from_str(&result)?),
        false => Err("authorize failed".into()),
    }
}

/// Starts `serve` and waits until it accepts connections.
async fn serve(config: &Path, home: &Path) -> Result<Child, Box<dyn Error>> {
    let mut command = proxy(config)?;
    let mut child = command
        .arg("serve")
        .arg("--ready-file")
        .arg(home.join("ready.json"))
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(child.stderr.take().ok_or("no log")?).lines();
    for _ in LISTENERS {
        loop {
            let line = log.next_line().await?.ok_or("the proxy did not start")?;
            eprintln!("{line}");
            if line.contains("listening on") {
                break;
            }
        }
    }
    tokio::spawn(async move {
        while let Ok(Some(line)) = log.next_line().await {
            eprintln!("{line}");
        }
    });
    Ok(child)
}

fn show(settings: &Value, submission: u16) {
    let text = |key: &str| settings.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let port = settings.get("port").and_then(Value::as_u64).unwrap_or_default();
    let (host, user, password, ca_file) = (text("host"), text("username"), text("password"), text("ca_file"));
    println!("\nSet a mail program up with:");
    println!("  Protocol   IMAP\n  Server     {host}\n  Port       {port}\n  Security   SSL/TLS");
    println!("  User name  {user}\n  Password   {password}\n  CA file    {ca_file}");
    println!("And for sending, with the same user name and password:");
    println!("  Protocol   SMTP\n  Server     {host}\n  Port       {submission}\n  Security   SSL/TLS");
    println!("\nOr read its first message with:");
    println!(
        "  curl --cacert {ca_file} --user '{user}:{password}' 'imaps://{host}:{port}/INBOX;MAILINDEX=1'\n"
    );
    println!("And send one with:");
    println!(
        "  printf 'From: {user}\\r\\nSubject: Hello\\r\\n\\r\\nHello\\r\\n' | curl --cacert {ca_file} --user '{user}:{password}' \
         --mail-from {user} --mail-rcpt {user} --upload-file - 'smtps://{host}:{submission}'\n"
    );
    println!("Ctrl-C stops everything and removes it.");
}
