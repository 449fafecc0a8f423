//! The listener for the redirects of all sign-ins, behind a reverse proxy.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use imap_oauth_proxy::oauth::SharedCallback;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::talk;

struct Receiver {
    address: SocketAddr,
    /// The `state` of each answer that was passed on.
    states: mpsc::UnboundedReceiver<String>,
    /// The `state` of each answer that was stored.
    kept: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

/// A receiver at `/oauth`. Storing an answer takes a permit of `pace`; only `s-1` has a waiting sign-in.
async fn receiver(pace: Arc<Semaphore>) -> Receiver {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback = SharedCallback::new(listener, vec!["/oauth".to_owned(), "/{odd}/*path".to_owned()]);
    let address = callback.address().unwrap();
    let (sender, states) = mpsc::unbounded_channel();
    let (keeper, kept) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let keep = move |state: String, query: String| {
            let (keeper, pace) = (keeper.clone(), pace.clone());
            assert!(query.contains(&state));
            sender.send(state.clone()).unwrap();
            async move {
                pace.acquire().await.unwrap().forget();
                keeper.send(state.clone()).unwrap();
                state == "s-1"
            }
        };
        callback.serve(keep).await;
    });
    Receiver { address, states, kept, task }
}

impl Receiver {
    async fn ask(&self, method: &str, target: &str, headers: &str) -> String {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: mail.example\r\n{headers}\r\n");
        talk(self.address, &request).await
    }
}

fn at_once() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
}

#[tokio::test]
async fn an_answer_that_is_waited_for_is_taken_and_others_are_told_so() {
    let mut receiver = receiver(at_once()).await;
    let taken = receiver.ask("GET", "/oauth?state=s-1&code=the-code", "").await;
    assert!(taken.starts_with("HTTP/1.1 200") && taken.contains("connection: close"), "{taken}");
    assert!(taken.contains("cache-control: no-store") && !taken.contains("the-code"), "{taken}");
    assert!(receiver.ask("GET", "/oauth?state=s-2&code=c", "").await.starts_with("HTTP/1.1 400"));
    receiver.task.abort();
    let mut handed_on = Vec::new();
    while let Some(state) = receiver.states.recv().await {
        handed_on.push(state);
    }
    assert_eq!(handed_on, ["s-1", "s-2"]);
}

/// Everyone can open such an address, so the page claims nothing.
#[tokio::test]
async fn an_administrators_answer_that_no_sign_in_asked_for_is_not_taken_for_true() {
    let mut receiver = receiver(at_once()).await;
    for query in ["admin_consent=True&tenant=t", "admin_consent=True&tenant=t&state=s-1"] {
        let page = receiver.ask("GET", &format!("/oauth?{query}"), "").await;
        assert!(
            page.starts_with("HTTP/1.1 200") && page.contains("nothing was checked or changed here"),
            "{page}"
        );
        assert!(!page.contains("Consent received") && !page.contains("can now give"), "{page}");
    }
    receiver.task.abort();
    assert_eq!(receiver.states.recv().await, None);
}

#[tokio::test]
async fn what_is_no_redirect_or_out_of_bounds_is_handed_to_no_one() {
    let mut receiver = receiver(at_once()).await;
    let many = "X: y\r\n".repeat(100);
    let long = format!("X: {}\r\n", "x".repeat(100_000));
    for (method, target, headers, status) in [
        ("GET", "/", "", "404"),
        ("GET", "/oauth/?state=s-1", "", "404"),
        ("GET", "/x/y?state=s-1", "", "404"),
        ("POST", "/oauth?state=s-1", "", "404"),
        ("HEAD", "/oauth?state=s-1", "", "404"),
        ("GET", "/oauth", "", "400"),
        ("GET", "/oauth?code=c", "", "400"),
        ("GET", "/oauth?state=s-1&state=s-1", "", "400"),
        ("GET", "/oauth?state=s-1", many.as_str(), "431"),
        ("GET", "/oauth?state=s-1", long.as_str(), "431"),
    ] {
        let answer = receiver.ask(method, target, headers).await;
        // An answer to an oversized request may be lost when the connection is reset.
        let lost = headers.len() > 32 * 1024 && answer.is_empty();
        assert!(lost || answer.starts_with(&format!("HTTP/1.1 {status}")), "{method} {target}: {answer:.80}");
    }
    receiver.task.abort();
    assert_eq!(receiver.states.recv().await, None);
}

#[tokio::test]
async fn a_browser_that_hangs_up_loses_no_answer() {
    let pace = Arc::new(Semaphore::new(0));
    let mut receiver = receiver(pace.clone()).await;
    let mut browser = TcpStream::connect(receiver.address).await.unwrap();
    browser.write_all(b"GET /oauth?state=s-1 HTTP/1.1\r\nHost: mail.example\r\n\r\n").await.unwrap();
    assert_eq!(receiver.states.recv().await.as_deref(), Some("s-1"));
    browser.shutdown().await.unwrap();
    // When the server closes the connection, it has seen the browser's end.
    assert_eq!(browser.read(&mut [0]).await.unwrap(), 0);
    pace.add_permits(1);
    let kept = timeout(Duration::from_secs(20), receiver.kept.recv()).await.expect("it is kept");
    assert_eq!(kept.as_deref(), Some("s-1"));
    receiver.task.abort();
}
