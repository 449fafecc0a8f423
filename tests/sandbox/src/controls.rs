//! The test's controls of the provider: counters to wait for, switches, and records to inspect.
//!
//! Waits are for events, not for time: [`Controls::wait_for`] checks after every change, and panics with the
//! counters only after [`PATIENCE`].

mod pop3;
mod submission;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::imap::mailbox::{Body, MessageView};
use crate::oauth::grant;
use crate::state::{Order, Session, Shared, Verdict};
use crate::switches::{ImapSwitches, LoginFault, OauthSwitches, TokenFault};
use crate::{LoginRecord, PATIENCE, Stats, Sunk, TokenRequest, Violation};

/// A handle to a running provider; clones control the same provider.
#[derive(Clone)]
pub struct Controls(Arc<Shared>);

impl Controls {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    // Watching.

    /// The current counters.
    pub fn stats(&self) -> Stats {
        self.0.look(|state| state.stats.clone())
    }

    /// Waits until the counters satisfy `wanted`, and returns them. Panics after [`PATIENCE`].
    pub async fn wait_for(&self, wanted: impl Fn(&Stats) -> bool) -> Stats {
        let mut changes = self.0.changes();
        let wait = async {
            loop {
                changes.mark_unchanged();
                if let Some(stats) = Some(self.stats()).filter(|stats| wanted(stats)) {
                    return stats;
                }
                // The sender lives as long as `self`.
                let _ = changes.changed().await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(stats) => stats,
            Err(_) => panic!("waited in vain; the provider has seen {:#?}", self.stats()),
        }
    }

    /// The proxy's forbidden actions so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.0.look(|state| state.violations.clone())
    }

    /// Requests at the token endpoint, in order of arrival.
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.0.look(|state| state.token_log.clone())
    }

    /// Logins judged by the IMAP server, in order.
    pub fn logins(&self) -> Vec<LoginRecord> {
        self.0.look(|state| state.logins.clone())
    }

    /// Messages too big to keep.
    pub fn sunk(&self) -> Vec<Sunk> {
        self.0.look(|state| state.sunk.clone())
    }

    /// Forbids a secret: in plain, in base64, and in any 8-byte piece of either.
    pub fn forbid(&self, secret: &str) {
        self.0.change(|state| state.canaries.forbid(secret.as_bytes()));
    }

    // Switches and faults.

    /// Changes what the authorisation server does.
    pub fn oauth(&self, change: impl FnOnce(&mut OauthSwitches)) {
        self.0.change(|state| change(&mut state.oauth));
    }

    /// Changes what the IMAP server does to sessions accepted from now on.
    pub fn imap(&self, change: impl FnOnce(&mut ImapSwitches)) {
        self.0.change(|state| change(Arc::make_mut(&mut state.imap)));
    }

    /// The fault meets the next token request. Several faults queue.
    pub fn next_token(&self, fault: TokenFault) {
        self.next_tokens(1, fault);
    }

    /// The fault meets the next `count` token requests.
    pub fn next_tokens(&self, count: u64, fault: TokenFault) {
        self.0.change(|state| state.token_faults.push(Some(count), fault));
    }

    /// The fault meets all token requests, after those queued before it.
    pub fn every_token(&self, fault: TokenFault) {
        self.0.change(|state| state.token_faults.push(None, fault));
    }

    /// Removes all faults at the token endpoint.
    pub fn heal_tokens(&self) {
        self.0.change(|state| state.token_faults.clear());
    }

    /// The fault meets the next login. Several faults queue.
    pub fn next_login(&self, fault: LoginFault) {
        self.next_logins(1, fault);
    }

    /// The fault meets the next `count` logins.
    pub fn next_logins(&self, count: u64, fault: LoginFault) {
        self.0.change(|state| state.login_faults.push(Some(count), fault));
    }

    /// The fault meets all logins, after those queued before it.
    pub fn every_login(&self, fault: LoginFault) {
        self.0.change(|state| state.login_faults.push(None, fault));
    }

    /// Removes all faults at logins.
    pub fn heal_logins(&self) {
        self.0.change(|state| state.login_faults.clear());
    }

    // Grants and tokens.

    /// Grants `user`'s mail to the default client without a browser, and returns the refresh token.
    pub fn grant(&self, user: &str) -> String {
        self.grant_of(user, &self.0.scopes())
    }

    /// Like [`Controls::grant`], for these scopes only.
    pub fn grant_of(&self, user: &str, scopes: &[String]) -> String {
        self.0.change(|state| {
            let client = state.clients.values().find(|client| client.installed).expect("a client").id.clone();
            let id = grant::new_grant(state, Some(user.to_owned()), &client, scopes.to_vec());
            grant::new_refresh_token(state, self.0.vendor, id)
        })
    }

    /// Accepts a refresh token for `user`'s mail that an earlier provider gave to the default client.
    pub fn accept_refresh_token(&self, user: &str, token: &str) {
        let issued = self.grant(user);
        self.0.change(|state| {
            let accepted = state.refresh_tokens.remove(&issued).expect("it was issued just now");
            state.refresh_tokens.insert(token.to_owned(), accepted);
        });
    }

    /// An access token for `user`'s mail with the configured lifetime.
    pub fn access_token(&self, user: &str) -> String {
        self.access_token_for(user, &self.0.scopes())
    }

    /// An access token of `user`'s for these scopes alone.
    pub fn access_token_for(&self, user: &str, scopes: &[String]) -> String {
        let scopes = scopes.to_vec();
        self.0.change(|state| {
            let client = state.clients.values().next().expect("a client").id.clone();
            let id = grant::new_grant(state, Some(user.to_owned()), &client, scopes.clone());
            grant::new_access_token(state, self.0.vendor, id, scopes)
        })
    }

    /// Expires every access token; sessions end if the switch says so.
    pub fn expire_access_tokens(&self) {
        self.0.change(|state| {
            let now = Instant::now();
            state.access_tokens.values_mut().for_each(|token| token.expires = now);
            let strict = state.imap.bye_at_token_expiry;
            order_sessions(&state.sessions, None, |_| strict.then_some(Order::TokenExpired));
        });
    }

    /// Refuses all access tokens at logins; running sessions continue.
    pub fn revoke_access_tokens(&self) {
        self.0.change(|state| state.access_tokens.clear());
    }

    /// The person withdraws the grants: refresh and access tokens die.
    pub fn revoke_grants(&self, user: &str) {
        self.0.change(|state| {
            let theirs =
                |owner: &Option<String>| owner.as_ref().is_some_and(|o| o.eq_ignore_ascii_case(user));
            let grants = state.grants.values_mut().filter(|grant| theirs(&grant.owner));
            grants.for_each(|grant| grant.revoked = true);
        });
    }

    /// Whether the provider still accepts this refresh token.
    pub fn refresh_token_lives(&self, token: &str) -> bool {
        self.0.look(|state| {
            let token = state.refresh_tokens.get(token).filter(|token| !token.dead);
            token.and_then(|token| state.grants.get(&token.grant)).is_some_and(|grant| !grant.revoked)
        })
    }

    /// The person at the device page enters this code and consents.
    pub fn approve_device(&self, user_code: &str, user: &str) {
        self.judge_device(user_code, Verdict::Approved(user.to_owned()));
    }

    /// The person at the device page declines.
    pub fn decline_device(&self, user_code: &str) {
        self.judge_device(user_code, Verdict::Declined);
    }

    /// Expires the device code.
    pub fn expire_device(&self, user_code: &str) {
        self.judge_device(user_code, Verdict::Expired);
    }

    fn judge_device(&self, user_code: &str, verdict: Verdict) {
        let found = self.0.change(|state| {
            let device = state.devices.values_mut().find(|device| device.user_code == user_code);
            device.map(|device| device.verdict = verdict)
        });
        assert!(found.is_some(), "no device flow with the code {user_code}");
    }

    // Sessions.

    /// Sends `* BYE` with this text to every session of `user` (`None`: to all sessions), then closes.
    pub fn bye(&self, user: Option<&str>, text: &str) {
        self.order(user, &Order::Bye(text.to_owned()));
    }

    /// Closes every session (TLS close_notify and FIN) without a BYE.
    pub fn close(&self, user: Option<&str>) {
        self.order(user, &Order::Close);
    }

    /// Resets every session (TCP RST).
    pub fn reset(&self, user: Option<&str>) {
        self.order(user, &Order::Reset);
    }

    /// Writes these octets into every session, unchanged.
    pub fn inject(&self, user: Option<&str>, octets: &[u8]) {
        self.order(user, &Order::Raw(octets.to_vec()));
    }

    fn order(&self, user: Option<&str>, order: &Order) {
        self.0.change(|state| order_sessions(&state.sessions, user, |_| Some(order.clone())));
    }

    // Mail.

    /// Delivers a message; sessions that have the mailbox selected learn of it. Returns its UID.
    pub fn deliver(&self, user: &str, mailbox: &str, message: &[u8]) -> u32 {
        self.mailboxes(user).ensure(mailbox).deliver(Body::plain(message), Vec::new(), None)
    }

    /// The messages of a mailbox.
    pub fn messages(&self, user: &str, mailbox: &str) -> Vec<MessageView> {
        self.mailboxes(user).find(mailbox).map(|mailbox| mailbox.view()).unwrap_or_default()
    }

    /// The names of a user's mailboxes.
    pub fn mailbox_names(&self, user: &str) -> Vec<String> {
        self.mailboxes(user).names()
    }

    fn mailboxes(&self, user: &str) -> Arc<crate::imap::mailboxes::Mailboxes> {
        let found = self.0.look(|state| state.user(user).map(|user| Arc::clone(&user.mailboxes)));
        found.unwrap_or_else(|| panic!("no user {user} at this provider"))
    }
}

fn order_sessions(
    sessions: &HashMap<u64, Session>,
    user: Option<&str>,
    order: impl Fn(&Session) -> Option<Order>,
) {
    let meant = |session: &&Session| match (user, &session.user) {
        (None, _) => true,
        (Some(wanted), Some(user)) => wanted.eq_ignore_ascii_case(user),
        (Some(_), None) => false,
    };
    for session in sessions.values().filter(meant) {
        if let Some(order) = order(session) {
            // A session that has ended ignores orders.
            let _ = session.orders.send(order);
        }
    }
}
