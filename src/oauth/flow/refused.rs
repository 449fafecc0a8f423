//! Why a consent did not become a grant.

use super::redirect::RedirectError;
use crate::oauth::TokenError;
use crate::oauth::meaning::text;
use crate::trouble::{CauseKind, Cure, Trouble};

/// Why a consent did not become a grant. The caller must store nothing.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// The provider's endpoint refused or could not be reached.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The redirect held no code.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// Without a refresh token the access would end within the hour.
    #[error("{provider} gave no refresh token, so the access would end within the hour: {reason}")]
    NoRefreshToken {
        /// The provider's title.
        provider: String,
        /// Why this provider sends none, and the cure.
        reason: &'static str,
    },
    /// The person unticked the mail permission, or the registration lacks it.
    #[error("{}", scopes_missing(missing, granted))]
    ScopesMissing {
        /// The requested scopes that were not granted.
        missing: Vec<String>,
        /// The scopes that came instead, if the provider lists them.
        granted: Vec<String>,
    },
    /// The id_token does not answer our request.
    #[error("the provider's id_token cannot be trusted: {0}")]
    IdToken(&'static str),
    /// RFC 6749 §7.1: a client must not use a token type that it does not understand.
    #[error("the provider gave a token of type {0}, which mail servers do not take; they take bearer tokens")]
    TokenType(String),
}

impl AuthorizeError {
    /// The trouble, if an administrator has to consent before the person can.
    pub fn awaited_consent(&self) -> Option<Trouble> {
        let refusal = match self {
            Self::Token(error) => error.refusal(),
            Self::Redirect(RedirectError::Refused(refusal)) => refusal,
            _ => return None,
        };
        matches!(refusal.cure, Cure::AdminConsent { .. }).then(|| refusal.trouble(CauseKind::ClientRefused))
    }

    /// The cure, if the message does not contain it.
    pub fn cure(&self) -> Option<&Cure> {
        match self {
            Self::Token(error) => Some(&error.refusal().cure),
            Self::Redirect(RedirectError::Refused(refusal)) => Some(&refusal.cure),
            _ => None,
        }
    }
}

/// The message about scopes that are missing: the person unticked them, the registration lacks them, or a name is
/// misspelt.
fn scopes_missing(missing: &[String], granted: &[String]) -> String {
    let came = match granted {
        [] => "none of the scopes".to_owned(),
        granted => text::plain(&granted.join(" "), 300),
    };
    format!(
        "the access to mail was not granted: {} is missing, and what came is {came}; leave every permission ticked, and where \
         all were, compare `scopes` with what the provider calls them and with the registration",
        missing.join(" ")
    )
}
