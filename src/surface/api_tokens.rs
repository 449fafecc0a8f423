//! A bearer token of the API, as `admin token list` shows it.

use serde::Serialize;

use super::times::rfc3339;
use crate::store;

/// A new token: only here a token is shown, once.
#[derive(Serialize)]
pub(crate) struct Created<'a> {
    pub(crate) name: &'a str,
    pub(crate) token: &'a str,
    pub(crate) read_only: bool,
}

/// A token without its text.
#[derive(Serialize)]
pub(crate) struct ApiToken {
    pub(crate) name: String,
    pub(crate) read_only: bool,
    pub(crate) created_at: Option<String>,
    pub(crate) last_used_at: Option<String>,
}

impl From<store::ApiToken> for ApiToken {
    fn from(token: store::ApiToken) -> Self {
        Self {
            name: token.name,
            read_only: token.read_only,
            created_at: rfc3339(Some(token.created_at)),
            last_used_at: rfc3339(token.last_used_at),
        }
    }
}
