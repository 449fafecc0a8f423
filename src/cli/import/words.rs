//! The words of an import: accounts that move, sections that do not, and changes.

mod changes;

use self::changes::{changed, place};
use crate::cli::print;
use crate::command;
use crate::config::Door;
use crate::control::import::{Approach, Awaited, Fate, Left, Moving, Obstacle, Scheme, Token, Why};
use crate::store::GrantKind;
use crate::surface::cures;
use crate::text::{one_line, quoted};

/// Prints the accounts that will move. With `asks`, passwords will be asked for.
pub(super) fn would_move(scheme: &Scheme, asks: bool) {
    let locked: Vec<&Left> = scheme.locked().filter(|_| asks).collect();
    if !scheme.accounts.is_empty() || !locked.is_empty() {
        print::data("These accounts would move:");
    }
    for account in &scheme.accounts {
        print::data(&format!("  {}", moving(account, asks)));
    }
    for Left { section, why, .. } in locked {
        let what = if *why == Why::SecretIsPassword { "is" } else { "opens" };
        print::data(&format!(
            "  {section}: you will be asked for its mail password, which {what} its client secret, and keeps working"
        ));
    }
}

/// Prints the sections that do not move, and the changes. With `asks`, passwords will be asked for.
pub(super) fn leaving(scheme: &Scheme, asks: bool) {
    let staying: Vec<&Left> =
        scheme.left.iter().filter(|left| !(asks && left.why.needs_password())).collect();
    if !staying.is_empty() {
        print::data("These sections stay behind:");
    }
    for Left { section, line, why } in staying {
        print::data(&format!("  [{section}]{}: {}", place(*line), left(section, why)));
    }
    if !scheme.changes.is_empty() {
        print::data("These things will change; please read them:");
    }
    for change in &scheme.changes {
        print::data(&format!("  {}", changed(change, scheme)));
    }
}

/// Prints what would stop `serve` outside of the new configuration.
pub(super) fn obstacles(obstacles: &[Obstacle]) {
    if !obstacles.is_empty() {
        print::data("With the new configuration `serve` would not start:");
    }
    for Obstacle { section, message } in obstacles {
        let place = section.as_ref().map_or(String::new(), |section| format!("[{section}]: "));
        print::data(&format!("  {place}{}", one_line(message)));
    }
}

/// An account that will move. With `asks`, its password will be asked for.
fn moving(moving: &Moving, asks: bool) -> String {
    let what = match &moving.token {
        Token::Awaited(Awaited::NoPassword) if asks => {
            return format!(
                "{} at {}: you will be asked for its mail password, which keeps working",
                moving.name, moving.provider
            );
        }
        Token::Refresh(_) => "its refresh token opens with its password".to_owned(),
        Token::Application => "the application's own right opens it".to_owned(),
        Token::Awaited(why) => {
            format!("{}, so it has to be authorised: {}", awaited(*why), authorize(moving))
        }
    };
    format!("{} at {}: {what}; {}", moving.name, moving.provider, password(moving))
}

/// The result of a moved account.
pub(super) fn moved(moving: &Moving, fate: &Fate) -> String {
    let name = &moving.name;
    let what = match fate {
        Fate::AlreadyHere { waits: false } => {
            return format!("{name}: it is here already, and was not touched");
        }
        Fate::AlreadyHere { waits: true } => {
            let what = format!("{name}: it is here already, waits for consent, and was not touched");
            return match moving.token {
                Token::Refresh(_) => {
                    format!("{what}; {} lets the next import move its token", command::remove_account(name))
                }
                Token::Application | Token::Awaited(_) => format!("{what}: {}", authorize(moving)),
            };
        }
        Fate::Failed(error) => {
            let cures = cures::cures(error).join("; ");
            return format!("{name}: not moved: {error}{}{cures}", if cures.is_empty() { "" } else { "; " });
        }
        Fate::Waits => {
            let why = match &moving.token {
                Token::Awaited(why) => awaited(*why),
                Token::Refresh(_) | Token::Application => "its provider has no client".to_owned(),
            };
            format!("it waits to be authorised, because {why}")
        }
        Fate::NoToken(failed) => {
            let (grant, failure) = &**failed;
            let why = failure.trouble().line(&command::authorize(grant, name));
            format!("it is here, and no access token came: {why}")
        }
        Fate::Tried(doors) => {
            doors.iter().map(|(door, outcome)| tried(*door, outcome)).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{name} at {}: {what}; {}", moving.provider, password(moving))
}

fn tried(door: Door, outcome: &Result<Option<usize>, crate::control::Unproven>) -> String {
    match outcome {
        Ok(Some(folders)) => format!("{} opened and has {folders} folders", door.title()),
        Ok(None) => format!("{}: the login works", door.title()),
        Err(unproven) => format!("{} did not open: {unproven}", door.title()),
    }
}

/// The next command for a moved account. What passes by itself, or waits for the configuration, needs no new consent.
pub(super) fn next(moving: &Moving, fate: &Fate) -> Option<String> {
    match fate {
        Fate::Waits => Some(authorize(moving)),
        Fate::NoToken(failed) if failed.1.trouble().cure.command("").is_some() => Some(authorize(moving)),
        Fate::NoToken(_) => Some(command::refresh(&moving.name)),
        Fate::Tried(_) | Fate::AlreadyHere { .. } | Fate::Failed(_) => None,
    }
}

/// The command that authorises the account here.
pub(super) fn authorize(moving: &Moving) -> String {
    let command =
        format!("{} --provider {}", command::authorize_account(&moving.name), quoted(&moving.provider));
    match (moving.kind, moving.approach) {
        (GrantKind::App, _) => format!("{command} --app"),
        (GrantKind::Person, Some(Approach::Device)) => format!("{command} --device"),
        (GrantKind::Person, Some(Approach::Paste)) => format!("{command} --paste"),
        (GrantKind::Person, None) => command,
    }
}

/// The command that authorises an account for a whole domain.
pub(super) fn authorize_domain(section: &str, provider: &str) -> String {
    format!("{} --provider {} --app", command::authorize_account(section), quoted(provider))
}

fn awaited(why: Awaited) -> String {
    let why = match why {
        Awaited::NoToken => "it has no refresh token",
        Awaited::NoPassword => "its password was not given",
        Awaited::WrongPassword => "the password that was given does not open its token",
        Awaited::BadValue(option) => {
            return format!("its {option} is missing or damaged, so its token cannot be opened");
        }
    };
    why.to_owned()
}

fn password(moving: &Moving) -> String {
    let Some(kept) = &moving.password else {
        return format!("it has no password here yet: {}", command::create_password(&moving.name));
    };
    let proven = if kept.is_proven { "" } else { " (nothing shows whether it is the right one)" };
    match kept.is_short {
        true => format!("its password stays{proven}, for logins from this machine only, because it is short"),
        false => format!("its password stays{proven}, as strong as it was"),
    }
}

fn left(section: &str, why: &Why) -> String {
    match why {
        Why::Port => "its name names no port from 1 to 65535".to_owned(),
        Why::Missing { option } => format!("{option} is missing"),
        Why::Option { option, line } if *line > 0 => format!("{option} (line {line}) cannot be right"),
        Why::Option { option, .. } => format!("{option} cannot be right"),
        Why::PortTaken { other } => {
            format!("[{other}] has its port already; give it another one, and import again")
        }
        Why::LocalAddress { address } => {
            format!("local_address {address:?} is no IP address; write the address itself, and import again")
        }
        Why::Placeholder { option } => format!("{option} still says what the sample says"),
        Why::CatchAll { provider: Some(provider) } => {
            let command = authorize_domain(section, provider);
            format!("an account for a whole domain gets a password of its own, once it serves here: {command}")
        }
        Why::CatchAllWithoutSecret { provider } => format!(
            "the password of each mailbox was the client secret there; write one as client_secret into [providers.{provider}], then an account for the whole domain can be made: {}",
            authorize_domain(section, provider)
        ),
        Why::CatchAll { provider: None } => {
            "it holds options for a whole domain; here each account is made by itself, and only accounts with their own section move".to_owned()
        }
        Why::SameName { other } => {
            format!("[{other}] is the same name, since case does not count here; remove one of them, and import again")
        }
        Why::Name(fault) => format!("the name of an account {fault}"),
        Why::PasswordFlow => {
            "oauth2_flow = password gives the mail password to the provider, which this program never does; authorise the account by consent instead".to_owned()
        }
        Why::Credentials { option } => format!(
            "{option} has a user name or a password before its host, which would be shown with it; take them out of a copy, and import that"
        ),
        Why::Flow { flow } => format!("oauth2_flow {flow:?} is none that email-oauth2-proxy describes"),
        Why::CertificateOfPerson => {
            "a person's consent with a certificate instead of a client secret is not supported; give the client a secret, or none".to_owned()
        }
        Why::SecretLocked => {
            "its client secret is locked with its password, which was not given or does not fit".to_owned()
        }
        Why::SecretIsPassword => {
            "its client secret is its mail password, which was not given, or does not open what email-oauth2-proxy keeps of it".to_owned()
        }
        Why::NoServer { candidates } if candidates.is_empty() => {
            "no server section belongs to its provider, which is not a preset".to_owned()
        }
        Why::NoServer { candidates } => format!(
            "its mail server is not clear: [{}]; import it from a copy with only that one",
            candidates.join("], [")
        ),
        Why::Configuration { message } => format!("its provider cannot be configured here: {message}"),
    }
}
