//! Connections to the server: deadlines, TLS, and the requirements on the server.
//!
//! Every wait has an end, because a login waits behind it.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::pool::Pool;
use super::slots::Slots;
use crate::store::place::without_password;
use crate::store::{PostgresSettings, StoreError};

/// Enough for some hundred logins a second; a database shared by many instances has a limit of its own.
pub(super) const CONNECTIONS: usize = 6;
/// Beside them, for what must not wait behind logins.
pub(super) const VITAL: usize = 2;
/// How long the start waits for a connection.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);
/// The oldest server with stored generated columns that gets fixes.
const OLDEST: i32 = 130_000;

const TLS_CURE: &str = "; look at sslmode and sslrootcert in store.url";
/// What the server does for a connection, and whether the server is a standby, in one exchange. No statement takes longer, with its waits for locks, and no transaction waits
/// longer for the next one (in milliseconds). A machine that vanished without a word gives its places back soon. Each
/// statement of a transaction sees what was committed before it, with any default of the database.
pub(super) const SESSION: &str = "SET statement_timeout = 10000; SET idle_in_transaction_session_timeout = 10000; \
     SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
     SET default_transaction_isolation = 'read committed'; SELECT pg_is_in_recovery()";
/// What the server does for the connection that listens: it ends the connection of a machine that vanished.
pub(super) const LISTENING: &str =
    "SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

pub(super) async fn pool(settings: &PostgresSettings) -> Result<Pool, StoreError> {
    let options = options(&settings.url, settings)?;
    let mut connection = alone(settings).await?;
    judge_server(&mut connection).await.map_err(|error| unusable(&settings.url, &error))?;
    connection.close().await.map_err(|error| unusable(&settings.url, &error))?;
    Ok(Pool::new(Slots::new(options, CONNECTIONS, Arc::default())))
}

/// Whether the server of a connection is a standby, which takes no writes. Asked without a prepared statement, which
/// does not work on a connection that a pooler lends.
pub(super) async fn is_standby(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    connection.fetch_one("SELECT pg_is_in_recovery()").await?.try_get(0)
}

/// A connection outside the pool: the pool would try again until its own deadline, and then report only the deadline.
pub(super) async fn alone(settings: &PostgresSettings) -> Result<PgConnection, StoreError> {
    let options = options(&settings.url, settings)?;
    match tokio::time::timeout(CONNECTION_WAIT, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unusable(&settings.url, &said(&error))),
        Err(_) => Err(unusable(&settings.url, &"the server does not answer")),
    }
}

/// Whether a pooler lends the server's connections for one transaction each. Then a client of the pooler soon gets a
/// connection that another client has used; a connection to the server itself, or for a session, never changes. Asked
/// three times, because other clients may come in between.
pub(super) async fn is_lent(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    for _ in 0..3 {
        match tokio::time::timeout(CONNECTION_WAIT, changes_hands(options)).await {
            Ok(Ok(false)) => {}
            Ok(changes) => return changes,
            // The pooler has fewer connections than were asked for at once.
            Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

async fn changes_hands(options: &PgConnectOptions) -> Result<bool, sqlx::Error> {
    const SERVER_SIDE: &str = "SELECT pg_backend_pid()";
    let mut one = options.connect().await?;
    let own: i32 = one.fetch_one(SERVER_SIDE).await?.try_get(0)?;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = options.connect().await?;
        // Each transaction stays open until the end, so that each client keeps its own connection of the server.
        other.execute("BEGIN").await?;
        let theirs: i32 = other.fetch_one(SERVER_SIDE).await?.try_get(0)?;
        others.push(other);
        if theirs == own {
            return Ok(true);
        }
    }
    let last: i32 = one.fetch_one(SERVER_SIDE).await?.try_get(0)?;
    Ok(last != own)
}

/// The options of the listener's connection, if they differ from the pool's.
pub(super) fn listening(settings: &PostgresSettings) -> Option<PgConnectOptions> {
    settings.listen_url.as_ref().and_then(|url| options(url, settings).ok())
}

fn options(url: &str, settings: &PostgresSettings) -> Result<PgConnectOptions, StoreError> {
    let mut options = PgConnectOptions::from_str(url)
        .map_err(|error| unusable(url, &error))?
        .application_name("imap-oauth-proxy")
        // Poolers refuse this option, and no column holds a fraction.
        .extra_float_digits(None)
        // Logged statements would hold names.
        .disable_statement_logging();
    if !url.contains("sslmode=") && !is_here(options.get_host()) && options.get_socket().is_none() {
        options = options.ssl_mode(PgSslMode::VerifyFull);
    }
    if let Some(password) = &settings.password {
        options = options.password(password.expose());
    }
    Ok(options)
}

/// Whether the server is on this machine, so that no one on a network can read the connection.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses a server that this program cannot use.
async fn judge_server(connection: &mut PgConnection) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery()";
    let row = connection.fetch_one(sql).await?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    let why = if version < OLDEST {
        format!("its version is {}, and at least 13 is needed; update it", version / 10_000)
    } else if encoding != "UTF8" {
        format!(
            "its encoding is {encoding}, in which not every name can be written; make a database with ENCODING 'UTF8'"
        )
    } else if row.try_get(2)? {
        "it is a standby, which takes no writes; name the primary".to_owned()
    } else {
        return Ok(());
    };
    Err(StoreError::Unusable(why))
}

/// The error in words, with its cure where one is known.
fn said(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let cure = match code.as_deref() {
        Some("28P01" | "28000") => "; look at user and password_file in [store]",
        Some("3D000") => "; make it with createdb, or name another one in store.url",
        _ => match error {
            // sqlx reports a refused certificate as a read error.
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => TLS_CURE,
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
                "; look whether the server runs at the address in store.url, and whether the files named there exist"
            }
            sqlx::Error::Io(_) => "; look whether the server runs at the address in store.url",
            sqlx::Error::Tls(_) => TLS_CURE,
            _ => "",
        },
    };
    let text =
        error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    format!("{text}{cure}")
}

pub(super) fn unusable(url: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("the database {} cannot be used: {error}", without_password(url)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> PostgresSettings {
        PostgresSettings { url: url.to_owned(), password: None, listen_url: None, stale: Duration::ZERO }
    }

    #[test]
    fn a_server_on_another_machine_must_show_its_certificate_unless_the_url_says_otherwise() {
        let mode = |url: &str| format!("{:?}", options(url, &settings(url)).unwrap().get_ssl_mode());
        assert_eq!(mode("postgres://db.corp.example/mail"), "VerifyFull");
        assert_eq!(mode("postgres://db.corp.example/mail?sslmode=require"), "Require");
        assert_eq!(mode("postgres://127.0.0.1/mail"), "Prefer");
        assert_eq!(mode("postgres://localhost/mail"), "Prefer");
    }
}
