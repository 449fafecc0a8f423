//! What an administrator can do, whatever the surface: a command line, a page, a link.
//!
//! Each operation is a function, or a value that waits for its next step ([`authorize::Pending`]). Its outcome is
//! data, never a sentence with a command in it; it prints nothing and asks nothing. What it has to say on the way
//! goes to a callback of its surface. The surface decides words, this decides what is done.

pub mod accounts;
pub mod answers;
pub mod authorize;
pub mod certs;
pub mod check;
mod error;
pub mod grants;
mod installation;
pub mod keys;
mod names;
pub mod passwords;
mod proof;
pub mod providers;
pub mod serving;
pub mod setup;
pub mod transfer;

pub use error::Error;
pub use installation::Installation;
pub use names::shape::NameFault;
pub use proof::Unproven;
