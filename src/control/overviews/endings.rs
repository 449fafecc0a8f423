//! What many accounts depend on and what ends on a known day: the secret or the certificate of a provider's client, and
//! the user's own certificate for the listeners.
//!
//! Such an end belongs to no account, so the list shows it above all of them, in time for the person who renews it.

use std::path::{Path, PathBuf};

use time::{Duration, OffsetDateTime};

use crate::config::AppGrant;
use crate::control::installation::Installation;
use crate::tls;

/// Something that ends soon, or has ended.
pub(crate) struct Ending {
    pub(crate) of: EndingOf,
    pub(crate) at: OffsetDateTime,
}

pub(crate) enum EndingOf {
    ClientSecret {
        provider: String,
        title: String,
        /// The file that has the secret, if it is not in the configuration itself.
        file: Option<PathBuf>,
    },
    /// The certificate with which a provider's client signs in.
    AppCertificate { provider: String, title: String, file: PathBuf },
    /// The user's own certificate that mail programs see.
    OwnCertificate { file: PathBuf },
}

/// How long before the end of a secret, or of a certificate at a provider, the list says so: its renewal passes several
/// hands.
const BY_HANDS: Duration = Duration::days(30);
/// How long before the end of one's own certificate. Programs that renew one do so weeks earlier, so that the renewal has
/// failed when it is this late.
const BY_PROGRAM: Duration = Duration::days(14);

/// What ends soon, the nearest first.
pub(crate) async fn endings(installation: &Installation) -> Vec<Ending> {
    let config = &installation.config;
    let mut all = Vec::new();
    for provider in config.usable_providers() {
        let (name, title) = (&provider.name, &provider.title);
        if let Some(at) = provider.client_secret_expires {
            let file = provider.client_secret_file.clone();
            let of = EndingOf::ClientSecret { provider: name.clone(), title: title.clone(), file };
            all.push((Ending { of, at }, BY_HANDS));
        }
        if let Some(AppGrant::Certificate { certificate: file, .. }) = &provider.app
            && let Some(at) = end_of(file).await
        {
            let of =
                EndingOf::AppCertificate { provider: name.clone(), title: title.clone(), file: file.clone() };
            all.push((Ending { of, at }, BY_HANDS));
        }
    }
    if let Some((file, _)) = &config.tls.own
        && let Some(at) = end_of(file).await
    {
        all.push((Ending { of: EndingOf::OwnCertificate { file: file.clone() }, at }, BY_PROGRAM));
    }
    let now = OffsetDateTime::now_utc();
    let soon = all.into_iter().filter(|(ending, before)| ending.at <= now.saturating_add(*before));
    let mut endings: Vec<Ending> = soon.map(|(ending, _)| ending).collect();
    endings.sort_by_key(|ending| ending.at);
    endings
}

/// The end of the certificate in a file, which other programs write: one that cannot be read is the matter of those who
/// use it.
async fn end_of(file: &Path) -> Option<OffsetDateTime> {
    tls::end_of_certificate(&tokio::fs::read(file).await.ok()?)
}
