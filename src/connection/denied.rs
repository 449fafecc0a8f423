//! A login that does not succeed: the log line and the answer to the mail program.

use tracing::warn;

use super::denial;
use super::reason::Reason;
use super::sign_in::Failed;
use crate::account::{Account, Grant, takes_consent};
use crate::command;
use crate::protocol::{Denial, MendedBy};
use crate::token::TokenFailure;
use crate::trouble::{Cure, Trouble};

/// A login that does not succeed: the answer to the client, and the reason in the log.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) reason: Reason,
    /// Set where only a person's consent mends the account.
    pub(super) consent: Option<Consent>,
}

/// A consent that mends an account, for the answer behind a right password.
#[derive(Debug)]
pub(super) struct Consent {
    /// The command that asks for the consent.
    pub(super) authorize: String,
    /// Why the consent is needed.
    pub(super) cause: String,
}

impl Denied {
    pub(super) fn new(reason: Reason, denial: Denial) -> Self {
        Self { denial, reason, consent: None }
    }
}
/// Logs why the login failed, and makes the answer to the mail program.
pub(super) fn deny(account: &Account, grant: Option<&Grant>, failed: &Failed) -> Denied {
    match failed {
        Failed::Token(failure) => {
            let authorize = grant.map_or_else(
                || command::authorize_account(&account.name),
                |grant| command::authorize(grant, &account.name),
            );
            warn!(account = account.name, "no token: {}", failure.trouble().line(&authorize));
            let consent = consent(account, grant, failure, &authorize);
            let denied = Denied::new(Reason::from(failure), denial::no_token(failure, &authorize));
            Denied { consent, ..denied }
        }
        Failed::Dial(error) => {
            warn!(account = account.name, "{error}");
            Denied::new(Reason::from(error), denial::not_dialled(error))
        }
        Failed::Refused(refusal) => {
            let mut denial = refusal.denial();
            let more = format!("; for more: {}", command::check(&account.name));
            let more = if refusal.mended_by() == MendedBy::Time { "" } else { more.as_str() };
            warn!(account = account.name, "{refusal}{more}");
            denial.text.push_str(more);
            Denied::new(Reason::from(refusal), denial)
        }
    }
}

/// The consent that mends the account, where the grant is or was a person's and the person can consent in a browser.
fn consent(
    account: &Account,
    grant: Option<&Grant>,
    failure: &TokenFailure,
    authorize: &str,
) -> Option<Consent> {
    let TokenFailure::NeedsAuthorization(Trouble { cause, cure }) = failure else { return None };
    let in_browser = !matches!(cure, Cure::Authorize { way: Some(_), .. });
    (in_browser && takes_consent(account, grant))
        .then(|| Consent { authorize: authorize.to_owned(), cause: cause.text.clone() })
}
