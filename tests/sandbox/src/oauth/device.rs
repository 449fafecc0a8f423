//! The device flow (RFC 8628): a code for the device, a page for the person, and the polls in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;
use serde_json::json;

use super::answer::Refusal;
use super::authorize::page as frame;
use super::{Fields, grant, words};
use crate::flavour::Vendor;
use crate::state::{Client, Device, Shared, State as Memory, Verdict};

/// The lifetime of a device code in seconds (Microsoft).
const LIFE: u64 = 900;

/// The device authorisation endpoint.
pub(super) async fn begin(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fields = super::read_form(&shared, &body, "the device endpoint");
    let known = |id: &str| shared.look(|state| state.clients.contains_key(id));
    let Some(client) = fields.get("client_id").filter(|id| known(id)) else {
        let (status, body) = Refusal::ClientUnknown.body(shared.vendor);
        return super::json(status, &body);
    };
    let scopes = words(fields.get("scope").unwrap_or_default());
    if shared.vendor == Vendor::Google && scopes.iter().any(|scope| shared.vendor.opens_mail(scope)) {
        let text = format!("Invalid device flow scope: {}", shared.vendor.mail_scope());
        return super::json(400, &json!({ "error": "invalid_scope", "error_description": text }));
    }
    let device_code = grant::random_text(60);
    let user_code = grant::random_text(24).to_uppercase().replace(['-', '_'], "7").split_off(15);
    let uri = format!("{}/devicelogin", shared.issuer);
    let interval = shared.change(|state| {
        let device = Device {
            user_code: user_code.clone(),
            client: client.to_owned(),
            scopes,
            verdict: Verdict::Pending,
            last_poll: None,
        };
        state.devices.insert(device_code.clone(), device);
        state.oauth.device_interval
    });
    let mut answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "expires_in": LIFE,
        "interval": interval,
        "verification_uri": uri,
    });
    match shared.vendor {
        Vendor::Microsoft => {
            let text = format!(
                "To sign in, use a web browser to open the page {uri} and enter the code {user_code}."
            );
            answer["message"] = text.into();
        }
        Vendor::Google => answer["verification_url"] = uri.into(),
        Vendor::Generic => {
            answer["verification_uri_complete"] = format!("{uri}?user_code={user_code}").into();
        }
    }
    super::json(200, &answer)
}

/// The answer to a poll: the grant, once the person has consented.
pub(super) fn redeem(state: &mut Memory, client: &Client, fields: &Fields) -> Result<u64, Refusal> {
    let code = fields.get("device_code").ok_or(Refusal::Malformed)?;
    let interval = Duration::from_secs(state.oauth.device_interval);
    let told_to_slow = state.oauth.slow_down > 0;
    let device = state.devices.get_mut(code).filter(|device| device.client == client.id);
    let device = device.ok_or(Refusal::DeviceUnknown)?;
    let now = Instant::now();
    let too_soon = device.last_poll.is_some_and(|last| now < last + interval);
    device.last_poll = Some(now);
    if told_to_slow {
        state.oauth.slow_down -= 1;
        return Err(Refusal::DeviceSlowDown);
    }
    if too_soon {
        state.violation("a device poll before its interval was over (RFC 8628 §3.5)");
        return Err(Refusal::DeviceSlowDown);
    }
    let user = match &device.verdict {
        Verdict::Pending => return Err(Refusal::DevicePending),
        Verdict::Declined => return Err(Refusal::DeviceDeclined),
        Verdict::Expired => return Err(Refusal::DeviceExpired),
        Verdict::Used => return Err(Refusal::DeviceUnknown),
        Verdict::Approved(user) => user.clone(),
    };
    device.verdict = Verdict::Used;
    let scopes = device.scopes.clone();
    let user = state.oauth.consent_as.clone().unwrap_or(user);
    state.user(&user).ok_or(Refusal::DeviceDeclined)?;
    state.stats.consents += 1;
    let kept = scopes.into_iter().filter(|scope| !state.oauth.untick.contains(scope)).collect();
    Ok(grant::new_grant(state, Some(user), &client.id, kept))
}

/// The page on which a person enters the code.
pub(super) async fn page(RawQuery(query): RawQuery) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let body = html! {
        h1 { "Enter the code shown on your device" }
        form method="post" {
            label { "Code " input type="text" name="user_code" value=(fields.get("user_code").unwrap_or_default()); }
            " "
            label { "Account " input type="text" name="account"; }
            p {
                button type="submit" name="decision" value="approve" { "Approve" }
                " "
                button type="submit" name="decision" value="deny" { "Deny" }
            }
        }
    };
    super::html(StatusCode::OK, frame("Device", &body))
}

/// The person's decision there.
pub(super) async fn decide(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let account = fields.get("account").unwrap_or_default().trim().to_owned();
    let found = shared.change(|state| {
        let known = state.user(&account).is_some();
        let wanted = fields.get("user_code").unwrap_or_default().trim().to_uppercase();
        let pending = |device: &&mut Device| device.user_code == wanted && device.verdict == Verdict::Pending;
        let device = state.devices.values_mut().find(pending)?;
        match (fields.get("decision") == Some("approve"), known) {
            (true, true) => device.verdict = Verdict::Approved(account),
            (true, false) => return None,
            (false, _) => device.verdict = Verdict::Declined,
        }
        Some(())
    });
    match found {
        Some(()) => {
            super::html(StatusCode::OK, frame("Device", &html! { h1 { "Done. You may close this page." } }))
        }
        None => super::html(
            StatusCode::BAD_REQUEST,
            frame("Device", &html! { h1 { "No such code or account." } }),
        ),
    }
}
