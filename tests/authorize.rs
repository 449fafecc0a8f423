//! Every way to authorise an account, from the command to a mail program's login, and the messages when it
//! fails.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{ALICE, BOB, Ran, Site, pseudo_terminal};
use sandbox::{Client, Flavour, LoginFault, Sandbox, TokenFault, Vendor};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

const SHARED: &str = "shared@example.com";

/// A running command, whose standard output is read line by line.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    fn start(site: &Site, words: &[&str]) -> Self {
        let mut child = site.command(words).stdin(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    async fn type_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        stdin.flush().await.unwrap();
    }

    async fn end(mut self) -> Ran {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).await.unwrap();
        let output = self.child.wait_with_output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: rest, err }
    }

    fn interrupt(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }
}

/// The mail program reads mail with the settings that `authorize` printed.
async fn reads_mail(site: &Site, settings: &Value) {
    let serving = site.serve().await;
    let mut session = serving.log_in(settings).await;
    assert!(session.command("SELECT INBOX").await.is_ok());
    site.sandbox.assert_no_violations();
}

async fn nothing_is_stored(site: &Site) {
    assert!(site.tokens().await.0.is_empty());
}

#[tokio::test]
async fn an_address_pasted_from_any_browser_authorises() {
    let site = Site::new().await;
    let mut command = Running::start(&site, &["authorize", ALICE, "--paste", "--json"]);
    let url = command.line().await;
    let address = site.sandbox.browser().consent_and_copy(&url, Some(ALICE)).await.unwrap();
    command.type_line("https://example.com/?wrong=1").await;
    command.type_line("http://127.0.0.1/callback?state=junk&code=4%2F0junk").await;
    command.type_line(&format!("  \"{address}\"")).await;
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("whole address") && ran.err.contains("not the answer"), "{}", ran.err);
    let code = address.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert!(!ran.err.contains(code) && !ran.err.contains("0junk") && !ran.out.contains(code), "{ran:?}");
    reads_mail(&site, &ran.json()).await;
}

#[tokio::test]
async fn a_long_address_pasted_into_a_terminal_is_taken_whole_and_not_echoed() {
    let site = Site::new().await;
    let (mut keyboard, terminal) = pseudo_terminal();
    let words = ["authorize", ALICE, "--paste", "--json"];
    let mut child = site.command(&words).stdin(terminal).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    out.read_line(&mut url).await.unwrap();
    let address = site.sandbox.browser().consent_and_copy(url.trim(), Some(ALICE)).await.unwrap();
    let long = format!("{address}&padding={}\r", "x".repeat(6000));
    let typing = tokio::task::spawn_blocking(move || {
        std::io::Write::write_all(&mut keyboard, long.as_bytes()).unwrap();
        keyboard
    });
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut shown = Vec::new();
    // The terminal's other end is closed, which a read reports as an error.
    let _ = std::io::Read::read_to_end(&mut typing.await.unwrap(), &mut shown);
    assert_eq!(String::from_utf8_lossy(&shown), "");
}

#[tokio::test]
async fn a_bare_query_is_pasted_as_well() {
    let site = Site::new().await;
    let mut command = Running::start(&site, &["authorize", ALICE, "--paste", "--json"]);
    let url = command.line().await;
    let address = site.sandbox.browser().consent_and_copy(&url, Some(ALICE)).await.unwrap();
    command.type_line(address.split_once('?').unwrap().1).await;
    assert_eq!(command.end().await.code, 0);
}

#[tokio::test]
async fn no_paste_and_a_wrong_one_store_nothing() {
    let site = Site::new().await;
    let ran = site.run_with(&["authorize", ALICE, "--paste"], "").await;
    assert!(ran.code == 1 && ran.error().contains("no address was pasted"), "{ran:?}");
    let ran = site.run_with(&["authorize", ALICE, "--paste"], "4/0AfJohX\n").await;
    assert!(ran.code == 1 && ran.error().contains("whole address"), "{ran:?}");
    nothing_is_stored(&site).await;
}

#[tokio::test]
async fn a_confidential_web_client_pastes_from_its_own_https_address() {
    let site = web_client_site("").await;
    let mut command = Running::start(&site, &["authorize", ALICE, "--paste", "--json"]);
    let url = command.line().await;
    let address = site.sandbox.browser().consent_and_copy(&url, Some(ALICE)).await.unwrap();
    assert!(address.starts_with("https://mail.example/oauth?"), "{address}");
    command.type_line(&address).await;
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    reads_mail(&site, &ran.json()).await;
}

#[tokio::test]
async fn a_confidential_web_client_is_answered_through_the_daemon_behind_a_reverse_proxy() {
    let site = web_client_site("[callback]\naddress = \"127.0.0.1:0\"\n").await;
    let mut serving = site.serve().await;
    let said = serving.said("sign-ins are received on").await;
    let port = said.rsplit(':').next().unwrap().trim().to_owned();
    let at_the_daemon =
        |address: &str| address.replace("https://mail.example", &format!("http://127.0.0.1:{port}"));
    let browser = site.sandbox.browser();
    let junk = browser.get(&at_the_daemon("https://mail.example/oauth?state=junk&code=c")).await.unwrap();
    assert_eq!(junk.status, 400);

    let mut command = Running::start(&site, &["authorize", ALICE, "--no-browser", "--json"]);
    let url = command.line().await;
    let address = browser.consent_and_copy(&url, Some(ALICE)).await.unwrap();
    assert_eq!(browser.get(&at_the_daemon("https://mail.example/other?x")).await.unwrap().status, 404);
    assert_eq!(browser.get(&at_the_daemon(&address)).await.unwrap().status, 200);
    assert_eq!(browser.get(&at_the_daemon(&address)).await.unwrap().status, 400, "it is taken once");
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(serving.log_in(&ran.json()).await.command("SELECT INBOX").await.is_ok());
}

#[tokio::test]
async fn without_the_daemons_callback_an_https_redirect_names_paste() {
    let site = web_client_site("").await;
    let ran = site.run(&["authorize", ALICE, "--no-browser"]).await;
    assert!(
        ran.code == 1 && ran.error().contains("--paste") && ran.error().contains("[callback]"),
        "{ran:?}"
    );
}

async fn web_client_site(more: &str) -> Site {
    let client = Client {
        id: "web".to_owned(),
        secret: Some("web-secret".to_owned()),
        redirect_uris: vec!["https://mail.example/oauth".to_owned()],
        installed: false,
        keys: Vec::new(),
    };
    let site = Site::with_config(Sandbox::builder().user(ALICE).client(client), more).await;
    append(&site, "redirect_uri = \"https://mail.example/oauth\"\n");
    site
}

fn append(site: &Site, text: &str) {
    let before = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&site.config, before + text).unwrap();
}

#[tokio::test]
async fn a_code_entered_on_another_device_authorises() {
    let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
    site.sandbox.controls().oauth(|oauth| oauth.device_interval = 1);
    let mut command = Running::start(&site, &["authorize", ALICE, "--device", "--json"]);
    assert!(command.line().await.starts_with("http"));
    let code = command.line().await;
    site.sandbox.controls().wait_for(|stats| stats.device_polls >= 1).await;
    site.sandbox.controls().approve_device(&code, ALICE);
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains('█') || ran.err.contains('▀'), "a QR code: {}", ran.err);
    reads_mail(&site, &ran.json()).await;
}

#[tokio::test]
async fn a_declined_or_ended_device_code_stores_nothing() {
    for (end, said) in
        [("declined", "the consent was declined ("), ("ended", "the code was not used in time (")]
    {
        let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
        site.sandbox.controls().oauth(|oauth| oauth.device_interval = 1);
        let mut command = Running::start(&site, &["authorize", ALICE, "--device"]);
        command.line().await;
        let code = command.line().await;
        match end {
            "declined" => site.sandbox.controls().decline_device(&code),
            _ => site.sandbox.controls().expire_device(&code),
        }
        let ran = command.end().await;
        assert!(ran.code == 1 && ran.error().contains(said), "{end}: {ran:?}");
        nothing_is_stored(&site).await;
    }
}

#[tokio::test]
async fn a_provider_without_device_flow_names_the_alternative() {
    let site = Site::new().await;
    append(&site, "no_device = \"No device flow here\"\n");
    let ran = site.run(&["authorize", ALICE, "--device"]).await;
    assert!(
        ran.code == 1 && ran.error().contains("No device flow here") && ran.error().contains("--paste"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn an_application_with_a_secret_opens_a_mailbox_and_a_whole_domain() {
    let site = app_site("app_scopes = [\"https://outlook.office365.com/.default\"]\n").await;
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let serving = site.serve().await;
    let mut session = serving.log_in(&ran.json()).await;
    assert!(session.command("SELECT INBOX").await.is_ok());

    let ran = site.run(&["authorize", "@example.com", "--app", "--json", "--probe", BOB]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let password = ran.json()["password"].as_str().unwrap().to_owned();
    let mut session = serving.log_in(&json!({"username": BOB, "password": password})).await;
    assert!(session.command("SELECT INBOX").await.is_ok());
    let mut client = serving.client().await;
    let exact = client.command(&format!("LOGIN {ALICE} {password}")).await;
    assert!(!exact.is_ok(), "an account of its own is not opened by the domain's password: {exact:?}");
    let asked = site.sandbox.controls().stats().client_credentials;
    let mut again = serving.log_in(&json!({"username": "BOB@example.com", "password": password})).await;
    assert!(again.command("NOOP").await.is_ok());
    assert_eq!(site.sandbox.controls().stats().client_credentials, asked, "one token for the whole domain");
    assert_eq!(site.sandbox.controls().logins().pop().unwrap().user, "BOB@example.com", "upstream as given");

    site.sandbox.controls().expire_access_tokens();
    let ran = site.run(&["tokens", "refresh", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["kind"].as_str(), code), (Some("app"), 0), "{tokens:?}");
}

#[tokio::test]
async fn an_application_needs_an_app_password() {
    let site = app_site("app_scopes = [\"https://outlook.office365.com/.default\"]\n").await;
    let ran = site.run(&["authorize", ALICE, "--app", "--no-app-password"]).await;
    assert!(ran.code == 1 && ran.error().contains("app password"), "{ran:?}");
    nothing_is_stored(&site).await;
    let ran = site.run(&["authorize", "@example.com"]).await;
    assert!(ran.code == 1 && ran.error().contains("--app"), "{ran:?}");
}

#[tokio::test]
async fn an_application_that_may_not_open_the_mailbox_stores_nothing() {
    let site = app_site("app_scopes = [\"https://outlook.office365.com/.default\"]\n").await;
    site.sandbox.controls().next_login(LoginFault::Refuse);
    let ran = site.run(&["authorize", ALICE, "--app"]).await;
    assert!(ran.code == 1 && ran.error().contains("nothing is stored"), "{ran:?}");
    nothing_is_stored(&site).await;
    let site = Site::new().await;
    let ran = site.run(&["authorize", ALICE, "--app"]).await;
    assert!(ran.code == 1 && ran.error().contains("no application sign-in is configured"), "{ran:?}");
}

#[tokio::test]
async fn a_service_account_has_a_token_for_each_mailbox() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB)).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let file = json!({"client_email": "proxy@project.example", "private_key": key.serialize_pem()});
    std::fs::write(site.home.path().join("service.json"), file.to_string()).unwrap();
    append(&site, "service_account_file = \"service.json\"\napp_scopes = [\"https://mail.google.com/\"]\n");
    let ran = site.run(&["authorize", "@example.com", "--app", "--json", "--probe", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let password = ran.json()["password"].as_str().unwrap().to_owned();
    let serving = site.serve().await;
    for person in [ALICE, BOB, ALICE, BOB] {
        let mut session = serving.log_in(&json!({"username": person, "password": password})).await;
        assert!(session.command("SELECT INBOX").await.is_ok());
    }
    assert_eq!(site.sandbox.controls().stats().assertions, 3, "the probe, and one for each mailbox");
    let mut client = serving.client().await;
    let nobody = client.command(&format!("LOGIN nobody@example.com {password}")).await;
    assert!(!nobody.is_ok());
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn guesses_at_a_domain_account_count_together_under_whatever_mailbox() {
    let site = app_site("app_scopes = [\"https://outlook.office365.com/.default\"]\n").await;
    let ran = site.run(&["authorize", "@example.com", "--app", "--json"]).await;
    assert!(ran.code == 0 && ran.err.contains("--probe"), "{ran:?}");
    let serving = site.serve().await;
    let mut answers = Vec::new();
    for guess in 0..12 {
        let mut client = serving.client().await;
        answers.push(client.command(&format!("LOGIN guess{guess}@example.com wrong-{guess}")).await.tagged);
    }
    assert!(answers.iter().any(|answer| answer.starts_with("NO [LIMIT]")), "{answers:#?}");
}

async fn app_site(more: &str) -> Site {
    let client = Client {
        id: "application".to_owned(),
        secret: Some("application-secret".to_owned()),
        redirect_uris: Vec::new(),
        installed: false,
        keys: Vec::new(),
    };
    let provider = Sandbox::builder()
        .flavour(Flavour::Exchange)
        .vendor(Vendor::Microsoft)
        .user(ALICE)
        .user(BOB)
        .client(client);
    let site = Site::with(provider).await;
    append(&site, more);
    site
}

#[tokio::test]
async fn a_shared_mailbox_uses_the_owners_grant_without_another_consent() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB).shared_mailbox(SHARED, &[BOB])).await;
    site.authorize(BOB).await;
    let consents = site.sandbox.controls().stats().consents;
    let ran = site.run(&["authorize", SHARED, "--owner", BOB, "--alias", "CORP\\shared", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(site.sandbox.controls().stats().consents, consents);
    let settings = ran.json();
    assert_eq!((settings["owner"].as_str(), settings["account"].as_str()), (Some(BOB), Some(SHARED)));
    let serving = site.serve().await;
    let password = settings["password"].as_str().unwrap();
    for name in [SHARED, "corp\\SHARED", "Shared@Example.com"] {
        let mut client = serving.client().await;
        let quoted = name.replace('\\', "\\\\");
        assert!(client.command(&format!("LOGIN \"{quoted}\" {password}")).await.is_ok(), "{name}");
    }
    let login = site.sandbox.controls().logins().pop().unwrap();
    assert_eq!(login.user, SHARED, "upstream as given to authorize");
}

#[tokio::test]
async fn an_alias_that_is_taken_is_refused_before_anybody_consents() {
    let site = Site::new().await;
    site.authorize(BOB).await;
    assert_eq!(site.run(&["accounts", "alias", BOB, "bobby"]).await.code, 0);
    for alias in [BOB, "BOBBY"] {
        let words = ["authorize", ALICE, "--no-browser", "--timeout", "1", "--alias", alias];
        let ran = site.run(&words).await;
        let said = format!("\"{alias}\" is already a login name of {BOB}");
        assert!(ran.code == 1 && ran.out.is_empty() && ran.error().contains(&said), "{ran:?}");
    }
}

#[tokio::test]
async fn an_owner_who_may_not_open_the_mailbox_changes_nothing() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB)).await;
    site.authorize(BOB).await;
    let ran = site.run(&["authorize", ALICE, "--owner", BOB]).await;
    assert!(
        ran.code == 1 && ran.error().contains("does not open") && ran.error().contains("full access"),
        "{ran:?}"
    );
    assert_eq!(site.tokens().await.0.len(), 1);
}

#[tokio::test]
async fn an_owner_without_a_grant_consents_and_is_the_one_who_is_judged() {
    let site = Site::with(Sandbox::builder().user(ALICE).user(BOB).shared_mailbox(SHARED, &[BOB])).await;
    let ran = site.authorize_with(&[SHARED, "--owner", BOB], Some(ALICE)).await;
    let said = format!("{ALICE} consented, but {BOB} was expected; nothing is stored");
    assert!(ran.code == 1 && ran.error().contains(&said), "{ran:?}");
    nothing_is_stored(&site).await;
    let ran = site.authorize_with(&[SHARED, "--owner", BOB], Some(BOB)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(site.tokens().await.0[0]["owner"], BOB);
}

#[tokio::test]
async fn what_the_person_or_the_provider_withholds_stores_nothing() {
    type Arrange = fn(&Site);
    let cases: [(&str, Arrange); 4] = [
        ("is missing", |site| {
            site.sandbox.controls().oauth(|oauth| oauth.untick = vec!["https://mail.google.com/".to_owned()]);
        }),
        ("no refresh token", |site| site.sandbox.controls().oauth(|oauth| oauth.refresh_tokens = false)),
        ("the sign-in was refused: access was not granted (access_denied)", |site| {
            site.sandbox.controls().oauth(|oauth| oauth.deny = true);
        }),
        ("did not open the mailbox", |site| site.sandbox.controls().next_login(LoginFault::Refuse)),
    ];
    for (said, arrange) in cases {
        let site = Site::new().await;
        arrange(&site);
        let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
        assert!(ran.code == 1 && ran.error().contains(said), "{said}: {ran:?}");
        nothing_is_stored(&site).await;
    }
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_named() {
    let site = Site::new().await;
    site.sandbox.controls().every_token(TokenFault::html());
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert!(ran.code == 1 && ran.error().contains("such as a web page (HTTP 200)"), "{ran:?}");
    nothing_is_stored(&site).await;
}

#[tokio::test]
async fn nobody_consents_in_time() {
    let site = Site::new().await;
    let ran = site.run(&["authorize", ALICE, "--no-browser", "--timeout", "1"]).await;
    assert!(ran.code == 1 && ran.error().contains("nobody consented within 1 s"), "{ran:?}");
    nothing_is_stored(&site).await;
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_behind() {
    for way in ["--no-browser", "--paste", "--device"] {
        let site = Site::with(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE)).await;
        let mut command = Running::start(&site, &["authorize", ALICE, way]);
        assert!(command.line().await.starts_with("http"));
        // Waiting for the child would close its standard input, and the end of input is an answer too.
        let _open = command.child.stdin.take();
        command.interrupt();
        let ended = tokio::time::timeout(Duration::from_secs(20), command.child.wait()).await;
        assert_eq!(ended.expect("it ends at once").unwrap().code(), Some(130), "{way}");
        nothing_is_stored(&site).await;
    }
}

#[tokio::test]
async fn a_preset_without_a_client_shows_how_to_register_one() {
    let site = Site::new().await;
    let ran = site.run(&["authorize", "someone@gmail.com"]).await;
    assert!(ran.code == 1 && ran.error().contains("console.cloud.google.com"), "{ran:?}");
    assert!(ran.err.contains("[providers.gmail]"), "{ran:?}");
}

#[tokio::test]
async fn providers_that_cannot_work_say_why() {
    let site = Site::new().await;
    let ran = site.run(&["authorize", "someone@icloud.com"]).await;
    assert!(ran.code == 1 && ran.error().contains("Apple does not offer OAuth"), "{ran:?}");
    let ran = site.run(&["authorize", "someone@nowhere.example"]).await;
    assert!(ran.code == 1 && ran.error().contains("--provider NAME"), "{ran:?}");
    let ran = site.run(&["authorize", ALICE, "--provider", "nonsense"]).await;
    assert!(ran.code == 1 && ran.error().contains("there is no provider"), "{ran:?}");
}

#[tokio::test]
async fn an_imported_refresh_token_proves_itself() {
    let site = Site::new().await;
    let token = site.sandbox.controls().grant(ALICE);
    let words = ["tokens", "import", ALICE, "--provider", "sandbox"];
    let ran = site.run_with(&words, "1//not-a-token\n").await;
    assert!(ran.code == 1 && !ran.err.contains("1//not-a-token"), "{ran:?}");
    nothing_is_stored(&site).await;
    let ran = site.run_with(&words, &format!("{token}\n")).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = site.run(&["passwords", "create", ALICE, "--name", "mutt", "--json"]).await;
    let made = ran.json();
    reads_mail(&site, &json!({"username": ALICE, "password": made["password"]})).await;
}

#[tokio::test]
async fn a_state_directory_of_somebody_else_is_refused_with_the_line_that_works() {
    let site = Site::new().await;
    let owner = with_a_state_directory_of_somebody_else(&site);
    let words = ["authorize", ALICE, "--no-browser", "--timeout", "1"];
    let ran = site.run(&words).await;
    assert!(ran.code == 1 && ran.error().contains(&format!("belongs to {owner}")), "{ran:?}");
    let line = ran.error().lines().find(|line| line.contains(&format!("sudo -u {owner}"))).unwrap();
    assert!(line.ends_with(&words.join(" ")), "{line}");
    assert!(line.contains(&format!("--config {}", site.config.display())), "{line}");
}

/// Gives the state directory to another user and returns that user's name. Root changes the owner of the
/// site's own directory; other users take a directory of root's.
fn with_a_state_directory_of_somebody_else(site: &Site) -> &'static str {
    std::fs::create_dir(site.state()).unwrap();
    let nobody = 65534;
    if std::os::unix::fs::chown(site.state(), Some(nobody), Some(nobody)).is_ok() {
        return "nobody";
    }
    let text = std::fs::read_to_string(&site.config).unwrap();
    let of_root = text.replacen("state_directory = \"state\"", "state_directory = \"/\"", 1);
    assert_ne!(of_root, text);
    std::fs::write(&site.config, of_root).unwrap();
    "root"
}
