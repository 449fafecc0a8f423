//! A consent that waits for an answer from its surface, as plain values, so that another process, or another instance
//! on the same store, can finish it. The values include secrets of the flow, so they are stored sealed.

use serde::{Deserialize, Serialize};

use super::consent::Consent;
use super::doors::Doors;
use super::flow::{Arrival, Flow};
use super::storing::Seat;
use crate::config::Door;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::providers::Legs;
use crate::oauth::FrozenRequest;

#[derive(Serialize, Deserialize)]
pub(crate) struct FrozenConsent {
    #[serde(flatten)]
    seat: Seat,
    asked: Vec<String>,
    proven: Vec<String>,
    doors_are_named: bool,
    provider: String,
    named: Option<String>,
    seconds: u64,
    request: FrozenRequest,
}

impl Consent {
    /// The consent's values, if the surface brings its answer.
    pub(crate) fn frozen(&self) -> Option<FrozenConsent> {
        let Flow::Code(authorization, Arrival::Brought) = &self.flow else { return None };
        let (asked, proven, doors_are_named) = self.doors.names();
        Some(FrozenConsent {
            seat: self.seat.clone(),
            asked,
            proven,
            doors_are_named,
            provider: self.legs.provider.name.clone(),
            named: self.named.clone(),
            seconds: self.seconds,
            request: FrozenRequest::from(authorization),
        })
    }

    /// The consent with these values, at its provider as it is configured here.
    pub(crate) fn thawed(installation: &Installation, frozen: FrozenConsent) -> Result<Self, Error> {
        let FrozenConsent { seat, provider, named, seconds, .. } = frozen;
        let known = installation.config.providers.get(&provider);
        let Some(known) = known else { return Err(Error::NoProviderWithClient { provider }) };
        let legs = Legs::of(&installation.config, known)?;
        let doors = Doors::of_names(&frozen.asked, &frozen.proven, frozen.doors_are_named);
        let flow = Flow::Code(frozen.request.into(), Arrival::Brought);
        Ok(Self { seat, doors, legs, flow, named, seconds })
    }
}

impl Doors {
    fn of_names(asked: &[String], proven: &[String], named: bool) -> Self {
        let doors = |names: &[String]| names.iter().filter_map(|name| Door::named(name)).collect();
        Self { asked: doors(asked), proven: doors(proven), named }
    }

    fn names(&self) -> (Vec<String>, Vec<String>, bool) {
        let names = |doors: &[Door]| doors.iter().map(|door| door.name().to_owned()).collect();
        (names(&self.asked), names(&self.proven), self.named)
    }
}
