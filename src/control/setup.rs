//! The settings of a mail program: servers and ports, and files that programs can read.

mod apple;
mod servers;
mod sheet;
mod steps;
mod thunderbird;
mod xml;

pub(crate) use apple::mobileconfig;
pub(crate) use servers::{Server, server};
pub(crate) use sheet::Sheet;
pub(crate) use steps::{outlook, settings};
pub(crate) use thunderbird::autoconfig;
