//! Strikes over instances and database, again and again, with real mail programs logged in at all of them: instances that
//! are killed, suspended, cut off without a word or far away, and a database that crashes.
//!
//! After each round of strikes every account must log in at each instance within a bound. At no time may a session be
//! another account's, a refresh token be sent twice, or a grant need a person. What a provider has rotated in an instance
//! that dies before it stored that is lost for good, and an instance that is silent for half a minute with a refresh under
//! way loses its lease; no program can help there, so such strikes wait for a moment without a lease.
//!
//! `SEED` repeats a run, `MINUTES` makes it longer and the strikes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sandbox::{Rotation, Sandbox};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Machines;
use super::chance::Chance;
use super::common::{self, Serving, client};
use super::postgres_server::{Cable, Server};

const ACCOUNTS: [&str; 4] = ["alice@example.com", "bob@example.com", "carol@example.com", "dave@example.com"];
/// Every account logs in everywhere so long after the last strike.
const HEALED: Duration = Duration::from_secs(60);
/// What one login may take before its mail program gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where an instance listens at present.
#[derive(Clone, Default)]
struct Door(Option<(SocketAddr, PathBuf)>);

/// One `serve` behind a cable of its own.
struct Instance {
    config: PathBuf,
    cable: Cable,
    door: watch::Sender<Door>,
    running: Mutex<Option<Process>>,
}

struct Process {
    pid: String,
    end: tokio::sync::oneshot::Sender<()>,
    /// Reads its log.
    reading: tokio::task::JoinHandle<Serving>,
}

struct World {
    server: Arc<Server>,
    machines: Machines,
    instances: Vec<Instance>,
    settings: Vec<Value>,
    /// What must never happen.
    wrong: Mutex<Vec<String>>,
}

impl World {
    async fn begin() -> Arc<Self> {
        let server = Arc::new(Server::start());
        let url = server.database().await;
        let provider = ACCOUNTS.iter().fold(Sandbox::builder().empty_mailboxes(), |by, name| by.user(name));
        let machines = Machines::by(provider, url.clone(), "").await;
        let controls = machines.site.sandbox.controls();
        controls.oauth(|switches| {
            switches.rotation = Rotation::Strict;
            // Used up to five seconds before its end, so each account needs another one every two seconds.
            switches.access_token_life = Duration::from_secs(7);
        });
        let mut settings = Vec::new();
        for name in ACCOUNTS {
            controls.deliver(
                name,
                "INBOX",
                format!("Subject: {name}\r\n\r\nthe mail of {name}\r\n").as_bytes(),
            );
            settings.push(machines.site.authorize(name).await);
        }
        let text = std::fs::read_to_string(&machines.site.config).unwrap();
        let instances = (0..3).map(|number| {
            let cable = server.cable();
            let far = cable.url(url.rsplit('/').next().unwrap());
            let config = machines.site.home.path().join(format!("far{number}.toml"));
            let text = text.replace(&url, &far).replace("\"state\"", &format!("\"far{number}\""));
            std::fs::write(&config, text).unwrap();
            common::set_mode(&config, 0o600);
            Instance { config, cable, door: watch::Sender::default(), running: Mutex::default() }
        });
        let instances = instances.collect();
        let world = Arc::new(Self { server, machines, instances, settings, wrong: Mutex::default() });
        for number in 0..world.instances.len() {
            world.start(number).await;
        }
        world
    }

    /// Starts an instance, whose database may just be away.
    async fn start(self: &Arc<Self>, number: usize) {
        let began = Instant::now();
        let serving = loop {
            let world = self.clone();
            let starting =
                tokio::spawn(
                    async move { world.machines.site.serve_at(&world.instances[number].config).await },
                );
            match starting.await {
                Ok(serving) => break serving,
                Err(why) => assert!(began.elapsed() < HEALED, "instance {number} does not start: {why}"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let pid = serving.child.id().unwrap().to_string();
        let door = Door(Some((serving.address(), serving.ca_file())));
        let (end, ended) = tokio::sync::oneshot::channel();
        let reading = tokio::spawn(async move {
            let mut serving = serving;
            let _ = serving.meanwhile(ended).await;
            serving
        });
        *self.instances[number].running.lock().unwrap() = Some(Process { pid, end, reading });
        self.instances[number].door.send_replace(door);
    }

    fn pid(&self, number: usize) -> String {
        self.instances[number].running.lock().unwrap().as_ref().unwrap().pid.clone()
    }

    fn signal(&self, number: usize, name: &str) {
        let sent = std::process::Command::new("kill").args([name, &self.pid(number)]).status().unwrap();
        assert!(sent.success(), "instance {number} has ended by itself");
    }

    /// Suspends an instance in a moment in which it has no lease; false if there is none.
    async fn suspend_without_a_lease(&self, number: usize) -> bool {
        let sql = format!(
            "SELECT 1 FROM grants g JOIN instances i ON i.holder = g.lease_holder WHERE i.place LIKE '%(process {})'",
            self.pid(number)
        );
        for _ in 0..100 {
            self.signal(number, "-STOP");
            // What it has just sent arrives.
            tokio::time::sleep(Duration::from_millis(150)).await;
            if self.leases(&sql).await == Some(0) {
                return true;
            }
            self.signal(number, "-CONT");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    async fn leases(&self, sql: &str) -> Option<u64> {
        let options = self.machines.url.parse::<sqlx::postgres::PgConnectOptions>().unwrap();
        let mut connection = sqlx::ConnectOptions::connect(&options).await.ok()?;
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.ok()?;
        Some(done.rows_affected())
    }

    async fn kill(self: &Arc<Self>, number: usize, pause: Duration) {
        if !self.suspend_without_a_lease(number).await {
            return;
        }
        self.signal(number, "-KILL");
        let Process { end, reading, .. } = self.instances[number].running.lock().unwrap().take().unwrap();
        let _ = end.send(());
        reading.await.unwrap().kill().await;
        tokio::time::sleep(pause).await;
        self.start(number).await;
    }

    async fn suspend(&self, number: usize, time: Duration) {
        if self.suspend_without_a_lease(number).await {
            tokio::time::sleep(time).await;
            self.signal(number, "-CONT");
        }
    }

    async fn cut(&self, number: usize, time: Duration) {
        if self.suspend_without_a_lease(number).await {
            self.instances[number].cable.cut();
            self.signal(number, "-CONT");
            tokio::time::sleep(time).await;
            self.instances[number].cable.heal();
        }
    }

    async fn delay(&self, number: usize, time: Duration, by: Duration) {
        self.instances[number].cable.delay(by);
        tokio::time::sleep(time).await;
        self.instances[number].cable.delay(Duration::ZERO);
    }

    async fn crash_database(&self, pause: Duration) {
        let server = self.server.clone();
        tokio::task::spawn_blocking(move || server.crash()).await.unwrap();
        tokio::time::sleep(pause).await;
        let server = self.server.clone();
        tokio::task::spawn_blocking(move || server.start_again()).await.unwrap();
    }

    /// A mail program logs in to `account` at an instance, and looks whose mailbox that is.
    async fn log_in(&self, number: usize, account: usize) -> Result<(), String> {
        let Door(Some((address, ca_file))) = self.instances[number].door.borrow().clone() else {
            return Err("it does not run".to_owned());
        };
        let talking = talk(address, &ca_file, &self.settings[account]);
        let mail =
            tokio::time::timeout(PATIENCE, talking).await.map_err(|_| "no answer in time".to_owned())??;
        if !mail.contains(&format!("the mail of {}", ACCOUNTS[account])) {
            let wrong = format!("a session of {} showed: {mail}", ACCOUNTS[account]);
            self.wrong.lock().unwrap().push(wrong);
        }
        Ok(())
    }

    /// How long it takes until every account logs in at each instance.
    async fn heal(self: &Arc<Self>) -> Duration {
        let began = Instant::now();
        let mut logins = JoinSet::new();
        for (number, account) in all() {
            let world = self.clone();
            logins.spawn(async move {
                while let Err(why) = world.log_in(number, account).await {
                    let late = format!("{} at instance {number}: {why}", ACCOUNTS[account]);
                    assert!(
                        began.elapsed() < HEALED,
                        "{late} {}",
                        world.machines.site.tokens().await.0[account]
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
        logins.join_all().await;
        began.elapsed()
    }

    async fn judge(&self) {
        let wrong = self.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let stats = self.machines.site.sandbox.controls().stats();
        assert_eq!(stats.refresh_token_reuses, 0, "a refresh token was sent twice: {stats:?}");
        let (grants, code) = self.machines.site.tokens().await;
        assert_eq!(code, 0, "a grant needs a person: {grants:#?}");
        self.machines.site.sandbox.assert_no_violations();
    }
}

fn all() -> impl Iterator<Item = (usize, usize)> {
    (0..3).flat_map(|number| (0..ACCOUNTS.len()).map(move |account| (number, account)))
}

/// Logs in, and returns what the mailbox holds.
async fn talk(address: SocketAddr, ca_file: &Path, settings: &Value) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let tcp = TcpStream::connect(address).await.map_err(said)?;
    let name = "localhost".try_into().unwrap();
    let mut stream = BufReader::new(client::tls(ca_file).connect(name, tcp).await.map_err(said)?);
    let mut answers = String::new();
    for (tag, command) in
        [("a", common::login(settings)), ("b", "SELECT INBOX".to_owned()), ("c", "FETCH 1 BODY[]".to_owned())]
    {
        stream.write_all(format!("{tag} {command}\r\n").as_bytes()).await.map_err(said)?;
        stream.flush().await.map_err(said)?;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.map_err(said)? == 0 {
                return Err(format!("the end of the connection: {answers}"));
            }
            answers.push_str(&line);
            match line.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                Some(rest) if rest.starts_with("OK") => break,
                Some(rest) => return Err(rest.to_owned()),
                None => {}
            }
        }
    }
    stream.write_all(b"d LOGOUT\r\n").await.map_err(said)?;
    stream.flush().await.map_err(said)?;
    Ok(answers)
}

/// Mail programs that log in all the time.
fn traffic(world: &Arc<World>) -> JoinSet<()> {
    let mut programs = JoinSet::new();
    for (number, account) in all() {
        let world = world.clone();
        programs.spawn(async move {
            loop {
                let _ = world.log_in(number, account).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
    programs
}

/// What meets one instance, or the database, in a round.
#[derive(Clone, Copy, Debug)]
enum Strike {
    Kill,
    Suspend,
    Cut,
    Delay,
    Crash,
}

async fn strike(world: Arc<World>, strike: Strike, number: usize, mut chance: Chance, longest: u64) {
    let mut seconds = |most: u64| Duration::from_millis(chance.of(1000..=most.min(longest) * 1000));
    match strike {
        Strike::Kill => world.kill(number, seconds(10)).await,
        Strike::Suspend => world.suspend(number, seconds(40)).await,
        Strike::Cut => world.cut(number, seconds(45)).await,
        Strike::Delay => {
            let by = Duration::from_millis(chance.of(50..=1500));
            let time = Duration::from_millis(chance.of(2000..=longest.min(20) * 1000));
            world.delay(number, time, by).await;
        }
        Strike::Crash => world.crash_database(seconds(8)).await,
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number in MINUTES or SEED"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn no_grant_is_lost_and_every_login_comes_back_after_kills_cuts_and_crashes() {
    const KINDS: [Strike; 5] = [Strike::Cut, Strike::Kill, Strike::Crash, Strike::Suspend, Strike::Delay];
    let minutes = from_environment("MINUTES");
    let seed = from_environment("SEED").unwrap_or(1);
    let (time, longest) = match minutes {
        Some(minutes) => (Duration::from_secs(minutes * 60), 45),
        None => (Duration::from_secs(40), 8),
    };
    let mut chance = Chance::new(seed);
    let world = World::begin().await;
    let traffic = traffic(&world);
    let (began, mut healed, mut rounds) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < time || rounds < KINDS.len() {
        // Each kind has its turn, and others come at the same time to the other instances.
        let first = chance.number() as usize % 3;
        let mut strikes = vec![KINDS[rounds % KINDS.len()]];
        strikes.extend((0..chance.of(0..=2)).map(|_| chance.pick(&KINDS[..])));
        let mut striking = JoinSet::new();
        for (offset, kind) in strikes.iter().enumerate() {
            // Two crashes at once are one.
            if matches!(kind, Strike::Crash)
                && strikes[..offset].iter().any(|kind| matches!(kind, Strike::Crash))
            {
                continue;
            }
            let own = Chance::new(chance.number());
            striking.spawn(strike(world.clone(), *kind, (first + offset) % 3, own, longest));
        }
        striking.join_all().await;
        let heal = world.heal().await;
        eprintln!("seed {seed}, round {rounds}: {strikes:?} from instance {first}; healed in {heal:?}");
        healed.push(heal);
        world.judge().await;
        rounds += 1;
    }
    drop(traffic);
    healed.sort_unstable();
    let stats = world.machines.site.sandbox.controls().stats();
    eprintln!(
        "{rounds} rounds in {:?}, {} logins, {} refreshes, 0 refresh tokens sent twice; time to heal: half of the rounds \
         {:?}, the longest {:?}",
        began.elapsed(),
        stats.logins,
        stats.refreshes,
        healed[healed.len() / 2],
        healed[healed.len() - 1]
    );
}
