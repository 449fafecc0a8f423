//! Installations on either store, their logins, and what these cost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::Sandbox;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::task::JoinSet;

use super::accounts;
use super::common::{Site, set_mode};
use super::measure::{Tree, median};
use super::peers::{self, Peer};
use super::postgres_server::Server;

/// The people that log in, in turn.
pub const PEOPLE: usize = 8;
/// How many instances share a database.
pub const INSTANCES: [usize; 3] = [1, 2, 4];
/// Last logins are written within a second; their cost belongs to the logins.
pub const NOTED: Duration = Duration::from_millis(1200);

/// Counts statements by what they are for.
const STATEMENTS: &str = "SELECT CASE WHEN query LIKE 'SELECT %FROM login_names n JOIN%' THEN 'read' \
    WHEN query LIKE 'UPDATE accounts SET last_login_at%' OR query LIKE 'UPDATE passwords SET last_used_at%' THEN 'note' \
    WHEN query LIKE 'SELECT pg_is_in_recovery%' THEN 'asked' ELSE 'other' END, sum(calls)::float8 \
    FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
    WHERE d.datname = $1 GROUP BY 1";

/// The database of an installation, and the process of its server.
pub struct Database<'a> {
    server: &'a Server,
    name: String,
    tree: Tree,
}

/// One store with its instances.
pub struct Fleet<'a> {
    pub name: &'static str,
    pub accounts: u64,
    pub site: Site,
    pub database: Option<Database<'a>>,
    pub instances: Vec<Arc<Peer>>,
    pub people: Arc<Vec<(String, String)>>,
}

/// CPU in ms a login, of all instances and of the database; the median of LOGIN to OK in ms; logins a second.
#[derive(Clone, Copy)]
pub struct Cost {
    pub cpu: f64,
    pub database: f64,
    pub took: f64,
    pub a_second: f64,
}

/// Restarts the server so that it counts statements; its process.
pub async fn count_statements(server: &Server) -> Tree {
    let url = server.url("postgres");
    server.run(&url, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'").await;
    server.crash();
    server.start_again();
    server.run(&url, "CREATE EXTENSION pg_stat_statements").await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let sql = "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int";
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    Tree(row.get::<i32, _>(0).cast_unsigned())
}

impl<'a> Fleet<'a> {
    pub async fn on_sqlite(accounts: u64) -> Self {
        let (site, people) = authorized("").await;
        if accounts > PEOPLE as u64 {
            accounts::fill(&site, accounts).await;
        }
        let instances = vec![Arc::new(peers::proxy(&site, "").await)];
        Self { name: "SQLite", accounts, site, database: None, instances, people }
    }

    pub async fn on_postgres(server: &'a Server, tree: Tree, accounts: u64) -> Self {
        let url = server.database().await;
        let (site, people) =
            authorized(&format!("[store]\nurl = \"{url}\"\nkey_file = \"shared.key\"\n")).await;
        if accounts > PEOPLE as u64 {
            // Triggers would count each row as a change of its own.
            let sql = accounts::FILL
                .replace("COUNT", &accounts.to_string())
                .replace("unixepoch()", "extract(epoch FROM now())::bigint")
                .replace("x'00'", "'\\x00'::bytea");
            let sql = format!("SET session_replication_role = replica; {sql}");
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        server.run(&url, "VACUUM ANALYZE").await;
        let mut instances = Vec::new();
        for number in 0..*INSTANCES.last().unwrap() {
            let config = site.home.path().join(format!("instance{number}.toml"));
            let text = std::fs::read_to_string(&site.config).unwrap();
            let text = text.replace("\"state\"", &format!("\"state{number}\""));
            std::fs::write(&config, text).unwrap();
            set_mode(&config, 0o600);
            instances.push(Arc::new(peers::instance(&config, "").await));
        }
        let name = url.rsplit('/').next().unwrap().to_owned();
        let database = Some(Database { server, name, tree });
        Self { name: "PostgreSQL", accounts, site, database, instances, people }
    }

    /// Waits until the instances have read all accounts, which each does after its start. Then runs the maintenance
    /// that the server would do by itself within minutes.
    pub async fn tidy(&self) {
        let Some(database) = &self.database else { return };
        accounts::settled(database.tree).await;
        database.server.run(&database.server.url(&database.name), "VACUUM ANALYZE").await;
    }

    pub fn database(&self) -> Option<Tree> {
        self.database.as_ref().map(|database| database.tree)
    }

    /// Logs in `count` times, `at_once` at a time, at the first `among` instances in turn.
    pub async fn log_in(&self, among: usize, count: usize, at_once: usize) -> Cost {
        let trees: Vec<Tree> = self.instances[..among].iter().map(|peer| peer.tree()).collect();
        let before: Vec<_> = trees.iter().map(|tree| tree.threads()).collect();
        let database = self.database().map(|tree| (tree, tree.threads()));
        let (each, start) = (count / at_once, Instant::now());
        let mut running = JoinSet::new();
        for worker in 0..at_once {
            let (peer, people) = (self.instances[worker % among].clone(), self.people.clone());
            running.spawn(async move {
                let mut took = Vec::with_capacity(each);
                for turn in 0..each {
                    let (user, password) = &people[(worker + turn) % PEOPLE];
                    took.push(log_in(&peer, user, password).await);
                }
                took
            });
        }
        let took: Vec<f64> = running.join_all().await.into_iter().flatten().collect();
        let (seconds, done) = (start.elapsed().as_secs_f64(), took.len() as f64);
        tokio::time::sleep(NOTED).await;
        let spent: f64 = trees.iter().zip(&before).map(|(tree, before)| tree.since(before)).sum();
        let in_database = database.map_or(0.0, |(tree, before)| tree.since(&before));
        Cost {
            cpu: spent * 1e3 / done,
            database: in_database * 1e3 / done,
            took: median(&took),
            a_second: done / seconds,
        }
    }

    /// The statements so far, by what they are for.
    pub async fn statements(&self) -> HashMap<String, f64> {
        let Some(database) = &self.database else { return HashMap::new() };
        let mut connection = PgConnection::connect(&database.server.url("postgres")).await.unwrap();
        let rows = sqlx::query(STATEMENTS).bind(&database.name).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub async fn statements_since(&self, before: &HashMap<String, f64>) -> [f64; 4] {
        let now = self.statements().await;
        let of = |counts: &HashMap<String, f64>, kind| counts.get(kind).copied().unwrap_or(0.0);
        ["read", "note", "asked", "other"].map(|kind| of(&now, kind) - of(before, kind))
    }
}

/// An installation whose people have authorised their accounts; their names and app passwords.
async fn authorized(more: &str) -> (Site, Arc<Vec<(String, String)>>) {
    let names: Vec<String> = (0..PEOPLE).map(|number| format!("person{number}@example.com")).collect();
    let builder = names.iter().fold(Sandbox::builder().submission().pop3(), |made, name| made.user(name));
    let site = Site::with_config(builder, more).await;
    let mut people = Vec::new();
    for name in names {
        let settings = site.authorize(&name).await;
        people.push((name, settings["password"].as_str().unwrap().to_owned()));
    }
    (site, Arc::new(people))
}

/// Milliseconds from LOGIN to OK.
async fn log_in(peer: &Peer, user: &str, password: &str) -> f64 {
    let mut client = peer.connect().await;
    let start = Instant::now();
    let answer = client.login(user, password).await;
    assert!(answer.last().is_some_and(|line| line.contains(" OK ")), "{answer:?}");
    start.elapsed().as_secs_f64() * 1e3
}
