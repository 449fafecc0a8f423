//! A PostgreSQL server of the tests' own, from Debian's package, on a Unix socket in a directory of its own.
//!
//! It ends with the process that started it, however that ends: its shell waits for the end of its standard input.

#![allow(dead_code, reason = "each test binary uses some of it")]

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// `$1` is a directory of the server's user; the server's programs are found as Debian puts them.
const SHELL: &str = r#"
set -eu
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
trap 'pg_ctl -D "$1/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$1"' EXIT
initdb --pgdata="$1/data" --username=proxy --auth=trust --encoding=UTF8 --no-sync --locale=C.UTF-8 >"$1/initdb" 2>&1
options="-k $1 -c listen_addresses= -c fsync=off -c max_connections=400"
start() { pg_ctl -D "$1/data" -w -s -l "$1/log" -o "$options" start; }
start "$1"
echo ready
while read -r word; do
    case $word in
        start) start "$1" ;;
        stop) pg_ctl -D "$1/data" -w -s -m immediate stop ;;
        STOP | CONT) main=$(head -n 1 "$1/data/postmaster.pid"); kill -"$word" "$main" $(pgrep -P "$main") ;;
    esac
    echo "done"
done
"#;

/// A running server.
pub(crate) struct Server {
    directory: String,
    talk: Mutex<(Child, ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

impl Server {
    /// The server that the tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a server of the caller's own.
    pub(crate) fn start() -> Self {
        // The path of a socket has a hundred bytes at most.
        let directory = tempfile::Builder::new().prefix("pg-").tempdir_in("/tmp").unwrap().keep();
        let mut command = match rustix::process::geteuid().is_root() {
            // The server refuses to run as root.
            true => {
                let owned = Command::new("chown").arg("postgres:").arg(&directory).status().unwrap();
                assert!(owned.success(), "there is no user postgres: install Debian's package postgresql");
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
                command
            }
            false => Command::new("sh"),
        };
        let directory = directory.to_str().unwrap().to_owned();
        command.args(["-c", SHELL, "sh", &directory]).current_dir("/").stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut lines = BufReader::new(output).lines();
        let first = lines.next().map(Result::unwrap);
        assert_eq!(
            first.as_deref(),
            Some("ready"),
            "PostgreSQL does not start: install Debian's package postgresql"
        );
        Self { directory, talk: Mutex::new((child, input, lines)) }
    }

    fn tell(&self, word: &str) {
        let mut talk = self.talk.lock().unwrap();
        let (_, input, lines) = &mut *talk;
        writeln!(input, "{word}").unwrap();
        assert_eq!(lines.next().map(Result::unwrap).as_deref(), Some("done"), "{word}");
    }

    /// Ends the server at once, as a crash does.
    pub(crate) fn crash(&self) {
        self.tell("stop");
    }

    /// Starts it again, which recovers what was committed.
    pub(crate) fn start_again(&self) {
        self.tell("start");
    }

    /// From now on it answers nothing, and closes nothing.
    pub(crate) fn freeze(&self) {
        self.tell("STOP");
    }

    /// It goes on where it was.
    pub(crate) fn thaw(&self) {
        self.tell("CONT");
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://proxy@{}/{database}", self.directory.replace('/', "%2F"))
    }

    /// A new, empty database; its URL.
    pub(crate) async fn database(&self) -> String {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("t{}", NUMBER.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        self.run(&self.url("postgres"), &format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// Runs a statement, and says how many rows it changed.
    pub(crate) async fn run(&self, url: &str, sql: &str) -> u64 {
        use sqlx::Connection as _;
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let done = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }
}
