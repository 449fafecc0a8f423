//! Finds the provider of an address by its domain.

pub(super) fn domain_of(account: &str) -> Option<String> {
    account.rsplit_once('@').map(|(_, domain)| domain.to_lowercase())
}

/// How well `domain` is one of `domains`: the length of the match, exact ones above all suffixes.
pub(super) fn specificity(domains: &[String], domain: &str) -> Option<usize> {
    domains
        .iter()
        .filter_map(|known| match known.strip_prefix("*.") {
            Some(suffix) => {
                domain.strip_suffix(suffix).filter(|rest| rest.ends_with('.')).map(|_| suffix.len())
            }
            None => (known == domain).then_some(usize::MAX),
        })
        .max()
}
