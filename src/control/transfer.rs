//! Moves an authorisation from one installation to another, sealed.
//!
//! Two hosts that refresh one rotating token would end the grant, so the source deletes its token. The target
//! stores the token before testing it, because it may be the only copy. App passwords do not travel.

mod export;
mod import;
mod judge;
mod parcel;

pub(crate) use export::{Export, SealedFor};
pub(crate) use import::{Imported, Trial, check};
pub(crate) use parcel::Parcel;
