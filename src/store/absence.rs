//! A database that is not where it was. Every call fails meanwhile, and a process that waits too long for it ends.

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
