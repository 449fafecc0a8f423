//! Scopes: which of them are for mail, and whether granted scopes cover those asked for.
//!
//! Only mail scopes are compared: providers rename or omit the identity ones (`email` comes back as
//! `https://www.googleapis.com/auth/userinfo.email`, `offline_access` not at all). An answer without `scope`
//! grants all that was asked for (RFC 6749 §5.1).

/// The mail scopes of `asked` that `granted` lacks, in the spelling of `asked`.
pub fn missing(asked: &[String], granted: Option<&[String]>) -> Vec<String> {
    let Some(granted) = granted else { return Vec::new() };
    asked
        .iter()
        .filter(|scope| is_for_mail(scope) && !granted.iter().any(|other| covers(other, scope)))
        .cloned()
        .collect()
}

/// Whether `scope` opens mail; other scopes identify the person, or ask for a refresh token.
pub fn is_for_mail(scope: &str) -> bool {
    const IDENTITY: [&str; 8] =
        ["openid", "email", "profile", "address", "phone", "offline", "offline_access", "userinfo"];
    !IDENTITY.iter().any(|known| known.eq_ignore_ascii_case(scope))
        && !scope.starts_with("https://www.googleapis.com/auth/userinfo.")
}

/// Ignores case and a trailing slash. Microsoft's two names for Outlook count as one, and `.default` covers every
/// scope on its host.
pub fn covers(granted: &str, asked: &str) -> bool {
    let (granted, asked) = (folded(granted), folded(asked));
    match asked.strip_suffix("/.default") {
        Some(resource) => granted.starts_with(resource),
        None => granted == asked,
    }
}

fn folded(scope: &str) -> String {
    let scope = scope.to_ascii_lowercase();
    scope.trim_end_matches('/').replace("://outlook.office365.com", "://outlook.office.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn only_mail_scopes_count() {
        const IMAP: &str = "https://outlook.office.com/IMAP.AccessAsUser.All";
        for (asked, granted, lacking) in [
            (
                "https://mail.google.com/ openid email",
                "https://mail.google.com/ openid https://www.googleapis.com/auth/userinfo.email",
                "",
            ),
            (
                "https://mail.google.com/ openid email",
                "openid https://www.googleapis.com/auth/userinfo.email",
                "https://mail.google.com/",
            ),
            (
                &format!("{IMAP} offline_access openid"),
                "https://outlook.office365.com/imap.accessasuser.all",
                "",
            ),
            (
                &format!("{IMAP} https://outlook.office.com/SMTP.Send"),
                IMAP,
                "https://outlook.office.com/SMTP.Send",
            ),
            ("https://outlook.office365.com/.default", "https://outlook.office365.com/IMAP.AccessAsApp", ""),
            ("openid profile email offline_access", "openid", ""),
            ("mail:imap_full", "mail:imap_ro", "mail:imap_full"),
        ] {
            assert_eq!(missing(&list(asked), Some(&list(granted))), list(lacking), "{asked} | {granted}");
        }
    }

    #[test]
    fn silence_means_as_asked() {
        assert!(missing(&list("https://mail.google.com/"), None).is_empty());
    }
}
