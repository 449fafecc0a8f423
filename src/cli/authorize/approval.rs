//! The link for an administrator, shown while the sign-in waits: the provider's page that asks for approval may
//! never send the browser back, so the person would learn nothing else.

use crate::cli::print;
use crate::control::authorize::Consent;

/// Shows the link, if there is one, as a message: standard output holds only the address to open.
pub(super) fn announce(consent: &Consent) {
    let Some(link) = consent.approval() else { return };
    print::words(
        "If Microsoft says that an administrator has to approve this, an administrator opens this address once and accepts; then sign in here again:",
    );
    print::words(&format!("  {link}"));
}
