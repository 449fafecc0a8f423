//! A PostgreSQL server of the tests' own, from Debian's package, on a Unix socket in a directory of its own.
//!
//! The server ends with the process that started it, even if that process is killed: the server's shell waits for the
//! end of its standard input, and then stops it.

#![allow(dead_code, unused_imports, reason = "each test binary uses some of it")]

mod cable;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

pub(crate) use self::cable::Cable;

/// `$1` is a directory of the server's user; the server's programs are found as Debian puts them.
const SHELL: &str = r#"
set -eu
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
end() {
    kill "$(cat "$1/pooler.pid" 2>/dev/null)" 2>/dev/null || true
    for data in data second; do pg_ctl -D "$1/$data" -m immediate stop >/dev/null 2>&1 || true; done
    rm -rf "$1"
}
trap 'end "$1"' EXIT
initdb --pgdata="$1/data" --username=proxy --auth=trust --encoding=UTF8 --no-sync --locale=C.UTF-8 >"$1/initdb" 2>&1
options="-k $1 -c listen_addresses= -c fsync=off -c max_connections=400"
start() { pg_ctl -D "$1/data" -w -s -l "$1/log" -o "$options" start; }
ln -s . "$1/now"
start "$1"
echo ready
while read -r word; do
    case $word in
        start) start "$1" ;;
        stop) pg_ctl -D "$1/data" -w -s -m immediate stop ;;
        second)
            pg_basebackup --host="$1" --username=proxy --pgdata="$1/second" -R --checkpoint=fast --no-sync
            mkdir "$1/s"
            second="-k $1/s -c listen_addresses= -c fsync=off -c max_connections=400"
            pg_ctl -D "$1/second" -w -s -l "$1/log.second" -o "$second" start ;;
        tls) options="$options -c ssl=on -c ssl_cert_file=$1/tls.crt -c ssl_key_file=$1/tls.key"
            options="$options -c listen_addresses=$(cat "$1/tls.address")"
            echo "hostssl all all 127.0.0.0/8 scram-sha-256" >>"$1/data/pg_hba.conf"
            sed -i '/^host /d' "$1/data/pg_hba.conf"
            pg_ctl -D "$1/data" -w -s -m fast stop
            start "$1" ;;
        promote) pg_ctl -D "$1/second" -w -s promote ;;
        fail-over) ln -sfn s "$1/now" ;;
        pooler) pgbouncer --daemon --quiet "$1/pooler.ini"
            while ! [ -e "$1/b/.s.PGSQL.6432" ]; do sleep 0.1; done ;;
        STOP | CONT) main=$(head -n 1 "$1/data/postmaster.pid")
            # A child may end between its listing and the signal.
            kill -"$word" "$main" && kill -"$word" $(pgrep -P "$main") || true ;;
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

    /// Starts a server for the caller alone.
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

    /// Starts the server again; it recovers all that was committed.
    pub(crate) fn start_again(&self) {
        self.tell("start");
    }

    /// From now on the server neither answers nor closes a connection.
    pub(crate) fn freeze(&self) {
        self.tell("STOP");
    }

    /// Continues after [`Self::freeze`].
    pub(crate) fn thaw(&self) {
        self.tell("CONT");
    }

    /// Starts the server again with TLS and passwords at an own address of 127.0.0.0/8. Returns that address, and the
    /// file of the CA that signed the server's certificate for it.
    pub(crate) async fn with_tls(&self, password: &str) -> (String, String) {
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{b}.{c}", 64 + a % 128);
        let path = |name: &str| format!("{}/tls.{name}", self.directory);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = authority.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(authority, key);
        let own = rcgen::KeyPair::generate().unwrap();
        let leaf =
            rcgen::CertificateParams::new([address.clone()]).unwrap().signed_by(&own, &issuer).unwrap();
        for (name, text) in [
            ("ca", ca.pem()),
            ("crt", leaf.pem()),
            ("key", own.serialize_pem()),
            ("address", address.clone()),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        std::fs::set_permissions(path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self.give_to_server(&path("key"));
        let sql = format!("ALTER USER proxy PASSWORD '{password}'");
        self.run(&self.url("postgres"), &sql).await;
        self.tell("tls");
        (address, path("ca"))
    }

    fn give_to_server(&self, path: &str) {
        if rustix::process::geteuid().is_root() {
            assert!(Command::new("chown").args(["-R", "postgres:", path]).status().unwrap().success());
        }
    }

    /// Starts a standby, which copies all that is committed before its commit is answered.
    pub(crate) async fn add_standby(&self) {
        self.tell("second");
        for sql in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
            self.run(&self.url("postgres"), sql).await;
        }
    }

    /// From now on [`Self::moving_url`] leads to the standby.
    pub(crate) fn fail_over(&self) {
        self.tell("fail-over");
    }

    /// The standby takes writes from now on.
    pub(crate) fn promote(&self) {
        self.tell("promote");
    }

    /// The URL of a database; it leads to the server first, and to the standby after [`Self::fail_over`].
    pub(crate) fn moving_url(&self, database: &str) -> String {
        format!("postgres://proxy@{}%2Fnow/{database}", self.directory.replace('/', "%2F"))
    }

    /// Starts PgBouncer in front of the server; `mode` is `transaction` or `session`.
    pub(crate) fn add_pooler(&self, mode: &str) {
        let directory = &self.directory;
        std::fs::create_dir(format!("{directory}/b")).unwrap();
        // Few, so that connections change hands often.
        let text = format!(
            "[databases]\n* = host={directory} user=proxy\n[pgbouncer]\npool_mode = {mode}\nauth_type = any\n\
             listen_addr =\nunix_socket_dir = {directory}/b\nlisten_port = 6432\ndefault_pool_size = {}\n\
             max_client_conn = 1000\npidfile = {directory}/pooler.pid\nlogfile = {directory}/log.pooler\n",
            if mode == "session" { 50 } else { 5 },
        );
        std::fs::write(format!("{directory}/pooler.ini"), text).unwrap();
        self.give_to_server(&format!("{directory}/b"));
        self.tell("pooler");
    }

    /// The URL of one of its databases through the pooler.
    pub(crate) fn pooled_url(&self, database: &str) -> String {
        format!("postgres://proxy@{}%2Fb:6432/{database}", self.directory.replace('/', "%2F"))
    }

    /// The URL of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://proxy@{}/{database}", self.directory.replace('/', "%2F"))
    }

    /// A cable to it of the caller's own.
    pub(crate) fn cable(&self) -> Cable {
        Cable::to(format!("{}/.s.PGSQL.5432", self.directory).into())
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
