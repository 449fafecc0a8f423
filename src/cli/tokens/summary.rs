//! The line that ends a list of grants.

use std::collections::BTreeMap;

use crate::control::grants::Overview;

/// How many accounts are in which state.
#[derive(Default)]
pub(super) struct Summary {
    states: BTreeMap<&'static str, usize>,
    need_person: usize,
}

impl Summary {
    pub(super) fn count(&mut self, overview: &Overview) {
        *self.states.entry(overview.state.name()).or_default() += 1;
        self.need_person += usize::from(overview.state.needs_person());
    }

    /// "50 accounts: 48 ok, 2 misconfigured; 2 need a person".
    pub(super) fn words(&self) -> String {
        let total: usize = self.states.values().sum();
        let states: Vec<String> = self.states.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let accounts = if total == 1 { "account" } else { "accounts" };
        let need = match self.need_person {
            0 => "none needs a person".to_owned(),
            1 => "1 needs a person".to_owned(),
            count => format!("{count} need a person"),
        };
        format!("{total} {accounts}: {}; {need}.", states.join(", "))
    }
}
