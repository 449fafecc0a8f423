//! The POP3 server: RFC 1939 with CAPA, STLS and AUTH as Gmail and Exchange speak it, over TLS or after STLS.
//!
//! `session` is the conversation; `login` judges AUTH; `transaction` has the commands after the login; `maildrop` is
//! the INBOX as it was at the login; `malice` is everything that no honest server does; `flavour` has the texts.

mod flavour;
mod login;
mod maildrop;
mod malice;
mod session;
mod transaction;

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use crate::state::{Session as Entry, Shared};
use crate::stats::Pop3Session;
use crate::switches::Security;
use crate::transport::Transport;
use session::Session;

/// The data that every session gets.
#[derive(Clone)]
struct Server {
    shared: Arc<Shared>,
    tls: Arc<ServerConfig>,
    security: Security,
}

/// Serves until its task is aborted, and ends all sessions with it.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    security: Security,
    shared: Arc<Shared>,
) {
    let server = Server { shared, tls, security };
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Probably out of descriptors: the next session that ends frees one.
                let Ok((tcp, _)) = accepted else { tokio::task::yield_now().await; continue };
                sessions.spawn(connection(tcp, server.clone()));
            }
            Some(_) = sessions.join_next() => {}
        }
    }
}

async fn connection(tcp: TcpStream, server: Server) {
    let _ = tcp.set_nodelay(true);
    let (orders, inbox) = mpsc::unbounded_channel();
    let (id, switches) = server.shared.change(|state| {
        state.stats.pop3_connections += 1;
        state.stats.pop3_open += 1;
        let id = state.number();
        state.fetchers.insert(id, Entry { user: None, token: None, orders });
        state.log_pop3_session(id, Pop3Session::default());
        (id, Arc::clone(&state.pop3))
    });
    let registered = Registered { shared: Arc::clone(&server.shared), id };
    let mut transport = Transport::new(tcp, switches.piece);
    let begun = match server.security {
        Security::Tls => transport.begin_tls(&server.tls).await,
        Security::StartTls => Ok(()),
    };
    match begun {
        Ok(()) => Box::pin(Session::new(server, id, switches, transport, inbox).run()).await,
        Err(_) => server.shared.change(|state| state.stats.pop3_tls_failures += 1),
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
            state.stats.pop3_open -= 1;
            state.fetchers.remove(&self.id);
            if let Some(session) = state.pop3_sessions.get_mut(&self.id) {
                session.ended = true;
            }
        });
    }
}
