//! `admin`: opens the page of the running `serve`, and prints its one-time address.
//!
//! The address of an entrance is a secret for five minutes. Other users of the machine can read the arguments of every
//! process, so the browser gets the path of a file, which only this user can read and which leads to the page.

mod token;

use std::path::{Path, PathBuf};

use super::authorize::browser;
use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, running};
use crate::admin::{Reply, Request};
use crate::config::Config;
use crate::files;
use crate::secret::KeySource;

/// The file for the browser, replaced at each use; its address is of no use after five minutes.
const FILE: &str = "control/entrance.html";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// Only print the address
    #[arg(long)]
    no_browser: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Manage bearer tokens for the API
    #[command(subcommand)]
    Token(token::Command),
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    if let Some(Command::Token(command)) = arguments.command {
        return token::run(options, command).await;
    }
    let answers = running::ask(options, &Request::Entrance).await?;
    let entrance = answers.replies.iter().find_map(|reply| match reply {
        Reply::Entrance(entrance) => Some(entrance),
        _ => None,
    });
    let Some(entrance) = entrance else {
        return Err(Failure::new(
            "serve is running, but has no page: admin.address is \"off\", or was taken at its start",
        )
        .hint("write address in [admin], and restart serve; its log says why there is none"));
    };
    print::words("This address opens the page once, within five minutes:");
    print::data(entrance);
    if !arguments.no_browser
        && let Err(error) = open(options, &options.state_directory()?, entrance)
    {
        print::words(&format!("No browser could be started: {error}; open the address yourself."));
    }
    Ok(Done::Well)
}

fn open(options: &Options, state_directory: &Path, entrance: &str) -> std::io::Result<()> {
    let file = state_directory.join(FILE);
    let html = format!(
        "<!DOCTYPE html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={entrance}\"><title>Mail proxy</title>\
         <a href=\"{entrance}\">Open the page</a>\n"
    );
    files::replace(&file, html.as_bytes(), 0o600)?;
    browser::start(&address(&file), &hidden(options))
}

fn address(file: &Path) -> String {
    let absolute: PathBuf = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    url::Url::from_file_path(&absolute).map_or_else(|()| absolute.display().to_string(), String::from)
}

/// The source of the key, whose variable is removed from the browser's environment.
fn hidden(options: &Options) -> KeySource {
    let source = Config::load(options.config.as_deref()).map(|config| config.store.key);
    source.unwrap_or_else(|_| KeySource::File(PathBuf::new()))
}
