//! The login line: one line in the log for each login attempt, at every door and with every outcome.
//!
//! Its fields, their order and their quoting are a contract with fail2ban, CrowdSec and other readers of logs
//! (docs/operations.md), so only this file writes it:
//!
//! ```text
//! login result=refused protocol=imap account=a@b from=192.0.2.7 password=- fingerprint=1a2b3c4d client="…" provider=- ms=512 reason=wrong_password
//! ```
//!
//! A client's name cannot add a field or end the line: it is reduced to few characters. A fault of the provider or
//! the network is `failed`, never `refused`, so that no outage can lead to a ban of the client's address. If the
//! connection ends before the answer, the line is still written: when [`LoginLine`] is dropped.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{DisplayValue, display};
use tracing::{Value, info, warn};

use super::reason::Reason;
use crate::metrics::{Metrics, Outcome};
use crate::protocol::Door;

/// The value of an empty field.
const ABSENT: &str = "-";
/// Characters of a name that are kept.
const NAME_LIMIT: usize = 64;

/// The line of one attempt, written when it is dropped.
pub(super) struct LoginLine {
    metrics: Arc<Metrics>,
    door: Door,
    account: String,
    from: IpAddr,
    client: Option<String>,
    came: Instant,
    /// Known once the password was right.
    pub(super) provider: Option<String>,
    /// The name of the app password.
    pub(super) password: Option<String>,
    /// The fingerprint of a wrong password.
    pub(super) fingerprint: Option<String>,
    /// Why there is no session; `None` on success.
    pub(super) ended: Option<Reason>,
}

impl LoginLine {
    /// The line of a new attempt. `name` comes from the client.
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        door: Door,
        name: &str,
        from: IpAddr,
        client: Option<&str>,
    ) -> Self {
        Self {
            metrics: metrics.clone(),
            door,
            account: reduced(name),
            from: from.to_canonical(),
            client: client.map(str::to_owned),
            came: Instant::now(),
            provider: None,
            password: None,
            fingerprint: None,
            ended: Some(Reason::Interrupted),
        }
    }

    fn write(&self, took: Duration) {
        let outcome = self.ended.map_or(Outcome::Ok, Reason::outcome);
        self.metrics.login(self.door, self.provider.as_deref(), outcome, took);
        let (result, reason) = (outcome.word(), self.ended.map_or(ABSENT, Reason::word));
        let protocol = self.door.name();
        let account = plain(Some(&self.account));
        let password = reduced_or_absent(self.password.as_deref());
        let fingerprint = plain(self.fingerprint.as_deref());
        let provider = reduced_or_absent(self.provider.as_deref());
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let absent = display(ABSENT);
        // A string value is quoted, with \" and \\; a displayed value is not.
        let client: &dyn Value = match &self.client {
            Some(client) => &client.as_str(),
            None => &absent,
        };
        macro_rules! write_line {
            ($level:ident) => {
                $level!(
                    result = %result,
                    protocol = %protocol,
                    account,
                    from = %self.from,
                    password = %password,
                    fingerprint,
                    client,
                    provider = %provider,
                    ms,
                    reason = %reason,
                    "login"
                )
            };
        }
        match outcome {
            Outcome::Ok => write_line!(info),
            Outcome::Refused | Outcome::Failed => write_line!(warn),
        }
    }
}

impl Drop for LoginLine {
    fn drop(&mut self) {
        self.write(self.came.elapsed());
    }
}

fn plain(text: Option<&str>) -> DisplayValue<&str> {
    display(text.filter(|text| !text.is_empty()).unwrap_or(ABSENT))
}

fn reduced_or_absent(text: Option<&str>) -> String {
    text.map(reduced).filter(|text| !text.is_empty()).unwrap_or_else(|| ABSENT.to_owned())
}

/// Text from a client or an administrator, reduced for a field without quotes.
fn reduced(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "@._+-".contains(c) { c } else { '?' };
    text.chars().take(NAME_LIMIT).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_add_a_field_or_end_the_line() {
        assert_eq!(reduced("a+b@corp-x.example"), "a+b@corp-x.example");
        assert_eq!(reduced("a from=8.8.8.8\r\nlogin \"é"), "a?from?8.8.8.8??login???");
        assert_eq!(reduced(&"é".repeat(100)).len(), NAME_LIMIT);
        assert_eq!((reduced_or_absent(Some("")), reduced_or_absent(None)), ("-".to_owned(), "-".to_owned()));
    }

    #[test]
    fn the_page_for_operators_tells_each_reason_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let (_, rest) = page.split_once("<!-- reasons -->").unwrap();
        let (table, _) = rest.split_once("<!-- end -->").unwrap();
        let told: Vec<(&str, &str)> = table
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                let word = cells.next()?.trim_end_matches('`');
                Some((word, cells.next()?))
            })
            .collect();
        let known: Vec<(&str, &str)> =
            Reason::ALL.iter().map(|reason| (reason.word(), reason.outcome().word())).collect();
        assert_eq!(told, known);
    }
}
