//! A local IMAP server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The modules follow the data: a connection is accepted, its login is read, the account
//! and its token are found, the provider is dialled and signed in to, and then bytes are relayed.

pub mod config;
pub mod oauth;
pub mod protocol;
pub mod secret;
pub mod wire;
