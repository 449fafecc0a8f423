//! The pages that a browser sees at the end of a sign-in.
//!
//! A page shows nothing of the request but the provider's refusal, cleaned and escaped. It has no script, no
//! third-party content, no caching, and no referrer, because the address holds a code.

use axum::http::StatusCode;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::command;
use crate::oauth::{AdminConsent, AuthorizationCode, ProviderRefusal, RedirectError};

/// The page for a checked redirect.
pub(super) fn of(outcome: &Result<AuthorizationCode, RedirectError>) -> Response {
    match outcome {
        Ok(_) => page(
            StatusCode::OK,
            "Signed in",
            &html! {
                p { "The provider has answered. Go back to the program that asked you to sign in: it checks the answer now and says what comes next." }
                p { "You can close this window." }
            },
        ),
        Err(RedirectError::WrongState) => page(
            StatusCode::BAD_REQUEST,
            "Not this sign-in",
            &html! {
                p { "This is not the answer to the sign-in that waits here. Nothing was changed." }
                p { "Open the address that the program printed last, in this browser, and sign in once more." }
            },
        ),
        Err(RedirectError::AdminConsent(answer)) => of_administrator(*answer),
        Err(RedirectError::Refused(refusal)) => page(
            StatusCode::OK,
            "No access",
            &html! {
                p { (refusal) @if let Some(cure) = cure(refusal) { "; " (cure) } }
                @if let Some(description) = &refusal.description { p { "The provider says: " q { (description) } } }
            },
        ),
        Err(error) => notice(StatusCode::BAD_REQUEST, "No access", &error.to_string()),
    }
}

/// The page for an administrator who was asked to consent for everyone.
pub(super) fn of_administrator(answer: AdminConsent) -> Response {
    match answer {
        AdminConsent::Given => page(
            StatusCode::OK,
            "Consent received",
            &html! {
                p { "Thank you: people of this organisation can now give the mail proxy access to their own mail." }
                p { "The person who asked for it signs in now, at the address that the program printed first. You can close this window." }
            },
        ),
        AdminConsent::Refused => page(
            StatusCode::OK,
            "No consent",
            &html! {
                p { "The administrator has not consented, so nothing is changed, and Microsoft will go on asking for approval." }
                p { "The link can be opened again." }
            },
        ),
    }
}

/// The page for an administrator's answer that belongs to no known sign-in. The page does not confirm it, because
/// anyone can make up such an address.
pub(super) fn of_unasked_administrator(answer: AdminConsent) -> Response {
    let said = match answer {
        AdminConsent::Given => "The address of this page says that an administrator has consented.",
        AdminConsent::Refused => "The address of this page says that an administrator has not consented.",
    };
    page(
        StatusCode::OK,
        "Back at the mail proxy",
        &html! {
            p { (said) " Whether that holds is between your organisation and the provider: nothing was checked or changed here." }
            p { "The person who asked for it signs in again, and sees at once whether it holds. You can close this window." }
        },
    )
}

/// The cure, without the account, which the page must not reveal.
fn cure(refusal: &ProviderRefusal) -> Option<String> {
    let cure = refusal.cure.words(&command::authorize_account("ACCOUNT"));
    (!cure.is_empty()).then_some(cure)
}

/// The page for any path to which no redirect leads.
pub(super) fn not_found() -> Response {
    notice(StatusCode::NOT_FOUND, "Not found", "There is nothing here.")
}

/// The page for an answer that no sign-in waits for.
pub(super) fn not_expected() -> Response {
    notice(
        StatusCode::BAD_REQUEST,
        "Not expected",
        "No sign-in waits for this answer. Start it again where you started it.",
    )
}

/// Sends the browser on to `address`, which holds the answer.
pub(super) fn onwards(address: &str) -> Response {
    let headers = [
        (header::LOCATION, address),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// A page of one sentence.
pub(super) fn notice(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &html! { p { (text) } })
}

fn page(status: StatusCode, title: &str, content: &Markup) -> Response {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                meta name="robots" content="noindex";
                title { (title) " - imap-oauth-proxy" }
                style { "body{font:1.1em/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}" }
            }
            body {
                h1 { (title) }
                (content)
            }
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, html.into_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::flow::redirect::Expected;
    use crate::secret::Secret;

    async fn shown(outcome: &Result<AuthorizationCode, RedirectError>) -> String {
        let page = of(outcome);
        assert_eq!(page.status(), 200);
        let html = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(html.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_hostile_description_is_escaped() {
        let expected = Expected { state: Secret::new("s"), issuer: None, sends_iss: false, approval: None };
        let outcome =
            expected.judge("state=s&error=x%22%3E&error_description=%3Cscript%3Ealert(1)%3C/script%3E");
        let page = shown(&outcome).await;
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"),
            "{page}"
        );
    }

    #[tokio::test]
    async fn a_code_is_not_on_the_page() {
        let expected = Expected { state: Secret::new("s"), issuer: None, sends_iss: false, approval: None };
        let page = shown(&expected.judge("state=s&code=canary-code")).await;
        assert!(!page.contains("canary"));
    }
}
