//! Receivers of redirects, to which the browser is sent at the end of a sign-in. The flow checks the
//! redirect.

pub(super) mod loopback;
mod page;
pub(super) mod shared;
