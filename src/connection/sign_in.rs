//! From a verified password to a session at the provider.
//!
//! The token is fetched while the provider is dialled. If the provider refuses a token that looked valid, the
//! token is replaced and tried once more: on the same connection if the provider keeps it, else on a new one. A
//! mailbox that then stays closed lacks permissions. The refusal is remembered for the door, so that a program that
//! polls every minute does not flood the token endpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::denied::{Denied, deny};
use super::reason::Reason;
use super::trace::Record;
use super::{ANSWER_RESERVE, Connection, denial, doors};
use crate::account::{Account, Admitted, Grant, Mailbox, UpstreamPermit};
use crate::config::Names;
use crate::metrics::Code;
use crate::protocol::dialogue::Dialogue;
use crate::protocol::{Accepted, Credential, MendedBy, Protocol, Refusal, Said};
use crate::tls::Socket;
use crate::token::{AccessToken, TokenFailure};
use crate::trouble::Cause;
use crate::upstream::{DialError, Dialler};
use crate::wire::Wire;

type SignedIn = (Accepted, Wire<Socket>);

/// Part of a login's time kept back for the sign-in, when the login waits for another session to end.
const SIGN_IN_RESERVE: Duration = Duration::from_secs(5);

/// Why an attempt ended without a session.
pub(super) enum Failed {
    Token(TokenFailure),
    Dial(DialError),
    Refused(Refusal),
}

impl<P: Protocol> Connection<P> {
    pub(super) async fn sign_in(
        &self,
        dialogue: &Dialogue<P>,
        admitted: &Admitted,
        came: Instant,
        deadline: Instant,
        record: Option<&Record>,
    ) -> Result<(Accepted, Wire<Socket>, UpstreamPermit), Denied> {
        let account = &admitted.account;
        let deny = |failed: &Failed| deny(account, admitted.grant.as_ref(), failed);
        let Some(grant) = &admitted.grant else { return Err(deny(&Failed::Token(TokenFailure::revoked()))) };
        let Some(upstream) = self.proxy.providers.get(&grant.provider) else {
            let cause = Cause::provider_unknown(&grant.provider);
            warn!(account = account.name, "{cause}");
            return Err(Denied::new(Reason::Misconfigured, denial::unknown_provider(&cause)));
        };
        let dialler = upstream.dialler(P::DOOR).map_err(|error| deny(&Failed::Dial(error)))?;
        if let Some(denied) = doors::closed(&upstream.provider, P::DOOR, grant, account) {
            return Err(denied);
        }
        // Three quarters of a login's time, 45 of 60 seconds; the mail program may need the rest.
        let share = Duration::from_secs(self.proxy.limits.login_seconds) * 3 / 4;
        let deadline = (came + share).min(deadline - ANSWER_RESERVE);
        let limit = dialler.service.max_connections_per_account;
        let at_the_gate = deadline - SIGN_IN_RESERVE.min(share / 4);
        let permit = self.pass_gate(account, limit, at_the_gate).await?;
        let has_token = AtomicBool::new(false);
        let attempt = Attempt {
            connection: self,
            dialogue,
            account,
            grant,
            mailbox: &admitted.mailbox,
            dialler,
            has_token: &has_token,
            record,
        };
        match timeout_at(deadline, attempt.run()).await {
            Ok(Ok((accepted, session))) => {
                self.proxy.accounts.accepted(account, P::DOOR).await;
                self.warn_of_broken_promises(&upstream.provider.name, &accepted.lacking);
                Ok((accepted, session, permit))
            }
            Ok(Err(failed)) => {
                self.count(&upstream.provider.name, &failed);
                self.remember(account, &failed).await;
                Err(deny(&failed))
            }
            Err(_) => {
                let (provider, server) = (&upstream.provider, &dialler.service.endpoint);
                let denial = denial::silent_provider(provider, server, has_token.load(Ordering::Relaxed));
                warn!(account = account.name, "{}", denial.text);
                Err(Denied::new(Reason::ProviderSilent, denial))
            }
        }
    }

    /// Waits for one of the account's `limit` connections.
    async fn pass_gate(
        &self,
        account: &Account,
        limit: Option<u32>,
        deadline: Instant,
    ) -> Result<UpstreamPermit, Denied> {
        let began = Instant::now();
        let entering = self.proxy.gates.enter(account, P::DOOR, limit, P::GATE_PATIENCE);
        let permit = timeout_at(deadline, entering).await.ok().flatten();
        self.proxy.metrics.gate(P::DOOR, began.elapsed(), permit.is_some());
        permit.ok_or_else(|| {
            let limit = limit.unwrap_or_default();
            warn!(account = account.name, "all {limit} connections are in use");
            Denied::new(Reason::AccountLimit, denial::too_many_sessions(limit))
        })
    }

    /// Counts a sign-in that the provider refused.
    fn count(&self, provider: &str, failed: &Failed) {
        let Failed::Refused(refusal) = failed else { return };
        let code = match refusal {
            Refusal::Token(_) => Code::Token,
            Refusal::Connections(_) => Code::Connections,
            Refusal::Throttled { .. } => Code::Throttled,
            Refusal::Disabled(_) => Code::Disabled,
            Refusal::WebLogin { .. } => Code::WebLogin,
            Refusal::Unavailable(_) => Code::Unavailable,
            Refusal::NoCommonMechanism(_) | Refusal::PasswordsOnly(_) => Code::Mechanism,
            Refusal::Violation { .. } | Refusal::Closed | Refusal::Io(_) => Code::Protocol,
            // Nothing was sent.
            Refusal::Credential(_) | Refusal::NotAsked => return,
        };
        self.proxy.metrics.upstream_refused(P::DOOR, provider, code);
    }

    /// Warns of capabilities that the client was promised and that the provider lacks.
    fn warn_of_broken_promises(&self, provider: &str, lacking: &[String]) {
        let said = |word: &&String| self.proxy.reminders.is_due(&format!("{provider} {word}"));
        for word in lacking.iter().filter(said) {
            let key = P::DOOR.promises_key().unwrap_or_default();
            warn!(
                provider,
                "the provider's server lacks {word}, which the proxy promises to clients; remove it from {key} of the provider"
            );
        }
    }

    /// Stores a cause on which a person has to act; temporary causes are only logged.
    async fn remember(&self, account: &Account, failed: &Failed) {
        let Failed::Refused(refusal) = failed else { return };
        let trouble = refusal.trouble();
        // Stored once, and never over a refused token, whose record delays refreshes.
        let known = account.troubles.get(P::DOOR.name());
        let is_news = known.is_none_or(|known| known.count == 0 && known.trouble != trouble);
        // [`Attempt::run`] stores a refused token.
        if refusal.mended_by() != MendedBy::Time && !refusal.is_token() && is_news {
            self.proxy.accounts.note_trouble(account, P::DOOR, trouble).await;
        }
    }
}

/// The provider's answer to a token.
enum Tried {
    In(SignedIn),
    /// Another token may be tried on this connection.
    Refused(Said, Wire<Socket>),
}

struct Attempt<'a, P> {
    connection: &'a Connection<P>,
    dialogue: &'a Dialogue<P>,
    account: &'a Account,
    grant: &'a Grant,
    mailbox: &'a Mailbox,
    dialler: &'a Dialler,
    /// Whether the token endpoint has answered, which decides the server that a timeout names.
    has_token: &'a AtomicBool,
    /// The record of the lines, while an administrator traces an account.
    record: Option<&'a Record>,
}

impl<P: Protocol> Attempt<'_, P> {
    async fn run(&self) -> Result<SignedIn, Failed> {
        let tokens = &self.connection.proxy.tokens;
        let (token, upstream) =
            tokio::try_join!(self.token(tokens.access(self.grant, self.mailbox)), self.dial())?;
        let (said, upstream) = match self.authenticate(upstream, true, &token).await? {
            Tried::In(signed_in) => return Ok(signed_in),
            Tried::Refused(said, upstream) => (said, upstream),
        };
        if let Some(trouble) = self.account.troubles.get(P::DOOR.name())
            && trouble.retry_at > OffsetDateTime::now_utc()
        {
            warn!(account = self.account.name, "refused again, and no other token is tried yet: {said}");
            return Err(Failed::Refused(Refusal::Token(said)));
        }
        let token = self.token(tokens.replace(self.grant, self.mailbox, &token)).await?;
        let said = match self.again(upstream, &token).await? {
            Tried::In(signed_in) => return Ok(signed_in),
            Tried::Refused(said, _) => said,
        };
        // A domain account stands for many mailboxes, so the text names this one.
        let mut trouble = said.trouble();
        if let Mailbox::OfDomain(mailbox) = self.mailbox {
            trouble.cause.text = format!("{mailbox}: {}", trouble.cause.text);
        }
        self.connection.proxy.accounts.refused(self.account, P::DOOR, trouble).await;
        Err(Failed::Refused(Refusal::Token(said)))
    }

    async fn token(
        &self,
        asked: impl Future<Output = Result<Arc<AccessToken>, TokenFailure>>,
    ) -> Result<Arc<AccessToken>, Failed> {
        self.has_token.store(false, Ordering::Relaxed);
        let token = asked.await.map_err(Failed::Token)?;
        self.has_token.store(true, Ordering::Relaxed);
        Ok(token)
    }

    async fn dial(&self) -> Result<Wire<Socket>, Failed> {
        let stream = self.dialler.dial().await.map_err(Failed::Dial)?;
        Ok(Wire::new(stream).taped(self.record.map(Record::of_provider)))
    }

    /// Tries another token: on the connection where the first was refused if the provider keeps it, else on a new
    /// one.
    async fn again(&self, upstream: Wire<Socket>, token: &AccessToken) -> Result<Tried, Failed> {
        if P::KEEPS_REFUSED {
            match self.authenticate(upstream, false, token).await {
                Err(Failed::Refused(Refusal::Closed | Refusal::Io(_))) => {}
                tried => return tried,
            }
        }
        self.authenticate(self.dial().await?, true, token).await
    }

    /// Signs in on `upstream`, which is `fresh` or has refused another token.
    async fn authenticate(
        &self,
        mut upstream: Wire<Socket>,
        fresh: bool,
        token: &AccessToken,
    ) -> Result<Tried, Failed> {
        let mut credential = self.dialler.service.credential(self.names(), &token.secret);
        let greets = credential.greeted;
        credential.greeted = fresh && greets;
        let mut outcome = self.dialogue.authenticate(&mut upstream, &credential).await;
        // A provider that hangs up after a refusal gets the other name on a new connection.
        if let (true, Err(refusal), Some(user)) = (fresh, &outcome, credential.or_user)
            && refusal.is_hang_up()
        {
            upstream = self.dial().await?;
            let other = Credential { user, or_user: None, greeted: greets, ..credential };
            outcome = self.dialogue.authenticate(&mut upstream, &other).await;
            if let Ok(accepted) = &mut outcome {
                accepted.by_other_name = true;
            }
        }
        match outcome {
            Ok(accepted) => {
                self.remember_name(accepted.by_other_name).await;
                Ok(Tried::In((accepted, upstream)))
            }
            Err(Refusal::Token(said)) => Ok(Tried::Refused(said, upstream)),
            Err(refusal) => Err(Failed::Refused(refusal)),
        }
    }

    /// If two names were tried, the next login begins with the one that was accepted.
    async fn remember_name(&self, by_other_name: bool) {
        let (first, next) = self.dialler.service.signs_in_as(self.names());
        let Some(next) = next else { return };
        let user = if by_other_name { next } else { first };
        self.connection.proxy.accounts.remember_sign_in_as(self.account, user).await;
    }

    /// The names that may open the mailbox.
    fn names(&self) -> Names<'_> {
        let Account { name, sign_in_as, .. } = self.account;
        Names { account: name, owner: self.grant.person(), remembered: *sign_in_as }
    }
}
