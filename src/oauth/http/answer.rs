//! Reads an endpoint's answer: a JSON object, or a refusal of one of three classes.
//!
//! Pure functions over a [`Reply`]. The rules, in this order:
//! 1. 408, 425, 429 and 5xx are passing, with any body. So is a redirect; redirects are never followed.
//! 2. A JSON object with `error` is classified by that error, even with status 200.
//! 3. A JSON object with a 2xx status is an answer.
//! 4. 401 without such an object is for the administrator, because the client was not accepted.
//! 5. Everything else (HTML, nothing, half an answer, an unknown error) is passing.
//!
//! So a grant is given up only on an explicit refusal that the knowledge table assigns to the person.

// Files, the store and peers supply arbitrary dates and durations; adding them must not overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroizing;

use crate::oauth::meaning::knowledge::{self, Class, KnownError};
use crate::oauth::meaning::text;
use crate::oauth::{ProviderRefusal, TokenError};
use crate::secret::Secret;
use crate::trouble::Cure;

/// The longest `Retry-After` that is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);
const DESCRIPTION_LIMIT: usize = 300;

/// An endpoint's answer, complete or not.
pub(in crate::oauth) struct Reply {
    pub(in crate::oauth) status: u16,
    /// The `Retry-After` header as sent.
    pub(in crate::oauth) retry_after: Option<String>,
    pub(in crate::oauth) body: Body,
}

/// The part of a body that could be read.
pub(in crate::oauth) enum Body {
    Whole(Zeroizing<Vec<u8>>),
    /// Over the size limit.
    TooLong,
    /// The connection or the decompression failed.
    Broken,
}

/// The JSON object of a successful answer, or the classified refusal. `sent` are the request's secrets; they
/// are masked where the answer echoes them.
pub(in crate::oauth) fn object(reply: &Reply, sent: &[Secret]) -> Result<Map<String, Value>, TokenError> {
    let status = reply.status;
    if is_passing(status) {
        return Err(passing_status(reply));
    }
    let Some(object) = json_object(&reply.body) else { return Err(without_error(reply)) };
    match error_of(&object) {
        Some(error) => Err(refusal(&error, &object, reply, sent)),
        None if (200..300).contains(&status) => Ok(object),
        None => Err(without_error(reply)),
    }
}

/// A number of seconds written as `3599`, `3599.0` or `"3599"`. `None` if it is missing, not a number, zero
/// or negative; some servers write 0 for "unknown".
pub(in crate::oauth) fn seconds(value: Option<&Value>) -> Option<i64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    // `as` saturates; NaN fails the comparison.
    (number >= 1.0).then_some(number as i64)
}

/// A non-empty text member as a secret.
pub(in crate::oauth) fn secret(object: &Map<String, Value>, name: &str) -> Option<Secret> {
    object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(Secret::new)
}

/// Whether a status tells that the server could not answer now.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 100..200 | 300..400 | 408 | 425 | 429 | 500..)
}

fn json_object(body: &Body) -> Option<Map<String, Value>> {
    let Body::Whole(bytes) = body else { return None };
    // Some endpoints send a byte order mark, which is not JSON.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// The error's name. In Google's APIs `error` is an object.
fn error_of(object: &Map<String, Value>) -> Option<String> {
    match object.get("error")? {
        Value::String(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        Value::Object(inner) => {
            let name = inner.get("status").or_else(|| inner.get("code"));
            Some(
                name.map_or_else(|| "error".to_owned(), |name| name.to_string().trim_matches('"').to_owned()),
            )
        }
        Value::Null | Value::Bool(false) => None,
        _ => Some("error".to_owned()),
    }
}

fn refusal(error: &str, object: &Map<String, Value>, reply: &Reply, sent: &[Secret]) -> TokenError {
    let text_of = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let subtype = [text_of("error_subtype"), text_of("suberror")].into_iter().find(|text| !text.is_empty());
    let listed = object.get("error_codes").and_then(Value::as_array).into_iter().flatten();
    let words = Words { error, subtype, description: text_of("error_description") };
    let (entry, refusal) = words.explain(listed.filter_map(Value::as_u64), Some(reply.status), sent);
    let wait = retry_after(reply).or_else(|| entry.and_then(KnownError::retry_after));
    match entry.map(|entry| entry.class) {
        Some(Class::Person) => TokenError::NeedsPerson(refusal),
        Some(Class::Administrator) => TokenError::NeedsAdministrator(refusal),
        // An undocumented error ends no grant. With 401 the client was refused.
        None if reply.status == 401 => TokenError::NeedsAdministrator(refusal),
        None | Some(Class::Passing) => TokenError::Passing { retry_after: wait, refusal },
    }
}

/// An error in the provider's words, from a token endpoint or a redirect.
pub(in crate::oauth) struct Words<'a> {
    pub(in crate::oauth) error: &'a str,
    pub(in crate::oauth) subtype: Option<&'a str>,
    pub(in crate::oauth) description: &'a str,
}

impl Words<'_> {
    /// The refusal in our words, and the table's entry for it. `listed` are Microsoft's error numbers, if the
    /// answer lists them.
    pub(in crate::oauth) fn explain(
        &self,
        listed: impl Iterator<Item = u64>,
        status: Option<u16>,
        sent: &[Secret],
    ) -> (Option<&'static KnownError>, Box<ProviderRefusal>) {
        let numbers: Vec<String> = listed
            .take(8)
            .chain(number_in(self.description))
            .map(|number| format!("AADSTS{number}"))
            .collect();
        let look_up = |code: &str| knowledge::look_up(code, self.subtype, self.description);
        let entry = numbers.iter().find_map(|number| Some((number, look_up(number)?)));
        let (code, entry) = match entry {
            Some((number, entry)) => (number.clone(), Some(entry)),
            // A number missing in the table still tells support more than `error`.
            None => (
                numbers.first().cloned().unwrap_or_else(|| text::clean(self.error, 64, sent)),
                look_up(self.error),
            ),
        };
        let description =
            Some(text::clean(self.description, DESCRIPTION_LIMIT, sent)).filter(|text| !text.is_empty());
        let meaning = match (entry, &description) {
            (Some(entry), _) => Cow::Borrowed(entry.meaning.as_str()),
            (None, Some(words)) => Cow::Owned(format!("the provider refused: {words}")),
            (None, None) => Cow::Borrowed("the provider refused for a reason that it does not explain"),
        };
        let error = Some(text::clean(self.error, 64, sent));
        let cure = entry.map_or(Cure::Unknown, |entry| entry.cure.clone());
        (entry, Box::new(ProviderRefusal { code, error, description, meaning, cure, status }))
    }
}

/// The first number in a Microsoft description: `AADSTS700082: …`.
fn number_in(description: &str) -> Option<u64> {
    let rest = description.split("AADSTS").nth(1)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    digits.parse().ok()
}

fn passing_status(reply: &Reply) -> TokenError {
    let meaning = match reply.status {
        300..400 => {
            "the provider answered with a redirect, which is not followed; a network sign-in page may have answered, or the endpoint's address is wrong"
        }
        408 | 425 => "the provider did not take the request in time",
        429 => "the provider asks for fewer requests",
        _ => "the provider has trouble of its own",
    };
    with_wait(reply, meaning)
}

fn without_error(reply: &Reply) -> TokenError {
    match (&reply.body, reply.status) {
        (_, 401) => {
            let cure = "compare client_id, client_secret and client_authentication with the registration";
            TokenError::NeedsAdministrator(ProviderRefusal::own(
                "HTTP 401",
                "the provider does not accept the client",
                Cure::configure("client_id", cure),
                Some(401),
            ))
        }
        (Body::TooLong, _) => with_wait(reply, "the provider's answer is longer than any token answer"),
        (Body::Broken, _) => with_wait(reply, "the provider's answer broke off"),
        (_, 404 | 405 | 410) => with_wait(
            reply,
            "there is no such endpoint at the provider, for now or because its address is wrong",
        ),
        _ => with_wait(reply, "the provider answered with something that is not OAuth, such as a web page"),
    }
}

fn with_wait(reply: &Reply, meaning: &'static str) -> TokenError {
    let code = format!("HTTP {}", reply.status);
    match TokenError::passing(&code, meaning, Some(reply.status)) {
        TokenError::Passing { refusal, .. } => {
            TokenError::Passing { retry_after: retry_after(reply), refusal }
        }
        other => other,
    }
}

/// The wait in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(reply: &Reply) -> Option<Duration> {
    let value = reply.retry_after.as_deref()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = OffsetDateTime::parse(&value.replace("GMT", "+0000"), &Rfc2822).ok()?;
            // A date in the past means no wait.
            Duration::try_from(date - OffsetDateTime::now_utc()).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}
