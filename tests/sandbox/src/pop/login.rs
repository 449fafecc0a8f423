//! `AUTH XOAUTH2` and `AUTH OAUTHBEARER` (RFC 5034, RFC 7628): the exchange and the verdict.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::flavour::{Dialect, mechanisms};
use super::maildrop::Maildrop;
use super::session::{End, Flow, Session, User};
use crate::Flavour;
use crate::sasl::Claim;
use crate::state::{Shared, State};
use crate::stats::LoginRecord;
use crate::switches::{Pop3Step, StepFault};

const GMAIL: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
const DOVECOT: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// One AUTH command with its message.
struct Attempt {
    mechanism: String,
    initial_response: bool,
    claim: Option<Claim>,
}

impl Session {
    pub(super) async fn authenticate(&mut self, rest: &str, octets: usize) -> Flow {
        let Some(gate) = self.enter(Pop3Step::Auth).await? else { return Ok(()) };
        let mut words = rest.split_ascii_whitespace().map(str::to_owned);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        if octets > self.dialect().line_limit() {
            return Err(End::Said(vec!["-ERR Protocol error. Connection is closed. 10".to_owned()]));
        }
        let known = mechanisms(self.switches.flavour).split(' ').any(|listed| listed == mechanism);
        if !known || !matches!(mechanism.as_str(), "XOAUTH2" | "OAUTHBEARER") || !self.may_sign_in() {
            return self.answer("-ERR [AUTH] Unsupported authentication mechanism.").await;
        }
        let inline = words.next();
        let initial_response = inline.is_some();
        let message = match inline {
            Some(message) => message.into_bytes(),
            None => {
                self.challenge("").await?;
                self.leave(gate).await?;
                self.answer_line().await?
            }
        };
        if message == b"*" {
            return self.answer("-ERR Authentication aborted by client.").await;
        }
        self.expect_nothing_behind().await?;
        let decoded = STANDARD.decode(&message).ok();
        if let Some(decoded) = &decoded {
            self.scan(decoded)?;
        }
        let claim = decoded.and_then(|message| Claim::read(&mechanism, &message));
        self.attempt(Attempt { mechanism, initial_response, claim }).await
    }

    async fn attempt(&mut self, attempt: Attempt) -> Flow {
        let user = attempt.claim.as_ref().map(|claim| claim.user.clone()).unwrap_or_default();
        self.note(|session| session.users.push(user));
        let fault = self.server.shared.change(|state| state.pop3_fault(Pop3Step::Token));
        match fault {
            None => self.judge(attempt, true).await,
            Some(StepFault::Refuse) => self.refuse(attempt).await,
            Some(StepFault::FalseSuccess) => self.judge(attempt, false).await,
            Some(StepFault::EndlessChallenges) => loop {
                self.challenge("e30=").await?;
                self.answer_line().await?;
            },
            Some(fault) => match self.meet(fault).await? {
                None => {
                    self.record(&attempt, false);
                    Ok(())
                }
                Some(gate) => {
                    self.judge(attempt, true).await?;
                    self.leave(gate).await
                }
            },
        }
    }

    async fn judge(&mut self, attempt: Attempt, connected: bool) -> Flow {
        let (shared, flavour) = (Arc::clone(&self.server.shared), self.switches.flavour);
        let admitted = attempt
            .claim
            .as_ref()
            .and_then(|claim| shared.look(|state| admit(&shared, state, claim, flavour)));
        let Some((address, maildrop)) = admitted else { return self.refuse(attempt).await };
        let taken = shared.look(|state| {
            state.fetchers.values().any(|session| session.user.as_deref() == Some(address.as_str()))
        });
        if taken && self.switches.exclusive {
            self.record(&attempt, false);
            return self.answer("-ERR [IN-USE] The mailbox is open in another session.").await;
        }
        self.record(&attempt, true);
        shared.change(|state| {
            if let Some(session) = state.fetchers.get_mut(&self.id) {
                session.user = Some(address.clone());
                session.token = attempt.claim.as_ref().map(|claim| claim.token.clone());
            }
        });
        self.note(|session| session.accepted = Some(address));
        self.user = Some(User { connected, maildrop });
        self.answer(self.dialect().welcome()).await
    }

    /// Refuses as the dialect does. A challenge must be answered with an empty line (XOAUTH2) or with 0x01
    /// (OAUTHBEARER, RFC 7628 §3.2.3).
    async fn refuse(&mut self, attempt: Attempt) -> Flow {
        self.record(&attempt, false);
        let challenge = match self.dialect() {
            Dialect::Exchange => None,
            Dialect::Gmail => Some(GMAIL),
            Dialect::Dovecot => Some(DOVECOT),
        };
        if let Some(challenge) = challenge {
            self.challenge(&STANDARD.encode(challenge)).await?;
            let answer = self.answer_line().await?;
            let expected: &[u8] = if attempt.mechanism == "XOAUTH2" { b"" } else { b"AQ==" };
            if self.switches.strict && answer != expected {
                let mechanism = attempt.mechanism;
                self.violation(format!("the challenge of {mechanism} was not answered as it must be"))?;
            }
        }
        self.answer(self.dialect().refusal()).await
    }

    fn record(&self, attempt: &Attempt, accepted: bool) {
        let (user, token) = match &attempt.claim {
            Some(claim) => (claim.user.clone(), claim.token.clone()),
            None => (String::new(), String::new()),
        };
        let login = LoginRecord {
            mechanism: attempt.mechanism.clone(),
            user,
            token,
            initial_response: attempt.initial_response,
            tag: String::new(),
            accepted,
        };
        self.server.shared.change(|state| {
            match accepted {
                true => state.stats.pop3_logins += 1,
                false => state.stats.failed_pop3_logins += 1,
            }
            state.log_pop3_login(login);
        });
    }

    async fn challenge(&mut self, text: &str) -> Flow {
        let space = if self.switches.bare_challenge && text.is_empty() { "" } else { " " };
        self.answer(format!("+{space}{text}")).await
    }

    async fn answer_line(&mut self) -> Flow<Vec<u8>> {
        let line = self.line().await?;
        self.scan(&line)?;
        Ok(line)
    }

    /// Commands that the client pipelined behind its login must wait in the proxy until the provider has said +OK.
    async fn expect_nothing_behind(&mut self) -> Flow {
        if !self.switches.strict || !self.transport.has_more().await {
            return Ok(());
        }
        self.scan(self.transport.unread())?;
        self.violation("octets behind AUTH before it was answered".to_owned())
    }
}

/// The address and the INBOX of the mailbox that the claim opens. Gmail accepts `recent:` before a name.
fn admit(shared: &Shared, state: &State, claim: &Claim, flavour: Flavour) -> Option<(String, Maildrop)> {
    let (access, grant) = state.live_access(&claim.token)?;
    if !access.scopes.iter().any(|scope| shared.vendor.fetches_mail(scope)) {
        return None;
    }
    let is_gmail = Dialect::of(flavour) == Dialect::Gmail;
    let name = claim.user.strip_prefix("recent:").filter(|_| is_gmail).unwrap_or(&claim.user);
    let user = state.user(name)?;
    let own = |owner: &String| {
        state.user(owner).is_some_and(|owner| Arc::ptr_eq(&owner.mailboxes, &user.mailboxes))
            || user.delegates.contains(&owner.to_lowercase())
    };
    if !grant.owner.as_ref().is_none_or(own) {
        return None;
    }
    Some((user.address.clone(), Maildrop::of(user.mailboxes.ensure("INBOX"))))
}
