//! A refusal, in one shape: `{"error": {"kind", "cause", "cure"}}`. `kind` is a word for programs, which goes with the
//! status; `cause` and `cure` are clauses for people, the cure with the command that mends it, or null.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::admin::visitors::NotKnown;
use crate::control::{ApiTokenError, Error, TableError};
use crate::store::StoreError;
use crate::surface::accounts::Added;
use crate::surface::cures::{chain, cures};
use crate::text::one_line;

/// The cure of a name that needs confirmation.
pub(super) const CONFIRM: &str = "send \"yes\": true where that is meant";

/// Why a request is refused. It has no printable form, because it may hold new passwords.
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    cause: String,
    cure: Option<String>,
    /// Accounts that were made before the failure, and stay.
    made: Vec<Added>,
}

/// A value as JSON, or a refusal.
pub(super) type Answer<T> = Result<Json<T>, Problem>;

impl Problem {
    fn new(status: StatusCode, kind: &'static str, cause: impl Into<String>) -> Self {
        Self { status, kind, cause: cause.into(), cure: None, made: Vec::new() }
    }

    /// This refusal with another cure.
    pub(super) fn cured_by(self, cure: impl Into<String>) -> Self {
        Self { cure: Some(cure.into()), ..self }
    }

    /// The request is not well formed.
    pub(super) fn malformed(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", cause)
    }

    /// A value is well formed, but cannot be used.
    pub(super) fn invalid(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", cause)
    }

    fn unauthorized(cause: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", cause)
    }

    pub(super) fn no_right() -> Self {
        Self::unauthorized("the request has no bearer token, and no session of the page").cured_by(
            "send Authorization: Bearer TOKEN; imap-oauth-proxy admin token create NAME makes a token",
        )
    }

    pub(super) fn wrong_token() -> Self {
        Self::unauthorized("the bearer token is none of this installation")
            .cured_by("imap-oauth-proxy admin token list shows the tokens that there are")
    }

    pub(super) fn read_only(name: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "read_only", format!("the token {name:?} may only read"))
            .cured_by("imap-oauth-proxy admin token create NAME makes one that may change something")
    }

    pub(super) fn cross_site() -> Self {
        let cause = "the request has the page's session, but not its token, or comes from another page";
        Self::new(StatusCode::FORBIDDEN, "cross_site", cause).cured_by(
            "send the session's token in X-CSRF-Token from a page of this server, or use a bearer token",
        )
    }

    pub(super) fn not_found(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", cause)
    }

    pub(super) fn method(method: &Method) -> Self {
        let cause = format!("{} is not done here", one_line(method.as_str()));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", cause)
    }

    pub(super) fn conflict(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", cause)
    }

    pub(super) fn too_large(most: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body has more than {most} bytes"))
    }

    /// The request, or its answer, is beyond the bounds of the server.
    pub(super) fn bounded(status: StatusCode) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "too_large", "the body is too large"),
            StatusCode::REQUEST_TIMEOUT => Self::new(status, "too_slow", "the body did not come in time"),
            _ => Self::new(status, "provider", "the answer took too long; what was begun may still be done"),
        }
    }

    /// The faults of a list, of which `gravest` decides the status.
    pub(super) fn of_all(gravest: Option<&Error>, faults: &str) -> Self {
        let (status, kind) = gravest.map_or((StatusCode::UNPROCESSABLE_ENTITY, "invalid"), kind);
        let problem = Self::new(status, kind, format!("no account was made: {}", one_line(faults)));
        match gravest {
            Some(Error::ForeignAliases { .. }) => problem.cured_by(CONFIRM),
            _ => problem,
        }
    }

    /// This refusal, after these accounts were made. Their passwords are in this answer and nowhere else.
    pub(super) fn after(self, made: Vec<Added>) -> Self {
        if made.is_empty() {
            return self;
        }
        let names: Vec<&str> = made.iter().map(|added| added.account.as_str()).collect();
        let names = one_line(&names.join(", "));
        let cause = format!("{}; before that these accounts were made, and stay: {names}", self.cause);
        Self { cause, made, ..self }
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the body is not said to be JSON")
            .cured_by("send Content-Type: application/json")
    }

    pub(super) fn misdirected(base: &str) -> Self {
        Self::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", "the request names another host")
            .cured_by(format!("the API is at {base}{}", super::BASE))
    }

    /// The request was carried out in part.
    pub(super) fn failed(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", cause)
    }

    /// It is not known at the moment whether the request has a right.
    pub(super) fn not_known(why: &NotKnown) -> Self {
        match why {
            NotKnown::Away => Self::away("the store does not answer"),
            NotKnown::TooMany => Self::busy("too many requests come without a right"),
        }
    }

    /// A part that has to answer cannot be reached.
    pub(super) fn away(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", cause).cured_by("ask again in a minute")
    }

    pub(super) fn busy(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", cause).cured_by("ask again in some seconds")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, kind) = kind(&error);
        let cure = one_line(&cures(&error).join("; "));
        let problem = Self::new(status, kind, one_line(&chain(&error)));
        match cure.is_empty() {
            true => problem,
            false => problem.cured_by(cure),
        }
    }
}

/// The status of an error, by who can mend it, and its word for programs.
fn kind(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::NoAccount { .. }
        | Error::OnlyItsDomain { .. }
        | Error::NoAlias { .. }
        | Error::NoPassword { .. }
        | Error::ApiToken(ApiTokenError::Unknown { .. }) => (StatusCode::NOT_FOUND, "not_found"),
        Error::ForeignAliases { .. } => (StatusCode::CONFLICT, "needs_confirmation"),
        Error::AliasOfAnother { .. }
        | Error::AlreadyHere { .. }
        | Error::AliasHere { .. }
        | Error::AliasOfOwner { .. }
        | Error::GrantGone
        | Error::NoGrant { .. }
        | Error::NothingToRefresh { .. }
        | Error::NothingToRevoke { .. }
        | Error::TokenForEachMailbox { .. }
        | Error::ApiToken(ApiTokenError::Taken { .. } | ApiTokenError::TooMany { .. })
        | Error::Store(
            StoreError::Conflict | StoreError::LoginNameTaken { .. } | StoreError::PasswordNameTaken { .. },
        ) => (StatusCode::CONFLICT, "conflict"),
        Error::Table(TableError::OutOfTime { .. }) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        Error::LoginName(_)
        | Error::PersonsDomain { .. }
        | Error::AccountName { .. }
        | Error::OwnerName { .. }
        | Error::AliasName { .. }
        | Error::PasswordName
        | Error::ApiToken(ApiTokenError::Name)
        | Error::NoProtocol { .. }
        | Error::Network { .. }
        | Error::HostBits { .. }
        | Error::TooManyNetworks { .. }
        | Error::Day { .. }
        | Error::DayOver { .. }
        | Error::PasswordLine
        | Error::PasswordLength { .. }
        | Error::NoProvider { .. }
        | Error::UnknownDomain { .. }
        | Error::Unsupported(_)
        | Error::Table(_)
        | Error::NoClient { .. }
        | Error::NoPersonsClient { .. }
        | Error::DomainNeedsApplication { .. }
        | Error::NoServerForDoor { .. }
        | Error::RefreshTokenRefused { .. }
        | Error::NoRefreshToken
        | Error::NotOpened { .. }
        | Error::NotTheOwners { .. }
        | Error::Config(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        Error::Provider { .. } | Error::NotRefreshed { .. } | Error::Client(_) => {
            (StatusCode::BAD_GATEWAY, "provider")
        }
        Error::Stopping | Error::Store(_) | Error::Directory(_) | Error::Io(_) | Error::Key(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    kind: &'a str,
    cause: &'a str,
    cure: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Added]>::is_empty")]
    made: &'a [Added],
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error =
            Inner { kind: self.kind, cause: &self.cause, cure: self.cure.as_deref(), made: &self.made };
        let mut response = (self.status, Json(Whole { error })).into_response();
        let further = match self.status {
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer realm=\"imap-oauth-proxy\"")),
            StatusCode::TOO_MANY_REQUESTS => Some((RETRY_AFTER, "5")),
            _ => None,
        };
        // The server's own bounds answer without the layer that adds this everywhere else.
        for (name, value) in further.into_iter().chain([(CACHE_CONTROL, "no-store")]) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
