//! The operations of an administrator, for every surface (`cli`, `admin`).
//!
//! Each operation is a function, or a value that waits for its next step ([`authorize::Pending`]). It returns
//! data, never a sentence with a command in it; it prints nothing and asks nothing. Progress goes to a callback of
//! its surface. The surface chooses the words.

pub(crate) mod accounts;
mod actors;
pub(crate) mod answers;
pub(crate) mod api_tokens;
pub(crate) mod audit;
pub(crate) mod authorize;
pub(crate) mod backup;
pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod consents;
mod doors;
pub(crate) mod enrol;
mod error;
pub(crate) mod grants;
pub(crate) mod import;
mod installation;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod marks;
pub(crate) mod misses;
mod names;
pub(crate) mod overviews;
pub(crate) mod passwords;
pub(crate) mod preflight;
mod proof;
pub(crate) mod providers;
pub(crate) mod relocate;
pub(crate) mod serving;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod transfer;
mod waiting;
pub(crate) mod watching;

pub(crate) use error::{
    ApiTokenError, Error, ImportError, KeysError, LeftOut, SetupError, TableError, Unproven,
};
pub(crate) use installation::{Installation, Nothing};
pub(crate) use names::shape::{NameOf, OldName};
