//! Decides which values of a configuration count as secrets: `config show` masks them, and the check of the file's mode
//! warns about them.
//!
//! The keys are listed whose values may be shown, not those whose values must be hidden: a misspelt or unknown key may
//! hold a secret, and a key that a later version adds is hidden until it is listed here. The value of a listed key is
//! still hidden if it is a URL with a user name or a secret.

use url::Url;

/// The keys of each table whose texts may be shown, separated by blanks; `*` is any provider. Numbers may be shown like
/// texts, and truth values always.
const OPEN: &[(&str, &str)] = &[
    ("", "state_directory"),
    ("listeners", "protocol addresses security from proxy_protocol"),
    ("listeners.devices", "from account messages_per_hour"),
    ("tls", "certificate key hostnames"),
    ("store", "url password_file listen_url stale_seconds key_file key_env key_credential"),
    ("callback", "address"),
    ("network", "proxy"),
    (
        "limits",
        "login_seconds connections connections_per_address failed_logins drain_seconds takeover_seconds",
    ),
    ("metrics", "address"),
    ("log", "format filter"),
    ("events", "webhook warn_days"),
    ("providers.*", PROVIDER),
    ("providers.*.authorize_params", "prompt access_type audience resource domain_hint"),
    ("providers.*.quirks", "alias testing_days"),
];

const PROVIDER: &str = "preset title unsupported tenant imap imap_security imap_scopes pop3 pop3_security pop3_scopes \
                        pop3_max_connections_per_account smtp smtp_security smtp_scopes smtp_max_connections_per_account \
                        submission_user submission_ehlo authorize_url token_url device_url no_device revoke_url \
                        revoke_page userinfo_url issuer scopes client_id client_secret_file client_assertion_file \
                        client_secret_expires client_authentication domains redirect_uri mechanisms extra_ca \
                        max_connections_per_account idle_days ends registration app_scopes app_certificate app_key \
                        app_algorithm service_account_file";

/// Commands: the program may be shown, its arguments may not.
const COMMANDS: &[(&str, &str)] = &[("store", "key_command"), ("events", "command")];

/// Parts of words with which people name secrets.
const SECRET_WORDS: &str = "secret password passwort kennwort passwd passphrase pwd token key credential auth \
                            bearer webhook cookie jwt sig";

/// The longest text that may be shown as the name of an environment variable or credential. A key pasted in place of
/// the name is longer: 32 bytes in base64 are 43 characters.
const LONGEST_NAME: usize = 40;

/// Whether a text or number that stands at `key` of `table` is taken for a secret. `table` is `None` where the table
/// is not known, as in a comment. `index` is the element's number in an array.
pub(super) fn is_secret(table: Option<&str>, key: &str, index: usize, text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let is_table = |name: &str| table.is_none_or(|table| table == name);
    if COMMANDS.iter().any(|(table, command)| is_table(table) && *command == key) {
        return index > 0 || names_user(text);
    }
    let is_open = OPEN.iter().any(|(name, keys)| is_table(name) && keys.split(' ').any(|open| open == key));
    // A database's user is no secret, its password is.
    if is_open && matches!(key, "url" | "listen_url") && text.starts_with("postgres") {
        return holds_password(text);
    }
    let is_of_kind = match key {
        "webhook" => !is_bare(text),
        "key_env" | "key_credential" => text.len() > LONGEST_NAME,
        _ => false,
    };
    !is_open || is_of_kind || names_user(text) || has_secret_parameter(text)
}

/// Whether a text of any kind has a word with which people name secrets.
pub(super) fn speaks_of_secrets(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    SECRET_WORDS.split(' ').any(|word| text.contains(word))
}

/// Whether a URL anywhere in the text names a user: the name alone can be a token. An `@` in a path counts, too,
/// because a password may hold a slash against the rules.
pub(super) fn names_user(text: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'');
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("://") {
        if after.split(ends).next().unwrap_or_default().contains('@') {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether a database's URL holds a password. A text that is no URL counts as one that does.
fn holds_password(text: &str) -> bool {
    match Url::parse(text) {
        Ok(url) => url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"),
        Err(_) => names_user(text) || has_secret_parameter(text),
    }
}

/// Whether a URL's query has a parameter that is named like a secret.
fn has_secret_parameter(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.query_pairs().any(|(name, _)| speaks_of_secrets(&name)))
}

/// Whether a URL has neither path nor query: chat services use a path that is hard to guess as a password.
fn is_bare(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.path() == "/" && url.query().is_none())
}
