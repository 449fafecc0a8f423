//! The default places of the configuration file and the state directory.

use std::path::PathBuf;

use super::ConfigError;

/// The first default file that exists. A file that this user may not reach is an error: with the defaults in its place,
/// the program would act on another installation.
pub fn default_file() -> Result<Option<PathBuf>, ConfigError> {
    for path in default_files() {
        match path.try_exists() {
            Ok(true) => return Ok(Some(path)),
            Ok(false) => {}
            Err(error) => return Err(ConfigError::unreadable(&path, &error)),
        }
    }
    Ok(None)
}

/// The default configuration files: the user's own, then the machine's.
pub fn default_files() -> Vec<PathBuf> {
    own_directory("XDG_CONFIG_HOME", ".config")
        .map(|directory| directory.join("config.toml"))
        .into_iter()
        .chain([PathBuf::from("/etc/imap-oauth-proxy/config.toml")])
        .collect()
}

/// The default file to make where there is none: the machine's for root, if a package has made its directory, else the
/// person's.
pub fn new_default_file() -> Option<PathBuf> {
    let files = default_files();
    let of_machine = files.last().filter(|file| file.parent().is_some_and(std::path::Path::is_dir));
    match rustix::process::geteuid().is_root() {
        true => of_machine.or(files.first()).cloned(),
        false => files.first().cloned(),
    }
}

/// `$STATE_DIRECTORY` (systemd's, the first of its list), else the XDG state home.
pub(super) fn default_state_directory() -> Option<PathBuf> {
    let systemd = std::env::var("STATE_DIRECTORY").ok();
    if let Some(first) = systemd.as_deref().and_then(|list| list.split(':').next()).filter(|s| !s.is_empty())
    {
        return Some(PathBuf::from(first));
    }
    own_directory("XDG_STATE_HOME", ".local/state")
}

/// The user's own directory of this program: below `$variable`, else below `default` in the home directory.
fn own_directory(variable: &str, default: &str) -> Option<PathBuf> {
    let is_absolute = |path: &PathBuf| path.is_absolute();
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(is_absolute)
        .or_else(|| std::env::home_dir().filter(is_absolute).map(|home| home.join(default)))
        .map(|directory| directory.join("imap-oauth-proxy"))
}
