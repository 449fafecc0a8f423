//! The loopback listener for redirects. Security checklist rows 14 to 16.

use std::time::Duration;

use imap_oauth_proxy::oauth::{
    AuthorizationCode, AuthorizationRequest, Callback, CallbackError, Client, RedirectError,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

use crate::support::{browse, client, provider, request, talk};

struct Waiting {
    redirect_uri: String,
    state: String,
    outcome: JoinHandle<Result<AuthorizationCode, RedirectError>>,
}

impl Waiting {
    fn authority(&self) -> String {
        let url = Url::parse(&self.redirect_uri).unwrap();
        url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
    }

    fn right_answer(&self) -> String {
        format!("{}?state={}&code=the-code", self.redirect_uri, self.state)
    }
}

async fn authorization(client: &Client, callback: &Callback) -> AuthorizationRequest {
    request(client, &callback.redirect_uri(), None).await.unwrap()
}

async fn waiting(redirect_uri: &str) -> Waiting {
    let callback = Callback::bind(&Url::parse(redirect_uri).unwrap()).await.unwrap();
    let client = client(provider("https://login.example"));
    let authorization = authorization(&client, &callback).await;
    let (redirect_uri, state) = (callback.redirect_uri(), authorization.state().expose().to_owned());
    Waiting { redirect_uri, state, outcome: tokio::spawn(async move { callback.wait(&authorization).await }) }
}

#[tokio::test]
async fn the_right_answer_gets_a_page_and_closes_the_door() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let page = browse(&waiting.right_answer()).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
    ] {
        assert!(page.contains(header), "{header}");
    }
    assert!(!page.contains("the-code") && !page.contains(&waiting.state));
    let authority = waiting.authority();
    waiting.outcome.await.unwrap().unwrap();
    assert!(TcpStream::connect(authority).await.is_err(), "it is closed");
}

#[tokio::test]
async fn localhost_is_served_in_both_families_on_one_port() {
    for family in ["127.0.0.1", "[::1]"] {
        let waiting = waiting("http://localhost").await;
        assert!(
            !waiting.redirect_uri.ends_with('/'),
            "as it is registered at Microsoft: {}",
            waiting.redirect_uri
        );
        let port = Url::parse(&waiting.redirect_uri).unwrap().port().unwrap();
        let Ok(stream) = TcpStream::connect(format!("{family}:{port}")).await else {
            assert_eq!(family, "[::1]", "a machine may lack IPv6, not IPv4");
            continue;
        };
        drop(stream);
        let request =
            format!("GET /?state={}&code=c HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n", waiting.state);
        assert!(talk(format!("{family}:{port}"), &request).await.starts_with("HTTP/1.1 200"));
        waiting.outcome.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn junk_uses_nothing_up() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let authority = waiting.authority();
    let get = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let junk = [
        (get("/", &authority), "404"),
        (get("/favicon.ico", &authority), "404"),
        (get("/callback", &authority), "400"),
        (get("/callback?code=c", &authority), "400"),
        (get("/callback?state=wrong&code=c", &authority), "400"),
        (get("/callback?state=wrong&error=access_denied", &authority), "400"),
        (get("/callback?state=%00&state=x", &authority), "400"),
        (
            format!(
                "POST /callback?state={} HTTP/1.1\r\nHost: {authority}\r\ncontent-length: 0\r\n\r\n",
                waiting.state
            ),
            "405",
        ),
        (
            format!("HEAD /callback?state={}&code=c HTTP/1.1\r\nHost: {authority}\r\n\r\n", waiting.state),
            "405",
        ),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "403"),
        ("\x16\x03\x01 not http at all\r\n\r\n".to_owned(), "400"),
        (format!("GET /callback HTTP/1.1\r\nHost: {authority}\r\nX: {}\r\n\r\n", "x".repeat(100_000)), "431"),
    ];
    for round in 0..84 {
        for (request, status) in &junk {
            let answer = talk(&authority, request).await;
            // An answer to an oversized request may be lost when the connection is reset.
            let lost = request.len() > 32 * 1024 && answer.is_empty();
            assert!(
                lost || answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{round} {request:.80} {answer:.80}"
            );
        }
    }
    browse(&waiting.right_answer()).await;
    waiting.outcome.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_rebound_name_is_not_served() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let authority = waiting.authority();
    let port = Url::parse(&waiting.redirect_uri).unwrap().port().unwrap();
    let target = format!("/callback?state={}&code=stolen", waiting.state);
    for host in
        [format!("evil.example:{port}"), "127.0.0.1".to_owned(), format!("localhost:{port}"), String::new()]
    {
        let answer = talk(&authority, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
    }
    let two = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nHost: evil.example\r\n\r\n");
    assert!(talk(&authority, &two).await.starts_with("HTTP/1.1 4"));
    let absolute = format!("GET http://evil.example{target} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    assert!(talk(&authority, &absolute).await.starts_with("HTTP/1.1 403"));
    browse(&waiting.right_answer()).await;
    assert!(waiting.outcome.await.unwrap().is_ok());
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_keep_the_answer_out() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(waiting.authority()).await.unwrap());
    }
    browse(&waiting.right_answer()).await;
    waiting.outcome.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_refusal_ends_the_wait_and_is_escaped() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let refusal = format!(
        "{}?state={}&error=access_denied&error_description=%3Cscript%3E%1b%5B2J",
        waiting.redirect_uri, waiting.state
    );
    let page = browse(&refusal).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script") && !page.contains('\x1b'), "{page}");
    let Err(RedirectError::Refused(refusal)) = waiting.outcome.await.unwrap() else {
        panic!("it is refused")
    };
    assert_eq!(refusal.code, "access_denied");
}

/// Security checklist row 16: another provider's answer cannot complete this flow.
#[tokio::test]
async fn another_flows_answer_is_not_taken() {
    let (ours, theirs) =
        (waiting("http://127.0.0.1/callback").await, waiting("http://127.0.0.1/callback").await);
    let mixed = format!("{}?state={}&code=theirs", ours.redirect_uri, theirs.state);
    let page = browse(&mixed).await;
    assert!(page.contains("not the answer to the sign-in that waits here"), "{page}");
    assert!(!ours.outcome.is_finished());
    browse(&ours.right_answer()).await;
    ours.outcome.await.unwrap().unwrap();
    theirs.outcome.abort();
}

#[tokio::test]
async fn giving_up_closes_the_door() {
    let waiting = waiting("http://127.0.0.1/callback").await;
    let authority = waiting.authority();
    waiting.outcome.abort();
    assert!(waiting.outcome.await.unwrap_err().is_cancelled());
    assert!(TcpStream::connect(authority).await.is_err());
}

#[tokio::test]
async fn a_fixed_port_is_taken_as_it_is_or_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let url = Url::parse(&format!("http://{host}:{port}/callback")).unwrap();
        let error = Callback::bind(&url).await.unwrap_err();
        assert!(
            matches!(error, CallbackError::Taken { .. }) && error.to_string().contains(&port.to_string()),
            "{error}"
        );
    }
    drop(taken);
    let url = Url::parse(&format!("http://127.0.0.1:{port}/callback")).unwrap();
    assert_eq!(Callback::bind(&url).await.unwrap().redirect_uri(), url.as_str());
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    for url in [
        "https://mail.example/oauth",
        "http://0.0.0.0/callback",
        "http://192.0.2.1/callback",
        "https://127.0.0.1/",
    ] {
        let error = Callback::bind(&Url::parse(url).unwrap()).await.unwrap_err();
        assert!(matches!(error, CallbackError::NotLoopback(_)), "{url}");
    }
}

#[tokio::test]
async fn nobody_answers_and_the_caller_decides_how_long() {
    let callback = Callback::bind(&Url::parse("http://127.0.0.1/").unwrap()).await.unwrap();
    let client = client(provider("https://login.example"));
    let authorization = authorization(&client, &callback).await;
    assert!(tokio::time::timeout(Duration::from_millis(1), callback.wait(&authorization)).await.is_err());
}
