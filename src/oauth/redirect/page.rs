//! The pages that a browser sees at the end of a sign-in.
//!
//! Nothing of the request is echoed but the provider's refusal, cleaned and escaped. No script, no
//! third-party content, no caching, and no referrer, as the address holds a code.

use maud::{DOCTYPE, Markup, html};

use super::{Code, RedirectError};

/// Sent with every page.
pub const HEADERS: [(&str, &str); 6] = [
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

/// The status and the page for a judged redirect.
pub fn of(outcome: &Result<Code, RedirectError>) -> (u16, String) {
    match outcome {
        Ok(_) => (
            200,
            page(
                "Signed in",
                &html! {
                    p { "The provider has answered. Go back to the program that asked you to sign in: it checks the answer now and says what comes next." }
                    p { "You can close this window." }
                },
            ),
        ),
        Err(RedirectError::WrongState) => (
            400,
            page(
                "Not this sign-in",
                &html! {
                    p { "This is not the answer to the sign-in that waits here. Nothing was changed." }
                    p { "Open the address that the program printed last, in this browser, and sign in once more." }
                },
            ),
        ),
        Err(RedirectError::Refused(refusal)) => (
            200,
            page(
                "No access",
                &html! {
                    p { (refusal.one_line("ACCOUNT")) }
                    @if let Some(description) = &refusal.description { p { "The provider says: " q { (description) } } }
                },
            ),
        ),
        Err(error) => (400, page("No access", &html! { p { (error.to_string()) } })),
    }
}

/// A page for a request that is no redirect of a provider.
pub fn notice(title: &str, text: &str) -> String {
    page(title, &html! { p { (text) } })
}

fn page(title: &str, content: &Markup) -> String {
    let page = html! {
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
    page.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::redirect::Expected;
    use crate::secret::Secret;

    #[test]
    fn a_hostile_description_is_escaped() {
        let expected = Expected { state: Secret::new("s"), issuer: None, sends_iss: false };
        let outcome =
            expected.judge("state=s&error=x%22%3E&error_description=%3Cscript%3Ealert(1)%3C/script%3E");
        let (status, page) = of(&outcome);
        assert_eq!(status, 200);
        assert!(
            page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"),
            "{page}"
        );
    }

    #[test]
    fn a_code_is_not_on_the_page() {
        let expected = Expected { state: Secret::new("s"), issuer: None, sends_iss: false };
        let (status, page) = of(&expected.judge("state=s&code=canary-code"));
        assert_eq!(status, 200);
        assert!(!page.contains("canary"));
    }
}
