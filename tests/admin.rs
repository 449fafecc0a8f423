//! The page's address: who gets in, by which name, from where, and what every answer says to the browser.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::web::{Browser, ON, ask, entrance, site};
use common::{ALICE, Site, within};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

#[tokio::test]
async fn security_row_46_the_page_opens_by_the_commands_address_once() {
    let (site, serving) = site().await;
    let mut browser = Browser::new(&serving);
    browser.get("/").await.has("imap-oauth-proxy admin").lacks("Sign out");
    let path = entrance(&site).await;
    // Reading a page changes nothing, with any program.
    for method in ["GET", "HEAD", "GET"] {
        let answer = browser.send(method, &path, "", "").await;
        assert!(answer.status == 200 && answer.header("set-cookie").is_empty(), "{answer:?}");
    }
    let from_here = format!("Origin: http://{}\r\n", browser.address);
    let answer = browser.send("POST", &path, &from_here, "").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie").to_owned();
    let port = browser.address.rsplit_once(':').unwrap().1;
    assert!(cookie.starts_with(&format!("imap-oauth-proxy-{port}=")), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let again = browser.send("POST", &path, &from_here, "").await;
    assert!(again.status == 410 && again.header("set-cookie").is_empty(), "a replayed entrance: {again:?}");
    browser.send("GET", &path, "", "").await.has("imap-oauth-proxy admin");
    browser.cookie = cookie.split(';').next().map(str::to_owned);
    browser.get("/").await.has("Sign out").has("<h1>");
    // Several people have sessions at once; one who leaves ends only the own session.
    let mut other = Browser::enter(&site, &serving).await;
    assert_eq!(browser.submit("/leave", &[]).await.status, 303);
    browser.get("/").await.lacks("Sign out");
    other.get("/").await.has("Sign out");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_what_needs_a_session_is_refused_without_one() {
    let (_site, serving) = site().await;
    let browser = Browser::new(&serving);
    let from_here = format!("Origin: http://{}\r\n", browser.address);
    for cookie in [None, Some("imap-oauth-proxy=x"), Some("imap-oauth-proxy-0=x; a=b"), Some("=; ;;=")] {
        let browser = Browser { cookie: cookie.map(str::to_owned), ..browser.clone() };
        assert_eq!(
            browser.send("POST", "/leave", &from_here, "form_token=x").await.status,
            403,
            "{cookie:?}"
        );
    }
    assert_eq!(browser.send("POST", "/enter/x", &from_here, "").await.status, 410);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_a_name_that_was_rebound_to_this_machine_is_not_served() {
    let (site, serving) = site().await;
    let browser = Browser::enter(&site, &serving).await;
    let cookie = browser.cookie.clone().unwrap();
    let port = browser.address.rsplit_once(':').unwrap().1;
    let get = async |hosts: &str| {
        ask(&browser.address, &format!("GET / HTTP/1.1\r\n{hosts}Cookie: {cookie}\r\n\r\n")).await
    };
    for host in
        ["evil.example".to_owned(), format!("evil.example:{port}"), "localhost".into(), "127.0.0.1:1".into()]
    {
        let answer = get(&format!("Host: {host}\r\n")).await;
        assert_eq!(answer.status, 421, "{host}");
        answer.has("is not served here").lacks("Sign out");
    }
    assert_eq!(get(&format!("Host: localhost:{port}\r\nHost: evil.example\r\n")).await.status, 421);
    let old = ask(&browser.address, &format!("GET / HTTP/1.0\r\nCookie: {cookie}\r\n\r\n")).await;
    assert_eq!(old.status, 421, "HTTP/1.0 needs no Host, and the page does: {old:?}");
    let forwarded = format!("Host: evil.example\r\nX-Forwarded-Host: localhost:{port}\r\n");
    assert_eq!(get(&forwarded).await.status, 421);
    let whole =
        format!("GET http://evil.example/ HTTP/1.1\r\nHost: localhost:{port}\r\nCookie: {cookie}\r\n\r\n");
    assert_eq!(ask(&browser.address, &whole).await.status, 421);
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        get(&format!("Host: {host}:{port}\r\n")).await.has("Sign out");
    }
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_a_post_of_another_page_is_refused() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let here = browser.address.clone();
    let token = browser.get("/").await.between("name=\"form_token\" value=\"", "\"");
    let form = format!("form_token={token}");
    for lines in [
        "Origin: https://evil.example\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        String::new(),
        "Origin: null\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        format!("Origin: http://{here}\r\nSec-Fetch-Site: same-site\r\n"),
        format!("Origin: http://{}1\r\n", here),
    ] {
        let answer = browser.send("POST", "/leave", &lines, &form).await;
        assert_eq!(answer.status, 403, "{lines}");
        answer.has("not one of this page");
    }
    // The form's token is judged, too, and only in a form.
    let from_here = format!("Origin: http://{here}\r\n");
    let text = format!("{from_here}Content-Type: text/plain\r\n");
    for (lines, form) in [(&from_here, "form_token=x"), (&from_here, "a=b"), (&text, form.as_str())] {
        browser.send("POST", "/leave", lines, form).await.has("nothing was done");
    }
    browser.get("/").await.has("Sign out");
    // As a browser sends it that hides the origin of a form.
    let lines = "Origin: null\r\nSec-Fetch-Site: same-origin\r\n";
    assert_eq!(browser.send("POST", "/leave", lines, &form).await.status, 303);
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_every_answer_has_the_headers() {
    let (site, serving) = site().await;
    let browser = Browser::enter(&site, &serving).await;
    for path in ["/", "/enter/x", "/nothing", "/style.css", "/live.js", "/healthz", "/metrics"] {
        let answer = browser.send("GET", path, "", "").await;
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}: {answer:?}");
        }
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for inline in ["<style", " style=", " onclick=", "javascript:", "<script>"] {
            assert!(!answer.body.contains(inline), "{path} has {inline}");
        }
    }
    // The refusal of a redirect comes before all routes.
    let rebound = "GET /callback?state=x HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    let answer = ask(&browser.address, rebound).await;
    assert_eq!((answer.status, answer.header("x-frame-options")), (421, "DENY"), "{answer:?}");
    assert!(answer.header("content-security-policy").contains("form-action 'self'"), "{answer:?}");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_23_metrics_are_for_this_machine_and_health_is_for_all() {
    let (_site, serving) = site().await;
    let address = Browser::new(&serving).address;
    let get =
        async |path: &str, lines: &str| ask(&address, &format!("GET {path} HTTP/1.1\r\n{lines}\r\n")).await;
    let local = format!("Host: {address}\r\n");
    get("/metrics", &local).await.has("# EOF");
    for lines in
        ["Host: mail-proxy.corp.example\r\n".to_owned(), format!("{local}X-Forwarded-For: 192.0.2.7\r\n")]
    {
        let answer = get("/metrics", &lines).await;
        assert_eq!(answer.status, 403);
        answer.lacks("imap_oauth_proxy_");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(path, "Host: watcher\r\n").await.status, 200, "{path}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn behind_a_web_server_the_cookie_is_bound_to_https_and_to_the_host() {
    let site = Site::new().await;
    site.configure(&format!("{ON}url = \"https://mail-proxy.corp.example\"\n"));
    let mut serving = site.serve().await;
    assert_eq!(serving.ready["admin"], "https://mail-proxy.corp.example");
    let bound = serving.said("the page is at").await;
    assert!(bound.contains("https://mail-proxy.corp.example/"), "{bound}");
    let ran = site.run(&["admin", "--no-browser"]).await;
    assert!(ran.out.starts_with("https://mail-proxy.corp.example/enter/"), "{ran:?}");
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_a_socket_serves_a_web_server_of_ones_own() {
    let site = Site::new().await;
    let socket = site.home.path().join("admin.sock");
    site.configure(&format!(
        "[admin]\naddress = \"unix:{}\"\nurl = \"https://mail-proxy.corp.example\"\n",
        socket.display()
    ));
    let serving = site.serve().await;
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let path = entrance(&site).await;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: mail-proxy.corp.example\r\nOrigin: https://mail-proxy.corp.example\r\nContent-Length: 0\r\n\r\n"
    );
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert!(answer.contains("set-cookie: __Host-imap-oauth-proxy="), "{answer}");
    assert!(answer.contains("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{answer}");
    // A second process does not take the socket from the first, and a stop removes it.
    let ran = site.run(&["serve"]).await;
    assert!(ran.code == 1 && ran.error().contains("admin.address unix:"), "{ran:?}");
    serving.stop().await;
    assert!(!socket.exists());
    // The socket file of a killed process does not stop the next one.
    site.serve().await.kill().await;
    assert!(socket.exists());
    site.serve().await.stop().await;
}

#[tokio::test]
async fn a_page_that_is_off_or_taken_is_said_in_one_sentence() {
    let site = Site::new().await;
    let ran = site.run(&["admin"]).await;
    assert!(ran.code == 1 && ran.error().contains("no serve is running"), "{ran:?}");
    let serving = site.serve().await;
    assert!(serving.ready["admin"].is_null());
    let ran = site.run(&["admin", "--no-browser"]).await;
    assert!(ran.code == 1 && ran.error().contains("has no page") && ran.out.is_empty(), "{ran:?}");
    serving.stop().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    site.configure(&format!("[admin]\naddress = \"{address}\"\n"));
    let ran = site.run(&["serve"]).await;
    let said = format!("error: admin.address {address} cannot be listened on: ");
    assert!(ran.code == 1 && ran.error().contains(&said), "{ran:?}");
}

#[tokio::test]
async fn security_row_46_a_request_that_is_too_large_or_never_whole_takes_no_place() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let large = "x".repeat(1024 * 1024 + 1);
    let mut stream = TcpStream::connect(&browser.address).await.unwrap();
    let head = format!(
        "POST /leave HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        browser.address,
        large.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(large.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.1 3"));
    let mut waiting = Vec::new();
    for _ in 0..150 {
        let mut stream = TcpStream::connect(&browser.address).await.unwrap();
        stream.write_all(b"POST /leave HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        waiting.push(stream);
    }
    browser.get("/").await.has("Sign out");
    serving.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_row_46_large_bodies_are_read_a_few_at_a_time() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&browser.address).await.unwrap();
        let head = "POST /leave HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nhalf";
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    // Requests with small bodies, and without any, wait for none of them.
    for _ in 0..5 {
        browser.get("/").await.has("Sign out");
    }
    let other = browser.clone();
    let form = format!("form_token=x&more={}", "x".repeat(200_000));
    let large = tokio::spawn(async move {
        let from_here = format!("Origin: http://{}\r\n", other.address);
        other.send("POST", "/leave", &from_here, &form).await
    });
    for _ in 0..5 {
        browser.get("/").await.has("Sign out");
    }
    assert!(!large.is_finished());
    drop(stalled);
    assert_eq!(large.await.unwrap().status, 403);
    serving.stop().await;
}

/// Makes each statement on the table of sessions fail, as if the database were away.
async fn is_away(site: &Site) {
    site.tamper("ALTER TABLE short_lived RENAME TO away", &[]).await;
}

async fn is_back(site: &Site) {
    site.tamper("ALTER TABLE away RENAME TO short_lived", &[]).await;
}

#[tokio::test]
async fn while_the_store_is_away_the_page_says_so_and_no_one_loses_a_session_or_an_entrance() {
    let (site, serving) = site().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let path = entrance(&site).await;
    let from_here = format!("Origin: http://{}\r\n", browser.address);
    let without = Browser { cookie: None, ..browser.clone() };
    is_away(&site).await;
    for (answer, what) in [
        (browser.send("GET", "/", "", "").await, "the list"),
        (
            browser.send("GET", "/sessions", "X-By-Itself: 1\r\n", "").await,
            "the script, which reloads at 403",
        ),
        (browser.submit("/leave", &[]).await, "the way out"),
        (without.send("GET", &path, "", "").await, "a look at an entrance"),
        (without.send("POST", &path, &from_here, "").await, "an entrance"),
    ] {
        assert!(answer.status == 503 && answer.header("set-cookie").is_empty(), "{what}: {answer:?}");
        answer.has("Load this page again in a minute").lacks("imap-oauth-proxy admin").lacks("five minutes");
    }
    let answer = browser.send("GET", "/api/v1/accounts", "", "").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.has("\"unavailable\"").has("ask again in a minute");
    is_back(&site).await;
    browser.get("/").await.has("Sign out");
    assert_eq!(without.send("POST", &path, &from_here, "").await.status, 303);
    serving.stop().await;
}

#[tokio::test]
async fn a_store_that_keeps_nothing_uses_no_entrance_up_and_loses_no_answer() {
    let site = Site::new().await;
    site.configure(ON);
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut browser = Browser::enter(&site, &serving).await;
    let path = entrance(&site).await;
    let full = "CREATE TRIGGER full BEFORE INSERT ON short_lived BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    site.tamper(full, &[]).await;
    let from_here = format!("Origin: http://{}\r\n", browser.address);
    let without = Browser { cookie: None, ..browser.clone() };
    let answer = without.send("POST", &path, &from_here, "").await;
    assert!(answer.status == 503 && answer.header("set-cookie").is_empty(), "{answer:?}");
    let answer = browser.submit(&format!("/accounts/{ALICE}/password"), &[("name", "phone")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.has("The app password called <strong>phone</strong>").has("shown this once");
    let password =
        answer.between("<code class=\"password\" tabindex=\"0\" data-copy=\"Copy the password\">", "</code>");
    assert!(password.len() > 10, "{password}");
    let answer = browser.submit("/sessions/close", &[("id", "x")]).await;
    answer.has("That session has ended already.");
    site.tamper("DROP TRIGGER full", &[]).await;
    assert_eq!(without.send("POST", &path, &from_here, "").await.status, 303, "the entrance is still open");
    browser.get("/").await.has("Sign out");
    serving.stop().await;
}

/// The number of answers that the page has still to show.
async fn said(site: &Site) -> u64 {
    site.tamper("UPDATE short_lived SET number = number WHERE kind = 'said'", &[]).await
}

#[tokio::test]
async fn security_row_23_a_password_that_is_shown_once_is_in_no_backup_and_does_not_stay_in_the_store() {
    let site = Site::new().await;
    site.configure(ON);
    site.authorize(ALICE).await;
    let serving = site.serve().await;
    let browser = Browser::enter(&site, &serving).await;
    let answer = browser.submit(&format!("/accounts/{ALICE}/password"), &[("name", "phone")]).await;
    assert_eq!((answer.status, said(&site).await), (303, 1), "the browser has not looked yet");
    let copy = site.state().join("copy.sqlite");
    assert_eq!(site.run(&["backup", copy.to_str().unwrap()]).await.code, 0);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&copy);
    let mut opened = options.connect().await.unwrap();
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM short_lived").fetch_all(&mut opened).await.unwrap();
    assert_eq!(kinds, ["session"]);
    opened.close().await.unwrap();
    serving.stop().await;
    site.tamper("UPDATE short_lived SET until = 1 WHERE kind = 'said'", &[]).await;
    let serving = site.serve().await;
    within("the removal of what is over", async {
        while said(&site).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_what_is_too_large_is_a_page_with_a_sentence_and_the_headers() {
    let (site, serving) = site().await;
    let browser = Browser::enter(&site, &serving).await;
    for (path, kind) in [("/add", "text/html"), ("/api/v1/accounts", "application/json")] {
        let mut stream = TcpStream::connect(&browser.address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            browser.address,
            8 * 1024 * 1024
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A little more than the bound: the server reads no further.
        let mut sent = stream.write_all(&vec![b'x'; 1024 * 1024 + 1]).await;
        sent = sent.and(stream.flush().await);
        let mut answer = Vec::new();
        let read = within("an answer", stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path} {sent:?} {read:?}: {answer}");
        for part in ["content-security-policy: ", "x-content-type-options: nosniff", kind] {
            assert!(answer.contains(part), "{path} {part}: {answer}");
        }
        let sentence = if path == "/add" { "larger than 1 MiB" } else { "\"too_large\"" };
        assert!(answer.contains(sentence), "{path}: {answer}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn security_row_46_a_browser_that_enters_again_leaves_no_session_behind() {
    let (site, serving) = site().await;
    let before = Browser::enter(&site, &serving).await;
    let other = Browser::enter(&site, &serving).await;
    let path = entrance(&site).await;
    let from_here = format!("Origin: http://{}\r\n", before.address);
    let entered = before.send("POST", &path, &from_here, "").await;
    assert_eq!(entered.status, 303, "{entered:?}");
    let cookie = entered.header("set-cookie").split(';').next().unwrap().to_owned();
    let mut after = Browser { cookie: Some(cookie), ..before.clone() };
    after.get("/").await.has("Sign out");
    assert_eq!(
        before.send("GET", "/sessions", "", "").await.status,
        403,
        "its cookie opens nothing any more"
    );
    assert_eq!(other.send("GET", "/sessions", "", "").await.status, 200, "other browsers keep theirs");
    serving.stop().await;
}
