//! `import`: moves from another program. Without `--apply` it only shows the plan.

mod words;

use std::path::{Path, PathBuf};

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, terminal};
use crate::command;
use crate::config::ConfigError;
use crate::control::import::{Applied, Old, Passwords, Scheme, Sight, Stopped, Target, apply, passwords};
use crate::control::{Error, ImportError};
use crate::secret::FileAccess;
use crate::store::fold;
use crate::text::quoted;

/// A few typing errors must not cost a new authorisation.
const TRIES: usize = 3;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Move from email-oauth2-proxy: shows the plan, and with --apply carries it out
    ///
    /// Ports, scopes and the passwords of mail programs stay the same. The new configuration is a new file;
    /// neither the configuration of email-oauth2-proxy nor one of this program is changed.
    EmailOauth2Proxy(Arguments),
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its configuration file, such as emailproxy.config
    file: PathBuf,
    /// The file in which it keeps tokens (its own --cache-store)
    #[arg(long, value_name = "FILE")]
    cache_store: Option<PathBuf>,
    /// Read the mail passwords from this file, one USER:PASSWORD in each line, and ask for none
    #[arg(long, value_name = "FILE")]
    passwords: Option<PathBuf>,
    /// Ask for no passwords: every account has to be authorised again
    #[arg(long, conflicts_with = "passwords")]
    without_passwords: bool,
    /// Write the new configuration to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the new configuration and move the accounts
    #[arg(long)]
    apply: bool,
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let Command::EmailOauth2Proxy(arguments) = command;
    crate::logging::start(false, options.log_filter())?;
    let target = Target::choose(options.config.as_deref(), arguments.output.as_deref())?;
    if arguments.apply {
        target.judge()?;
    }
    let old = Old::read(&arguments.file, arguments.cache_store.as_deref(), &target)?;
    let passwords = match &arguments.passwords {
        Some(file) => from_file(&old, file, &arguments)?,
        None if !arguments.apply || arguments.without_passwords => Passwords::new(),
        // Without passwords no account would keep its token; only a person may decide that, with --without-passwords.
        None if !terminal::is_there() => return Err(Error::from(ImportError::NoPasswords).into()),
        None => ask(&old).await,
    };
    let scheme = old.scheme(&passwords);
    let asks = !arguments.apply && arguments.passwords.is_none() && !arguments.without_passwords;
    if scheme.is_empty() && !(asks && scheme.locked().next().is_some()) {
        words::leaving(&scheme, false);
        return Err(Failure::new("no account can move, so nothing is written"));
    }
    let (mistakes, obstacles) = scheme.judge_whole(&target);
    if !arguments.apply {
        propose(&scheme, &target, asks);
    }
    if let Some(failure) = last(mistakes) {
        return Err(failure);
    }
    let done = match arguments.apply {
        true => do_it(&scheme, &target).await?,
        false => Done::Well,
    };
    words::obstacles(&obstacles);
    if !arguments.apply {
        print::words(
            "Nothing was written, and no provider was asked. The same command with --apply does it.",
        );
    }
    Ok(if obstacles.is_empty() { done } else { Done::NeedsPerson })
}

/// Prints all failures but the last.
fn last(mistakes: Vec<ConfigError>) -> Option<Failure> {
    let mut failures: Vec<Failure> = mistakes.into_iter().map(Failure::from).collect();
    let last = failures.pop();
    failures.iter().for_each(Failure::print);
    last
}

/// The passwords in a file. A line that belongs to no account is named, and nothing is written then: with a
/// misspelt name an account would lose its token.
fn from_file(old: &Old, file: &Path, arguments: &Arguments) -> Result<Passwords, Failure> {
    // If the file cannot be examined, it cannot be read either; that is reported below.
    if let Ok(Some(access)) = FileAccess::of(file)
        && access.others_read()
    {
        print::words(&format!("warning: {}", access.fault("the passwords", file)));
    }
    let read = passwords(file)?;
    let unmatched = old.unmatched(&read);
    for line in &unmatched {
        let user = line.user.as_deref().unwrap_or("its user");
        let (from, place) = (arguments.file.display(), file.display());
        print::needed(&format!("{place}: line {}: {user} is no account in {from}", line.line));
    }
    match arguments.apply && !unmatched.is_empty() {
        true => Err(Failure::new("nothing was written").hint("correct these lines, or remove them")),
        false => Ok(read.passwords),
    }
}

/// Asks for the mail password of each moved account; an empty answer skips it.
async fn ask(old: &Old) -> Passwords {
    let mut passwords = Passwords::new();
    for account in &old.asked() {
        for _ in 0..TRIES {
            let prompt =
                format!("Password that the mail program sends for {account} (empty: leave it out): ");
            let Some(password) = terminal::ask(&prompt).await.filter(|password| !password.is_empty()) else {
                break;
            };
            if old.opens(account, &password) {
                passwords.insert(fold(account).as_str().to_owned(), password);
                break;
            }
            print::words(&format!("It does not open what email-oauth2-proxy keeps of {account}."));
        }
    }
    passwords
}

fn propose(scheme: &Scheme, target: &Target, asks: bool) {
    let file = target.file.display();
    print::data(&format!("This would be the new configuration, {file}, without what is secret:"));
    print::data("");
    print::block_of_data(&scheme.text(target, Sight::Hidden));
    words::would_move(scheme, asks);
    words::leaving(scheme, asks);
    beside(target);
}

/// Reports what happens to an existing configuration.
fn beside(target: &Target) {
    if let Some(there) = &target.beside {
        print::words(&format!(
            "{} is there already and stays as it is; the new file has its state directory, keys and providers, and none of its listeners.",
            there.display()
        ));
        if !target.not_carried().is_empty() {
            let tables = target.not_carried().join("], [");
            print::words(&format!("It has none of [{tables}] either; copy what you want to keep."));
        }
    }
}

async fn do_it(scheme: &Scheme, target: &Target) -> Result<Done, Failure> {
    let mut tell = |account: &str| print::words(&format!("Moving {account}…"));
    let applied =
        apply(scheme, target, &mut tell).await.map_err(|stopped| half_way(scheme, target, stopped))?;
    match (&target.beside, applied.is_written) {
        (Some(there), false) => print::data(&format!(
            "Every account is here already, and {} has their providers, so no configuration was written.",
            there.display()
        )),
        _ => print::data(&format!("The new configuration is {}.", target.file.display())),
    }
    for (moving, (_, fate)) in scheme.accounts.iter().zip(&applied.fates) {
        print::data(&format!("  {}", words::moved(moving, fate)));
    }
    words::leaving(scheme, false);
    if applied.is_written {
        beside(target);
    }
    next(scheme, target, &applied);
    print::words("Stop email-oauth2-proxy now; both refreshing may invalidate each other's tokens.");
    let awaited = applied.fates.iter().any(|(_, fate)| fate.needs_person())
        || scheme.left.iter().any(|left| left.why.provider_of_domain().is_some());
    Ok(if awaited { Done::NeedsPerson } else { Done::Well })
}

/// Reports what a stopped run has done, and how to continue.
fn half_way(scheme: &Scheme, target: &Target, stopped: Stopped) -> Failure {
    let Stopped { error, moved, state_directory } = stopped;
    if let Some(directory) = state_directory.filter(|_| !moved.is_empty()) {
        let (accounts, directory) = (moved.join(", "), directory.display());
        print::needed(&format!(
            "Moved already, with tokens and passwords, and kept in {directory}: {accounts}."
        ));
    }
    let missing = scheme.accounts.iter().map(|moving| moving.name.as_str());
    let missing: Vec<&str> = missing.filter(|name| !moved.iter().any(|moved| moved == name)).collect();
    if !missing.is_empty() {
        print::needed(&format!("Not moved, and unchanged in email-oauth2-proxy: {}.", missing.join(", ")));
    }
    print::needed(&format!("The new configuration {} was not made.", target.file.display()));
    Failure::from(error)
        .hint("when that is mended, run the same command again: it goes on there, and leaves moved accounts as they are")
}

/// The next commands, in their order.
fn next(scheme: &Scheme, target: &Target, applied: &Applied) {
    print::words(&format!("Accounts and passwords are in {}. Next:", applied.state_directory.display()));
    if applied.is_written && !target.is_default {
        let file = quoted(&target.file.to_string_lossy());
        print::words(&format!("  export IMAP_OAUTH_PROXY_CONFIG={file}"));
    }
    for (moving, (_, fate)) in scheme.accounts.iter().zip(&applied.fates) {
        if let Some(command) = words::next(moving, fate) {
            print::words(&format!("  {command}"));
        }
    }
    for left in &scheme.left {
        if let Some(provider) = left.why.provider_of_domain() {
            print::words(&format!("  {}", words::authorize_domain(&left.section, provider)));
        }
    }
    print::words(&format!("  {}", command::CHECK_ALL));
    print::words(&format!("  {}", command::SERVE));
    if let Some(ca_file) = applied.ca_file.as_ref().filter(|_| scheme.shows_certificates()) {
        print::words(&format!(
            "Over TLS, mail programs must trust the proxy's own CA, which is in {}.",
            ca_file.display()
        ));
    }
}
