//! The OAuth client of a provider's table: its secret or its assertion, and an application's own credentials. A
//! client authenticates in only one way (RFC 6749 §2.3), so a second way in the table is a mistake.

use std::path::PathBuf;

use super::ProviderFile;
use super::field::Field;
use crate::config::error::Problem;
use crate::config::place::Base;
use crate::config::provider::AppGrant;
use crate::secret::Secret;

/// The client's secret, from the table or from its own file; an empty one counts as none.
pub(super) fn secret(field: &Field<'_>, file: &ProviderFile, base: &Base) -> Result<Option<Secret>, Problem> {
    let secret = file.client_secret.clone();
    let Some(path) = file.client_secret_file.clone() else {
        return Ok(secret.filter(|secret| !secret.is_empty()));
    };
    if secret.is_some() {
        return Err(field
            .problem("client_secret_file", "stands beside client_secret")
            .hint("keep one of the two"));
    }
    let path = base.resolve(path);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        field.problem("client_secret_file", format!("{} cannot be read: {error}", path.display()))
    })?;
    match text.trim() {
        "" => Err(field.problem("client_secret_file", format!("{} is empty", path.display()))),
        secret => Ok(Some(Secret::new(secret))),
    }
}

/// The file of the assertion that replaces a secret. It may not exist yet: the program that writes it may start
/// after the proxy.
pub(super) fn assertion(
    field: &Field<'_>,
    file: &ProviderFile,
    base: &Base,
) -> Result<Option<PathBuf>, Problem> {
    let Some(path) = file.client_assertion_file.clone() else { return Ok(None) };
    let other = [
        ("client_secret", file.client_secret.as_ref().is_some_and(|secret| !secret.is_empty())),
        ("client_secret_file", file.client_secret_file.is_some()),
        ("app_certificate", file.app_certificate.is_some()),
        ("app_key", file.app_key.is_some()),
        ("service_account_file", file.service_account_file.is_some()),
    ];
    match other.into_iter().find(|(_, is_there)| *is_there) {
        Some((other, _)) => Err(field
            .problem("client_assertion_file", format!("stands beside {other}"))
            .hint("a client proves itself in one way; keep one of the two")),
        None => Ok(Some(base.resolve(path))),
    }
}

/// How the application signs in without a person, if configured.
pub(super) fn application(
    field: &Field<'_>,
    file: &ProviderFile,
    base: &Base,
    has_credential: bool,
) -> Result<Option<AppGrant>, Problem> {
    let scopes = file.app_scopes.clone().unwrap_or_default();
    let [service_account, certificate, key] =
        [&file.service_account_file, &file.app_certificate, &file.app_key]
            .map(|path| path.clone().map(|path| base.resolve(path)));
    match (service_account, certificate, key) {
        (Some(key), None, None) => Ok(Some(AppGrant::ServiceAccount { scopes, key })),
        (None, Some(certificate), Some(key)) => {
            let algorithm = file.app_algorithm.unwrap_or_default();
            Ok(Some(AppGrant::Certificate { scopes, certificate, key, algorithm }))
        }
        (None, None, None) => {
            Ok((has_credential && !scopes.is_empty()).then_some(AppGrant::ClientSecret { scopes }))
        }
        (None, Some(_), None) => Err(field.problem("app_certificate", "needs app_key beside it")),
        (None, None, Some(_)) => Err(field.problem("app_key", "needs app_certificate beside it")),
        (Some(_), ..) => {
            Err(field.problem("service_account_file", "stands beside app_certificate or app_key"))
        }
    }
}
