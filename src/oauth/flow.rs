//! The flows that make a grant: a person in a browser, a person at another device, an application's own key;
//! and the revocation. Each flow adds its methods to [`Client`](super::Client).

mod app;
pub(super) mod approval;
pub(super) mod assertion;
pub(super) mod authorization;
pub(super) mod device;
mod jwt;
mod key_file;
pub(super) mod redirect;
pub(super) mod refused;
pub(super) mod revoke;
