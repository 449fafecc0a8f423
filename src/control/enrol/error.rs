//! Why a table of accounts cannot be read.

/// What is wrong with a line, or with the table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("the line is not right as comma-separated values")]
    Line,
    #[error("the file is not UTF-8: save it as CSV UTF-8")]
    NotUtf8,
    #[error("the columns are account,provider,owner,alias,… in this order")]
    Head,
    #[error("the columns are separated by tabs: save the table as CSV, with commas or semicolons")]
    Tabs,
    #[error("the table has no account")]
    Empty,
    #[error("the table is longer than {most} accounts; add the rest in a second one")]
    TooLong { most: usize },
    #[error("the time for one answer was over before line {line}: the accounts from there on were not made")]
    OutOfTime { line: u64 },
    #[error("{name:?} is a login name in line {first} already")]
    NameTwice { name: String, first: u64 },
}
