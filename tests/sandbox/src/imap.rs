//! The IMAP server: RFC 3501 with the extensions that Gmail and Exchange offer, over implicit TLS.
//!
//! `session` is the conversation: greeting, login, commands. `dispatch` distributes the commands; `login`
//! judges `AUTHENTICATE`; `malice` is everything that no honest server does; each other file is a group of
//! commands. An idle session holds no buffers, so thousands of them are cheap.

mod append;
mod dispatch;
mod fetch;
mod flavour;
mod folders;
mod idle;
mod login;
pub(crate) mod mailbox;
pub(crate) mod mailboxes;
mod malice;
mod message;
mod parser;
mod search;
mod select;
mod session;
mod store;
mod structure;
mod transport;

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{HandshakeKind, ServerConfig};

use crate::state::{Session as Entry, Shared};
use session::Session;
use transport::{Segments, Transport};

/// Serves until its task is aborted, and ends all sessions with it.
pub(crate) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, shared: Arc<Shared>) {
    let acceptor = TlsAcceptor::from(tls);
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Probably out of descriptors: the next session that ends frees one.
                let Ok((tcp, _)) = accepted else { tokio::task::yield_now().await; continue };
                sessions.spawn(connection(tcp, acceptor.clone(), Arc::clone(&shared)));
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let _ = tcp.set_nodelay(true);
    let (orders, inbox) = mpsc::unbounded_channel();
    let (id, switches) = shared.change(|state| {
        state.stats.opened();
        let id = state.number();
        state.sessions.insert(id, Entry { user: None, token: None, orders });
        (id, Arc::clone(&state.imap))
    });
    let registered = Registered { shared: Arc::clone(&shared), id };
    match acceptor.accept(Segments::new(tcp, switches.segment)).await {
        Ok(stream) => {
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                shared.change(|state| state.stats.tls_resumptions += 1);
            }
            let transport = Transport::new(stream, switches.record);
            Box::pin(Session::new(shared, id, switches, transport, inbox).run()).await;
        }
        Err(_) => shared.change(|state| state.stats.tls_failures += 1),
    }
    drop(registered);
}

/// Removes the session from the list however it ends.
struct Registered {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.stats.open -= 1;
            if state.sessions.remove(&self.id).is_some_and(|session| session.user.is_some()) {
                state.stats.logged_in -= 1;
            }
        });
    }
}
