//! The device flow (RFC 8628): the person signs in on another device with a code shown here.
//!
//! [`Client::device`] gets the code. [`Client::poll`] asks once and returns the pause before the next poll,
//! so that the caller can show a countdown. The pause is at least the provider's `interval`. It grows by five
//! seconds after each `slow_down` and doubles after each failure to reach the endpoint; after the code's end
//! there are no polls.

// Files, the store and peers supply arbitrary dates and durations; adding them must not overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;

use crate::oauth::http::answer;
use crate::oauth::meaning::{knowledge, text};
use crate::oauth::{AuthorizeError, Client, GrantedTokens, TokenError};
use crate::secret::Secret;
use crate::trouble::{Cure, Way};

/// RFC 8628 §3.2: the interval if the answer names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 §3.5.
const SLOWER: Duration = Duration::from_secs(5);
/// A longer pause would only keep the person waiting after the sign-in.
const SLOWEST: Duration = Duration::from_secs(60);
/// Microsoft's lifetime of a code; used if the answer names none.
const DEFAULT_LIFETIME: i64 = 900;
/// The longest lifetime of a code that is believed.
const LONGEST_LIFETIME: i64 = 86_400;

/// A code that waits for the person's sign-in.
#[derive(Debug)]
pub struct Device {
    /// The code that the person types, cleaned for showing. Show it with the provider and the account.
    pub user_code: String,
    /// The page where the person types the code.
    pub verification_uri: Url,
    /// The same page with the code included, for a QR code; Microsoft sends none.
    pub verification_uri_complete: Option<Url>,
    /// When the code expires.
    pub expires_at: OffsetDateTime,
    /// The pause before the first [`Client::poll`].
    pub interval: Duration,
    device_code: Secret,
    asked: Vec<String>,
}

/// The outcome of one poll.
#[derive(Debug)]
pub enum Poll {
    /// The person has not signed in yet.
    Pending {
        /// The pause before the next poll; at least the provider's interval.
        wait: Duration,
    },
    /// The person has consented, and the checks of [`Client::exchange`] have passed.
    Granted(Box<GrantedTokens>),
}

impl Client {
    /// Requests a code (RFC 8628 §3.1) for the scopes `asked`, which come from [`Provider::asked_for`].
    ///
    /// [`Provider::asked_for`]: crate::config::Provider::asked_for
    pub async fn device(&self, asked: &[String]) -> Result<Device, TokenError> {
        let provider = self.provider();
        if let Some(reason) = &provider.no_device {
            return Err(no_device(reason.clone()));
        }
        if provider.device_url.is_none() && provider.issuer.is_none() {
            return Err(no_device(format!("{} has no known device flow", provider.title)));
        }
        let url = self.endpoint("device_url", &provider.device_url, |metadata| &metadata.device).await?;
        let request = self.requests().await?.device(&url, asked)?;
        let mut device = read(&self.object(request).await?, OffsetDateTime::now_utc())?;
        device.asked = asked.to_vec();
        Ok(device)
    }

    /// Polls once for the person's sign-in (RFC 8628 §3.4, §3.5).
    pub async fn poll(&self, device: &mut Device) -> Result<Poll, AuthorizeError> {
        if device.expires_at <= OffsetDateTime::now_utc() {
            return Err(expired().into());
        }
        let request = self.requests().await?.device_poll(&device.device_code)?;
        match self.object(request).await {
            Ok(object) => Ok(Poll::Granted(Box::new(self.accept(&object, None, &device.asked)?))),
            Err(error) => match device.pace(&error) {
                Some(wait) => Ok(Poll::Pending { wait }),
                None => Err(error.into()),
            },
        }
    }
}

impl Device {
    /// The pause after `error`; `None` if polling again is pointless.
    fn pace(&mut self, error: &TokenError) -> Option<Duration> {
        let TokenError::Passing { retry_after, refusal } = error else { return None };
        match refusal.error.as_deref() {
            Some("authorization_pending") => {}
            Some("slow_down") => self.interval = self.interval.saturating_add(SLOWER),
            _ => self.interval = self.interval.saturating_mul(2).min(SLOWEST.max(self.interval)),
        }
        Some(self.interval.max(retry_after.unwrap_or_default()))
    }
}

/// Reads the answer with the code. Yandex and older Google write `verification_url`.
fn read(object: &Map<String, Value>, now: OffsetDateTime) -> Result<Device, TokenError> {
    let shown = |name: &str| object.get(name).and_then(Value::as_str).map(|value| text::plain(value, 64));
    let url = |name: &str| {
        let url = object.get(name).and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
        url.filter(|url| matches!(url.scheme(), "https" | "http"))
    };
    let whole = || {
        Some(Device {
            user_code: shown("user_code").filter(|code| !code.is_empty())?,
            verification_uri: url("verification_uri").or_else(|| url("verification_url"))?,
            verification_uri_complete: url("verification_uri_complete"),
            expires_at: now.saturating_add(time::Duration::seconds(
                answer::seconds(object.get("expires_in")).unwrap_or(DEFAULT_LIFETIME).min(LONGEST_LIFETIME),
            )),
            interval: interval(object),
            device_code: answer::secret(object, "device_code")?,
            asked: Vec::new(),
        })
    };
    whole().ok_or_else(|| {
        TokenError::passing("device_answer", "the provider's answer holds no usable device code", None)
    })
}

fn interval(object: &Map<String, Value>) -> Duration {
    let seconds = answer::seconds(object.get("interval")).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DEFAULT_INTERVAL, |seconds| Duration::from_secs(seconds.min(SLOWEST.as_secs())))
}

fn no_device(reason: String) -> TokenError {
    let cure = Cure::authorize_by(Some(Way::Paste), "", ", which needs no browser on this machine");
    TokenError::local("device_flow", reason, cure)
}

fn expired() -> TokenError {
    let known = knowledge::look_up("expired_token", None, "");
    let cure = known.map_or_else(Cure::authorize, |entry| entry.cure.clone());
    match TokenError::local("expired_token", "the code was not used in time", cure) {
        TokenError::NeedsAdministrator(refusal) => TokenError::NeedsPerson(refusal),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn microsoft() -> Value {
        serde_json::json!({
            "user_code": "A1B2C3D4E", "device_code": "GAQ-secret", "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": 900, "interval": 5, "message": "To sign in, use a web browser",
        })
    }

    fn device(answer: &Value) -> Result<Device, TokenError> {
        read(answer.as_object().unwrap(), OffsetDateTime::UNIX_EPOCH)
    }

    fn passing(error: Option<&str>, retry_after: Option<u64>) -> TokenError {
        let TokenError::Passing { mut refusal, .. } = TokenError::passing("x", "x", None) else {
            unreachable!()
        };
        refusal.error = error.map(str::to_owned);
        TokenError::Passing { retry_after: retry_after.map(Duration::from_secs), refusal }
    }

    #[test]
    fn the_pace_follows_the_standard() {
        let mut device = device(&microsoft()).unwrap();
        for (step, error, wait) in [
            (1, passing(Some("authorization_pending"), None), 5),
            (2, passing(Some("slow_down"), None), 10),
            (3, passing(Some("authorization_pending"), None), 10),
            (4, passing(Some("slow_down"), None), 15),
            (5, passing(None, None), 30),
            (6, passing(None, None), 60),
            (7, passing(None, None), 60),
            (8, passing(Some("authorization_pending"), None), 60),
            (9, passing(None, Some(120)), 120),
            (10, passing(Some("slow_down"), None), 65),
        ] {
            assert_eq!(device.pace(&error), Some(Duration::from_secs(wait)), "step {step}");
        }
        assert_eq!(device.pace(&expired()), None);
    }

    #[test]
    fn answers_are_read_tolerantly_but_never_without_code_or_address() {
        let all = device(&microsoft()).unwrap();
        assert_eq!(all.expires_at.unix_timestamp(), 900);
        let mut yandex = microsoft();
        yandex["verification_url"] = yandex["verification_uri"].take();
        yandex["interval"] = "7".into();
        yandex["expires_in"] = Value::Null;
        let yandex = device(&yandex).unwrap();
        assert_eq!((yandex.interval.as_secs(), yandex.expires_at.unix_timestamp()), (7, 900));
        for missing in ["user_code", "device_code", "verification_uri"] {
            let mut answer = microsoft();
            answer[missing] = Value::Null;
            assert!(device(&answer).unwrap_err().is_passing(), "{missing}");
        }
        let mut hostile = microsoft();
        hostile["verification_uri"] = "javascript:alert(1)".into();
        assert!(device(&hostile).is_err());
    }

    #[test]
    fn the_device_code_has_no_printable_form() {
        assert!(!format!("{:?}", device(&microsoft()).unwrap()).contains("GAQ-secret"));
    }
}
