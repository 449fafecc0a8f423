//! The cures of errors as texts with commands. The terminal prints them as `hint:` lines; the page has its own texts
//! for what it offers as a button (`admin/page/remedies.rs`), and uses these for the rest.

mod machine;
mod moving;

use crate::command;
use crate::config::nearest_name;
use crate::control::{ApiTokenError, Error, NameOf, OldName};
use crate::text::quoted;

pub(crate) use machine::{as_that_user, configuration_file, of_foreign};
use machine::{of_check, of_machine, of_this_user};
use moving::{of_import, of_keys, of_many, of_moving, steps};

/// The cures of an operation's error; empty if the message contains the cure, or there is none.
pub(crate) fn cures(error: &Error) -> Vec<String> {
    // These first: some are special cases of an error that has one cure otherwise.
    let of_several = [several, steps, of_this_user];
    if let Some(cures) = of_several.iter().find_map(|cures| cures(error)) {
        return cures;
    }
    let one = [
        of_form,
        of_account,
        of_provider,
        of_authorizing,
        of_grant,
        of_moving,
        of_import,
        of_many,
        of_keys,
        of_check,
        of_machine,
    ];
    one.iter().find_map(|cure| cure(error)).into_iter().collect()
}

/// The cures for a line of a table of accounts, where a cure may be another column.
pub(crate) fn of_table(error: &Error) -> Vec<String> {
    match error {
        Error::AlreadyHere { account } => {
            vec![format!("leave its line out; {} authorises it again", command::authorize_account(account))]
        }
        Error::UnknownDomain { known, .. } => {
            vec![format!("write its provider in the second column: one of {}", known.join(", "))]
        }
        Error::NoProvider { known, .. } => {
            vec![format!("the second column can be one of {}", known.join(", "))]
        }
        error => cures(error),
    }
}

/// The cure of a mistake in a field or an argument, which is the same at every surface.
pub(crate) fn of_form(error: &Error) -> Option<String> {
    Some(match error {
        Error::Network { .. } => "write one such as 192.168.7.0/24 or 2001:db8::/32, or an address".into(),
        Error::HostBits { whole, alone, .. } => {
            format!("write {whole} for the network, {alone} for the one address")
        }
        Error::TooManyNetworks { .. } => "name the networks around them".into(),
        Error::Day { .. } => "write a day before 2200 as YYYY-MM-DD".into(),
        Error::LoginName(_) => {
            "it must have 1 to 320 characters, no blanks at its ends and no control characters".into()
        }
        Error::AccountName { .. } => "give the mailbox's address, as its provider writes it".into(),
        Error::OwnerName { .. } => "give the address that the person signs in with at the provider".into(),
        Error::AliasOfOwner { .. } => "choose another name".into(),
        Error::NoProviderWithClient { provider } => format!("put [providers.{provider}] back"),
        _ => return None,
    })
}

fn of_account(error: &Error) -> Option<String> {
    Some(match error {
        Error::OnlyItsDomain { .. } => format!("{} shows all accounts", command::ACCOUNTS),
        Error::NoAlias { .. } => format!("{} shows all aliases", command::ACCOUNTS),
        Error::NoPassword { account, .. } => {
            format!("imap-oauth-proxy passwords list {} shows its passwords", quoted(account))
        }
        Error::AppPasswordsOver { account } => command::prolong(account, "NAME"),
        Error::PasswordLength { .. } => "without --stdin a good one is made".into(),
        Error::ApiToken(ApiTokenError::Unknown { .. } | ApiTokenError::TooMany { .. }) => {
            format!("{} shows all tokens", command::API_TOKENS)
        }
        Error::ApiToken(ApiTokenError::Taken { .. }) => {
            "choose another name, or revoke that token first".into()
        }
        Error::NoAppPassword { account } => command::create_password(account),
        Error::NoProtocol { known, .. } => format!("write some of {} with commas between", known.join(", ")),
        Error::DayOver { .. } => "passwords revoke ends a password at once".into(),
        Error::PersonsDomain { .. } => {
            format!("{} --app makes such an account", command::authorize_account("@DOMAIN"))
        }
        Error::AliasName { .. } => "give a plain login name, such as `support` or CORP\\support".into(),
        Error::OldName(name) => renaming(name),
        _ => return None,
    })
}

fn of_provider(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoPersonsClient { name, .. } => {
            format!("set client_id in [providers.{name}], or authorise with --app")
        }
        Error::ServiceAccountOnly { name, .. } => format!(
            "set service_account_file in [providers.{name}]; how to get one: {}",
            command::manual("google.md")
        ),
        _ => return None,
    })
}

fn of_authorizing(error: &Error) -> Option<String> {
    Some(match error {
        Error::DomainNeedsApplication { account } => format!("{} --app", command::authorize_account(account)),
        Error::ApplicationNeedsPassword => "leave --no-app-password out".into(),
        Error::NotTheOwners { owner, account, .. } => format!(
            "give {owner} full access to {account} at the provider, wait until that holds, and run this again"
        ),
        Error::NoServerForDoor { name, door, .. } => format!(
            "leave {} out, or set {} = \"HOST:PORT\" in [providers.{name}]",
            door.name(),
            door.server_key()
        ),
        Error::NoMailboxToProve { .. } => "name one of them with --probe ADDRESS".into(),
        _ => return None,
    })
}

fn of_grant(error: &Error) -> Option<String> {
    Some(match error {
        Error::NothingToRefresh { account } | Error::NoGrant { account } => {
            command::authorize_account(account)
        }
        Error::DoorClosed { account, grant, wanted, .. } => {
            let doors: Vec<&str> = wanted.iter().map(|door| door.name()).collect();
            command::authorize_for(grant, account, &doors)
        }
        Error::TokenForEachMailbox { account } => {
            format!("imap-oauth-proxy tokens refresh {} tries one of them", quoted(&format!("NAME{account}")))
        }
        Error::DomainOfPerson { account } => removing(account),
        _ => return None,
    })
}

/// The cures of errors that have more than one.
fn several(error: &Error) -> Option<Vec<String>> {
    Some(match error {
        Error::NoAccount { name } => vec![
            format!("{} shows all accounts", command::ACCOUNTS),
            format!("{} makes it", command::authorize_account(name)),
        ],
        Error::NoProvider { name, known } => {
            let near = nearest_name(name, known.iter().map(String::as_str));
            let meant = near.map(|near| format!("did you mean {near}?"));
            meant.into_iter().chain([format!("there are {}", known.join(", "))]).collect()
        }
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
        Error::RedirectElsewhere { account, .. } => vec![
            format!("{} --paste works without it", command::authorize_account(account)),
            "or let your web server pass that address on to a running `imap-oauth-proxy serve`: set url = \"https://…\" in [admin]"
                .into(),
        ],
        Error::NoConsent { .. } => vec![
            "run the command again; --timeout SECONDS waits longer".into(),
            "where the browser showed an error of the provider's, that is the reason: it never sends such a browser back; `redirect_uri_mismatch` and AADSTS50011 mean redirect_uri, `invalid_client` and AADSTS700016 mean client_id"
                .into(),
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
        _ => return None,
    })
}

/// The cure of the grant's or provider's trouble inside `error`, as a clause for the line of that error; `None` for
/// other errors.
pub(crate) fn mending(error: &Error) -> Option<String> {
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

/// The causes of an error on one line, and the cure.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let text = causes(error);
    match error.downcast_ref().and_then(mending) {
        Some(cure) => format!("{text}; {cure}"),
        None => text,
    }
}

/// The causes of an error on one line, each once, because many messages contain their source's text.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        next = error.source();
    }
    text
}

/// The command that removes an old name.
pub(crate) fn renaming(name: &OldName) -> String {
    match name.of {
        NameOf::Alias => command::unalias(&name.account, &name.name),
        NameOf::Account | NameOf::Owner => removing(&name.account),
    }
}

fn removing(account: &str) -> String {
    format!("{}, and authorize again", command::remove_account(account))
}
