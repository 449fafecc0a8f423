//! Receivers of redirects: what a browser is sent to at the end of a sign-in. What comes is judged by the flow.

pub(super) mod loopback;
mod page;
pub(super) mod shared;
