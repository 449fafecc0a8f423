//! Bearer tokens for the API: made, listed, revoked, and recognised.
//!
//! A token is shown once, when it is made. The store has a hash of it, which every process reads at each request, so
//! that a new or revoked token takes effect at once everywhere. All hashes are compared, each in constant time: how
//! long that takes says nothing about a token. A text that cannot be a token is not compared, and of made-up tokens only
//! so many.

use std::collections::HashSet;
use std::sync::Mutex;

use time::OffsetDateTime;

use super::audit::Deed;
use super::error::{ApiTokenError, Error};
use super::installation::Installation;
use super::misses::{Judged, Lookups};
use super::passwords::check_name;
use crate::mutex::lock;
use crate::secret::marks::Marks;
use crate::secret::{Secret, same_bytes, sha256};
use crate::store::{API_TOKEN_HASH, ApiToken, ShortLived, Store, StoreError};

/// The beginning of each token, by which people and scanners of leaked secrets recognise it.
const BEGINNING: &str = "iop_";
/// What the mark of a token is made for. Tokens that were made before there were marks have none.
const MARKED_FOR: &str = "api token";
/// 32 bytes in base64url, after the beginning.
const LENGTH: usize = 43;
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
    let token = installation.marks().await?.token(MARKED_FOR);
    let token = Secret::new(format!("{BEGINNING}{}", token.expose()));
    let row = ApiToken {
        name: name.to_owned(),
        hash: sha256(token.expose().as_bytes()),
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

/// What a text is, which a program sends as its token.
#[derive(Debug)]
pub(crate) enum Recognised {
    Token(Box<ApiToken>),
    None,
    /// Not known: too many were sent that are none.
    TooMany,
}

#[derive(Default)]
pub(crate) struct Recogniser {
    lookups: Lookups,
    /// The hashes of all tokens when they were read last: a token from an older version, without a mark, is recognised
    /// by its hash.
    known: Mutex<HashSet<[u8; API_TOKEN_HASH]>>,
}

impl Recogniser {
    /// What `text` is; stores the use of a token.
    pub(crate) async fn recognise(
        &self,
        store: &dyn Store,
        marks: &Marks,
        text: &str,
    ) -> Result<Recognised, StoreError> {
        let Some(body) = text.strip_prefix(BEGINNING).filter(|body| is_formed(body)) else {
            return Ok(Recognised::None);
        };
        let (hash, key) = (sha256(text.as_bytes()), ShortLived::key_of(text));
        let is_ours = self.is_known(&hash) || marks.knows(MARKED_FOR, body);
        match self.lookups.judge(&key, is_ours) {
            Judged::Look => {}
            Judged::Gone => return Ok(Recognised::None),
            Judged::TooMany => return Ok(Recognised::TooMany),
        }
        let tokens = store.api_tokens().await?;
        *lock(&self.known) = tokens.iter().map(|token| token.hash).collect();
        let mut found = None;
        for token in tokens {
            if same_bytes(&token.hash, &hash) {
                found = Some(token);
            }
        }
        let Some(token) = found else {
            self.lookups.missed(&key, is_ours);
            return Ok(Recognised::None);
        };
        note(store, &token).await;
        Ok(Recognised::Token(Box::new(token)))
    }

    fn is_known(&self, hash: &[u8; API_TOKEN_HASH]) -> bool {
        lock(&self.known).contains(hash)
    }
}

async fn note(store: &dyn Store, token: &ApiToken) {
    let now = OffsetDateTime::now_utc();
    if token.last_used_at.is_none_or(|at| (now - at).abs() >= NOTED_EVERY)
        && let Err(error) = store.note_api_token(&token.name, now).await
    {
        tracing::warn!("that the API token {:?} was used cannot be stored: {error}", token.name);
    }
}

fn is_formed(body: &str) -> bool {
    body.len() == LENGTH && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
