//! `health`: whether logins can succeed at the running `serve`; for containers.

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, running};
use crate::admin::{Reply, Request};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let mut ready = false;
    for reply in running::ask(options, &Request::Health).await?.replies {
        match reply {
            Reply::Ready {} => ready = true,
            Reply::Failed(failure) => return Err(Failure::new(failure)),
            // A process that ends while its successor serves is no fault.
            _ => {}
        }
    }
    match ready {
        true => {
            print::words("Logins can succeed.");
            Ok(Done::Well)
        }
        false => Err(Failure::new("the running serve is stopping")),
    }
}
