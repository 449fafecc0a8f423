//! Capabilities that may be promised to a client before its provider is known.

/// Capabilities, in the protocol's own words, that every configured provider has. A client asks for them once,
/// before its login, when the provider is not known yet, and relies on the answer afterwards.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Promises(Vec<String>);

impl Promises {
    /// The capabilities that all `providers` promise. If the parameters of a keyword differ, the smallest number
    /// counts (SIZE); any other difference leaves the keyword out.
    pub fn common<'a>(mut providers: impl Iterator<Item = &'a [String]>) -> Self {
        let mut common = providers.next().unwrap_or_default().to_vec();
        for promised in providers {
            common.retain_mut(|line| match smaller(line, promised) {
                Some(kept) => {
                    *line = kept;
                    true
                }
                None => false,
            });
        }
        Self(common)
    }

    /// The line of each capability.
    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// The keyword of each capability.
    pub fn keywords(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|line| keyword(line))
    }
}

/// The first word of a line of capabilities.
pub(super) fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The common part of `line` and the line of `others` with the same keyword.
fn smaller(line: &str, others: &[String]) -> Option<String> {
    let other = others.iter().find(|other| keyword(other).eq_ignore_ascii_case(keyword(line)))?;
    if other.eq_ignore_ascii_case(line) {
        return Some(line.to_owned());
    }
    let number = |line: &str| line.split_once(' ')?.1.parse::<u64>().ok();
    match (number(line), number(other)) {
        (Some(one), Some(two)) => Some(if one <= two { line.to_owned() } else { other.clone() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn only_what_all_keep_is_promised_with_the_smallest_size() {
        let gmail = lines("SIZE 35882577,8BITMIME,PIPELINING,SMTPUTF8");
        let exchange = lines("SIZE 157286400,PIPELINING,DSN,8BITMIME,SMTPUTF8");
        let plain = lines("pipelining,8BITMIME");
        let common =
            |all: &[&Vec<String>]| Promises::common(all.iter().map(|one| one.as_slice())).0.join(",");
        assert_eq!(common(&[&gmail, &exchange]), "SIZE 35882577,8BITMIME,PIPELINING,SMTPUTF8");
        assert_eq!(common(&[&exchange, &gmail]), "SIZE 35882577,PIPELINING,8BITMIME,SMTPUTF8");
        assert_eq!(common(&[&gmail, &plain]), "8BITMIME,PIPELINING");
        assert_eq!(common(&[]), "");
    }
}
