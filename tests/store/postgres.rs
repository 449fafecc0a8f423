//! The store in PostgreSQL: the contract, and the rules of this store alone.

use std::sync::Arc;
use std::time::Duration;

use imap_oauth_proxy::store::{
    Leased, Owed, Postgres, PostgresSettings, Store, StoreError, Takeover, ToldKeys, fold,
};
use time::OffsetDateTime;

use super::postgres_server::Server;
use super::{Database, contract};

/// A database of the tests' server.
pub(crate) struct InPostgres {
    url: String,
}

pub(crate) fn settings(url: &str) -> PostgresSettings {
    PostgresSettings { url: url.to_owned(), password: None, listen_url: None, stale: Duration::from_secs(60) }
}

impl Database for InPostgres {
    async fn fresh() -> Self {
        Self { url: Server::shared().database().await }
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Postgres::open(settings(&self.url)).await.unwrap())
    }

    async fn break_trail(&self) {
        Server::shared().run(&self.url, "ALTER TABLE trail RENAME TO lost").await;
    }

    async fn kill(&self, store: Arc<dyn Store>) {
        let name = store.holder().await.unwrap();
        drop(store);
        self.silence(&name).await;
    }
}

impl InPostgres {
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on the last sign of life of the holder called `name` is half a minute old.
    async fn silence(&self, name: &str) {
        let sql =
            format!("UPDATE holders SET seen = clock_timestamp() - interval '31 s' WHERE name = '{name}'");
        Server::shared().run(&self.url, &sql).await;
    }
}

/// A database behind PgBouncer in transaction mode, which gives every transaction another connection.
pub(crate) struct InPooled {
    direct: InPostgres,
    url: String,
}

impl Database for InPooled {
    async fn fresh() -> Self {
        static POOLER: std::sync::Once = std::sync::Once::new();
        let direct = InPostgres::fresh().await;
        POOLER.call_once(|| Server::shared().add_pooler("transaction"));
        let name = direct.url.rsplit('/').next().unwrap();
        Self { url: Server::shared().pooled_url(name), direct }
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Postgres::open(settings(&self.url)).await.unwrap())
    }

    async fn break_trail(&self) {
        self.direct.break_trail().await;
    }

    async fn kill(&self, store: Arc<dyn Store>) {
        self.direct.kill(store).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn instances_that_start_at_once_make_the_tables_once() {
    let on = InPostgres::fresh().await;
    let (one, two, three) = tokio::join!(on.open(), on.open(), on.open());
    one.setting("key", b"value").await.unwrap();
    for store in [two, three] {
        assert_eq!(store.setting("key", b"other").await.unwrap(), b"value");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_lease_counts_by_the_clock_of_the_database() {
    let on = InPostgres::fresh().await;
    let (one, other) = (on.open().await, on.open().await);
    let (_, grant) = contract::with_account(&one, "alice@example.com").await;
    let (now, minute) = (OffsetDateTime::now_utc(), time::Duration::MINUTE);
    assert!(contract::takes(&one, &grant.id, now - 10 * minute, now - 9 * minute).await, "its clock is slow");
    let fast = now + 10 * minute;
    assert!(!contract::takes(&other, &grant.id, fast, fast + minute).await, "its clock is fast");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_holder_that_was_silent_too_long_loses_the_lease_and_overwrites_nothing() {
    let on = InPostgres::fresh().await;
    let (silent, other) = (on.open().await, on.open().await);
    let (_, grant) = contract::with_account(&silent, "alice@example.com").await;
    let (now, hour) = (OffsetDateTime::now_utc(), time::Duration::HOUR);
    assert!(contract::takes(&silent, &grant.id, now, now + hour).await);
    let name = silent.holder().await.unwrap();
    on.silence(&name).await;
    assert!(
        !contract::takes(&other, &grant.id, now, now + hour).await,
        "after an outage all look dead, and one may keep a token that it could not store"
    );
    let taking = async {
        while !contract::takes(&other, &grant.id, now, now + hour).await {
            // It gives signs of life again.
            on.silence(&name).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taking).await.expect("the lease of a silent holder");
    let newer = other.grant(&grant.id).await.unwrap().unwrap();
    other.update_grant(&newer).await.unwrap();
    assert!(matches!(silent.update_grant(&grant).await, Err(StoreError::Conflict)));
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_28_what_failed_is_hashes_in_the_store_and_gone_when_it_is_refilled() {
    let on = InPostgres::fresh().await;
    let store = on.open().await;
    store.tell_owed(&[Owed { tier: 1, bucket: 7, millis: 30_000 }]).await.unwrap();
    let texts = "SELECT 1 FROM information_schema.columns WHERE table_name = 'failed_logins' \
         AND data_type NOT IN ('smallint', 'bigint', 'timestamp with time zone')";
    assert_eq!(Server::shared().run(&on.url, texts).await, 0, "there is no place for a name or an address");
    store.sweep().await.unwrap();
    assert_eq!(store.look_around(0).await.unwrap().owed.len(), 1);
    let later = "UPDATE failed_logins SET full_at = full_at - interval '2 minutes'";
    assert_eq!(Server::shared().run(&on.url, later).await, 1);
    store.sweep().await.unwrap();
    assert!(store.look_around(0).await.unwrap().owed.is_empty());
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn an_instance_hears_what_another_one_tells_and_a_look_for_changes_does_not() {
    let on = InPostgres::fresh().await;
    let (one, other) = (on.open().await, on.open().await);
    // The notice of its own connection.
    while tokio::time::timeout(Duration::from_millis(500), other.told()).await.is_ok() {}
    let before = other.changes().await.unwrap();
    let (told, joined) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(5), other.told()), one.join("one"));
    assert!(told.is_ok() && joined.is_ok());
    assert_eq!(other.changes().await.unwrap(), before, "no session depends on it");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn each_living_serve_tells_its_keys_and_reads_them_again_when_it_is_asked() {
    let on = InPostgres::fresh().await;
    let (serve, other, asking) = (on.open().await, on.open().await, on.open().await);
    assert!(asking.ask_keys("first").await.unwrap().is_empty(), "a command tells none");
    let reads = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = reads.clone();
    let teller = move || {
        let read = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        ("here".to_owned(), ["1:a", "2:b"].iter().take(read + 1).map(|&key| key.to_owned()).collect())
    };
    serve.tell_keys(Arc::new(teller)).await.unwrap();
    other.tell_keys(Arc::new(|| ("there".to_owned(), vec!["1:a".to_owned()]))).await.unwrap();
    let told = asking.ask_keys("second").await.unwrap();
    let keys = |place: &str, keys: &[&str], has_looked| ToldKeys {
        place: place.to_owned(),
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        has_looked,
    };
    assert_eq!(told, [keys("here", &["1:a"], false), keys("there", &["1:a"], false)]);
    on.kill(other).await;
    let answered = async {
        while asking.ask_keys("second").await.unwrap() != [keys("here", &["1:a", "2:b"], true)] {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("the dead one does not count");
    assert_eq!(reads.load(std::sync::atomic::Ordering::SeqCst), 2, "once for each question");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn signs_of_life_go_on_while_the_keys_are_read_for_a_long_time() {
    let on = InPostgres::fresh().await;
    let (serve, asking) = (on.open().await, on.open().await);
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let slow = std::sync::Mutex::new((0, ended));
    serve
        .tell_keys(Arc::new(move || {
            let mut slow = slow.lock().unwrap();
            slow.0 += 1;
            if slow.0 > 1 {
                let _ = slow.1.recv();
            }
            ("here".to_owned(), vec![format!("{}:a", slow.0)])
        }))
        .await
        .unwrap();
    asking.ask_keys("first").await.unwrap();
    let name = serve.holder().await.unwrap();
    for _ in 0..3 {
        on.silence(&name).await;
        let beaten = async {
            while asking.ask_keys("first").await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), beaten).await.expect("a sign of life");
    }
    assert!(!asking.ask_keys("first").await.unwrap()[0].has_looked, "it still reads");
    drop(end);
    let answered = async {
        while !asking.ask_keys("first").await.unwrap()[0].has_looked {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("an answer");
    assert_eq!(asking.ask_keys("first").await.unwrap()[0].keys, ["2:a"], "it read once for the question");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_notice_tells_of_a_revocation_at_once() {
    let on = InPostgres::fresh().await;
    let (watching, writing) = (on.open().await, on.open().await);
    let (account, _) = contract::with_account(&writing, "alice@example.com").await;
    // The changes before come in one or two notices.
    while tokio::time::timeout(Duration::from_millis(500), watching.news()).await.is_ok() {}
    let before = watching.changes().await.unwrap();
    let act = contract::act("disabled");
    let (told, changed) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(5), watching.news()),
        writing.set_disabled(&account.id, true, &act)
    );
    assert!(told.is_ok() && changed.unwrap());
    assert_ne!(watching.changes().await.unwrap(), before);
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_login_does_not_notice_that_all_its_connections_were_cut() {
    let on = InPostgres::fresh().await;
    let store = on.open().await;
    let (account, _) = contract::with_account(&store, "alice@example.com").await;
    let name = fold("alice@example.com");
    let looks: Vec<_> = (0..8).map(|_| store.find(&name)).collect();
    for look in looks {
        look.await.unwrap();
    }
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()";
    Server::shared().run(&on.url, cut).await;
    // Removed meanwhile, so that the remembered record would be wrong.
    Server::shared().run(&on.url, "DELETE FROM accounts").await;
    assert!(store.find(&name).await.unwrap().is_none(), "the answer of the database counts");
    assert!(store.passwords(&account.id).await.unwrap().is_empty());
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_server_that_says_nothing_more_ends_each_call_and_is_used_again_when_it_goes_on() {
    let server = Server::start();
    let url = server.database().await;
    let store: Arc<dyn Store> = Arc::new(Postgres::open(settings(&url)).await.unwrap());
    let (account, grant) = contract::with_account(&store, "alice@example.com").await;
    // A connection that was used a moment ago is not asked first.
    let hanging = async {
        for _ in 0..2 {
            server.freeze();
            let (changes, written) = tokio::join!(store.changes(), store.update_grant(&grant));
            server.thaw();
            assert!(matches!(changes, Err(StoreError::Away(_))), "{changes:?}");
            assert!(matches!(written, Err(StoreError::Away(_))), "{written:?}");
            while store.account_row(&account.id).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(150), hanging).await.expect("an end of each call");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_a_taking_that_was_given_up_takes_no_lease_when_it_comes_late() {
    let server = Server::start();
    let url = server.database().await;
    let store: Arc<dyn Store> = Arc::new(Postgres::open(settings(&url)).await.unwrap());
    let (_, grant) = contract::with_account(&store, "alice@example.com").await;
    let (now, hour) = (OffsetDateTime::now_utc(), time::Duration::HOUR);
    // The connections know the statement, so that the whole of it is sent at once.
    for _ in 0..8 {
        assert!(contract::takes(&store, &grant.id, now, now + hour).await);
        store.release_lease(&grant.id).await.unwrap();
    }
    server.freeze();
    let asked = store.take_lease(&grant.id, now, now + hour, Takeover::AtOnce).await;
    server.thaw();
    assert!(matches!(asked, Err(StoreError::Away(_))), "{asked:?}");
    let taken = "SELECT 1 FROM grants WHERE lease_holder IS NOT NULL";
    // The server executes what lies in its sockets.
    for _ in 0..20 {
        assert_eq!(server.run(&url, taken).await, 0, "the process does not know of this lease");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_49_the_lease_of_a_silent_holder_waits_for_the_end_of_the_access_token() {
    let on = InPostgres::fresh().await;
    let (silent, other) = (on.open().await, on.open().await);
    let (_, mut grant) = contract::with_account(&silent, "alice@example.com").await;
    let (now, hour) = (OffsetDateTime::now_utc(), time::Duration::HOUR);
    grant.access_token = Some(b"sealed".to_vec());
    grant.access_expires_at = Some(now + hour);
    grant.revision = silent.update_grant(&grant).await.unwrap();
    assert!(contract::takes(&silent, &grant.id, now, now + hour).await);
    let ask = |takeover| other.take_lease(&grant.id, now, now + hour, takeover);
    assert_eq!(ask(Takeover::OnceTokenEnds).await.unwrap(), Leased::Busy);
    let name = silent.holder().await.unwrap();
    drop(silent);
    let sql = format!(
        "INSERT INTO holders (name, seen) VALUES ('{name}', clock_timestamp() - interval '31 s') \
         ON CONFLICT (name) DO UPDATE SET seen = excluded.seen"
    );
    let waiting = async {
        loop {
            Server::shared().run(&on.url, &sql).await;
            if ask(Takeover::OnceTokenEnds).await.unwrap() == Leased::Silent {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it looks dead");
    let taking = async {
        while ask(Takeover::AtOnce).await.unwrap() != Leased::Taken {
            assert_ne!(ask(Takeover::OnceTokenEnds).await.unwrap(), Leased::Taken);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), taking).await.expect("it is believed to be dead");
}
