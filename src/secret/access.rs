//! Checks who can read and write a file that holds a secret, by the file's mode.
//!
//! Every file with a secret is checked here. A file that others can write is refused, because they could choose the
//! secret. A file that others can read may be known to them: a key of this program's own making is then refused, an
//! administrator's file gets a warning. Reading by the file's group is accepted silently, because a service reads
//! root's files that way. Symbolic links are followed: the mode of the target counts.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::text::quoted;

/// The mode and the owner of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileAccess {
    mode: u32,
    owner: u32,
}

/// What is wrong with a file's mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeFault {
    /// The fault, one clause.
    pub fault: String,
    /// The command that corrects it.
    pub cure: String,
}

impl fmt::Display for ModeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; run: {}", self.fault, self.cure)
    }
}

impl FileAccess {
    /// The access of the file at `path`; `None` if it is no regular file, such as a pipe.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let metadata = std::fs::metadata(path)?;
        Ok(metadata.is_file().then(|| Self::from(&metadata)))
    }

    /// The nine permission bits of `chmod`.
    pub fn mode(self) -> u32 {
        self.mode
    }

    /// Whether every user of the machine can write it.
    pub fn others_write(self) -> bool {
        self.mode & 0o002 != 0
    }

    /// Whether the file's group or every user can write it.
    pub fn group_or_others_write(self) -> bool {
        self.mode & 0o022 != 0
    }

    /// Whether every user of the machine can read it.
    pub fn others_read(self) -> bool {
        self.mode & 0o004 != 0
    }

    /// Whether the file may hold a sealing key: only its owner has access, or it is root's with mode 0640,
    /// which lets the service read it through its group but not change it.
    pub fn keeps_a_key(self) -> bool {
        let of_root = self.owner == 0 && !rustix::process::geteuid().is_root();
        let allowed = if of_root { 0o740 } else { 0o700 };
        self.mode & !allowed == 0
    }

    /// The user who may read the file at `path`, in the form that `sudo -u` takes. If the file's group is the private
    /// group of a user, it is that user: a service reads root's files that way. Otherwise it is the file's owner. Where
    /// this process cannot see the file, the nearest directory above it that is visible decides.
    pub fn reader(path: &Path) -> String {
        let visible = path.ancestors().find_map(|place| std::fs::metadata(place).ok());
        let Some(visible) = visible else { return user_name(0) };
        let by_group =
            (visible.mode() & 0o040 != 0 && visible.gid() != 0).then(|| user_of_group(visible.gid()));
        by_group.flatten().unwrap_or_else(|| user_name(visible.uid()))
    }

    /// What is wrong with `what` at `path`. The cure keeps another user's file readable for its group,
    /// because this process reads it through that group.
    pub fn fault(self, what: &str, path: &Path) -> ModeFault {
        let can = match (self.others_write(), self.group_or_others_write()) {
            (true, _) => "written by others",
            (false, true) => "written by its group",
            (false, false) => "read by others",
        };
        let own = self.owner == rustix::process::geteuid().as_raw();
        let mode = if own { "600" } else { "640" };
        ModeFault {
            fault: format!("{what} {} can be {can} (mode {:03o})", path.display(), self.mode),
            cure: format!("chmod {mode} {}", quoted(&path.to_string_lossy())),
        }
    }
}

/// The user's name, or `#UID`, which sudo takes too.
pub fn user_name(uid: u32) -> String {
    user(|fields| fields.get(2)?.parse::<u32>().ok().filter(|own| *own == uid))
        .unwrap_or_else(|| format!("#{uid}"))
}

/// The user whose private group has this number.
fn user_of_group(gid: u32) -> Option<String> {
    user(|fields| fields.get(3)?.parse::<u32>().ok().filter(|own| *own == gid))
}

/// The first user of this machine that `is_wanted`.
fn user(is_wanted: impl Fn(&[&str]) -> Option<u32>) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        is_wanted(&fields).and(fields.first().map(|name| (*name).to_owned()))
    })
}

impl From<&Metadata> for FileAccess {
    fn from(metadata: &Metadata) -> Self {
        Self { mode: metadata.mode() & 0o777, owner: metadata.uid() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_row_35_a_key_of_roots_may_be_read_by_our_group() {
        let euid = rustix::process::geteuid().as_raw();
        for (mode, owner, keeps) in [
            (0o600, euid, true),
            (0o400, euid, true),
            (0o640, euid, false),
            (0o604, euid, false),
            (0o660, 0, false),
            (0o644, 0, false),
            // A process of root needs no group access.
            (0o640, 0, euid != 0),
            (0o440, 0, euid != 0),
        ] {
            assert_eq!(FileAccess { mode, owner }.keeps_a_key(), keeps, "{mode:o} of {owner}");
        }
    }

    #[test]
    fn the_cure_fits_whose_file_it_is() {
        let euid = rustix::process::geteuid().as_raw();
        let own = FileAccess { mode: 0o666, owner: euid };
        assert_eq!(
            own.fault("the file", Path::new("/a b")).to_string(),
            "the file /a b can be written by others (mode 666); run: chmod 600 '/a b'"
        );
        let foreign = FileAccess { mode: 0o644, owner: euid + 1 };
        assert_eq!(foreign.fault("it", Path::new("/x")).cure, "chmod 640 /x");
    }
}
