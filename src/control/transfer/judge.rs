//! Checks whether the content of a bundle may be stored: it is sealed to a public key, so anyone may have written
//! it.
//!
//! Names, scopes and dates must follow the rules for typed values. Each message names the field.

use time::{Duration, OffsetDateTime};

use super::parcel::Parcel;
use crate::control::error::Error;
use crate::control::names::shape::{fault_of_address, fault_of_alias};
use crate::store::fold;
use crate::text::is_shown;

/// More than any account has; each alias is a row.
const MOST_ALIASES: usize = 100;
/// Consent pages hold a few; Google's longest lists have dozens.
const MOST_SCOPES: usize = 200;
const LONGEST_SCOPE: usize = 1024;
/// The same limit as in `tokens import`.
const LONGEST_REFRESH_TOKEN: usize = 16 * 1024;
/// OAuth did not exist before this range.
const YEARS: std::ops::Range<i32> = 2000..2200;
/// The other installation's clock may be wrong by a time zone.
const CLOCKS_DIFFER: Duration = Duration::days(1);

pub(super) fn judge(parcel: &Parcel, now: OffsetDateTime) -> Result<(), Error> {
    check_names(parcel)?;
    check_scopes(&parcel.scopes)?;
    let token = parcel.refresh_token.as_str();
    if !is_token(token) {
        return Err(refused("refresh_token", "is not one"));
    }
    check_date("authorized_at", Some(parcel.authorized_at), Some(now))?;
    check_date("refreshed_at", parcel.refreshed_at, Some(now))?;
    check_date("refresh_expires_at", parcel.refresh_expires_at, None)
}

/// Whether the text can be sent as a refresh token.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_REFRESH_TOKEN && text.bytes().all(|b| b.is_ascii_graphic())
}

fn check_names(parcel: &Parcel) -> Result<(), Error> {
    for (field, name) in [("account", &parcel.account), ("owner", &parcel.owner)] {
        if let Some(fault) = fault_of_address(name) {
            return Err(refused(field, &format!("{name:?} {fault}")));
        }
    }
    if parcel.provider.is_empty() || parcel.provider.len() > 100 || !parcel.provider.chars().all(is_shown) {
        return Err(refused("provider", &format!("{:?} cannot be the name of one", parcel.provider)));
    }
    if parcel.aliases.len() > MOST_ALIASES {
        return Err(refused("aliases", &format!("are {}, and {MOST_ALIASES} at most", parcel.aliases.len())));
    }
    let mut seen = vec![fold(&parcel.account)];
    for alias in &parcel.aliases {
        if let Some(fault) = fault_of_alias(alias) {
            return Err(refused("aliases", &format!("{alias:?} {fault}")));
        }
        if seen.contains(&fold(alias)) {
            return Err(refused("aliases", &format!("{alias:?} stands there twice")));
        }
        seen.push(fold(alias));
    }
    Ok(())
}

fn check_scopes(scopes: &[String]) -> Result<(), Error> {
    if scopes.len() > MOST_SCOPES {
        return Err(refused("scopes", &format!("are {}, and {MOST_SCOPES} at most", scopes.len())));
    }
    let is_scope = |scope: &str| {
        let fits = (1..=LONGEST_SCOPE).contains(&scope.len());
        fits && scope.chars().all(|c| is_shown(c) && !c.is_whitespace())
    };
    match scopes.iter().find(|scope| !is_scope(scope)) {
        Some(scope) => Err(refused("scopes", &format!("{:?} is not one scope", shortened(scope)))),
        None => Ok(()),
    }
}

/// `latest` is the present time, for dates that must lie in the past.
fn check_date(
    field: &'static str,
    at: Option<OffsetDateTime>,
    latest: Option<OffsetDateTime>,
) -> Result<(), Error> {
    let Some(at) = at else { return Ok(()) };
    if !YEARS.contains(&at.year()) {
        return Err(refused(field, &format!("is in the year {}", at.year())));
    }
    match latest.is_some_and(|now| at > now.saturating_add(CLOCKS_DIFFER)) {
        true => Err(refused(field, "lies in the future; check the clocks of both machines")),
        false => Ok(()),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

fn refused(field: &'static str, why: &str) -> Error {
    Error::ParcelField { field, why: why.to_owned() }
}
