//! A local IMAP server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The modules follow the data: a connection is accepted, its login is read, the account
//! and its token are found, the provider is dialled and signed in to, and then bytes are relayed.

pub mod account;
pub mod config;
pub mod protocol;
pub mod secret;
pub mod store;
pub mod tls;
pub mod upstream;
pub mod relay;
