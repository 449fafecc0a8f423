//! What cures an error, as `hint:` lines: the one place where a cure becomes a command.

use crate::command;
use crate::config::ConfigError;
use crate::control::{Error, NameOf, OldName};
use crate::store::DirectoryError;
use crate::text::quoted;

/// The hints for an error of a command, whatever it failed with.
pub(super) fn of(error: &anyhow::Error) -> Vec<String> {
    match (error.downcast_ref::<ConfigError>(), error.downcast_ref::<Error>()) {
        (Some(error), _) => error.hint().map(str::to_owned).into_iter().collect(),
        (None, Some(error)) => cures(error),
        (None, None) => Vec::new(),
    }
}

/// What cures an error of an operation; nothing where its message says so, or nothing does.
pub(super) fn cures(error: &Error) -> Vec<String> {
    use Error as E;
    match error {
        E::NoAccount { name } => vec![
            "imap-oauth-proxy accounts list shows all accounts".to_owned(),
            format!("imap-oauth-proxy authorize {} makes it", quoted(name)),
        ],
        E::OnlyItsDomain { .. } => vec!["imap-oauth-proxy accounts list shows all accounts".to_owned()],
        E::LoginName(_) => vec![
            "it must have 1 to 320 characters, no blanks at its ends and no control characters".to_owned(),
        ],
        E::PersonsDomain { .. } => {
            vec!["imap-oauth-proxy authorize @DOMAIN --app makes such an account".to_owned()]
        }
        E::AccountName { .. } => vec!["give the mailbox's address, as its provider writes it".to_owned()],
        E::OwnerName { .. } => {
            vec!["give the address that the person signs in with at the provider".to_owned()]
        }
        E::AliasName { .. } => {
            vec!["give a plain login name, such as `support` or CORP\\support".to_owned()]
        }
        E::AliasOfOwner { .. } => vec!["choose another name".to_owned()],
        E::NoAlias { .. } => vec!["imap-oauth-proxy accounts list shows all aliases".to_owned()],
        E::NoPassword { account, .. } => {
            vec![format!("imap-oauth-proxy passwords list {} shows its passwords", quoted(account))]
        }
        E::NoProtocol { known, .. } => vec![format!("write some of {} with commas between", known.join(", "))],
        E::ProtocolOfLater { .. } => vec!["leave it out".to_owned()],
        E::Network { .. } => vec!["write one such as 192.168.7.0/24 or 2001:db8::/32, or an address".to_owned()],
        E::HostBits { whole, alone, .. } => {
            vec![format!("write {whole} for the network, {alone} for the one address")]
        }
        E::TooManyNetworks { .. } => vec!["name the networks around them".to_owned()],
        E::Day { .. } => vec!["write a day before 2200 as YYYY-MM-DD".to_owned()],
        E::DayOver { .. } => vec!["passwords revoke ends a password at once".to_owned()],
        E::PasswordLength { .. } => vec!["without --stdin a good one is made".to_owned()],
        E::NoProvider { known, .. } => vec![format!("there are {}", known.join(", "))],
        E::UnknownDomain { account, known } => vec![
            format!("name it: imap-oauth-proxy authorize {} --provider NAME", quoted(account)),
            format!("NAME is one of {}", known.join(", ")),
        ],
        E::NoClient { registration, .. } => vec![format!("how to get one:\n\n{}", registration.trim())],
        E::OwnCertificate(_) => {
            vec!["remove [tls] certificate and key from the configuration to have one".to_owned()]
        }
        E::Directory(DirectoryError::Foreign { owner, .. }) => {
            vec![format!("run it as that user: {}", command_line(owner))]
        }
        E::Directory(DirectoryError::Failed(..)) => vec![
            "choose another with state_directory in the configuration, or STATE_DIRECTORY in the environment"
                .to_owned(),
        ],
        E::DomainNeedsApplication { account } => {
            vec![format!("imap-oauth-proxy authorize {} --app", quoted(account))]
        }
        E::ApplicationNeedsPassword => vec!["leave --no-app-password out".to_owned()],
        E::NoPersonsClient { name, .. } => {
            vec![format!("set client_id in [providers.{name}], or authorise with --app")]
        }
        E::ServiceAccountOnly { name, .. } => vec![format!(
            "set service_account_file in [providers.{name}]; docs/google.md tells how to get one"
        )],
        E::NoApplication { name, .. } => vec![
            format!(
                "Microsoft: client_secret_file, or app_certificate and app_key, in [providers.{name}]; docs/microsoft.md tells the rest"
            ),
            format!("Google: service_account_file in [providers.{name}]; docs/google.md tells the rest"),
            format!("others: client_secret and app_scopes in [providers.{name}]"),
        ],
        E::RedirectElsewhere { account, .. } => vec![
            format!("imap-oauth-proxy authorize {} --paste works without it", quoted(account)),
            "or let your web server pass that address on to a running `imap-oauth-proxy serve`: set address in [callback]"
                .to_owned(),
        ],
        E::NoConsent { .. } => vec!["run the command again; --timeout SECONDS waits longer".to_owned()],
        E::AnotherPerson { names, owner, account, provider } => {
            let mut command = format!("imap-oauth-proxy authorize {}", quoted(account));
            if let Some(provider) = provider {
                command.push_str(&format!(" --provider {}", quoted(provider)));
            }
            let name = names.first().map_or_else(|| "ADDRESS".to_owned(), |name| quoted(name));
            vec![
                format!("sign in as {owner} (a private browser window forgets the other sign-in)"),
                format!("if {} may open {account}: {command} --owner {name}", names.join(" or ")),
            ]
        }
        E::NotTheOwners { owner, account, .. } => vec![format!(
            "give {owner} full access to {account} at the provider, wait until that holds, and run this again"
        )],
        E::NothingToRefresh { account } | E::NoGrant { account } => vec![format!("imap-oauth-proxy authorize {}", quoted(account))],
        E::TokenForEachMailbox { account } => vec![format!(
            "imap-oauth-proxy tokens refresh {} tries one of them",
            quoted(&format!("NAME{account}"))
        )],
        E::ForeignKeys { current, .. } => vec![
            format!(
                "let it hold two lines: `{current} OLD-KEY` and `{} NEW-KEY`; openssl rand -base64 32 makes one",
                current.saturating_add(1)
            ),
            "restart serve where its keys come from the environment or a credential, then run keys rotate again"
                .to_owned(),
        ],
        E::ApplicationsKey { account, provider } => vec![format!(
            "there: imap-oauth-proxy authorize {} --provider {} --app",
            quoted(account),
            quoted(provider)
        )],
        E::Rotates { .. } => vec![
            "leave --copy out to move it, or authorise the account on the other host by itself".to_owned(),
        ],
        E::ShortPassphrase { .. } => {
            vec!["several words, or the output of: openssl rand -base64 18".to_owned()]
        }
        E::ProviderMissing { .. } => {
            vec!["copy that table from the other installation's configuration".to_owned()]
        }
        E::AnotherClient { provider, .. } => vec![
            "a provider accepts a refresh token from the client that it was issued to, and from no other"
                .to_owned(),
            format!("copy [providers.{provider}] from the other installation's configuration"),
        ],
        E::ParcelField { .. } => vec![
            "mend that where it was exported (accounts unalias removes an alias, tokens list shows the rest), or authorise the account here"
                .to_owned(),
        ],
        E::AliasHere { .. } => vec!["accounts unalias takes that alias away".to_owned()],
        E::AlreadyHere { .. } => {
            vec!["--replace puts the imported authorisation in its place; its app passwords stay".to_owned()]
        }
        E::NotSealedHere { .. } => vec!["restore the key that this store was made with".to_owned()],
        E::NoAppPassword { account } => {
            vec![format!("imap-oauth-proxy passwords create {} --name NAME", quoted(account))]
        }
        E::AppPasswordsOver { account } => vec![command::prolong(account, "NAME")],
        E::OldName(name) => vec![renaming(name)],
        E::DomainOfPerson { account } => vec![removing(account)],
        E::NoProviderWithClient { provider } => vec![format!("put [providers.{provider}] back")],
        E::NoAddress { .. } | E::NotFound { .. } => {
            vec!["check the provider's imap host and this machine's DNS".to_owned()]
        }
        E::Unreachable { .. } => {
            vec!["check this machine's network and firewall, and the port of the provider's imap".to_owned()]
        }
        E::NoHandshake(_) => vec!["try again later".to_owned()],
        E::Refused(_) | E::NotListed(_) if !error.needs_person() => vec!["try again later".to_owned()],
        _ => Vec::new(),
    }
}

/// What mends the grant's trouble that an error is about, in the words of its line.
pub(super) fn mending(error: &Error) -> Option<String> {
    let (Error::NoToken { account, grant, failure } | Error::NotRefreshed { account, grant, failure }) =
        error
    else {
        return None;
    };
    let cure = failure.trouble().cure.words(&command::authorize(grant, account));
    (!cure.is_empty()).then_some(cure)
}

/// What takes a name away that is stored from before.
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

/// The last word of a command, where it may look like an option.
fn positional(name: &str) -> String {
    let dashes = if name.starts_with('-') { "-- " } else { "" };
    format!("{dashes}{}", quoted(name))
}

/// This very command under `sudo -u`, with what the environment told spelt out: sudo drops that.
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
