//! Microsoft's page where an administrator consents for everyone in the tenant, who has just pressed Accept.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::authorize::{error_page, redirect, redirect_allowed};
use super::{Fields, words};
use crate::state::Shared;

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let client = fields.get("client_id").and_then(|id| shared.look(|state| state.clients.get(id).cloned()));
    let (Some(client), Some(scope), Some(redirect_uri)) =
        (client, fields.get("scope"), fields.get("redirect_uri"))
    else {
        return super::html(StatusCode::BAD_REQUEST, error_page("AADSTS900144: a parameter is missing"));
    };
    if tenant == "common" || tenant == "consumers" {
        let words = "AADSTS90130: Application is not supported over the /common or /consumers endpoints";
        return super::html(StatusCode::BAD_REQUEST, error_page(words));
    }
    let known = shared.scopes();
    if !words(scope).iter().all(|asked| known.contains(asked) && asked.contains("://")) {
        return super::html(
            StatusCode::BAD_REQUEST,
            error_page("AADSTS70011: the scope is not of a resource"),
        );
    }
    if !redirect_allowed(shared.vendor, &client, redirect_uri) {
        return super::html(StatusCode::BAD_REQUEST, error_page("AADSTS50011: redirect_uri"));
    }
    shared.change(|state| state.oauth.wall = None);
    let pairs =
        [("admin_consent", "True"), ("tenant", "00000000-0000-0000-0000-000000000003"), ("scope", scope)];
    let location = redirect(&shared, redirect_uri, fields.get("state"), &pairs);
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}
