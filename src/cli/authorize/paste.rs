//! `--paste`: the browser runs on any machine, and the person pastes its last address here.
//!
//! The pasted address holds a code that gives a grant, so it is neither echoed nor logged, and no message quotes
//! it.

use url::Url;
use zeroize::Zeroizing;

use super::{ToOpen, announce_approval};
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::cli::terminal::{Lines, is_interactive};
use crate::control::Installation;
use crate::control::authorize::{Answer, Consent};
use crate::oauth::RedirectError;

pub(super) async fn answer(
    consent: &Consent,
    installation: &Installation,
    url: &Url,
    redirect_uri: &str,
    as_json: bool,
) -> Result<Answer, Failure> {
    let owner = consent.owner();
    // Started before anything is shown, so that an early paste is not echoed.
    let mut lines = Lines::of_stdin();
    print::words(&format!("1. Open this address in any browser, on any machine, and sign in as {owner}:"));
    ToOpen::new(url, consent).show(as_json);
    print::words("2. The browser ends at a page that it may not be able to load. That is right.");
    print::words(&format!("   Copy the whole address from its address bar; it begins with {redirect_uri}"));
    match is_interactive() {
        true => print::words("3. Paste it here and press Enter (it is not shown):"),
        false => print::words("3. It is read from standard input."),
    }
    announce_approval(consent);
    // An address that was copied with line breaks arrives as several lines.
    let mut gathered = Zeroizing::new(String::new());
    let mut last = None;
    while let Some(line) = lines.next().await {
        if line.expose().trim().is_empty() {
            continue;
        }
        gathered.push_str(line.expose().trim());
        let judged = match consent.pasted(line.expose()) {
            Err(alone) if is_no_answer(&alone) => match consent.pasted(&gathered) {
                Err(together) if is_no_answer(&together) => {
                    if alone == RedirectError::WrongState {
                        gathered.clear();
                    }
                    Err(alone)
                }
                judged => judged,
            },
            judged => judged,
        };
        match judged {
            Ok(answer) => return Ok(answer),
            Err(error @ RedirectError::AdminConsent(_)) => {
                print::words(&format!("That was the administrator's answer: {error}."));
                gathered.clear();
                last = Some(error);
            }
            Err(error) if is_no_answer(&error) => {
                print::words(&format!("That was not it: {error}."));
                last = Some(error);
            }
            Err(error) => return Err(consent.refused(installation, error).await.into()),
        }
    }
    Err(match last {
        Some(error) => Failure::new(format!("{error}; nothing is stored")),
        None => Failure::new("no address was pasted; nothing is stored")
            .hint("run the command again, and paste the address that the browser ends at"),
    })
}

/// Whether the person may paste another address, because this one was not the answer.
fn is_no_answer(error: &RedirectError) -> bool {
    matches!(error, RedirectError::Malformed(_) | RedirectError::WrongState)
}
