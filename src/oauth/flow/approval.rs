//! Puts the administrator's link into the cure of a refusal that is due to a missing consent.
//!
//! The table of errors has the meaning of such a refusal, but not the tenant, the client and the scopes that belong
//! into the link. Those are the provider's; so the link is added here, where both are known.

use url::Url;

use crate::oauth::{Client, ProviderRefusal, TokenError, redirect_text};
use crate::trouble::Cure;

/// The consent is missing: in many tenants the person can give it, otherwise an administrator.
const NOT_CONSENTED: &str = "AADSTS65001";

impl Client {
    /// The same error, with the link in its cure.
    pub(in crate::oauth) fn with_link(&self, mut error: TokenError) -> TokenError {
        let refusal = match &mut error {
            TokenError::NeedsPerson(refusal) | TokenError::NeedsAdministrator(refusal) => refusal,
            TokenError::Passing { .. } => return error,
        };
        if wants_link(refusal) {
            let provider = self.provider();
            let asked = provider.asked_for(&provider.doors().collect::<Vec<_>>());
            // No sign-in waits for the answer, so there is no `state`.
            let link = provider.admin_consent(&asked, &redirect_text(&provider.redirect_uri), None);
            add_link(refusal, link.as_ref());
        }
        error
    }
}

fn wants_link(refusal: &ProviderRefusal) -> bool {
    matches!(refusal.cure, Cure::AdminConsent { .. }) || refusal.code == NOT_CONSENTED
}

/// Puts `link` into the cure, if the cure needs it.
pub(in crate::oauth) fn add_link(refusal: &mut ProviderRefusal, link: Option<&Url>) {
    let Some(link) = link.filter(|_| wants_link(refusal)) else { return };
    match &mut refusal.cure {
        Cure::AdminConsent { text, url } => {
            *text = "an administrator of the organisation opens this once and accepts".to_owned();
            *url = Some(link.to_string());
        }
        Cure::Authorize { after, .. } => {
            after.push_str("; where users may not consent, an administrator opens this once and accepts: ");
            after.push_str(link.as_str());
        }
        _ => {}
    }
}
