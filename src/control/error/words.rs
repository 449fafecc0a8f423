//! Parts of messages that depend on a value.

pub(super) fn unknown_domain(account: &str) -> String {
    match account.contains('@') {
        true => format!("no provider is known for the domain of {account}"),
        false => format!("{account} is no address, so no domain tells its provider"),
    }
}

pub(super) fn why(error: Option<&std::io::Error>) -> String {
    error.map_or_else(|| "no answer within 20 s".to_owned(), ToString::to_string)
}
