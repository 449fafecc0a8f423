//! The cures of errors of this machine: its network, its files and the user of the command.

use std::path::{Path, PathBuf};

use crate::command;
use crate::control::Error;
use crate::store::{DirectoryError, RestoreError};
use crate::text::quoted;
use crate::tls::IdentityError;

/// The cure of an error on the way to the provider's servers.
pub(super) fn of_check(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoAddress { .. } | Error::NotFound { .. } => {
            "check the host of the provider's server and this machine's DNS".into()
        }
        Error::Unreachable { .. } => {
            "check this machine's network and firewall, and the port of the provider's server".into()
        }
        Error::NoHandshake(_) => "try again later".into(),
        Error::Refused(_) | Error::NotListed(_) if !error.needs_person() => "try again later".into(),
        _ => return None,
    })
}

pub(super) fn of_machine(error: &Error) -> Option<String> {
    Some(match error {
        Error::OwnCertificate(_) => {
            "remove [tls] certificate and key from the configuration to have one".into()
        }
        Error::Restore(RestoreError::InUse(_)) => {
            "stop serve, and wait for the commands that are running".into()
        }
        Error::Directory(DirectoryError::Failed(..)) => {
            "choose another with state_directory in the configuration, or STATE_DIRECTORY in the environment"
                .into()
        }
        Error::Authority(error) | Error::Identity(IdentityError::Authority(error))
            if error.needs_new_ca() =>
        {
            format!("{} makes a new CA", command::RENEW_CA)
        }
        _ => return None,
    })
}

/// The cures of a state directory that this user may not use.
pub(super) fn of_this_user(error: &Error) -> Option<Vec<String>> {
    match error {
        Error::Directory(DirectoryError::Foreign { owner, path }) => Some(of_foreign(owner, path)),
        Error::Directory(DirectoryError::Failed(path, error))
            if error.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            Some(vec![
                "of a service: start it once, which makes the directory; then run this as its user, with sudo -u USER"
                    .into(),
                format!(
                    "by hand: sudo install -d -m 700 -o \"$(id -un)\" {}; or choose another with state_directory",
                    quoted(&path.to_string_lossy())
                ),
            ])
        }
        _ => None,
    }
}

pub(crate) fn as_that_user(owner: &str) -> String {
    format!("run it as that user: {}", command_line(owner))
}

/// The cures of a state directory that belongs to another user. A directory of root's was most often made by a command
/// that ran as root by mistake.
pub(crate) fn of_foreign(owner: &str, path: &Path) -> Vec<String> {
    let mut hints = vec![as_that_user(owner)];
    if owner == "root" {
        hints.push(format!(
            "where a command made it as root by mistake, give it to the user of the service: sudo chown -R USER {}",
            quoted(&path.to_string_lossy())
        ));
    }
    hints
}

/// The configuration file that is read. If there is none: the file that would be read, for root the machine's, else the
/// user's own.
pub(crate) fn configuration_file() -> String {
    let read = crate::config::default_file().ok().flatten();
    let by_environment = std::env::var_os("IMAP_OAUTH_PROXY_CONFIG").map(PathBuf::from);
    let by_option = std::env::args().skip_while(|word| word != "--config").nth(1).map(PathBuf::from);
    let file = by_option.or(by_environment).or(read).or_else(crate::config::new_default_file);
    file.map_or_else(|| "named by --config FILE".to_owned(), |file| file.display().to_string())
}

/// This process's own command line under `sudo -u`, with the variables of the environment that matter, because sudo
/// drops them.
fn command_line(owner: &str) -> String {
    let mut words = vec!["sudo".to_owned(), "-u".to_owned(), owner.to_owned()];
    for variable in ["STATE_DIRECTORY", "XDG_STATE_HOME", "IMAP_OAUTH_PROXY_CONFIG", "XDG_CONFIG_HOME"] {
        if let Ok(value) = std::env::var(variable) {
            words.push(format!("{variable}={value}"));
        }
    }
    words.extend(std::env::args());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
