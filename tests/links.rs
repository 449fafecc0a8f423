//! The sign-in link: from the error of a mail program to mail, by the person alone.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::person::Person;
use common::plain::Plain;
use common::web::{Answer, ON};
use common::{ALICE, BOB, Serving, Site, login, pop3, smtp, within};
use sandbox::{Client, Sandbox};
use serde_json::Value;

/// A person who has opened the link `url` and pressed its button, and the provider's page where they are now.
async fn at_the_provider(serving: &Serving, url: &str) -> (Person, Answer) {
    let mut person = Person::default();
    person.open(url).await;
    let path = url.strip_prefix(serving.ready["admin"].as_str().unwrap()).unwrap();
    let pressed = person.send(path, &[]).await;
    let consent = person.follow(pressed).await;
    (person, consent)
}

/// A site with a page, and Alice's account, whose grant has ended.
async fn expired(provider: sandbox::Builder, more: &str) -> (Site, Serving, Value) {
    let site = Site::with_config(provider, &format!("{ON}{more}")).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    (site, serving, settings)
}

fn both() -> sandbox::Builder {
    Sandbox::builder().user(ALICE).user(BOB)
}

/// The text of a refused login over IMAP.
async fn refusal(serving: &Serving, settings: &Value) -> String {
    let mut client = serving.client().await;
    let answer = client.command(&login(settings)).await;
    assert!(answer.refused_with("EXPIRED"), "{answer:?}");
    answer.tagged
}

/// The link in a line, which has blanks around it.
fn link(line: &str) -> String {
    let word = line.split(' ').find(|word| word.contains("/again/")).expect("a link").to_owned();
    let token = word.rsplit_once('/').unwrap().1;
    let is_letter = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
    assert!(token.len() == 26 && token.chars().all(is_letter), "{word}");
    word
}

async fn link_of(serving: &Serving, settings: &Value) -> String {
    link(&refusal(serving, settings).await)
}

#[tokio::test]
async fn a_person_mends_the_account_from_the_error_of_the_mail_program() {
    let (site, serving, settings) = expired(both(), "").await;
    let line = refusal(&serving, &settings).await;
    let url = link(&line);
    let database = std::fs::read(site.state().join("store.sqlite-wal")).unwrap();
    let token = url.rsplit_once('/').unwrap().1.as_bytes();
    assert!(!database.windows(token.len()).any(|bytes| bytes == token), "only sealed and hashed");
    let form = format!("NO [EXPIRED] Sign in again: {url} (or run: imap-oauth-proxy authorize {ALICE}): ");
    assert!(line.starts_with(&form) && line.contains("invalid_grant"), "{line}");
    let base = serving.ready["admin"].as_str().unwrap();
    assert!(url.starts_with(&format!("{base}/again/")), "{url}");

    let mut person = Person::default();
    let page = person.open(&url).await;
    assert_eq!(page.status, 200);
    page.has(ALICE).has("Sign in at sandbox").has("method=\"post\"");
    let path = url.strip_prefix(base).unwrap().to_owned();
    let pressed = person.send(&path, &[]).await;
    assert_eq!(pressed.status, 303, "{pressed:?}");
    assert!(pressed.header("location").starts_with(&site.sandbox.url("/authorize?")), "{pressed:?}");
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    assert!(back.header("location").starts_with("http://127.0.0.1:"), "as it is registered: {back:?}");
    let end = person.follow(back).await;
    end.has(&format!("Signed in as <strong>{ALICE}</strong>")).has("can connect now");
    assert!(person.at.starts_with(base) && !person.at.contains("code="), "{}", person.at);

    drop(serving.log_in(&settings).await);
    let (tokens, code) = site.tokens().await;
    assert_eq!((tokens[0]["state"].as_str(), code), (Some("ok"), 0));
    let trail = site.run(&["events", "list", "--json"]).await.json();
    let last =
        trail.as_array().unwrap().iter().rfind(|entry| entry["event"] == "authorized").unwrap().clone();
    assert_eq!(last["surface"], "link", "{last}");
    let token = url.rsplit_once('/').unwrap().1;
    site.sandbox.assert_no_violations();
    let (_, log) = serving.stop().await;
    assert!(!log.contains(token), "{log}");
}

#[tokio::test]
async fn each_door_says_it_in_its_own_words_and_every_time_the_same_link() {
    let provider = Sandbox::builder().user(ALICE).submission().pop3();
    let (site, serving, settings) = expired(provider, "").await;
    let url = link_of(&serving, &settings).await;
    let command = format!("(or run: imap-oauth-proxy authorize {ALICE}): ");
    let mut client = serving.pop3().await;
    let line = pop3::log_in(&mut client, &settings).await;
    assert!(line.starts_with(&format!("-ERR [AUTH] Sign in again: {url} {command}")), "{line}");
    let mut client = serving.submit().await;
    let reply = smtp::sign_in(&mut client, &settings).await;
    let (code, text) = (reply.code(), reply.text());
    assert!(code == 535 && text.starts_with(&format!("5.7.8 Sign in again: {url} {command}")), "{text}");
    assert_eq!(link_of(&serving, &settings).await, url);
    serving.stop().await;
    // Another process has another port here; the token is the same.
    let serving = site.serve().await;
    let again = link_of(&serving, &settings).await;
    assert_eq!(again.rsplit_once('/').unwrap().1, url.rsplit_once('/').unwrap().1);
}

#[tokio::test]
async fn the_line_is_short_enough_for_every_program() {
    let long = format!("{}@example.com", "a".repeat(60));
    let provider = Sandbox::builder().user(&long);
    let site = Site::with_config(provider, ON).await;
    let settings = site.authorize(&long).await;
    site.sandbox.controls().revoke_grants(&long);
    let serving = site.serve().await;
    let mut client = serving.client().await;
    for length in [4, 300, 420] {
        let tag = "t".repeat(length);
        client.send(format!("{tag} {}\r\n", login(&settings))).await;
        let answer = client.answer(&tag).await;
        let line = format!("{tag} {}", answer.tagged);
        assert!(line.len() + 2 <= 510, "{}: {line}", line.len());
        assert!(answer.tagged.starts_with("NO [EXPIRED] Sign in again: http://"), "{line}");
        link(&answer.tagged);
        assert_eq!(answer.tagged.contains("(or run:"), length < 400, "{line}");
    }
}

#[tokio::test]
async fn a_look_changes_nothing_by_whichever_program() {
    let (_site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let mut scanner = Person::default();
    for _ in 0..30 {
        let answer = scanner.look(&url).await;
        assert!(answer.status == 200 && answer.header("set-cookie").is_empty(), "{answer:?}");
    }
    let base = serving.ready["admin"].as_str().unwrap().replace("http://", "");
    let path = url.rsplit_once("/again").unwrap().1;
    let head = format!("HEAD /again{path} HTTP/1.1\r\nHost: {base}\r\n\r\n");
    let answer = common::web::ask(&base.replace("localhost", "127.0.0.1"), &head).await;
    assert!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.header(header), value);
    }
    assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    // After all these GET requests ten consents can begin, and no more.
    let path = format!("/again{path}");
    for count in 0..11 {
        let mut person = Person::default();
        person.look(&url).await;
        let pressed = person.send(&path, &[]).await;
        assert_eq!(pressed.status, if count < 10 { 303 } else { 410 }, "{count}: {pressed:?}");
    }
    assert_eq!(scanner.look(&url).await.status, 410);
    assert_eq!(link_of(&serving, &settings).await, url, "another link comes a day later");
}

#[tokio::test]
async fn a_sign_in_that_cannot_begin_uses_no_link_up() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let path = url.strip_prefix(serving.ready["admin"].as_str().unwrap()).unwrap().to_owned();
    // The address of the answer is taken by another program.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    site.configure_provider(&format!("redirect_uri = \"http://127.0.0.1:{port}/\""));
    assert_eq!(site.run(&["reload"]).await.code, 0);
    for _ in 0..12 {
        let mut person = Person::default();
        person.look(&url).await;
        let pressed = person.send(&path, &[]).await;
        assert_eq!(pressed.status, 502, "{pressed:?}");
    }
    // A program that goes on has to wait, so that a link is no way to have a provider asked again and again.
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let mut person = Person::default();
        person.look(&url).await;
        statuses.push(person.send(&path, &[]).await.status);
    }
    assert!(statuses.contains(&502) && statuses.contains(&429), "{statuses:?}");
    drop(taken);
    let begun = async {
        loop {
            let mut person = Person::default();
            person.look(&url).await;
            let status = person.send(&path, &[]).await.status;
            if status != 429 {
                return status;
            }
        }
    };
    assert_eq!(within("a sign-in that begins", begun).await, 303);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_45_a_link_is_over_with_a_stored_grant_and_stands_behind_a_right_password_only() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let mut client = serving.client().await;
    for name in [ALICE, "nobody@example.com"] {
        let answer = client.command(&format!("LOGIN {name} wrong")).await;
        assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
        assert!(!format!("{answer:?}").contains("again"), "{answer:?}");
    }
    site.authorize(ALICE).await;
    let mut person = Person::default();
    let page = person.open(&url).await;
    assert_eq!(page.status, 404);
    page.has("its new error has a new link");
    let path = url.rsplit_once("/again").unwrap().1;
    assert_eq!(person.send(&format!("/again{path}"), &[]).await.status, 404);
    drop(serving.log_in(&settings).await);
    // A link for another account, or of no account, is unknown in the same words.
    for path in ["/again/aaaaaaaaaaaaaaaaaaaaaaaaaa", "/again/x", "/again/%00", "/again/..%2f"] {
        assert_eq!(person.send(path, &[]).await.status, 404, "{path}");
    }
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_45_unknown_links_are_slowed_and_known_ones_are_not() {
    let (_site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let mut person = Person::default();
    person.look(&url).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        // What has not the form of a link is neither looked up nor counted.
        assert_eq!(person.look(&url.replace("/again/", "/again/x")).await.status, 404);
    }
    let (base, _) = url.rsplit_once('/').unwrap();
    let made_up = format!("{base}/{}", "a".repeat(26));
    for _ in 0..40 {
        statuses.push(person.look(&made_up).await.status);
    }
    assert!(statuses.starts_with(&[404; 20]) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(person.look(&url).await.status, 200);
}

#[tokio::test]
async fn security_row_45_a_link_that_was_made_up_costs_the_store_at_most_a_look() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let (base, _) = url.rsplit_once('/').unwrap();
    let mut person = Person::default();
    person.look(&url).await;
    // Each look at a store that is away is seen: it fails.
    site.tamper("ALTER TABLE accounts RENAME COLUMN link_hash TO away", &[]).await;
    assert_eq!(person.look(&url).await.status, 502, "a link of ours is looked up");
    for token in ["x", &"A".repeat(26), &"a".repeat(27), &"1".repeat(26), "..%2fx"] {
        assert_eq!(person.look(&format!("{base}/{token}")).await.status, 404, "{token}");
    }
}

#[tokio::test]
async fn security_row_45_a_consent_as_another_person_stores_nothing() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let mut person = Person::default();
    person.open(&url).await;
    let path = url.rsplit_once("/again").unwrap().1;
    let pressed = person.send(&format!("/again{path}"), &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, BOB).await;
    let end = person.follow(back).await;
    end.has(BOB).has(ALICE).has("Nothing was stored").has(&format!("/again{path}"));
    assert!(refusal(&serving, &settings).await.contains(&url), "the link is still good");
    let (tokens, _) = site.tokens().await;
    assert_eq!(tokens[0]["state"], "needs_authorization");
}

#[tokio::test]
async fn security_row_45_no_other_page_begins_a_consent_and_no_other_browser_ends_one() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let path = url.strip_prefix(serving.ready["admin"].as_str().unwrap()).unwrap().to_owned();
    let mut evil = Person { at: "https://evil.example/".to_owned(), ..Person::default() };
    let posted = evil.send(&url, &[]).await;
    assert!(posted.status == 403 && posted.header("set-cookie").is_empty(), "{posted:?}");

    // The attacker begins the consent, and has the victim's browser end it.
    let mut attacker = Person::default();
    attacker.look(&url).await;
    let pressed = attacker.send(&path, &[]).await;
    let consent = attacker.follow(pressed).await;
    let back = attacker.approve(&consent, ALICE).await.header("location").to_owned();
    let mut victim = Person::default();
    let refused = victim.open(&back).await;
    assert_eq!(refused.status, 403);
    refused.has("another browser");
    let (tokens, _) = site.tokens().await;
    assert_eq!(tokens[0]["state"], "needs_authorization");
    // The attempt did not use up the answer.
    attacker.open(&back).await.has("Signed in as");
    let forged = back.replace("state=", "state=x");
    assert_eq!(victim.open(&forged).await.status, 400);
    assert_eq!(victim.open(&back).await.status, 400, "it was answered");
}

/// A page, and a listener whose clients say where they are.
fn remote(url: &str) -> String {
    format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n{url}\n[[listeners]]\naddresses = [\"127.0.0.1:0\"]\n\
         security = \"none\"\nproxy_protocol = [\"127.0.0.1/32\"]\n"
    )
}

#[tokio::test]
async fn a_client_that_can_open_no_link_leaves_the_days_alert_to_one_that_can() {
    let site = Site::with_config(both(), &remote("")).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let end = (time::OffsetDateTime::now_utc() + time::Duration::days(3)).unix_timestamp().to_string();
    assert_eq!(site.tamper("UPDATE grants SET refresh_expires_at = CAST(? AS INTEGER)", &[&end]).await, 1);
    for (from, is_told) in [("192.0.2.7", false), ("127.0.0.1", true), ("127.0.0.1", false)] {
        let mut client = Plain::connect(serving.address()).await;
        client.send(format!("PROXY TCP4 {from} 192.0.2.1 4711 993\r\n").as_bytes()).await;
        client.line().await;
        let answer = client.command(&login(&settings)).await;
        assert!(answer.is_ok(), "{answer:?}");
        let told = answer.untagged.iter().any(|line| line.starts_with("* OK [ALERT] Sign in again: "));
        assert_eq!(told, is_told, "{from}: {answer:?}");
    }
}

#[tokio::test]
async fn a_client_elsewhere_gets_the_link_where_people_elsewhere_reach_the_page() {
    let site = Site::with_config(both(), "").await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().revoke_grants(ALICE);
    for (url, begins) in [
        ("", "Run imap-oauth-proxy authorize"),
        ("url = \"https://mail.corp.example\"", "Sign in again: https://mail.corp.example/again/"),
    ] {
        site.configure(&remote(url));
        let serving = site.serve().await;
        let mut client = Plain::connect(serving.address()).await;
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 993\r\n").await;
        client.line().await;
        let answer = client.command(&login(&settings)).await;
        assert!(answer.tagged.starts_with(&format!("NO [EXPIRED] {begins}")), "{answer:?}");
        serving.stop().await;
    }
    site.configure("[admin]\naddress = \"off\"\n");
    let serving = site.serve().await;
    let line = refusal(&serving, &settings).await;
    assert!(line.starts_with("NO [EXPIRED] Run imap-oauth-proxy authorize"), "{line}");
}

/// A site whose page is behind a web server.
async fn behind_a_web_server(more: &str) -> (Site, Serving, Value, Person) {
    let client = Client {
        id: "web".to_owned(),
        secret: Some("web-secret".to_owned()),
        redirect_uris: vec!["https://mail.corp.example/callback".to_owned()],
        installed: true,
        keys: Vec::new(),
    };
    let site = Site::with_config(both().client(client), "").await;
    let socket = site.home.path().join("page.sock");
    site.configure(&format!(
        "[admin]\naddress = \"unix:{}\"\nurl = \"https://mail.corp.example\"\n[callback]\naddress = \"127.0.0.1:0\"\n",
        socket.display()
    ));
    let settings = site.authorize(ALICE).await;
    site.configure_provider(more);
    site.sandbox.controls().revoke_grants(ALICE);
    let serving = site.serve().await;
    (site, serving, settings, Person { through: Some(socket), ..Person::default() })
}

#[tokio::test]
async fn a_person_at_another_machine_pastes_the_answer() {
    let (_site, serving, settings, mut person) = behind_a_web_server("").await;
    let url = link_of(&serving, &settings).await;
    let path = url.strip_prefix("https://mail.corp.example").expect("a public link").to_owned();
    person.look(&url).await.has("Sign in at sandbox");
    let pressed = person.send(&path, &[]).await;
    assert!(pressed.header("set-cookie").contains("; Secure"), "{pressed:?}");
    let consent_page = pressed.header("location").to_owned();
    assert!(consent_page.starts_with("/consent/"), "{pressed:?}");
    let page = person.follow(pressed).await;
    page.has("paste it here");
    let provider = page.between("<li><a href=\"", "\"").replace("&amp;", "&");
    let mut window = Person::default();
    let consent = window.open(&provider).await;
    let pasted = window.approve(&consent, ALICE).await.header("location").to_owned();
    let wrong = person.send(&consent_page, &[("address", "https://example.com/?state=1&code=2")]).await;
    assert_eq!(wrong.status, 422);
    wrong.has("not the answer").has("paste it here");
    let mut other = Person { through: person.through.clone(), at: url, ..Person::default() };
    assert_eq!(other.send(&consent_page, &[("address", &pasted)]).await.status, 403);
    let sent = person.send(&consent_page, &[("address", &pasted)]).await;
    person.follow(sent).await.has("Signed in as");
    drop(serving.log_in(&settings).await);
}

#[tokio::test]
async fn a_session_of_the_page_and_a_consent_under_way_outlive_a_restart() {
    let more = "redirect_uri = \"https://mail.corp.example/callback\"";
    let (site, serving, settings, mut person) = behind_a_web_server(more).await;
    let url = link_of(&serving, &settings).await;
    let entrance = site.run(&["admin", "--no-browser"]).await.out.trim().to_owned();
    person.look(&entrance).await;
    let entered = person.send(entrance.strip_prefix("https://mail.corp.example").unwrap(), &[]).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    person.look(&url).await;
    let pressed = person.send(url.strip_prefix("https://mail.corp.example").unwrap(), &[]).await;
    let consent = person.follow(pressed).await;
    serving.stop().await;
    let serving = site.serve().await;
    assert_eq!(site.run(&["keys", "rotate"]).await.code, 0);
    let back = person.approve(&consent, ALICE).await;
    person.follow(back).await.has("Signed in as");
    person.open("https://mail.corp.example/").await.has("Sign out");
    drop(serving.log_in(&settings).await);
}

#[tokio::test]
async fn an_answer_comes_through_the_web_server_where_the_registration_has_its_address() {
    let more = "redirect_uri = \"https://mail.corp.example/callback\"";
    let (_site, mut serving, settings, mut person) = behind_a_web_server(more).await;
    let url = link_of(&serving, &settings).await;
    person.look(&url).await;
    let pressed = person.send(url.strip_prefix("https://mail.corp.example").unwrap(), &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    let address = back.header("location").to_owned();
    let query = address.strip_prefix("https://mail.corp.example/callback?").expect("as it is registered");
    // The older address sends the browser on to the page, where its cookie is.
    let received = serving.said("sign-ins are received on ").await;
    let receiver = received.rsplit_once(' ').unwrap().1;
    let get = format!("GET /callback?{query} HTTP/1.1\r\nHost: mail.corp.example\r\n\r\n");
    let sent_on = common::web::ask(receiver, &get).await;
    assert_eq!(
        sent_on.header("location"),
        format!("https://mail.corp.example/answer?{query}"),
        "{sent_on:?}"
    );
    let unknown = common::web::ask(receiver, &get.replace("state=", "state=x")).await;
    assert_eq!(unknown.status, 400);
    person.follow(back).await.has("Signed in as");
    drop(serving.log_in(&settings).await);
}

#[tokio::test]
async fn an_answer_comes_to_a_listener_where_the_registration_names_a_port() {
    let site = Site::with_config(both(), ON).await;
    let settings = site.authorize(ALICE).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.configure_provider(&format!("redirect_uri = \"http://{free}/there\""));
    let serving = site.serve().await;
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    let url = link_of(&serving, &settings).await;
    let mut person = Person::default();
    person.look(&url).await;
    let path = url.strip_prefix(serving.ready["admin"].as_str().unwrap()).unwrap().to_owned();
    // The person presses the button twice at once: both consents wait at the same address.
    let mut twice = [person.clone(), person.clone(), person.clone()];
    let [one, two, three] = &mut twice;
    let first = tokio::join!(one.send(&path, &[]), two.send(&path, &[]), three.send(&path, &[]));
    for first in [first.0, first.1, first.2] {
        assert!(first.header("location").starts_with(&site.sandbox.url("/authorize?")), "{first:?}");
    }
    let pressed = person.send(&path, &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    assert!(back.header("location").starts_with(&format!("http://{free}/there?")), "{back:?}");
    person.follow(back).await.has("Signed in as");
    drop(serving.log_in(&settings).await);
}

#[tokio::test]
async fn a_login_is_told_once_a_day_that_access_ends_within_a_week() {
    let site = Site::with_config(both(), ON).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let in_days = |days: i64| (time::OffsetDateTime::now_utc() + time::Duration::days(days)).unix_timestamp();
    let ends = async |days: i64| {
        let sql = "UPDATE grants SET refresh_expires_at = CAST(? AS INTEGER)";
        assert_eq!(site.tamper(sql, &[&in_days(days).to_string()]).await, 1);
    };
    let alerts = async || {
        let mut client = serving.client().await;
        let answer = client.command(&login(&settings)).await;
        assert!(answer.is_ok(), "{answer:?}");
        assert!(client.command("SELECT INBOX").await.is_ok());
        answer.untagged.into_iter().filter(|line| line.contains("ALERT")).collect::<Vec<_>>()
    };
    ends(30).await;
    assert_eq!(alerts().await, Vec::<String>::new());
    ends(6).await;
    let first = alerts().await;
    assert_eq!(first.len(), 1);
    assert!(first[0].starts_with("* OK [ALERT] Sign in again: http://"), "{first:?}");
    assert!(first[0].contains("access ends on "), "{first:?}");
    let url = link(&first[0]);
    assert_eq!(alerts().await, Vec::<String>::new(), "once a day");
    serving.stop().await;
    let serving = site.serve().await;
    let mut client = serving.client().await;
    let answer = client.command(&login(&settings)).await;
    assert!(!format!("{answer:?}").contains("ALERT"), "nor by another process: {answer:?}");
    let path = url.rsplit_once("/again").unwrap().1;
    let url = format!("{}/again{path}", serving.ready["admin"].as_str().unwrap());
    let mut person = Person::default();
    person.open(&url).await.has("will end soon");
    let pressed = person.send(&format!("/again{path}"), &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    person.follow(back).await.has("Signed in as");
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn an_event_that_needs_a_person_carries_the_link() {
    let site = Site::with_config(both(), ON).await;
    let told = site.home.path().join("told");
    let script = format!("cat >> {}", told.display());
    site.configure(&format!("{ON}[events]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    let url = link_of(&serving, &settings).await;
    serving.said("telling").await;
    let event = within("an event", async {
        loop {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            if text.ends_with('\n') {
                return serde_json::from_str::<Value>(&text).unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!((event["event"].as_str(), event["sign_in_url"].as_str()), (Some("needs_person"), Some(&*url)));
    serving.stop().await;
}

#[tokio::test]
async fn keys_rotate_with_links_and_a_bundle_carries_none() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let ran = site.run(&["keys", "rotate"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(link_of(&serving, &settings).await, url);
    let mut person = Person::default();
    assert_eq!(person.look(&url).await.status, 200);
}

#[tokio::test]
async fn an_account_that_waits_for_its_first_consent_has_a_link_from_the_beginning() {
    let url = "url = \"https://mail.corp.example\"";
    let site = Site::with_config(both(), &format!("{ON}{url}\n")).await;
    let (table, passwords) = (site.home.path().join("table.csv"), site.home.path().join("passwords.csv"));
    std::fs::write(&table, format!("{ALICE}\n{BOB}\n")).unwrap();
    let words =
        ["accounts", "add", "--csv", table.to_str().unwrap(), "--passwords-out", passwords.to_str().unwrap()];
    let ran = site.run(&words).await;
    assert_eq!(ran.out, format!("imap-oauth-proxy authorize {ALICE}\nimap-oauth-proxy authorize {BOB}\n"));
    let told = ran.err.lines().find(|line| line.contains(&format!("{ALICE}: "))).expect("a line");
    let told = link(told);
    let passwords = std::fs::read_to_string(&passwords).unwrap();
    let line = passwords.lines().find(|line| line.starts_with(ALICE)).unwrap();
    let password = line.split_once(',').unwrap().1;
    let settings = serde_json::json!({ "username": ALICE, "password": password });
    let serving = site.serve().await;
    assert_eq!(link_of(&serving, &settings).await, told);

    let third = site.home.path().join("third.csv");
    std::fs::write(&third, "carol@example.com\n").unwrap();
    let ran = site.run(&["accounts", "add", "--csv", third.to_str().unwrap(), "--json"]).await;
    link(ran.json()[0]["sign_in_url"].as_str().unwrap());
    let ran = site.run(&["accounts", "export", ALICE, "--recipient", "x"]).await;
    assert!(!format!("{ran:?}").contains(told.rsplit_once('/').unwrap().1));
}

/// Microsoft's registration has no path: the answer comes to the page's root path.
#[tokio::test]
async fn an_answer_comes_to_the_beginning_of_the_page() {
    let provider = Sandbox::builder().flavour(sandbox::Flavour::Exchange).user(ALICE);
    let (_site, serving, settings) = expired(provider, "").await;
    let url = link_of(&serving, &settings).await;
    let base = serving.ready["admin"].as_str().unwrap().to_owned();
    let mut person = Person::default();
    person.look(&url).await;
    let pressed = person.send(url.strip_prefix(&base).unwrap(), &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    let query =
        back.header("location").strip_prefix(&base).expect("the page").trim_start_matches('/').to_owned();
    assert!(query.starts_with('?') && query.contains("state="), "{query}");
    person.follow(back).await.has("Signed in as");
    drop(serving.log_in(&settings).await);
    // Without a waiting sign-in the answer belongs to none, and the page is not shown.
    let stray = person.look(&format!("{base}/?state=x&code=y")).await;
    assert_eq!(stray.status, 400, "{stray:?}");
}

#[tokio::test]
async fn security_row_14_what_a_provider_says_is_escaped_on_the_page_of_a_consent() {
    let (_site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let base = serving.ready["admin"].as_str().unwrap().to_owned();
    let mut person = Person::default();
    person.look(&url).await;
    let pressed = person.send(url.strip_prefix(&base).unwrap(), &[]).await;
    let provider = url::Url::parse(pressed.header("location")).unwrap();
    let state = provider.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let words = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C/script%3E%1b%5B2J";
    let page = person.open(&format!("{base}/answer?state={state}&{words}&iss=https://evil.example")).await;
    page.lacks("<script>alert").has("Nothing was stored");
    page.has("Try again");
    let pressed = person.send(url.strip_prefix(&base).unwrap(), &[]).await;
    let provider = url::Url::parse(pressed.header("location")).unwrap();
    let pairs: std::collections::HashMap<_, _> = provider.query_pairs().collect();
    let page = person.open(&format!("{base}/answer?state={}&{words}", pairs["state"])).await;
    page.lacks("<script>alert").has("Nothing was stored");
    assert!(!page.body.contains('\x1b'), "{page:?}");
}

#[tokio::test]
async fn security_row_45_a_consent_under_way_undoes_no_act_of_an_administrator() {
    for act in ["remove", "disable", "give away"] {
        let (site, serving, settings) = expired(both(), "").await;
        let url = link_of(&serving, &settings).await;
        let (mut person, consent) = at_the_provider(&serving, &url).await;
        if act == "give away" {
            assert_eq!(site.tamper("UPDATE grants SET owner = ?1, owner_folded = ?1", &[BOB]).await, 1);
        } else {
            let ran = site.run(&["accounts", act, ALICE]).await;
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        let back = person.approve(&consent, ALICE).await;
        let end = person.follow(back).await;
        end.has("Not signed in").has("was removed, disabled or given to another owner meanwhile");
        let accounts = site.run(&["accounts", "list", "--json"]).await.json();
        let left = accounts.as_array().unwrap();
        assert_eq!(left.len(), usize::from(act != "remove"), "{accounts}");
        let trail = site.run(&["events", "list", "--json"]).await.json();
        let last = trail.as_array().unwrap().last().unwrap().clone();
        assert_ne!(last["surface"], "link", "{last}");
    }
}

#[tokio::test]
async fn security_row_14_a_strange_name_is_text_in_the_line_and_on_the_page() {
    let name = "b&\u{e9}@example.com";
    let site = Site::with_config(Sandbox::builder().user(name), ON).await;
    let settings = site.authorize(name).await;
    let serving = site.serve().await;
    site.sandbox.controls().revoke_grants(name);
    site.sandbox.controls().revoke_access_tokens();
    let line = refusal(&serving, &settings).await;
    assert!(line.is_ascii() && line.contains("(or run: "), "{line}");
    let mut person = Person::default();
    let page = person.open(&link(&line)).await;
    page.has("b&amp;\u{e9}@example.com").lacks("b&\u{e9}");
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_link_an_entrance_a_cookie_or_an_answer() {
    let (site, serving, settings) = expired(both(), "").await;
    serving.stop().await;
    let mut serving = site.serve_with(&["--log", "trace"]).await;
    let url = link_of(&serving, &settings).await;
    let base = serving.ready["admin"].as_str().unwrap().to_owned();
    let mut person = Person::default();
    person.look(&url).await;
    let pressed = person.send(url.strip_prefix(&base).unwrap(), &[]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    let answer = back.header("location").to_owned();
    person.follow(back).await.has("Signed in as");
    let entrance = common::web::entrance(&site).await;
    person.at = format!("{base}/");
    let entered = person.send(&entrance, &[]).await;
    assert_eq!(entered.status, 303, "{entered:?}");
    person.look(&format!("{base}/?said=x")).await.has("Sign out");
    serving.said("opened the page").await;
    let mut secrets: Vec<String> = person.cookies.iter().map(|(.., value)| value.clone()).collect();
    let query = url::Url::parse(&answer).unwrap();
    secrets.extend(
        query
            .query_pairs()
            .filter(|(name, _)| ["code", "state"].contains(&&**name))
            .map(|(_, value)| value.into_owned()),
    );
    secrets.extend([&url, &entrance].map(|path| path.rsplit_once('/').unwrap().1.to_owned()));
    assert_eq!(secrets.len(), 6, "{secrets:?}");
    let (_, log) = serving.stop().await;
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "{log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn a_sign_in_outlives_a_rotation_and_a_moment_without_the_store() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let (mut person, consent) = at_the_provider(&serving, &url).await;
    // The first write finds that another process has written the row, as a rotation of the keys does; the third, which
    // keeps the outcome, finds no store.
    for sql in [
        "CREATE TABLE tries (number INTEGER)",
        "CREATE TRIGGER trying BEFORE UPDATE ON short_lived WHEN NEW.kind = 'consent' BEGIN \
         INSERT INTO tries VALUES (1); \
         SELECT RAISE(IGNORE) WHERE (SELECT count(*) FROM tries) = 1; \
         SELECT RAISE(FAIL, 'away') WHERE (SELECT count(*) FROM tries) = 3; END",
    ] {
        site.tamper(sql, &[]).await;
    }
    let back = person.approve(&consent, ALICE).await;
    person.follow(back).await.has(&format!("Signed in as <strong>{ALICE}</strong>"));
    assert_eq!(site.tamper("DELETE FROM tries", &[]).await, 4, "each was tried once more");
    serving.stop().await;
}

#[tokio::test]
async fn an_answer_that_comes_while_the_store_is_away_is_taken_when_the_page_is_loaded_again() {
    let (site, serving, settings) = expired(both(), "").await;
    let url = link_of(&serving, &settings).await;
    let (mut person, consent) = at_the_provider(&serving, &url).await;
    let back = person.approve(&consent, ALICE).await;
    site.tamper("ALTER TABLE short_lived RENAME TO away", &[]).await;
    let to = back.header("location").to_owned();
    let answer = person.look(&to).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.has("Load this page again in a minute");
    site.tamper("ALTER TABLE away RENAME TO short_lived", &[]).await;
    person.open(&to).await.has(&format!("Signed in as <strong>{ALICE}</strong>"));
    serving.stop().await;
}
