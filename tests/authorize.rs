//! Every way to authorise an account, from the command to a mail program's login, and the messages when it
//! fails.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{ALICE, BOB, Ran, Serving, Site, pseudo_terminal, set_mode};
use sandbox::{Client, Flavour, LoginFault, Sandbox, TokenFault, Vendor, Wall};
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
    let (site, serving, at_the_daemon) = behind_a_reverse_proxy().await;
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
async fn security_row_15_made_up_answers_keep_no_answer_from_a_sign_in() {
    let (site, serving, at_the_daemon) = behind_a_reverse_proxy().await;
    let mut command = Running::start(&site, &["authorize", ALICE, "--no-browser", "--json"]);
    let url = command.line().await;
    let browser = site.sandbox.browser();
    let address = browser.consent_and_copy(&url, Some(ALICE)).await.unwrap();
    let junk = async |number: usize| {
        // Also in the form of a real one.
        let state = if number.is_multiple_of(2) { format!("junk{number}") } else { format!("{number:A>43}") };
        let address = at_the_daemon(&format!("https://mail.example/oauth?state={state}&code=c"));
        browser.get(&address).await.unwrap().status
    };
    let mut statuses = Vec::new();
    for number in 0..200 {
        statuses.push(junk(number).await);
    }
    assert!(statuses.starts_with(&[400; 20]) && statuses.contains(&503), "{statuses:?}");
    let going_on = async {
        for number in 0.. {
            junk(number).await;
        }
    };
    let answered = async { browser.get(&at_the_daemon(&address)).await.unwrap() };
    let answer = tokio::select! {
        answer = answered => answer,
        () = going_on => unreachable!("it does not end"),
    };
    assert_eq!(answer.status, 200);
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(serving.log_in(&ran.json()).await.command("SELECT INBOX").await.is_ok());
}

#[tokio::test]
async fn without_the_daemons_callback_an_https_redirect_names_paste() {
    let site = web_client_site("").await;
    let ran = site.run(&["authorize", ALICE, "--no-browser"]).await;
    assert!(
        ran.code == 1 && ran.error().contains("--paste") && ran.error().contains("in [admin]"),
        "{ran:?}"
    );
}

/// A web client's site whose daemon receives the answers, and where an address of the reverse proxy leads to the daemon.
async fn behind_a_reverse_proxy() -> (Site, Serving, impl Fn(&str) -> String) {
    let site = web_client_site("[callback]\naddress = \"127.0.0.1:0\"\n").await;
    let mut serving = site.serve().await;
    let said = serving.said("sign-ins are received on").await;
    let daemon = format!("http://127.0.0.1:{}", said.rsplit(':').next().unwrap().trim());
    (site, serving, move |address: &str| address.replace("https://mail.example", &daemon))
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

/// A client that proves itself by assertions, which are verified with this key.
async fn assertion_site(key: &rcgen::KeyPair, installed: bool) -> Site {
    let client = Client {
        id: "application".to_owned(),
        secret: None,
        redirect_uris: if installed { vec!["http://localhost".to_owned()] } else { Vec::new() },
        installed,
        keys: vec![rcgen::PublicKeyData::der_bytes(key).to_vec()],
    };
    let provider = Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).client(client);
    Site::with(provider).await
}

#[tokio::test]
async fn an_application_proves_itself_with_its_certificate_alone() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let site = assertion_site(&key, false).await;
    let certificate =
        |name: &str| rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let (uploaded, other) = (certificate("uploaded.example"), certificate("other.example"));
    site.sandbox.controls().oauth(|oauth| oauth.certificates = vec![uploaded.der().to_vec()]);
    let write = |name: &str, text: String| {
        let path = site.home.path().join(name);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
    };
    write("app.key", key.serialize_pem());
    write("app.pem", other.pem());
    append(
        &site,
        "app_scopes = [\"https://outlook.office365.com/.default\"]\napp_certificate = \"app.pem\"\napp_key = \"app.key\"\n",
    );
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert!(ran.code == 1 && ran.error().contains("AADSTS700027"), "not the one that was uploaded: {ran:?}");
    nothing_is_stored(&site).await;
    // The files are read at each use.
    write("app.pem", uploaded.pem());
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    append(&site, "app_algorithm = \"RS256\"\n");
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
    let requests = site.sandbox.controls().token_requests();
    assert!(requests.iter().all(|request| request.form.iter().all(|(name, _)| name != "client_secret")));
    reads_mail(&site, &ran.json()).await;
}

/// An assertion as another service signs it for the client.
fn federated(key: &rcgen::KeyPair, lasts: i64) -> String {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let claims = json!({
        "iss": "https://cluster.example", "sub": "system:serviceaccount:mail:proxy",
        "aud": "api://AzureADTokenExchange", "iat": now - 60, "exp": now + lasts,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(&claims));
    let signature = rcgen::SigningKey::sign(key, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_federated_credential_takes_the_place_of_a_secret_and_is_read_anew_each_time() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let site = assertion_site(&key, true).await;
    let controls = site.sandbox.controls();
    controls.oauth(|oauth| oauth.federated_issuer = Some("https://cluster.example".to_owned()));
    append(&site, "client_assertion_file = \"assertion\"\n");
    let path = site.home.path().join("assertion");
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o600);
    };
    // Before a person has signed in.
    for (text, said) in [(None, "cannot be read"), (Some(""), "is empty"), (Some("x"), "no signed assertion")]
    {
        text.into_iter().for_each(write);
        let ran = site.run(&["authorize", ALICE, "--no-browser", "--json"]).await;
        assert!(ran.code == 1 && ran.out.is_empty() && ran.error().contains(said), "{ran:?}");
        assert!(ran.error().contains("client_assertion_file"), "{ran:?}");
    }
    write(&federated(&key, 600));
    site.authorize(ALICE).await;
    let first = federated(&key, 900);
    write(&first);
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
    let sent = controls.token_requests().pop().unwrap();
    assert!(sent.form.contains(&("client_assertion".to_owned(), first)), "{sent:?}");
    // One that has ended costs no grant, and a new one heals it.
    write(&federated(&key, -1));
    let requests = controls.stats().token_requests;
    let ran = site.run(&["tokens", "refresh", ALICE]).await;
    assert!(ran.code == 1 && ran.error().contains("holds an assertion that ended on"), "{ran:?}");
    assert_eq!(controls.stats().token_requests, requests, "nothing was sent");
    assert_eq!(site.tokens().await.0[0]["state"], "misconfigured");
    write(&federated(&key, 600));
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
    assert_eq!(site.run(&["tokens", "revoke", ALICE]).await.code, 0);
}

#[tokio::test]
async fn an_application_signs_in_with_a_federated_credential() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let site = assertion_site(&key, false).await;
    let issuer = Some("https://cluster.example".to_owned());
    site.sandbox.controls().oauth(|oauth| oauth.federated_issuer = issuer);
    let scopes = "app_scopes = [\"https://outlook.office365.com/.default\"]\n";
    append(&site, &format!("{scopes}client_assertion_file = \"assertion\"\n"));
    let path = site.home.path().join("assertion");
    std::fs::write(&path, federated(&key, 600)).unwrap();
    set_mode(&path, 0o600);
    let ran = site.run(&["authorize", ALICE, "--app", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    reads_mail(&site, &ran.json()).await;
}

/// Authorises Alice with `words`, for a token that has ended when this returns.
async fn with_an_ended_token(site: &Site, words: &[&str]) -> Value {
    site.sandbox.controls().next_token(TokenFault::expires_in(json!(1)));
    let ran = match words.contains(&"--app") {
        true => site.run(words).await,
        false => site.authorize_with(words, Some(ALICE)).await,
    };
    assert_eq!(ran.code, 0, "{ran:?}");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    ran.json()
}

/// Serves with `bad` in `file`, then writes `good`: the next login must find it.
async fn heals_at_once(site: &Site, settings: &Value, file: &str, bad: &str, good: &str) {
    let path = site.home.path().join(file);
    std::fs::write(&path, bad).unwrap();
    let serving = site.serve().await;
    let requests = site.sandbox.controls().stats().token_requests;
    for _ in 0..2 {
        let mut client = serving.client().await;
        let refused = client.command(&common::login(settings)).await;
        assert!(refused.refused_with("CONTACTADMIN"), "{refused:?}");
    }
    assert_eq!(site.sandbox.controls().stats().token_requests, requests, "nothing was sent");
    assert_eq!(site.tokens().await.0[0]["state"], "misconfigured");
    std::fs::write(&path, good).unwrap();
    serving.log_in(settings).await;
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
    serving.stop().await;
}

#[tokio::test]
async fn a_running_serve_takes_a_renewed_assertion_at_the_next_login() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let site = assertion_site(&key, true).await;
    let issuer = Some("https://cluster.example".to_owned());
    site.sandbox.controls().oauth(|oauth| oauth.federated_issuer = issuer);
    append(&site, "client_assertion_file = \"assertion\"\n");
    std::fs::write(site.home.path().join("assertion"), federated(&key, 600)).unwrap();
    set_mode(&site.home.path().join("assertion"), 0o600);
    let settings = with_an_ended_token(&site, &[ALICE]).await;
    heals_at_once(&site, &settings, "assertion", &federated(&key, -1), &federated(&key, 600)).await;
}

#[tokio::test]
async fn a_running_serve_takes_a_renewed_key_at_the_next_login() {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let site = assertion_site(&key, false).await;
    let certificate = rcgen::CertificateParams::new(vec!["proxy.example".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    site.sandbox.controls().oauth(|oauth| oauth.certificates = vec![certificate.der().to_vec()]);
    std::fs::write(site.home.path().join("app.pem"), certificate.pem()).unwrap();
    std::fs::write(site.home.path().join("app.key"), key.serialize_pem()).unwrap();
    set_mode(&site.home.path().join("app.key"), 0o600);
    let scopes = "app_scopes = [\"https://outlook.office365.com/.default\"]\n";
    append(&site, &format!("{scopes}app_certificate = \"app.pem\"\napp_key = \"app.key\"\n"));
    let settings = with_an_ended_token(&site, &["authorize", ALICE, "--app", "--json"]).await;
    heals_at_once(&site, &settings, "app.key", "half a key", &key.serialize_pem()).await;
}

/// A provider whose addresses are shaped like Microsoft's.
async fn entra_site(tenant: &str, more: &str) -> Site {
    let provider = Sandbox::builder().flavour(Flavour::Exchange).user(ALICE).user(BOB);
    let site = Site::with_config(provider, more).await;
    let text = std::fs::read_to_string(&site.config).unwrap();
    let text = text.replace("/authorize\"", &format!("/{tenant}/oauth2/v2.0/authorize\""));
    std::fs::write(&site.config, text).unwrap();
    site
}

/// The administrator's link among the words of a command.
fn admin_link(words: &str) -> &str {
    let line = words.lines().find(|line| line.contains("/v2.0/adminconsent?"));
    let line = line.unwrap_or_else(|| panic!("no link: {words}"));
    &line[line.find("http").unwrap()..]
}

#[tokio::test]
async fn while_an_approval_page_leads_nowhere_the_administrators_link_is_there_and_the_sign_in_goes_on() {
    let site = entra_site("common", "").await;
    let controls = site.sandbox.controls();
    controls.oauth(|oauth| oauth.wall = Some(Wall::Page));
    let mut command = Running::start(&site, &["authorize", ALICE, "--no-browser", "--json-lines"]);
    let told: Value = serde_json::from_str(&command.line().await).unwrap();
    let browser = site.sandbox.browser();
    let page = browser.consent(told["url"].as_str().unwrap(), Some(ALICE)).await.unwrap();
    assert!(page.body.contains("Need admin approval"), "{page:?}");
    let link = told["admin_consent_url"].as_str().unwrap();
    assert!(link.contains("/organizations/v2.0/adminconsent?"), "{link}");
    let page = browser.consent(link, None).await.unwrap();
    assert!(page.status == 200 && page.body.contains("Consent received"), "{page:?}");
    assert!(page.url.contains("admin_consent=True&tenant="), "{page:?}");
    let page = browser.consent(told["url"].as_str().unwrap(), Some(ALICE)).await.unwrap();
    assert!(page.body.contains("Signed in"), "{page:?}");
    let ran = command.end().await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("an administrator opens this address once") && admin_link(&ran.err) == link);
    reads_mail(&site, &ran.json()).await;
}

#[tokio::test]
async fn a_refusal_for_want_of_approval_puts_the_account_into_waiting_until_a_consent_succeeds() {
    let site = entra_site("corp.example", "[events]\ncommand = [\"tee\", \"-a\", \"told\"]\n").await;
    site.sandbox.controls().oauth(|oauth| oauth.wall = Some(Wall::Redirect));
    let ran = site.authorize_with(&[ALICE, "--alias", "alice"], Some(ALICE)).await;
    assert!(ran.code == 1 && ran.error().contains("AADSTS90094"), "{ran:?}");
    let link = admin_link(ran.error()).to_owned();
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens.len(), code), (1, 3), "it needs a person");
    let waiting = &tokens[0];
    assert_eq!(
        (waiting["account"].as_str(), &waiting["state"]),
        (Some(ALICE), &json!("waiting_for_administrator"))
    );
    assert_eq!(
        (&waiting["cure"]["kind"], waiting["cure"]["url"].as_str()),
        (&json!("admin_consent"), Some(&*link))
    );
    let table = site.run(&["tokens", "list", "--needs-person"]).await;
    assert!(table.code == 3 && table.out.contains("waiting_for_administrator"), "{table:?}");
    assert!(site.run(&["passwords", "list", ALICE, "--json"]).await.json().as_array().unwrap().is_empty());
    // Nothing listens any more where the answer goes; the consent counts all the same.
    let _ = site.sandbox.browser().consent(&link, None).await;
    let settings = site.authorize(ALICE).await;
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
    assert_eq!(site.tokens().await.0[0]["aliases"], json!(["alice"]));
    reads_mail(&site, &settings).await;
}

#[tokio::test]
async fn a_grant_that_works_goes_on_when_more_is_asked_for_and_needs_approval() {
    let site = entra_site("corp.example", "").await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().oauth(|oauth| oauth.wall = Some(Wall::Redirect));
    assert_eq!(site.authorize_with(&[ALICE], Some(ALICE)).await.code, 1);
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
    reads_mail(&site, &settings).await;
}

#[tokio::test]
async fn a_refresh_that_wants_approval_waits_for_the_administrator_and_heals_by_itself() {
    let site = entra_site("corp.example", "").await;
    let settings = site.authorize(ALICE).await;
    let refusal = |code: u32| {
        let description = format!("AADSTS{code}: no");
        TokenFault::json(400, &json!({"error": "invalid_grant", "error_description": description}))
    };
    site.sandbox.controls().expire_access_tokens();
    for (code, state) in [(65001, "needs_authorization"), (90095, "waiting_for_administrator")] {
        site.sandbox.controls().next_token(refusal(code));
        let ran = site.run(&["tokens", "refresh", ALICE]).await;
        assert!(
            ran.code == 1 && ran.error().contains("/corp.example/v2.0/adminconsent?client_id="),
            "{ran:?}"
        );
        let tokens = site.tokens().await.0;
        assert_eq!(tokens[0]["state"], state);
        assert!(tokens[0]["last_error"].as_str().unwrap().contains("adminconsent?"), "{tokens:?}");
    }
    site.sandbox.controls().every_token(refusal(90095));
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let answer = client.command(&common::login(&settings)).await.tagged;
    assert!(answer.starts_with("NO") && answer.contains("/corp.example/v2.0/adminconsent?"), "{answer}");
    site.sandbox.controls().heal_tokens();
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 0);
    assert_eq!(site.tokens().await.0[0]["state"], "ok");
}

#[tokio::test]
async fn an_administrators_answer_that_is_pasted_is_understood() {
    let site = entra_site("corp.example", "").await;
    let mut command = Running::start(&site, &["authorize", ALICE, "--paste", "--json"]);
    let url = command.line().await;
    let state = url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    command.type_line(&format!("http://localhost/?admin_consent=True&tenant=t&state={state}")).await;
    let address = site.sandbox.browser().consent_and_copy(&url, Some(ALICE)).await.unwrap();
    command.type_line(&address).await;
    let ran = command.end().await;
    assert!(ran.code == 0 && ran.err.contains("the administrator has consented"), "{ran:?}");
    admin_link(&ran.err);
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
    assert!(ran.code == 1 && ran.error().contains("no consent came within 1 s"), "{ran:?}");
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
