//! One run: instances, mail programs and troubles from a seed, and the checks after the storm has passed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imap_oauth_proxy::store::{Grant, Right};
use imap_oauth_proxy::token::TokenFailure;
use imap_oauth_proxy::trouble::{CauseKind, Cure, Trouble};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::database::Database;
use crate::faults::Fault;
use crate::instance::{Ended, Instance, SEALER};
use crate::process::Process;
use crate::provider::{ANSWER_LOST, Provider, REQUEST_LATE, RefreshToken, grant_of};
use crate::world::{Report, World};

/// After a storm leases of the dead, statements that come late, and stores that fail have passed within this time.
const SETTLING: Duration = Duration::from_secs(60);
/// How long an account may take after that to work on every instance: a pause after failures lasts a minute and a half.
const PATIENCE: Duration = Duration::from_secs(120);
/// A refused consent is asked for again an hour later, by a clock that may be wrong by minutes.
const REFUSED: Duration = Duration::from_secs(3600 + 600);

/// Runs the seed to its end.
pub(crate) fn run(seed: u64, fault: Option<Fault>, keeps_log: bool) -> Report {
    on_paused_time(async {
        let world = World::new(seed, fault, keeps_log);
        let storm = Storm::new(&world);
        storm.rages().await;
        storm.passes().await;
        world.report(seed)
    })
}

/// Runs `story` on one thread, in a time that passes only while every task waits.
pub(crate) fn on_paused_time<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(story)
}

pub(crate) struct Storm {
    pub(crate) world: Arc<World>,
    pub(crate) database: Arc<Mutex<Database>>,
    pub(crate) provider: Arc<Mutex<Provider>>,
    /// The process of each instance.
    pub(crate) instances: Mutex<Vec<Arc<Instance>>>,
}

impl Storm {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        let database = Arc::new(Mutex::new(Database::new(world)));
        let provider = Arc::new(Mutex::new(Provider::new(world, &database)));
        world.log(format_args!("{:?}", world.knobs));
        let (world, instances) = (world.clone(), Mutex::default());
        let storm = Arc::new(Self { world, database, provider, instances });
        for account in storm.accounts() {
            storm.consent(&account);
            storm.database.lock().unwrap().add_account(&account, &grant_of(&account));
        }
        for number in 0..storm.world.knobs.instances {
            let first = storm.start(number, 0);
            storm.instances.lock().unwrap().push(first.clone());
            tokio::spawn(storm.clone().keep(number, first));
        }
        storm
    }

    fn accounts(&self) -> Vec<String> {
        (0..self.world.knobs.accounts).map(|number| format!("a{number}")).collect()
    }

    fn start(&self, number: u64, times: u64) -> Arc<Instance> {
        let off = self.skew();
        let process = Process::new(&self.world, format!("i{number}.{times}"), off);
        Instance::start(&process, &self.database, &self.provider)
    }

    fn skew(&self) -> time::Duration {
        let skew = self.world.knobs.skew;
        time::Duration::seconds(self.world.of(0..=2 * skew) as i64 - skew as i64)
    }

    /// Starts the instance again whenever its process has died.
    async fn keep(self: Arc<Self>, number: u64, mut instance: Arc<Instance>) {
        for times in 1.. {
            instance.process.died().await;
            tokio::time::sleep(self.world.millis(0..=40_000)).await;
            instance = self.start(number, times);
            self.instances.lock().unwrap()[number as usize] = instance.clone();
        }
    }

    fn some_instance(&self) -> Arc<Instance> {
        let instances = self.instances.lock().unwrap();
        instances[self.world.of(0..=instances.len() as u64 - 1) as usize].clone()
    }

    fn some_account(&self) -> String {
        format!("a{}", self.world.of(0..=self.world.knobs.accounts - 1))
    }

    async fn rages(self: &Arc<Self>) {
        let end = Instant::now() + Duration::from_secs(self.world.knobs.storm);
        let mut parts = JoinSet::new();
        let (mail, trouble) = (self.clone(), self.clone());
        parts.spawn(async move {
            while Instant::now() < end {
                tokio::time::sleep(mail.world.millis(0..=mail.world.knobs.login_gap)).await;
                mail.log_in_somewhere();
            }
        });
        parts.spawn(async move {
            while Instant::now() < end {
                tokio::time::sleep(trouble.world.millis(0..=trouble.world.knobs.trouble_gap)).await;
                trouble.strike().await;
            }
        });
        while parts.join_next().await.is_some() {}
    }

    /// One login, or a crowd of them.
    fn log_in_somewhere(&self) {
        let crowd = if self.world.of(0..=5) == 0 { 6 } else { 1 };
        for _ in 0..crowd {
            let (instance, account) = (self.some_instance(), self.some_account());
            let process = instance.process.clone();
            let login = tokio::spawn(async move { instance.login(&account).await });
            process.owns(&login.abort_handle());
        }
    }

    /// One disturbance from outside: of the database, the provider or a process.
    async fn strike(&self) {
        let (world, process) = (&self.world, self.some_instance().process.clone());
        match world.of(0..=13) {
            0 => process.crash("the plan"),
            1 => process.pause(world.millis(1..=90_000), "the plan"),
            2 | 3 => process.cut_off(world.millis(1..=60_000)),
            4 => self.database.lock().unwrap().goes_away(world.millis(1..=60_000)),
            5 => {
                let off = time::Duration::milliseconds(world.of(0..=2_000) as i64 - 1_000);
                self.database.lock().unwrap().fails_over(world.millis(1..=20_000), off);
            }
            6 => process.jump(self.skew()),
            7 => self.provider.lock().unwrap().goes_out(world.millis(1..=30_000)),
            8 | 9 => self.provider.lock().unwrap().revoke_access(),
            10 => {
                let by = time::Duration::seconds(world.of(0..=240) as i64 - 120);
                self.database.lock().unwrap().jumps(by);
            }
            11 => {
                let (instance, world) = (self.some_instance(), self.world.clone());
                tokio::spawn(async move {
                    instance.tokens.settle().await;
                    // An instance that ends after the storm would be asked for logins that have no answer.
                    if !world.is_calm() {
                        instance.process.end();
                    }
                });
            }
            12 => self.consent(&self.some_account()),
            _ => self.revoke(&self.some_account()).await,
        }
    }

    fn row(&self, account: &str) -> Option<Grant> {
        self.database.lock().unwrap().rows.get(&grant_of(account)).map(|row| row.grant.clone())
    }

    /// The refresh token in the row.
    pub(crate) fn stored(&self, account: &str) -> Option<RefreshToken> {
        self.database.lock().unwrap().stored(&grant_of(account))
    }

    /// A person consents, for the first time or again.
    pub(crate) fn consent(&self, account: &str) {
        if let Some(old) = self.stored(account).filter(|_| self.world.knobs.ends_old) {
            self.provider.lock().unwrap().end(old.consent, "another consent came");
        }
        let id = grant_of(account);
        let token = self.provider.lock().unwrap().consent(account).to_string();
        let refresh_token = SEALER.seal(&Grant::refresh_context(&id), token.as_bytes()).unwrap();
        let right = Right::Person { refresh_token };
        let mut grant = Grant::new(id, "acme", account, right, self.world.now());
        if self.world.knobs.tokens_at_consent {
            let life = self.world.knobs.life;
            // Often one that the next login finds too short, and that lasts a while.
            let left = self.world.of(if self.world.of(0..=1) == 0 { life / 4..=life / 2 } else { 1..=life });
            let consent = self.provider.lock().unwrap().access_of_consent(account, left);
            let context = Grant::access_context(&grant.id);
            grant.access_token = Some(SEALER.seal(&context, consent.as_bytes()).unwrap());
            let life = time::Duration::seconds(life.try_into().unwrap());
            let ends = self.world.now() + time::Duration::seconds(left.try_into().unwrap());
            (grant.access_expires_at, grant.authorized_at) = (Some(ends), ends - life);
        }
        self.world.count("consents");
        self.database.lock().unwrap().put(&grant);
    }

    /// A command revokes the grant: it reads the row, and writes it unless another write came first.
    async fn revoke(&self, account: &str) {
        loop {
            let Some(mut grant) = self.row(account).filter(Grant::is_in_force) else { return };
            tokio::time::sleep(self.world.millis(0..=20)).await;
            let consent = self.stored(account).map(|token| token.consent);
            let why = Trouble::new(CauseKind::NoGrant, "it was revoked", Cure::authorize());
            grant.withdraw(why, self.world.now());
            let mut database = self.database.lock().unwrap();
            if database.rows[&grant.id].grant.revision != grant.revision {
                continue;
            }
            let _ = database.write(&grant, None);
            drop(database);
            self.world.count("revocations");
            if let (Some(consent), true) = (consent, self.world.knobs.ends_old) {
                self.provider.lock().unwrap().end(consent, "it was revoked");
            }
            return;
        }
    }

    /// The storm is over: every account must work again without help.
    pub(crate) async fn passes(&self) {
        self.world.calm_down();
        for instance in self.instances.lock().unwrap().iter() {
            instance.process.recover();
        }
        tokio::time::sleep(SETTLING).await;
        let instances = self.instances.lock().unwrap().clone();
        for account in self.accounts() {
            match self.honoured(&account) {
                Some(Ok(())) => self.works(&account, &instances).await,
                Some(Err(excuse)) => self.says_why(&account, &instances, excuse).await,
                None => self.stays_closed(&account, &instances).await,
            }
        }
        for instance in &instances {
            if tokio::time::timeout(PATIENCE, instance.tokens.settle()).await.is_err() {
                self.world.breach(format_args!("{} has a refresh without end", instance.process.name));
            }
        }
    }

    /// Whether the provider honours the consent in the row; `None` without a consent. The error is the excuse.
    fn honoured(&self, account: &str) -> Option<Result<(), Option<&'static str>>> {
        let stored = self.stored(account)?;
        Some(self.provider.lock().unwrap().honours(stored.consent))
    }

    /// Checks that an account with a consent in force logs in on every instance. A second use that has an excuse may
    /// still end the consent here.
    async fn works(&self, account: &str, instances: &[Arc<Instance>]) {
        for instance in instances {
            let mut end = Instant::now() + PATIENCE;
            let mut has_waited = false;
            loop {
                let ended = instance.login(account).await;
                match ended {
                    Ended::In => break,
                    _ if matches!(self.honoured(account), Some(Err(_))) => {
                        let excuse = self.honoured(account).and_then(Result::err).flatten();
                        return Box::pin(self.says_why(account, instances, excuse)).await;
                    }
                    // The provider refused without cause, or a second use did not end the consent.
                    Ended::NoToken(TokenFailure::NeedsAuthorization(_) | TokenFailure::Misconfigured(_))
                        if !has_waited =>
                    {
                        has_waited = true;
                        tokio::time::advance(REFUSED).await;
                        end = Instant::now() + PATIENCE;
                    }
                    _ if Instant::now() > end => {
                        let name = &instance.process.name;
                        self.world.breach(format_args!("{account} does not log in on {name}: {ended:?}"));
                        return;
                    }
                    _ => tokio::time::sleep(Duration::from_secs(5)).await,
                }
            }
        }
    }

    /// Checks an account whose consent the provider ended: the proxy asks for a consent, names the interrupted refresh,
    /// and works again after the consent.
    async fn says_why(&self, account: &str, instances: &[Arc<Instance>], excuse: Option<&'static str>) {
        let end = Instant::now() + PATIENCE;
        // An access token from before the end of the consent is no longer valid, so the mail server refuses it.
        while !matches!(
            instances[0].login(account).await,
            Ended::NoToken(TokenFailure::NeedsAuthorization(_))
        ) {
            if Instant::now() > end {
                self.world.breach(format_args!("no person is asked about {account}"));
                return;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let said = self.row(account).and_then(|grant| grant.trouble).map(|trouble| trouble.cause.text);
        let is_told = said.as_ref().is_some_and(|said| said.contains("was interrupted before its answer"));
        if excuse.is_some_and(|excuse| excuse != ANSWER_LOST && excuse != REQUEST_LATE) && !is_told {
            self.world.breach(format_args!("{account} was lost and does not say why: {said:?}"));
        }
        self.consent(account);
        self.works(account, instances).await;
    }

    /// A revoked account gives nothing, until a person consents again.
    async fn stays_closed(&self, account: &str, instances: &[Arc<Instance>]) {
        for instance in instances {
            let ended = instance.login(account).await;
            if !matches!(ended, Ended::NoToken(TokenFailure::NeedsAuthorization(_))) {
                self.world.breach(format_args!("{account} is revoked, and yet: {ended:?}"));
            }
        }
        self.consent(account);
        self.works(account, instances).await;
    }
}
