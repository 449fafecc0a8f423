//! The OAuth client of a provider's table: its secret, and what an application signs in with by itself.

use super::ProviderFile;
use super::field::Field;
use crate::config::error::Problem;
use crate::config::place::Base;
use crate::config::provider::AppGrant;
use crate::secret::Secret;

/// The client's secret, written here or in a file of its own; an empty one is none.
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

/// How the application signs in without a person, where it can.
pub(super) fn application(
    field: &Field<'_>,
    file: &ProviderFile,
    base: &Base,
    has_secret: bool,
) -> Result<Option<AppGrant>, Problem> {
    let scopes = file.app_scopes.clone().unwrap_or_default();
    let [service_account, certificate, key] =
        [&file.service_account_file, &file.app_certificate, &file.app_key]
            .map(|path| path.clone().map(|path| base.resolve(path)));
    match (service_account, certificate, key) {
        (Some(key), None, None) => Ok(Some(AppGrant::ServiceAccount { scopes, key })),
        (None, Some(certificate), Some(key)) => Ok(Some(AppGrant::Certificate { scopes, certificate, key })),
        (None, None, None) => {
            Ok((has_secret && !scopes.is_empty()).then_some(AppGrant::ClientSecret { scopes }))
        }
        (None, Some(_), None) => Err(field.problem("app_certificate", "needs app_key beside it")),
        (None, None, Some(_)) => Err(field.problem("app_key", "needs app_certificate beside it")),
        (Some(_), ..) => {
            Err(field.problem("service_account_file", "stands beside app_certificate or app_key"))
        }
    }
}
