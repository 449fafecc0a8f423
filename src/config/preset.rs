//! Presets, and the user's tables laid over them.
//!
//! A preset is data: `config/providers/NAME.toml` in the form of a `[providers.NAME]` table with a
//! few keys more. What the user writes wins key by key.

use std::collections::BTreeMap;

use super::Unsupported;
use super::error::Problem;
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

type Providers = (BTreeMap<String, Provider>, Vec<Unsupported>);

/// The presets, and over them the tables of the configuration file.
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
        let provider = build(&name, table, preset.as_deref(), base)?;
        providers.insert(name, provider);
    }
    Ok((providers, unsupported))
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
        return Err(Problem::at(["providers", name, "preset"], format!("{preset:?} is not a preset"))
            .hint(format!("the presets are {}", names.join(", "))));
    };
    if let (Some(reason), None, None, None) = (&below.unsupported, &table.imap, &table.pop3, &table.smtp) {
        return Err(Problem::at(["providers", name], reason.clone()));
    }
    // A tenant that is a domain name is the domain of its accounts, too.
    if let (None, Some(tenant)) = (&table.domains, &table.tenant)
        && tenant.contains('.')
    {
        let known = below.domains.iter().flatten().cloned();
        table.domains = Some(std::iter::once(tenant.to_lowercase()).chain(known).collect());
    }
    // What is special about an issuer says nothing about another one.
    if table.issuer.as_ref().is_some_and(|own| Some(own) != below.issuer.as_ref()) {
        table.quirks.get_or_insert_default();
    }
    Ok(table.over(below))
}
