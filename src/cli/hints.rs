//! The cures of errors, as `hint:` lines: only here a cure becomes a command.

use std::path::{Path, PathBuf};

use crate::admin::ask::AskError;
use crate::command;
use crate::config::{ConfigError, ConfigHint};
use crate::control::{Error, NameOf, OldName};
use crate::secret::bundle::BundleError;
use crate::store::{DirectoryError, RestoreError};
use crate::text::quoted;
use crate::tls::IdentityError;

/// The hints for any error of a command.
pub(super) fn of(error: &anyhow::Error) -> Vec<String> {
    if let Some(AskError::Directory(DirectoryError::Foreign { owner, path })) = error.downcast_ref() {
        return of_foreign(owner, path);
    }
    match (error.downcast_ref::<ConfigError>(), error.downcast_ref::<Error>()) {
        (Some(error), _) => error.hint().map(of_configuration).into_iter().collect(),
        (None, Some(error)) => cures(error),
        (None, None) => Vec::new(),
    }
}

fn as_that_user(owner: &str) -> String {
    format!("run it as that user: {}", command_line(owner))
}

/// The hints for another user's state directory. Root's was most often made by mistake, with a command as root.
fn of_foreign(owner: &str, path: &Path) -> Vec<String> {
    let mut hints = vec![as_that_user(owner)];
    if owner == "root" {
        hints.push(format!(
            "if a command run as root made it by mistake, give it to the service's user: sudo chown -R USER {}",
            quoted(&path.to_string_lossy())
        ));
    }
    hints
}

fn of_configuration(hint: &ConfigHint) -> String {
    match hint {
        ConfigHint::Words(words) => words.clone(),
        ConfigHint::AsUser(user) => as_that_user(user),
        ConfigHint::EveryKey => format!("`{}` shows every key", command::CONFIG_EXAMPLE),
    }
}

/// The cures of an operation's error; empty if the message contains the cure, or there is none.
pub(super) fn cures(error: &Error) -> Vec<String> {
    let kinds = [
        of_account,
        of_limits,
        of_name,
        of_provider,
        of_authorizing,
        of_grant,
        of_moving,
        of_import,
        of_keys,
        of_check,
        of_machine,
    ];
    kinds.iter().flat_map(|cures| cures(error)).collect()
}

fn of_account(error: &Error) -> Vec<String> {
    match error {
        Error::NoAccount { name } => vec![
            format!("{} shows all accounts", command::ACCOUNTS),
            format!("{} makes it", command::authorize_account(name)),
        ],
        Error::OnlyItsDomain { .. } => vec![format!("{} shows all accounts", command::ACCOUNTS)],
        Error::NoAlias { .. } => vec![format!("{} shows all aliases", command::ACCOUNTS)],
        Error::NoPassword { account, .. } => {
            vec![format!("imap-oauth-proxy passwords list {} shows its passwords", quoted(account))]
        }
        Error::AppPasswordsOver { account } => vec![command::prolong(account, "NAME")],
        Error::PasswordLength { .. } => vec!["without --stdin a good one is made".to_owned()],
        Error::NoAppPassword { account } => vec![command::create_password(account)],
        _ => Vec::new(),
    }
}

fn of_limits(error: &Error) -> Vec<String> {
    match error {
        Error::NoProtocol { known, .. } => {
            vec![format!("write some of {} with commas between", known.join(", "))]
        }
        Error::Network { .. } => {
            vec!["write one such as 192.168.7.0/24 or 2001:db8::/32, or an address".to_owned()]
        }
        Error::HostBits { whole, alone, .. } => {
            vec![format!("write {whole} for the network, {alone} for the one address")]
        }
        Error::TooManyNetworks { .. } => vec!["name the networks around them".to_owned()],
        Error::Day { .. } => vec!["write a day before 2200 as YYYY-MM-DD".to_owned()],
        Error::DayOver { .. } => vec!["passwords revoke ends a password at once".to_owned()],
        _ => Vec::new(),
    }
}

fn of_name(error: &Error) -> Vec<String> {
    match error {
        Error::LoginName(_) => vec![
            "it must have 1 to 320 characters, no blanks at its ends and no control characters".to_owned(),
        ],
        Error::PersonsDomain { .. } => {
            vec![format!("{} --app makes such an account", command::authorize_account("@DOMAIN"))]
        }
        Error::AccountName { .. } => vec!["give the mailbox's address, as its provider writes it".to_owned()],
        Error::OwnerName { .. } => {
            vec!["give the address that the person signs in with at the provider".to_owned()]
        }
        Error::AliasName { .. } => {
            vec!["give a plain login name, such as `support` or CORP\\support".to_owned()]
        }
        Error::AliasOfOwner { .. } => vec!["choose another name".to_owned()],
        Error::OldName(name) => vec![renaming(name)],
        _ => Vec::new(),
    }
}

fn of_provider(error: &Error) -> Vec<String> {
    match error {
        Error::NoProvider { known, .. } => vec![format!("there are {}", known.join(", "))],
        Error::UnknownDomain { account, owner, known } => vec![
            format!(
                "name it: {} --provider NAME",
                command::authorize_person(account, owner.as_deref().unwrap_or(account))
            ),
            format!("NAME is one of {}", known.join(", ")),
        ],
        Error::NoClient { registration, .. } => vec![
            format!("how to get one:\n\n{}", registration.trim()),
            format!("the configuration file is {}; then run this command again", configuration_file()),
        ],
        Error::NoPersonsClient { name, .. } => {
            vec![format!("set client_id in [providers.{name}], or authorise with --app")]
        }
        Error::ServiceAccountOnly { name, .. } => vec![format!(
            "set service_account_file in [providers.{name}]; how to get one: {}",
            command::manual("google.md")
        )],
        Error::NoApplication { name, .. } => vec![
            format!(
                "Microsoft: client_secret_file or client_assertion_file, or app_certificate and app_key, in [providers.{name}]; the rest: {}",
                command::manual("microsoft.md")
            ),
            format!(
                "Google: service_account_file in [providers.{name}]; the rest: {}",
                command::manual("google.md")
            ),
            format!("others: client_secret and app_scopes in [providers.{name}]"),
        ],
        Error::NoProviderWithClient { provider } => vec![format!("put [providers.{provider}] back")],
        _ => Vec::new(),
    }
}

fn of_authorizing(error: &Error) -> Vec<String> {
    match error {
        Error::DomainNeedsApplication { account } => {
            vec![format!("{} --app", command::authorize_account(account))]
        }
        Error::ApplicationNeedsPassword => vec!["leave --no-app-password out".to_owned()],
        Error::RedirectElsewhere { account, .. } => vec![
            format!("{} --paste works without it", command::authorize_account(account)),
            "or let your web server pass that address on to a running `imap-oauth-proxy serve`: set address in [callback]"
                .to_owned(),
        ],
        Error::NoConsent { .. } => vec![
            "run the command again; --timeout SECONDS waits longer".to_owned(),
            "where the browser showed an error of the provider's, that is the reason: it never sends such a browser back; `redirect_uri_mismatch` and AADSTS50011 mean redirect_uri, `invalid_client` and AADSTS700016 mean client_id"
                .to_owned(),
        ],
        Error::AnotherPerson { names, owner, account, provider } => {
            let mut command = command::authorize_account(account);
            if let Some(provider) = provider {
                command.push_str(&format!(" --provider {}", quoted(provider)));
            }
            let name = names.first().map_or_else(|| "ADDRESS".to_owned(), |name| quoted(name));
            vec![
                format!("sign in as {owner} (a private browser window forgets the other sign-in)"),
                format!("if {} may open {account}: {command} --owner {name}", names.join(" or ")),
            ]
        }
        Error::NotTheOwners { owner, account, .. } => vec![format!(
            "give {owner} full access to {account} at the provider, wait until that holds, and run this again"
        )],
        Error::NoServerForDoor { name, door, .. } => vec![format!(
            "leave {} out, or set {} = \"HOST:PORT\" in [providers.{name}]",
            door.name(),
            door.server_key()
        )],
        Error::NoMailboxToProve { .. } => vec!["name one of them with --probe ADDRESS".to_owned()],
        _ => Vec::new(),
    }
}

fn of_grant(error: &Error) -> Vec<String> {
    match error {
        Error::NothingToRefresh { account } | Error::NoGrant { account } => {
            vec![command::authorize_account(account)]
        }
        Error::DoorClosed { account, grant, wanted, .. } => {
            let doors: Vec<&str> = wanted.iter().map(|door| door.name()).collect();
            vec![command::authorize_for(grant, account, &doors)]
        }
        Error::TokenForEachMailbox { account } => vec![format!(
            "imap-oauth-proxy tokens refresh {} tries one of them",
            quoted(&format!("NAME{account}"))
        )],
        Error::DomainOfPerson { account } => vec![removing(account)],
        _ => Vec::new(),
    }
}

fn of_moving(error: &Error) -> Vec<String> {
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
            "correct that on the host that exported it (accounts unalias removes an alias, tokens list shows the rest), or authorise the account here"
                .to_owned(),
        ],
        Error::AliasHere { .. } => vec!["accounts unalias takes that alias away".to_owned()],
        Error::AlreadyHere { .. } => {
            vec!["--replace puts the imported authorisation in its place; its app passwords stay".to_owned()]
        }
        Error::Bundle(BundleError::Recipient) => {
            vec![format!("`{}` on the other host prints it", command::RECIPIENT)]
        }
        _ => Vec::new(),
    }
}

fn of_import(error: &Error) -> Vec<String> {
    match error {
        Error::Ini { .. } => {
            vec!["mend that line; email-oauth2-proxy does not read the file as it is either".to_owned()]
        }
        Error::NotUtf8 { .. } => vec!["save the file as UTF-8".to_owned()],
        Error::RemoteCache { .. } => {
            vec!["save the secret's JSON to a file of mode 0600, and name that with --cache-store".to_owned()]
        }
        Error::CacheJson { .. } => {
            vec!["it has the form {\"ACCOUNT\": {\"refresh_token\": \"…\", …}}".to_owned()]
        }
        Error::PasswordsFile { .. } => {
            vec!["write each account once, as USER:PASSWORD on a line of its own".to_owned()]
        }
        Error::ConfigurationThere { .. } => {
            vec!["name another file: imap-oauth-proxy --config FILE import …".to_owned()]
        }
        Error::MailboxOfDomain { domain } => {
            vec![format!("name one: imap-oauth-proxy setup {} --for …", quoted(&format!("NAME{domain}")))]
        }
        Error::NoListener => {
            vec!["add [[listeners]] for it, or remove those that there are for the default".to_owned()]
        }
        Error::ProfileNeedsDoor { door } => {
            vec![format!(
                "add [[listeners]] with protocol = {:?}, and authorise the account for it",
                door.name()
            )]
        }
        Error::TableLine | Error::TableEmpty => {
            vec!["write a line for each account: account,provider,owner,alias,…".to_owned()]
        }
        Error::FileThere { .. } => vec!["name another one; passwords overwrite nothing".to_owned()],
        Error::ForeignAliases { .. } => vec!["add --yes where that is meant".to_owned()],
        Error::NoPlaceForConfiguration => {
            vec!["name one: imap-oauth-proxy --config FILE import …".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn of_keys(error: &Error) -> Vec<String> {
    match error {
        Error::ForeignKeys { current, .. } => vec![
            format!(
                "let it hold two lines: `{current} OLD-KEY` and `{} NEW-KEY`; openssl rand -base64 32 makes one",
                current.saturating_add(1)
            ),
            "restart serve if its keys come from the environment or a credential, then run keys rotate again"
                .to_owned(),
        ],
        Error::NotSealedHere { .. } => vec!["restore the key that this store was made with".to_owned()],
        _ => Vec::new(),
    }
}

/// The cures of an error on the way to the provider's servers.
fn of_check(error: &Error) -> Vec<String> {
    match error {
        Error::NoAddress { .. } | Error::NotFound { .. } => {
            vec!["check the host of the provider's server and this machine's DNS".to_owned()]
        }
        Error::Unreachable { .. } => {
            vec![
                "check this machine's network and firewall, and the port of the provider's server".to_owned(),
            ]
        }
        Error::NoHandshake(_) => vec!["try again later".to_owned()],
        Error::Refused(_) | Error::NotListed(_) if !error.needs_person() => {
            vec!["try again later".to_owned()]
        }
        _ => Vec::new(),
    }
}

fn of_machine(error: &Error) -> Vec<String> {
    match error {
        Error::OwnCertificate(_) => {
            vec!["remove [tls] certificate and key from the configuration to have one".to_owned()]
        }
        Error::Restore(RestoreError::InUse(_)) => {
            vec!["stop serve, and wait for the commands that are running".to_owned()]
        }
        Error::Directory(DirectoryError::Foreign { owner, path }) => of_foreign(owner, path),
        Error::Directory(DirectoryError::Failed(path, error))
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            vec![
                "for a service: start it once, which makes the directory; then run this as its user, with sudo -u USER"
                    .to_owned(),
                format!(
                    "by hand: sudo install -d -m 700 -o \"$(id -un)\" {}; or choose another with state_directory",
                    quoted(&path.to_string_lossy())
                ),
            ]
        }
        Error::Directory(DirectoryError::Failed(..)) => vec![
            "choose another with state_directory in the configuration, or STATE_DIRECTORY in the environment"
                .to_owned(),
        ],
        Error::Authority(error) | Error::Identity(IdentityError::Authority(error))
            if error.needs_new_ca() =>
        {
            vec![format!("{} makes a new CA", command::RENEW_CA)]
        }
        _ => Vec::new(),
    }
}

/// The cure of a grant's or a provider's trouble, in the words of its line.
pub(super) fn mending(error: &Error) -> Option<String> {
    let cure = match error {
        Error::NoToken { account, grant, failure } | Error::NotRefreshed { account, grant, failure } => {
            failure.trouble().cure.words(&command::authorize(grant, account))
        }
        Error::Provider { account, error } => error.cure()?.words(&command::authorize_account(account)),
        Error::RefreshTokenRefused { account, error, .. } => {
            error.refusal().cure.words(&command::authorize_account(account))
        }
        Error::Client(error) => error.refusal().cure.words(&command::authorize_account("ACCOUNT")),
        _ => return None,
    };
    (!cure.is_empty()).then_some(cure)
}

/// The command that removes an old name.
pub(super) fn renaming(name: &OldName) -> String {
    match name.of {
        NameOf::Alias => unalias(&name.account, &name.name),
        NameOf::Account | NameOf::Owner => removing(&name.account),
    }
}

pub(super) fn unalias(account: &str, alias: &str) -> String {
    format!("imap-oauth-proxy accounts unalias {} {}", quoted(account), positional(alias))
}

fn removing(account: &str) -> String {
    format!("imap-oauth-proxy accounts remove {}, and authorize again", positional(account))
}

/// The last word of a command, if it may look like an option.
fn positional(name: &str) -> String {
    let dashes = if name.starts_with('-') { "-- " } else { "" };
    format!("{dashes}{}", quoted(name))
}

/// The configuration file in use, or the one that would be used: the machine's for root, else the user's.
fn configuration_file() -> String {
    let read = crate::config::default_file().ok().flatten();
    let by_environment = std::env::var_os("IMAP_OAUTH_PROXY_CONFIG").map(PathBuf::from);
    let by_option = std::env::args().skip_while(|word| word != "--config").nth(1).map(PathBuf::from);
    let files = crate::config::default_files();
    let would_be = match rustix::process::geteuid().is_root() {
        true => files.last().cloned(),
        false => files.first().cloned(),
    };
    let file = by_option.or(by_environment).or(read).or(would_be);
    file.map_or_else(|| "named by --config FILE".to_owned(), |file| file.display().to_string())
}

/// This same command under `sudo -u`, with the paths from the environment as options, because sudo removes them.
fn command_line(owner: &str) -> String {
    let mut words = vec!["sudo".to_owned(), "-u".to_owned(), owner.to_owned()];
    for variable in ["STATE_DIRECTORY", "XDG_STATE_HOME", "IMAP_OAUTH_PROXY_CONFIG", "XDG_CONFIG_HOME"] {
        if let Ok(value) = std::env::var(variable) {
            words.push(format!("{variable}={value}"));
        }
    }
    words.extend(std::env::args());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
