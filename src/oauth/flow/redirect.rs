//! Checks the redirect from the authorisation endpoint (RFC 6749 §4.1.2, RFC 9207 §2.4).
//!
//! `state` is checked first, before errors too, and in constant time, because a redirect with another `state`
//! does not answer our request. Then comes `iss`, so that no other provider's answer completes this flow,
//! then `error`, then `code`.

use std::borrow::Cow;
use std::fmt;

use url::{Url, form_urlencoded};

use super::approval::add_link;
use crate::oauth::ProviderRefusal;
use crate::oauth::http::answer::Words;
use crate::oauth::http::discovery::is_issuer;
use crate::oauth::meaning::text;
use crate::secret::{Secret, same_bytes};

/// A longer pasted text is no redirect of a provider.
const LONGEST_PASTE: usize = 16 * 1024;

/// An authorisation code. With its verifier it can be redeemed for a grant for some minutes.
pub struct AuthorizationCode(pub(in crate::oauth) Secret);

impl fmt::Debug for AuthorizationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[code]")
    }
}

/// The values that the answer to one request must hold.
#[derive(Debug)]
pub(in crate::oauth) struct Expected {
    pub(in crate::oauth) state: Secret,
    pub(in crate::oauth) issuer: Option<String>,
    /// The issuer is known to send `iss`, so an answer without `iss` comes from another one.
    pub(in crate::oauth) sends_iss: bool,
    /// The link for an administrator, if the person may not consent.
    pub(in crate::oauth) approval: Option<Url>,
}

/// Why a redirect yields no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// The redirect does not answer this request. Keep waiting for one that does.
    #[error("this is not the answer to the sign-in that waits here; use the address that was printed last")]
    WrongState,
    /// The answer comes from another provider, or is forged (RFC 9207 §2.4). The flow is over.
    #[error("the answer comes from another provider ({0}); start again, and report it if it happens twice")]
    WrongIssuer(String),
    /// The provider or the person refused. The flow is over.
    #[error("{0}")]
    Refused(Box<ProviderRefusal>),
    /// An administrator's answer to the consent request for the whole tenant (Microsoft). It does not answer this
    /// sign-in, which the person still has to complete: continue to wait.
    #[error("{}", AdminConsent::words(*.0))]
    AdminConsent(AdminConsent),
    /// The redirect is not one that a provider sends.
    #[error("{0}")]
    Malformed(&'static str),
}

/// An administrator's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminConsent {
    /// Users of the tenant can now sign in.
    Given,
    /// Users of the tenant cannot sign in.
    Refused,
}

impl AdminConsent {
    fn words(self) -> &'static str {
        match self {
            Self::Given => {
                "the administrator has consented; now sign in at the address that was printed first"
            }
            Self::Refused => {
                "the administrator has not consented, so Microsoft will not let the sign-in through"
            }
        }
    }

    /// The answer in a redirect's query: `admin_consent=True&tenant=…`, with `error` if the administrator refused.
    pub(in crate::oauth) fn of(query: &str) -> Option<Self> {
        if !has(query, "admin_consent") || has(query, "code") {
            return None;
        }
        let given = one(query, "admin_consent").ok().flatten();
        let is_given = given.is_some_and(|given| given.eq_ignore_ascii_case("true")) && !has(query, "error");
        Some(if is_given { Self::Given } else { Self::Refused })
    }
}

impl Expected {
    /// The code in a redirect's query.
    pub(in crate::oauth) fn judge(&self, query: &str) -> Result<AuthorizationCode, RedirectError> {
        let state = one(query, "state").ok().flatten().ok_or(RedirectError::WrongState)?;
        if !same_bytes(state.as_bytes(), self.state.expose().as_bytes()) {
            return Err(RedirectError::WrongState);
        }
        if let Some(answer) = AdminConsent::of(query) {
            return Err(RedirectError::AdminConsent(answer));
        }
        let error = one(query, "error")?;
        self.judge_issuer(one(query, "iss")?, error.is_some())?;
        if let Some(error) = error {
            let description = one(query, "error_description")?.unwrap_or_default();
            let subtype = one(query, "error_subtype")?;
            let words = Words { error: &error, subtype: subtype.as_deref(), description: &description };
            let (_, mut refusal) = words.explain(std::iter::empty(), None, &[]);
            add_link(&mut refusal, self.approval.as_ref());
            return Err(RedirectError::Refused(refusal));
        }
        match one(query, "code")? {
            Some(code) if !code.is_empty() => Ok(AuthorizationCode(Secret::new(code))),
            _ => Err(RedirectError::Malformed(
                "the provider's answer holds neither a code nor an error; try again",
            )),
        }
    }

    /// Checks `iss`. It may be missing in errors, because Google does not document whether it sends `iss`
    /// there.
    fn judge_issuer(&self, sent: Option<Cow<'_, str>>, is_error: bool) -> Result<(), RedirectError> {
        let Some(expected) = &self.issuer else { return Ok(()) };
        match sent {
            Some(sent) if is_issuer(expected, &sent) => Ok(()),
            Some(sent) => Err(RedirectError::WrongIssuer(text::plain(&sent, 200))),
            None if self.sends_iss && !is_error => {
                Err(RedirectError::WrongIssuer("it names none".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// The code in a pasted address: the whole address, quoted, wrapped by the terminal, or only its query.
    pub(in crate::oauth) fn judge_pasted(&self, pasted: &str) -> Result<AuthorizationCode, RedirectError> {
        if pasted.len() > LONGEST_PASTE {
            return Err(RedirectError::Malformed(
                "this is too long to be the address that the browser was sent to",
            ));
        }
        let joined: String = pasted.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        let address = joined.trim_matches(['"', '\'', '<', '>', '`']);
        let query = address.split_once('?').map_or(address, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        if !has(query, "state") {
            return Err(RedirectError::Malformed(
                "paste the whole address from the browser's address bar, the one that holds `state=` and `code=`",
            ));
        }
        if has(query, "code_challenge") {
            return Err(RedirectError::Malformed(
                "this is the address to open; paste the one that the browser shows after the sign-in",
            ));
        }
        self.judge(query)
    }
}

/// The `state` in a redirect's query, for finding its request; then check the redirect with
/// [`crate::oauth::AuthorizationRequest::judge`].
pub fn state_of(query: &str) -> Option<Secret> {
    one(query, "state").ok().flatten().map(Secret::new)
}

fn has(query: &str, name: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == name)
}

/// The value of a parameter that may occur only once (RFC 6749 §3.1).
fn one<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, RedirectError> {
    let mut found =
        form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (value, None) => Ok(value),
        _ => Err(RedirectError::Malformed("the answer holds a parameter twice; try again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOGLE: &str = "https://accounts.google.com";

    fn expected() -> Expected {
        Expected {
            state: Secret::new("s-1"),
            issuer: Some(GOOGLE.to_owned()),
            sends_iss: true,
            approval: None,
        }
    }

    fn judge(query: &str) -> Result<String, RedirectError> {
        expected().judge(query).map(|code| code.0.expose().to_owned())
    }

    #[test]
    fn state_is_judged_before_anything_else() {
        for query in [
            "",
            "code=c",
            "state=&code=c",
            "state=s-2&code=c",
            "state=s-2&error=access_denied",
            "state=s-1x&code=c",
            "state=s-1&state=s-1&code=c",
            "state=s-2&state=s-1&code=c",
            "error=access_denied&iss=https://evil.example",
        ] {
            assert_eq!(judge(query), Err(RedirectError::WrongState), "{query}");
        }
    }

    #[test]
    fn a_code_is_taken_from_the_right_issuer_only() {
        let code = "state=s-1&iss=https%3A%2F%2Faccounts.google.com&code=4%2F0A&scope=x&authuser=0";
        assert_eq!(judge(code), Ok("4/0A".to_owned()));
        assert!(matches!(judge("state=s-1&code=c"), Err(RedirectError::WrongIssuer(_))));
        assert!(matches!(
            judge("state=s-1&code=c&iss=https://evil.example"),
            Err(RedirectError::WrongIssuer(_))
        ));
        assert!(matches!(
            judge("state=s-1&error=access_denied&iss=https://evil.example"),
            Err(RedirectError::WrongIssuer(_))
        ));
    }

    #[test]
    fn microsofts_issuer_may_hold_any_tenant() {
        let issuer = Some("https://login.microsoftonline.com/{tenantid}/v2.0".to_owned());
        let expected = Expected { state: Secret::new("s"), issuer, sends_iss: false, approval: None };
        assert!(expected.judge("state=s&code=c").is_ok());
        assert!(expected.judge("state=s&code=c&iss=https://login.microsoftonline.com/1234/v2.0").is_ok());
        assert!(expected.judge("state=s&code=c&iss=https://login.evil.example/1234/v2.0").is_err());
    }

    #[test]
    fn an_error_comes_with_meaning_and_remedy() {
        let Err(RedirectError::Refused(refusal)) =
            judge("state=s-1&error=access_denied&error_description=no%0d%0a%1b%5B2Jway")
        else {
            panic!("it is refused")
        };
        assert_eq!(
            (refusal.code.as_str(), refusal.description.as_deref()),
            ("access_denied", Some("no [2Jway"))
        );
        assert!(refusal.cure.words("COMMAND").contains("run `COMMAND`"));
    }

    #[test]
    fn an_administrators_answer_is_none_to_the_sign_in() {
        for (query, answer) in [
            ("state=s-1&admin_consent=True&tenant=t&scope=x", AdminConsent::Given),
            ("state=s-1&admin_consent=False&tenant=t", AdminConsent::Refused),
            (
                "state=s-1&admin_consent=True&error=access_denied&error_description=AADSTS65004",
                AdminConsent::Refused,
            ),
        ] {
            assert_eq!(judge(query), Err(RedirectError::AdminConsent(answer)), "{query}");
        }
        assert_eq!(judge("state=s-2&admin_consent=True"), Err(RedirectError::WrongState));
    }

    #[test]
    fn a_want_of_approval_comes_with_the_administrators_link() {
        let approval = Url::parse("https://login.example/t/v2.0/adminconsent?state=s").unwrap();
        let expected = Expected {
            state: Secret::new("s"),
            issuer: None,
            sends_iss: false,
            approval: Some(approval.clone()),
        };
        for code in ["90094", "90095", "65001"] {
            let query = format!("state=s&error=access_denied&error_description=AADSTS{code}:+no");
            let Err(RedirectError::Refused(refusal)) = expected.judge(&query) else {
                panic!("it is refused")
            };
            assert!(refusal.cure.words("COMMAND").ends_with(approval.as_str()), "{refusal:?}");
        }
        let Err(RedirectError::Refused(refusal)) = expected.judge("state=s&error=access_denied") else {
            panic!("it is refused")
        };
        assert!(!refusal.cure.words("COMMAND").contains("adminconsent"), "{refusal:?}");
    }

    #[test]
    fn an_answer_without_code_or_with_two_is_malformed() {
        for query in [
            "state=s-1&iss=https://accounts.google.com",
            "state=s-1&iss=https://accounts.google.com&code=a&code=b",
        ] {
            assert!(matches!(judge(query), Err(RedirectError::Malformed(_))), "{query}");
        }
    }

    #[test]
    fn a_pasted_address_is_taken_as_people_paste_it() {
        let query = "state=s-1&iss=https://accounts.google.com&code=c";
        for pasted in [
            format!("http://127.0.0.1/callback?{query}"),
            format!("  \"http://127.0.0.1:4711/callback?{query}\"\r\n"),
            format!("<https://mail.example/oauth?{query}#>"),
            format!("?{query}"),
            query.to_owned(),
            format!("http://localhost/?{}\n{}", &query[..20], &query[20..]),
        ] {
            assert!(expected().judge_pasted(&pasted).is_ok(), "{pasted}");
        }
    }

    #[test]
    fn a_wrong_paste_says_what_to_paste() {
        let said = |pasted: &str| expected().judge_pasted(pasted).unwrap_err().to_string();
        assert!(said("4/0AfJohX").contains("whole address"));
        assert!(
            said("https://accounts.google.com/o/oauth2/v2/auth?state=s-1&code_challenge=x")
                .contains("address to open")
        );
        assert!(said(&"x".repeat(20_000)).contains("too long"));
        assert_eq!(
            expected().judge_pasted("http://a/?state=s-2&code=c").unwrap_err(),
            RedirectError::WrongState
        );
    }
}
