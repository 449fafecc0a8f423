//! A database that is gone, as long as none has replaced it: every call to its store fails meanwhile.

/// A database that is gone.
#[derive(Clone, Debug)]
pub struct Absence {
    /// When it was first noticed.
    pub since: std::time::Instant,
    /// The cause.
    pub cause: String,
    /// The cure.
    pub cure: &'static str,
}
