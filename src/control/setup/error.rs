//! Why no mail program can be set up.

use crate::config::Door;

/// What the account or the listeners lack for a set-up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("{domain} stands for a whole domain, and a mail program has one mailbox")]
    MailboxOfDomain { domain: String },
    #[error("no listener opens a door that this account has")]
    NoListener,
    #[error("a configuration profile needs a listener for {}, and this account has none", door.title())]
    ProfileNeedsDoor { door: Door },
}
