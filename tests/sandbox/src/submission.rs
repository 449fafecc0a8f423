//! The submission server: SMTP (RFC 5321, RFC 6409) as Gmail and Exchange speak it, over TLS or after STARTTLS.
//!
//! `session` is the conversation: greeting, commands until the end. `hello` lists the extensions; `login`
//! judges AUTH; `message` receives mail and `delivery` delivers it; `malice` is everything that no honest
//! server does; `flavour` has the texts. A client's octets are kept unchanged, so that a test can compare
//! them.

mod delivery;
mod ending;
mod flavour;
mod hello;
mod login;
mod malice;
mod message;
mod session;

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;

use crate::state::{Session as Entry, Shared};
use crate::stats::Submission;
use crate::switches::Security;
use crate::transport::Transport;
use session::Session;

/// The parameters of every session.
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
        state.stats.submission_opened();
        let id = state.number();
        state.senders.insert(id, Entry { user: None, token: None, orders });
        state.log_submission(id, Submission::default());
        (id, Arc::clone(&state.submission))
    });
    let registered = Registered { shared: Arc::clone(&server.shared), id };
    let mut transport = Transport::new(tcp, switches.piece);
    let begun = match server.security {
        Security::Tls => transport.begin_tls(&server.tls).await,
        Security::StartTls => Ok(()),
    };
    match begun {
        Ok(()) => Box::pin(Session::new(server, id, switches, transport, inbox).run()).await,
        Err(_) => server.shared.change(|state| state.stats.submission_tls_failures += 1),
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
            state.stats.submissions_open -= 1;
            state.senders.remove(&self.id);
            if let Some(submission) = state.submissions.get_mut(&self.id) {
                submission.ended = true;
            }
        });
    }
}
