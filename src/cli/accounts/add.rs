//! `accounts add`: makes many accounts from a table, each waiting for its owner's consent.

use std::path::{Path, PathBuf};

use crate::cli::failure::{Done, Failure};
use crate::cli::print;
use crate::cli::progress::Progress;
use crate::command;
use crate::control::enrol::{Enrolled, Enrolling, Fault, PasswordFile, judge, make, read};
use crate::control::{Error, Installation};
use crate::secret::Secret;
use crate::store::fold;
use crate::surface::accounts::{Added, authorize, waits};
use crate::surface::cures;

/// The name of the new passwords, the same as `authorize` uses.
const PASSWORD: &str = "default";

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// A table with one line for each account: account,provider,owner,alias,… Only the account is required
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// Make an app password for each account, and write them to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    passwords_out: Option<PathBuf>,
    /// Accept aliases that are other addresses than the account's
    #[arg(long)]
    yes: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// An account that was made, and the sign-in link of one that waits.
struct Made {
    enrolled: Enrolled,
    link: Option<Secret>,
}

pub(super) async fn add(installation: &Installation, arguments: &Arguments) -> Result<Done, Failure> {
    let file = &arguments.csv;
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", file.display()));
    let text = std::fs::read(file).map_err(unreadable)?;
    // What is no UTF-8 becomes a fault of its line.
    let rows = read(&String::from_utf8_lossy(&text), usize::MAX).map_err(|faults| refused(file, &faults))?;
    let progress = Progress::of("Checking the accounts against those that are here");
    let judged = judge(installation, &rows, arguments.yes).await.map_err(|faults| refused(file, &faults))?;
    let mut passwords = arguments.passwords_out.as_deref().map(PasswordFile::create).transpose()?;
    let (mut made, count) = (Vec::new(), judged.len());
    for enrolling in judged {
        progress.now(format!("Making account {} of {count}", made.len() + 1));
        match one(installation, enrolling, passwords.as_mut()).await {
            Ok(one) => made.push(one),
            Err(error) => {
                drop(progress);
                // The accounts made so far stay, and the administrator needs their commands and passwords.
                report(installation, &made, arguments)?;
                return Err(error.into());
            }
        }
    }
    drop(progress);
    report(installation, &made, arguments)?;
    Ok(Done::Well)
}

fn report(installation: &Installation, made: &[Made], arguments: &Arguments) -> Result<(), Failure> {
    match arguments.json {
        true => {
            let added = |Made { enrolled, link }: &Made| Added::new(enrolled, link.as_ref());
            print::json(&made.iter().map(added).collect::<Vec<_>>())?;
        }
        false => tell(made, arguments.passwords_out.as_deref(), installation.config.admin.url.is_some()),
    }
    Ok(())
}

async fn one(
    installation: &Installation,
    enrolling: Enrolling,
    passwords: Option<&mut PasswordFile>,
) -> Result<Made, Error> {
    let enrolled = make(installation, enrolling, passwords.as_ref().map(|_| PASSWORD)).await?;
    if let Some(passwords) = passwords {
        passwords.put(&enrolled)?;
    }
    let link = match waits(&enrolled) {
        true => installation.sign_in_link(&enrolled.account).await?,
        false => None,
    };
    Ok(Made { enrolled, link })
}

/// Prints every fault with its line.
fn refused(file: &Path, faults: &[Fault]) -> Failure {
    for Fault { line, error } in faults {
        print::words(&format!("{}:{line}: {error}", file.display()));
        for cure in cures::of_table(error) {
            print::block_of_words(&format!("    hint: {cure}"));
        }
    }
    Failure::new("nothing was made")
}

/// Says what was made. With `is_public`, browsers on other machines reach the page.
fn tell(made: &[Made], passwords: Option<&Path>, is_public: bool) {
    print::words(&format!("Accounts made: {}.", made.len()));
    if let Some(file) = passwords {
        print::words(&format!("Their app passwords are in {}, which only you can read.", file.display()));
    } else if let Some(Made { enrolled, .. }) = made.first() {
        print::words(&format!(
            "They have no app password yet, without which no mail program can log in. For each, as for the first: {}",
            command::create_password(&enrolled.account)
        ));
    }
    let waiting: Vec<&Made> = made.iter().filter(|made| waits(&made.enrolled)).collect();
    if waiting.is_empty() {
        return;
    }
    print::words("Each waits for the consent of its owner. One consent opens all accounts of that owner:");
    let mut links = Vec::new();
    for (number, Made { enrolled, link }) in waiting.iter().enumerate() {
        let is_same = |other: &&&Made| {
            let other = &other.enrolled;
            fold(&other.owner) == fold(&enrolled.owner) && other.provider == enrolled.provider
        };
        if waiting.iter().position(|other| is_same(&other)) == Some(number) {
            let others = waiting.iter().skip(number + 1).filter(is_same);
            let others: Vec<&str> = others.map(|other| other.enrolled.account.as_str()).collect();
            let serves =
                if others.is_empty() { String::new() } else { format!("   # and {}", others.join(", ")) };
            print::data(&format!("{}{serves}", authorize(enrolled)));
            links.extend(link.as_ref().map(|link| format!("    {}: {}", enrolled.owner, link.expose())));
        }
    }
    if !links.is_empty() {
        print::words(
            "Or the owners consent themselves, each at a link that is good for a week, while serve runs:",
        );
        links.iter().for_each(|link| print::block_of_words(link));
        if !is_public {
            print::words(
                "These links open on this machine only; `url` in [admin], the address of your web server before the page, makes links for other machines.",
            );
        }
    }
}
