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
