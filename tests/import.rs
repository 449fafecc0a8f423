//! Moving from email-oauth2-proxy: the plan for a configuration, its result, and refusals.
//!
//! `tests/real/test_import.py` does the same with a configuration that email-oauth2-proxy itself has made.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use imap_oauth_proxy::config::{Config, Door, Security};

/// Every kind of section, and one of each kind that cannot move.
const WIDE: &str = include_str!("configs/emailproxy/wide.config");
/// The password that opens its encrypted values.
const PASSWORDS: &str = "\u{feff}# mail programs\na@corp.example:pässwörd 1\n\nc@corp.example:short\nD@gmail.com:long enough: yes\n";

/// Sections that are hardly ever written, and that Python's ConfigParser reads.
const STRANGE: &str = include_str!("configs/emailproxy/strange.config");

/// A provider that does not exist: nothing listens on that port.
const UNREACHABLE: &str = include_str!("configs/emailproxy/unreachable.config");

struct Home {
    directory: tempfile::TempDir,
}

#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Home {
    fn with(config: &str) -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::write(home.path("emailproxy.config"), config).unwrap();
        std::fs::write(home.path("passwords"), PASSWORDS).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Files in it, without those that the test has written.
    fn made(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| !path.ends_with("emailproxy.config") && !path.ends_with("passwords")).collect()
    }

    fn run(&self, words: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_imap-oauth-proxy"))
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn import(&self, words: &[&str]) -> Ran {
        self.run(&[&["import", "email-oauth2-proxy", "emailproxy.config"], words].concat())
    }
}

/// The configuration for a test of one account: `lines` and what every account needs.
fn account(name: &str, lines: &str) -> String {
    format!(
        "[{name}]\npermission_url = http://127.0.0.1:1/a\ntoken_url = http://127.0.0.1:1/t\noauth2_scope = mail\n\
         client_id = x\n{lines}\n"
    )
}

/// A server for those accounts.
const SERVER: &str = "[IMAP-1993]\nserver_address = 127.0.0.1\nserver_port = 1\nlocal_address = localhost\n";
/// What opens with `pässwörd 1`, and its salt.
const SALT: &str = "token_salt = AAECAwQFBgcICQoLDA0ODw==\n";
const TOKEN: &str = "refresh_token = gAAAAABlU_EAEBESExQVFhcYGRobHB0eH7eDxQatF6z_hc5ioVcWbDxetTW4LNIx31dGT9_796ExPIo8wxEUEkCA9HphpS4plMePNS6cqkNCSrADh8IaudA=\n";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_dry_run_says_what_will_be_and_what_stays_behind_and_writes_nothing() {
    let home = Home::with(WIDE);
    let ran = home.import(&["--passwords", "passwords"]);
    // The address of one listener is no address of this machine.
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(home.made().is_empty(), "{:?}", home.made());
    for secret in ["s3cr", "service_account\"", "REFRESH"] {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{secret}");
    }
    for line in [
        "  a@corp.example at microsoft365: its refresh token opens with its password; its password stays, as strong as it was",
        "  b@acme.example at at-acme-example: its password was not given, so it has to be authorised: imap-oauth-proxy authorize b@acme.example --provider at-acme-example; it has no password here yet: imap-oauth-proxy passwords create b@acme.example --name NAME",
        "  c@corp.example at microsoft365-2: the application's own right opens it; its password stays (nothing shows whether it is the right one), for logins from this machine only, because it is short",
        "  d@gmail.com at gmail: the application's own right opens it; its password stays (nothing shows whether it is the right one), as strong as it was",
        "  [IMAP-99999] in line 23: its name names no port from 1 to 65535",
        "  [SMTP-2587] in line 26: server_port (line 28) cannot be right",
        "  [SMTP-2588] in line 29: local_starttls (line 32) cannot be right",
        "  [IMAP-4993] in line 33: local_address \"mail.corp.example\" is no IP address; write the address itself, and import again",
        "  [e@corp.example] in line 71: client_id still says what the sample says",
        "  [F@corp.example] in line 76: [f@corp.example] is the same name, since case does not count here; remove one of them, and import again",
        "  [f@corp.example] in line 78: [F@corp.example] is the same name, since case does not count here; remove one of them, and import again",
        "  [g@corp.example] in line 80: oauth2_flow = password gives the mail password to the provider, which this program never does; authorise the account by consent instead",
        "  [@dom.example] in line 84: an account for a whole domain gets a password of its own, once it serves here: imap-oauth-proxy authorize @dom.example --provider microsoft365-3 --app",
        "  h@corp.example at microsoft365-4: its token_salt is missing or damaged, so its token cannot be opened, so it has to be authorised: imap-oauth-proxy authorize h@corp.example --provider microsoft365-4; it has no password here yet: imap-oauth-proxy passwords create h@corp.example --name NAME",
        // Another account of the client has the secret that is locked in its own section.
        "  i@corp.example at microsoft365-5: its password was not given, so it has to be authorised: imap-oauth-proxy authorize i@corp.example --provider microsoft365-5; it has no password here yet: imap-oauth-proxy passwords create i@corp.example --name NAME",
        "With the new configuration `serve` would not start:",
        "  [SMTP-3587]: 192.0.2.7:3587 cannot be listened on: this machine does not have that address; correct it in [[listeners]]",
        "  [j@corp.example] in line 105: its provider cannot be configured here: providers.at-corp-example.token_url: http would send secrets in clear over the network",
    ] {
        assert!(ran.out.lines().any(|said| said == line), "{line}\n{}", ran.out);
    }
    assert!(
        ran.out.contains("[IMAP-1993]: port 1993 took passwords in cleartext from everywhere"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("[SMTP-3587]: 192.0.2.7:3587 took passwords in cleartext"), "{}", ran.out);
}

#[test]
fn ports_scopes_and_clients_stay() {
    let out = Home::with(WIDE).import(&["--passwords", "passwords"]).out;
    let (_, text) = out.split_once("without what is secret:\n").unwrap();
    let (text, _) = text.split_once("These accounts would move:").unwrap();
    let config = Config::parse(&format!("state_directory = \"/x\"\n{text}"), None).unwrap();
    for (port, protocol, security, addresses) in [
        (1993, Door::Imap, Security::None, "[127.0.0.1:1993, [::1]:1993]"),
        (2993, Door::Imap, Security::None, "[127.0.0.1:2993, [::1]:2993]"),
        (1587, Door::Submission, Security::None, "[127.0.0.1:1587, [::1]:1587]"),
        (3587, Door::Submission, Security::Tls, "[192.0.2.7:3587]"),
    ] {
        let has_port = |listener: &&imap_oauth_proxy::config::Listener| listener.addresses[0].port() == port;
        let listener = config.listeners.iter().find(has_port).unwrap();
        assert_eq!((listener.protocol, listener.security), (protocol, security), "{port}");
        assert_eq!(format!("{:?}", listener.addresses), addresses);
    }
    let [microsoft, application, acme] =
        ["microsoft365", "microsoft365-2", "at-acme-example"].map(|name| config.providers[name].clone());
    assert!(microsoft.token_url.as_ref().unwrap().as_str().contains("/common/"), "{microsoft:?}");
    let granted =
        ["IMAP.AccessAsUser.All", "SMTP.Send"].map(|scope| format!("https://outlook.office365.com/{scope}"));
    assert_eq!(microsoft.scopes, [&granted[..], &["offline_access".to_owned()]].concat());
    assert_eq!(microsoft.named_in_refresh(Some(&microsoft.scopes)), microsoft.scopes);
    assert_eq!(application.app.as_ref().unwrap().scopes(), ["https://outlook.office365.com/.default"]);
    assert_eq!(acme.redirect_uri.as_str(), "http://localhost:8080/");
    let servers: Vec<String> = acme.services.iter().map(|service| service.endpoint.to_string()).collect();
    assert_eq!(servers, ["imap.acme.example:993", "smtp.acme.example:465"]);
    assert_eq!(config.provider_of("x@gmail.com").unwrap().name, "gmail");
    assert_eq!(config.provider_of("x@corp.example").unwrap().name, "microsoft365");
}

#[test]
fn what_is_written_is_its_owners_alone_and_passwords_stay_what_they_were() {
    let home = Home::with(UNREACHABLE);
    let ran = home.import(&["--passwords", "passwords", "--apply"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let end = "Stop email-oauth2-proxy now; both refreshing may invalidate each other's tokens.\n";
    // The log is written beside the words.
    let words: String = ran.err.split_inclusive('\n').filter(|line| !line.contains(" WARN ")).collect();
    assert!(words.ends_with(end), "{ran:?}");
    assert!(
        ran.err.contains("  imap-oauth-proxy authorize b@corp.example --provider at-corp-example\n"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("a@corp.example at at-corp-example: it is here, and no access token came"),
        "{ran:?}"
    );
    let file = home.path(".config/imap-oauth-proxy/config.toml");
    let key = home.path(".config/imap-oauth-proxy/at-gmail-com-service-account.json");
    assert_eq!((mode(&file), mode(&key)), (0o600, 0o600));
    assert!(std::fs::read_to_string(&key).unwrap().contains("\"type\": \"service_account\""));
    assert!(std::fs::read_to_string(&file).unwrap().contains("client_secret = \"s3cret\"\n"));

    let each = |command: &[&str], keys: [&str; 3]| -> Vec<String> {
        let listed: serde_json::Value = serde_json::from_str(&home.run(command).out).unwrap();
        let shown = |entry: &serde_json::Value| keys.map(|key| entry[key].to_string()).join(" ");
        listed.as_array().unwrap().iter().map(shown).collect()
    };
    assert_eq!(
        each(&["passwords", "list", "--json"], ["account", "name", "from"]),
        [
            r#""a@corp.example" "email-oauth2-proxy" []"#,
            r#""c@corp.example" "email-oauth2-proxy" ["127.0.0.0/8","::1/128"]"#,
            r#""d@gmail.com" "email-oauth2-proxy" []"#,
        ]
    );
    let tokens = each(&["tokens", "list", "--json"], ["account", "provider", "state"]);
    assert_eq!(tokens[0], r#""a@corp.example" "at-corp-example" "retrying""#);
    assert_eq!(tokens[1], r#""b@corp.example" "at-corp-example" "needs_authorization""#);
}

#[test]
fn a_configuration_that_is_there_is_never_edited() {
    let home = Home::with(UNREACHABLE);
    std::fs::write(home.path("mine.toml"), "state_directory = \"state\"\n[store]\nkey_file = \"key\"\n")
        .unwrap();
    let words = ["--config", "mine.toml", "--passwords", "passwords", "--apply"];
    let ran = home.import(&words);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("mine.toml is there already and stays as it is"), "{ran:?}");
    let made = std::fs::read_to_string(home.path("from-email-oauth2-proxy.toml")).unwrap();
    assert!(made.contains("[store]\nkey_file = \"key\"\n"), "{made}");
    assert!(home.path("state/store.sqlite").exists() && home.path("key").exists());
    assert_eq!(
        std::fs::read_to_string(home.path("mine.toml")).unwrap(),
        "state_directory = \"state\"\n[store]\nkey_file = \"key\"\n"
    );
    let again = home.import(&words);
    assert_eq!(again.code, 1);
    assert!(
        again.err.contains("from-email-oauth2-proxy.toml is there already, and nothing is overwritten"),
        "{again:?}"
    );
}

#[test]
fn grants_that_are_here_keep_their_client_where_both_are_at_one_provider() {
    let home = Home::with(WIDE);
    let mine = "state_directory = \"state\"\n[providers.microsoft365]\nclient_id = \"mine\"\nclient_secret = \"m1ne\"\n\
                domains = [\"corp.example\"]\n[network]\nproxy = \"http://u:pr0xy@127.0.0.1:1\"\n[limits]\nfailed_logins = 7\n";
    std::fs::write(home.path("mine.toml"), mine).unwrap();
    let words = ["--config", "mine.toml", "--passwords", "passwords"];
    let ran = home.import(&words);
    assert!(ran.out.contains("# and [providers.\"microsoft365\"] as it is there\n"), "{ran:?}");
    assert!(!ran.out.contains("m1ne") && !ran.out.contains("pr0xy"), "{ran:?}");
    assert!(ran.out.contains("  a@corp.example at microsoft365-2: its refresh token opens"), "{ran:?}");

    std::fs::write(home.path("emailproxy.config"), UNREACHABLE.replace("corp.example", "mine.example"))
        .unwrap();
    std::fs::write(home.path("passwords"), "d@gmail.com:long enough: yes\n").unwrap();
    let mine = mine.replace("microsoft365", "at-mine-example").replace("corp", "mine");
    let own = "imap = \"127.0.0.1:1\"\nauthorize_url = \"http://127.0.0.1:1/a\"\ntoken_url = \"http://127.0.0.1:1/t\"\nscopes = [\"x\"]\n";
    std::fs::write(home.path("mine.toml"), mine.replace("[network]", &format!("{own}[network]"))).unwrap();
    let ran = home.import(&[&words[..], &["--apply"]].concat());
    assert_eq!(ran.code, 3, "{ran:?}");
    let config = Config::load(Some(&home.path("from-email-oauth2-proxy.toml"))).unwrap();
    let client = |name: &str| config.providers[name].client_id.clone();
    assert_eq!(client("at-mine-example").as_deref(), Some("mine"));
    assert_eq!(client("at-mine-example-2").as_deref(), Some("x"));
    assert_eq!(config.provider_of("x@mine.example").unwrap().name, "at-mine-example");
    assert!(config.network_proxy.is_some());
    let listed = home.run(&["--config", "mine.toml", "tokens", "list", "--json"]).out;
    assert!(listed.contains("at-mine-example-2") && !listed.contains("\"at-mine-example\""), "{listed}");
}

#[test]
fn what_fails_half_way_leaves_nothing_in_the_way_of_the_next_try() {
    let home = Home::with(UNREACHABLE);
    let directory = home.path(".config/imap-oauth-proxy");
    std::fs::create_dir_all(&directory).unwrap();
    let key = directory.join("at-gmail-com-service-account.json");
    std::fs::write(&key, "mine").unwrap();
    let words = ["--passwords", "passwords", "--apply"];
    let ran = home.import(&words);
    assert!(ran.code == 1 && ran.err.contains("is there already, and nothing is overwritten"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "mine");
    assert!(!directory.join("config.toml").exists());
    std::fs::remove_file(&key).unwrap();
    assert_eq!(home.import(&words).code, 3);
}

/// Runs SQL on the store of `home`.
async fn tamper(home: &Home, sql: &'static str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let database = home.path(".local/state/imap-oauth-proxy/store.sqlite");
    let mut connection =
        sqlx::sqlite::SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_store_that_fails_half_way_stops_the_run_and_the_next_run_does_the_rest() {
    let home = Home::with(UNREACHABLE);
    let made = home.run(&["passwords", "list"]);
    assert_eq!(home.run(&["keys", "recipient"]).code, 0, "{made:?}");
    tamper(
        &home,
        "CREATE TRIGGER full BEFORE INSERT ON accounts WHEN NEW.name = 'c@corp.example' \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END",
    )
    .await;
    let words = ["--passwords", "passwords", "--apply"];
    let ran = home.import(&words);
    assert_eq!(ran.code, 1, "{ran:?}");
    let state = home.path(".local/state/imap-oauth-proxy");
    let directory = home.path(".config/imap-oauth-proxy");
    for said in [
        format!(
            "Moved already, with tokens and passwords, and kept in {}: a@corp.example, b@corp.example.\n",
            state.display()
        ),
        "Not moved, and unchanged in email-oauth2-proxy: c@corp.example, d@gmail.com.\n".to_owned(),
        format!("The new configuration {} was not made.\n", directory.join("config.toml").display()),
        "the disk is full".to_owned(),
        "hint: when that is mended, run the same command again".to_owned(),
    ] {
        assert!(ran.err.contains(&said), "{said}\n{ran:?}");
    }
    let left: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");

    tamper(&home, "DROP TRIGGER full").await;
    let ran = home.import(&words);
    assert_eq!(ran.code, 3, "{ran:?}");
    for said in [
        "  a@corp.example: it is here already, and was not touched\n",
        "  b@corp.example: it is here already, waits for consent, and was not touched: imap-oauth-proxy authorize b@corp.example --provider at-corp-example",
        "  c@corp.example at at-corp-example-2: it is here, and no access token came",
        "  d@gmail.com at at-gmail-com: it is here, and no access token came",
    ] {
        assert!(ran.out.contains(said), "{said}\n{ran:?}");
    }
    let listed: serde_json::Value =
        serde_json::from_str(&home.run(&["passwords", "list", "--json"]).out).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
    assert_eq!(Config::load(Some(&directory.join("config.toml"))).unwrap().listeners.len(), 1);
}

/// An import whose first refresh is under way and never answered. The provider is there until the last value is dropped.
fn waiting_for_the_provider() -> (Home, std::process::Child, (std::net::TcpListener, std::net::TcpStream)) {
    let provider = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = provider.local_addr().unwrap().port();
    let home = Home::with(&UNREACHABLE.replace("127.0.0.1:1/", &format!("127.0.0.1:{port}/")));
    let running = Command::new(env!("CARGO_BIN_EXE_imap-oauth-proxy"))
        .args(["import", "email-oauth2-proxy", "emailproxy.config", "--passwords", "passwords", "--apply"])
        .current_dir(home.directory.path())
        .env_clear()
        .env("HOME", home.directory.path())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (refreshing, _) = provider.accept().unwrap();
    (home, running, (provider, refreshing))
}

#[test]
fn a_run_that_is_killed_leaves_no_configuration_and_the_next_run_does_the_rest() {
    let (home, mut running, refreshing) = waiting_for_the_provider();
    running.kill().unwrap();
    running.wait().unwrap();
    drop(refreshing);
    let directory = home.path(".config/imap-oauth-proxy");
    assert!(!directory.join("config.toml").exists());

    let ran = home.import(&["--passwords", "passwords", "--apply"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("  a@corp.example: it is here already, and was not touched\n"), "{ran:?}");
    assert!(ran.out.contains("  d@gmail.com at at-gmail-com: it is here"), "{ran:?}");
    let mut names: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["at-gmail-com-service-account.json", "config.toml"]);
}

#[test]
fn ctrl_c_waits_for_the_accounts_and_a_second_one_does_not_say_that_nothing_is_stored() {
    let (home, mut running, _refreshing) = waiting_for_the_provider();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(running.stderr.take().unwrap()));
    let mut press_until = |said: &str| {
        let id = rustix::process::Pid::from_child(&running);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let is_said = |line: &std::io::Result<String>| line.as_ref().unwrap().starts_with(said);
        assert!(lines.any(|line| is_said(&line)), "{said}");
    };
    press_until("What has begun is finished first; press Ctrl-C once more to end at once.");
    press_until("error: interrupted; what was finished before is stored");
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(std::fs::read_dir(home.path(".config/imap-oauth-proxy")).unwrap().next().is_none());
}

#[test]
fn a_consent_that_is_here_is_shared_and_one_that_is_awaited_comes_with_the_import() {
    for passwords in ["d@gmail.com:long enough\n", PASSWORDS] {
        let home = Home::with(UNREACHABLE);
        std::fs::write(home.path("passwords"), passwords).unwrap();
        let words = ["--passwords", "passwords", "--apply"];
        assert_eq!(home.import(&words).code, 3);
        // Another mailbox of that person keeps the grant when the account goes.
        std::fs::write(home.path("table.csv"), "shared@corp.example,at-corp-example,a@corp.example\n")
            .unwrap();
        assert_eq!(home.run(&["accounts", "add", "--csv", "table.csv"]).code, 0);
        assert_eq!(home.run(&["accounts", "remove", "a@corp.example"]).code, 0);

        std::fs::write(home.path("passwords"), PASSWORDS).unwrap();
        let ran = home.import(&words);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(
            ran.out.contains("  a@corp.example at at-corp-example: it is here, and no access token came"),
            "{ran:?}"
        );
        let listed: serde_json::Value =
            serde_json::from_str(&home.run(&["tokens", "list", "--json"]).out).unwrap();
        let of_a = listed.as_array().unwrap().iter().filter(|entry| entry["owner"] == "a@corp.example");
        assert_eq!(
            of_a.map(|entry| &entry["state"]).collect::<Vec<_>>(),
            ["retrying", "retrying"],
            "{listed}"
        );
    }
}

#[test]
fn a_key_that_a_run_has_left_is_taken_again_and_another_file_never() {
    let home = Home::with(UNREACHABLE);
    let directory = home.path(".config/imap-oauth-proxy");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("at-gmail-com-service-account.json"),
        "{\n\"type\": \"service_account\"\n}",
    )
    .unwrap();
    assert_eq!(home.import(&["--passwords", "passwords", "--apply"]).code, 3);
}

#[test]
fn a_second_run_keeps_the_tables_of_the_first() {
    let home = Home::with(UNREACHABLE);
    let words = ["--passwords", "passwords", "--apply"];
    assert_eq!(home.import(&words).code, 3);
    // Nothing is new, so nothing is written.
    let ran = home.import(&words);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("a@corp.example: it is here already"), "{ran:?}");
    assert!(ran.out.starts_with("Every account is here already, and "), "{ran:?}");
    assert!(!ran.err.contains("export IMAP_OAUTH_PROXY_CONFIG"), "{ran:?}");
    assert!(!home.path(".config/imap-oauth-proxy/from-email-oauth2-proxy.toml").exists());

    let (_, of_b) = UNREACHABLE.split_once("[b@corp.example]").unwrap();
    let (of_b, _) = of_b.split_once("[c@").unwrap();
    std::fs::write(home.path("emailproxy.config"), format!("{UNREACHABLE}[e@corp.example]{of_b}")).unwrap();
    let ran = home.import(&words);
    assert!(ran.out.contains("The new configuration is "), "{ran:?}");
    let load = |name: &str| Config::load(Some(&home.path(".config/imap-oauth-proxy").join(name))).unwrap();
    let names = |config: Config| config.providers.into_keys().collect::<Vec<_>>();
    assert_eq!(names(load("config.toml")), names(load("from-email-oauth2-proxy.toml")));
}

#[test]
fn the_new_file_can_be_written_elsewhere_with_all_that_belongs_to_it() {
    let home = Home::with(UNREACHABLE);
    std::fs::create_dir_all(home.path("etc")).unwrap();
    std::fs::create_dir_all(home.path("var")).unwrap();
    let mine = "state_directory = \"../var/state\"\n[store]\nkey_file = \"key\"\n[log]\nformat = \"json\"\n\
                [providers.gmail]\nclient_id = \"mine\"\nclient_secret_file = \"secret\"\n";
    std::fs::write(home.path("etc/config.toml"), mine).unwrap();
    std::fs::write(home.path("etc/secret"), "m1ne").unwrap();
    std::fs::set_permissions(home.path("etc/secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let words =
        ["--config", "etc/config.toml", "--output", "var/new.toml", "--passwords", "passwords", "--apply"];
    let ran = home.import(&words);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains("It has none of [log] either; copy what you want to keep."), "{ran:?}");
    // All its paths are absolute, so it works in any directory.
    std::fs::rename(home.path("var/new.toml"), home.path("elsewhere.toml")).unwrap();
    let config = Config::load(Some(&home.path("elsewhere.toml"))).unwrap();
    assert_eq!(config.providers["gmail"].client_secret.as_ref().unwrap().expose(), "m1ne");
    let text = std::fs::read_to_string(home.path("elsewhere.toml")).unwrap();
    let key = home.path("var/at-gmail-com-service-account.json");
    assert!(
        text.contains(&format!("service_account_file = \"{}\"", key.display())) && key.exists(),
        "{text}"
    );
    assert!(home.path("etc/key").exists() && home.path("var/state/store.sqlite").exists());

    let again = home.import(&["--output", "passwords"]);
    assert!(again.err.contains("passwords is there already, and nothing is overwritten"), "{again:?}");
    assert!(again.err.contains("hint: name another file with --output FILE"), "{again:?}");
}

#[test]
fn the_whole_configuration_is_judged_and_not_only_its_parts() {
    let twice = "[SMTP-1993]\nserver_address = 127.0.0.1\nserver_port = 1\n";
    let home = Home::with(&format!("{SERVER}{twice}{}", account("a@corp.example", "")));
    let ran = home.import(&[]);
    assert!(ran.out.contains("  [SMTP-1993] in line 5: [IMAP-1993] has its port already"), "{ran:?}");

    // The copied settings are checked too: no program can run under that state directory.
    std::fs::write(home.path("file"), "").unwrap();
    let state = format!("state_directory = {:?}\n", home.path("file"));
    std::fs::write(home.path("mine.toml"), state).unwrap();
    let ran = home.import(&["--config", "mine.toml"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.out.contains("With the new configuration `serve` would not start:\n  state_directory: "),
        "{ran:?}"
    );

    let listeners = |addresses: &str| {
        format!(
            "state_directory = \"/x\"\n[[listeners]]\naddresses = [{addresses}]\n[[listeners]]\naddresses = [\"127.0.0.1:7993\"]\n"
        )
    };
    for addresses in ["\"127.0.0.1:7993\"", "\"0.0.0.0:7993\"", "\"[::1]:7994\", \"[::]:7994\""] {
        let error = Config::parse(&listeners(addresses), None).unwrap_err().to_string();
        assert!(error.contains("has the port that"), "{error}");
    }
    for addresses in ["\"127.0.0.2:7993\"", "\"[::]:7993\"", "\"127.0.0.1:0\", \"127.0.0.1:0\""] {
        assert!(Config::parse(&listeners(addresses), None).is_ok(), "{addresses}");
    }
}

#[test]
fn a_damaged_value_costs_only_itself() {
    let password = "pässwörd 1";
    let waits = |option: &str| {
        format!(
            "its {option} is missing or damaged, so its token cannot be opened, so it has to be authorised"
        )
    };
    let opens = "its refresh token opens with its password".to_owned();
    let wrong_salt = SALT.replace("AAEC", "BBEC");
    let secret = TOKEN.replace("refresh_token", "client_secret_encrypted");
    for (lines, said) in [
        (format!("{SALT}{TOKEN}"), opens.clone()),
        (format!("{SALT}refresh_token = garbage\n"), waits("refresh_token")),
        (format!("{SALT}refresh_token = 12\n"), waits("refresh_token")),
        (format!("token_salt = ***\n{TOKEN}"), waits("token_salt")),
        (TOKEN.to_owned(), waits("token_salt")),
        (format!("{SALT}{TOKEN}token_iterations = many\n"), opens.clone()),
        (
            format!("{SALT}{}token_iterations = many\n", TOKEN.replace("lU_", "lV_")),
            waits("token_iterations"),
        ),
        (
            format!("{wrong_salt}{TOKEN}"),
            "the password that was given does not open its token, so it has to be authorised".to_owned(),
        ),
        (format!("{SALT}{secret}{}", TOKEN.replace("lU_", "lV_")), waits("refresh_token")),
        (format!("{SALT}{TOKEN}client_secret_encrypted = garbage\n"), opens),
    ] {
        let home = Home::with(&format!(
            "{SERVER}{}{}",
            account("a@corp.example", &lines),
            account("b@corp.example", "")
        ));
        std::fs::write(home.path("passwords"), format!("a@corp.example:{password}\n")).unwrap();
        let ran = home.import(&["--passwords", "passwords"]);
        assert_eq!(ran.code, 0, "{lines}{ran:?}");
        let mut moving = ran.out.lines().filter(|line| line.contains("@corp.example at at-corp-example"));
        assert!(moving.next().unwrap().contains(&said), "{lines}{ran:?}");
        assert!(moving.next().unwrap().contains("b@corp.example"), "{ran:?}");
        assert_eq!(
            ran.out.contains("[a@corp.example]: its client secret is locked"),
            lines.contains("client_secret_encrypted = garbage"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_cache_as_json_may_hold_numbers_and_what_is_no_value_costs_only_itself() {
    let accounts = ["a", "b", "c", "d"].map(|name| account(&format!("{name}@corp.example"), ""));
    let home = Home::with(&format!("{SERVER}{}", accounts.concat()));
    let (_, token) = TOKEN.trim_end().split_once(" = ").unwrap();
    let (_, salt) = SALT.trim_end().split_once(" = ").unwrap();
    let cache = serde_json::json!({
        "a@corp.example": {"refresh_token": token, "token_salt": salt, "token_iterations": 100_000, "last_activity": 1.5e9},
        "b@corp.example": {"refresh_token": 7, "token_salt": salt, "token_iterations": true, "access_token": null},
        "c@corp.example": ["no table"],
        "d@corp.example": {"refresh_token": token, "token_salt": {"a": 1}},
    });
    std::fs::write(home.path("cache"), format!("\u{feff}{cache}")).unwrap();
    std::fs::write(home.path("passwords"), "a@corp.example:pässwörd 1\nd@corp.example:pässwörd 1\n").unwrap();
    let ran = home.import(&["--cache-store", "cache", "--passwords", "passwords"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for said in [
        "  a@corp.example at at-corp-example: its refresh token opens with its password",
        "  b@corp.example at at-corp-example: its refresh_token is missing or damaged",
        "  c@corp.example at at-corp-example: its password was not given",
        "  d@corp.example at at-corp-example: its token_salt is missing or damaged",
        "  [c@corp.example]: its entry in the cache is no table of values, and counts as empty",
    ] {
        let is_said = ran.out.lines().any(|line| line.starts_with(said));
        // The options of a lock are judged before what it locks.
        let is_lock = said.contains("b@")
            && ran.out.contains("  b@corp.example at at-corp-example: its token_iterations is");
        assert!(is_said || is_lock, "{said}\n{ran:?}");
    }
}

#[test]
fn lines_of_passwords_that_match_nothing_are_named_and_stop_a_run_before_it_begins() {
    let home = Home::with(&format!("{SERVER}{}", account("a@corp.example", &format!("{SALT}{TOKEN}"))));
    let text = "\u{feff}A@corp.example:pässwörd 1\r\n# b\r\n\r\nb@corp.example:x\r\nh4rdly a user:a@corp.example\r\np@ss:c@corp.example\r\n";
    std::fs::write(home.path("passwords"), text).unwrap();
    let ran = home.import(&["--passwords", "passwords"]);
    assert!(ran.out.contains("its refresh token opens with its password"), "the mark and CRLF: {ran:?}");
    for said in [
        "passwords: line 4: b@corp.example is no account in emailproxy.config\n",
        "passwords: line 5: its user is no account in emailproxy.config\n",
        "passwords: line 6: its user is no account in emailproxy.config\n",
    ] {
        assert!(ran.err.contains(said), "{said}\n{ran:?}");
    }
    assert!(!ran.err.contains("h4rdly") && !ran.err.contains("p@ss"), "a line may be the wrong way round");
    let ran = home.import(&["--passwords", "passwords", "--apply"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("error: nothing was written\nhint: correct these lines, or remove them\n"),
        "{ran:?}"
    );
    assert!(home.made().is_empty());

    std::fs::write(home.path("passwords"), "a@corp.example:x\nb@corp.example:y\nA@CORP.example:z\n").unwrap();
    let ran = home.import(&["--passwords", "passwords"]);
    let said = "error: passwords: line 3 names A@CORP.example again, which line 1 has named\n";
    assert!(ran.err.contains(said), "{ran:?}");
}

/// Without a terminal: `setsid` leaves the one of the tester.
#[cfg(target_os = "linux")]
#[test]
fn without_a_terminal_and_without_passwords_no_account_loses_its_token_unasked() {
    let home = Home::with(UNREACHABLE);
    let run = |more: &[&str]| {
        let output = Command::new("setsid")
            .args([
                "-w",
                env!("CARGO_BIN_EXE_imap-oauth-proxy"),
                "import",
                "email-oauth2-proxy",
                "emailproxy.config",
            ])
            .args(more)
            .current_dir(home.directory.path())
            .env("HOME", home.directory.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("STATE_DIRECTORY")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = run(&["--apply"]);
    assert_eq!(code, 1, "{err}");
    let said =
        "error: the mail passwords are needed, and there is no terminal to ask for them\nhint: write them";
    assert!(err.contains(said) && err.contains("--without-passwords"), "{err}");
    assert!(home.made().is_empty());
    let (code, err) = run(&["--apply", "--without-passwords"]);
    assert_eq!(code, 3, "{err}");
    assert!(home.path(".config/imap-oauth-proxy/config.toml").exists());
    assert_eq!(home.import(&["--without-passwords", "--passwords", "passwords"]).code, 2);
}

#[test]
fn strange_sections_are_taken_or_named_with_a_reason_and_no_secret_is_shown() {
    let ran = Home::with(STRANGE).import(&[]);
    for secret in ["s3cr", "l3nt", "gAAA", "S3CRET", "MII", "private_key", "interpolated"] {
        assert!(!format!("{ran:?}").contains(secret), "{secret}\n{ran:?}");
    }
    for line in [
        "client_id = \"%(percent)s\"",
        "addresses = [\"127.0.0.1:70\", \"[::1]:70\"]",
        "addresses = [\"[::1]:1995\"]",
        "addresses = [\"0.0.0.0:1996\", \"[::]:1996\"]",
        "domains = [\"müller.example\", \"gmail.com\", \"googlemail.com\", \"google.com\"]",
        "client_id = \"lent\"",
        "scopes = [\"https://outlook.office365.com/IMAP.AccessAsUser.All\", \"https://outlook.office365.com/POP.AccessAsUser.All\", \"offline_access\"]",
        "  a%b@corp.example at microsoft365: you will be asked for its mail password, which keeps working",
        "  Jürgen@müller.example at gmail: you will be asked for its mail password, which keeps working",
        "  CASE@Corp.Example at microsoft365-2: you will be asked for its mail password, which keeps working",
        "  one@lent.example at microsoft365-3: you will be asked for its mail password, which keeps working",
        "  [imap-1993] in line 13: it is neither a server (IMAP-PORT, POP-PORT, SMTP-PORT) nor an account, so it is ignored",
        "  [IMAP-1995] in line 21: plugins are ignored: mail is passed on unchanged here",
        "  [IMAP-0] in line 22: its name names no port from 1 to 65535",
        "  [SMTP-1587] in line 31: local_certificate_path needs its certificate or key beside it, and is ignored",
        "  [POP-1996] in line 35: local_starttls counts for SMTP only, and is ignored",
        "  [SMTP-2465] in line 38: server_port (line 40) cannot be right",
        "  [SMTP-2466] in line 41: server_port (line 43) cannot be right",
        "  [IMAP-1994x] in line 44: it is neither a server (IMAP-PORT, POP-PORT, SMTP-PORT) nor an account, so it is ignored",
        "  [a%b@corp.example] in line 57: oauth2_resource is ignored: the scopes name the resource at today's endpoints",
        "  [a%b@corp.example] in line 59: redirect_listen_address is ignored: address and url in [admin] say where redirects arrive",
        "  [a%b@corp.example] in line 61: the option there is none of email-oauth2-proxy's, and is ignored",
        "  [@lent.example] in line 73: it holds options for a whole domain; here each account is made by itself, and only accounts with their own section move",
        "  [@] in line 82: it holds options for a whole domain; here each account is made by itself, and only accounts with their own section move",
        "  [key@corp.example] in line 84: client_secret (line 89) cannot be right",
        "  [key@corp.example] in line 90: the option there is none of email-oauth2-proxy's, and is ignored",
        "  [emailproxy] in line 93: delete_account_token_on_password_error is ignored: a wrong password never deletes a token here",
        "  [emailproxy] in line 97: the option there is none of email-oauth2-proxy's, and is ignored",
        "  [SMTP-1588] in line 101: local_certificate_path is a key and no path, and is ignored; save the key to a file, and name that",
        "  [file@corp.example] in line 107: client_secret (line 112) cannot be right",
        "  [cert@corp.example] in line 115: client_secret is missing",
        "  [cert@corp.example] in line 121: jwt_key_path is a key and no path, and is ignored; save the key to a file, and name that",
    ] {
        assert!(ran.out.lines().any(|said| said == line), "{line}\n{}", ran.out);
    }
    assert!(
        ran.out.contains("  [emailproxy] in line 94: encrypt_client_secret_on_first_use is ignored: "),
        "{ran:?}"
    );
}

#[test]
fn no_file_makes_it_panic() {
    for config in [
        "[@]\n",
        "[]\na=1\n[a@]\n",
        "[IMAP-99999999999999999999]\n",
        "[a@b]\ntoken_url=\n\t\n",
        "\u{feff}[a@b]",
        "[DEFAULT]\n[a@b]\n= x",
        "[emailproxy]\nallow_catch_all_accounts = perhaps\n[a@b]\n",
        "[a@b]]\n[[c@d]]\n",
        "[a@b]\ntoken_salt=A\ntoken_iterations=-1\nrefresh_token=\u{0}\n",
        "[IMAP-1]\nserver_address=\u{0}\nserver_port=1\n",
        "[a@b.example]\npermission_url=x:\ntoken_url=data:,\noauth2_scope=\u{0}\nclient_id=\u{0}\n",
        "[a@b.example]\npermission_url=https://[::1/\ntoken_url=https://\noauth2_scope=x\nclient_id=x\n",
    ] {
        let home = Home::with(config);
        let ran = home.import(&[]);
        assert_eq!(ran.code, 1, "{config:?} {ran:?}");
        assert!(ran.err.starts_with("error: ") && !ran.err.contains("panicked"), "{config:?} {ran:?}");
    }
    let home = Home::with(UNREACHABLE);
    for cache in
        ["", "{}", "{\"a@corp.example\": {}}", "[a@corp.example]\n", "[x@corp.example]\nrefresh_token = y\n"]
    {
        std::fs::write(home.path("cache"), cache).unwrap();
        let ran = home.import(&["--cache-store", "cache"]);
        assert_eq!(ran.code, 0, "{cache} {ran:?}");
    }
    assert!(home.import(&["--cache-store", "."]).err.starts_with("error: . cannot be read"));
}

#[test]
fn a_key_in_the_place_of_its_path_is_not_shown() {
    let key = "{\n\t\"type\": \"service_account\",\n\t\"private_key\": \"-----BEGIN K3Y-----\"\n\t}";
    for client_id in ["file", "key"] {
        let app = format!(
            "[a@corp.example]\ntoken_url = http://127.0.0.1:1/t\noauth2_scope = mail\noauth2_flow = service_account\n\
             client_id = {client_id}\nclient_secret = {key}\n"
        );
        let home = Home::with(&format!("{SERVER}{app}"));
        std::fs::write(home.path("passwords"), "a@corp.example:long enough\n").unwrap();
        let ran = home.import(&["--passwords", "passwords"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(!format!("{ran:?}").contains("K3Y"), "{ran:?}");
        assert!(ran.out.contains("at-corp-example-service-account.json\"\n"), "{ran:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_looked_at_is_not_passed_by() {
    let home = Home::with(UNREACHABLE);
    std::fs::create_dir_all(home.path(".config")).unwrap();
    std::fs::write(home.path(".config/imap-oauth-proxy"), "a file in the place of the directory").unwrap();
    let inside = home.path(".config/imap-oauth-proxy/config.toml");
    let ran = home.import(&["--config", inside.to_str().unwrap()]);
    assert!(ran.code == 2 && ran.err.contains("cannot be read"), "{ran:?}");
}

#[test]
fn what_is_no_such_file_gets_one_sentence_with_its_line() {
    for (config, words, said) in [
        ("a = 1", &[][..], "emailproxy.config: line 1 stands before the first [section]"),
        ("[a@b]\n[a@b]", &[], "emailproxy.config: line 2 begins [a@b] again, which line 1 has begun"),
        (
            "[a@b]\nx\n",
            &[],
            "emailproxy.config: line 2 is neither a [section] nor an option with = or : behind its name",
        ),
        (
            "",
            &[],
            "emailproxy.config is no configuration of email-oauth2-proxy: it has neither a server nor an account",
        ),
        (
            "[x]\na = 1",
            &[],
            "emailproxy.config is no configuration of email-oauth2-proxy: it has neither a server nor an account",
        ),
        (WIDE, &["--cache-store", "absent"], "absent cannot be read: No such file or directory (os error 2)"),
        (
            WIDE,
            &["--cache-store", "aws:secret"],
            "aws:secret is in another service, which cannot be asked from here",
        ),
        (WIDE, &["--passwords", "emailproxy.config"], "emailproxy.config: line 1 is not USER:PASSWORD"),
        ("[a@b]\noauth2_flow = password\n", &[], "no account can move, so nothing is written"),
    ] {
        let home = Home::with(config);
        let ran = home.import(words);
        assert_eq!(ran.code, 1, "{config} {ran:?}");
        assert!(ran.err.lines().any(|line| line == format!("error: {said}")), "{said}\n{}", ran.err);
        assert!(home.made().is_empty());
    }
    let home = Home::with("");
    std::fs::write(home.path("emailproxy.config"), b"[a@b]\nx = \xff\n").unwrap();
    assert!(home.import(&[]).err.contains("emailproxy.config: line 2 is not UTF-8"));
}

#[test]
fn tokens_are_read_from_a_cache_as_json_too() {
    let (before, token) = WIDE.split_once("refresh_token = ").unwrap();
    let (token, after) = token.split_once('\n').unwrap();
    let home = Home::with(&format!("{before}{after}"));
    assert!(home.import(&["--passwords", "passwords"]).out.contains("it has no refresh token"));
    let json =
        format!("{{\"a@corp.example\": {{\"refresh_token\": \"{token}\", \"client_id\": \"not cached\"}}}}");
    std::fs::write(home.path("cache"), json).unwrap();
    let ran = home.import(&["--passwords", "passwords", "--cache-store", "cache"]);
    assert!(ran.out.contains("a@corp.example at microsoft365: its refresh token opens"), "{ran:?}");
    assert!(!ran.out.contains("not cached"));
    std::fs::write(home.path("cache"), "{\"a\":\n 1").unwrap();
    let ran = home.import(&["--cache-store", "cache"]);
    assert!(ran.err.contains("cache: line 2 is not right in a cache of accounts as JSON"), "{ran:?}");
}

#[test]
fn security_row_34_names_of_another_program_are_judged_like_typed_ones() {
    let account = "permission_url = http://127.0.0.1:1/a\ntoken_url = http://127.0.0.1:1/t\noauth2_scope = mail\nclient_id = x\n";
    let mut config =
        format!("[IMAP-1993]\nserver_address = 127.0.0.1\nserver_port = 1\n[good@corp.example]\n{account}");
    let bad = [
        "-x@corp.example",
        "a b@corp.example",
        "x\u{202e}@corp.example",
        "a@b@corp.example",
        "$(x)@corp.example",
        "x@",
    ];
    for name in bad {
        config.push_str(&format!("[{name}]\n{account}"));
    }
    let ran = Home::with(&config).import(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains("  good@corp.example at at-corp-example"), "{ran:?}");
    assert_eq!(ran.out.matches("the name of an account must").count(), bad.len(), "{ran:?}");
    assert!(!ran.out.contains('\u{202e}'));
    assert_eq!(ran.out.matches(" at at-corp-example: ").count(), 1, "{ran:?}");
}

#[test]
fn no_url_gives_away_a_password_and_no_query_is_shown() {
    let other = |name: &str, lines: &str| format!("[{name}]\noauth2_scope = mail\nclient_id = x\n{lines}\n");
    let accounts = [
        other(
            "a@corp.example",
            "permission_url = https://u:S3CR@corp.example/a\ntoken_url = https://corp.example/t",
        ),
        other(
            "b@corp.example",
            "permission_url = https://corp.example/a\ntoken_url = https://S3CR@corp.example/t",
        ),
        other(
            "c@corp.example",
            "permission_url = https://corp.example/a\ntoken_url = https://u:S3/CR@corp.example/t",
        ),
        account("d@corp.example", "redirect_uri = http://u:S3CR@elsewhere.example/"),
        other(
            "e@corp.example",
            "permission_url = https://corp.example/a?k=S3CR\ntoken_url = https://corp.example/t?code=S3CR",
        ),
    ];
    let home = Home::with(&format!("{SERVER}{}", accounts.concat()));
    let shows = |ran: &Ran| ["S3CR", "S3/CR"].iter().any(|secret| format!("{ran:?}").contains(secret));
    let planned = home.import(&[]);
    assert!(planned.code == 0 && !shows(&planned), "{planned:?}");
    for line in [
        "  [a@corp.example] in line 5: permission_url has a user name or a password before its host, which would be shown with it; take them out of a copy, and import that",
        "  [b@corp.example] in line 10: token_url has a user name",
        "  [c@corp.example] in line 15: token_url has a user name",
        "  [d@corp.example] in line 20: redirect_uri has a user name",
        "authorize_url = \"https://corp.example/a?(kept)\"",
        "token_url = \"https://corp.example/t?(kept)\"",
    ] {
        assert!(planned.out.contains(line), "{line}\n{}", planned.out);
    }
    let ran = home.import(&["--apply", "--without-passwords"]);
    assert!(ran.code == 3 && !shows(&ran), "{ran:?}");
    let written = std::fs::read_to_string(home.path(".config/imap-oauth-proxy/config.toml")).unwrap();
    assert!(
        !written.contains("@") && written.contains("token_url = \"https://corp.example/t?code=S3CR\"\n"),
        "{written}"
    );
}

#[test]
fn where_no_port_moves_the_new_ones_are_named_and_a_section_that_stays_changes_nothing() {
    let one = account("a@corp.example", "");
    let at_microsoft = "[b@corp.example]\npermission_url = https://LOGIN.microsoftonline.com/1234-abc/oauth2/v2.0/authorize \n\
                        token_url=https://LOGIN.microsoftonline.com/1234-abc/oauth2/v2.0/token\t\noauth2_scope = x\nclient_id = y\n\
                        client_secret =\no365_shared_mailbox = True\n";
    let ran = Home::with(at_microsoft).import(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let usual = "  no section of a server moves, so `serve` takes IMAP on port 1993 and submission on port 1465 of this machine, with TLS; \
                 set mail programs to that, or write [[listeners]] with the old ports\n";
    for line in [
        usual,
        "tenant = \"1234-abc\"\n",
        "  [b@corp.example] in line 7: the option there is none of email-oauth2-proxy's",
    ] {
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    let quoted = SERVER.replace("localhost", "\"127.0.0.1\"");
    let ran = Home::with(&format!("{quoted}{one}")).import(&[]);
    assert!(
        ran.out.contains("local_address \"\\\"127.0.0.1\\\"\" is no IP address") && ran.out.contains(usual),
        "{ran:?}"
    );

    let there = "[IMAP-1993]\nserver_address = 127.0.0.1\nserver_port = 1\n";
    let second = there.replace("IMAP", "POP");
    let ran = Home::with(&format!("{there}{second}{one}")).import(&[]);
    assert!(ran.out.contains("  [POP-1993] in line 4: [IMAP-1993] has its port already"), "{ran:?}");
    assert!(
        ran.out.contains("  [IMAP-1993]: port 1993 took passwords in cleartext from everywhere"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("  [POP-1993]:") && !ran.out.contains(usual), "{ran:?}");
}

#[test]
fn pop3_moves_too() {
    let pop = "[POP-1995]\nserver_address = outlook.office365.com\nserver_port = 995\n\
               [POP-2995]\nserver_address = pop.acme.example\nserver_port = 995\n";
    let ran = Home::with(&format!("{pop}{WIDE}")).import(&[]);
    for part in ["# [POP-1995]\n[[listeners]]\nprotocol = \"pop3\"\n", "pop3 = \"pop.acme.example:995\"\n"] {
        assert!(ran.out.contains(part), "{part}\n{ran:?}");
    }
}

/// The mail password is the secret of some clients in this configuration, and of no other.
const PASSWORD_IS_SECRET: &str = include_str!("configs/emailproxy/password-as-secret.config");
/// The same for a whole domain.
const PASSWORD_OF_ALL: &str = include_str!("configs/emailproxy/password-of-all.config");

#[test]
fn a_mail_password_replaces_no_client_secret_and_is_never_shown() {
    let home = Home::with(PASSWORD_IS_SECRET);
    let given =
        "plain@corp.example:mailpw-plain-1\nnone@corp.example:mailpw-none-1\nsvc@ws.example:mailpw-SVC\n";
    std::fs::write(home.path("passwords"), given).unwrap();
    let planned = home.import(&["--passwords", "passwords"]);
    assert!(!format!("{planned:?}").contains("mailpw"), "{planned:?}");
    assert!(!format!("{planned:?}").contains("THE-REAL-SECRET"), "{planned:?}");
    assert!(planned.out.contains("service_account_file = \"/etc/key.json\"\n"), "{planned:?}");

    // At a provider that is not there, the same is written.
    let [microsoft, google] = [
        "https://login.microsoftonline.com/corp.example/oauth2/v2.0/token",
        "https://oauth2.googleapis.com/token",
    ];
    let near = PASSWORD_IS_SECRET
        .replace(microsoft, "http://127.0.0.1:1/token")
        .replace(google, "http://127.0.0.1:1/t");
    std::fs::write(
        home.path("emailproxy.config"),
        near.replace("imap.gmail.com", "127.0.0.1")
            .replace("outlook.office365.com\nserver_port = 993", "127.0.0.1\nserver_port = 993"),
    )
    .unwrap();
    let ran = home.import(&["--passwords", "passwords", "--apply"]);
    assert!(ran.code == 3 && !format!("{ran:?}").contains("mailpw"), "{ran:?}");
    let written = std::fs::read_to_string(home.path(".config/imap-oauth-proxy/config.toml")).unwrap();
    let secrets: Vec<&str> = written.lines().filter(|line| line.starts_with("client_secret")).collect();
    assert_eq!(
        secrets,
        ["client_secret = \"THE-REAL-SECRET\"", "client_secret = \"mailpw-none-1\""],
        "{written}"
    );
    assert!(!written.contains("mailpw-plain") && !written.contains("mailpw-SVC"), "{written}");
}

#[test]
fn a_password_that_opens_nothing_of_its_account_is_not_its_client_secret() {
    let home = Home::with(PASSWORD_OF_ALL);
    for (password, moves) in [("whatever1234", false), ("pässwörd 1", true)] {
        std::fs::write(home.path("passwords"), format!("u1@corp.example:{password}\n")).unwrap();
        let ran = home.import(&["--passwords", "passwords"]);
        assert!(!format!("{ran:?}").contains(password), "{ran:?}");
        let said = "its client secret is its mail password, which was not given, or does not open what email-oauth2-proxy keeps of it";
        assert_eq!(ran.out.contains(&format!("[u1@corp.example] in line 13: {said}")), !moves, "{ran:?}");
        assert_eq!(
            ran.out.contains("  u1@corp.example at microsoft365-2: the application's own right"),
            moves,
            "{ran:?}"
        );
    }
}

/// Several clients at one provider, for the accounts of one domain.
const CLIENTS: &str = include_str!("configs/emailproxy/clients.config");

#[test]
fn a_printed_cure_begins_the_consent_of_the_accounts_own_client() {
    let at = |text: &str| {
        text.replace("https://login.microsoftonline.com/common/oauth2/v2.0", "http://127.0.0.1:1")
            .replace("outlook.office365.com", "127.0.0.1")
            .replace("smtp.office365.com", "127.0.0.1")
    };
    let home = Home::with(&at(CLIENTS));
    let ran = home.import(&["--apply", "--without-passwords"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let listed: serde_json::Value =
        serde_json::from_str(&home.run(&["tokens", "list", "--json"]).out).unwrap();
    for (account, client) in [
        ("old@corp.example", "cid"),
        ("imaponly@corp.example", "cid2"),
        ("dflt@corp.example", "cid3"),
        ("bare@corp.example", "cid4"),
    ] {
        let entry = listed.as_array().unwrap().iter().find(|entry| entry["account"] == account).unwrap();
        let cure = entry["cure"]["command"].as_str().unwrap();
        let words: Vec<&str> = cure.split(' ').skip(1).chain(["--no-browser", "--timeout", "1"]).collect();
        let ran = home.run(&words);
        let url = ran.out.lines().next().unwrap_or_default();
        assert!(url.contains(&format!("client_id={client}&")), "{cure}\n{ran:?}");
    }
    // A domain without a table is no obstacle for an account that is here, and one for a new account.
    let config = home.path(".config/imap-oauth-proxy/config.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("\"corp.example\"", "\"other.example\"");
    std::fs::write(&config, text).unwrap();
    let begin = |account| home.run(&["authorize", account, "--no-browser", "--timeout", "1"]);
    assert!(begin("imaponly@corp.example").out.contains("client_id=cid2&"));
    let unknown = begin("new@corp.example");
    assert!(unknown.err.contains("--provider NAME") && unknown.out.is_empty(), "{unknown:?}");
    let other = home.run(&[
        "authorize",
        "imaponly@corp.example",
        "--provider",
        "gmail",
        "--no-browser",
        "--timeout",
        "1",
    ]);
    assert!(other.out.contains("client_id=gc&"), "a provider that is named comes first: {other:?}");
}

/// Exchange in a company's own house, with tokens of Microsoft's sign-in service.
const HYBRID: &str = include_str!("configs/emailproxy/hybrid.config");

/// The new configuration that a dry run shows.
fn shown(ran: &Ran) -> Config {
    let (_, text) = ran.out.split_once("without what is secret:\n").unwrap();
    let (text, _) = text.split_once("These ").unwrap();
    Config::parse(&format!("state_directory = \"/x\"\n{text}"), None).unwrap()
}

/// The mail servers of that provider.
fn servers(config: &Config, provider: &str) -> Vec<String> {
    config.providers[provider].services.iter().map(|service| service.endpoint.to_string()).collect()
}

#[test]
fn an_exchange_server_in_the_own_house_does_not_become_microsofts() {
    let unused = "  [IMAP-1994]: no provider in the new configuration has the server Outlook.Office365.com; through this port, an account reaches the server of its own provider\n";
    let [imap, pop3, smtp] =
        ["outlook.office365.com:993", "outlook.office365.com:995", "smtp.office365.com:587"];
    let [own_imap, own_smtp] = ["mail.corp.example:993", "mail.corp.example:587"];
    let without = |section: &str| {
        let (before, after) = HYBRID.split_once(section).unwrap();
        format!("{before}{}", &after[after.find("\n[").unwrap()..])
    };
    let for_microsoft =
        |text: &str| text.replace("https://mail.corp.example/", "https://outlook.office.com/");
    for (config, expected, is_unused) in [
        // The scopes name the server.
        (HYBRID.to_owned(), [own_imap, pop3, own_smtp], true),
        // A preset's server is there, whatever its case: it stays. The other door has only the company's.
        (for_microsoft(HYBRID), [imap, pop3, own_smtp], false),
        (for_microsoft(&without("[IMAP-1994]")), [own_imap, pop3, own_smtp], false),
        (
            for_microsoft(&without("[IMAP-1994]")).replace("mail.corp", "mx.other"),
            ["mx.other.example:993", pop3, "mx.other.example:587"],
            false,
        ),
        // Only reading is moved, and another provider's server says nothing about this one.
        (for_microsoft(&without("[SMTP-1587]")), [imap, pop3, smtp], false),
    ] {
        let ran = Home::with(&config).import(&[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown = shown(&ran);
        assert_eq!(servers(&shown, "microsoft365"), expected, "{config}\n{}", ran.out);
        assert_eq!(ran.out.contains(unused), is_unused, "{config}\n{}", ran.out);
        // No scope of Microsoft's own server is asked for besides.
        let provider = &shown.providers["microsoft365"];
        if expected == [own_imap, pop3, own_smtp] {
            let asked = provider.asked_for(&[Door::Imap, Door::Submission]);
            assert_eq!(asked, provider.scopes, "{asked:?}");
        }
    }
    let ran = Home::with(&for_microsoft(HYBRID)).import(&[]);
    assert!(
        ran.out.contains(
            "  [IMAP-1993]: no provider in the new configuration has the server mail.corp.example;"
        ),
        "{ran:?}"
    );
    for config in [WIDE, STRANGE, CLIENTS] {
        let ran = Home::with(config).import(&[]);
        assert!(!ran.out.contains("no provider in the new configuration has"), "{}", ran.out);
    }
}

#[test]
fn a_sign_in_service_of_another_name_uses_the_servers_of_its_preset() {
    // Thunderbird signs in to Mail.ru at o2.mail.ru. The head is the sample's.
    let config = "[Email OAuth 2.0 Proxy configuration file]\ndocumentation = a\n\tb\nformat = c\nwarning = d\n\
        [Server setup]\ndocumentation = e\n[IMAP-8143]\nserver_address = imap.mail.ru\nserver_port = 993\n\
        [SMTP-8025]\nserver_address = smtp.other.example\nserver_port = 465\n\
        [bob@mail.ru]\npermission_url = https://o2.mail.ru/login\ntoken_url = https://o2.mail.ru/token\n\
        oauth2_scope = mail.imap\nclient_id = x\n";
    let ran = Home::with(config).import(&[]);
    assert_eq!(servers(&shown(&ran), "at-mail-ru"), ["imap.mail.ru:993", "smtp.other.example:465"]);
    assert!(!ran.out.contains("[Email OAuth 2.0 Proxy configuration file]"), "{}", ran.out);
    assert!(!ran.out.contains("no provider in the new configuration has"), "{}", ran.out);
}

/// A configuration of catch-alls only.
const CATCH_ALL: &str = include_str!("configs/emailproxy/catch-all.config");
/// A client secret that only the mail password opens.
const LOCKED: &str = include_str!("configs/emailproxy/locked-secret.config");
/// A redirect port for each account, as the sample of email-oauth2-proxy recommends.
const REDIRECTS: &str = include_str!("configs/emailproxy/redirects.config");
/// Codes for another device.
const DEVICE: &str = include_str!("configs/emailproxy/device.config");
/// Certificates that can be read, and others.
const CERTIFICATES: &str = include_str!("configs/emailproxy/certificates.config");
/// Many providers, and ports that are not free here.
const PROVIDERS: &str = include_str!("configs/emailproxy/providers.config");

#[test]
fn a_configuration_of_catch_alls_only_gets_its_table_and_the_command_for_its_account() {
    let home = Home::with(CATCH_ALL);
    let command = "imap-oauth-proxy authorize @corp.example --provider microsoft365 --app";
    let planned = home.import(&[]);
    assert!(planned.code == 0 && planned.out.contains(command), "{planned:?}");
    assert!(!planned.out.contains("These accounts would move"), "{planned:?}");
    let ran = home.import(&["--apply", "--without-passwords"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.err.contains(&format!("Next:\n  {command}\n")), "{ran:?}");
    let config = Config::load(Some(&home.path(".config/imap-oauth-proxy/config.toml"))).unwrap();
    assert!(config.providers["microsoft365"].app.is_some() && config.listeners.len() == 1);
    assert_eq!(config.provider_of("any@corp.example").unwrap().name, "microsoft365");

    // Where each mailbox's password was the secret, the one of the whole domain has to be written.
    let ran = Home::with(PASSWORD_OF_ALL).import(&[]);
    let said = "the password of each mailbox was the client secret there; write one as client_secret into [providers.microsoft365], then an account for the whole domain can be made: ";
    assert!(ran.code == 0 && ran.out.contains(&format!("{said}{command}\n")), "{ran:?}");
    assert!(!ran.out.contains("client_secret = "), "{ran:?}");
}

#[test]
fn a_dry_run_asks_for_no_password_and_says_for_which_account_it_would() {
    for (config, said) in [
        (
            LOCKED,
            "  room@corp.example: you will be asked for its mail password, which opens its client secret, and keeps working\n",
        ),
        (
            PASSWORD_OF_ALL,
            "  u1@corp.example: you will be asked for its mail password, which is its client secret, and keeps working\n",
        ),
    ] {
        let home = Home::with(config);
        let ran = home.import(&[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.out.contains(said), "{said}\n{}", ran.out);
        assert!(!ran.out.contains("not given"), "{}", ran.out);
    }
    let home = Home::with(LOCKED);
    let ran = home.import(&["--without-passwords"]);
    assert!(
        ran.code == 1 && ran.out.contains("[room@corp.example] in line 7: its client secret is locked"),
        "{ran:?}"
    );
    std::fs::write(home.path("passwords"), "room@corp.example:pässwörd 1\n").unwrap();
    let ran = home.import(&["--passwords", "passwords"]);
    assert!(
        ran.code == 0 && ran.out.contains("  room@corp.example at microsoft365: the application's own"),
        "{ran:?}"
    );
}

#[test]
fn accounts_that_differ_in_the_port_of_their_redirect_alone_share_a_table() {
    let said = "  [providers.microsoft365]: its accounts had redirects on several ports of this machine, and share http://localhost:8080 now, which must be registered at the provider\n";
    let home = Home::with(REDIRECTS);
    let ran = home.import(&[]);
    assert_eq!(ran.out.matches(said).count(), 1, "{}", ran.out);
    let config = shown(&ran);
    let of_client =
        |id: &str| config.providers.values().filter(|it| it.client_id.as_deref() == Some(id)).count();
    assert_eq!(of_client("c1111111-0000-0000-0000-000000000001"), 1, "{}", ran.out);
    assert_eq!(config.providers["microsoft365"].redirect_uri.as_str(), "http://localhost:8080/");
    for line in [
        // A redirect by https is received elsewhere, so its answer is pasted.
        "imap-oauth-proxy authorize native@corp.example --provider microsoft365-2 --paste",
        "[oob@gmail.com]: redirect_uri \"urn:ietf:wg:oauth:2.0:oob\" is neither https nor an http address of this machine",
        // Older endpoints have the servers of the newer ones.
        "  v1@corp.example at at-corp-example: ",
        "  live@outlook.com at at-outlook-com: ",
    ] {
        let ran = home.import(&["--without-passwords"]);
        assert!(ran.out.contains(line), "{line}\n{}", ran.out);
    }
    assert_eq!(servers(&config, "at-corp-example")[0], "outlook.office365.com:993");

    // A table that is there already is shared too.
    let at = |text: &str| {
        text.replace("https://login.microsoftonline.com/common/oauth2/v2.0", "http://127.0.0.1:1")
    };
    let own = "[IMAP-1993]\nserver_address = 127.0.0.1\nserver_port = 1\nlocal_address = localhost\n";
    let accounts =
        &REDIRECTS[REDIRECTS.find("[a@corp.example]").unwrap()..REDIRECTS.find("[me@hotmail.com]").unwrap()];
    let home = Home::with(&format!("{own}{}", at(accounts)));
    assert_eq!(home.import(&["--apply", "--without-passwords"]).code, 3);
    let ran = home.import(&["--apply", "--without-passwords"]);
    assert!(ran.out.starts_with("Every account is here already"), "{ran:?}");
}

#[test]
fn what_passes_by_itself_needs_no_new_consent_and_a_code_flow_stays_one() {
    let home = Home::with(DEVICE);
    std::fs::write(home.path("passwords"), "ok@corp.example:pässwörd 1\ndev@corp.example:devpassword\n")
        .unwrap();
    let words = ["--passwords", "passwords", "--apply"];
    let ran = home.import(&words);
    assert_eq!(ran.code, 3, "{ran:?}");
    let (_, next) = ran.err.split_once(". Next:\n").unwrap();
    let provider = "--provider at-corp-example";
    assert!(next.starts_with(&format!("  imap-oauth-proxy authorize dev@corp.example {provider} --device\n  imap-oauth-proxy tokens refresh ok@corp.example\n")), "{next}");
    assert!(!next.contains("authorize ok@"), "{next}");
    let again = home.import(&words);
    let dev = again.out.lines().find(|line| line.contains("dev@corp.example:")).unwrap();
    assert!(dev.ends_with("--device") && !dev.contains("remove"), "there is no token to move: {dev}");
}

#[test]
fn the_first_certificate_that_can_be_read_is_chosen_before_it_is_said() {
    let home = Home::with(CERTIFICATES);
    for name in ["c1.pem", "k1.pem", "comb.pem"] {
        std::fs::write(home.path(name), "").unwrap();
    }
    let ran = home.import(&[]);
    let (missing, first, other) = (home.path("missing.pem"), home.path("c1.pem"), home.path("comb.pem"));
    for said in [
        format!("  [IMAP-1993]: {} cannot be read, so the listener shows {}, the first certificate that can be\n", missing.display(), first.display()),
        format!("  [SMTP-1587]: it had the certificate {}, and all listeners show the first one of the file now\n", other.display()),
        "  [SMTP-1588]: local_starttls needs a certificate and its key, and has none, so the port takes no STARTTLS\n".to_owned(),
        format!("certificate = \"{}\"\n", first.display()),
    ] {
        assert!(ran.out.contains(&said), "{said}\n{}", ran.out);
    }
    assert!(!ran.out.contains("[IMAP-1993]: it had"), "{}", ran.out);
}

#[test]
fn the_page_gives_way_to_a_port_and_obstacles_name_their_sections() {
    let ran = Home::with(PROVIDERS).import(&[]);
    for said in [
        "\n[admin]\naddress = \"127.0.0.1:8994\"\n",
        "  [IMAP-8993]: it has the usual port of the page for administrators, which is at 127.0.0.1:8994 now\n",
        "  [POP-8995]: 10.0.0.7:8995 cannot be listened on: ",
        "# [SMTP-2587]\nsmtp = \"smtp.zoho.eu:587\"\n",
    ] {
        assert!(ran.out.contains(said), "{said}\n{}", ran.out);
    }
    assert_eq!(ran.out.matches("[POP-8995]: 10.0.0.7:8995 cannot").count(), 1, "{}", ran.out);
    assert!(!ran.out.contains("listeners."), "{}", ran.out);
}

#[test]
fn a_configuration_that_is_not_readable_names_the_user_and_ends_with_2() {
    if rustix::process::geteuid().is_root() {
        // Root reads everything.
        return;
    }
    let home = Home::with(UNREACHABLE);
    std::fs::write(home.path("mine.toml"), "state_directory = \"state\"\n").unwrap();
    std::fs::set_permissions(home.path("mine.toml"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let ran = home.import(&["--config", "mine.toml"]);
    assert!(ran.code == 2 && ran.err.contains("hint: run it as that user: sudo -u"), "{ran:?}");
}
