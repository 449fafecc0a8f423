//! Judges the new configuration as a whole, before anything is written: as `config check` does, and in the terms of the
//! old one.

use std::path::PathBuf;

use super::scheme::Scheme;
use super::target::Target;
use super::text::Sight;
use crate::config::{Config, ConfigError};
use crate::control::preflight::obstacles;

/// What would stop `serve` outside of the new configuration.
pub(crate) struct Obstacle {
    /// The section of the listener that it concerns.
    pub(crate) section: Option<String>,
    pub(crate) message: String,
}

impl Scheme {
    /// The mistakes of the whole configuration, and what outside of it would stop `serve`: as `config check` finds them.
    pub(crate) fn judge_whole(&self, target: &Target) -> (Vec<ConfigError>, Vec<Obstacle>) {
        let (mistakes, config) = Config::mistakes_in(&self.text(target, Sight::Written), Some(&target.file));
        let to_come: Vec<PathBuf> = self.keys(target).into_iter().map(|(file, _)| file).collect();
        // The ports belong to email-oauth2-proxy until it is stopped.
        let found = config.map(|config| obstacles(&config, &to_come, true)).unwrap_or_default();
        let mut obstacles: Vec<Obstacle> = Vec::new();
        for error in found {
            let obstacle = self.obstacle(&error);
            // The addresses of a section have the same port, and what is wrong with it.
            let is_said = |said: &Obstacle| said.section == obstacle.section;
            if obstacle.section.is_none() || !obstacles.iter().any(is_said) {
                obstacles.push(obstacle);
            }
        }
        (mistakes, obstacles)
    }

    /// An obstacle with the section that it comes from, because the numbers of listeners are those of a file that is
    /// not there yet.
    fn obstacle(&self, error: &ConfigError) -> Obstacle {
        let number = error.key().strip_prefix("listeners.").and_then(|rest| rest.split('.').next());
        let listener = number.and_then(|number| self.listeners.get(number.parse::<usize>().ok()?));
        match listener {
            Some(listener) => {
                Obstacle { section: Some(listener.section.clone()), message: error.message().to_owned() }
            }
            None => Obstacle { section: None, message: error.clause() },
        }
    }
}
