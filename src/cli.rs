//! What a person types: one file a command, and the only place that prints. What is done is decided in
//! `control`; here are its words.
//!
//! Data goes to standard output, words to standard error. Exit 0 is done, 1 failed, 2 a mistake in
//! the command line or the configuration, 3 done, and something needs a person.

mod accounts;
mod aliases;
mod authorize;
mod backup;
mod certs;
mod check;
mod config;
mod events;
mod failure;
mod health;
mod hints;
mod import;
mod interrupt;
mod keys;
mod loss;
mod manual;
mod options;
mod passwords;
mod print;
mod protocols;
mod reload;
mod running;
mod serve;
mod sessions;
mod setup;
mod span;
mod terminal;
mod tokens;
mod trace;
mod upgrade;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Say more: the log of what happens, and each step of a check; twice says all
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say less: data, warnings and errors alone
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Listen for mail programs until told to stop
    Serve(serve::Arguments),
    /// Show who is logged in at the running serve, or end sessions
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Have the running serve load its configuration again; exit 3 when something needs a restart
    Reload,
    /// Let the installed program take over from the running `serve`, without a lost session
    Upgrade,
    /// Say whether logins can succeed at the running serve
    Health,
    /// Show what is said in the sessions of an account, masked, for a limited time
    Trace(trace::Arguments),
    /// Let a person authorise an account at its provider
    Authorize(authorize::Arguments),
    /// Look after the stored authorisations
    #[command(subcommand)]
    Tokens(tokens::Command),
    /// Look after the accounts that mail programs log in to
    #[command(subcommand)]
    Accounts(accounts::Command),
    /// Move over from another program
    #[command(subcommand)]
    Import(import::Command),
    /// Look after the passwords that mail programs log in with
    #[command(subcommand)]
    Passwords(passwords::Command),
    /// Make a file that sets a mail program up, or say what to type into it
    Setup(setup::Arguments),
    /// Try everything on the way to the mail, step by step; exit 3 when something needs a person
    Check(check::Arguments),
    /// Look after the keys that seal the store
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look after the certificate that mail programs see
    #[command(subcommand)]
    Certs(certs::Command),
    /// Write the store to a file, while `serve` runs; the key is not in it
    Backup(backup::Arguments),
    /// Put a backup in the place of the store, while nothing uses it
    Restore(backup::RestoreArguments),
    /// See what happened to this installation, and who did it
    #[command(subcommand)]
    Events(events::Command),
    /// Check the configuration, or show all of it
    #[command(subcommand)]
    Config(config::Command),
    /// Print what a shell needs to complete this program's commands
    Completions(manual::CompletionsArguments),
    /// Write the manual pages, one a command
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
    let Cli { config, log, verbose, quiet, command } = Cli::parse_from(words);
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

/// Keeps other programs of the same user, and a core dump, from what this process holds in memory: tokens,
/// keys, passwords. Where the system refuses one of the two, the service unit does its part.
fn harden() {
    let _ = rlimit::Resource::CORE.set(0, 0);
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Runs a command that does one thing: one thread is enough.
fn wait<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(interrupt::interruptible(command));
    // What still blocks a thread (a resolver) must not hold up the end.
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
