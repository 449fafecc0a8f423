use super::*;
use std::collections::BTreeMap;

fn metrics() -> Metrics {
    let metrics = Metrics::new("0.1.0", None);
    metrics.know_providers(["acme"].into_iter());
    metrics
}

fn snapshot() -> Snapshot {
    Snapshot {
        providers: vec!["acme".to_owned()],
        grant_states: vec!["ok", "retrying"],
        store: Some(Duration::from_millis(2)),
        ..Snapshot::default()
    }
}

/// The value of a series.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn every_series_with_closed_labels_is_there_at_zero_from_the_start() {
    let text = metrics().text(&snapshot());
    for series in [
        "sessions{protocol=\"submission\",provider=\"acme\"}",
        "logins_total{protocol=\"imap\",provider=\"acme\",outcome=\"refused\"}",
        "logins_total{protocol=\"imap\",provider=\"-\",outcome=\"refused\"}",
        "login_duration_seconds_count{protocol=\"imap\"}",
        "preauth_aborts_total{protocol=\"imap\",reason=\"tls\"}",
        "connections_rejected_total{protocol=\"submission\",reason=\"full\"}",
        "token_refreshes_total{provider=\"acme\",outcome=\"failed\"}",
        "token_refresh_duration_seconds_count",
        "grants{provider=\"acme\",state=\"retrying\"}",
        "relay_bytes_total{protocol=\"imap\",direction=\"down\"}",
        "upstream_refusals_total{protocol=\"submission\",provider=\"acme\",code=\"5.2.252\"}",
        "gate_wait_seconds_count",
        "gate_rejected_total{protocol=\"imap\"}",
        "config_reload_total{result=\"failed\"}",
        "event_deliveries_total{result=\"ok\"}",
    ] {
        assert_eq!(value(&text, &format!("imap_oauth_proxy_{series}")), Some(0.0), "{series}\n{text}");
    }
    assert_eq!(
        value(&text, "imap_oauth_proxy_build_info{version=\"0.1.0\",revision=\"unknown\"}"),
        Some(1.0)
    );
    assert!(!text.contains("_end_timestamp_seconds "), "a time that is not known is absent: {text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_counted_and_what_is_looked_up_is_shown() {
    let metrics = metrics();
    metrics.login(Door::Imap, Some("acme"), Outcome::Ok, Duration::from_millis(80));
    metrics.login(Door::Imap, None, Outcome::Refused, Duration::from_millis(500));
    metrics.gate(Door::Imap, Duration::from_secs(15), false);
    let mut now = Snapshot {
        sessions: BTreeMap::from([((Door::Imap, "acme".to_owned()), 3)]),
        moved: BTreeMap::from([(Door::Imap, (7, 9))]),
        grants: BTreeMap::from([(("acme".to_owned(), "ok"), 2)]),
        next_grant_end: Some(1_700_000_000),
        certificates: vec![("127.0.0.1:1993".to_owned(), 1_800_000_000)],
        restarts: vec![("events".to_owned(), 1)],
        accounts: vec![AccountTraffic { account: "a@b".to_owned(), door: Door::Imap, sessions: 3 }],
        ..snapshot()
    };
    let text = metrics.text(&now);
    for (series, expected) in [
        ("sessions{protocol=\"imap\",provider=\"acme\"}", 3.0),
        ("account_sessions{protocol=\"imap\",account=\"a@b\"}", 3.0),
        ("logins_total{protocol=\"imap\",provider=\"acme\",outcome=\"ok\"}", 1.0),
        ("logins_total{protocol=\"imap\",provider=\"-\",outcome=\"refused\"}", 1.0),
        ("login_duration_seconds_count{protocol=\"imap\"}", 1.0),
        ("gate_rejected_total{protocol=\"imap\"}", 1.0),
        ("relay_bytes_total{protocol=\"imap\",direction=\"up\"}", 7.0),
        ("grants{provider=\"acme\",state=\"ok\"}", 2.0),
        ("next_grant_end_timestamp_seconds", 1_700_000_000.0),
        ("certificate_expiry_timestamp_seconds{listener=\"127.0.0.1:1993\"}", 1_800_000_000.0),
        ("store_up", 1.0),
        ("store_latency_seconds", 0.002),
        ("task_restarts_total{task=\"events\"}", 1.0),
    ] {
        assert_eq!(value(&text, &format!("imap_oauth_proxy_{series}")), Some(expected), "{series}\n{text}");
    }
    now = Snapshot { store: None, ..snapshot() };
    let text = metrics.text(&now);
    assert_eq!(value(&text, "imap_oauth_proxy_sessions{protocol=\"imap\",provider=\"acme\"}"), Some(0.0));
    assert_eq!(value(&text, "imap_oauth_proxy_store_up"), Some(0.0));
    assert_eq!(
        value(&text, "imap_oauth_proxy_relay_bytes_total{protocol=\"imap\",direction=\"up\"}"),
        Some(7.0)
    );
    assert!(!text.contains("a@b") && !text.contains("next_grant_end_timestamp_seconds "), "{text}");
}

/// The first cells of the table after `mark` in docs/operations.md.
fn told(mark: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/operations.md");
    let (_, rest) = page.split_once(&format!("<!-- {mark} -->")).unwrap();
    let (table, _) = rest.split_once("<!--").unwrap();
    let cell = |line: &'static str| line.strip_prefix("| `")?.split_once("` | ").map(|(word, _)| word);
    table
        .lines()
        .filter_map(cell)
        .filter(|word| !word.starts_with("reason") && !word.starts_with("code"))
        .collect()
}

#[test]
fn the_page_for_operators_tells_each_word_of_the_closed_lists_and_no_other() {
    assert_eq!(told("aborts"), Abort::ALL.iter().map(|word| word.word()).collect::<Vec<_>>());
    assert_eq!(told("rejections"), Rejection::ALL.iter().map(|word| word.word()).collect::<Vec<_>>());
    assert_eq!(told("codes"), Code::ALL.iter().map(|word| word.word()).collect::<Vec<_>>());
}

#[test]
fn each_code_of_a_reply_that_the_tables_know_is_a_word() {
    let tables = include_str!("../../config/errors.toml");
    let (_, replies) = tables.split_once("\n[[reply]]").unwrap();
    let codes =
        replies.lines().filter_map(|line| line.strip_prefix("codes = [")).flat_map(|line| line.split('"'));
    let codes: Vec<&str> = codes.filter(|code| code.contains('.')).collect();
    let unknown: Vec<&&str> = codes.iter().filter(|code| Code::of_reply(code).word() != **code).collect();
    assert!(unknown.is_empty() && codes.len() > 4, "not in the list of codes: {unknown:?} of {codes:?}");
}

#[test]
fn the_dashboard_and_the_alerts_name_only_what_there_is() {
    let mut now = snapshot();
    (now.next_grant_end, now.next_secret_end) = (Some(1), Some(1));
    now.certificates = vec![("x".to_owned(), 1)];
    now.restarts = vec![("x".to_owned(), 0)];
    let text = metrics().text(&now);
    let page = include_str!("../../docs/operations.md");
    for file in [
        include_str!("../../config/grafana/imap-oauth-proxy.json"),
        include_str!("../../config/prometheus/alerts.yml"),
    ] {
        let names = file.split("imap_oauth_proxy_").skip(1);
        for name in
            names.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next())
        {
            assert!(text.contains(&format!("\nimap_oauth_proxy_{name}")), "{name} is not shown");
            let base = name.trim_end_matches("_bucket");
            assert!(page.contains(&format!("`{base}`")), "{base} is not told");
        }
    }
}
