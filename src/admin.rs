//! Requests to a running `serve`: commands through its control socket; the page and monitoring over HTTP.
//!
//! A surface like `cli`: it passes a request to `control` and puts the result into words; it decides nothing.
//! Invariants: no request reads a stored secret; a peer that is slow, sends too much or sends garbage gets an
//! error, and delays no other peer.

mod again;
mod api;
pub(crate) mod ask;
mod consent;
mod desk;
mod entrance;
mod follow;
mod guard;
mod once;
mod page;
mod reloading;
mod said;
mod sessions;
mod site;
mod socket;
mod talk;
mod visit;
mod visitors;
mod watch;

pub(crate) use desk::Desk;
pub(crate) use talk::{Reply, Request, SessionRow, TraceRow};
