//! `reload`: makes every running `serve` load its configuration again.

use super::failure::{Done, Failure};
use super::options::Options;
use super::progress::Progress;
use super::{print, running};
use crate::admin::{Reply, Request};

pub(super) async fn run(options: &Options) -> Result<Done, Failure> {
    let waiting = Progress::of("Reading the configuration");
    let answers = running::ask(options, &Request::Reload { by: None }).await?;
    drop(waiting);
    let (mut done, mut reloaded) = (running::done(&answers), false);
    for reply in &answers.replies {
        let Reply::Reloaded(news) = reply else { continue };
        reloaded = true;
        news.warnings.iter().for_each(|warning| print::words(&format!("warning: {warning}")));
        if !news.needs_restart.is_empty() {
            done = Done::NeedsPerson;
            let keys = news.needs_restart.join(", ");
            print::words(&format!("A restart is needed for the new {keys}; the rest is in use."));
        }
    }
    match (answers.failure(), reloaded) {
        (Some(failure), _) => {
            let what = match !reloaded && answers.silent.is_empty() {
                true => "nothing was changed",
                false => "not every running serve took the configuration",
            };
            Err(Failure::new(format!("{what}: {failure}")).hint(
                "`imap-oauth-proxy config check` lists everything that is wrong with the configuration",
            ))
        }
        (None, false) => Err(Failure::new("the running serve is stopping, so it takes no new configuration")),
        (None, true) => {
            if done == Done::Well {
                print::words("The new configuration is in use; open sessions keep the old one.");
            }
            Ok(done)
        }
    }
}
