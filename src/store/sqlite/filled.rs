//! A SQLite file with the rows of a store of another kind.

use std::path::Path;

use super::Sqlite;
use super::backup::{NewFile, forget_what_is_said};
use crate::store::StoreError;
use crate::store::tables::{self, WholeStore};

impl Sqlite {
    /// Writes a copy of another store to `file`, which must not exist.
    pub(in crate::store) async fn write_whole(from: &dyn WholeStore, file: &Path) -> Result<(), StoreError> {
        let new = NewFile::make(file)?;
        let store = Self::open(file).await?;
        tables::copy(from, &store).await?;
        // Closing moves the log into the file.
        store.pool()?.close().await;
        forget_what_is_said(file).await?;
        new.keep()
    }
}
