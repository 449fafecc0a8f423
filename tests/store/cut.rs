//! The store while the way to its server is cut without a word, or is slow, or the server has no place left.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imap_oauth_proxy::store::{Postgres, PostgresSettings, Store, StoreError, fold};

use super::contract;
use super::postgres::settings;
use super::postgres_server::{Cable, Server};

/// A store at the other end of a cable, which remembers nothing.
pub(crate) struct Far {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) cable: Cable,
    /// Past the cable.
    pub(crate) direct: String,
}

impl Far {
    pub(crate) async fn from(server: &Server) -> Self {
        let direct = server.database().await;
        let cable = server.cable();
        let far = cable.url(direct.rsplit('/').next().unwrap());
        let store: Arc<dyn Store> = Arc::new(
            Postgres::open(PostgresSettings { stale: Duration::ZERO, ..settings(&far) }).await.unwrap(),
        );
        // Its connections are proven to be the server's own, as those of every serve soon are.
        while tokio::time::timeout(Duration::from_secs(2), store.news()).await.is_ok() {
            if store.hears_news() == Some(true) {
                break;
            }
        }
        Self { store, cable, direct }
    }

    /// Whether the last sign of life is younger than `seconds`.
    pub(crate) async fn is_seen_within(&self, seconds: u32) -> bool {
        let sql = format!("SELECT 1 FROM holders WHERE seen > clock_timestamp() - interval '{seconds} s'");
        Server::shared().run(&self.direct, &sql).await > 0
    }

    /// So many logins begin.
    pub(crate) fn crowd(&self, logins: usize) -> tokio::task::JoinSet<bool> {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..logins {
            let store = self.store.clone();
            crowd.spawn(async move { store.find(&fold("alice@example.com")).await.is_ok() });
        }
        crowd
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_cut_without_a_word_jams_no_connection() {
    let far = Far::from(Server::shared()).await;
    contract::with_account(&far.store, "alice@example.com").await;
    far.store.holder().await.unwrap();
    assert!(far.crowd(20).join_all().await.iter().all(|is_found| *is_found));
    // Cut in the middle of statements.
    far.cable.delay(Duration::from_millis(20));
    let crowd = far.crowd(200);
    tokio::time::sleep(Duration::from_millis(50)).await;
    far.cable.cut();
    let began = Instant::now();
    let found = crowd.join_all().await.into_iter().filter(|is_found| *is_found).count();
    assert!(found < 200, "the cut came too late to show anything");
    assert!(began.elapsed() < Duration::from_secs(15), "each login ends: {:?}", began.elapsed());
    // More come while it is cut, and the caller of each waits only so long.
    while began.elapsed() < Duration::from_secs(20) {
        let _ = tokio::time::timeout(Duration::from_millis(300), far.store.changes()).await;
    }
    far.cable.delay(Duration::ZERO);
    far.cable.heal();
    let healed = Instant::now();
    while !far.crowd(1).join_all().await[0] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(healed.elapsed() < Duration::from_secs(5), "a login after {:?}", healed.elapsed());
    while !far.is_seen_within(5).await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(healed.elapsed() < Duration::from_secs(10), "a sign of life after {:?}", healed.elapsed());
    assert!(far.crowd(200).join_all().await.iter().all(|is_found| *is_found));
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn who_waits_for_the_lock_of_those_who_seal_takes_no_connection_from_logins_and_signs_of_life() {
    let far = Far::from(Server::shared()).await;
    far.store.holder().await.unwrap();
    // Another machine rotates the keys.
    let other: Arc<dyn Store> = Arc::new(Postgres::open(settings(&far.direct)).await.unwrap());
    let rotating = other.lock_sealing().await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = far.store.clone();
        waiting.spawn(async move { drop(store.lock_sealing().await.unwrap()) });
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(16) {
        let found = tokio::time::timeout(Duration::from_secs(2), far.crowd(8).join_all()).await;
        assert!(found.expect("logins that wait for no lock").iter().all(|is_found| *is_found));
        assert!(far.is_seen_within(10).await, "no sign of life after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(waiting.len(), 8, "each of them waits");
    drop(rotating);
    let all = tokio::time::timeout(Duration::from_secs(20), waiting.join_all()).await;
    all.expect("each has the lock in its turn");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_machine_that_vanished_with_the_lock_of_those_who_seal_keeps_it_for_a_minute() {
    let far = Far::from(Server::shared()).await;
    let _lock = far.store.lock_sealing().await.unwrap();
    far.cable.cut();
    let other: Arc<dyn Store> = Arc::new(Postgres::open(settings(&far.direct)).await.unwrap());
    let began = Instant::now();
    let taken = tokio::time::timeout(Duration::from_secs(90), other.lock_sealing()).await;
    assert!(taken.expect("the lock").is_ok());
    assert!(began.elapsed() > Duration::from_secs(30), "one that is slow keeps it: {:?}", began.elapsed());
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn two_hundred_logins_over_a_slow_way_delay_no_sign_of_life() {
    let far = Far::from(Server::shared()).await;
    far.store.holder().await.unwrap();
    assert!(far.crowd(50).join_all().await.iter().all(|is_found| *is_found));
    far.cable.delay(Duration::from_secs(1));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(25) {
        // Most of them give up after five seconds.
        far.crowd(200).join_all().await;
        assert!(far.is_seen_within(15).await, "no sign of life after {:?}", began.elapsed());
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_slow_database_is_not_away() {
    let far = Far::from(Server::shared()).await;
    for _ in 0..2 {
        assert!(far.crowd(20).join_all().await.iter().all(|is_found| *is_found));
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    // Its connections are used, and new ones cannot be made in time.
    far.cable.delay(Duration::from_millis(1200));
    assert!(far.crowd(1).join_all().await[0], "over a connection that is open");
    let cut = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND query LIKE '%a_grant_id%' AND state = 'idle' \
         ORDER BY state_change LIMIT 1) AS one";
    assert_eq!(Server::shared().run(&far.direct, cut).await, 1);
    for _ in 0..3 {
        assert!(far.crowd(1).join_all().await[0], "over another one");
    }
    // More than there are connections: some have to wait too long, and the next ones do not.
    far.crowd(40).join_all().await;
    assert!(far.crowd(1).join_all().await[0], "the database is not taken to be away");
}

/// The URL of the database at `url` for a user with limits, who owns it.
async fn as_limited(url: &str) -> (String, String) {
    let name = format!("limited_{}", url.rsplit('/').next().unwrap());
    let database = url.rsplit('/').next().unwrap();
    for sql in [format!("CREATE ROLE {name} LOGIN"), format!("ALTER DATABASE {database} OWNER TO {name}")] {
        Server::shared().run(url, &sql).await;
    }
    (url.replace("postgres://proxy@", &format!("postgres://{name}@")), name)
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_server_without_a_free_place_is_not_away_while_open_connections_work() {
    let direct = Server::shared().database().await;
    let (url, role) = as_limited(&direct).await;
    let store: Arc<dyn Store> =
        Arc::new(Postgres::open(PostgresSettings { stale: Duration::ZERO, ..settings(&url) }).await.unwrap());
    let far = Far { store, cable: Server::shared().cable(), direct };
    far.store.holder().await.unwrap();
    assert!(far.crowd(3).join_all().await.iter().all(|is_found| *is_found));
    // Others have taken what is left: from now on no connection is new.
    let limit = format!("ALTER ROLE {role} CONNECTION LIMIT 1");
    Server::shared().run(&far.direct, &limit).await;
    for _ in 0..5 {
        assert!(far.crowd(200).join_all().await.iter().all(|is_found| *is_found));
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert!(far.is_seen_within(10).await);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_user_who_may_not_log_in_for_a_while_is_a_database_that_is_away() {
    let direct = Server::shared().database().await;
    let (url, role) = as_limited(&direct).await;
    let store: Arc<dyn Store> =
        Arc::new(Postgres::open(PostgresSettings { stale: Duration::ZERO, ..settings(&url) }).await.unwrap());
    let find = async || store.find(&fold("alice@example.com")).await;
    find().await.unwrap();
    Server::shared().run(&direct, &format!("ALTER ROLE {role} NOLOGIN")).await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'");
    Server::shared().run(&direct, &cut).await;
    let failed = find().await.unwrap_err();
    assert!(matches!(failed, StoreError::Away(_)), "{failed:?}");
    Server::shared().run(&direct, &format!("ALTER ROLE {role} LOGIN")).await;
    let again = async {
        while find().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("a login");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_listener_whose_connection_died_without_a_word_is_noticed_and_listens_again() {
    let far = Far::from(Server::shared()).await;
    assert_eq!(far.store.hears_news(), Some(true));
    far.cable.cut();
    far.cable.heal();
    let began = Instant::now();
    let hears = async |expected: bool| {
        while far.store.hears_news() != Some(expected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(35), hears(false)).await.expect("the end of the old one");
    tokio::time::timeout(Duration::from_secs(15), hears(true)).await.expect("a new one");
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn the_server_probes_each_connection_so_that_a_machine_that_vanished_gives_its_places_back() {
    let server = Server::start();
    let name = server.database().await.rsplit('/').next().unwrap().to_owned();
    let (address, ca) = server.with_tls("s3cret").await;
    let url = format!("postgres://proxy:s3cret@{address}/{name}?sslmode=verify-full&sslrootcert={ca}");
    let store: Arc<dyn Store> = Arc::new(Postgres::open(settings(&url)).await.unwrap());
    while store.hears_news() != Some(true) {
        let _ = tokio::time::timeout(Duration::from_millis(100), store.news()).await;
    }
    let name = fold("alice@example.com");
    let (one, two, three) = tokio::join!(store.find(&name), store.find(&name), store.find(&name));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    store.holder().await.unwrap();
    // The kernel's table: state, and the timer of each connection; 02 is keep-alive, in hundredths of a second.
    let [a, b, c, d]: [u8; 4] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let at_server = format!("{d:02X}{c:02X}{b:02X}{a:02X}:1538");
    let probed = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_server = rows.filter(|row| row[1] == at_server && row[3] == "01");
        let left = of_server
            .map(|row| row[5].split_once(':').unwrap())
            .map(|(timer, ends)| (timer.to_owned(), u64::from_str_radix(ends, 16).unwrap() / 100));
        left.collect::<Vec<_>>()
    };
    // What was made before the first notice has no such deadline, and is closed when it is used the next time.
    let settled = async {
        loop {
            let timers = probed();
            if timers.len() >= 3 && timers.iter().all(|(timer, left)| timer == "02" && *left <= 20) {
                return;
            }
            store.find(&fold("alice@example.com")).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(30), settled).await;
    assert!(settled.is_ok(), "{:?}", probed());
}
