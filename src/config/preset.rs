//! Presets, and the user's tables laid over them.
//!
//! A preset is data: `config/providers/NAME.toml` in the form of a `[providers.NAME]` table with a few more keys.
//! Each key that the user sets replaces the preset's.

use std::collections::BTreeMap;

use super::Unsupported;
use super::error::{Problem, nearest_name};
use super::place::Base;
use super::provider::Provider;
use super::table::{ProviderFile, build};

const PRESETS: &[(&str, &str)] = &[
    ("gmail", include_str!("../../config/providers/gmail.toml")),
    ("microsoft365", include_str!("../../config/providers/microsoft365.toml")),
    ("outlook", include_str!("../../config/providers/outlook.toml")),
    ("microsoft365-china", include_str!("../../config/providers/microsoft365-china.toml")),
    ("microsoft365-gcchigh", include_str!("../../config/providers/microsoft365-gcchigh.toml")),
    ("yahoo", include_str!("../../config/providers/yahoo.toml")),
    ("aol", include_str!("../../config/providers/aol.toml")),
    ("fastmail", include_str!("../../config/providers/fastmail.toml")),
    ("yandex", include_str!("../../config/providers/yandex.toml")),
    ("mailru", include_str!("../../config/providers/mailru.toml")),
    ("comcast", include_str!("../../config/providers/comcast.toml")),
    ("thundermail", include_str!("../../config/providers/thundermail.toml")),
    ("icloud", include_str!("../../config/providers/icloud.toml")),
    ("zoho", include_str!("../../config/providers/zoho.toml")),
];

/// Other names of the hosts of sign-in services.
const SERVICES: [(&str, &str); 5] = [
    ("login.live.com", "login.microsoftonline.com"),
    ("login.windows.net", "login.microsoftonline.com"),
    ("accounts.google.com", "oauth2.googleapis.com"),
    ("www.googleapis.com", "oauth2.googleapis.com"),
    // Thunderbird's.
    ("o2.mail.ru", "oauth.mail.ru"),
];

type Providers = (BTreeMap<String, Provider>, Vec<Unsupported>);

/// The presets, with the configuration's tables laid over them.
pub(super) fn providers(tables: BTreeMap<String, ProviderFile>, base: &Base) -> Result<Providers, Problem> {
    let presets = presets()?;
    let mut unsupported = Vec::new();
    let mut providers = BTreeMap::new();
    for (name, preset) in &presets {
        match &preset.unsupported {
            Some(reason) => unsupported.push(Unsupported {
                name: name.clone(),
                domains: preset.domains.clone().unwrap_or_default(),
                reason: reason.clone(),
            }),
            None if tables.contains_key(name) => {}
            None => {
                providers.insert(name.clone(), build(name, preset.clone(), Some(name), base)?);
            }
        }
    }
    for (name, table) in tables {
        let preset = match &table.preset {
            Some(preset) => Some(preset.clone()),
            None => presets.contains_key(&name).then(|| name.clone()),
        };
        let table = match &preset {
            Some(preset) => lay_over_preset(&name, table, preset, &presets)?,
            None => table,
        };
        let provider = build(&name, table, preset.as_deref(), base).map_err(|problem| {
            match nearest_name(&name, presets.keys().map(String::as_str)).filter(|_| preset.is_none()) {
                Some(near) if problem.misses_another_key() => problem.hint(format!(
                    "did you mean [providers.{near}]? {name} is not a preset, so it needs smtp or imap, authorize_url, token_url, client_id and scopes"
                )),
                _ => problem,
            }
        })?;
        providers.insert(name, provider);
    }
    Ok((providers, unsupported))
}

/// The preset whose token endpoint is `token_url`, and the tenant in that URL if it is not the preset's own. Among
/// several, the one with that tenant, then the one that serves the domain of `account`.
pub(crate) fn at(token_url: &str, account: &str) -> Option<(String, Option<String>)> {
    let domain = super::domain_of(account).unwrap_or_default();
    let candidates =
        presets().unwrap_or_default().into_iter().filter(|(_, preset)| preset.unsupported.is_none());
    let candidates = candidates.filter_map(|(name, preset)| {
        let tenant = tenant_in(token_url, preset.token_url.as_deref()?)?.map(str::to_owned);
        let tenant = tenant.filter(|tenant| Some(tenant) != preset.tenant.as_ref());
        let serves = super::specificity(preset.domains.as_deref().unwrap_or_default(), &domain).is_some();
        Some((name, tenant, serves))
    });
    // Among equals, the first by name.
    let best = candidates.rev().max_by_key(|(_, tenant, serves)| (tenant.is_none(), *serves));
    best.map(|(name, tenant, _)| (name, tenant))
}

/// The part of `url` at the place of the tenant in `template`; `None` if they differ elsewhere.
fn tenant_in<'a>(url: &'a str, template: &str) -> Option<Option<&'a str>> {
    let Some((before, after)) = template.split_once("{tenant}") else {
        return (url == template).then_some(None);
    };
    let tenant = url.strip_prefix(before)?.strip_suffix(after)?;
    (!tenant.is_empty() && !tenant.contains('/')).then_some(Some(tenant))
}

/// The domains that the preset of that name serves.
pub(crate) fn domains(name: &str) -> Vec<String> {
    named(name).and_then(|preset| preset.domains).unwrap_or_default()
}

/// The hosts of the mail servers of all presets.
pub(crate) fn hosts() -> Vec<String> {
    presets().unwrap_or_default().values().flat_map(servers).collect()
}

/// The hosts of a preset's mail servers.
fn servers(preset: &ProviderFile) -> impl Iterator<Item = String> {
    let servers = [&preset.imap, &preset.pop3, &preset.smtp].into_iter().flatten();
    servers.filter_map(|server| Some(server.rsplit_once(':')?.0.to_owned()))
}

/// Whether the preset of that name gives codes for another device.
pub(crate) fn takes_device(name: &str) -> bool {
    named(name).is_some_and(|preset| preset.takes_device())
}

/// The hosts of the mail servers that take tokens of the sign-in service at `token_url`: those of every preset with
/// that service, with any version of the endpoint.
pub(crate) fn family(token_url: &str) -> Vec<String> {
    let host = |url: &str| Some(url::Url::parse(&url.replace("{tenant}", "t")).ok()?.host_str()?.to_owned());
    let Some(service) = host(token_url) else { return Vec::new() };
    let service =
        SERVICES.iter().find(|(name, _)| *name == service).map_or(&*service, |(_, service)| *service);
    let is_of_service =
        |preset: &&ProviderFile| preset.token_url.as_deref().and_then(host).as_deref() == Some(service);
    presets().unwrap_or_default().values().filter(is_of_service).flat_map(servers).collect()
}

fn named(name: &str) -> Option<ProviderFile> {
    presets().ok()?.remove(name)
}

fn presets() -> Result<BTreeMap<String, ProviderFile>, Problem> {
    PRESETS
        .iter()
        .map(|(name, text)| {
            Ok(((*name).to_owned(), toml::from_str(text).map_err(|error| Problem::from_toml(&error))?))
        })
        .collect()
}

fn lay_over_preset(
    name: &str,
    mut table: ProviderFile,
    preset: &str,
    presets: &BTreeMap<String, ProviderFile>,
) -> Result<ProviderFile, Problem> {
    let Some(below) = presets.get(preset) else {
        let names: Vec<_> = presets.keys().map(String::as_str).collect();
        return Err(Problem::at(["providers", name, "preset"], format!("{preset:?} is not a preset")).hint(
            match nearest_name(preset, names.iter().copied()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("the presets are {}", names.join(", ")),
            },
        ));
    };
    if let (Some(reason), None, None, None) = (&below.unsupported, &table.imap, &table.pop3, &table.smtp) {
        return Err(Problem::at(["providers", name], reason.clone()));
    }
    // A tenant that is a domain name is also the domain of its accounts.
    if let (None, Some(tenant)) = (&table.domains, &table.tenant)
        && tenant.contains('.')
    {
        let known = below.domains.iter().flatten().cloned();
        table.domains = Some(std::iter::once(tenant.to_lowercase()).chain(known).collect());
    }
    // An issuer's quirks do not apply to another issuer.
    if table.issuer.as_ref().is_some_and(|own| Some(own) != below.issuer.as_ref()) {
        table.quirks.get_or_insert_default();
    }
    Ok(table.over(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_endpoint_tells_its_preset_and_tenant() {
        const MICROSOFT: &str = "https://login.microsoftonline.com";
        for (url, account, preset) in [
            ("https://oauth2.googleapis.com/token", "a@corp.example", Some(("gmail", None))),
            (
                &format!("{MICROSOFT}/organizations/oauth2/v2.0/token"),
                "a@corp.example",
                Some(("microsoft365", None)),
            ),
            (&format!("{MICROSOFT}/consumers/oauth2/v2.0/token"), "a@corp.example", Some(("outlook", None))),
            (
                &format!("{MICROSOFT}/common/oauth2/v2.0/token"),
                "a@hotmail.com",
                Some(("outlook", Some("common"))),
            ),
            (
                &format!("{MICROSOFT}/common/oauth2/v2.0/token"),
                "a@corp.example",
                Some(("microsoft365", Some("common"))),
            ),
            (
                &format!("{MICROSOFT}/corp.example/oauth2/v2.0/token"),
                "a@b.example",
                Some(("microsoft365", Some("corp.example"))),
            ),
            (&format!("{MICROSOFT}/corp.example/oauth2/token"), "a@b.example", None),
            (&format!("{MICROSOFT}//oauth2/v2.0/token"), "a@b.example", None),
            (&format!("{MICROSOFT}/a/b/oauth2/v2.0/token"), "a@b.example", None),
            ("https://oauth2.googleapis.com.evil.example/token", "a@gmail.com", None),
        ] {
            let preset = preset.map(|(name, tenant)| (name.to_owned(), tenant.map(str::to_owned)));
            assert_eq!(at(url, account), preset, "{url} {account}");
        }
    }
}
