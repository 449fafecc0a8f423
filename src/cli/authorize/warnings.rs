//! Warnings about doors that the proof of an authorisation did not cover.

use crate::cli::print;
use crate::command;
use crate::config::Door;
use crate::control::LeftOut;
use crate::control::authorize::{Authorized, Proof};

/// Reports doors that were not tested, and doors that were left out, with the reason.
pub(in crate::cli) fn warn(stored: &Authorized) {
    for (door, proof) in &stored.proofs {
        match proof {
            Proof::Opened { .. } => {}
            Proof::Later(unproven) => print::words(&format!(
                "warning: the sign-in over {} could not be tried yet: {unproven}",
                door.title()
            )),
            Proof::LeftOut(why) => left_out(stored, *door, why),
            Proof::NoMailbox => {}
        }
    }
    if stored.proofs.iter().any(|(_, proof)| matches!(proof, Proof::NoMailbox)) {
        print::words(&format!(
            "warning: no mailbox of {} was tried; name one with --probe ADDRESS to have the proof now",
            stored.account
        ));
    }
}

fn left_out(stored: &Authorized, door: Door, why: &LeftOut) {
    let cure = match why {
        LeftOut::NotGranted(_) => {
            let doors: Vec<&str> = stored.doors_with(door).into_iter().map(Door::name).collect();
            let authorize = command::authorize_person(&stored.account, &stored.owner);
            format!("to have it, run `{}`", command::with_protocols(&authorize, &doors))
        }
        LeftOut::Unproven(_) => {
            format!("to try it again, run `{}`", command::check_at(&stored.account, door.name()))
        }
    };
    print::words(&format!("warning: {} is left out: {why}; {cure}", door.title()));
}
