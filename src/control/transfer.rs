//! An authorisation moves from one installation to another, sealed.
//!
//! Two hosts that refresh one rotating token kill the grant, so the source gives it up, and the other side stores
//! it before it is tried: it may be the only copy. App passwords do not travel.

mod export;
mod import;
mod judge;
mod parcel;

pub(crate) use export::{Export, SealedFor};
pub(crate) use import::{Imported, Trial, check};
pub(crate) use parcel::Parcel;
