//! The flow of a person's consent, and how its answer arrives.

use super::storing::Seat;
use crate::config::{Admin, AdminAddress, Config};
use crate::control::answers;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::marks;
use crate::control::providers::Legs;
use crate::oauth::{AuthorizationRequest, Callback, CallbackError, Device, redirect_text};

/// A flow that waits for a person.
pub(super) enum Flow {
    Code(AuthorizationRequest, Arrival),
    Device(Device),
}

/// How the answer of an authorisation code flow arrives.
pub(super) enum Arrival {
    /// At a listener of this process, once.
    Listened(Option<Callback>),
    /// At a running `serve`, which puts the answer into the store.
    Left,
    /// Brought by the surface, as a person pasted it or a browser sent it.
    Brought,
}

/// Listens at the redirect URI, or announces the sign-in to a running `serve`.
pub(super) async fn redirect(
    installation: &Installation,
    legs: &Legs,
    seat: &Seat,
    asked: &[String],
    seconds: u64,
) -> Result<Flow, Error> {
    let configured = &legs.provider.redirect_uri;
    match Callback::bind(configured).await {
        Ok(callback) => {
            let authorization = prepare(installation, legs, seat, &callback.redirect_uri(), asked).await?;
            Ok(Flow::Code(authorization, Arrival::Listened(Some(callback))))
        }
        Err(CallbackError::NotLoopback(_)) => {
            let authorization = prepare(installation, legs, seat, &redirect_text(configured), asked).await?;
            if !is_received(&installation.config) {
                return Err(Error::RedirectElsewhere {
                    redirect_uri: authorization.redirect_uri().to_owned(),
                    account: seat.account.clone(),
                });
            }
            answers::announce(installation, authorization.state(), seconds).await?;
            Ok(Flow::Code(authorization, Arrival::Left))
        }
        Err(error) => Err(Error::Callback(error)),
    }
}

/// Whether a running `serve` receives redirects that come through the user's web server: at the page, if that was set
/// up, or at the older address.
fn is_received(config: &Config) -> bool {
    let Admin { address, url, is_default } = &config.admin;
    let is_set_up = *address != AdminAddress::Off && (!is_default || url.is_some());
    is_set_up || config.callback.is_some()
}

pub(super) async fn prepare(
    installation: &Installation,
    legs: &Legs,
    seat: &Seat,
    redirect_uri: &str,
    asked: &[String],
) -> Result<AuthorizationRequest, Error> {
    // The receiver of the answer asks the store for it only if it was made here.
    let state = installation.marks().await?.token(marks::STATE);
    let prepared = legs.client.authorization(state, redirect_uri, Some(&seat.owner), asked).await;
    prepared.map_err(|error| Error::provider(&seat.account, error))
}
