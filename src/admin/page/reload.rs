//! The button that loads the configuration again, once a person has changed its file.

use axum::response::Response;

use super::frame::text;
use super::remedies::{self, sentence};
use crate::admin::reloading::{self, NotReloaded};
use crate::admin::said::Said;
use crate::admin::visit::Posted;
use crate::control::serving::Reloaded;

pub(super) async fn reload(Posted { visit, .. }: Posted) -> Response {
    let said = match reloading::reload(&visit.site, &visit.actor()).await {
        Ok(reloaded) => Said::Done(done(&reloaded)),
        Err(NotReloaded::Here(error)) => remedies::failed(&error),
        Err(NotReloaded::Elsewhere(why)) => Said::failed(
            "This process uses the new configuration, and another one of this installation does not.",
            vec![sentence(&why)],
        ),
    };
    visit.lead("/", said).await
}

fn done(reloaded: &Reloaded) -> String {
    let Reloaded { needs_restart, warnings } = reloaded;
    let mut words = "The new configuration is in use; open sessions keep the old one.".to_owned();
    if !needs_restart.is_empty() {
        words = format!(
            "A restart is needed for the new {}; the rest is in use.",
            text(&needs_restart.join(", "))
        );
    }
    for warning in warnings {
        words.push(' ');
        words.push_str(&sentence(warning));
    }
    words
}
