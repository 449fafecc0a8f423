use proptest::prelude::*;
use serde_json::json;

use super::*;

fn reply(status: u16, body: &str) -> Reply {
    Reply { status, retry_after: None, body: Body::Whole(Zeroizing::new(body.as_bytes().to_vec())) }
}

fn refused(status: u16, body: &str) -> TokenError {
    object(&reply(status, body), &[]).unwrap_err()
}

fn class(error: &TokenError) -> Class {
    match error {
        TokenError::NeedsPerson(_) => Class::Person,
        TokenError::NeedsAdministrator(_) => Class::Administrator,
        TokenError::Passing { .. } => Class::Passing,
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn refusals_as_the_providers_write_them() {
    use Class::{Administrator, Passing, Person};
    for (status, body, is, code) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            Person,
            "invalid_grant",
        ),
        (400, r#"{"error":"invalid_grant","error_description":"Bad Request"}"#, Person, "invalid_grant"),
        (400, r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#, Person, "invalid_grant"),
        (
            401,
            r#"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#,
            Administrator,
            "invalid_client",
        ),
        (
            400,
            r#"{"error":"invalid_request","error_description":"client_secret is missing."}"#,
            Administrator,
            "invalid_request",
        ),
        (401, r#"{"error":"deleted_client"}"#, Administrator, "deleted_client"),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity.","error_codes":[700082]}"#,
            Person,
            "AADSTS700082",
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS50196: The server terminated an operation because it encountered a loop","error_codes":[50196]}"#,
            Passing,
            "AADSTS50196",
        ),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS53003: Access has been blocked by Conditional Access policies."}"#,
            Administrator,
            "AADSTS53003",
        ),
        (
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired.","error_codes":[7000222]}"#,
            Administrator,
            "AADSTS7000222",
        ),
        (400, r#"{"error":"invalid_grant","error_codes":[999999999]}"#, Person, "AADSTS999999999"),
        (400, r#"{"error":"interaction_required","error_codes":[50076]}"#, Person, "AADSTS50076"),
        (
            400,
            r#"{"error":"authorization_pending","error_description":"AADSTS70016: …","error_codes":[70016]}"#,
            Passing,
            "AADSTS70016",
        ),
        (400, r#"{"error":"temporarily_unavailable"}"#, Passing, "temporarily_unavailable"),
        (200, r#"{"error":"invalid_grant"}"#, Person, "invalid_grant"),
        (400, r#"{"error":"something_new"}"#, Passing, "something_new"),
        (401, r#"{"error":"something_new"}"#, Administrator, "something_new"),
        (403, r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#, Passing, "PERMISSION_DENIED"),
        (429, "Too Many Requests", Passing, "HTTP 429"),
        (429, r#"{"error":"invalid_grant"}"#, Passing, "HTTP 429"),
        (503, r#"{"error":"invalid_grant"}"#, Passing, "HTTP 503"),
        (408, "", Passing, "HTTP 408"),
        (302, "", Passing, "HTTP 302"),
        (401, "Unauthorized", Administrator, "HTTP 401"),
        (401, r#"{"message":"no"}"#, Administrator, "HTTP 401"),
        (403, "<html>", Passing, "HTTP 403"),
        (404, "<html>", Passing, "HTTP 404"),
        (200, "<html>Sign in to the hotel</html>", Passing, "HTTP 200"),
        (200, "", Passing, "HTTP 200"),
        (200, r#"{"access_token":"ya29"#, Passing, "HTTP 200"),
        (400, r#"["invalid_grant"]"#, Passing, "HTTP 400"),
        (400, r#"{"error":null}"#, Passing, "HTTP 400"),
    ] {
        let error = refused(status, body);
        assert_eq!((class(&error), error.refusal().code.as_str()), (is, code), "{status} {body}");
        assert_eq!(error.refusal().status, Some(status));
    }
}

#[test]
fn a_refusal_reads_as_cause_code_and_cure() {
    let error = refused(400, r#"{"error":"invalid_grant","error_codes":[700082]}"#);
    assert_eq!(
        error.trouble().line("imap-oauth-proxy authorize bob@corp.example"),
        "the refresh token expired because it was not used for 90 days (AADSTS700082, HTTP 400); \
         run `imap-oauth-proxy authorize bob@corp.example`"
    );
    let error = refused(429, "");
    assert_eq!(
        error.trouble().line("imap-oauth-proxy authorize bob@corp.example"),
        "the provider asks for fewer requests (HTTP 429); nothing is lost; wait and try again later"
    );
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let wait = |value: &str| {
        let reply = Reply { retry_after: Some(value.to_owned()), ..reply(429, "") };
        match object(&reply, &[]).unwrap_err() {
            TokenError::Passing { retry_after, .. } => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other}"),
        }
    };
    assert_eq!(wait("60"), Some(60));
    assert_eq!(wait(" 7 "), Some(7));
    assert_eq!(wait("99999999999"), Some(86_400));
    assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(0));
    assert_eq!(wait("Fri, 31 Dec 2199 23:59:59 GMT"), Some(86_400));
    assert_eq!(wait("-1"), None);
    assert_eq!(wait("soon"), None);
}

#[test]
fn microsofts_throttle_rests_a_minute_without_being_told() {
    let error = refused(400, r#"{"error":"invalid_grant","error_codes":[50196]}"#);
    assert!(matches!(error, TokenError::Passing { retry_after: Some(wait), .. } if wait.as_secs() == 60));
}

#[test]
fn a_byte_order_mark_is_no_reason_to_fail() {
    assert!(object(&reply(200, "\u{feff}{\"access_token\":\"a\"}"), &[]).is_ok());
}

#[test]
fn echoed_secrets_are_masked_everywhere() {
    let sent = [Secret::new("canary-1")];
    for body in [
        r#"{"error":"invalid_grant","error_description":"unknown token canary-1"}"#,
        r#"{"error":"canary-1","error_description":"canary-1"}"#,
        r#"{"error":{"status":"canary-1"}}"#,
    ] {
        let error = object(&reply(400, body), &sent).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{body}");
    }
}

/// A body, and the explicit error in it with Microsoft's number.
type Answered = (String, Option<(&'static str, Option<u64>)>);

fn body() -> impl Strategy<Value = Answered> {
    const ERRORS: [&str; 7] = [
        "invalid_grant",
        "consent_required",
        "invalid_client",
        "server_error",
        "slow_down",
        "x",
        "\n\u{1b}[0m",
    ];
    const NUMBERS: [u64; 4] = [50196, 700082, 53003, 1];
    let error = prop::sample::select(&ERRORS[..]);
    let number = prop::option::of(prop::sample::select(&NUMBERS[..]));
    prop_oneof![
        any::<String>().prop_map(|text| (text, None)),
        Just(("<html>no</html>".to_owned(), None)),
        Just((r#"{"access_token":"tr"#.to_owned(), None)),
        any::<i64>().prop_map(|life| (json!({"access_token": "a", "expires_in": life}).to_string(), None)),
        error.clone().prop_map(|error| (json!({"description": error}).to_string(), None)),
        (error, number).prop_map(|(error, number)| {
            let numbers = number.map(|number| vec![number]);
            (json!({"error": error, "error_codes": numbers}).to_string(), Some((error, number)))
        }),
    ]
}

/// The module's rules again, as a table.
fn expected(status: u16, error: Option<(&str, Option<u64>)>) -> Class {
    match (status, error) {
        (100..=199 | 300..=399 | 408 | 425 | 429 | 500.., _) => Class::Passing,
        (_, Some((_, Some(50196)))) => Class::Passing,
        (_, Some((_, Some(700082)))) => Class::Person,
        (_, Some((_, Some(53003)))) => Class::Administrator,
        (_, Some(("invalid_grant" | "consent_required", _))) => Class::Person,
        (_, Some(("invalid_client", _))) => Class::Administrator,
        (_, Some(("server_error" | "slow_down", _))) => Class::Passing,
        (401, _) => Class::Administrator,
        _ => Class::Passing,
    }
}

proptest! {
    /// Security checklist row 20: only an explicit refusal gives up a grant.
    #[test]
    fn whatever_an_endpoint_answers_no_grant_is_given_up_without_a_refusal(
        status in prop_oneof![Just(200_u16), Just(400), Just(401), 100..1000_u16],
        retry_after in prop::option::of(any::<String>()),
        (body, error) in body(),
    ) {
        let whole = Body::Whole(Zeroizing::new(body.into_bytes()));
        match object(&Reply { status, retry_after, body: whole }, &[]) {
            Ok(_) => prop_assert!((200..300).contains(&status) && error.is_none()),
            Err(refused) => {
                prop_assert_eq!(class(&refused), expected(status, error));
                let line = refused.trouble().line("COMMAND");
                prop_assert!(!line.contains(char::is_control), "{}", line);
            }
        }
    }
}
