//! The description of a test's provider, and its start.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::imap::mailbox::Body;
use crate::imap::mailboxes::Mailboxes;
use crate::state::{Serves, Shared, User};
use crate::switches::{self, Security};
use crate::tls::{Authority, Certificate};
use crate::{CaFile, Client, Controls, Flavour, Sandbox, Vendor, imap, oauth, pop, submission};

/// A provider being described; [`Builder::start`] runs it.
///
/// By default it is Gmail with one user, `alice@example.com`, and a client `sandbox-client` with the secret
/// `sandbox-secret` (none where the vendor is Microsoft).
#[must_use]
pub struct Builder {
    flavour: Flavour,
    vendor: Option<Vendor>,
    users: Vec<(String, Vec<String>)>,
    aliases: Vec<(String, String)>,
    clients: Vec<Client>,
    certificate: Certificate,
    tls12_only: bool,
    https: bool,
    ca_file: Option<PathBuf>,
    big: Vec<(String, String, usize, usize)>,
    huge: Vec<(String, String, u64)>,
    http_bind: SocketAddr,
    imap_bind: SocketAddr,
    imap_security: Security,
    /// Whether there is a POP3 server, and how it speaks TLS.
    pop3: Option<Security>,
    /// Whether there is a submission server, and how it uses TLS if not as the flavour does.
    submission: Option<Option<Security>>,
    seed: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            flavour: Flavour::default(),
            vendor: None,
            users: Vec::new(),
            aliases: Vec::new(),
            clients: Vec::new(),
            certificate: Certificate::default(),
            tls12_only: false,
            https: false,
            ca_file: None,
            big: Vec::new(),
            huge: Vec::new(),
            http_bind: loopback,
            imap_bind: loopback,
            pop3: None,
            imap_security: Security::Tls,
            submission: None,
            seed: true,
        }
    }

    /// The IMAP dialect. It also chooses the authorisation server's vendor.
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        self
    }

    /// An authorisation server of another vendor than the flavour's own.
    pub fn vendor(mut self, vendor: Vendor) -> Self {
        self.vendor = Some(vendor);
        self
    }

    /// A user with mailboxes and a few messages.
    pub fn user(mut self, address: &str) -> Self {
        self.users.push((address.to_owned(), Vec::new()));
        self
    }

    /// A shared mailbox that these users may open with their own token.
    pub fn shared_mailbox(mut self, address: &str, delegates: &[&str]) -> Self {
        let delegates = delegates.iter().map(|address| address.to_lowercase()).collect();
        self.users.push((address.to_owned(), delegates));
        self
    }

    /// A second address for a user's own mailboxes.
    pub fn alias(mut self, alias: &str, user: &str) -> Self {
        self.aliases.push((alias.to_owned(), user.to_owned()));
        self
    }

    /// Users without seeded messages, for a cheap start with thousands of users.
    pub fn empty_mailboxes(mut self) -> Self {
        self.seed = false;
        self
    }

    /// Another client than the default one. The first is what [`Sandbox::client`] shows.
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The certificate of both servers.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// TLS 1.2 only.
    pub fn tls12_only(mut self) -> Self {
        self.tls12_only = true;
        self
    }

    /// The OAuth server uses TLS too, with the same certificate.
    pub fn https(mut self) -> Self {
        self.https = true;
        self
    }

    /// Where to write the CA's PEM; a temporary file otherwise.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// A mailbox of `count` messages of `size` octets each, which costs hardly any memory or work.
    pub fn big_mailbox(mut self, user: &str, mailbox: &str, count: usize, size: usize) -> Self {
        self.big.push((user.to_owned(), mailbox.to_owned(), count, size));
        self
    }

    /// A message whose body is `octets` of [`pattern`](crate::pattern), generated while it is sent. It is the
    /// last one of its mailbox, and `BODY[TEXT]` is the pattern alone.
    pub fn huge_message(mut self, user: &str, mailbox: &str, octets: u64) -> Self {
        self.huge.push((user.to_owned(), mailbox.to_owned(), octets));
        self
    }

    /// Fixed addresses of the OAuth and the IMAP server, instead of free ports.
    pub fn bind(mut self, http: SocketAddr, imap: SocketAddr) -> Self {
        (self.http_bind, self.imap_bind) = (http, imap);
        self
    }

    /// An IMAP server that begins in cleartext, offers nothing there, and goes on in TLS.
    pub fn imap_starttls(mut self) -> Self {
        self.imap_security = Security::StartTls;
        self
    }

    /// A POP3 server too, over TLS, on the users' INBOX.
    pub fn pop3(self) -> Self {
        self.pop3_by(Security::Tls)
    }

    /// A POP3 server that speaks TLS in this way.
    pub fn pop3_by(mut self, security: Security) -> Self {
        self.pop3 = Some(security);
        self
    }

    /// Adds a submission server that uses TLS as the flavour does: Exchange after STARTTLS, the others from
    /// the first octet on.
    pub fn submission(mut self) -> Self {
        self.submission = Some(None);
        self
    }

    /// Adds a submission server that uses TLS in this way.
    pub fn submission_by(mut self, security: Security) -> Self {
        self.submission = Some(Some(security));
        self
    }

    /// Binds the ports and serves. Panics if that fails.
    #[allow(clippy::too_many_lines, reason = "a server after the other")]
    pub async fn start(mut self) -> Sandbox {
        let http = TcpListener::bind(self.http_bind).await.expect("a port for the OAuth server");
        let imap = TcpListener::bind(self.imap_bind).await.expect("a port for the IMAP server");
        let http_address = http.local_addr().expect("a bound address");
        let imap_address = imap.local_addr().expect("a bound address");
        let vendor = self.vendor.unwrap_or(self.flavour.vendor());
        let scheme = if self.https { "https" } else { "http" };
        let issuer = format!("{scheme}://{http_address}");
        let shared = Shared::new(
            vendor,
            issuer,
            Serves { pop3: self.pop3.is_some(), submission: self.submission.is_some() },
            switches::usual::oauth(vendor),
            switches::usual::imap(self.flavour),
            switches::usual::pop3(self.flavour),
            switches::usual::submission(self.flavour),
        );

        if self.clients.is_empty() {
            self.clients.push(default_client(vendor));
        }
        let client = self.clients[0].clone();
        shared.change(|state| {
            state.clients = self.clients.iter().map(|client| (client.id.clone(), client.clone())).collect();
        });
        self.populate(&shared);

        let authority = Authority::new();
        let https = self.https.then(|| authority.server(self.certificate, self.tls12_only, &["http/1.1"]));
        let tls = authority.server(self.certificate, self.tls12_only, &["imap"]);
        let mut tasks = vec![
            tokio::spawn(oauth::serve(http, https, Arc::clone(&shared))).abort_handle(),
            tokio::spawn(imap::serve(imap, tls, self.imap_security, Arc::clone(&shared))).abort_handle(),
        ];
        let mut pops = None;
        if let Some(security) = self.pop3 {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the POP3 server");
            pops = Some((listener.local_addr().expect("a bound address"), security));
            let tls = authority.server(self.certificate, self.tls12_only, &[]);
            let serving = pop::serve(listener, tls, security, Arc::clone(&shared));
            tasks.push(tokio::spawn(serving).abort_handle());
        }
        let mut submits = None;
        if let Some(security) = self.submission {
            let security = security.unwrap_or(self.flavour.submission_security());
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the submission server");
            submits = Some((listener.local_addr().expect("a bound address"), security));
            let tls = authority.server(self.certificate, self.tls12_only, &[]);
            let serving = submission::serve(listener, tls, security, Arc::clone(&shared));
            tasks.push(tokio::spawn(serving).abort_handle());
        }
        let ca_file = write_ca(self.ca_file, &authority.ca_pem);
        let controls = Controls::new(shared);
        let (http, imap) = (http_address, imap_address);
        let imap_security = self.imap_security;
        Sandbox {
            controls,
            http,
            imap,
            imap_security,
            pop3: pops,
            submission: submits,
            authority,
            ca_file,
            client,
            tasks,
        }
    }

    fn populate(&mut self, shared: &Shared) {
        if self.users.is_empty() {
            self.users.push(("alice@example.com".to_owned(), Vec::new()));
        }
        shared.change(|state| {
            for (address, delegates) in &self.users {
                let mailboxes = Mailboxes::new(self.flavour, address, self.seed);
                let user = User {
                    address: address.clone(),
                    name: display_name(address),
                    mailboxes: Arc::new(mailboxes),
                    delegates: HashSet::from_iter(delegates.iter().cloned()),
                };
                state.users.insert(address.to_lowercase(), user);
            }
            for (alias, address) in &self.aliases {
                let user = state.user(address).cloned().expect("an alias names a user");
                state.users.insert(alias.to_lowercase(), user);
            }
            for (address, mailbox, count, size) in &self.big {
                let user = state.user(address).expect("a big mailbox names a user");
                user.mailboxes.ensure(mailbox).fill(*count, *size);
            }
            for (address, mailbox, octets) in &self.huge {
                let user = state.user(address).expect("a huge message names a user");
                user.mailboxes.ensure(mailbox).deliver(Body::huge(*octets), Vec::new(), None);
            }
        });
    }
}

fn display_name(address: &str) -> String {
    let local = address.split('@').next().unwrap_or_default();
    let mut letters = local.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn default_client(vendor: Vendor) -> Client {
    let (secret, redirect_uris) = match vendor {
        Vendor::Google => (Some("sandbox-secret".to_owned()), vec![]),
        Vendor::Microsoft => {
            (None, vec!["http://localhost".to_owned(), "http://localhost/callback".to_owned()])
        }
        Vendor::Generic => (Some("sandbox-secret".to_owned()), vec![]),
    };
    Client { id: "sandbox-client".to_owned(), secret, redirect_uris, installed: true, keys: Vec::new() }
}

fn write_ca(path: Option<PathBuf>, pem: &str) -> CaFile {
    match path {
        Some(path) => {
            std::fs::write(&path, pem).expect("the CA file can be written");
            CaFile::Given(path)
        }
        None => {
            let file =
                tempfile::Builder::new().prefix("sandbox-ca-").suffix(".pem").tempfile().expect("a file");
            std::fs::write(file.path(), pem).expect("the CA file can be written");
            CaFile::Temporary(file)
        }
    }
}
