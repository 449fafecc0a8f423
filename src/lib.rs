//! A local IMAP, POP3 and submission server for mail programs that only know passwords, in front of providers that only
//! accept OAuth.
//!
//! The data plane carries sessions, in this order: [`server`] accepts; [`connection`] tells the story of one
//! connection: [`tls`] under a [`wire`], the dialogue of the listener's [`protocol`] until a client logs in, the
//! [`account`] and its app password, an access [`token`] (fetched through [`oauth`]) while [`upstream`] dials the
//! provider, the sign-in, and then the [`relay`], which copies bytes as they are.
//!
//! The control plane is what an administrator can do: `control` does it, and [`cli`] is its surface, the only
//! place that prints. `admin` is what the commands and watchers ask a running `serve`. [`events`] tells people when a grant needs one of them; [`forecast`] knows what ends a grant.
//!
//! Below both: rows in the [`store`], sealed by [`secret`]; the [`config`]; and [`trouble`], what is wrong and what
//! mends it, as data that each surface says in its own words, with the lines of [`command`].

pub mod account;
mod admin;
pub mod cli;
pub mod command;
pub mod config;
pub mod connection;
mod control;
pub mod events;
pub mod forecast;
mod http;
pub mod logging;
pub mod metrics;
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
