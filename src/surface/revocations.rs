//! What a revocation has led to at the provider, as `tokens revoke` and the page say it.

use crate::config::Provider;
use crate::control::Error;
use crate::control::grants::AtProvider;

/// A sentence. `what` is what an administrator withdraws of an application. `failed` makes the sentence of a failure, from
/// the error and the place where a person withdraws the access.
pub(crate) fn at_provider(
    there: &AtProvider,
    provider: &Provider,
    owner: &str,
    what: &str,
    failed: impl FnOnce(&Error, &str) -> String,
) -> String {
    let title = &provider.title;
    let place = match &provider.revoke_page {
        Some(page) => format!("at {page}"),
        None => format!("in the account settings of {title}"),
    };
    match there {
        AtProvider::Application => format!(
            "At {title} the application keeps its permission: an administrator withdraws {what} there."
        ),
        AtProvider::NotOpened => format!(
            "The stored token could not be opened, so nothing was done at {title}: withdraw the access {place}."
        ),
        AtProvider::Revoked => format!("{title} has revoked it, too."),
        AtProvider::ByHand(instruction) => {
            format!("{title} has no way for a program to revoke it: {instruction}, signed in as {owner}.")
        }
        AtProvider::Failed(error) => failed(error, &place),
    }
}

/// The sentence for a provider that the configuration no longer has.
pub(crate) fn not_configured(name: &str) -> String {
    format!(
        "The provider {name} is no longer configured, so nothing was done there: withdraw the access in its account settings."
    )
}
