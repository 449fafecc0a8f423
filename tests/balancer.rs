//! Behind a load balancer: the PROXY protocol, which names the client, and every kind of false header.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::tls_config;
use common::plain::Plain;
use common::smtp::{Client, sign_in};
use common::{ALICE, BOB, Serving, Site, login, within};
use sandbox::Sandbox;

/// Headers are accepted from 127.0.0.1, the address of the tests' clients, and from no other address.
const BELIEVED: &str = "proxy_protocol = [\"127.0.0.1/32\"]\n";

fn listener(protocol: &str, security: &str, more: &str) -> String {
    format!(
        "[[listeners]]\nprotocol = \"{protocol}\"\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"{security}\"\n{more}"
    )
}

async fn site(listeners: &str) -> Site {
    Site::with_config(Sandbox::builder().user(ALICE).user(BOB).submission(), listeners).await
}

/// Version 1.
fn line(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    let server = if client.contains(':') { "2001:db8::1" } else { "192.0.2.1" };
    format!("PROXY {family} {client} {server} 56324 993\r\n").into_bytes()
}

/// Version 2: version and command, family, and what follows.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, rest].concat()
}

/// A header of version 2 for a client with this IPv4 address, with a field behind the addresses.
fn from(client: [u8; 4]) -> Vec<u8> {
    binary(0x21, 0x11, &[&client[..], &[192, 0, 2, 1, 0xdc, 4, 0, 25], &[4, 0, 3, 0, 0, 0]].concat())
}

/// A connection that sends `header` first.
async fn behind(address: SocketAddr, header: &[u8]) -> Plain {
    let mut client = Plain::connect(address).await;
    client.send(header).await;
    client
}

async fn logged_in(serving: &Serving, header: &[u8], settings: &serde_json::Value) -> Plain {
    let mut client = behind(serving.address_of("none"), header).await;
    assert!(client.line().await.starts_with("* OK "));
    let answer = client.command(&login(settings)).await;
    assert!(answer.is_ok(), "{answer:?}");
    client
}

#[tokio::test]
async fn security_row_44_the_source_that_a_believed_header_names_is_the_client() {
    let listeners = listener("imap", "none", BELIEVED) + &listener("submission", "tls", BELIEVED);
    let site = site(&listeners).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut sessions = Vec::new();
    for (header, source) in [
        (line("192.0.2.7"), "192.0.2.7"),
        (line("2001:db8::7"), "2001:db8::7"),
        (from([198, 51, 100, 9]), "198.51.100.9"),
    ] {
        sessions.push(logged_in(&serving, &header, &settings).await);
        serving.logs(&format!("login result=ok protocol=imap account={ALICE} from={source} ")).await;
    }
    let listed = site.run(&["sessions", "list", "--json"]).await.json();
    let sources: Vec<_> = listed.as_array().unwrap().iter().map(|row| row["from"].clone()).collect();
    assert_eq!(sources, ["192.0.2.7", "2001:db8::7", "198.51.100.9"]);

    // Before TLS, with the client's hello in the same segment.
    let mut client = Client::silent(serving.submission_of("tls")).await;
    client.write(&from([192, 0, 2, 8])).await;
    client.begin_tls(&tls_config(&serving.ca_file())).await.unwrap();
    assert_eq!(client.reply().await.code(), 220);
    assert_eq!(client.ehlo().await.code(), 250);
    assert_eq!(sign_in(&mut client, &settings).await.code(), 235);
    serving.logs("login result=ok protocol=submission account=alice@example.com from=192.0.2.8 ").await;
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_44_a_header_is_believed_byte_by_byte_too_and_what_follows_it_is_the_clients() {
    let site = site(&listener("imap", "none", BELIEVED)).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    for header in [line("192.0.2.7"), from([192, 0, 2, 7])] {
        let mut client = Plain::connect(serving.address()).await;
        for byte in &header {
            client.send([*byte]).await;
        }
        client.send(format!("a {}\r\n", login(&settings))).await;
        assert!(client.line().await.starts_with("* OK "));
        assert!(client.answer("a").await.is_ok());
    }
}

#[tokio::test]
async fn security_row_44_from_and_limits_judge_the_source_and_not_the_balancer() {
    let more = format!("{BELIEVED}from = [\"192.0.2.0/24\"]\n");
    let limits = "[limits]\nconnections_per_address = 1\n";
    let site = site(&(listener("imap", "none", &more) + limits)).await;
    let mut serving = site.serve_with(&["--log", "debug"]).await;
    let mut one = behind(serving.address(), &line("192.0.2.7")).await;
    assert!(one.line().await.starts_with("* OK "));
    let mut other = behind(serving.address(), &line("192.0.2.8")).await;
    assert!(other.line().await.starts_with("* OK "), "the balancer's own address counts for nothing");
    let mut same = behind(serving.address(), &from([192, 0, 2, 7])).await;
    assert!(same.line().await.starts_with("* BYE [LIMIT] "));
    serving.logs("192.0.2.7 has 1 connections that have not logged in").await;
    let mut foreign = behind(serving.address(), &line("192.0.3.7")).await;
    assert_eq!(foreign.rest().await, "");
    serving.logs("192.0.3.7:56324 is closed: its address is none of the listener's `from`").await;
}

#[tokio::test]
async fn security_row_44_where_a_header_is_due_one_is_required_and_a_health_check_is_closed_silently() {
    let site = site(&listener("imap", "none", BELIEVED)).await;
    let mut serving = site.serve().await;
    for (said, logged) in [
        (b"a1 NOOP\r\n".to_vec(), "127.0.0.1 stands in proxy_protocol and sent no PROXY protocol header"),
        (b"\x16\x03\x01\x02\0\x01\0".to_vec(), "sent no PROXY protocol header"),
        (b"PROXY TCP4 192.0.2.7\r\n".to_vec(), "the PROXY protocol header is broken: its addresses are none"),
        ([&b"PROXY TCP4 "[..], &[b'1'; 120]].concat(), "its line is longer than 107 bytes"),
        (binary(0x21, 0x31, &[b'/'; 216]), "it names a Unix socket"),
        (binary(0x21, 0x11, &[192, 0, 2, 7]), "its addresses are none"),
        (binary(0x21, 0x11, &[0; 600]), "it is longer than 536 bytes"),
        (binary(0x31, 0x11, &[0; 12]), "its version or command is unknown"),
    ] {
        let mut client = behind(serving.address(), &said).await;
        assert_eq!(within(logged, client.rest()).await, "", "{}", said.escape_ascii());
        serving.logs(logged).await;
    }
    let mut cut = behind(serving.address(), &from([192, 0, 2, 7])[..20]).await;
    cut.finish().await;
    assert_eq!(cut.rest().await, "");
    serving.logs("the PROXY protocol header did not come whole").await;

    // Two load balancers in a row, each of which sends a header.
    for second in [line("192.0.2.9"), from([192, 0, 2, 9])] {
        let mut twice = behind(serving.address(), &[line("192.0.2.7"), second].concat()).await;
        assert!(twice.rest().await.starts_with("* OK "));
        serving.logs("this is a second PROXY protocol header, behind that of 127.0.0.1").await;
    }
    for check in [binary(0x20, 0, &[]), binary(0x20, 0x11, &[0; 12]), b"PROXY UNKNOWN\r\n".to_vec(), vec![]] {
        let mut client = behind(serving.address(), &check).await;
        client.finish().await;
        assert_eq!(client.rest().await, "", "{}", check.escape_ascii());
    }
    let (_, log) = serving.stop().await;
    let behind = log.rsplit("second PROXY protocol header").next().unwrap();
    assert!(
        !behind.contains("WARN") && !behind.contains("PROXY"),
        "nothing is said of health checks: {behind}"
    );
}

/// Ends a connection by a reset, before its first byte.
fn reset(address: SocketAddr) {
    let tcp = std::net::TcpStream::connect(address).unwrap();
    socket2::SockRef::from(&tcp).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_reset_before_the_first_byte_is_a_health_check_and_means_nothing() {
    let listeners = listener("imap", "tls", "") + &listener("submission", "tls", BELIEVED);
    let site = site(&(listeners + "[metrics]\naddress = \"127.0.0.1:0\"\n")).await;
    let mut serving = site.serve_with(&["--log", "debug"]).await;
    reset(serving.address());
    serving.logs("the client closed the connection without a word").await;
    reset(serving.submission_of("tls"));
    serving.logs("127.0.0.1 closed the connection without a word").await;
    let (_, log) = serving.stop().await;
    assert!(
        !log.contains("does not trust the certificate") && !log.contains("the connection failed"),
        "{log}"
    );
}

/// The same as [`from`], with the field about TLS.
fn from_by_tls(client: [u8; 4], tls: bool) -> Vec<u8> {
    let field = [0x20, 0, 5, u8::from(tls), 0, 0, 0, 0];
    binary(0x21, 0x11, &[&client[..], &[192, 0, 2, 1, 0xdc, 4, 0, 25], &field].concat())
}

#[tokio::test]
async fn security_row_43_cleartext_up_to_a_balancer_is_cleartext_on_the_network() {
    let listeners = listener("imap", "none", BELIEVED) + &listener("submission", "none", BELIEVED);
    let site = site(&listeners).await;
    let settings = site.authorize(ALICE).await;
    let ran = site
        .run(&["passwords", "create", ALICE, "--name", "sender", "--protocols", "submission", "--json"])
        .await;
    let only_sends = ran.json()["password"].as_str().unwrap().to_owned();
    let checked = site.run(&["config", "check"]).await;
    assert!(
        checked.code == 0 && checked.err.contains("listeners.0.security: \"none\" behind a load balancer"),
        "{checked:?}"
    );
    let mut serving = site.serve().await;
    // At IMAP the connection ends before a password is sent.
    let mut client = behind(serving.address(), &from_by_tls([192, 0, 2, 7], false)).await;
    let said = client.rest().await;
    assert!(said.starts_with("* BYE ") && said.lines().count() == 1, "{said}");
    serving.logs("192.0.2.7 is closed: it came to the load balancer without TLS").await;
    logged_in(&serving, &from_by_tls([192, 0, 2, 7], true), &settings).await;
    logged_in(&serving, &from_by_tls([127, 0, 0, 9], false), &settings).await;

    let everything = settings["password"].as_str().unwrap();
    for (header, password, code) in [
        (from_by_tls([192, 0, 2, 7], false), everything, "535"),
        (from_by_tls([192, 0, 2, 7], false), &only_sends, "235"),
        (from_by_tls([192, 0, 2, 7], true), everything, "235"),
        (line("192.0.2.7"), everything, "535"),
        (line("192.0.2.7"), &only_sends, "235"),
        (line("127.0.0.9"), everything, "235"),
    ] {
        let mut client = behind(serving.submission_of("none"), &header).await;
        client.line().await;
        let plain = STANDARD.encode(format!("\0{ALICE}\0{password}"));
        client.send(format!("AUTH PLAIN {plain}\r\n")).await;
        let reply = client.line().await;
        assert_eq!(reply[..3], *code, "{}: {reply}", header.escape_ascii());
    }

    site.configure(&listeners.replace(BELIEVED, &format!("{BELIEVED}acknowledge_cleartext = true\n")));
    assert!(!site.run(&["config", "check"]).await.err.contains("behind a load balancer"));
    assert_eq!(site.run(&["reload"]).await.code, 0);
    let mut client = behind(serving.submission_of("none"), &line("192.0.2.7")).await;
    client.line().await;
    let plain = STANDARD.encode(format!("\0{ALICE}\0{everything}"));
    client.send(format!("AUTH PLAIN {plain}\r\n")).await;
    assert_eq!(client.line().await[..3], *"235");
}

#[tokio::test]
async fn security_row_44_a_balancer_that_passes_bytes_on_for_no_client_is_named_once() {
    let site = site(&listener("imap", "none", BELIEVED)).await;
    let mut serving = site.serve().await;
    for header in [binary(0x20, 0, &[]), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut client = behind(serving.address(), &[&header[..], b"EHLO check\r\n"].concat()).await;
        assert_eq!(client.rest().await, "");
    }
    serving.said("127.0.0.1 names no client; its connections are closed").await;
    let (_, log) = serving.stop().await;
    assert_eq!(log.matches("names no client").count(), 1, "{log}");
}

#[tokio::test]
async fn security_row_44_a_silent_balancer_is_given_five_seconds() {
    let site = site(&listener("imap", "tls", BELIEVED)).await;
    let mut serving = site.serve().await;
    let mut silent = Plain::connect(serving.address()).await;
    let mut slow = behind(serving.address(), b"PROXY TCP4 192").await;
    assert_eq!((silent.rest().await, slow.rest().await), (String::new(), String::new()));
    serving.said("stands in proxy_protocol and sent no PROXY protocol header").await;
    serving.said("the PROXY protocol header did not come whole").await;
}

#[tokio::test]
async fn security_row_44_elsewhere_a_header_is_refused_and_named() {
    let mut listeners = String::new();
    for protocol in ["imap", "pop3", "submission"] {
        for security in ["tls", "starttls", "none"] {
            listeners += &listener(protocol, security, "");
        }
    }
    let provider = Sandbox::builder().user(ALICE).user(BOB).submission().pop3();
    let site = Site::with_config(provider, &listeners).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let addresses: Vec<SocketAddr> = serving.ready["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|listener| listener["address"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(addresses.len(), 9);
    let named = "this is a PROXY protocol header from 127.0.0.3; set proxy_protocol to that address, or switch it off \
                 in the balancer";
    for address in addresses {
        for header in [line("192.0.2.7"), from([192, 0, 2, 7]), binary(0x20, 0, &[])] {
            let mut forger = Plain::connect_from("127.0.0.3", address).await;
            forger.send(&[&header[..], b"a1 ", login(&settings).as_bytes(), b"\r\n"].concat()).await;
            let said = within("the end", forger.rest()).await;
            assert!(said.lines().count() <= 1, "a greeting at most: {said:?}");
            serving.logs(named).await;
        }
    }
    // Within TLS, from a balancer that ends no TLS and speaks it itself.
    let (submission, pop3) = (serving.submission_of("tls"), serving.pop3_of("tls"));
    let (within_tls, tls) = (named.replace("127.0.0.3", "127.0.0.1"), tls_config(&serving.ca_file()));
    for header in [line("192.0.2.7"), from([192, 0, 2, 7])] {
        let mut client = Client::connect(submission, &tls).await;
        client.write(&[&header[..], b"AUTH PLAIN AGFsaWNlAHB3\r\n"].concat()).await;
        assert_eq!(client.rest().await, b"");
        serving.logs(&within_tls).await;
        let mut client = common::pop3::Client::connect(pop3, &tls).await;
        client.write(&[&header[..], b"USER alice\r\n"].concat()).await;
        assert_eq!(client.rest().await, b"");
        serving.logs(&within_tls).await;
    }
    let (_, log) = serving.stop().await;
    assert_eq!(log.matches(named).count(), 27, "one line each");
    assert_eq!(log.matches(&within_tls).count(), 4, "one line each");
    assert!(!log.contains("login result"), "{log}");
}

#[tokio::test]
async fn security_row_44_a_header_from_an_address_that_is_not_configured_is_a_lie() {
    let site = site(&listener("imap", "none", BELIEVED)).await;
    let mut serving = site.serve().await;
    let mut forger = Plain::connect_from("127.0.0.3", serving.address()).await;
    assert!(forger.line().await.starts_with("* OK "), "no header is due there");
    forger.send(line("192.0.2.7")).await;
    assert_eq!(forger.rest().await, "");
    serving.logs("this is a PROXY protocol header from 127.0.0.3").await;
}

#[tokio::test]
async fn security_row_44_a_device_is_where_the_header_says() {
    let device = "[[listeners.devices]]\nfrom = \"192.168.7.21/32\"\naccount = \"alice@example.com\"\n";
    let site = site(&(listener("submission", "none", BELIEVED) + device)).await;
    site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    for (header, code) in [(line("192.168.7.22"), "530"), (from([192, 168, 7, 21]), "250")] {
        let mut client = behind(serving.address(), &header).await;
        assert!(client.line().await.starts_with("220 "));
        client.send(format!("MAIL FROM:<{ALICE}>\r\n")).await;
        assert_eq!(client.line().await[..3], *code);
    }
    serving
        .logs("login result=ok protocol=submission account=alice@example.com from=192.168.7.21 password=-")
        .await;
    // The device's own address sends no header, and the load balancer's address is not a device.
    let mut direct = Plain::connect_from("127.0.0.4", serving.address()).await;
    direct.line().await;
    direct.send(format!("MAIL FROM:<{ALICE}>\r\n")).await;
    assert_eq!(direct.line().await[..3], *"530");
}

#[tokio::test]
async fn security_row_48_a_reload_applies_who_is_believed() {
    let plain = listener("imap", "none", "");
    let site = site(&plain).await;
    let serving = site.serve().await;
    let mut before = Plain::connect(serving.address()).await;
    assert!(before.line().await.starts_with("* OK "));
    site.configure(&(plain.clone() + BELIEVED));
    let ran = site.run(&["reload"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut client = behind(serving.address(), &line("192.0.2.7")).await;
    assert!(client.line().await.starts_with("* OK "));
    assert!(before.command("NOOP").await.is_ok(), "a connection keeps what it began with");
    site.configure(&plain);
    assert_eq!(site.run(&["reload"]).await.code, 0);
    let mut client = Plain::connect(serving.address()).await;
    assert!(client.line().await.starts_with("* OK "));
}
