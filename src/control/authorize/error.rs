//! Why there is no grant. Nothing was stored.

use crate::control::error;
use crate::control::grants;
use crate::control::proof::Unproven;
use crate::oauth::{AuthorizeError, CallbackError, TokenError};
use crate::text::quoted;
use crate::token::TokenFailure;

/// Why there is no grant. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request: no person can consent for a whole domain.
    #[error("an account for a whole domain needs the application's own sign-in")]
    DomainNeedsApplication {
        /// The account to be.
        account: String,
    },
    /// The request: nothing would guard the mailbox.
    #[error(
        "--app needs an app password: an application's sign-in opens mailboxes without their owners, so only the app password guards them"
    )]
    ApplicationNeedsPassword,
    /// The configuration: there is a service account alone.
    #[error("{title} has a service account here, but no client that a person can consent to")]
    NoPersonsClient {
        /// The provider's title.
        title: String,
        /// Its name.
        name: String,
    },
    /// The configuration: that provider takes no client secret for it.
    #[error("{title} gives an application mail access through a service account only")]
    ServiceAccountOnly {
        /// The provider's title.
        title: String,
        /// Its name.
        name: String,
    },
    /// The configuration: there is no key of an application.
    #[error("no application sign-in is configured for {title}")]
    NoApplication {
        /// The provider's title.
        title: String,
        /// Its name.
        name: String,
    },
    /// The configuration: the answer would go to another machine, and nothing passes it on.
    #[error("the redirect_uri {redirect_uri} does not lead to this machine by itself")]
    RedirectElsewhere {
        /// As configured.
        redirect_uri: String,
        /// The account to be.
        account: String,
    },
    /// No address to listen on.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The person did not consent in time.
    #[error("nobody consented within {seconds} s; nothing is stored")]
    NoConsent {
        /// How long was waited.
        seconds: u64,
    },
    /// Another kind of answer than this sign-in waits for; a surface's mistake.
    #[error("this is not the kind of answer that the sign-in waits for; nothing is stored")]
    OtherAnswer,
    /// The provider, or the answer that came.
    #[error("{}", error.one_line(&quoted(account)))]
    Provider {
        /// The account that a cure names.
        account: String,
        /// What it said.
        error: AuthorizeError,
    },
    /// The provider, about a token that was got elsewhere.
    #[error("{title} does not accept that refresh token: {}", error.one_line(&quoted(account)))]
    RefreshTokenRefused {
        /// The provider's title.
        title: String,
        /// The account to be.
        account: String,
        /// What it said.
        error: TokenError,
    },
    /// The person who consented is another.
    #[error("{} consented, but {owner} was expected; nothing is stored", names.join(" or "))]
    AnotherPerson {
        /// The names of the one who consented.
        names: Vec<String>,
        /// Who was expected.
        owner: String,
        /// The account to be.
        account: String,
        /// The provider, where the request named it.
        provider: Option<String>,
    },
    /// No token of the owner's grant.
    #[error("{}", grants::in_words(failure, target))]
    OwnersGrant {
        /// What is behind `authorize` for it.
        target: String,
        /// Why.
        failure: TokenFailure,
    },
    /// The owner's grant is good, and not for this mailbox.
    #[error(
        "the authorisation of {owner} does not open the mailbox {account}, so nothing is stored: {unproven}"
    )]
    NotTheOwners {
        /// Who consented.
        owner: String,
        /// The account to be.
        account: String,
        /// What the mail server said.
        unproven: Box<Unproven>,
    },
    /// The application's token is good, and not for this mailbox.
    #[error("the application's token did not open the mailbox {mailbox}, so nothing is stored: {unproven}")]
    NotTheApplications {
        /// The mailbox tried.
        mailbox: String,
        /// What the mail server said.
        unproven: Box<Unproven>,
    },
    /// The new grant does not open the mailbox.
    #[error("the new authorisation did not open the mailbox {account}, so nothing is stored: {unproven}")]
    Unproven {
        /// The account to be.
        account: String,
        /// What the mail server said.
        unproven: Box<Unproven>,
    },
    /// Like any operation.
    #[error(transparent)]
    Other(error::Error),
}

impl Error {
    /// What a provider said about `account`.
    pub fn provider(account: &str, error: impl Into<AuthorizeError>) -> Self {
        Self::Provider { account: account.to_owned(), error: error.into() }
    }
}

impl<E> From<E> for Error
where
    error::Error: From<E>,
{
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}
