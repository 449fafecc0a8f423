//! Logins, tokens and sessions while the store fails.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use imap_oauth_proxy::account::{Accounts, Admitted, Asked, Passwords, Verdict};
use imap_oauth_proxy::clock::Clock;
use imap_oauth_proxy::config::Config;
use imap_oauth_proxy::connection::Proxy;
use imap_oauth_proxy::links::Links;
use imap_oauth_proxy::protocol::Door;
use imap_oauth_proxy::secret::{KeySource, Sealer, Secret};
use imap_oauth_proxy::store::{
    AppPassword, Authorization, Grant, Granted, Id, Limits, Mailbox, Right, Sqlite, Store, fold,
};
use imap_oauth_proxy::store::{GrantStore as _, SettingStore as _};
use imap_oauth_proxy::token::{TokenFailure, Tokens};
use imap_oauth_proxy::{oauth, server, shutdown, tls};
use sandbox::{Flavour, Rotation, Sandbox, TokenFault, Vendor};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use crate::common::ALICE;
use crate::common::plain::Plain;
use crate::contract;
use crate::failing::Failing;
use imap_oauth_proxy::trouble::{CauseKind, Cure, Trouble};

const PASSWORD: &str = "a password of Alice";
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The circumstances of a login. Its deadline is far off, so that a slow machine changes no result.
fn asked() -> Asked {
    let due = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    Asked { from: FROM, exposed: false, due }
}

/// An installation with Alice's account, a provider, and a store with injectable failures.
struct Installation {
    home: TempDir,
    sandbox: Sandbox,
    config: Config,
    sealer: Arc<Sealer>,
    store: Arc<Failing>,
    grant: Grant,
}

impl Installation {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::builder().user(ALICE).start().await;
        let listener = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
        let text = format!("state_directory = \"/x\"\n{listener}\n{}", sandbox.provider_toml("sandbox"));
        let config = Config::parse(&text, None).unwrap();
        let sealer = Arc::new(KeySource::File(home.path().join("master.key")).load(true).unwrap());
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&home.path().join("store.sqlite")).await.unwrap());
        let id = Id::random();
        let token = sandbox.controls().grant(ALICE);
        let refresh_token = sealer.seal(&Grant::refresh_context(&id), token.as_bytes()).unwrap();
        let right = Right::Person { refresh_token };
        let grant = Grant::new(id.clone(), "sandbox", ALICE, right, OffsetDateTime::now_utc());
        let passwords = Passwords::open(&*store, &sealer).await.unwrap();
        let account = Id::random();
        let password = AppPassword {
            id: Id::random(),
            account: account.clone(),
            name: "default".to_owned(),
            verifier: passwords.generated(&account, &Secret::new(PASSWORD)),
            limits: Limits::default(),
            created_at: OffsetDateTime::now_utc(),
            last_used_at: None,
            last_used_from: None,
        };
        let authorization = Authorization {
            account: ALICE.to_owned(),
            aliases: Vec::new(),
            grant: Granted::New(Box::new(grant)),
            id: account,
            password: Some(password),
            disabled: false,
        };
        store.authorize(&authorization, &[]).await.unwrap();
        let grant = store.grant(&id).await.unwrap().unwrap();
        Self { home, sandbox, config, sealer, store: Arc::new(Failing::before(store)), grant }
    }

    fn tokens(&self) -> Tokens {
        let provider = self.config.providers["sandbox"].clone();
        let connector = tls::Connector::new(provider.extra_ca.as_deref()).unwrap();
        let client = oauth::Client::new(provider, connector.http_config(), None).unwrap();
        let clients = HashMap::from([("sandbox".to_owned(), Arc::new(client))]);
        Tokens::new(self.store.clone(), self.sealer.clone(), clients, Clock::default())
    }

    async fn accounts(&self) -> Accounts {
        Accounts::open(self.store.clone(), &self.sealer).await.unwrap()
    }

    /// The grant as another process reads it.
    async fn on_disk(&self) -> Grant {
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&self.home.path().join("store.sqlite")).await.unwrap());
        store.grant(&self.grant.id).await.unwrap().unwrap()
    }

    fn refresh_token(&self, grant: &Grant) -> Secret {
        let Right::Person { refresh_token } = &grant.right else { panic!("{grant:?}") };
        self.sealer.open_text(&Grant::refresh_context(&grant.id), refresh_token).unwrap()
    }
}

async fn admitted(accounts: &Accounts) -> Box<Admitted> {
    match accounts.verify(ALICE, &Secret::new(PASSWORD), Door::Imap, asked()).await.unwrap() {
        Verdict::Admitted(admitted) => admitted,
        refused => panic!("{refused:?}"),
    }
}

// Tokens.

#[tokio::test]
async fn a_rotated_token_is_given_out_once_its_row_is_written_and_not_before() {
    let here = Installation::new().await;
    here.sandbox.controls().oauth(|switches| switches.rotation = Rotation::Strict);
    here.store.fail(&["update_grant"]);
    let (tokens, grant) = (here.tokens(), here.grant.clone());
    let waiting = tokio::spawn(async move { tokens.access(&grant, &Mailbox::Own).await });
    here.store.has_failed("update_grant", 2).await;
    assert!(!waiting.is_finished(), "the refresh token that replaces the spent one is here alone");
    here.store.heal();
    let token = waiting.await.unwrap().unwrap();
    let grant = here.on_disk().await;
    assert_eq!(token.revision, grant.revision);
    assert_ne!(grant.right, here.grant.right);
    assert!(here.sandbox.controls().refresh_token_lives(here.refresh_token(&grant).expose()));
    let stats = here.sandbox.controls().stats();
    assert_eq!((stats.refreshes, stats.refresh_token_reuses), (1, 0));
}

#[tokio::test]
async fn without_a_lease_the_provider_is_not_asked() {
    let here = Installation::new().await;
    for call in ["grant", "take_lease"] {
        here.store.fail(&[call]);
        let failure = here.tokens().access(&here.grant, &Mailbox::Own).await.unwrap_err();
        assert!(
            matches!(&failure, TokenFailure::Local(trouble) if trouble.cause.text.contains(call)),
            "{failure:?}"
        );
        here.store.heal();
    }
    assert_eq!(here.sandbox.controls().stats().token_requests, 0);
    here.tokens().access(&here.grant, &Mailbox::Own).await.unwrap();
}

#[tokio::test]
async fn a_refusal_that_cannot_be_written_down_leaves_no_lease_behind() {
    let here = Installation::new().await;
    here.sandbox.controls().next_token(TokenFault::server_error());
    here.store.fail(&["update_grant"]);
    let failure = here.tokens().access(&here.grant, &Mailbox::Own).await.unwrap_err();
    assert!(matches!(failure, TokenFailure::Unavailable { .. }), "{failure:?}");
    here.store.has_failed("update_grant", 1).await;
    let other: Arc<dyn Store> = Arc::new(Sqlite::open(&here.home.path().join("store.sqlite")).await.unwrap());
    let now = OffsetDateTime::now_utc();
    assert!(contract::takes(&other, &here.grant.id, now, now + Duration::minutes(1)).await);
}

/// The keys were rotated on another machine, which no longer opens what this one seals.
#[tokio::test]
async fn an_application_whose_stored_token_does_not_open_asks_for_another_and_keeps_it_in_memory() {
    let here = Installation::new().await;
    let client = sandbox::Client {
        id: "application".to_owned(),
        secret: Some("application-secret".to_owned()),
        redirect_uris: Vec::new(),
        installed: false,
        keys: Vec::new(),
    };
    let sandbox = Sandbox::builder().flavour(Flavour::Exchange).vendor(Vendor::Microsoft).client(client);
    let sandbox = sandbox.user(ALICE).start().await;
    let listener = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
    let scopes = "app_scopes = [\"https://outlook.office365.com/.default\"]\n";
    let provider = sandbox.provider_toml("sandbox");
    let text = format!("state_directory = \"/x\"\n{listener}\n{provider}\n{scopes}");
    let here = Installation { config: Config::parse(&text, None).unwrap(), sandbox, ..here };

    let newer = Sealer::new([(2, zeroize::Zeroizing::new([2; 32]))]).unwrap();
    let mut grant = here.grant.clone();
    grant.right = Right::Application;
    grant.access_token = Some(newer.seal(&Grant::access_context(&grant.id), b"of another machine").unwrap());
    grant.access_expires_at = Some(OffsetDateTime::now_utc() + Duration::hours(1));
    grant.revision = here.store.update_grant(&grant).await.unwrap();
    here.store.setting("ca", &newer.seal("ca", b"its authority").unwrap()).await.unwrap();
    let tokens = here.tokens();
    let first = tokens.access(&grant, &Mailbox::Own).await.unwrap();
    let again = tokens.access(&grant, &Mailbox::Own).await.unwrap();
    assert!(first.secret == again.secret, "it is asked for once");
    assert_eq!(here.on_disk().await.access_token, grant.access_token, "the other machine opens its own");
    assert_eq!(here.sandbox.controls().stats().client_credentials, 1);
    let now = OffsetDateTime::now_utc();
    let other: Arc<dyn Store> = Arc::new(Sqlite::open(&here.home.path().join("store.sqlite")).await.unwrap());
    assert!(contract::takes(&other, &grant.id, now, now + Duration::minutes(1)).await, "no lease is left");
}

// Logins.

#[tokio::test]
async fn a_login_with_the_store_down_is_told_so_and_succeeds_once_it_is_back() {
    let here = Installation::new().await;
    let proxy = Proxy {
        accounts: Arc::new(here.accounts().await),
        gates: Arc::default(),
        tokens: Arc::new(here.tokens()),
        providers: HashMap::new(),
        acceptors: HashMap::new(),
        promises: HashMap::new(),
        links: Links::new(here.store.clone(), here.sealer.clone(), None),
        reminders: Arc::default(),
        limits: here.config.limits.clone(),
        live: Arc::default(),
        metrics: Arc::new(imap_oauth_proxy::metrics::Metrics::new("0", None)),
        access: Vec::new(),
    };
    let bound = server::bind(&here.config.listeners, &server::Sockets::default()).unwrap();
    let address = bound[0].address;
    let (_trigger, shutdown) = shutdown::channel();
    let supervisor = Arc::new(shutdown::Supervisor::new(&shutdown));
    tokio::spawn(server::serve(bound, Arc::new(ArcSwap::from_pointee(proxy)), supervisor, shutdown));
    let mut client = Plain::connect(address).await;
    client.line().await;
    here.store.fail(&["find"]);
    let answer = client.command(&format!("LOGIN {ALICE} \"{PASSWORD}\"")).await;
    assert!(
        answer.refused_with("SERVERBUG") && answer.tagged.contains("cannot read its store"),
        "{answer:?}"
    );
    here.store.heal();
    let answer = client.command(&format!("LOGIN {ALICE} \"{PASSWORD}\"")).await;
    assert!(answer.tagged.contains("provider named sandbox"), "past the password: {answer:?}");
}

#[tokio::test]
async fn a_password_that_could_not_be_looked_up_is_no_guess() {
    let here = Installation::new().await;
    let accounts = here.accounts().await;
    here.store.fail(&["find"]);
    for _ in 0..30 {
        accounts.verify(ALICE, &Secret::new("wrong"), Door::Imap, asked()).await.unwrap_err();
    }
    here.store.heal();
    let wrong = accounts.verify(ALICE, &Secret::new("wrong"), Door::Imap, asked()).await.unwrap();
    assert!(matches!(wrong, Verdict::Refused { elsewhere: None }), "{wrong:?}");
    admitted(&accounts).await;
}

#[tokio::test]
async fn bookkeeping_that_fails_keeps_nobody_out() {
    let here = Installation::new().await;
    let accounts = here.accounts().await;
    here.store.fail(&["note_logins", "set_trouble"]);
    let alice = admitted(&accounts).await;
    accounts.flush().await;
    let closed = Trouble::new(CauseKind::MailboxRefused, "closed", Cure::Unknown);
    accounts.refused(&alice.account, Door::Imap, closed).await;
    here.store.has_failed("note_logins", 1).await;
    here.store.has_failed("set_trouble", 1).await;
    here.store.heal();
    admitted(&accounts).await;
    accounts.flush().await;
    let store: &dyn Store = &*here.store;
    let account = store.find(&fold(ALICE)).await.unwrap().unwrap().account;
    assert!(account.last_login_at.is_some() && account.troubles.is_empty());
}

// Sessions.

#[tokio::test]
async fn sessions_go_on_while_the_store_is_down_and_end_once_it_says_that_they_are_revoked() {
    let here = Installation::new().await;
    let accounts = Arc::new(here.accounts().await);
    let alice = admitted(&accounts).await;
    here.store.fail(&["changes", "passwords_in_force"]);
    let watch = tokio::spawn({
        let (accounts, sealer) = (accounts.clone(), here.sealer.clone());
        async move { accounts.end_revoked(&sealer).await }
    });
    let store: &dyn Store = &*here.store;
    assert!(store.remove_password(&alice.account.id, "default", &contract::act("revoked")).await.unwrap());
    let mut revoked = Box::pin(alice.session.revoked());
    tokio::select! {
        biased;
        () = &mut revoked => panic!("nothing was read that says so"),
        () = here.store.has_failed("changes", 2) => {}
    }
    here.store.heal();
    revoked.await;
    watch.abort();
}
