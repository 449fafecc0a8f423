//! TLS on the client's side: at the beginning of a connection, or after STARTTLS.

use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::farewell::Ending;
use super::{Connection, denial, farewell};
use crate::command;
use crate::config::Security;
use crate::metrics::Abort;
use crate::protocol::{Channel, Protocol};
use crate::tls::{AcceptError, FirstBytes, Socket};
use crate::wire::Wire;

/// A TLS client speaks at once. After this silence the client is taken to wait for a cleartext greeting.
const SILENCE: Duration = Duration::from_secs(15);

impl<P: Protocol> Connection<P> {
    /// The stream with the security that the listener promises.
    pub(super) async fn open(
        &self,
        tcp: TcpStream,
        deadline: Instant,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) -> Option<(Socket, Channel)> {
        Some(match self.security {
            Security::Tls => (self.handshake(tcp, deadline, ending).await?, Channel::Tls),
            Security::Starttls => (Socket::plain(tcp).ok()?, Channel::StartTls),
            Security::None => (Socket::plain(tcp).ok()?, Channel::Cleartext),
        })
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
        deadline: Instant,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) -> Option<Socket> {
        let shaken = tokio::select! {
            biased;
            shaken = self.tls(tcp, deadline) => shaken?,
            ending = ending => {
                self.aborted(ending.reason());
                return None;
            }
        };
        match shaken {
            Ok(stream) => Some(stream),
            Err(error) => {
                self.aborted(abort(&error));
                match error {
                    AcceptError::ProxyHeader => self.name_proxy_header(),
                    error => log(&error),
                }
                None
            }
        }
    }

    /// The handshake. A client that does not speak TLS gets an answer in the cleartext of its protocol.
    async fn tls(&self, tcp: TcpStream, deadline: Instant) -> Option<Result<Socket, AcceptError>> {
        let acceptor = self.proxy.acceptors.get(&P::DOOR)?;
        let patience = deadline.min(Instant::now() + SILENCE);
        let not_tls = match timeout_at(patience, FirstBytes::peek(&tcp)).await {
            Err(_) => Some(AcceptError::Silent),
            // Only the first look shows a reset; to a second one the connection has ended in order.
            Ok(Ok(FirstBytes::None)) => return Some(Err(AcceptError::Probe)),
            Ok(Ok(FirstBytes::Text)) => Some(AcceptError::PlaintextClient),
            Ok(_) => None,
        };
        if let Some(error) = not_tls {
            farewell::turn_away::<P>(&tcp, &denial::tls_only());
            return Some(Err(error));
        }
        Some(acceptor.accept(tcp, deadline).await)
    }

    /// The same connection under TLS. Cleartext bytes behind STARTTLS were injected on the way, or the client is
    /// broken: the connection ends.
    pub(super) async fn start_tls(
        &self,
        client: Wire<Socket>,
        injected: usize,
        deadline: Instant,
        ending: Pin<&mut impl Future<Output = Ending>>,
    ) -> Option<Wire<Socket>> {
        if injected > 0 {
            warn!(
                "{injected} bytes came in cleartext behind STARTTLS; they are not looked at, and the connection is closed"
            );
            self.aborted(Abort::WrongProtocol);
            return None;
        }
        let (stream, _) = client.into_parts();
        let tcp = stream.into_plain().ok()?;
        Some(Wire::of_client(self.handshake(tcp, deadline, ending).await?))
    }
}

fn abort(error: &AcceptError) -> Abort {
    match error {
        AcceptError::PlaintextClient | AcceptError::ProxyHeader => Abort::WrongProtocol,
        AcceptError::Silent => Abort::TooLate,
        AcceptError::Io(_) | AcceptError::Vanished | AcceptError::Probe => Abort::Vanished,
        _ => Abort::Tls,
    }
}

/// Logs why TLS failed, at the level that the cause deserves.
fn log(error: &AcceptError) {
    let cure = if error.wants_ca() { format!(": {}", command::EXPORT_CA) } else { String::new() };
    match error {
        error if error.is_noise() => debug!("{error}"),
        AcceptError::Io(_) | AcceptError::Vanished | AcceptError::Silent => info!("{error}{cure}"),
        error => warn!("{error}{cure}"),
    }
}
