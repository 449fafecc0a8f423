//! OAuth: making grants, getting access tokens for them, and interpreting refusals.
//!
//! [`Client`] speaks to one provider. A person grants by the authorisation code flow
//! ([`Client::authorization`], then a [`Callback`] or a pasted address, then [`Client::exchange`]) or by the
//! device flow ([`Client::device`]); an administrator by an application's own key ([`Client::app_token`]). A
//! person's grant then gets its tokens by [`Client::refresh`].
//!
//! The invariant: only an explicit refusal ends a grant. Any other behaviour of an endpoint (HTML, silence, a
//! redirect, half an answer) is [`TokenError::Passing`] and changes nothing.
//!
//! Each submodule uses only the earlier ones of this list: `meaning` (of refusals), `http` (requests and
//! answers), `consent` (its result), `client`, `flow` (the flows that make or revoke a grant), `receiver` (of
//! redirects).
//!
//! oauth2 builds the requests (PKCE, URLs, forms, client authentication); reqwest sends them; the
//! answers are read here, because oauth2's response types refuse what real endpoints send:
//! `expires_in` as text, HTML with status 200, no `token_type`. Neither crate is used outside this
//! module. No error's text ever holds a secret or a URL's query.

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
pub use flow::authorization::{AuthorizationRequest, FrozenRequest, redirect_text};
pub use flow::device::{Device, Poll};
pub use flow::redirect::{AdminConsent, AuthorizationCode, RedirectError, state_of};
pub use flow::refused::AuthorizeError;
pub use flow::revoke::Revocation;
pub use http::exchange::{Exchange, Exchanged};
pub use http::webhook::Webhook;
pub use meaning::error::{ProviderRefusal, TokenError};
pub use meaning::knowledge;
pub use receiver::loopback::{Callback, CallbackError};
pub use receiver::shared::{Received, SharedCallback, receive};
