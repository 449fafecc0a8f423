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

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_dry_run_says_what_will_be_and_what_stays_behind_and_writes_nothing() {
    let home = Home::with(WIDE);
    let ran = home.import(&["--passwords", "passwords"]);
    assert_eq!(ran.code, 0, "{ran:?}");
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
        "  [SMTP-2587] in line 26: server_port (line 28) is missing or cannot be right",
        "  [SMTP-2588] in line 29: local_starttls (line 32) is missing or cannot be right",
        "  [IMAP-4993] in line 33: local_address \"mail.corp.example\" is no IP address; write the address itself, and import again",
        "  [e@corp.example] in line 71: client_id still says what the sample says",
        "  [F@corp.example] in line 76: [f@corp.example] is the same name, since case does not count here; remove one of them, and import again",
        "  [f@corp.example] in line 78: [F@corp.example] is the same name, since case does not count here; remove one of them, and import again",
        "  [g@corp.example] in line 80: oauth2_flow = password gives the mail password to the provider, which this program never does; authorise the account by consent instead",
        "  [@dom.example] in line 84: an account for a whole domain gets a password of its own, once it serves here: imap-oauth-proxy authorize @dom.example --provider microsoft365-4 --app",
        "  h@corp.example at microsoft365: its token_salt cannot be right, so its token cannot be opened, so it has to be authorised: imap-oauth-proxy authorize h@corp.example --provider microsoft365; it has no password here yet: imap-oauth-proxy passwords create h@corp.example --name NAME",
        "  [i@corp.example] in line 98: its client secret is locked with its password, which was not given or does not fit",
        "  [j@corp.example] in line 104: its provider cannot be configured here: providers.at-corp-example.token_url: http would send secrets in clear over the network",
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
    assert!(ran.err.ends_with(end), "{ran:?}");
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

#[test]
fn a_configuration_that_cannot_be_looked_at_is_not_passed_by() {
    let home = Home::with(UNREACHABLE);
    std::fs::create_dir_all(home.path(".config")).unwrap();
    std::fs::write(home.path(".config/imap-oauth-proxy"), "a file in the place of the directory").unwrap();
    let inside = home.path(".config/imap-oauth-proxy/config.toml");
    let ran = home.import(&["--config", inside.to_str().unwrap()]);
    assert!(ran.code == 1 && ran.err.contains("cannot be read"), "{ran:?}");
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
    assert!(home.import(&["--passwords", "passwords"]).out.contains("there is no refresh token of it"));
    let json =
        format!("{{\"a@corp.example\": {{\"refresh_token\": \"{token}\", \"client_id\": \"not cached\"}}}}");
    std::fs::write(home.path("cache"), json).unwrap();
    let ran = home.import(&["--passwords", "passwords", "--cache-store", "cache"]);
    assert!(ran.out.contains("a@corp.example at microsoft365: its refresh token opens"), "{ran:?}");
    assert!(!ran.out.contains("not cached"));
    std::fs::write(home.path("cache"), "{\"a\":\n 1}").unwrap();
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
fn pop3_moves_too() {
    let pop = "[POP-1995]\nserver_address = outlook.office365.com\nserver_port = 995\n\
               [POP-2995]\nserver_address = pop.acme.example\nserver_port = 995\n";
    let ran = Home::with(&format!("{pop}{WIDE}")).import(&[]);
    for part in ["# [POP-1995]\n[[listeners]]\nprotocol = \"pop3\"\n", "pop3 = \"pop.acme.example:995\"\n"] {
        assert!(ran.out.contains(part), "{part}\n{ran:?}");
    }
}
