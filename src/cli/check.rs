//! `check`: tests each step of the way to the mail; prints one line for each step, or one JSON object.
//!
//! The output is safe to publish: tokens and passwords are never printed, only their kinds and their ends.

use super::failure::{Done, Failure};
use super::options::{Options, door};
use super::print;
use super::progress::Progress;
use crate::config::Door;
use crate::control::check::{CheckEvent, Outcome, check};
use crate::surface::checks::{Checked, Line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this account
    account: Option<String>,
    /// Only this protocol [default: each that the account opens here]
    #[arg(long, value_name = "NAME", value_parser = door)]
    protocol: Option<Door>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: &Options, arguments: Arguments) -> Result<Done, Failure> {
    let mut report = Report { json: arguments.json, verbose: options.verbose > 0, ..Report::default() };
    let progress = Progress::of("Checking");
    // A wrong configuration has its own exit code.
    let config = options.load()?;
    let from = config.file.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
    report.push(Line::new(None, "config", &format!("read from {from}")));
    let checked = check(config, arguments.account.as_deref(), arguments.protocol, &mut |event| {
        report.progress(&event, &progress);
        report.hear(event);
    })
    .await;
    drop(progress);
    report.finish(*checked.as_ref().unwrap_or(&Outcome::Failed))?;
    match checked? {
        Outcome::Well => Ok(Done::Well),
        Outcome::NeedsPerson => Ok(Done::NeedsPerson),
        Outcome::Failed => Err(Failure::silent()),
    }
}

/// The steps so far.
#[derive(Default)]
struct Report {
    json: bool,
    verbose: bool,
    /// Whether each account is one line, because the steps of many accounts would fill screens.
    brief: bool,
    /// How many accounts there are, and how many are begun.
    accounts: usize,
    begun: usize,
    /// Where the steps of the current account begin.
    begin: Option<usize>,
    totals: Totals,
    steps: Vec<Line>,
}

/// The results of the accounts in a brief report.
#[derive(Default)]
struct Totals {
    well: usize,
    need_person: usize,
    failed: usize,
}

impl Report {
    /// Shows a waiting person which account is being checked.
    fn progress(&mut self, event: &CheckEvent<'_>, progress: &Progress) {
        match event {
            CheckEvent::Accounts(count) => self.accounts = *count,
            CheckEvent::Account(name) => {
                self.begun += 1;
                progress.now(format!("Checking {name}, account {} of {}", self.begun, self.accounts));
            }
            _ => {}
        }
    }

    fn hear(&mut self, event: CheckEvent<'_>) {
        match event {
            CheckEvent::NoAccounts(directory) => print::no_account_yet(directory),
            CheckEvent::Accounts(count) => self.brief = count > 1 && !self.verbose && !self.json,
            CheckEvent::Account(_) => {
                self.end_account();
                self.begin = Some(self.steps.len());
                if let (CheckEvent::Account(name), false, false) = (event, self.json, self.brief) {
                    print::data(name);
                }
            }
            CheckEvent::CheckStep(step) => self.push(Line::of(step)),
            CheckEvent::DomainAccount if self.brief => {}
            CheckEvent::DomainAccount => {
                print::words("A domain account is tried with one of its mailboxes: check NAME@DOMAIN.");
            }
        }
    }

    /// Prints the line of an account whose steps are done.
    fn end_account(&mut self) {
        let Some(begin) = self.begin.take().filter(|_| self.brief) else { return };
        let steps = self.steps.get(begin..).unwrap_or_default();
        let name = steps.iter().find_map(|line| line.account.as_deref()).unwrap_or_default();
        // A failure is worse than a step that needs a person.
        let worst = steps.iter().filter(|line| !line.ok).min_by_key(|line| line.needs_person);
        let (count, line) = match worst {
            None => (&mut self.totals.well, name.to_owned()),
            Some(line) => {
                let count = match line.needs_person {
                    true => &mut self.totals.need_person,
                    false => &mut self.totals.failed,
                };
                let cure = line.cure.as_ref().map(|cure| format!("; cure: {cure}")).unwrap_or_default();
                (count, format!("{name}: {}: {}{cure}", line.step, line.detail))
            }
        };
        *count += 1;
        print::marked("", worst.is_none(), &line);
    }

    fn push(&mut self, line: Line) {
        let is_summed_up = self.brief && line.account.is_some();
        if !self.json && !is_summed_up {
            let indent = if line.account.is_some() { "  " } else { "" };
            let time = line.milliseconds.map_or(String::new(), |time| format!(" ({time} ms)"));
            let door = line.protocol.map(|door| format!(" ({door})")).unwrap_or_default();
            print::marked(indent, line.ok, &format!("{}{door}: {}{time}", line.step, line.detail));
            if let Some(cure) = &line.cure {
                print::data(&format!("{indent}     cure: {cure}"));
            }
        }
        self.steps.push(line);
    }

    /// Prints the JSON object, if asked for.
    fn finish(&mut self, outcome: Outcome) -> Result<(), Failure> {
        self.end_account();
        if self.brief {
            let Totals { well, need_person, failed } = self.totals;
            let total = well + need_person + failed;
            print::data(&format!(
                "{total} accounts: {well} ok, {need_person} in want of a person, {failed} failed; -v shows each step"
            ));
        }
        if self.json {
            print::json(&Checked::new(outcome, &self.steps))?;
        }
        Ok(())
    }
}
