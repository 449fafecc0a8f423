//! Notices of other processes' changes, by LISTEN.
//!
//! A notice only makes the next look at the counter come earlier: there is a look every second anyway. So with a pooler
//! that does not pass LISTEN on, a revocation comes a second later and is not lost. A notice that this process sends to
//! itself over each new connection shows whether notices arrive, and proves what the pool's connections are
//! ([`super::pool`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::connect;
use super::pool::Pool;

/// The channel that the triggers of the tables notify.
pub(super) const CHANNEL: &str = "imap_oauth_proxy";
/// The notice that instances send each other. The triggers' notice is empty.
pub(super) const OF_INSTANCES: &str = "instances";
/// How long the process waits for the notice that it sends to itself.
const PROOF: Duration = Duration::from_secs(2);
/// The pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// The listener of one store. It connects at the first wait, because most commands never wait for notices.
pub(super) struct News {
    came: Arc<Notify>,
    /// Notified when another instance has told or asked something.
    told: Arc<Notify>,
    /// How the listener connects, if not as the pool does.
    options: Option<PgConnectOptions>,
    pool: Pool,
    /// Whether the last notice that this process sent to itself arrived.
    arrive: Arc<AtomicBool>,
    task: OnceLock<AbortOnDropHandle<()>>,
}

impl News {
    pub(super) fn new(options: Option<PgConnectOptions>, pool: Pool) -> Self {
        Self {
            came: Arc::default(),
            told: Arc::default(),
            options,
            pool,
            arrive: Arc::default(),
            task: OnceLock::new(),
        }
    }

    /// Whether notices arrive at present.
    pub(super) fn arrive(&self) -> bool {
        self.arrive.load(Ordering::SeqCst)
    }

    /// Waits for the next notice, or for a connection after which notices may have been lost.
    pub(super) async fn next(&self) {
        self.listen();
        self.came.notified().await;
    }

    /// Waits for the next notice of another instance, or for a connection after which one may have been lost.
    pub(super) async fn told(&self) {
        self.listen();
        self.told.notified().await;
    }

    fn listen(&self) {
        self.task.get_or_init(|| {
            let listening = Listening {
                options: self.options.clone().unwrap_or_else(|| self.pool.connect_options()),
                is_pools: self.options.is_none(),
                pool: self.pool.clone(),
                came: self.came.clone(),
                told: self.told.clone(),
                arrive: self.arrive.clone(),
                own: crate::secret::random_text::<12>(),
                proven: Arc::new(Notify::new()),
                was_silent: Arc::new(AtomicBool::new(false)),
            };
            AbortOnDropHandle::new(tokio::spawn(listening.run()))
        });
    }
}

#[derive(Clone)]
struct Listening {
    options: PgConnectOptions,
    /// Whether the pool uses the same options.
    is_pools: bool,
    pool: Pool,
    came: Arc<Notify>,
    told: Arc<Notify>,
    arrive: Arc<AtomicBool>,
    /// The notice that this process sends to itself.
    own: String,
    proven: Arc<Notify>,
    /// Whether the missing notice was logged.
    was_silent: Arc<AtomicBool>,
}

impl Listening {
    async fn run(self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!("no notices from the database: {error}");
            }
            self.arrive.store(false, Ordering::SeqCst);
            // Notices that came without a connection are lost, so a look is due.
            self.came.notify_one();
            self.told.notify_one();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Listens until the connection ends. Refuses a pooler that lends connections: a connection that listens would
    /// bring its notices to other clients, in the middle of their statements.
    async fn hear(&self) -> Result<(), sqlx::Error> {
        if self.is_pools && !self.pool.directness().is_proven() && connect::is_lent(&self.options).await? {
            self.complain();
            std::future::pending::<()>().await;
        }
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        self.came.notify_one();
        self.told.notify_one();
        let _proving = AbortOnDropHandle::new(tokio::spawn(self.prove()));
        while let Some(notice) = listener.try_recv().await? {
            match notice.payload() {
                own if own == self.own => {
                    self.arrive.store(true, Ordering::SeqCst);
                    self.proven.notify_one();
                    if self.is_pools {
                        self.pool.directness().prove();
                    }
                }
                OF_INSTANCES => self.told.notify_one(),
                _ => self.came.notify_one(),
            }
        }
        Ok(())
    }

    /// Sends this process a notice, and logs once if the notice does not arrive.
    fn prove(&self) -> impl Future<Output = ()> + use<> {
        let this = self.clone();
        async move {
            let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&this.own);
            if let Err(error) = query.execute(&this.pool).await {
                tracing::debug!("no notice could be sent: {error}");
            } else if tokio::time::timeout(PROOF, this.proven.notified()).await.is_err() {
                this.complain();
            }
        }
    }

    fn complain(&self) {
        if !self.was_silent.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                "the database's notices do not arrive, so changes by other instances are looked for every second; \
                 where store.url goes through a pooler, name the server itself in store.listen_url"
            );
        }
    }
}
