//! Submission (RFC 6409): being written.

use std::time::Duration;

use super::{
    Accepted, Advice, Channel, Credential, Denial, DialogueEnd, Door, LastWord, Limits, NotListed, Protocol,
    Refusal, Request, Tail, Watch,
};
use crate::wire::{Stream, Wire};

/// The submission dialogue of one connection.
#[derive(Debug)]
pub struct Submission;

/// What was overheard of one session.
#[derive(Debug, Default)]
pub struct SessionWatch;

impl Watch for SessionWatch {
    fn overhear(&mut self, _: &[u8]) -> Option<Advice> {
        None
    }

    fn last_word(&self, _: Tail, _: &str) -> LastWord {
        LastWord::Silence
    }
}

impl Protocol for Submission {
    const DOOR: Door = Door::Submission;
    const GATE_PATIENCE: Option<Duration> = None;
    const KEEPS_REFUSED: bool = true;

    type Watch = SessionWatch;

    fn new(_: Channel, _: Limits) -> Self {
        Self
    }

    fn turn_away(_: &Denial) -> Vec<u8> {
        Vec::new()
    }

    async fn next<S: Stream>(&mut self, _: &mut Wire<S>) -> Result<Request, DialogueEnd> {
        Err(DialogueEnd::Closed)
    }

    fn tls_started(&mut self) {}

    async fn deny<S: Stream>(&mut self, _: &mut Wire<S>, _: &Denial) -> Result<(), DialogueEnd> {
        Err(DialogueEnd::Closed)
    }

    async fn authenticate<U: Stream>(
        &self,
        _: &mut Wire<U>,
        _: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        Err(Refusal::NotAsked)
    }

    async fn accept<S: Stream>(&mut self, _: &mut Wire<S>, _: Accepted) -> Result<(), DialogueEnd> {
        Err(DialogueEnd::Closed)
    }

    async fn bye<S: Stream>(&mut self, _: &mut Wire<S>, _: &Denial) -> Result<(), DialogueEnd> {
        Ok(())
    }

    async fn sign_in<U: Stream>(_: &mut Wire<U>, _: &Credential<'_>) -> Result<(), Refusal> {
        Err(Refusal::NotAsked)
    }

    async fn look_in<U: Stream>(_: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        Ok(None)
    }

    async fn begin_tls<U: Stream>(_: &mut Wire<U>) -> Result<(), Refusal> {
        Err(Refusal::NotAsked)
    }
}
