//! The authorisation endpoint: a small consent page, and the resulting redirect.
//!
//! A wrong client or redirect URI is reported on a page, never by a redirect (RFC 6749 §4.1.2.1). Every value
//! on the page comes from outside and is escaped.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use url::Url;

use super::{Fields, grant, words};
use crate::flavour::Vendor;
use crate::state::{Client, Code, Shared};

/// An authorisation request that is valid enough to be answered by a redirect.
struct Wanted {
    client: String,
    redirect_uri: String,
    scopes: Vec<String>,
    state: Option<String>,
    challenge: Option<String>,
    nonce: Option<String>,
    login_hint: Option<String>,
    /// Whether it leads to a refresh token.
    offline: bool,
}

/// GET: the consent page, or with automatic approval the redirect.
pub(super) async fn show(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let wanted = match read(&shared, &fields) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal.into_response(),
    };
    shared.change(|state| state.stats.authorizations += 1);
    let switches = shared.look(|state| state.oauth.clone());
    if switches.deny {
        return deny(&shared, &wanted);
    }
    if switches.auto_approve {
        let account =
            switches.consent_as.or_else(|| wanted.login_hint.clone()).or_else(|| only_user(&shared));
        let scopes = wanted.scopes.iter().filter(|scope| !switches.untick.contains(scope)).cloned().collect();
        return approve(&shared, &wanted, &account.unwrap_or_default(), scopes);
    }
    super::html(StatusCode::OK, consent_page(&fields, &wanted))
}

/// POST: the person's decision on the page.
pub(super) async fn decide(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fields = Fields::parse(&body);
    let wanted = match read(&shared, &fields) {
        Ok(wanted) => wanted,
        Err(refusal) => return refusal.into_response(),
    };
    let switches = shared.look(|state| state.oauth.clone());
    if fields.get("decision") != Some("approve") || switches.deny {
        return deny(&shared, &wanted);
    }
    let account =
        switches.consent_as.as_deref().or(fields.get("account")).unwrap_or_default().trim().to_owned();
    let ticked: Vec<&str> = fields.all("tick").collect();
    let kept = |scope: &&String| ticked.contains(&scope.as_str()) && !switches.untick.contains(scope);
    let scopes = wanted.scopes.iter().filter(kept).cloned().collect();
    approve(&shared, &wanted, &account, scopes)
}

enum Unsound {
    /// Reported on a page.
    Page(&'static str),
    /// Reported by a redirect.
    Redirect(String),
}

impl IntoResponse for Unsound {
    fn into_response(self) -> Response {
        match self {
            Self::Page(error) => super::html(StatusCode::BAD_REQUEST, error_page(error)),
            Self::Redirect(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        }
    }
}

fn read(shared: &Shared, fields: &Fields) -> Result<Wanted, Unsound> {
    let client = fields.get("client_id").and_then(|id| shared.look(|state| state.clients.get(id).cloned()));
    let client = client.ok_or(Unsound::Page("invalid_client: the OAuth client was not found"))?;
    let redirect_uri = fields.get("redirect_uri").unwrap_or_default();
    if !redirect_allowed(shared.vendor, &client, redirect_uri) {
        return Err(Unsound::Page("redirect_uri_mismatch"));
    }
    let state = fields.get("state").map(str::to_owned);
    // 128 bits are at least 22 characters of base64url.
    if state.as_ref().is_none_or(|state| state.len() < 22) {
        shared.violation("an authorisation request whose state cannot hold 128 random bits");
    }
    let refuse = |error: &str, description: &str| {
        let pairs = [("error", error), ("error_description", description)];
        Err(Unsound::Redirect(redirect(shared, redirect_uri, state.as_deref(), &pairs)))
    };
    if fields.get("response_type") != Some("code") {
        return refuse("unsupported_response_type", "response_type must be code");
    }
    let scopes = words(fields.get("scope").unwrap_or_default());
    if scopes.is_empty() {
        return refuse("invalid_scope", "Missing required parameter: scope");
    }
    let challenge = fields.get("code_challenge").map(str::to_owned);
    let method = fields.get("code_challenge_method").unwrap_or("plain");
    if challenge.is_some() && method != "S256" {
        return refuse("invalid_request", "code_challenge_method must be S256");
    }
    if challenge.is_none() && shared.look(|state| state.oauth.require_pkce) {
        return refuse("invalid_request", "code_challenge is missing");
    }
    let offline = match shared.vendor {
        Vendor::Google => client.installed || fields.get("access_type") == Some("offline"),
        Vendor::Microsoft | Vendor::Generic => scopes.iter().any(|scope| scope == "offline_access"),
    };
    Ok(Wanted {
        client: client.id,
        redirect_uri: redirect_uri.to_owned(),
        scopes,
        state,
        challenge,
        nonce: fields.get("nonce").map(str::to_owned),
        login_hint: fields.get("login_hint").map(str::to_owned),
        offline,
    })
}

/// Google accepts any port on a loopback address from installed clients. Microsoft accepts any port on
/// `localhost`, but requires a registered path. Everything else must match exactly.
fn redirect_allowed(vendor: Vendor, client: &Client, redirect_uri: &str) -> bool {
    if client.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        return true;
    }
    let Ok(uri) = Url::parse(redirect_uri) else { return false };
    if uri.scheme() != "http" || !client.installed || uri.fragment().is_some() {
        return false;
    }
    let localhost = uri.host_str() == Some("localhost");
    let literal = || {
        let host = uri.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    match vendor {
        Vendor::Google | Vendor::Generic => localhost || literal(),
        Vendor::Microsoft => {
            localhost && client.redirect_uris.iter().any(|registered| same_but_port(registered, &uri))
        }
    }
}

fn same_but_port(registered: &str, uri: &Url) -> bool {
    let Ok(mut registered) = Url::parse(registered) else { return false };
    registered.host_str() == Some("localhost")
        && registered.set_port(uri.port()).is_ok()
        && registered == *uri
}

fn only_user(shared: &Shared) -> Option<String> {
    shared.look(|state| {
        let mut users = state.users.values();
        users.next().filter(|_| state.users.len() == 1).map(|user| user.address.clone())
    })
}

fn approve(shared: &Shared, wanted: &Wanted, account: &str, scopes: Vec<String>) -> Response {
    if shared.look(|state| state.user(account).is_none()) {
        return super::html(StatusCode::BAD_REQUEST, error_page("Couldn't find your account"));
    }
    let told = super::answer::told_scopes(shared.vendor, &scopes);
    let code = shared.change(|state| {
        state.stats.consents += 1;
        let code = format!("4/0A{}", grant::random_text(60));
        let entry = Code {
            grant: grant::new_grant(state, Some(account.to_owned()), &wanted.client, scopes),
            client: wanted.client.clone(),
            redirect_uri: wanted.redirect_uri.clone(),
            challenge: wanted.challenge.clone(),
            nonce: wanted.nonce.clone(),
            refresh_token: wanted.offline && state.oauth.refresh_tokens,
            used: false,
        };
        state.codes.insert(code.clone(), entry);
        code
    });
    let mut pairs = vec![("code", code.as_str())];
    match shared.vendor {
        Vendor::Google => pairs.extend([("scope", told.as_str()), ("authuser", "0"), ("prompt", "consent")]),
        Vendor::Microsoft => pairs.push(("session_state", "00000000-0000-0000-0000-000000000002")),
        Vendor::Generic => {}
    }
    let location = redirect(shared, &wanted.redirect_uri, wanted.state.as_deref(), &pairs);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn deny(shared: &Shared, wanted: &Wanted) -> Response {
    let pairs = [("error", "access_denied")];
    let location = redirect(shared, &wanted.redirect_uri, wanted.state.as_deref(), &pairs);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn redirect(shared: &Shared, uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
    let mut location = Url::parse(uri).expect("judged before");
    let (iss, wrong_iss) = shared.look(|state| (state.oauth.iss, state.oauth.wrong_iss.clone()));
    {
        let mut query = location.query_pairs_mut();
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        match wrong_iss {
            Some(wrong) => drop(query.append_pair("iss", &wrong)),
            None if iss => drop(query.append_pair("iss", &shared.issuer)),
            None => {}
        }
        query.extend_pairs(pairs);
    }
    location.into()
}

fn consent_page(fields: &Fields, wanted: &Wanted) -> Markup {
    page(
        "Sign in",
        &html! {
            h1 { "Sign in to the sandbox provider" }
            p { "The application " b { (wanted.client) } " wants to:" }
            form method="post" {
                @for (name, value) in &fields.0 {
                    @if !["account", "tick", "decision"].contains(&name.as_str()) {
                        input type="hidden" name=(name) value=(value);
                    }
                }
                ul {
                    @for scope in &wanted.scopes {
                        li { label { input type="checkbox" name="tick" value=(scope) checked; " " (scope) } }
                    }
                }
                label {
                    "Account "
                    input type="text" name="account" value=(wanted.login_hint.as_deref().unwrap_or_default());
                }
                p {
                    button type="submit" name="decision" value="approve" { "Approve" }
                    " "
                    button type="submit" name="decision" value="deny" { "Deny" }
                }
            }
        },
    )
}

fn error_page(error: &str) -> Markup {
    page("Error", &html! { h1 { "Access blocked" } p { "Error 400: " (error) } })
}

pub(super) fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) }
                style { "body{font-family:sans-serif;max-width:40em;margin:3em auto}li{list-style:none}" }
            }
            body { (body) }
        }
    }
}
