//! The provider's whole state, in memory, behind one lock.
//!
//! The lock is held for one read or change, never across an await. Every change wakes the tasks in
//! [`Controls::wait_for`](crate::Controls::wait_for). Logged-in sessions access mailboxes without this lock:
//! the hot path has locks of its own in `imap::mailbox`.

mod records;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::canary::Canaries;
use crate::flavour::Vendor;
use crate::imap::mailboxes::Mailboxes;
use crate::stats::{LoginRecord, Pop3Session, Sent, Stats, Submission, Sunk, TokenRequest, Violation};
use crate::switches::{
    ImapSwitches, LoginFault, OauthSwitches, Pop3Step, Pop3Switches, Queue, Step, StepFault,
    SubmissionSwitches, TokenFault,
};

/// The state shared by the servers and the controls.
pub(crate) struct Shared {
    pub(crate) vendor: Vendor,
    pub(crate) issuer: String,
    pub(crate) serves: Serves,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// Which servers there are besides the IMAP server, so that clients ask for their scopes too.
#[derive(Clone, Copy)]
pub(crate) struct Serves {
    pub(crate) pop3: bool,
    pub(crate) submission: bool,
}

pub(crate) struct State {
    pub(crate) stats: Stats,
    pub(crate) violations: Vec<Violation>,
    pub(crate) canaries: Canaries,
    pub(crate) users: HashMap<String, User>,
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) oauth: OauthSwitches,
    pub(crate) imap: Arc<ImapSwitches>,
    pub(crate) pop3: Arc<Pop3Switches>,
    pub(crate) submission: Arc<SubmissionSwitches>,
    pub(crate) token_faults: Queue<TokenFault>,
    pub(crate) login_faults: Queue<LoginFault>,
    pub(crate) step_faults: HashMap<Step, Queue<StepFault>>,
    pub(crate) pop3_faults: HashMap<Pop3Step, Queue<StepFault>>,
    pub(crate) token_log: Vec<TokenRequest>,
    pub(crate) logins: Vec<LoginRecord>,
    pub(crate) sunk: Vec<Sunk>,
    pub(crate) pop3_logins: Vec<LoginRecord>,
    pub(crate) pop3_sessions: BTreeMap<u64, Pop3Session>,
    pub(crate) submission_logins: Vec<LoginRecord>,
    pub(crate) submissions: BTreeMap<u64, Submission>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) grants: HashMap<u64, Grant>,
    pub(crate) refresh_tokens: HashMap<String, RefreshToken>,
    pub(crate) access_tokens: HashMap<String, AccessToken>,
    pub(crate) devices: HashMap<String, Device>,
    pub(crate) sessions: HashMap<u64, Session>,
    /// The sessions of the POP3 server.
    pub(crate) fetchers: HashMap<u64, Session>,
    /// The sessions of the submission server.
    pub(crate) senders: HashMap<u64, Session>,
    next: u64,
}

/// A user with a mailbox.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) mailboxes: Arc<Mailboxes>,
    /// Addresses (lower case) that may open these mailboxes with their own token.
    pub(crate) delegates: HashSet<String>,
}

/// A client registered at the provider.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; none makes it a public client.
    pub secret: Option<String>,
    /// Registered redirect URIs. An installed client needs none for loopback URIs at Google; at Microsoft
    /// they match with any port.
    pub redirect_uris: Vec<String>,
    /// An installed ("Desktop") client; false is a web application.
    pub installed: bool,
    /// Public keys (DER, SubjectPublicKeyInfo or PKCS#1, RSA) that verify the client's assertions; without
    /// keys the signatures are not checked.
    pub keys: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) grant: u64,
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) refresh_token: bool,
    pub(crate) used: bool,
}

/// The access that one person, or an application, gave to one client.
#[derive(Clone)]
pub(crate) struct Grant {
    /// The address of the person who consented; none for an application's grant.
    pub(crate) owner: Option<String>,
    pub(crate) client: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) revoked: bool,
}

#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) grant: u64,
    pub(crate) dead: bool,
}

#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) grant: u64,
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: Instant,
}

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) user_code: String,
    pub(crate) client: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) verdict: Verdict,
    pub(crate) last_poll: Option<Instant>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pending,
    Approved(String),
    Declined,
    Expired,
    Used,
}

/// The controls' connection to a session.
pub(crate) struct Session {
    pub(crate) user: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
}

/// A test's order to a running session.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Bye(String),
    TokenExpired,
    Raw(Vec<u8>),
    Close,
    Reset,
}

impl Shared {
    pub(crate) fn new(
        vendor: Vendor,
        issuer: String,
        serves: Serves,
        oauth: OauthSwitches,
        imap: ImapSwitches,
        pop3: Pop3Switches,
        submission: SubmissionSwitches,
    ) -> Arc<Self> {
        let state = State {
            stats: Stats::default(),
            violations: Vec::new(),
            canaries: Canaries::default(),
            users: HashMap::new(),
            clients: HashMap::new(),
            oauth,
            imap: Arc::new(imap),
            pop3: Arc::new(pop3),
            submission: Arc::new(submission),
            token_faults: Queue::default(),
            login_faults: Queue::default(),
            step_faults: HashMap::new(),
            pop3_faults: HashMap::new(),
            token_log: Vec::new(),
            logins: Vec::new(),
            sunk: Vec::new(),
            pop3_logins: Vec::new(),
            pop3_sessions: BTreeMap::new(),
            submission_logins: Vec::new(),
            submissions: BTreeMap::new(),
            sent: Vec::new(),
            codes: HashMap::new(),
            grants: HashMap::new(),
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            devices: HashMap::new(),
            sessions: HashMap::new(),
            fetchers: HashMap::new(),
            senders: HashMap::new(),
            next: 0,
        };
        Arc::new(Self { vendor, issuer, serves, state: Mutex::new(state), changed: watch::Sender::new(()) })
    }

    /// The scopes that a client needs for all servers of this provider.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let mut scopes = self.vendor.scopes();
        let doors = [
            (self.serves.submission, self.vendor.submission_scope()),
            (self.serves.pop3, self.vendor.pop3_scope()),
        ];
        for (_, own) in doors.into_iter().filter(|(is_served, _)| *is_served) {
            if scopes.iter().all(|scope| scope != own) {
                scopes.insert(1, own.to_owned());
            }
        }
        scopes
    }

    /// Reads the state.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the state, which wakes the waiting tasks.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.send_replace(());
        result
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn violation(&self, what: impl Into<String>) {
        self.change(|state| state.violation(what));
    }

    /// Records a violation if `text` contains a canary.
    pub(crate) fn scan(&self, text: &[u8], place: &str) -> bool {
        let found = self.look(|state| state.canaries.find(text));
        let Some(number) = found else { return false };
        self.violation(format!("forbidden secret no. {number} reached {place}"));
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock has failed already; other tasks may continue.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    /// A number never used before.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn violation(&mut self, what: impl Into<String>) {
        self.stats.violations += 1;
        self.violations.push(Violation { what: what.into() });
    }

    pub(crate) fn user(&self, address: &str) -> Option<&User> {
        self.users.get(&address.to_lowercase())
    }

    /// The fault that is queued for this step, if any.
    pub(crate) fn step_fault(&mut self, step: Step) -> Option<StepFault> {
        self.step_faults.get_mut(&step)?.take()
    }

    /// The same of the POP3 server.
    pub(crate) fn pop3_fault(&mut self, step: Pop3Step) -> Option<StepFault> {
        self.pop3_faults.get_mut(&step)?.take()
    }

    /// The valid access token with this text.
    pub(crate) fn live_access(&self, token: &str) -> Option<(&AccessToken, &Grant)> {
        let access = self.access_tokens.get(token).filter(|access| access.expires > Instant::now())?;
        let grant = self.grants.get(&access.grant).filter(|grant| !grant.revoked)?;
        Some((access, grant))
    }
}
