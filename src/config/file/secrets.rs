//! Checks that other users cannot reach the files with secrets, this configuration included.
//!
//! A file that other users can write is refused: they could choose the secret, and where it is sent. A file that
//! they can read works, with a warning that names the cure. Mode 0640 is accepted in silence, because a service
//! reads root's files that way.

use std::path::{Path, PathBuf};

use super::{Base, File, Problem};
use crate::config::confidential::{is_secret, names_user};
use crate::config::is_loopback;
use crate::secret::{FileAccess, ModeFault};

/// Warnings about file modes, one sentence each; a mode that must not be used is an error.
pub(super) fn judge(file: &File, base: &Base, configuration: Option<&Path>) -> Result<Vec<String>, Problem> {
    let mut warnings = Vec::new();
    for (key, path) in secret_files(file, base) {
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

/// The files that hold a secret, each with the key that names it.
fn secret_files(file: &File, base: &Base) -> Vec<(Vec<String>, PathBuf)> {
    let mut files = vec![
        (vec!["tls", "key"], file.tls.key.as_ref()),
        (vec!["store", "password_file"], file.store.password_file.as_ref()),
    ];
    for (name, provider) in &file.providers {
        files.extend(provider.secret_files().map(|(key, path)| (vec!["providers", name, key], path)));
    }
    let owned = |key: Vec<&str>| key.into_iter().map(str::to_owned).collect();
    files.into_iter().filter_map(|(key, path)| Some((owned(key), base.resolve(path?.clone())))).collect()
}

/// The key of the first secret that stands in the configuration itself.
fn inline_secret(file: &File) -> Option<Vec<String>> {
    let provider = file.providers.iter().find(|(_, provider)| provider.has_inline_secret());
    if let Some((name, _)) = provider {
        return Some(["providers", name, "client_secret"].map(str::to_owned).to_vec());
    }
    let proxy = file.network.proxy.as_deref();
    // The path of a webhook on this machine need not be secret.
    let is_here = |text: &&str| url::Url::parse(text).is_ok_and(|url| is_loopback(&url));
    let webhook = file.events.webhook.as_deref().filter(|text| !is_here(text) || names_user(text));
    let (url, listen_url) = (file.store.url.as_deref(), file.store.listen_url.as_deref());
    [
        ("network", "proxy", proxy),
        ("events", "webhook", webhook),
        ("store", "url", url),
        ("store", "listen_url", listen_url),
    ]
    .into_iter()
    .find(|(table, key, text)| text.is_some_and(|text| is_secret(Some(table), key, 0, text)))
    .map(|(table, key, _)| [table, key].map(str::to_owned).to_vec())
}
