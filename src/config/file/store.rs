//! `[store]`: where the grants are, and the key that seals them.

use std::path::Path;

use url::Url;

use super::{Base, Problem, StoreFile};
use crate::config::{PostgresPlace, StoreSettings};
use crate::secret::{KeySource, Secret};

/// Far longer than a failover takes, and short enough for a revocation to hold on an instance without its database.
const STALE_SECONDS: u64 = 60;
/// The longest time that the configuration may name: a revocation must not wait longer than an hour.
const MOST_STALE_SECONDS: u64 = 3600;

/// The options that a URL may have: those of the database's driver that this program does not set itself.
const OPTIONS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname"];
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Whether this program can use a database of a server.
const HAS_POSTGRES: bool = cfg!(feature = "postgres");

pub(super) fn store(file: StoreFile, base: &Base, state_directory: &Path) -> Result<StoreSettings, Problem> {
    let postgres = server(&file, base)?;
    Ok(StoreSettings {
        sqlite: state_directory.join("store.sqlite"),
        postgres,
        key: key_source(file, base, state_directory)?,
    })
}

/// The database at `url`; `None` for the file in the state directory.
pub(in crate::config) fn at(
    url: &str,
    password_file: Option<&Path>,
) -> Result<Option<PostgresPlace>, Problem> {
    let password_file = password_file.map(Path::to_owned);
    server(&StoreFile { url: Some(url.to_owned()), password_file, ..StoreFile::default() }, &Base(None))
}

fn server(file: &StoreFile, base: &Base) -> Result<Option<PostgresPlace>, Problem> {
    match file.url.as_deref() {
        None | Some("sqlite") => alone(file).map(|()| None),
        Some(url) if is_postgres(url) && !HAS_POSTGRES => Err(Problem::at(
            ["store", "url"],
            "is a PostgreSQL database, and this program was built without PostgreSQL",
        )
        .hint("use a program that was built with its default features; with url = \"sqlite\" this one begins an empty store in a file")),
        Some(url) if is_postgres(url) => postgres(file, url, base).map(Some),
        Some(_) => Err(Problem::at(["store", "url"], "is not a store")
            .hint("write url = \"sqlite\", or url = \"postgres://user@host/database\"")),
    }
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Refuses keys for PostgreSQL if the store is a file.
fn alone(file: &StoreFile) -> Result<(), Problem> {
    let given = [
        ("password_file", file.password_file.is_some()),
        ("listen_url", file.listen_url.is_some()),
        ("stale_seconds", file.stale_seconds.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((key, _)) => {
            Err(Problem::at(["store", key], "is for a store in PostgreSQL, and this store is a file")
                .hint("write url = \"postgres://user@host/database\", or remove the line"))
        }
        None => Ok(()),
    }
}

fn postgres(file: &StoreFile, url: &str, base: &Base) -> Result<PostgresPlace, Problem> {
    let has_password = judge_url("url", url)?;
    if has_password && file.password_file.is_some() {
        return Err(Problem::at(["store", "password_file"], "stands beside a password in url")
            .hint("remove the password from the URL"));
    }
    if let Some(url) = &file.listen_url {
        judge_url("listen_url", url)?;
    }
    let stale_seconds = file.stale_seconds.unwrap_or(STALE_SECONDS);
    if stale_seconds > MOST_STALE_SECONDS {
        let message = format!(
            "is more than {MOST_STALE_SECONDS}, the longest time that a revoked password may still open an account"
        );
        return Err(Problem::at(["store", "stale_seconds"], message)
            .hint(format!("write a number from 0 to {MOST_STALE_SECONDS}")));
    }
    Ok(PostgresPlace {
        url: Secret::new(url),
        password_file: file.password_file.clone().map(|path| base.resolve(path)),
        listen_url: file.listen_url.as_deref().map(Secret::new),
        stale_seconds,
    })
}

/// Refuses a URL that cannot be a database's; returns whether it has a password. Messages do not show it.
fn judge_url(key: &'static str, text: &str) -> Result<bool, Problem> {
    let wrong = |message: String| {
        Problem::at(["store", key], message)
            .hint(format!("write {key} = \"postgres://user@host/database?sslmode=verify-full\""))
    };
    if !is_postgres(text) {
        return Err(wrong("does not begin with postgres://".to_owned()));
    }
    let url = Url::parse(text).map_err(|error| wrong(format!("is not a URL: {error}")))?;
    let given = |name: &str| url.query_pairs().any(|(key, _)| key == name);
    if url.host_str().is_none_or(str::is_empty) && !given("host") {
        return Err(wrong("names no host".to_owned()));
    }
    if url.path().trim_matches('/').is_empty() && !given("dbname") {
        return Err(wrong("names no database".to_owned()));
    }
    if url.username().is_empty() {
        return Err(wrong("names no user".to_owned()));
    }
    for (name, value) in url.query_pairs() {
        if !OPTIONS.contains(&&*name) {
            return Err(wrong(format!("has the unknown option {name:?}")));
        }
        if name == "sslmode" && !MODES.contains(&&*value) {
            return Err(wrong(format!("has the unknown sslmode {value:?}; there are {}", MODES.join(", "))));
        }
        if name == "port" && value.parse::<u16>().is_err() {
            return Err(wrong(format!("has the port {value:?}, which is no number up to 65535")));
        }
    }
    Ok(url.password().is_some())
}

/// The one source of keys, or the default.
fn key_source(file: StoreFile, base: &Base, state_directory: &Path) -> Result<KeySource, Problem> {
    let sources: Vec<(&str, KeySource)> = [
        file.key_file.map(|path| ("key_file", KeySource::File(base.resolve(path)))),
        file.key_env.map(|name| ("key_env", KeySource::Environment(name))),
        file.key_credential.map(|name| ("key_credential", KeySource::Credential(name))),
        file.key_command.map(|words| ("key_command", KeySource::Command(words))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [(first, _), (second, _), ..] = sources.as_slice() {
        return Err(Problem::at(["store", second], format!("stands beside {first}")).hint("keep one of them"));
    }
    let Some((key, source)) = sources.into_iter().next() else {
        return Ok(KeySource::File(state_directory.join("master.key")));
    };
    let problem = |message: &str| Problem::at(["store", key], message);
    match &source {
        KeySource::Environment(name) if name.is_empty() || name.contains(['=', '\0']) => {
            Err(problem("is not the name of an environment variable")
                .hint("write the name, not the key itself: key_env = \"IMAP_OAUTH_PROXY_KEY\""))
        }
        KeySource::Credential(name) if name.is_empty() || name.contains(['/', '\0']) => Err(problem(
            "is not the name of a credential",
        )
        .hint("write the name that stands in LoadCredential=, such as key_credential = \"master-key\"")),
        KeySource::Command(words) if words.first().is_none_or(String::is_empty) => Err(problem("is empty")
            .hint("write the program and its arguments: key_command = [\"pass\", \"show\", \"mail-proxy\"]")),
        _ => Ok(source),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parsed(store: &str) -> Result<Config, String> {
        Config::parse(&format!("state_directory = \"/tmp/x\"\n[store]\n{store}"), None)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_of_a_server_is_a_store() {
        let text = "url = \"postgres://proxy@db.example/mail?sslmode=verify-full\"\npassword_file = \"/tmp/pw\"\n\
             listen_url = \"postgresql://proxy@%2Frun%2Fpostgresql/mail\"\nstale_seconds = 0";
        let place = parsed(text).unwrap().store.postgres.unwrap();
        assert_eq!((place.stale_seconds, place.listen_url.is_some()), (0, true));
        assert_eq!(place.password_file.unwrap().to_str(), Some("/tmp/pw"));
        let usual = parsed("url = \"postgres://proxy@localhost/mail\"").unwrap().store.postgres.unwrap();
        assert_eq!(usual.stale_seconds, 60);
    }

    #[test]
    fn a_wrong_store_is_one_sentence_and_shows_no_password() {
        for (store, said) in [
            ("url = \"mysql://db/mail\"", "store.url: is not a store"),
            ("url = \"postgres://db/mail\"", "store.url: names no user"),
            ("url = \"postgres://me@/mail\"", "store.url: "),
            ("url = \"postgres://me:s3cret@db\"", "store.url: names no database"),
            ("url = \"postgres://me@db/mail?ssl=on\"", "store.url: has the unknown option \"ssl\""),
            ("url = \"postgres://me@db/mail?sslmode=on\"", "store.url: has the unknown sslmode \"on\""),
            ("url = \"postgres://me@db/mail?port=x\"", "store.url: has the port \"x\""),
            (
                "url = \"postgres://me:s3cret@db/mail\"\npassword_file = \"pw\"",
                "store.password_file: stands beside",
            ),
            ("url = \"postgres://me@db/mail\"\nlisten_url = \"db\"", "store.listen_url: does not begin"),
            (
                "url = \"postgres://me@db/mail\"\nstale_seconds = 3601",
                "store.stale_seconds: is more than 3600",
            ),
            ("stale_seconds = 5", "store.stale_seconds: is for a store in PostgreSQL"),
            ("url = \"sqlite\"\npassword_file = \"pw\"", "store.password_file: is for a store in PostgreSQL"),
        ] {
            let error = parsed(store).unwrap_err();
            assert!(error.contains(said) && !error.contains("s3cret"), "{store}: {error}");
        }
    }
}
