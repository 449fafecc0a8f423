//! The IMAP server's dialects and the authorisation server's vendors.

/// A provider's IMAP dialect: greeting, capabilities and when they are sent, texts, refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavour {
    /// Gmail: greeting without capabilities, an untagged CAPABILITY before the OK of a login, refusals with a
    /// challenge.
    #[default]
    Gmail,
    /// Exchange Online: no unsolicited capabilities, refusals without a challenge.
    Exchange,
    /// Exchange Online as seen since 2025: LOGINDISABLED, no AUTH=PLAIN.
    ExchangeLoginDisabled,
    /// Yahoo.
    Yahoo,
    /// A server that offers OAUTHBEARER alone, with an initial response.
    OauthbearerOnly,
    /// A server that accepts no initial response.
    NoSaslIr,
}

/// An authorisation server's habits: answers, errors, redirect URI rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Google: client secret required, any port on a loopback address, no rotation, `iss` in redirects.
    Google,
    /// Microsoft: public client without a secret, any port on `localhost`, rotation, AADSTS numbers.
    Microsoft,
    /// No vendor in particular: RFC 6749 only.
    Generic,
}

impl Flavour {
    /// The vendor that belongs to this dialect.
    pub fn vendor(self) -> Vendor {
        match self {
            Self::Gmail => Vendor::Google,
            Self::Exchange | Self::ExchangeLoginDisabled => Vendor::Microsoft,
            Self::Yahoo | Self::OauthbearerOnly | Self::NoSaslIr => Vendor::Generic,
        }
    }
}

impl Vendor {
    /// The scope that opens a mailbox over IMAP.
    pub fn mail_scope(self) -> &'static str {
        match self {
            Self::Google => "https://mail.google.com/",
            Self::Microsoft => "https://outlook.office.com/IMAP.AccessAsUser.All",
            Self::Generic => "mail",
        }
    }

    /// The scope that opens a mailbox over POP3.
    pub fn pop3_scope(self) -> &'static str {
        match self {
            Self::Microsoft => "https://outlook.office.com/POP.AccessAsUser.All",
            Self::Google | Self::Generic => self.mail_scope(),
        }
    }

    /// The scope that lets a client send mail.
    pub fn submission_scope(self) -> &'static str {
        match self {
            Self::Microsoft => "https://outlook.office.com/SMTP.Send",
            Self::Google | Self::Generic => self.mail_scope(),
        }
    }

    /// The scopes that a client asks for: mail, identity and an offline grant.
    pub fn scopes(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Google => &[self.mail_scope(), "openid", "email"],
            Self::Microsoft => &[self.mail_scope(), "offline_access", "openid", "profile", "email"],
            Self::Generic => &[self.mail_scope(), "offline_access", "openid", "email"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    /// Whether a token with this scope may open mailboxes over IMAP. Microsoft's Graph scopes may not.
    pub(crate) fn opens_mail(self, scope: &str) -> bool {
        match self {
            Self::Google => scope == self.mail_scope() || scope.ends_with("/gmail.imap_admin"),
            Self::Microsoft => {
                let hosts = ["https://outlook.office.com/", "https://outlook.office365.com/"];
                let right = hosts.iter().find_map(|host| scope.strip_prefix(host));
                matches!(right, Some("IMAP.AccessAsUser.All" | "IMAP.AccessAsApp" | ".default"))
            }
            Self::Generic => scope.contains("mail") && scope != "email",
        }
    }

    /// Whether a token with this scope may fetch mail by POP3.
    pub(crate) fn fetches_mail(self, scope: &str) -> bool {
        match self {
            Self::Google => scope == self.mail_scope(),
            Self::Microsoft => {
                let hosts = ["https://outlook.office.com/", "https://outlook.office365.com/"];
                let right = hosts.iter().find_map(|host| scope.strip_prefix(host));
                matches!(right, Some("POP.AccessAsUser.All" | "POP.AccessAsApp" | ".default"))
            }
            Self::Generic => self.opens_mail(scope),
        }
    }

    /// Whether a token with this scope may send mail by SMTP.
    pub(crate) fn sends_mail(self, scope: &str) -> bool {
        match self {
            Self::Google => scope == self.mail_scope(),
            Self::Microsoft => {
                let hosts = ["https://outlook.office.com/", "https://outlook.office365.com/"];
                let right = hosts.iter().find_map(|host| scope.strip_prefix(host));
                matches!(right, Some("SMTP.Send" | "SMTP.SendAsApp" | ".default"))
            }
            Self::Generic => self.opens_mail(scope),
        }
    }
}
