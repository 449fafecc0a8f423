//! What others can ask a running `serve`: the commands through its control socket, watchers over HTTP.
//!
//! A surface like `cli`: it takes a question, has `control` do or tell, and words the answer; it decides nothing. The
//! invariant: nothing that can be asked here reads a stored secret, and a peer that is slow, sends too much or sends
//! garbage gets an error instead of its answer, and costs no other peer anything.

pub(crate) mod ask;
mod desk;
mod follow;
mod socket;
mod talk;
mod watch;

pub(crate) use desk::Desk;
pub(crate) use talk::{Reply, Request, SessionRow, TraceRow};
