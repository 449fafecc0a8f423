//! `health`: whether logins can succeed at the running `serve`; for containers.

use super::failure::{Done, Failure};
use super::options::Options;
use super::{print, running};
use crate::admin::{Reply, Request};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let answers = running::ask(options, &Request::Health).await?;
    if let Some(failure) = answers.failure() {
        return Err(Failure::new(failure));
    }
    // A process that ends while its successor serves is no fault.
    match answers.replies.iter().any(|reply| matches!(reply, Reply::Ready {})) {
        true => {
            print::words("Logins can succeed.");
            Ok(Done::Well)
        }
        false => Err(Failure::new("the running serve is stopping")),
    }
}
