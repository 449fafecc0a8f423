//! `health`: whether logins can succeed at the running `serve`; for containers.

use super::failure::{Done, Failure};
use super::options::Options;
use super::print;
use crate::admin::{Reply, Request, ask};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let state_directory = options.state_directory()?;
    let mut ready = false;
    for reply in ask::all_running(&state_directory, &Request::Health).await?.into_iter().flatten() {
        match reply {
            Reply::Ready {} => ready = true,
            Reply::Failed(failure) => return Err(Failure::new(failure)),
            // One that ends beside another that has taken its place is as it should be.
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
