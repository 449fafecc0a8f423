//! `/grants`: the authorisations, with their accounts and their ends.

use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::caller::{Reader, Writer};
use super::input::{InBody, InPath, InQuery, page, rows};
use super::problem::{Answer, Problem};
use crate::control::grants::{self, AtProvider, Pages};
use crate::control::serving::NoConsent;
use crate::control::{Error, Installation, authorize, limits, overviews, providers};
use crate::secret::Secret;
use crate::surface::cures::chain;
use crate::surface::grants::{Grant, Wanted};
use crate::surface::times::{rfc3339, span};
use crate::text::one_line;

/// Far above the length of any provider's refresh tokens; Microsoft's come near two kilobytes.
const LONGEST_REFRESH_TOKEN: usize = 16 * 1024;

/// The filter and the cut of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(default)]
    needs_person: bool,
    ends_within: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
}

pub(super) async fn list(reader: Reader, InQuery(query): InQuery<Query>) -> Result<Response, Problem> {
    let limit = rows(query.limit)?;
    let ends_within = query.ends_within.as_deref().map(|text| {
        span(text).ok_or_else(|| Problem::malformed("ends_within is a number of days or hours: 14d, 12h"))
    });
    let ends_within = ends_within.transpose()?;
    let wanted = Wanted { needs_person: query.needs_person, ends_within };
    let (now, mut pages, mut rows) = (OffsetDateTime::now_utc(), Pages::after(query.after), Vec::new());
    // One row more than is shown, to know whether there is a next page.
    while rows.len() <= limit {
        let overviews = pages.next(&reader.installation).await?;
        if overviews.is_empty() {
            break;
        }
        let wanted = overviews.into_iter().filter(|overview| wanted.holds(overview, now));
        rows.extend(wanted.map(|overview| Grant::new(overview, now)).take(limit + 1 - rows.len()));
    }
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more).map(|last| last.account.as_str());
    let filters = [
        ("needs_person", query.needs_person.then_some("true")),
        ("ends_within", query.ends_within.as_deref()),
    ];
    Ok(page(&rows, "/grants", limit, &filters, last))
}

pub(super) async fn one(reader: Reader, InPath(name): InPath<String>) -> Answer<Grant> {
    shown(&reader.installation, &name).await
}

async fn shown(installation: &Installation, name: &str) -> Answer<Grant> {
    let single = overviews::one(installation, name).await?;
    Ok(Json(Grant::new(single.overview, OffsetDateTime::now_utc())))
}

/// A new access token, without the token.
#[derive(Serialize)]
pub(super) struct Refreshed {
    account: String,
    access_expires_at: Option<String>,
}

pub(super) async fn refresh(writer: Writer, InPath(name): InPath<String>) -> Answer<Refreshed> {
    let (account, token) = grants::refresh(&writer.installation, &name).await?;
    Ok(Json(Refreshed { account, access_expires_at: rfc3339(Some(token.expires_at)) }))
}

/// An ended grant.
#[derive(Serialize)]
pub(super) struct Revoked {
    owner: String,
    /// The other accounts that it opened.
    others: Vec<String>,
    provider: String,
    /// The result at the provider: `revoked`, `by_hand`, `application`, `not_opened`, `failed`, `not_configured`.
    at_provider: &'static str,
    /// What a person has to do at the provider, or why the revocation failed.
    detail: Option<String>,
}

pub(super) async fn revoke(
    Writer { installation, .. }: Writer,
    InPath(name): InPath<String>,
) -> Answer<Revoked> {
    let revoked = grants::revoke(&installation, &name).await?;
    let (provider, at_provider, detail) = match &revoked.provider {
        Err(name) => (name.clone(), "not_configured", None),
        Ok(provider) => {
            let there = revoked.at(&installation.config, provider).await;
            let by_hand = provider.revoke_page.as_ref().map(ToString::to_string);
            let (word, detail) = match there {
                AtProvider::Application => ("application", None),
                AtProvider::NotOpened => ("not_opened", by_hand),
                AtProvider::Revoked => ("revoked", None),
                AtProvider::ByHand(instruction) => ("by_hand", Some(instruction)),
                AtProvider::Failed(error) => ("failed", Some(one_line(&chain(&error)))),
            };
            (provider.name.clone(), word, detail)
        }
    };
    let (owner, others) = (revoked.owner.clone(), revoked.others.clone());
    Ok(Json(Revoked { owner, others, provider, at_provider, detail }))
}

/// A refresh token from elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    account: String,
    provider: String,
    refresh_token: Secret,
    protocols: Option<Vec<String>>,
}

pub(super) async fn import(
    Writer { installation, .. }: Writer,
    InBody(import): InBody<Import>,
) -> Result<(StatusCode, Json<Grant>), Problem> {
    let Import { account, provider, refresh_token, protocols } = import;
    let token = refresh_token.expose();
    let is_token = !token.is_empty()
        && token.len() <= LONGEST_REFRESH_TOKEN
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token {
        return Err(Problem::invalid("refresh_token is no refresh token"));
    }
    let provider = providers::named(&installation.config, &provider)?;
    let doors = protocols.map(|names| limits::doors(&names.join(","))).transpose()?;
    let doors = doors.as_deref();
    installation.verify_key().await?;
    authorize::check_import(&installation, &provider, &account, doors).await?;
    let stored =
        authorize::import(&installation, &provider, &account, doors, refresh_token, &mut |_| ()).await?;
    Ok((StatusCode::CREATED, shown(&installation, &stored.account).await?))
}

/// The address at which a person signs in again.
#[derive(Serialize)]
pub(super) struct Link {
    account: String,
    sign_in_url: String,
}

pub(super) async fn sign_in_link(writer: Writer, InPath(name): InPath<String>) -> Answer<Link> {
    let record = writer.installation.exact_account(&name).await?;
    let account = record.account.name;
    if record.grant.is_none() {
        return Err(Error::NoGrant { account }.into());
    }
    match writer.site.running.sign_in_link(&account, writer.actor()).await {
        Ok(Some(url)) => Ok(Json(Link { account, sign_in_url: url.expose().to_owned() })),
        Err(NoConsent::Failed(error)) => Err((*error).into()),
        Ok(None) | Err(_) => Err(Problem::conflict(
            "no person's consent mends this account, or the page has no address for links",
        )),
    }
}
