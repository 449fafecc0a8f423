//! `config`: checks what is configured, shows what can be.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::config::{Config, EXAMPLE};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Say whether the configuration is right, and where it is
    Check,
    /// Print a configuration file with every key, its default and the reason for it
    Example,
}

pub(super) fn run(options: &Options, command: &Command) -> Result<Done, Failure> {
    match command {
        Command::Check => check(&options.load()?),
        Command::Example => print::block_of_data(EXAMPLE.trim_end()),
    }
    Ok(Done::Well)
}

fn check(config: &Config) {
    match &config.file {
        Some(file) => print::words(&format!("{} is right", file.display())),
        None => {
            print::words("There is no configuration file, and the defaults work. One would be read from:");
            for file in crate::config::default_files() {
                print::words(&format!("  {}", file.display()));
            }
        }
    }
    let configured: Vec<_> = config
        .providers
        .values()
        .filter(|provider| provider.client_id.is_some())
        .map(|provider| provider.name.as_str())
        .collect();
    match configured.is_empty() {
        true => print::words("No provider has a client_id yet; authorize says how to get one."),
        false => print::words(&format!("Providers with a client: {}", configured.join(", "))),
    }
    print::words(&format!("State directory: {}", config.state_directory.display()));
}
