//! Reads SASL messages with a token: `XOAUTH2` and `OAUTHBEARER` (RFC 7628).

/// The content of a SASL message.
pub(crate) struct Claim {
    pub(crate) user: String,
    pub(crate) token: String,
}

impl Claim {
    /// Reads the decoded message of `mechanism`, given in upper case.
    pub(crate) fn read(mechanism: &str, message: &[u8]) -> Option<Self> {
        match mechanism {
            "XOAUTH2" => xoauth2(message),
            "OAUTHBEARER" => oauthbearer(message),
            _ => None,
        }
    }
}

/// `user=` USER ^A `auth=Bearer ` TOKEN ^A ^A
fn xoauth2(message: &[u8]) -> Option<Claim> {
    let text = std::str::from_utf8(message).ok()?.strip_suffix("\x01\x01")?;
    let (user, auth) = text.split_once('\x01')?;
    let token = auth.strip_prefix("auth=Bearer ").filter(|token| !token.contains('\x01'))?;
    Some(Claim { user: user.strip_prefix("user=")?.to_owned(), token: token.to_owned() })
}

/// RFC 7628 §3.1: a GS2 header with the authzid, then key-value pairs.
fn oauthbearer(message: &[u8]) -> Option<Claim> {
    let text = std::str::from_utf8(message).ok()?.strip_suffix("\x01\x01")?;
    let (header, pairs) = text.split_once('\x01')?;
    let user = header.strip_prefix("n,a=")?.strip_suffix(',')?;
    let token = pairs.split('\x01').find_map(|pair| pair.strip_prefix("auth=Bearer "))?;
    let user = user.replace("=2C", ",").replace("=3D", "=");
    Some(Claim { user, token: token.to_owned() })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn claim(parse: fn(&[u8]) -> Option<Claim>, encoded: &str) -> Option<(String, String)> {
        parse(&STANDARD.decode(encoded).unwrap()).map(|claim| (claim.user, claim.token))
    }

    #[test]
    fn the_golden_vectors() {
        let alice = Some(("alice@example.com".to_owned(), "ya29.TEST".to_owned()));
        let vector = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ==";
        assert_eq!(claim(xoauth2, vector), alice);
        let vector = "bixhPWFsaWNlQGV4YW1wbGUuY29tLAFob3N0PWltYXAuZ21haWwuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHlhMjkuVEVTVAEB";
        assert_eq!(claim(oauthbearer, vector), alice);
        let vector = "bixhPWE9MkNiPTNEY0BleGFtcGxlLmNvbSwBaG9zdD1pbWFwLmV4YW1wbGUuY29tAXBvcnQ9OTkzAWF1dGg9QmVhcmVyIHlhMjkuVEVTVAEB";
        assert_eq!(
            claim(oauthbearer, vector),
            Some(("a,b=c@example.com".to_owned(), "ya29.TEST".to_owned()))
        );
    }

    #[test]
    fn a_message_with_two_tokens_is_refused() {
        assert!(xoauth2(b"user=a@b\x01auth=Bearer X\x01auth=Bearer Y\x01\x01").is_none());
    }
}
