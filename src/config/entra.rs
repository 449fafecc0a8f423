//! Facts about Microsoft's sign-in service (Entra), recognised by the form of its URLs.
//!
//! URLs are `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize`, and the same on the hosts of the
//! other clouds. If users may not consent themselves, its pages stop at "Need admin approval" and may never send
//! the browser back. An administrator must then open one link, made here, once for the whole tenant.

use url::Url;

use super::provider::Provider;
use super::scope;

/// Sign-in hosts of the clouds.
const HOSTS: [&str; 6] = [
    "login.microsoftonline.com",
    "login.microsoft.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.windows.net",
];
/// The tenants of personal accounts, by name and by id: they have no administrator.
const PERSONAL: [&str; 2] = ["consumers", "9188040d-6c67-4c5b-b112-36a304b66dad"];

impl Provider {
    /// Whether the sign-in service of this provider is Microsoft's.
    pub fn is_entra(&self) -> bool {
        self.tenant().is_some()
    }

    /// The link with which an administrator consents to the mail scopes of `asked` for the whole tenant; `None` if
    /// there is no administrator. `state` belongs to the sign-in that waits for an answer at `redirect_uri`.
    pub fn admin_consent(&self, asked: &[String], redirect_uri: &str, state: Option<&str>) -> Option<Url> {
        let (mut link, tenant) = self.tenant()?;
        let client_id = self.client_id.as_deref()?;
        if PERSONAL.iter().any(|personal| tenant.eq_ignore_ascii_case(personal)) {
            return None;
        }
        // `common` includes personal accounts, so the endpoint refuses it.
        let tenant = if tenant.eq_ignore_ascii_case("common") { "organizations" } else { &tenant };
        let scopes: Vec<&str> =
            asked.iter().map(String::as_str).filter(|scope| scope::is_for_mail(scope)).collect();
        link.set_fragment(None);
        link.set_path(&format!("/{tenant}/v2.0/adminconsent"));
        link.query_pairs_mut()
            .clear()
            .append_pair("client_id", client_id)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("redirect_uri", redirect_uri)
            .extend_pairs(state.map(|state| ("state", state)));
        Some(link)
    }

    /// The warning about `prompt` values that ask for a new consent at each sign-in.
    pub(super) fn prompts_in_vain(&self) -> Option<String> {
        let of_url = || {
            let (_, prompt) =
                self.authorize_url.as_ref()?.query_pairs().find(|(name, _)| name == "prompt")?;
            Some(("authorize_url", prompt.into_owned()))
        };
        let of_params = self.authorize_params.get("prompt");
        let (key, prompt) = of_params.map(|prompt| ("authorize_params", prompt.clone())).or_else(of_url)?;
        let is_meant = self.is_entra() && prompt.split_whitespace().any(|word| word == "consent");
        is_meant.then(|| {
            format!(
                "providers.{}.{key}: prompt = {prompt:?} makes Microsoft ask for a new consent at each sign-in, \
                 and stop at \"Need admin approval\" where users may not give it, even after an administrator has consented; \
                 leave it out, or write prompt = \"select_account\"",
                self.name
            )
        })
    }

    /// The endpoint on one of these hosts, and the tenant in it. Where the issuer alone is known, its document names
    /// the endpoints, and they are on the issuer's host.
    fn tenant(&self) -> Option<(Url, String)> {
        let issuer = || Url::parse(self.issuer.as_deref()?).ok().filter(is_hosted);
        let endpoint = self.authorize_url.as_ref().or(self.token_url.as_ref()).cloned();
        let url = endpoint.or_else(issuer)?;
        let path: Vec<&str> = url.path_segments()?.collect();
        let tenant = match path[..] {
            [tenant, "oauth2", "v2.0", "authorize" | "token"] if !tenant.is_empty() => tenant,
            [tenant, ..] if is_hosted(&url) && !tenant.is_empty() => tenant,
            _ => return None,
        };
        let tenant = tenant.to_owned();
        Some((url, tenant))
    }
}

fn is_hosted(url: &Url) -> bool {
    url.host_str().is_some_and(|host| HOSTS.contains(&host))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::config::{Config, Provider};

    fn provider(table: &str) -> Arc<Provider> {
        let text = format!("state_directory = \"/x\"\n[providers.{table}");
        let config = Config::parse(&text, None).unwrap();
        let name = table.split(']').next().unwrap();
        config.providers[name].clone()
    }

    fn link(table: &str, state: Option<&str>) -> Option<String> {
        let provider = provider(table);
        let asked = provider.asked_for(&provider.doors().collect::<Vec<_>>());
        provider.admin_consent(&asked, "http://localhost:4711", state).map(String::from)
    }

    #[test]
    fn the_link_names_the_tenant_and_the_mail_scopes_alone() {
        let rest = "/v2.0/adminconsent?client_id=a+b&scope=https%3A%2F%2Foutlook.office.com%2FIMAP.AccessAsUser.All+\
             https%3A%2F%2Foutlook.office.com%2FPOP.AccessAsUser.All+\
             https%3A%2F%2Foutlook.office.com%2FSMTP.Send&redirect_uri=http%3A%2F%2Flocalhost%3A4711";
        for (tenant, named) in [
            ("corp.example", "corp.example"),
            ("common", "organizations"),
            ("organizations", "organizations"),
        ] {
            let table = format!("microsoft365]\nclient_id = \"a b\"\ntenant = \"{tenant}\"\n");
            let wanted = format!("https://login.microsoftonline.com/{named}{rest}");
            assert_eq!(link(&table, None).as_deref(), Some(&*wanted));
            assert_eq!(link(&table, Some("s/1")), Some(format!("{wanted}&state=s%2F1")));
        }
    }

    #[test]
    fn there_is_none_where_no_administrator_could_open_it() {
        for table in [
            "outlook]\nclient_id = \"x\"\n",
            "gmail]\nclient_id = \"x\"\n",
            "microsoft365]\n",
            "microsoft365]\nclient_id = \"x\"\ntenant = \"9188040D-6c67-4c5b-b112-36a304b66dad\"\n",
        ] {
            assert_eq!(link(table, None), None, "{table}");
        }
    }

    #[test]
    fn the_other_clouds_have_their_own_hosts() {
        let table = "microsoft365-gcchigh]\nclient_id = \"x\"\ntenant = \"t\"\n";
        let link = link(table, None).unwrap();
        assert!(link.starts_with("https://login.microsoftonline.us/t/v2.0/adminconsent?"), "{link}");
    }

    fn by_issuer(name: &str, issuer: &str, more: &str) -> String {
        format!(
            "{name}]\nimap = \"outlook.office365.com:993\"\nissuer = \"{issuer}\"\nclient_id = \"x\"\n\
             scopes = [\"https://outlook.office.com/IMAP.AccessAsUser.All\"]\n{more}"
        )
    }

    #[test]
    fn an_issuer_alone_tells_whose_sign_in_service_it_is() {
        for host in ["login.microsoftonline.com", "login.microsoft.com", "login.microsoftonline.us"] {
            let more = "authorize_params = { prompt = \"consent\" }\n";
            let table = by_issuer("corp", &format!("https://{host}/corp.example/v2.0"), more);
            let link = link(&table, None).unwrap();
            assert!(
                link.starts_with(&format!("https://{host}/corp.example/v2.0/adminconsent?client_id=x&")),
                "{link}"
            );
            assert!(provider(&table).is_entra() && provider(&table).prompts_in_vain().is_some());
        }
        let other = by_issuer("acme", "https://auth.acme.example/corp.example/v2.0", "");
        assert!(!provider(&other).is_entra() && link(&other, None).is_none());
    }

    #[test]
    fn a_prompt_in_the_address_itself_is_seen() {
        for (host, prompt, warned) in [
            ("login.microsoftonline.com", "consent", true),
            ("login.microsoftonline.com", "select_account%20consent", true),
            ("login.microsoftonline.com", "select_account", false),
            ("auth.acme.example", "consent", false),
        ] {
            let url = format!("https://{host}/corp.example/v2.0/authorize?prompt={prompt}");
            let more =
                format!("authorize_url = \"{url}\"\ntoken_url = \"https://{host}/corp.example/token\"\n");
            let table = by_issuer("corp", &format!("https://{host}/corp.example/v2.0"), &more);
            let warning = provider(&table).prompts_in_vain();
            assert_eq!(warning.is_some(), warned, "{table}");
            assert!(warning.is_none_or(|warning| warning.contains("providers.corp.authorize_url: ")));
        }
    }

    #[test]
    fn a_new_consent_at_each_sign_in_is_worth_a_warning_at_microsoft_alone() {
        for (preset, params, warned) in [
            ("microsoft365", "{ prompt = \"consent\" }", true),
            ("outlook", "{ prompt = \"select_account consent\" }", true),
            ("microsoft365", "{ prompt = \"select_account\" }", false),
            ("gmail", "{ prompt = \"consent\" }", false),
        ] {
            let table = format!("{preset}]\nclient_id = \"x\"\nauthorize_params = {params}\n");
            let warning = provider(&table).prompts_in_vain();
            assert_eq!(warning.is_some(), warned, "{table}");
            assert!(warning.is_none_or(|warning| warning.contains("Need admin approval")));
        }
    }
}
