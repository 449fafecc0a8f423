//! The answers of the token endpoint: RFC 6749 §5.1 and §5.2 in the words of Google, of Microsoft, or of the
//! RFC.

use serde_json::{Value, json};

use crate::flavour::Vendor;

/// Why a token request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The refresh token is unknown, expired, revoked or used up.
    GrantDead,
    /// The code is unknown, used up, or belongs to another redirect URI or client.
    CodeBad,
    VerifierMissing,
    VerifierWrong,
    ClientUnknown,
    SecretMissing,
    SecretWrong,
    /// A public client sent a secret.
    SecretUnwanted,
    AssertionBad,
    ScopeBad,
    /// The person did not consent to a scope.
    ConsentMissing,
    GrantTypeUnknown,
    Malformed,
    DevicePending,
    DeviceSlowDown,
    DeviceDeclined,
    DeviceExpired,
    DeviceUnknown,
}

impl Refusal {
    /// The status and the body.
    pub(crate) fn body(self, vendor: Vendor) -> (u16, Value) {
        let (error, google, number, microsoft) = self.words();
        let error = match (self, vendor) {
            (Self::SecretMissing, Vendor::Google) => "invalid_request",
            (Self::DeviceDeclined, Vendor::Microsoft) => "authorization_declined",
            (Self::DeviceUnknown, Vendor::Microsoft) => "bad_verification_code",
            (Self::ClientUnknown, Vendor::Microsoft) => "unauthorized_client",
            _ => error,
        };
        let status = if error == "invalid_client" { 401 } else { 400 };
        let body = match vendor {
            Vendor::Microsoft => aadsts(error, number, microsoft),
            Vendor::Google | Vendor::Generic => json!({ "error": error, "error_description": google }),
        };
        (status, body)
    }

    /// `error`, Google's description, Microsoft's number and text.
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn words(self) -> (&'static str, &'static str, u32, &'static str) {
        match self {
            Self::GrantDead => (
                "invalid_grant",
                "Token has been expired or revoked.",
                70000,
                "Provided grant is invalid or malformed.",
            ),
            Self::CodeBad => {
                ("invalid_grant", "Bad Request", 54005, "OAuth2 Authorization code was already redeemed.")
            }
            Self::VerifierMissing => {
                ("invalid_grant", "Missing code verifier", 50148, "A code verifier is required.")
            }
            Self::VerifierWrong => (
                "invalid_grant",
                "Invalid code verifier.",
                501_481,
                "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            ),
            Self::ClientUnknown => (
                "invalid_client",
                "The OAuth client was not found.",
                700_016,
                "Application was not found in the directory.",
            ),
            Self::SecretMissing => (
                "invalid_client",
                "client_secret is missing.",
                7_000_218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            ),
            Self::SecretWrong => {
                ("invalid_client", "Unauthorized", 7_000_215, "Invalid client secret provided.")
            }
            Self::SecretUnwanted => (
                "invalid_client",
                "The client has no secret.",
                700_025,
                "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
            ),
            Self::AssertionBad => (
                "invalid_grant",
                "Invalid JWT Signature.",
                700_027,
                "Client assertion failed signature validation.",
            ),
            Self::ScopeBad => (
                "invalid_scope",
                "Some requested scopes were invalid.",
                70011,
                "The provided scope is not valid.",
            ),
            Self::ConsentMissing => (
                "invalid_grant",
                "Not a valid scope: nobody consented to it.",
                65001,
                "The user or administrator has not consented to use the application with ID 'sandbox-client' named \
                 'Sandbox'. Send an interactive authorization request for this user and resource.",
            ),
            Self::GrantTypeUnknown => {
                ("unsupported_grant_type", "Invalid grant_type", 70003, "The grant type is not supported.")
            }
            Self::Malformed => {
                ("invalid_request", "Missing required parameter.", 900_144, "The request body is malformed.")
            }
            Self::DevicePending => (
                "authorization_pending",
                "Precondition Required",
                70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            ),
            Self::DeviceSlowDown => ("slow_down", "Rate limit exceeded.", 70016, "Polling too fast."),
            Self::DeviceDeclined => ("access_denied", "Forbidden", 65004, "User declined to consent."),
            Self::DeviceExpired => {
                ("expired_token", "The device code has expired.", 70019, "Verification code expired.")
            }
            Self::DeviceUnknown => {
                ("invalid_grant", "Malformed device code.", 70018, "Bad verification code.")
            }
        }
    }
}

/// A Microsoft error body.
pub(crate) fn aadsts(error: &str, code: u32, text: &str) -> Value {
    let trace = "00000000-0000-0000-0000-000000000000";
    let correlation = "00000000-0000-0000-0000-000000000001";
    let stamp = "2026-04-01 00:00:01Z";
    json!({
        "error": error,
        "error_description": format!(
            "AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    })
}

/// The scopes as the vendor's answer lists them.
pub(crate) fn told_scopes(vendor: Vendor, granted: &[String]) -> String {
    let tell = |scope: &String| match (vendor, scope.as_str()) {
        (Vendor::Google, "email") => Some("https://www.googleapis.com/auth/userinfo.email".to_owned()),
        (Vendor::Google, "profile") => Some("https://www.googleapis.com/auth/userinfo.profile".to_owned()),
        (Vendor::Microsoft, "openid" | "email" | "profile" | "offline_access") => None,
        (_, other) => Some(other.to_owned()),
    };
    granted.iter().filter_map(tell).collect::<Vec<_>>().join(" ")
}
