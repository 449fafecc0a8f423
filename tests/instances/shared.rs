//! Data in the store that every instance uses: keys, the CA, sessions of the page, consents under way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::Sandbox;
use serde_json::Value;
use url::Url;

use super::common::client::Client;
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

    // The other instance does not run during the rotation.
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
async fn a_ca_that_is_made_just_now_was_missing_in_the_database() {
    let url = Server::shared().database().await;
    let site = Site::new().await;
    site.configure(&format!("[store]\nurl = \"{url}\""));
    let ran = site.run(&["certs", "show"]).await;
    assert!(ran.code == 1 && ran.err.contains("there is no CA in the database yet"), "{ran:?}");
    let ran = site.run(&["certs", "export", "-"]).await;
    assert!(ran.code == 0 && ran.err.contains("There was no CA in the database yet"), "{ran:?}");
    assert_eq!(site.run(&["certs", "show"]).await.code, 0, "it is there");
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
    assert!(ran.err.contains("state/ca.key was removed"), "{ran:?}");
    assert!(!site.state().join("ca.key").exists(), "the key is in the store alone");

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

    let old = site.state().join("store.sqlite");
    let ran = site.run(&["store", "migrate", "--to", "sqlite"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let cure = format!("move that file away first: mv {0} {0}.old", old.display());
    assert!(ran.error().contains("it was moved to") && ran.error().contains(&cure), "{ran:?}");
    std::fs::rename(&old, old.with_extension("sqlite.old")).unwrap();
    let ran = site.run(&["store", "migrate", "--to", "sqlite"]).await;
    assert!(ran.code == 0 && ran.err.contains("Nothing was changed"), "{ran:?}");
    assert!(!old.exists(), "not even an empty file is made");
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

const MIGRATE: [&str; 3] = ["store", "migrate", "--to"];

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_copy_of_a_ca_without_its_key_does_not_stop_a_new_database() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    let first = exported(&machines, &site.config).await;
    // The database is lost; the machine still has the copy of its CA.
    site.configure(&format!(
        "[store]\nurl = \"{}\"\nkey_file = \"shared.key\"",
        Server::shared().database().await
    ));
    let serving = site.serve().await;
    let second = std::fs::read_to_string(serving.ca_file()).unwrap();
    assert_ne!(second, first, "a new database has a new CA");
    let settings = site.authorize(ALICE).await;
    let (_, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn the_ca_of_a_backup_is_the_ca_of_what_is_made_from_it() {
    let machines = Machines::on(Server::shared()).await;
    let site = &machines.site;
    site.authorize(ALICE).await;
    let first = exported(&machines, &site.config).await;
    let backup = site.home.path().join("backup.sqlite");
    let file = backup.to_str().unwrap();
    assert_eq!(site.run(&["backup", file]).await.code, 0);

    // Into a new database, on a machine that has the copy `ca.pem` of it, or a key of another CA beside that.
    let (store, key) = (site.state().join("store.sqlite"), site.state().join("ca.key"));
    for other_key in [None, Some("of another CA")] {
        let url = Server::shared().database().await;
        site.configure("[store]\nkey_file = \"shared.key\"");
        std::fs::copy(&backup, &store).unwrap();
        if other_key.is_some() {
            let text = std::fs::read_to_string(another_ca().await).unwrap();
            std::fs::write(&key, text).unwrap();
            common::set_mode(&key, 0o600);
        }
        let ran = site.run(&[&MIGRATE[..], &[&url, "--apply"]].concat()).await;
        assert_eq!(ran.code, 0, "{other_key:?}: {ran:?}");
        site.configure(&format!("[store]\nurl = \"{url}\"\nkey_file = \"shared.key\""));
        assert_eq!(exported(&machines, &site.config).await, first, "{other_key:?}");
        std::fs::remove_file(&store).unwrap();
    }

    // Into a file, on a machine that has made a CA of its own.
    let text = std::fs::read_to_string(&machines.other).unwrap();
    std::fs::write(&machines.other, text.replace("[store]\nurl = ", "[store]\n# url = ")).unwrap();
    let own = exported(&machines, &machines.other).await;
    assert_ne!(own, first);
    assert_eq!(machines.run_on_other(&["restore", file]).await.code, 0);
    assert_eq!(exported(&machines, &machines.other).await, first);
    // A CA that is renewed afterwards outlives backups of that file.
    assert_eq!(machines.run_on_other(&["certs", "renew-ca", "--yes"]).await.code, 0);
    let renewed = exported(&machines, &machines.other).await;
    let later = site.home.path().join("later.sqlite");
    for command in ["backup", "restore"] {
        assert_eq!(machines.run_on_other(&[command, later.to_str().unwrap()]).await.code, 0);
    }
    assert_eq!(exported(&machines, &machines.other).await, renewed);
}

/// The file `ca.key` of another installation.
async fn another_ca() -> PathBuf {
    let site = Site::new().await;
    assert_eq!(site.run(&["certs", "export", "-"]).await.code, 0);
    let kept = tempfile::tempdir().unwrap().keep().join("ca.key");
    std::fs::copy(site.state().join("ca.key"), &kept).unwrap();
    kept
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_reload_without_the_own_certificate_keeps_it_until_the_restart() {
    let url = Server::shared().database().await;
    let site = Site::new().await;
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (site.home.path().join("own.pem"), site.home.path().join("own.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    common::set_mode(&key, 0o600);
    let store = format!("[store]\nurl = \"{url}\"\n");
    site.configure(&format!("[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n{store}"));
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    site.configure(&store);
    let ran = site.run(&["reload"]).await;
    assert!(ran.code == 3 && ran.err.contains("tls.certificate"), "{ran:?}");
    let mut client = Client::connect(serving.address(), &certificate).await;
    let answer = client.command(&common::login(&settings)).await;
    assert!(answer.is_ok(), "the certificate of the start is shown: {answer:?}");
    assert!(!site.state().join("ca.key").exists(), "no machine makes a CA of its own");
    serving.stop().await;
    let serving = site.serve().await;
    let (_, answer) = try_to_log_in(&serving, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");
    assert!(!site.state().join("ca.key").exists(), "the restart makes the CA of the store");
}

/// Two machines behind a load balancer, Alice's settings, and a person whose browser the balancer sends to the first
/// machine.
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

    /// From now on the balancer sends the person to `machine`.
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
