//! A database that has gone from its place. Meanwhile every call fails, and a process that has waited too long ends.

/// A database that is gone.
#[derive(Clone, Debug)]
pub struct Absence {
    /// When the absence was first noticed.
    pub since: std::time::Instant,
    /// The cause.
    pub cause: String,
    /// The cure.
    pub cure: &'static str,
}
