//! The link for an administrator, said while the sign-in waits: the page that asks for approval may never send the
//! browser back, and then nothing else would tell what to do.

use crate::cli::print;
use crate::control::authorize::Consent;

/// Shows it, where the provider has one. It is words, not data: standard output holds the address to open alone.
pub(super) fn announce(consent: &Consent) {
    let Some(link) = consent.approval() else { return };
    print::words(
        "If Microsoft says that an administrator has to approve this, an administrator opens this address once and accepts; then sign in here again:",
    );
    print::words(&format!("  {link}"));
}
