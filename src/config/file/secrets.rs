//! Checks that other users cannot reach the files with secrets, this configuration included.
//!
//! A file that other users can write is refused: they could choose the secret, and where it is sent. A file that
//! they can read works, with a warning that names the cure. Mode 0640 is accepted in silence, because a service
//! reads root's files that way.

use std::path::{Path, PathBuf};

use super::{Base, File, Problem};
use crate::config::is_loopback;
use crate::secret::{FileAccess, ModeFault};

/// A file that holds a secret, and the key that names it.
struct SecretFile {
    key: Vec<String>,
    path: PathBuf,
}

/// Warnings about file modes, one sentence each; a mode that must not be used is an error.
pub(super) fn judge(file: &File, base: &Base, configuration: Option<&Path>) -> Result<Vec<String>, Problem> {
    let mut warnings = Vec::new();
    for SecretFile { key, path } in secret_files(file, base) {
        // A missing file is reported when it is read.
        let Ok(Some(access)) = FileAccess::of(&path) else { continue };
        let what = if key.last().is_some_and(|key| key.ends_with("key")) { "the key" } else { "the secret" };
        let fault = access.fault(what, &path);
        if access.group_or_others_write() {
            return Err(refused(key, fault));
        }
        if access.others_read() {
            warnings.push(fault.to_string());
        }
    }
    if let Some(path) = configuration
        && let Ok(Some(access)) = FileAccess::of(path)
    {
        let secret = inline_secret(file);
        match &secret {
            Some(key) if access.others_write() => {
                return Err(refused(key.clone(), access.fault("it holds a secret, and", path)));
            }
            Some(key) if access.others_read() || access.group_or_others_write() => {
                let what = format!("{} is a secret, and the configuration", key.join("."));
                warnings.push(access.fault(&what, path).to_string());
            }
            None if access.others_write() => {
                warnings.push(access.fault("the configuration", path).to_string());
            }
            _ => {}
        }
    }
    Ok(warnings)
}

fn refused(key: Vec<String>, ModeFault { fault, cure }: ModeFault) -> Problem {
    Problem::at_path(key, fault).hint(format!("run: {cure}"))
}

fn secret_files(file: &File, base: &Base) -> Vec<SecretFile> {
    let mut files = Vec::new();
    let mut add = |key: Vec<&str>, path: Option<&PathBuf>| {
        if let Some(path) = path {
            let key = key.into_iter().map(str::to_owned).collect();
            files.push(SecretFile { key, path: base.resolve(path.clone()) });
        }
    };
    add(vec!["tls", "key"], file.tls.key.as_ref());
    add(vec!["store", "password_file"], file.store.password_file.as_ref());
    for (name, provider) in &file.providers {
        for (key, path) in provider.secret_files() {
            add(vec!["providers", name, key], path);
        }
    }
    files
}

/// The key of the first secret that stands in the configuration itself.
fn inline_secret(file: &File) -> Option<Vec<String>> {
    let provider = file.providers.iter().find(|(_, provider)| provider.has_inline_secret());
    if let Some((name, _)) = provider {
        return Some(["providers", name, "client_secret"].map(str::to_owned).to_vec());
    }
    let proxy = file.network.proxy.as_deref().and_then(|proxy| url::Url::parse(proxy).ok());
    if proxy.is_some_and(|proxy| proxy.password().is_some()) {
        return Some(["network", "proxy"].map(str::to_owned).to_vec());
    }
    for (key, url) in [("url", &file.store.url), ("listen_url", &file.store.listen_url)] {
        let url = url.as_deref().and_then(|url| url::Url::parse(url).ok());
        if url.is_some_and(|url| url.password().is_some()) {
            return Some(["store", key].map(str::to_owned).to_vec());
        }
    }
    let webhook = url::Url::parse(file.events.webhook.as_deref()?).ok()?;
    let is_bare = webhook.path() == "/" && webhook.query().is_none();
    let has_user = !webhook.username().is_empty() || webhook.password().is_some();
    // Chat services use a path that is hard to guess as a password; a URL on this machine needs none.
    let is_secret = has_user || !(is_bare || is_loopback(&webhook));
    is_secret.then(|| ["events", "webhook"].map(str::to_owned).to_vec())
}
