//! The cures of errors with moved accounts (between installations, from another program, from a table) and with keys.

use crate::command;
use crate::control::{Error, ImportError, KeysError, SetupError, TableError};
use crate::secret::KeySource;
use crate::secret::bundle::BundleError;
use crate::text::quoted;

pub(super) fn of_moving(error: &Error) -> Option<String> {
    Some(match error {
        Error::ApplicationsKey { account, provider } => format!(
            "there: {} --provider {} --app",
            command::authorize_account(account),
            quoted(provider)
        ),
        Error::Rotates { .. } => {
            "leave --copy out to move it, or authorise the account on the other host by itself".into()
        }
        Error::ShortPassphrase { .. } => "several words, or the output of: openssl rand -base64 18".into(),
        Error::ProviderMissing { .. } => "copy that table from the other installation's configuration".into(),
        Error::ParcelField { .. } => {
            "mend that where it was exported (accounts unalias removes an alias, tokens list shows the rest), or authorise the account here"
                .into()
        }
        Error::AliasHere { alias, account } => {
            format!("{} takes that alias away", command::unalias(account, alias))
        }
        Error::AlreadyHere { .. } => {
            "--replace puts the imported authorisation in its place; its app passwords stay".into()
        }
        Error::Bundle(BundleError::Recipient) => {
            format!("`{}` on the other host prints it", command::RECIPIENT)
        }
        _ => return None,
    })
}

pub(super) fn of_import(error: &Error) -> Option<String> {
    let Error::Import(error) = error else { return None };
    let cure = match error {
        ImportError::Ini { .. } => {
            "mend that line; email-oauth2-proxy does not read the file as it is either"
        }
        ImportError::NotUtf8 { .. } => "save the file as UTF-8",
        ImportError::RemoteCache { .. } => {
            "save the secret's JSON to a file of mode 0600, and name that with --cache-store"
        }
        ImportError::CacheJson { .. } => "it has the form {\"ACCOUNT\": {\"refresh_token\": \"…\", …}}",
        ImportError::PasswordsFile { .. } | ImportError::PasswordTwice { .. } => {
            "write each account once, as USER:PASSWORD on a line of its own"
        }
        ImportError::ConfigurationThere { .. } => {
            "name another file with --output FILE, or move that one away"
        }
        ImportError::NoPlaceForConfiguration => "name one with --output FILE",
        ImportError::NoPasswords
        | ImportError::DirectoryUnwritable { .. }
        | ImportError::NotEmailOauth2Proxy { .. } => return None,
    };
    Some(cure.to_owned())
}

pub(super) fn of_many(error: &Error) -> Option<String> {
    Some(match error {
        Error::Setup(SetupError::MailboxOfDomain { domain }) => {
            format!("name one: imap-oauth-proxy setup {} --for …", quoted(&format!("NAME{domain}")))
        }
        Error::Setup(SetupError::NoListener) => {
            "add [[listeners]] for it, or remove those that there are for the default".into()
        }
        Error::Setup(SetupError::ProfileNeedsDoor { door }) => {
            format!("add [[listeners]] with protocol = {:?}, and authorise the account for it", door.name())
        }
        Error::Table(TableError::Line | TableError::Empty) => {
            "write a line for each account: account,provider,owner,alias,…".into()
        }
        Error::FileThere { .. } => "name another one; passwords overwrite nothing".into(),
        Error::ForeignAliases { .. } => "add --yes where that is meant".into(),
        _ => return None,
    })
}

pub(super) fn of_keys(error: &Error) -> Option<String> {
    Some(match error {
        Error::Keys(KeysError::NotEverywhere { key, .. }) => format!(
            "give key {key} to each instance named, restart those whose keys come from the environment or a credential, then run keys rotate again"
        ),
        Error::Keys(KeysError::NotTold { key, .. }) => format!(
            "look into the log of the serve there and restart it, then run keys rotate again, which goes on with key {key}"
        ),
        Error::Keys(KeysError::NotHere { key, keys: KeySource::File(file), .. }) => format!(
            "copy the key file of a machine that has key {key} to {0} here, for the user of serve alone: sudo install -m 600 -o USER COPY {0}",
            quoted(&file.to_string_lossy())
        ),
        Error::Keys(KeysError::NotHere { key, keys, .. }) => {
            format!("give {keys} the key {key} that another machine has, and restart serve here")
        }
        Error::NotSealedHere { .. } => "restore the key that this store was made with".into(),
        _ => return None,
    })
}

/// The cures that are several steps, or several ways.
pub(super) fn steps(error: &Error) -> Option<Vec<String>> {
    Some(match error {
        Error::AnotherClient { provider, .. } => vec![
            "a provider accepts a refresh token from the client that it was issued to, and from no other"
                .into(),
            format!("copy [providers.{provider}] from the other installation's configuration"),
        ],
        Error::Import(ImportError::NoPasswords) => vec![
            "write them to a file of mode 0600, one USER:PASSWORD in each line, and name that with --passwords FILE"
                .into(),
            "--without-passwords moves the accounts without their tokens: each has to be authorised again".into(),
        ],
        Error::Import(ImportError::DirectoryUnwritable { .. }) => vec![
            "name a file elsewhere with --output FILE; root can put it in its place afterwards".into(),
            command::manual("from-email-oauth2-proxy.md"),
        ],
        Error::ForeignKeys { current, .. } => vec![
            format!(
                "let it hold two lines: `{current} OLD-KEY` and `{} NEW-KEY`; openssl rand -base64 32 makes one",
                current.saturating_add(1)
            ),
            "restart serve where its keys come from the environment or a credential, then run keys rotate again"
                .into(),
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
        Error::Keys(KeysError::NotAdded { key, keys, .. }) => vec![
            format!(
                "add a line to {keys} yourself, in its Secret where it comes from one: `{key} NEW-KEY`; openssl rand -base64 32 makes one, and a line with a key alone becomes `1 OLD-KEY`"
            ),
            "then run keys rotate again, which goes on with that key".into(),
        ],
        _ => return None,
    })
}
