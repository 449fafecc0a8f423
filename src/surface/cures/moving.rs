//! The cures of errors with moved accounts (between installations, from another program, from a table) and with keys.

use crate::command;
use crate::control::{Error, ImportError, KeysError, SetupError, TableError};
use crate::secret::KeySource;
use crate::secret::bundle::BundleError;
use crate::text::quoted;

pub(super) fn of_moving(error: &Error) -> Vec<String> {
    match error {
        Error::ApplicationsKey { account, provider } => vec![format!(
            "there: {} --provider {} --app",
            command::authorize_account(account),
            quoted(provider)
        )],
        Error::Rotates { .. } => vec![
            "leave --copy out to move it, or authorise the account on the other host by itself".to_owned(),
        ],
        Error::ShortPassphrase { .. } => {
            vec!["several words, or the output of: openssl rand -base64 18".to_owned()]
        }
        Error::ProviderMissing { .. } => {
            vec!["copy that table from the other installation's configuration".to_owned()]
        }
        Error::AnotherClient { provider, .. } => vec![
            "a provider accepts a refresh token from the client that it was issued to, and from no other"
                .to_owned(),
            format!("copy [providers.{provider}] from the other installation's configuration"),
        ],
        Error::ParcelField { .. } => vec![
            "mend that where it was exported (accounts unalias removes an alias, tokens list shows the rest), or authorise the account here"
                .to_owned(),
        ],
        Error::AliasHere { alias, account } => {
            vec![format!("{} takes that alias away", command::unalias(account, alias))]
        }
        Error::AlreadyHere { .. } => {
            vec!["--replace puts the imported authorisation in its place; its app passwords stay".to_owned()]
        }
        Error::Bundle(BundleError::Recipient) => {
            vec![format!("`{}` on the other host prints it", command::RECIPIENT)]
        }
        _ => Vec::new(),
    }
}

pub(super) fn of_import(error: &Error) -> Vec<String> {
    let Error::Import(error) = error else { return Vec::new() };
    match error {
        ImportError::Ini { .. } => {
            vec!["mend that line; email-oauth2-proxy does not read the file as it is either".to_owned()]
        }
        ImportError::NotUtf8 { .. } => vec!["save the file as UTF-8".to_owned()],
        ImportError::RemoteCache { .. } => {
            vec!["save the secret's JSON to a file of mode 0600, and name that with --cache-store".to_owned()]
        }
        ImportError::CacheJson { .. } => {
            vec!["it has the form {\"ACCOUNT\": {\"refresh_token\": \"…\", …}}".to_owned()]
        }
        ImportError::NoPasswords => vec![
            "write them to a file of mode 0600, one USER:PASSWORD in each line, and name that with --passwords FILE"
                .to_owned(),
            "--without-passwords moves the accounts without their tokens: each has to be authorised again".to_owned(),
        ],
        ImportError::PasswordsFile { .. } | ImportError::PasswordTwice { .. } => {
            vec!["write each account once, as USER:PASSWORD on a line of its own".to_owned()]
        }
        ImportError::ConfigurationThere { .. } => {
            vec!["name another file with --output FILE, or move that one away".to_owned()]
        }
        ImportError::DirectoryUnwritable { .. } => {
            vec![
                "name a file elsewhere with --output FILE; root can put it in its place afterwards".to_owned(),
                command::manual("from-email-oauth2-proxy.md"),
            ]
        }
        ImportError::NoPlaceForConfiguration => {
            vec!["name one with --output FILE".to_owned()]
        }
        ImportError::NotEmailOauth2Proxy { .. } => Vec::new(),
    }
}

pub(super) fn of_many(error: &Error) -> Vec<String> {
    match error {
        Error::Setup(SetupError::MailboxOfDomain { domain }) => {
            vec![format!("name one: imap-oauth-proxy setup {} --for …", quoted(&format!("NAME{domain}")))]
        }
        Error::Setup(SetupError::NoListener) => {
            vec!["add [[listeners]] for it, or remove those that there are for the default".to_owned()]
        }
        Error::Setup(SetupError::ProfileNeedsDoor { door }) => {
            vec![format!(
                "add [[listeners]] with protocol = {:?}, and authorise the account for it",
                door.name()
            )]
        }
        Error::Table(TableError::Line | TableError::Empty) => {
            vec!["write a line for each account: account,provider,owner,alias,…".to_owned()]
        }
        Error::FileThere { .. } => vec!["name another one; passwords overwrite nothing".to_owned()],
        Error::ForeignAliases { .. } => vec!["add --yes where that is meant".to_owned()],
        _ => Vec::new(),
    }
}

pub(super) fn of_keys(error: &Error) -> Vec<String> {
    match error {
        Error::ForeignKeys { current, .. } => vec![
            format!(
                "let it hold two lines: `{current} OLD-KEY` and `{} NEW-KEY`; openssl rand -base64 32 makes one",
                current.saturating_add(1)
            ),
            "restart serve where its keys come from the environment or a credential, then run keys rotate again"
                .to_owned(),
        ],
        Error::Keys(KeysError::NotEverywhere { key, keys: KeySource::File(file), .. }) => {
            let file = quoted(&file.to_string_lossy());
            vec![
                format!(
                    "copy {file} there, in place of the key file of each machine named, for the user of its serve alone: sudo install -m 600 -o USER {file} THERE"
                ),
                format!("then run keys rotate again, which goes on with key {key}; no serve needs a restart"),
            ]
        }
        Error::Keys(KeysError::NotEverywhere { key, .. }) => vec![format!(
            "give key {key} to each instance named, restart those whose keys come from the environment or a credential, then run keys rotate again"
        )],
        Error::Keys(KeysError::NotTold { key, .. }) => vec![format!(
            "look into the log of the serve there and restart it, then run keys rotate again, which goes on with key {key}"
        )],
        Error::Keys(KeysError::NotHere { key, keys: KeySource::File(file), .. }) => vec![format!(
            "copy the key file of a machine that has key {key} to {0} here, for the user of serve alone: sudo install -m 600 -o USER COPY {0}",
            quoted(&file.to_string_lossy())
        )],
        Error::Keys(KeysError::NotHere { key, keys, .. }) => {
            vec![format!("give {keys} the key {key} that another machine has, and restart serve here")]
        }
        Error::Keys(KeysError::NotAdded { key, keys, .. }) => vec![
            format!(
                "add a line to {keys} yourself, in its Secret where it comes from one: `{key} NEW-KEY`; openssl rand -base64 32 makes one, and a line with a key alone becomes `1 OLD-KEY`"
            ),
            "then run keys rotate again, which goes on with that key".to_owned(),
        ],
        Error::NotSealedHere { .. } => vec!["restore the key that this store was made with".to_owned()],
        _ => Vec::new(),
    }
}
