//! Consents that began in a browser, on the page or by a sign-in link, from the button to the stored grant.
//!
//! [`Consents::begin`] does the steps of [`authorize::begin`] and returns where the browser goes next: to the provider,
//! or to the consent's own page, where a person pastes the answer. It also returns a key, which the surface leaves in a
//! cookie of that browser. The provider sends the browser back to its redirect URI; each receiver sends it on to
//! [`ANSWER`] on the page where the consent began, and [`Consents::arrived`] takes the answer only with the key. So no
//! one can make another person's browser finish a consent. The rest runs in its own task, through the same steps as
//! `authorize`, and [`Consents::view`] shows how far it is: a surface shows that at [`CONSENT`], a slash and the id.
//!
//! The consents lie in the store, sealed and bounded in number and time: they outlive a restart, and one that began on
//! an instance is answered and shown on any. Only the listeners of this machine belong to the instance where a consent
//! began. If an instance dies while it finishes a consent, its page goes on waiting until its time is over.

mod redirect;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use self::redirect::{Way, way};
use self::table::{Kept, Record, TRIES, id_of};
use super::authorize::{
    self, Answer, AuthorizeRequest, Authorized, Consent, ConsentWay, Pending, Plan, Todo,
};
use super::error::Error;
use super::installation::Installation;
use crate::config::Door;
use crate::oauth::{RedirectError, state_of};
use crate::secret::{Secret, random_text};
use crate::store::{Actor, ShortLived};

pub(crate) use self::redirect::Visitor;
pub(crate) use self::table::{ANSWER, Consents, NotTaken, Outcome, Stage, View};

/// The path of the pages of consents, before a slash and the id.
pub(crate) const CONSENT: &str = "/consent";
/// How long a person has, and how long the outcome is kept. Providers' codes are valid for ten minutes.
const LIFE: Duration = Duration::from_secs(600);
/// How often a page that waits looks whether another instance has finished.
const LOOK: Duration = Duration::from_millis(500);

/// The request for a consent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The mailbox's address.
    pub(crate) account: String,
    /// The provider's name, if the address does not determine it.
    pub(crate) provider: Option<String>,
    /// The person who consents, if it is not the account itself.
    pub(crate) owner: Option<String>,
    /// Further login names.
    pub(crate) aliases: Vec<String>,
    /// The doors that must open; `None` chooses them by the store and the configuration.
    pub(crate) protocols: Option<Vec<Door>>,
    /// The name of the app password to make if the account has none; `None` makes none.
    pub(crate) password: Option<String>,
    /// Whether the person is asked even if the owner has a grant that works.
    pub(crate) anew: bool,
    /// Whether an alias that is another address is allowed.
    pub(crate) yes: bool,
    /// Where the person begins again if the consent fails: a path of the page.
    pub(crate) back: Option<Secret>,
}

/// A consent that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its name in addresses.
    pub(crate) id: String,
    /// Scheme, host and port of the page where it began.
    pub(crate) origin: String,
    /// What the browser has to show later, from a cookie.
    pub(crate) key: Secret,
    /// The provider's address, if the browser goes there now; otherwise the consent's page says what comes next.
    pub(crate) url: Option<Url>,
}

impl From<Asked> for AuthorizeRequest {
    fn from(asked: Asked) -> Self {
        let Asked { account, provider, owner, aliases, protocols, password, anew, .. } = asked;
        // The redirect URI depends on the provider, which is found first.
        let way = ConsentWay::Brought { redirect_uri: String::new(), anew };
        Self { account, provider, owner, aliases, protocols, way, password, seconds: LIFE.as_secs() }
    }
}

impl Consents {
    /// Begins a consent for `visitor`. `page` is the address of the page. Everything that can be judged without the
    /// person is judged now.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        installation: Installation,
        page: Option<SocketAddr>,
        asked: Asked,
        visitor: Visitor,
    ) -> Result<Begun, Error> {
        let (yes, back) = (asked.yes, asked.back.clone());
        let judged = Plan::new(&installation.config, asked.into())?.judge(&installation, yes).await?;
        let way = way(&judged.provider.redirect_uri, &visitor, page);
        let pastes = matches!(way, Way::Pasted(_));
        let (redirect_uri, listener) = match way {
            Way::Page(redirect_uri) | Way::Pasted(redirect_uri) => (redirect_uri, None),
            Way::Listener(configured) => {
                let listener = self.listeners.at(&configured).await?;
                (listener.redirect_uri.clone(), Some(listener))
            }
        };
        let provider = judged.provider.title.clone();
        let begun = authorize::begin(&installation, judged.brought_to(redirect_uri), &mut |_| ()).await?;
        let origin = visitor.origin;
        let mut record = Record {
            key: String::new(),
            origin: origin.clone(),
            account: String::new(),
            owner: String::new(),
            provider,
            back: back.map(|back| back.expose().to_owned()),
            actor: installation.actor.clone(),
            stage: Stage::Working,
            waiting: None,
        };
        let consent = match begun {
            Pending::Consent(consent) => consent,
            Pending::Ready(ready) => {
                (record.account, record.owner) = (ready.account().to_owned(), ready.owner().to_owned());
                let (id, account) = (random_text::<16>(), record.account.clone());
                let key = self.new_key(&id);
                record.key = ShortLived::key_of(key.expose());
                self.add(&id, &record, time::Duration::try_from(LIFE).unwrap_or_default()).await?;
                self.work(&id, account, async move { ready.finish(&installation, &mut |_| ()).await });
                return Ok(Begun { id, key, origin, url: None });
            }
        };
        let (Todo::Open { url, .. } | Todo::Paste { url, .. }) = consent.todo() else {
            return Err(Error::OtherAnswer);
        };
        let (url, state) = (url.clone(), consent.state().cloned().ok_or(Error::OtherAnswer)?);
        (record.account, record.owner) = (consent.account().to_owned(), consent.owner().to_owned());
        record.stage = Stage::Waiting { url: url.clone(), pastes };
        record.waiting = consent.frozen();
        let id = id_of(state.expose());
        let key = self.new_key(&id);
        record.key = ShortLived::key_of(key.expose());
        self.add(&id, &record, time::Duration::try_from(LIFE).unwrap_or_default()).await?;
        if let Some(listener) = listener {
            self.listeners.hold(listener, state, format!("{origin}{ANSWER}"), Instant::now() + LIFE);
        }
        Ok(Begun { id, key, origin, url: (!pastes).then_some(url) })
    }

    /// Takes the answer that a browser brings in `query`; `key_of` gives the browser's key for the consent with that
    /// id. Returns the id: the consent is being finished now, with the installation that `with` gives for its actor.
    pub(crate) async fn arrived(
        self: &Arc<Self>,
        query: &str,
        key_of: impl Fn(&str) -> Option<Secret>,
        with: impl Fn(Actor) -> Installation,
    ) -> Result<String, NotTaken> {
        let state = state_of(query).ok_or(NotTaken::Unknown)?;
        let id = id_of(state.expose());
        let key = key_of(&id);
        for _ in 0..TRIES {
            let mut kept = self.of_state(&id, state.expose()).await?.ok_or(NotTaken::Unknown)?;
            kept.record.judge(key.as_ref())?;
            // None for a second request with the same answer, of a person who reloads the page.
            let Some(frozen) = kept.record.waiting.take() else { return Ok(id) };
            let installation = with(kept.record.actor.clone());
            let consent = Consent::thawed(&installation, frozen);
            if self.is_ours(&id, &mut kept).await? {
                self.listeners.let_go(state.expose());
                let answered = consent.map(|consent| (consent.brought(query), consent));
                self.finish(&id, kept.record.account, installation, answered);
                return Ok(id);
            }
        }
        Err(NotTaken::Away)
    }

    /// Takes the answer that a person pasted for the consent called `id`.
    pub(crate) async fn pasted(
        self: &Arc<Self>,
        id: &str,
        key: Option<&Secret>,
        text: &str,
        with: impl Fn(Actor) -> Installation,
    ) -> Result<(), NotTaken> {
        // Without a key the store is not asked.
        let key = key.ok_or(NotTaken::OtherBrowser)?;
        for _ in 0..TRIES {
            let mut kept = self.of_key(id, key).await?.ok_or(NotTaken::Unknown)?;
            kept.record.judge(Some(key))?;
            let Some(frozen) = kept.record.waiting.take() else { return Ok(()) };
            let installation = with(kept.record.actor.clone());
            let answered =
                Consent::thawed(&installation, frozen).map(|consent| (consent.pasted(text), consent));
            if let Ok((Err(error @ (RedirectError::WrongState | RedirectError::Malformed(_))), _)) = &answered
            {
                return Err(NotTaken::Pasted(error.clone()));
            }
            if self.is_ours(id, &mut kept).await? {
                self.finish(id, kept.record.account, installation, answered);
                return Ok(());
            }
        }
        Err(NotTaken::Away)
    }

    /// The consent called `id`, for the browser with its `key`. Waits for its end if it is being finished, at most for
    /// `patience`.
    pub(crate) async fn view(
        &self,
        id: &str,
        key: Option<&Secret>,
        patience: Duration,
    ) -> Result<View, NotTaken> {
        let mut changes = self.changed.subscribe();
        let until = Instant::now() + patience;
        loop {
            let view = self.look(id, key).await?;
            let now = Instant::now();
            if !matches!(view.stage, Stage::Working) || now >= until {
                return Ok(view);
            }
            // Another instance may be finishing it.
            let _ = tokio::time::timeout_at(until.min(now + LOOK), changes.changed()).await;
        }
    }

    /// Whether this process finishes the consent: of several that get its answer, one does. If not, the row was written
    /// by another process, or by a rotation of the keys: it is to be read again.
    async fn is_ours(&self, id: &str, kept: &mut Kept) -> Result<bool, NotTaken> {
        kept.record.stage = Stage::Working;
        self.replace(id, kept).await
    }

    fn finish(
        self: &Arc<Self>,
        id: &str,
        account: String,
        installation: Installation,
        answered: Result<(Result<Answer, RedirectError>, Consent), Error>,
    ) {
        self.work(id, account, async move {
            match answered? {
                (Ok(answer), consent) => consent.finish(&installation, answer, &mut |_| ()).await,
                (Err(error), consent) => Err(consent.refused(&installation, error).await),
            }
        });
    }

    /// Completes the consent called `id`, even if the browser goes away.
    fn work(
        self: &Arc<Self>,
        id: &str,
        account: String,
        job: impl Future<Output = Result<Authorized, Error>> + Send + 'static,
    ) {
        let (consents, id, busy) = (self.clone(), id.to_owned(), self.busy.subscribe());
        tokio::spawn(async move {
            consents.done(&id, &account, job.await).await;
            drop(busy);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::{actors, marks};

    const ORIGIN: &str = "https://proxy.corp.example";

    async fn installation(directory: &std::path::Path) -> Installation {
        let text = format!(
            "state_directory = {directory:?}\n[providers.acme]\nimap = \"imap.acme.example:993\"\n\
             authorize_url = \"https://acme.example/authorize\"\ntoken_url = \"https://acme.example/token\"\n\
             client_id = \"x\"\nscopes = [\"mail\"]\ndomains = [\"acme.example\"]\n\
             redirect_uri = \"https://mail.corp.example/callback\"\n"
        );
        Installation::open(Config::parse(&text, None).unwrap()).await.unwrap()
    }

    fn copy_of(installation: &Installation) -> Installation {
        let Installation { config, store, sealer, .. } = installation;
        let (config, store, sealer) = (config.clone(), store.clone(), sealer.clone());
        Installation { config, store, sealer, actor: actors::by_link(), tokens: None }
    }

    async fn begin(consents: &Arc<Consents>, of: &Installation) -> (Begun, String) {
        let asked = Asked { account: "bob@acme.example".to_owned(), anew: true, ..Asked::default() };
        let visitor = Visitor { origin: ORIGIN.to_owned(), is_local: false };
        let begun = consents.begin(copy_of(of), None, asked, visitor).await.unwrap();
        let url = begun.url.clone().expect("the answer comes through the web server");
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        (begun, state)
    }

    #[tokio::test]
    async fn security_row_45_only_the_browser_that_began_a_consent_can_end_it_at_any_instance() {
        let directory = tempfile::tempdir().unwrap();
        let installation = installation(directory.path()).await;
        let with = |_: Actor| copy_of(&installation);
        let marks = Arc::new(marks::of(&installation).await.unwrap());
        let (began, consents) = (
            Arc::new(Consents::new(&installation, marks.clone())),
            Arc::new(Consents::new(&installation, marks)),
        );
        let (begun, state) = begin(&began, &installation).await;
        let (other, _) = begin(&consents, &installation).await;
        assert_eq!(consents.place_of(&state).await.unwrap(), Some(format!("{ORIGIN}{ANSWER}")));
        assert_eq!(consents.place_of("another").await, Ok(None));
        let query = format!("state={state}&error=access_denied");
        for key in [None, Some(other.key.clone()), Some(Secret::new("x"))] {
            assert_eq!(consents.arrived(&query, |_| key.clone(), with).await, Err(NotTaken::OtherBrowser));
            assert!(consents.view(&begun.id, key.as_ref(), Duration::ZERO).await.is_err());
            assert!(consents.pasted(&begun.id, key.as_ref(), &query, with).await.is_err());
        }
        let of_none = consents.arrived("state=x&code=c", |_| Some(begun.key.clone()), with).await;
        assert_eq!(of_none, Err(NotTaken::Unknown));
        for value in installation.store.all_short_lived().await.unwrap() {
            let text = format!("{value:?}");
            assert!(!text.contains(&state) && !text.contains(begun.key.expose()), "{text}");
        }
        let key = |id: &str| (id == begun.id).then(|| begun.key.clone());
        assert_eq!(consents.arrived(&query, key, with).await, Ok(begun.id.clone()));
        consents.settled().await;
        let view = began.view(&begun.id, Some(&begun.key), Duration::ZERO).await.unwrap();
        assert!(matches!(view.stage, Stage::Done(Outcome::Failed { .. })));
        assert_eq!(began.place_of(&state).await, Ok(None), "an answer is taken once");
        assert_eq!(
            began.arrived(&query, key, with).await,
            Ok(begun.id.clone()),
            "a reload shows the outcome"
        );
    }
}
