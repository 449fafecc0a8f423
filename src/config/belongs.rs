//! Finds the right table of a misplaced key, from the example configuration, which holds every key.

use super::EXAMPLE;

/// The headers of the tables that have `key`; an empty header is the top of the file.
fn tables_of(key: &str) -> Vec<&'static str> {
    let mut table = "";
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with('[') && line.ends_with(']') {
            table = line;
        } else if let Some((name, _)) = line.split_once(" = ")
            && name == key
            && !found.contains(&table)
        {
            found.push(table);
        }
    }
    found
}

/// The hint for an unknown `key` that another table has.
pub(super) fn hint(key: &str) -> Option<String> {
    let tables = tables_of(key);
    let of_provider = |table: &&str| table.starts_with("[providers.");
    if tables.contains(&"") {
        return Some(format!("`{key}` stands above the first [table]; move it to the top of the file"));
    }
    if tables.iter().any(of_provider) {
        return Some(format!("`{key}` belongs under a [providers.NAME]"));
    }
    let table = tables.first()?;
    Some(format!("`{key}` belongs under {table}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_the_wrong_table_is_told_the_right_one() {
        for (key, says) in [
            ("state_directory", "above the first [table]"),
            ("webhook", "under [events]"),
            ("drain_seconds", "under [limits]"),
            ("client_id", "under a [providers.NAME]"),
            ("addresses", "under [[listeners]]"),
        ] {
            let hint = hint(key);
            assert!(hint.as_ref().is_some_and(|hint| hint.contains(says)), "{key}: {hint:?}");
        }
        assert_eq!(hint("no_such_key"), None);
    }
}
