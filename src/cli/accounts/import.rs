//! `accounts import`: what another installation exported is stored here, and then tried.
//!
//! It is stored before it is tried: the source has given it up already, so this may be the only copy.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::export::{Parcel, passphrase_in};
use super::judge;
use crate::cli::failure::Failure;
use crate::cli::installation::{Installation, Legs};
use crate::cli::interrupt::Uninterrupted;
use crate::cli::names::check_aliases;
use crate::cli::proof::prove;
use crate::cli::{Done, keys, print, terminal};
use crate::secret::bundle::{self, Kind, Opener};
use crate::store::{Authorization, Grant, GrantKind, Granted, Id, fold};
use crate::text::quoted;

/// Far above any bundle.
const LONGEST_BUNDLE: u64 = 256 * 1024;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Read the passphrase from this file's first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take the place of an account or an authorisation that is here already
    #[arg(long)]
    replace: bool,
    /// Take aliases that are other addresses than the account's
    #[arg(long)]
    yes: bool,
}

pub(super) async fn import(installation: &Installation, arguments: &Arguments) -> Result<Done, Failure> {
    if arguments.passphrase_file.as_deref() == Some(std::path::Path::new("-")) {
        return Err(Failure::new(
            "standard input holds the exported account, so the passphrase must come from a file",
        ));
    }
    let text = terminal::read_stdin(LONGEST_BUNDLE).await?;
    let parcel = open(installation, arguments, &text).await?;
    judge::check(&parcel, OffsetDateTime::now_utc())?;
    check(installation, &parcel, arguments.replace).await?;
    check_aliases(installation, &parcel.account, &parcel.aliases, arguments.yes).await?;
    let stored = {
        let _storing = Uninterrupted::begin();
        store(installation, &parcel).await?
    };
    print::words(&format!("{} is here now, with the authorisation of {}.", parcel.account, parcel.owner));
    let done = try_it(installation, &parcel, &stored).await;
    print::words("Mail programs need an app password of this installation:");
    print::words(&format!("  imap-oauth-proxy passwords create {} --name NAME", quoted(&parcel.account)));
    done
}

async fn open(installation: &Installation, arguments: &Arguments, text: &str) -> Result<Parcel, Failure> {
    let opened = match bundle::kind(text)? {
        Kind::Recipient => bundle::open(text, &Opener::Key(&keys::transfer_key(installation).await?))?,
        Kind::Passphrase => {
            let passphrase = match &arguments.passphrase_file {
                Some(file) => passphrase_in(file).await?,
                None => terminal::ask("Passphrase of the exported account: ").await.ok_or_else(|| {
                    Failure::new("there is no terminal to ask for the passphrase")
                        .hint("give --passphrase-file FILE")
                })?,
            };
            bundle::open(text, &Opener::Passphrase(&passphrase))?
        }
    };
    // The parser's own message would quote what it read.
    serde_json::from_slice(&opened).map_err(|_| {
        Failure::new("the exported account was made by another version of this program; update both")
    })
}

async fn check(installation: &Installation, parcel: &Parcel, replace: bool) -> Result<(), Failure> {
    let table = format!("[providers.{}]", parcel.provider);
    let Some(provider) = installation.config.providers.get(&parcel.provider) else {
        return Err(Failure::new(format!("the account needs {table}, which is not configured here"))
            .hint("copy that table from the other installation's configuration"));
    };
    if provider.client_id != parcel.client_id {
        let theirs = parcel.client_id.as_ref().map_or("none".to_owned(), |id| format!("{id:?}"));
        return Err(Failure::new(format!(
            "the authorisation belongs to the client {theirs}, and {table} has another one"
        ))
        .hint("a provider accepts a refresh token from the client that it was issued to, and from no other")
        .hint(format!("copy {table} from the other installation's configuration")));
    }
    let known = installation.store.login(&parcel.account).await?;
    if let Some(known) = known.as_ref().filter(|known| fold(&known.account.name) != fold(&parcel.account)) {
        return Err(Failure::new(format!("{} is an alias of {} here", parcel.account, known.account.name))
            .hint("accounts unalias takes that alias away"));
    }
    let has_account = known.is_some_and(|known| known.grant.is_none_or(|grant| grant.mailbox.is_none()));
    let has_grant = installation
        .store
        .grant_of(&parcel.provider, &parcel.owner, GrantKind::Person)
        .await?
        .is_some_and(|grant| grant.refresh_token.is_some());
    match !replace && (has_account || has_grant) {
        true => Err(Failure::new(format!("{} is here already, and nothing was changed", parcel.account))
            .hint("--replace puts the imported authorisation in its place; its app passwords stay")),
        false => Ok(()),
    }
}

async fn store(installation: &Installation, parcel: &Parcel) -> Result<Grant, Failure> {
    let _lock = installation.sealing()?;
    let store = &installation.store;
    let mut grant = Grant::new(&parcel.provider, &parcel.owner, parcel.authorized_at);
    if let Some(known) = store.grant_of(&parcel.provider, &parcel.owner, GrantKind::Person).await? {
        grant.id = known.id;
    }
    grant.scopes.clone_from(&parcel.scopes);
    grant.refreshed_at = parcel.refreshed_at;
    grant.refresh_expires_at = parcel.refresh_expires_at;
    let context = Grant::refresh_context(&grant.id);
    grant.refresh_token = Some(installation.sealer.seal(&context, parcel.refresh_token.as_bytes())?);
    let authorization = Authorization {
        account: parcel.account.clone(),
        aliases: parcel.aliases.clone(),
        grant: Granted::New(Box::new(grant.clone())),
        id: Id::random(),
        password: None,
    };
    store.authorize(&authorization).await?;
    let stored = store.grant(&grant.id).await?;
    stored.ok_or_else(|| Failure::new("the authorisation was removed again at the same moment"))
}

/// What goes wrong here is said, and the account stays: it may be the only copy.
async fn try_it(installation: &Installation, parcel: &Parcel, grant: &Grant) -> Result<Done, Failure> {
    let legs = Legs::of_configured(&installation.config)?;
    let Some(own) = legs.get(&grant.provider) else { return Ok(Done::NeedsPerson) };
    let _refreshing = Uninterrupted::begin();
    let token = match installation.tokens(&legs).access(grant).await {
        Ok(token) => token,
        Err(failure) => {
            let why = failure.to_string().replace("{account}", &grant.command_target(&parcel.account));
            print::words(&format!("warning: no access token came yet: {why}"));
            return Ok(Done::NeedsPerson);
        }
    };
    let left = (token.expires_at - OffsetDateTime::now_utc()).whole_minutes();
    match prove(own, &parcel.account, &token.secret).await {
        Ok(folders) => {
            print::words(&format!(
                "The mailbox opened and has {folders} folders; the token is good for {left} min."
            ));
            Ok(Done::Well)
        }
        Err(unproven) => {
            print::words(&format!("warning: the mailbox did not open: {unproven}"));
            Ok(Done::NeedsPerson)
        }
    }
}
