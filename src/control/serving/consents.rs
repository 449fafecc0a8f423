//! Consents in the browser, as the page's HTTP server asks the running proxy for them.

use ::tracing::warn;
use time::OffsetDateTime;

use super::receiving;
use super::running::Running;
use crate::control::actors;
use crate::control::consents::{Asked, Begun, NotTaken, Visitor};
use crate::control::error::Error;
use crate::control::misses::Judged;
use crate::links::{self, Dead, Form};
use crate::oauth::{Received, receive};
use crate::secret::Secret;
use crate::store::{Actor, LoginRecord, ShortLived, fold, takes_consent};

/// The account of a sign-in link.
#[derive(Debug)]
pub(crate) struct OfLink {
    pub(crate) account: String,
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

impl Running {
    /// The account of the link with this token. Changes nothing.
    pub(crate) async fn of_link(&self, token: &str) -> Result<OfLink, NoConsent> {
        let account = self.known(token, OffsetDateTime::now_utc()).await?;
        Ok(self.mended(&account).await?.0)
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
        let asked = self.asked(&account, back).await?;
        if self.failed.is_full() {
            return Err(NoConsent::TooMany);
        }
        let begun = self.begin_consent(actors::by_link(), asked, visitor).await;
        if begun.is_err() {
            self.failed.count();
        }
        let begun = begun?;
        // The consent is counted only now, when the browser is redirected, so that a provider that cannot be reached
        // does not use up the link.
        let counted = links::begin(&*self.kept.store, token, now).await;
        if !matches!(counted, Ok(Ok(_))) {
            self.consents.forget(&begun.id).await;
        }
        counted?.map(|_| begun).map_err(NoConsent::Dead)
    }

    /// The address of the sign-in link of the account called `name`, which `actor` sees and sends to its person; `None`
    /// where there are no links.
    pub(crate) async fn sign_in_link(&self, name: &str, actor: Actor) -> Result<Option<Secret>, NoConsent> {
        let (of_link, _) = self.mended(name).await?;
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
        let asked = self.asked(name, back).await?;
        Ok(self.begin_consent(actor, asked, visitor).await?)
    }

    /// The request for the consent that mends the account called `name`.
    async fn asked(&self, name: &str, back: Secret) -> Result<Asked, NoConsent> {
        let (OfLink { account, owner, .. }, provider) = self.mended(name).await?;
        let owner = (fold(&owner) != fold(&account)).then_some(owner);
        Ok(Asked { account, provider, owner, anew: true, back: Some(back) })
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
        self.config.load().providers.values().any(|provider| provider.redirect_uri.path() == path)
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
        let take = |state, query| receiving::take(self.kept.clone(), self.consents.clone(), state, query);
        receive(query, take).await
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
        links::find(&*self.kept.store, token, now).await?.map_err(|dead| {
            if dead == Dead::Unknown {
                self.links.missed(&key, is_marked);
            }
            NoConsent::Dead(dead)
        })
    }

    /// The account, the owner and the provider of a consent, with the provider's name, if a person's consent can mend
    /// this account.
    async fn mended(&self, name: &str) -> Result<(OfLink, Option<String>), NoConsent> {
        let config = self.config.load();
        let Some(LoginRecord { account, grant, .. }) = self.kept.store.find(&fold(name)).await? else {
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
