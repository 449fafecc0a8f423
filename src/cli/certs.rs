//! `certs`: the certificate that mail programs must trust.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::failure::{Done, Failure};
use super::options::Options;
use super::{agreement, print};
use crate::command;
use crate::config::Config;
use crate::control::{Nothing, certs};
use crate::surface::times::rfc3339;
use crate::text::quoted;
use crate::tls::Authority;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the CA that mail programs must trust
    Show,
    /// Write the CA's certificate to a file for import into mail programs
    Export {
        /// Where to write it; - is standard output
        file: PathBuf,
    },
    /// Make a new CA, which every mail program must then be taught to trust
    RenewCa {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(options: &Options, command: Command) -> Result<Done, Failure> {
    let config = options.load()?;
    let place = place(&config);
    match command {
        Command::Show => match certs::find_to_read(config).await? {
            Ok(authority) => show(&authority)?,
            Err(Nothing { .. }) => {
                return Err(Failure::new(format!("there is no CA in {place} yet"))
                    .hint(format!(
                        "the first start of `{}` makes one, and so does {}",
                        command::SERVE,
                        command::EXPORT_CA
                    ))
                    .hint("where a service has one, run this as its user: sudo -u USER imap-oauth-proxy …"));
            }
        },
        Command::Export { file } => export(&open(config).await?, &file)?,
        Command::RenewCa { yes } => {
            let loss = "Every mail program that trusts the CA of now refuses this proxy until the new one is imported there.";
            agreement::to_loss(yes, loss).await?;
            show(&certs::renew(config).await?)?;
            print::words("A running proxy shows the new certificates within a minute.");
            print::words(&format!("Each mail program has to import the new CA: {}", command::EXPORT_CA));
        }
    }
    Ok(Done::Well)
}

/// Where the own CA lies. Several machines share the CA of their database.
fn place(config: &Config) -> String {
    match config.store.postgres {
        Some(_) => "the database".to_owned(),
        None => config.state_directory.display().to_string(),
    }
}

/// Reports a new CA, which shows a mistake to a person who meant another installation.
async fn open(config: Config) -> Result<Authority, Failure> {
    let place = place(&config);
    let (authority, is_new) = certs::find(config).await?;
    if is_new {
        print::words(&format!("There was no CA in {place} yet; this one was made just now."));
    }
    Ok(authority)
}

fn show(authority: &Authority) -> Result<(), Failure> {
    print::data(&format!("Subject:      {}", authority.subject()));
    print::data(&format!("Fingerprint:  SHA-256 {}", authority.fingerprint()));
    print::data(&format!("Names:        {}", authority.names()?.join(", ")));
    let end = rfc3339(Some(authority.not_after()));
    print::data(&format!("Ends:         {} UTC", print::minute(end.as_deref())));
    print::data(&format!("File:         {}", authority.ca_file().display()));
    Ok(())
}

fn export(authority: &Authority, file: &Path) -> Result<(), Failure> {
    if file == Path::new("-") {
        print::block_of_data(authority.pem().trim_end());
        return Ok(());
    }
    write_public(file, &authority.pem()).map_err(|error| {
        let target = quoted(&file.to_string_lossy());
        Failure::new(format!("{} cannot be written: {error}", file.display())).hint(format!(
            "let root write it: imap-oauth-proxy certs export - | sudo tee {target} >/dev/null"
        ))
    })?;
    print::words(&format!(
        "The CA's certificate is in {}. How each mail program learns to trust it:",
        file.display()
    ));
    print::words(
        "  Thunderbird: Settings > Privacy & Security > Certificates > Manage Certificates > Authorities > Import",
    );
    print::words(&format!("  others: {}", command::manual("clients.md")));
    Ok(())
}

/// Mail programs must be able to read the file, despite a service's umask.
fn write_public(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = File::create(file)?;
    out.write_all(text.as_bytes())?;
    // A pipe or a terminal has no mode of its own.
    match out.metadata()?.is_file() {
        true => out.set_permissions(Permissions::from_mode(0o644)),
        false => Ok(()),
    }
}
