//! The sign-in link in the answers to a mail program.
//!
//! Only a client with a right app password gets the link: when its login is refused and a person's consent mends the
//! account, or when its login is accepted and the grant will end soon. A login that needs no link reads and writes
//! nothing for it.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::timeout;
use tracing::warn;

use super::denied::{Consent, Denied};
use super::{Connection, denial};
use crate::account::{Account, Admitted, Grant};
use crate::command;
use crate::forecast;
use crate::protocol::{Accepted, Protocol};
use crate::secret::Secret;

/// How long a login waits for a link; after that the answer goes out without one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long before a grant's end its person is warned.
const SOON: time::Duration = time::Duration::days(7);

impl<P: Protocol> Connection<P> {
    /// Puts the account's link in front of the answer, if a consent mends the account.
    pub(super) async fn with_link(&self, admitted: &Admitted, denied: Denied) -> Denied {
        let Admitted { account, grant, .. } = admitted;
        let Denied { denial, reason, consent: Some(consent) } = denied else { return denied };
        let denial = match self.link(account, grant.as_ref()).await {
            Some(link) => {
                let Consent { authorize, cause } = &consent;
                denial::sign_in_again(link.expose(), authorize, cause)
            }
            None => denial,
        };
        Denied::new(reason, denial)
    }

    /// Tells the user of an accepted login once a day that the grant will end within a week, with the account's link.
    pub(super) async fn warn_of_end(&self, admitted: &Admitted, accepted: &mut Accepted) {
        let Admitted { account, grant: Some(grant), .. } = admitted else { return };
        let now = OffsetDateTime::now_utc();
        let Some(end) = forecast::announced_end(grant).filter(|end| now < *end && *end - now < SOON) else {
            return;
        };
        // Some protocols have no line for an alert. A client that cannot open the link leaves the day's alert to one
        // that can.
        if P::alert("").is_none()
            || !self.has_way(Some(grant))
            || !self.proxy.reminders.is_due(&format!("end of {}", account.id))
        {
            return;
        }
        let telling = async {
            let link = self.link(account, Some(grant)).await?;
            self.proxy.accounts.may_alert(account, now).await.then_some(link)
        };
        let Ok(Some(link)) = timeout(PATIENCE, telling).await else { return };
        let authorize = command::authorize(grant, &account.name);
        let cause = format!("access ends on {}, because the provider granted it until then", end.date());
        let text = denial::sign_in_again(link.expose(), &authorize, &cause);
        if let Some(line) = P::alert(text.text_beside("* OK [ALERT] \r\n".len())) {
            accepted.precede_with(line);
        }
    }

    /// Whether the client can open a link, and a consent can begin there.
    fn has_way(&self, grant: Option<&Grant>) -> bool {
        let has_client = |grant: &Grant| {
            let known = self.proxy.providers.get(&grant.provider);
            known.is_some_and(|known| known.provider.client_id.is_some())
        };
        self.proxy.links.reach(self.peer.ip()) && grant.is_none_or(has_client)
    }

    /// The account's link, if the client can open it and a consent can begin there.
    async fn link(&self, account: &Account, grant: Option<&Grant>) -> Option<Secret> {
        if !self.has_way(grant) {
            return None;
        }
        match timeout(PATIENCE, self.proxy.links.for_client(&account.id, self.peer.ip())).await {
            Ok(link) => link,
            Err(_) => {
                warn!(
                    account = account.name,
                    "there is no sign-in link, because the store did not answer in time"
                );
                None
            }
        }
    }
}
