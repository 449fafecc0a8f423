//! The HTTP endpoints for monitoring.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{Serving, Site, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ON: &str = "[metrics]\naddress = \"127.0.0.1:0\"\n";

fn address(serving: &Serving) -> String {
    serving.ready["metrics"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned()
}

/// The whole answer to this request.
async fn ask(serving: &Serving, request: &str) -> String {
    let mut stream = TcpStream::connect(address(serving)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(serving: &Serving, path: &str) -> String {
    ask(serving, &format!("GET {path} HTTP/1.1\r\nHost: watcher\r\n\r\n")).await
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn there_is_no_address_unless_one_is_written() {
    let site = Site::new().await;
    for config in ["", "[metrics]\naddress = \"off\"\n"] {
        site.configure(config);
        let serving = site.serve().await;
        let keys: Vec<_> = serving.ready.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["admin", "ca_file", "listeners", "metrics", "pid"]);
        assert!(serving.ready["metrics"].is_null() && serving.ready["admin"].is_null());
        serving.stop().await;
    }
}

#[tokio::test]
async fn a_process_that_is_up_says_so_and_a_login_that_cannot_succeed_shows() {
    let site = Site::new().await;
    site.configure(ON);
    let serving = site.serve().await;
    for path in ["/healthz", "/readyz"] {
        let answer = get(&serving, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(body(&answer).lines().count(), 1, "{answer}");
    }
    // Moves the database away.
    let store = site.state().join("store.sqlite");
    std::fs::rename(&store, site.home.path().join("away")).unwrap();
    let unready = within("/readyz to tell", async {
        loop {
            let answer = get(&serving, "/readyz").await;
            if answer.starts_with("HTTP/1.1 503 ") {
                return answer;
            }
        }
    });
    let unready = unready.await;
    // What the database says, with its place in it, is for those who may run the command.
    assert_eq!(body(&unready).trim_end(), "its store does not answer", "{unready}");
    assert!(get(&serving, "/healthz").await.starts_with("HTTP/1.1 200 "));
    let ran = site.run(&["health"]).await;
    assert!(ran.code == 1 && ran.err.contains("its store does not answer: "), "{ran:?}");
    std::fs::rename(site.home.path().join("away"), &store).unwrap();
    serving.kill().await;
}

#[tokio::test]
async fn silent_connections_make_room_for_one_that_asks() {
    let site = Site::new().await;
    site.configure(ON);
    let serving = site.serve().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(TcpStream::connect(address(&serving)).await.unwrap());
    }
    let begin = std::time::Instant::now();
    assert!(get(&serving, "/healthz").await.starts_with("HTTP/1.1 200 "));
    assert!(begin.elapsed().as_secs() < 5, "a silent one has ten seconds where there is room");
    let mut rest = Vec::new();
    within("the end of the oldest", silent[0].read_to_end(&mut rest)).await.unwrap();
    serving.stop().await;
}

#[tokio::test]
async fn other_requests_get_nothing() {
    let site = Site::new().await;
    site.configure(ON);
    let serving = site.serve().await;
    for path in ["/", "/api/v1/accounts", "/metrics/../healthz", "/healthz/"] {
        assert!(get(&serving, path).await.starts_with("HTTP/1.1 404 "), "{path}");
    }
    let answer = ask(&serving, "POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let mut stream = TcpStream::connect(address(&serving)).await.unwrap();
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "a header without end is not read");
    assert!(get(&serving, "/healthz").await.starts_with("HTTP/1.1 200 "));
    serving.stop().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_had_stops_the_start_in_one_sentence() {
    let site = Site::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    site.configure(&format!("[metrics]\naddress = \"{address}\"\n"));
    let ran = site.run(&["serve"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = format!("error: metrics.address {address} cannot be listened on: ");
    assert!(ran.error().contains(&said), "{ran:?}");
}

#[tokio::test]
async fn what_is_counted_and_what_is_looked_up_is_shown_and_no_address_unless_wanted() {
    let site = Site::new().await;
    site.configure(ON);
    let alice = site.authorize(common::ALICE).await;
    let serving = site.serve().await;
    let session = serving.log_in(&alice).await;
    assert_eq!(site.run(&["reload"]).await.code, 0);
    let answer = get(&serving, "/metrics").await;
    assert!(answer.contains("content-type: application/openmetrics-text"), "{answer}");
    let has = |text: &str, line: &str| assert!(text.contains(line), "{line} is not in {text}");
    for line in [
        "imap_oauth_proxy_sessions{protocol=\"imap\",provider=\"sandbox\"} 1",
        "imap_oauth_proxy_grants{provider=\"sandbox\",state=\"ok\"} 1",
        "imap_oauth_proxy_grants{provider=\"sandbox\",state=\"needs_authorization\"} 0",
        "imap_oauth_proxy_store_up 1",
        "imap_oauth_proxy_config_reload_total{result=\"ok\"} 1",
        "imap_oauth_proxy_task_restarts_total{task=\"control socket\"} 0",
        "imap_oauth_proxy_task_restarts_total{task=\"metrics\"} 0",
        "imap_oauth_proxy_certificate_expiry_timestamp_seconds{listener=\"127.0.0.1:",
        "# EOF",
    ] {
        has(&answer, line);
    }
    assert!(!answer.contains('@'), "{answer}");
    site.configure(&format!("{ON}per_account = true\n"));
    assert_eq!(site.run(&["reload"]).await.code, 0);
    has(&get(&serving, "/metrics").await, common::ALICE);
    drop(session);
    serving.stop().await;
}
