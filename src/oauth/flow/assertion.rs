//! A federated credential: another service signs an assertion of who this client is (RFC 7523 §2.2), and keeps a fresh
//! one in a file, as Kubernetes and Azure do (`AZURE_FEDERATED_TOKEN_FILE`).
//!
//! The file is read at each use and nothing of it is kept, so the newest assertion is used. The proxy cannot check the
//! signature, which is for the provider. It does check the expiry, because a provider that refuses an expired assertion
//! names neither the file nor the program that writes it. A file that is missing, empty or too old costs no grant: the
//! next refresh reads the file again.

// Dates and spans from files, the store and peers: no sum of them may overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::key_file;
use crate::oauth::TokenError;
use crate::oauth::meaning::text;
use crate::secret::Secret;
use crate::trouble::Cure;

/// A longer file is no assertion.
const LONGEST: u64 = 64 * 1024;

const KEY: &str = "client_assertion_file";

/// The assertion in `path`; an error if it has expired at `now`.
pub(in crate::oauth) async fn read(path: &Path, now: OffsetDateTime) -> Result<Secret, TokenError> {
    let read = key_file::read(path, LONGEST).await;
    let content = read.map_err(|error| unusable(path, &format!("cannot be read: {error}")))?;
    let assertion = std::str::from_utf8(&content).unwrap_or_default().trim();
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(unusable(path, "is empty"));
    }
    let claims = claims(assertion).ok_or_else(|| unusable(path, "holds no signed assertion (JWT)"))?;
    if let Some(end) = end(&claims)
        && end <= now
    {
        let end = end.replace_nanosecond(0).unwrap_or(end);
        let (day, hour, minute) = (end.date(), end.hour(), end.minute());
        return Err(unusable(
            path,
            &format!("holds an assertion that ended on {day} at {hour:02}:{minute:02} UTC"),
        ));
    }
    Ok(Secret::new(assertion))
}

/// The claims of a JWT (RFC 7519 §7.2). An assertion may lack an expiry: some providers accept that.
fn claims(assertion: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let [_, claims, _] = assertion.split('.').collect::<Vec<_>>()[..] else { return None };
    let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(claims).ok()?);
    serde_json::from_slice(&decoded).ok()
}

fn end(claims: &serde_json::Map<String, serde_json::Value>) -> Option<OffsetDateTime> {
    let seconds = claims.get("exp")?.as_f64()?;
    // `as` saturates, and a date outside of the calendar counts as no expiry.
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

fn unusable(path: &Path, why: &str) -> TokenError {
    let name = text::plain(&path.display().to_string(), 300);
    TokenError::local(
        "client_assertion",
        format!("the client assertion file {name} {why}"),
        Cure::configure(
            KEY,
            "check that the program that writes the file runs, or correct client_assertion_file",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    async fn said(content: &[u8]) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        match read(file.path(), now).await {
            Ok(assertion) => Ok(assertion.expose().to_owned()),
            Err(error) => Err(error.trouble().line("COMMAND")),
        }
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
    }

    #[tokio::test]
    async fn an_assertion_is_taken_as_it_stands_while_it_holds() {
        for claims in [format!("{{\"exp\": {}}}", NOW + 1), "{}".to_owned(), r#"{"exp": "soon"}"#.to_owned()]
        {
            let assertion = jwt(&claims);
            assert_eq!(said(format!("  {assertion}\r\n").as_bytes()).await, Ok(assertion));
        }
    }

    #[tokio::test]
    async fn what_is_of_no_use_is_one_sentence_with_its_cure() {
        for (content, says) in [
            (Vec::new(), "is empty"),
            (b" \n".to_vec(), "is empty"),
            (b"a secret".to_vec(), "holds no signed assertion"),
            (b"a.b.c".to_vec(), "holds no signed assertion"),
            (vec![0xff; 100_000], "holds no signed assertion"),
            (jwt(r#"{"exp": 1700000000}"#).into_bytes(), "ended on 2023-11-14 at 22:13 UTC"),
            (jwt(r#"{"exp": -1e300}"#).into_bytes(), ""),
        ] {
            match said(&content).await {
                Err(line) => {
                    assert!(line.contains(says) && line.contains("client_assertion_file"), "{line}");
                    assert!(!line.contains("a secret"), "{line}");
                }
                Ok(_) => assert_eq!(says, ""),
            }
        }
        let now = OffsetDateTime::UNIX_EPOCH;
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [directory.path(), &pipe] {
            let no_file = read(path, now).await.unwrap_err();
            assert!(no_file.to_string().contains("it is no regular file"), "{no_file}");
        }
        let missing = read(Path::new("/nonexistent/assertion"), now).await.unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/assertion cannot be read"), "{missing}");
        assert!(matches!(missing, TokenError::NeedsAdministrator(_)), "it costs no grant");
    }
}
