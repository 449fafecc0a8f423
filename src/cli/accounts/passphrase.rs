//! The passphrase of an exported account.

use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::failure::Failure;
use crate::cli::terminal;
use crate::secret::Secret;

/// Longer than any typed passphrase.
const LONGEST: usize = 1024;

/// The first line of `file`; `-` is standard input.
pub(super) async fn in_file(file: &Path) -> Result<Secret, Failure> {
    let text = match file == Path::new("-") {
        true => terminal::read_stdin(LONGEST as u64).await?,
        false => {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::new(format!("the passphrase file {} cannot be read: {error}", file.display()))
            })?;
            Zeroizing::new(text)
        }
    };
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// Asks at the terminal.
pub(super) async fn ask() -> Result<Secret, Failure> {
    terminal::ask("Passphrase of the exported account: ").await.ok_or_else(|| {
        Failure::new("there is no terminal to ask for the passphrase").hint("give --passphrase-file FILE")
    })
}

/// Asks at the terminal for a new passphrase, twice.
pub(super) async fn ask_twice() -> Result<Secret, Failure> {
    let none = || {
        Failure::new("there is no terminal to ask for a passphrase")
            .hint("give --passphrase-file FILE, or --recipient KEY with the key that `keys recipient` prints on the other host")
    };
    let first = terminal::ask("Passphrase for the exported account: ").await.ok_or_else(none)?;
    let second = terminal::ask("Once more: ").await.ok_or_else(none)?;
    match first == second {
        true => Ok(first),
        false => Err(Failure::new("the two passphrases differ; nothing was exported")),
    }
}
