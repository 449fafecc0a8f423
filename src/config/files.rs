//! Where the configuration file and the state directory are, when nothing names them.

use std::path::PathBuf;

use super::ConfigError;

/// The first default file that exists. One that this user is kept from is an error: the defaults in its place would be
/// another installation.
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

/// Where a configuration is looked for, the person's before the machine's.
pub fn default_files() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home().map(|home| home.join(".config")));
    own.map(|directory| directory.join("imap-oauth-proxy/config.toml"))
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
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home().map(|home| home.join(".local/state")))
        .map(|directory| directory.join("imap-oauth-proxy"))
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|path| path.is_absolute())
}
