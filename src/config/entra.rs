//! Facts about Microsoft's sign-in service (Entra), recognised by the form of its URLs.
//!
//! URLs are `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize`, and the same on the hosts of the
//! other clouds. If users may not consent themselves, its pages stop at "Need admin approval" and may never send
//! the browser back. An administrator must then open one link, made here, once for the whole tenant.

use url::Url;

use super::provider::Provider;
use super::scope;

/// Sign-in hosts of the clouds.
const HOSTS: [&str; 5] = [
    "login.microsoftonline.com",
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
        let (endpoint, tenant) = self.tenant()?;
        let client_id = self.client_id.as_deref()?;
        if PERSONAL.iter().any(|personal| tenant.eq_ignore_ascii_case(personal)) {
            return None;
        }
        // `common` includes personal accounts, so the endpoint refuses it.
        let tenant = if tenant.eq_ignore_ascii_case("common") { "organizations" } else { tenant };
        let scopes: Vec<&str> =
            asked.iter().map(String::as_str).filter(|scope| scope::is_for_mail(scope)).collect();
        let mut link = endpoint.clone();
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
        let prompt = self.authorize_params.get("prompt")?;
        let is_meant = self.is_entra() && prompt.split_whitespace().any(|word| word == "consent");
        is_meant.then(|| {
            format!(
                "providers.{}.authorize_params: prompt = {prompt:?} makes Microsoft ask for a new consent at each sign-in, \
                 and stop at \"Need admin approval\" where users may not give it, even after an administrator has consented; \
                 leave it out, or write prompt = \"select_account\"",
                self.name
            )
        })
    }

    /// The endpoint on one of these hosts, and the tenant in it.
    fn tenant(&self) -> Option<(&Url, &str)> {
        let url = self.authorize_url.as_ref().or(self.token_url.as_ref())?;
        let path: Vec<&str> = url.path_segments()?.collect();
        let is_hosted = || url.host_str().is_some_and(|host| HOSTS.contains(&host));
        match path[..] {
            [tenant, "oauth2", "v2.0", "authorize" | "token"] if !tenant.is_empty() => Some((url, tenant)),
            [tenant, ..] if is_hosted() && !tenant.is_empty() => Some((url, tenant)),
            _ => None,
        }
    }
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
