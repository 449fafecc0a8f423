use time::macros::datetime;

use super::*;
use crate::shutdown;
use crate::store::{Authorization, Grant, Granted, Id, Right, Sqlite};

const CONFIG: &str = "\
    state_directory = \"state\"\n\
    [providers.gmail]\n\
    client_id = \"id\"\n\
    client_secret = \"secret\"\n\
    client_secret_expires = \"2200-01-31\"\n";

async fn add(store: &dyn Store, account: &str, state: GrantState, ends: Option<OffsetDateTime>) {
    let now = OffsetDateTime::now_utc();
    let right = Right::Person { refresh_token: vec![1] };
    let mut grant = Grant::new(Id::random(), "gmail", account, right, now);
    grant.state = state;
    grant.refresh_expires_at = ends;
    let authorization = Authorization {
        account: account.to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(grant)),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    store.authorize(&authorization, &[]).await.unwrap();
}

#[tokio::test]
async fn grants_are_counted_by_state_and_the_next_end_is_that_of_one_that_works() {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap());
    let end = OffsetDateTime::now_utc().saturating_add(time::Duration::days(3));
    add(&*store, "a@gmail.com", GrantState::Ok, Some(end)).await;
    add(&*store, "b@gmail.com", GrantState::Ok, Some(end.saturating_add(time::Duration::days(1)))).await;
    add(&*store, "c@gmail.com", GrantState::NeedsAuthorization, Some(datetime!(2001-01-01 0:00 UTC))).await;
    let (_trigger, shutdown) = shutdown::channel();
    let supervisor = Arc::new(Supervisor::new(&shutdown));
    let metrics = Arc::new(Metrics::new("0.1.0", None));
    let watcher = Watcher::new(metrics, Arc::default(), store.clone(), supervisor);
    let config = Config::parse(CONFIG, None).unwrap();
    let text = watcher.text(&config, vec![("[::]:993".to_owned(), 7)]).await;
    for line in [
        "grants{provider=\"gmail\",state=\"ok\"} 2".to_owned(),
        "grants{provider=\"gmail\",state=\"needs_authorization\"} 1".to_owned(),
        "grants{provider=\"gmail\",state=\"misconfigured\"} 0".to_owned(),
        format!("next_grant_end_timestamp_seconds {}", end.unix_timestamp()),
        "certificate_expiry_timestamp_seconds{listener=\"[::]:993\"} 7".to_owned(),
        "store_up 1".to_owned(),
        "sessions{protocol=\"imap\",provider=\"gmail\"} 0".to_owned(),
    ] {
        assert!(text.contains(&format!("\nimap_oauth_proxy_{line}\n")), "{line}: {text}");
    }
    assert!(text.contains("\nimap_oauth_proxy_next_secret_end_timestamp_seconds 72"), "{text}");
    assert!(!text.contains("gmail.com"), "{text}");

    // A recent count is still valid.
    add(&*store, "d@gmail.com", GrantState::Ok, None).await;
    let text = watcher.text(&config, Vec::new()).await;
    assert!(text.contains("\nimap_oauth_proxy_grants{provider=\"gmail\",state=\"ok\"} 2\n"), "{text}");
}
