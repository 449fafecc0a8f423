//! A session after the login: two streams, relayed until one of them ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tracing::{Instrument as _, info, warn};

use super::live::{LiveGuard, LiveSession};
use super::{Connection, Proxy, denial};
use crate::account::{Account, Admitted, LastRefusal, SessionGuard, UpstreamPermit};
use crate::config::Device;
use crate::metrics::Code;
use crate::protocol::{Door, Overheard, Protocol, Watch as _};
use crate::relay::{Farewell, Relay, Session};
use crate::shutdown::Shutdown;
use crate::tls::Socket;
use crate::wire::Wire;

/// How long a revoked or closed session may take to end: with the check of the store, within five seconds.
const REVOCATION_PATIENCE: Duration = Duration::from_secs(2);
const REVOKED: &str = "The password or the authorisation of this session was revoked";
const CLOSED: &str = "The administrator of the mail proxy closed this session";

/// The provider's half of a session.
pub(super) struct HalfJoined {
    pub(super) upstream: Wire<Socket>,
    pub(super) account: Account,
    pub(super) upstream_permit: UpstreamPermit,
    pub(super) session: SessionGuard,
    pub(super) live: LiveGuard,
    /// The device whose messages are counted.
    pub(super) device: Option<Device>,
}

/// Both halves, signed in.
pub(super) struct Joined {
    pub(super) client: Wire<Socket>,
    pub(super) half: HalfJoined,
}

impl Joined {
    /// Moves the value out of the box, which frees the box's memory before the session begins.
    fn unboxed(self: Box<Self>) -> Self {
        *self
    }
}

impl<P: Protocol> Connection<P> {
    /// Adds the session to the registry.
    pub(super) fn enter(&self, admitted: &Admitted, client: Option<&str>) -> LiveGuard {
        let Admitted { account, grant, password_name, .. } = admitted;
        self.proxy.live.enter(LiveSession {
            id: self.id.clone(),
            account: account.name.clone(),
            door: P::DOOR,
            provider: grant.as_ref().map(|grant| grant.provider.clone()).unwrap_or_default(),
            from: self.peer.ip(),
            since: OffsetDateTime::now_utc(),
            password: password_name.clone(),
            client: client.map(str::to_owned),
            traffic: Arc::default(),
            words: P::WORDS,
            close: Notify::new(),
        })
    }
}

/// Relays a session until its end, which may be weeks later, so this future must hold nothing twice.
pub(super) async fn relay<P: Protocol>(proxy: &Arc<Proxy>, joined: Box<Joined>, shutdown: &Shutdown) {
    let Joined { client, half: HalfJoined { upstream, account, upstream_permit, session, live, device } } =
        joined.unboxed();
    let (client, from_client) = client.into_parts();
    let (upstream, from_upstream) = upstream.into_parts();
    proxy.live.listen_to(&live.session, true);
    let mut relay = Relay::new(Session {
        client,
        upstream,
        from_client,
        from_upstream,
        watch: device.as_ref().map_or_else(P::Watch::default, |_| P::Watch::of_device()),
        tell: |overheard| {
            count(proxy, &live.session, &overheard);
            if let (Overheard::MessageBegun, Some(device)) = (&overheard, &device) {
                super::admit::count_message(proxy, &account, device);
            }
            write_down(proxy, &account, P::DOOR, overheard);
        },
        traffic: live.session.traffic.clone(),
    });
    // The end of a session may take this long: the process waits as long.
    let drain = Duration::from_secs(proxy.limits.drain_seconds);
    let summary = {
        let farewell = pin!(async {
            tokio::select! {
                () = shutdown.begun() => Farewell { reason: denial::STOPPING, patience: drain },
                () = session.revoked() => Farewell { reason: REVOKED, patience: REVOCATION_PATIENCE },
                () = live.session.closed() => Farewell { reason: CLOSED, patience: REVOCATION_PATIENCE },
            }
        });
        relay.run(farewell).await
    };
    drop(relay);
    drop((upstream_permit, session, live));
    info!(account = account.name, up = summary.up, down = summary.down, "session ended: {}", summary.end);
}

/// Counts a provider's refusal.
fn count(proxy: &Proxy, session: &LiveSession, overheard: &Overheard) {
    if let Overheard::MessageRefused { code, .. } | Overheard::Refused { code } = overheard {
        proxy.metrics.upstream_refused(session.door, &session.provider, Code::of_reply(code));
    }
}

/// Stores the provider's news at once, so that commands show it during the session, and without delaying the
/// session. Refused messages are stored in the order of the provider's replies.
fn write_down(proxy: &Arc<Proxy>, account: &Account, door: Door, overheard: Overheard) {
    let trouble = match overheard {
        Overheard::Refused { .. } | Overheard::MessageBegun => return,
        Overheard::Trouble(advice) => {
            warn!(account = account.name, "{advice}");
            Some(advice.trouble())
        }
        Overheard::MessageRefused { code, advice } => {
            warn!(account = account.name, code, "the provider refused a message: {advice}");
            let (at, protocol) = (OffsetDateTime::now_utc(), door.name().to_owned());
            let refusal = LastRefusal { at, protocol, code, trouble: advice.trouble() };
            if !proxy.accounts.refusal_changes(account, Some(refusal)) {
                return;
            }
            None
        }
        Overheard::MessageTaken if !proxy.accounts.refusal_changes(account, None) => return,
        Overheard::MessageTaken => None,
    };
    let (proxy, account) = (proxy.clone(), account.clone());
    let writing = async move {
        match trouble {
            Some(trouble) => proxy.accounts.note_trouble(&account, door, trouble).await,
            None => proxy.accounts.write_refusal(&account).await,
        }
    };
    tokio::spawn(writing.in_current_span());
}
