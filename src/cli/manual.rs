//! `completions` and `man`: files that a package installs, made from the definition of the command line, so that
//! they always match it.

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::{Done, Failure};
use super::print;

/// The arguments of `completions`.
#[derive(Args)]
pub(super) struct CompletionsArguments {
    /// The shell that will use the completions
    #[arg(value_parser = supported())]
    shell: Shell,
}

/// The supported shells.
fn supported() -> impl TypedValueParser<Value = Shell> {
    PossibleValuesParser::new(["bash", "zsh", "fish"]).try_map(|shell| shell.parse::<Shell>())
}

/// The arguments of `man`.
#[derive(Args)]
pub(super) struct ManArguments {
    /// The directory for the pages, one for each command; it is made if it is missing
    directory: PathBuf,
}

/// Prints the completions of `command`.
pub(super) fn completions(mut command: Command, arguments: &CompletionsArguments) -> Result<Done, Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
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
    // `help` would get a page for each command, with nothing that the command's own page lacks.
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}
