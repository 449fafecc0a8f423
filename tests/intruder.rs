//! Attacks on the page's address: through other people's browsers, with malformed requests, and with many requests.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::web::{Answer, Browser, ON, ask};
use common::{ALICE, BOB, Serving, Site, within};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const JSON: &str = "Content-Type: application/json\r\n";

async fn site() -> (Site, Serving) {
    let site = Site::new().await;
    site.configure(ON);
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    (site, serving)
}

async fn token(site: &Site) -> String {
    let ran = site.run(&["admin", "token", "create", "intruder", "--json"]).await;
    ran.json()["token"].as_str().unwrap().to_owned()
}

/// All that comes back to these bytes.
async fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within("the end of a connection", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn security_row_46_two_requests_in_one_are_answered_as_one() {
    let (site, serving) = site().await;
    let token = token(&site).await;
    let address = Browser::new(&serving).address;
    let second = format!(
        "DELETE /api/v1/accounts/{ALICE} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let head = format!("Host: {address}\r\n");
    for first in [
        // A body that is a request to a server that reads another length.
        format!(
            "POST /leave HTTP/1.1\r\n{head}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            second.len()
        ),
        format!(
            "POST /leave HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /leave HTTP/1.1\r\n{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!(
            "POST /leave HTTP/1.1\r\n{head}Content-Length: 0\r\nContent-Length: {}\r\n\r\n",
            second.len()
        ),
        format!("POST /leave HTTP/1.1\r\n{head}Content-Length: +0\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{head}\r\n"),
        format!("GET / HTTP/1.1\r\n{head}Connection: keep-alive\r\n\r\n"),
        format!("GET / HTTP/1.0\r\n{head}Connection: keep-alive\r\n\r\n"),
    ] {
        let answer = raw(&address, format!("{first}{second}").as_bytes()).await;
        assert!(answer.matches("HTTP/1.").count() <= 1, "{first}\n{answer}");
    }
    let accounts = site.run(&["accounts", "list", "--json"]).await.json();
    assert_eq!(accounts[0]["account"], ALICE, "the second request was never a request");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_malformed_requests_change_nothing_and_disturb_nobody() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let head = format!("Host: {}\r\n", browser.address);
    let many = "X-A: b\r\n".repeat(200);
    let long = "x".repeat(64 * 1024);
    for request in [
        "\0\0\0\0".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0 TLS".to_owned(),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{head}\r\n"),
        format!("GET / HTTP/1.1\r\n{many}{head}\r\n"),
        format!("GET /{long} HTTP/1.1\r\n{head}\r\n"),
        format!("GET / HTTP/1.1\r\n{head}Cookie: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{head} X-Folded: 1\r\n\r\n"),
        format!("CONNECT evil.example:443 HTTP/1.1\r\n{head}\r\n"),
        format!("GET http://evil.example/ HTTP/1.1\r\n{head}\r\n"),
        format!("GET / HTTP/1.1\r\n{head}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    ] {
        let answer = raw(&browser.address, request.as_bytes()).await;
        let is_refusal = answer.is_empty()
            || answer.starts_with("HTTP/1.1 4")
            || answer.contains("imap-oauth-proxy admin");
        assert!(is_refusal && !answer.contains(ALICE), "{request:.80}: {answer}");
    }
    browser.get("/").await.has(ALICE);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_slow_and_many_connections_leave_the_page_to_others() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let token = token(&site).await;
    let mut held = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(&browser.address).await.unwrap();
        let half = match number % 3 {
            0 => String::new(),
            1 => "GET / HTTP/1.1\r\nHost: ".to_owned(),
            _ => format!(
                "POST /api/v1/checks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{JSON}Content-Length: 60000\r\n\r\n{{"
            ),
        };
        let _ = stream.write_all(half.as_bytes()).await;
        held.push(stream);
    }
    browser.get("/").await.has(ALICE);
    let api = format!(
        "GET /api/v1/accounts HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
        browser.address
    );
    assert_eq!(ask(&browser.address, &api).await.status, 200);
    // The mail listeners are not affected.
    assert!(serving.client().await.command("NOOP").await.is_ok());
    serving.stop().await;
}

#[tokio::test]
async fn security_row_14_names_with_markup_and_line_ends_stay_text_in_files_and_pages() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let token = token(&site).await;
    let call = async |path: &str, body: serde_json::Value| {
        let body = body.to_string();
        let request = format!(
            "POST /api/v1{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{JSON}Content-Length: {}\r\n\r\n{body}",
            browser.address,
            body.len()
        );
        ask(&browser.address, &request).await
    };
    let hostile = "\"><script>alert(1)</script>";
    let made = call("/passwords", json!({"account": ALICE, "name": hostile})).await;
    assert!(made.status == 201 && made.header("content-type") == "application/json", "{made:?}");
    let alias = call(&format!("/accounts/{ALICE}/aliases"), json!({"alias": "=cmd|' /C calc'!A1"})).await;
    assert!([200, 422].contains(&alias.status), "{alias:?}");
    for path in [format!("/accounts/{ALICE}"), "/activity".to_owned(), "/".to_owned()] {
        browser.get(&path).await.lacks("<script>alert");
    }
    // A table of accounts with line ends in quotes, markup and headers.
    for line in [
        "\"eve@example.com\r\nSet-Cookie: a=b\",sandbox",
        "<img src=x onerror=alert(1)>@example.com,sandbox",
        "eve@example.com,sandbox,,\"a\r\nX-Injected: 1\"",
        "eve@example.com,<b>none</b>",
    ] {
        let answer = browser.submit("/add", &[("table", line)]).await;
        assert!(!answer.head.contains("X-Injected") && !answer.head.contains("a=b"), "{answer:?}");
        answer.lacks("<img src=x").lacks("<b>none");
    }
    let accounts = site.run(&["accounts", "list", "--json"]).await.json();
    assert_eq!(accounts.as_array().unwrap().len(), 1, "none of these was made: {accounts}");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_the_files_of_the_set_up_are_those_of_accounts_alone() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    for path in [
        "/setup/..%2f..%2f..%2fetc%2fpasswd.txt",
        "/setup/../../../etc/passwd",
        "/setup/%2e%2e%2fmaster.key",
        "/setup/..%5c..%5cmaster.key.txt",
        "/setup/master.key",
        "/setup/.txt",
        "/setup/%00.txt",
        "/setup/bob@example.com.mobileconfig",
        "/setup/alice@example.com%0d%0aX-Injected:1.txt",
        "/setup/ca.crt/..%2fca.key",
        "/style.css/../../../../etc/passwd",
        "//etc/passwd",
    ] {
        let answer: Answer = browser.send("GET", path, "", "").await;
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        answer.lacks("root:").lacks("PRIVATE KEY");
        assert!(!answer.head.contains("X-Injected"), "{path}: {answer:?}");
    }
    let settings = browser.get(&format!("/setup/{ALICE}.txt")).await;
    assert!(
        settings.status == 200 && settings.header("content-disposition").ends_with("txt\""),
        "{settings:?}"
    );
    // Without a session, an account's file is not shown, and whether there is one is not said.
    let nobody = Browser::new(&serving);
    let of_alice = nobody.send("GET", &format!("/setup/{ALICE}.mobileconfig"), "", "").await;
    let of_nobody = nobody.send("GET", &format!("/setup/{BOB}.mobileconfig"), "", "").await;
    assert_eq!((of_alice.status, of_alice.body), (of_nobody.status, of_nobody.body));
    serving.stop().await;
}

#[tokio::test]
async fn security_row_45_links_are_not_guessed_and_tell_nothing() {
    let (_site, serving) = site().await;
    let browser = Browser::new(&serving);
    for token in [
        "",
        "a",
        "aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "AAAAAAAAAAAAAAAAAAAAAAAAAA",
        "..%2f..%2fx",
        "%00",
        "'%20or%20''='",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            let answer = browser.send(method, &format!("/again/{token}"), "", "").await;
            assert!([404, 410, 429].contains(&answer.status), "{method} {token}: {answer:?}");
            answer.lacks(ALICE);
        }
    }
    // A form of another page cannot begin a consent.
    let foreign = browser
        .send("POST", "/again/aaaaaaaaaaaaaaaaaaaaaaaaaa", "Origin: https://evil.example\r\n", "")
        .await;
    assert_eq!(foreign.status, 403, "{foreign:?}");
    serving.stop().await;
}

/// The addresses of all forms of the page, from its source: a new one is tried without being named here.
fn forms() -> Vec<String> {
    let source = include_str!("../src/admin/page.rs");
    let source: String = source.split_whitespace().collect();
    let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split_once("\","));
    let posted = routes.filter(|(_, methods)| methods.split(".route(").next().unwrap().contains("post("));
    let filled =
        posted.map(|(path, _)| path.replace("{name}", ALICE).replace("/unalias", "/unalias?alias=alice"));
    filled.collect()
}

#[tokio::test]
async fn security_row_46_no_form_is_taken_from_elsewhere() {
    let (site, serving) = site().await;
    site.run(&["accounts", "alias", ALICE, "alice"]).await;
    let (browser, other) = (Browser::enter(&site, &serving).await, Browser::enter(&site, &serving).await);
    let before = site.run(&["events", "list", "--json"]).await.out;
    let forms = forms();
    for new in ["limits", "alias", "unalias?alias=alice", "remove"] {
        assert!(forms.contains(&format!("/accounts/{ALICE}/{new}")), "{forms:?}");
    }
    assert!(forms.contains(&"/reload".to_owned()) && forms.len() >= 15, "{forms:?}");
    let here = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", browser.address);
    let fields = |token: &str| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("form_token", token).append_pair("name", "default").append_pair("alias", "stolen");
        form.append_pair("account", BOB).append_pair("table", "eve@example.com,sandbox").finish()
    };
    let (own, foreign) = (fields(&browser.token), fields(&other.token));
    let stranger = Browser::new(&serving);
    for path in &forms {
        let post = async |browser: &Browser, lines: &str, body: &str| {
            browser.send("POST", path, lines, body).await.status
        };
        assert_eq!(post(&stranger, &here, &own).await, 403, "{path} without a session");
        assert_eq!(post(&browser, &here, &foreign).await, 403, "{path} with the token of another session");
        assert_eq!(post(&browser, &here, "name=default&alias=stolen").await, 403, "{path} without a token");
        for lines in [
            "",
            "Origin: https://evil.example\r\n",
            "Origin: null\r\nSec-Fetch-Site: cross-site\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: same-site\r\n",
        ] {
            assert_eq!(post(&browser, lines, &own).await, 403, "{path} {lines}");
        }
        // A rebound name, with everything else right.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: evil.example\r\nCookie: {}\r\n{here}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{own}",
            browser.cookie.as_ref().unwrap(),
            own.len()
        );
        assert_eq!(ask(&browser.address, &request).await.status, 421, "{path}");
        // Neither GET nor another method has the form's effect, with any query.
        let look = browser.send("GET", &format!("{path}?{own}"), "", "").await.status;
        assert!([200, 404, 405].contains(&look), "{path}: {look}");
        for method in ["PUT", "DELETE", "PATCH"] {
            let status = browser.send(method, path, &here, &own).await.status;
            assert_eq!(status, 405, "{method} {path}");
        }
    }
    assert_eq!(site.run(&["events", "list", "--json"]).await.out, before, "nothing was done");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_made_up_sessions_cost_the_store_little_and_disturb_no_session() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let path = common::web::entrance(&site).await;
    let name = browser.cookie.as_ref().unwrap().split_once('=').unwrap().0.to_owned();
    let with = |cookie: String| Browser { cookie: Some(cookie), ..browser.clone() };
    // A cookie that cannot be a session is not looked up, and not counted.
    for number in 0..60 {
        let answer = with(format!("{name}=x{number}")).send("GET", "/sessions", "", "").await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let made_up = with(format!("{name}={}", "A".repeat(43)));
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(made_up.send("GET", "/sessions", "", "").await.status);
    }
    assert!(statuses.starts_with(&[403; 20]) && statuses.contains(&429), "{statuses:?}");
    let api = made_up.send("GET", "/api/v1/accounts", "", "").await;
    assert!(api.status == 429 || api.status == 401, "{api:?}");
    for _ in 0..60 {
        statuses.push(made_up.send("GET", &format!("/enter/{}", "B".repeat(43)), "", "").await.status);
    }
    assert!(statuses[60..].contains(&429), "{statuses:?}");
    // A session and an entrance that were made here are looked up in any case.
    browser.get("/").await.has(ALICE);
    assert_eq!(made_up.send("GET", &path, "", "").await.status, 200);
    Browser::enter(&site, &serving).await.get("/").await.has(ALICE);
    // Also by a process that has seen neither before, and after a rotation of the keys.
    serving.stop().await;
    assert_eq!(site.run(&["keys", "rotate"]).await.code, 0);
    let serving = site.serve().await;
    let address = Browser::new(&serving).address;
    let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
    let renamed = |cookie: &str| cookie.replace(&port(&browser.address), &port(&address));
    let after = |cookie: String| Browser { cookie: Some(cookie), ..Browser::new(&serving) };
    let (made_up, session) =
        (after(renamed(made_up.cookie.as_ref().unwrap())), renamed(browser.cookie.as_ref().unwrap()));
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(made_up.send("GET", "/sessions", "", "").await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    after(session.clone()).get("/").await.has(ALICE);
    // Nor do the cookies that another program sets beside it.
    let name = session.split_once('=').unwrap().0;
    let others: String = (0..5).map(|number| format!("{name}={number:A>43}; ")).collect();
    after(format!("{others}{session}")).get("/").await.has(ALICE);
    assert_eq!(made_up.send("GET", &path, "", "").await.status, 200);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_made_up_sign_ins_cost_the_store_little() {
    let (_site, serving) = site().await;
    let browser = Browser::new(&serving);
    let mut statuses = Vec::new();
    for number in 0..60 {
        let cookie = Some(format!("consent-{number}=x"));
        let asking = Browser { cookie, ..browser.clone() };
        statuses.push(asking.send("GET", &format!("/consent/{number}"), "", "").await.status);
    }
    assert!(statuses.starts_with(&[404; 20]) && statuses.contains(&429), "{statuses:?}");
    let answer = browser.send("GET", "/consent/x", "", "").await;
    assert_eq!(answer.status, 404, "without the browser's key nothing is looked up: {answer:?}");
    serving.stop().await;
}
