//! The command line: one file for each command, and the only place that prints. `control` performs the operations;
//! this module has the words for them.
//!
//! Data goes to standard output, messages to standard error. Exit code 0: done; 1: failed; 2: a mistake in the
//! command line or the configuration; 3: done, but a person has to act.

mod accounts;
mod admin;
mod agreement;
mod authorize;
mod backup;
mod certs;
mod check;
mod config;
mod events;
mod failure;
mod health;
mod import;
mod interrupt;
mod keys;
mod manual;
mod options;
mod passwords;
mod print;
mod progress;
mod reload;
mod running;
mod serve;
mod sessions;
mod setup;
mod store;
mod terminal;
mod tokens;
mod trace;
mod upgrade;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser, Subcommand};

use self::failure::{Done, Failure};
use self::options::Options;

/// Lets mail programs that only know passwords read and send mail through providers that only accept OAuth.
#[derive(Parser)]
#[command(version = env!("IMAP_OAUTH_PROXY_VERSION"), propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Read this configuration file
    #[arg(long, global = true, value_name = "FILE", env = "IMAP_OAUTH_PROXY_CONFIG")]
    config: Option<PathBuf>,
    /// What to log, such as "debug"
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Show more: the log, and each step of a check; given twice, everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Show less: only data, warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Listen for mail programs until told to stop
    Serve(serve::Arguments),
    /// Show the sessions of the running serve, or end sessions
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Make the running serve load its configuration again; exit 3 when a key needs a restart
    Reload,
    /// Let the installed program replace the running `serve`, without losing a session
    Upgrade,
    /// Report whether logins can succeed at the running serve
    Health,
    /// Open the page on which accounts are seen and mended, and print its one-time address
    Admin(admin::Arguments),
    /// Show the lines of an account's sessions, masked, for a limited time
    Trace(trace::Arguments),
    /// Let a person authorise an account at its provider
    Authorize(authorize::Arguments),
    /// Manage the stored authorisations
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Manage the accounts that mail programs log in to
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Move from another program
    #[command(subcommand)]
    Import(import::Command),
    /// Manage the passwords that mail programs log in with
    #[command(subcommand)]
    Passwords(passwords::Command),
    /// Make a file that sets up a mail program, or show its settings
    Setup(setup::Arguments),
    /// Test each step of the way to the mail; exit 3 when a person has to act
    Check(check::Arguments),
    /// Manage the keys that seal the store
    #[command(subcommand)]
    Keys(keys::Command),
    /// Manage the certificate that mail programs see
    #[command(subcommand)]
    Certs(certs::Command),
    /// Copy the store to a file while `serve` runs; the file does not contain the key
    Backup(backup::Arguments),
    /// Replace the store by a backup, while no process uses the store
    Restore(backup::RestoreArguments),
    /// Move the store into another database
    #[command(subcommand)]
    Store(store::Command),
    /// List what was done to this installation, and by whom
    #[command(subcommand)]
    Events(events::Command),
    /// Check the configuration, or show it
    #[command(subcommand)]
    Config(config::Command),
    /// Print a shell's completions for this program's commands
    Completions(manual::CompletionsArguments),
    /// Write the manual pages, one for each command
    Man(manual::ManArguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line; its first word is the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::logging::report_panics();
    harden();
    let Cli { config, log, verbose, quiet, command } = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => suggesting_one(error).exit(),
    };
    if quiet {
        print::be_quiet();
    }
    let options = Options { config, log, verbose, quiet };
    let done = match command {
        Command::Serve(arguments) => serve::run(&options, arguments),
        Command::Sessions(command) => wait(sessions::run(&options, command)),
        Command::Reload => wait(reload::run(&options)),
        Command::Upgrade => wait(upgrade::run(&options)),
        Command::Health => wait(health::run(&options)),
        Command::Admin(arguments) => wait(admin::run(&options, arguments)),
        Command::Trace(arguments) => wait(trace::run(&options, arguments)),
        Command::Authorize(arguments) => wait(authorize::run(&options, arguments)),
        Command::Tokens(command) => wait(tokens::run(&options, command)),
        Command::Accounts(command) => wait(accounts::run(&options, command)),
        Command::Import(command) => wait(import::run(&options, command)),
        Command::Passwords(command) => wait(passwords::run(&options, command)),
        Command::Setup(arguments) => wait(setup::run(&options, arguments)),
        Command::Check(arguments) => wait(check::run(&options, arguments)),
        Command::Keys(command) => wait(keys::run(&options, &command)),
        Command::Certs(command) => wait(certs::run(&options, command)),
        Command::Backup(arguments) => wait(backup::backup(&options, arguments)),
        Command::Restore(arguments) => wait(backup::restore(&options, arguments)),
        Command::Store(command) => wait(store::run(&options, command)),
        Command::Events(command) => wait(events::run(&options, command)),
        Command::Config(command) => config::run(&options, &command),
        Command::Completions(arguments) => manual::completions(Cli::command(), &arguments),
        Command::Man(arguments) => manual::man(Cli::command(), &arguments),
    };
    crate::logging::flush();
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::NeedsPerson) => ExitCode::from(3),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The same error with only the nearest of the commands that may have been meant: clap puts it last, behind others
/// that merely have some letters of it.
fn suggesting_one(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::Strings(suggested)) = error.get(ContextKind::SuggestedSubcommand)
        && let Some(nearest) = suggested.last().cloned()
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![nearest]));
    }
    error
}

/// Protects this process's memory (tokens, keys, passwords) from other programs of the same user and from core
/// dumps. If the system refuses, the service unit still protects it.
fn harden() {
    let _ = rlimit::Resource::CORE.set(0, 0);
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Runs a short command, for which one thread is enough.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(interrupt::interruptible(command));
    // A thread that is still blocked (by a resolver) must not delay the end.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
