//! A local IMAP, POP3 and submission server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The data plane carries sessions. [`server`] accepts; [`connection`] runs one connection step by step:
//! [`tls`] under a [`wire`], the dialogue of the listener's [`protocol`] until a client logs in, the
//! [`account`] and its app password, an access [`token`] (fetched through [`oauth`]) while [`upstream`] dials
//! the provider, the sign-in, and then the [`relay`], which copies bytes unchanged.
//!
//! The control plane is for the administrator: `control` holds the operations, and [`cli`] is its surface,
//! the only module that prints. `admin` lets commands, browsers, programs and monitoring query a running `serve`;
//! `surface` has what both say alike. [`events`] reports grants that need a person; [`forecast`] predicts when grants
//! end.
//!
//! Below both: rows in the [`store`], sealed by [`secret`]; the [`config`]; and [`trouble`], causes and cures
//! as data, which each surface words itself with the command lines of [`command`].

// Unit tests share the stores of the tests in tests/, which know the library by its name.
#[cfg(test)]
extern crate self as imap_oauth_proxy;

pub mod account;
mod admin;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod connection;
mod control;
pub mod events;
mod files;
pub mod forecast;
mod http;
pub mod links;
pub mod logging;
pub mod metrics;
mod mutex;
pub mod oauth;
pub mod protocol;
pub mod relay;
pub mod secret;
pub mod server;
pub mod shutdown;
pub mod store;
mod surface;
pub mod text;
pub mod tls;
pub mod token;
pub mod trouble;
pub mod upstream;
pub mod wire;
