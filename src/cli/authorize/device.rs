//! `--device`: the person signs in on a telephone or another computer (RFC 8628).

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use time::OffsetDateTime;

use super::ToOpen;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::control::Error;
use crate::control::authorize::{Answer, Consent};
use crate::oauth::Device;

pub(super) fn show(device: &Device, consent: &Consent, as_json: bool) {
    let (owner, provider) = (consent.owner(), &consent.provider().title);
    print::words(&format!("On any device, open this address of {provider} and sign in as {owner}:"));
    let to_open = ToOpen::new(&device.verification_uri, consent);
    ToOpen { code: Some(&device.user_code), ..to_open }.show(as_json);
    print::words("It asks for this code:");
    match as_json {
        true => print::words(&device.user_code),
        false => print::data(&device.user_code),
    }
    let target = device.verification_uri_complete.as_ref().unwrap_or(&device.verification_uri);
    if let Ok(code) = QrCode::new(target.as_str()) {
        // For light text on a dark terminal; cameras need the margin.
        let picture =
            code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        print::block_of_words(&picture);
    }
    if device.verification_uri_complete.is_some() {
        print::words("The page of the QR code has the code filled in; compare it with the one above.");
    }
    if !std::io::stderr().is_terminal() {
        print::words(&format!("The code ends in {} s; Ctrl-C stops.", left(device.expires_at)));
    }
}

/// Waits for the answer, and shows the remaining time of the code if standard error is a terminal.
pub(super) async fn counting_down(
    end: OffsetDateTime,
    answer: impl Future<Output = Result<Answer, Error>>,
) -> Result<Answer, Failure> {
    let _line = Countdown;
    let answer = tokio::select! { answer = answer => answer, never = count_down(end) => never };
    Ok(answer?)
}

fn left(end: OffsetDateTime) -> u64 {
    (end - OffsetDateTime::now_utc()).whole_seconds().max(0).unsigned_abs()
}

/// Counts without end: the answer or the timeout stops it.
async fn count_down(end: OffsetDateTime) -> Result<Answer, Error> {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let seconds = left(end);
        if std::io::stderr().is_terminal() {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\rThe code ends in {:>2}:{:02}; Ctrl-C stops. ", seconds / 60, seconds % 60);
            let _ = out.flush();
        }
    }
}

/// The line of the countdown, which is removed when this is dropped.
struct Countdown;

impl Drop for Countdown {
    fn drop(&mut self) {
        if std::io::stderr().is_terminal() {
            let mut out = std::io::stderr().lock();
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }
}
