//! Notices of other processes' changes, by LISTEN.
//!
//! They only make the look at the counter come earlier: a look every second finds what a lost notice told. So a pooler
//! that cannot LISTEN costs a second and no revocation. A notice that this process sends to itself over each new
//! connection, and every few seconds, shows whether they arrive, and proves what the pool's connections are
//! ([`super::pool`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::connect;
use super::pool::Pool;

/// The channel that the triggers of the tables notify.
pub(super) const CHANNEL: &str = "imap_oauth_proxy";
/// The notice that instances send each other. The triggers' notice is empty.
pub(super) const OF_INSTANCES: &str = "instances";
/// How long the notice to itself may take.
const PROOF: Duration = Duration::from_secs(5);
/// The pause between two notices to itself: a connection that only listens is silent anyway, so that its end is noticed by
/// nothing else.
const PROVE_EVERY: Duration = Duration::from_secs(20);
/// How long the connection and its first statement may take.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);
/// The pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// The listener of one store. It connects at the first wait, because most commands never wait for notices.
pub(super) struct News {
    listening: Listening,
    task: OnceLock<AbortOnDropHandle<()>>,
}

impl News {
    /// `options` say how the listener connects, if not as the pool does.
    pub(super) fn new(options: Option<PgConnectOptions>, pool: Pool) -> Self {
        let listening = Listening {
            is_pools: options.is_none(),
            options: options.unwrap_or_else(|| pool.connect_options()),
            pool,
            came: Arc::default(),
            told: Arc::default(),
            arrive: Arc::default(),
            own: crate::secret::random_text::<12>(),
            proven: Arc::default(),
            has_arrived: Arc::default(),
            was_silent: Arc::default(),
        };
        Self { listening, task: OnceLock::new() }
    }

    /// Whether notices arrive at present.
    pub(super) fn arrive(&self) -> bool {
        self.listening.arrive.load(Ordering::SeqCst)
    }

    /// Waits for the next notice, or for a connection after which notices may have been lost.
    pub(super) async fn next(&self) {
        self.listen().came.notified().await;
    }

    /// Waits for the next notice of another instance, or for a connection after which one may have been lost.
    pub(super) async fn told(&self) {
        self.listen().told.notified().await;
    }

    fn listen(&self) -> &Listening {
        let run = || AbortOnDropHandle::new(tokio::spawn(self.listening.clone().run()));
        self.task.get_or_init(run);
        &self.listening
    }
}

#[derive(Clone)]
struct Listening {
    options: PgConnectOptions,
    /// Whether the pool uses the same options.
    is_pools: bool,
    pool: Pool,
    came: Arc<Notify>,
    /// Notified when another instance has told or asked something.
    told: Arc<Notify>,
    /// Whether the last notice that this process sent to itself arrived.
    arrive: Arc<AtomicBool>,
    /// The notice that this process sends to itself.
    own: String,
    proven: Arc<Notify>,
    /// Whether one has ever arrived.
    has_arrived: Arc<AtomicBool>,
    /// Whether it was said that no notice came.
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
        if self.is_pools && !self.pool.server().is_proven() && connect::is_lent(&self.options).await? {
            self.complain();
            std::future::pending::<()>().await;
        }
        let mut listener = tokio::time::timeout(CONNECTION_WAIT, self.connect())
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        self.came.notify_one();
        self.told.notify_one();
        tokio::select! {
            heard = self.receive(&mut listener) => heard,
            () = self.prove() => Err(std::io::Error::other("a notice of this process did not arrive").into()),
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let prepared = PgPoolOptions::new().max_connections(1).after_connect(|connection, _| {
            Box::pin(async move { connection.execute(connect::LISTENING).await.map(drop) })
        });
        let mut listener =
            PgListener::connect_with(&prepared.connect_lazy_with(self.options.clone())).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        Ok(listener)
    }

    async fn receive(&self, listener: &mut PgListener) -> Result<(), sqlx::Error> {
        while let Some(notice) = listener.try_recv().await? {
            match notice.payload() {
                own if own == self.own => {
                    self.arrive.store(true, Ordering::SeqCst);
                    self.has_arrived.store(true, Ordering::SeqCst);
                    self.proven.notify_one();
                    if self.is_pools {
                        self.pool.server().prove();
                    }
                }
                OF_INSTANCES => self.told.notify_one(),
                _ => self.came.notify_one(),
            }
        }
        Ok(())
    }

    /// Sends this process a notice again and again, until one does not arrive though others did. Says once if none ever does.
    async fn prove(&self) {
        loop {
            let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&self.own);
            if let Err(error) = query.execute(&self.pool).await {
                tracing::debug!("no notice could be sent: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if tokio::time::timeout(PROOF, self.proven.notified()).await.is_err() {
                self.arrive.store(false, Ordering::SeqCst);
                if self.has_arrived.load(Ordering::SeqCst) {
                    return;
                }
                self.complain();
            }
            tokio::time::sleep(PROVE_EVERY).await;
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
