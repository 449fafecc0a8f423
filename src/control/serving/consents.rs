//! Consents in the browser, as the page's HTTP server asks the running proxy for them.

use std::sync::Arc;

use ::tracing::warn;
use time::OffsetDateTime;

use super::running::Running;
use crate::control::actors;
use crate::control::answers::{self, Keeper};
use crate::control::consents::{Asked, Begun, Consents, NotTaken, Visitor};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::misses::Judged;
use crate::links::{self, Dead, Form};
use crate::oauth::{Received, receive};
use crate::secret::Secret;
use crate::secret::marks::Marks;
use crate::store::{Actor, LoginRecord, ShortLived, fold, takes_consent};

/// The account of a sign-in link.
#[derive(Debug)]
pub(crate) struct OfLink {
    /// The account's name.
    pub(crate) account: String,
    /// The person who consents.
    pub(crate) owner: String,
    /// The provider's title.
    pub(crate) provider: String,
}

/// Why a link begins no consent.
#[derive(Debug)]
pub(crate) enum NoConsent {
    /// The link is not good, or not any more.
    Dead(Dead),
    /// Unknown links, or sign-ins that fail, come too fast.
    TooMany,
    /// No consent mends the account any more: its state changed since the link was made.
    NotMended { account: String },
    /// The operation failed.
    Failed(Box<Error>),
}

impl<E: Into<Error>> From<E> for NoConsent {
    fn from(error: E) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

/// The consents of a process that begins, and the keeper of answers that knows them.
pub(super) fn none_yet(installation: &Installation, marks: Arc<Marks>) -> (Arc<Consents>, Keeper) {
    let consents = Arc::new(Consents::new(installation, marks));
    let keeper = Keeper::new(installation, consents.clone().onwards());
    (consents, keeper)
}

impl Running {
    /// The account of the link with this token. Changes nothing.
    pub(crate) async fn of_link(&self, token: &str) -> Result<OfLink, NoConsent> {
        let account = self.known(token, OffsetDateTime::now_utc()).await?;
        let (of_link, _) = self.mended(account).await?;
        Ok(of_link)
    }

    /// Begins the consent of the account of the link with this token, for `visitor`; `back` is the link's own path.
    pub(crate) async fn begin_by_link(
        &self,
        token: &str,
        visitor: Visitor,
        back: Secret,
    ) -> Result<Begun, NoConsent> {
        let now = OffsetDateTime::now_utc();
        let account = self.known(token, now).await?;
        let (OfLink { account, owner, .. }, provider) = self.mended(account).await?;
        if self.failed.is_full() {
            return Err(NoConsent::TooMany);
        }
        let owner = (fold(&owner) != fold(&account)).then_some(owner);
        let back = Some(back);
        let asked = Asked { account, provider, owner, anew: true, back, ..Asked::default() };
        let begun = self.begin_consent(actors::by_link(), asked, visitor).await;
        if begun.is_err() {
            self.failed.count();
        }
        let begun = begun?;
        // The consent is counted only now, when the browser is redirected, so that a provider that cannot be reached
        // does not use up the link.
        match links::begin(&*self.store, token, now).await {
            Ok(Ok(_)) => Ok(begun),
            Ok(Err(dead)) => {
                self.consents.forget(&begun.id).await;
                Err(NoConsent::Dead(dead))
            }
            Err(error) => {
                self.consents.forget(&begun.id).await;
                Err(error.into())
            }
        }
    }

    /// The address of the sign-in link of the account called `name`, which `actor` sees and sends to its person; `None`
    /// where there are no links.
    pub(crate) async fn sign_in_link(&self, name: &str, actor: Actor) -> Result<Option<Secret>, NoConsent> {
        let (of_link, _) = self.mended(name.to_owned()).await?;
        let links = self.kept.links(&self.config.load());
        Ok(self.installation(actor).shown_link(&of_link.account, &links).await?)
    }

    /// Begins the consent that mends the account called `name`, for `actor` in the browser of `visitor`; `back` is the
    /// account's page.
    pub(crate) async fn begin_again(
        &self,
        name: &str,
        actor: Actor,
        visitor: Visitor,
        back: Secret,
    ) -> Result<Begun, NoConsent> {
        let (OfLink { account, owner, .. }, provider) = self.mended(name.to_owned()).await?;
        let owner = (fold(&owner) != fold(&account)).then_some(owner);
        let back = Some(back);
        let asked = Asked { account, provider, owner, anew: true, back, ..Asked::default() };
        Ok(self.begin_consent(actor, asked, visitor).await?)
    }

    /// Begins a consent for `actor` in the browser of `visitor`.
    pub(crate) async fn begin_consent(
        &self,
        actor: Actor,
        asked: Asked,
        visitor: Visitor,
    ) -> Result<Begun, Error> {
        let (page, account) = (self.page.flatten(), asked.account.clone());
        let begun = self.consents.begin(self.installation(actor), page, asked, visitor).await;
        begun.inspect_err(|error| warn!(account, "a consent in the browser could not begin: {error}"))
    }

    /// Takes the answer that a browser brings in `query`; `key_of` gives the browser's key for a consent.
    pub(crate) async fn take_answer(
        &self,
        query: &str,
        key_of: impl Fn(&str) -> Option<Secret>,
    ) -> Result<String, NotTaken> {
        self.consents.arrived(query, key_of, |actor| self.installation(actor)).await
    }

    /// Takes the answer that a person pasted for the consent called `id`.
    pub(crate) async fn take_pasted(
        &self,
        id: &str,
        key: Option<&Secret>,
        text: &str,
    ) -> Result<(), NotTaken> {
        self.consents.pasted(id, key, text, |actor| self.installation(actor)).await
    }

    /// Whether the redirect of a provider may come to this path of the page.
    pub(crate) fn is_redirected_to(&self, path: &str) -> bool {
        answers::is_redirected_to(&self.config.load(), path)
    }

    /// Whether a provider sends browsers to this `path` of `host`, which may have a port.
    pub(crate) fn is_redirected_at(&self, host: &str, path: &str) -> bool {
        let config = self.config.load();
        let mut uris = config.providers.values().map(|provider| &provider.redirect_uri);
        uris.any(|uri| {
            let authority = &uri[url::Position::BeforeHost..url::Position::AfterPort];
            uri.scheme() == "https" && uri.path() == path && host.eq_ignore_ascii_case(authority)
        })
    }

    /// The outcome of the answer in the query of a redirect.
    pub(crate) async fn receive(&self, query: &str) -> Received {
        let keep = |state: String, query: String| {
            let (keeper, query) = (self.keeper.clone(), Secret::new(query));
            async move { keeper.receive(&state, &query).await }
        };
        receive(query, keep).await
    }

    /// The account of the link with this token, if the link is good. The store is asked only for what may be a link.
    async fn known(&self, token: &str, now: OffsetDateTime) -> Result<String, NoConsent> {
        let is_marked = match links::form(&self.kept.marks, token) {
            Form::Other => return Err(NoConsent::Dead(Dead::Unknown)),
            form => form == Form::Marked,
        };
        let key = ShortLived::key_of(token);
        match self.links.judge(&key, is_marked) {
            Judged::Look => {}
            Judged::Gone => return Err(NoConsent::Dead(Dead::Unknown)),
            Judged::TooMany => return Err(NoConsent::TooMany),
        }
        links::find(&*self.store, token, now).await?.map_err(|dead| {
            if dead == Dead::Unknown {
                self.links.missed(&key, is_marked);
            }
            NoConsent::Dead(dead)
        })
    }

    /// The account, the owner and the provider of a consent, with the provider's name, if a person's consent can mend
    /// this account.
    async fn mended(&self, account: String) -> Result<(OfLink, Option<String>), NoConsent> {
        let config = self.config.load();
        let Some(LoginRecord { account, grant, .. }) = self.store.find(&fold(&account)).await? else {
            return Err(NoConsent::Dead(Dead::Unknown));
        };
        if !takes_consent(&account, grant.as_ref()) {
            return Err(NoConsent::NotMended { account: account.name });
        }
        let name = grant.as_ref().map(|grant| grant.provider.clone());
        let provider = match &name {
            Some(name) => config.providers.get(name),
            None => config.provider_of(&account.name),
        };
        let Some(provider) = provider else { return Err(NoConsent::NotMended { account: account.name }) };
        let owner = grant.map_or_else(|| account.name.clone(), |grant| grant.owner);
        let of_link = OfLink { account: account.name, owner, provider: provider.title.clone() };
        Ok((of_link, name))
    }
}
