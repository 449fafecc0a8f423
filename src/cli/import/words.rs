//! The words of an import: accounts that move, sections that do not, and changes.

use crate::cli::print;
use crate::command;
use crate::config::{ConfigError, Door};
use crate::control::import::{Awaited, Change, Fate, Ignored, Left, Moving, Scheme, Token, Why};
use crate::store::GrantKind;
use crate::surface::cures;
use crate::text::{one_line, quoted};

/// Prints the sections that do not move, and the changes.
pub(super) fn leaving(scheme: &Scheme) {
    if !scheme.left.is_empty() {
        print::data("These sections stay behind:");
    }
    for Left { section, line, why } in &scheme.left {
        print::data(&format!("  [{section}]{}: {}", place(*line), left(section, why)));
    }
    if !scheme.changes.is_empty() {
        print::data("This will be otherwise, and has to be known:");
    }
    for change in &scheme.changes {
        print::data(&format!("  {}", changed(change, scheme)));
    }
}

/// Prints what would stop `serve` outside of the new configuration.
pub(super) fn obstacles(obstacles: &[ConfigError]) {
    if !obstacles.is_empty() {
        print::data("With the new configuration `serve` would not start:");
    }
    for obstacle in obstacles {
        print::data(&format!("  {}", one_line(&obstacle.clause())));
    }
}

/// The line of a section; a section that only a cache has, has none.
fn place(line: usize) -> String {
    if line == 0 { " of the cache".to_owned() } else { format!(" in line {line}") }
}

/// An account that will move. With `asks`, its password will be asked for.
pub(super) fn moving(moving: &Moving, asks: bool) -> String {
    let what = match &moving.token {
        Token::Awaited(Awaited::NoPassword) if asks => {
            return format!(
                "{} at {}: its mail password will be asked for, and stays",
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
            return format!(
                "{name}: it is here already, waits for consent, and was not touched; {} lets the next import move its token",
                command::remove_account(name)
            );
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
        Ok(None) => format!("{} lets it in", door.title()),
        Err(unproven) => format!("{} did not open: {unproven}", door.title()),
    }
}

/// The command that authorises the account here.
pub(super) fn authorize(moving: &Moving) -> String {
    let command =
        format!("{} --provider {}", command::authorize_account(&moving.name), quoted(&moving.provider));
    match moving.kind {
        GrantKind::App => format!("{command} --app"),
        GrantKind::Person => command,
    }
}

fn awaited(why: Awaited) -> String {
    let why = match why {
        Awaited::NoToken => "there is no refresh token of it",
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
        Why::Option { option, line } if *line > 0 => format!("{option} (line {line}) is missing or cannot be right"),
        Why::Option { option, .. } => format!("{option} is missing or cannot be right"),
        Why::PortTaken { other } => {
            format!("[{other}] has its port already; give it another one, and import again")
        }
        Why::LocalAddress { address } => {
            format!("local_address {address:?} is no IP address; write the address itself, and import again")
        }
        Why::Placeholder { option } => format!("{option} still says what the sample says"),
        Why::CatchAll { provider: Some(provider) } => {
            let command = format!("{} --provider {}", command::authorize_account(section), quoted(provider));
            format!("an account for a whole domain gets a password of its own, once it serves here: {command} --app")
        }
        Why::CatchAll { provider: None } => {
            "it lends its options to accounts, which are made one by one here; those with a section move".to_owned()
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

fn changed(change: &Change, scheme: &Scheme) -> String {
    match change {
        Change::ThisMachineOnly { section, port, door } => format!(
            "[{section}]: port {port} took passwords in cleartext from everywhere, and takes them from this machine only now; mail programs elsewhere need a listener with security = \"tls\" on another port{}, and have to trust its certificate",
            free_port(*door, scheme).map_or(String::new(), |usual| format!(" ({usual} is usual)"))
        ),
        Change::NowTls { section, address } => format!(
            "[{section}]: {address} took passwords in cleartext from other machines, and speaks TLS now; set SSL/TLS in the mail programs, and let them trust its certificate"
        ),
        Change::CertificateUnreadable { section, path } => format!(
            "[{section}]: {} cannot be read, so the listener uses a certificate of the proxy's own CA, which mail programs must trust",
            path.display()
        ),
        Change::OtherCertificate { section, path } => format!(
            "[{section}]: it had the certificate {}, and all listeners show the first one of the file now",
            path.display()
        ),
        Change::ServerUnused { section, host } => format!(
            "[{section}]: no provider in the new configuration has the server {host}; through this port, an account reaches the server of its own provider"
        ),
        Change::SecretLocked { account, provider } => format!(
            "[{account}]: its client secret is locked with its password, which was not given or does not fit; write client_secret into [providers.{provider}]"
        ),
        Change::UsualPorts => "no section of a server moves, so `serve` takes IMAP on port 1993 and submission on port 1465 of this machine, with TLS; set mail programs to that, or write [[listeners]] with the old ports".to_owned(),
        Change::Ignored { section, line, why } => format!("[{section}]{}: {}", place(*line), ignored(*why)),
        Change::UnknownSection { section, line } => format!(
            "[{section}]{}: it is neither IMAP-, POP- or SMTP- with a port nor an account, and is not taken",
            place(*line)
        ),
        Change::CacheEntry { account } => {
            format!("[{account}]: its entry in the cache is no table of values, and counts as empty")
        }
        Change::RedirectUri { account, uri } => format!(
            "[{account}]: redirect_uri {uri:?} leads to another machine without https, so the next authorisation uses the preset's or http://127.0.0.1/callback; register that at the provider"
        ),
    }
}

fn ignored(why: Ignored) -> String {
    match why {
        Ignored::Unknown => "the option there is none of email-oauth2-proxy's, and is not taken".to_owned(),
        Ignored::OnlySmtp(option) => format!("{option} counts for SMTP only, and is not taken"),
        Ignored::Plugins => "plugins are not taken: mail is passed on unchanged here".to_owned(),
        Ignored::KeyAsPath(option) => {
            format!("{option} is a key and no path, and is not taken; save the key to a file, and name that")
        }
        Ignored::HalfOfPair(option) => {
            format!("{option} needs its certificate or key beside it, and is not taken")
        }
        Ignored::Resource => {
            "oauth2_resource is not taken: the scopes name the resource at today's endpoints".to_owned()
        }
        Ignored::ListenAddress => {
            "redirect_listen_address is not taken: address in [callback] does the same".to_owned()
        }
        Ignored::DeleteOnError => {
            "delete_account_token_on_password_error is not taken: a wrong password never deletes a token here".to_owned()
        }
        Ignored::EncryptSecret => {
            "encrypt_client_secret_on_first_use is not taken: client secrets are in the new file, which only its owner can read; client_secret_file names another place".to_owned()
        }
    }
}

/// The usual port of the door, if no listener has it.
fn free_port(door: Door, scheme: &Scheme) -> Option<u16> {
    let mut addresses = scheme.listeners.iter().flat_map(|listener| &listener.addresses);
    let usual = usual_port(door);
    (!addresses.any(|address| address.port() == usual)).then_some(usual)
}

/// The port of implicit TLS for that door in the documents.
fn usual_port(door: Door) -> u16 {
    match door {
        Door::Imap => 1993,
        Door::Pop3 => 1995,
        Door::Submission => 1465,
    }
}
