//! The default of each switch.

use std::time::Duration;

use serde_json::Map;

use super::{
    AuthForm, Greeting, ImapSwitches, OauthSwitches, Pop3Switches, Rotation, SharedName, SubmissionSwitches,
};
use crate::{Flavour, Vendor};

pub(crate) fn oauth(vendor: Vendor) -> OauthSwitches {
    OauthSwitches {
        access_token_life: Duration::from_secs(3599),
        access_token_length: 200,
        rotation: match vendor {
            Vendor::Google => Rotation::Never,
            Vendor::Microsoft => Rotation::Always,
            Vendor::Generic => Rotation::Strict,
        },
        auto_approve: false,
        consent_as: None,
        untick: Vec::new(),
        deny: false,
        iss: vendor == Vendor::Google,
        wrong_iss: None,
        require_pkce: true,
        refresh_tokens: true,
        claims: Map::new(),
        refuse_unconsented: vendor == Vendor::Microsoft,
        device_interval: 0,
        slow_down: 0,
    }
}

pub(crate) fn imap(flavour: Flavour) -> ImapSwitches {
    ImapSwitches {
        flavour,
        greeting: Greeting::Normal,
        capability_only_in_greeting: false,
        before_continuation: Vec::new(),
        bare_continuation: false,
        max_sessions_per_user: None,
        refuse_list: None,
        bye_after_commands: None,
        bye_at_token_expiry: true,
        segment: 0,
        record: 0,
        sink_above: 32 << 20,
        strict: true,
    }
}

pub(crate) fn pop3(flavour: Flavour) -> Pop3Switches {
    Pop3Switches {
        flavour,
        capa: true,
        sasl: None,
        bare_challenge: false,
        exclusive: false,
        behind_stls: Vec::new(),
        piece: 0,
        strict: true,
    }
}

pub(crate) fn submission(flavour: Flavour) -> SubmissionSwitches {
    SubmissionSwitches {
        flavour,
        auth: AuthForm::Usual,
        without: Vec::new(),
        besides: Vec::new(),
        instead: None,
        auth_line_limit: flavour.auth_line_limit(),
        bare_challenge: false,
        shared_name: SharedName::Owner,
        check_sender: flavour.vendor() == Vendor::Microsoft,
        max_sending: None,
        tarpit: Duration::ZERO,
        behind_starttls: Vec::new(),
        piece: 0,
        sink_above: 32 << 20,
        strict: true,
    }
}
