//! The button that loads the configuration again, once a person has changed its file.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::frame::text;
use super::remedies::{self, sentence};
use super::words::lead;
use crate::admin::reloading::{self, NotReloaded};
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::visit::Posted;
use crate::control::audit;
use crate::control::serving::Reloaded;

pub(super) async fn reload(State(site): State<Arc<Site>>, posted: Posted) -> Response {
    let by = audit::on_the_page(&posted.visitor.opened_by, &posted.visitor.session);
    let said = match reloading::reload(&site, &by).await {
        Ok(reloaded) => Said::done(done(&reloaded)),
        Err(NotReloaded::Here(error)) => remedies::failed(&error),
        Err(NotReloaded::Elsewhere(why)) => Said::failed(
            "This process uses the new configuration, and another one of this installation does not.",
            vec![sentence(&why)],
        ),
    };
    lead(&site, &posted.visitor, "/", said).await
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
