//! The page as an administrator uses it: its contents, the effect of each button, and the messages.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::person::Person;
use common::web::{Answer, Browser, ON};
use common::{ALICE, BOB, Serving, Site, within};
use sandbox::{Sandbox, TokenFault};
use serde_json::json;

const ALICES: &str = "/accounts/alice%40example%2Ecom";
const BOBS: &str = "/accounts/bob%40example%2Ecom";

async fn site() -> Site {
    Site::with_config(Sandbox::builder().user(ALICE).user(BOB).submission(), ON).await
}

async fn opened(site: &Site) -> (Serving, Browser) {
    let serving = site.serve().await;
    let browser = Browser::enter(site, &serving).await;
    (serving, browser)
}

/// The accounts that a list shows, in its order.
fn listed(answer: &Answer) -> Vec<String> {
    let rows = answer.body.split("<td class=\"account\">").skip(1);
    rows.map(|row| row.split_once("\">").unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

/// Makes accounts by the statement that `accounts add` would send, of Alice's grant, each with a password that lasts.
async fn many(site: &Site, count: usize) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < CAST(? AS INTEGER)) \
         INSERT INTO accounts (id, name, grant_id) \
         SELECT 'many-' || i, 'user' || i || '@corp.example', (SELECT grant_id FROM accounts WHERE name = ?) FROM n";
    site.tamper(sql, &[&count.to_string(), ALICE]).await;
    let sql = "INSERT INTO login_names (folded, name, account_id) SELECT name, name, id FROM accounts WHERE id LIKE 'many-%'";
    site.tamper(sql, &[]).await;
    let sql = "INSERT INTO passwords (id, account_id, name, generated, created_at) \
         SELECT 'of-' || a.id, a.id, 'default', p.generated, p.created_at FROM accounts a, passwords p \
         WHERE a.id LIKE 'many-%' AND p.account_id = (SELECT id FROM accounts WHERE name = ?)";
    site.tamper(sql, &[ALICE]).await;
}

/// A day that is so many days from now.
fn day(days: i64) -> String {
    (time::OffsetDateTime::now_utc() + time::Duration::days(days)).date().to_string()
}

/// The accounts below a heading of the list.
fn below(answer: &Answer, heading: &str) -> Vec<String> {
    let part = answer.body.split_once(&format!("<h2>{heading}</h2>")).map_or("", |(_, rest)| rest);
    let body = part.split("</section>").next().unwrap().to_owned();
    listed(&Answer { body, ..answer.clone() })
}

const REFUSED: &str = "UPDATE accounts SET refusal_at = 1, refusal_protocol = 'submission', refusal_code = '5.2.252', \
     refusal_cause = '{\"kind\":\"mailbox_refused\",\"text\":\"the account may not send as that address\"}', \
     refusal_cure = '{\"kind\":\"administrator\",\"text\":\"an administrator gives it the permission Send As\"}' \
     WHERE name = ?";
const LAST_DAY: &str =
    "UPDATE passwords SET last_day = ? WHERE account_id = (SELECT id FROM accounts WHERE name = ?)";

#[tokio::test]
async fn among_fifty_accounts_what_is_broken_is_on_the_first_screen_and_is_mended_by_its_button() {
    let site = site().await;
    site.configure_provider(&format!("client_secret_expires = \"{}\"", day(5)));
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    many(&site, 48).await;
    // A revoked grant, a password whose last day was yesterday, a refusal after the login, and a secret that ends soon.
    site.sandbox.controls().revoke_grants(BOB);
    assert_eq!(site.run(&["tokens", "refresh", BOB]).await.code, 1);
    assert_eq!(site.tamper(LAST_DAY, &[&day(-1), "user7@corp.example"]).await, 1);
    assert_eq!(site.tamper(REFUSED, &[ALICE]).await, 1);
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    page.has("<title>(3) Accounts").has("50 accounts").has("1 needs a person");
    page.has("1 that no app password opens").has("1 refused after a login");
    page.has("The client secret of <strong>").lacks("None needs a person");
    assert_eq!(below(&page, "Needs a person"), [BOB]);
    assert_eq!(below(&page, "No app password opens it"), ["user7@corp.example"]);
    assert_eq!(below(&page, "Refused after a login"), [ALICE]);
    assert_eq!(below(&page, "The others").len(), 47);
    for (kind, shown) in [("no_password", "user7@corp.example"), ("refused_after_login", ALICE)] {
        assert_eq!(listed(&browser.get(&format!("/?kind={kind}")).await), [shown], "{kind}");
    }

    // The ended password: its button leads to the form of a new one.
    page.has("The last day of its app password is over, so no mail program can log in.");
    let to = page.between("<a class=\"button small main\" href=\"", "\"");
    assert_eq!(to, "/accounts/user7%40corp%2Eexample?new=password#new-password");
    let account = browser.get(to.split('#').next().unwrap()).await;
    account.has("<details id=\"new-password\" open>").has("No app password opens it");
    browser.post("/accounts/user7%40corp%2Eexample/password", &[("name", "phone")]).await.has("Works");

    // The refusal: the check finds the sign-in good, and the next message that is accepted ends it.
    checked(&mut browser, ALICES).await.has("Every step succeeded");
    let mut client = serving.submit_as(&settings).await;
    assert_eq!(client.mail(ALICE, &[BOB], b"Subject: hello\r\n\r\nHello\r\n").await.code(), 250);
    within("the end of the refusal", async {
        while !below(&browser.get("/").await, "Refused after a login").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;

    // The revoked grant: its button begins the consent.
    let base = serving.ready["admin"].as_str().unwrap();
    let (name, value) = browser.cookie.as_ref().unwrap().split_once('=').unwrap();
    let mut person = Person::default();
    person.cookies.push(("localhost".to_owned(), name.to_owned(), value.to_owned()));
    person.open(&format!("{base}/")).await;
    let pressed = person.send(&format!("{BOBS}/authorise"), &[("form_token", &browser.token)]).await;
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, BOB).await;
    person.follow(back).await.has("Signed in as");

    // The secret: a new one in the file, and the button that loads it.
    site.configure(ON);
    browser.post("/reload", &[]).await.lacks("The client secret of");
    let page = browser.get("/").await;
    page.has("<title>Accounts").has("None needs a person").lacks("The others");
    serving.stop().await;
}

#[tokio::test]
async fn an_account_whose_passwords_end_soon_or_that_has_none_is_not_among_the_good_ones() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    many(&site, 2).await;
    assert_eq!(site.tamper(LAST_DAY, &[&day(3), ALICE]).await, 1);
    assert_eq!(site.tamper(LAST_DAY, &[&day(40), BOB]).await, 1);
    assert_eq!(site.tamper("DELETE FROM passwords WHERE account_id = 'many-0'", &[]).await, 1);
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    page.has("1 ends within 14 days").has(&format!("The last day of an app password is {}.", day(3)));
    page.has("It has no app password, so no mail program can log in.");
    assert_eq!(below(&page, "Ends soon"), [ALICE]);
    assert_eq!(below(&page, "No app password opens it"), ["user0@corp.example"]);
    assert_eq!(below(&page, "The others"), [BOB, "user1@corp.example"]);
    // What programs read stays: the state of the grant, and the number of all passwords.
    let (tokens, code) = site.tokens().await;
    assert!(code == 0 && tokens.iter().all(|entry| entry["state"] == "ok"), "{tokens:#?}");
    // A disabled account is closed on purpose.
    site.run(&["accounts", "disable", "user0@corp.example"]).await;
    browser.get("/").await.lacks("No app password opens it</h2>");
    serving.stop().await;
}

#[tokio::test]
async fn a_device_needs_no_password_and_its_account_is_not_called_closed() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.run(&["passwords", "revoke", ALICE, "default"]).await;
    let device = "[[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n\
         [[listeners.devices]]\nfrom = \"127.0.0.1/32\"\naccount = \"alice@example.com\"\n";
    site.configure(&format!("{ON}{device}"));
    let (serving, mut browser) = opened(&site).await;
    browser.get("/").await.has("None needs a person").lacks("No app password opens it</h2>");
    serving.stop().await;
}

#[tokio::test]
async fn what_needs_a_person_comes_first_with_a_count_a_cause_and_its_cure() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    site.sandbox.controls().revoke_grants(BOB);
    assert_eq!(site.run(&["tokens", "refresh", BOB]).await.code, 1);
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    page.has("<title>(1) Accounts").has("1 needs a person").has("2 accounts").has("invalid_grant");
    page.has(&format!("action=\"{BOBS}/authorise\"")).has("Authorise again");
    assert_eq!(listed(&page), [BOB, ALICE]);
    for (query, shown) in [
        ("?kind=needs_person", &[BOB][..]),
        ("?kind=ok", &[ALICE]),
        ("?q=ALI", &[ALICE]),
        ("?q=example.com&provider=sandbox", &[BOB, ALICE]),
        ("?q=nobody", &[]),
        ("?provider=gmail", &[]),
        ("?kind=no-such-kind&page=0", &[BOB, ALICE]),
        ("?page=99999999999999999999", &[BOB, ALICE]),
        ("?page=2", &[BOB, ALICE]),
        ("?page=999999", &[BOB, ALICE]),
    ] {
        assert_eq!(listed(&browser.get(&format!("/{query}")).await), shown, "{query}");
    }
    browser.get("/?q=nobody").await.has("No account is like that").has("Show all accounts");
    browser.get(BOBS).await.has("Needs authorisation").has("no longer accepts").has("What may end it");
    serving.stop().await;
}

#[tokio::test]
async fn a_secret_of_the_client_that_is_about_to_end_stands_above_the_list() {
    let site = site().await;
    let day = (time::OffsetDateTime::now_utc() + time::Duration::days(5)).date();
    site.configure_provider(&format!("client_secret_expires = \"{day}\""));
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    page.has("The client secret of <strong>").has("days</time>").has("Load the configuration again");
    page.has("with it <a href=\"/?provider=sandbox\">its account</a> stops working");
    page.has("None needs a person");
    // The page loads the changed configuration file.
    site.configure("[admin]\naddress = \"127.0.0.1:0\"\n[metrics]\naddress = \"127.0.0.1:0\"\n");
    let page = browser.post("/reload", &[]).await;
    page.has("A restart is needed for the new metrics.address; the rest is in use.")
        .lacks("The client secret of");
    std::fs::write(&site.config, "nonsense = 1\n").unwrap();
    browser.post("/reload", &[]).await.has("nonsense").has("role=\"alert\"");
    browser.get("/activity").await.has("Reload refused").has("Reloaded");
    serving.stop().await;
}

#[tokio::test]
async fn what_the_configuration_mends_is_apart_from_what_a_sign_in_mends() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    site.sandbox.controls().next_token(TokenFault::error("invalid_client", "wrong secret"));
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 1);
    site.sandbox.controls().revoke_grants(BOB);
    assert_eq!(site.run(&["tokens", "refresh", BOB]).await.code, 1);
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/?kind=needs_person").await;
    page.has("2 need a person")
        .has("<h2>Needs a person</h2>")
        .has("<h2>Needs the configuration changed</h2>");
    assert_eq!(listed(&page), [BOB, ALICE], "a sign-in first");
    // A consent would fail as well, so none is offered before the key is mended.
    let page = browser.get(ALICES).await;
    page.has("Misconfigured").has("action=\"/reload\"").has("Check now");
    page.lacks("Sign-in link").lacks("Authorise again");
    browser.get(BOBS).await.has("Sign-in link").has("Authorise again");
    serving.stop().await;
}

#[tokio::test]
async fn a_mailbox_that_the_mail_server_refuses_needs_a_person_and_no_configuration() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let refused = |cure: serde_json::Value| {
        let cause = json!({ "kind": "mailbox_refused", "text": "the mailbox is refused" });
        let trouble = json!({ "cause": cause, "cure": cure });
        json!({ "imap": { "trouble": trouble, "count": 1, "at": 1, "retry_at": 1 } }).to_string()
    };
    let set = "UPDATE accounts SET troubles = ? WHERE name = ?";
    let by_administrator =
        refused(json!({ "kind": "administrator", "text": "switch IMAP on for the mailbox" }));
    site.tamper(set, &[&by_administrator, ALICE]).await;
    let by_key = refused(json!({ "kind": "configure", "key": "providers.sandbox.imap", "text": "set it" }));
    site.tamper(set, &[&by_key, BOB]).await;
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    page.has("2 need a person").has("Refused by the mail server").has("Switch IMAP on for the mailbox.");
    assert_eq!(below(&page, "Needs a person"), [ALICE]);
    assert_eq!(below(&page, "Needs the configuration changed"), [BOB]);
    assert_eq!(listed(&browser.get("/?kind=refused").await), [ALICE]);
    assert_eq!(listed(&browser.get("/?kind=misconfigured").await), [BOB]);
    browser.get(ALICES).await.has("Refused by the mail server").has("Authorise again").has("Sign-in link");
    browser.get(BOBS).await.has("Misconfigured").lacks("Authorise again");
    // Programs go on to read the same state of both.
    let (tokens, _) = site.tokens().await;
    assert!(tokens.iter().all(|entry| entry["state"] == "misconfigured"), "{tokens:#?}");
    serving.stop().await;
}

#[tokio::test]
async fn what_many_accounts_depend_on_is_named_with_its_day_and_the_file_to_change() {
    let site = site().await;
    let soon = time::OffsetDateTime::now_utc() + time::Duration::days(5);
    for (name, is_app) in [("own", false), ("app", true)] {
        let key = match is_app {
            true => rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap(),
            false => rcgen::KeyPair::generate().unwrap(),
        };
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_after = soon;
        let certificate = parameters.self_signed(&key).unwrap().pem();
        std::fs::write(site.home.path().join(format!("{name}.pem")), certificate).unwrap();
        std::fs::write(site.home.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
        common::set_mode(&site.home.path().join(format!("{name}.key")), 0o600);
    }
    let secret = site.home.path().join("secret");
    std::fs::write(&secret, "x").unwrap();
    common::set_mode(&secret, 0o600);
    site.configure(&format!(
        "{ON}[tls]\ncertificate = \"own.pem\"\nkey = \"own.key\"\n\
         [providers.gmail]\nclient_id = \"x\"\nclient_secret_file = \"secret\"\nclient_secret_expires = \"{}\"\n\
         [providers.corp]\npreset = \"microsoft365\"\ntenant = \"corp.example\"\nclient_id = \"x\"\n\
         app_certificate = \"app.pem\"\napp_key = \"app.key\"\n",
        soon.date()
    ));
    site.configure_provider(&format!("client_secret_expires = \"{}\"", soon.date()));
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    let format = time::macros::format_description!("[day padding:none] [month repr:long] [year]");
    page.has(&format!(" ends on {}, <time", soon.date().format(format).unwrap()));
    let file = |name: &str| site.home.path().join(name).display().to_string();
    // In the configuration itself, and in a file of its own.
    page.has(&format!("Put it into <code>{}</code> as <code>client_secret</code>", file("config.toml")));
    page.has(&format!("Put it into <code>{}</code>, the <code>client_secret_file</code>", file("secret")));
    page.has(" The application's certificate for ")
        .has(&format!("put it into <code>{}</code>", file("app.pem")));
    page.has("The certificate that mail programs see")
        .has(&format!("Renew <code>{}</code>", file("own.pem")));
    serving.stop().await;
}

#[tokio::test]
async fn each_account_has_the_button_for_what_is_wrong_with_it() {
    let site = site().await;
    site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let set = "UPDATE grants SET state = 'misconfigured', last_error = 'it is wrong', cause_kind = 'client_refused', cure = ? \
         WHERE owner = ?";
    let admin_consent = r#"{"kind":"admin_consent","text":"an administrator of the organisation consents"}"#;
    site.tamper(set, &[admin_consent, ALICE]).await;
    site.tamper(set, &[r#"{"kind":"unknown"}"#, BOB]).await;
    let (serving, mut browser) = opened(&site).await;
    assert_eq!(browser.get("/").await.body.matches(">Check now<").count(), 2);
    // Nothing else opens an account that is disabled.
    browser.post(&format!("{BOBS}/disable"), &[]).await;
    let page = browser.get("/?kind=disabled").await;
    page.has("It is wrong.").has(&format!("action=\"{BOBS}/enable\"")).lacks("Check now").lacks("Authorise");
    serving.stop().await;
}

#[tokio::test]
async fn a_name_of_dots_is_removed_the_activity_is_that_of_the_account_and_only_a_consent_is_said_to_stay() {
    let site = site().await;
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    browser.post(&format!("{ALICES}/alias"), &[("alias", "..")]).await.has("“..” is a login name");
    let page = browser.get(ALICES).await;
    page.has(&format!("action=\"{ALICES}/unalias?alias=%2E%2E\""));
    page.has("href=\"/activity?account=alice%40example%2Ecom\"");
    let page = browser.post(&format!("{ALICES}/unalias?alias=%2E%2E"), &[]).await;
    page.has("“..” is no login name of alice@example.com any more");
    // An account that waits for its first consent is not known at the provider.
    browser
        .post("/add", &[("table", "bob@example.com,sandbox\n")])
        .await
        .has("They have no app password yet");
    browser.get(&format!("{BOBS}/remove")).await.has("Its authorisation is deleted").lacks("consent stays");
    browser.post(&format!("{BOBS}/remove"), &[]).await.has("is removed").lacks("still stands");
    browser.get(&format!("{ALICES}/remove")).await.has("At the provider the consent stays");
    browser.post(&format!("{ALICES}/remove"), &[]).await.has("At its provider the consent still stands.");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_23_an_app_password_is_shown_once_and_opens_what_it_is_limited_to() {
    let site = site().await;
    let mut settings = site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    browser.get(ALICES).await.has("New app password");
    let fields =
        [("name", "phone"), ("protocol", "imap"), ("from", "127.0.0.0/8 ::1"), ("expires", "2099-12-31")];
    let answer = browser.submit(&format!("{ALICES}/password"), &fields).await;
    assert_eq!(answer.status, 303);
    let path = answer.header("location").to_owned();
    let page = browser.get(&path).await;
    page.has("shown this once").has("imap only; from").has("until 2099-12-31");
    let password =
        page.between("<code class=\"password\" tabindex=\"0\" data-copy=\"Copy the password\">", "</code>");
    settings["password"] = json!(password);
    drop(serving.log_in(&settings).await);
    for path in [path.as_str(), ALICES, "/activity"] {
        browser.get(path).await.lacks(&password).lacks("shown this once");
    }
    // Input that cannot be meant is refused with a cure, and no account is made.
    for (fields, said) in [
        (&[("name", "x"), ("from", "everywhere")][..], "is no network"),
        (&[("name", "x"), ("expires", "2001-01-01")], "choose a day from today on"),
        (&[("name", "")], "1 to 100 characters"),
        (&[("name", "phone")], "already has an app password"),
    ] {
        let page = browser.submit(&format!("{ALICES}/password"), fields).await;
        assert_eq!(page.status, 422, "{page:?}");
        page.has(&format!("value=\"{}\"", fields[0].1)).has("Make the password");
        assert!(page.body.to_lowercase().contains(said), "{said}: {}", page.body);
    }
    let ask = browser.get(&format!("{ALICES}/revoke-password?name=phone")).await;
    ask.has("Revoke an app password?").has("opens alice@example.com no longer").has("Leave it as it is");
    let page = browser.post(&format!("{ALICES}/revoke-password"), &[("name", "phone")]).await;
    page.has("The password called “phone” no longer opens alice@example.com.").lacks("imap only");
    serving.stop().await;
}

#[tokio::test]
async fn the_limits_of_a_password_are_changed_by_a_form_that_says_what_held_before() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    browser.get(ALICES).await.has("/limits?name=default\"");
    let form = format!("{ALICES}/limits?name=default");
    browser.get(&form).await.has("Limits of “default”").lacks("checked").has("value=\"\"");
    let change = async |browser: &mut Browser, fields: &[(&str, &str)]| {
        let fields = [&[("name", "default")], fields].concat();
        browser.post(&format!("{ALICES}/limits"), &fields).await
    };
    let fields =
        [("protocol", "submission"), ("from", "192.0.2.0/24, 198.51.100.7"), ("expires", "2099-12-31")];
    let limits = "submission only; from 192.0.2.0/24 and 198.51.100.7/32; until 2099-12-31";
    let page = change(&mut browser, &fields).await;
    page.has(&format!("“default” opens {ALICE} from now on: {limits}. Before: without any limit."));
    assert!(!serving.client().await.command(&common::login(&settings)).await.is_ok());
    let page = browser.get(&form).await;
    page.has("value=\"192.0.2.0/24 198.51.100.7/32\"").has("value=\"2099-12-31\"");
    page.has("value=\"submission\" checked").lacks("value=\"imap\" checked");
    change(&mut browser, &fields).await.has(&format!("stay as they are: {limits}."));
    // A mistake changes nothing, and the form keeps the input.
    for (fields, said) in [
        (&[("protocol", "imap"), ("from", "everywhere")][..], "is no network"),
        (&[("from", "192.0.2.7/24"), ("protocol", "imap")], "Write 192.0.2.0/24 for the network"),
        (&[("protocol", "imap"), ("expires", "2001-01-01")], "Choose a day from today on"),
    ] {
        let fields = [&[("name", "default")], fields].concat();
        let page = browser.submit(&format!("{ALICES}/limits"), &fields).await;
        assert_eq!(page.status, 422, "{page:?}");
        page.has(said).has("value=\"imap\" checked");
    }
    let page = change(&mut browser, &[]).await;
    page.has("from now on: without any limit. Before: submission only");
    drop(serving.log_in(&settings).await);
    let gone = browser.post(&format!("{ALICES}/limits"), &[("name", "gone")]).await;
    gone.has("has no password called");
    assert_eq!(browser.get(&format!("{ALICES}/limits?name=gone")).await.status, 409);
    browser.get("/activity").await.has("Password limited");
    serving.stop().await;
}

#[tokio::test]
async fn login_names_are_added_and_removed_by_forms_that_say_what_changed() {
    let site = site().await;
    let mut settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let (serving, mut browser) = opened(&site).await;
    browser.get(ALICES).await.has("Other login names").has("mail programs log in as alice@example.com");
    let page = browser.post(&format!("{ALICES}/alias"), &[("alias", " helpdesk ")]).await;
    page.has("“helpdesk” is a login name of alice@example.com from now on")
        .has("Remove<span class=\"skip\"> the login name helpdesk");
    settings["username"] = json!("helpdesk");
    drop(serving.log_in(&settings).await);
    browser.post(&format!("{ALICES}/alias"), &[("alias", "helpdesk")]).await.has("already");
    for (alias, said) in [
        (BOB, "Choose another name"),
        ("@example.com", "Give a plain login name"),
        ("info@example.com", "If that is meant, allow"),
    ] {
        let page = browser.post(&format!("{ALICES}/alias"), &[("alias", alias)]).await;
        // The form keeps the input.
        page.has(said).has(&format!("autocomplete=\"off\" value=\"{alias}\"")).lacks("from now on");
    }
    let fields = [("alias", "info@example.com"), ("foreign", "yes")];
    browser.post(&format!("{ALICES}/alias"), &fields).await.has("“info@example.com” is a login name");
    let page = browser.post(&format!("{ALICES}/unalias?alias=helpdesk"), &[]).await;
    page.has("“helpdesk” is no login name of alice@example.com any more");
    assert!(!serving.client().await.command(&common::login(&settings)).await.is_ok());
    browser.post(&format!("{ALICES}/unalias?alias=helpdesk"), &[]).await.has("has no alias");
    serving.stop().await;
}

#[tokio::test]
async fn a_session_is_seen_and_closed_and_the_trail_names_the_page_and_its_session() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    browser.get("/sessions").await.has("No mail program is logged in");
    let mut client = serving.log_in(&settings).await;
    let page = browser.get("/sessions").await;
    page.has(ALICE).has("127.0.0.1").has("default");
    let id = page.between("name=\"id\" value=\"", "\"");
    let said = browser.post("/sessions/close", &[("id", &id)]).await;
    said.has("The session is told to end");
    within("the end of the session", async { while client.next_line().await.is_some() {} }).await;
    browser.post("/sessions/close", &[("id", &id)]).await.has("has ended already");
    let session = browser.get("/").await.between("title=\"Session ", "\"");
    browser.get("/activity").await.has("Sessions closed").has(&format!("session {session}, page"));
    let events = site.run(&["events", "list", "--json"]).await.json();
    let last = events.as_array().unwrap().last().unwrap();
    assert_eq!((last["event"].as_str(), last["surface"].as_str()), (Some("sessions_closed"), Some("page")));
    serving.stop().await;
}

#[tokio::test]
async fn the_steps_of_a_check_appear_and_say_what_is_wrong() {
    let site = site().await;
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    let well = checked(&mut browser, ALICES).await;
    well.has("Every step succeeded").has("Sign-in").has("The certificate is good").has("Folders");
    site.sandbox.controls().revoke_grants(ALICE);
    site.sandbox.controls().revoke_access_tokens();
    site.sandbox.controls().every_token(TokenFault::error("invalid_grant", "revoked"));
    site.tamper("UPDATE grants SET refreshed_at = 0, access_expires_at = 0", &[]).await;
    let broken = checked(&mut browser, ALICES).await;
    broken.has("A person has to act").has("invalid_grant").has(&format!("action=\"{ALICES}/authorise\""));
    let nobody = checked(&mut browser, "/accounts/nobody").await;
    nobody.has("There is no account");
    assert_eq!(browser.get("/checks/x").await.status, 404);
    serving.stop().await;
}

/// The page of a check that is over.
async fn checked(browser: &mut Browser, account: &str) -> Answer {
    let answer = browser.submit(&format!("{account}/check"), &[]).await;
    let path = answer.header("location").to_owned();
    assert!(path.starts_with("/checks/"), "{answer:?}");
    within("the end of the check", async {
        loop {
            let page = browser.get(&path).await;
            if !page.body.contains("http-equiv=\"refresh\"") {
                return page;
            }
        }
    })
    .await
}

#[tokio::test]
async fn every_act_says_what_changed_once_and_what_ends_something_asks_before() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let (serving, mut browser) = opened(&site).await;
    let answer = browser.submit(&format!("{ALICES}/disable"), &[]).await;
    let path = answer.header("location").to_owned();
    browser.get(&path).await.has("lets no mail program in from now on").has("Enable");
    browser.get(&path).await.lacks("from now on");
    browser.post(&format!("{ALICES}/disable"), &[]).await.has("was disabled already");
    browser.post(&format!("{ALICES}/enable"), &[]).await.has("lets mail programs in again");
    drop(serving.log_in(&settings).await);

    let ask = browser.get(&format!("{ALICES}/revoke")).await;
    ask.has("Revoke the authorisation?").has("until a person authorises the account again");
    let page = browser.post(&format!("{ALICES}/revoke"), &[]).await;
    page.has("is deleted here").has("has revoked it, too").has("The authorisation was revoked here");
    browser
        .post(&format!("{ALICES}/revoke"), &[])
        .await
        .has("no authorisation for alice@example.com to revoke");

    let ask = browser.get(&format!("{BOBS}/remove")).await;
    ask.has("Remove the account?").has("Its app passwords are deleted: “default”").has("consent stays");
    let page = browser.post(&format!("{BOBS}/remove"), &[]).await;
    page.has("bob@example.com is removed");
    assert_eq!(listed(&page), [ALICE]);
    assert_eq!(browser.get(BOBS).await.status, 404);
    browser.post(&format!("{BOBS}/remove"), &[]).await;
    // A GET of the address of an act does nothing.
    for act in ["check", "password", "disable", "enable", "authorise", "link"] {
        assert_eq!(browser.send("GET", &format!("{ALICES}/{act}"), "", "").await.status, 405, "{act}");
    }
    let stranger = Browser::new(&serving);
    for path in ["/sessions", "/activity", "/add", ALICES, "/checks/x", "/setup/ca.crt"] {
        let answer = stranger.send("GET", path, "", "").await;
        assert_eq!(answer.status, 403, "{path}");
        answer.has("imap-oauth-proxy admin").lacks(ALICE);
    }
    serving.stop().await;
}

#[tokio::test]
async fn a_table_is_judged_as_a_whole_and_each_new_account_waits_for_its_owner() {
    let site = site().await;
    let (serving, mut browser) = opened(&site).await;
    let empty = browser.get("/").await;
    empty.has("No account yet").has("Add accounts");
    // The script finds these in the page of before the first account, too.
    for part in ["counts", "filter", "accounts"] {
        empty.has(&format!("id=\"{part}\" data-live"));
    }
    browser.get("/add").await.has("One account").has("Many accounts");
    let table = "alice@example.com\nbob@example.com,no-such-provider\nalice@example.com\n";
    let refused = browser.submit("/add", &[("table", table)]).await;
    refused.has("No account was made").has("Line 2").has("There is no provider").has("Line 3");
    refused.has("bob@example.com,no-such-provider");
    browser.get("/").await.has("No account yet");
    let table = "account,provider,owner,alias\nalice@example.com,sandbox,,al\nbob@example.com,sandbox\n";
    let made = browser.post("/add", &[("table", table), ("passwords", "yes")]).await;
    // A link for each owner, in the list and in the table for a spreadsheet.
    assert_eq!(made.body.matches("/again/").count(), 4, "{}", made.body);
    made.has("data-copy=\"Copy as a table\">account\tapp password\tsign-in link\n");
    made.has("2 accounts made")
        .has("shown this once")
        .has("It has not been authorised yet")
        .has(">Authorise<");
    assert_eq!(listed(&made), [ALICE, BOB]);
    browser.get("/").await.lacks("shown this once").lacks("/again/");
    browser.get(ALICES).await.has("Other login names").has("Needs authorisation");
    // A file, as a browser sends it.
    let part = |name: &str, rest: &str, content: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n{content}\r\n")
    };
    let lines =
        "Origin: null\r\nSec-Fetch-Site: same-origin\r\nContent-Type: multipart/form-data; boundary=xyz\r\n";
    let send = async |token: &str| {
        let file =
            part("file", "; filename=\"a.csv\"\r\nContent-Type: text/csv", "carol@example.com;sandbox\r\n");
        let body = format!("{}{}{file}--xyz--\r\n", part("form_token", "", token), part("table", "", ""));
        browser.send("POST", "/add", lines, &body).await
    };
    assert_eq!(send("wrong").await.status, 403);
    assert_eq!(send(&browser.token).await.status, 303);
    assert_eq!(listed(&browser.get("/").await), [ALICE, BOB, "carol@example.com"]);
    serving.stop().await;
}

#[tokio::test]
async fn an_account_is_authorised_again_from_the_page_and_by_the_link_that_is_sent() {
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().revoke_grants(ALICE);
    assert_eq!(site.run(&["tokens", "refresh", ALICE]).await.code, 1);
    let (serving, mut browser) = opened(&site).await;
    let page = browser.post(&format!("{ALICES}/link"), &[]).await;
    let link = page.between("readonly data-copy=\"Copy sign-in link\" value=\"", "\"");
    assert!(link.contains("/again/"), "{link}");
    browser.get(ALICES).await.lacks(&link).has("Link shown");
    let trail = site.run(&["events", "list", "--json"]).await;
    let last = trail.json().as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["event"], &last["account"]), (&json!("link_shown"), &json!(ALICE)), "{last}");
    assert_eq!(last["surface"], "page");
    assert!(!trail.out.contains(link.rsplit_once('/').unwrap().1), "the trail holds no secret");

    let base = serving.ready["admin"].as_str().unwrap();
    let (name, value) = browser.cookie.as_ref().unwrap().split_once('=').unwrap();
    let mut person = Person::default();
    person.cookies.push(("localhost".to_owned(), name.to_owned(), value.to_owned()));
    let page = person.open(&format!("{base}{ALICES}")).await;
    let token = page.between("name=\"form_token\" value=\"", "\"");
    let pressed = person.send(&format!("{ALICES}/authorise"), &[("form_token", &token)]).await;
    // The page's forms stay on this server; the next page leads to the provider.
    assert!(pressed.header("location").starts_with("/consent/"), "{pressed:?}");
    let consent = person.follow(pressed).await;
    let back = person.approve(&consent, ALICE).await;
    let end = person.follow(back).await;
    end.has("Signed in as").has(&format!("href=\"{ALICES}\""));
    drop(serving.log_in(&settings).await);
    browser.get("/").await.has("None needs a person");
    browser.get(ALICES).await.has("Authorised</strong>").has(", page");
    assert_eq!(Person::default().open(&link).await.status, 404, "a stored grant ends the link");
    serving.stop().await;
}

#[tokio::test]
async fn another_try_of_a_new_account_begins_at_its_form_as_it_was_filled_in() {
    let site = site().await;
    let (serving, mut browser) = opened(&site).await;
    let base = serving.ready["admin"].as_str().unwrap();
    let (name, value) = browser.cookie.as_ref().unwrap().split_once('=').unwrap();
    let mut person = Person::default();
    person.cookies.push(("localhost".to_owned(), name.to_owned(), value.to_owned()));
    let mut token = person.open(&format!("{base}/add")).await.between("name=\"form_token\" value=\"", "\"");
    // The person signs in as another one, so nothing is stored, and there is no account to go back to.
    let fields = [("account", ALICE), ("provider", "sandbox"), ("owner", "")];
    let mut back = String::new();
    for signs_in in [BOB, ALICE] {
        let fields = [&[("form_token", &*token)], &fields[..]].concat();
        let pressed = person.send("/authorise", &fields).await;
        let consent = person.follow(pressed).await;
        let answer = person.approve(&consent, signs_in).await;
        let end = person.follow(answer).await;
        if signs_in == ALICE {
            end.has("Signed in as").has(&format!("<a class=\"button\" href=\"{ALICES}\">To the account"));
            continue;
        }
        end.has("You signed in as").has("Nothing was stored");
        back = end.between("<a class=\"button\" href=\"", "\">Try again");
        assert_eq!(back, "/add?account=alice%40example.com&amp;provider=sandbox");
        let form = person.open(&format!("{base}{}", back.replace("&amp;", "&"))).await;
        assert_eq!(form.status, 200);
        form.has("value=\"alice@example.com\"").has("<option value=\"sandbox\" selected>");
        token = form.between("name=\"form_token\" value=\"", "\"");
    }
    assert_eq!(browser.get(ALICES).await.status, 200);
    // A link fills in no table.
    browser
        .get(&format!("{}&table=evil%40example.com&foreign=yes", back.replace("&amp;", "&")))
        .await
        .lacks("evil");
    serving.stop().await;
}

#[tokio::test]
async fn mail_programs_are_set_up_by_files_and_the_open_one_is_the_same_for_every_address() {
    let site = site().await;
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    browser
        .get(&format!("{ALICES}/setup"))
        .await
        .has("Thunderbird")
        .has("Outlook")
        .has("Settings for any program")
        .has(&format!("data-label=\"Port\">{}</td>", serving.address().port()))
        .lacks("data-label=\"Port\">0<");
    let profile = browser.get("/setup/alice%40example%2Ecom.mobileconfig").await;
    assert_eq!(profile.header("content-type"), "application/x-apple-aspen-config");
    assert_eq!(
        profile.header("content-disposition"),
        "attachment; filename=\"alice@example.com.mobileconfig\""
    );
    profile.has("com.apple.mail.managed").has(ALICE);
    browser.get("/setup/alice%40example%2Ecom.xml").await.has("<incomingServer type=\"imap\">");
    browser.get("/setup/alice%40example%2Ecom.txt").await.has("User name    alice@example.com");
    browser.get("/setup/ca.crt").await.has("BEGIN CERTIFICATE");
    for path in ["/setup/nobody.mobileconfig", "/setup/x", "/setup/alice%40example%2Ecom.exe"] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
    let open = "/.well-known/autoconfig/mail/config-v1.1.xml";
    let stranger = Browser::new(&serving);
    let answers = [
        stranger.send("GET", open, "", "").await,
        stranger.send("GET", &format!("{open}?emailaddress=alice%40example.com"), "", "").await,
        stranger.send("GET", &format!("{open}?emailaddress=%3Cscript%3E"), "", "").await,
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml; charset=utf-8"));
        assert_eq!(answer.body, answers[0].body, "no account shows");
        answer.has("<domain>%EMAILDOMAIN%</domain>").has("%EMAILADDRESS%").lacks("alice");
        answer.has(&format!("<port>{}</port>", serving.address().port())).lacks("<port>0<");
    }
    serving.stop().await;
}

#[tokio::test]
async fn security_row_14_text_from_outside_is_escaped_on_every_page() {
    let hostile = "<script>alert(1)</script>\u{1b}[2J\u{202e}\"'&";
    let site = site().await;
    let settings = site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    let mut client = serving.client().await;
    client.command("ID (\"name\" \"<script>alert(1)</script>\")").await;
    let login = format!("LOGIN {ALICE} {}", settings["password"].as_str().unwrap());
    assert!(client.command(&login).await.is_ok());
    let cause = json!({ "kind": "grant_refused", "text": hostile }).to_string();
    for sql in [
        "UPDATE grants SET owner = ?, last_error = 'x', cause_kind = 'grant_refused', state = 'needs_authorization'",
        "UPDATE grants SET last_error = ?",
        "UPDATE accounts SET last_login_from = ?, last_login_at = 1",
        "INSERT INTO login_names (folded, name, account_id) SELECT 'x', ?, id FROM accounts",
        "UPDATE passwords SET name = ?, last_used_from = 'x'",
        "UPDATE trail SET about = ?, user = 'x'",
    ] {
        assert!(site.tamper(sql, &[hostile]).await > 0, "{sql}");
    }
    let refusal = "UPDATE accounts SET refusal_at = 1, refusal_protocol = 'submission', refusal_code = '5.7.1', refusal_cause = ?";
    site.tamper(refusal, &[&cause]).await;
    browser.get("/").await;
    let name = "/accounts/%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let search = "/?q=%3Cscript%3Ealert(1)%3C/script%3E%22%3E";
    let password = format!("{ALICES}/revoke-password?name=%3Cscript%3E%22");
    for path in ["/", search, ALICES, name, "/sessions", "/activity", &format!("{ALICES}/remove"), &password]
    {
        let page = browser.get(path).await;
        page.lacks("<script>alert").lacks("\u{1b}").lacks("\u{202e}");
        assert_eq!(page.body.matches("<script").count(), 1, "{path}: its own script alone");
    }
    browser.get(ALICES).await.has("&lt;script&gt;alert(1)&lt;/script&gt;");
    let posted = browser.post(&format!("{ALICES}/password"), &[("name", "<b>x</b>")]).await;
    posted.has("&lt;b&gt;x&lt;/b&gt;").lacks("<b>x");
    let refused = browser.submit("/add", &[("table", "</textarea><script>alert(1)</script>")]).await;
    refused.lacks("<script>alert").has("&lt;/textarea&gt;");
    serving.stop().await;
}

#[tokio::test]
async fn five_thousand_accounts_are_a_page_that_is_short_and_quick() {
    let site = site().await;
    site.authorize(ALICE).await;
    many(&site, 5000).await;
    let (serving, mut browser) = opened(&site).await;
    let process = serving.process();
    let before = process.cpu();
    let page = browser.get("/").await;
    let took = process.cpu() - before;
    page.has("5001 accounts").has("Page 1 of 101");
    assert!(page.body.len() < 300 * 1024, "{} bytes", page.body.len());
    println!("{} bytes, {} ms CPU of an unoptimised build", page.body.len(), took.as_millis());
    assert!(took.as_millis() < 4000, "{took:?} of an unoptimised build");
    assert_eq!(listed(&page).len(), 50);
    let last = browser.get("/?page=101").await;
    assert_eq!(listed(&last), ["user9@corp.example"]);
    let found = browser.get("/?q=user4321").await;
    assert_eq!(listed(&found), ["user4321@corp.example"]);
    serving.stop().await;
}

#[tokio::test]
async fn what_the_browser_asks_by_itself_is_the_same_page() {
    let site = site().await;
    site.authorize(ALICE).await;
    let (serving, mut browser) = opened(&site).await;
    let page = browser.get("/").await;
    let by_itself = browser.send("GET", "/", "X-By-Itself: 1\r\n", "").await;
    let live = |answer: &Answer| answer.body.split_once("data-live").map(|(_, rest)| rest.len());
    assert!(live(&page).is_some() && by_itself.status == 200);
    // The counts and the filter change with the accounts.
    let counts = page.between("id=\"counts\" data-live=\"15\">", "id=\"filter\"");
    assert!(counts.contains("1 account") && counts.contains("None needs a person"), "{counts}");
    let filter = page.between("id=\"filter\" data-live=\"15\">", "id=\"accounts\"");
    assert!(filter.contains("Works (1)"), "{filter}");
    // By this the script knows a page of a session, which ends without another status here.
    page.has("<form class=\"leave\"");
    let mut gone = Browser { cookie: None, ..browser.clone() };
    let answer = gone.get("/").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.lacks("class=\"leave\"").has("imap-oauth-proxy admin");
    page.has("<link rel=\"stylesheet\" href=\"/style.css\">").has("lang=\"en\"").has("Skip to the content");
    serving.stop().await;
}

#[tokio::test]
async fn a_form_that_is_sent_twice_is_done_once_and_loses_no_password() {
    let site = site().await;
    let (serving, mut browser) = opened(&site).await;
    let form = async |browser: &mut Browser, account: &str| {
        let page = browser.get("/add").await;
        let once =
            page.body.split("name=\"once\" value=\"").last().unwrap().split('"').next().unwrap().to_owned();
        [("once", once), ("table", format!("{account},sandbox")), ("passwords", "yes".to_owned())]
    };
    let fields = form(&mut browser, "one@example.com").await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    let (first, second) = tokio::join!(browser.submit("/add", &fields), browser.submit("/add", &fields));
    let mut shown = Vec::new();
    for answer in [first, second] {
        assert_eq!(answer.status, 303, "{answer:?}");
        let page = browser.get(answer.header("location")).await;
        page.has("one@example.com").lacks("No account was made");
        shown.push(page.between("data-label=\"App password\"><code>", "</code>").to_owned());
    }
    assert!(shown[0].len() > 10 && shown[0] == shown[1], "{shown:?}");

    // The connection breaks before the answer.
    let fields = form(&mut browser, "two@example.com").await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    browser.submit_and_hang_up("/add", &fields).await;
    let answer = browser.submit("/add", &fields).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = browser.get(answer.header("location")).await;
    page.has("two@example.com").lacks("No account was made");
    assert!(page.between("data-label=\"App password\"><code>", "</code>").len() > 10, "{page:?}");
    // Other fields are another act, and so is another form.
    let mut other = fields.clone();
    other[1].1 = "three@example.com,sandbox";
    let answer = browser.submit("/add", &other).await;
    browser.get(answer.header("location")).await.has("three@example.com");
    let fields = form(&mut browser, "two@example.com").await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    browser.submit("/add", &fields).await.has("No account was made");
    serving.stop().await;
}
