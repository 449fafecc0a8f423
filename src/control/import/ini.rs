//! The files of Python's ConfigParser, as email-oauth2-proxy reads and writes them.
//!
//! Without interpolation, and strict: a repeated section or option is an error, as in email-oauth2-proxy. Names of
//! options are lower-cased, names of sections are not. A line that is indented deeper than its option continues
//! the option's value, an empty line within a value belongs to it, and a line that begins with `#` or `;` is
//! always a comment. Options in `[DEFAULT]` apply to every section.
//!
//! Values are [`Secret`]s, because some are secret. An error names the line and never quotes it.

use std::collections::HashMap;

use crate::secret::Secret;

/// The section whose options apply to all others.
const DEFAULT: &str = "DEFAULT";

/// Why a text cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IniFault {
    #[error("line {line} stands before the first [section]")]
    NoSection { line: usize },
    #[error("line {line} begins [{section}] again, which line {first} has begun")]
    RepeatedSection { line: usize, section: String, first: usize },
    // A line of a pasted key may look like an option, so its name is not shown.
    #[error("line {line} sets the option of line {first} again, in the same section")]
    RepeatedOption { line: usize, first: usize },
    #[error("line {line} is neither a [section] nor an option with = or : behind its name")]
    NoOption { line: usize },
}

pub(super) struct Ini {
    /// The first is [`DEFAULT`], which may be empty.
    sections: Vec<Section>,
}

pub(super) struct Section {
    pub(super) name: String,
    /// The line of its head.
    pub(super) line: usize,
    options: HashMap<String, Value>,
}

/// The value of an option.
#[derive(Clone)]
pub(super) struct Value {
    pub(super) text: Secret,
    /// The line of the option's name.
    pub(super) line: usize,
}

/// The option that the next lines may continue.
struct Open {
    name: String,
    lines: Vec<String>,
    line: usize,
    indent: usize,
}

impl Ini {
    pub(super) fn parse(text: &str) -> Result<Self, IniFault> {
        let mut reader = Reader { ini: Self::empty(), current: None, open: None };
        for (index, line) in lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate() {
            reader.read(index + 1, line)?;
        }
        reader.close();
        Ok(reader.ini)
    }

    /// A file without sections.
    pub(super) fn empty() -> Self {
        Self { sections: vec![Section::new(DEFAULT, 0)] }
    }

    /// The sections, in their order.
    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.sections.iter().skip(1)
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections().find(|section| section.name == name)
    }

    /// The value of `option` in `section`, or in `[DEFAULT]`.
    pub(super) fn value<'a>(&'a self, section: &'a Section, option: &str) -> Option<&'a Value> {
        [section].into_iter().chain(self.sections.first()).find_map(|section| section.options.get(option))
    }

    /// The options of `section` itself, with their lines.
    pub(super) fn options<'a>(
        &self,
        section: &'a Section,
    ) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        section.options.iter().map(|(option, value)| (option.as_str(), value.line))
    }

    /// Sets `option` to `text` in the section of that name, which is made if it is missing.
    pub(super) fn set(&mut self, section: &str, option: &str, text: Secret) {
        if self.section(section).is_none() {
            self.sections.push(Section::new(section, 0));
        }
        let found = self.sections.iter_mut().skip(1).find(|known| known.name == section);
        if let Some(Section { line, options, .. }) = found {
            options.insert(option.to_lowercase(), Value { text, line: *line });
        }
    }
}

impl Section {
    fn new(name: &str, line: usize) -> Self {
        Self { name: name.to_owned(), line, options: HashMap::new() }
    }
}

struct Reader {
    ini: Ini,
    /// The number of the section that the next options belong to.
    current: Option<usize>,
    open: Option<Open>,
}

impl Reader {
    fn read(&mut self, number: usize, line: &str) -> Result<(), IniFault> {
        let value = line.trim();
        if value.starts_with(['#', ';']) {
            return Ok(());
        }
        if value.is_empty() {
            if let Some(open) = &mut self.open {
                open.lines.push(String::new());
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        if let Some(open) = self.open.as_mut().filter(|open| indent > open.indent) {
            open.lines.push(value.to_owned());
            return Ok(());
        }
        self.close();
        match head(value) {
            Some(name) => self.begin(number, name),
            None => self.option(number, value, indent),
        }
    }

    fn begin(&mut self, line: usize, name: &str) -> Result<(), IniFault> {
        if name == DEFAULT {
            self.current = Some(0);
            return Ok(());
        }
        if let Some(known) = self.ini.section(name) {
            return Err(IniFault::RepeatedSection { line, section: name.to_owned(), first: known.line });
        }
        self.current = Some(self.ini.sections.len());
        self.ini.sections.push(Section::new(name, line));
        Ok(())
    }

    fn option(&mut self, line: usize, text: &str, indent: usize) -> Result<(), IniFault> {
        let Some(section) = self.section() else { return Err(IniFault::NoSection { line }) };
        let Some((name, value)) = text.split_once(['=', ':']) else {
            return Err(IniFault::NoOption { line });
        };
        let name = name.trim_end().to_lowercase();
        if name.is_empty() {
            return Err(IniFault::NoOption { line });
        }
        if let Some(known) = section.options.get(&name) {
            return Err(IniFault::RepeatedOption { line, first: known.line });
        }
        self.open = Some(Open { name, lines: vec![value.trim_start().to_owned()], line, indent });
        Ok(())
    }

    /// Stores the option that was read.
    fn close(&mut self) {
        let Some(Open { name, lines, line, .. }) = self.open.take() else { return };
        let text = Secret::new(lines.join("\n").trim_end());
        if let Some(section) = self.section() {
            section.options.insert(name, Value { text, line });
        }
    }

    fn section(&mut self) -> Option<&mut Section> {
        self.ini.sections.get_mut(self.current?)
    }
}

/// The name in the head of a section: the text between the first `[` and the last `]`.
fn head(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?;
    let name = name.get(..name.rfind(']')?)?;
    (!name.is_empty()).then_some(name)
}

/// The lines of a text, with any line ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(ini: &Ini, section: &str, option: &str) -> Option<String> {
        let section = ini.section(section)?;
        ini.value(section, option).map(|value| value.text.expose().to_owned())
    }

    #[test]
    fn it_reads_what_python_reads() {
        let text = "\u{feff}; a comment\r\n[Server setup]\r\nDocumentation = first\r\n\tsecond = 2\r\n\r\n    ; not this\r\n  third\r\n\
                    [IMAP-1993]\rServer_Address : outlook.office365.com\n   server_port=993\n\
                    [a@b.example]\nclient_secret = se=cr:et;#1 \nempty =\n[DEFAULT]\nuse_pkce = yes\n[x] trailing\nk=v\n";
        let ini = Ini::parse(text).unwrap();
        let names: Vec<(&str, usize)> = ini.sections().map(|each| (each.name.as_str(), each.line)).collect();
        assert_eq!(names, [("Server setup", 2), ("IMAP-1993", 8), ("a@b.example", 11), ("x", 16)]);
        assert_eq!(said(&ini, "Server setup", "documentation").unwrap(), "first\nsecond = 2\n\nthird");
        // A line that is indented deeper than the option continues its value, as in Python.
        assert_eq!(
            said(&ini, "IMAP-1993", "server_address").unwrap(),
            "outlook.office365.com\nserver_port=993"
        );
        assert_eq!(said(&ini, "a@b.example", "client_secret").unwrap(), "se=cr:et;#1");
        assert_eq!(said(&ini, "a@b.example", "empty").unwrap(), "");
        assert_eq!(said(&ini, "x", "use_pkce").unwrap(), "yes");
        assert_eq!(said(&ini, "x", "other"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_without_its_words() {
        for (text, fault) in [
            ("a = 1\n[b]", "line 1 stands before the first [section]"),
            ("[a]\nb=1\n[a]\n", "line 3 begins [a] again, which line 1 has begun"),
            ("[a]\nB = 1\n\nb : 2", "line 4 sets the option of line 2 again, in the same section"),
            (
                "[a]\nsecret without a sign",
                "line 2 is neither a [section] nor an option with = or : behind its name",
            ),
            ("[a]\n= x", "line 2 is neither a [section] nor an option with = or : behind its name"),
            ("[]", "line 1 stands before the first [section]"),
        ] {
            assert_eq!(Ini::parse(text).err().unwrap().to_string(), fault, "{text}");
        }
    }

    /// A value of several lines, as ConfigParser writes it.
    fn value() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[!-\"$-:<-~]([ -~]{0,12}[!-~])?", 1..4)
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_errors_name_a_line_of_it(text in "([\\[\\]=:#; \t\r\na-c]|\\PC){0,120}") {
            if let Err(fault) = Ini::parse(&text) {
                let number = fault.to_string().split(' ').nth(1).unwrap().parse::<usize>().unwrap();
                prop_assert!((1..=lines(&text).count()).contains(&number));
            }
        }

        #[test]
        fn what_python_writes_is_read_back(
            written in prop::collection::btree_map("[A-Za-z@.-]{1,12}", prop::collection::btree_map("[a-z_]{1,10}", value(), 0..4), 0..4)
        ) {
            let mut text = String::new();
            for (section, options) in &written {
                text.push_str(&format!("[{section}]\n"));
                for (option, value) in options {
                    text.push_str(&format!("{option} = {}\n", value.join("\n\t")));
                }
                text.push('\n');
            }
            let ini = Ini::parse(&text).unwrap();
            for (section, options) in written.iter().filter(|(section, _)| *section != DEFAULT) {
                for (option, value) in options {
                    prop_assert_eq!(said(&ini, section, option), Some(value.join("\n")));
                }
            }
        }
    }
}
