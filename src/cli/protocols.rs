//! Protocols on a command line.

use crate::config::Door;

/// Parses the name of a protocol.
pub(super) fn door(name: &str) -> Result<Door, String> {
    Door::named(&name.trim().to_lowercase()).ok_or_else(|| {
        let spoken = Door::ALL.map(Door::name).join(", ");
        format!("this version does not speak it; it speaks {spoken}")
    })
}
