//! A login that does not succeed: the log line and the answer to the mail program.

use tracing::warn;

use super::denial;
use super::reason::Reason;
use super::sign_in::Failed;
use crate::account::{Account, Grant};
use crate::command;
use crate::protocol::{Denial, MendedBy};

/// A login that does not succeed: what the client is told, and what the log says.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) denial: Denial,
    pub(super) reason: Reason,
}

impl Denied {
    pub(super) fn new(reason: Reason, denial: Denial) -> Self {
        Self { denial, reason }
    }
}
/// Logs why, and says it to the mail program.
pub(super) fn deny(account: &Account, grant: Option<&Grant>, failed: &Failed) -> Denied {
    match failed {
        Failed::Token(failure) => {
            let authorize = grant.map_or_else(
                || command::authorize_account(&account.name),
                |grant| command::authorize(grant, &account.name),
            );
            warn!(account = account.name, "no token: {}", failure.trouble().line(&authorize));
            Denied::new(Reason::from(failure), denial::no_token(failure, &authorize))
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
