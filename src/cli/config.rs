//! `config`: checks and shows the configuration.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::ask::is_any_running;
use crate::config::{Config, EXAMPLE, LogFormat};
use crate::control::preflight;
use crate::logging;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Check the configuration, and name its file
    Check,
    /// Print a configuration file with every key, its default and the reason for it
    Example,
    /// Print the configuration file in use, with its secrets masked
    Show,
    /// Print the path of the configuration file in use
    Path,
}

pub(super) fn run(options: &Options, command: &Command) -> Result<Done, Failure> {
    match command {
        Command::Check => check(options),
        Command::Example => {
            print::block_of_data(EXAMPLE.trim_end());
            Ok(Done::Well)
        }
        Command::Show => show(options),
        Command::Path => {
            print::data(&file(options)?.display().to_string());
            Ok(Done::Well)
        }
    }
}

/// The configuration file in use.
fn file(options: &Options) -> Result<PathBuf, Failure> {
    let file = options.config.clone().map_or_else(crate::config::default_file, |file| Ok(Some(file)))?;
    file.ok_or_else(|| {
        let files: Vec<String> =
            crate::config::default_files().iter().map(|file| file.display().to_string()).collect();
        Failure::new("there is no configuration file, and the defaults hold")
            .hint(format!("one would be read from {}", files.join(", else ")))
    })
}

fn show(options: &Options) -> Result<Done, Failure> {
    let file = file(options)?;
    let (text, directory) = (crate::config::masked(&file)?, options.state_directory()?);
    print::data(&format!("# {}", file.display()));
    print::data(&format!("# state directory: {}", directory.display()));
    print::block_of_data(text.trim_end());
    Ok(Done::Well)
}

/// Reports all mistakes of the file, and then, for its correct parts, all obstacles to `serve`.
fn check(options: &Options) -> Result<Done, Failure> {
    let (mistakes, config) = Config::mistakes(options.config.as_deref());
    let mut failures: Vec<Failure> = mistakes.into_iter().map(Failure::from).collect();
    let exit_code = failures.first().map_or(1, Failure::exit_code);
    if let Some(config) = &config {
        let is_whole = failures.is_empty();
        if is_whole {
            logging::start(config.log == LogFormat::Json, options.log_filter())?;
        }
        config.warnings.iter().for_each(|warning| print::words(&format!("warning: {warning}")));
        let obstacles = preflight::obstacles(config, &[], is_any_running(&config.state_directory));
        failures.extend(obstacles.into_iter().map(Failure::from));
    }
    let last = failures.pop();
    failures.iter().for_each(Failure::print);
    match (last, config) {
        (Some(last), _) => Err(last.with_exit_code(exit_code)),
        (None, Some(config)) => {
            tell(&config);
            Ok(Done::Well)
        }
        (None, None) => Err(Failure::new("the configuration cannot be read")),
    }
}

fn tell(config: &Config) {
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
