//! A local IMAP server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The modules follow the data. [`server`] accepts a connection; [`connection`] tells its story:
//! [`tls`] under a [`wire`], the dialogue of the listener's [`protocol`] until a client logs in, the [`account`]
//! and its app password, an access [`token`] (kept fresh through [`oauth`]) while [`upstream`] dials the provider,
//! the sign-in, and then the [`relay`], which copies bytes and reads none of them. When a grant needs a person,
//! [`events`] tells one; what will end it is in the [`forecast`]. What lasts is in the
//! [`store`], sealed by [`secret`]; what can be chosen is in the [`config`]; [`cli`] is what a person types.

pub mod account;
pub mod cli;
pub mod command;
pub mod config;
pub mod connection;
mod control;
pub mod events;
pub mod forecast;
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
pub mod trouble;
pub mod upstream;
pub mod wire;
