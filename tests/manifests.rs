//! The configurations in packaging/compose and packaging/kubernetes, checked by `config check`, and what the files around
//! them have to agree with. scripts/test checks the form of those files.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{Ran, Site, set_mode};

const COMPOSE: &str = include_str!("../packaging/compose.yaml");
const COMPOSE_CONFIG: &str = include_str!("../packaging/compose/config.toml");
const HAPROXY: &str = include_str!("../packaging/compose/haproxy.cfg");
const CONFIG_MAP: &str = include_str!("../packaging/kubernetes/config.yaml");
const DEPLOYMENT: &str = include_str!("../packaging/kubernetes/deployment.yaml");
const SECRETS: &str = include_str!("../packaging/kubernetes/secret.yaml");
const DOCKERFILE: &str = include_str!("../Dockerfile");

/// The text of a block scalar (`key: |`), without its indentation.
fn block(yaml: &str, key: &str) -> String {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != format!("{key}: |"));
    let head = lines.next().unwrap_or_else(|| panic!("no block {key}"));
    let indent = head.len() - head.trim_start().len() + 2;
    let inside = |line: &&str| line.trim().is_empty() || line.len() - line.trim_start().len() >= indent;
    lines.take_while(inside).map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect()
}

/// The value of the only line `key: value`.
fn value<'a>(yaml: &'a str, key: &str) -> &'a str {
    let found: Vec<&str> =
        yaml.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": ")).collect();
    assert_eq!(found.len(), 1, "{key}: {found:?}");
    found[0].trim_matches('"')
}

fn number(yaml: &str, key: &str) -> u64 {
    value(yaml, key).trim_end_matches('s').parse().unwrap()
}

/// Checks a configuration whose files lie in the site's home and whose ports are free ones.
async fn check(text: &str, key: &str) -> Ran {
    let site = Site::new().await;
    let home = site.home.path().to_str().unwrap().to_owned();
    let mut text = text.replace("/run/secrets", &home).replace("/var/lib/imap-oauth-proxy", &home);
    for port in ["1993", "1465", "9993", "8993"] {
        text = text.replace(&format!(":{port}\""), ":0\"");
    }
    let signed = rcgen::generate_simple_self_signed(["mail.corp.example".to_owned()]).unwrap();
    let (certificate, certificate_key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    // As either kind of manifest names them.
    for directory in ["", "tls", "mail-proxy"] {
        std::fs::create_dir_all(site.home.path().join(directory)).unwrap();
    }
    for (name, contents) in [
        ("certificate", certificate.as_str()),
        ("certificate-key", &certificate_key),
        ("tls/tls.crt", &certificate),
        ("tls/tls.key", &certificate_key),
        ("master-key", key),
        ("mail-proxy/master.key", key),
        ("database-password", "swordfish"),
        ("mail-proxy/database-password", "swordfish"),
        ("client-secret", "swordfish"),
        ("mail-proxy/client-secret", "swordfish"),
    ] {
        let path = site.home.path().join(name);
        std::fs::write(&path, contents).unwrap();
        set_mode(&path, 0o600);
    }
    std::fs::create_dir_all(site.home.path().join("state")).unwrap();
    std::fs::write(&site.config, text).unwrap();
    site.run(&["config", "check"]).await
}

/// 32 bytes, as `openssl rand -base64 32` prints them.
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";

/// The id of no registration, for a person to replace.
const PLACEHOLDER: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test]
async fn the_configurations_are_right_but_for_the_registration() {
    for text in [COMPOSE_CONFIG.to_owned(), block(CONFIG_MAP, "config.toml")] {
        let ran = check(&text, KEY).await;
        assert_eq!((ran.code, ran.err.matches("error: ").count()), (1, 1), "{ran:?}");
        assert!(
            ran.err.contains("microsoft365.client_id") && ran.err.contains("is a placeholder"),
            "{ran:?}"
        );

        let ran = check(&text.replace(PLACEHOLDER, "4b3ffd26-7b6c-4e3f-9c59-8b2a4a6f1c11"), KEY).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.err.contains("Providers with a client: microsoft365"), "{ran:?}");
        assert!(!ran.err.contains("warning"), "{ran:?}");
    }
}

#[tokio::test]
async fn a_misspelt_key_in_them_would_be_found() {
    for text in [COMPOSE_CONFIG.to_owned(), block(CONFIG_MAP, "config.toml")] {
        let ran = check(&text.replace("password_file", "pasword_file"), KEY).await;
        assert!(ran.code == 2 && ran.err.contains("password_file"), "{ran:?}");
    }
}

/// So that no installation runs with a key that everybody can read in this repository.
#[tokio::test]
async fn the_values_of_the_secret_are_no_key() {
    let key = value(SECRETS, "master.key");
    let ran = check(&block(CONFIG_MAP, "config.toml"), key).await;
    assert!(ran.code == 1 && ran.err.contains("store.key_file"), "{ran:?}");
}

#[test]
fn the_paths_and_the_user_are_those_of_the_image() {
    let config = block(CONFIG_MAP, "config.toml");
    let user = DOCKERFILE.lines().find_map(|line| line.strip_prefix("USER 65532:")).unwrap();
    assert_eq!(value(DEPLOYMENT, "runAsUser"), user);
    assert_eq!(value(DEPLOYMENT, "fsGroup"), user);
    assert!(COMPOSE.contains(&format!("user: \"{user}:{user}\"")));
    let volume = DOCKERFILE.lines().find_map(|line| line.strip_prefix("VOLUME ")).unwrap();
    assert!(COMPOSE.contains(&format!("- {volume}:uid={user}")) && COMPOSE_CONFIG.contains(volume));
    assert!(DEPLOYMENT.contains(&format!("mountPath: {volume}\n")) && config.contains(&format!("{volume}/")));
}

#[test]
fn the_time_to_end_is_as_long_as_a_drain() {
    let drain = |config: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix("drain_seconds = "));
        line.map_or(25, |seconds| seconds.parse::<u64>().unwrap())
    };
    let kubernetes = drain(&block(CONFIG_MAP, "config.toml"));
    let pause = number(DEPLOYMENT, "seconds");
    assert!(number(DEPLOYMENT, "terminationGracePeriodSeconds") >= pause + kubernetes + 35);
    let graces = COMPOSE.lines().filter_map(|line| line.trim().strip_prefix("stop_grace_period: "));
    for grace in graces {
        assert!(grace.trim_end_matches('s').parse::<u64>().unwrap() >= drain(COMPOSE_CONFIG) + 35);
    }
}

#[test]
fn the_balancer_of_the_compose_file_is_the_one_that_is_believed() {
    let address = value(COMPOSE, "ipv4_address");
    assert_eq!(COMPOSE_CONFIG.matches(&format!("proxy_protocol = [\"{address}/32\"]")).count(), 2);
    // The health check comes from the same address, and has no header.
    assert!(HAPROXY.contains("send-proxy-v2") && HAPROXY.contains("GET /readyz"));
    for (name, text) in [("haproxy.cfg", HAPROXY), ("config.toml", COMPOSE_CONFIG)] {
        for port in ["1993", "1465", "9993"] {
            assert!(text.contains(port), "{name}: {port}");
        }
    }
}

#[test]
fn every_secret_of_the_configurations_is_mounted() {
    for path in COMPOSE_CONFIG.split('"').filter_map(|word| word.strip_prefix("/run/secrets/")) {
        assert!(COMPOSE.contains(&format!("  {path}:\n    file: ")), "{path}");
    }
    let config = block(CONFIG_MAP, "config.toml");
    for path in config.split('"').filter_map(|word| word.strip_prefix("/run/secrets/")) {
        let (volume, name) = path.split_once('/').unwrap();
        assert!(DEPLOYMENT.contains(&format!("mountPath: /run/secrets/{volume}\n")), "{path}");
        assert!(SECRETS.contains(&format!("  {name}: ")), "{path}");
    }
}
