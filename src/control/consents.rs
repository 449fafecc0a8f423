//! Consents that began in a browser, on the page or by a sign-in link, from the button to the stored grant.
//!
//! [`Consents::begin`] does the steps of [`authorize::begin`] and returns where the browser goes next: to the provider,
//! or to the consent's own page, where a person pastes the answer. It also returns a key, which the surface leaves in a
//! cookie of that browser. The provider sends the browser back to its redirect URI; each receiver sends it on to
//! [`ANSWER`] on the page where the consent began, and [`Consents::arrived`] takes the answer only with the key. So no
//! one can make another person's browser finish a consent. The rest runs in its own task, through the same steps as
//! `authorize`, and [`Consents::view`] shows how far it is: a surface shows that at [`CONSENT`], a slash and the id.
//!
//! The consents are in memory, bounded in number and time: a restart ends them, and the person begins again.

mod redirect;
mod table;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use self::redirect::{Listener, Way, way};
use self::table::{Entry, Waiting};
use super::authorize::{self, Answer, AuthorizeRequest, Authorized, ConsentWay, Pending, Plan, Todo};
use super::error::Error;
use super::installation::Installation;
use crate::config::Door;
use crate::oauth::{RedirectError, redirect_text, state_of};
use crate::secret::{Secret, random_text};

pub(crate) use self::redirect::Visitor;
pub(crate) use self::table::{ANSWER, Consents, NotTaken, Stage, View};

/// The path of the pages of consents, before a slash and the id.
pub(crate) const CONSENT: &str = "/consent";
/// How long a person has, and how long the outcome is kept. Providers' codes are valid for ten minutes.
const LIFE: Duration = Duration::from_secs(600);

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
        let installation = Arc::new(installation);
        let (yes, back) = (asked.yes, asked.back.clone());
        let judged = Plan::new(&installation.config, asked.into())?.judge(&installation, yes).await?;
        let way = way(&judged.provider.redirect_uri, &visitor, page);
        let pastes = matches!(way, Way::Pasted(_));
        let (redirect_uri, listener) = match way {
            Way::Page(redirect_uri) | Way::Pasted(redirect_uri) => (redirect_uri, None),
            Way::Listener(configured) => {
                let listener = self.listener(&configured).await?;
                (listener.redirect_uri.clone(), Some(listener))
            }
        };
        let provider = judged.provider.title.clone();
        let begun = authorize::begin(&installation, judged.brought_to(redirect_uri), &mut |_| ()).await?;
        let (id, key) = (random_text::<16>(), Secret::new(random_text::<32>()));
        let mut entry = Entry {
            id: id.clone(),
            key: key.clone(),
            state: Secret::new(random_text::<32>()),
            origin: visitor.origin.clone(),
            account: String::new(),
            owner: String::new(),
            provider,
            back,
            until: Instant::now() + LIFE,
            stage: Stage::Working,
            waiting: None,
        };
        let consent = match begun {
            Pending::Consent(consent) => consent,
            Pending::Ready(ready) => {
                (entry.account, entry.owner) = (ready.account().to_owned(), ready.owner().to_owned());
                self.add(entry);
                self.work(&id, async move { ready.finish(&installation, &mut |_| ()).await });
                return Ok(Begun { id, key, origin: visitor.origin, url: None });
            }
        };
        let (Todo::Open { url, .. } | Todo::Paste { url, .. }) = consent.todo() else {
            return Err(Error::OtherAnswer);
        };
        let url = url.clone();
        entry.state = consent.state().cloned().unwrap_or(entry.state);
        (entry.account, entry.owner) = (consent.account().to_owned(), consent.owner().to_owned());
        entry.stage = Stage::Waiting { url: url.clone(), pastes };
        entry.waiting = Some(Waiting { consent, installation, _listener: listener });
        self.add(entry);
        Ok(Begun { id, key, origin: visitor.origin, url: (!pastes).then_some(url) })
    }

    /// Takes the answer that a browser brings in `query`; `key_of` gives the browser's key for the consent with that
    /// id. Returns the id: the consent is being finished now.
    pub(crate) fn arrived(
        self: &Arc<Self>,
        query: &str,
        key_of: impl Fn(&str) -> Option<Secret>,
    ) -> Result<String, NotTaken> {
        let state = state_of(query).ok_or(NotTaken::Unknown)?;
        let (id, waiting) = {
            let mut entries = self.entries();
            let found = entries.iter_mut().find(|entry| entry.has_state(state.expose()));
            let entry = found.ok_or(NotTaken::Unknown)?;
            let id = entry.id.clone();
            entry.judge(key_of(&id).as_ref())?;
            // A second request with the same answer, of a person who reloads the page.
            let Some(waiting) = entry.waiting.take() else { return Ok(id) };
            entry.stage = Stage::Working;
            (id, waiting)
        };
        let answer = waiting.consent.brought(query);
        self.finish(&id, waiting, answer);
        Ok(id)
    }

    /// Takes the answer that a person pasted for the consent called `id`.
    pub(crate) fn pasted(
        self: &Arc<Self>,
        id: &str,
        key: Option<&Secret>,
        text: &str,
    ) -> Result<(), NotTaken> {
        let (waiting, answer) = {
            let mut entries = self.entries();
            let entry = entries.iter_mut().find(|entry| entry.id == id).ok_or(NotTaken::Unknown)?;
            entry.judge(key)?;
            let Some(waiting) = entry.waiting.take() else { return Ok(()) };
            match waiting.consent.pasted(text) {
                Err(error @ (RedirectError::WrongState | RedirectError::Malformed(_))) => {
                    entry.waiting = Some(waiting);
                    return Err(NotTaken::Pasted(error));
                }
                answer => {
                    entry.stage = Stage::Working;
                    (waiting, answer)
                }
            }
        };
        self.finish(id, waiting, answer);
        Ok(())
    }

    /// The consent called `id`, for the browser with its `key`. Waits for its end if it is being finished, at most for
    /// `patience`.
    pub(crate) async fn view(&self, id: &str, key: Option<&Secret>, patience: Duration) -> Option<View> {
        let mut changes = self.changed.subscribe();
        let until = Instant::now() + patience;
        loop {
            let view = self.look(id, key)?;
            if !matches!(view.stage, Stage::Working)
                || tokio::time::timeout_at(until, changes.changed()).await.is_err()
            {
                return Some(view);
            }
        }
    }

    /// A listener for answers at `configured`: that of another consent, if that address has a port of its own. Two
    /// consents that begin at the same moment, as by a double click, must not both bind it.
    async fn listener(self: &Arc<Self>, configured: &Url) -> Result<Arc<Listener>, Error> {
        let mut listeners = self.listeners.lock().await;
        listeners.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = listeners.get(&redirect_text(configured)).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let consents = Arc::downgrade(self);
        let onwards = move |state: &str| consents.upgrade()?.place_of(state);
        let listener = Arc::new(Listener::begin(configured, onwards).await?);
        listeners.insert(listener.redirect_uri.clone(), Arc::downgrade(&listener));
        Ok(listener)
    }

    fn finish(self: &Arc<Self>, id: &str, waiting: Waiting, answer: Result<Answer, RedirectError>) {
        let Waiting { consent, installation, .. } = waiting;
        self.work(id, async move {
            match answer {
                Ok(answer) => consent.finish(&installation, answer, &mut |_| ()).await,
                Err(error) => Err(consent.refused(&installation, error).await),
            }
        });
    }

    /// Does the last part of the consent called `id`, whatever becomes of the browser.
    fn work(
        self: &Arc<Self>,
        id: &str,
        job: impl Future<Output = Result<Authorized, Error>> + Send + 'static,
    ) {
        let (consents, id, busy) = (self.clone(), id.to_owned(), self.busy.subscribe());
        tokio::spawn(async move {
            consents.done(&id, job.await);
            drop(busy);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::actors;

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

    async fn begin(consents: &Arc<Consents>, of: &Installation) -> (Begun, String) {
        let Installation { config, store, sealer, .. } = of;
        let (config, store, sealer) = (config.clone(), store.clone(), sealer.clone());
        let installation = Installation { config, store, sealer, actor: actors::by_link(), tokens: None };
        let asked = Asked { account: "bob@acme.example".to_owned(), anew: true, ..Asked::default() };
        let visitor = Visitor { origin: ORIGIN.to_owned(), is_local: false };
        let begun = consents.begin(installation, None, asked, visitor).await.unwrap();
        let url = begun.url.clone().expect("the answer comes through the web server");
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        (begun, state)
    }

    #[tokio::test]
    async fn security_row_45_only_the_browser_that_began_a_consent_can_end_it() {
        let (consents, directory) = (Arc::<Consents>::default(), tempfile::tempdir().unwrap());
        let installation = installation(directory.path()).await;
        let (begun, state) = begin(&consents, &installation).await;
        let (other, _) = begin(&consents, &installation).await;
        assert_eq!(consents.place_of(&state), Some(format!("{ORIGIN}{ANSWER}")));
        assert_eq!(consents.place_of("another"), None);
        let query = format!("state={state}&error=access_denied");
        for key in [None, Some(other.key.clone()), Some(Secret::new("x"))] {
            assert_eq!(consents.arrived(&query, |_| key.clone()), Err(NotTaken::OtherBrowser));
            assert!(consents.view(&begun.id, key.as_ref(), Duration::ZERO).await.is_none());
            assert!(consents.pasted(&begun.id, key.as_ref(), &query).is_err());
        }
        assert_eq!(consents.arrived("state=x&code=c", |_| Some(begun.key.clone())), Err(NotTaken::Unknown));
        let key = |id: &str| (id == begun.id).then(|| begun.key.clone());
        assert_eq!(consents.arrived(&query, key), Ok(begun.id.clone()));
        consents.settled().await;
        let view = consents.view(&begun.id, Some(&begun.key), Duration::ZERO).await.unwrap();
        assert!(matches!(view.stage, Stage::Done(outcome) if outcome.is_err()));
        assert_eq!(consents.place_of(&state), None, "an answer is taken once");
        assert_eq!(consents.arrived(&query, key), Ok(begun.id.clone()), "a reload shows the outcome");
    }
}
