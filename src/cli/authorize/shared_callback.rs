//! A redirect URI that is an https address of the user's own: the daemon behind their reverse proxy receives
//! the answer and leaves it in the store, sealed, for whoever asked.
//!
//! The daemon judges nothing: it knows no verifier. `state` names the answer, this command judges it, and
//! what nobody collects is forgotten after ten minutes.

use std::time::Duration;

use super::Request;
use crate::cli::callback;
use crate::cli::failure::Failure;
use crate::oauth::{Authorization, AuthorizeError, Code};
use crate::text::quoted;

/// How often the store is looked at; a person waits for this.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) async fn code(
    request: &Request,
    authorization: &Authorization,
    announce: impl FnOnce(),
) -> Result<Code, Failure> {
    if request.installation.config.callback.is_none() {
        return Err(Failure::new(format!(
            "the redirect_uri {} does not lead to this machine by itself",
            authorization.redirect_uri()
        ))
        .hint(format!("imap-oauth-proxy authorize {} --paste works without it", quoted(&request.account)))
        .hint("or let your web server pass that address on to a running `imap-oauth-proxy serve`: set address in [callback]"));
    }
    callback::announce(&request.installation, authorization.state(), request.arguments.timeout).await?;
    announce();
    loop {
        if let Some(query) = callback::collect(&request.installation, authorization.state()).await? {
            let judged = authorization.judge(query.expose());
            return judged.map_err(|error| {
                Failure::new(AuthorizeError::Redirect(error).one_line(&quoted(&request.account)))
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
