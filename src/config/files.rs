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
    let own = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home().map(|home| home.join(".config")));
    own.map(|directory| directory.join("imap-oauth-proxy/config.toml"))
        .into_iter()
        .chain([PathBuf::from("/etc/imap-oauth-proxy/config.toml")])
        .collect()
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
