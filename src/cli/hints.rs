//! What cures an error, as `hint:` lines: the one place where an error's cure becomes a command.

use crate::config::ConfigError;
use crate::control::{self, authorize, grants, keys, serving, transfer};
use crate::store::DirectoryError;
use crate::text::quoted;

/// The hints for an error of a command, whatever it failed with.
pub(super) fn of(error: &anyhow::Error) -> Vec<String> {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return error.hint().map(str::to_owned).into_iter().collect();
    }
    let any = error.downcast_ref::<control::Error>().map(of_any);
    any.or_else(|| error.downcast_ref().map(of_authorizing))
        .or_else(|| error.downcast_ref().map(of_grants))
        .or_else(|| error.downcast_ref().map(of_keys))
        .or_else(|| error.downcast_ref().map(of_transfer))
        .or_else(|| error.downcast_ref().map(of_serving))
        .unwrap_or_default()
}

pub(super) fn of_any(error: &control::Error) -> Vec<String> {
    use control::Error as E;
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
        _ => Vec::new(),
    }
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

fn of_authorizing(error: &authorize::Error) -> Vec<String> {
    use authorize::Error as E;
    match error {
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
        E::Other(error) => of_any(error),
        _ => Vec::new(),
    }
}

fn of_grants(error: &grants::Error) -> Vec<String> {
    use grants::Error as E;
    match error {
        E::NothingToRefresh { account } => vec![format!("imap-oauth-proxy authorize {}", quoted(account))],
        E::TokenForEachMailbox { account } => vec![format!(
            "imap-oauth-proxy tokens refresh {} tries one of them",
            quoted(&format!("NAME{account}"))
        )],
        E::Other(error) => of_any(error),
        E::NothingToRevoke { .. } | E::NoToken { .. } => Vec::new(),
    }
}

fn of_keys(error: &keys::Error) -> Vec<String> {
    match error {
        keys::Error::ForeignSource { current, .. } => vec![
            format!(
                "let it hold two lines: `{current} OLD-KEY` and `{} NEW-KEY`; openssl rand -base64 32 makes one",
                current.saturating_add(1)
            ),
            "restart serve where its keys come from the environment or a credential, then run keys rotate again"
                .to_owned(),
        ],
        keys::Error::Other(error) => of_any(error),
        _ => Vec::new(),
    }
}

fn of_transfer(error: &transfer::Error) -> Vec<String> {
    use transfer::Error as E;
    match error {
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
        E::Field { .. } => vec![
            "mend that where it was exported (accounts unalias removes an alias, tokens list shows the rest), or authorise the account here"
                .to_owned(),
        ],
        E::AliasHere { .. } => vec!["accounts unalias takes that alias away".to_owned()],
        E::AlreadyHere { .. } => {
            vec!["--replace puts the imported authorisation in its place; its app passwords stay".to_owned()]
        }
        E::TransferKey(error) => of_keys(error),
        E::Other(error) => of_any(error),
        _ => Vec::new(),
    }
}

fn of_serving(error: &serving::Error) -> Vec<String> {
    match error {
        serving::Error::Other(error) => of_any(error),
        serving::Error::Identity(_) | serving::Error::Bind(_) => Vec::new(),
    }
}
