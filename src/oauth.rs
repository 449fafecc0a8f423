//! OAuth: how a grant is made, how an access token comes out of it, and what a refusal means.
//!
//! [`Client`] speaks to one provider. A person grants by the authorisation code flow
//! ([`Client::authorization`], then a [`Callback`] or a pasted address, then [`Client::exchange`]) or by
//! the device flow ([`Client::device`]); an administrator by an application's own key
//! ([`Client::app_token`]). From then on [`Client::refresh`] is all there is.
//!
//! The invariant: a grant is given up only on an explicit refusal. Whatever else an endpoint does
//! (HTML, silence, a redirect, half an answer) is [`TokenError::Passing`] and loses nothing.
//!
//! Inside, each folder uses those before it: `meaning` (what a refusal means), `http` (requests and answers),
//! `consent` (what a consent brought), `client`, `flow` (the ways to a grant), `receiver` (of redirects).
//!
//! oauth2 builds the requests (PKCE, URLs, forms, client authentication); reqwest sends them; the
//! answers are read here, because oauth2's response types refuse what real endpoints send:
//! `expires_in` as text, HTML with status 200, no `token_type`. Neither crate is used outside this
//! module. No text of an error ever holds a secret or a URL's query.

mod client;
mod consent;
mod flow;
mod http;
mod meaning;
mod receiver;
#[cfg(test)]
mod testing;

pub use crate::config::scope;
pub use client::Client;
pub use consent::id_token::IdClaims;
pub use consent::identity;
pub use consent::tokens::GrantedTokens;
pub use flow::authorization::{AuthorizationRequest, AuthorizeError, redirect_text};
pub use flow::device::{Device, Poll};
pub use flow::redirect::{AdminConsent, AuthorizationCode, RedirectError, state_of};
pub use flow::revoke::Revocation;
pub use http::webhook::Webhook;
pub use meaning::error::{ProviderRefusal, TokenError};
pub use meaning::knowledge;
pub use receiver::loopback::{Callback, CallbackError};
pub use receiver::shared::SharedCallback;
