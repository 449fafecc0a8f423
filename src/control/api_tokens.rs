//! Bearer tokens for the API: made, listed, revoked, and recognised.
//!
//! A token is shown once, when it is made. The store has a hash of it, which every process reads at each request, so
//! that a new or revoked token takes effect at once everywhere. All hashes are compared, each in constant time: how
//! long that takes says nothing about a token.

pub(super) mod error;

use aws_lc_rs::digest::{SHA256, digest};
use time::OffsetDateTime;

use self::error::ApiTokenError;
use super::audit::Deed;
use super::error::Error;
use super::installation::Installation;
use super::passwords::check_name;
use crate::secret::{Secret, random_text, same_bytes};
use crate::store::{API_TOKEN_HASH, ApiToken, Store, StoreError};

/// The beginning of each token, by which people and scanners of leaked secrets recognise it.
const BEGINNING: &str = "iop_";
/// The most tokens: each request is compared with every one.
const MOST: usize = 100;
/// A use is stored once in this time, so that a program that asks each second does not write each second.
const NOTED_EVERY: time::Duration = time::Duration::MINUTE;

/// Makes a token called `name`, and returns it.
pub(crate) async fn create(
    installation: &Installation,
    name: &str,
    read_only: bool,
) -> Result<Secret, Error> {
    check_name(name).map_err(|_| ApiTokenError::Name)?;
    if installation.store.api_tokens().await?.len() >= MOST {
        return Err(ApiTokenError::TooMany { most: MOST }.into());
    }
    let token = Secret::new(format!("{BEGINNING}{}", random_text::<32>()));
    let row = ApiToken {
        name: name.to_owned(),
        hash: hash(token.expose()),
        read_only,
        created_at: OffsetDateTime::now_utc(),
        last_used_at: None,
    };
    let act = installation.act(Deed::ApiTokenCreated, &[], Some(name));
    match installation.store.add_api_token(&row, &act).await? {
        true => Ok(token),
        false => Err(ApiTokenError::Taken { name: name.to_owned() }.into()),
    }
}

/// All tokens, by name.
pub(crate) async fn list(installation: &Installation) -> Result<Vec<ApiToken>, Error> {
    Ok(installation.store.api_tokens().await?)
}

/// Ends the token called `name` at once.
pub(crate) async fn revoke(installation: &Installation, name: &str) -> Result<(), Error> {
    let act = installation.act(Deed::ApiTokenRevoked, &[], Some(name));
    match installation.store.remove_api_token(name, &act).await? {
        true => Ok(()),
        false => Err(ApiTokenError::Unknown { name: name.to_owned() }.into()),
    }
}

/// The token with this `text`, if there is one; notes the use.
pub(crate) async fn recognise(store: &dyn Store, text: &str) -> Result<Option<ApiToken>, StoreError> {
    let (hash, now) = (hash(text), OffsetDateTime::now_utc());
    let mut found = None;
    for token in store.api_tokens().await? {
        if same_bytes(&token.hash, &hash) {
            found = Some(token);
        }
    }
    if let Some(token) = &found
        && token.last_used_at.is_none_or(|at| (now - at).abs() >= NOTED_EVERY)
        && let Err(error) = store.note_api_token(&token.name, now).await
    {
        tracing::warn!("that the API token {:?} was used cannot be stored: {error}", token.name);
    }
    Ok(found)
}

fn hash(token: &str) -> [u8; API_TOKEN_HASH] {
    let mut hash = [0; API_TOKEN_HASH];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
