//! Records that an administrator has to accept before a person can consent.
//!
//! A working grant is not changed, although its person has asked for more scopes or for another consent. A grant that
//! does not work gets the state "waiting for an administrator". A new account gets a grant that opens nothing, and no
//! password, so that `tokens list` and the events show who waits. A later consent replaces that grant.

use time::OffsetDateTime;

use super::storing::Seat;
use crate::config::Provider;
use crate::control::audit::Deed;
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::waiting;
use crate::oauth::AuthorizeError;
use crate::store::{Authorization, Grant, GrantKind, GrantState, Granted, Id, StoreError, fold};
use crate::trouble::Trouble;

/// The error for the surface, after the account's state was updated.
pub(super) async fn refused(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    error: impl Into<AuthorizeError>,
) -> Error {
    let error = error.into();
    if let Some(trouble) = error.awaited_consent()
        && let Err(failed) = keep(installation, provider, seat, trouble).await
    {
        tracing::warn!("that {} waits for an administrator was not written down: {failed}", seat.account);
    }
    Error::provider(&seat.account, error)
}

async fn keep(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    trouble: Trouble,
) -> Result<(), Error> {
    loop {
        let known = installation.store.grant_of(&provider.name, &seat.owner, GrantKind::Person).await?;
        let Some(mut grant) = known else {
            return add(installation, provider, seat, trouble).await;
        };
        let works = matches!(grant.state, GrantState::Ok | GrantState::Retrying);
        if grant.is_in_force() && works {
            return Ok(());
        }
        wait(&mut grant, trouble.clone());
        match installation.store.update_grant(&grant).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn add(
    installation: &Installation,
    provider: &Provider,
    seat: &Seat,
    trouble: Trouble,
) -> Result<(), Error> {
    // The existing account has a grant of another owner or provider, which this consent does not concern.
    if seat.known(installation).await?.is_some() {
        return Ok(());
    }
    let (now, kind) = (OffsetDateTime::now_utc(), GrantKind::Person);
    let mut grant = waiting::grant(Id::random(), &provider.name, &seat.owner, kind, now);
    wait(&mut grant, trouble);
    let aliases = seat.aliases.iter().filter(|alias| fold(alias) != fold(&seat.account)).cloned().collect();
    let account = seat.account.clone();
    let grant = Granted::Waiting(Box::new(grant));
    let acts = installation.acts(Deed::Added, &account, Some(&seat.owner), None);
    let authorization =
        Authorization { account, aliases, grant, id: Id::random(), password: None, disabled: false };
    match installation.store.authorize(&authorization, &acts).await {
        // Another process has made the account meanwhile; its record is newer.
        Ok(_) | Err(StoreError::LoginNameTaken { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn wait(grant: &mut Grant, trouble: Trouble) {
    grant.state = GrantState::WaitingForAdministrator;
    grant.trouble = Some(trouble);
    grant.failed_at = Some(OffsetDateTime::now_utc());
    grant.retry_at = None;
}
