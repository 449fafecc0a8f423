//! `network.proxy`: a provider that is reachable only through a SOCKS5 or a CONNECT proxy, and one on this
//! machine, which is reached directly. Proxy and provider are real servers; no resolver knows the provider's
//! name.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, Site};
use sandbox::proxy::{Answers, ELSEWHERE, Proxy, Speaks};
use sandbox::{Sandbox, Security};
use serde_json::{Value, json};

const BOTH: [Speaks; 2] = [Speaks::Socks5, Speaks::Http];

fn network(speaks: Speaks, credentials: &str, proxy: &Proxy) -> String {
    let scheme = if speaks == Speaks::Socks5 { "socks5" } else { "http" };
    format!("[network]\nproxy = \"{scheme}://{credentials}{}\"\n", proxy.address)
}

/// A site whose mail servers and token endpoint are reachable only through the proxy in `network`.
async fn site_behind(network: &str) -> Site {
    let provider = Sandbox::builder().user(ALICE).https().submission_by(Security::StartTls);
    let site = Site::with_config(provider, network).await;
    let moved = |line: &str| match line.split_once(" = ") {
        Some(("imap" | "smtp" | "token_url", _)) => line.replace("127.0.0.1", ELSEWHERE),
        _ => line.to_owned(),
    };
    let text = std::fs::read_to_string(&site.config).unwrap();
    let text: Vec<String> = text.lines().map(moved).collect();
    std::fs::write(&site.config, text.join("\n")).unwrap();
    site
}

/// Authorises Alice through the proxy, and gives her an app password.
async fn authorize(site: &Site) -> Value {
    let token = site.sandbox.controls().grant(ALICE);
    let ran = site.run_with(&["tokens", "import", ALICE, "--provider", "sandbox"], &token).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = site.run(&["passwords", "create", ALICE, "--name", "mutt", "--json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    json!({"username": ALICE, "password": ran.json()["password"]})
}

/// The requested names, without ports, each once.
fn hosts(proxy: &Proxy) -> Vec<String> {
    let mut hosts: Vec<String> =
        proxy.asked().iter().map(|asked| asked.rsplit_once(':').unwrap().0.to_owned()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

#[tokio::test]
async fn mail_and_tokens_go_through_the_proxy_by_name() {
    for speaks in BOTH {
        let proxy = Proxy::start(speaks, Answers::To("anna", "p@ss")).await;
        let site = site_behind(&network(speaks, "anna:p%40ss@", &proxy)).await;
        let alice = authorize(&site).await;
        let serving = site.serve().await;
        serving.log_in(&alice).await;
        serving.submit_as(&alice).await;
        let ports: std::collections::BTreeSet<String> = proxy.asked().into_iter().collect();
        assert_eq!(hosts(&proxy), [ELSEWHERE], "{speaks:?}");
        assert_eq!(ports.len(), 3, "reading, sending and tokens: {ports:?}");
        let ran = site.run(&["check", ALICE]).await;
        assert!(ran.code == 0 && ran.out.contains("answers through network.proxy"), "{ran:?}");
        let (code, log) = serving.stop().await;
        assert_eq!(code, 0);
        assert!(!log.contains("p@ss") && !log.contains("p%40ss"), "{log}");
    }
}

#[tokio::test]
async fn what_is_on_this_machine_is_reached_without_the_proxy() {
    for speaks in BOTH {
        let proxy = Proxy::start(speaks, Answers::No(5)).await;
        let provider = Sandbox::builder().user(ALICE).submission();
        let site = Site::with_config(provider, &network(speaks, "", &proxy)).await;
        let alice = site.authorize(ALICE).await;
        let serving = site.serve().await;
        serving.log_in(&alice).await;
        serving.submit_as(&alice).await;
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{speaks:?}");
        serving.stop().await;
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_cure_and_without_its_password() {
    for speaks in BOTH {
        let good = Proxy::start(speaks, Answers::Well).await;
        let site = site_behind(&network(speaks, "", &good)).await;
        let alice = authorize(&site).await;
        let bad = Proxy::start(speaks, Answers::To("anna", "right")).await;
        let text = std::fs::read_to_string(&site.config).unwrap();
        let address = good.address.to_string();
        std::fs::write(&site.config, text.replace(&address, &format!("anna:canary@{}", bad.address)))
            .unwrap();
        let ran = site.run(&["check", ALICE]).await;
        let said = format!("{}{}", ran.out, ran.err);
        assert_ne!(ran.code, 0, "{said}");
        assert!(said.contains("through network.proxy"), "{said}");
        assert!(said.contains(&bad.address.to_string()), "{said}");
        assert!(said.contains("NAME:PASSWORD@"), "{said}");
        assert!(!said.contains("canary"), "{said}");
        let mut serving = site.serve().await;
        let mut client = serving.client().await;
        client.command(&common::login(&alice)).await;
        let said = serving.logs("through network.proxy").await;
        assert!(!said.contains("canary"), "{said}");
        serving.stop().await;
    }
}

#[tokio::test]
async fn a_proxy_with_a_password_makes_the_configuration_a_secret() {
    let site = Site::new().await;
    let text =
        "state_directory = \"state\"\n[network]\nproxy = \"socks5://anna:canary@proxy.example:1080\"\n";
    std::fs::write(&site.config, text).unwrap();
    common::set_mode(&site.config, 0o644);
    let ran = site.run(&["config", "check"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("network.proxy is a secret"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
