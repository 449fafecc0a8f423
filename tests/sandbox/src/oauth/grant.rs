//! Grants and their tokens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::flavour::Vendor;
use crate::oauth::answer::Refusal;
use crate::state::{AccessToken, Grant, RefreshToken, State};
use crate::switches::Rotation;

/// With more tokens, expired ones are dropped, so that a soak test does not grow.
const TOKENS: usize = 50_000;

pub(crate) fn new_grant(state: &mut State, owner: Option<String>, client: &str, scopes: Vec<String>) -> u64 {
    let id = state.number();
    state.grants.insert(id, Grant { owner, client: client.to_owned(), scopes, revoked: false });
    id
}

pub(crate) fn new_refresh_token(state: &mut State, vendor: Vendor, grant: u64) -> String {
    let prefix = match vendor {
        Vendor::Google => "1//0",
        Vendor::Microsoft => "M.C5_",
        Vendor::Generic => "rt-",
    };
    let token = format!("{prefix}{}", random_text(64));
    state.refresh_tokens.insert(token.clone(), RefreshToken { grant, dead: false });
    token
}

pub(crate) fn new_access_token(state: &mut State, vendor: Vendor, grant: u64, scopes: Vec<String>) -> String {
    let prefix = match vendor {
        Vendor::Google => "ya29.a0",
        Vendor::Microsoft => "EwB",
        Vendor::Generic => "at-",
    };
    let length = state.oauth.access_token_length.max(prefix.len() + 22);
    let token = format!("{prefix}{}", random_text(length - prefix.len()));
    let now = Instant::now();
    if state.access_tokens.len() > TOKENS {
        state.access_tokens.retain(|_, token| token.expires > now);
    }
    let expires = now + state.oauth.access_token_life;
    state.access_tokens.insert(token.clone(), AccessToken { grant, scopes, expires });
    state.stats.tokens_issued += 1;
    token
}

/// Judges a refresh token by the rotation rule. Returns the grant's number, and the refresh token for the
/// answer.
pub(crate) fn redeem(
    state: &mut State,
    vendor: Vendor,
    token: &str,
    client: &str,
) -> Result<(u64, Option<String>), Refusal> {
    let known = state.refresh_tokens.get(token).cloned().ok_or(Refusal::GrantDead)?;
    let grant = state.grants.get(&known.grant).ok_or(Refusal::GrantDead)?;
    if grant.revoked || grant.client != client {
        return Err(Refusal::GrantDead);
    }
    if known.dead {
        // The token was stolen, or our answer was lost: RFC 9700 §4.14.2 revokes the whole grant.
        state.stats.refresh_token_reuses += 1;
        revoke(state, known.grant);
        return Err(Refusal::GrantDead);
    }
    match state.oauth.rotation {
        Rotation::Never => Ok((known.grant, None)),
        Rotation::Always => Ok((known.grant, Some(new_refresh_token(state, vendor, known.grant)))),
        Rotation::Strict => {
            if let Some(old) = state.refresh_tokens.get_mut(token) {
                old.dead = true;
            }
            Ok((known.grant, Some(new_refresh_token(state, vendor, known.grant))))
        }
    }
}

pub(crate) fn revoke(state: &mut State, grant: u64) {
    if let Some(grant) = state.grants.get_mut(&grant) {
        grant.revoked = true;
    }
}

/// Unguessable text, different for each call.
pub(crate) fn random_text(length: usize) -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let mut octets = vec![0; length.div_ceil(4) * 3];
    aws_lc_rs::rand::fill(&mut octets).expect("the system's randomness");
    let mut text = URL_SAFE_NO_PAD.encode(octets);
    text.truncate(length);
    // Tokens stay distinct even if the random source fails.
    let number = format!("{:x}", CALLS.fetch_add(1, Ordering::Relaxed));
    text.truncate(length.saturating_sub(number.len()));
    text + &number
}
