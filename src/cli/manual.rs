//! `completions` and `man`: what a package installs beside the program, made from the definition of the command
//! line, so that neither can fall behind it.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};

use super::failure::{Done, Failure};
use super::print;

/// The command line of `completions`.
#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell that reads them
    shell: Shell,
}

/// The shells whose completions are made.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The command line of `man`.
#[derive(Args)]
pub(super) struct ManArguments {
    /// Where the pages are written, one a command; it is made where it is missing
    directory: PathBuf,
}

/// Prints the completions of `command`.
pub(super) fn completions(mut command: Command, arguments: &CompletionsArguments) -> Result<Done, Failure> {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print::block_of_data(String::from_utf8_lossy(&script).trim_end());
    Ok(Done::Well)
}

/// Writes the manual pages of `command` and of the commands below it.
pub(super) fn man(command: Command, arguments: &ManArguments) -> Result<Done, Failure> {
    let directory = &arguments.directory;
    let failed = |error: io::Error| {
        Failure::new(format!("the manual pages cannot be written to {}: {error}", directory.display()))
            .hint("name a directory that you may write to")
    };
    write_pages(command, directory).map_err(failed)?;
    print::words(&format!("The manual pages are in {}.", directory.display()));
    Ok(Done::Well)
}

fn write_pages(command: Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // `help` has a page for each command under it, which says nothing that the command's own page does not.
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}
