//! One instance: the product's [`Tokens`] over a seat at the database and a line to the provider, and logins that use it
//! as `connection/sign_in.rs` does.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use imap_oauth_proxy::clock::Clock;
use imap_oauth_proxy::config::{Config, Provider as Configured};
use imap_oauth_proxy::oauth::{self, Exchange, Exchanged};
use imap_oauth_proxy::secret::Sealer;
use imap_oauth_proxy::store::{Id, LoginNote, LoginStore, Mailbox, fold};
use imap_oauth_proxy::token::{TokenFailure, Tokens};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::database::Database;
use crate::process::Process;
use crate::provider::{Provider, RefreshToken, grant_of};
use crate::seat::Seat;

/// The times of `oauth/http/transport.rs`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// A login's share of its time for the token and the sign-in: `connection/sign_in.rs`.
const LOGIN: Duration = Duration::from_secs(45);

/// The provider as it is configured.
static ACME: LazyLock<Arc<Configured>> = LazyLock::new(|| {
    let text = r#"
        state_directory = "/x"
        [[listeners]]
        addresses = ["127.0.0.1:0"]
        security = "none"
        [providers.acme]
        imap = "imap.acme.example:993"
        authorize_url = "https://login.acme.example/authorize"
        token_url = "https://login.acme.example/token"
        client_id = "client"
        scopes = ["mail"]
        domains = ["acme.example"]
    "#;
    Config::parse(text, None).unwrap().providers["acme"].clone()
});

/// One key for all runs.
pub(crate) static SEALER: LazyLock<Arc<Sealer>> =
    LazyLock::new(|| Arc::new(Sealer::new([(1, zeroize::Zeroizing::new([7; 32]))]).unwrap()));

/// A process that serves.
pub(crate) struct Instance {
    pub(crate) process: Arc<Process>,
    pub(crate) tokens: Tokens,
    seat: Arc<Seat>,
    provider: Arc<Mutex<Provider>>,
    database: Arc<Mutex<Database>>,
}

/// How a login ended.
#[derive(Debug)]
pub(crate) enum Ended {
    In,
    /// The mail server refused two tokens.
    Refused,
    NoToken(TokenFailure),
    StoreAway,
    /// No answer came within [`LOGIN`].
    TimedOut,
}

impl Instance {
    pub(crate) fn start(
        process: &Arc<Process>,
        database: &Arc<Mutex<Database>>,
        provider: &Arc<Mutex<Provider>>,
    ) -> Arc<Self> {
        process.world.log(format_args!("{} starts", process.name));
        let clock = Clock::given(process.clone());
        let line = Arc::new(Line { process: process.clone(), provider: provider.clone() });
        let client = Arc::new(oauth::Client::over(ACME.clone(), line, clock.clone()));
        let seat = Seat::new(process, database);
        let clients = HashMap::from([("acme".to_owned(), client)]);
        let tokens = Tokens::new(seat.clone(), SEALER.clone(), clients, clock);
        let (provider, database) = (provider.clone(), database.clone());
        let instance =
            Arc::new(Self { process: process.clone(), tokens, seat: seat.clone(), provider, database });
        process.owns(&tokio::spawn(async move { seat.live().await }).abort_handle());
        if process.world.knobs.upkeep {
            let renewing = instance.clone();
            let upkeep = async move { renewing.tokens.upkeep(HashSet::new).await };
            process.owns(&tokio::spawn(upkeep).abort_handle());
        }
        instance
    }

    /// A mail program logs in.
    pub(crate) async fn login(&self, account: &str) -> Ended {
        let began = Instant::now();
        let ended = timeout_at(began + LOGIN, self.sign_in(account, began)).await.unwrap_or(Ended::TimedOut);
        self.process.stay().await;
        let (world, name) = (&self.process.world, &self.process.name);
        world.log(format_args!("{name} login of {account}: {ended}", ended = ended.word()));
        world.count(ended.word());
        ended
    }

    async fn sign_in(&self, account: &str, began: Instant) -> Ended {
        let revoked = self.database.lock().unwrap().audit.revoked(&grant_of(account));
        let Ok(found) = self.seat.find(&fold(account)).await else { return Ended::StoreAway };
        let is_recalled = self.seat.has_recalled();
        let record = found.expect("each account has its row");
        let Some(grant) = record.grant else { return Ended::NoToken(TokenFailure::revoked()) };
        let asked = self.tokens.access(&grant, &Mailbox::Own).await;
        let token = match asked {
            Ok(token) => token,
            Err(failure) => return Ended::NoToken(failure),
        };
        self.may_have(account, revoked.map(|revoked| revoked.at), began, is_recalled);
        if self.opens(account, token.secret.expose()).await {
            let id = record.account.id;
            self.note(id).await;
            return Ended::In;
        }
        let token = match self.tokens.replace(&grant, &Mailbox::Own, &token).await {
            Ok(token) => token,
            Err(failure) => return Ended::NoToken(failure),
        };
        match self.opens(account, token.secret.expose()).await {
            true => Ended::In,
            false => Ended::Refused,
        }
    }

    /// Whether a login may get a token. One that began after a revocation may not, unless its instance could not know
    /// of the revocation.
    fn may_have(&self, account: &str, revoked: Option<Instant>, began: Instant, is_recalled: bool) {
        let audit_says = self.database.lock().unwrap().audit.revoked(&grant_of(account));
        let (Some(at), Some(now)) = (revoked, audit_says) else { return };
        // A consent came between two revocations.
        if now.at != at {
            return;
        }
        let world = &self.process.world;
        let known_after = if is_recalled { Duration::from_secs(world.knobs.stale) } else { Duration::ZERO };
        let since = began.duration_since(at);
        if since > known_after {
            let name = &self.process.name;
            world.breach(format_args!(
                "{name} has a token for {account} {} ms after its revocation",
                since.as_millis()
            ));
        }
    }

    async fn opens(&self, account: &str, token: &str) -> bool {
        self.process.turn("sign in").await;
        let opened = self.provider.lock().unwrap().signs_in(&self.process, account, token);
        self.process.turn("signed in").await;
        opened
    }

    async fn note(&self, account: Id) {
        let at = self.process.world.now();
        let note =
            LoginNote { account, password: Id("password".to_owned()), at, from: "192.0.2.1".to_owned() };
        let _ = self.seat.note_logins(&[note]).await;
    }
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Self::In => "logins",
            Self::Refused => "logins with two refused tokens",
            Self::NoToken(TokenFailure::NeedsAuthorization(_)) => "logins that need a person",
            Self::NoToken(TokenFailure::Misconfigured(_)) => "logins that need an administrator",
            Self::NoToken(TokenFailure::Unavailable(_)) => "logins to be tried again",
            Self::NoToken(TokenFailure::Local(_)) => "logins that failed here",
            Self::StoreAway => "logins without a database",
            Self::TimedOut => "logins that timed out",
        }
    }
}

/// The way of one process to the token endpoint, with the times of the real one.
struct Line {
    process: Arc<Process>,
    provider: Arc<Mutex<Provider>>,
}

#[async_trait]
impl Exchange for Line {
    async fn post(&self, form: &[u8]) -> Option<Exchanged> {
        let (process, world) = (&self.process, &self.process.world);
        let began = Instant::now();
        process.turn("connect").await;
        if began.elapsed() > CONNECT_TIMEOUT || world.strikes(world.knobs.lost_answer) {
            world.log(format_args!("{} does not reach the provider", process.name));
            return None;
        }
        let token = url::form_urlencoded::parse(form).find(|(name, _)| name == "refresh_token");
        let token = token.and_then(|(_, token)| RefreshToken::read(&token));
        let token = token.expect("a refresh names its token");
        let number = self.provider.lock().unwrap().sent(process, token);
        let slow = || match world.strikes(world.knobs.slow) {
            true => world.millis(0..=40_000),
            false => world.millis(0..=world.knobs.delay.max(20)),
        };
        let (there, back) = (slow(), slow());
        let (send, receive) = oneshot::channel();
        let provider = self.provider.clone();
        // In a task of its own: the provider handles a request that was sent, even if its process dies.
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            let answer = provider.lock().unwrap().handle(number);
            tokio::time::sleep(back).await;
            let _ = send.send(answer);
        });
        let answer = timeout_at(began + TOTAL_TIMEOUT, receive).await.ok().and_then(Result::ok);
        process.stay().await;
        let is_late = began.elapsed() >= TOTAL_TIMEOUT || world.strikes(world.knobs.lost_answer);
        let answer = answer.filter(|_| !is_late);
        if answer.is_none() {
            world.count("lost answers of the provider");
        }
        self.provider.lock().unwrap().answered(number, answer.is_some());
        if answer.is_some() && world.strikes(world.knobs.cut_at_answer) {
            match world.of(0..=1) {
                0 => process.cut_off(world.millis(20_000..=90_000)),
                _ => self.provider.lock().unwrap().database_goes_away(world.millis(20_000..=60_000)),
            }
        }
        process.turn("answered").await;
        answer
    }
}
