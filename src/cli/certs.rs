//! `certs`: what mail programs have to trust.

use std::path::PathBuf;

use time::format_description::well_known::Rfc3339;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::command;
use crate::control::certs;
use crate::tls::Authority;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the CA that mail programs have to trust
    Show,
    /// Write the CA's certificate to a file, to be imported into mail programs
    Export {
        /// Where to write it; - is standard output
        file: PathBuf,
    },
    /// Make a new CA: every mail program has to be taught to trust it again
    RenewCa,
}

pub(super) fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let config = options.load()?;
    match command {
        Command::Show => show(&certs::authority(&config)?)?,
        Command::Export { file } => export(&certs::authority(&config)?, &file)?,
        Command::RenewCa => {
            show(&certs::renew(&config)?)?;
            print::words("A running proxy shows the new certificates within a minute.");
            print::words(&format!("Each mail program has to import the new CA: {}", command::EXPORT_CA));
        }
    }
    Ok(Done::Well)
}

fn show(authority: &Authority) -> Result<(), Failure> {
    print::data(&format!("Subject:      {}", authority.subject()));
    print::data(&format!("Fingerprint:  SHA-256 {}", authority.fingerprint()));
    print::data(&format!("Ends:         {}", authority.not_after().format(&Rfc3339)?));
    print::data(&format!("File:         {}", authority.ca_file().display()));
    Ok(())
}

fn export(authority: &Authority, file: &std::path::Path) -> Result<(), Failure> {
    if file == std::path::Path::new("-") {
        print::block_of_data(authority.pem().trim_end());
        return Ok(());
    }
    std::fs::write(file, authority.pem())
        .map_err(|error| Failure::new(format!("{} cannot be written: {error}", file.display())))?;
    print::words(&format!(
        "The CA's certificate is in {}. How each mail program learns to trust it:",
        file.display()
    ));
    print::words(
        "  Thunderbird: Settings > Privacy & Security > Certificates > Manage Certificates > Authorities > Import",
    );
    print::words("  others: docs/clients.md");
    Ok(())
}
