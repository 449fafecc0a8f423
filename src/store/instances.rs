//! The exchange between the instances on one store: their connections of each mailbox, the charges of failed logins,
//! and questions of commands.
//!
//! An instance *tells* the others something by writing it to the store, and *looks* once a second at what the others
//! have told. The invariant: the counts of an instance are valid while its holder (its row in `holders`) lives, and no
//! longer. A store that only one machine opens needs none of this, and every method has a default for it. No login
//! waits for an exchange: each instance sums what it will tell next. Charges of failed logins hold no address and no
//! account, but hashes under a key that is sealed in the store; questions and answers are sealed.

use async_trait::async_trait;

use super::Result;

/// A living instance of `serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name as a lease holder.
    pub holder: String,
    /// The machine and the process, for people.
    pub place: String,
}

/// The connections of one mailbox at its provider that an instance holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateCount {
    /// The instance.
    pub holder: String,
    /// The mailbox's name, folded.
    pub account: String,
    /// The name of the door.
    pub door: String,
    /// Their number.
    pub sessions: u32,
}

/// How far a bucket of failed logins is from being full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owed {
    /// The kind of bucket.
    pub tier: i16,
    /// A keyed hash of what the bucket belongs to.
    pub bucket: i64,
    /// Milliseconds. In a write, the number to add or, below zero, to take back; in a read, the time until the bucket
    /// is full.
    pub millis: i64,
}

/// A sealed question to every instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Random.
    pub id: String,
    /// The question.
    pub sealed: Vec<u8>,
}

/// A sealed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceAnswer {
    /// The instance that answers.
    pub holder: String,
    /// The answer.
    pub sealed: Vec<u8>,
}

/// The result of one look at the other instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Whether this process is among the instances.
    pub is_joined: bool,
    /// The other living instances.
    pub others: Vec<Instance>,
    /// The counts of connections of the others that have changed since the mark.
    pub gates: Vec<GateCount>,
    /// The buckets that any instance has changed since the mark.
    pub owed: Vec<Owed>,
    /// The questions that this process has not answered.
    pub questions: Vec<Question>,
    /// The mark to pass to the next look, which then finds later changes. A row of this look may come again.
    pub mark: i64,
}

/// The instances of `serve` that share a store. A store that is not shared answers as if this one were alone.
#[async_trait]
pub trait InstanceStore: Send + Sync {
    /// Whether several instances can share this store.
    fn is_shared(&self) -> bool {
        false
    }

    /// From now on this process is an instance, shown to people as `place`.
    async fn join(&self, _place: &str) -> Result<()> {
        Ok(())
    }

    /// From now on this process is no instance, and its connections count no more.
    async fn part(&self) -> Result<()> {
        Ok(())
    }

    /// The other living instances.
    async fn others(&self) -> Result<Vec<Instance>> {
        Ok(Vec::new())
    }

    /// The changes since `mark`; everything, for mark 0. Cheap if nothing has changed.
    async fn look_around(&self, _mark: i64) -> Result<Look> {
        Ok(Look::default())
    }

    /// Waits for a notice that another instance has told or asked something; for ever where the database sends no
    /// notices. Only a hint: [`InstanceStore::look_around`] decides.
    async fn told(&self) {
        std::future::pending::<()>().await;
    }

    /// Tells how many connections of each mailbox this process holds. The field `holder` is not read. With `whole`,
    /// these counts replace all earlier ones of this process.
    async fn tell_gates(&self, _held: &[GateCount], _whole: bool) -> Result<()> {
        Ok(())
    }

    /// Adds charges to the buckets of failed logins, or takes them back. No bucket may be listed twice.
    async fn tell_owed(&self, _owed: &[Owed]) -> Result<()> {
        Ok(())
    }

    /// Removes buckets that are full again, and questions that are over.
    async fn sweep(&self) -> Result<()> {
        Ok(())
    }

    /// Puts a question to all instances; it is over after `seconds`.
    async fn ask(&self, _question: &Question, _seconds: u32) -> Result<()> {
        Ok(())
    }

    /// Answers a question, unless it is over.
    async fn answer(&self, _question: &str, _sealed: &[u8]) -> Result<()> {
        Ok(())
    }

    /// The answers to a question so far.
    async fn answers(&self, _question: &str) -> Result<Vec<InstanceAnswer>> {
        Ok(Vec::new())
    }

    /// Number of the answers so far, without reading them.
    async fn count_answers(&self, _question: &str) -> Result<usize> {
        Ok(0)
    }

    /// Removes a question with its answers.
    async fn withdraw(&self, _question: &str) -> Result<()> {
        Ok(())
    }
}
