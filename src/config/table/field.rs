//! The values of one provider's table, read one by one, with their errors.

use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{Date, OffsetDateTime};
use url::Url;

use crate::config::error::Problem;
use crate::config::place::is_loopback;

/// Errors and values of one provider's table.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) tenant: Option<&'a str>,
}

impl Field<'_> {
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem::at(["providers", self.name, key], message)
    }

    pub(super) fn missing(&self, key: &str) -> Problem {
        self.problem(key, "is missing").hint(format!(
            "{} is not a preset, so it needs smtp or imap, authorize_url, token_url, client_id and scopes",
            self.name
        ))
    }

    pub(super) fn check_scopes(&self, key: &str, scopes: &[String]) -> Result<(), Problem> {
        let wrong = |scope: &&String| scope.is_empty() || scope.contains(char::is_whitespace);
        match scopes.iter().find(wrong) {
            Some(scope) => Err(self
                .problem(key, format!("{scope:?} is not one scope"))
                .hint("write each scope as a string of its own")),
            None => Ok(()),
        }
    }

    pub(super) fn with_tenant(&self, text: &str) -> String {
        text.replace("{tenant}", self.tenant.unwrap_or("common"))
    }

    /// `2027-03-01`, which means the beginning of that day (UTC), or a whole RFC 3339 time.
    pub(super) fn date(&self, key: &str, text: &str) -> Result<OffsetDateTime, Problem> {
        let day = || Date::parse(text, &Iso8601::DATE).map(|date| date.midnight().assume_utc());
        OffsetDateTime::parse(text, &Rfc3339).or_else(|_| day()).map_err(|_| {
            self.problem(key, format!("{text:?} is not a date"))
                .hint(format!("write it as {key} = \"2027-03-01\""))
        })
    }

    /// An absolute URL: https, or http on a loopback host.
    pub(super) fn url(&self, key: &str, text: &str) -> Result<Url, Problem> {
        let url = Url::parse(&self.with_tenant(text))
            .map_err(|error| self.problem(key, format!("{text:?} is not a URL: {error}")))?;
        match url.scheme() {
            "https" if url.has_host() => Ok(url),
            "http" if is_loopback(&url) => Ok(url),
            "http" => Err(self
                .problem(key, "http would send secrets in clear over the network")
                .hint("write an https URL; http is for loopback hosts only")),
            scheme => Err(self.problem(key, format!("must be an https URL, not {scheme}"))),
        }
    }

    /// The redirect URI; on loopback by default.
    pub(super) fn redirect_uri(&self, text: Option<&str>) -> Result<Url, Problem> {
        let url = self.url("redirect_uri", text.unwrap_or("http://127.0.0.1/callback"))?;
        match url.fragment() {
            Some(_) => Err(self.problem("redirect_uri", "must not have a fragment (RFC 6749 §3.1.2)")),
            None => Ok(url),
        }
    }
}
