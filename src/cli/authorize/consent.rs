//! The authorisation code flow: through a browser on this machine, through the daemon's callback, or by a
//! pasted address.

use std::time::Duration;

use super::{Request, paste, shared_callback};
use crate::cli::callback;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::oauth::{Authorization, AuthorizeError, Callback, CallbackError, Code, Tokens, redirect_text};
use crate::text::quoted;

pub(super) async fn consent(request: &Request, owner: &str) -> Result<Tokens, Failure> {
    let configured = &request.legs.provider.redirect_uri;
    let seconds = request.arguments.timeout;
    if request.arguments.paste {
        let authorization = prepare(request, &redirect_text(configured), owner).await?;
        let code = within(seconds, paste::code(&authorization, owner)).await?;
        return redeem(request, authorization, code).await;
    }
    let callback = match Callback::bind(configured).await {
        Ok(callback) => callback,
        Err(CallbackError::NotLoopback(_)) => {
            let authorization = prepare(request, &redirect_text(configured), owner).await?;
            let announced = || announce(request, &authorization, owner);
            let code = within(seconds, shared_callback::code(request, &authorization, announced)).await;
            if code.is_err() {
                callback::withdraw(&*request.installation.store, authorization.state()).await;
            }
            return redeem(request, authorization, code?).await;
        }
        Err(error) => return Err(error.into()),
    };
    let authorization = prepare(request, &callback.redirect_uri(), owner).await?;
    announce(request, &authorization, owner);
    let code = within(seconds, async { Ok(callback.wait(&authorization).await) }).await?;
    let code = code.map_err(|error| {
        let error = AuthorizeError::Redirect(error);
        Failure::new(error.one_line(&quoted(&request.account)))
    })?;
    redeem(request, authorization, code).await
}

async fn prepare(request: &Request, redirect_uri: &str, owner: &str) -> Result<Authorization, Failure> {
    let prepared = request.legs.client.authorization(redirect_uri, Some(owner)).await;
    prepared.map_err(|error| Failure::new(error.one_line(&quoted(&request.account))))
}

async fn redeem(request: &Request, authorization: Authorization, code: Code) -> Result<Tokens, Failure> {
    print::words("The sign-in is done; fetching the tokens…");
    let redeemed = request.legs.client.exchange(authorization, code).await;
    redeemed.map_err(|error| Failure::new(error.one_line(&quoted(&request.account))))
}

/// Shows the address to open, and opens it.
fn announce(request: &Request, authorization: &Authorization, owner: &str) {
    let url = authorization.url().as_str();
    if request.arguments.no_browser {
        print::words(&format!("Open this address in a browser and sign in as {owner}:"));
        print::data(url);
        if let Some(port) = loopback_port(authorization) {
            print::words("If the browser runs on another machine, let it reach this one first, there:");
            print::words(&format!("  ssh -L {port}:127.0.0.1:{port} THIS-MACHINE"));
        }
    } else {
        print::words(&format!("A browser opens; sign in as {owner}. If none does, open this address:"));
        print::words(url);
        if let Err(error) = open::that_detached(url) {
            print::words(&format!("No browser could be started: {error}"));
            print::words("On a machine without one, use --no-browser, --paste or --device.");
        }
    }
    print::words(&format!("Waiting up to {} s for the sign-in; Ctrl-C stops.", request.arguments.timeout));
}

fn loopback_port(authorization: &Authorization) -> Option<u16> {
    url::Url::parse(authorization.redirect_uri()).ok().filter(|url| url.scheme() == "http")?.port()
}

pub(super) async fn within<T>(
    seconds: u64,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout(Duration::from_secs(seconds), work).await.unwrap_or_else(|_| {
        Err(Failure::new(format!("nobody consented within {seconds} s; nothing is stored"))
            .hint("run the command again; --timeout SECONDS waits longer"))
    })
}
