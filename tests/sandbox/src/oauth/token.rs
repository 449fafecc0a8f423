//! The token endpoint (RFC 6749 §3.2): a request is counted, may meet a fault, and is judged; the fault may
//! also affect the answer.

use std::io::Write;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::answer::{Refusal, told_scopes};
use super::line::Cut;
use super::{Fields, assertion, device, grant, header_text, userinfo, words};
use crate::flavour::Vendor;
use crate::state::{Client, Shared, State as Memory};
use crate::stats::TokenRequest;
use crate::switches::TokenFault;

pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) async fn exchange(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = super::read_form(&shared, &body, "the token endpoint");
    let fault = arrive(&shared, &headers, &fields);
    match &fault {
        Some(TokenFault::Answer { status, headers, body }) => {
            return verbatim(*status, headers, body.clone());
        }
        Some(TokenFault::Drop) => return lost(&cut),
        Some(TokenFault::Hold(gate)) => gate.pass().await,
        _ => {}
    }
    let (status, mut answer) = judge(&shared, &headers, &fields);
    match fault {
        Some(TokenFault::LoseAnswer) => return lost(&cut),
        Some(TokenFault::HoldAnswer(gate)) => gate.pass().await,
        Some(TokenFault::Edit(edits)) if status == 200 => edit(&mut answer, edits),
        Some(TokenFault::Gzip) => return gzipped(status, &answer),
        Some(TokenFault::Truncate) => {
            let mut text = answer.to_string();
            text.truncate(text.len() / 2);
            let kind = vec![("content-type".to_owned(), "application/json".to_owned())];
            return verbatim(status, &kind, text.into_bytes());
        }
        _ => {}
    }
    super::json(status, &answer)
}

/// Counts and records a request, and returns the fault that it meets.
fn arrive(shared: &Shared, headers: &HeaderMap, fields: &Fields) -> Option<TokenFault> {
    let request = TokenRequest {
        form: fields.0.clone(),
        authorization: header_text(headers, header::AUTHORIZATION),
        user_agent: header_text(headers, header::USER_AGENT),
    };
    shared.change(|state| {
        state.stats.token_requests += 1;
        match fields.get("grant_type") {
            Some("authorization_code") => state.stats.code_exchanges += 1,
            Some("refresh_token") => state.stats.refreshes += 1,
            Some("client_credentials") => state.stats.client_credentials += 1,
            Some(DEVICE_CODE) => state.stats.device_polls += 1,
            Some(JWT_BEARER) => state.stats.assertions += 1,
            _ => {}
        }
        state.log_token_request(request);
        state.token_faults.take()
    })
}

fn judge(shared: &Shared, headers: &HeaderMap, fields: &Fields) -> (u16, Value) {
    let judged = shared.change(|state| {
        let judged = judge_grant(shared, state, headers, fields);
        if judged.is_err() {
            state.stats.tokens_refused += 1;
        }
        judged
    });
    match judged {
        Ok(answer) => (200, answer),
        Err(refusal) => refusal.body(shared.vendor),
    }
}

fn judge_grant(
    shared: &Shared,
    state: &mut Memory,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Value, Refusal> {
    let vendor = shared.vendor;
    match fields.get("grant_type").ok_or(Refusal::Malformed)? {
        "authorization_code" => {
            let client = authenticate(shared, state, headers, fields)?;
            redeem_code(shared, state, &client, fields)
        }
        "refresh_token" => {
            let client = authenticate(shared, state, headers, fields)?;
            let token = fields.get("refresh_token").ok_or(Refusal::Malformed)?;
            let (id, renewed) = grant::redeem(state, vendor, token, &client.id)?;
            let scopes = narrowed(state, id, fields)?;
            Ok(answer(shared, state, id, &scopes, renewed, None))
        }
        DEVICE_CODE => {
            // At Microsoft the client is public; elsewhere it sends its secret.
            let client = authenticate(shared, state, headers, fields)?;
            let id = device::redeem(state, &client, fields)?;
            let scopes = state.grants[&id].scopes.clone();
            let offline = vendor != Vendor::Microsoft || scopes.iter().any(|scope| scope == "offline_access");
            let refresh =
                (offline && state.oauth.refresh_tokens).then(|| grant::new_refresh_token(state, vendor, id));
            Ok(answer(shared, state, id, &scopes, refresh, None))
        }
        "client_credentials" => {
            let client = authenticate(shared, state, headers, fields)?;
            let scopes = words(fields.get("scope").ok_or(Refusal::ScopeBad)?);
            if vendor == Vendor::Microsoft && !scopes.iter().all(|scope| scope.ends_with("/.default")) {
                return Err(Refusal::ScopeBad);
            }
            let id = grant::new_grant(state, None, &client.id, scopes.clone());
            Ok(answer(shared, state, id, &scopes, None, None))
        }
        JWT_BEARER => {
            let text = fields.get("assertion").ok_or(Refusal::Malformed)?;
            let keys = state.clients.values().flat_map(|client| client.keys.iter().map(Vec::as_slice));
            let claims = assertion::read(text, &keys.collect::<Vec<_>>()).ok_or(Refusal::AssertionBad)?;
            claims.meant_for(&shared.issuer).ok_or(Refusal::AssertionBad)?;
            let subject =
                claims.subject.filter(|user| state.user(user).is_some()).ok_or(Refusal::GrantDead)?;
            let scopes = words(&claims.scope.ok_or(Refusal::ScopeBad)?);
            let id = grant::new_grant(state, Some(subject), &claims.issuer, scopes.clone());
            Ok(answer(shared, state, id, &scopes, None, None))
        }
        _ => Err(Refusal::GrantTypeUnknown),
    }
}

/// RFC 6749 §2.3: by the form, the header, or a signed assertion (RFC 7523 §2.2), but never by two at once.
fn authenticate(
    shared: &Shared,
    state: &Memory,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Client, Refusal> {
    let basic = header_text(headers, header::AUTHORIZATION).map(|text| basic_credentials(&text));
    let (id, secret) = match basic {
        Some(Some((id, secret))) if fields.get("client_secret").is_none() => (id, Some(secret)),
        Some(_) => return Err(Refusal::Malformed),
        None => {
            let id = fields.get("client_id").ok_or(Refusal::Malformed)?;
            (id.to_owned(), fields.get("client_secret").map(str::to_owned))
        }
    };
    let client = state.clients.get(&id).cloned().ok_or(Refusal::ClientUnknown)?;
    if let Some(text) = fields.get("client_assertion") {
        let keys: Vec<&[u8]> = client.keys.iter().map(Vec::as_slice).collect();
        let claims = assertion::read(text, &keys).ok_or(Refusal::AssertionBad)?;
        claims.meant_for(&shared.issuer).ok_or(Refusal::AssertionBad)?;
        let own = claims.issuer == id && claims.subject.as_deref() == Some(&id);
        return if own && secret.is_none() { Ok(client) } else { Err(Refusal::AssertionBad) };
    }
    match (&client.secret, secret) {
        (Some(expected), Some(secret)) if *expected == secret => Ok(client),
        (Some(_), Some(_)) => Err(Refusal::SecretWrong),
        (Some(_), None) => Err(Refusal::SecretMissing),
        (None, None) => Ok(client),
        (None, Some(_)) => Err(Refusal::SecretUnwanted),
    }
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let encoded = header.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |half: &str| {
        let pair = format!("x={half}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn redeem_code(
    shared: &Shared,
    state: &mut Memory,
    client: &Client,
    fields: &Fields,
) -> Result<Value, Refusal> {
    let text = fields.get("code").ok_or(Refusal::Malformed)?;
    let code = state.codes.get_mut(text).ok_or(Refusal::CodeBad)?;
    if code.used {
        // RFC 6749 §4.1.2: a second use revokes the tokens of the first.
        let grant = code.grant;
        grant::revoke(state, grant);
        return Err(Refusal::CodeBad);
    }
    let code = code.clone();
    if code.client != client.id || fields.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
        return Err(Refusal::CodeBad);
    }
    if let Some(challenge) = &code.challenge {
        let verifier = fields.get("code_verifier").ok_or(Refusal::VerifierMissing)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        let sound = (43..=128).contains(&verifier.len()) && URL_SAFE_NO_PAD.encode(digest) == *challenge;
        sound.then_some(()).ok_or(Refusal::VerifierWrong)?;
    }
    if let Some(code) = state.codes.get_mut(text) {
        code.used = true;
    }
    let refresh = code.refresh_token.then(|| grant::new_refresh_token(state, shared.vendor, code.grant));
    let scopes = state.grants[&code.grant].scopes.clone();
    Ok(answer(shared, state, code.grant, &scopes, refresh, code.nonce))
}

/// RFC 6749 §6: a refresh may ask for fewer scopes than were granted, but not for more.
fn narrowed(state: &Memory, id: u64, fields: &Fields) -> Result<Vec<String>, Refusal> {
    let granted = &state.grants[&id].scopes;
    let Some(asked) = fields.get("scope") else { return Ok(granted.clone()) };
    let asked = words(asked);
    match asked.iter().all(|scope| granted.contains(scope)) {
        true => Ok(asked),
        false if state.oauth.refuse_unconsented => Err(Refusal::ConsentMissing),
        false => Err(Refusal::ScopeBad),
    }
}

fn answer(
    shared: &Shared,
    state: &mut Memory,
    id: u64,
    scopes: &[String],
    refresh_token: Option<String>,
    nonce: Option<String>,
) -> Value {
    let vendor = shared.vendor;
    let life = state.oauth.access_token_life.as_secs();
    let mut answer = json!({
        "access_token": grant::new_access_token(state, vendor, id, scopes.to_vec()),
        "expires_in": life,
        "scope": told_scopes(vendor, scopes),
        "token_type": "Bearer",
    });
    if vendor == Vendor::Microsoft {
        answer["ext_expires_in"] = life.into();
    }
    if let Some(token) = refresh_token {
        answer["refresh_token"] = token.into();
    }
    if scopes.iter().any(|scope| scope == "openid")
        && let Some(token) = userinfo::id_token(shared, state, id, nonce)
    {
        answer["id_token"] = token.into();
    }
    answer
}

fn edit(answer: &mut Value, edits: Map<String, Value>) {
    let Some(members) = answer.as_object_mut() else { return };
    for (name, value) in edits {
        match value {
            Value::Null => drop(members.remove(&name)),
            value => drop(members.insert(name, value)),
        }
    }
}

fn verbatim(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).expect("the test's own headers are sound")
}

fn gzipped(status: u16, answer: &Value) -> Response {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(answer.to_string().as_bytes()).expect("memory");
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("content-encoding".to_owned(), "gzip".to_owned()),
    ];
    verbatim(status, &headers, encoder.finish().expect("memory"))
}

/// Ends the connection; the returned response is never written.
fn lost(cut: &Cut) -> Response {
    cut.now();
    StatusCode::NO_CONTENT.into_response()
}
