//! `import`: moving over from another program. Without `--apply` it only says what will be.

mod words;

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, terminal};
use crate::command;
use crate::control::import::{Applied, Fate, Old, Passwords, Scheme, Sight, Target, apply, passwords};
use crate::secret::FileAccess;
use crate::store::fold;
use crate::text::quoted;

/// A typing error or two are no reason to authorise an account again.
const TRIES: usize = 3;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Move over from email-oauth2-proxy: says what will be, and with --apply does it
    ///
    /// Ports, scopes and the passwords that mail programs send stay. The new configuration is a new file; neither the
    /// configuration of email-oauth2-proxy nor one of this program is changed.
    EmailOauth2Proxy(Arguments),
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Its configuration file, such as emailproxy.config
    file: PathBuf,
    /// The file that it was told to keep tokens in (its own --cache-store)
    #[arg(long, value_name = "FILE")]
    cache_store: Option<PathBuf>,
    /// Take the mail passwords from this file, one USER:PASSWORD a line, and ask for none
    #[arg(long, value_name = "FILE")]
    passwords: Option<PathBuf>,
    /// Write the new configuration and move the accounts
    #[arg(long)]
    apply: bool,
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let Command::EmailOauth2Proxy(arguments) = command;
    crate::logging::start(false, options.log_filter())?;
    let target = Target::choose(options.config.as_deref())?;
    if arguments.apply {
        target.judge()?;
    }
    let old = Old::read(&arguments.file, arguments.cache_store.as_deref(), &target)?;
    let passwords = match &arguments.passwords {
        Some(file) => {
            // One that cannot be looked at cannot be read either, which is said then.
            if let Ok(Some(access)) = FileAccess::of(file)
                && access.others_read()
            {
                print::words(&format!("warning: {}", access.fault("the passwords", file)));
            }
            passwords(file)?
        }
        None if arguments.apply => ask(&old).await,
        None => Passwords::new(),
    };
    let scheme = old.scheme(&passwords);
    if scheme.accounts.is_empty() {
        words::leaving(&scheme);
        return Err(Failure::new("no account can move, so nothing is written"));
    }
    scheme.judge_whole(&target)?;
    match arguments.apply {
        true => do_it(&scheme, &target).await,
        false => {
            propose(&scheme, &target, arguments.passwords.is_none());
            Ok(Done::Well)
        }
    }
}

/// Asks for the mail password of each account that moves; an empty answer leaves it out.
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
    print::data("These accounts would move:");
    for account in &scheme.accounts {
        print::data(&format!("  {}", words::moving(account, asks)));
    }
    words::leaving(scheme);
    beside(target);
    print::words("Nothing was written, and no provider was asked. The same command with --apply does it.");
}

/// Says what becomes of a configuration that is there already.
fn beside(target: &Target) {
    if let Some(there) = &target.beside {
        print::words(&format!(
            "{} is there already and stays as it is; the new file has its state directory, its keys and its providers, and none of its listeners.",
            there.display()
        ));
    }
}

async fn do_it(scheme: &Scheme, target: &Target) -> Result<Done, Failure> {
    let mut tell = |account: &str| print::words(&format!("Moving {account}…"));
    let applied = apply(scheme, target, &mut tell).await?;
    print::data(&format!("The new configuration is {}.", target.file.display()));
    for (moving, (_, fate)) in scheme.accounts.iter().zip(&applied.fates) {
        print::data(&format!("  {}", words::moved(moving, fate)));
    }
    words::leaving(scheme);
    beside(target);
    next(scheme, target, &applied);
    print::words("Stop email-oauth2-proxy now; both refreshing may invalidate each other's tokens.");
    let awaited = applied.fates.iter().any(|(_, fate)| fate.needs_person());
    Ok(if awaited { Done::NeedsPerson } else { Done::Well })
}

/// The commands that come next, in their order.
fn next(scheme: &Scheme, target: &Target, applied: &Applied) {
    print::words(&format!("Accounts and passwords are in {}. Next:", applied.state_directory.display()));
    if !target.is_default {
        let file = quoted(&target.file.to_string_lossy());
        print::words(&format!("  export IMAP_OAUTH_PROXY_CONFIG={file}"));
    }
    for (moving, (_, fate)) in scheme.accounts.iter().zip(&applied.fates) {
        if matches!(fate, Fate::Waits | Fate::NoToken(_)) {
            print::words(&format!("  {}", words::authorize(moving)));
        }
    }
    print::words(&format!("  {}", command::CHECK_ALL));
    print::words(&format!("  {}", command::SERVE));
    if let Some(ca_file) = applied.ca_file.as_ref().filter(|_| scheme.shows_certificates()) {
        print::words(&format!(
            "Over TLS, mail programs have to trust the proxy's own CA, which is in {}.",
            ca_file.display()
        ));
    }
}
