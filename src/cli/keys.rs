//! `keys`: the keys that seal the store.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::control::keys::{self, Removed, Rotated, RotationStep};
use crate::secret::bundle;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Seal everything with a new key, while `serve` runs, also several on other machines
    Rotate,
    /// Print the public key with which accounts can be exported to this installation only
    Recipient,
}

pub(super) async fn run(options: &Options, command: &Command) -> Result<Done, Failure> {
    let installation = match command {
        // The first account of a new host can be a moved one, so this command makes missing parts of the installation.
        Command::Recipient => options.open().await?,
        Command::Rotate => options.open_existing().await?,
    };
    installation.verify_key().await?;
    match command {
        Command::Rotate => finished(&keys::rotate(&installation, &mut progress).await?),
        Command::Recipient => {
            print::data(&bundle::recipient(&keys::transfer_key(&installation).await?)?);
            let directory = installation.config.state_directory.display();
            print::words(&format!("It is the key of the installation in {directory}."));
        }
    }
    Ok(Done::Well)
}

fn progress(step: RotationStep<'_>) {
    print::words(&match step {
        RotationStep::Added(id, source) => format!("Key {id} is added to {source}."),
        RotationStep::GoingOn(id, source) => format!("Sealing with key {id}, the newest of {source}."),
        RotationStep::Resealed(count, id) => format!("{count} values are sealed with key {id} now."),
    });
}

fn finished(Rotated { current, retired, source, removed, is_shared }: &Rotated<'_>) {
    let gone = retired.iter().map(|id| format!("key {id}")).collect::<Vec<_>>().join(", ");
    print::words(&match removed {
        Removed::Yes => format!(
            "Nothing needs {gone} any more; {source} holds key {current} alone. Backups of the store from before need the old one."
        ),
        Removed::NotOurs => format!("Nothing needs {gone} any more; take it out of {source}."),
        Removed::Failed(error) => format!(
            "Done. Nothing needs {gone} any more, but it could not be removed: {error}. Remove its line from {source}."
        ),
    });
    if *is_shared {
        print::words("The copies on other machines still hold the old key: copy the keys there once more.");
    }
    print::words("App passwords stay as they are. A running serve has the new key with its next login.");
}
