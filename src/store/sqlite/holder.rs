//! The holders of leases, and whether their processes still live.
//!
//! A process that takes leases keeps its own file beside the database, locked until it ends; the kernel drops the lock
//! even if the process is killed. So another process need not wait for the lease of a dead holder, and never takes a
//! lease from a process that is only slow, which may hold the provider's answer.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::files::{self, is_locked};
use crate::mutex::lock;

/// Ending of a file that does not have its final name yet.
const UNFINISHED: &str = ".new";

/// The lease holders of one database.
pub(super) struct Holders {
    directory: PathBuf,
    own: Mutex<Option<(String, File)>>,
}

impl Holders {
    pub(super) fn new(database: &Path) -> Self {
        Self { directory: database.with_file_name("holders"), own: Mutex::new(None) }
    }

    /// The name of this process, whose lock is held from now on.
    pub(super) fn own(&self) -> io::Result<String> {
        let mut own = lock(&self.own);
        if let Some((name, _)) = &*own {
            return Ok(name.clone());
        }
        let (name, file) = self.enter()?;
        *own = Some((name.clone(), file));
        Ok(name)
    }

    /// The name of this process, if it has taken a lease.
    pub(super) fn known(&self) -> Option<String> {
        lock(&self.own).as_ref().map(|(name, _)| name.clone())
    }

    /// Whether the process called `name` still lives.
    pub(super) fn is_alive(&self, name: &str) -> bool {
        // The names are our own, but the database may be damaged.
        if name.contains(['/', '.']) {
            return false;
        }
        match File::open(self.directory.join(name)) {
            Ok(file) => is_locked(&file),
            Err(_) => false,
        }
    }

    fn enter(&self) -> io::Result<(String, File)> {
        files::make_directory(&self.directory)?;
        self.sweep();
        let name = crate::secret::random_text::<12>();
        let unfinished = self.directory.join(format!("{name}{UNFINISHED}"));
        let file = files::create(&unfinished)?;
        file.lock()?;
        // From now on a sweep can find the file.
        std::fs::rename(&unfinished, self.directory.join(&name))?;
        Ok((name, file))
    }

    /// Removes the files of dead processes.
    fn sweep(&self) {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            let finished = !path.to_string_lossy().ends_with(UNFINISHED);
            if finished && File::open(&path).is_ok_and(|file| !is_locked(&file)) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        let own = lock(&self.own).take();
        if let Some((name, _)) = own {
            let _ = std::fs::remove_file(self.directory.join(name));
        }
    }
}

/// Whether a process lives that has held a lease at `database`.
pub(super) fn any_is_alive(database: &Path) -> bool {
    let entries = std::fs::read_dir(&Holders::new(database).directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| File::open(entry.path()).is_ok_and(|file| is_locked(&file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_lives_as_long_as_its_process_has_the_lock() {
        let state = tempfile::tempdir().unwrap();
        let database = state.path().join("store.sqlite");
        let (one, other) = (Holders::new(&database), Holders::new(&database));
        let name = one.own().unwrap();
        assert_eq!(one.own().unwrap(), name);
        assert!(other.is_alive(&name) && !other.is_alive("nobody") && !other.is_alive("../store.sqlite"));
        drop(one);
        assert!(!other.is_alive(&name));
    }

    #[test]
    fn what_a_killed_process_left_is_swept() {
        let state = tempfile::tempdir().unwrap();
        let database = state.path().join("store.sqlite");
        let left = state.path().join("holders/left");
        std::fs::create_dir(state.path().join("holders")).unwrap();
        File::create(&left).unwrap();
        let living = Holders::new(&database);
        let name = living.own().unwrap();
        assert!(!left.exists());
        let other = Holders::new(&database);
        other.own().unwrap();
        assert!(other.is_alive(&name), "a sweep spares the living");
    }
}
