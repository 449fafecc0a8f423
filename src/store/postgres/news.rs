//! Notices of other processes' changes, by LISTEN.
//!
//! They only make the look at the counter come earlier: a look every second finds what a lost notice told. So a pooler
//! that swallows LISTEN costs a second and no revocation; it is noticed at the start, by a notice that this process
//! sends to itself.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The channel that the triggers of the tables notify.
pub(super) const CHANNEL: &str = "imap_oauth_proxy";
/// The notice that instances send each other. The triggers' notice is empty.
pub(super) const OF_INSTANCES: &str = "instances";
/// How long the notice to itself may take.
const PROOF: Duration = Duration::from_secs(2);
/// The pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// The listener of one store.
pub(super) struct News {
    came: Arc<Notify>,
    /// Another instance has told or asked something.
    told: Arc<Notify>,
    listening: AbortHandle,
}

impl News {
    /// Begins to listen, and says so once if notices do not come.
    pub(super) async fn listen(options: PgConnectOptions, pool: PgPool) -> Self {
        let came = Arc::new(Notify::new());
        let (told, proven) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let own = crate::secret::random_text::<12>();
        let task = Listening {
            options,
            came: came.clone(),
            told: told.clone(),
            own: own.clone(),
            ready: Arc::new(Notify::new()),
            proven: proven.clone(),
        };
        let ready = task.ready.clone();
        let listening = tokio::spawn(task.run()).abort_handle();
        tokio::spawn(async move {
            let proof = async {
                ready.notified().await;
                sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(own).execute(&pool).await.ok()?;
                proven.notified().await;
                Some(())
            };
            if !matches!(tokio::time::timeout(PROOF, proof).await, Ok(Some(()))) {
                tracing::warn!(
                    "the database's notices do not arrive, so changes by other instances are looked for every second; \
                     where store.url goes through a pooler, name the server itself in store.listen_url"
                );
            }
        });
        Self { came, told, listening }
    }

    /// Waits for the next notice, or for a connection after which notices may have been lost.
    pub(super) async fn next(&self) {
        self.came.notified().await;
    }

    /// Waits for the next notice of another instance, or for a connection after which one may have been lost.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

struct Listening {
    options: PgConnectOptions,
    came: Arc<Notify>,
    told: Arc<Notify>,
    /// The notice that this process sends to itself.
    own: String,
    ready: Arc<Notify>,
    proven: Arc<Notify>,
}

impl Listening {
    async fn run(self) {
        loop {
            if let Err(error) = self.hear().await {
                tracing::debug!("no notices from the database: {error}");
            }
            // What was told meanwhile is lost.
            self.came.notify_one();
            self.told.notify_one();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Listens until the connection ends.
    async fn hear(&self) -> Result<(), sqlx::Error> {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await?;
        self.ready.notify_one();
        self.came.notify_one();
        self.told.notify_one();
        while let Some(notice) = listener.try_recv().await? {
            match notice.payload() {
                own if own == self.own => self.proven.notify_one(),
                OF_INSTANCES => self.told.notify_one(),
                _ => self.came.notify_one(),
            }
        }
        Ok(())
    }
}
