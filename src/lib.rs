//! A local IMAP server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The modules follow the data. [`server`] accepts a connection; [`connection`] tells its story:
//! [`tls`] under a [`wire`], the dialogue of [`protocol`] until somebody logs in, the [`account`] and its app
//! password, an access [`token`] (kept fresh through [`oauth`]) while [`upstream`] dials the provider, the
//! sign-in, and then the [`relay`], which copies bytes that nobody looks at. When a grant needs a person,
//! [`events`] tells one. What lasts is in the
//! [`store`], sealed by [`secret`]; what can be chosen is in the [`config`]; [`cli`] is what a person types.

pub mod account;
pub mod cli;
pub mod config;
pub mod connection;
pub mod events;
pub mod logging;
pub mod oauth;
pub mod protocol;
pub mod relay;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod store;
pub mod text;
pub mod tls;
pub mod token;
pub mod upstream;
pub mod wire;
