//! `setup`: makes a file or a text that sets up a mail program.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::command;
use crate::control::setup::{Server, Sheet, autoconfig, mobileconfig, outlook, settings};

/// The programs for which there are files or steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Program {
    /// Thunderbird's autoconfig file, for all accounts of the domain
    Thunderbird,
    /// A configuration profile for Mail on iPhone, iPad and Mac, with the CA
    Apple,
    /// Steps for Outlook
    Outlook,
    /// The settings for any program
    Text,
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The account
    account: String,
    /// The mail program
    #[arg(long = "for", value_name = "PROGRAM")]
    program: Program,
    /// Write the result to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let installation = options.open_existing().await?;
    let sheet = Sheet::of(&installation, &arguments.account).await?;
    let text = match arguments.program {
        Program::Thunderbird => autoconfig(&sheet),
        Program::Apple => mobileconfig(&sheet)?,
        Program::Outlook => numbered(&outlook(&sheet, &ca_file(&sheet))),
        Program::Text => settings(&sheet),
    };
    match &arguments.output {
        Some(file) => {
            let unwritable = |error| Failure::new(format!("{} cannot be written: {error}", file.display()));
            std::fs::write(file, &text).map_err(unwritable)?;
            print::words(&format!("It is in {}.", file.display()));
        }
        None => print::block_of_data(text.trim_end()),
    }
    for word in next(&sheet, arguments.program) {
        print::words(&word);
    }
    print::words(&format!("The password is an app password: {}", command::create_password(&sheet.address)));
    Ok(Done::Well)
}

/// The next steps for the person.
fn next(sheet: &Sheet, program: Program) -> Vec<String> {
    let here_only = sheet.servers.iter().any(|(_, server)| is_here(server));
    let mut words = Vec::new();
    match program {
        Program::Thunderbird => {
            words.push(format!(
                "Put it into the directory `isp` of Thunderbird's program directory as {}.xml, or let a web server answer http://autoconfig.{0}/mail/config-v1.1.xml with it; then Thunderbird's own New Account needs the address and the password alone.",
                sheet.domain()
            ));
            words.extend(sheet.ca.as_ref().map(|ca| {
                format!(
                    "It has to trust the proxy's own CA: Settings > Privacy & Security > Certificates > Manage Certificates > Authorities > Import {}",
                    ca.file.display()
                )
            }));
        }
        Program::Apple => {
            words.push("Open it on the device, by AirDrop, mail or a web server, and install it under Settings > General > VPN & Device Management.".to_owned());
            if here_only {
                words.push(
                    "Its servers are on this machine alone: for another device, a listener needs an address of the network, and [tls] hostnames a name for it."
                        .to_owned(),
                );
            }
        }
        Program::Outlook | Program::Text => {}
    }
    words
}

fn is_here(server: &Server) -> bool {
    server.host == "localhost" || server.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn ca_file(sheet: &Sheet) -> String {
    sheet.ca.as_ref().map(|ca| ca.file.display().to_string()).unwrap_or_default()
}

fn numbered(steps: &[String]) -> String {
    steps.iter().enumerate().map(|(index, step)| format!("{}. {step}\n", index + 1)).collect()
}
