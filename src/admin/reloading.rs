//! Loads the configuration again in every process of this installation, as the command `reload` does: first in this
//! process, where a mistake changes nothing; then in the others, for example the previous process after an upgrade.

use super::ask::{self, Answers, AskError};
use super::site::Site;
use super::talk::{By, Reply, Request};
use crate::control::Error;
use crate::control::serving::Reloaded;
use crate::store::Actor;

/// Why not every process uses the new configuration.
pub(super) enum NotReloaded {
    /// This process does not use it, and no other was asked.
    Here(Error),
    /// This process uses it, and another one does not, for this reason.
    Elsewhere(String),
}

/// Loads the configuration for `actor`; returns the results of all processes together.
pub(super) async fn reload(site: &Site, actor: &Actor) -> Result<Reloaded, NotReloaded> {
    let mut reloaded = site.running.reload(actor.clone()).await.map_err(NotReloaded::Here)?;
    for reply in others(site, actor).await?.replies {
        match reply {
            Reply::Reloaded(theirs) => {
                add(&mut reloaded.needs_restart, theirs.needs_restart);
                add(&mut reloaded.warnings, theirs.warnings);
            }
            Reply::Failed(why) => return Err(NotReloaded::Elsewhere(why)),
            // A process that is stopping takes no new configuration.
            _ => {}
        }
    }
    Ok(reloaded)
}

async fn others(site: &Site, actor: &Actor) -> Result<Answers, NotReloaded> {
    let holder = site.running.holder().await.map_err(|error| NotReloaded::Elsewhere(error.to_string()))?;
    let request = Request::Reload { by: By::of(actor) };
    match ask::all_but(Some(&holder), site.running.state_directory(), &request).await {
        Ok(Answers { silent, .. }) if !silent.is_empty() => {
            let silent: Vec<String> = silent.iter().map(ToString::to_string).collect();
            Err(NotReloaded::Elsewhere(silent.join("; ")))
        }
        Ok(answers) => Ok(answers),
        Err(AskError::NoneRunning(_)) => Ok(Answers::default()),
        Err(error) => Err(NotReloaded::Elsewhere(error.to_string())),
    }
}

fn add(all: &mut Vec<String>, further: Vec<String>) {
    for one in further {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
