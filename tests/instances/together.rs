//! Counts of one instance apply on all instances, and the sessions of all instances are listed and closed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::common::client::{Answer, Client};
use super::common::{ALICE, BOB, Serving, pop3, set_mode, web, within};
use super::postgres_server::Server;
use super::{Machines, is_told_goodbye, try_to_log_in};

impl Machines {
    /// The configuration of a third machine.
    fn third(&self) -> PathBuf {
        let third = self.site.home.path().join("third.toml");
        let text = std::fs::read_to_string(&self.site.config).unwrap();
        std::fs::write(&third, text.replace("\"state\"", "\"third\"")).unwrap();
        set_mode(&third, 0o600);
        third
    }

    /// Number of rows that a query finds.
    async fn rows(&self, sql: &str) -> u64 {
        Server::shared().run(&self.url, sql).await
    }

    /// Waits until a query finds `rows` rows.
    async fn finds(&self, rows: u64, sql: &str) {
        let looking = async {
            while self.rows(sql).await != rows {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within(sql, looking).await;
    }

    /// Waits for two further signs of life of the only instance. All that it writes every second is written by then.
    async fn gives_two_signs_of_life(&self) {
        self.rows("CREATE TABLE signs AS SELECT seen FROM holders").await;
        let next = "INSERT INTO signs SELECT seen FROM holders WHERE seen > (SELECT max(seen) FROM signs)";
        for _ in 0..2 {
            self.finds(1, next).await;
        }
    }

    /// Moves the last signs of life of process `pid` half a minute back, so that it counts as dead.
    async fn are_silent(&self, pid: u32) {
        let sql = format!(
            "UPDATE holders SET seen = seen - interval '31 s' WHERE name IN \
             (SELECT holder FROM instances WHERE place LIKE '%(process {pid})')"
        );
        assert_eq!(self.rows(&sql).await, 1);
    }

    /// The sessions as the second machine lists them.
    async fn listed(&self) -> Vec<Value> {
        let ran = self.run_on_other(&["sessions", "list", "--json"]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.json().as_array().unwrap().clone()
    }
}

/// Logs in to fetch mail, again and again, until the answer begins with `answer`. A session with another answer is
/// ended.
async fn fetches_until(serving: &Serving, settings: &Value, answer: &str) -> pop3::Client {
    let trying = async {
        loop {
            let mut client = serving.pop3().await;
            let answered = pop3::log_in(&mut client, settings).await;
            if answered.starts_with(answer) {
                return client;
            }
            if answered.starts_with("+OK") {
                client.command("QUIT").await;
            }
        }
    };
    within(answer, trying).await
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_mailbox_has_one_pop3_session_on_all_instances_until_it_ends_or_its_instance_is_killed() {
    const IN_USE: &str = "-ERR [IN-USE] This account has a session open already";
    let machines =
        Machines::by(Sandbox::builder().user(ALICE).user(BOB).pop3(), Server::shared().database().await, "")
            .await;
    let settings = machines.site.authorize(ALICE).await;
    let (one, other) = machines.serve_both().await;
    let mut session = one.pop3_as(&settings).await;
    machines.finds(1, "SELECT 1 FROM gate_counts WHERE sessions = 1 AND door = 'pop3'").await;
    fetches_until(&other, &settings, IN_USE).await;
    assert!(session.command("QUIT").await.starts_with("+OK"));
    drop(session);
    let session = fetches_until(&other, &settings, "+OK").await;
    fetches_until(&one, &settings, IN_USE).await;
    let bob = machines.site.authorize(BOB).await;
    one.pop3_as(&bob).await;

    let pid = other.child.id().unwrap();
    other.kill().await;
    drop(session);
    machines.are_silent(pid).await;
    fetches_until(&one, &settings, "+OK").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn an_instance_that_starts_knows_what_the_others_hold() {
    let machines = Machines::on(Server::shared()).await;
    let settings = machines.site.authorize(ALICE).await;
    machines.site.configure_provider("max_connections_per_account = 2");
    let third = machines.third();
    let (one, other) = (machines.site.serve().await, machines.site.serve_at(&third).await);
    let _sessions = (one.log_in(&settings).await, one.log_in(&settings).await);
    machines.finds(1, "SELECT 1 FROM gate_counts WHERE sessions = 2 AND door = 'imap'").await;
    other.stop().await;
    let third = machines.site.serve_at(&third).await;
    let (_, answer) = try_to_log_in(&third, &settings).await;
    assert!(answer.refused_with("IN-USE") || answer.refused_with("LIMIT"), "{answer:?}");
}

async fn guess(serving: &Serving) -> Answer {
    let (_, answer) = try_to_log_in(serving, &json!({"username": ALICE, "password": "wrong"})).await;
    assert!(answer.refused_with("AUTHENTICATIONFAILED") || answer.refused_with("LIMIT"), "{answer:?}");
    answer
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn security_row_29_an_attacker_who_spreads_over_instances_has_one_budget() {
    let machines = Machines::on(Server::shared()).await;
    let settings = machines.site.authorize(ALICE).await;
    let (one, other) = machines.serve_both().await;
    let mut guesses = JoinSet::new();
    for _ in 0..8 {
        let (address, ca_file) = (one.address(), one.ca_file());
        guesses.spawn(async move {
            let mut client = Client::connect(address, &ca_file).await;
            let answer = client.command(&format!("LOGIN {ALICE} wrong")).await;
            assert!(answer.refused_with("AUTHENTICATIONFAILED"), "{answer:?}");
        });
    }
    guesses.join_all().await;
    machines
        .finds(1, "SELECT 1 FROM failed_logins WHERE tier = 1 AND full_at > now() + interval '200 s'")
        .await;
    // The other instance learns of it within two seconds, and until then allows one or two attempts.
    let mut free = 0;
    while guess(&other).await.refused_with("AUTHENTICATIONFAILED") {
        free += 1;
        assert!(free < 4, "the other instance has a budget of its own");
    }
    let third = machines.site.serve_at(&machines.third()).await;
    assert!(guess(&third).await.refused_with("LIMIT"), "an instance that starts reads what still counts");
    // The owner's generated password needs no verification, and is never in the way.
    let (_, answer) = try_to_log_in(&third, &settings).await;
    assert!(answer.is_ok(), "{answer:?}");

    for serving in [one, other, third] {
        serving.kill().await;
    }
    let one = machines.site.serve().await;
    assert!(guess(&one).await.refused_with("LIMIT"), "nor does it forget with a crash");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn sessions_of_all_instances_are_listed_and_closed_and_a_silent_one_is_named() {
    let machines = Machines::on(Server::shared()).await;
    let (alice, bob) = (machines.site.authorize(ALICE).await, machines.site.authorize(BOB).await);
    let ran = machines.run_on_other(&["sessions", "list"]).await;
    assert!(ran.code == 1 && ran.error().contains("no serve is running"), "{ran:?}");
    let (one, other) = machines.serve_both().await;
    let third = machines.site.serve_at(&machines.third()).await;
    let (mut first, mut second) = (one.log_in(&alice).await, third.log_in(&alice).await);
    let mut of_bob = one.log_in(&bob).await;

    let listed = machines.listed().await;
    let mut ids: Vec<_> = listed.iter().map(|session| session["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{listed:?}");
    let of = |name: &str| listed.iter().find(|session| session["account"] == name).unwrap();
    assert_eq!(of(BOB)["protocol"], "imap");

    let ran = machines.run_on_other(&["sessions", "close", of(BOB)["id"].as_str().unwrap()]).await;
    assert!(ran.code == 0 && ran.err.contains("1 session is told to end"), "{ran:?}");
    is_told_goodbye(&mut of_bob).await;
    let ran = machines.run_on_other(&["sessions", "close", ALICE]).await;
    assert!(ran.code == 0 && ran.err.contains("2 sessions are told to end"), "{ran:?}");
    is_told_goodbye(&mut first).await;
    is_told_goodbye(&mut second).await;
    let ran = machines.run_on_other(&["sessions", "close", ALICE]).await;
    assert!(ran.code == 1 && ran.error().contains("no session has the id"), "{ran:?}");
    let events = machines.site.run(&["events", "list", "--json"]).await;
    assert!(events.out.contains("sessions_closed"), "{events:?}");
    let left = "SELECT 1 FROM instance_questions UNION ALL SELECT 1 FROM instance_answers";
    assert_eq!(machines.rows(left).await, 0, "what was asked and answered is gone");

    let session = one.log_in(&bob).await;
    let pid = third.child.id().unwrap().to_string();
    let signal = |name: &str| std::process::Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(signal("-STOP").success());
    let began = Instant::now();
    let ran = machines.run_on_other(&["sessions", "list", "--json"]).await;
    assert!(ran.code == 3 && ran.err.contains(&format!("(process {pid}) did not answer")), "{ran:?}");
    assert_eq!(ran.json().as_array().unwrap().len(), 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(signal("-CONT").success());
    drop((session, other));
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn sessions_are_those_of_this_machine_while_the_database_is_away() {
    let server = Server::start();
    let machines = Machines::on(&server).await;
    let alice = machines.site.authorize(ALICE).await;
    let one = machines.site.serve().await;
    let mut session = one.log_in(&alice).await;
    server.crash();
    let ran = machines.site.run(&["sessions", "list", "--json"]).await;
    assert!(ran.code == 0 && ran.err.contains("only this machine is asked"), "{ran:?}");
    assert_eq!(ran.json().as_array().unwrap().len(), 1);
    let ran = machines.site.run(&["sessions", "close", ALICE]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    is_told_goodbye(&mut session).await;
}

/// The tables in which instances publish their counts and sessions.
const TOLD: [&str; 4] = ["gate_counts", "failed_logins", "instance_questions", "instance_answers"];

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn an_instance_alone_writes_nothing_for_others_at_a_login_and_one_beside_another_does() {
    let machines = Machines::on(Server::shared()).await;
    let settings = machines.site.authorize(ALICE).await;
    // Without a limit there is nothing to count.
    machines.site.configure_provider("max_connections_per_account = 2");
    let one = machines.site.serve().await;
    machines.rows("CREATE TABLE written (told TEXT)").await;
    machines
        .rows(
            "CREATE FUNCTION written() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO written VALUES (TG_TABLE_NAME); RETURN NULL; END $$",
        )
        .await;
    for table in TOLD {
        let sql = format!(
            "CREATE TRIGGER seen AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION written()"
        );
        machines.rows(&sql).await;
    }
    for _ in 0..20 {
        let mut client = one.log_in(&settings).await;
        assert!(client.command("LOGOUT").await.is_ok());
    }
    // The times of the last logins are written a second later. The counts would be written with them.
    machines.finds(1, "SELECT 1 FROM passwords WHERE last_used_at IS NOT NULL").await;
    machines.gives_two_signs_of_life().await;
    assert_eq!(machines.rows("SELECT 1 FROM written").await, 0);

    let other = machines.site.serve_at(&machines.third()).await;
    machines.finds(1, "SELECT DISTINCT told FROM written WHERE told = 'gate_counts'").await;
    let _session = other.log_in(&settings).await;
    machines.finds(1, "SELECT 1 FROM gate_counts WHERE sessions = 1").await;
    assert_eq!(machines.rows("SELECT 1 FROM written WHERE told <> 'gate_counts'").await, 0);
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn the_page_and_the_api_of_one_instance_list_and_close_the_sessions_of_all() {
    let machines = Machines::with(Server::shared(), web::ON).await;
    let alice = machines.site.authorize(ALICE).await;
    let (one, other) = machines.serve_both().await;
    let (mut first, mut second) = (other.log_in(&alice).await, other.log_in(&alice).await);
    let ids: Vec<String> =
        machines.listed().await.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 2);

    let mut browser = web::Browser::enter(&machines.site, &one).await;
    let page = browser.get("/sessions").await;
    page.has("2 sessions").has(ALICE).has(&ids[0]).has(&ids[1]);
    browser.post("/sessions/close", &[("id", &ids[0])]).await.has("The session is told to end");
    is_told_goodbye(&mut first).await;

    let ran = machines.site.run(&["admin", "token", "create", "--json", "tool"]).await;
    let token = ran.json()["token"].as_str().unwrap().to_owned();
    let call = async |method: &str, path: &str| {
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n",
            browser.address
        );
        let answer = web::ask(&browser.address, &request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str::<Value>(&answer.body).unwrap()
    };
    let listed = within("one session", async {
        loop {
            let listed = call("GET", "/sessions").await;
            if listed.as_array().unwrap().len() == 1 {
                return listed;
            }
        }
    });
    assert_eq!(listed.await[0]["id"], json!(ids[1]));
    assert_eq!(call("DELETE", &format!("/sessions?account={ALICE}")).await, json!({"closed": 1}));
    is_told_goodbye(&mut second).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn an_instance_that_drains_still_answers_and_gives_back_what_ends() {
    let machines =
        Machines::by(Sandbox::builder().user(ALICE).user(BOB).pop3(), Server::shared().database().await, "")
            .await;
    let (alice, bob) = (machines.site.authorize(ALICE).await, machines.site.authorize(BOB).await);
    let (one, other) = machines.serve_both().await;
    let (mut ends, mut stays) = (one.pop3_as(&alice).await, one.pop3_as(&bob).await);
    machines.finds(2, "SELECT 1 FROM gate_counts WHERE sessions = 1").await;
    one.terminate();
    // A session that moves bytes is left alone while the instance drains.
    let working = async {
        loop {
            assert!(stays.command("NOOP").await.starts_with("+OK"), "the drain is over too early");
        }
    };
    let checking = async {
        assert!(ends.command("QUIT").await.starts_with("+OK"));
        drop(ends);
        let _session = fetches_until(&other, &alice, "+OK").await;
        let listed = machines.listed().await;
        let accounts: Vec<_> = listed.iter().map(|session| session["account"].as_str().unwrap()).collect();
        assert!(accounts.contains(&ALICE) && accounts.contains(&BOB), "{listed:?}");
    };
    tokio::select! {
        () = working => {}
        () = checking => {}
    }
    assert!(stays.command("QUIT").await.starts_with("+OK"));
    drop(stays);
    one.stop_waited().await;
    machines.finds(1, "SELECT 1 FROM instances").await;
}
