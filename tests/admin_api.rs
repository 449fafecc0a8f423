//! The API: permissions, answers and effects of each request. Every answer is checked against its description,
//! src/admin/api/openapi.json.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;
#[path = "admin_api/description.rs"]
mod description;

use common::web::{Answer, Browser, ON, ask, site};
use common::{ALICE, BOB, Serving, Site, login, within};
use serde_json::{Value, json};

/// A program that uses the API.
#[derive(Clone)]
struct Program {
    address: String,
    token: Option<String>,
}

impl Program {
    async fn new(site: &Site, serving: &Serving, words: &[&str]) -> Self {
        let words: Vec<&str> =
            ["admin", "token", "create", "--json"].iter().copied().chain(words.iter().copied()).collect();
        let ran = site.run(&words).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let token = ran.json()["token"].as_str().unwrap().to_owned();
        Self { address: Browser::new(serving).address, token: Some(token) }
    }

    /// A request; its answer fits the description.
    async fn send(&self, method: &str, path: &str, lines: &str, body: &str) -> Answer {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\n{}{lines}Content-Length: {}\r\n\r\n{body}",
            self.address,
            token.unwrap_or_default(),
            body.len()
        );
        let answer = ask(&self.address, &request).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
        description::hold(method, path, answer.status, &answer.body);
        answer
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, "", "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The status and the JSON of a request with JSON.
    async fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, path, "Content-Type: application/json\r\n", &body).await;
        (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    /// The status and the kind of a refusal.
    async fn refused(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.call(method, path, body).await;
        (status, answer["error"]["kind"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned())
    }
}

#[tokio::test]
async fn security_row_23_a_token_is_shown_once_and_ends_at_once() {
    let (site, serving) = site().await;
    let ran = site.run(&["admin", "token", "list"]).await;
    assert!(ran.code == 0 && ran.err.contains("There is no token"), "{ran:?}");
    let ran = site.run(&["admin", "token", "create", "deploy"]).await;
    let text = ran.out.trim().to_owned();
    assert!(
        text.starts_with("iop_") && text.len() == 4 + 43 && ran.err.contains("shown only now"),
        "{ran:?}"
    );
    let program = Program { address: Browser::new(&serving).address, token: Some(text.clone()) };
    assert_eq!(program.get("/accounts").await, json!([]));
    let again = site.run(&["admin", "token", "create", "deploy"]).await;
    assert!(again.code == 1 && again.error().contains("already"), "{again:?}");
    let listed = site.run(&["admin", "token", "list", "--json"]).await;
    assert!(!listed.out.contains(&text));
    let row = &listed.json()[0];
    assert_eq!((&row["name"], &row["read_only"]), (&json!("deploy"), &json!(false)));
    assert!(row["last_used_at"].is_string() && row["created_at"].is_string(), "{row}");
    assert_eq!(site.run(&["admin", "token", "revoke", "deploy"]).await.code, 0);
    assert_eq!(program.refused("GET", "/accounts", &Value::Null).await, (401, "unauthorized".to_owned()));
    let gone = site.run(&["admin", "token", "revoke", "deploy"]).await;
    assert!(gone.code == 1 && gone.error().contains("no token called"), "{gone:?}");
    let ran = site.run(&["events", "list", "--json"]).await;
    let events: Vec<(Value, Value)> = ran
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["event"].clone(), event["about"].clone()))
        .collect();
    assert_eq!(
        events,
        [(json!("api_token_created"), json!("deploy")), (json!("api_token_revoked"), json!("deploy"))]
    );
    serving.stop().await;
    let bytes = site.state_bytes();
    let is_there = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!is_there(&text) && !is_there(&text[4..]), "the store has a hash alone");
}

#[tokio::test]
async fn security_row_23_without_a_right_nothing_is_read_or_done() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let reader = Program::new(&site, &serving, &["monitor", "--read-only"]).await;
    let token = reader.token.clone().unwrap();
    let without_token = Program { token: None, ..reader.clone() };
    for path in description::paths() {
        for (method, path) in path {
            if path == "/openapi.json" {
                continue;
            }
            let answer = without_token.send(&method, &path, "", "").await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
            answer.lacks(ALICE);
            if method != "GET" {
                let answer = reader.send(&method, &path, "Content-Type: application/json\r\n", "{}").await;
                assert_eq!(answer.status, 403, "{method} {path} by a token that only reads");
                answer.has("read_only");
            }
        }
    }
    for line in [
        format!("Authorization: Bearer {}\r\n", &token[..token.len() - 1]),
        format!("Authorization: Bearer {token}x\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: {token}\r\n"),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer \u{e9}\r\n".to_owned(),
        format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
    ] {
        assert_eq!(without_token.send("GET", "/accounts", &line, "").await.status, 401, "{line}");
    }
    assert_eq!(without_token.send("GET", &format!("/accounts?token={token}"), "", "").await.status, 401);
    // A password that a web server in front asks for is no token, and stands in the way of none.
    let basic = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(reader.send("GET", "/accounts", basic, "").await.status, 200);
    let mut browser = Browser::enter(&site, &serving).await;
    browser.get("/").await.has(ALICE);
    let answer = browser.send("GET", "/api/v1/accounts", basic, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(reader.get("/accounts").await[0]["account"], ALICE);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_23_made_up_tokens_cost_the_store_little_and_keep_no_program_out() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let program = Program::new(&site, &serving, &["backup"]).await;
    let with = |token: String| Program { token: Some(token), ..program.clone() };
    // What has not the form of a token is not compared with tokens, and not counted.
    for other in ["x".to_owned(), "iop_x".to_owned(), "A".repeat(47), "iop_".to_owned() + &"x".repeat(8000)] {
        for _ in 0..30 {
            assert_eq!(with(other.clone()).send("GET", "/accounts", "", "").await.status, 401);
        }
    }
    let mut statuses = Vec::new();
    for number in 0..60 {
        let made_up = with(format!("iop_{number:A>43}"));
        statuses.push(made_up.send("GET", "/accounts", "", "").await.status);
    }
    assert!(statuses.starts_with(&[401; 20]) && statuses.contains(&429), "{statuses:?}");
    // One that was made here is known before it is compared, also by a process that has not seen it.
    assert_eq!(program.get("/accounts").await[0]["account"], ALICE);
    let newer = Program::new(&site, &serving, &["newer"]).await;
    assert_eq!(newer.get("/accounts").await[0]["account"], ALICE);
    // One of before there were marks is known once any token was compared.
    let old = format!("iop_{:B>43}", "old");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, old.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    site.tamper(&format!("UPDATE api_tokens SET hash = X'{hash}' WHERE name = 'newer'"), &[]).await;
    assert_eq!(program.get("/accounts").await[0]["account"], ALICE);
    for number in 0..30 {
        with(format!("iop_{number:C>43}")).send("GET", "/accounts", "", "").await;
    }
    assert_eq!(with(old).get("/accounts").await[0]["account"], ALICE);
    assert_eq!(newer.refused("GET", "/accounts", &Value::Null).await.0, 401);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_the_pages_session_reads_and_changes_only_with_its_token_from_a_page_of_ours() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let browser = Browser::enter(&site, &serving).await;
    let path = format!("/api/v1/accounts/{ALICE}");
    browser.send("GET", &path, "", "").await.has(ALICE);
    let (here, body) = (browser.address.clone(), json!({"disabled": true}).to_string());
    let kind = "Content-Type: application/json\r\n";
    let (ours, token) =
        (format!("Origin: http://{here}\r\n"), format!("X-CSRF-Token: {}\r\n", browser.token));
    for lines in [
        format!("{kind}{ours}"),
        format!("{kind}{token}"),
        format!("{kind}{ours}X-CSRF-Token: x\r\n"),
        format!("{kind}Origin: null\r\n{token}"),
        format!("{kind}Origin: https://evil.example\r\n{token}"),
        format!("{kind}{ours}Sec-Fetch-Site: cross-site\r\n{token}"),
        format!("Content-Type: text/plain\r\n{ours}"),
    ] {
        let answer = browser.send("PATCH", &path, &lines, &body).await;
        assert_eq!(answer.status, 403, "{lines}: {answer:?}");
        answer.has("cross_site");
    }
    // The token of another session.
    let other = Browser::enter(&site, &serving).await;
    let foreign = format!("{kind}{ours}X-CSRF-Token: {}\r\n", other.token);
    assert_eq!(browser.send("PATCH", &path, &foreign, &body).await.status, 403);
    browser.send("GET", &path, "", "").await.has("\"disabled\":false");
    browser.send("PATCH", &path, &format!("{kind}{ours}{token}"), &body).await.has("\"disabled\":true");
    let events = site.run(&["events", "list", "--json"]).await.json();
    let last = events.as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["event"], &last["surface"]), (&json!("disabled"), &json!("page")));
    serving.stop().await;
}

#[tokio::test]
async fn security_row_23_a_name_that_was_rebound_gets_nothing_from_the_api() {
    let (site, serving) = site().await;
    let program = Program::new(&site, &serving, &["monitor"]).await;
    let token = program.token.unwrap();
    for host in ["evil.example", "localhost", "127.0.0.1:1", "evil.example\r\nHost: localhost"] {
        let request =
            format!("GET /api/v1/accounts HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = ask(&program.address, &request).await;
        assert_eq!(answer.status, 421, "{host}");
        answer.has("\"misdirected\"");
    }
    // No other origin is allowed to read an answer.
    let answer = ask(
        &program.address,
        &format!(
            "OPTIONS /api/v1/accounts HTTP/1.1\r\nHost: {}\r\nOrigin: https://evil.example\r\n\
             Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: authorization\r\n\r\n",
            program.address
        ),
    )
    .await;
    assert_eq!(answer.status, 405);
    assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{answer:?}");
    serving.stop().await;
}

#[tokio::test]
async fn lists_have_the_shapes_of_the_commands() {
    let (site, serving) = site().await;
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    site.run(&["accounts", "alias", ALICE, "alice"]).await;
    let mut client = serving.client().await;
    assert!(client.command(&login(&settings)).await.is_ok());
    let program = Program::new(&site, &serving, &["monitor", "--read-only"]).await;
    for (path, words) in [
        ("/accounts", &["accounts", "list", "--json"][..]),
        ("/grants", &["tokens", "list", "--json"]),
        ("/passwords", &["passwords", "list", "--json"]),
        ("/sessions", &["sessions", "list", "--json"]),
        ("/events", &["events", "list", "--json"]),
    ] {
        let by_command = site.run(words).await.json();
        assert!(!by_command.as_array().unwrap().is_empty(), "{path}");
        let mut by_api = program.get(path).await;
        // Between the two, bytes may move.
        if path == "/sessions" {
            for key in ["bytes_up", "bytes_down"] {
                by_api[0][key] = by_command[0][key].clone();
            }
        }
        assert_eq!(by_api, by_command, "{path}");
    }
    assert_eq!(program.get("/accounts/alice").await["account"], ALICE);
    assert_eq!(program.get(&format!("/grants/{ALICE}")).await["state"], "ok");
    assert_eq!(program.get(&format!("/passwords/{ALICE}/default")).await["kind"], "generated");
    assert_eq!(program.get("/sessions?account=nobody").await, json!([]));
    let config = program.get("/config").await;
    let text = config["text"].as_str().unwrap();
    assert!(text.contains("[masked]") && text.contains("client_id"), "{config}");
    let description: Value =
        serde_json::from_str(&program.send("GET", "/openapi.json", "", "").await.body).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    serving.stop().await;
}

#[tokio::test]
async fn many_accounts_are_read_page_by_page() {
    let site = Site::new().await;
    site.configure(ON);
    let csv: String = (0..250).map(|number| format!("user{number:03}@example.com,sandbox\n")).collect();
    let file = site.home.path().join("many.csv");
    std::fs::write(&file, csv).unwrap();
    let ran = site
        .run(&[
            "accounts",
            "add",
            "--csv",
            file.to_str().unwrap(),
            "--passwords-out",
            site.home.path().join("new").to_str().unwrap(),
        ])
        .await;
    assert!(ran.code == 0 || ran.code == 3, "{ran:?}");
    let serving = site.serve().await;
    let program = Program::new(&site, &serving, &["monitor", "--read-only"]).await;
    for (list, expected) in [
        ("/accounts", 250),
        ("/grants", 250),
        ("/grants?needs_person=true", 250),
        ("/passwords", 250),
        ("/events", 501),
    ] {
        let (mut path, mut names, mut pages) = (list.to_owned(), Vec::new(), 0);
        loop {
            let answer = program.send("GET", &path, "", "").await;
            let rows: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
            assert!(rows.len() <= 100, "the default is a hundred");
            names.extend(rows.iter().map(|row| row["account"].to_string() + &row["event"].to_string()));
            pages += 1;
            let Some(link) = answer.header("link").strip_prefix("</api/v1") else { break };
            path = link.split_once(">; rel=\"next\"").unwrap().0.to_owned();
        }
        assert_eq!((names.len(), pages), (expected, expected / 100 + 1), "{list}");
        let sorted: std::collections::BTreeSet<_> = names.iter().collect();
        assert!(list == "/events" || sorted.len() == names.len(), "{list} repeats a row");
    }
    assert_eq!(program.get("/accounts?limit=1000").await.as_array().unwrap().len(), 250);
    for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "limt=5", "limit=5&limit=6"] {
        let kind = program.refused("GET", &format!("/accounts?{query}"), &Value::Null).await;
        assert_eq!(kind, (400, "malformed".to_owned()), "{query}");
    }
    serving.stop().await;
}

/// The events that the token called `deploy` has caused, in order.
async fn done_by_token(program: &Program) -> Vec<String> {
    let events = program.get("/events").await;
    let by_token = |event: &&Value| event["surface"] == "api" && event["user"] == "token deploy";
    let events = events.as_array().unwrap().iter().filter(by_token);
    events.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_account_is_disabled_and_named_its_sessions_end_and_the_trail_names_the_token() {
    let (site, serving) = site().await;
    let settings = site.authorize(ALICE).await;
    site.authorize(BOB).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let alice = format!("/accounts/{ALICE}");
    let call = async |method: &str, path: &str, body: Value| program.call(method, path, &body).await;

    assert_eq!(call("PATCH", &alice, json!({"disabled": true})).await.1["disabled"], true);
    assert!(!serving.client().await.command(&login(&settings)).await.is_ok());
    assert_eq!(call("PATCH", &alice, json!({"disabled": false})).await.1["disabled"], false);
    let mut client = serving.log_in(&settings).await;
    let (status, closed) = call("DELETE", &format!("/sessions?account={ALICE}"), Value::Null).await;
    assert_eq!((status, closed), (200, json!({"closed": 1})));
    while client.next_line().await.is_some() {}
    assert_eq!(call("DELETE", "/sessions/none", Value::Null).await.0, 404);

    let aliases = format!("{alice}/aliases");
    assert_eq!(call("POST", &aliases, json!({"alias": "alice"})).await.1["aliases"], json!(["alice"]));
    let foreign = json!({"alias": "else@example.com"});
    assert_eq!(program.refused("POST", &aliases, &foreign).await, (409, "needs_confirmation".to_owned()));
    let yes = call("POST", &aliases, json!({"alias": "else@example.com", "yes": true})).await;
    assert_eq!(yes.1["aliases"], json!(["alice", "else@example.com"]));
    let taken = program.refused("POST", &aliases, &json!({"alias": BOB})).await;
    assert_eq!(taken, (409, "conflict".to_owned()));
    assert_eq!(call("DELETE", &format!("{aliases}/alice"), Value::Null).await.0, 200);
    assert_eq!(call("DELETE", &format!("{aliases}/alice"), Value::Null).await.0, 404);
    let expected = ["disabled", "enabled", "sessions_closed", "alias_added", "alias_added", "alias_removed"];
    assert_eq!(done_by_token(&program).await, expected);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_23_a_new_app_password_is_in_one_answer_is_limited_and_revoked() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let call = async |method: &str, path: &str, body: Value| program.call(method, path, &body).await;
    let new = json!({"account": ALICE, "name": "scanner", "protocols": ["imap"]});
    let (status, created) = call("POST", "/passwords", new).await;
    assert_eq!((status, &created["account"], &created["name"]), (201, &json!(ALICE), &json!("scanner")));
    let with = json!({"username": ALICE, "password": created["password"]});
    serving.log_in(&with).await;
    let scanner = format!("/passwords/{ALICE}/scanner");
    let shown = program.get(&scanner).await;
    assert_eq!(shown["protocols"], json!(["imap"]));
    let secret = created["password"].as_str().unwrap();
    for path in [&scanner, "/passwords", "/events", "/accounts", "/grants", "/config", "/sessions"] {
        program.send("GET", path, "", "").await.lacks(secret);
    }
    let limited = call("PATCH", &scanner, json!({"from": ["192.0.2.0/24"], "protocols": null})).await.1;
    assert_eq!((&limited["from"], &limited["protocols"]), (&json!(["192.0.2.0/24"]), &Value::Null));
    let limited = call("PATCH", &scanner, json!({"expires": "2150-01-31"})).await.1;
    assert_eq!((&limited["from"], &limited["expires"]), (&json!(["192.0.2.0/24"]), &json!("2150-01-31")));
    assert_eq!(call("PATCH", &scanner, json!({"from": [], "expires": null})).await.1["from"], json!([]));
    let again = program.refused("POST", "/passwords", &json!({"account": ALICE, "name": "scanner"})).await;
    assert_eq!(again, (409, "conflict".to_owned()));
    assert_eq!(call("DELETE", &scanner, Value::Null).await.0, 204);
    assert!(!serving.client().await.command(&login(&with)).await.is_ok());
    let limits = ["password_limited"; 3];
    let expected = [&["password_created"][..], &limits, &["password_revoked"]].concat();
    assert_eq!(done_by_token(&program).await, expected);
    serving.stop().await;
}

#[tokio::test]
async fn a_grant_is_refreshed_and_revoked_its_person_gets_a_link_and_the_account_is_removed() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let (account, grant) = (format!("/accounts/{ALICE}"), format!("/grants/{ALICE}"));
    let call = async |method: &str, path: &str| program.call(method, path, &Value::Null).await;
    let refreshed = call("POST", &format!("{grant}/refresh")).await.1;
    assert!(refreshed["access_expires_at"].is_string(), "{refreshed}");
    let (status, revoked) = call("DELETE", &grant).await;
    assert_eq!((status, &revoked["owner"], &revoked["at_provider"]), (200, &json!(ALICE), &json!("revoked")));
    assert_eq!(program.get(&grant).await["state"], "needs_authorization");
    assert_eq!(program.refused("DELETE", &grant, &Value::Null).await, (409, "conflict".to_owned()));
    let (status, link) = call("POST", &format!("{grant}/sign-in-link")).await;
    let url = link["sign_in_url"].as_str().unwrap_or_default();
    assert!(status == 200 && url.contains("/again/"), "{link}");
    // The same link is given for a day.
    assert_eq!(call("POST", &format!("{grant}/sign-in-link")).await.1, link);
    assert_eq!(call("DELETE", &account).await.1["account"], ALICE);
    assert_eq!(call("DELETE", &account).await.0, 404);
    assert_eq!(call("POST", &format!("{grant}/sign-in-link")).await.0, 404);
    assert_eq!(done_by_token(&program).await, ["revoked", "link_shown", "link_shown", "removed"]);
    serving.stop().await;
}

#[tokio::test]
async fn accounts_are_made_together_wait_for_their_owners_and_have_what_the_command_shows() {
    let (site, serving) = site().await;
    site.authorize(BOB).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let add = async |body: Value| program.call("POST", "/accounts", &body).await;
    let new = json!({"accounts": [
        {"account": ALICE, "provider": "sandbox", "aliases": ["al"]},
        {"account": "desk@example.com", "provider": "sandbox", "owner": BOB},
    ], "passwords": true});
    let (status, made) = add(new.clone()).await;
    assert_eq!((status, made.as_array().unwrap().len()), (201, 2), "{made}");
    assert_eq!((&made[0]["aliases"], &made[0]["state"]), (&json!(["al"]), &json!("needs_authorization")));
    assert!(made[0]["sign_in_url"].as_str().unwrap().contains("/again/"), "{made}");
    assert!(made[0]["authorize"].as_str().unwrap().contains(ALICE), "{made}");
    // Bob has consented before.
    let desk = (&made[1]["owner"], &made[1]["state"], &made[1]["sign_in_url"]);
    assert_eq!(desk, (&json!(BOB), &json!("ok"), &Value::Null), "{made}");
    assert!(made[0]["password"].as_str().unwrap().len() > 12 && made[0]["password"] != made[1]["password"]);
    // Without passwords, as the command's JSON: the same keys.
    let csv = site.home.path().join("more.csv");
    std::fs::write(&csv, "erin@example.com,sandbox\n").unwrap();
    let by_command = site.run(&["accounts", "add", "--json", "--csv", csv.to_str().unwrap()]).await.json();
    let (_, by_api) = add(json!({"accounts": [{"account": "fay@example.com", "provider": "sandbox"}]})).await;
    let keys = |value: &Value| value[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&by_api), keys(&by_command));

    // One mistake stops all of them, and the answer lists every mistake.
    let accounts = |list: Value| json!({ "accounts": list });
    let gus = json!({"account": "gus@example.com", "provider": "sandbox"});
    for (body, kind, words) in [
        (accounts(json!([gus, {"account": ALICE, "provider": "sandbox"}])), (409, "conflict"), "line 2: "),
        (accounts(json!([gus, gus])), (422, "invalid"), "in line 1 already"),
        (
            accounts(json!([gus, {"account": "x@example.com", "provider": "no-such"}, {"account": ""}])),
            (422, "invalid"),
            "line 3: ",
        ),
        (accounts(json!([])), (422, "invalid"), "from 1 to 1000"),
        (json!({}), (422, "invalid"), "missing field"),
        (
            accounts(
                json!([{"account": "gus@example.com", "provider": "sandbox", "aliases": ["info@corp.example"]}]),
            ),
            (409, "needs_confirmation"),
            "info@corp.example",
        ),
    ] {
        let (status, answer) = add(body.clone()).await;
        let error = &answer["error"];
        assert_eq!((status, error["kind"].as_str().unwrap()), kind, "{body}: {answer}");
        assert!(error["cause"].as_str().unwrap().contains(words), "{answer}");
    }
    assert_eq!(program.call("GET", "/accounts/gus@example.com", &Value::Null).await.0, 404);
    let done = done_by_token(&program).await;
    let made_with_password = ["added", "password_created"];
    let expected =
        [&made_with_password[..], &made_with_password, &["link_shown", "added", "link_shown"]].concat();
    assert_eq!(done, expected);
    serving.stop().await;
}

#[tokio::test]
async fn a_reload_is_one_of_every_process_in_the_name_of_the_token() {
    let (site, serving) = site().await;
    let other = site.serve().await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let (status, reloaded) = program.call("POST", "/config/reload", &Value::Null).await;
    assert_eq!((status, reloaded), (200, json!({"needs_restart": [], "warnings": []})));
    assert_eq!(done_by_token(&program).await, ["reloaded", "reloaded"], "one of each process");
    // A setting for which both processes need a restart is named once.
    site.configure(&format!("{ON}[metrics]\naddress = \"127.0.0.1:0\"\n"));
    let (_, reloaded) = program.call("POST", "/config/reload", &Value::Null).await;
    assert_eq!(reloaded["needs_restart"], json!(["metrics.address"]));
    assert_eq!(done_by_token(&program).await.len(), 4);
    serving.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_check_and_a_reload_answer_as_the_commands() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    for body in [json!({}), json!({"account": ALICE}), json!({"account": ALICE, "protocol": "imap"})] {
        let (status, checked) = program.call("POST", "/checks", &body).await;
        assert!(status == 200 && checked["ok"] == true && checked["needs_person"] == false, "{checked}");
        assert!(checked["steps"].as_array().unwrap().iter().any(|step| step["step"] == "token"), "{checked}");
    }
    for (body, expected) in [
        (json!({"account": "nobody@example.com"}), (404, "not_found")),
        (json!({"account": ALICE, "protocol": "gopher"}), (422, "invalid")),
    ] {
        let refused = program.refused("POST", "/checks", &body).await;
        assert_eq!(refused, (expected.0, expected.1.to_owned()));
    }
    let (status, reloaded) = program.call("POST", "/config/reload", &Value::Null).await;
    assert_eq!((status, reloaded), (200, json!({"needs_restart": [], "warnings": []})));
    std::fs::write(&site.config, "nonsense = 1\n").unwrap();
    assert_eq!(program.refused("POST", "/config/reload", &Value::Null).await, (422, "invalid".to_owned()));
    serving.stop().await;
}

#[tokio::test]
async fn a_refresh_token_from_elsewhere_is_proven_and_stored_and_never_shown() {
    let (site, serving) = site().await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let token = "1//from-another-program";
    site.sandbox.controls().accept_refresh_token(ALICE, token);
    let import = json!({"account": ALICE, "provider": "sandbox", "refresh_token": token});
    let answer =
        program.send("POST", "/grants", "Content-Type: application/json\r\n", &import.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.has("\"state\":\"ok\"").lacks(token);
    for (body, expected) in [
        (json!({"account": BOB, "provider": "sandbox", "refresh_token": "wrong"}), (422, "invalid")),
        (json!({"account": BOB, "provider": "none", "refresh_token": "x"}), (422, "invalid")),
        (json!({"account": BOB, "provider": "sandbox", "refresh_token": "a b"}), (422, "invalid")),
    ] {
        let refused = program.refused("POST", "/grants", &body).await;
        assert_eq!(refused, (expected.0, expected.1.to_owned()), "{body}");
    }
    serving.stop().await;
}

/// What the server itself answers, before or after an operation.
#[test]
fn each_operation_describes_what_the_whole_server_answers() {
    for (method, path) in description::paths().into_iter().flatten() {
        let described = description::statuses(&method, &path);
        let by_right: &[u16] = if path == "/openapi.json" { &[] } else { &[401, 429, 503] };
        for status in [405, 408, 413, 421, 504].iter().chain(by_right) {
            assert!(described.contains(status), "{method} {path} does not describe {status}");
        }
    }
}

#[tokio::test]
async fn sessions_are_asked_for_by_any_name_of_the_account_and_a_nul_is_a_mistake() {
    let (site, serving) = site().await;
    let settings = site.authorize(ALICE).await;
    assert_eq!(site.run(&["accounts", "alias", ALICE, "helpdesk"]).await.code, 0);
    let program = Program::new(&site, &serving, &["p"]).await;
    let mut client = serving.log_in(&settings).await;
    for name in [ALICE, "ALICE@example.com", "HelpDesk"] {
        let sessions = program.get(&format!("/sessions?account={name}")).await;
        assert_eq!(sessions.as_array().unwrap().len(), 1, "{name}");
    }
    assert_eq!(program.get(&format!("/sessions?account={BOB}")).await, json!([]));
    let (status, closed) = program.call("DELETE", "/sessions?account=helpdesk", &Value::Null).await;
    assert_eq!((status, &closed["closed"]), (200, &json!(1)), "{closed}");
    within("the end of the session", async { while client.next_line().await.is_some() {} }).await;
    for (method, path) in [
        ("GET", "/accounts?after=%00"),
        ("GET", "/accounts/%00"),
        ("GET", "/passwords?account=a%00b"),
        ("DELETE", "/accounts/alice%40example.com/aliases/%00"),
        ("GET", "/sessions?account=%00"),
    ] {
        let refused = program.refused(method, path, &Value::Null).await;
        assert_eq!(refused, (400, "malformed".to_owned()), "{method} {path}");
    }
    // Not a NUL: a name with a percent sign.
    assert_eq!(program.refused("GET", "/accounts/%2500", &Value::Null).await.0, 404);
    serving.stop().await;
}

#[tokio::test]
async fn accounts_that_were_made_before_a_failure_come_with_their_passwords() {
    let (site, serving) = site().await;
    let program = Program::new(&site, &serving, &["p"]).await;
    // The store fails at the third account.
    let full = "CREATE TRIGGER full BEFORE INSERT ON accounts WHEN NEW.name = 'carol@example.com' \
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    site.tamper(full, &[]).await;
    let accounts: Vec<Value> = [ALICE, BOB, "carol@example.com", "dave@example.com"]
        .iter()
        .map(|account| json!({ "account": account, "provider": "sandbox" }))
        .collect();
    let (status, answer) =
        program.call("POST", "/accounts", &json!({ "accounts": accounts, "passwords": true })).await;
    assert_eq!((status, &answer["error"]["kind"]), (503, &json!("unavailable")), "{answer}");
    let cause = answer["error"]["cause"].as_str().unwrap();
    assert!(cause.ends_with(&format!("these accounts were made, and stay: {ALICE}, {BOB}")), "{cause}");
    let made = answer["error"]["made"].as_array().unwrap();
    assert_eq!((made.len(), &made[0]["account"], &made[1]["account"]), (2, &json!(ALICE), &json!(BOB)));
    assert!(made.iter().all(|made| made["password"].is_string() && made["sign_in_url"].is_string()));
    // The passwords are those of the accounts: they are in force once the owner has consented.
    site.authorize_with(&[ALICE, "--no-app-password"], Some(ALICE)).await;
    let settings = json!({ "username": ALICE, "password": made[0]["password"] });
    drop(serving.log_in(&settings).await);
    serving.stop().await;
}

#[tokio::test]
async fn each_mistake_has_its_status_and_the_one_shape() {
    let (site, serving) = site().await;
    site.authorize(ALICE).await;
    let program = Program::new(&site, &serving, &["deploy"]).await;
    let json_type = "Content-Type: application/json\r\n";
    let alice = format!("/accounts/{ALICE}");
    let long = format!("{{\"disabled\": true, \"x\": \"{}\"}}", "x".repeat(64 * 1024));
    let huge = " ".repeat(1024 * 1024 + 1);
    for (method, path, lines, body, status, kind) in [
        ("GET", "/accounts/nobody", "", "", 404, "not_found"),
        ("GET", "/nothing", "", "", 404, "not_found"),
        ("GET", "/accounts/%ff", "", "", 400, "malformed"),
        ("GET", "/events?since=yesterday", "", "", 400, "malformed"),
        ("GET", "/grants?ends_within=soon", "", "", 400, "malformed"),
        ("PUT", &alice, json_type, "{}", 405, "method_not_allowed"),
        ("POST", "/events", json_type, "{}", 405, "method_not_allowed"),
        ("PATCH", &alice, json_type, "{", 400, "malformed"),
        ("PATCH", &alice, json_type, "", 400, "malformed"),
        ("PATCH", &alice, json_type, "{\"disabled\": 1}", 422, "invalid"),
        ("PATCH", &alice, json_type, " [true]", 422, "invalid"),
        ("PATCH", &alice, json_type, "{\"disabled\": true, \"x\": 1}", 422, "invalid"),
        ("PATCH", &alice, "", "{\"disabled\": true}", 415, "not_json"),
        ("PATCH", &alice, "Content-Type: text/plain\r\n", "{\"disabled\": true}", 415, "not_json"),
        ("PATCH", &alice, json_type, &long, 413, "too_large"),
        ("PATCH", &alice, json_type, &huge, 413, "too_large"),
    ] {
        let answer = program.send(method, path, lines, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["error"]["kind"], kind, "{method} {path}");
    }
    let new = |name: &str, more: Value| {
        let mut body = json!({"account": ALICE, "name": name});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for body in [
        new("", json!({})),
        new("a\r\nX-Injected: 1", json!({})),
        new("a\u{202e}b", json!({})),
        new("a", json!({"from": ["192.0.2.1/24"]})),
        new("a", json!({"from": ["x"]})),
        new("a", json!({"expires": "2001-01-01"})),
        new("a", json!({"expires": "soon"})),
        new("a", json!({"protocols": ["gopher"]})),
        new("a", json!({"password": "short"})),
        new("a", json!({"password": "two\nlines of it"})),
    ] {
        let refused = program.refused("POST", "/passwords", &body).await;
        assert_eq!(refused, (422, "invalid".to_owned()), "{body}");
    }
    for alias in ["a\r\nX-Injected: 1", "@example.com", "<script>\u{1b}[2J", ""] {
        let refused = program.refused("POST", &format!("{alice}/aliases"), &json!({"alias": alias})).await;
        assert_eq!(refused, (422, "invalid".to_owned()), "{alias:?}");
    }
    // A cause is one line, with any text in the request.
    let answer = program.send("GET", "/accounts/a%0d%0aX-Injected%3a1%1b%5b2J", "", "").await;
    assert!(answer.status == 404 && !answer.head.contains("X-Injected"), "{answer:?}");
    assert!(!answer.body.contains(['\u{1b}', '\r', '\n']), "{answer:?}");
    serving.stop().await;
}
