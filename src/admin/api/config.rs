//! `/config`: the configuration file with its secrets masked, and its reload.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::caller::{Reader, Writer};
use super::problem::Problem;
use crate::admin::ask::{self, Answers, AskError};
use crate::admin::site::Site;
use crate::admin::talk::{By, Reply, Request};
use crate::config::masked;
use crate::control::Error;
use crate::control::serving::Reloaded;
use crate::store::Actor;

/// The configuration in use.
#[derive(Serialize)]
pub(super) struct Shown {
    /// Its file; null if the defaults hold.
    file: Option<String>,
    state_directory: String,
    /// The file's text, with its secrets masked.
    text: Option<String>,
}

pub(super) async fn show(Reader(installation): Reader) -> Result<Json<Shown>, Problem> {
    let config = &installation.config;
    let text = config.file.as_deref().map(masked).transpose().map_err(Error::from)?;
    Ok(Json(Shown {
        file: config.file.as_ref().map(|file| file.display().to_string()),
        state_directory: config.state_directory.display().to_string(),
        text,
    }))
}

pub(super) async fn reload(
    State(site): State<Arc<Site>>,
    Writer { actor, .. }: Writer,
) -> Result<Json<Reloaded>, Problem> {
    let mut reloaded = site.running.reload(actor.clone()).await?;
    for reply in others(&site, &actor).await?.replies {
        match reply {
            Reply::Reloaded(theirs) => {
                add(&mut reloaded.needs_restart, theirs.needs_restart);
                add(&mut reloaded.warnings, theirs.warnings);
            }
            Reply::Failed(why) => return Err(not_everywhere(&why)),
            // A process that is stopping takes no new configuration.
            _ => {}
        }
    }
    Ok(Json(reloaded))
}

/// The answers of the other processes of this installation, as the command asks them all.
async fn others(site: &Site, actor: &Actor) -> Result<Answers, Problem> {
    let holder = site.running.holder().await?;
    let request = Request::Reload { by: By::of(actor) };
    match ask::all_but(Some(&holder), site.running.state_directory(), &request).await {
        Ok(Answers { silent, .. }) if !silent.is_empty() => {
            Err(not_everywhere(&silent.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
        Ok(answers) => Ok(answers),
        Err(AskError::NoneRunning(_)) => Ok(Answers::default()),
        Err(error) => Err(not_everywhere(&error.to_string())),
    }
}

fn not_everywhere(why: &str) -> Problem {
    Problem::failed(format!(
        "the process that answers uses the new configuration, and another one does not: {why}"
    ))
}

fn add(all: &mut Vec<String>, further: Vec<String>) {
    for one in further {
        if !all.contains(&one) {
            all.push(one);
        }
    }
}
