//! `--device`: the person signs in on a telephone or another computer (RFC 8628).

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::Request;
use super::consent::within;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::oauth::{Device, Poll, Tokens};
use crate::text::quoted;

pub(super) async fn consent(request: &Request, owner: &str) -> Result<Tokens, Failure> {
    let client = &request.legs.client;
    let device =
        client.device().await.map_err(|error| Failure::new(error.one_line(&quoted(&request.account))))?;
    show(&device, owner, &request.legs.provider.title);
    let seconds = request.arguments.timeout.min(left(&device).as_secs().max(1));
    let granted = within(seconds, wait(request, device)).await;
    clear_countdown();
    granted
}

fn show(device: &Device, owner: &str, provider: &str) {
    print::words(&format!("On any device, open this address of {provider} and sign in as {owner}:"));
    print::data(device.verification_uri.as_str());
    print::words("It asks for this code:");
    print::data(&device.user_code);
    let target = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
    if let Ok(code) = QrCode::new(target.as_str()) {
        // Light on dark is how terminals are; the margin is what cameras need.
        let picture =
            code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        print::block_of_words(&picture);
    }
    if device.verification_uri_complete.is_some() {
        print::words("Whoever scans it finds the code filled in; compare it with the one above.");
    }
    if !std::io::stderr().is_terminal() {
        print::words(&format!("The code ends in {} s; Ctrl-C stops.", left(device).as_secs()));
    }
}

async fn wait(request: &Request, mut device: Device) -> Result<Tokens, Failure> {
    let mut pause = device.interval;
    loop {
        count_down(&device, pause).await;
        match request.legs.client.poll(&mut device).await {
            Ok(Poll::Granted(tokens)) => return Ok(*tokens),
            Ok(Poll::Pending { wait }) => pause = wait,
            Err(error) => {
                clear_countdown();
                return Err(Failure::new(error.one_line(&quoted(&request.account))));
            }
        }
    }
}

fn left(device: &Device) -> Duration {
    Duration::try_from(device.expires_at - OffsetDateTime::now_utc()).unwrap_or_default()
}

/// Waits for `pause` and shows how long the code still lives, where somebody looks.
async fn count_down(device: &Device, pause: Duration) {
    let end = Instant::now() + pause;
    while Instant::now() < end {
        if std::io::stderr().is_terminal() {
            let seconds = left(device).as_secs();
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\rThe code ends in {:>2}:{:02}; Ctrl-C stops. ", seconds / 60, seconds % 60);
            let _ = out.flush();
        }
        tokio::time::sleep_until(end.min(Instant::now() + Duration::from_secs(1))).await;
    }
}

fn clear_countdown() {
    if std::io::stderr().is_terminal() {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "\r\x1b[K");
        let _ = out.flush();
    }
}
