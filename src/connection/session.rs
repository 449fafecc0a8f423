//! A session after the login: two streams, joined until one of them ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use tracing::{Instrument as _, info, warn};

use super::Proxy;
use crate::account::{Account, Pass, Place};
use crate::protocol::imap::{Advice, advice_on};
use crate::relay::{Farewell, Relay, Session};
use crate::shutdown::Shutdown;
use crate::tls::Stream;
use crate::wire::Wire;

/// How long a session may take to come between two answers when the proxy stops.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);
const STOPPING: &str = "* BYE The mail proxy is stopping; reconnect in a moment\r\n";
/// Whoever revoked it wants it closed: with the look at the store at most five seconds.
const REVOCATION_PATIENCE: Duration = Duration::from_secs(2);
const REVOKED: &str = "* BYE The password or the authorisation of this session was revoked\r\n";

/// The provider's half of a session.
pub(super) struct HalfJoined {
    pub(super) upstream: Wire<Stream>,
    pub(super) account: Account,
    pub(super) pass: Pass,
    pub(super) place: Place,
}

/// Both halves, signed in.
pub(super) struct Joined {
    client: Wire<Stream>,
    half: HalfJoined,
}

impl HalfJoined {
    pub(super) fn with_client(self, client: Wire<Stream>) -> Box<Joined> {
        Box::new(Joined { client, half: self })
    }
}

impl Joined {
    /// A box that is taken apart in place keeps its memory as long as its name is in scope.
    fn unboxed(self: Box<Self>) -> Self {
        *self
    }
}

/// Serves a session for as long as it lasts, which may be weeks. So this future holds nothing twice.
pub(super) async fn relay(proxy: &Arc<Proxy>, joined: Box<Joined>, shutdown: &Shutdown) {
    let Joined { client, half: HalfJoined { upstream, account, pass, place } } = joined.unboxed();
    let (client, from_client) = client.into_parts();
    let (upstream, from_upstream) = upstream.into_parts();
    let mut overheard = None;
    let mut relay = Relay::new(Session {
        client,
        upstream,
        from_client,
        from_upstream,
        overhear: |bytes: &[u8]| {
            let news = bad_news(bytes).filter(|news| overheard != Some(*news));
            if let Some(advice) = news {
                overheard = news;
                write_down(proxy, &account, advice);
            }
        },
    });
    let summary = {
        let farewell = pin!(async {
            tokio::select! {
                () = shutdown.begun() => Farewell { line: STOPPING, patience: DRAIN_PATIENCE },
                () = place.revoked() => Farewell { line: REVOKED, patience: REVOCATION_PATIENCE },
            }
        });
        relay.run(farewell).await
    };
    drop(relay);
    drop((pass, place));
    info!(account = account.name, up = summary.up, down = summary.down, "session ended: {}", summary.end);
}

/// At once, for whoever asks while the session goes on, and without holding it up.
fn write_down(proxy: &Arc<Proxy>, account: &Account, advice: Advice) {
    let (proxy, account) = (proxy.clone(), account.clone());
    let writing = async move {
        proxy.accounts.overheard(&account, advice.to_string()).await;
        warn!(account = account.name, "{advice}");
    };
    tokio::spawn(writing.in_current_span());
}

/// What a short piece of a provider's talk says about the session as such: Exchange's false success
/// ("authenticated but not connected"), a BYE with a reason. Looked for only behind the words that
/// such lines have, which costs next to nothing, and only where a line begins with them: mail may quote them.
fn bad_news(bytes: &[u8]) -> Option<Advice> {
    let is_bad = |at: usize| !bytes.get(..at).unwrap_or_default().iter().any(u8::is_ascii_whitespace);
    let suspicious = bytes.starts_with(b"* BYE") || memmem::find(bytes, b" BAD User is ").is_some_and(is_bad);
    suspicious.then(|| advice_on(bytes)).flatten()
}
