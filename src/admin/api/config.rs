//! `/config`: the configuration file with its secrets masked, and its reload.

use axum::Json;
use serde::Serialize;

use super::caller::{Reader, Writer};
use super::problem::{Answer, Problem};
use crate::admin::reloading::{self, NotReloaded};
use crate::config::masked;
use crate::control::Error;
use crate::control::serving::Reloaded;

/// The configuration in use.
#[derive(Serialize)]
pub(super) struct Shown {
    /// The file; null if there is none and the defaults are used.
    file: Option<String>,
    state_directory: String,
    /// The file's text, with its secrets masked.
    text: Option<String>,
}

pub(super) async fn show(Reader { installation, .. }: Reader) -> Answer<Shown> {
    let config = &installation.config;
    let text = config.file.as_deref().map(masked).transpose().map_err(Error::from)?;
    Ok(Json(Shown {
        file: config.file.as_ref().map(|file| file.display().to_string()),
        state_directory: config.state_directory.display().to_string(),
        text,
    }))
}

pub(super) async fn reload(writer: Writer) -> Answer<Reloaded> {
    reloading::reload(&writer.site, &writer.actor()).await.map(Json).map_err(|error| match error {
        NotReloaded::Here(error) => error.into(),
        NotReloaded::Elsewhere(why) => Problem::failed(format!(
            "the process that answers uses the new configuration, and another one does not: {why}"
        )),
    })
}
