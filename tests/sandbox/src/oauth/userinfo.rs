//! The person's identity: id_token and userinfo; also revocation and discovery.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{grant, header_text};
use crate::flavour::Vendor;
use crate::state::{Shared, State as Memory};

/// The tenant in Microsoft's issuer.
const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// An id_token of the right structure but with no real signature: over TLS from the token endpoint the
/// signature need not be checked (OpenID Connect Core §3.1.3.7).
pub(super) fn id_token(shared: &Shared, state: &Memory, id: u64, nonce: Option<String>) -> Option<String> {
    let grant = &state.grants[&id];
    let mut claims = claims(shared.vendor, state, grant.owner.as_deref()?, &grant.scopes)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let issuer = match shared.vendor {
        Vendor::Microsoft => format!("{}/{TENANT}/v2.0", shared.issuer),
        Vendor::Google | Vendor::Generic => shared.issuer.clone(),
    };
    let members = claims.as_object_mut()?;
    for (name, value) in [
        ("iss", Value::from(issuer)),
        ("aud", grant.client.clone().into()),
        ("azp", grant.client.clone().into()),
        ("iat", now.into()),
        ("exp", (now + 3600).into()),
    ] {
        members.entry(name).or_insert(value);
    }
    if let Some(nonce) = nonce {
        members.entry("nonce").or_insert(nonce.into());
    }
    members.retain(|_, value| !value.is_null());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "alg": "RS256", "kid": "sandbox", "typ": "JWT" });
    Some(format!("{}.{}.{}", part(&header), part(&claims), URL_SAFE_NO_PAD.encode("not a signature")))
}

/// The vendor's claims about a person, with the switch's claims laid over them.
fn claims(vendor: Vendor, state: &Memory, owner: &str, scopes: &[String]) -> Option<Value> {
    let user = state.user(owner)?;
    let address = &user.address;
    let asked = |scope: &str| scopes.iter().any(|asked| asked == scope);
    let mut claims = json!({ "sub": URL_SAFE_NO_PAD.encode(address) });
    match vendor {
        Vendor::Google | Vendor::Generic if asked("email") => {
            claims["email"] = address.as_str().into();
            claims["email_verified"] = true.into();
        }
        Vendor::Microsoft => {
            claims["tid"] = TENANT.into();
            claims["oid"] = "00000000-0000-0000-0000-000000000003".into();
            if asked("profile") {
                claims["preferred_username"] = address.as_str().into();
                claims["name"] = user.name.as_str().into();
            }
            if asked("email") {
                claims["email"] = address.as_str().into();
            }
        }
        _ => {}
    }
    for (name, value) in &state.oauth.claims {
        claims[name.as_str()] = value.clone();
    }
    Some(claims)
}

/// `GET /userinfo`. Microsoft requires a Graph token and refuses a mail token.
pub(super) async fn show(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let told = shared.change(|state| {
        state.stats.userinfos += 1;
        let authorization = header_text(&headers, header::AUTHORIZATION)?;
        let token = authorization.strip_prefix("Bearer ")?;
        let (access, grant) = state.live_access(token)?;
        if shared.vendor == Vendor::Microsoft || !access.scopes.iter().any(|scope| scope == "openid") {
            return None;
        }
        claims(shared.vendor, state, grant.owner.as_deref()?, &access.scopes)
    });
    match told {
        Some(mut claims) => {
            if let Some(members) = claims.as_object_mut() {
                members.retain(|_, value| !value.is_null());
            }
            super::json(200, &claims)
        }
        None => {
            let refusal = [(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")];
            (StatusCode::UNAUTHORIZED, refusal, r#"{"error":"invalid_token"}"#).into_response()
        }
    }
}

/// RFC 7009: either token of a grant revokes the grant; an unknown token is an error at Google only.
/// Microsoft has no such endpoint.
pub(super) async fn revoke(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fields = super::read_form(&shared, &body, "the revocation endpoint");
    if shared.vendor == Vendor::Microsoft {
        return StatusCode::NOT_FOUND.into_response();
    }

    let known = shared.change(|state| {
        state.stats.revocations += 1;
        let token = fields.get("token")?;
        let refresh = state.refresh_tokens.get(token).map(|token| token.grant);
        let id = refresh.or_else(|| state.access_tokens.get(token).map(|token| token.grant))?;
        let alive = !state.grants[&id].revoked;
        grant::revoke(state, id);
        alive.then_some(())
    });
    match (known, shared.vendor) {
        (None, Vendor::Google) => {
            let text = "Token expired or revoked";
            super::json(400, &json!({ "error": "invalid_token", "error_description": text }))
        }
        _ => super::json(200, &json!({})),
    }
}

/// The discovery document.
pub(super) async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    let base = &shared.issuer;
    let issuer = match shared.vendor {
        // Microsoft's `common` document contains this literal.
        Vendor::Microsoft => format!("{base}/{{tenantid}}/v2.0"),
        Vendor::Google | Vendor::Generic => base.clone(),
    };
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "device_authorization_endpoint": format!("{base}/device"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": shared.vendor.scopes(),
        "authorization_response_iss_parameter_supported": shared.look(|state| state.oauth.iss),
    });
    if shared.vendor != Vendor::Microsoft {
        document["revocation_endpoint"] = format!("{base}/revoke").into();
    }
    super::json(200, &document)
}
