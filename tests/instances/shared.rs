//! What lies in the store so that every instance has it: keys, the CA, sessions of the page, consents under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::Sandbox;
use serde_json::Value;
use url::Url;

use super::common::person::Person;
use super::common::{self, ALICE, BOB, Serving, Site};
use super::postgres_server::Server;
use super::{Machines, SOON, try_to_log_in};

/// Gives the second machine a copy of the first one's key file; returns the copy.
pub(super) fn copy_key(machines: &Machines) -> PathBuf {
    let (from, to) =
        (machines.site.home.path().join("shared.key"), machines.site.home.path().join("copied.key"));
    std::fs::copy(from, &to).unwrap();
    common::set_mode(&to, 0o600);
    let text = std::fs::read_to_string(&machines.other).unwrap();
    std::fs::write(&machines.other, text.replace("shared.key", "copied.key")).unwrap();
    to
}

pub(super) fn key_ids(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn keys_rotate_once_each_living_instance_has_the_new_key_and_no_login_fails_meanwhile() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    let settings = site.authorize(ALICE).await;
    let copy = copy_key(&machines);
    let first_copy = std::fs::read(&copy).unwrap();
    let (one, other) = machines.serve_both().await;
    let refreshed_by_either = async || {
        for serving in [&one, &other, &one] {
            site.sandbox.controls().revoke_access_tokens();
            let (_, answer) = try_to_log_in(serving, &settings).await;
            assert!(answer.is_ok(), "{answer:?}");
        }
    };
    refreshed_by_either().await;

    let ran = site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in
        ["Key 2 is added", "seals nothing yet", "copied.key of ", "install -m 600", "goes on with key 2"]
    {
        assert!(ran.err.contains(said), "{said}: {ran:?}");
    }
    assert!(!ran.err.contains(" and from "), "the first one has it: {ran:?}");
    assert_eq!(key_ids(&site.home.path().join("shared.key")), ["1", "2"]);
    refreshed_by_either().await;
    // A second try there makes a key of its own, which is not the same key 2.
    let ran = machines.run_on_other(&["keys", "rotate"]).await;
    assert!(ran.code == 1 && ran.err.contains("shared.key of "), "{ran:?}");
    refreshed_by_either().await;

    copy_key(&machines);
    let ran = site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Sealing with key 2") && ran.err.contains("copy the keys there"), "{ran:?}");
    assert_eq!(key_ids(&site.home.path().join("shared.key")), ["2"]);
    refreshed_by_either().await;
    copy_key(&machines);
    refreshed_by_either().await;

    // An instance that was away meanwhile.
    other.stop().await;
    std::fs::write(&copy, first_copy).unwrap();
    let ran = machines.run_on_other(&["serve"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.error().contains("sealed with key 2") && ran.error().contains("(key 1)"), "{ran:?}");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_rotation_that_is_killed_at_any_moment_loses_nothing_and_goes_on() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    let (alice, bob) = (site.authorize(ALICE).await, site.authorize(BOB).await);
    let (one, other) = machines.serve_both().await;
    for milliseconds in (0..).step_by(60) {
        let mut command = site.command(&["keys", "rotate"]);
        let mut child = command.spawn().unwrap();
        let ended = tokio::time::timeout(Duration::from_millis(milliseconds), child.wait()).await;
        child.kill().await.unwrap();
        site.sandbox.controls().revoke_access_tokens();
        for (serving, settings) in [(&one, &alice), (&other, &alice), (&other, &bob), (&one, &bob)] {
            let (_, answer) = try_to_log_in(serving, settings).await;
            assert!(answer.is_ok(), "after {milliseconds} ms: {answer:?}");
        }
        if ended.is_ok() {
            break;
        }
    }
    assert_eq!(key_ids(&site.home.path().join("shared.key")), ["2"], "it was one rotation");
    site.sandbox.assert_no_violations();
}

/// The CA as `certs export` gives it on a machine.
async fn exported(machines: &Machines, config: &Path) -> String {
    let ran = machines.site.run_at(config, &["certs", "export", "-"], "").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn machines_that_start_at_once_have_one_ca_and_take_a_renewed_one_soon() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    let (first, second) =
        tokio::join!(exported(&machines, &site.config), exported(&machines, &machines.other));
    assert_eq!(first, second, "of two that make one, one counts");
    let (one, mut other) = tokio::join!(site.serve(), site.serve_at(&machines.other));
    let settings = site.authorize(ALICE).await;
    for serving in [&one, &other] {
        assert_eq!(std::fs::read_to_string(serving.ca_file()).unwrap(), first);
        let (_, answer) = try_to_log_in(serving, &settings).await;
        assert!(answer.is_ok(), "{answer:?}");
        let state = serving.ca_file();
        assert!(!state.with_file_name("ca.key").exists(), "the key is in the store alone");
    }
    assert_eq!(site.run(&["keys", "rotate"]).await.code, 0, "the key of the CA is sealed anew");
    assert_eq!(exported(&machines, &machines.other).await, first);

    let began = std::time::Instant::now();
    let ran = site.run(&["certs", "renew-ca", "--yes"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    other.logs("the CA was renewed").await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let renewed = exported(&machines, &machines.other).await;
    assert_ne!(renewed, first);
    assert_eq!(std::fs::read_to_string(other.ca_file()).unwrap(), renewed);
    // Its leaf is signed by the new CA.
    let (_, answer) = try_to_log_in(&other, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_store_takes_its_ca_along_and_back() {
    let url = Server::shared().database().await;
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let export = ["certs", "export", "-"];
    let first = site.run(&export).await.out;
    let key = std::fs::read_to_string(site.state().join("ca.key")).unwrap();
    let ran = site.run(&["store", "migrate", "--to", &url, "--apply"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");

    // On another machine, which has the key alone.
    site.configure(&format!("[store]\nurl = \"{url}\"\nkey_file = \"state/master.key\""));
    let other = site.home.path().join("other.toml");
    let text = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&other, text.replace("= \"state\"", "= \"other\"")).unwrap();
    common::set_mode(&other, 0o600);
    let serving = site.serve_at(&other).await;
    assert_eq!(std::fs::read_to_string(serving.ca_file()).unwrap(), first);
    let (_, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(site.run_at(&other, &["certs", "renew-ca", "--yes"], "").await.code, 0);
    let renewed = site.run_at(&other, &export, "").await.out;
    serving.stop().await;

    std::fs::remove_file(site.state().join("store.sqlite")).unwrap();
    let sql = "DELETE FROM holders";
    Server::shared().run(&url, sql).await;
    let ran = site.run(&["store", "migrate", "--to", "sqlite", "--apply"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    site.configure("");
    assert_eq!(site.run(&export).await.out, renewed);
    assert_ne!(std::fs::read_to_string(site.state().join("ca.key")).unwrap(), key);
    let serving = site.serve().await;
    let (_, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
}

/// Two machines, whose page people reach through a balancer; Alice's settings, and a person whose browser it leads to the
/// first one.
struct Balanced {
    machines: Machines,
    settings: Value,
    sockets: [PathBuf; 2],
    person: Person,
}

const AT_BALANCER: &str = "https://mail.corp.example";

impl Balanced {
    async fn with(redirect_uri: &str) -> Self {
        let url = Server::shared().database().await;
        let client = sandbox::Client {
            id: "web".to_owned(),
            secret: Some("web-secret".to_owned()),
            redirect_uris: vec![format!("{AT_BALANCER}/callback")],
            installed: true,
            keys: Vec::new(),
        };
        let provider = Sandbox::builder().user(ALICE).user(BOB).client(client);
        let site = Site::with_config(provider, "").await;
        let sockets = ["one.sock", "other.sock"].map(|name| site.home.path().join(name));
        site.configure(&format!(
            "[store]\nurl = \"{url}\"\nkey_file = \"shared.key\"\n[admin]\naddress = \"unix:{}\"\nurl = \"{AT_BALANCER}\"\n",
            sockets[0].display()
        ));
        let settings = site.authorize(ALICE).await;
        site.configure_provider(redirect_uri);
        let other = site.home.path().join("other.toml");
        let text = std::fs::read_to_string(&site.config).unwrap();
        std::fs::write(&other, text.replace("= \"state\"", "= \"other\"").replace("one.sock", "other.sock"))
            .unwrap();
        common::set_mode(&other, 0o600);
        let person = Person { through: Some(sockets[0].clone()), ..Person::default() };
        Self { machines: Machines { site, url, other }, settings, sockets, person }
    }

    /// From now on the balancer leads the person to that machine.
    fn lead_to(&mut self, machine: usize) {
        self.person.through = Some(self.sockets[machine].clone());
    }

    /// Begins the consent of Alice's account, whose grant has ended, by the link of the mail program's error.
    async fn begin_by_link(&mut self, serving: &Serving) -> common::web::Answer {
        let controls = self.machines.site.sandbox.controls();
        controls.revoke_grants(ALICE);
        controls.revoke_access_tokens();
        let (_, answer) = try_to_log_in(serving, &self.settings).await;
        let link = answer.tagged.split(' ').find(|word| word.contains("/again/")).expect("a link").to_owned();
        self.person.look(&link).await;
        let pressed = self.person.send(link.strip_prefix(AT_BALANCER).unwrap(), &[]).await;
        assert_eq!(pressed.status, 303, "{pressed:?}");
        self.person.follow(pressed).await
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_46_an_entrance_and_a_session_of_the_page_hold_at_every_instance() {
    let mut balanced = Balanced::with("").await;
    let (one, _other) = balanced.machines.serve_both().await;
    let ran = balanced.machines.site.run(&["admin", "--no-browser"]).await;
    let entrance = ran.out.trim().to_owned();
    assert!(entrance.starts_with(&format!("{AT_BALANCER}/enter/")), "{ran:?}");
    balanced.lead_to(1);
    balanced.person.look(&entrance).await.has("Open the page");
    let path = entrance.strip_prefix(AT_BALANCER).unwrap();
    let entered = balanced.person.send(path, &[]).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    balanced.lead_to(0);
    assert_eq!(balanced.person.send(path, &[]).await.status, 410, "an entrance is for one use");
    let page = balanced.person.open(&format!("{AT_BALANCER}/accounts/alice%40example%2Ecom")).await;
    page.has("Sign out");
    let token = page.between("name=\"form_token\" value=\"", "\"");
    let done = balanced
        .person
        .send("/accounts/alice%40example%2Ecom/password", &[("form_token", &token), ("name", "scanner")])
        .await;
    assert_eq!(done.status, 303, "{done:?}");
    balanced.lead_to(1);
    balanced.person.follow(done).await.has("The app password called").has("scanner");
    // The session outlives the instance where a request came last.
    one.kill().await;
    balanced.person.open(&format!("{AT_BALANCER}/")).await.has("Sign out");
    let _one = balanced.machines.site.serve().await;
    balanced.lead_to(0);
    balanced.person.open(&format!("{AT_BALANCER}/")).await.has("Sign out");
    balanced.person.send("/leave", &[("form_token", &token)]).await;
    balanced.lead_to(1);
    balanced.person.open(&format!("{AT_BALANCER}/")).await.lacks("Sign out");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_45_a_consent_that_began_at_one_instance_ends_at_another_in_the_same_browser_alone() {
    let mut balanced = Balanced::with(&format!("redirect_uri = \"{AT_BALANCER}/callback\"")).await;
    let (one, other) = balanced.machines.serve_both().await;
    let consent = balanced.begin_by_link(&one).await;
    let back = balanced.person.approve(&consent, ALICE).await;
    let address = back.header("location").to_owned();
    assert!(address.starts_with(&format!("{AT_BALANCER}/callback?")), "{back:?}");
    balanced.lead_to(1);
    let mut stranger = Person { through: Some(balanced.sockets[1].clone()), ..Person::default() };
    stranger.open(&address).await.has("began in another browser");
    balanced.person.follow(back).await.has("Signed in as");
    // Each instance shows the outcome, and the answer is good once.
    let shown = balanced.person.at.clone();
    balanced.lead_to(0);
    balanced.person.open(&shown).await.has("Signed in as");
    for serving in [&one, &other] {
        let (_, answer) = try_to_log_in(serving, &balanced.settings).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    balanced.machines.site.sandbox.assert_no_violations();
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn an_answer_is_pasted_at_another_instance_though_the_first_one_was_killed() {
    let mut balanced = Balanced::with("").await;
    let (one, other) = balanced.machines.serve_both().await;
    let page = balanced.begin_by_link(&one).await;
    let provider = page.has("paste it here").between("<li><a href=\"", "\"").replace("&amp;", "&");
    let form = Url::parse(&balanced.person.at).unwrap().path().to_owned();
    let mut window = Person::default();
    let consent = window.open(&provider).await;
    let pasted = window.approve(&consent, ALICE).await.header("location").to_owned();
    one.kill().await;
    balanced.lead_to(1);
    let sent = balanced.person.send(&form, &[("address", &pasted)]).await;
    balanced.person.follow(sent).await.has("Signed in as");
    let (_, answer) = try_to_log_in(&other, &balanced.settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    balanced.machines.site.sandbox.assert_no_violations();
}
