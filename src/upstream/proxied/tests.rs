use std::net::SocketAddr;

use sandbox::proxy::{Answers, Proxy, Speaks};
use tokio::net::TcpListener;

use super::*;
use crate::config::Config;

const BOTH: [Speaks; 2] = [Speaks::Socks5, Speaks::Http];

fn configured(speaks: Speaks, credentials: &str, address: SocketAddr) -> NetworkProxy {
    let scheme = if speaks == Speaks::Socks5 { "socks5" } else { "http" };
    let text =
        format!("state_directory = \"/x\"\n[network]\nproxy = \"{scheme}://{credentials}{address}\"\n");
    let config = Config::parse(&text, None).unwrap();
    (**config.network_proxy.as_ref().unwrap()).clone()
}

async fn asked(proxy: &NetworkProxy, server: &Endpoint) -> Result<TcpStream, ProxyError> {
    let tcp = TcpStream::connect(proxy.endpoint.to_string()).await.unwrap();
    ask(proxy, tcp, server).await
}

fn elsewhere(port: u16) -> Endpoint {
    Endpoint { host: sandbox::proxy::ELSEWHERE.to_owned(), port }
}

#[tokio::test]
async fn a_proxy_is_told_the_name_and_none_of_the_servers_words_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = elsewhere(listener.local_addr().unwrap().port());
    for speaks in BOTH {
        for (answers, credentials) in [(Answers::Late, ""), (Answers::To("anna", "p@ss"), "anna:p%40ss@")] {
            let proxy = Proxy::start(speaks, answers).await;
            let configured = configured(speaks, credentials, proxy.address);
            let (tcp, greeted) = tokio::join!(asked(&configured, &server), async {
                let (mut tcp, _) = listener.accept().await.unwrap();
                tcp.write_all(b"220 first\r\n").await.unwrap();
                tcp
            });
            let mut words = [0; 11];
            tcp.unwrap().read_exact(&mut words).await.unwrap();
            assert_eq!(&words, b"220 first\r\n", "{speaks:?}");
            assert_eq!(proxy.asked(), [server.to_string()], "{speaks:?}");
            drop(greeted);
        }
    }
}

#[tokio::test]
async fn an_address_is_told_as_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (host, socks, http) in [
        ("192.0.2.7", format!("address 192.0.2.7:{port}"), format!("192.0.2.7:{port}")),
        ("2001:db8::7", format!("address 2001:db8::7:{port}"), format!("[2001:db8::7]:{port}")),
    ] {
        let server = Endpoint { host: host.to_owned(), port };
        for (speaks, told) in [(Speaks::Socks5, &socks), (Speaks::Http, &http)] {
            let proxy = Proxy::start(speaks, Answers::Well).await;
            asked(&configured(speaks, "", proxy.address), &server).await.unwrap();
            assert_eq!(proxy.asked(), std::slice::from_ref(told));
        }
    }
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_by_its_cause() {
    let with = |bytes: &[u8]| Answers::With(bytes.to_vec());
    for (speaks, answers, credentials, words) in [
        (Speaks::Socks5, Answers::No(1), "", "does not reach the server (general failure)"),
        (Speaks::Socks5, Answers::No(2), "", "does not allow this connection"),
        (Speaks::Socks5, Answers::No(4), "", "does not reach the server (host unreachable)"),
        (Speaks::Socks5, Answers::No(5), "", "does not reach the server (connection refused)"),
        (Speaks::Socks5, Answers::No(99), "", "not that of such a proxy"),
        (Speaks::Socks5, Answers::To("anna", "right"), "", "the name and the password"),
        (Speaks::Socks5, Answers::To("anna", "right"), "anna:canary@", "the name and the password"),
        (Speaks::Socks5, with(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "", "not that of such a proxy"),
        (Speaks::Http, Answers::No(403), "", "does not allow this connection (HTTP 403)"),
        (Speaks::Http, Answers::No(301), "", "does not allow this connection (HTTP 301)"),
        (Speaks::Http, Answers::No(503), "", "does not reach the server (HTTP 503)"),
        (Speaks::Http, Answers::To("anna", "right"), "", "the name and the password"),
        (Speaks::Http, Answers::To("anna", "right"), "anna:canary@", "the name and the password"),
        (Speaks::Http, with(b"\x05\xff"), "", "not that of such a proxy"),
        (Speaks::Http, with(b"SSH-2.0-OpenSSH_9.6\r\n"), "", "not that of such a proxy"),
        (Speaks::Http, with(b"HTTP/1.1 2000 Much\r\n\r\n"), "", "not that of such a proxy"),
        (Speaks::Http, with(b"HTTP/1.1\r\n\r\n"), "", "not that of such a proxy"),
        (Speaks::Http, with(&[b"HTTP/1.1 200 ", &[b'x'; 9000][..]].concat()), "", "not that of such"),
    ] {
        let proxy = Proxy::start(speaks, answers.clone()).await;
        let error =
            asked(&configured(speaks, credentials, proxy.address), &elsewhere(993)).await.unwrap_err();
        assert!(error.to_string().contains(words), "{speaks:?} {answers:?}: {error}");
        assert!(!format!("{error:?} {error} {}", error.cure()).contains("canary"));
    }
}

#[tokio::test]
async fn a_silent_proxy_is_given_up() {
    for speaks in BOTH {
        let proxy = Proxy::start(speaks, Answers::Nothing).await;
        let configured = configured(speaks, "", proxy.address);
        let tcp = TcpStream::connect(proxy.address).await.unwrap();
        let error =
            ask_within(Duration::from_millis(20), &configured, tcp, &elsewhere(993)).await.unwrap_err();
        assert!(matches!(error, ProxyError::Silent(_)), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_goes_away_is_an_error() {
    for speaks in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let configured = configured(speaks, "", listener.local_addr().unwrap());
        let server = elsewhere(993);
        let (asked, ()) = tokio::join!(asked(&configured, &server), async {
            drop(listener.accept().await.unwrap());
        });
        assert!(matches!(asked.unwrap_err(), ProxyError::Io(_)));
    }
}
