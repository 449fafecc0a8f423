//! Consents that began in a browser, on the page or by a sign-in link, from the button to the stored grant.
//!
//! [`Consents::begin`] does the steps of [`authorize::begin`] and returns where the browser goes next: to the provider,
//! or to the consent's own page, where a person pastes the answer. It also returns a key, which the surface leaves in a
//! cookie of that browser. The provider sends the browser back to its redirect URI; each receiver sends it on to
//! [`ANSWER`] on the page where the consent began, and [`Consents::arrived`] takes the answer only with the key. So no
//! one can make another person's browser finish a consent. `state` and key carry the mark of this installation,
//! so that the store is not asked for made-up ones. The rest runs in its own task, through the same steps as
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
use self::table::{Kept, Record, TRIES};
use super::authorize::{
    self, Answer, AuthorizeRequest, Authorized, Consent, ConsentWay, Pending, Plan, Todo,
};
use super::error::Error;
use super::installation::Installation;
use super::marks;
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
    pub(crate) account: String,
    pub(crate) provider: Option<String>,
    pub(crate) owner: Option<String>,
    /// Whether the person is asked even if the owner has a grant that works.
    pub(crate) anew: bool,
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
        let Asked { account, provider, owner, anew, .. } = asked;
        // The redirect URI depends on the provider, which is found first.
        let way = ConsentWay::Brought { redirect_uri: String::new(), anew };
        let (aliases, seconds) = (Vec::new(), LIFE.as_secs());
        Self { account, provider, owner, aliases, protocols: None, way, password: None, seconds }
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
        let back = asked.back.clone();
        let judged = Plan::new(&installation.config, asked.into())?.judge(&installation, false).await?;
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
        let (id, stage, account, owner, waiting) = match &begun {
            Pending::Ready(ready) => {
                let (account, owner) = ready.names();
                (random_text::<16>(), Stage::Working, account, owner, None)
            }
            Pending::Consent(consent) => {
                let (Todo::Open { url, .. } | Todo::Paste { url, .. }) = consent.todo() else {
                    return Err(Error::OtherAnswer);
                };
                let id = id_of(consent.state().ok_or(Error::OtherAnswer)?.expose());
                let stage = Stage::Waiting { url: url.clone(), pastes };
                (id, stage, consent.account(), consent.owner(), consent.frozen())
            }
        };
        let (origin, key) = (visitor.origin, self.marks.token(&key_kind(&id)));
        let record = Record {
            key: ShortLived::key_of(key.expose()),
            origin: origin.clone(),
            account: account.to_owned(),
            owner: owner.to_owned(),
            provider,
            back: back.map(|back| back.expose().to_owned()),
            actor: installation.actor.clone(),
            stage,
            waiting,
        };
        self.add(&id, &record, time::Duration::try_from(LIFE).unwrap_or_default()).await?;
        match begun {
            Pending::Ready(ready) => {
                self.work(&id, record.account, async move { ready.finish(&installation, &mut |_| ()).await });
            }
            Pending::Consent(consent) => {
                if let (Some(listener), Some(state)) = (listener, consent.state().cloned()) {
                    let until = Instant::now() + LIFE;
                    self.listeners.hold(listener, state, format!("{origin}{ANSWER}"), until);
                }
            }
        }
        let url = match record.stage {
            Stage::Waiting { url, pastes: false } => Some(url),
            _ => None,
        };
        Ok(Begun { id, key, origin, url })
    }

    /// Where a browser takes the answer with this `state`: an address on the page where its consent began, which may be
    /// another instance's.
    pub(crate) async fn place_of(&self, state: &str) -> Result<Option<String>, NotTaken> {
        let found = self.load(&id_of(state), self.marks.knows(marks::STATE, state)).await?;
        let waiting = found.filter(|Kept { record, .. }| record.waiting.is_some());
        Ok(waiting.map(|Kept { record, .. }| format!("{}{ANSWER}", record.origin)))
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
        let (key, is_marked) = (key_of(&id), self.marks.knows(marks::STATE, state.expose()));
        self.take(&id, key.as_ref(), is_marked, with, |consent| Ok(consent.brought(query))).await?;
        self.listeners.let_go(state.expose());
        Ok(id)
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
        let is_marked = self.is_key(id, key.ok_or(NotTaken::OtherBrowser)?);
        let judge = |consent: &Consent| match consent.pasted(text) {
            Err(error @ (RedirectError::WrongState | RedirectError::Malformed(_))) => {
                Err(NotTaken::Pasted(error))
            }
            answer => Ok(answer),
        };
        self.take(id, key, is_marked, with, judge).await
    }

    /// Finishes the consent called `id` with the answer that `judge` finds for it. Of several processes that get an
    /// answer, one finishes; if another one, or a rotation of the keys, has written the row, it is read again.
    async fn take(
        self: &Arc<Self>,
        id: &str,
        key: Option<&Secret>,
        is_marked: bool,
        with: impl Fn(Actor) -> Installation,
        judge: impl Fn(&Consent) -> Result<Result<Answer, RedirectError>, NotTaken>,
    ) -> Result<(), NotTaken> {
        for _ in 0..TRIES {
            let mut kept = self.load(id, is_marked).await?.ok_or(NotTaken::Unknown)?;
            kept.record.judge(key)?;
            // None for a second request with the same answer, of a person who reloads the page.
            let Some(frozen) = kept.record.waiting.take() else { return Ok(()) };
            let installation = with(kept.record.actor.clone());
            let answered = match Consent::thawed(&installation, frozen) {
                Ok(consent) => Ok((judge(&consent)?, consent)),
                Err(error) => Err(error),
            };
            kept.record.stage = Stage::Working;
            if self.replace(id, &kept).await? {
                self.work(id, kept.record.account, async move {
                    match answered? {
                        (Ok(answer), consent) => consent.finish(&installation, answer, &mut |_| ()).await,
                        (Err(error), consent) => Err(consent.refused(&installation, error).await),
                    }
                });
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

    async fn look(&self, id: &str, key: Option<&Secret>) -> Result<View, NotTaken> {
        // Without a key the store is not asked.
        let key = key.ok_or(NotTaken::Unknown)?;
        let Kept { record, .. } = self.load(id, self.is_key(id, key)).await?.ok_or(NotTaken::Unknown)?;
        record.judge(Some(key)).map_err(|_| NotTaken::Unknown)?;
        let Record { account, owner, provider, back, stage, .. } = record;
        Ok(View { account, owner, provider, back: back.map(Secret::new), stage })
    }

    /// Whether `key` was made for the consent called `id`; what was made up is known before the store is asked.
    fn is_key(&self, id: &str, key: &Secret) -> bool {
        self.marks.knows(&key_kind(id), key.expose())
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

/// The id of the consent whose answer has this `state`, so that any instance finds it; the id does not tell the `state`.
fn id_of(state: &str) -> String {
    let mut id = ShortLived::key_of(&format!("consent {state}"));
    id.truncate(22);
    id
}

/// What the mark of a browser's key for the consent called `id` is made for.
fn key_kind(id: &str) -> String {
    format!("consent {id}")
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
        let marks = Arc::new(installation.marks().await.unwrap());
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
